"""Writing at positions that index tensors give: scatter, scatter_add, scatter_reduce, index_add, index_copy,
index_fill, index_reduce, put, masked_fill, masked_scatter, and copies with one view replaced (select_scatter and its
like).

Elements that meet at one position are taken in order, whatever the number of threads; indices out of range are found by
the kernel, which writes nothing outside, and raised at the flush. Read `fetch` for the machinery.
"""

from ...core import dtype as dt
from ...core.declare import REGISTRY, elementwise, public
from ...core.errors import BadData
from ...core.grads import begin_write, end_write
from ...core.infer import wrap_dim
from ...core.kinds import Kernel
from ...core.layout import broadcast_shapes as common_shape
from ...core.record import record
from ...core.stream import STREAM
from ...core.tensor import Tensor, version_of
from ..basic.arithmetic import where
from ..basic.creation import alert_not_deterministic, ones_like, zeros, zeros_like
from ..basic.fetch import Place, along_place, check_no_overlap, check_writable, spread, write, write_operator, written
from ..basic.view import diagonal, select, slice_
from .gather import check_gather
from .indexing import view_at
from .nonzero import count_true, masked_select

SCATTER, SCATTER_ADD = write_operator("scatter"), write_operator("scatter_add")
SCATTER_REDUCE = write_operator("scatter_reduce")
INDEX_ADD, INDEX_COPY = write_operator("index_add"), write_operator("index_copy")
INDEX_FILL = write_operator("index_fill", repeats=True)
SHORT_SOURCE = BadData(
    RuntimeError, "masked_scatter: expected self and source to have same dtypes and enough elements in source")
MASKED_SCATTER = Kernel("masked_scatter", lower="rows.compress:lower_compress", reads="any",
                        failures={"source": SHORT_SOURCE})
INDEX_REDUCE, PUT_FLAT = write_operator("index_reduce"), write_operator("put")


def fill_like(g):
    return zeros_like(g)


# -- scatter -----------------------------------------------------------------------------------------------------------


def scatter_into(op, name, input, dim, index, src, mode):
    """Check the operands of a scatter along `dim` and record it."""
    dim = check_gather(name, input, dim, index)
    check_writable(input)
    found, sizes = index._layout, input._layout.shape
    if isinstance(src, Tensor):
        check_source(name, input, index, src, dim)
        check_no_overlap(input, index, src)
    else:
        check_no_overlap(input, index)
    if not found.numel:
        return
    if any(n > m for d, (n, m) in enumerate(zip(found.shape, sizes)) if d != dim):
        raise RuntimeError(f"Expected index {list(found.shape)} to be no larger than self {list(sizes)} apart from "
                           f"dimension {dim}")
    if not sizes:
        input, index = input.view(1), index.reshape(-1)
        src = src.reshape(-1) if isinstance(src, Tensor) else src
        found, sizes = index._layout, input._layout.shape
    elif not found.ndim:
        index = spread(index, 1)
        found = index._layout
    if isinstance(src, Tensor):
        src = spread(src, 1) if not src._layout.ndim else src
        src = view_at(src.detach(), tuple([(0, n, 1) for n in found.shape]))
    write(op, input, [index], src, along_place(found.shape, dim, False, "bounds"), mode)


