"""Transforms as functions: a Pillow image, an array (H, W, C) or a tensor (..., C, H, W) in, one of them out.

`to_tensor` and `normalize` are called for every image of an epoch, one small image at a time. There the cost is the
number of calls, not of samples, so both work on NumPy's arrays and make one result each; see Note [Small images].
Numbers are those of torchvision, bit by bit.
"""
import functools

import numpy as np

from ... import api as rl
from ..pictures import byte_channels, from_array, is_picture, to_array
from ..samples import scale, statistics_of
from .pending import Pending, finished, table_of

__all__ = ["convert_image_dtype", "normalize", "pil_to_tensor", "to_pil_image", "to_tensor"]

# Note [Small images]
# Recording an operator and launching it is made for tensors that live in a training loop. An image that a data set
# has just decoded is an array of NumPy already, used once, in a worker process perhaps (the bytes of a picture go
# through one pass of samples.py). Up to this many samples NumPy's own loops finish before a program would be planned;
# above it the compiled kernels win, and they use all threads.
SMALL = 1 << 16
_BYTE = np.dtype(np.uint8)
_ARRAY_DTYPES = {rl.float32: np.dtype(np.float32), rl.float64: np.dtype(np.float64)}


def to_tensor(pic):
    """A Pillow image or an array (H, W) or (H, W, C) as a tensor (C, H, W).

    Samples of uint8 become the default dtype, divided by 255; other samples keep type and range.
    TypeError for anything else, ValueError for an array without 2 or 3 dimensions.
    """
    scaled = _scaled_picture(pic, (0.0,), (1.0,))
    if scaled is not None:
        return scaled
    pic = finished(pic)
    samples = _samples(pic)
    if samples.dtype != _BYTE:
        # An array keeps sharing memory with its tensor where it lies in order already; a picture never does.
        return rl.from_numpy(samples if isinstance(pic, np.ndarray) else samples.copy(order="C")).contiguous()
    dtype = _ARRAY_DTYPES.get(rl.get_default_dtype())
    if dtype is None:
        return rl.from_numpy(samples.copy(order="C")).to(rl.get_default_dtype()).div(255)
    return rl.from_numpy(_scaled(samples, dtype))


def _scaled_picture(pic, mean, std):
    """The normalised tensor of a picture of byte samples, None for anything else (see samples.py)."""
    if not is_picture(pic) or rl.get_default_dtype() is not rl.float32:
        return None
    if type(pic) is Pending:
        if not pic.steps:
            return _scaled_picture(pic.original, mean, std)
        table = table_of(len(pic.getbands()), mean, std, True)
        return None if table is None else pic.to_floats(table)
    channels = byte_channels(pic)
    statistics = None if channels is None else statistics_of(mean, std, channels)
    if statistics is None:
        return None
    width, height = pic.size
    return scale(pic.tobytes(), height, width, channels, statistics)


def _samples(pic):
    """The samples of a picture as an array (C, H, W), which may share the picture's memory."""
    if is_picture(pic):
        samples = to_array(pic)
        if pic.mode == "1":
            samples = samples.astype(np.uint8) * np.uint8(255)
        elif samples.dtype == np.uint16:
            samples = samples.view(np.int16)
    elif isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        samples = pic[:, :, None] if pic.ndim == 2 else pic
    else:
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    return samples.transpose(2, 0, 1)


def _scaled(samples, dtype):
    """Samples of uint8 in [0, 1], in memory of their own."""
    scaled = samples.astype(dtype, order="C")
    return np.divide(scaled, dtype.type(255), out=scaled)


def to_normalized_tensor(pic, mean, std):
    """`normalize(to_tensor(pic), mean, std)` with one tensor made instead of two, see Note [Small images]."""
    if not _are_plain(mean, std):
        return normalize(to_tensor(pic), mean, std)
    scaled = _scaled_picture(pic, tuple(mean), tuple(std))
    if scaled is not None:
        return scaled
    pic = finished(pic)
    samples = _samples(pic)
    dtype = _ARRAY_DTYPES.get(rl.get_default_dtype())
    if samples.dtype == _BYTE and dtype is not None and samples.size <= SMALL:
        means, stds = _array_statistics(tuple(mean), tuple(std), rl.get_default_dtype())
        if means.shape[0] in (1, samples.shape[0]) and stds.shape[0] in (1, samples.shape[0]):
            scaled = _scaled(samples, dtype)
            return rl.from_numpy(_normalized(scaled, means, stds, scaled))
    return normalize(to_tensor(pic), mean, std)


def pil_to_tensor(pic):
    """A Pillow image as a tensor (C, H, W) of the image's own type, unscaled. TypeError for anything else."""
    if not is_picture(pic):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    return rl.from_numpy(to_array(pic).copy()).permute(2, 0, 1)


