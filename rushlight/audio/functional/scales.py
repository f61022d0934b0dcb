"""Scales of amplitude and frequency: decibels, mel and linear filter banks, cosine transform, mu-law."""

import math
import warnings

from ... import api as rl

# Slaney's mel scale: linear up to LINEAR_END Hz, then 27 steps for each factor of 6.4.
LINEAR_STEP = 200.0 / 3
LINEAR_END = 1000.0
LOG_STEP = math.log(6.4) / 27.0


def amplitude_to_DB(x, multiplier, amin, db_multiplier, top_db=None):
    """Convert amplitudes or powers to decibels: multiplier * (log10(max(x, amin)) - db_multiplier).

    Args:
        x (Tensor): (..., freq, time) or (..., channel, freq, time).
        multiplier (float): 10 for powers, 20 for amplitudes.
        amin (float): least value; db_multiplier (float): log10 of the reference.
        top_db (float, optional): raise what lies further below the largest value of its sound.

    Example:
        >>> F.amplitude_to_DB(torch.tensor([[1.0, 100.0]]), 10.0, 1e-10, 0.0)
        tensor([[ 0., 20.]])
    """
    found = multiplier * rl.log10(rl.clamp(x, min=amin)) - multiplier * db_multiplier
    if top_db is None:
        return found
    shape = found.shape
    packed = found.reshape(-1, shape[-3] if found.dim() > 2 else 1, *shape[-2:])
    least = packed.amax((-3, -2, -1), keepdim=True) - top_db
    return rl.maximum(packed, least).reshape(shape)


def DB_to_amplitude(x, ref, power):
    """Convert decibels to powers (`power` 1) or amplitudes (0.5): ref * (10 ** (x / 10)) ** power."""
    return ref * rl.pow(rl.pow(10.0, 0.1 * x), power)


def _check_scale(mel_scale):
    if mel_scale not in ("slaney", "htk"):
        raise ValueError('mel_scale should be one of "htk" or "slaney".')


def _to_mel(frequency, mel_scale):
    if mel_scale == "htk":
        return 2595.0 * math.log10(1.0 + frequency / 700.0)
    if frequency < LINEAR_END:
        return frequency / LINEAR_STEP
    return LINEAR_END / LINEAR_STEP + math.log(frequency / LINEAR_END) / LOG_STEP


def _to_hertz(mels, mel_scale):
    if mel_scale == "htk":
        return 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    corner = LINEAR_END / LINEAR_STEP
    return rl.where(mels >= corner, LINEAR_END * rl.exp(LOG_STEP * (mels - corner)), LINEAR_STEP * mels)


def _triangles(frequencies, points):
    """Filters (freq, n) that rise from one point to the next and fall to the one after."""
    widths = points[1:] - points[:-1]
    slopes = points.unsqueeze(0) - frequencies.unsqueeze(1)
    falling, rising = -slopes[:, :-2] / widths[:-1], slopes[:, 2:] / widths[1:]
    return rl.minimum(falling, rising).clamp(min=0)


def melscale_fbanks(n_freqs, f_min, f_max, n_mels, sample_rate, norm=None, mel_scale="htk"):
    """Make triangular filters that are equally spaced on a mel scale.

    Args:
        n_freqs (int): bins of a spectrum, from 0 to half the sample rate.
        f_min, f_max (float): lowest and highest frequency, in Hz.
        n_mels (int): filters; sample_rate (int): in Hz.
        norm (str, optional): "slaney" divides each filter by its width.
        mel_scale (str): "htk" or "slaney".

    Returns:
        Tensor: (n_freqs, n_mels).

    Example:
        >>> F.melscale_fbanks(201, 0.0, 8000.0, 40, 16000).shape
        torch.Size([201, 40])
    """
    if norm is not None and norm != "slaney":
        raise ValueError('norm must be one of None or "slaney"')
    _check_scale(mel_scale)
    ends = _to_mel(f_min, mel_scale), _to_mel(f_max, mel_scale)
    points = _to_hertz(rl.linspace(*ends, n_mels + 2), mel_scale)
    bank = _triangles(rl.linspace(0, sample_rate // 2, n_freqs), points)
    if norm == "slaney":
        bank = bank * (2.0 / (points[2:] - points[:n_mels])).unsqueeze(0)
    if bool((bank.amax(0) == 0.0).any()):
        warnings.warn(f"At least one mel filter is zero everywhere: n_mels ({n_mels}) may be too large, or n_freqs "
                      f"({n_freqs}) too small")
    return bank


def linear_fbanks(n_freqs, f_min, f_max, n_filter, sample_rate):
    """Make triangular filters (n_freqs, n_filter) that are equally spaced in frequency; see `melscale_fbanks`."""
    return _triangles(rl.linspace(0, sample_rate // 2, n_freqs), rl.linspace(f_min, f_max, n_filter + 2))


def create_dct(n_mfcc, n_mels, norm):
    """Make the matrix (n_mels, n_mfcc) of the cosine transform of type 2; `norm` "ortho" makes it orthogonal."""
    if norm is not None and norm != "ortho":
        raise ValueError('norm must be either "ortho" or None')
    k = rl.arange(float(n_mfcc)).unsqueeze(1)
    matrix = rl.cos(math.pi / float(n_mels) * (rl.arange(float(n_mels)) + 0.5) * k)
    if norm is None:
        return (matrix * 2.0).t()
    first = rl.where(k == 0, 1.0 / math.sqrt(2.0), 1.0)
    return (matrix * first * math.sqrt(2.0 / float(n_mels))).t()


def mu_law_encoding(x, quantization_channels):
    """Quantise values from -1 to 1 on a logarithmic scale: integers from 0 to quantization_channels - 1.

    Example:
        >>> F.mu_law_encoding(torch.tensor([-1.0, 0.0, 1.0]), 256)
        tensor([  0, 128, 255])
    """
    if not x.is_floating_point():
        warnings.warn("The input Tensor must be of floating type. It is converted.")
        x = x.to(rl.float32)
    mu = rl.tensor(quantization_channels - 1.0, dtype=x.dtype)
    found = rl.sign(x) * rl.log1p(mu * x.abs()) / rl.log1p(mu)
    return ((found + 1) / 2 * mu + 0.5).to(rl.int64)


def mu_law_decoding(x_mu, quantization_channels):
    """Invert `mu_law_encoding`."""
    if not x_mu.is_floating_point():
        x_mu = x_mu.to(rl.float32)
    mu = rl.tensor(quantization_channels - 1.0, dtype=x_mu.dtype)
    x = x_mu / mu * 2 - 1.0
    return rl.sign(x) * (rl.exp(x.abs() * rl.log1p(mu)) - 1.0) / mu
