"""Order: sort, argsort, msort, topk, kthvalue-like selections, unique, searchsorted, bucketize, isin, histogram counts.

Kernels find positions (codegen/cpu/rows/sort.py: stable radix sorts); values are gathered by them, which also gives the
gradient. NaN counts as the largest number, as in PyTorch.
"""

from ...base.lazy import numpy as np
from ...core import dtype as dt
from ...core.declare import REGISTRY, into_out, public
from ...core.grads import GradRule
from ...core.graph import MODE
from ...core.infer import wrap_dim
from ...core.kinds import Host, Kernel
from ...core.layout import dense_strides_like
from ...core.record import record
from ...core.return_types import named_result
from ...core.tensor import Tensor
from ..basic.creation import empty_like, full, ones, zeros
from ..basic.shape import cat
from ..basic.view import slice_
from ..index.nonzero import nonzero

Sort, TopK = named_result("sort", "values", "indices"), named_result("topk", "values", "indices")


ARGSORT = Kernel("sort_positions", lower="rows.sort:lower_argsort", reads="any")
TOPK = Kernel("topk_positions", lower="rows.sort:lower_topk", reads="any")
MOST_KEPT = 128  # elements up to which topk keeps them in order while it reads; more are sorted


def positions(input, dim, descending):
    """The positions of a stable sort along `dim`, int64."""
    found = input._layout
    if not found.ndim:
        return zeros((), dtype=dt.int64, device=input.device)
    attrs = (("dim", dim), ("descending", bool(descending)), ("out", ((found.shape, dt.int64),)))
    return record(ARGSORT, "t", attrs, (input,))[0]


def _sort_back(g, out1, dim, shape):
    return unsorted(g[0] if isinstance(g, (list, tuple)) else g, out1, dim, shape)


def unsorted(g, indices, dim, shape):
    """The gradient of taking values along `dim` at distinct positions."""
    zeros = REGISTRY["zeros"](tuple(shape), dtype=g.dtype, device=g.device)
    return zeros.scatter(dim, indices, g)


@public("Tensor._sort", grad={"input": _sort_back}, node="SortBackward0", out=False)
def sort_along(input, dim, descending, shape):
    """(values, positions)."""
    indices = positions(input, dim, descending)
    found = input._layout
    if found.contiguous or not shape:
        return input.gather(dim, indices) if shape else input.clone(), indices
    strides = dense_strides_like(found.shape, found.strides)
    keep = REGISTRY["Tensor._to_strides"]
    return keep(input.gather(dim, indices), strides), keep(indices, strides)


def with_outs(name, call, out, args):
    """The pair, or the pair written into the tensors of `out`."""
    return call(*args) if out is None else into_out(name, call, out, args, {})


def check_sortable(name, input):
    if input.dtype.is_complex:
        raise RuntimeError(f"{name}(): input tensor must be of non-complex type")


@public("sort", out=False)
def sort(input, dim=-1, descending=False, *, stable=False, out=None):
    """Return the elements sorted along `dim`, and the positions they came from.

    Equal elements keep their order. NaN is larger than every number.

    Args:
        input (Tensor): any shape; not complex.
        dim (int): the dimension to sort along; the last one by default.
        descending (bool): whether the largest comes first.
        stable (bool): accepted; the order is always stable.
        out (tuple of two Tensors, optional): where the results are written.

    Returns:
        (values, indices): the shape of `input`; indices are int64.

    Raises:
        IndexError: the dimension is out of range.

    Example:
        >>> values, indices = torch.sort(torch.tensor([3, 1, 2]))
        >>> values, indices
        (tensor([1, 2, 3]), tensor([1, 2, 0]))
    """
    return with_outs("sort", _sort, out, (input, dim, descending))


def _sort(input, dim, descending):
    check_sortable("sort", input)
    return Sort(*sort_along(input, wrap_dim(dim, input.dim()), descending, input._layout.shape))


