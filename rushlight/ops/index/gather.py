"""Reading at positions that index tensors give: gather, index_select, take, take_along_dim, embedding, embedding_bag,
one_hot.

Positions out of range are found by the kernel, which reads nothing outside, and raised at the flush. Read `fetch` for
the machinery, `scatter` for the writing counterparts.
"""

import functools

from ...base.lazy import Lazy
from ...core import dtype as dt
from ...core.bounds import first_bad
from ...core.declare import REGISTRY, public
from ...core.errors import BadData
from ...core.graph import MODE
from ...core.infer import wrap_dim
from ...core.kinds import Gather
from ...core.layout import broadcast_shapes
from ...core.record import record
from ...core.tensor import Tensor
from ..basic.arithmetic import where
from ..basic.creation import arange, empty, ones, ones_like, zeros
from ..basic.fetch import Place, along_place, check_index_dtype, fetch, fetch_operator, fetch_rule, into_apart, spread

GATHER, GATHER_RULE = fetch_operator("gather"), fetch_rule("gather", keeps_input=True)
INDEX_SELECT, INDEX_SELECT_RULE = fetch_operator("index_select"), fetch_rule("index_select")
TAKE, TAKE_RULE = fetch_operator("take"), fetch_rule("take", keeps_input=True)
EMBEDDING, EMBEDDING_RULE = fetch_operator("embedding"), fetch_rule("embedding")


def check_gather(name, input, dim, index, against="self"):
    """The dimension, checked with the shape and dtype of the index as gather and scatter want them."""
    rank, found = input._layout.ndim, index._layout
    dim = wrap_dim(dim, rank)
    if found.numel == 0:
        return dim
    if found.dtype not in (dt.int64, dt.int32):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")
    if max(found.ndim, 1) != max(rank, 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as "
                           f"{'input' if against == 'self' else against} tensor")
    return dim


@public("gather", out=False)
def gather(input, dim, index, *, sparse_grad=False, out=None):
    """Read values of `input` at `index` along `dim`.

    out[i][j] = input[index[i][j]][j] for dim 0

    Args:
        input (Tensor): any shape and dtype.
        dim (int): the dimension that is indexed.
        index (Tensor): int64, as many dimensions as `input`, in the others not larger than it.
        sparse_grad (bool): whether the gradient of `input` is sparse.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `index`, the dtype of `input`.

    Raises:
        RuntimeError: an index is out of range, or `index` is larger than `input` in another dimension.

    Example:
        >>> torch.gather(torch.tensor([[1, 2], [3, 4]]), 1, torch.tensor([[0, 0], [1, 0]]))
        tensor([[1, 1],
                [4, 3]])
    """
    if out is not None:
        return into_apart("gather", gather, out, input, dim, index, exact=True)
    dim = check_gather("gather", input, dim, index)
    shape, sizes = index._layout.shape, input._layout.shape
    if index._layout.numel and any(n > m for d, (n, m) in enumerate(zip(shape, sizes)) if d != dim):
        raise RuntimeError("Size does not match at dimension "
                           f"{next(d for d, n in enumerate(shape) if d != dim and n > sizes[d])} expected "
                           f"index {list(shape)} to be no larger than self {list(sizes)} apart from dimension {dim}")
    if not sizes:
        return gather(input.unsqueeze(0), 0, index.reshape(-1)).reshape(shape)
    if not index._layout.numel:
        found = empty(tuple(shape), dtype=input.dtype, device=input.device)
        return found + input.sum() * 0 if input.requires_grad else found
    return fetch(GATHER, GATHER_RULE, input, [index], along_place(shape, dim, False, "bounds"))


