"""Beamforming with several microphones: spectral densities, transfer functions and weights."""

from ... import api as rl
from ... import linalg
from ...tensor.methods import Tensor


def _expect_complex(names, *tensors):
    if not all(t.is_complex() for t in tensors):
        raise TypeError(f"The type of {names} must be ``torch.cfloat`` or ``torch.cdouble``. Found "
                        f"{' and '.join(str(t.dtype) for t in tensors)}.")


def _expect_square(name, matrices):
    if matrices.shape[-1] != matrices.shape[-2]:
        raise ValueError(f"The last two dimensions of {name} should be the same. Found {matrices.shape}.")


def _check_densities(psd_s, psd_n):
    if psd_s.ndim < 3 or psd_n.ndim < 3:
        raise ValueError("Expected at least 3D Tensor (..., freq, channel, channel) for psd_s and psd_n. Found "
                         f"{psd_s.shape} for psd_s and {psd_n.shape} for psd_n.")
    _expect_complex("psd_s and psd_n", psd_s, psd_n)
    if psd_s.shape != psd_n.shape:
        raise ValueError(f"The dimensions of psd_s and psd_n should be the same. Found {psd_s.shape} and "
                         f"{psd_n.shape}.")
    _expect_square("psd_s", psd_s)


def _trace(matrices):
    return matrices.diagonal(0, -2, -1).sum(-1)


def _loaded(matrices, scale, floor=1e-8):
    """Matrices with a little more on the diagonal, so that they can be inverted."""
    eye = rl.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device)
    return matrices + (_trace(matrices).real[..., None, None] * scale + floor) * eye


def _at(matrices, reference_channel):
    """The column of a channel; given as a number, or as a vector (..., channel) that weighs columns."""
    if isinstance(reference_channel, int):
        return matrices[..., reference_channel]
    if isinstance(reference_channel, Tensor):
        return (matrices * reference_channel.to(matrices.dtype)[..., None, None, :]).sum(-1)
    raise TypeError(f'Expected "int" or "Tensor" for reference_channel. Found: {type(reference_channel)}.')


def psd(specgram, mask=None, normalize=True, eps=1e-10):
    """Compute cross-power spectral densities.

    Args:
        specgram (Tensor): (..., channel, freq, time), complex.
        mask (Tensor, optional): (..., freq, time), how much of each value is the wanted source.
        normalize (bool): divide the mask by its sum over time plus `eps`.

    Returns:
        Tensor: (..., freq, channel, channel), complex.

    Raises:
        ValueError: the shape of the mask does not fit.
    """
    spectra = specgram.transpose(-3, -2)
    weighted = spectra
    if mask is not None:
        if mask.shape[:-1] != spectra.shape[:-2] or mask.shape[-1] != spectra.shape[-1]:
            raise ValueError("The dimensions of mask except the channel dimension should be the same as specgram."
                             f"Found {mask.shape} for mask and {spectra.shape} for specgram.")
        if normalize:
            mask = mask / (mask.sum(-1, keepdim=True) + eps)
        weighted = spectra * mask[..., None, :]
    return weighted @ spectra.conj().transpose(-1, -2)


def mvdr_weights_souden(psd_s, psd_n, reference_channel, diagonal_loading=True, diag_eps=1e-7, eps=1e-8):
    """Compute MVDR weights from densities (Souden, Benesty and Affes 2009): psd_n⁻¹ psd_s u / tr(psd_n⁻¹ psd_s).

    Args:
        psd_s, psd_n (Tensor): (..., freq, channel, channel), of speech and noise, complex.
        reference_channel (int or Tensor): number, or one-hot vector (..., channel).
        diagonal_loading (bool): add `diag_eps` of the trace to the diagonal of `psd_n`.

    Returns:
        Tensor: (..., freq, channel).
    """
    _check_densities(psd_s, psd_n)
    if diagonal_loading:
        psd_n = _loaded(psd_n, diag_eps)
    numerator = linalg.solve(psd_n, psd_s)
    return _at(numerator / (_trace(numerator)[..., None, None] + eps), reference_channel)


