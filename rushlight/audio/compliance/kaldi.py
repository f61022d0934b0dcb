"""Spectrograms, filter banks and cepstra as Kaldi computes them: `compute-fbank-feats` and its relatives.

A sound (channels, time) goes in, features (frames, n) come out. Names of options are Kaldi's.
"""

import math

from ... import api as rl
from ... import fft
from ...nn import functional as nnf
from ..functional import create_dct

__all__ = [
    "fbank", "get_mel_banks", "inverse_mel_scale", "inverse_mel_scale_scalar", "mel_scale", "mel_scale_scalar", "mfcc",
    "spectrogram", "vtln_warp_freq", "vtln_warp_mel_freq",
]
EPSILON = 1.1920928955078125e-07
WINDOWS = {
    "hanning": lambda size, blackman, options: rl.hann_window(size, periodic=False, **options),
    "hamming": lambda size, blackman, options: rl.hamming_window(size, False, 0.54, 0.46, **options),
    "povey": lambda size, blackman, options: rl.hann_window(size, periodic=False, **options).pow(0.85),
    "rectangular": lambda size, blackman, options: rl.ones(size, **options),
    "blackman": lambda size, blackman, options: _blackman(size, blackman, options),
}


def _blackman(size, coefficient, options):
    turn = 2 * math.pi / (size - 1) * rl.arange(size, **options)
    return coefficient - 0.5 * rl.cos(turn) + (0.5 - coefficient) * rl.cos(2 * turn)


def _expect(holds, message):
    if not holds:
        raise AssertionError(message)