def check_source(name, input, index, src, dim):
    """RuntimeError for a source of another dtype or one that is smaller than the index."""
    if src.dtype is not input.dtype:
        raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype")
    shape, given = index._layout.shape, src._layout.shape
    if not index._layout.numel:
        return
    if max(len(given), 1) != max(len(shape), 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
    if any(n > m for n, m in zip(shape, given)):
        raise RuntimeError(f"Expected index {list(shape)} to be no larger than self {list(input.shape)} apart from "
                           f"dimension {dim} and to be no larger size than src {list(given)}")


def _gathered(g, dim, index):
    return g.gather(dim, index)


def _padded(g, dim, index, src):
    """The gradient of a source of which only the part with the shape of the index was used."""
    taken = g.gather(dim, index)
    if tuple(taken.shape) == tuple(src.shape):
        return taken
    from_shape = tuple([(0, n, 1) for n in index.shape])
    return REGISTRY["Tensor._embed"](taken, tuple(src.shape), view_at, (from_shape,))


def _zeroed(g, dim, index):
    return g.scatter(dim, index, 0)


@written("Tensor._scatter_src Tensor._scatter_src_", {"input": _zeroed, "src": _padded}, "ScatterBackward0", "scatter")
def scatter_src(input, dim, index, src):
    """Write a tensor."""
    scatter_into(SCATTER, "scatter", input, dim, index, src, "set")


@written("Tensor._scatter_value Tensor._scatter_value_", {"input": _zeroed}, "ScatterBackward1", "scatter")
def scatter_value(input, dim, index, value):
    """Write a number."""
    scatter_into(SCATTER, "scatter", input, dim, index, value, "set")


@written("Tensor._scatter_with Tensor._scatter_with_", {}, "ScatterBackward2", "scatter")
def scatter_with(input, dim, index, src, mode):
    """Add or multiply."""
    scatter_into(SCATTER, "scatter", input, dim, index, src, mode)


MISSING = object()


def scatter_any(input, dim, index, src, value, reduce, inplace):
    """The forms of scatter: a tensor or a number, with or without `reduce`."""
    if src is MISSING and value is MISSING:
        raise TypeError("scatter() missing 1 required positional argument: \"src\"")
    given = src if src is not MISSING else value
    if not isinstance(index, Tensor):
        raise TypeError(f"scatter(): argument 'index' (position 2) must be Tensor, not {type(index).__name__}")
    if reduce is not None:
        if reduce not in ("add", "multiply"):
            raise RuntimeError("reduce argument must be either add or multiply.")
        call, extra = scatter_with, ("add" if reduce == "add" else "mul",)
    else:
        call, extra = (scatter_src if isinstance(given, Tensor) else scatter_value), ()
    return (call.inplace if inplace else call)(input, dim, index, given, *extra)


@public("scatter")
def scatter(input, dim, index, src=MISSING, value=MISSING, *, reduce=None):
    """Return a copy of `input` with `src` written at `index` along `dim`.

    out[index[i][j]][j] = src[i][j] for dim 0. Elements that meet are written in order.

    Args:
        input (Tensor): any shape and dtype.
        dim (int): the dimension that is indexed.
        index (Tensor): int64, as many dimensions as `input`.
        src (Tensor or number): what is written, at least as large as `index`.
        value (number, optional): a number in place of `src`.
        reduce (str, optional): "add" or "multiply", to combine with what is there.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape and dtype of `input`.

    Raises:
        RuntimeError: an index is out of range, or shapes or dtypes do not fit.

    Example:
        >>> torch.scatter(torch.zeros(4), 0, torch.tensor([3, 0]), torch.tensor([1.0, 2.0]))
        tensor([2., 0., 0., 1.])
    """
    return scatter_any(input, dim, index, src, value, reduce, False)


@public("Tensor.scatter_", out=False)
def scatter_(input, dim, index, src=MISSING, value=MISSING, *, reduce=None):
    """`scatter` in place."""
    return scatter_any(input, dim, index, src, value, reduce, True)


@written("scatter_add Tensor.scatter_add_", {"input": lambda g: g, "src": _padded})
def scatter_add(input, dim, index, src):
    """Return a copy of `input` with `src` added at `index` along `dim`.

    out[index[i][j]][j] += src[i][j] for dim 0. Elements that meet are added in order, whatever the number of threads.

    Args:
        input (Tensor): any shape and dtype.
        dim (int): the dimension that is indexed.
        index (Tensor): int64, as many dimensions as `input`.
        src (Tensor): what is added, at least as large as `index`.

    Returns:
        Tensor: the shape and dtype of `input`.

    Raises:
        RuntimeError: an index is out of range, or shapes or dtypes do not fit.

    Example:
        >>> torch.scatter_add(torch.zeros(3), 0, torch.tensor([1, 1, 2]), torch.ones(3))
        tensor([0., 2., 1.])
    """
    if not isinstance(src, Tensor):
        raise TypeError(f"scatter_add(): argument 'src' (position 3) must be Tensor, not {type(src).__name__}")
    scatter_into(SCATTER_ADD, "scatter_add", input, dim, index, src, "add")


# -- scatter_reduce, index_reduce --------------------------------------------------------------------------------------


def identity(dtype, mode):
    """The number that a reduction starts from."""
    if mode in ("add", "mul"):
        return 0 if mode == "add" else 1
    low = mode == "amax"
    if dtype.is_floating_point:
        return float("-inf") if low else float("inf")
    if dtype is dt.bool_:
        return not low
    return dt.iinfo(dtype).min if low else dt.iinfo(dtype).max


MODES = {"sum": "add", "prod": "mul", "mean": "add", "amax": "amax", "amin": "amin"}


def reduce_into(op, input, tensors, source, place, reduce, include_self):
    """Reduce at a placement; "mean" divides by counts afterwards."""
    mode = MODES[reduce]
    if not include_self:
        write(op, input, tensors, identity(input._layout.dtype, mode), place, "set")
    write(op, input, tensors, source, place, mode)
    if reduce != "mean":
        return
    counts = element_counts(op, input, tensors, place, include_self)
    if input._layout.dtype.is_floating_point:
        input.div_(counts)
    else:
        input.div_(counts, rounding_mode="floor")


def element_counts(op, input, tensors, place, include_self):
    """How many elements each position of the mean has, at least 1."""
    kind = input._layout.dtype
    counts = REGISTRY["ones" if include_self else "zeros"](tuple(input._layout.shape), dtype=kind, device=input.device)
    write(op, counts, tensors, 1, place, "add")
    return counts if include_self else counts.clamp_(min=1)


def _reduce_backward(g, out, input, source, reduce, include_self, pick, put, times):
    """Gradients of (input, source). `pick(tensor)` reads at the indices, `put(tensor, src)` adds there, `times(tensor,
    src)` multiplies (into the input where the tensor is None)."""
    if reduce == "sum":
        return g, pick(g)
    if reduce == "mean":
        counts = put(REGISTRY["ones_like" if include_self else "zeros_like"](g), ones_like(source))
        counts = counts.masked_fill(counts == 0, 1)
        return g / counts, pick(g / counts)
    if reduce == "prod":
        return _prod_backward(g, out, source, pick, put, times)
    same_input = (input == out).to(g.dtype)
    same_source = (source == pick(out)).to(g.dtype)
    share = g / put(same_input, same_source)
    return same_input * share, same_source * pick(share)


def _prod_backward(g, out, source, pick, put, times):
    """Gradients of products: those of the factors are (product / factor), or the product of the others for a single
    zero."""
    own = g * times(ones_like(g), source)
    zero = source == 0
    single = zero & (pick(put(zeros_like(g), zero.to(g.dtype))) == 1)
    others = pick(g * times(None, source.masked_fill(single, 1)))
    given = pick(g * out) / source.masked_fill(zero, 1)
    return own, where(single, others, where(zero, 0, given))


def _scatter_reduce_grads(g, out, input, dim, index, src, reduce, include_self):
    taken = view_at(src, tuple([(0, n, 1) for n in index.shape])) if tuple(src.shape) != tuple(index.shape) else src

    def pick(t):
        return t.gather(dim, index)

    def put(t, s):
        return t.scatter_add(dim, index, s)

    def times(t, s):
        keep = t is not None or include_self
        return (input if t is None else t).scatter_reduce(dim, index, s, "prod", include_self=keep)
    own, given = _reduce_backward(g, out, input, taken, reduce, include_self, pick, put, times)
    if not include_self:
        own = own.scatter(dim, index, 0)
    return own, given, taken


def _scatter_reduce_input(g, out, input, dim, index, src, reduce, include_self):
    return _scatter_reduce_grads(g, out, input, dim, index, src, reduce, include_self)[0]


def _scatter_reduce_src(g, out, input, dim, index, src, reduce, include_self):
    found = _scatter_reduce_grads(g, out, input, dim, index, src, reduce, include_self)[1]
    if tuple(found.shape) == tuple(src.shape):
        return found
    part = tuple([(0, n, 1) for n in index.shape])
    return REGISTRY["Tensor._embed"](found, tuple(src.shape), view_at, (part,))


@written("scatter_reduce Tensor.scatter_reduce_", {"input": _scatter_reduce_input, "src": _scatter_reduce_src})
def scatter_reduce(input, dim, index, src, reduce, *, include_self=True):
    """Reduce ("sum", "prod", "mean", "amax", "amin") the values of `src` that `index` sends to the same position along
    `dim`.

    include_self: whether what is there takes part."""
    if reduce not in MODES:
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    dim = check_gather("scatter_reduce", input, dim, index)
    check_source("scatter_reduce", input, index, src, dim)
    check_writable(input)
    check_no_overlap(input, index, src)
    found, sizes = index._layout, input._layout.shape
    if not found.numel:
        return
    if any(n > m for d, (n, m) in enumerate(zip(found.shape, sizes)) if d != dim):
        raise RuntimeError(f"Expected index {list(found.shape)} to be no larger than self {list(sizes)} apart from "
                           f"dimension {dim}")
    if not sizes:
        input, index, src = input.view(1), index.reshape(-1), src.reshape(-1)
    elif not found.ndim:
        index, src = spread(index, 1), spread(src, 1)
    shape = index._layout.shape
    src = view_at(src.detach(), tuple([(0, n, 1) for n in shape]))
    place = along_place(shape, dim, False, "bounds")
    reduce_into(SCATTER_REDUCE, input, [index], src, place, reduce, include_self)


def _index_reduce_grads(g, out, input, dim, index, source, reduce, include_self):
    def pick(t):
        return t.index_select(dim, index)

    def put(t, s):
        return t.index_add(dim, index, s)

    def times(t, s):
        keep = t is not None or include_self
        return (input if t is None else t).index_reduce(dim, index, s, "prod", include_self=keep)
    own, given = _reduce_backward(g, out, input, source, reduce, include_self, pick, put, times)
    if not include_self:
        own = own.index_fill(dim, index, 0)
    return own, given


def _index_reduce_input(g, out, input, dim, index, source, reduce, include_self):
    return _index_reduce_grads(g, out, input, dim, index, source, reduce, include_self)[0]


def _index_reduce_source(g, out, input, dim, index, source, reduce, include_self):
    return _index_reduce_grads(g, out, input, dim, index, source, reduce, include_self)[1]


@written("index_reduce Tensor.index_reduce_", {"input": _index_reduce_input, "source": _index_reduce_source})
def index_reduce(input, dim, index, source, reduce, *, include_self=True):
    """Reduce ("prod", "mean", "amax", "amin") the slices of `source` that `index` sends to the same position of
    dimension `dim`."""
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}.")
    target, tensors, source, place = index_operands("index_reduce", input, dim, index, source)
    reduce_into(INDEX_REDUCE, target, tensors, source, place, reduce, include_self)


