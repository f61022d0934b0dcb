"""Functions of colours: brightness, contrast, hue and so on, on tensors (..., C, H, W) and Pillow images.

Tensors of integers are computed in single precision, as recorded operators: those that follow each other fuse.
"""
import numpy as np

from ... import tv_tensors
from .... import api as rl
from ....nn import functional as nnf
from .. import _pil, conversion
from .dispatch import PICTURE, dispatched, for_videos, kernel
from .values import max_value, to_dtype_image, value_bits

IMAGES = (rl.Tensor, tv_tensors.Image)


def _check_channels(image):
    if image.shape[-3] not in (1, 3):
        raise TypeError(f"Input image tensor permitted channel values are 1 or 3, but found {image.shape[-3]}")


def _check_factor(name, factor):
    if factor < 0:
        raise ValueError(f"{name} ({factor}) is not non-negative.")


def _floating(image):
    return image if image.is_floating_point() else image.to(rl.float32)


def _bounded(values, image):
    """Values cut to the range of an image's dtype, in that dtype."""
    return values.clamp(0, max_value(image.dtype)).to(image.dtype)


# Note [Rounding of sums] The second generation of transforms adds with `alpha`, where PyTorch multiplies and adds with
# one rounding; the first rounds the product too. One bit decides which byte a sum becomes, so both are here, as
# functions (a, b, factor) -> a + b * factor.


def apart(a, b, factor):
    """The product rounded, then the sum."""
    return a + b * factor


def fused(a, b, factor):
    """The sum rounded once."""
    if a.dtype != rl.float32:
        return a + b * factor
    return (a.double() + b.double() * float(np.float32(factor))).to(rl.float32)


def _blend(image, other, ratio, add=fused):
    """`ratio` of the image and the rest of another."""
    ratio = float(ratio)
    return _bounded(add(_floating(image) * ratio, other, 1.0 - ratio), image)


def _grey(image, add=fused):
    """The luminance (..., 1, H, W) of an image in colours, as floats."""
    red, green, blue = [_floating(image[..., i:i + 1, :, :]) for i in range(3)]
    return add(add(red * 0.2989, green, 0.587), blue, 0.114)


def _whole_grey(image, add=fused):
    """The luminance, rounded down for images of integers."""
    return _grey(image, add) if image.is_floating_point() else _grey(image, add).floor()


# -- grey ------------------------------------------------------------------------------------------------------------


@dispatched
def rgb_to_grayscale(inpt, num_output_channels=1):
    """The picture in grey: 0.2989 R + 0.587 G + 0.114 B, in one channel or in three equal ones."""


@kernel(rgb_to_grayscale, *IMAGES)
def rgb_to_grayscale_image(image, num_output_channels=1):
    return grey_image(image, num_output_channels, fused)


def grey_image(image, num_output_channels, add=apart):
    """`rgb_to_grayscale_image`; `add`: see Note [Rounding of sums]."""
    if num_output_channels not in (1, 3):
        raise ValueError(f"num_output_channels must be 1 or 3, got {num_output_channels}.")
    grey = image.clone() if image.shape[-3] == 1 else _grey(image, add).to(image.dtype)
    return grey if num_output_channels == 1 else grey.expand(*image.shape[:-3], 3, *image.shape[-2:])


@kernel(rgb_to_grayscale, PICTURE)
def _rgb_to_grayscale_image_pil(image, num_output_channels=1):
    if num_output_channels not in (1, 3):
        raise ValueError(f"num_output_channels must be 1 or 3, got {num_output_channels}.")
    return _pil.to_grayscale(image, num_output_channels)


to_grayscale = rgb_to_grayscale


@dispatched
def grayscale_to_rgb(inpt):
    """A grey picture in three equal channels; one in colours as it is."""


@kernel(grayscale_to_rgb, *IMAGES)
def grayscale_to_rgb_image(image):
    return image if image.shape[-3] >= 3 else rgb_to_grayscale_image(image, 3)


@kernel(grayscale_to_rgb, PICTURE)
def grayscale_to_rgb_image_pil(image):
    return image.convert("RGB")


