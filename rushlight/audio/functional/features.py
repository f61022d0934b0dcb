"""Features of sounds: deltas, normalisation over windows, pitch, loudness; and masks of spectrograms."""

import math

from ... import api as rl
from ...base.lazy import numpy as np
from ...nn import functional as nnf
from .filtering import highpass_biquad, treble_biquad

EPSILON = 1e-9
HALF_PERIOD = 0.99  # a peak in the first half of the lags wins if it is this high, compared with the highest
GATE_SECONDS, GATE_OVERLAP = 0.4, 0.75
GATE_LUFS, K_BIAS = -70.0, -0.691
CHANNEL_WEIGHTS = (1.0, 1.0, 1.0, 1.41, 1.41)


def compute_deltas(specgram, win_length=5, mode="replicate"):
    """Compute the slopes of features (..., freq, time) by regression over `win_length` frames.

    With n = (win_length - 1) / 2: sum over k of k x[t + k], from -n to n, divided by n (n + 1) (2 n + 1) / 3. `mode`
    says how frames beyond the ends are made, as in `nn.functional.pad`. Raises ValueError for windows shorter than 3.
    """
    if win_length < 3:
        raise ValueError(f"Window length should be greater than or equal to 3. Found win_length {win_length}")
    n = (win_length - 1) // 2
    shape = specgram.shape
    rows = nnf.pad(specgram.reshape(1, -1, shape[-1]), (n, n), mode=mode)
    kernel = rl.arange(-n, n + 1, device=specgram.device, dtype=specgram.dtype).expand(rows.shape[1], 1, -1)
    found = nnf.conv1d(rows, kernel, groups=rows.shape[1]) / (n * (n + 1) * (2 * n + 1) / 3)
    return found.reshape(shape)


# -- normalisation -----------------------------------------------------------------------------------------------------


def _windows(frames, size, least, center):
    """First frames of the windows around each frame, and those after the last ones."""
    t = np.arange(frames)
    start = t - size // 2 if center else t - size
    stop = start + size if center else t + 1
    stop = np.where(start < 0, stop - start, stop)
    start = np.maximum(start, 0)
    if not center:
        stop = np.where(stop > t, np.maximum(t + 1, least), stop)
    start = np.maximum(start - np.maximum(stop - frames, 0), 0)
    return rl.from_numpy(start), rl.from_numpy(np.minimum(stop, frames))


def sliding_window_cmn(specgram, cmn_window=600, min_cmn_window=100, center=False, norm_vars=False):
    """Subtract the mean over a window of frames from features.

    Args:
        specgram (Tensor): (..., time, freq).
        cmn_window (int): frames of a window; min_cmn_window (int): at least, at the beginning, if not centred.
        center (bool): the window lies around the frame instead of before it.
        norm_vars (bool): divide by the standard deviation as well.

    Returns:
        Tensor: (..., time, freq).
    """
    frames = specgram.shape[-2]
    start, stop = _windows(frames, cmn_window, min_cmn_window, center)
    counts = (stop - start).unsqueeze(1)

    def mean(values):
        sums = nnf.pad(values.double().cumsum(-2), (0, 0, 1, 0))
        return (sums.index_select(-2, stop) - sums.index_select(-2, start)) / counts

    middle = mean(specgram)
    found = specgram.double() - middle
    if norm_vars:
        variance = mean(specgram.double() ** 2) - middle ** 2
        found = rl.where(counts == 1, 0.0, found * variance.pow(-0.5))
    return found.to(specgram.dtype)


# -- pitch -------------------------------------------------------------------------------------------------------------


def _correlation(waveform, sample_rate, frame_time, freq_low):
    """(rows, frames, lags): normalised cross-correlation of each frame with what follows 1, 2, ... samples later."""
    lags, size = math.ceil(sample_rate / freq_low), math.ceil(sample_rate * frame_time)
    length = waveform.shape[-1]
    count = math.ceil(length / size)
    padded = nnf.pad(waveform, (0, lags + count * size - length))
    frame = padded[..., :count * size].unflatten(-1, (count, size)).unsqueeze(-2)
    later = padded.unfold(-1, size + lags, size)[..., 1:].unfold(-1, size, 1)
    energies = [EPSILON + values.square().sum(-1).sqrt() for values in (frame, later)]
    return (frame * later).sum(-1) / energies[0].square() / energies[1].square()


