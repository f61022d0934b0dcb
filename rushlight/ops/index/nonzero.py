"""What depends on data for its size: nonzero, argwhere, count_nonzero, masked_select. They wait for the values (sync
points)."""

import math

from ...core import dtype as dt
from ...core.declare import REGISTRY, public
from ...core.kinds import Kernel
from ...core.layout import broadcast_shapes
from ...core.record import record
from ...core.tensor import Tensor
from ..basic.creation import empty, full
from ..basic.fetch import into_apart

COUNT = Kernel("count_blocks", lower="rows.compress:lower_count", reads="any")
NONZERO = Kernel("nonzero", lower="rows.compress:lower_compress", reads="any")
MASKED_SELECT = Kernel("masked_select", lower="rows.compress:lower_compress", reads="any")
BLOCK, MOST_BLOCKS = 16384, 64  # elements of a block of a mask; most blocks


def count_true(mask):
    """(number of true elements as a Python int, counts of the blocks of the mask as a tensor). Sync point."""
    found = mask._layout
    shape = found.shape or (1,)
    rows = found.numel // shape[-1] if shape[-1] else 0
    wanted = max(1, min(MOST_BLOCKS, found.numel // BLOCK))
    blocks = min(wanted, rows if rows > 1 else wanted)
    counts = record(COUNT, "t", (("out", (((blocks,), dt.int64),)),), (mask,))[0]
    return int(counts.sum().item()), counts


def check_places(name, out):
    """RuntimeError for an `out` that cannot hold positions."""
    if out is not None and out.dtype is not dt.int64:
        raise RuntimeError(f"{name}: Expected out tensor to have scalar type Long, but got scalar type "
                           f"{dt.scalar_type(out.dtype)}")


@public("nonzero", out=False)
def nonzero(input, *, as_tuple=False, out=None):
    """Return the positions of all elements that are different from zero, in order.

    This waits for the values, as the shape of the result depends on them.

    Args:
        input (Tensor): any shape and dtype.
        as_tuple (bool): whether there is one vector for each dimension, as indexing takes them.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor or tuple of Tensor: int64, (count, dimensions), or a vector for each dimension.

    Raises:
        TypeError: `input` is not a tensor.

    Example:
        >>> torch.nonzero(torch.tensor([[0, 1], [2, 0]]))
        tensor([[0, 1],
                [1, 0]])
    """
    check_places("nonzero", out)
    if input._layout.dtype.is_complex:
        input = input.detach() != 0
    found = input._layout
    if as_tuple and not found.ndim:
        input, found = input.detach().unsqueeze(0), input.detach().unsqueeze(0)._layout
    if not found.numel or not found.ndim:
        count = int(found.numel and bool(input.item()))
        positions = empty((found.ndim, count), dtype=dt.int64, device=input.device)
    else:
        count, counts = count_true(input)
        attrs = (("mode", "positions"), ("out", (((found.ndim, count), dt.int64),)))
        positions = record(NONZERO, "tt", attrs, (input, counts))[0]
    if as_tuple:
        return positions.unbind(0)
    result = positions.t()
    return result if out is None else out._make_room(result.shape).copy_(result)


@public("nonzero_static", out=False)
def nonzero_static(input, *, size, fill_value=-1, out=None):
    """`nonzero` cut or filled up with `fill_value` to `size` rows."""
    check_places("nonzero_static", out)
    if size < 0:
        raise RuntimeError("nonzero_static: 'size' must be an non-negative integer")
    found = nonzero(input)[:size]
    result = full((size, input._layout.ndim), fill_value, dtype=dt.int64, device=input.device)
    result[:found._layout.shape[0]] = found
    return result if out is None else out._make_room(result._layout.shape).copy_(result)


@public("argwhere", out=False)
def argwhere(input):
    """Return the positions of all elements that are different from zero, in order.

    Args:
        input (Tensor): any shape and dtype.

    Returns:
        Tensor: int64, (count, dimensions).

    Raises:
        AttributeError: `input` is not a tensor.

    Example:
        >>> torch.argwhere(torch.tensor([0, 5, 0, 7]))
        tensor([[1],
                [3]])
    """
    return nonzero(input)


def _select_back(g, shape, mask):
    zeros = REGISTRY["zeros"](tuple(shape), dtype=g.dtype, device=g.device)
    return REGISTRY["Tensor.masked_scatter"](zeros, mask, g)


@public("Tensor._masked_select", grad={"input": _select_back}, node="MaskedSelectBackward0", out=False)
def select_masked(input, shape, mask):
    """The elements of `input` where `mask` of the same shape holds."""
    if input._layout.contiguous and mask._layout.contiguous:
        input, mask = input.reshape(-1), mask.reshape(-1)
    if not input._layout.numel:
        return empty(0, dtype=input.dtype, device=input.device)
    count, counts = count_true(mask)
    attrs = (("mode", "values"), ("out", (((count,), input._layout.dtype),)))
    return record(MASKED_SELECT, "ttt", attrs, (mask, counts, input))[0]


@public("Tensor._index_masked", grad={"input": _select_back}, node="IndexBackward0", out=False)
def index_masked(input, shape, mask):
    """`input[mask]` for a mask of the same shape."""
    return select_masked(input, shape, mask)


@public("masked_select", out=False)
def masked_select(input, mask, *, out=None):
    """Return the elements where `mask` holds, as a vector. This waits for the values of the mask.

    Args:
        input (Tensor): any shape and dtype.
        mask (Tensor): bool, a shape that broadcasts with that of `input`.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: a vector of the dtype of `input`.

    Raises:
        RuntimeError: `mask` is not bool, or the shapes do not broadcast.

    Example:
        >>> x = torch.tensor([1, 2, 3, 4])
        >>> torch.masked_select(x, x > 2)
        tensor([3, 4])
    """
    if out is not None:
        return into_apart("masked_select", masked_select, out, input, mask)
    if mask._layout.dtype is not dt.bool_:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    shape = broadcast_shapes(input._layout.shape, mask._layout.shape) or (1,)
    input, mask = input.expand(shape), mask.expand(shape)
    return select_masked(input, input._layout.shape, mask)


@public("torch.unravel_index", out=False)
def unravel_index(indices, shape):
    """Return the positions in each dimension that belong to flat positions.

    Args:
        indices (Tensor): integers, any shape.
        shape (int or tuple of int): the sizes that the positions are in.

    Returns:
        tuple of Tensor: for each dimension a tensor in the shape of `indices`.

    Raises:
        TypeError: `indices` are not integers.

    Example:
        >>> torch.unravel_index(torch.tensor([5, 2]), (2, 3))
        (tensor([1, 0]), tensor([2, 2]))
    """
    if not isinstance(indices, Tensor) or indices.dtype.category != dt.INTEGRAL:
        raise TypeError("expected 'indices' to be integer dtype, but got "
                        f"{indices.dtype if isinstance(indices, Tensor) else type(indices).__name__}")
    sizes = (shape,) if hasattr(shape, "__index__") else tuple(shape)
    if any(not hasattr(n, "__index__") for n in sizes):
        raise TypeError("expected 'shape' to be int or sequence of ints")
    if any(n < 0 for n in sizes):
        raise ValueError(f"'shape' cannot have negative values, but got {tuple(sizes)}")
    steps = [math.prod(sizes[d + 1:]) for d in range(len(sizes))]
    indices = indices.long()
    return tuple([indices.div(step, rounding_mode="floor") % n for step, n in zip(steps, sizes)])
