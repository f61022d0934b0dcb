"""Joining, repeating and rearranging: cat, stack, split variants, repeat, flip, roll, tril, diag, meshgrid, unfold, and
so on.

`cat` and its family make one uninitialised result and copy every input into its part of it, so that what computes an
input can write it there directly. Read `view` for what only changes strides, `pad` for padding and shuffles, `inplace`
for the in-place forms.
"""

import functools
import itertools

from ...base.lazy import numpy as np
from ...core import dtype as dt
from ...core import infer as rules
from ...core.declare import REGISTRY, apply, into_out, public, register, view_operator
from ...core.device import resolve
from ...core.grads import GradRule
from ...core.graph import MODE
from ...core.infer import wrap_dim
from ...core.kinds import Gather, Host
from ...core.layout import channels_last_strides, contiguous_strides, dense_strides_like, seems_channels_last
from ...core.layout import layout as make_layout
from ...core.record import record, write_copy
from ...core.room import check_bytes
from ...core.storage import storage_on
from ...core.tensor import Tensor, empty
from ...core.tensor import view as raw_view
from ...core.views import view_of
from .copy import COPY, COPY_FORM
from .creation import arange, zeros
from .fetch import Place, into_apart, scatter_sum
from .view import chunk, int_list, slice_, split, unbind


