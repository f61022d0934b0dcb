"""Views and their gradients: stride arithmetic only, no instruction (the gradients write into zeros)."""

import functools

from ...core import dtype as dt
from ...core.arguments import needed, spelled_again
from ...core.declare import REGISTRY, public, view_operator
from ...core.grads import GradRule
from ...core.graph import MODE
from ...core.infer import as_index, wrap_dim
from ...core.layout import contiguous_strides, layout, view_strides
from ...core.signatures import REQUIRED
from ...core.tensor import Tensor
from ...core.tensor import view as raw_view
from ...core.views import view_of, viewed
from .creation import zeros

MOST_FORMS = 50_000  # that are remembered of each kind of view


def int_list(values, name="size"):
    """Sizes or dims from `*args`: ints or one sequence."""
    if len(values) == 1 and not hasattr(values[0], "__index__"):
        values = values[0]
    return [v if v.__class__ is int else as_index(v) for v in values]


def int_tuple(values):
    """`int_list` as a tuple that may be a key."""
    if len(values) == 1 and not hasattr(values[0], "__index__"):
        values = values[0]
    for v in values:
        if v.__class__ is not int:
            return tuple([v if v.__class__ is int else as_index(v) for v in values])
    return values if values.__class__ is tuple else tuple(values)


def inferred_size(shape, numel):
    """A shape with at most one -1 replaced. RuntimeError with PyTorch's text if it does not fit."""
    shape = list(shape)
    known, at = 1, None
    for i, n in enumerate(shape):
        if n == -1:
            if at is not None:
                raise RuntimeError("only one dimension can be inferred")
            at = i
        elif n < 0:
            raise RuntimeError(f"invalid shape dimension {n} at index {i} of shape {shape}")
        else:
            known *= n
    if at is not None:
        if known == 0:
            raise RuntimeError(f"cannot reshape tensor of {numel} elements into shape {shape} because the unspecified "
                               "dimension size -1 can be any value and is ambiguous")
        if numel % known:
            raise RuntimeError(f"shape '{shape}' is invalid for input of size {numel}")
        shape[at] = numel // known
    elif known != numel:
        raise RuntimeError(f"shape '{shape}' is invalid for input of size {numel}")
    return tuple(shape)


def _reshape_back(g, shape):
    return reshape(g, shape)


VIEW = GradRule("view", ["input", "shape"], {"input": _reshape_back})


@view_operator("Tensor.view", quick=True)
def view(self, *shape, size=None, dtype=None):
    """The same elements in another shape over the same memory, or (with a dtype) the same bytes as another dtype.

    RuntimeError where the strides do not allow it: use `reshape`."""
    if not shape and (size is not None or dtype is not None):
        shape = (size,) if dtype is None else (dtype,)
    if len(shape) == 1 and isinstance(shape[0], dt.DType):
        return view_dtype(self, shape[0])
    found = self._layout
    shaped = reshaped(found, int_tuple(shape))
    if shaped is None:
        raise RuntimeError("view size is not compatible with input tensor's size and stride (at least one dimension "
                           "spans across two contiguous subspaces). Use .reshape(...) instead.")
    return viewed(self, shaped, self._offset, VIEW, (self, found.shape))


@functools.lru_cache(MOST_FORMS)
def reshaped(found, shape):
    """The layout of a view in another shape (which may have one -1); None where the strides do not allow it."""
    shape = inferred_size(shape, found.numel)
    strides = view_strides(found.shape, found.strides, shape)
    return None if strides is None else layout(tuple(shape), tuple(strides), found.dtype)


