"""Recursive filters: `lfilter`, and biquads by the formulas of Bristow-Johnson's "Audio EQ Cookbook" and of SoX.

The part that feeds back is one kernel (codegen/cpu/rows/feedback.py), which is differentiable by input and
coefficients.
"""

import math

from ... import api as rl
from ...nn import functional as nnf
from ...ops.media.feedback import recur

LN10 = math.log(10)


def lfilter(waveform, a_coeffs, b_coeffs, clamp=True, batching=True):
    """Filter sounds by a difference equation: sum of a[k] y[t - k] = sum of b[k] x[t - k].

    Args:
        waveform (Tensor): (..., time).
        a_coeffs, b_coeffs (Tensor): (order + 1,), or (filters, order + 1); lower delays first.
        clamp (bool): clip results to -1 ... 1.
        batching (bool): with several filters, the dimension before the last of `waveform` has one row for each; else
            each filter runs on all sounds.

    Returns:
        Tensor: (..., time); without batching and with several filters (..., filters, time).

    Raises:
        ValueError: sizes do not fit.

    Example:
        >>> F.lfilter(torch.tensor([1.0, 0, 0]), torch.tensor([1.0, -0.5]), torch.tensor([1.0, 0.0]))
        tensor([1.0000, 0.5000, 0.2500])
    """
    if a_coeffs.shape != b_coeffs.shape:
        raise ValueError("Expected coeffs to be the same size.Found: a_coeffs size: "
                         f"{a_coeffs.shape}, b_coeffs size: {b_coeffs.shape}")
    if a_coeffs.ndim > 2:
        raise ValueError(f"Expected coeffs to have greater than 1 dimension. Found: {a_coeffs.ndim}")
    if a_coeffs.ndim == 1:
        a_coeffs, b_coeffs = a_coeffs.unsqueeze(0), b_coeffs.unsqueeze(0)
    elif not batching:
        waveform = rl.stack([waveform] * a_coeffs.shape[0], -2)
    elif waveform.ndim < 2 or waveform.shape[-2] != a_coeffs.shape[0]:
        raise ValueError("Expected number of batches in waveform and coeffs to be the same.Found: coeffs batches: "
                         f"{a_coeffs.shape[0]}, waveform shape: {tuple(waveform.shape)}")
    shape, (filters, taps) = waveform.shape, a_coeffs.shape
    rows = nnf.pad(waveform.reshape(-1, filters, shape[-1]), (taps - 1, 0))
    scale = a_coeffs[:, :1]
    forward = nnf.conv1d(rows, (b_coeffs / scale).flip(1).unsqueeze(1), groups=filters).flatten(0, 1)
    found = recur(forward, -(a_coeffs / scale)[:, 1:]) if taps > 1 else forward
    if clamp:
        found = found.clamp(-1.0, 1.0)
    return found.reshape(shape)


def filtfilt(waveform, a_coeffs, b_coeffs, clamp=True):
    """Filter sounds forward and backward, without a shift of phase; arguments as in `lfilter`."""
    once = lfilter(waveform, a_coeffs, b_coeffs, clamp=False)
    return lfilter(once.flip(-1), a_coeffs, b_coeffs, clamp=clamp).flip(-1)


# -- biquads -----------------------------------------------------------------------------------------------------------


def biquad(waveform, b0, b1, b2, a0, a1, a2):
    """Filter sounds (..., time) by a biquad: `lfilter` with three coefficients each, numbers or tensors."""
    b, a = [rl.cat([_like(value, waveform).reshape(1) for value in values]) for values in ((b0, b1, b2), (a0, a1, a2))]
    return lfilter(waveform, a, b)


def _like(value, waveform):
    return rl.as_tensor(value, dtype=waveform.dtype, device=waveform.device)