# -- adjustments -----------------------------------------------------------------------------------------------------


@dispatched
def adjust_brightness(inpt, brightness_factor):
    """Multiply all samples by a factor, 0 or more."""


@kernel(adjust_brightness, *IMAGES)
def adjust_brightness_image(image, brightness_factor):
    _check_factor("brightness_factor", brightness_factor)
    _check_channels(image)
    return _bounded(_floating(image) * float(brightness_factor), image)


@dispatched
def adjust_contrast(inpt, contrast_factor):
    """Blend with the picture's mean grey: 0 gives that, 1 the picture, more gives more contrast."""


@kernel(adjust_contrast, *IMAGES)
def adjust_contrast_image(image, contrast_factor):
    return contrasted(image, contrast_factor, fused)


def contrasted(image, contrast_factor, add=apart):
    """`adjust_contrast_image`; `add`: see Note [Rounding of sums]."""
    _check_factor("contrast_factor", contrast_factor)
    _check_channels(image)
    grey = _whole_grey(image, add) if image.shape[-3] == 3 else _floating(image)
    return _blend(image, grey.mean((-3, -2, -1), keepdim=True), contrast_factor, add)


@dispatched
def adjust_saturation(inpt, saturation_factor):
    """Blend with the picture in grey: 0 gives that, 1 the picture, more gives stronger colours."""


@kernel(adjust_saturation, *IMAGES)
def adjust_saturation_image(image, saturation_factor):
    return saturated(image, saturation_factor, fused)


def saturated(image, saturation_factor, add=apart):
    """`adjust_saturation_image`; `add`: see Note [Rounding of sums]."""
    _check_factor("saturation_factor", saturation_factor)
    _check_channels(image)
    return image if image.shape[-3] == 1 else _blend(image, _whole_grey(image, add), saturation_factor, add)


@dispatched
def adjust_sharpness(inpt, sharpness_factor):
    """Blend with the smoothed picture: 0 gives that, 1 the picture, more gives sharper edges."""


@kernel(adjust_sharpness, *IMAGES)
def adjust_sharpness_image(image, sharpness_factor):
    return sharpened(image, sharpness_factor, fused)


def sharpened(image, sharpness_factor, add=apart):
    """`adjust_sharpness_image`; `add`: see Note [Rounding of sums]."""
    channels, height, width = image.shape[-3:]
    if channels not in (1, 3):
        raise TypeError(f"Input image tensor can have 1 or 3 channels, but found {channels}")
    _check_factor("sharpness_factor", sharpness_factor)
    if image.numel() == 0 or height <= 2 or width <= 2:
        return image
    planes = _floating(image).reshape(-1, channels, height, width)
    edge, middle = 1 / 13, 5 / 13
    weight = rl.tensor([[edge] * 3, [edge, middle, edge], [edge] * 3], dtype=planes.dtype, device=image.device)
    smooth = nnf.conv2d(planes, weight.expand(channels, 1, 3, 3), groups=channels)
    if not image.is_floating_point():
        smooth = smooth.round()
    inner = planes[..., 1:-1, 1:-1]
    result = planes.clone()
    if add is apart:
        result[..., 1:-1, 1:-1] = smooth
        return _blend(image, result.reshape(image.shape), sharpness_factor, apart)
    result[..., 1:-1, 1:-1] = fused(inner, smooth - inner, 1.0 - sharpness_factor)
    return _bounded(result, image).reshape(image.shape)


@dispatched
def adjust_hue(inpt, hue_factor):
    """Turn the hue of all pixels by a share of the circle, -0.5 to 0.5."""