@public("index_select", out=False)
def index_select(input, dim, index, *, out=None):
    """Return the slices at the positions `index` of a dimension, in that order.

    Args:
        input (Tensor): any shape and dtype.
        dim (int): the dimension that is indexed.
        index (Tensor): a vector of int64 or int32; positions may repeat.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `input` with the size of `index` in `dim`.

    Raises:
        IndexError: a position is out of range.

    Example:
        >>> torch.index_select(torch.tensor([[1, 2], [3, 4]]), 0, torch.tensor([1, 1]))
        tensor([[3, 4],
                [3, 4]])
    """
    if out is not None:
        return into_apart("index_select", index_select, out, input, dim, index, exact=True)
    found = input._layout
    if index._layout.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if index._layout.dtype not in (dt.int64, dt.int32):
        raise RuntimeError("index_select(): Expected dtype int32 or int64 for index")
    dim = wrap_dim(dim, found.ndim)
    if not found.ndim:
        if index._layout.numel != 1:
            raise RuntimeError("index_select(): Index to scalar can have only 1 value")
        return fetch(INDEX_SELECT, INDEX_SELECT_RULE, input.reshape(1), [index], Place((("i", 0),), (1,))).reshape(())
    shape = (*found.shape[:dim], index._layout.numel, *found.shape[dim + 1:])
    index = index if index._layout.ndim else spread(index, 1)
    place = along_place(shape, dim, False, "index")
    return fetch(INDEX_SELECT, INDEX_SELECT_RULE, input, [spread(index, found.ndim - dim - 1)], place)


@public("take", out=False)
def take(input, index, *, out=None):
    """Return the elements at flat positions, as if `input` were a vector.

    Args:
        input (Tensor): any shape and dtype.
        index (Tensor): int64, any shape; negative positions count from the end.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `index`, the dtype of `input`.

    Raises:
        IndexError: a position is out of range.

    Example:
        >>> torch.take(torch.tensor([[1, 2], [3, 4]]), torch.tensor([0, 3, -1]))
        tensor([1, 4, 4])
    """
    if out is not None:
        return into_apart("take", take, out, input, index, exact=True)
    if index._layout.dtype is not dt.int64:
        raise RuntimeError(f"take(): Expected a long tensor for index, but got {dt.scalar_type(index._layout.dtype)}")
    if not input._layout.numel and index._layout.numel:
        raise IndexError("take(): tried to take from an empty tensor")
    return fetch(TAKE, TAKE_RULE, input.reshape(-1), [index], Place((("i", 0),), index._layout.shape, True, "take"))


@public("take_along_dim")
def take_along_dim(input, indices, dim=None):
    """Read values at `indices` along `dim`; the other dimensions are broadcast.

    Args:
        input (Tensor): any shape and dtype.
        indices (Tensor): int64, as many dimensions as `input`.
        dim (int, optional): the dimension that is indexed; both are flattened by default.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `indices`, broadcast.

    Raises:
        RuntimeError: an index is out of range, or the numbers of dimensions differ.

    Example:
        >>> x = torch.tensor([[3, 1, 2]])
        >>> torch.take_along_dim(x, x.argsort(1), 1)
        tensor([[1, 2, 3]])
    """
    if indices._layout.dtype is not dt.int64:
        raise RuntimeError("torch.take_along_dim(): dtype of indices should be Long but got "
                           f"{dt.scalar_type(indices._layout.dtype)}")
    if dim is None:
        input, indices, dim = input.reshape(-1), indices.reshape(-1), 0
    if input.dim() != indices.dim():
        raise RuntimeError("torch.take_along_dim(): input and indices should have the same number of dimensions, but "
                           f"got {input.dim()} dimensions for input, and {indices.dim()} dimensions for indices")
    dim = wrap_dim(dim, input.dim())
    a, b = list(input._layout.shape), list(indices._layout.shape)
    rest = list(broadcast_shapes(a[:dim] + [1] + a[dim + 1:], b[:dim] + [1] + b[dim + 1:]))
    wide = [rest[:dim] + [n[dim]] + rest[dim + 1:] if rest else [] for n in (a, b)]
    input, indices = input.expand(wide[0]), indices.expand(wide[1])
    if not wide[1]:
        return gather(input, dim, indices)
    return fetch(GATHER, GATHER_RULE, input, [indices], along_place(indices._layout.shape, dim, True, "bounds"))


# -- embeddings --------------------------------------------------------------------------------------------------------


SPARSE = Lazy("rushlight.sparse.gradients")  # imported by the first look-up whose gradient is a sparse tensor


@functools.lru_cache(2_000)
def embedding_place(shape, columns, padding):
    return Place((("i", 0), ("d", len(shape))), (*shape, columns), False, "index", padding)