def tensor_list(name, tensors):
    """A list of tensors. TypeError for anything else in it."""
    if isinstance(tensors, Tensor):
        raise TypeError(f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor")
    tensors = list(tensors)
    for i, t in enumerate(tensors):
        if not isinstance(t, Tensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(t).__name__}")
    return tensors


def joined_dtype(tensors):
    return rules.joined_dtype([t._layout for t in tensors], ())


# -- cat, stack --------------------------------------------------------------------------------------------------------


class Join:
    """How tensors of certain layouts are joined: size along `dim` of each (None: takes no part), and each one's part of
    the result."""

    __slots__ = ("dim", "sizes", "layout", "parts")
    tensorless = True  # a node that keeps one can run again: see Node.release

    def __init__(self, dim, sizes, shape, strides, dtype):
        self.dim, self.sizes = dim, sizes
        found = self.layout = make_layout(shape, strides or contiguous_strides(shape), dtype)
        self.parts, at = [], 0
        for n in sizes:
            part = make_layout((*shape[:dim], n or 0, *shape[dim + 1:]), found.strides, dtype)
            self.parts.append((part, at * found.strides[dim]))
            at += n or 0


def _cat_back(g, join):
    parts, start = [], 0
    for n in join.sizes:
        if n is None:
            parts.append(zeros(0, dtype=g.dtype, device=g.device))
            continue
        parts.append(slice_(g, join.dim, start, start + n, 1))
        start += n
    return parts


CAT = GradRule("cat", ["tensors", "join"], {"tensors": _cat_back})


@functools.lru_cache(10_000)
def plan_cat(layouts, dim):
    """The Join of layouts, checked. The errors are the user's."""
    for i, found in enumerate(layouts):
        if not found.ndim:
            raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated")
    used = [x for x in layouts if x.ndim != 1 or x.numel]
    shape = list((used or layouts)[0].shape)
    dim = wrap_dim(dim, len(shape)) if used else 0  # without elements PyTorch doesn't look at it
    sizes, total = [], 0
    for i, found in enumerate(layouts):
        if found.ndim == 1 and not found.numel and len(shape) > 1:
            sizes.append(None)
            continue
        check_cat(shape, found.shape, dim, i)
        sizes.append(found.shape[dim])
        total += found.shape[dim]
    shape[dim] = total
    return Join(dim, tuple(sizes), tuple(shape), cat_strides(layouts, shape), rules.joined_dtype(layouts, ()))


def concatenate(tensors, dim=0):
    """`cat` of a list of tensors."""
    try:
        layouts = tuple([t._layout for t in tensors]) if tensors.__class__ is not Tensor else None
    except (AttributeError, TypeError):
        layouts = None
    if layouts is None:
        layouts = tuple([t._layout for t in tensor_list("cat", tensors)])
    if not layouts:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    plan = plan_cat(layouts, dim)
    found = plan.layout
    check_bytes(found.nbytes)
    storage = storage_on(found.nbytes, tensors[0]._storage.device)
    for t, (part, offset) in zip(tensors, plan.parts):
        if part.numel:
            write_copy(COPY_FORM, t, storage, part, offset)
    out = raw_view(storage, found, 0)
    if MODE.grad and any([t._rg or t._base is not None for t in tensors]):
        CAT.attach((list(tensors), plan), [out])
    return out


@public("cat concat concatenate", out=False, cast="widest")
def cat(tensors, dim=0, *, out=None):
    """Tensors one after the other along `dim`; their other sizes must agree, dtypes are promoted. Empty 1-d tensors are
    skipped."""
    if out is None:
        return concatenate(tensors, dim)
    return into_apart("cat", concatenate, out, tensor_list("cat", tensors), dim)


def check_cat(shape, found, dim, number):
    if len(found) != len(shape):
        raise RuntimeError(f"Tensors must have same number of dimensions: got {len(shape)} and {len(found)}")
    for d, (n, m) in enumerate(zip(shape, found)):
        if n != m and d != dim:
            raise RuntimeError(f"Sizes of tensors must match except in dimension {dim}. Expected size {n} but got size "
                               f"{m} for tensor number {number} in the list.")


def cat_strides(used, shape):
    """channels_last where all inputs seem to have it, else None (contiguous)."""
    return channels_last_strides(shape) if all(map(seems_channels_last, used)) else None


def _stack_back(g, dim):
    return list(unbind(g, dim))


STACK = GradRule("stack", ["tensors", "dim"], {"tensors": _stack_back})


@functools.lru_cache(10_000)
def plan_stack(layouts, dim):
    """(dim, layout, layout of a part, distance of parts) of equal layouts along a new dimension."""
    shape = tuple(layouts[0].shape)
    dim = wrap_dim(dim, len(shape) + 1)
    for i, found in enumerate(layouts):
        if found.shape != shape:
            raise RuntimeError(f"stack expects each tensor to be equal size, but got {list(shape)} at entry 0 and "
                               f"{list(found.shape)} at entry {i}")
    whole, dtype = (*shape[:dim], len(layouts), *shape[dim:]), rules.joined_dtype(layouts, ())
    strides = contiguous_strides(whole)
    if dim < len(shape) and all(map(seems_channels_last, layouts)):  # as PyTorch joins, and then splits the dimension
        joined = channels_last_strides((*shape[:dim], len(layouts) * shape[dim], *shape[dim + 1:]))
        strides = (*joined[:dim], joined[dim] * shape[dim], *joined[dim:])
    part = make_layout(shape, strides[:dim] + strides[dim + 1:], dtype)
    return dim, make_layout(whole, strides, dtype), part, strides[dim]


def stacked(tensors, dim=0):
    """`stack` of a list of tensors."""
    try:
        layouts = tuple([t._layout for t in tensors]) if tensors.__class__ is not Tensor else None
    except (AttributeError, TypeError):
        layouts = None
    if layouts is None:
        layouts = tuple([t._layout for t in tensor_list("stack", tensors)])
    if not layouts:
        raise RuntimeError("stack expects a non-empty TensorList")
    dim, found, part, step = plan_stack(layouts, dim)
    check_bytes(found.nbytes)
    storage = storage_on(found.nbytes, tensors[0]._storage.device)
    if part.numel:
        for i, t in enumerate(tensors):
            write_copy(COPY_FORM, t, storage, part, i * step)
    out = raw_view(storage, found, 0)
    if MODE.grad and any([t._rg or t._base is not None for t in tensors]):
        STACK.attach((list(tensors), dim), [out])
    return out


@public("stack", out=False, cast="widest")
def stack(tensors, dim=0, *, out=None):
    """Tensors of one shape along a new dimension. RuntimeError where the shapes differ."""
    if out is None:
        return stacked(tensors, dim)
    return into_out("stack", stacked, out, (tensor_list("stack", tensors), dim), {})


def at_least(rank, tensors):
    convert = REGISTRY[f"atleast_{rank}d"]
    return [convert(t) for t in tensors]


@public("hstack")
def hstack(tensors):
    """Tensors side by side: along dimension 1, 1-d ones along dimension 0."""
    tensors = tensor_list("hstack", tensors)
    if not tensors:
        raise RuntimeError("hstack expects a non-empty TensorList")
    tensors = at_least(1, tensors)
    return cat(tensors, 0 if tensors[0].dim() == 1 else 1)


@public("vstack row_stack")
def vstack(tensors):
    """Tensors below each other: along dimension 0, 1-d ones as rows."""
    tensors = tensor_list("vstack", tensors)
    if not tensors:
        raise RuntimeError("vstack expects a non-empty TensorList")
    return cat(at_least(2, tensors), 0)


@public("dstack")
def dstack(tensors):
    """Tensors along a third dimension."""
    tensors = tensor_list("dstack", tensors)
    if not tensors:
        raise RuntimeError("dstack expects a non-empty TensorList")
    return cat(at_least(3, tensors), 2)


@public("column_stack")
def column_stack(tensors):
    """Tensors side by side, those of fewer than two dimensions as columns."""
    tensors = tensor_list("column_stack", tensors)
    if not tensors:
        raise RuntimeError("column_stack expects a non-empty TensorList")
    return hstack([t.reshape(t.numel(), 1) if t.dim() <= 1 else t for t in tensors])


@public("torch.block_diag", out=False)
def block_diag(*tensors):
    """A matrix with the tensors (at most 2-d) along its diagonal, zero elsewhere."""
    parts = []
    for i, t in enumerate(tensors):
        if t.dim() > 2:
            raise RuntimeError(f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has "
                               f"{t.dim()} dimensions")
        parts.append(t.reshape(1, -1) if t.dim() < 2 else t)
    if not parts:
        return REGISTRY["empty"](1, 0)
    dtype = joined_dtype(tensors)
    columns = sum(p.shape[1] for p in parts)
    rows, at = [], 0
    for p in parts:
        rows.append(REGISTRY["nn.functional.pad"](p.to(dtype), (at, columns - at - p.shape[1])))
        at += p.shape[1]
    return cat(rows, 0)


# -- splits ------------------------------------------------------------------------------------------------------------


@public("split_with_sizes unsafe_split_with_sizes", out=False)
def split_with_sizes(input, split_sizes, dim=0):
    """Pieces of the sizes given along `dim`."""
    return split(input, list(split_sizes), dim)


register("unsafe_split", split)
register("unsafe_chunk", chunk)


@public("tensor_split", out=False)
def tensor_split(input, indices_or_sections, dim=0):
    """Pieces along `dim`: a number of nearly equal ones, or cut before the positions given."""
    if not input.dim():
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with "
                           f"{input.dim()} dims")
    dim = wrap_dim(dim, input.dim())
    size, cuts = input._layout.shape[dim], indices_or_sections
    if isinstance(cuts, Tensor):
        if cuts.dim() > 1 or cuts.dtype is not dt.int64:
            raise RuntimeError("tensor_split expected tensor_indices_or_sections to be a zero-dimensional or "
                               "one-dimensional tensor of "
                               f"dtype long, but got a tensor with {cuts.dim()} dims of {cuts.dtype}")
        cuts = cuts.tolist()
    if hasattr(cuts, "__index__"):
        count = rules.as_index(cuts)
        if count <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {count}")
        least, more = divmod(size, count)
        sizes = [least + (1 if i < more else 0) for i in range(count)]
        starts = [0, *itertools.accumulate(sizes)]
        return tuple([slice_(input, dim, a, b, 1) for a, b in zip(starts, starts[1:])])
    found, start = [], 0
    for stop in [*cuts, size]:
        low, high, _ = slice(start, stop).indices(size)
        found.append(slice_(input, dim, low, max(low, high), 1))
        start = stop
    return tuple(found)


