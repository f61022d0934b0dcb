"""Pillow images in and out of NumPy arrays: the only file of vision/ that knows how Pillow stores pixels.

A picture comes in, an array (H, W, C) goes out, or the other way round. Used by transforms/conversion.py, the data
sets and utils.py.
"""
import ctypes
import sys

import numpy as np

from ..base.optional import optional

# Modes whose bytes are plain uint8 samples, one for every channel of a pixel.
_BYTE_CHANNELS = {
    "L": 1, "P": 1, "LA": 2, "PA": 2, "RGB": 3, "YCbCr": 3, "HSV": 3, "LAB": 3, "RGBA": 4, "RGBX": 4, "CMYK": 4,
}
_WIDE_DTYPES = {"I": np.int32, "F": np.float32, "I;16": np.uint16, "I;16L": np.uint16, "I;16B": np.uint16}


def pillow(purpose):
    """The module PIL.Image; ImportError names `purpose` if Pillow is not installed."""
    return sys.modules.get("PIL.Image") or optional("PIL.Image", "vision", purpose)


def is_picture(value):
    """True for a Pillow image (where Pillow was never imported there is none) and one with waiting steps."""
    image = sys.modules.get("PIL.Image")
    return image is not None and isinstance(value, (image.Image, PendingPicture))


class PendingPicture:
    """The base of pictures whose steps wait, see transforms/pending.py."""

    __slots__ = ()


def as_rgb(picture):
    """`picture.convert("RGB")` of a picture that was just opened, without a copy if it is in colours already."""
    picture.load()
    detached = getattr(picture, "_new", None)  # what Pillow's own functions make their results with
    if picture.mode != "RGB" or picture.readonly or detached is None:
        return picture.convert("RGB")
    return detached(picture.im)


def memory_of(picture):
    """Where the bytes of a picture of mode L or RGB lie: (address, bytes a pixel, who keeps them)."""
    try:
        capsules = picture.__arrow_c_array__()  # shows Pillow's own memory
    except (AttributeError, ValueError):  # an old Pillow, or a picture in several blocks
        samples = np.frombuffer(picture.tobytes(), np.uint8)
        return samples.ctypes.data, _BYTE_CHANNELS[picture.mode], samples
    array = _ArrowArray.from_address(_capsule_pointer(capsules[1], b"arrow_array"))
    if array.n_children:  # a list of four bytes for each pixel
        return array.children[0].contents.buffers[1], 4, capsules
    return array.buffers[1], 1, capsules


class _ArrowArray(ctypes.Structure):
    """The array of Arrow's C interface."""


_ArrowArray._fields_ = [
    ("length", ctypes.c_int64), ("null_count", ctypes.c_int64), ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64), ("n_children", ctypes.c_int64), ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_ArrowArray))),
]
_capsule_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi))


def byte_channels(picture):
    """The number of channels of a picture whose samples are plain bytes; None for others."""
    return _BYTE_CHANNELS.get(picture.mode)


def to_array(picture):
    """The samples of a Pillow image as an array (H, W, C) of its own type, which may be read-only and shared."""
    width, height = picture.size
    channels = _BYTE_CHANNELS.get(picture.mode)
    if channels is not None:
        # Faster than np.asarray(picture), which goes through a dictionary and a list of attributes.
        return np.frombuffer(picture.tobytes(), np.uint8).reshape(height, width, channels)
    array = np.asarray(picture, dtype=_WIDE_DTYPES.get(picture.mode))
    return array.reshape(height, width, len(picture.getbands()))


def from_array(array, mode=None):
    """A Pillow image of an array (H, W) or (H, W, C); `mode` says how to read samples that fit several modes."""
    image = pillow("making an image")
    array = np.ascontiguousarray(array)
    if mode is None or array.dtype.kind == "b":
        return image.fromarray(array)
    # Image.fromarray(array, mode) is deprecated in Pillow.
    if array.dtype.itemsize > 1:
        picture = image.fromarray(array)
        return picture if picture.mode == mode else picture.convert(mode)
    height, width = array.shape[:2]
    return image.frombuffer(mode, (width, height), array.tobytes(), "raw", mode, 0, 1)
