"""Stored operands as values, and values as stored results."""

from ....base.lazy import numpy as np
from ..handler import Handler, Value

K = Handler(None)


def values(instruction, ins):
    """The operands as arrays of the types that are computed in."""
    return [K.from_memory(layout.dtype, array).array for (_, layout, _), array in zip(instruction.ins, ins)]


def wide(array):
    """Floats in double precision; integers stay."""
    return array.astype({"f": np.float64, "c": np.complex128}.get(array.dtype.kind, array.dtype))


def save(instruction, outs, number, array):
    """Round an array to the dtype of a result and write it there."""
    dtype = instruction.outs[number][1].dtype
    outs[number][...] = K.to_memory(Value(K, computing(dtype), np.asarray(array).astype(computing(dtype).numpy)), dtype)


def computing(dtype):
    return dtype.plain.compute


def numbers_of(instruction, numbers):
    """The number arguments of an instruction, in order."""
    return [numbers[arg[1]] for arg in instruction.args if arg[0] == "num"]


def in_memory_order(array):
    """A view of a dense array as a vector, in the order of its memory."""
    order = sorted(range(array.ndim), key=lambda d: (-array.strides[d], array.shape[d] > 1))
    flat = array.transpose(order).view()
    flat.shape = (array.size,)  # fails where that would need a copy
    return flat