def split_along(name, input, sections, dim, least):
    if input.dim() < least:
        raise RuntimeError(f"torch.{name} requires a tensor with at least {least} dimension{'s' if least > 1 else ''}, "
                           f"but got a tensor with {input.dim()} dimensions!")
    if hasattr(sections, "__index__") and not isinstance(sections, Tensor):
        size = input._layout.shape[dim]
        if sections == 0 or size % sections:
            raise RuntimeError(f"torch.{name} attempted to split along dimension {dim}, but the size of the dimension "
                               f"{size} is not divisible by the split_size {sections}!")
    return tensor_split(input, sections, dim)


@public("hsplit", out=False)
def hsplit(input, indices_or_sections):
    """`tensor_split` along dimension 1 (0 for 1-d tensors), into equal pieces."""
    return split_along("hsplit", input, indices_or_sections, 0 if input.dim() == 1 else 1, 1)


@public("vsplit", out=False)
def vsplit(input, indices_or_sections):
    """`tensor_split` along dimension 0, into equal pieces."""
    return split_along("vsplit", input, indices_or_sections, 0, 2)


@public("dsplit", out=False)
def dsplit(input, indices_or_sections):
    """`tensor_split` along dimension 2, into equal pieces."""
    return split_along("dsplit", input, indices_or_sections, 2, 3)