@public("torch.embedding", out=False)
def embedding_of(weight, indices, padding_idx=-1, scale_grad_by_freq=False, sparse=False):
    """weight[indices], with no gradient to row `padding_idx` (-1: none)."""
    if sparse and weight.requires_grad and MODE.grad:
        return SPARSE.lookup(weight, indices, padding_idx, scale_grad_by_freq)
    check_index_dtype("embedding", indices)
    if weight.dim() != 2:
        raise RuntimeError("'weight' must be 2-D")
    place = embedding_place(indices._layout.shape, weight._layout.shape[1], padding_idx if padding_idx >= 0 else None)
    result = fetch(EMBEDDING, EMBEDDING_RULE, weight, [spread(indices, 1)], place)
    if scale_grad_by_freq and result.requires_grad:
        return scaled_by_count(result, indices, weight._layout.shape[0])
    return result


@public("Tensor._scale_by_count", grad={"input": lambda g, indices, rows: g / counts_at(indices, rows, g.dtype)},
        node="EmbeddingBackward0", out=False)
def scaled_by_count(input, indices, rows):
    """The identity, whose gradient is divided by how often each index appears."""
    return input.alias()


def counts_at(indices, rows, dtype):
    flat = indices.reshape(-1).long()
    counts = zeros(rows, dtype=dtype, device=flat.device)
    counts = counts.index_add(0, flat, ones_like(flat, dtype=dtype))
    return counts[indices.long()].unsqueeze(-1)


@public("nn.functional.embedding", out=False)
def embedding(input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False):
    """weight[input]: rows of `weight` (rows, columns) at the int positions `input` (*), as (*, columns).

    padding_idx: row without gradient; max_norm: rows that are used are first scaled down to that norm, in place;
    scale_grad_by_freq: gradients divided by how often a row is used. IndexError (at the flush) for positions out of
    range."""
    if weight._layout.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    rows = weight._layout.shape[0]
    if padding_idx is None:
        padding_idx = -1
    elif padding_idx >= 0:
        if padding_idx >= rows:
            raise AssertionError("Padding_idx must be within num_embeddings")
    else:
        if padding_idx < -rows:
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding_idx += rows
    if max_norm is not None:
        renorm_rows(weight, input, max_norm, norm_type)
    return embedding_of(weight, input, padding_idx, scale_grad_by_freq, sparse)


def renorm_rows(weight, indices, max_norm, norm_type):
    """Scale the rows at `indices` down to norm `max_norm`, in place."""
    plain = weight.detach()
    flat = indices.reshape(-1).long()
    rows = index_select(plain, 0, flat)
    norms = REGISTRY["linalg.vector_norm"](rows, norm_type, 1, True)
    scale = where(norms > max_norm, max_norm / (norms + 1e-7), 1.0)
    plain.index_copy_(0, flat, (rows * scale).to(plain.dtype))


@public("torch.embedding_renorm_", out=False)
def embedding_renorm_(input, indices, max_norm, norm_type):
    """Scale the rows of `input` at `indices` down to a norm, in place."""
    renorm_rows(input, indices, max_norm, norm_type)
    return input


@public("nn.functional.embedding_bag", out=False)
def embedding_bag(input, weight, offsets=None, max_norm=None, norm_type=2, scale_grad_by_freq=False, mode="mean",
                  sparse=False, per_sample_weights=None, include_last_offset=False, padding_idx=None):
    """Sums, means or maxima of bags of rows of `weight`: bags are the rows of a 2-d `input`, or stretches of a 1-d one
    from `offsets`."""
    if weight._layout.dtype is dt.int64 and input._layout.dtype.is_floating_point:
        weight, input = input, weight
    if per_sample_weights is not None:
        if per_sample_weights._layout.shape != input._layout.shape:
            raise ValueError(f"embedding_bag: If per_sample_weights ({list(per_sample_weights.shape)}) is not None, "
                             f"then it must have the same shape as the input ({list(input.shape)})")
        if mode != "sum":
            raise NotImplementedError("embedding_bag: per_sample_weights was not None. per_sample_weights is only "
                                      "supported for "
                                      f"mode='sum' (got mode='{mode}'). Please open a feature request on GitHub.")
        if per_sample_weights.dtype is not weight.dtype:
            raise RuntimeError(f"expected scalar type {dt.scalar_type(weight.dtype)} but found "
                               f"{dt.scalar_type(per_sample_weights.dtype)}")
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and (scale_grad_by_freq or sparse):
        raise ValueError("max mode does not support "
                         f"{'scaling the gradient by the frequency' if scale_grad_by_freq else 'sparse weights'}")
    flat, bags, count = bag_numbers(input, offsets, include_last_offset)
    if padding_idx is not None:
        rows = weight._layout.shape[0]
        if not -rows <= padding_idx < rows:
            raise AssertionError("padding_idx must be within the number of embeddings")
        padding_idx += rows if padding_idx < 0 else 0
    rows = embedding(flat, weight, padding_idx, max_norm, float(norm_type), scale_grad_by_freq, sparse)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1, 1)
    return reduce_bags(rows, flat, bags, count, mode, padding_idx)


