"""Batching rules of views, joining, indexing, gathering and scattering: a dimension more in front."""

from .. import api
from ..core.tensor import Tensor
from .batched import batch, is_batched, loop
from .rules import by_name, bound, elementwise, parameters, rule, shifted

# Names of the arguments that are dimensions of the sample, and how many dimensions more than it they may count.
DIMENSIONS = {
    **dict.fromkeys("transpose swapaxes swapdims".split(), (("dim0", "dim1", "axis0", "axis1"), 0)),
    **dict.fromkeys("movedim moveaxis".split(), (("source", "destination"), 0)),
    **dict.fromkeys("select narrow slice_copy unbind unfold split split_with_sizes chunk tensor_split squeeze "
                    "narrow_copy unsafe_chunk unsafe_split unflatten".split(), (("dim", "dimension"), 0)),
    "unsqueeze": (("dim",), 1),
    **dict.fromkeys("diagonal linalg.diagonal".split(), (("dim1", "dim2"), 0)),
    "flatten": (("start_dim", "end_dim"), 0),
}
_DEFAULTS = {"flatten": {"start_dim": 0, "end_dim": -1}, "unbind": {"dim": 0}, "split": {"dim": 0},
             "split_with_sizes": {"dim": 0}, "chunk": {"dim": 0}, "tensor_split": {"dim": 0},
             "unsafe_chunk": {"dim": 0}, "unsafe_split": {"dim": 0},
             "diagonal": {"dim1": 0, "dim2": 1}, "linalg.diagonal": {"dim1": -2, "dim2": -1}}


def source(given):
    """The name of the first argument."""
    return next(iter(given))


@rule(" ".join(DIMENSIONS))
def view(level, entry, args, kwargs):
    """Views of one tensor that name dimensions."""
    given = bound(entry, args, kwargs)
    name = entry.path.removeprefix("Tensor.")
    if given is None or not is_batched(args[0] if args else None, level) or sum(
            [isinstance(v, Tensor) for v in given.values()]) != 1:
        return loop(level, entry, args, kwargs)
    first = source(given)
    sample = given[first]
    rank, (keys, extra) = sample._layout.ndim, DIMENSIONS[name]
    for key, value in _DEFAULTS.get(name, {}).items():
        given.setdefault(key, value)
    if name == "squeeze" and "dim" not in given:
        given["dim"] = tuple([i for i, n in enumerate(sample.shape) if n == 1])
    if rank == 0 and name not in ("unsqueeze", "flatten", "squeeze"):
        return loop(level, entry, args, kwargs)
    value = level.front(sample)
    if rank == 0 and name in ("flatten", "squeeze"):
        with level.outside():
            return batch(value.unsqueeze(1) if name == "flatten" else value, 0, level)
    given[first] = value
    for key in keys:
        if key in given:
            given[key] = shifted(given[key], rank, extra)
    return level.wrap(level.run(entry, *by_name(entry, given)))


@rule("permute")
def permute(level, entry, args, kwargs):
    """The batch stays in front."""
    sample, rest = args[0], list(args[1:]) + list(kwargs.values())
    dims = rest[0] if rest and isinstance(rest[0], (list, tuple)) else rest
    if len(dims) != sample.ndim:
        raise RuntimeError(f"permute: number of dimensions in the tensor input does not match the length of "
                           f"the desired ordering of dimensions i.e. input.dim() = {sample.ndim} is not equal to "
                           f"len(dims) = {len(dims)}")
    with level.outside():
        return batch(level.front(sample).permute(0, *shifted(tuple(dims), sample.ndim)), 0, level)


@rule("t T.__get__ H.__get__ mT.__get__ mH.__get__ adjoint")
def turned(level, entry, args, kwargs):
    """Transposed samples."""
    sample, name = args[0], entry.path
    value, rank = level.front(sample), sample.ndim
    with level.outside():
        if "T.__get__" in name and "mT" not in name:
            made = value.permute(0, *range(rank, 0, -1))
        elif rank == 0 or rank == 1 and name.endswith("t"):
            made = value
        else:
            made = value.transpose(-1, -2)
        if "H" in name or name.endswith("adjoint"):
            made = made.conj() if made.is_complex() else made
    return batch(made, 0, level)


def sizes(args, kwargs):
    """The sizes of `view(2, 3)` and `view((2, 3))`."""
    rest = list(args[1:]) or [v for k, v in kwargs.items() if k in ("shape", "size", "sizes", "dims", "repeats")]
    return tuple(rest[0]) if len(rest) == 1 and isinstance(rest[0], (list, tuple)) else tuple(rest)


