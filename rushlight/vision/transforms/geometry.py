"""Transforms of the first generation that cut, mirror, resize and move pictures."""
import numbers
from collections.abc import Sequence

from . import _draws
from . import functional as F
from ._arguments import (
    angles, check_affine, check_erasing, check_length, check_ranges, mode, pair,
)
from ._base import Chance, Shown, fill_of
from .interpolation import InterpolationMode
from .pending import moves

BILINEAR, NEAREST = InterpolationMode.BILINEAR, InterpolationMode.NEAREST


@moves
class Resize(Shown):
    """Resize to `size`: the length of the shorter edge, or (height, width). See `functional.resize`."""

    shown = ("size", "interpolation", "max_size", "antialias")

    def __init__(self, size, interpolation=BILINEAR, max_size=None, antialias=True):
        super().__init__()
        if not isinstance(size, (int, Sequence)):
            raise TypeError(f"Size should be int or sequence. Got {type(size)}")
        if isinstance(size, Sequence) and len(size) not in (1, 2):
            raise ValueError("If size is a sequence, it should have 1 or 2 values")
        self.size, self.max_size = size, max_size
        self.interpolation, self.antialias = mode(interpolation), antialias

    def forward(self, img):
        return F.resize(img, self.size, self.interpolation, self.max_size, self.antialias)


@moves
class CenterCrop(Shown):
    """Cut out the middle. See `functional.center_crop`."""

    shown = ("size",)

    def __init__(self, size):
        super().__init__()
        self.size = pair(size)

    def forward(self, img):
        return F.center_crop(img, self.size)


class FiveCrop(CenterCrop):
    """Cut out the corners and the middle. See `functional.five_crop`."""

    def forward(self, img):
        return F.five_crop(img, self.size)


class TenCrop(CenterCrop):
    """Cut out the corners and the middle, of the mirrored picture too. See `functional.ten_crop`."""

    shown = ("size", "vertical_flip")

    def __init__(self, size, vertical_flip=False):
        super().__init__(size)
        self.vertical_flip = vertical_flip

    def forward(self, img):
        return F.ten_crop(img, self.size, self.vertical_flip)


class Pad(Shown):
    """Add pixels at the borders. See `functional.pad`."""

    shown = ("padding", "fill", "padding_mode")

    def __init__(self, padding, fill=0, padding_mode="constant"):
        super().__init__()
        if not isinstance(padding, (numbers.Number, tuple, list)):
            raise TypeError("Got inappropriate padding arg")
        if not isinstance(fill, (numbers.Number, tuple, list)):
            raise TypeError("Got inappropriate fill arg")
        if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
            raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
        if isinstance(padding, Sequence) and len(padding) not in (1, 2, 4):
            raise ValueError(
                f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(padding)} element tuple")
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode

    def forward(self, img):
        return F.pad(img, self.padding, self.fill, self.padding_mode)


@moves
class RandomCrop(Shown):
    """Cut out a part of `size` = (height, width) at a random place, after padding where it is asked for.

    Raises:
        ValueError: the picture is too small.
    """

    shown = ("size", "padding")

    def __init__(self, size, padding=None, pad_if_needed=False, fill=0, padding_mode="constant"):
        super().__init__()
        self.size = tuple(pair(size))
        self.padding, self.pad_if_needed = padding, pad_if_needed
        self.fill, self.padding_mode = fill, padding_mode

    @staticmethod
    def get_params(img, output_size):
        """A place: top, left, height, width."""
        _, height, width = F.get_dimensions(img)
        h, w = output_size
        if height < h or width < w:
            raise ValueError(f"Required crop size {(h, w)} is larger than input image size {(height, width)}")
        if (height, width) == (h, w):
            return 0, 0, h, w
        return _draws.below(0, height - h + 1), _draws.below(0, width - w + 1), h, w

    def forward(self, img):
        if self.padding is not None:
            img = F.pad(img, self.padding, self.fill, self.padding_mode)
        _, height, width = F.get_dimensions(img)
        if self.pad_if_needed and width < self.size[1]:
            img = F.pad(img, [self.size[1] - width, 0], self.fill, self.padding_mode)
        if self.pad_if_needed and height < self.size[0]:
            img = F.pad(img, [0, self.size[0] - height], self.fill, self.padding_mode)
        return F.crop(img, *self.get_params(img, self.size))


