"""Reading and writing at computed positions: what indexing, gather, index_select, take, embedding and all scatters
share.

A *placement* says where an operator reads or writes: `spec` has for every dimension of the tensor ("i", n), indexed
by the n-th index tensor, or ("d", d), walked along by dimension d of the result (the domain). Index tensors broadcast
to the domain. `fetch` reads, one gather kernel; `write` writes, one scatter kernel (Note [Deterministic scatters] in
codegen/cpu/rows/scatter.py); `scatter_sum` is the gradient of `fetch` and the reverse. Read `indexing`, `gather` and
`scatter` next.
"""

import functools
import inspect

from ...core import declare
from ...core import dtype as dt
from ...core.bounds import first_bad
from ...core.declare import bind, into_out, one_node, register, with_out
from ...core.errors import BadData
from ...core.grads import GradRule, begin_write, end_write
from ...core.graph import MODE
from ...core.kinds import Gather, Scatter
from ...core.layout import layout
from ...core.record import binary, partly_overlaps, record
from ...core.stream import STREAM
from ...core.tensor import Tensor, version_of
from ...core.tensor import view as raw_view
from .arithmetic import where
from .copy import clone_values, contiguous_values
from .creation import zeros

INDEX_DTYPES = (dt.int64, dt.int32)


FAILURES = {
    "index": BadData(IndexError, "index out of range in self"),
    "bounds": BadData(RuntimeError, "index is out of bounds for the dimension it indexes"),
    "take": BadData(IndexError, "out of range: tried to access an index outside the tensor"),
}


def _add(k, old, new):
    return old + new


def _multiply(k, old, new):
    return old * new


def _larger(k, old, new):
    return k.maximum(old, new)


def _smaller(k, old, new):
    return k.minimum(old, new)


COMBINES = {"set": None, "add": _add, "mul": _multiply, "amax": _larger, "amin": _smaller}


def position(k, index, size, negative, code):
    """An index as int64 within `size`; outside: reports `code` and gives 0."""
    index = k.cast(index, dt.int64)
    if negative:
        index = k.where(index < 0, index + size, index)
    bad = k.logical_or(index < 0, index >= size)
    k.report(bad.vector_value(), code)
    return k.where(bad, k.const(0, dt.int64), index)


def _fetch_body(k, input, *indices, spec, negative, code):
    places = []
    for t, (kind, n) in enumerate(spec):
        places.append(k.index(n) if kind == "d" else position(k, indices[n], input.shape[t], negative, code))
    return input.load(places)


def fetch_operator(name):
    """An operator that reads at computed positions."""
    return Gather(name, _fetch_body, failures=FAILURES)


def write_operator(name, repeats=False):
    """An operator that writes at computed positions; `repeats`: also into tensors some of whose elements share
    memory."""
    return Scatter(name, combines=COMBINES, repeats=repeats, failures=FAILURES)


def fetch_rule(name, node=None, keeps_input=False):
    """The gradient rule of an operator that reads. `keeps_input`: PyTorch keeps the input for backward, which then
    refuses to run where the input has been written since; only its shape is used."""
    back = _fetch_back_kept if keeps_input else _fetch_back
    return GradRule(name, ["input", "tensors", "place", "shape"], {"input": back}, node)


def _fetch_back(g, tensors, place, shape):
    return scatter_sum(g, tensors, place, shape)


def _fetch_back_kept(g, input, tensors, place):
    return scatter_sum(g, tensors, place, input._layout.shape)


SUM = write_operator("scatter_sum")
SUM_RULE = GradRule("scatter_sum", ["g", "tensors", "place"],
                    {"g": lambda g, tensors, place: fetch_at(g, tensors, place)}, "IndexPutBackward0")
SUM_FETCH = fetch_operator("scatter_sum_backward")
SUM_FETCH_RULE = fetch_rule("index")


class Attributes:
    """Static attributes of an instruction, made once for many calls: compared by identity, which makes recording
    cheap."""

    __slots__ = ("items",)

    def __init__(self, *items):
        self.items = items

    def __iter__(self):
        return iter(self.items)

    def __repr__(self):
        return repr(self.items)


