"""Voice activity detection after SoX's `vad`: cut what comes before the first speech.

The power of the cepstrum in the range of voices is measured at intervals, above a running estimate of the noise. The
measures are few, and computed on the host; what is returned is a view of the input.
"""

import dataclasses
import math
import warnings

from ...base.lazy import numpy as np


@dataclasses.dataclass
class _Meter:
    """Sizes, windows and time constants of the measures."""

    length: int
    size: int
    band: slice
    voices: slice
    window: object
    band_window: object
    smooth: float
    up: float
    down: float
    reduction: float

    def measure(self, samples, spectrum, noise, booted):
        """One measure of a channel; updates its smoothed spectrum and its noise. `booted`: measures before, or -1."""
        found = np.abs(np.fft.rfft(samples * self.window, self.size))[self.band].astype(np.float32)
        keep = np.float32(booted / (1.0 + booted) if booted >= 0 else self.smooth)
        spectrum[...] = spectrum * keep + found * (1 - keep)
        power = spectrum ** 2
        keep = np.float32(0) if booted >= 0 else np.where(power > noise, np.float32(self.up), np.float32(self.down))
        noise[...] = noise * keep + power * (1 - keep)
        clean = np.sqrt(np.maximum(0, power - np.float32(self.reduction) * noise))
        line = np.zeros(self.size >> 1, np.float32)
        line[self.band] = clean * self.band_window
        total = float((np.abs(np.fft.rfft(line)[self.voices]) ** 2).sum())
        level = math.log(total / (self.voices.stop - self.voices.start)) if total > 0 else -math.inf
        return max(0, 21 + level)


def _hann(size):
    """Hann's window, periodic, times 2 / sqrt(size)."""
    wave = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    return (wave * 2.0 / math.sqrt(size)).astype(np.float32)


def _back_to_silence(measures, newest, level, gap):
    """How many measures before the newest one the speech begins; short gaps belong to it."""
    count = len(measures)
    trigger = zero = count
    for j in range(count):
        value = measures[(newest - j) % count]
        if value >= level and j <= trigger + gap:
            trigger = zero = j
        elif value == 0 and trigger >= zero:
            zero = j
    return min(count - 1, zero)


def vad(waveform, sample_rate, trigger_level=7.0, trigger_time=0.25, search_time=1.0, allowed_gap=0.25,
        pre_trigger_time=0.0, boot_time=0.35, noise_up_time=0.1, noise_down_time=0.01, noise_reduction_amount=1.35,
        measure_freq=20.0, measure_duration=None, measure_smooth_time=0.4, hp_filter_freq=50.0, lp_filter_freq=6000.0,
        hp_lifter_freq=150.0, lp_lifter_freq=2000.0):
    """Cut silence and noise before the first speech. Reverse a sound to cut its end.

    Args:
        waveform (Tensor): (channels, time) or (time,).
        sample_rate (int): in Hz.
        trigger_level (float): level of the measures that counts as speech.
        trigger_time (float): seconds over which measures are averaged.
        search_time, allowed_gap (float): how far before the trigger speech is looked for, and how long its gaps may be.
        pre_trigger_time (float): seconds to keep before the speech.
        boot_time, noise_up_time, noise_down_time, noise_reduction_amount (float): of the estimate of noise.
        measure_freq, measure_duration, measure_smooth_time (float): of the measures.
        hp_filter_freq, lp_filter_freq, hp_lifter_freq, lp_lifter_freq (float): ranges of spectrum and cepstrum, in Hz.

    Returns:
        Tensor: (channels, time') or (time',); without speech what `pre_trigger_time` keeps.
    """
    if waveform.ndim > 2:
        warnings.warn(f"Expected (time,) or (channels, time), got {waveform.ndim} dimensions: all rows are channels of "
                      "one sound")
    rates = (noise_up_time, noise_down_time, measure_smooth_time, trigger_time)
    up, down, smooth, steady = [math.exp(-1.0 / (seconds * measure_freq)) for seconds in rates]
    meter = _meter(sample_rate, 2.0 / measure_freq if measure_duration is None else measure_duration, hp_filter_freq,
                   lp_filter_freq, hp_lifter_freq, lp_lifter_freq, smooth, up, down, noise_reduction_amount)
    period, count = int(sample_rate / measure_freq + 0.5), math.ceil(search_time * measure_freq)
    kept = int(pre_trigger_time * sample_rate + 0.5)
    rows = waveform.reshape(-1, waveform.shape[-1])
    found = _search(rows.detach().cpu().float().numpy(), meter, period, count, trigger_level, steady,
                    int(allowed_gap * measure_freq + 0.5), int(boot_time * measure_freq - 0.5))
    if found is None and waveform.shape[-1] >= kept:
        return waveform[..., :kept]
    at, flushed = found or (_last(rows.shape[-1], meter.length, period), 0)
    start = max(at - (kept + count * period + meter.length) + flushed * period, 0)
    return waveform[..., start:]


def _last(time, length, period):
    """Where the last measure ends, or 0."""
    return max(range(length, time, period), default=0)


def _meter(sample_rate, seconds, low, high, voice_low, voice_high, *constants):
    length = int(sample_rate * seconds + 0.5)
    size = 16
    while size < length:
        size *= 2
    band = slice(max(int(low / sample_rate * size + 0.5), 1), min(int(high / sample_rate * size + 0.5), size // 2))
    voices = slice(math.ceil(sample_rate * 0.5 / voice_high), min(math.floor(sample_rate * 0.5 / voice_low), size // 4))
    if voices.stop <= voices.start:
        raise ValueError("Expected cepstrum_start to be smaller than cepstrum_end. Found: cepstrum_start: "
                         f"{voices.start}, cepstrum_end: {voices.stop}.")
    return _Meter(length, size, band, voices, _hann(length), _hann(band.stop - band.start), *constants)


def _search(rows, meter, period, count, level, steady, gap, boots):
    """(end of the measure at which speech is noticed, measures to drop), or None."""
    channels, time = rows.shape
    width = meter.band.stop - meter.band.start
    spectra, noises = np.zeros((2, channels, width), np.float32)
    measures, means = np.zeros((channels, count), np.float32), np.zeros(channels, np.float32)
    booted = 0
    for number, at in enumerate(range(meter.length, time, period)):
        newest, flush, triggered = number % count, 0, False
        for i in range(channels):
            value = meter.measure(rows[i, at - meter.length:at], spectra[i], noises[i], booted)
            measures[i, newest] = value
            means[i] = means[i] * steady + value * (1.0 - steady)
            triggered = triggered or means[i] >= level
            if triggered:
                flush = min(max(flush, _back_to_silence(measures[i], newest, level, gap)), count)
        if booted >= 0:
            booted = -1 if booted == boots else booted + 1
        if triggered:
            return at, count - flush
    return None