def view_dtype(self, dtype):
    """The same bytes as another dtype; the last dimension changes with the element size."""
    if self._layout.dtype.plain is not self._layout.dtype:
        kind = "conjugate" if self._layout.dtype.is_complex else "negative"
        raise RuntimeError(f"torch.Tensor.view is not supported for {kind} view tensors when converting to a different "
                           f"dtype.")
    found, old, new = self._layout, self._layout.dtype.itemsize, dtype.itemsize
    shape, strides, offset = list(found.shape), list(found.strides), self._offset
    if old != new:
        if not shape:
            raise RuntimeError(f"self.dim() cannot be 0 to view {found.dtype} as {dtype} (different element sizes)")
        if strides[-1] != 1:
            raise RuntimeError(f"self.stride(-1) must be 1 to view {found.dtype} as {dtype} (different element sizes), "
                               f"but got {strides[-1]}")
        if (shape[-1] * old) % new or any(s * old % new for s in strides[:-1]) or offset * old % new:
            raise RuntimeError(f"self.size(-1) must be divisible by {new // old} to view {found.dtype} as {dtype} "
                               f"(different element sizes), but got {shape[-1]}")
        shape[-1] = shape[-1] * old // new
        strides = [s * old // new for s in strides[:-1]] + [1]
        offset = offset * old // new
    tensor = raw_view(self._storage, layout(tuple(shape), tuple(strides), dtype), offset)
    tensor._versions = self._versions
    return tensor


@view_operator("Tensor.view_as")
def view_as(self, other):
    """`view(other.shape)`."""
    return view(self, other._layout.shape)


@public("reshape", out=False, quick=True)
def reshape(input, *shape):
    """The same elements in another shape: a view if possible, else a copy."""
    found, shape = input._layout, int_tuple(shape)
    shaped = reshaped(found, shape)
    if shaped is not None:
        return viewed(input, shaped, input._offset, VIEW, (input, found.shape))
    shape = inferred_size(shape, found.numel)
    copy = REGISTRY["Tensor._to_strides"](input, contiguous_strides(found.shape))
    return view_of(copy, shape, contiguous_strides(shape), 0, VIEW, (copy, found.shape))


@public("Tensor.reshape_as", out=False)
def reshape_as(self, other):
    """`reshape(other.shape)`."""
    return reshape(self, other._layout.shape)


@public("flatten", out=False, quick=True)
def flatten(input, start_dim=0, end_dim=-1):
    """Merge the dimensions from `start_dim` to `end_dim`."""
    found = input._layout
    start, end = wrap_dim(start_dim, found.ndim), wrap_dim(end_dim, found.ndim)
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if found.ndim == 0:
        return reshape(input, (1,))
    if start == end:
        return input
    count = 1
    for n in found.shape[start:end + 1]:
        count *= n
    return reshape(input, (*found.shape[:start], count, *found.shape[end + 1:]))


@public("ravel", out=False)
def ravel(input):
    """All elements in one dimension: a view of a contiguous tensor, a copy of any other."""
    return reshape(input.contiguous(), (-1,))


@view_operator("unflatten")
def unflatten(input, dim, sizes):
    """Split one dimension into several."""
    found = input._layout
    dim = wrap_dim(dim, found.ndim)
    sizes = list(sizes)
    if not sizes:
        raise RuntimeError("unflatten: sizes must be non-empty")
    try:
        sizes = inferred_size(sizes, found.shape[dim])
    except RuntimeError:
        raise RuntimeError(f"unflatten: Provided sizes {sizes} don't multiply up to the size of dim {dim} "
                           f"({found.shape[dim]}) in the input tensor") from None
    return view(input, (*found.shape[:dim], *sizes, *found.shape[dim + 1:]))


# -- order of dimensions ---------------------------------------------------------------------------------------------


def _inverse(dims):
    back = [0] * len(dims)
    for i, d in enumerate(dims):
        back[d] = i
    return back


PERMUTE = GradRule("permute", ["input", "dims"], {"input": lambda g, dims: permute(g, _inverse(dims))})
TRANSPOSE = GradRule("transpose", ["input", "a", "b"], {"input": lambda g, a, b: transpose(g, a, b)})
T_RULE = GradRule("t", ["input", "a", "b"], {"input": lambda g, a, b: transpose(g, a, b)}, "TBackward0")


@view_operator("permute", quick=True)
def permute(input, *dims):
    """The dimensions in another order."""
    permuted, dims = _permuted(input._layout, int_tuple(dims))
    return viewed(input, permuted, input._offset, PERMUTE, (input, dims))


@functools.lru_cache(MOST_FORMS)
def _permuted(found, dims):
    """(layout with the dimensions in another order, the order)."""
    if len(dims) != found.ndim:
        raise RuntimeError(f"permute(sparse_coo): number of dimensions in the tensor input does not match the length "
                           f"of the desired ordering of dimensions i.e. input.dim() = {found.ndim} is not equal to "
                           f"len(dims) = {len(dims)}")
    dims = tuple([wrap_dim(d, found.ndim) for d in dims])
    if len(set(dims)) != len(dims):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    shape, strides = tuple([found.shape[d] for d in dims]), tuple([found.strides[d] for d in dims])
    return layout(shape, strides, found.dtype), dims


@view_operator("transpose swapdims", quick=True)
def transpose(input, dim0, dim1):
    """Two dimensions swapped."""
    return _swap(input, dim0, dim1, TRANSPOSE)


@public("swapaxes", out=False)
def swapaxes(input, axis0, axis1):
    """`transpose`."""
    return _swap(input, axis0, axis1, TRANSPOSE)


def _swap(input, dim0, dim1, rule):
    swapped, a, b = _swapped(input._layout, dim0, dim1)
    return viewed(input, swapped, input._offset, rule, (input, a, b))


@functools.lru_cache(MOST_FORMS)
def _swapped(found, dim0, dim1):
    """(layout with two dimensions swapped, the dimensions)."""
    a, b = wrap_dim(dim0, found.ndim), wrap_dim(dim1, found.ndim)
    shape, strides = list(found.shape), list(found.strides)
    if found.ndim:
        shape[a], shape[b] = shape[b], shape[a]
        strides[a], strides[b] = strides[b], strides[a]
    return layout(tuple(shape), tuple(strides), found.dtype), a, b


@view_operator("t", quick=True)
def t(input):
    """The transpose of a matrix; tensors of fewer dimensions as they are."""
    if input._layout.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input._layout.ndim}D")
    if input._layout.ndim < 2:
        return alias(input)
    return _swap(input, 0, 1, T_RULE)