def _angle(waveform, sample_rate, frequency, Q):
    """(sine, cosine of the angular frequency, alpha): what the cookbook's formulas are made of."""
    w0 = 2 * math.pi * _like(frequency, waveform) / sample_rate
    return rl.sin(w0), rl.cos(w0), rl.sin(w0) / 2 / _like(Q, waveform)


def _amplitude(waveform, gain):
    return rl.exp(_like(gain, waveform) / 40 * LN10)


def allpass_biquad(waveform, sample_rate, central_freq, Q=0.707):
    """Change the phase around a frequency, and no magnitude: sounds (..., time) → (..., time)."""
    _, cosine, alpha = _angle(waveform, sample_rate, central_freq, Q)
    return biquad(waveform, 1 - alpha, -2 * cosine, 1 + alpha, 1 + alpha, -2 * cosine, 1 - alpha)


def band_biquad(waveform, sample_rate, central_freq, Q=0.707, noise=False):
    """Pass a band around a frequency, falling at both sides; `noise`: for sounds without pitch, such as percussion."""
    _, cosine, _ = _angle(waveform, sample_rate, central_freq, Q)
    width = _like(central_freq, waveform) / _like(Q, waveform)
    a2 = rl.exp(-2 * math.pi * width / sample_rate)
    a1 = -4 * a2 / (1 + a2) * cosine
    if noise:
        b0 = rl.sqrt(((1 + a2) * (1 + a2) - a1 * a1) * (1 - a2) / (1 + a2))
    else:
        b0 = rl.sqrt(1 - a1 * a1 / (4 * a2)) * (1 - a2)
    return biquad(waveform, b0, 0.0, 0.0, 1.0, a1, a2)


def bandpass_biquad(waveform, sample_rate, central_freq, Q=0.707, const_skirt_gain=False):
    """Pass a band around a frequency; `const_skirt_gain`: the peak is Q instead of 1."""
    sine, cosine, alpha = _angle(waveform, sample_rate, central_freq, Q)
    peak = sine / 2 if const_skirt_gain else alpha
    return biquad(waveform, peak, 0.0, -peak, 1 + alpha, -2 * cosine, 1 - alpha)


def bandreject_biquad(waveform, sample_rate, central_freq, Q=0.707):
    """Remove a band around a frequency."""
    _, cosine, alpha = _angle(waveform, sample_rate, central_freq, Q)
    return biquad(waveform, 1.0, -2 * cosine, 1.0, 1 + alpha, -2 * cosine, 1 - alpha)


def _shelf(waveform, sample_rate, gain, frequency, Q, sign):
    """Raise what is below (`sign` 1) or above (-1) a frequency by `gain` decibels."""
    _, cosine, alpha = _angle(waveform, sample_rate, frequency, Q)
    A = _amplitude(waveform, gain)
    edge, less, more = 2 * rl.sqrt(A) * alpha, sign * (A - 1) * cosine, sign * (A + 1) * cosine
    b = A * (A + 1 - less + edge), sign * 2 * A * (A - 1 - more), A * (A + 1 - less - edge)
    a = A + 1 + less + edge, -sign * 2 * (A - 1 + more), A + 1 + less - edge
    return biquad(waveform, *b, *a)


def bass_biquad(waveform, sample_rate, gain, central_freq=100, Q=0.707):
    """Raise low frequencies by `gain` decibels."""
    return _shelf(waveform, sample_rate, gain, central_freq, Q, 1)


def treble_biquad(waveform, sample_rate, gain, central_freq=3000, Q=0.707):
    """Raise high frequencies by `gain` decibels."""
    return _shelf(waveform, sample_rate, gain, central_freq, Q, -1)


def equalizer_biquad(waveform, sample_rate, center_freq, gain, Q=0.707):
    """Raise a band around a frequency by `gain` decibels."""
    _, cosine, alpha = _angle(waveform, sample_rate, center_freq, Q)
    A = _amplitude(waveform, gain)
    return biquad(waveform, 1 + alpha * A, -2 * cosine, 1 - alpha * A, 1 + alpha / A, -2 * cosine, 1 - alpha / A)


