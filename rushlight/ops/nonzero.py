"""What depends on data for its size: nonzero, argwhere, count_nonzero, masked_select. They wait for the values (sync
points)."""

import numpy as np

from ..core import dtype as dt
from ..core import infer as rules
from ..core.declare import REGISTRY, operator, public
from ..core.layout import broadcast_shapes
from ..core.record import record


def _nonzero_body(outs, ins, numbers):
    found = np.nonzero(np.atleast_1d(ins[0])) if ins[0].ndim else ()
    for row, positions in zip(outs[0], found):
        row[...] = positions


NONZERO = operator("nonzero", "host", rules.explicit, _nonzero_body)


def count_true(mask):
    """How many elements differ from zero, as a Python int."""
    if mask._layout.dtype is not dt.bool_:
        mask = mask != 0
    return int(mask.sum().item())


@public("nonzero", out=False)
def nonzero(input, *, as_tuple=False, out=None):
    """The positions of elements that differ from zero: a (count, ndim) tensor, or with `as_tuple` one tensor per
    dimension."""
    found = input._layout
    if as_tuple and not found.ndim:
        input, found = input.detach().unsqueeze(0), input.detach().unsqueeze(0)._layout
    count = count_true(input.detach())
    positions = record(NONZERO, "t", (("out", (((found.ndim, count), dt.int64),)),), (input,))[0]
    if as_tuple:
        return positions.unbind(0)
    result = positions.t()
    return result if out is None else out.resize_(result.shape).copy_(result)


@public("argwhere", out=False)
def argwhere(input):
    """The positions of elements that differ from zero as a (count, ndim) tensor."""
    return nonzero(input)


def _select_back(g, shape, mask):
    zeros = REGISTRY["zeros"](tuple(shape), dtype=g.dtype, device=g.device)
    return REGISTRY["Tensor.masked_scatter"](zeros, mask, g)


@public("Tensor._masked_select", grad={"input": _select_back}, node="MaskedSelectBackward0", out=False)
def select_masked(input, shape, mask):
    """The elements of `input` where `mask` of the same shape holds."""
    return REGISTRY["Tensor._index"](input, [mask] if mask._layout.ndim else [mask.unsqueeze(0)])


@public("masked_select")
def masked_select(input, mask):
    """The elements where `mask` holds, as a 1-d tensor; both are broadcast. Sync point."""
    if mask._layout.dtype is not dt.bool_:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    shape = broadcast_shapes(input._layout.shape, mask._layout.shape) or (1,)
    input, mask = input.expand(shape), mask.expand(shape)
    return select_masked(input, input._layout.shape, mask)