@rule("view reshape view_as reshape_as expand expand_as broadcast_to repeat tile new_zeros new_ones new_empty new_full")
def shaped(level, entry, args, kwargs):
    """A sample in another shape, or another tensor of a shape."""
    sample, name = args[0], entry.path.rpartition(".")[2]
    if len(args) > 1 and not isinstance(args[1], (int, list, tuple, Tensor)):
        return elementwise(level, entry, args, kwargs)  # view(dtype)
    if not is_batched(sample, level):
        wanted = tuple(args[1].shape)
        with level.outside():
            return sample.reshape(wanted) if name in ("view_as", "reshape_as") else sample.expand(wanted)
    if name.startswith("new_"):
        with level.outside():
            return getattr(sample.value, name)(*args[1:], **kwargs)
    wanted = tuple(args[1].shape) if name.endswith("_as") else sizes(args, kwargs)
    value, count, rank = level.front(sample), level.size, sample.ndim
    with level.outside():
        if name in ("view", "view_as"):
            made = value.view(count, *deduced(wanted, sample))
        elif name in ("reshape", "reshape_as"):
            made = value.reshape(count, *deduced(wanted, sample))
        elif name in ("expand", "expand_as", "broadcast_to"):
            made = value.reshape(count, *[1] * (len(wanted) - rank), *value.shape[1:]) if len(wanted) > rank else value
            made = made.expand(count, *wanted)
        else:
            if len(wanted) < rank:
                wanted = (1,) * (rank - len(wanted)) + wanted
            made = value.reshape(count, *[1] * (len(wanted) - rank), *value.shape[1:]).repeat(1, *wanted)
    return batch(made, 0, level)


