"""Band-limited resampling by windowed sinc kernels (Smith, "Digital Audio Resampling"), which are kept."""

import functools
import math
import warnings

from ... import api as rl
from ...base.lazy import numpy as np
from ...nn import functional as nnf

METHODS = ("sinc_interp_hann", "sinc_interp_kaiser")
OLD_METHODS = {"sinc_interpolation": "sinc_interp_hann", "kaiser_window": "sinc_interp_kaiser"}
BETA = 14.769656459379492


def _positions(orig_freq, new_freq, width, dtype):
    """Times of the samples (new_freq, 1, 2 width + orig_freq) around each new one, in periods of the old rate."""
    wide = np.float64 if dtype in (None, rl.float64) else np.float32
    narrow = np.float32 if dtype is None else wide  # integers divided give the default dtype
    old = np.arange(-width, width + orig_freq).astype(wide) / wide(orig_freq)
    shift = np.arange(0, -new_freq, -1).astype(narrow) / narrow(new_freq)
    return old[None, None] + shift[:, None, None]


@functools.lru_cache(64)
def _kernel(orig_freq, new_freq, lowpass_filter_width, rolloff, method, beta, dtype):
    base = min(orig_freq, new_freq) * rolloff
    width = math.ceil(lowpass_filter_width * orig_freq / base)
    t = _positions(orig_freq, new_freq, width, dtype)
    t = np.clip(t * t.dtype.type(base), -lowpass_filter_width, lowpass_filter_width)
    if method == "sinc_interp_hann":
        window = np.cos(t * math.pi / lowpass_filter_width / 2) ** 2
    else:
        beta = BETA if beta is None else float(beta)
        window = np.i0(beta * np.sqrt(1 - (t / lowpass_filter_width) ** 2)) / np.i0(beta)
    values = np.sinc(t) * window * (base / orig_freq)
    return values.astype(np.float64 if dtype is rl.float64 else np.float32), width


def sinc_kernel(orig_freq, new_freq, gcd, lowpass_filter_width=6, rolloff=0.99, resampling_method="sinc_interp_hann",
                beta=None, device=None, dtype=None):
    """(the kernels (new, 1, taps) that resample from one rate to another, samples they reach to each side)."""
    if not (int(orig_freq) == orig_freq and int(new_freq) == new_freq):
        raise Exception("Frequencies must be of integer type: multiply both by a factor that makes them integers")
    if resampling_method in OLD_METHODS:
        warnings.warn(f'"{resampling_method}" is now called "{OLD_METHODS[resampling_method]}"', stacklevel=3)
        resampling_method = OLD_METHODS[resampling_method]
    if resampling_method not in METHODS:
        raise ValueError(f"Invalid resampling method: {resampling_method}")
    if lowpass_filter_width <= 0:
        raise ValueError("Low pass filter width should be positive.")
    values, width = _kernel(int(orig_freq) // gcd, int(new_freq) // gcd, lowpass_filter_width, rolloff,
                            resampling_method, beta, dtype)
    return rl.tensor(values, dtype=dtype or rl.float32, device=device), width


def apply_kernel(waveform, orig_freq, new_freq, gcd, kernel, width):
    """Resample sounds (..., time) with the kernels that `sinc_kernel` gives."""
    if not waveform.is_floating_point():
        raise TypeError(f"Expected floating point type for waveform tensor, but received {waveform.dtype}.")
    orig_freq, new_freq = int(orig_freq) // gcd, int(new_freq) // gcd
    shape = waveform.shape
    rows = nnf.pad(waveform.reshape(-1, shape[-1]), (width, width + orig_freq))
    found = nnf.conv1d(rows[:, None], kernel, stride=orig_freq)
    found = found.transpose(1, 2).reshape(rows.shape[0], -1)[..., :math.ceil(new_freq * shape[-1] / orig_freq)]
    return found.reshape(shape[:-1] + found.shape[-1:])


def resample(waveform, orig_freq, new_freq, lowpass_filter_width=6, rolloff=0.99, resampling_method="sinc_interp_hann",
             beta=None):
    """Resample sounds from one rate to another.

    Args:
        waveform (Tensor): (..., time), floating.
        orig_freq, new_freq (int): rates; only their ratio counts.
        lowpass_filter_width (int): zero crossings of the sinc function to each side: more are sharper and slower.
        rolloff (float): cut-off frequency, as a fraction of the lower Nyquist frequency.
        resampling_method (str): window, "sinc_interp_hann" or "sinc_interp_kaiser".
        beta (float, optional): parameter of Kaiser's window.

    Returns:
        Tensor: (..., ceil(time * new_freq / orig_freq)).

    Raises:
        ValueError: a rate is not positive, or no such method.

    Example:
        >>> F.resample(torch.ones(1, 800), 8000, 6000).shape
        torch.Size([1, 600])
    """
    if orig_freq <= 0.0 or new_freq <= 0.0:
        raise ValueError("Original frequency and desired frequency should be positive")
    if orig_freq == new_freq:
        return waveform
    gcd = math.gcd(int(orig_freq), int(new_freq))
    kernel, width = sinc_kernel(orig_freq, new_freq, gcd, lowpass_filter_width, rolloff, resampling_method, beta,
                                waveform.device, waveform.dtype)
    return apply_kernel(waveform, orig_freq, new_freq, gcd, kernel, width)


def reduced_rates(orig_freq, factor):
    """(rate, new rate) in lowest terms, of a change of speed by `factor`."""
    source, target = int(factor * orig_freq), int(orig_freq)
    gcd = math.gcd(source, target)
    return source // gcd, target // gcd


def new_lengths(lengths, source, target):
    """Lengths after resampling, or None."""
    return None if lengths is None else rl.ceil(lengths * target / source).to(lengths.dtype)


def speed(waveform, orig_freq, factor, lengths=None):
    """Play sounds (..., time) faster by `factor`, which also raises their pitch.

    Returns the sounds, and their new lengths if `lengths` (...) are given, else None.
    """
    source, target = reduced_rates(orig_freq, factor)
    return resample(waveform, source, target), new_lengths(lengths, source, target)
