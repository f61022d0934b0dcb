"""Effects after those of SoX: gain, contrast, dither, overdrive, flanger, phaser, shift of the mean."""

import math

from ... import api as rl
from ...base.lazy import numpy as np
from ...nn import functional as nnf
from ...ops.media.feedback import feedback, recur

BITS = 16  # of a quantised sample
GAUSSIAN_DRAWS = 6


def gain(waveform, gain_db=1.0):
    """Amplify sounds by decibels."""
    return waveform if gain_db == 0 else waveform * 10 ** (gain_db / 20)


def contrast(waveform, enhancement_amount=75.0):
    """Make sounds louder, as a compressor does; the amount is from 0 to 100, else ValueError."""
    if not 0 <= enhancement_amount <= 100:
        raise ValueError("Allowed range of values for enhancement_amount : 0-100")
    phase = waveform * (math.pi / 2)
    return rl.sin(phase + enhancement_amount / 750.0 * rl.sin(phase * 4))


def dcshift(waveform, shift, limiter_gain=None):
    """Add a constant from -2 to 2; with `limiter_gain` peaks beyond a threshold are compressed, others clipped."""
    if limiter_gain is None or shift == 0:
        return (waveform + shift).clamp(-1, 1)
    threshold, sign = 1.0 - (abs(shift) - limiter_gain), math.copysign(1.0, shift)
    up = sign * waveform
    peak = (up - threshold) * limiter_gain / (1 - threshold) + threshold + abs(shift)
    limited = rl.where(up > threshold, peak.clamp(max=threshold), (up + abs(shift)).clamp(-1, 1))
    return sign * limited


# -- dither ------------------------------------------------------------------------------------------------------------


def _draw(size):
    return int(rl.randint(size, [1]).item()) if size > 0 else 0


def _gaussian(rows, channel, time):
    """A sum of samples drawn at random, the first at (channel, time), which takes part with its running sum."""
    total, place = rows[channel, time], (channel, time)
    for _ in range(GAUSSIAN_DRAWS):
        drawn = int(rl.randint(rows.shape[0] - 1, [1]).item()), int(rl.randint(rows.shape[1] - 1, [1]).item())
        total = total + (total if drawn == place else rows[drawn])
    return total


def dither(waveform, density_function="TPDF", noise_shaping=False):
    """Quantise sounds to 16 bits with dither.

    Args:
        waveform (Tensor): (..., time).
        density_function (str): "TPDF" (triangular), "RPDF" (rectangular) or "GPDF" (Gaussian).
        noise_shaping (bool): add the error of the sample before.

    Returns:
        Tensor: (..., time).
    """
    rows = waveform.reshape(-1, waveform.shape[-1])
    channel, time = _draw(rows.shape[0] - 1), _draw(rows.shape[1] - 1)
    scaled = rows * (2 ** (BITS - 1) - 2)
    if density_function == "RPDF":
        scaled = scaled + (rows[channel, time] - 0.5)
    elif density_function == "GPDF":
        scaled = scaled + _gaussian(rows, channel, time)
    else:
        scaled = scaled + rl.bartlett_window(rows.shape[1], dtype=rows.dtype, device=rows.device)
    found = rl.round(scaled) / 2 ** (BITS - 1)
    if noise_shaping:
        found = found + nnf.pad((found - rows)[:, :-1], (1, 0))
    return found.reshape(waveform.shape)


# -- distortion and modulated delays -----------------------------------------------------------------------------------


def overdrive(waveform, gain=20, colour=20):
    """Distort sounds (..., time): a cubic limiter after `gain` decibels; `colour` sets the share of even harmonics."""
    driven = waveform * 10 ** (gain / 20) + colour / 200
    driven = rl.where(driven < -1, -2.0 / 3.0, rl.where(driven > 1, 2.0 / 3.0, driven - driven ** 3 / 3))
    rows = driven.reshape(-1, driven.shape[-1])
    change = rows - nnf.pad(rows[:, :-1], (1, 0))
    out = recur(change, rl.tensor([[0.995]], dtype=rows.dtype)).reshape(waveform.shape)
    return (waveform * 0.5 + out * 0.75).clamp(-1, 1)


def _wave_table(sine, size, low, high, phase):
    """One period of a sine or triangle wave between two values, float64."""
    point = (np.arange(size) + int(phase / math.pi / 2 * size + 0.5)) % size
    if sine:
        wave = (np.sin(point / size * 2 * math.pi) + 1) / 2
    else:
        quarter, wave = 4 * point // size, point * 2 / size
        wave = np.select([quarter == 0, quarter == 3], [wave + 0.5, wave - 1.5], 1.5 - wave)
    return wave * (high - low) + low


