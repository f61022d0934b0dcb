"""Transforms as functions, first generation: a Pillow image or a tensor (..., C, H, W) in, the same kind out.

Tensors go to the kernels of kernels, Pillow images to _pil.py. Conversions are in conversion.py.
"""
import warnings

from ... import api as rl
from ..pictures import is_picture
from . import _pil
from .conversion import convert_image_dtype, normalize, pil_to_tensor, to_pil_image, to_tensor
from .interpolation import PILLOW_MODES, InterpolationMode, mode_of_number
from .kernels import augment, color, geometry, meta, values, warp

__all__ = [
    "InterpolationMode", "adjust_brightness", "adjust_contrast", "adjust_gamma", "adjust_hue", "adjust_saturation",
    "adjust_sharpness", "affine", "autocontrast", "center_crop", "convert_image_dtype", "crop", "elastic_transform",
    "equalize", "erase", "five_crop", "gaussian_blur", "get_dimensions", "get_image_num_channels", "get_image_size",
    "hflip", "invert", "normalize", "pad", "perspective", "pil_to_tensor", "posterize", "resize", "resized_crop",
    "rgb_to_grayscale", "rotate", "solarize", "ten_crop", "to_grayscale", "to_pil_image", "to_tensor", "vflip",
]
pil_modes_mapping = PILLOW_MODES
BILINEAR, NEAREST = InterpolationMode.BILINEAR, InterpolationMode.NEAREST


def _mode(interpolation):
    """A mode given as a member or as Pillow's number. TypeError for anything else."""
    if isinstance(interpolation, int):
        return mode_of_number(interpolation)
    if not isinstance(interpolation, InterpolationMode):
        raise TypeError(
            "Argument interpolation should be a InterpolationMode or a corresponding Pillow integer constant")
    return interpolation


# -- sizes -----------------------------------------------------------------------------------------------------------


def get_dimensions(img):
    """[channels, height, width] of an image."""
    return meta.get_dimensions_image(img) if isinstance(img, rl.Tensor) else _pil.get_dimensions(img)


def get_image_size(img):
    """[width, height] of an image."""
    return get_dimensions(img)[:0:-1]


def get_image_num_channels(img):
    """The number of channels of an image."""
    return get_dimensions(img)[0]


# -- geometry --------------------------------------------------------------------------------------------------------


def hflip(img):
    """Mirror left and right."""
    return img.flip(-1) if isinstance(img, rl.Tensor) else _pil.hflip(img)


def vflip(img):
    """Mirror top and bottom."""
    return img.flip(-2) if isinstance(img, rl.Tensor) else _pil.vflip(img)


def resize(img, size, interpolation=BILINEAR, max_size=None, antialias=True):
    """Resize to `size`: the length of the shorter edge, or (height, width).

    Args:
        img (Pillow image or Tensor (..., C, H, W)): the image.
        size (int or sequence of one or two ints): see above.
        interpolation (InterpolationMode): nearest, nearest-exact, bilinear or bicubic for tensors.
        max_size (int, optional): limit of the longer edge where `size` is the shorter one.
        antialias (bool): filter tensors before they shrink; Pillow always does.
    """
    interpolation = _mode(interpolation)
    if isinstance(size, (list, tuple)):
        if len(size) not in (1, 2):
            raise ValueError(
                f"Size must be an int or a 1 or 2 element tuple/list, not a {len(size)} element tuple/list")
        if max_size is not None and len(size) != 1:
            raise ValueError("max_size should only be passed if size specifies the length of the smaller edge, i.e. "
                             "size should be an int or a sequence of length 1 in torchscript mode.")
    _, height, width = get_dimensions(img)
    new = geometry.resized_size((height, width), size, max_size)
    if new == [height, width]:
        return img
    if isinstance(img, rl.Tensor):
        return geometry.resize_image(img, new, interpolation, antialias=antialias)
    if antialias is False:
        warnings.warn("Anti-alias option is always applied for PIL Image input. Argument antialias is ignored.",
                      stacklevel=2)
    return _pil.resize(img, new, PILLOW_MODES[interpolation])