# -- repetition --------------------------------------------------------------------------------------------------------


def _repeat_back(g, shape, repeats):
    lead = len(repeats) - len(shape)
    sizes = [1] * lead + list(shape)
    pairs = [n for pair in zip(repeats, sizes) for n in pair]
    total = g.reshape(pairs).sum([2 * d for d in range(len(repeats))]) if repeats else g
    return total.reshape(shape)


@public("Tensor._repeat", grad={"input": _repeat_back}, node="RepeatBackward0", out=False)
def repeated(input, shape, repeats):
    """The tensor repeated along each dimension: one copy from a broadcast view."""
    found = input._layout
    lead = len(repeats) - found.ndim
    sizes = [1] * lead + list(shape)
    out = empty(tuple([n * r for n, r in zip(sizes, repeats)]), found.dtype, input._storage.device)
    if not out._layout.numel:
        return out
    pairs = tuple([n for pair in zip(repeats, sizes) for n in pair])
    steps = (0,) * lead + found.strides
    wide = make_layout(pairs, tuple([s for n in steps for s in (0, n)]), found.dtype)
    source = raw_view(input._storage, wide, input._offset)
    target = raw_view(out._storage, make_layout(pairs, contiguous_strides(pairs), found.dtype), 0)
    record(COPY, "t", (), (source,), (), (target,))
    return out


@public("Tensor.repeat", out=False)
def repeat(self, repeats, *more):
    """The tensor repeated the given number of times along each dimension (leading ones may be new)."""
    repeats = int_list((repeats, *more))
    shape = self._layout.shape
    if len(repeats) < len(shape):
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    if any(n < 0 for n in repeats):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(repeats)}: {repeats}")
    return repeated(self, shape, tuple(repeats))


@public("tile", out=False)
def tile(input, dims, *more):
    """`repeat`, with missing leading numbers taken as 1."""
    dims = int_list((dims, *more))
    return repeat(input, [1] * max(0, input.dim() - len(dims)) + dims)


@public("repeat_interleave", out=False)
def repeat_interleave(input, repeats=None, dim=None, *, output_size=None):
    """Each position of `dim` (or each element) repeated `repeats` times (number or tensor) in place; one argument: the
    positions."""
    if repeats is None:
        return repeat_positions(input, output_size)
    if dim is None:
        input, dim = input.reshape(-1), 0
    if not input.dim():
        input, dim = input.reshape(1), 0
    dim = wrap_dim(dim, input.dim())
    size = input._layout.shape[dim]
    if not isinstance(repeats, Tensor):
        if repeats < 0:
            raise RuntimeError("Repeats must be non-negative")
        shape = input._layout.shape
        wide = input.unsqueeze(dim + 1).expand(*shape[:dim + 1], repeats, *shape[dim + 1:])
        result = wide.reshape(*shape[:dim], size * repeats, *shape[dim + 1:])
        return result.clone() if result._storage is input._storage else result
    if repeats.dim() == 0 or (repeats.dim() == 1 and repeats.numel() == 1):
        repeats = repeats.reshape(1).expand(size)
    elif repeats.dim() != 1 or repeats.numel() != size:
        raise RuntimeError("repeats must have the same size as input along dim, but got repeats.size(0) = "
                           f"{repeats.numel()} and input.size({dim}) = {size}")
    return input.index_select(dim, repeat_positions(repeats, output_size))


def _repeat_positions_body(outs, ins, numbers):
    outs[0][...] = np.repeat(np.arange(len(ins[0])), ins[0])


POSITIONS = Host("repeat_interleave", _repeat_positions_body)


def repeat_positions(repeats, output_size):
    """Position i `repeats[i]` times. Sync point without `output_size`."""
    if repeats.dim() != 1:
        raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
    if repeats.dtype not in (dt.int64, dt.int32):
        raise RuntimeError("repeats has to be Long or Int tensor")
    if repeats.numel():
        low, total = int(repeats.min().item()), int(repeats.sum().item())
        if low < 0:
            raise RuntimeError("repeats can not be negative")
    else:
        total = 0
    if output_size is not None and output_size != total:
        raise RuntimeError("allocated size does not match required size")
    return record(POSITIONS, "t", (("out", (((total,), dt.int64),)),), (repeats,))[0]