def _frames(waveform, size, shift, snip_edges):
    """Frames (m, size) of a sound (time,). Without `snip_edges` it is continued by its mirror image at both ends."""
    time = waveform.shape[0]
    if snip_edges:
        return waveform.unfold(0, size, shift) if time >= size else waveform.new_empty((0, 0))
    count, before = (time + shift // 2) // shift, size // 2 - shift // 2
    mirrored = waveform.flip(0)
    start = (mirrored[-before:], waveform) if before > 0 else (waveform[-before:],)
    return rl.cat((*start, mirrored)).unfold(0, size, shift)[:count]


def _log_energy(frames, floor):
    found = frames.pow(2).sum(1).clamp(min=EPSILON).log()
    return found if floor == 0.0 else found.clamp(min=math.log(floor))


def _windowed(waveform, o):
    """(frames as the Fourier transform takes them, log-energies of the frames), or None for a sound too short."""
    channel = max(o["channel"], 0)
    _expect(channel < waveform.shape[0], f"Invalid channel {channel} for size {waveform.shape[0]}")
    sound, rate = waveform[channel], o["sample_frequency"]
    shift, size = int(rate * o["frame_shift"] * 0.001), int(rate * o["frame_length"] * 0.001)
    padded = (1 << (size - 1).bit_length()) if o["round_to_power_of_two"] else size
    emphasis = o["preemphasis_coefficient"]
    _expect(2 <= size <= len(sound), f"choose a window size {size} that is [2, {len(sound)}]")
    _expect(shift > 0, "`window_shift` must be greater than 0")
    _expect(padded % 2 == 0, "the padded `window_size` must be divisible by two. use `round_to_power_of_two` or change "
            "`frame_length`")
    _expect(0.0 <= emphasis <= 1.0, "`preemphasis_coefficient` must be between [0,1]")
    if len(sound) < o["min_duration"] * rate:
        return None
    frames = _frames(sound, size, shift, o["snip_edges"])
    if o["dither"] != 0.0:
        frames = frames + rl.randn(frames.shape, device=frames.device, dtype=frames.dtype) * o["dither"]
    if o["remove_dc_offset"]:
        frames = frames - frames.mean(1, keepdim=True)
    energy = _log_energy(frames, o["energy_floor"]) if o["raw_energy"] else None
    if emphasis != 0.0:
        frames = frames - emphasis * rl.cat((frames[:, :1], frames[:, :-1]), 1)
    if o["window_type"] not in WINDOWS:
        raise Exception("Invalid window type " + o["window_type"])
    options = {"device": frames.device, "dtype": frames.dtype}
    frames = nnf.pad(frames * WINDOWS[o["window_type"]](size, o["blackman_coeff"], options), (0, padded - size))
    return frames, _log_energy(frames, o["energy_floor"]) if energy is None else energy


def _centred(features, subtract_mean):
    return features - features.mean(0, keepdim=True) if subtract_mean else features


def spectrogram(waveform, blackman_coeff=0.42, channel=-1, dither=0.0, energy_floor=1.0, frame_length=25.0,
                frame_shift=10.0, min_duration=0.0, preemphasis_coefficient=0.97, raw_energy=True,
                remove_dc_offset=True, round_to_power_of_two=True, sample_frequency=16000.0, snip_edges=True,
                subtract_mean=False, window_type="povey"):
    """Compute log-power spectra as `compute-spectrogram-feats`: (channels, time) → (frames, padded size // 2 + 1).

    The first column is the log-energy of the frame. Options are those of `fbank`.
    """
    found = _windowed(waveform, locals())
    if found is None:
        return rl.empty(0)
    power = fft.rfft(found[0]).abs().pow(2.0).clamp(min=EPSILON).log()
    return _centred(rl.cat((found[1].unsqueeze(1), power[:, 1:]), 1), subtract_mean)


# -- mel scale ---------------------------------------------------------------------------------------------------------


def mel_scale_scalar(freq):
    """Convert a frequency in Hz to mel: 1127 log(1 + f / 700)."""
    return 1127.0 * math.log(1.0 + freq / 700.0)


def inverse_mel_scale_scalar(mel_freq):
    """Convert mel to Hz."""
    return 700.0 * (math.exp(mel_freq / 1127.0) - 1.0)


def mel_scale(freq):
    """Convert a tensor of frequencies in Hz to mel."""
    return 1127.0 * (1.0 + freq / 700.0).log()


def inverse_mel_scale(mel_freq):
    """Convert a tensor of mel to Hz."""
    return 700.0 * ((mel_freq / 1127.0).exp() - 1.0)


def vtln_warp_freq(vtln_low_cutoff, vtln_high_cutoff, low_freq, high_freq, vtln_warp_factor, freq):
    """Warp frequencies for a vocal tract of another length: linear in three parts, `low_freq` and `high_freq` stay."""
    _expect(vtln_low_cutoff > low_freq, "be sure to set the vtln_low option higher than low_freq")
    _expect(vtln_high_cutoff < high_freq, "be sure to set the vtln_high option lower than high_freq [or negative]")
    low, high = vtln_low_cutoff * max(1.0, vtln_warp_factor), vtln_high_cutoff * min(1.0, vtln_warp_factor)
    _expect(low > low_freq and high < high_freq, "the cut-offs, warped, must lie between low_freq and high_freq")
    scale = 1.0 / vtln_warp_factor
    left = (scale * low - low_freq) / (low - low_freq)
    right = (high_freq - scale * high) / (high_freq - high)
    warped = rl.where(freq < high, scale * freq, high_freq + right * (freq - high_freq))
    warped = rl.where(freq < low, low_freq + left * (freq - low_freq), warped)
    return rl.where((freq < low_freq) | (freq > high_freq), freq, warped)


def vtln_warp_mel_freq(vtln_low_cutoff, vtln_high_cutoff, low_freq, high_freq, vtln_warp_factor, mel_freq):
    """`vtln_warp_freq` of frequencies in mel."""
    return mel_scale(vtln_warp_freq(vtln_low_cutoff, vtln_high_cutoff, low_freq, high_freq, vtln_warp_factor,
                                    inverse_mel_scale(mel_freq)))


def get_mel_banks(num_bins, window_length_padded, sample_freq, low_freq, high_freq, vtln_low, vtln_high,
                  vtln_warp_factor):
    """Make triangular filters on Kaldi's mel scale.

    Args:
        num_bins (int): filters, more than 3; window_length_padded (int): samples of a frame, even.
        sample_freq, low_freq, high_freq (float): in Hz; a `high_freq` of 0 or less counts from half the sample rate.
        vtln_low, vtln_high, vtln_warp_factor (float): see `vtln_warp_freq`.

    Returns:
        tuple: filters (num_bins, window_length_padded / 2) and their centres (num_bins, 1), in Hz.
    """
    _expect(num_bins > 3, "Must have at least 3 mel bins")
    _expect(window_length_padded % 2 == 0, "the window must have an even number of samples")
    nyquist = 0.5 * sample_freq
    high_freq = high_freq + nyquist if high_freq <= 0.0 else high_freq
    _expect(0.0 <= low_freq < nyquist and 0.0 < high_freq <= nyquist and low_freq < high_freq,
            f"Bad values in options: low-freq {low_freq} and high-freq {high_freq} vs. nyquist {nyquist}")
    vtln_high = vtln_high + nyquist if vtln_high < 0.0 else vtln_high
    plain = vtln_warp_factor == 1.0
    _expect(plain or low_freq < vtln_low < vtln_high < high_freq,
            f"Bad values in options: vtln-low {vtln_low} and vtln-high {vtln_high}, versus low-freq {low_freq} and "
            f"high-freq {high_freq}")
    start = mel_scale_scalar(low_freq)
    step = (mel_scale_scalar(high_freq) - start) / (num_bins + 1)
    number = rl.arange(num_bins).unsqueeze(1)
    points = [start + (number + shift) * step for shift in (0.0, 1.0, 2.0)]
    if not plain:
        points = [vtln_warp_mel_freq(vtln_low, vtln_high, low_freq, high_freq, vtln_warp_factor, p) for p in points]
    left, centre, right = points
    mel = mel_scale(sample_freq / window_length_padded * rl.arange(window_length_padded / 2)).unsqueeze(0)
    rising, falling = (mel - left) / (centre - left), (right - mel) / (right - centre)
    return rl.minimum(rising, falling).clamp(min=0), inverse_mel_scale(centre)


# -- features ----------------------------------------------------------------------------------------------------------


def fbank(waveform, blackman_coeff=0.42, channel=-1, dither=0.0, energy_floor=1.0, frame_length=25.0, frame_shift=10.0,
          high_freq=0.0, htk_compat=False, low_freq=20.0, min_duration=0.0, num_mel_bins=23,
          preemphasis_coefficient=0.97, raw_energy=True, remove_dc_offset=True, round_to_power_of_two=True,
          sample_frequency=16000.0, snip_edges=True, subtract_mean=False, use_energy=False, use_log_fbank=True,
          use_power=True, vtln_high=-500.0, vtln_low=100.0, vtln_warp=1.0, window_type="povey"):
    """Compute energies in mel bands as `compute-fbank-feats`.

    Args:
        waveform (Tensor): (channels, time).
        channel (int): which one; the first if negative.
        dither (float): standard deviation of noise to add; energy_floor (float): of log-energies.
        frame_length, frame_shift (float): in ms; min_duration (float): seconds of sounds that are not skipped.
        raw_energy (bool): measure energy before pre-emphasis and window.
        snip_edges (bool): only frames that fit completely.
        use_energy, htk_compat (bool): add the log-energy, as the first column, or the last one for HTK.
        use_log_fbank, use_power (bool): logarithms; powers instead of magnitudes.
        window_type (str): "hamming", "hanning", "povey", "rectangular" or "blackman".

    Returns:
        Tensor: (frames, num_mel_bins), one column more with `use_energy`; empty for a sound that is skipped.

    Raises:
        AssertionError: options do not fit.
    """
    found = _windowed(waveform, locals())
    if found is None:
        return waveform.new_empty(0)
    frames, energy = found
    spectra = fft.rfft(frames).abs()
    bank, _ = get_mel_banks(num_mel_bins, frames.shape[1], sample_frequency, low_freq, high_freq, vtln_low, vtln_high,
                            vtln_warp)
    bank = nnf.pad(bank.to(device=frames.device, dtype=frames.dtype), (0, 1))
    bands = (spectra.pow(2.0) if use_power else spectra) @ bank.T
    if use_log_fbank:
        bands = bands.clamp(min=EPSILON).log()
    if use_energy:
        energy = energy.unsqueeze(1)
        bands = rl.cat((bands, energy) if htk_compat else (energy, bands), 1)
    return _centred(bands, subtract_mean)


def mfcc(waveform, blackman_coeff=0.42, cepstral_lifter=22.0, channel=-1, dither=0.0, energy_floor=1.0,
         frame_length=25.0, frame_shift=10.0, high_freq=0.0, htk_compat=False, low_freq=20.0, num_ceps=13,
         min_duration=0.0, num_mel_bins=23, preemphasis_coefficient=0.97, raw_energy=True, remove_dc_offset=True,
         round_to_power_of_two=True, sample_frequency=16000.0, snip_edges=True, subtract_mean=False, use_energy=False,
         vtln_high=-500.0, vtln_low=100.0, vtln_warp=1.0, window_type="povey"):
    """Compute cepstra as `compute-mfcc-feats`: (channels, time) → (frames, num_ceps).

    Cosine transform of `fbank`, whose options are the same; coefficients are scaled by a sine of length
    `cepstral_lifter` if that is not 0. Raises AssertionError for more cepstra than bands.
    """
    options = {name: value for name, value in locals().items() if name not in ("num_ceps", "cepstral_lifter")}
    _expect(num_ceps <= num_mel_bins, f"num_ceps cannot be larger than num_mel_bins: {num_ceps} vs {num_mel_bins}")
    bands = fbank(**{**options, "subtract_mean": False})
    if bands.dim() < 2:
        return bands
    if use_energy:
        energy = bands[:, -1:] if htk_compat else bands[:, :1]
        bands = bands[:, :-1] if htk_compat else bands[:, 1:]
    matrix = create_dct(num_mel_bins, num_mel_bins, "ortho")[:, :num_ceps]
    matrix = rl.cat((rl.full((num_mel_bins, 1), math.sqrt(1 / num_mel_bins)), matrix[:, 1:]), 1)
    cepstra = bands @ matrix.to(device=bands.device, dtype=bands.dtype)
    if cepstral_lifter != 0.0:
        lifter = 1.0 + 0.5 * cepstral_lifter * rl.sin(math.pi * rl.arange(num_ceps) / cepstral_lifter)
        cepstra = cepstra * lifter.to(device=bands.device, dtype=bands.dtype)
    first = energy if use_energy else cepstra[:, :1] * (math.sqrt(2) if htk_compat else 1)
    cepstra = rl.cat((cepstra[:, 1:], first) if htk_compat else (first, cepstra[:, 1:]), 1)
    return _centred(cepstra, subtract_mean)