@public("argsort", out=False)
def argsort(input, dim=-1, descending=False, *, stable=False):
    """Return the positions that sort along `dim`.

    Args:
        input (Tensor): any shape; not complex.
        dim (int): the dimension to sort along; the last one by default.
        descending (bool): whether the largest comes first.
        stable (bool): accepted; the order is always stable.

    Returns:
        Tensor: int64, the shape of `input`.

    Raises:
        IndexError: the dimension is out of range.

    Example:
        >>> torch.argsort(torch.tensor([3, 1, 2]), descending=True)
        tensor([0, 2, 1])
    """
    return positions(input, wrap_dim(dim, input.dim()), descending)


@public("msort")
def msort(input):
    """Return the elements sorted along the first dimension.

    Args:
        input (Tensor): any shape; not complex.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape and dtype of `input`.

    Raises:
        TypeError: `input` is not a tensor.

    Example:
        >>> torch.msort(torch.tensor([[3, 1], [2, 4]]))
        tensor([[2, 1],
                [3, 4]])
    """
    return sort(input, 0)[0]


# -- the largest k -----------------------------------------------------------------------------------------------------


@public("Tensor._topk", grad={"input": _sort_back}, node="TopkBackward0", out=False)
def topk_along(input, dim, shape, k, largest, ordered):
    """(values, positions)."""
    found = list(shape)
    if not found:
        return input.clone(), zeros((), dtype=dt.int64, device=input.device)
    found[dim] = k
    if not k or k > MOST_KEPT:
        indices = slice_(positions(input, dim, largest), dim, 0, k, 1).contiguous()
    else:
        attrs = (("k", k), ("dim", dim), ("largest", largest), ("out", ((tuple(found), dt.int64),)))
        indices = record(TOPK, "t", attrs, (input,))[0]
    return input.gather(dim, indices), indices


@public("topk", out=False)
def topk(input, k, dim=-1, largest=True, sorted=True, *, out=None):
    """Return the `k` largest (or smallest) elements along `dim` and their positions.

    Args:
        input (Tensor): any shape; not complex.
        k (int): how many elements.
        dim (int): the dimension to choose along; the last one by default.
        largest (bool): whether the largest or the smallest are chosen.
        sorted (bool): accepted; the results are always in order.
        out (tuple of two Tensors, optional): where the results are written.

    Returns:
        (values, indices): the shape of `input` with size `k` in `dim`; indices are int64.

    Raises:
        RuntimeError: there are fewer than `k` elements along `dim`.

    Example:
        >>> values, indices = torch.topk(torch.tensor([1, 5, 3, 4]), 2)
        >>> values, indices
        (tensor([5, 4]), tensor([1, 3]))
    """
    return with_outs("topk", _topk, out, (input, k, dim, largest, sorted))


def _topk(input, k, dim, largest, sorted):
    check_sortable("topk", input)
    dim = wrap_dim(dim, input.dim())
    k = int(k.item() if isinstance(k, Tensor) else k)
    size = input._layout.shape[dim] if input.dim() else 1
    if not 0 <= k <= size:
        raise RuntimeError("selected index k out of range")
    return TopK(*topk_along(input, dim, input._layout.shape, k, bool(largest), bool(sorted)))



# -- distinct values ---------------------------------------------------------------------------------------------------


def host_tensor(array, dtype, device):
    """An array as a tensor of the dtype on a device, through a host instruction (bfloat16 is rounded there)."""
    attrs = (("array", Once(array)), ("out", ((array.shape, dtype),)))
    return record(GIVEN, "", attrs, (), device=device)[0]


class Once:
    """An array in the attributes of one instruction; no two are equal."""

    def __init__(self, array):
        self.array = array


def _given_body(outs, ins, numbers, array):
    outs[0][...] = array.array


GIVEN = Host("host_values", _given_body)


def found_tensors(values, like, inverse, counts):
    """(values, inverse, counts) as tensors; empty int64 ones for what was not asked. `like`: the input."""
    none, device = np.empty(0, np.int64), like.device
    parts = [none if part is None else part for part in (inverse, counts)]
    return (host_tensor(values, like.dtype, device), *[host_tensor(part, dt.int64, device) for part in parts])


