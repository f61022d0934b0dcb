"""Gives hot functions of core/ their native forms, once the native code is there.

See runtime/cpu/native_record.py for the code.
"""

import ctypes
import struct

from ..core import record, stream
from ..core.storage import INFERRING, UNTRACKED, Storage
from ..core.stream import STREAM
from ..core.tensor import Tensor
from ..runtime.cpu import executor, native_record, native_writer

WORD = 8
OBJECTS = dict(zip(native_writer.CONTEXT, (STREAM, Tensor, Storage, None, True, False, 0, STREAM.acquire,
                                           STREAM.release, float, "out", 1, INFERRING,
                                           UNTRACKED, (False,))))  # which keeps them alive


def plain_fill(address, slots, arena, numbers, words):
    """Fill a table of addresses and numbers: the address of its error word, the storages, the address of temporaries,
    the operators' numbers, how many words of progress stand before the error word. struct.error or OverflowError if a
    number does not fit."""
    formats = "".join(["d" if n.__class__ is float else "q" for n in numbers])
    packed = struct.pack(f"={WORD * (words + 1)}x{len(slots) + 1}q{formats}", *[s.address for s in slots], arena,
                         *numbers)
    ctypes.memmove(address - WORD * words, packed, len(packed))


fill = plain_fill


def install():
    """Let the native functions take the place of their Python forms, where this interpreter has them."""
    global fill
    place = executor.code().get("record_place")
    if place is None:
        return
    context = (ctypes.c_void_p * len(OBJECTS)).from_address(ctypes.CFUNCTYPE(ctypes.c_void_p)(place)())
    context[:] = [id(item) for item in OBJECTS.values()]
    record.quick_unary, record.quick_binary, record.quick_binary_number = map(executor.function,
                                                                              native_record.RECORDERS)
    record.quick_form = executor.function("py_record_form")
    stream.references = executor.function("py_references")
    fill = executor.function("py_fill")


executor.on_start(install)