# -- index_add, index_copy, index_fill ---------------------------------------------------------------------------------


def index_operands(name, input, dim, index, source):
    """(target, index tensors, source, Place) of the slices that `index` names in dimension `dim`, checked."""
    if name != "index_fill":
        check_writable(input)
    check_no_overlap(input, index, source)
    found = index._layout
    dim = wrap_dim(dim, input._layout.ndim)
    if found.ndim > 1:
        raise IndexError(f"{name}_(): Index is supposed to be a vector, but got dim: {found.ndim} with type: "
                         f"{dt.scalar_type(found.dtype)}")
    if found.dtype not in (dt.int64, dt.int32):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index but got: {dt.scalar_type(found.dtype)}")
    shape = list(input._layout.shape)
    if isinstance(source, Tensor):
        check_slices(name, input, dim, index, source)
    if not shape:
        input, shape = input.view(1), [1]
        source = source.reshape(-1) if isinstance(source, Tensor) else source
    shape[dim] = found.numel
    if isinstance(source, Tensor) and not source._layout.ndim:
        source = spread(source, len(shape))
    index = index if found.ndim else spread(index, 1)
    place = along_place(tuple(shape), dim, name == "index_fill", "index")
    return input, [spread(index, len(shape) - dim - 1)], source, place


def check_slices(name, input, dim, index, source):
    """RuntimeError or IndexError where the source does not fit."""
    if source.dtype is not input.dtype:
        raise RuntimeError(f"{name}_(): self ({dt.scalar_type(input.dtype)}) and source "
                           f"({dt.scalar_type(source.dtype)}) must have the same scalar type")
    shape, given = list(input._layout.shape), list(source._layout.shape)
    count = index._layout.numel
    if not given:
        if count != 1:
            kind = IndexError if name == "index_copy" else RuntimeError
            raise kind(f"{name}_(): When source is scalar, index should have one element (got {count})")
        return
    if len(given) != max(len(shape), 1):
        kind = IndexError if name == "index_copy" else RuntimeError
        raise kind(f"{name}_(): When source and destination are not scalars, their dimensionality must match. Source "
                   f"dimensionality ({len(given)}), destination dimensionality ({len(shape)})")
    if given[dim] != count:
        kind = IndexError if name == "index_copy" else RuntimeError
        raise kind(f"{name}_(): Number of indices ({count}) should be equal to source.size(dim): ({given[dim]}), for "
                   f"dim: {dim}")
    if given[:dim] + given[dim + 1:] != shape[:dim] + shape[dim + 1:]:
        raise RuntimeError(f"{name}_(): self and source expected to have the same shape except at dim {dim}, but got "
                           f"self.shape = {shape} source.shape = {given}")