def answer(found, return_inverse, return_counts):
    values, inverse, counts = found
    if return_inverse and return_counts:
        return values, inverse, counts
    if return_inverse:
        return values, inverse
    return (values, counts) if return_counts else values


@public("unique", out=False)
def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """Return the distinct elements, in order. This waits for the values.

    Args:
        input (Tensor): any shape; not complex.
        sorted (bool): accepted; the result is always in order.
        return_inverse (bool): whether to tell where each element is among the distinct ones.
        return_counts (bool): whether to tell how often each one occurs.
        dim (int, optional): the dimension whose slices are compared; elements are by default.

    Returns:
        Tensor, or a tuple of it with the inverse and the counts (int64) that are asked for.

    Raises:
        IndexError: the dimension is out of range.

    Example:
        >>> values, counts = torch.unique(torch.tensor([3, 1, 3, 2]), return_counts=True)
        >>> values, counts
        (tensor([1, 2, 3]), tensor([1, 1, 2]))
    """
    if dim is None:
        return without_derivative("_unique2", input, distinct_values(input.detach(), return_inverse, return_counts))
    values, inverse, counts = unique_slices(input.detach()._array(), wrap_dim(dim, input.dim()))
    found = answer(found_tensors(values, input, inverse, counts), return_inverse, return_counts)
    return without_derivative("unique_dim", input, found)


def _refusal(name, node):
    def refuse(g):
        raise NotImplementedError(f"the derivative for '{name}' is not implemented.")
    return GradRule(name, ["input"], {"input": refuse}, node)


REFUSALS = {name: _refusal(name, node) for name, node in (
    ("_unique2", "Unique2Backward0"), ("unique_dim", "UniqueDimBackward0"),
    ("unique_consecutive", "UniqueConsecutiveBackward0"))}


def without_derivative(name, input, found):
    """Results (a tensor, or a tuple whose first one holds values) that require grad where `input` does; a backward
    pass that reaches them raises NotImplementedError, as in PyTorch."""
    if MODE.grad:
        REFUSALS[name].attach((input,), (found[0] if isinstance(found, tuple) else found,))
    return found


def distinct_values(input, return_inverse, return_counts):
    """`unique` of all elements: sorted, then those that differ from their neighbour."""
    flat, shape = input.reshape(-1), input._layout.shape
    count = flat._layout.numel
    if count:
        order = positions(flat, 0, False)
        ordered = flat.gather(0, order)
        first = ones(count, dtype=dt.bool_, device=input.device)
        first[1:] = ordered[1:] != ordered[:-1]
        values = ordered[first]
    else:
        values, first, order = flat.clone(), None, None
    found = [values]
    if return_inverse:
        number = first.cumsum(0) - 1 if count else flat.long()
        if count:
            number = empty_like(order).scatter_(0, order, number)
        found.append(number.reshape(shape))
    if return_counts:
        starts = nonzero(first)[:, 0] if count else flat.long()
        found.append(cat([starts[1:], starts.new_full((1,), count)]) - starts if count else starts)
    return found[0] if len(found) == 1 else tuple(found)


def slices_of(array, dim):
    """The slices of a dimension as rows."""
    count = array.shape[dim]
    return np.moveaxis(array, dim, 0).reshape(count, array.size // count if count else 1)


INSERTED = 16  # rows up to which PyTorch sorts by insertion


def inserted(rows):
    """The order of rows after PyTorch's sort, where comparisons with NaN are false: rows stay behind it."""
    def less(a, b):
        return next((x < y for x, y in zip(rows[a], rows[b]) if x < y or x > y), False)
    order = []
    for row in range(len(rows)):
        at = len(order)
        if order and less(row, order[0]):
            at = 0
        while at and less(row, order[at - 1]):
            at -= 1
        order.insert(at, row)
    return np.array(order)


def unique_slices(array, dim):
    """Distinct slices along a dimension in lexicographic order."""
    rows = slices_of(array, dim)
    if not rows.shape[1]:
        if array.shape[dim] and 0 in array.shape:
            raise RuntimeError("There are 0 sized dimensions, and they aren't selected, so unique cannot be applied")
        return array, np.empty(0, np.int64), np.empty(0, np.int64)
    if not len(rows):
        return array, np.empty(0, np.int64), np.empty(0, np.int64)
    order = inserted(rows) if len(rows) <= INSERTED and rows.dtype.kind == "f" and np.isnan(rows).any() else (
        np.lexsort(rows.T[::-1]))
    ordered = rows[order]
    starts = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(1)])
    number = np.cumsum(starts) - 1
    inverse = np.empty(len(rows), np.int64)
    inverse[order] = number
    counts = np.bincount(number)
    return np.take(array, order[starts], axis=dim), inverse, counts


