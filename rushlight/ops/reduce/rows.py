"""Sums and means over dimensions that stay, in the dtype of computation: what softmax, norms and statistics share."""

import math

from ...core.graph import MODE
from .reduce import SUM, reduce_


def total(input, dims, keepdim=True):
    """The sum over `dims` (a sorted tuple) in the input's own dtype."""
    return reduce_(SUM, input, dims, keepdim, input.dtype)[0]


def wide(input):
    """The tensor in the dtype that kernels compute in."""
    return input if input.dtype.compute is input.dtype else input._cast(input.dtype.compute)


def narrow(value, dtype):
    """The tensor in a dtype of results, which is often the one it has."""
    return value if value.dtype is dtype else value._cast(dtype)


def row_sum(x, dims):
    """The sum over `dims`, which stay with size 1, in the dtype of computation."""
    if MODE.grad:
        return wide(x).sum(dims, keepdim=True)
    return reduce_(SUM, x, dims, True, x._layout.dtype.compute)[0]


def mean_of(x, dims):
    """The mean over `dims`, which stay with size 1."""
    count = math.prod([x._layout.shape[d] for d in dims])
    return row_sum(x, dims) * (1.0 / count if count else math.nan)
