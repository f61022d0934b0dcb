"""Layers for several microphones: spectral densities and MVDR beamformers."""

import warnings

from ... import api as rl
from ... import nn
from .. import functional as F

SOLUTIONS = ("ref_channel", "stv_evd", "stv_power")


class PSD(nn.Module):
    """Compute cross-power spectral densities; see `functional.psd`. `multi_mask`: masks have a channel dimension, over
    which the mean is taken."""

    def __init__(self, multi_mask=False, normalize=True, eps=1e-15):
        super().__init__()
        self.multi_mask, self.normalize, self.eps = multi_mask, normalize, eps

    def forward(self, specgram, mask=None):
        if mask is not None and self.multi_mask:
            mask = mask.mean(-3)
        return F.psd(specgram, mask, self.normalize, self.eps)


class MVDR(nn.Module):
    """Enhance speech by masks of speech and noise.

    Args:
        ref_channel (int): reference microphone.
        solution (str): how weights are found: "ref_channel" (from densities), "stv_evd" or "stv_power" (from a transfer
            function).
        multi_mask (bool): masks have a channel dimension.
        diag_loading (bool), diag_eps (float): as in `functional.mvdr_weights_souden`.
        online (bool): densities are averaged over all calls.

    Shape:
        specgram (..., channel, freq, time), complex; masks (..., freq, time) → (..., freq, time).
    """

    def __init__(self, ref_channel=0, solution="ref_channel", multi_mask=False, diag_loading=True, diag_eps=1e-7,
                 online=False):
        super().__init__()
        if solution not in SOLUTIONS:
            raise ValueError(f"`solution` must be one of {list(SOLUTIONS)}. Given {solution}")
        self.ref_channel, self.solution, self.multi_mask = ref_channel, solution, multi_mask
        self.diag_loading, self.diag_eps, self.online = diag_loading, diag_eps, online
        self.psd = PSD(multi_mask)
        for name in ("psd_s", "psd_n", "mask_sum_s", "mask_sum_n"):
            self.register_buffer(name, rl.zeros(1))

    def _averaged(self, kind, density, mask):
        """The density over this call and those before."""
        total = (mask.mean(-3) if self.multi_mask else mask).sum(-1)
        before, old_total = getattr(self, f"psd_{kind}"), getattr(self, f"mask_sum_{kind}")
        if before.ndim > 1:
            whole = old_total + total
            density = (before * old_total[..., None, None] + density) / whole[..., None, None]
            total = whole
        setattr(self, f"psd_{kind}", density)
        setattr(self, f"mask_sum_{kind}", total)
        return density

    def _weights(self, psd_s, psd_n, reference):
        options = {"diagonal_loading": self.diag_loading, "diag_eps": self.diag_eps}
        if self.solution == "ref_channel":
            return F.mvdr_weights_souden(psd_s, psd_n, reference, **options)
        transfer = (F.rtf_evd(psd_s) if self.solution == "stv_evd"
                    else F.rtf_power(psd_s, psd_n, reference, **options))
        return F.mvdr_weights_rtf(transfer, psd_n, reference, **options)

    def forward(self, specgram, mask_s, mask_n=None):
        if specgram.ndim < 3:
            raise ValueError(f"Expected at least 3D tensor (..., channel, freq, time). Found: {specgram.shape}")
        if not specgram.is_complex():
            raise ValueError("The type of ``specgram`` tensor must be ``torch.cfloat`` or ``torch.cdouble``. Found: "
                             f"{specgram.dtype}")
        if mask_n is None:
            warnings.warn("``mask_n`` is not provided, use ``1 - mask_s`` as ``mask_n``.")
            mask_n = 1 - mask_s
        wide = specgram.to(rl.complex128)
        densities = [self.psd(wide, mask) for mask in (mask_s, mask_n)]
        if self.online:
            densities = [self._averaged(*what) for what in zip("sn", densities, (mask_s, mask_n))]
        reference = rl.zeros(wide.shape[:-2], device=wide.device, dtype=rl.complex128)
        reference[..., self.ref_channel] = 1
        return F.apply_beamforming(self._weights(*densities, reference), wide).to(specgram.dtype)


class RTFMVDR(nn.Module):
    """Enhance speech by a relative transfer function; see `functional.mvdr_weights_rtf`."""

    def forward(self, specgram, rtf, psd_n, reference_channel, diagonal_loading=True, diag_eps=1e-7, eps=1e-8):
        weights = F.mvdr_weights_rtf(rtf, psd_n, reference_channel, diagonal_loading, diag_eps, eps)
        return F.apply_beamforming(weights, specgram)


class SoudenMVDR(nn.Module):
    """Enhance speech by spectral densities; see `functional.mvdr_weights_souden`."""

    def forward(self, specgram, psd_s, psd_n, reference_channel, diagonal_loading=True, diag_eps=1e-7, eps=1e-8):
        weights = F.mvdr_weights_souden(psd_s, psd_n, reference_channel, diagonal_loading, diag_eps, eps)
        return F.apply_beamforming(weights, specgram)
