"""Bytes of pictures as scaled float tensors, in one pass of generated code.

In: the bytes of a picture (height, width, channels) and what to subtract from and divide each channel by. Out: a
float32 tensor (channels, height, width). One call replaces four passes of NumPy over a small image; the numbers are
those of the separate steps, each rounded: (x / 255 - mean) / std.
"""

import ctypes
import functools

from .. import api as rl
from ..codegen.ir.builder import Module
from ..core.layout import contiguous_layout
from ..core.storage import new_storage
from ..core.tensor import view
from ..core.device import CPU
from ..runtime.cpu import jit, memory

NAME, LANES = "rushlight_scale_samples", 16


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
    address = jit.compile_text(_text(), [NAME])[NAME]
    return ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
                            ctypes.c_void_p)(address)


def _text():
    module = Module()
    fn = module.function(NAME, [("ptr", "samples"), ("ptr", "out"), ("i64", "pixels"), ("i64", "channels"),
                                ("ptr", "statistics")])
    samples, out, pixels, channels, statistics = fn.args

    def scaled(value, kind, mean, std):
        """One vector or sample: bytes to floats."""
        return (fn.cast("uitofp", value, kind) / fn.constant(255.0, kind) - fn.convert(mean, kind)) / fn.convert(
            std, kind)
    wide = f"<{LANES} x float>"
    with fn.loop(0, channels) as channel:
        mean = fn.load_at(statistics, channel * 2, "float")
        std = fn.load_at(statistics, channel * 2 + 1, "float")
        source, target = fn.gep(samples, channel), fn.gep(out, channel * pixels, "float")
        whole = pixels & -LANES

        def neighbours():
            with fn.loop(0, whole, LANES) as i:
                fn.store_vector(scaled(fn.load_vector(source, i, "i8", LANES), wide, mean, std), target, i)

        def strided():
            with fn.loop(0, whole, LANES) as i:
                value = fn.poison(f"<{LANES} x i8>")
                for lane in range(LANES):
                    value = fn.insert(value, fn.load(fn.gep(source, (i + lane) * channels), "i8"), lane)
                fn.store_vector(scaled(value, wide, mean, std), target, i)
        fn.if_else(channels.eq(1), neighbours, strided)
        with fn.loop(whole, pixels) as i:
            fn.store_at(scaled(fn.load(fn.gep(source, i * channels), "i8"), "float", mean, std), target, i)
    fn.ret()
    return module.text()