# -- reversal and rotation ---------------------------------------------------------------------------------------------


def _flip_body(k, input, rank: int, dims: object):
    return input.load([input.shape[d] - 1 - k.index(d) if d in dims else k.index(d) for d in range(rank)])


FLIP = Gather("flip", _flip_body, layouts=rules.strided, params=("input", "dims"),
              grad={"input": lambda g, dims: flip(g, dims)})


@public("flip", out=False)
def flip(input, dims, *more):
    """A copy with the order of positions reversed along `dims`."""
    found = input._layout
    dims = sorted(wrap_dim(d, found.ndim) for d in int_list((dims, *more)))
    if len(set(dims)) != len(dims):
        raise RuntimeError(f"dim {dims[0]} appears multiple times in the list of dims")
    if not dims or not found.ndim:
        return input.clone()
    strides = dense_strides_like(found.shape, found.strides)
    attrs = (("rank", found.ndim), ("dims", tuple(dims)), ("out", ((found.shape, strides, found.dtype),)))
    return apply(FLIP, (input, tuple(dims)), (input,), (), attrs)[0]


@public("fliplr", out=False)
def fliplr(input):
    """Columns in reverse order."""
    if input.dim() < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, (1,))


@public("flipud", out=False)
def flipud(input):
    """Rows in reverse order."""
    if input.dim() < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, (0,))


@public("Tensor._roll", grad={"input": lambda g, shifts, dims: rolled(g, tuple([-s for s in shifts]), dims)},
        node="RollBackward0", out=False)
def rolled(input, shifts, dims):
    """Positions moved around; every block of the result is one copy."""
    found = input._layout
    out = empty(tuple(found.shape), found.dtype, input._storage.device)
    if not found.numel:
        return out
    moves = {}
    for shift, d in zip(shifts, dims):
        moves[d] = (moves.get(d, 0) + shift) % found.shape[d]
    blocks = []
    for d, s in moves.items():
        n = found.shape[d]
        blocks.append([(0, n - s, s), (n - s, s, 0)] if s else [(0, n, 0)])
    for choice in itertools.product(*blocks):
        source, target = input.detach(), out
        for d, (start, count, to) in zip(moves, choice):
            source = slice_(source, d, start, start + count, 1)
            target = slice_(target, d, to, to + count, 1)
        record(COPY, "t", (), (source,), (), (target,))
    return out


@public("roll", out=False)
def roll(input, shifts, dims=None):
    """Positions moved by `shifts` along `dims`; elements shifted past the end reappear at the start. Without dims over
    the flattened tensor."""
    shifts = int_list((shifts,))
    dims = [] if dims is None else int_list((dims,))
    if not shifts:
        raise RuntimeError("`shifts` required")
    if not dims and len(shifts) == 1:
        return roll(input.reshape(-1), shifts, 0).view(input._layout.shape)
    if len(shifts) != len(dims):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}")
    return rolled(input, tuple(shifts), tuple([wrap_dim(d, input.dim(), False) for d in dims]))


@public("rot90", out=False)
def rot90(input, k=1, dims=(0, 1)):
    """The plane of two dimensions turned by k * 90 degrees, from the first towards the second."""
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if input.dim() < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {input.dim()}")
    a, b = (wrap_dim(d, input.dim()) for d in dims)
    if a == b:
        raise RuntimeError(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}")
    k %= 4
    if k == 0:
        return input.clone()
    if k == 2:
        return flip(input, (a, b))
    return flip(input, (b,)).transpose(a, b) if k == 1 else flip(input, (a,)).transpose(a, b)


# -- triangles and diagonals -------------------------------------------------------------------------------------------


def _tril_body(k, input, diagonal, last: int):
    return k.where(k.index(last) - k.index(last - 1) <= diagonal, input, k.const(0, input.dtype))


def _triu_body(k, input, diagonal, last: int):
    return k.where(k.index(last) - k.index(last - 1) >= diagonal, input, k.const(0, input.dtype))


TRIL = Gather("tril", _tril_body, aligned=(0,), params=("input", "diagonal"),
              grad={"input": lambda g, diagonal: tril(g, diagonal)})
TRIU = Gather("triu", _triu_body, aligned=(0,), params=("input", "diagonal"),
              grad={"input": lambda g, diagonal: triu(g, diagonal)})