def normalize(tensor, mean, std, inplace=False):
    """`(tensor - mean) / std` for a float tensor (..., C, H, W); mean and std have one value or one for each channel.

    TypeError unless it is a float tensor, ValueError below three dimensions and where std is zero in the tensor's
    dtype.
    """
    if not isinstance(tensor, rl.Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
    dtype = tensor.dtype
    if not dtype.is_floating_point:
        raise TypeError(f"Input tensor should be a float tensor. Got {dtype}.")
    if tensor.ndim < 3:
        raise ValueError(
            f"Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = {tensor.size()}"
        )
    if not inplace and dtype in _ARRAY_DTYPES and _are_plain(mean, std) and _is_small_image(tensor):
        means, stds = _array_statistics(tuple(mean), tuple(std), dtype)
        if means.shape[0] in (1, tensor.shape[0]) and stds.shape[0] in (1, tensor.shape[0]):
            return rl.from_numpy(_normalized(tensor.numpy(), means, stds))
    means, stds = (rl.as_tensor(values, dtype=dtype, device=tensor.device) for values in (mean, std))
    if (stds == 0).any():
        raise _zero_std(dtype)
    means, stds = (values.view(-1, 1, 1) if values.ndim == 1 else values for values in (means, stds))
    if not inplace:
        tensor = tensor.clone()
    return tensor.sub_(means).div_(stds)


def _are_plain(mean, std):
    return isinstance(mean, (tuple, list)) and isinstance(std, (tuple, list))


def _is_small_image(tensor):
    return tensor.ndim == 3 and tensor.numel() <= SMALL and tensor.device.type == "cpu" and not tensor.requires_grad


@functools.lru_cache(maxsize=64)
def _array_statistics(mean, std, dtype):
    """mean and std as arrays (C, 1, 1); a data set calls with the same few numbers for every image."""
    means, stds = (np.array([float(value) for value in values], _ARRAY_DTYPES[dtype]) for values in (mean, std))
    if not stds.all():
        raise _zero_std(dtype)
    return means.reshape(-1, 1, 1), stds.reshape(-1, 1, 1)


def _zero_std(dtype):
    return ValueError(f"std evaluated to zero after conversion to {dtype}, leading to division by zero.")


def _normalized(samples, means, stds, out=None):
    with np.errstate(all="ignore"):
        out = np.subtract(samples, means, out=out)
        return np.divide(out, stds, out=out)


def convert_image_dtype(image, dtype=None):
    """A tensor converted to `dtype` (default: float32) with its values scaled from one dtype's range to the other's.

    The range of a float dtype is [0, 1], that of an integer dtype ends at its largest value. RuntimeError where a
    float dtype has too few digits for the integer dtype.
    """
    dtype = rl.float32 if dtype is None else dtype
    if not isinstance(image, rl.Tensor):
        raise TypeError("Input img should be Tensor Image")
    if image.dtype == dtype:
        return image
    if image.dtype.is_floating_point:
        return image.to(dtype) if dtype.is_floating_point else _float_to_integer(image, dtype)
    if dtype.is_floating_point:
        return image.to(dtype) / float(_largest(image.dtype))
    return _integer_to_integer(image, dtype)


def _largest(dtype):
    return 1 if dtype == rl.bool else rl.iinfo(dtype).max


def _float_to_integer(image, dtype):
    unsafe = {rl.float32: (rl.int32, rl.int64), rl.float64: (rl.int64,)}
    if dtype in unsafe.get(image.dtype, ()):
        raise RuntimeError(f"The cast from {image.dtype} to {dtype} cannot be performed safely.")
    # Just less than one step above the largest value, so that every integer gets an interval of equal length.
    return image.mul(float(_largest(dtype)) + 1.0 - 1e-3).to(dtype)


def _integer_to_integer(image, dtype):
    largest_in, largest_out = _largest(image.dtype), _largest(dtype)
    if largest_in > largest_out:
        factor = (largest_in + 1) // (largest_out + 1)
        return rl.div(image, factor, rounding_mode="floor").to(dtype)
    factor = (largest_out + 1) // (largest_in + 1)
    return image.to(dtype) * factor


_MODES = {2: ("LA",), 3: ("RGB", "YCbCr", "HSV"), 4: ("RGBA", "CMYK", "RGBX")}
_GREY_MODES = {"uint8": "L", "int16": "I;16", "int32": "I", "float32": "F"}


def to_pil_image(pic, mode=None):
    """A tensor (C, H, W) or (H, W), or an array (H, W, C) or (H, W), as a Pillow image.

    Float samples are scaled by 255 to uint8 unless `mode` is "F". Without `mode` it follows from dtype and number of
    channels. TypeError and ValueError name a type, dtype, shape or mode that does not fit.
    """
    if isinstance(pic, rl.Tensor):
        if pic.ndim == 3:
            pic = pic.permute(1, 2, 0)
        pic = pic.numpy(force=True)
    elif not isinstance(pic, np.ndarray):
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    if pic.ndim == 2:
        pic = pic[:, :, None]
    if pic.ndim != 3:
        raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
    if pic.shape[-1] > 4:
        raise ValueError(f"pic should not have > 4 channels. Got {pic.shape[-1]} channels.")
    if pic.dtype.kind == "f" and mode != "F":
        with np.errstate(invalid="ignore"):
            pic = (pic * 255).astype(np.uint8)
    if pic.shape[2] == 1:
        return from_array(pic[:, :, 0], _grey_mode(pic.dtype, mode))
    return from_array(pic, _color_mode(pic.dtype, pic.shape[2], mode))


def _grey_mode(dtype, mode):
    fitting = _GREY_MODES.get(dtype.name)
    if mode is not None and mode != fitting:
        raise ValueError(f"Incorrect mode ({mode}) supplied for input type {dtype}. Should be {fitting}")
    if fitting is None:
        raise TypeError(f"Input type {dtype} is not supported")
    return fitting


def _color_mode(dtype, channels, mode):
    permitted = _MODES.get(channels, _MODES[3])
    if mode is not None and mode not in permitted:
        raise ValueError(f"Only modes {list(permitted)} are supported for {channels}D inputs")
    if mode is None and dtype != np.uint8:
        raise TypeError(f"Input type {dtype} is not supported")
    return permitted[0] if mode is None else mode