def detect_pitch_frequency(waveform, sample_rate, frame_time=0.01, win_length=30, freq_low=85, freq_high=3400):
    """Detect the pitch of sounds by normalised cross-correlation and median smoothing.

    Args:
        waveform (Tensor): (..., time).
        sample_rate (int): in Hz.
        frame_time (float): seconds of a frame; win_length (int): frames of the median.
        freq_low, freq_high (int): range of pitches, in Hz.

    Returns:
        Tensor: (..., frames), in Hz.
    """
    shape = waveform.shape
    scores = _correlation(waveform.reshape(-1, shape[-1]), sample_rate, frame_time, freq_low)
    first = math.ceil(sample_rate / freq_high)
    best, at = scores[..., first:].max(-1)
    early, early_at = scores[..., first:scores.shape[-1] // 2].max(-1)
    lags = rl.where(early > HALF_PERIOD * best, early_at, at) + (first + 1)
    padding = (win_length - 1) // 2
    lags = rl.cat((lags[..., :1].expand(-1, padding), lags), -1)
    smooth = lags.unfold(-1, win_length, 1).median(-1)[0]
    return (sample_rate / (EPSILON + smooth.to(rl.float32))).reshape(*shape[:-1], -1)


# -- loudness ----------------------------------------------------------------------------------------------------------


def loudness(waveform, sample_rate):
    """Measure the loudness of sounds (..., channels, time) in LKFS by ITU-R BS.1770-4. ValueError above 5 channels."""
    if waveform.shape[-2] > 5:
        raise ValueError("Only up to 5 channels are supported.")
    size = round(GATE_SECONDS * sample_rate)
    step = round(size * (1 - GATE_OVERLAP))
    waveform = treble_biquad(waveform, sample_rate, 4.0, 1500.0, 1 / math.sqrt(2))
    waveform = highpass_biquad(waveform, sample_rate, 38.0, 0.5)
    energy = waveform.square().unfold(-1, size, step).mean(-1)
    weights = rl.tensor(CHANNEL_WEIGHTS[:energy.shape[-2]], dtype=waveform.dtype, device=waveform.device)

    def level(energies):
        return K_BIAS + 10 * rl.log10(energies)

    def gated(blocks):
        kept = blocks.unsqueeze(-2)
        return level(((kept * energy).sum(-1) / kept.count_nonzero(-1) * weights).sum(-1))

    blocks = level((weights.unsqueeze(-1) * energy).sum(-2))
    loud = blocks > GATE_LUFS
    return gated(loud & (blocks > (gated(loud) - 10).unsqueeze(-1)))


# -- masks -------------------------------------------------------------------------------------------------------------


def _check_mask(specgram, axis, p, least):
    dim = specgram.dim()
    if dim < least:
        raise ValueError(f"Spectrogram must have at least {least} dimensions ({dim} given).")
    if axis not in (dim - 2, dim - 1):
        raise ValueError(f"Only Frequency and Time masking are supported (axis {dim - 2} and axis {dim - 1} supported; "
                         f"{axis} given).")
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"The value of p must be between 0.0 and 1.0 ({p} given).")


def _widest(mask_param, p, size):
    return mask_param if p == 1.0 else min(mask_param, int(size * p))


def mask_along_axis_iid(specgrams, mask_param, mask_value, axis, p=1.0):
    """Mask a stretch of rows or columns, drawn for each example and channel.

    Args:
        specgrams (Tensor): (..., freq, time), at least 3 dimensions.
        mask_param (int): widths are drawn from [0, mask_param).
        mask_value (float or Tensor): what masked values become.
        axis (int): the last dimension or the one before.
        p (float): at most this share of the axis is masked.

    Returns:
        Tensor: of the same shape.
    """
    _check_mask(specgrams, axis, p, 3)
    size = specgrams.shape[axis]
    mask_param = _widest(mask_param, p, size)
    if mask_param < 1:
        return specgrams
    options = {"device": specgrams.device, "dtype": specgrams.dtype}
    width = rl.rand(specgrams.shape[:-2], **options) * mask_param
    start = rl.rand(specgrams.shape[:-2], **options) * (size - width)
    start = start.long()[..., None, None]
    stop = start + width.long()[..., None, None]
    places = rl.arange(0, size, **options)
    moved = specgrams.transpose(axis, -1)
    return rl.where((places >= start) & (places < stop), mask_value, moved).transpose(axis, -1)


def mask_along_axis(specgram, mask_param, mask_value, axis, p=1.0):
    """Mask one stretch of rows or columns in all examples and channels; see `mask_along_axis_iid`."""
    _check_mask(specgram, axis, p, 2)
    size = specgram.shape[axis]
    mask_param = _widest(mask_param, p, size)
    if mask_param < 1:
        return specgram
    width = rl.rand(1) * mask_param
    start = (rl.rand(1) * (size - width)).long()
    places = rl.arange(0, size, device=specgram.device, dtype=specgram.dtype)
    mask = (places >= start) & (places < start + width.long())
    return specgram.masked_fill(mask.unsqueeze(-1) if axis == specgram.dim() - 2 else mask, mask_value)