def triangle(op, input, diagonal, outs=None):
    found = input._layout
    if found.ndim < 2:
        raise RuntimeError(f"{op.name}: input tensor must have at least 2 dimensions")
    attrs = (("last", found.ndim - 1), ("out", ((found.shape, found.dtype),)))
    return apply(op, (input, diagonal), (input,), (rules.as_index(diagonal),), attrs, outs=outs)[0]


@public("tril")
def tril(input, diagonal=0):
    """The matrices' elements on and below a diagonal, 0 elsewhere."""
    return triangle(TRIL, input, diagonal)


@public("triu")
def triu(input, diagonal=0):
    """The matrices' elements on and above a diagonal, 0 elsewhere."""
    return triangle(TRIU, input, diagonal)


@public("Tensor.tril_", out=False)
def tril_(self, diagonal=0):
    """`tril` in place."""
    return triangle(TRIL, self, diagonal, [self])


@public("Tensor.triu_", out=False)
def triu_(self, diagonal=0):
    """`triu` in place."""
    return triangle(TRIU, self, diagonal, [self])


def _triangle_indices(outs, ins, numbers, name, row, col, offset):
    rows = np.arange(row)
    ends = np.clip(rows + (offset + 1 if name == "tril" else offset), 0, col)  # of the part below, in each row
    counts = ends if name == "tril" else col - ends
    outs[0][0] = np.repeat(rows, counts)
    firsts = np.cumsum(counts) - counts
    outs[0][1] = np.arange(outs[0].shape[1]) - np.repeat(firsts - (0 if name == "tril" else ends), counts)


TRIANGLE_INDICES = Host("tril_indices", _triangle_indices)


def _count_below(row, col, offset):
    """How many elements of a matrix lie on and below a diagonal: row r has r + offset + 1 of them, from 0 to `col`."""
    first, full = min(max(-offset, 0), row), min(max(col - offset - 1, 0), row)
    full = max(first, full)
    return (full - first) * (first + full + 2 * offset + 1) // 2 + (row - full) * col


def triangle_indices(name, row, col, offset, dtype, device):
    if row < 0 or col < 0:
        raise RuntimeError(f"row must be non-negative, got{row}" if row < 0 else f"col must be non-negative, got{col}")
    if dtype not in (dt.int64, dt.int32):
        raise RuntimeError(f"\"{name}_indices\" not implemented for '{dt.scalar_type(dtype)}'")
    offset = min(max(offset, -row), col)  # further away every diagonal leaves the same
    below = _count_below(row, col, offset)
    above = row * col - _count_below(row, col, offset - 1)
    attrs = (("name", name), ("row", row), ("col", col), ("offset", offset),
             ("out", (((2, below if name == "tril" else above), dtype),)))
    return record(TRIANGLE_INDICES, "", attrs, (), device=resolve(device))[0]


@public("torch.tril_indices", out=False)
def tril_indices(row, col, offset=0, *, dtype=dt.int64, device=None, layout=None):
    """The row and column numbers (2, count) on and below a diagonal."""
    return triangle_indices("tril", row, col, offset, dtype, device)


@public("torch.triu_indices", out=False)
def triu_indices(row, col, offset=0, *, dtype=dt.int64, device=None, layout=None):
    """The row and column numbers (2, count) on and above a diagonal."""
    return triangle_indices("triu", row, col, offset, dtype, device)


def _diag_embed_back(g, offset, dim1, dim2):
    return g.diagonal(offset, dim1, dim2)


@public("Tensor._diag_embed", grad={"input": _diag_embed_back}, node="DiagEmbedBackward0", out=False)
def embed_diagonal(input, offset, dim1, dim2):
    """Zeros with the last dimension on a diagonal."""
    shape = list(input._layout.shape)
    size = shape.pop() + abs(offset)
    for d in sorted((dim1, dim2)):
        shape.insert(d, size)
    out = zeros(tuple(shape), dtype=input.dtype, device=input.device)
    out.diagonal(offset, dim1, dim2).copy_(input)
    return out


@public("diag_embed", out=False)
def diag_embed(input, offset=0, dim1=-2, dim2=-1):
    """Matrices (in dimensions dim1, dim2 of the result) whose diagonals are the last dimension of `input`."""
    rank = input.dim() + 1
    a, b = wrap_dim(dim1, rank), wrap_dim(dim2, rank)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return embed_diagonal(input, offset, a, b)


