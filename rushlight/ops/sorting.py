"""Order: sort, argsort, msort, topk, kthvalue-like selections, unique, searchsorted, bucketize, isin, histogram counts.

Sorting is a library call on host arrays (stable merge or radix sorts along an axis); the result's values are gathered by the
positions found, which also gives the gradient. NaN counts as the largest number, as in PyTorch.
"""

import numpy as np

from ..core import dtype as dt
from ..core import infer as rules
from ..core.declare import REGISTRY, into_out, operator, public
from ..core.infer import wrap_dim
from ..core.layout import dense_strides_like
from ..core.record import record
from ..core.return_types import named_result
from ..core.tensor import Tensor


Sort, TopK = named_result("sort", "values", "indices"), named_result("topk", "values", "indices")


def descending_order(values, axis):
    """Stable positions of a descending sort: the ascending one of the reversed array, reversed."""
    flipped = np.flip(values, axis)
    order = np.argsort(flipped, axis=axis, kind="stable")
    return values.shape[axis] - 1 - np.flip(order, axis)


def _argsort_body(outs, ins, numbers, dim, descending):
    values = ins[0]
    if descending:
        outs[0][...] = descending_order(values, dim)
    else:
        outs[0][...] = np.argsort(values, axis=dim, kind="stable")


ARGSORT = operator("sort_positions", "host", rules.explicit, _argsort_body)


def positions(input, dim, descending):
    """The positions of a stable sort along `dim`, int64."""
    found = input._layout
    if not found.ndim:
        return REGISTRY["zeros"]((), dtype=dt.int64)
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
    """(values, indices) sorted along `dim`; always stable; NaN last in ascending order."""
    return with_outs("sort", _sort, out, (input, dim, descending))


def _sort(input, dim, descending):
    check_sortable("sort", input)
    return Sort(*sort_along(input, wrap_dim(dim, input.dim()), descending, input._layout.shape))


@public("argsort", out=False)
def argsort(input, dim=-1, descending=False, *, stable=False):
    """The positions that sort along `dim`."""
    return positions(input, wrap_dim(dim, input.dim()), descending)


@public("msort")
def msort(input):
    """Values sorted along dimension 0."""
    return sort(input, 0)[0]


# -- the largest k ------------------------------------------------------------------------------------------------------------------------


def _topk_body(outs, ins, numbers, k, dim, largest, ordered):
    values = np.moveaxis(ins[0], dim, -1)
    size = values.shape[-1]
    if 4 * k < size and values.dtype.kind != "b":
        order = partitioned(values, k, largest, size)
    else:
        order = (descending_order(values, -1) if largest else np.argsort(values, axis=-1, kind="stable"))[..., :k]
    np.moveaxis(outs[0], dim, -1)[...] = order


def partitioned(values, k, largest, size):
    """The k extreme positions in order, by selection."""
    if largest:
        some = np.argpartition(values, size - k, axis=-1)[..., size - k:] if k else np.empty((*values.shape[:-1], 0), np.int64)
    else:
        some = np.argpartition(values, max(k - 1, 0), axis=-1)[..., :k]
    some = np.sort(some, axis=-1)
    chosen = np.take_along_axis(values, some, -1)
    order = descending_order(chosen, -1) if largest else np.argsort(chosen, axis=-1, kind="stable")
    return np.take_along_axis(some, order, -1)


TOPK = operator("topk_positions", "host", rules.explicit, _topk_body)


@public("Tensor._topk", grad={"input": _sort_back}, node="TopkBackward0", out=False)
def topk_along(input, dim, shape, k, largest, ordered):
    """(values, positions)."""
    found = list(shape)
    if not found:
        return input.clone(), REGISTRY["zeros"]((), dtype=dt.int64)
    found[dim] = k
    attrs = (("k", k), ("dim", dim), ("largest", largest), ("ordered", ordered), ("out", ((tuple(found), dt.int64),)))
    indices = record(TOPK, "t", attrs, (input,))[0]
    return input.gather(dim, indices), indices


@public("topk", out=False)
def topk(input, k, dim=-1, largest=True, sorted=True, *, out=None):
    """(values, indices) of the `k` largest (or smallest) elements along `dim`, in order. RuntimeError if there are fewer."""
    return with_outs("topk", _topk, out, (input, k, dim, largest, sorted))


def _topk(input, k, dim, largest, sorted):
    check_sortable("topk", input)
    dim = wrap_dim(dim, input.dim())
    k = int(k.item() if isinstance(k, Tensor) else k)
    size = input._layout.shape[dim] if input.dim() else 1
    if not 0 <= k <= size:
        raise RuntimeError("selected index k out of range")
    return TopK(*topk_along(input, dim, input._layout.shape, k, bool(largest), bool(sorted)))