def pad(img, padding, fill=0, padding_mode="constant"):
    """Add pixels at the borders.

    Args:
        img: as for `resize`.
        padding (int or sequence): one number for all sides, (horizontal, vertical) or (left, top, right, bottom).
        fill (number, or for Pillow images one for each channel): their value.
        padding_mode: "constant", or "edge", "reflect", "symmetric", which copy pixels.
    """
    if not isinstance(img, rl.Tensor):
        return _pil.pad(img, padding, fill, padding_mode)
    if not isinstance(padding, (int, tuple, list)):
        raise TypeError("Got inappropriate padding arg")
    if not isinstance(fill, (int, float)):
        raise TypeError("Got inappropriate fill arg")
    return geometry.pad_image(img, padding, fill, padding_mode)


def crop(img, top, left, height, width):
    """The part of `height` x `width` whose upper left corner is at (`top`, `left`); black past the border."""
    run = geometry.crop_image if isinstance(img, rl.Tensor) else _pil.crop
    return run(img, top, left, height, width)


def center_crop(img, output_size):
    """The middle part of `output_size` = (height, width); a smaller image gets a black border first."""
    return geometry.center_crop(img, output_size)


def resized_crop(img, top, left, height, width, size, interpolation=BILINEAR, antialias=True):
    """`crop`, then `resize` to `size`."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def five_crop(img, size):
    """Five crops of `size` = (height, width): upper left, upper right, lower left, lower right, centre."""
    return geometry.five_crop(img, size)


def ten_crop(img, size, vertical_flip=False):
    """The crops of `five_crop` and those of the image mirrored left and right, or with `vertical_flip` top and
    bottom."""
    return geometry.ten_crop(img, size, vertical_flip)


def perspective(img, startpoints, endpoints, interpolation=BILINEAR, fill=None):
    """Move four corners `startpoints` to `endpoints`, and everything between them accordingly."""
    return warp.perspective(img, startpoints, endpoints, _mode(interpolation), fill)


def rotate(img, angle, interpolation=NEAREST, expand=False, center=None, fill=None):
    """Turn against the clock by degrees about `center` = (x, y); `expand` makes room for all of the image."""
    interpolation = _mode(interpolation)
    if not isinstance(angle, (int, float)):
        raise TypeError("Argument angle should be int or float")
    if center is not None and not isinstance(center, (list, tuple)):
        raise TypeError("Argument center should be a sequence")
    return warp.rotate(img, angle, interpolation, expand, center, fill)


def affine(img, angle, translate, scale, shear, interpolation=NEAREST, fill=None, center=None):
    """Turn clockwise by degrees, scale and shear about `center` = (x, y), then translate by pixels."""
    return warp.affine(img, angle, translate, scale, shear, _mode(interpolation), fill, center)


def elastic_transform(img, displacement, interpolation=BILINEAR, fill=None):
    """Move each pixel by `displacement` (1, H, W, 2), where 2 is the width or height of the image."""
    if isinstance(interpolation, int):
        warnings.warn("Argument interpolation should be of type InterpolationMode instead of int. Please, use "
                      "InterpolationMode enum.", stacklevel=2)
    if not isinstance(img, rl.Tensor) and not is_picture(img):
        raise TypeError(f"img should be PIL Image or Tensor. Got {type(img)}")
    return warp.elastic(img, displacement, _mode(interpolation), fill)


# -- colours ---------------------------------------------------------------------------------------------------------


def _run(img, tensors, pictures, *args):
    return (tensors if isinstance(img, rl.Tensor) else pictures)(img, *args)


def adjust_brightness(img, brightness_factor):
    """Multiply all samples by a factor, 0 or more."""
    return _run(img, color.adjust_brightness_image, _pil.adjust_brightness, brightness_factor)


def adjust_contrast(img, contrast_factor):
    """Blend with the image's mean grey: 0 gives that, 1 the image, more gives more contrast."""
    return _run(img, color.contrasted, _pil.adjust_contrast, contrast_factor)