def mvdr_weights_rtf(rtf, psd_n, reference_channel=None, diagonal_loading=True, diag_eps=1e-7, eps=1e-8):
    """Compute MVDR weights from a relative transfer function v: psd_n⁻¹ v / (vᴴ psd_n⁻¹ v).

    Args:
        rtf (Tensor): (..., freq, channel), complex.
        psd_n (Tensor): (..., freq, channel, channel), of the noise, complex.
        reference_channel (int or Tensor, optional): scales the weights; see `mvdr_weights_souden`.

    Returns:
        Tensor: (..., freq, channel).
    """
    if rtf.ndim < 2:
        raise ValueError(f"Expected at least 2D Tensor (..., freq, channel) for rtf. Found {rtf.shape}.")
    if psd_n.ndim < 3:
        raise ValueError(f"Expected at least 3D Tensor (..., freq, channel, channel) for psd_n. Found {psd_n.shape}.")
    _expect_complex("rtf and psd_n", rtf, psd_n)
    if rtf.shape != psd_n.shape[:-1]:
        raise ValueError("The dimensions of rtf and the dimensions withou the last dimension of psd_n should be the "
                         f"same. Found {rtf.shape} for rtf and {psd_n.shape} for psd_n.")
    _expect_square("psd_n", psd_n)
    if diagonal_loading:
        psd_n = _loaded(psd_n, diag_eps)
    numerator = linalg.solve(psd_n, rtf.unsqueeze(-1)).squeeze(-1)
    weights = numerator / ((rtf.conj() * numerator).sum(-1, keepdim=True).real + eps)
    if reference_channel is None:
        return weights
    if isinstance(reference_channel, Tensor):
        scale = (rtf.conj() * reference_channel.to(psd_n.dtype)[..., None, :]).sum(-1)
    elif isinstance(reference_channel, int):
        scale = rtf[..., reference_channel].conj()
    else:
        raise TypeError(f'Expected "int" or "Tensor" for reference_channel. Found: {type(reference_channel)}.')
    return weights * scale[..., None]


def rtf_evd(psd_s):
    """Estimate a relative transfer function (..., freq, channel): the leading eigenvector of `psd_s`."""
    _expect_complex("psd_s", psd_s)
    _expect_square("psd_s", psd_s)
    return linalg.eigh(psd_s)[1][..., -1]


def rtf_power(psd_s, psd_n, reference_channel, n_iter=3, diagonal_loading=True, diag_eps=1e-7):
    """Estimate a relative transfer function (..., freq, channel) by power iteration of psd_n⁻¹ psd_s.

    Arguments are as in `mvdr_weights_souden`. ValueError unless `n_iter` is positive.
    """
    _check_densities(psd_s, psd_n)
    if n_iter <= 0:
        raise ValueError("The number of iteration must be greater than 0.")
    if diagonal_loading:
        psd_n = _loaded(psd_n, diag_eps)
    step = linalg.solve(psd_n, psd_s)
    found = _at(step, reference_channel).unsqueeze(-1)
    for _ in range(n_iter - 2):
        found = step @ found
    return ((psd_s if n_iter >= 2 else psd_n) @ found).squeeze(-1)


def apply_beamforming(beamform_weights, specgram):
    """Combine channels: weights (..., freq, channel), spectra (..., channel, freq, time) → (..., freq, time)."""
    if beamform_weights.shape[:-2] != specgram.shape[:-3]:
        raise ValueError("The dimensions except the last two dimensions of beamform_weights should be the same as the "
                         "dimensions except the last three dimensions of specgram. Found "
                         f"{beamform_weights.shape} for beamform_weights and {specgram.shape} for specgram.")
    _expect_complex("beamform_weights and specgram", beamform_weights, specgram)
    return (beamform_weights.conj().unsqueeze(-2) @ specgram.transpose(-3, -2)).squeeze(-2)