@moves
class RandomHorizontalFlip(Chance):
    """Mirror left and right with probability `p`."""

    def change(self, img):
        return F.hflip(img)


@moves
class RandomVerticalFlip(Chance):
    """Mirror top and bottom with probability `p`."""

    def change(self, img):
        return F.vflip(img)


@moves
class RandomResizedCrop(Shown):
    """Cut out a part with a random share of the area (`scale`) and ratio of sides (`ratio`), and resize it."""

    shown = ("size", "scale", "ratio", "interpolation", "antialias")

    def __init__(self, size, scale=(0.08, 1.0), ratio=(3.0 / 4.0, 4.0 / 3.0), interpolation=BILINEAR, antialias=True):
        super().__init__()
        self.size = pair(size)
        check_ranges(scale, ratio)
        self.interpolation, self.antialias = mode(interpolation), antialias
        self.scale, self.ratio = scale, ratio

    @staticmethod
    def get_params(img, scale, ratio):
        """A place: top, left, height, width."""
        _, height, width = F.get_dimensions(img)
        return _draws.part(height, width, scale, ratio)

    def forward(self, img):
        place = self.get_params(img, self.scale, self.ratio)
        return F.resized_crop(img, *place, self.size, self.interpolation, antialias=self.antialias)

    def _text(self, name):
        if name in ("scale", "ratio"):
            return tuple([round(value, 4) for value in getattr(self, name)])
        return super()._text(name)


def _checked_fill(fill):
    if fill is None:
        return 0
    if not isinstance(fill, (Sequence, numbers.Number)):
        raise TypeError("Fill should be either a sequence or a number.")
    return fill


class RandomPerspective(Chance):
    """Move the corners inwards at random, by up to half the picture times `distortion_scale`."""

    def __init__(self, distortion_scale=0.5, p=0.5, interpolation=BILINEAR, fill=0):
        super().__init__(p)
        self.interpolation, self.distortion_scale = mode(interpolation), distortion_scale
        self.fill = _checked_fill(fill)

    @staticmethod
    def get_params(width, height, distortion_scale):
        """Corners, and where they go."""
        return _draws.corners(width, height, distortion_scale)

    def change(self, img):
        _, height, width = F.get_dimensions(img)
        points = self.get_params(width, height, self.distortion_scale)
        return F.perspective(img, *points, self.interpolation, fill_of(self.fill, img))


class RandomRotation(Shown):
    """Turn by an angle from the range `degrees`. See `functional.rotate`."""

    def __init__(self, degrees, interpolation=NEAREST, expand=False, center=None, fill=0):
        super().__init__()
        self.degrees = angles(degrees, "degrees")
        if center is not None:
            check_length(center, "center", (2,))
        self.center, self.interpolation, self.expand = center, mode(interpolation), expand
        self.fill = _checked_fill(fill)

    @property
    def shown(self):
        """What is printed."""
        return ("degrees", "interpolation", "expand", *(("center",) if self.center is not None else ()), "fill")

    @staticmethod
    def get_params(degrees):
        """An angle."""
        return _draws.uniform(*degrees)

    def forward(self, img):
        fill = fill_of(self.fill, img)
        return F.rotate(img, self.get_params(self.degrees), self.interpolation, self.expand, self.center, fill)