@view_operator("movedim moveaxis")
def movedim(input, source, destination):
    """Dimensions moved to other places, the others in order."""
    rank = input._layout.ndim
    source = [source] if hasattr(source, "__index__") else list(source)
    destination = [destination] if hasattr(destination, "__index__") else list(destination)
    if len(source) != len(destination):
        raise RuntimeError(f"movedim: Invalid source or destination dims: source ({source} dims) should contain the "
                           f"same number of dims as destination ({destination} dims)")
    source, destination = [wrap_dim(d, rank) for d in source], [wrap_dim(d, rank) for d in destination]
    if len(set(source)) != len(source) or len(set(destination)) != len(destination):
        raise RuntimeError(f"movedim: repeated dim in `source` or `destination` ({source}, {destination})")
    if not rank:
        return alias(input)
    order = [None] * rank
    for s, d in zip(source, destination):
        order[d] = s
    rest = iter([d for d in range(rank) if d not in source])
    return permute(input, [next(rest) if d is None else d for d in order])


# -- sizes of one ----------------------------------------------------------------------------------------------------


SQUEEZE = GradRule("squeeze", ["input", "shape"], {"input": _reshape_back})
UNSQUEEZE = GradRule("unsqueeze", ["input", "shape"], {"input": _reshape_back})


@view_operator("squeeze", quick=True)
def squeeze(input, dim=None, **spelled):
    """Without the dimensions of size 1 (all, or those given)."""
    if spelled:
        return spelled_again(squeeze, spelled, input, **({} if dim is None else {"dim": dim}))
    found = input._layout
    if dim is None:
        drop = [d for d, n in enumerate(found.shape) if n == 1]
    else:
        dims = [dim] if hasattr(dim, "__index__") else dim
        drop = [d for d in (wrap_dim(d, found.ndim) for d in dims) if found.ndim and found.shape[d] == 1]
    keep = [d for d in range(found.ndim) if d not in drop]
    return view_of(input, [found.shape[d] for d in keep], [found.strides[d] for d in keep], input._offset, SQUEEZE,
                   (input, found.shape))


@view_operator("unsqueeze", quick=True)
def unsqueeze(input, dim=REQUIRED, **spelled):
    """With a dimension of size 1 inserted at `dim`."""
    if dim is REQUIRED:
        return spelled_again(unsqueeze, needed("unsqueeze", "dim", spelled), input)
    found = input._layout
    return viewed(input, _unsqueezed(found, dim), input._offset, UNSQUEEZE, (input, found.shape))


@functools.lru_cache(MOST_FORMS)
def _unsqueezed(found, dim):
    dim = wrap_dim(dim, found.ndim + 1)
    step = found.shape[dim] * found.strides[dim] if dim < found.ndim else 1
    shape, strides = list(found.shape), list(found.strides)
    shape.insert(dim, 1)
    strides.insert(dim, step)
    return layout(tuple(shape), tuple(strides), found.dtype)


