"""The values of images: their dtype and its range, normalisation, blur and noise."""
import math

from ... import tv_tensors
from .... import api as rl
from ....nn import functional as nnf
from .. import conversion
from .dispatch import PICTURE, dispatched, for_videos, kernel

IMAGES = (rl.Tensor, tv_tensors.Image)
_VALUE_BITS = {rl.uint8: 8, rl.int8: 7, rl.int16: 15, rl.uint16: 16, rl.int32: 31, rl.int64: 63}


def value_bits(dtype):
    """The number of bits of an integer dtype's values. TypeError for other dtypes."""
    if dtype not in _VALUE_BITS:
        raise TypeError(f"Number of value bits is only defined for integer dtypes, but got {dtype}.")
    return _VALUE_BITS[dtype]


def max_value(dtype):
    """The largest value of images of a dtype: 1 for floats."""
    return (1 << _VALUE_BITS[dtype]) - 1 if dtype in _VALUE_BITS else 1


# -- dtypes ----------------------------------------------------------------------------------------------------------


@dispatched
def to_dtype(inpt, dtype=rl.float32, scale=False):
    """Convert to a dtype; `scale` maps the range of the old one to that of the new one, [0, 1] for floats.

    Raises:
        RuntimeError: with `scale`, a float dtype that has fewer digits than the integers.
    """


@kernel(to_dtype, *IMAGES)
def to_dtype_image(image, dtype=rl.float32, scale=False):
    source = image.dtype
    if source == dtype:
        return image
    if not scale or (source.is_floating_point and dtype.is_floating_point):
        return image.to(dtype)
    if source.is_floating_point:
        unsafe = {rl.float32: (rl.int32, rl.int64), rl.float64: (rl.int64,)}
        if dtype in unsafe.get(source, ()):
            raise RuntimeError(f"The conversion from {source} to {dtype} cannot be performed safely.")
        # Just less than one step above the largest value, so that every integer gets an interval of equal length.
        return (image * (max_value(dtype) + 1.0 - 1e-3)).to(dtype)
    if dtype.is_floating_point:
        return image.to(dtype) * (1.0 / max_value(source))
    shift = value_bits(source) - value_bits(dtype)
    if shift > 0:
        wide = image.to(rl.int32) if source == rl.uint16 else image
        return wide.bitwise_right_shift(shift).to(dtype)
    wide = image.to(rl.int32 if dtype == rl.uint16 else dtype)
    return wide.bitwise_left_shift(-shift).to(dtype)


@kernel(to_dtype, tv_tensors.BoundingBoxes, tv_tensors.KeyPoints, tv_tensors.Mask)
def _to_dtype_tensor_dispatch(inpt, dtype=rl.float32, scale=False):
    return inpt.to(dtype)


to_dtype_video = for_videos(to_dtype, to_dtype_image)


def convert_image_dtype(image, dtype=rl.float32):
    """`to_dtype` with `scale`."""
    return to_dtype_image(image, dtype, scale=True)


# -- normalisation ---------------------------------------------------------------------------------------------------


@dispatched
def normalize(inpt, mean, std, inplace=False):
    """`(inpt - mean) / std` for float images; mean and std have one value or one for each channel."""


@kernel(normalize, *IMAGES)
def normalize_image(image, mean, std, inplace=False):
    if not image.is_floating_point():
        raise TypeError(f"Input tensor should be a float tensor. Got {image.dtype}.")
    if image.ndim < 3:
        raise ValueError(f"Expected tensor to be a tensor image of size (..., C, H, W). Got {image.shape}.")
    if not all(std) if isinstance(std, (tuple, list)) else isinstance(std, (int, float)) and std == 0:
        raise ValueError("std evaluated to zero, leading to division by zero.")
    means, stds = [rl.as_tensor(values, dtype=image.dtype, device=image.device) for values in (mean, std)]
    means, stds = [values.view(-1, 1, 1) if values.ndim == 1 else values for values in (means, stds)]
    return image.sub_(means).div_(stds) if inplace else (image - means) / stds


normalize_video = for_videos(normalize, normalize_image)


# -- blur and noise --------------------------------------------------------------------------------------------------