class RandomAffine(Shown):
    """Turn, translate, scale and shear by numbers from ranges. See `functional.affine`."""

    def __init__(self, degrees, translate=None, scale=None, shear=None, interpolation=NEAREST, fill=0, center=None):
        super().__init__()
        self.degrees = angles(degrees, "degrees")
        check_affine(translate, scale, center)
        self.translate, self.scale = translate, scale
        self.shear = None if shear is None else angles(shear, "shear", (2, 4))
        self.interpolation, self.fill, self.center = mode(interpolation), _checked_fill(fill), center

    @property
    def shown(self):
        """What is printed: values other than the defaults."""
        usual = {"translate": None, "scale": None, "shear": None, "interpolation": NEAREST, "fill": 0, "center": None}
        return ["degrees", *[name for name, value in usual.items() if getattr(self, name) != value]]

    @staticmethod
    def get_params(degrees, translate, scale_ranges, shears, img_size):
        """Angle, translation, scale and shear."""
        return _draws.affine(degrees, translate, scale_ranges, shears, *img_size)

    def forward(self, img):
        _, height, width = F.get_dimensions(img)
        values = self.get_params(self.degrees, self.translate, self.scale, self.shear, [width, height])
        return F.affine(img, *values, interpolation=self.interpolation, fill=fill_of(self.fill, img),
                        center=self.center)


class RandomErasing(Chance):
    """Fill a rectangle of a tensor with `value`: a number, one for each channel, or "random".

    Args:
        p (float): probability.
        scale, ratio (two floats): ranges of the rectangle's share of the area, and of its sides' ratio.
        inplace (bool): change the tensor itself.
    """

    shown = ("p", "scale", "ratio", "value", "inplace")

    def __init__(self, p=0.5, scale=(0.02, 0.33), ratio=(0.3, 3.3), value=0, inplace=False):
        super().__init__(p)
        check_erasing(scale, ratio, value)
        if p < 0 or p > 1:
            raise ValueError("Random erasing probability should be between 0 and 1")
        self.scale, self.ratio, self.value, self.inplace = scale, ratio, value, inplace

    @staticmethod
    def get_params(img, scale, ratio, value=None):
        """A rectangle and its values; the image itself where none fits."""
        channels, height, width = img.shape[-3:]
        return _draws.erased(channels, height, width, scale, ratio, value) or (0, 0, height, width, img)

    def change(self, img):
        value = self.value
        if isinstance(value, str):
            value = None
        elif isinstance(value, (int, float)):
            value = [float(value)]
        else:
            value = [float(number) for number in value]
        if value is not None and len(value) not in (1, img.shape[-3]):
            raise ValueError("If value is a sequence, it should have either a single value or "
                             f"{img.shape[-3]} (number of input channels)")
        return F.erase(img, *self.get_params(img, self.scale, self.ratio, value), self.inplace)


def _two_floats(value, name):
    if not isinstance(value, (float, Sequence)):
        raise TypeError(f"{name} should be float or a sequence of floats. Got {type(value)}")
    if isinstance(value, float):
        return [value, value]
    if len(value) != 2:
        raise ValueError(f"If {name} is a sequence its length should be 2. Got {len(value)}")
    for element in value:
        if not isinstance(element, float):
            raise TypeError(f"{name} should be a sequence of floats. Got {type(element)}")
    return value


class ElasticTransform(Shown):
    """Move pixels by a random field, smoothed by `sigma`, of strength `alpha`."""

    shown = ("alpha", "sigma", "interpolation", "fill")

    def __init__(self, alpha=50.0, sigma=5.0, interpolation=BILINEAR, fill=0):
        super().__init__()
        self.alpha, self.sigma = _two_floats(alpha, "alpha"), _two_floats(sigma, "sigma")
        self.interpolation = mode(interpolation)
        if not isinstance(fill, (int, float, list, tuple)):
            raise TypeError(f"fill should be int or float or a list or tuple of them. Got {type(fill)}")
        self.fill = [float(value) for value in ([fill] if isinstance(fill, (int, float)) else fill)]

    @staticmethod
    def get_params(alpha, sigma, size):
        """A displacement (1, H, W, 2)."""
        return _draws.displacement(alpha, sigma, size, F.gaussian_blur)

    def forward(self, tensor):
        displacement = self.get_params(self.alpha, self.sigma, F.get_dimensions(tensor)[1:])
        return F.elastic_transform(tensor, displacement, self.interpolation, self.fill)

    def _text(self, name):
        return getattr(self, name)