class Place:
    """A placement: `spec`, the domain's shape, whether negative indices count from the end, the error code of a bad
    index, and a number that marks indices without effect on sums (padding of embeddings) or None.

    Placements are kept by those who make them (`functools.lru_cache`), with the attributes of the instructions they
    serve."""

    __slots__ = ("spec", "domain", "negative", "code", "skip", "attributes")
    tensorless = True

    def __init__(self, spec, domain, negative=False, code="index", skip=None):
        self.spec, self.domain, self.negative, self.code, self.skip = spec, tuple(domain), negative, code, skip
        self.attributes = {}

    def refusal(self, index, dim, size):
        """The exception for an index that is out of bounds."""
        if self.code == "take":
            return IndexError(f"out of range: tried to access index {index} on a tensor of {size} elements.")
        if self.code == "index" and not self.negative:
            return IndexError("index out of range in self")
        kind = IndexError if self.code == "index" else RuntimeError
        return kind(f"index {index} is out of bounds for dimension {dim} with size {size}")

    def reading(self, dtype, tensors):
        """The attributes of a fetch."""
        found = self.attributes[dtype] = Attributes(
            ("spec", self.spec), ("negative", self.negative), ("code", self.code),
            ("aligned", tuple(range(1, 1 + tensors))), ("out", ((self.domain, dtype),)))
        return found

    def writing(self, mode):
        """The attributes of a write."""
        found = self.attributes[mode] = Attributes(
            ("mode", mode), ("spec", self.spec), ("negative", self.negative), ("code", self.code),
            ("domain", self.domain or (1,)), ("skip", self.skip is not None))
        return found


def check_sizes(shape, place):
    """IndexError where a dimension without elements is indexed."""
    if 0 not in shape or 0 in place.domain:
        return
    for t, (kind, _) in enumerate(place.spec):
        if kind == "i" and shape[t] == 0:
            raise IndexError(f"index is out of bounds for dimension {t} with size 0")


def check_indices(shape, tensors, place):
    """The error of an index that is in memory and out of bounds."""
    for t, (kind, n) in enumerate(place.spec):
        if kind == "i":
            size = shape[t]
            bad = first_bad(tensors[n], -size if place.negative else 0, size)
            if bad is not None:
                raise place.refusal(bad, t, size)


PATTERNS = ["t" * (1 + n) for n in range(65)]


def fetch(op, rule, input, tensors, place):
    """The elements of `input` at the placement, as a step of the graph by `rule`."""
    found = input._layout
    attrs = place.attributes.get(found.dtype)
    if attrs is None:
        attrs = place.reading(found.dtype, len(tensors))
    if 0 in found.shape:
        check_sizes(found.shape, place)
    check_indices(found.shape, tensors, place)
    if len(tensors) == 1:
        result = binary(op.form("tt", attrs), input, tensors[0])
    else:
        result = record(op, PATTERNS[len(tensors)], attrs, (input, *tensors))[0]
    if MODE.grad and (input._rg or input._base is not None):
        rule.attach((input, tensors, place, found.shape), [result])
    return result


def fetch_at(g, tensors, place):
    """The reverse of `scatter_sum`; skipped elements get 0."""
    result = fetch(SUM_FETCH, SUM_FETCH_RULE, g, tensors, place)
    if place.skip is None:
        return result
    return where(tensors[0] != place.skip, result, 0)


def scatter_sum(g, tensors, place, shape):
    """Zeros of `shape` with the elements of `g` added at their places."""
    result = zeros(tuple(shape), dtype=g.dtype, device=g.device)
    write(SUM, result, tensors, g, place, "add")
    if MODE.grad:
        SUM_RULE.attach((g, tensors, place), [result])
    return result


def write(op, target, tensors, source, place, mode="set"):
    """Set, add, multiply ("mul") or take extremes ("amax", "amin") at the placement; `source`: a tensor that
    broadcasts to the domain, or a number. No gradient."""
    if 0 in place.domain:
        return
    check_sizes(target._layout.shape, place)
    check_indices(target._layout.shape, tensors, place)
    attrs = place.attributes.get(mode)
    if attrs is None:
        attrs = place.writing(mode)
    pattern, operands, numbers = "t" * len(tensors), list(tensors), []
    if isinstance(source, complex):
        source = spread(declare.complex_scalar(source, target.dtype).to(target.device), 1)
    if isinstance(source, Tensor):
        pattern += "t"
        operands.append(source)
    else:
        if mode == "set":
            dt.check_fits(source, target._layout.dtype.plain)
        pattern += "n"
        numbers.append(source)
    if place.skip is not None:
        pattern += "n"
        numbers.append(place.skip)
    record(op, pattern, attrs, tuple(operands), tuple(numbers), (target,))