def selected(g, dim, index, source):
    """The slices of a gradient at `index`, in the shape of the source."""
    found = g.index_select(dim, index)
    return found if source.dim() or not found.dim() else found.reshape(())


def _index_add_source(g, dim, index, source, alpha):
    found = g.index_select(dim, index)
    found = found if alpha == 1 else found * alpha
    return found.sum() if not source.dim() and found.dim() else found


@written("index_add Tensor.index_add_", {"input": lambda g: g, "source": _index_add_source})
def index_add(input, dim, index, source, *, alpha=1):
    """Return a copy of `input` with slices of `source`, times `alpha`, added to those that `index` names.

    out[index[i]] += alpha * source[i] for dim 0

    Args:
        input (Tensor): any shape and dtype.
        dim (int): the dimension that is indexed.
        index (Tensor): a vector of int64 or int32; positions may repeat.
        source (Tensor): the shape of `input` with the size of `index` in `dim`.
        alpha (number): the factor.

    Returns:
        Tensor: the shape and dtype of `input`.

    Raises:
        IndexError: a position is out of range.
        RuntimeError: shapes or dtypes do not fit.

    Example:
        >>> torch.index_add(torch.zeros(2, 2), 0, torch.tensor([1, 1]), torch.ones(2, 2))
        tensor([[0., 0.],
                [2., 2.]])
    """
    target, tensors, source, place = index_operands("index_add", input, dim, index, source)
    if alpha != 1:
        source = source * alpha
    write(INDEX_ADD, target, tensors, source, place, "add")


