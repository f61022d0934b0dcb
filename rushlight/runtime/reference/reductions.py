"""Reductions over NumPy: `reduce` gives (values,) or (values, positions), without the reduced dimensions. Floats are
summed in double precision, so that the order does not matter."""

import math

from ...base.lazy import numpy as np
from .handler import Value


def flat(array, dims):
    """The array with the reduced dimensions as its last one, in row-major order."""
    kept = [d for d in range(array.ndim) if d not in dims]
    moved = array.transpose(*kept, *dims)
    return moved.reshape(*[array.shape[d] for d in kept], math.prod([array.shape[d] for d in dims]))


WIDE = {"f": "float64", "c": "complex128"}


def combined(ufunc):
    """A sum or product, of floats in double precision."""
    def reduce(array, dims):
        wide = WIDE.get(array.dtype.kind, array.dtype)
        return (getattr(np, ufunc).reduce(flat(array, dims), -1, dtype=wide).astype(array.dtype),)
    return reduce


def truth(ufunc):
    def reduce(array, dims):
        return (getattr(np, ufunc).reduce(flat(array != 0, dims), -1),)
    return reduce


def lowest(kind):
    """The smallest value of a NumPy type."""
    return -np.inf if kind.kind == "f" else False if kind.kind == "b" else np.iinfo(kind).min


def highest(kind):
    return np.inf if kind.kind == "f" else True if kind.kind == "b" else np.iinfo(kind).max


def extreme(ufunc, first):
    """The largest or smallest value; that of no elements is the opposite end of the type."""
    def reduce(array, dims):
        return (getattr(np, ufunc).reduce(flat(array, dims), -1, initial=first(array.dtype)),)
    return reduce


def position(ufunc, where):
    """The largest or smallest value and where it is first; NaN wins."""
    def reduce(array, dims):
        rows = flat(array, dims)
        at = getattr(np, where)(rows, -1)
        return np.take_along_axis(rows, np.expand_dims(at, -1), -1)[..., 0], at
    return reduce


def top(array, dims):
    """The largest value that is not NaN."""
    return (np.fmax.reduce(flat(array, dims), -1, initial=lowest(array.dtype)),)


TABLE = {
    "sum": combined("add"), "prod": combined("multiply"), "any": truth("logical_or"), "all": truth("logical_and"),
    "max": extreme("maximum", lowest), "min": extreme("minimum", highest), "top": top,
    "argmax": position("maximum", "argmax"), "argmin": position("minimum", "argmin"),
}


def reduce(k, op, value, dims):
    """The results of a reduction of a value, in its dtype."""
    if not callable(op.combine):
        return TABLE[op.combine](value.array, dims)
    rows = np.moveaxis(flat(value.array, dims), -1, 0)
    total = Value(k, value.dtype, np.full(rows.shape[1:], op.start, rows.dtype))
    for row in rows:
        total = op.combine(k, total, Value(k, value.dtype, row))
    return (total.array,)
