"""Layers that mask stretches of spectrograms: SpecAugment (Park et al. 2019, arXiv:1904.08779)."""

from ... import nn
from ...tensor.methods import Tensor
from .. import functional as F


class _AxisMasking(nn.Module):
    """Masks along one of the last two dimensions; `axis` counts as if there were three."""

    def __init__(self, mask_param, axis, iid_masks, p=1.0):
        super().__init__()
        self.mask_param, self.axis, self.iid_masks, self.p = mask_param, axis, iid_masks, p

    def forward(self, specgram, mask_value=0.0):
        axis = self.axis + specgram.dim() - 3
        if self.iid_masks:
            return F.mask_along_axis_iid(specgram, self.mask_param, mask_value, axis, self.p)
        value = float(mask_value) if isinstance(mask_value, Tensor) else mask_value
        return F.mask_along_axis(specgram, self.mask_param, value, axis, self.p)


class FrequencyMasking(_AxisMasking):
    """Mask up to `freq_mask_param` rows; `iid_masks` draws for each example and channel of four dimensions."""

    def __init__(self, freq_mask_param, iid_masks=False):
        super().__init__(freq_mask_param, 1, iid_masks)


class TimeMasking(_AxisMasking):
    """Mask up to `time_mask_param` columns, and at most the share `p`; see `FrequencyMasking`."""

    def __init__(self, time_mask_param, iid_masks=False, p=1.0):
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"The value of p must be between 0.0 and 1.0 ({p} given).")
        super().__init__(time_mask_param, 2, iid_masks, p)


class SpecAugment(nn.Module):
    """Mask several stretches of time and of frequency.

    Args:
        n_time_masks, time_mask_param, n_freq_masks, freq_mask_param (int): how many, and how long at most.
        iid_masks (bool): draw for each example and channel; p (float): at most this share of an axis a mask.
        zero_masking (bool): masked values become 0 instead of the mean.
    """

    def __init__(self, n_time_masks, time_mask_param, n_freq_masks, freq_mask_param, iid_masks=True, p=1.0,
                 zero_masking=False):
        super().__init__()
        self.n_time_masks, self.time_mask_param = n_time_masks, time_mask_param
        self.n_freq_masks, self.freq_mask_param = n_freq_masks, freq_mask_param
        self.iid_masks, self.p, self.zero_masking = iid_masks, p, zero_masking

    def forward(self, specgram):
        value = 0.0 if self.zero_masking else specgram.mean()
        time = specgram.dim() - 1
        mask = F.mask_along_axis_iid if specgram.dim() > 2 and self.iid_masks is True else F.mask_along_axis
        for count, size, axis in ((self.n_time_masks, self.time_mask_param, time),
                                  (self.n_freq_masks, self.freq_mask_param, time - 1)):
            for _ in range(count):
                specgram = mask(specgram, size, value, axis, self.p)
        return specgram