# -- repetition ------------------------------------------------------------------------------------------------------


def sum_to(g, shape):
    """Sum `g` to a shape it broadcasts from."""
    if tuple(g._layout.shape) == tuple(shape):
        return g
    lead = g._layout.ndim - len(shape)
    dims = [d for d in range(g._layout.ndim) if d < lead or (shape[d - lead] == 1 and g._layout.shape[d] != 1)]
    if dims:
        g = g.sum(dims, keepdim=True)
    return reshape(g, shape) if lead else g


EXPAND = GradRule("expand", ["input", "shape"], {"input": sum_to})


@public("Tensor.sum_to_size", out=False)
def sum_to_size(self, *size):
    """Sum to a shape this tensor broadcasts from; to () it is `sum`, which makes bool int64."""
    shape = int_list(size)
    return sum_to(self, shape) if shape else self.sum()



@view_operator("Tensor.expand", quick=True)
def expand(self, *size, implicit=False):
    """Dimensions of size 1 seen repeatedly, without copying; -1 keeps a size."""
    found = self._layout
    size = int_list(size)
    lead = len(size) - found.ndim
    if lead < 0:
        raise RuntimeError(f"expand({dt_name(self)}{{{list(found.shape)}}}, size={size}): the number of sizes provided "
                           f"({len(size)}) must be "
                           f"greater or equal to the number of dimensions in the tensor ({found.ndim})")
    shape, strides = [], []
    for d, n in enumerate(size):
        if d < lead:
            if n < 0:
                raise RuntimeError(f"expand({dt_name(self)}{{{list(found.shape)}}}, size={size}): the expanded size of "
                                   f"the tensor ({n}) isn't allowed in a leading, non-existing dimension {d}")
            shape.append(n)
            strides.append(None)
            continue
        old, s = found.shape[d - lead], found.strides[d - lead]
        if n == -1 or n == old:
            shape.append(old)
            strides.append(s)
        elif old == 1:
            if n < 0:
                raise RuntimeError(f"The expanded size of the tensor ({n}) isn't allowed")
            shape.append(n)
            strides.append(0)
        else:
            raise RuntimeError(f"The expanded size of the tensor ({n}) must match the existing size ({old}) at "
                               f"non-singleton dimension "
                               f"{d}.  Target sizes: {size}.  Tensor sizes: {list(found.shape)}")
    for d in range(lead - 1, -1, -1):  # new dimensions of size 1 get row-major strides, as PyTorch gives them
        strides[d] = shape[d + 1] * strides[d + 1] if shape[d] == 1 and found.ndim else 0
    return view_of(self, shape, strides, self._offset, EXPAND, (self, found.shape))


def dt_name(tensor):
    """torch.FloatTensor and the like, for messages."""
    return f"torch.{dt.scalar_type(tensor.dtype)}Tensor"


@view_operator("Tensor.expand_as")
def expand_as(self, other):
    """`expand(other.shape)`."""
    return expand(self, other._layout.shape)


@view_operator("broadcast_to")
def broadcast_to(input, size):
    """`expand`, as a function."""
    return expand(input, size)


# -- parts -----------------------------------------------------------------------------------------------------------


def _embed(g, shape, take, *where):
    """Zeros of `shape` with `g` in the part that `take(zeros, *where)` views."""
    return embed(g, shape, take, where)


@public("Tensor._embed", grad={"g": lambda g, take, where: take(g, *where)}, out=False, node="EmbedBackward0")
def embed(g, shape, take, where):
    """Zeros of `shape` with `g` written to one of its views: the gradient of taking that view."""
    whole = zeros(tuple(shape), dtype=g.dtype, device=g.device)
    take(whole, *where).copy_(g)
    return whole


SELECT = GradRule("select", ["input", "shape", "dim", "index"],
                  {"input": lambda g, shape, dim, index: _embed(g, shape, select, dim, index)})
SLICE = GradRule("slice", ["input", "shape", "dim", "start", "stop", "step"],
                 {"input": lambda g, shape, dim, start, stop, step: _embed(g, shape, slice_, dim, start, stop, step)})
DIAGONAL = GradRule("diagonal", ["input", "shape", "offset", "dim1", "dim2"],
                    {"input": lambda g, shape, offset, dim1, dim2: _embed(g, shape, diagonal, offset, dim1, dim2)})