def highpass_biquad(waveform, sample_rate, cutoff_freq, Q=0.707):
    """Remove frequencies below `cutoff_freq`."""
    _, cosine, alpha = _angle(waveform, sample_rate, cutoff_freq, Q)
    half = (1 + cosine) / 2
    return biquad(waveform, half, -1 - cosine, half, 1 + alpha, -2 * cosine, 1 - alpha)


def lowpass_biquad(waveform, sample_rate, cutoff_freq, Q=0.707):
    """Remove frequencies above `cutoff_freq`."""
    _, cosine, alpha = _angle(waveform, sample_rate, cutoff_freq, Q)
    half = (1 - cosine) / 2
    return biquad(waveform, half, 1 - cosine, half, 1 + alpha, -2 * cosine, 1 - alpha)


DEEMPHASIS = {44100: (5283, 0.4845, -9.477), 48000: (5356, 0.479, -9.62)}  # rate: (frequency, slope, gain)
RIAA = {  # rate: (zeros, poles)
    44100: ((-0.2014898, 0.923382), (0.7083149, 0.9924091)),
    48000: ((-0.1766069, 0.932159), (0.7396325, 0.993133)),
    88200: ((-0.1168735, 0.9648312), (0.8590646, 0.9964002)),
    96000: ((-0.1141486, 0.9676817), (0.8699137, 0.9966946)),
}


def deemph_biquad(waveform, sample_rate):
    """Undo the emphasis of compact discs (ISO 908). ValueError for rates other than 44100 and 48000."""
    if sample_rate not in DEEMPHASIS:
        raise ValueError("Sample rate must be 44100 (audio-CD) or 48000 (DAT)")
    frequency, slope, gain = DEEMPHASIS[sample_rate]
    w0 = 2 * math.pi * frequency / sample_rate
    A = math.exp(gain / 40.0 * LN10)
    alpha = math.sin(w0) / 2 * math.sqrt((A + 1 / A) * (1 / slope - 1) + 2)
    edge, less, more = 2 * math.sqrt(A) * alpha, (A - 1) * math.cos(w0), (A + 1) * math.cos(w0)
    b = A * (A + 1 + less + edge), -2 * A * (A - 1 + more), A * (A + 1 + less - edge)
    return biquad(waveform, *b, A + 1 - less + edge, 2 * (A - 1 - more), A + 1 - less - edge)


def riaa_biquad(waveform, sample_rate):
    """Undo the equalisation of vinyl records. ValueError for rates other than 44.1, 48, 88.2 and 96 kHz."""
    if sample_rate not in RIAA:
        raise ValueError("Sample rate must be 44.1k, 48k, 88.2k, or 96k")
    b, a = [(1.0, -(x + y), x * y) for x, y in RIAA[sample_rate]]
    turn = 2 * math.pi * 1000 / sample_rate
    sizes = [abs(sum(c * complex(math.cos(k * turn), -math.sin(k * turn)) for k, c in enumerate(poly)))
             for poly in (b, a)]
    scale = sizes[1] / sizes[0]  # no change at 1 kHz
    return biquad(waveform, *[c * scale for c in b], *a)


def preemphasis(waveform, coeff=0.97):
    """Compute y[t] = x[t] - coeff x[t - 1] of sounds (..., time)."""
    return waveform - nnf.pad(coeff * waveform[..., :-1], (1, 0))


def deemphasis(waveform, coeff=0.97):
    """Compute y[t] = x[t] + coeff y[t - 1], the inverse of `preemphasis`, clipped to -1 ... 1."""
    a = rl.tensor([1.0, -coeff], dtype=waveform.dtype, device=waveform.device)
    b = rl.tensor([1.0, 0.0], dtype=waveform.dtype, device=waveform.device)
    return lfilter(waveform, a, b)
