"""Convolution of sounds, mixing with noise, and a distance between distributions of features."""

from ... import api as rl
from ... import fft, linalg
from ...nn import functional as nnf

MODES = ("full", "valid", "same")


def check_mode(mode):
    """ValueError unless this is a mode of convolution."""
    if mode not in MODES:
        raise ValueError(f"Unrecognized mode value '{mode}'. Please specify one of {list(MODES)}.")


def _check_shapes(x, y):
    if x.ndim != y.ndim:
        raise ValueError(f"The operands must be the same dimension (got {x.ndim} and {y.ndim}).")
    for one, other in zip(x.shape[:-1], y.shape[:-1]):
        if one != other and 1 not in (one, other):
            raise ValueError(f"Leading dimensions of x and y are not broadcastable (got {x.shape} and {y.shape}).")


def _cut(found, x_length, y_length, mode):
    if mode == "full":
        return found
    length = x_length if mode == "same" else max(x_length, y_length) - min(x_length, y_length) + 1
    start = (found.shape[-1] - length) // 2
    return found[..., start:start + length]


def fftconvolve(x, y, mode="full"):
    """Convolve signals along the last dimension by Fourier transforms; see `convolve`."""
    _check_shapes(x, y)
    check_mode(mode)
    n = x.shape[-1] + y.shape[-1] - 1
    found = fft.irfft(fft.rfft(x, n=n) * fft.rfft(y, n=n), n=n)
    return _cut(found, x.shape[-1], y.shape[-1], mode)


def convolve(x, y, mode="full"):
    """Convolve signals along the last dimension directly.

    Args:
        x, y (Tensor): (..., N) and (..., M); the other dimensions are broadcast.
        mode (str): "full" (N + M - 1 values), "valid" (where both overlap completely) or "same" (N values, centred).

    Returns:
        Tensor: (..., L).

    Example:
        >>> F.convolve(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0]))
        tensor([1., 3., 2.])
    """
    _check_shapes(x, y)
    check_mode(mode)
    x_length, y_length = x.shape[-1], y.shape[-1]
    if x_length < y_length:
        x, y = y, x
    lead = rl.broadcast_shapes(x.shape[:-1], y.shape[:-1])
    signals = x.expand(*lead, -1).reshape(-1, x.shape[-1])
    kernels = y.expand(*lead, -1).reshape(-1, y.shape[-1]).flip(-1).unsqueeze(1)
    found = nnf.conv1d(signals, kernels, groups=signals.shape[0], padding=kernels.shape[-1] - 1)
    return _cut(found.reshape(*lead, -1), x_length, y_length, mode)


def add_noise(waveform, noise, snr, lengths=None):
    """Add noise, scaled to a ratio of signal to noise.

    Args:
        waveform, noise (Tensor): (..., time).
        snr (Tensor): (...), in decibels.
        lengths (Tensor, optional): (...), samples of each sound that count; all if None.

    Returns:
        Tensor: (..., time).

    Raises:
        ValueError: shapes do not fit.
    """
    if not waveform.ndim == noise.ndim == snr.ndim + 1 or (lengths is not None and lengths.ndim != snr.ndim):
        raise ValueError("Input leading dimensions don't match.")
    length = waveform.shape[-1]
    if length != noise.shape[-1]:
        raise ValueError(f"Length dimensions of waveform and noise don't match (got {length} and {noise.shape[-1]}).")
    mask = 1 if lengths is None else rl.arange(length, device=lengths.device) < lengths.unsqueeze(-1)
    energy, disturbance = [(values * mask).square().sum(-1) for values in (waveform, noise)]
    now = 10 * (rl.log10(energy) - rl.log10(disturbance))
    return waveform + (10 ** ((now - snr) / 20.0)).unsqueeze(-1) * noise


def frechet_distance(mu_x, sigma_x, mu_y, sigma_y):
    """Compute the squared Fréchet distance of two normal distributions: |mu_x - mu_y|² + tr(sigma_x + sigma_y
    - 2 (sigma_x sigma_y)^(1/2)), for means (N,) and covariances (N, N). ValueError for other shapes."""
    if mu_x.ndim != 1:
        raise ValueError(f"Input mu_x must be one-dimensional; got dimension {mu_x.ndim}.")
    if sigma_x.ndim != 2:
        raise ValueError(f"Input sigma_x must be two-dimensional; got dimension {sigma_x.ndim}.")
    if tuple(sigma_x.shape) != (len(mu_x), len(mu_x)):
        raise ValueError("Each of sigma_x's dimensions must match mu_x's size.")
    if mu_x.shape != mu_y.shape:
        raise ValueError(f"Inputs mu_x and mu_y must have the same shape; got {mu_x.shape} and {mu_y.shape}.")
    if sigma_x.shape != sigma_y.shape:
        raise ValueError(f"Inputs sigma_x and sigma_y must have the same shape; got {sigma_x.shape} and "
                         f"{sigma_y.shape}.")
    root = linalg.eigvals(sigma_x @ sigma_y).sqrt().real.sum()
    return (mu_x - mu_y).square().sum() + sigma_x.trace() + sigma_y.trace() - 2 * root