def adjust_saturation(img, saturation_factor):
    """Blend with the image in grey: 0 gives that, 1 the image, more gives stronger colours."""
    return _run(img, color.saturated, _pil.adjust_saturation, saturation_factor)


def adjust_hue(img, hue_factor):
    """Turn the hue of all pixels by a share of the circle, -0.5 to 0.5."""
    return _run(img, color.adjust_hue_image, _pil.adjust_hue, hue_factor)


def adjust_gamma(img, gamma, gain=1):
    """`gain * sample ** gamma`, for samples from 0 to 1 or scaled to that."""
    return _run(img, color.adjust_gamma_image, _pil.adjust_gamma, gamma, gain)


def adjust_sharpness(img, sharpness_factor):
    """Blend with the smoothed image: 0 gives that, 1 the image, more gives sharper edges."""
    return _run(img, color.sharpened, _pil.adjust_sharpness, sharpness_factor)


def autocontrast(img):
    """Stretch the samples of each channel over the whole range."""
    return _run(img, color.autocontrast_image, _pil.autocontrast)


def _bytes_only(img):
    if isinstance(img, rl.Tensor) and img.dtype != rl.uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {img.dtype}")


def equalize(img):
    """Make all levels of each channel about equally frequent; tensors of uint8 only."""
    _bytes_only(img)
    return _run(img, color.equalize_image, _pil.equalize)


def posterize(img, bits):
    """Keep the leading `bits` (0 to 8) of all samples; tensors of uint8 only."""
    if not 0 <= bits <= 8:
        raise ValueError(f"The number if bits should be between 0 and 8. Got {bits}")
    _bytes_only(img)
    return _run(img, color.posterize_image, _pil.posterize, bits)


def solarize(img, threshold):
    """Invert the samples that reach a threshold."""
    return _run(img, color.solarize_image, _pil.solarize, threshold)


def invert(img):
    """Subtract all samples from the largest value of their dtype."""
    return _run(img, color.invert_image, _pil.invert)


def to_grayscale(img, num_output_channels=1):
    """A Pillow image in grey, in one channel or in three equal ones. TypeError for tensors."""
    if not is_picture(img):
        raise TypeError("Input should be PIL Image")
    return _pil.to_grayscale(img, num_output_channels)


def rgb_to_grayscale(img, num_output_channels=1):
    """The image in grey: 0.2989 R + 0.587 G + 0.114 B, in one channel or in three equal ones.

    A tensor of one channel stays as it is.
    """
    if isinstance(img, rl.Tensor) and img.shape[-3] == 1:
        num_output_channels = min(num_output_channels, 1)
    return _run(img, color.grey_image, _pil.to_grayscale, num_output_channels)


# -- others ----------------------------------------------------------------------------------------------------------


def erase(img, i, j, h, w, v, inplace=False):
    """Set the part of `h` x `w` pixels of a tensor whose upper left corner is in row `i`, column `j`, to `v`."""
    if not isinstance(img, rl.Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(img)}")
    return augment.erase_image(img, i, j, h, w, v, inplace)


def gaussian_blur(img, kernel_size, sigma=None):
    """Smooth with a Gaussian window of `kernel_size` pixels (odd; width and height) and standard deviation `sigma`."""
    if not isinstance(kernel_size, (int, list, tuple)):
        raise TypeError(f"kernel_size should be int or a sequence of integers. Got {type(kernel_size)}")
    if not isinstance(img, rl.Tensor) and not is_picture(img):
        raise TypeError(f"img should be PIL Image or Tensor. Got {type(img)}")
    return values.gaussian_blur(img, kernel_size, sigma)