@view_operator("select", quick=True)
def select(input, dim=REQUIRED, index=REQUIRED, **spelled):
    """One position of a dimension, which disappears."""
    if dim is REQUIRED or index is REQUIRED:
        given = {k: v for k, v in (("dim", dim), ("index", index)) if v is not REQUIRED}
        return spelled_again(select, needed("select", "dim", spelled), input, **given)
    found = input._layout
    if not found.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    dim = wrap_dim(dim, found.ndim)
    if isinstance(index, Tensor):
        index = index.item()
    n = found.shape[dim]
    if not -n <= index < n:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(found.shape)} at dimension {dim}"
        )
    index = index + n if index < 0 else index
    shape, strides = list(found.shape), list(found.strides)
    offset = self_offset(input, index * strides[dim])
    del shape[dim], strides[dim]
    return view_of(input, shape, strides, offset, SELECT, (input, found.shape, dim, index))


def self_offset(tensor, elements):
    return tensor._offset + elements


@view_operator("Tensor._slice", quick=True)
def slice_(input, dim, start, stop, step):
    """input[start:stop:step] of one dimension; start and stop within the size, step positive."""
    found = input._layout
    shape, strides = list(found.shape), list(found.strides)
    shape[dim] = max(0, -(-(stop - start) // step))
    offset = input._offset + (start * strides[dim] if shape[dim] else start * strides[dim])
    strides[dim] *= step
    return view_of(input, shape, strides, offset, SLICE, (input, found.shape, dim, start, stop, step))


@view_operator("narrow", quick=True)
def narrow(input, dim=REQUIRED, start=REQUIRED, length=REQUIRED, **spelled):
    """`length` positions of a dimension from `start` on."""
    if dim is REQUIRED or length is REQUIRED:
        given = {k: v for k, v in (("dim", dim), ("start", start), ("length", length)) if v is not REQUIRED}
        return spelled_again(narrow, needed("narrow", "length", spelled), input, **given)
    found = input._layout
    if not found.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    dim = wrap_dim(dim, found.ndim)
    if isinstance(start, Tensor):
        if start.dim() or start.dtype.category != dt.INTEGRAL:
            raise RuntimeError("start must be an 0-dim integral Tensor.")
        start = start.item()
    n = found.shape[dim]
    if not -n <= start <= n:
        raise IndexError(f"start out of range (expected to be in range of [{-n}, {n}], but got {start})")
    start = start + n if start < 0 else start
    if start + length > n:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({n}).")
    return slice_(input, dim, start, start + length, 1)


@view_operator("linalg.diagonal")
def linalg_diagonal(A, *, offset=0, dim1=-2, dim2=-1):
    """The diagonals of matrices as a last dimension."""
    return diagonal(A, offset, dim1, dim2)


@view_operator("diagonal Tensor.diagonal")
def diagonal(input, offset=0, dim1=0, dim2=1):
    """The diagonal of two dimensions as a last dimension."""
    found = input._layout
    a, b = wrap_dim(dim1, found.ndim), wrap_dim(dim2, found.ndim)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    rows, columns = found.shape[a], found.shape[b]
    length = max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    start = input._offset
    if length:
        start += offset * found.strides[b] if offset >= 0 else -offset * found.strides[a]
    keep = [d for d in range(found.ndim) if d not in (a, b)]
    shape = [found.shape[d] for d in keep] + [length]
    strides = [found.strides[d] for d in keep] + [found.strides[a] + found.strides[b]]
    return view_of(input, shape, strides, start, DIAGONAL, (input, found.shape, offset, a, b))


@view_operator("split Tensor.split")
def split(tensor, split_size_or_sections, dim=0):
    """Views of pieces along a dimension: of one size (the last may be smaller) or of the sizes given."""
    found = tensor._layout
    if not found.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    dim = wrap_dim(dim, found.ndim)
    n, sizes = found.shape[dim], split_size_or_sections
    if hasattr(sizes, "__index__"):
        size = as_index(sizes)
        if size < 0:
            raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}")
        if size == 0 and n:
            raise RuntimeError(f"split_size can only be 0 if dimension size is 0, but got dimension size of {n}")
        sizes = [min(size, n - i) for i in range(0, n, size)] if n else [0]
    elif builtin_sum(sizes) != n:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at dimension {dim}), but "
            f"got split_sizes={list(sizes)}"
        )
    return pieces(tensor, dim, list(sizes), SPLIT)


