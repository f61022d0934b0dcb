"""Transforms of the second generation that change colours."""
from collections.abc import Sequence

from .... import api as rl
from .. import _draws
from .. import color as v1
from . import functional as F
from ._query import query_chw
from ._transform import RandomApplyTransform, Transform


class Grayscale(Transform):
    """The picture in grey, in `num_output_channels` (1 or 3) channels."""

    _v1_transform_cls = v1.Grayscale

    def __init__(self, num_output_channels=1):
        super().__init__()
        self.num_output_channels = num_output_channels

    def transform(self, inpt, params):
        return self._call_kernel(F.rgb_to_grayscale, inpt, num_output_channels=self.num_output_channels)


class RandomGrayscale(RandomApplyTransform):
    """The picture in grey with probability `p`, in as many channels."""

    _v1_transform_cls = v1.RandomGrayscale

    def __init__(self, p=0.1):
        super().__init__(p)

    def make_params(self, flat_inputs):
        return {"channels": query_chw(flat_inputs)[0]}

    def transform(self, inpt, params):
        return self._call_kernel(F.rgb_to_grayscale, inpt, num_output_channels=params["channels"])


class RGB(Transform):
    """A grey picture in three equal channels."""

    def __init__(self):
        super().__init__()

    def transform(self, inpt, params):
        return self._call_kernel(F.grayscale_to_rgb, inpt)


def _range(value, name, center=1.0, bound=(0, float("inf")), from_zero=True):
    """A range of factors as (low, high); None where it leaves everything as it is."""
    if value is None:
        return None
    if isinstance(value, (int, float)):
        if value < 0:
            raise ValueError(f"If {name} is a single number, it must be non negative.")
        value = [max(center - value, 0.0) if from_zero else center - value, center + value]
    elif isinstance(value, Sequence) and len(value) == 2:
        value = [float(limit) for limit in value]
    else:
        raise TypeError(f"{name}={value} should be a single number or a sequence with length 2.")
    if not bound[0] <= value[0] <= value[1] <= bound[1]:
        raise ValueError(f"{name} values should be between {bound} and increasing, but got {value}.")
    return None if value[0] == value[1] == center else (float(value[0]), float(value[1]))


class ColorJitter(Transform):
    """Change brightness, contrast, saturation and hue, in random order, by factors from ranges.

    Args:
        brightness, contrast, saturation (float or two, optional): x means 1 - x to 1 + x.
        hue (float or two, optional): x means -x to x, at most 0.5.
    """

    _v1_transform_cls = v1.ColorJitter

    def __init__(self, brightness=None, contrast=None, saturation=None, hue=None):
        super().__init__()
        self.brightness = _range(brightness, "brightness")
        self.contrast = _range(contrast, "contrast")
        self.saturation = _range(saturation, "saturation")
        self.hue = _range(hue, "hue", center=0, bound=(-0.5, 0.5), from_zero=False)

    def make_params(self, flat_inputs):
        order, factors = _draws.jitter((self.brightness, self.contrast, self.saturation, self.hue))
        return {"order": order, "factors": factors}

    def transform(self, inpt, params):
        changes = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        for index in params["order"]:
            if params["factors"][index] is not None:
                inpt = self._call_kernel(changes[index], inpt, params["factors"][index])
        return inpt


class RandomChannelPermutation(Transform):
    """Put the channels into a random order."""

    def make_params(self, flat_inputs):
        return {"permutation": rl.randperm(query_chw(flat_inputs)[0])}

    def transform(self, inpt, params):
        return self._call_kernel(F.permute_channels, inpt, params["permutation"])


class RandomPhotometricDistort(Transform):
    """Change brightness, contrast, saturation, hue and the order of channels, each with probability `p`.

    Args:
        brightness, contrast, saturation, hue (two floats): ranges of the factors.
    """

    def __init__(self, brightness=(0.875, 1.125), contrast=(0.5, 1.5), saturation=(0.5, 1.5), hue=(-0.05, 0.05),
                 p=0.5):
        super().__init__()
        self.brightness = brightness
        self.contrast = contrast
        self.hue = hue
        self.saturation = saturation
        self.p = p

    def make_params(self, flat_inputs):
        channels = query_chw(flat_inputs)[0]
        ranges = {F.adjust_brightness: self.brightness, F.adjust_contrast: self.contrast,
                  F.adjust_saturation: self.saturation, F.adjust_hue: self.hue}
        drawn = {change: _draws.uniform(*limits) if _draws.chance(self.p) else None
                 for change, limits in ranges.items()}
        contrast = (F.adjust_contrast, drawn.pop(F.adjust_contrast))
        changes = list(drawn.items())
        changes.insert(1 if rl.rand(()) < 0.5 else len(changes), contrast)
        if _draws.chance(self.p):
            changes.append((F.permute_channels, rl.randperm(channels)))
        return {"changes": [(change, value) for change, value in changes if value is not None]}

    def transform(self, inpt, params):
        for change, value in params["changes"]:
            inpt = self._call_kernel(change, inpt, value)
        return inpt


class RandomEqualize(RandomApplyTransform):
    """Make all levels about equally frequent with probability `p`."""

    _v1_transform_cls = v1.RandomEqualize

    def transform(self, inpt, params):
        return self._call_kernel(F.equalize, inpt)


class RandomInvert(RandomApplyTransform):
    """Invert all samples with probability `p`."""

    _v1_transform_cls = v1.RandomInvert

    def transform(self, inpt, params):
        return self._call_kernel(F.invert, inpt)


class RandomPosterize(RandomApplyTransform):
    """Keep the leading `bits` of all samples with probability `p`."""

    _v1_transform_cls = v1.RandomPosterize

    def __init__(self, bits, p=0.5):
        super().__init__(p)
        self.bits = bits

    def transform(self, inpt, params):
        return self._call_kernel(F.posterize, inpt, bits=self.bits)


class RandomSolarize(RandomApplyTransform):
    """Invert the samples that reach `threshold` with probability `p`."""

    _v1_transform_cls = v1.RandomSolarize

    def __init__(self, threshold, p=0.5):
        super().__init__(p)
        self.threshold = threshold

    def transform(self, inpt, params):
        return self._call_kernel(F.solarize, inpt, threshold=self.threshold)


class RandomAutocontrast(RandomApplyTransform):
    """Stretch the samples of each channel over the whole range with probability `p`."""

    _v1_transform_cls = v1.RandomAutocontrast

    def transform(self, inpt, params):
        return self._call_kernel(F.autocontrast, inpt)


class RandomAdjustSharpness(RandomApplyTransform):
    """Sharpen or smooth with probability `p`. See `functional.adjust_sharpness`."""

    _v1_transform_cls = v1.RandomAdjustSharpness

    def __init__(self, sharpness_factor, p=0.5):
        super().__init__(p)
        self.sharpness_factor = sharpness_factor

    def transform(self, inpt, params):
        return self._call_kernel(F.adjust_sharpness, inpt, sharpness_factor=self.sharpness_factor)
