"""CRC-32, the checksum of zip archives, as `zlib.crc32` computes it and up to ten times as fast.

Used by reader.py and writer.py, where it decides how long a large checkpoint takes.
Read codegen/cpu/rows/checksum.py for the native code.
"""

import ctypes
import functools
import sys
import zlib

from ..base.lazy import Lazy
from ..base.lazy import numpy as np
from ..runtime.cpu import cpuinfo, jit

LARGE = 1 << 20  # less is not worth a call
WORTH_A_COMPILER = 128 << 20  # what is worth loading LLVM when the program has not done so yet
code = Lazy(f"{__package__.partition('.')[0]}.codegen.cpu.rows.checksum")


def crc32(data, value=0, total=0):
    """The checksum of a bytes-like object, `value` being that of what went before.

    `total`: how many bytes the caller is going to check altogether, if it knows.
    """
    view = memoryview(data)
    if view.nbytes < LARGE or not _is_worth_it(max(total, view.nbytes)):
        return zlib.crc32(view, value)
    function = _native()
    if function is None:
        return zlib.crc32(view, value)
    array = np.frombuffer(view, dtype=np.uint8)
    blocks = array.size // code.BLOCK
    rest = (ctypes.c_char * 16)()
    function(array.ctypes.data, blocks, ~value & 0xFFFFFFFF, ctypes.addressof(rest))
    # zlib's own state is the complement of what it takes and returns: this one begins with nothing.
    return zlib.crc32(view[blocks * code.BLOCK:], zlib.crc32(rest.raw, 0xFFFFFFFF))


def _is_worth_it(total):
    return total >= WORTH_A_COMPILER or "llvmlite.binding" in sys.modules


@functools.cache
def _native():
    """The compiled function; None on a processor without carry-less multiplication."""
    if cpuinfo.architecture() != "x86_64" or not cpuinfo.has("pclmul"):
        return None
    address = jit.compile_text(code.text(), [code.SYMBOL])[code.SYMBOL]
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32, ctypes.c_void_p)
    return kind(address)