def builtin_sum(values):
    total = 0
    for v in values:
        total += v
    return total


def pieces(tensor, dim, sizes, rule):
    """Views of consecutive stretches of a dimension, one node for all."""
    found = tensor._layout
    start, result = 0, []
    for n in sizes:
        shape = list(found.shape)
        shape[dim] = n
        result.append(
            view_of(tensor, shape, found.strides, tensor._offset + start * found.strides[dim], None, (), True)
        )
        start += n
    if MODE.grad and tensor.requires_grad:
        rule.attach((tensor, found.shape, dim), result)
    return tuple(result)


def _split_back(g, shape, dim):
    parts = g if isinstance(g, (tuple, list)) else [g]
    return REGISTRY["cat"](list(parts), dim)


def _unbind_back(g, shape, dim):
    parts = g if isinstance(g, (tuple, list)) else [g]
    return REGISTRY["stack"](list(parts), dim)


SPLIT = GradRule("split", ["input", "shape", "dim"], {"input": _split_back})
UNBIND = GradRule("unbind", ["input", "shape", "dim"], {"input": _unbind_back})


@view_operator("chunk")
def chunk(input, chunks, dim=0):
    """At most `chunks` pieces of equal size along a dimension."""
    found = input._layout
    if not found.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    dim = wrap_dim(dim, found.ndim)
    n = found.shape[dim]
    size = -(-n // chunks)
    if not size:
        return pieces(input, dim, [0] * chunks, SPLIT)
    return split(input, size, dim)


@view_operator("unbind", quick=True)
def unbind(input, dim=0, **spelled):
    """All positions of a dimension as a tuple of views."""
    if spelled:
        return spelled_again(unbind, spelled, input)
    found = input._layout
    if not found.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    dim = wrap_dim(dim, found.ndim)
    shape, strides = list(found.shape), list(found.strides)
    del shape[dim], strides[dim]
    step = found.strides[dim]
    result = [view_of(input, shape, strides, input._offset + i * step, None, (), True) for i in range(found.shape[dim])]
    if result and MODE.grad and input.requires_grad:
        UNBIND.attach((input, found.shape, dim), result)
    return tuple(result)


# -- the memory as it is ---------------------------------------------------------------------------------------------


ALIAS = GradRule("alias", ["input"], {"input": lambda g: g})


@view_operator("Tensor.alias")
def alias(input):
    """A view of everything."""
    found = input._layout
    return view_of(input, found.shape, found.strides, input._offset, ALIAS, (input,))


@view_operator("detach", quick=True)
def detach(input):
    """The same memory outside the graph; its version is shared."""
    tensor = raw_view(input._storage, input._layout, input._offset)
    tensor._versions = input._versions
    return tensor


def _transposed(self):
    """The dimensions reversed (for a matrix: the transpose)."""
    if self._layout.ndim == 2:
        return permute(self, 1, 0)
    return permute(self, *range(self._layout.ndim - 1, -1, -1))


def _matrix_transposed(self):
    """The last two dimensions swapped."""
    if self._layout.ndim < 2:
        raise RuntimeError(
            f"tensor.mT is only supported on matrices or batches of matrices. Got {self._layout.ndim}-D tensor."
        )
    return transpose(self, -2, -1)


REGISTRY["Tensor.T"] = property(_transposed)
REGISTRY["Tensor.mT"] = property(_matrix_transposed)
REGISTRY["Tensor.mH"] = property(lambda self: adjoint(self))
REGISTRY["Tensor.H"] = property(lambda self: _conjugate_transpose(self))


def _conjugate_transpose(self):
    """The conjugate transpose of a matrix."""
    if self._layout.ndim == 0:
        return self
    if self._layout.ndim != 2:
        raise RuntimeError(f"tensor.H is only supported on matrices (2-D tensors). Got {self._layout.ndim}-D tensor. "
                           "For batches of matrices, consider using tensor.mH")
    return adjoint(self)


@view_operator("adjoint")
def adjoint(input):
    """The last two dimensions swapped, complex numbers conjugated."""
    turned = _matrix_transposed(input)
    return REGISTRY["conj"](turned) if turned._layout.dtype.is_complex else turned
