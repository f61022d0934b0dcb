"""Host instructions: operators that a library computes on arrays (sorting, FFT, linear algebra on the CPU).

The body gets NumPy arrays that view the operands and results in place: `body(outs, ins, numbers, **attrs)` writes into
`outs`. bfloat16 operands come as float32 copies and results are rounded back, since NumPy has no such type.
"""

import ctypes

from ..base.lazy import numpy as np

from ..core import dtype as dt


def array_at(address, layout, offset):
    """An array over memory, with the layout's strides; values of a flipped type as they lie there."""
    size = layout.dtype.itemsize
    if not layout.numel:
        return np.empty(tuple(layout.shape), layout.dtype.numpy or np.float32)
    raw = (ctypes.c_char * layout.nbytes).from_address(address + offset * size)
    kind = layout.dtype.numpy if layout.dtype is not dt.bfloat16 else np.dtype("u2")
    flat = np.frombuffer(raw, kind)
    return np.lib.stride_tricks.as_strided(flat, tuple(layout.shape), tuple(s * size for s in layout.strides))


def flipped(values):
    """Convert values of a flipped type from their stored form, or back (Note [Flipped types] in core/dtype.py)."""
    return np.conj(values) if np.iscomplexobj(values) else -values


def values_at(address, layout, offset):
    """The values of a layout in memory: an array over it, or a copy where they are not stored as they are."""
    found = array_at(address, layout, offset)
    if layout.dtype is dt.bfloat16:
        return from_bfloat(found)
    return found if layout.dtype.plain is layout.dtype else flipped(found)


def from_bfloat(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def to_bfloat(values):
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(values), 0x7FC0, rounded).astype(np.uint16)


def call(instruction, slots, scalars, places, arena):
    """Run a host instruction."""
    def address(ref):
        place = places.get(ref[0])
        return slots[ref[0]].address if place is None else arena.address + place

    ins = [from_bfloat(array) if ref[1].dtype is dt.bfloat16 else array for ref, array in
           [(ref, array_at(address(ref), *ref[1:])) for ref in instruction.ins]]
    outs = [array_at(address(ref), *ref[1:]) for ref in instruction.outs]
    given = [np.empty(o.shape, np.float32) if ref[1].dtype is dt.bfloat16 else o for o, ref in zip(outs,
                                                                                                   instruction.outs)]
    numbers = [scalars[a[1]] for a in instruction.args if a[0] == "num"]
    attrs = {k: v for k, v in instruction.attrs if k != "out"}
    with np.errstate(all="ignore"):  # NumPy's warnings about infinities and NaN would be the user's
        instruction.op.body(given, ins, numbers, **attrs)
    for out, values, ref in zip(outs, given, instruction.outs):
        if ref[1].dtype is dt.bfloat16:
            out[...] = to_bfloat(values)
