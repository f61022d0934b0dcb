"""Transforms of Pillow images by Pillow's own functions: what both generations of transforms call for a picture."""
import numbers

import numpy as np

from ..pictures import from_array, is_picture, pillow
from ...base.optional import optional


def check(img):
    """TypeError unless `img` is a Pillow image."""
    if not is_picture(img):
        raise TypeError(f"img should be PIL Image. Got {type(img)}")


def _module(name):
    """One of Pillow's modules, which is loaded already where there is a picture."""
    return optional(f"PIL.{name}", "vision", "transforms of Pillow images")


def get_dimensions(img):
    """[channels, height, width]. TypeError for anything but a Pillow image."""
    if not is_picture(img):
        raise TypeError(f"Unexpected type {type(img)}")
    return [len(img.getbands()), img.height, img.width]


def hflip(img):
    """Mirror left and right."""
    check(img)
    return img.transpose(0)


def vflip(img):
    """Mirror top and bottom."""
    check(img)
    return img.transpose(1)


def _enhance(name, img, factor):
    check(img)
    return getattr(_module("ImageEnhance"), name)(img).enhance(factor)


def adjust_brightness(img, brightness_factor):
    """Multiply all samples."""
    return _enhance("Brightness", img, brightness_factor)


def adjust_contrast(img, contrast_factor):
    """Move all samples away from the mean grey."""
    return _enhance("Contrast", img, contrast_factor)


def adjust_saturation(img, saturation_factor):
    """Move all samples away from the pixel's grey."""
    return _enhance("Color", img, saturation_factor)


def adjust_sharpness(img, sharpness_factor):
    """Move all samples away from those of the smoothed image."""
    return _enhance("Sharpness", img, sharpness_factor)


def adjust_hue(img, hue_factor):
    """Turn the hue of all pixels by a share of the circle, -0.5 to 0.5."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    check(img)
    if img.mode in ("L", "1", "I", "F"):
        return img
    hue, saturation, value = img.convert("HSV").split()
    turned = np.array(hue, dtype=np.uint8)
    turned += np.int32(hue_factor * 255).astype(np.uint8)
    channels = (from_array(turned, "L"), saturation, value)
    return pillow("adjust_hue").merge("HSV", channels).convert(img.mode)


def adjust_gamma(img, gamma, gain=1.0):
    """`gain * sample ** gamma`, with samples from 0 to 1."""
    check(img)
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    table = [int((255 + 1 - 1e-3) * gain * (level / 255.0) ** gamma) for level in range(256)] * 3
    return img.convert("RGB").point(table).convert(img.mode)


def sides(padding):
    """Padding given as one, two or four numbers as (left, top, right, bottom)."""
    if isinstance(padding, numbers.Number):
        return (padding,) * 4
    padding = tuple(padding)
    return padding * (4 // len(padding))


def pad(img, padding, fill=0, padding_mode="constant"):
    """Add pixels at the borders: of `fill`, or copied from the image ("edge", "reflect", "symmetric")."""
    check(img)
    if not isinstance(padding, (numbers.Number, tuple, list)):
        raise TypeError("Got inappropriate padding arg")
    if fill is not None and not isinstance(fill, (numbers.Number, tuple, list)):
        raise TypeError("Got inappropriate fill arg")
    if not isinstance(padding_mode, str):
        raise TypeError("Got inappropriate padding_mode arg")
    if not isinstance(padding, numbers.Number) and len(padding) not in (1, 2, 4):
        raise ValueError(
            f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(padding)} element tuple")
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
    left, top, right, bottom = sides(padding)
    if padding_mode == "constant":
        padded = _module("ImageOps").expand(img, border=(left, top, right, bottom), fill=_fill(img, fill))
    else:
        kept = img.crop((-min(left, 0), -min(top, 0), img.width + min(right, 0), img.height + min(bottom, 0)))
        samples = np.asarray(kept)
        widths = ((max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0)), (0, 0))[:samples.ndim]
        padded = from_array(np.pad(samples, widths, padding_mode))
    if img.mode == "P":
        padded.putpalette(img.getpalette())
    return padded


def _fill(img, fill):
    """A fill value as Pillow wants it for the image's mode. ValueError if it has another number of channels."""
    channels = len(img.getbands())
    if fill is None:
        fill = 0
    if isinstance(fill, (int, float)):
        fill = [fill] * channels
    elif len(fill) == 1:
        fill = list(fill) * channels
    elif len(fill) != channels:
        raise ValueError("The number of elements in 'fill' does not match the number of channels of the image "
                         f"({len(fill)} != {channels})")
    values = tuple(fill) if img.mode == "F" else tuple([int(value) for value in fill])
    return values if channels > 1 else values[0]


def crop(img, top, left, height, width):
    """A part of the image; black where it reaches past the border."""
    check(img)
    return img.crop((left, top, left + width, top + height))


def resize(img, size, interpolation=2):
    """The image at another size [height, width]; `interpolation` is Pillow's number."""
    check(img)
    if not (isinstance(size, list) and len(size) == 2):
        raise TypeError(f"Got inappropriate size arg: {size}")
    return img.resize((size[1], size[0]), interpolation)


def affine(img, matrix, interpolation=0, fill=None):
    """Fetch pixel (x, y) from (a x + b y + c, d x + e y + f) for the matrix (a, b, c, d, e, f)."""
    check(img)
    return img.transform(img.size, 0, matrix, interpolation, fillcolor=_fill(img, fill))


def perspective(img, perspective_coeffs, interpolation=3, fill=None):
    """Fetch pixel (x, y) from ((a x + b y + c) / n, (d x + e y + f) / n), n = g x + h y + 1."""
    check(img)
    return img.transform(img.size, 2, perspective_coeffs, interpolation, fillcolor=_fill(img, fill))


def rotate(img, angle, interpolation=0, expand=False, center=None, fill=None):
    """Turn the image against the clock by degrees."""
    check(img)
    return img.rotate(angle, interpolation, expand, center, fillcolor=_fill(img, fill))


def to_grayscale(img, num_output_channels):
    """The image in grey, in one channel or in three equal ones."""
    check(img)
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    grey = img.convert("L")
    return grey if num_output_channels == 1 else pillow("to_grayscale").merge("RGB", (grey,) * 3)


def _operate(name, img, *args):
    check(img)
    return getattr(_module("ImageOps"), name)(img, *args)


def invert(img):
    """Subtract all samples from the largest."""
    return _operate("invert", img)


def posterize(img, bits):
    """Keep the leading bits of all samples."""
    return _operate("posterize", img, bits)


def solarize(img, threshold):
    """Invert the samples that reach a threshold."""
    return _operate("solarize", img, threshold)


def autocontrast(img):
    """Stretch the samples of each channel over the whole range."""
    return _operate("autocontrast", img)


def equalize(img):
    """Make all grey levels about equally frequent."""
    return _operate("equalize", img)