def spread(tensor, trailing, leading=0):
    """A view with dimensions of size 1 before and after, outside the graph."""
    found = tensor._layout
    if not trailing and not leading:
        return tensor
    shape = (1,) * leading + tuple(found.shape) + (1,) * trailing
    strides = (0,) * leading + found.strides + (0,) * trailing
    view = raw_view(tensor._storage, layout(shape, strides, found.dtype), tensor._offset)
    view._versions = tensor._versions
    return view


def along(rank, dim):
    """The spec of an operator whose index replaces dimension `dim` of a domain of the same rank."""
    return tuple([("i", 0) if d == dim else ("d", d) for d in range(rank)])


@functools.lru_cache(20_000)
def along_place(shape, dim, negative, code):
    """The placement of an index with the shape of the domain, in dimension `dim`."""
    return Place(along(len(shape), dim), shape, negative, code)


def check_index_dtype(name, index):
    """RuntimeError unless the dtype is int64 or int32."""
    if index._layout.dtype not in INDEX_DTYPES:
        raise RuntimeError(f"{name}(): Expected dtype int32 or int64 for index, but got "
                           f"{dt.scalar_type(index._layout.dtype)}")


def check_no_overlap(target, *others):
    """RuntimeError where another operand shares memory with the one that is written."""
    for other in others:
        if not isinstance(other, Tensor) or other._storage is not target._storage:
            continue
        same = other._layout is target._layout and other._offset == target._offset
        if (same and target._layout.numel and target._layout.dense) or partly_overlaps(other, target):
            raise RuntimeError("unsupported operation: some elements of the input tensor and the written-to tensor "
                               "refer to a single "
                               "memory location. Please clone() the tensor before performing the operation.")


def into_apart(name, call, out, *args, exact=False):
    """`call(*args)` into `out`, which must share no memory with the operands; `exact`: and have the dtype of the
    result."""
    if isinstance(out, Tensor):
        check_writable(out)
        check_no_overlap(out, *[t for a in args for t in (a if isinstance(a, (list, tuple)) else (a,))])
        if exact and out._layout.dtype is not args[0]._layout.dtype:
            raise RuntimeError(f"Expected out tensor to have dtype {args[0].dtype}, but got {out.dtype} instead")
    return into_out(name, call, out, args, {})


def check_writable(target):
    """RuntimeError for a tensor some of whose elements share memory."""
    if target._layout.overlaps_itself:
        raise RuntimeError("unsupported operation: more than one element of the written-to tensor refers to a single "
                           "memory location. Please clone() the tensor before performing the operation.")


def written(names, grad, node=None, name=None, keeps_strides=False, cast=None):
    """Declare a function that writes into its first parameter `input` as a pair: x_(...) and x(...) on a clone, one
    node each.

    `names`: public names of both; those that end in "_" get the in-place form. `keeps_strides`: the clone has the
    strides of the input, else it is contiguous. `cast`: the autocast policy of the form that is not in place.
    """
    def declare(write_into):
        signature = inspect.signature(write_into)
        params = list(signature.parameters)
        defaults = [p.default for p in signature.parameters.values()]
        positions = {p: i for i, p in enumerate(params)}
        label = name or write_into.__name__
        rule = GradRule(label, params, grad, node)

        keywords = [p.name for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
        count = len(params) - len(keywords)

        def run(*values):
            write_into(*values[:count], **dict(zip(keywords, values[count:])))

        @functools.wraps(write_into)
        def fresh(*values):
            result = clone_values(values[0]) if keeps_strides else contiguous_values(values[0])
            run(result, *values[1:])
            return result
        fresh.__name__ = label
        call = with_out(one_node(fresh, grad, node), fresh)

        @functools.wraps(write_into)
        def inplace(*args, **kwargs):
            values = bind(label + "_", args, kwargs, params, defaults, positions, len(params))
            return in_place(rule, values, run)
        inplace.__name__ = label + "_"
        call.cast = cast
        register(names, call, inplace)
        call.inplace = inplace
        return call
    return declare


def in_place(rule, values, write_into):
    """Run `write_into(*values)`, which writes into values[0], as one step of the graph."""
    target = values[0]
    if not isinstance(target, Tensor):
        raise TypeError(f"argument 'input' (position 1) must be Tensor, not {type(target).__name__}")
    if not MODE.grad:
        write_into(*values)
        return target
    node = begin_write(rule, values, target)
    version = version_of(target)
    try:
        MODE.grad = False
        write_into(*values)
        MODE.grad = True
        end_write(node, target)
    except BaseException:
        MODE.grad = True
        STREAM.unsettled.append((node, target, version))  # Note [Unsettled writes] in core/grads.py
        STREAM.dirty = True
        raise
    return target
