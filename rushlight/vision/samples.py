"""Bytes of pictures as scaled float tensors, in one pass of generated code.

`scale` takes the bytes of a picture (height, width, channels) and returns a float32 tensor (channels, height, width).
One call replaces four passes of NumPy over a small image. The numbers are those of the separate steps, each rounded:
(x / 255 - mean) / std.
"""

import ctypes
import functools

from .. import api as rl
from ..codegen.cpu.rows import pixels
from ..core.layout import contiguous_layout
from ..core.storage import new_storage
from ..core.tensor import view
from ..core.device import CPU
from ..runtime.cpu import jit, memory


def scale(data, height, width, channels, statistics):
    """The tensor of `data` (bytes). `statistics`: the result of `statistics_of`."""
    layout = contiguous_layout((channels, height, width), rl.float32)
    storage = new_storage(layout.nbytes, CPU)
    storage.block = memory.allocate(layout.nbytes)
    storage.address = storage.block.address
    _native()(data, storage.address, height * width, channels, statistics)
    return view(storage, layout, 0)


@functools.lru_cache(maxsize=64)
def statistics_of(mean, std, channels):
    """mean and std (tuples of one or `channels` numbers) for `scale`; None where their number does not fit, or a std is
    zero."""
    if len(mean) not in (1, channels) or len(std) not in (1, channels):
        return None
    pairs = [(float(mean[c % len(mean)]), float(std[c % len(std)])) for c in range(channels)]
    found = (ctypes.c_float * (2 * channels))(*[number for pair in pairs for number in pair])
    return found if all(found[1::2]) else None


@functools.cache
def _native():
    """The compiled function of (bytes, address of the result, pixels, channels, statistics)."""
    name = pixels.SCALE
    address = jit.compile_text(pixels.scale_text(), [name])[name]
    return ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
                            ctypes.c_void_p)(address)