@public("diag")
def diag(input, diagonal=0):
    """A matrix with the vector on its diagonal, or the diagonal of a matrix."""
    if input.dim() == 1:
        return diag_embed(input, diagonal)
    if input.dim() != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.dim()}D")
    return input.diagonal(diagonal).clone()


@public("diagflat", out=False)
def diagflat(input, offset=0):
    """A matrix with all elements on its diagonal."""
    return diag_embed(input.reshape(-1), offset)


# -- windows -----------------------------------------------------------------------------------------------------------


def _unfold_back(g, shape, dim, size, step):
    return unfold_sum(g, shape, dim, size, step)


def window_place(shape, dim, size, step, device):
    """(index tensors, Place) of the windows: position of element j of window i is i * step + j."""
    count = (shape[dim] - size) // step + 1
    starts = arange(count, device=device) * step
    index = starts.reshape([count] + [1] * (len(shape) - dim)) + arange(size, device=device)
    spec = tuple([("i", 0) if d == dim else ("d", d) for d in range(len(shape))])
    domain = (*shape[:dim], count, *shape[dim + 1:], size)
    return [index], Place(spec, domain)


def unfold_sum(g, shape, dim, size, step):
    """The gradient of windows: summed where they overlap."""
    tensors, place = window_place(shape, dim, size, step, g.device)
    return scatter_sum(g, tensors, place, shape)


UNFOLD = GradRule("unfold", ["input", "shape", "dim", "size", "step"], {"input": _unfold_back})


@view_operator("Tensor.unfold")
def unfold(self, dimension, size, step):
    """A view of all windows of `size` positions along a dimension, `step` apart; the window is a new last dimension."""
    found = self._layout
    dim = wrap_dim(dimension, found.ndim)
    limit = found.shape[dim] if found.ndim else 1
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if size > limit:
        raise RuntimeError(f"maximum size for tensor at dimension {dim} is {limit} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if not found.ndim:
        return view_of(self, (size,), (1,), self._offset, UNFOLD_SCALAR, (self, size))
    shape, strides = list(found.shape), list(found.strides)
    shape[dim] = (limit - size) // step + 1
    stride = strides[dim]
    strides[dim] *= step
    return view_of(self, [*shape, size], [*strides, stride], self._offset, UNFOLD, (self, found.shape, dim, size, step))


UNFOLD_SCALAR = GradRule("unfold", ["input", "size"], {"input": lambda g, size: g.sum()})


# -- products of matrices of numbers -----------------------------------------------------------------------------------


@public("kron")
def kron(input, other):
    """The Kronecker product: every element of `input` times the whole of `other`."""
    rank = max(input.dim(), other.dim())
    a = (1,) * (rank - input.dim()) + tuple(input._layout.shape)
    b = (1,) * (rank - other.dim()) + tuple(other._layout.shape)
    left = input.reshape([n for size in a for n in (size, 1)])
    right = other.reshape([n for size in b for n in (1, size)])
    return (left * right).reshape([n * m for n, m in zip(a, b)])


@public("torch.vander", out=False)
def vander(x, N=None, increasing=False):
    """The matrix of powers of a vector: columns x^(N-1) ... x^0, or the other way round if `increasing`."""
    if x.dim() != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    columns = x.numel() if N is None else N
    if columns < 0:
        raise RuntimeError("N must be non-negative.")
    return vander_columns(x, columns, increasing)


@public("linalg.vander", out=False)
def linalg_vander(x, *, N=None):
    """The matrices of powers x^0 ... x^(N-1) of the vectors in the last dimension."""
    x = x if x.dim() else x.reshape(1)
    columns = x.shape[-1] if N is None else N
    if columns <= 1:
        raise RuntimeError(f"N must be greater than 1, got {columns}")
    return vander_columns(x, columns, True)


def vander_columns(x, columns, increasing):
    wide = x if x.dtype is not dt.bool_ and x.dtype.category != dt.INTEGRAL else x.long()
    ones = REGISTRY["ones"]((*x.shape, min(columns, 1)), dtype=wide.dtype, device=x.device)
    if columns <= 1:
        return ones
    powers = REGISTRY["cumprod"](wide.unsqueeze(-1).expand(*x.shape, columns - 1), -1)
    result = cat([ones, powers], -1)
    return result if increasing else flip(result, (-1,))