@public("unique_consecutive", out=False)
def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """Return the elements without repetitions of neighbours. This waits for the values.

    Args:
        input (Tensor): any shape; not complex.
        return_inverse (bool): whether to tell where each element is in the result.
        return_counts (bool): whether to tell how long each repetition is.
        dim (int, optional): the dimension whose slices are compared; the tensor is flattened by default.

    Returns:
        Tensor, or a tuple of it with the inverse and the counts (int64) that are asked for.

    Raises:
        IndexError: the dimension is out of range.

    Example:
        >>> torch.unique_consecutive(torch.tensor([1, 1, 2, 1]))
        tensor([1, 2, 1])
    """
    array = input.detach()._array()
    if dim is None:
        flat, axis = array.reshape(-1), 0
        rows = flat.reshape(-1, 1)
    else:
        axis = wrap_dim(dim, input.dim())
        flat = array
        if 0 in array.shape and array.shape[axis]:
            raise RuntimeError("There are 0 sized dimensions, and they aren't selected, so unique cannot be applied")
        rows = slices_of(array, axis) if array.ndim else array.reshape(1, 1)
        flat = flat if array.ndim else array.reshape(1)
    if not len(rows):
        inverse = np.empty(array.shape if dim is None else 0, np.int64)
        found = answer(found_tensors(flat, input, inverse, np.empty(0, np.int64)), return_inverse, return_counts)
        return without_derivative("unique_consecutive", input, found)
    starts = np.concatenate([[True], (rows[1:] != rows[:-1]).any(1)])
    inverse = np.cumsum(starts) - 1
    counts = np.bincount(inverse)
    values = np.compress(starts, flat, axis=axis)
    inverse = inverse.reshape(array.shape) if dim is None else inverse
    found = answer(found_tensors(values, input, inverse, counts), return_inverse, return_counts)
    return without_derivative("unique_consecutive", input, found)


# -- searching ---------------------------------------------------------------------------------------------------------


SEARCH = Kernel("searchsorted", lower="rows.sort:lower_search", reads="any")


@public("searchsorted")
def searchsorted(sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None):
    """Return where each value belongs in sorted rows, so that their order is kept.

    y = the first i with sorted_sequence[i] >= value, or > value with right=True

    Args:
        sorted_sequence (Tensor): rows in ascending order along the last dimension; a vector serves all values.
        input (Tensor or number): the values; their other dimensions are those of `sorted_sequence`.
        out_int32 (bool): whether the result is int32 and not int64.
        right (bool): whether values go after equal elements.
        side (str, optional): "left" or "right", which says the same.
        sorter (Tensor, optional): int64 positions that sort a sequence that is not in order.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: positions in the shape of `input`.

    Raises:
        RuntimeError: shapes that do not fit, or `side` against `right`.

    Example:
        >>> torch.searchsorted(torch.tensor([1, 3, 5]), torch.tensor([0, 3, 6]))
        tensor([0, 1, 3])
    """
    if side not in (None, "left", "right"):
        raise RuntimeError(f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}")
    if side == "left" and right:
        raise RuntimeError("torch.searchsorted(): side and right can't be set to opposites, got side of left while "
                           "right was True")
    right = bool(right) or side == "right"
    if not isinstance(input, Tensor):
        input = full((), input, dtype=sorted_sequence.dtype if isinstance(input, int) else None,
                                 device=sorted_sequence.device)
        if sorted_sequence.dim() != 1:
            raise RuntimeError("torch.searchsorted(): input value can be a scalar only when boundaries tensor "
                               "dimension is 1, but we got "
                               f"boundaries tensor dim({sorted_sequence.dim()}) and input value's dim(0) numel(1)")
    check_search(sorted_sequence, input, sorter)
    if input._layout.dtype is not sorted_sequence._layout.dtype and input._layout.ndim:
        joined = dt.promote(input.dtype, sorted_sequence.dtype)
        sorted_sequence, input = sorted_sequence.to(joined), input.to(joined)
    tensors = [sorted_sequence.detach(), input.detach()]
    if sorter is not None:
        tensors.append(sorter)
    attrs = (("right", right), ("out", ((input._layout.shape, dt.int32 if out_int32 else dt.int64),)))
    return record(SEARCH, "t" * len(tensors), attrs, tuple(tensors))[0]