# -- distinct values ------------------------------------------------------------------------------------------------------------------------


def host_tensor(array, dtype):
    """An array as a tensor of the dtype, through a host instruction (bfloat16 is rounded there)."""
    attrs = (("array", Once(array)), ("out", ((array.shape, dtype),)))
    return record(GIVEN, "", attrs, ())[0]


class Once:
    """An array in the attributes of one instruction; no two are equal."""

    def __init__(self, array):
        self.array = array


def _given_body(outs, ins, numbers, array):
    outs[0][...] = array.array


GIVEN = operator("host_values", "host", rules.explicit, _given_body)


def found_tensors(values, dtype, inverse, counts):
    """(values, inverse, counts) as tensors; empty int64 ones for what was not asked."""
    none = np.empty(0, np.int64)
    return (host_tensor(values, dtype), host_tensor(none if inverse is None else inverse, dt.int64),
            host_tensor(none if counts is None else counts, dt.int64))


def answer(found, return_inverse, return_counts):
    values, inverse, counts = found
    if return_inverse and return_counts:
        return values, inverse, counts
    if return_inverse:
        return values, inverse
    return (values, counts) if return_counts else values


@public("unique", out=False)
def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The distinct values in order (or the distinct slices of `dim`), with the positions of every element among them and how often each
    appears if asked. Sync point."""
    array = input.detach()._array()
    if dim is None:
        values, inverse, counts = np.unique(array.reshape(-1), return_inverse=True, return_counts=True, equal_nan=False)
        inverse = inverse.reshape(array.shape)
    else:
        dim = wrap_dim(dim, input.dim())
        values, inverse, counts = unique_slices(array, dim)
    return answer(found_tensors(values, input.dtype, inverse, counts), return_inverse, return_counts)


def slices_of(array, dim):
    """The slices of a dimension as rows."""
    count = array.shape[dim]
    return np.moveaxis(array, dim, 0).reshape(count, array.size // count if count else 1)


def unique_slices(array, dim):
    """Distinct slices along a dimension in lexicographic order."""
    rows = slices_of(array, dim)
    if not rows.shape[1]:
        if array.shape[dim] and 0 in array.shape:
            raise RuntimeError("There are 0 sized dimensions, and they aren't selected, so unique cannot be applied")
        return array, np.empty(0, np.int64), np.empty(0, np.int64)
    if not len(rows):
        return array, np.empty(0, np.int64), np.empty(0, np.int64)
    order = np.lexsort(rows.T[::-1])
    ordered = rows[order]
    starts = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(1)])
    number = np.cumsum(starts) - 1
    inverse = np.empty(len(rows), np.int64)
    inverse[order] = number
    counts = np.bincount(number)
    return np.take(array, order[starts], axis=dim), inverse, counts


@public("unique_consecutive", out=False)
def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """Without repetitions of neighbours (elements of the flattened input, or slices of `dim`). Sync point."""
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
        return answer(found_tensors(flat, input.dtype, np.empty(array.shape if dim is None else 0, np.int64), np.empty(0, np.int64)),
                      return_inverse, return_counts)
    starts = np.concatenate([[True], (rows[1:] != rows[:-1]).any(1)])
    inverse = np.cumsum(starts) - 1
    counts = np.bincount(inverse)
    values = np.compress(starts, flat, axis=axis)
    inverse = inverse.reshape(array.shape) if dim is None else inverse
    return answer(found_tensors(values, input.dtype, inverse, counts), return_inverse, return_counts)


# -- searching ------------------------------------------------------------------------------------------------------------------------------


def _search_body(outs, ins, numbers, right):
    edges, values, *sorter = ins
    side = "right" if right else "left"
    if edges.ndim == 1:
        row = edges if not sorter else edges[sorter[0]]
        outs[0][...] = search_row(row, values, side)
        return
    if not values.size:
        return
    rows = edges.reshape(values.size // values.shape[-1], edges.shape[-1])
    orders = sorter[0].reshape(rows.shape) if sorter else None
    wanted = values.reshape(len(rows), -1)
    found = np.stack([search_row(row if orders is None else row[orders[i]], wanted[i], side) for i, row in enumerate(rows)])
    outs[0][...] = found.reshape(values.shape)


def search_row(row, values, side):
    """np.searchsorted over a common dtype."""
    kind = np.result_type(row.dtype, values.dtype)
    return np.searchsorted(row.astype(kind, copy=False), values.astype(kind, copy=False), side)


SEARCH = operator("searchsorted", "host", rules.explicit, _search_body)


@public("searchsorted")
def searchsorted(sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None):
    """Where each value belongs in the sorted innermost rows of `sorted_sequence`, so that order is kept.

    right: after equal elements; side "left" or "right" says the same; sorter: positions that sort an unsorted sequence."""
    if side not in (None, "left", "right"):
        raise RuntimeError(f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}")
    if side == "left" and right:
        raise RuntimeError("torch.searchsorted(): side and right can't be set to opposites, got side of left while right was True")
    right = bool(right) or side == "right"
    if not isinstance(input, Tensor):
        input = REGISTRY["full"]((), input, dtype=sorted_sequence.dtype if isinstance(input, int) else None)
        if sorted_sequence.dim() != 1:
            raise RuntimeError("torch.searchsorted(): input value can be a scalar only when boundaries tensor dimension is 1, but we got "
                               f"boundaries tensor dim({sorted_sequence.dim()}) and input value's dim(0) numel(1)")
    check_search(sorted_sequence, input, sorter)
    tensors = [sorted_sequence.detach(), input.detach()]
    if sorter is not None:
        tensors.append(sorter)
    attrs = (("right", right), ("out", ((input._layout.shape, dt.int32 if out_int32 else dt.int64),)))
    return record(SEARCH, "t" * len(tensors), attrs, tuple(tensors))[0]


def check_search(edges, values, sorter):
    """RuntimeError for operands that do not fit."""
    if not edges.dim():
        raise RuntimeError("torch.searchsorted(): boundaries tensor should have positive dimension, but got 0 dimension")
    if not values.dim() and edges.dim() != 1:
        raise RuntimeError("torch.searchsorted(): input value can be a scalar only when boundaries tensor dimension is 1, but we got "
                           f"boundaries tensor dim({edges.dim()}) and input value's dim(0) numel(1)")
    if edges.dim() != 1 and tuple(edges.shape[:-1]) != tuple(values.shape[:-1]):
        raise RuntimeError("torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor and "
                           f"input value tensor must match, but we got boundaries tensor {list(edges.shape)} and input value tensor "
                           f"{list(values.shape)}")
    if edges.dtype is not values.dtype and values.dim():
        raise RuntimeError("torch.searchsorted(): boundary tensor and input value tensor should have same dtype, but got boundary tensor dtype "
                           f"{dt.scalar_type(edges.dtype)} and input value tensor dtype {dt.scalar_type(values.dtype)}")
    if sorter is not None:
        if sorter.shape != edges.shape:
            raise RuntimeError("torch.searchsorted(): boundary and sorter must have the same size, but got boundary tensor "
                               f"{list(edges.shape)}and got sorter tensor {list(sorter.shape)}")
        if sorter.dtype is not dt.int64:
            raise RuntimeError(f"torch.searchsorted(): sorter must be a tensor of long dtype but got dtype {dt.scalar_type(sorter.dtype)}")
        if sorter.numel():
            low, high = int(sorter.min().item()), int(sorter.max().item())
            if low < 0 or high >= sorter.shape[-1]:
                raise RuntimeError("torch.searchsorted(): sorter index out of range")


@public("bucketize")
def bucketize(input, boundaries, *, out_int32=False, right=False):
    """The number of the interval between sorted `boundaries` (1-d) that each value lies in."""
    if boundaries.dim() != 1:
        raise RuntimeError(f"bucketize(): boundaries tensor must be 1 dimension, but got dim({boundaries.dim()})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def _isin_body(outs, ins, numbers, invert):
    outs[0][...] = np.isin(ins[0], ins[1], invert=invert)


ISIN = operator("isin", "host", rules.explicit, _isin_body)


@public("torch.isin")
def isin(elements, test_elements, *, assume_unique=False, invert=False):
    """Whether each element is among `test_elements` (or is not, with `invert`)."""
    if not isinstance(elements, Tensor) and not isinstance(test_elements, Tensor):
        raise TypeError("isin(): argument 'elements' (position 1) must be Tensor, not " + type(elements).__name__)
    if not isinstance(test_elements, Tensor):
        return (elements != test_elements) if invert else (elements == test_elements)
    if not isinstance(elements, Tensor):
        elements = REGISTRY["full"]((), elements)
    attrs = (("invert", bool(invert)), ("out", ((elements._layout.shape, dt.bool_),)))
    return record(ISIN, "tt", attrs, (elements.detach(), test_elements.detach()))[0]
