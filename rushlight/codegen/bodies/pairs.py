"""Complex values in memory: parts interleaved, loaded into two registers and stored from them.

In: the emitter of a loop kernel, a pointer, how the access walks the lanes (see LoopSpec). A contiguous access is one
load of twice as many lanes, whose even and odd ones are the parts; LLVM makes shuffles of it.
"""

from ...core import dtype as dt
from ..ir.builder import BITS, vector
from .handler import STORED, Typed, stored_type


def addressed_type(dtype):
    """The LLVM type that steps from element to element of an array in memory."""
    return f"[2 x {part_type(dtype)}]" if dtype.category == dt.COMPLEX else stored_type(dtype)


def moved_type(dtype):
    """(the LLVM type of an element that is moved as it is, its alignment)."""
    if dtype.category != dt.COMPLEX:
        return stored_type(dtype), dtype.itemsize
    return ("double" if dtype.itemsize == 8 else "<2 x double>"), dtype.itemsize // 2


def part_type(dtype):
    return STORED[dtype.to_real().name]


def part_pointers(fn, dtype, pointer):
    """The addresses of both parts of an element."""
    return pointer, fn.gep(pointer, dtype.itemsize // 2)


def twice(fn, mask):
    """A mask for the interleaved parts."""
    width = int(mask.type[1:].split(" ")[0])
    return fn.shuffle(mask, mask, [lane // 2 for lane in range(2 * width)])


def load(emitter, dtype, pointer, mode, strides, handler):
    """The complex value at `pointer`, in lanes that lie as `mode` says."""
    fn, kind, width = emitter.fn, part_type(dtype), handler.width
    align = BITS[kind] // 8
    if mode == 0 or width == 1:
        return handler.pair_from_memory(dtype, *[fn.load(p, kind, align) for p in part_pointers(fn, dtype, pointer)])
    if mode == 1:
        both = vector(kind, 2 * width)
        if handler.mask is None:
            loaded = fn.load(pointer, both, align)
        else:
            loaded = emitter.masked_load(pointer, both, align, twice(fn, handler.mask))
        return handler.pair_from_memory(dtype, *[fn.shuffle(loaded, loaded, range(at, 2 * width, 2)) for at in (0, 1)])
    parts = [fn.poison(vector(kind, width)) for _ in range(2)]
    for lane in range(width):
        places = part_pointers(fn, dtype, fn.gep(pointer, strides[-1] * lane))
        parts = [fn.insert(v, fn.load(p, kind, align), lane) for v, p in zip(parts, places)]
    return handler.pair_from_memory(dtype, *parts)


def store(emitter, dtype, pointer, value, mode, strides, handler):
    """Write a complex value as `load` reads it."""
    fn, kind, width = emitter.fn, part_type(dtype), handler.width
    align = BITS[kind] // 8
    imag = value.imag if dtype.plain is dtype else -value.imag
    parts = [part.vector_value() for part in (value.real, imag)]
    if width == 1:
        for part, place in zip(parts, part_pointers(fn, dtype, pointer)):
            fn.store(part, place, align)
        return
    parts = [fn.splat(part, width) for part in parts]
    if mode in (0, 1):
        both = fn.shuffle(*parts, [lane // 2 + lane % 2 * width for lane in range(2 * width)])
        if handler.mask is None:
            fn.store(both, pointer, align)
        else:
            emitter.masked_store(both, pointer, align, twice(fn, handler.mask))
        return
    for lane in range(width):
        places = part_pointers(fn, dtype, fn.gep(pointer, strides[-1] * lane))
        for part, place in zip(parts, places):
            fn.store(fn.extract(part, lane), place, align)


class RandomPairs:
    """A complex operand that a gathering body reads at positions of its own choice: one RandomOperand a part."""

    def __init__(self, operand, emitter, handler, dtype, pointer, sizes, strides, unit):
        self.k, self.dtype, self.stored = handler, dtype.plain, dtype
        part = dtype.to_real()
        self.parts = [operand(emitter, handler, part, p, sizes, strides, False)
                      for p in part_pointers(emitter.fn, dtype, pointer)]
        self.shape, self.checked = self.parts[0].shape, self.parts[0].checked

    def load(self, index, mask=None, other=0):
        """The element at `index`, or `other` where `mask` is false."""
        others = (other.real, other.imag)
        real, imag = [part.load(index, mask, default) for part, default in zip(self.parts, others)]
        if self.stored is not self.dtype:
            imag = -imag
        assert isinstance(real, Typed)
        return self.k.complex(real, imag)