@dispatched
def gaussian_blur(inpt, kernel_size, sigma=None):
    """Smooth with a Gaussian window.

    Args:
        inpt: an image (..., C, H, W), Pillow image or video.
        kernel_size (int or two ints): its width and height in pixels, odd.
        sigma (number or two): its standard deviation, by default 0.15 * kernel_size + 0.35.
    """


def _window(size, sigma, dtype, device):
    limit = (size - 1) / (2.0 * math.sqrt(2.0))
    x = rl.linspace(-limit, limit, size, dtype=dtype, device=device)
    return rl.softmax(-((x / sigma) ** 2), 0)


def _blur_arguments(kernel_size, sigma):
    sizes = [kernel_size] * 2 if isinstance(kernel_size, int) else list(kernel_size)
    if len(sizes) != 2:
        raise ValueError(f"If kernel_size is a sequence its length should be 2. Got {len(sizes)}")
    if any([size % 2 == 0 or size < 0 for size in sizes]):
        raise ValueError(f"kernel_size should have odd and positive integers. Got {kernel_size}")
    if sigma is None:
        sigma = [size * 0.15 + 0.35 for size in sizes]
    elif isinstance(sigma, (list, tuple)):
        sigma = [sigma[0]] * 2 if len(sigma) == 1 else list(sigma)
    elif isinstance(sigma, (int, float)):
        sigma = [float(sigma)] * 2
    else:
        raise TypeError(f"sigma should be either float or sequence of floats. Got {type(sigma)}")
    if len(sigma) != 2:
        raise ValueError(f"If sigma is a sequence, its length should be 2. Got {len(sigma)}")
    if any([value <= 0.0 for value in sigma]):
        raise ValueError(f"sigma should have positive values. Got {sigma}")
    return sizes, sigma


@kernel(gaussian_blur, *IMAGES)
def gaussian_blur_image(image, kernel_size, sigma=None):
    (width, height), sigma = _blur_arguments(kernel_size, sigma)
    if image.numel() == 0:
        return image
    floating = image.is_floating_point()
    planes = image if floating else image.to(rl.float32)
    channels = image.shape[-3]
    across, down = [_window(size, deviation, planes.dtype, image.device)
                    for size, deviation in ((width, sigma[0]), (height, sigma[1]))]
    planes = nnf.pad(planes.reshape(-1, *image.shape[-3:]), [width // 2] * 2 + [height // 2] * 2, mode="reflect")
    result = nnf.conv2d(planes, (down.unsqueeze(-1) * across).expand(channels, 1, height, width), groups=channels)
    return (result if floating else result.round().to(image.dtype)).reshape(image.shape)


@kernel(gaussian_blur, PICTURE)
def _gaussian_blur_image_pil(image, kernel_size, sigma=None):
    blurred = gaussian_blur_image(conversion.pil_to_tensor(image), kernel_size, sigma)
    return conversion.to_pil_image(blurred, mode=image.mode)


gaussian_blur_video = for_videos(gaussian_blur, gaussian_blur_image)


@dispatched
def gaussian_noise(inpt, mean=0.0, sigma=0.1, clip=True):
    """Add normal noise, measured in images from 0 to 1; `clip` cuts the result to the range of the dtype.

    Raises:
        ValueError: other dtypes than uint8 and floats, Pillow images, and a negative sigma.
    """


@kernel(gaussian_noise, *IMAGES)
def gaussian_noise_image(image, mean=0.0, sigma=0.1, clip=True):
    if sigma < 0:
        raise ValueError(f"sigma shouldn't be negative. Got {sigma}")
    if image.is_floating_point():
        noisy = image + (mean + rl.randn_like(image) * sigma)
        return noisy.clamp(0, 1) if clip else noisy
    if image.dtype != rl.uint8:
        raise ValueError(f"Input tensor is expected to be in uint8 or float dtype, got dtype={image.dtype}")
    noise = mean * 255 + rl.randn_like(image, dtype=rl.float32) * (sigma * 255)
    noisy = image + noise.to(rl.int16)
    return (noisy.clamp(0, 255) if clip else noisy).to(rl.uint8)


@kernel(gaussian_noise, PICTURE)
def _gaussian_noise_pil(image, mean=0.0, sigma=0.1, clip=True):
    raise ValueError("Gaussian Noise is not implemented for PIL images.")


gaussian_noise_video = for_videos(gaussian_noise, gaussian_noise_image)