def deduced(wanted, sample):
    """The sizes with -1 worked out, checked against the sample."""
    known, total = 1, sample.numel()
    for n in wanted:
        known *= n if n != -1 else 1
    if -1 in wanted and known and total % known == 0:
        return tuple([total // known if n == -1 else n for n in wanted])
    if -1 in wanted or known != total:
        raise RuntimeError(f"shape '{list(wanted)}' is invalid for input of size {total}")
    return wanted


@rule("flip roll fliplr flipud")
def moved(level, entry, args, kwargs):
    """Elements in another order along dimensions."""
    sample, name = args[0], entry.path.rpartition(".")[2]
    value, rank = level.front(sample), sample.ndim
    if rank == 0:
        return loop(level, entry, args, kwargs)
    with level.outside():
        if name in ("fliplr", "flipud"):
            return batch(value.flip(1 if name == "flipud" else 2), 0, level)
        if name == "flip":
            dims = args[1:] or (kwargs["dims"],)
            dims = dims[0] if isinstance(dims[0], (list, tuple)) else dims
            return batch(value.flip(shifted(tuple(dims), rank)), 0, level)
        shifts = kwargs.get("shifts", args[1] if len(args) > 1 else None)
        dims = kwargs.get("dims", args[2] if len(args) > 2 else ())
        if dims is None or dims == () or dims == []:
            return batch(value.reshape(value.shape[0], -1).roll(shifts, 1).reshape(value.shape), 0, level)
        return batch(value.roll(shifts, shifted(dims, rank)), 0, level)


@rule("tril triu trace")
def lower(level, entry, args, kwargs):
    """Functions of matrices that serve batches of them; the trace is the sum of the diagonal."""
    sample = args[0]
    value = level.front(sample)
    if entry.path.endswith("trace"):
        with level.outside():
            return batch(value.diagonal(0, 1, 2).sum(-1), 0, level)
    return level.wrap(level.run(entry, (value, *args[1:]), kwargs))


@rule("cat concat concatenate stack hstack vstack dstack column_stack row_stack")
def join(level, entry, args, kwargs):
    """Joining: all parts as whole batches."""
    given = bound(entry, args, kwargs)
    name = entry.path.rpartition(".")[2]
    if given is None or "dim" not in parameters(entry) or given.get("out") is not None:
        return loop(level, entry, args, kwargs)
    first = source(given)
    parts = [level.spread(t) for t in given[first]]
    rank = max([t.ndim for t in given[first]])
    dim = shifted(given.get("dim", 0), rank, name == "stack")
    with level.outside():
        return batch((api.stack if name == "stack" else api.cat)(parts, dim), 0, level)


# -- indexing --------------------------------------------------------------------------------------------------------


def is_basic(index):
    """Whether an index is made of numbers, slices, None and Ellipsis."""
    return all([i is None or i is Ellipsis or isinstance(i, slice) or isinstance(i, int) and not isinstance(i, bool)
                for i in index])


def leading(index):
    """Whether the tensors of an index stand in front, and only full slices behind them."""
    rest = list(index)
    while rest and isinstance(rest[0], Tensor) and rest[0].dtype is not api.bool and rest[0].dtype is not api.uint8:
        rest.pop(0)
    return len(rest) < len(index) and all([i is Ellipsis or i == slice(None) for i in rest])


def place(level, sample, index):
    """(whole batch, its index) for an index of a sample; None if there is no simple one."""
    index = index if isinstance(index, tuple) else (index,)
    if is_basic(index):
        return (level.front(sample), (slice(None), *index)) if is_batched(sample, level) else None
    if not leading(index):
        return None
    positions = [i for i in index if isinstance(i, Tensor)]
    count = len(positions)
    if not any([is_batched(i, level) for i in positions]):
        return level.front(sample), (slice(None), *index)
    rank = max([i.ndim for i in positions])
    wholes = []
    for i in positions:
        n = i.ndim
        i = level.spread(i)
        with level.outside():
            wholes.append(i.reshape(level.size, *[1] * (rank - n), *i.shape[1:]))
    if not is_batched(sample, level):
        return sample, (*wholes, *index[count:])
    with level.outside():
        rows = api.arange(level.size).reshape(level.size, *[1] * rank)
    return level.front(sample), (rows, *wholes, *index[count:])


@rule("__getitem__")
def take_items(level, entry, args, kwargs):
    """Indexing: slices behind the batch; tensors in front of them with the number of the sample beside."""
    found = place(level, *args)
    masks = args[1] if isinstance(args[1], tuple) else (args[1],)
    if any([is_batched(i, level) and i.dtype is api.bool for i in masks]):
        raise RuntimeError("vmap: indexing with a mask of each sample is not possible, because the number of elements "
                           "depends on data; use torch.where")
    if found is None:
        return loop(level, entry, args, kwargs)
    return batch(level.run(entry, found), 0, level)


@rule("__setitem__")
def put_items(level, entry, args, kwargs):
    """Writing at an index."""
    target, index, value = args
    if not is_batched(target, level):
        raise RuntimeError("vmap: it is not possible to write a batched value, or at a batched index, into a tensor "
                           "that is not batched")
    found = place(level, target, index)
    if found is None:
        return loop(level, entry, args, kwargs)
    if is_batched(value, level):
        with level.outside():
            whole_value = level.front(value)
            rank = found[0][found[1]].ndim - 1
            value = whole_value.reshape(level.size, *[1] * (rank - value.ndim), *whole_value.shape[1:])
    return level.run(entry, (*found, value))


@rule("gather scatter scatter_add scatter_reduce index_select index_add index_copy index_fill take_along_dim "
      "scatter_ scatter_add_ scatter_reduce_ index_add_ index_copy_ index_fill_ select_scatter")
def indexed(level, entry, args, kwargs):
    """Gathering and scattering along a dimension: with whole batches where the index has as many dimensions."""
    given = bound(entry, args, kwargs)
    name = entry.path.rpartition(".")[2]
    if given is None or given.get("dim") is None or given.get("out") is not None:
        return loop(level, entry, args, kwargs)
    first = source(given)
    sample, rank = given[first], given[first].ndim
    fits = name.startswith(("gather", "scatter", "take_along")) or not is_batched(given.get("index"), level)
    if not rank or not fits or any([isinstance(v, Tensor) and v.ndim != rank for k, v in given.items()
                                    if not (k == "index" and name.startswith("index"))]):
        return loop(level, entry, args, kwargs)
    inplace = name.endswith("_")
    if inplace and not is_batched(sample, level):
        raise RuntimeError(f"vmap: {entry.path} cannot write batched values into a tensor that is not batched")
    for key, value in given.items():
        if isinstance(value, Tensor) and not (key == "index" and name.startswith("index")):
            given[key] = level.spread(value)
    given["dim"] = shifted(given["dim"], rank)
    found = level.run(entry, *by_name(entry, given))
    return sample if inplace else batch(found, 0, level)


@rule("nn.functional.embedding embedding")
def embedding(level, entry, args, kwargs):
    """Rows of a table; where samples have tables of their own, these are one table with an offset a sample."""
    given = bound(entry, args, kwargs)
    keys = ("weight", "indices") if entry.path == "embedding" else ("weight", "input")
    weight, index = given.get(keys[0]), given.get(keys[1])
    if given.get("max_norm") is not None or index is None:
        return loop(level, entry, args, kwargs)
    if not is_batched(weight, level):
        given[keys[1]] = level.front(index)
        return batch(level.run(entry, *by_name(entry, given)), 0, level)
    if given.get("padding_idx") not in (None, -1) or given.get("scale_grad_by_freq"):
        return loop(level, entry, args, kwargs)
    tables, rows = level.front(weight), level.spread(index)
    with level.outside():
        offsets = api.arange(level.size, dtype=rows.dtype) * tables.shape[1]
        rows = rows + offsets.reshape(level.size, *[1] * (rows.ndim - 1))
        return batch(tables.reshape(-1, tables.shape[2])[rows], 0, level)