def _filled(g, dim, index):
    return g.index_fill(dim, index, 0)


def _filled_value(g, dim, index):
    return (g * zeros_like(g).index_fill(dim, index, 1)).sum()


def _copied(g, dim, index, source):
    found = g.index_select(dim, index)
    return found.sum() if not source.dim() and found.dim() else found


@written("index_copy Tensor.index_copy_", {"input": _filled, "source": _copied}, cast="widest")
def index_copy(input, dim, index, source):
    """Return a copy of `input` with slices of `source` in the places that `index` names.

    out[index[i]] = source[i] for dim 0

    Args:
        input (Tensor): any shape and dtype.
        dim (int): the dimension that is indexed.
        index (Tensor): a vector of int64.
        source (Tensor): the shape of `input` with the size of `index` in `dim`.

    Returns:
        Tensor: the shape and dtype of `input`.

    Raises:
        IndexError: a position is out of range, or shapes do not fit.
        RuntimeError: dtypes differ.

    Example:
        >>> torch.index_copy(torch.zeros(3), 0, torch.tensor([2, 0]), torch.tensor([1.0, 2.0]))
        tensor([2., 0., 1.])
    """
    target, tensors, source, place = index_operands("index_copy", input, dim, index, source)
    write(INDEX_COPY, target, tensors, source, place)


