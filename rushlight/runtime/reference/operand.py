"""Tensor operands that a gathering body reads at positions of its own choice."""

from ...base.lazy import numpy as np
from ...core import dtype as dt
from .handler import Value


class Operand:
    """A tensor operand of a gathering body."""

    def __init__(self, k, value):
        self.k, self.dtype, self.array = k, value.dtype, value.array
        self.shape = [Value(k, dt.int64, n) for n in self.array.shape]

    def load(self, index, mask=None, other=0):
        """The elements at `index` (a list of int64 values, all in range), or `other` where `mask` is false."""
        places = [i.array if isinstance(i, Value) else np.asarray(i) for i in index]
        if mask is None:
            return Value(self.k, self.dtype, self.array[tuple(places)])
        filler = self.k.const(other, self.dtype)
        if not self.array.size:
            shape = np.broadcast_shapes(mask.array.shape, *[p.shape for p in places])
            return Value(self.k, self.dtype, np.broadcast_to(filler.array, shape))
        loaded = self.array[tuple([np.where(mask.array, p, 0) for p in places])]
        return self.k.where(mask, Value(self.k, self.dtype, loaded), filler)

    def checked(self, index, dim, code="index"):
        """An index of dimension `dim`, negative ones counted from the end; reports those out of range."""
        k, size = self.k, self.shape[dim]
        wrapped = k.where(index < 0, index + size, index)
        k.report(k.logical_or(wrapped < 0, wrapped >= size).array, code)
        return wrapped
