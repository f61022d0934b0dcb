"""Grids and common shapes: meshgrid, cartesian products, combinations, atleast_*d, broadcast_tensors and
broadcast_shapes.
"""

import itertools

from ...base.lazy import numpy as np
from ...core import dtype as dt
from ...core.declare import public
from ...core.layout import Size
from ...core.layout import broadcast_shapes as common_shape
from ...core.layout import layout as make_layout
from .creation import empty, index_tensor
from .shape import stack, tensor_list


@public("torch.meshgrid", out=False)
def meshgrid(*tensors, indexing=None):
    """Return the coordinates of a grid, as one tensor for each of its axes.

    Args:
        tensors (Tensor): vectors or 0-dim tensors with the coordinates along each axis.
        indexing (str, optional): "ij" (default) has the axes in order, "xy" exchanges the first two.

    Returns:
        tuple of Tensor: views that have the shape of the grid.

    Raises:
        RuntimeError: a tensor with more than one dimension, or different dtypes.

    Example:
        >>> rows, columns = torch.meshgrid(torch.tensor([1, 2]), torch.tensor([3, 4, 5]), indexing="ij")
        >>> rows, columns
        (tensor([[1, 1, 1],
                [2, 2, 2]]), tensor([[3, 4, 5],
                [3, 4, 5]]))
    """
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tensors[0]
    tensors = tensor_list("meshgrid", tensors)
    if not tensors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    for t in tensors:
        if t.dim() > 1:
            raise RuntimeError(
                f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {t.dim()}D tensor"
            )
        if t.dtype is not tensors[0].dtype:
            raise RuntimeError("torch.meshgrid expects all tensors to have the same dtype")
    swap = indexing == "xy" and len(tensors) >= 2
    if swap:
        tensors[0], tensors[1] = tensors[1], tensors[0]
    shape = [t.numel() for t in tensors]
    grids = [
        t.reshape([n if d == i else 1 for d in range(len(shape))]).expand(shape)
        for i, (t, n) in enumerate(zip(tensors, shape))
    ]
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


@public("torch.cartesian_prod", out=False)
def cartesian_prod(*tensors):
    """Return all combinations of the elements of vectors, as rows.

    Args:
        tensors (Tensor): vectors of one dtype.

    Returns:
        Tensor: (product of the sizes, number of vectors), or the vector itself if there is one.

    Raises:
        RuntimeError: a tensor that is not a vector.

    Example:
        >>> torch.cartesian_prod(torch.tensor([1, 2]), torch.tensor([4, 5]))
        tensor([[1, 4],
                [1, 5],
                [2, 4],
                [2, 5]])
    """
    for t in tensors:
        if t.dim() != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(t.shape)}")
    if len(tensors) == 1:
        return tensors[0]
    return stack([g.reshape(-1) for g in meshgrid(*tensors, indexing="ij")], 1)


@public("torch.combinations", out=False)
def combinations(input, r=2, with_replacement=False):
    """Return all subsets of `r` elements of a vector, as rows.

    Args:
        input (Tensor): a vector.
        r (int): how many elements a subset has.
        with_replacement (bool): whether an element may be there several times.

    Returns:
        Tensor: (number of subsets, r), ordered by the positions of their elements.

    Raises:
        RuntimeError: `input` is not a vector, or `r` is negative.

    Example:
        >>> torch.combinations(torch.tensor([1, 2, 3]))
        tensor([[1, 2],
                [1, 3],
                [2, 3]])
    """
    if input.dim() != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return empty(0, dtype=input.dtype, device=input.device)
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = np.array(list(choose(range(input.numel()), r)), np.int64).reshape(-1, r)
    index = index_tensor(rows).to(input.device)
    return input.index_select(0, index.reshape(-1)).reshape(-1, r)


def for_all(convert, tensors):
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tensors[0]
        return tuple([convert(t) for t in tensors])
    if len(tensors) == 1:
        return convert(tensors[0])
    return tuple([convert(t) for t in tensors])


@public("torch.atleast_1d", out=False)
def atleast_1d(*tensors):
    """Return views with at least one dimension.

    Args:
        tensors (Tensor or sequence of Tensor): any shapes.

    Returns:
        Tensor or tuple of Tensor: views, or the tensors themselves.

    Raises:
        TypeError: an argument is not a tensor.

    Example:
        >>> torch.atleast_1d(torch.tensor(5))
        tensor([5])
    """
    return for_all(lambda t: t.reshape(1) if t.dim() == 0 else t, tensors)


@public("torch.atleast_2d", out=False)
def atleast_2d(*tensors):
    """Return views with at least two dimensions; vectors become rows.

    Args:
        tensors (Tensor or sequence of Tensor): any shapes.

    Returns:
        Tensor or tuple of Tensor: views, or the tensors themselves.

    Raises:
        TypeError: an argument is not a tensor.

    Example:
        >>> torch.atleast_2d(torch.tensor([1, 2]))
        tensor([[1, 2]])
    """
    return for_all(lambda t: t.reshape(1, 1) if t.dim() == 0 else t.unsqueeze(0) if t.dim() == 1 else t, tensors)


def _three(t):
    if t.dim() == 0:
        return t.reshape(1, 1, 1)
    if t.dim() == 1:
        return t.unsqueeze(0).unsqueeze(-1)
    return t.unsqueeze(-1) if t.dim() == 2 else t


@public("torch.atleast_3d", out=False)
def atleast_3d(*tensors):
    """Return views with at least three dimensions; vectors become matrices of one row and one layer.

    Args:
        tensors (Tensor or sequence of Tensor): any shapes.

    Returns:
        Tensor or tuple of Tensor: views, or the tensors themselves.

    Raises:
        TypeError: an argument is not a tensor.

    Example:
        >>> torch.atleast_3d(torch.tensor([1, 2])).shape
        torch.Size([1, 2, 1])
    """
    return for_all(_three, tensors)


@public("torch.broadcast_tensors", out=False)
def broadcast_tensors(*tensors):
    """Return views of all tensors in their common shape.

    Args:
        tensors (Tensor): shapes that broadcast with one another.

    Returns:
        tuple of Tensor: views; elements that repeat share memory.

    Raises:
        RuntimeError: the shapes do not broadcast.

    Example:
        >>> x, y = torch.broadcast_tensors(torch.tensor([1, 2]), torch.tensor([[3], [4]]))
        >>> x, y
        (tensor([[1, 2],
                [1, 2]]), tensor([[3, 3],
                [4, 4]]))
    """
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tensors[0]
    shape = common_shape(*[t._layout.shape for t in tensors])
    return tuple([t.expand(shape) for t in tensors])


@public("torch.broadcast_shapes", out=False)
def broadcast_shapes(*shapes):
    """Return the shape that all the shapes broadcast to.

    Args:
        shapes (tuple of int or int): sizes; a missing size, or 1, takes the size of the others.

    Returns:
        Size: the common shape.

    Raises:
        RuntimeError: two sizes that are not 1 differ.

    Example:
        >>> torch.broadcast_shapes((3, 1), (4,))
        torch.Size([3, 4])
    """
    shapes = [(s,) if hasattr(s, "__index__") else tuple(s) for s in shapes]
    if any(n < 0 for s in shapes for n in s):
        raise RuntimeError("Trying to create tensor with negative dimension")
    try:
        return Size(make_layout(common_shape(*shapes), (0,) * max(map(len, shapes), default=0), dt.bool_).shape)
    except RuntimeError:
        raise RuntimeError("Shape mismatch: objects cannot be broadcast to a single shape") from None
