"""Transforms of the first generation that change colours."""
import numbers
from collections.abc import Sequence

from . import _draws
from . import functional as F
from ._arguments import pair
from ._base import Chance, Shown


class ColorJitter(Shown):
    """Change brightness, contrast, saturation and hue, in random order, by factors from ranges.

    Args:
        brightness, contrast, saturation (float or two): x means 1 - x to 1 + x.
        hue (float or two): x means -x to x, at most 0.5.
    """

    shown = ("brightness", "contrast", "saturation", "hue")

    def __init__(self, brightness=0, contrast=0, saturation=0, hue=0):
        super().__init__()
        self.brightness = self._check_input(brightness, "brightness")
        self.contrast = self._check_input(contrast, "contrast")
        self.saturation = self._check_input(saturation, "saturation")
        self.hue = self._check_input(hue, "hue", center=0, bound=(-0.5, 0.5), clip_first_on_zero=False)

    def _check_input(self, value, name, center=1, bound=(0, float("inf")), clip_first_on_zero=True):
        """A range as (low, high); None where it leaves everything as it is."""
        if isinstance(value, numbers.Number):
            if value < 0:
                raise ValueError(f"If {name} is a single number, it must be non negative.")
            low, high = center - float(value), center + float(value)
            low = max(low, 0.0) if clip_first_on_zero else low
        elif isinstance(value, (tuple, list)) and len(value) == 2:
            low, high = float(value[0]), float(value[1])
        else:
            raise TypeError(f"{name} should be a single number or a list/tuple with length 2.")
        if not bound[0] <= low <= high <= bound[1]:
            raise ValueError(f"{name} values should be between {bound}, but got {[low, high]}.")
        return None if low == high == center else (low, high)

    @staticmethod
    def get_params(brightness, contrast, saturation, hue):
        """The order of the changes, and their four factors."""
        order, factors = _draws.jitter((brightness, contrast, saturation, hue))
        return order, *factors

    def forward(self, img):
        order, *factors = self.get_params(self.brightness, self.contrast, self.saturation, self.hue)
        changes = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        for index in order:
            if factors[index] is not None:
                img = changes[index](img, factors[index])
        return img


class Grayscale(Shown):
    """The picture in grey, in `num_output_channels` (1 or 3) channels."""

    shown = ("num_output_channels",)

    def __init__(self, num_output_channels=1):
        super().__init__()
        self.num_output_channels = num_output_channels

    def forward(self, img):
        return F.rgb_to_grayscale(img, self.num_output_channels)


class RandomGrayscale(Chance):
    """The picture in grey with probability `p`, in as many channels."""

    def __init__(self, p=0.1):
        super().__init__(p)

    def change(self, img):
        return F.rgb_to_grayscale(img, F.get_image_num_channels(img))


class GaussianBlur(Shown):
    """Smooth with a Gaussian window, its standard deviation from the range `sigma`. See `functional.gaussian_blur`."""

    shown = ("kernel_size", "sigma")

    def __init__(self, kernel_size, sigma=(0.1, 2.0)):
        super().__init__()
        self.kernel_size = pair(kernel_size, "Kernel size should be a tuple/list of two integers")
        if any([size <= 0 or size % 2 == 0 for size in self.kernel_size]):
            raise ValueError("Kernel size value should be an odd and positive number.")
        if isinstance(sigma, numbers.Number):
            if sigma <= 0:
                raise ValueError("If sigma is a single number, it must be positive.")
            sigma = (sigma, sigma)
        elif not isinstance(sigma, Sequence) or len(sigma) != 2:
            raise ValueError("sigma should be a single number or a list/tuple with length 2.")
        elif not 0.0 < sigma[0] <= sigma[1]:
            raise ValueError("sigma values should be positive and of the form (min, max).")
        self.sigma = sigma

    @staticmethod
    def get_params(sigma_min, sigma_max):
        """A standard deviation."""
        return _draws.uniform(sigma_min, sigma_max)

    def forward(self, img):
        sigma = self.get_params(self.sigma[0], self.sigma[1])
        return F.gaussian_blur(img, self.kernel_size, [sigma, sigma])


class RandomInvert(Chance):
    """Invert all samples with probability `p`."""

    def change(self, img):
        return F.invert(img)


class RandomAutocontrast(Chance):
    """Stretch the samples of each channel over the whole range with probability `p`."""

    def change(self, img):
        return F.autocontrast(img)


class RandomEqualize(Chance):
    """Make all levels about equally frequent with probability `p`."""

    def change(self, img):
        return F.equalize(img)


class _Strength(Chance):
    """A change with a strength, whose name is `strength` and which is printed first."""

    strength = ""

    def __repr__(self):
        return f"{type(self).__name__}({self.strength}={getattr(self, self.strength)},p={self.p})"


class RandomPosterize(_Strength):
    """Keep the leading `bits` of all samples with probability `p`."""

    strength = "bits"

    def __init__(self, bits, p=0.5):
        super().__init__(p)
        self.bits = bits

    def change(self, img):
        return F.posterize(img, self.bits)


class RandomSolarize(_Strength):
    """Invert the samples that reach `threshold` with probability `p`."""

    strength = "threshold"

    def __init__(self, threshold, p=0.5):
        super().__init__(p)
        self.threshold = threshold

    def change(self, img):
        return F.solarize(img, self.threshold)


class RandomAdjustSharpness(_Strength):
    """Sharpen or smooth with probability `p`. See `functional.adjust_sharpness`."""

    strength = "sharpness_factor"

    def __init__(self, sharpness_factor, p=0.5):
        super().__init__(p)
        self.sharpness_factor = sharpness_factor

    def change(self, img):
        return F.adjust_sharpness(img, self.sharpness_factor)