def check_search(edges, values, sorter):
    """RuntimeError for operands that do not fit."""
    if not edges.dim():
        raise RuntimeError("torch.searchsorted(): boundaries tensor should have positive dimension, but got 0 "
                           "dimension")
    if not values.dim() and edges.dim() != 1:
        raise RuntimeError("torch.searchsorted(): input value can be a scalar only when boundaries tensor dimension "
                           f"is 1, but we got boundaries tensor dim({edges.dim()}) and input value's dim(0) numel(1)")
    if edges.dim() != 1 and tuple(edges.shape[:-1]) != tuple(values.shape[:-1]):
        raise RuntimeError("torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions "
                           "of boundaries tensor and input value tensor must match, but we got boundaries tensor "
                           f"{list(edges.shape)} and input value tensor {list(values.shape)}")


@public("bucketize")
def bucketize(input, boundaries, *, out_int32=False, right=False):
    """Return the number of the interval between `boundaries` that each value lies in.

    Args:
        input (Tensor or number): the values.
        boundaries (Tensor): a vector in ascending order.
        out_int32 (bool): whether the result is int32 and not int64.
        right (bool): whether a value equal to a boundary belongs to the interval above it.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `input`, values from 0 to the number of boundaries.

    Raises:
        RuntimeError: `boundaries` is not a vector.

    Example:
        >>> torch.bucketize(torch.tensor([0, 3, 6]), torch.tensor([1, 3, 5]), right=True)
        tensor([0, 2, 3])
    """
    if boundaries.dim() != 1:
        raise RuntimeError(f"bucketize(): boundaries tensor must be 1 dimension, but got dim({boundaries.dim()})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def _isin_body(outs, ins, numbers, invert):
    outs[0][...] = np.isin(ins[0], ins[1], invert=invert)


ISIN = Host("isin", _isin_body)


@public("torch.isin")
def isin(elements, test_elements, *, assume_unique=False, invert=False):
    """Return whether each element is among `test_elements`.

    Args:
        elements (Tensor or number): what is looked for.
        test_elements (Tensor or number): where it is looked for.
        assume_unique (bool): accepted; it changes nothing.
        invert (bool): whether the answer is turned round.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: bool, the shape of `elements`.

    Raises:
        TypeError: neither of the two is a tensor.

    Example:
        >>> torch.isin(torch.tensor([1, 2, 3]), torch.tensor([3, 1]))
        tensor([ True, False,  True])
    """
    if not isinstance(elements, Tensor) and not isinstance(test_elements, Tensor):
        raise TypeError("isin(): argument 'elements' (position 1) must be Tensor, not " + type(elements).__name__)
    if not isinstance(test_elements, Tensor):
        return (elements != test_elements) if invert else (elements == test_elements)
    if not isinstance(elements, Tensor):
        elements = full((), elements, device=test_elements.device)
    attrs = (("invert", bool(invert)), ("out", ((elements._layout.shape, dt.bool_),)))
    return record(ISIN, "tt", attrs, (elements.detach(), test_elements.detach()))[0]