def _hue_shifted(image, shift):
    """Colours (..., 3, H, W) in [0, 1] with their hue turned by `shift`."""
    red, green, blue = image.unbind(-3)
    value, low = image.amax(-3), image.amin(-3)
    spread = value - low
    flat = value == low
    saturation = spread / rl.where(flat, 1.0, value)
    divisor = rl.where(flat, 1.0, spread)
    r, g, b = [(value - channel) / divisor for channel in (red, green, blue)]
    is_red, is_green = value == red, value == green
    hue = rl.where(is_red, b - g, rl.where(is_green, r + 2.0 - b, g + 4.0 - r))
    hue = (hue * (1.0 / 6.0) + 1.0).fmod(1.0)
    sixth = (hue + shift).remainder(1.0) * 6
    whole = sixth.floor()
    part = sixth - whole
    number = whole.to(rl.int32).remainder(6)
    falling = ((1.0 - saturation * part) * value).clamp(0.0, 1.0)
    rising = ((saturation * part + (1.0 - saturation)) * value).clamp(0.0, 1.0)
    lowest = ((1.0 - saturation) * value).clamp(0.0, 1.0)
    # The sixths of the circle of hues: which of (value, lowest, falling, rising) red, green and blue are.
    levels = {"v": value, "p": lowest, "q": falling, "t": rising}
    channels = []
    for names in ("vqpptv", "tvvqpp", "pptvvq"):
        channel = levels[names[0]]
        for i in range(1, 6):
            channel = rl.where(number == i, levels[names[i]], channel)
        channels.append(channel)
    return rl.stack(channels, -3)


@kernel(adjust_hue, *IMAGES)
def adjust_hue_image(image, hue_factor):
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    _check_channels(image)
    if image.shape[-3] == 1 or image.numel() == 0:
        return image
    shifted = _hue_shifted(to_dtype_image(image, rl.float32, scale=True), float(hue_factor))
    return to_dtype_image(shifted, image.dtype, scale=True)


@dispatched
def adjust_gamma(inpt, gamma, gain=1):
    """`gain * sample ** gamma`, for samples from 0 to 1 or scaled to that."""


@kernel(adjust_gamma, *IMAGES)
def adjust_gamma_image(image, gamma, gain=1.0):
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    result = (image if image.is_floating_point() else to_dtype_image(image, rl.float32, scale=True)) ** gamma
    if gain != 1.0:
        result = (result * gain).clamp(0.0, 1.0)
    return to_dtype_image(result, image.dtype, scale=True)


# -- levels ----------------------------------------------------------------------------------------------------------


@dispatched
def posterize(inpt, bits):
    """Keep the leading `bits` (0 to 8) of all samples."""


@kernel(posterize, *IMAGES)
def posterize_image(image, bits):
    if not isinstance(bits, int) or not 0 <= bits <= 8:
        raise TypeError(f"bits must be a positive integer in the range [0, 8], got {bits} instead.")
    if image.is_floating_point():
        levels = 1 << bits
        return (image * levels).floor().clamp(0, levels - 1) * (1.0 / levels)
    all_bits = value_bits(image.dtype)
    return image if bits >= all_bits else image & (((1 << bits) - 1) << (all_bits - bits))


@dispatched
def solarize(inpt, threshold):
    """Invert the samples that reach a threshold."""


@kernel(solarize, *IMAGES)
def solarize_image(image, threshold):
    if threshold > max_value(image.dtype):
        raise TypeError(f"Threshold should be less or equal the maximum value of the dtype, but got {threshold}")
    return rl.where(image >= threshold, invert_image(image), image)


@dispatched
def autocontrast(inpt):
    """Stretch the samples of each channel over the whole range."""


@kernel(autocontrast, *IMAGES)
def autocontrast_image(image):
    _check_channels(image)
    if image.numel() == 0:
        return image
    samples = _floating(image)
    low, high = samples.amin((-2, -1), keepdim=True), samples.amax((-2, -1), keepdim=True)
    flat = low == high
    scale = rl.where(flat, 1.0, (high - low) * (1.0 / max_value(image.dtype)))
    return _bounded((samples - rl.where(flat, 0.0, low)) / scale, image)


@dispatched
def equalize(inpt):
    """Make all levels of each channel about equally frequent."""