@written("Tensor._fill_number Tensor._fill_number_", {"input": _filled}, "IndexFillBackward0", "index_fill",
         keeps_strides=True)
def index_fill_number(input, dim, index, value):
    """Write a number."""
    target, tensors, _, place = index_operands("index_fill", input, dim, index, None)
    write(INDEX_FILL, target, tensors, value, place)


@written("Tensor._fill_tensor Tensor._fill_tensor_", {"input": _filled, "value": _filled_value}, "IndexFillBackward1",
         "index_fill", keeps_strides=True)
def index_fill_tensor(input, dim, index, value):
    """Write the value of a 0-dim tensor."""
    target, tensors, _, place = index_operands("index_fill", input, dim, index, None)
    write(INDEX_FILL, target, tensors, spread(value, 1), place)


def check_fill(input, value):
    if isinstance(value, Tensor):
        if value.dim():
            raise RuntimeError("index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                               f"{value.dim()} dimension(s).")
        return index_fill_tensor
    if isinstance(value, complex) and not input._layout.dtype.is_complex:
        raise RuntimeError("index_fill_(): Converting complex Scalar to non-complex type is not supported")
    return index_fill_number


@public("index_fill")
def index_fill(input, dim, index, value):
    """Return a copy of `input` with `value` in the slices that `index` names.

    Args:
        input (Tensor): any shape and dtype.
        dim (int): the dimension that is indexed.
        index (Tensor): a vector of int64; negative positions count from the end.
        value (number or Tensor): a number, or a 0-dim tensor.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape and dtype of `input`.

    Raises:
        IndexError: a position is out of range.

    Example:
        >>> torch.index_fill(torch.zeros(2, 2), 1, torch.tensor([0]), 5)
        tensor([[5., 0.],
                [5., 0.]])
    """
    return check_fill(input, value)(input, dim, index, value)


@public("Tensor.index_fill_", out=False)
def index_fill_(input, dim, index, value):
    """`index_fill` in place."""
    return check_fill(input, value).inplace(input, dim, index, value)


# -- put, masks --------------------------------------------------------------------------------------------------------


def _put_input(g, index, accumulate):
    return g if accumulate else g.put(index, zeros(tuple(index.shape), dtype=g.dtype, device=g.device))


@written("put Tensor.put_", {"input": _put_input,
                             "source": lambda g, index, source: g.take(index).reshape(source.shape)},
         keeps_strides=True)
def put(input, index, source, accumulate=False):
    """Return a copy of `input` with `source` written, or added, at flat positions.

    Args:
        input (Tensor): any shape and dtype.
        index (Tensor): int64, any shape; negative positions count from the end.
        source (Tensor): the dtype of `input`, as many elements as `index`.
        accumulate (bool): whether the elements are added.

    Returns:
        Tensor: the shape and dtype of `input`.

    Raises:
        IndexError: a position is out of range.

    Example:
        >>> torch.put(torch.zeros(2, 2), torch.tensor([3, 3]), torch.tensor([1.0, 2.0]), accumulate=True)
        tensor([[0., 0.],
                [0., 3.]])
    """
    if index._layout.dtype is not dt.int64:
        raise RuntimeError(f"put_(): Expected a long tensor for index, but got {dt.scalar_type(index.dtype)}")
    if source.dtype is not input.dtype:
        raise RuntimeError("put_(): self and source expected to have the same dtype, but got self.dtype = "
                           f"{dt.scalar_type(input.dtype)} and source.dtype = {dt.scalar_type(source.dtype)}")
    if index.numel() != source.numel():
        raise RuntimeError("put_(): Expected source and index to have the same number of elements, but got "
                           "source.numel() = "
                           f"{source.numel()}, index.numel() = {index.numel()}")
    if not accumulate:
        alert_not_deterministic("put_")
    check_writable(input)
    check_no_overlap(input, index, source)
    if not input.numel() and index.numel():
        raise IndexError("put_(): tried to put elements into an empty tensor")
    flat = input.reshape(-1)
    count = index.numel()
    place = Place((("i", 0),), (count,), True, "take")
    write(PUT_FLAT, flat, [index.reshape(-1)], source.reshape(-1), place, "add" if accumulate else "set")
    if flat._storage is not input._storage:
        input.copy_(flat.view(input.shape))


def _masked_rule(layouts, numbers, attrs):
    if layouts[1].dtype is not dt.bool_:
        raise RuntimeError(f"masked_fill_ only supports boolean masks, but got mask with dtype {layouts[1].dtype}")
    if len(layouts) == 3 and layouts[2].ndim:
        raise RuntimeError("masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                           f"{layouts[2].ndim} dimension(s).")
    if len(layouts) == 3 and not dt.can_cast(layouts[2].dtype, layouts[0].dtype):
        raise RuntimeError(f"value cannot be converted to type {layouts[0].dtype.name} without overflow")
    return None, layouts[0].dtype


@elementwise("masked_fill", complex=True, fills=True, promote=_masked_rule, contiguous=True, grad={
    "input": lambda g, mask: g.masked_fill(mask, 0), "value": lambda g, mask: where(mask, g, 0).sum()})
def masked_fill(k, input, mask, value):
    """Return a copy of `input` with `value` where `mask` holds.

    Args:
        input (Tensor): any shape and dtype.
        mask (Tensor): bool, a shape that broadcasts with that of `input`.
        value (number or Tensor): a number, or a 0-dim tensor.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the dtype of `input`, its shape broadcast with that of `mask`.

    Raises:
        RuntimeError: `mask` is not bool, or `value` does not fit the dtype.

    Example:
        >>> x = torch.tensor([1.0, -2.0, 3.0])
        >>> torch.masked_fill(x, x < 0, 0)
        tensor([1., 0., 3.])
    """
    return k.where(mask, k.cast(value, input.dtype), input)


def _masked_source(g, mask, source):
    taken = masked_select(g, mask)
    whole = zeros(source.numel(), dtype=g.dtype, device=g.device)
    return whole.slice_scatter(taken, 0, 0, taken.numel()).view(source.shape)


@public("Tensor.masked_fill_", out=False)
def masked_fill_(self, mask, value):
    """`masked_fill` in place; an element that is seen repeatedly is written if the mask holds anywhere."""
    found = self._layout
    if found.overlaps_itself and mask._layout.dtype is dt.bool_:
        node = begin_write(masked_fill.op.rule, (self, mask, value), self)
        version = version_of(self)
        try:
            part, mask = self.detach(), mask.expand(found.shape)
            for d, (n, s) in enumerate(zip(found.shape, found.strides)):
                if s == 0 and n > 1:
                    part, mask = part.narrow(d, 0, 1), mask.any(d, keepdim=True)
            masked_fill.inplace(part, mask, value.detach() if isinstance(value, Tensor) else value)
            end_write(node, self)
        except BaseException:
            STREAM.unsettled.append((node, self, version))  # Note [Unsettled writes] in core/grads.py
            STREAM.dirty = True
            raise
        return self
    return masked_fill.inplace(self, mask, value)


@written("Tensor._scatter_masked Tensor.masked_scatter_",
         {"input": lambda g, mask: g.masked_fill(mask, 0), "source": _masked_source}, None, "masked_scatter")
def scatter_masked(input, mask, source):
    """Copy the first elements of `source` to where `mask` (broadcast) holds. Sync point."""
    if mask._layout.dtype is not dt.bool_:
        raise RuntimeError(f"masked_scatter_ only supports boolean masks, but got mask with dtype {mask.dtype}")
    if source.dtype is not input.dtype:
        raise RuntimeError("masked_scatter: expected self and source to have same dtypes but got "
                           f"{dt.scalar_type(input.dtype)} and {dt.scalar_type(source.dtype)}")
    check_writable(input)
    if not input.numel():
        return
    if not input.dim():
        input = input.view(1)
    mask = mask.expand(input.shape)
    count, counts = count_true(mask)
    if count > source.numel():
        raise RuntimeError(f"masked_scatter: expected the source to have at least {count} elements, got "
                           f"{source.numel()}")
    record(MASKED_SCATTER, "ttt", (("mode", "spread"),), (mask, counts, source.reshape(-1)), (), (input,))


@public("masked_scatter", out=False)
def masked_scatter(input, mask, source):
    """A copy of `input` with the first elements of `source` where `mask` holds (both broadcast). Sync point."""
    shape = common_shape(input._layout.shape, mask._layout.shape)
    return scatter_masked(input.expand(shape), mask.expand(shape), source)


# -- a copy with one view replaced -------------------------------------------------------------------------------------


def view_scatter(name, take, *params):
    """Declare x_scatter(input, src, ...): a clone with `src` in the part that `take(input, ...)` views."""
    def write_part(input, src, where):
        part = take(input, *where)
        if part._layout.shape != src._layout.shape:
            raise RuntimeError(f"expected src to have a size equal to the slice of self. src size = {list(src.shape)}, "
                               f"slice size = {list(part.shape)}")
        part.copy_(src)

    def input_grad(g, where):
        return fresh(g, zeros_like(take(g, *where)), where)

    def src_grad(g, where):
        return take(g, *where)
    write_part.__doc__ = f"A copy of `input` with `src` in the part that {name.removesuffix('_scatter')} views."
    declare = written(f"Tensor._{name}", {"input": input_grad, "src": src_grad}, None, name, keeps_strides=True)
    fresh = declare(write_part)
    return fresh


SELECT_SCATTER = view_scatter("select_scatter", select)
DIAGONAL_SCATTER = view_scatter("diagonal_scatter", diagonal)
SLICE_SCATTER = view_scatter("slice_scatter", slice_)
AS_STRIDED_SCATTER = view_scatter("as_strided_scatter", lambda t, *where: REGISTRY["as_strided"](t, *where))


@public("select_scatter")
def select_scatter(input, src, dim, index):
    """A copy of `input` with `src` at position `index` of dimension `dim`."""
    return SELECT_SCATTER(input, src, (dim, index))


@public("diagonal_scatter")
def diagonal_scatter(input, src, offset=0, dim1=0, dim2=1):
    """A copy of `input` with `src` on the diagonal of two dimensions."""
    return DIAGONAL_SCATTER(input, src, (offset, dim1, dim2))


@public("slice_scatter")
def slice_scatter(input, src, dim=0, start=None, end=None, step=1):
    """A copy of `input` with `src` in start:end:step of dimension `dim`."""
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    dim = wrap_dim(dim, input.dim())
    start, stop, step = slice(start, end, step).indices(input._layout.shape[dim])
    return SLICE_SCATTER(input, src, (dim, start, max(start, stop), step))


@public("as_strided_scatter")
def as_strided_scatter(input, src, size, stride, storage_offset=None):
    """A copy of `input` with `src` in the part that `as_strided` views."""
    return AS_STRIDED_SCATTER(input, src, (tuple(size), tuple(stride), storage_offset))