def bag_numbers(input, offsets, include_last_offset):
    """(flat positions, the number of each one's bag, number of bags)."""
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError("if input is 2D, then offsets has to be None, as input is treated is a mini-batch of "
                             f"fixed length sequences. However, found offsets of type {type(offsets)}")
        count, length = input._layout.shape
        bags = arange(count, device=input.device).unsqueeze(1).expand(count, length)
        return input.reshape(-1), bags.reshape(-1), count
    if input.dim() != 1:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}")
    if not isinstance(offsets, Tensor):
        raise ValueError("offsets has to be a 1D Tensor but got None")
    if offsets.dim() != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    if offsets.numel() and offsets[0].item() != 0:
        raise RuntimeError("offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from "
                           f"position 0. However, got {offsets[0].item()}")
    if offsets.numel() and offsets[-1].item() > input.numel():
        raise RuntimeError(f"offsets[-1] can not be greater than input's length({input.numel()}) but got offsets[-1] "
                           f"of {offsets[-1].item()}")
    count = offsets.numel() - (1 if include_last_offset else 0)
    starts = offsets[:count].long()
    bags = REGISTRY["searchsorted"](starts, arange(input.numel(), device=input.device), right=True) - 1
    return input, bags, count


def reduce_bags(rows, flat, bags, count, mode, padding_idx):
    """The sums, means or maxima of rows by bag; padding does not count."""
    columns = rows._layout.shape[1]
    total = zeros((count, columns), dtype=rows.dtype, device=rows.device)
    keep = (flat != padding_idx) if padding_idx is not None else None
    if mode == "max":
        if keep is not None:
            rows, bags = rows[keep], bags[keep]
        index = bags.unsqueeze(1).expand(rows._layout.shape)
        return total.scatter_reduce(0, index, rows, "amax", include_self=False)
    if keep is not None:
        rows = where(keep.unsqueeze(1), rows, 0)
    total = total.index_add(0, bags, rows)
    if mode == "sum":
        return total
    each = ones(bags.shape, dtype=rows.dtype, device=rows.device) if keep is None else keep.to(rows.dtype)
    sizes = zeros(count, dtype=rows.dtype, device=rows.device).index_add(0, bags, each)
    return total / sizes.clamp(min=1).unsqueeze(1)


# -- one_hot -----------------------------------------------------------------------------------------------------------


def _one_hot(k, index, classes, last: object):
    bad = k.logical_or(index < 0, index >= classes)
    k.report(bad.vector_value(), "classes")
    return k.cast(k.compare("eq", index, k.index(last)), dt.int64)


ONE_HOT = Gather("one_hot", _one_hot, aligned=(0,), failures={
    "classes": BadData(RuntimeError, "Class values must be non-negative and smaller than num_classes.")})


@public("nn.functional.one_hot", out=False)
def one_hot(tensor, num_classes=-1):
    """1 at the class numbers of `tensor` (*), 0 elsewhere, as int64 (*, num_classes). -1: one more than the largest
    class."""
    if tensor._layout.dtype is not dt.int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if not tensor.numel():
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        return zeros((*tensor._layout.shape, num_classes), dtype=dt.int64, device=tensor.device)
    if num_classes == -1:
        num_classes = int(tensor.max().item()) + 1
    elif num_classes < 1:
        raise RuntimeError("num_classes should be positive")
    bad = first_bad(tensor, 0, int(num_classes))
    if bad is not None:
        raise RuntimeError("Class values must be non-negative." if bad < 0 else
                           "Class values must be smaller than num_classes.")
    shape = (*tensor._layout.shape, int(num_classes))
    attrs = (("last", tensor._layout.ndim), ("out", ((shape, dt.int64),)))
    return record(ONE_HOT, "tn", attrs, (spread(tensor, 1),), (int(num_classes),))[0]