def _tensor(values, dtype=None):
    return rl.from_numpy(np.ascontiguousarray(values)).to(dtype) if dtype else rl.from_numpy(values)


def phaser(waveform, sample_rate, gain_in=0.4, gain_out=0.74, delay_ms=3.0, decay=0.4, mod_speed=0.5, sinusoidal=True):
    """Mix sounds (..., time) with themselves, fed back after a delay that swings.

    Args:
        gain_in, gain_out (float): of the input and the result.
        delay_ms (float): longest delay; decay (float): gain of the feedback.
        mod_speed (float): swings a second, of a sine (`sinusoidal`) or a triangle.
    """
    longest = int(delay_ms * 0.001 * sample_rate + 0.5)
    table = _wave_table(sinusoidal, int(sample_rate / mod_speed + 0.5), 1.0, float(longest), math.pi / 2)
    steps = np.trunc(table + np.where(table < 0, -0.5, 0.5)).astype(np.int64)
    time = waveform.shape[-1]
    delays = longest + 1 - steps[np.arange(time) % len(steps)]
    rows = (waveform * gain_in).reshape(-1, time)
    weights = rl.full((1, time, 1), decay, dtype=rows.dtype)
    found = feedback(rows, weights, _tensor(delays[None]), False)
    return (found * gain_out).clamp(-1, 1).reshape(waveform.shape)


def _taps(fraction, interpolation):
    """Weights (..., taps) that interpolate between samples at whole delays."""
    if interpolation == "linear":
        return np.stack((1 - fraction, fraction), -1)
    second, third = 2 * fraction - fraction ** 2, (fraction ** 2 - fraction) / 2
    return np.stack((1 - second - third, second, third), -1)


def flanger(waveform, sample_rate, delay=0.0, depth=2.0, regen=0.0, width=71.0, speed=0.5, phase=25.0,
            modulation="sinusoidal", interpolation="linear"):
    """Mix sounds with themselves after a short delay that swings.

    Args:
        waveform (Tensor): (..., channels, time), at most 4 channels.
        delay, depth (float): least delay, and how far it swings, in ms.
        regen, width (float): feedback and share of the delayed sound, in percent.
        speed (float): swings a second; phase (float): shift between channels, in percent.
        modulation (str): "sinusoidal" or "triangular"; interpolation (str): "linear" or "quadratic".
    """
    if modulation not in ("sinusoidal", "triangular"):
        raise ValueError('Only "sinusoidal" or "triangular" modulation allowed')
    if interpolation not in ("linear", "quadratic"):
        raise ValueError('Only "linear" or "quadratic" interpolation allowed')
    channels, time = waveform.shape[-2:]
    if channels > 4:
        raise ValueError("Max 4 channels allowed")
    size = int((delay / 1000 + depth / 1000) * sample_rate + 0.5) + 2
    period = int(sample_rate / speed)
    low = float(math.floor(delay / 1000 * sample_rate + 0.5))
    table = _wave_table(modulation == "sinusoidal", period, low, size - 2.0, 3 * math.pi / 2).astype(np.float32)
    shifts = (np.arange(channels) * period * (phase / 100) + 0.5).astype(np.int64)
    swing = table[(np.arange(time)[None] + shifts[:, None]) % period]  # (channels, time)
    delays = np.floor(swing).astype(np.int64)
    taps = _taps((swing - np.floor(swing)).astype(np.float64), interpolation)
    rows = waveform.reshape(-1, time)
    line = _feed_back(rows, taps * (regen / 100), delays) if regen else rows
    delayed = _read(line, taps, delays)
    share = width / 100
    wet = share / (1 + share) * (1 - abs(regen / 100))
    return (rows / (1 + share) + delayed * wet).clamp(-1, 1).reshape(waveform.shape)


def _feed_back(rows, taps, delays):
    """What enters the delay line: each sample, and what left the line one step before."""
    before = np.zeros_like(taps)
    before[:, 1:] = taps[:, :-1]
    waits = np.ones_like(delays)
    waits[:, 1:] = delays[:, :-1] + 1
    return feedback(rows, _tensor(before, rows.dtype), _tensor(waits), False)


def _read(line, taps, delays):
    """What leaves the delay line: samples at whole delays, weighted."""
    channels, time = delays.shape
    line = line.reshape(-1, channels, time)
    total = 0
    for tap in range(taps.shape[-1]):
        place = np.arange(time)[None] - delays - tap
        weight = np.where(place >= 0, taps[..., tap], 0.0)
        index = _tensor(np.maximum(place, 0)).expand(line.shape)
        total = total + line.gather(-1, index) * _tensor(weight, line.dtype)
    return total.reshape(-1, time)