@kernel(equalize, *IMAGES)
def equalize_image(image):
    if image.numel() == 0:
        return image
    samples = to_dtype_image(image, rl.uint8, scale=True)
    flat = samples.flatten(-2).to(rl.int64)
    counts = rl.zeros((*flat.shape[:-1], 256), dtype=rl.int64, device=image.device)
    counts = counts.scatter_add(-1, flat, rl.ones_like(flat))
    total = counts.cumsum(-1)
    # All pixels but those of the highest level that occurs are shared out among the 255 steps.
    highest = total.argmax(-1, keepdim=True)
    step = (flat.shape[-1] - counts.gather(-1, highest)).div(255, rounding_mode="floor")
    table = (total[..., :-1] + step.div(2, rounding_mode="floor")).div(step.clamp(min=1), rounding_mode="floor")
    table = rl.cat([rl.zeros_like(step), table.clamp(0, 255)], -1).to(rl.uint8)
    result = table.gather(-1, flat).reshape(samples.shape)
    return to_dtype_image(rl.where(step.unsqueeze(-1) != 0, result, samples), image.dtype, scale=True)


@dispatched
def invert(inpt):
    """Subtract all samples from the largest value of their dtype (1 for floats)."""


@kernel(invert, *IMAGES)
def invert_image(image):
    if image.is_floating_point():
        return 1.0 - image
    if image.dtype == rl.uint8:
        return image.bitwise_not()
    return image.bitwise_xor((1 << value_bits(image.dtype)) - 1)


@dispatched
def permute_channels(inpt, permutation):
    """Put the channels into another order: channel i of the result is channel `permutation[i]`."""


@kernel(permute_channels, *IMAGES)
def permute_channels_image(image, permutation):
    if len(permutation) != image.shape[-3]:
        raise ValueError("Length of permutation does not match number of channels: "
                         f"{len(permutation)} != {image.shape[-3]}")
    return image.index_select(-3, rl.as_tensor(permutation, device=image.device))


@kernel(permute_channels, PICTURE)
def _permute_channels_image_pil(image, permutation):
    return conversion.to_pil_image(permute_channels_image(conversion.pil_to_tensor(image), permutation))


_adjust_brightness_image_pil = kernel(adjust_brightness, PICTURE)(_pil.adjust_brightness)
_adjust_contrast_image_pil = kernel(adjust_contrast, PICTURE)(_pil.adjust_contrast)
_adjust_saturation_image_pil = kernel(adjust_saturation, PICTURE)(_pil.adjust_saturation)
_adjust_sharpness_image_pil = kernel(adjust_sharpness, PICTURE)(_pil.adjust_sharpness)
_adjust_hue_image_pil = kernel(adjust_hue, PICTURE)(_pil.adjust_hue)
_adjust_gamma_image_pil = kernel(adjust_gamma, PICTURE)(_pil.adjust_gamma)
_posterize_image_pil = kernel(posterize, PICTURE)(_pil.posterize)
_solarize_image_pil = kernel(solarize, PICTURE)(_pil.solarize)
_autocontrast_image_pil = kernel(autocontrast, PICTURE)(_pil.autocontrast)
_equalize_image_pil = kernel(equalize, PICTURE)(_pil.equalize)
_invert_image_pil = kernel(invert, PICTURE)(_pil.invert)
adjust_brightness_video = for_videos(adjust_brightness, adjust_brightness_image)
adjust_contrast_video = for_videos(adjust_contrast, adjust_contrast_image)
adjust_saturation_video = for_videos(adjust_saturation, adjust_saturation_image)
adjust_sharpness_video = for_videos(adjust_sharpness, adjust_sharpness_image)
adjust_hue_video = for_videos(adjust_hue, adjust_hue_image)
adjust_gamma_video = for_videos(adjust_gamma, adjust_gamma_image)
posterize_video = for_videos(posterize, posterize_image)
solarize_video = for_videos(solarize, solarize_image)
autocontrast_video = for_videos(autocontrast, autocontrast_image)
equalize_video = for_videos(equalize, equalize_image)
invert_video = for_videos(invert, invert_image)
permute_channels_video = for_videos(permute_channels, permute_channels_image)
