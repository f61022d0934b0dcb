"""Sums and maxima over windows of the spatial dimensions, and their transposes: the kernels of all pooling.

In: tensors and a `Geometry`, which says where the windows of each dimension lie. Out: tensors without history. A kernel
unrolls the positions of one window. Windows of many positions are taken one dimension after another, and very long ones
as a reduction over a strided view. Gradients gather too: each input position visits the windows that can cover it. Read
`pooling` next.
"""

import itertools
import math

from ...base.lazy import numpy as np
from ...core import dtype as dt
from ...core.declare import apply
from ...core.device import CPU
from ...core.kinds import Gather, Kernel
from ...core.layout import channels_last_strides, contiguous_layout, layout
from ...core.record import record
from ...core.storage import new_storage
from ...core.tensor import view as raw_view
from ..basic.copy import clone
from ..basic.creation import arange, zeros
from ..basic.fetch import Place, fetch_at
from ..basic.shape import cat
from ..reduce.reduce import ARGMAX, SUM, reduce_
from .pad import constant_pad

UNROLLED = 12  # positions of a window that one kernel visits
LONGEST = 64  # positions along one dimension that a kernel visits


def table(values):
    """A small array as a tensor that can be kept."""
    values = np.array(values, order="C")
    found = contiguous_layout(values.shape, dt.numpy_types()[values.dtype])
    storage = new_storage(found.nbytes, CPU)
    storage.address, storage.guard = values.ctypes.data, values
    return clone(raw_view(storage, found, 0))


STILL = ("fixed", 1, 1, 0, 1, False)  # windows of a dimension that stays as it is


class Geometry:
    """Windows over the last dimensions of a tensor.

    windows: per dimension ("fixed", count, stride, padding, dilation, whether windows leave the input) or
    ("adaptive", smallest, largest window). ins, outs: sizes of these dimensions. divisor: what a mean divides sums
    by, a number or one array of counts per dimension.
    """

    __slots__ = ("windows", "ins", "outs", "divisor", "tensors")

    def __init__(self, windows, ins, outs, divisor=None):
        self.windows, self.ins, self.outs, self.divisor = tuple(windows), tuple(ins), tuple(outs), divisor
        self.tensors = {}

    @property
    def rank(self):
        return len(self.ins)

    def adaptive(self):
        return any([w[0] == "adaptive" for w in self.windows])

    def busy(self):
        """The dimensions in which windows are not single positions in order."""
        return [d for d, w in enumerate(self.windows) if w != STILL]

    def parts(self):
        """The same windows in steps: everything at once, or one dimension after another from the last."""
        if math.prod([w[-1] if w[0] == "adaptive" else w[1] for w in self.windows]) <= UNROLLED or len(self.busy()) < 2:
            return [self]
        found, sizes = [], list(self.ins)
        for d in reversed(self.busy()):
            windows = [STILL] * self.rank
            windows[d] = self.windows[d]
            before = tuple(sizes)
            sizes[d] = self.outs[d]
            found.append(Geometry(windows, before, sizes))
        return found

    def long_dim(self):
        """The dimension whose windows are too long for a kernel, or None."""
        for d, w in enumerate(self.windows):
            if w[-1 if w[0] == "adaptive" else 1] > LONGEST:
                return d
        return None

    def divisors(self, dtype, device):
        """The divisor of a mean: a number, or a tensor over the output's spatial dimensions."""
        if not isinstance(self.divisor, list):
            return self.divisor
        found = self.tensors.get(dtype)
        if found is None:
            whole = np.ones(())
            for counts in self.divisor:
                whole = np.multiply.outer(whole, counts)
            found = self.tensors[dtype] = table(whole.astype(dtype.numpy))
        return found.to(device)


def reach(window, out):
    """(how many windows can cover a position, whether these are simply all windows)."""
    _, count, stride, _, dilation, _ = window
    found = -(-(dilation * (count - 1) + 1) // stride)
    return (out, True) if out <= found else (found, False)


# -- bodies ----------------------------------------------------------------------------------------------------------


def both(k, a, b):
    """The conjunction of two masks, each possibly None."""
    return b if a is None else a if b is None else k.logical_and(a, b)


def quotient(k, value, divisor):
    """An index that is not negative, divided by a constant: in 32 bits, where vectors divide fast."""
    if divisor == 1:
        return value
    if divisor & (divisor - 1) == 0:
        return value >> (divisor.bit_length() - 1)
    return k.cast(k.truncdiv(k.cast(value, dt.int32), divisor), dt.int64)


def positions(k, at, size, window, out):
    """Where window number `at` of one dimension reads: [(position, mask or None)]."""
    if window[0] == "adaptive":
        first = k.truncdiv(at * size, out)
        end = k.truncdiv((at + 1) * size + out - 1, out)
        return [(first + j, None if j < window[1] else first + j < end) for j in range(window[2])]
    _, count, stride, padding, dilation, masked = window
    first = at * stride - padding if stride > 1 or padding else at
    found = []
    for j in range(count):
        i = first + j * dilation if j else first
        found.append((i, k.logical_and(i >= 0, i < size) if masked else None))
    return found


def first_inside(k, at, window):
    """The first position of a window that lies in the input."""
    _, _, stride, padding, dilation, _ = window
    first = at * stride - padding
    if not padding:
        return first
    if dilation == 1:
        return k.maximum(first, k.const(0, dt.int64))
    return k.where(first < 0, first + quotient(k, dilation - 1 - first, dilation) * dilation, first)


def outer(k, x, first, parts):
    """All combinations of positions: (index for a load, mask or None, flat position in the plane)."""
    rank = len(x.shape)
    for chosen in itertools.product(*parts):
        at, mask = [k.index(d) if d < first or d >= first + len(parts) else None for d in range(rank)], None
        flat = None
        for d, (i, m) in enumerate(chosen):
            at[first + d] = i
            mask = both(k, mask, m)
            flat = i if flat is None else flat * x.shape[first + d] + i
        yield at, mask, flat


def all_positions(k, x, sizes, windows, first):
    sizes = sizes or (None,) * len(windows)
    return [positions(k, k.index(first + d), x.shape[first + d], w, sizes[d]) for d, w in enumerate(windows)]


def _sum_body(k, x, *sizes, windows, first):
    total = None
    for at, mask, _ in outer(k, x, first, all_positions(k, x, sizes, windows, first)):
        value = x.load(at, mask, 0)
        total = value if total is None else total + value
    return total


def lowest(dtype):
    """What every other value of a dtype exceeds."""
    if dtype.is_floating_point:
        return float("-inf")
    return -(1 << (8 * dtype.itemsize - 1)) if dtype.is_signed else 0


def _largest(k, x, sizes, windows, first):
    """(the largest value of the window, its flat position): the first of equals, the last NaN."""
    best = where = None
    for at, mask, flat in outer(k, x, first, all_positions(k, x, sizes, windows, first)):
        value = x.load(at, mask, lowest(x.dtype))
        if best is None:
            best, where = value, flat
            if mask is not None and windows[0][0] == "fixed":
                where = None
                for d, w in enumerate(windows):
                    i = first_inside(k, k.index(first + d), w)
                    where = i if where is None else where * x.shape[first + d] + i
            continue
        better = k.logical_or(value > best, k.isnan(value))
        best, where = k.where(better, value, best), k.where(better, flat, where)
    return best, where


def _max_body(k, x, *sizes, windows, first):
    return _largest(k, x, sizes, windows, first)[0]


def _argmax_body(k, x, *sizes, windows, first):
    return _largest(k, x, sizes, windows, first)[1]


def covering(k, at, out, window, count, everything):
    """The windows that can cover position `at` of one dimension: [(number, mask)]."""
    _, taps, stride, padding, dilation, _ = window
    span, shifted, found = dilation * (taps - 1) + 1, at + padding, []
    last = None if everything else quotient(k, shifted, stride)
    for j in range(count):
        if everything:
            o, inside = k.const(j, dt.int64), None
            low = shifted - j * stride
            inside = k.logical_and(low >= 0, low < span)
        else:
            o = last - j
            inside = k.logical_and(o >= 0, o < out)
            if (j + 1) * stride > span:
                inside = k.logical_and(inside, shifted - o * stride < span)
        found.append((o, inside))
    return found


def covering_blocks(k, at, out, taps, stride, padding, dilation):
    """As `covering`, with the place inside the window: [(place, number of the window, mask)]."""
    shifted, found = at + padding, []
    if dilation == 1:
        last = quotient(k, shifted, stride)
        for j in range(-(-taps // stride)):
            o = last - j
            place = shifted - o * stride
            inside = k.logical_and(k.logical_and(o >= 0, o < out), place < taps)
            found.append((place, o, inside))
        return found
    for j in range(taps):
        low = shifted - j * dilation
        o = low // stride if stride > 1 else low
        inside = k.logical_and(low >= 0, o < out)
        if stride > 1:
            inside = k.logical_and(inside, low.eq(o * stride))
        found.append((j, o, inside))
    return found


def all_covering(k, g, windows, reaches, first):
    return [covering(k, k.index(first + d), g.shape[first + d], w, *reaches[d]) for d, w in enumerate(windows)]


def _sum_back_body(k, g, windows, reaches, first):
    total = None
    for at, mask, _ in outer(k, g, first, all_covering(k, g, windows, reaches, first)):
        value = g.load(at, mask, 0)
        total = value if total is None else total + value
    return total


def _max_back_body(k, g, indices, *sizes, windows, reaches, first):
    own, total = None, k.const(0, g.dtype)
    for d, size in enumerate(sizes):
        i = k.index(first + d)
        own = i if own is None else own * size + i
    for at, mask, _ in outer(k, g, first, all_covering(k, g, windows, reaches, first)):
        hit = indices.load(at, mask, -1).eq(own)
        total = total + k.where(hit, g.load(at, mask, 0), k.const(0, g.dtype))
    return total


def _op(name, body):
    return Gather(name, body)


WINDOW_SUM, WINDOW_MAX, WINDOW_ARGMAX = (
    _op("window_sum", _sum_body),
    _op("window_max", _max_body),
    _op("window_argmax", _argmax_body),
)
SUM_BACK, MAX_BACK = _op("window_sum_backward", _sum_back_body), _op("window_max_backward", _max_back_body)


# -- memory formats --------------------------------------------------------------------------------------------------


def channels_last(x, rank):
    """Whether a batched tensor has its channels innermost in memory."""
    found = x._layout
    return found.ndim == rank + 2 and not found.contiguous and found.strides == channels_last_strides(found.shape)


def permuted(x, order):
    """The same memory with dimensions in another order, outside the graph."""
    found = x._layout
    result = raw_view(
        x._storage,
        layout(tuple([found.shape[d] for d in order]), tuple([found.strides[d] for d in order]), found.dtype),
        x._offset,
    )
    result._versions = x._versions
    return result


def inward(x):
    """(N, C, ...) as (N, ..., C)."""
    return permuted(x, [0, *range(2, x._layout.ndim), 1])


def outward(x):
    """(N, ..., C) as (N, C, ...)."""
    rank = x._layout.ndim
    return permuted(x, [0, rank - 1, *range(1, rank - 1)])


def run(op, tensors, sizes, dtype, attrs, numbers=(), tables=()):
    """Record a window operator whose result has the spatial `sizes`; channels that are innermost stay so. `tables`:
    further operands.
    """
    rank = len(sizes)
    last = channels_last(tensors[0], rank)
    if last:
        tensors = [inward(t) for t in tensors]
    shape = tensors[0]._layout.shape
    first = 1 if last else len(shape) - rank
    shape = (*shape[:first], *sizes, *shape[first + rank :])
    attrs = (*attrs, ("first", first), ("out", ((shape, dtype),)))
    result = record(
        op, "t" * (len(tensors) + len(tables)) + "n" * len(numbers), attrs, (*tensors, *tables), tuple(numbers)
    )[0]
    return outward(result) if last else result


# -- sums ------------------------------------------------------------------------------------------------------------


def wide(dtype):
    """The dtype in which sums are kept."""
    return dtype.compute


def window_sum(x, geometry):
    """The sum of every window, in the dtype of computation."""
    for part in geometry.parts():
        d = part.long_dim()
        if d is not None:
            x = sliced(x, part, d, False)[0] if part.adaptive() else reduced(x, part, d, SUM)[0]
        else:
            numbers = part.outs if part.adaptive() else ()
            x = run(WINDOW_SUM, [x], part.outs, wide(x._layout.dtype), (("windows", part.windows),), numbers)
    return x


def adaptive_windows(ins, outs):
    """Windows that divide the input as evenly as possible: window o from floor(o L / O) to ceil((o + 1) L / O)."""
    found = []
    for n, o in zip(ins, outs):
        if o and n % o == 0:
            found.append(("fixed", n // o, n // o, 0, 1, False))
        else:
            least = max(1, n // o) if o else 1
            found.append(("adaptive", least, min(n, -(-n // o) + 1) if o else 1))
    return found


def window_sum_back(g, geometry):
    """Every input position's sum of the windows that cover it."""
    parts = geometry.parts()
    for part in reversed(parts):
        g = one_sum_back(g, part)
    return g


def one_sum_back(g, part):
    if part.adaptive():  # the transpose of even division is even division the other way round
        windows = [
            w if w[0] == "fixed" and w[1] == 1 else ("adaptive", 1, min(o, -(-o // n) + 1))
            for w, n, o in zip(part.windows, part.ins, part.outs)
        ]
        return window_sum(g, Geometry(windows, part.outs, part.ins))
    reaches = tuple([reach(w, o) for w, o in zip(part.windows, part.outs)])
    if max([count for count, _ in reaches]) > LONGEST:
        return long_sum_back(g, part)
    attrs = (("windows", part.windows), ("reaches", reaches))
    if math.prod([count for count, _ in reaches]) > UNROLLED and len(part.busy()) > 1:
        return one_by_one_back(g, part)
    return run(SUM_BACK, [g], part.ins, wide(g._layout.dtype), attrs)


def one_by_one_back(g, part):
    """The transpose, one dimension after another."""
    sizes = list(part.outs)
    for d in part.busy():
        windows = [STILL] * part.rank
        windows[d] = part.windows[d]
        after = list(sizes)
        after[d] = part.ins[d]
        g = one_sum_back(g, Geometry(windows, after, sizes))
        sizes = after
    return g


def long_sum_back(g, part):
    """The transpose of long sums at small steps: g is spread out with zeros between, then summed over windows of the
    same length.
    """
    for d, w in enumerate(part.windows):
        _, count, stride, padding, _, _ = w
        if w == STILL:
            continue
        dim, shape = g._layout.ndim - part.rank + d, list(g._layout.shape)
        n, o = part.ins[d], part.outs[d]
        shape[dim] = n + count - 1
        room = zeros(tuple(shape), dtype=g.dtype, device=g.device)
        at = slice(count - 1 - padding, count - padding + (o - 1) * stride, stride)
        room[(slice(None),) * dim + (at,)] = g
        ins, outs, windows = list(room.shape[-part.rank :]), list(room.shape[-part.rank :]), [STILL] * part.rank
        outs[d], windows[d] = n, ("fixed", count, 1, 0, 1, False)
        g = window_sum(room, Geometry(windows, ins, outs))
    return g


def unfolded(x, part, d, filling):
    """A view with the positions of the long windows of dimension d as a last dimension, over a padded copy where
    windows leave x.
    """
    _, count, stride, padding, dilation, masked = part.windows[d]
    dim = x._layout.ndim - part.rank + d
    if masked:
        after = max(0, (part.outs[d] - 1) * stride + dilation * (count - 1) + 1 - part.ins[d] - padding)
        x = constant_pad(x, (0, 0) * (part.rank - 1 - d) + (padding, after), filling)
    found = x._layout
    shape, strides = list(found.shape), list(found.strides)
    shape[dim], strides[dim] = part.outs[d], found.strides[dim] * stride
    return raw_view(
        x._storage, layout((*shape, count), (*strides, found.strides[dim] * dilation), found.dtype), x._offset
    )


def reduced(x, part, d, op):
    """Long windows of dimension d by a reduction."""
    dtype = x._layout.dtype
    seen = unfolded(x, part, d, 0 if op is SUM else lowest(dtype))
    return reduce_(op, seen, (seen._layout.ndim - 1,), False, wide(dtype) if op is SUM else dtype)


def sliced(x, part, d, largest):
    """Long windows of uneven division: one slice of x per window. [sums] or [maxima, positions along d]."""
    dim = x._layout.ndim - part.rank + d
    found = []
    for o in range(part.outs[d]):
        start, end = o * part.ins[d] // part.outs[d], -(-(o + 1) * part.ins[d] // part.outs[d])
        piece = x.narrow(dim, start, end - start)
        if largest:
            value, where = reduce_(ARGMAX, piece, (dim,), True, x._layout.dtype)
            found.append((value, where + start))
        else:
            found.append(reduce_(SUM, piece, (dim,), True, wide(x._layout.dtype)))
    return [cat(list(pieces), dim) for pieces in zip(*found)]


# -- maxima ----------------------------------------------------------------------------------------------------------


def window_max(x, geometry, indices):
    """(the largest value of every window, its flat position in the plane or None)."""
    where = None
    for part in geometry.parts():
        value, found = one_max(x, part, indices)
        if indices:
            where = found if where is None else pick_flat(where, found, part.rank)
        x = value
    return x, where


def one_max(x, part, indices):
    d = part.long_dim()
    if d is not None:
        if part.adaptive():
            value, at = sliced(x, part, d, True)
        else:
            value, at = reduced(x, part, d, ARGMAX)
            _, _, stride, padding, dilation, _ = part.windows[d]
            starts = arange(part.outs[d], device=x.device) * stride - padding
            at = along(part, d, at, starts, dilation).clamp(0, part.ins[d] - 1)
        return value, flat_along(part, d, at) if indices else None
    numbers, attrs, dtype = part.outs if part.adaptive() else (), (("windows", part.windows),), x._layout.dtype
    value = run(WINDOW_MAX, [x], part.outs, dtype, attrs, numbers)
    return value, run(WINDOW_ARGMAX, [x], part.outs, dt.int64, attrs, numbers) if indices else None


def along(part, d, at, starts, dilation):
    """Positions inside windows as positions of dimension d."""
    return at * dilation + starts.reshape(-1, *(1,) * (part.rank - 1 - d))


def flat_along(part, d, at):
    """Positions of dimension d, with the own positions of all others, as flat positions of the plane."""
    flat = None
    for i, n in enumerate(part.ins):
        own = at if i == d else arange(n, device=at.device).reshape(-1, *(1,) * (part.rank - 1 - i))
        flat = own if flat is None else flat * n + own
    return flat


def plane_place(count, size):
    """The placement of flat positions in planes."""
    return Place((("d", 0), ("i", 0)), (count, size))


def pick_flat(x, indices, rank):
    """x at flat positions of its planes (the last `rank` dimensions); the shape of `indices`. Differentiable."""
    shape = indices._layout.shape
    lead = math.prod(shape[: len(shape) - rank])
    size = math.prod(shape[len(shape) - rank :])
    if not lead or not size:
        return zeros(tuple(shape), dtype=x.dtype, device=x.device)
    flat = x.reshape(lead, -1)
    return fetch_at(flat, [indices.reshape(lead, size)], plane_place(lead, size)).reshape(shape)


PLANE_ADD = Kernel("plane_add", lower="rows.planes:plane_add", reads="any", params=("g", "indices"),
                   grad={"g": lambda g, indices: g.gather(1, indices)})


def put_flat(g, indices, sizes):
    """The transpose of `pick_flat`: g added at flat positions of planes of the spatial `sizes`. Differentiable."""
    rank, shape = len(sizes), g._layout.shape
    lead = shape[: len(shape) - rank]
    count, size = math.prod(lead), math.prod(shape[len(shape) - rank :])
    whole = (*lead, *sizes)
    if not count or not size:
        return zeros(whole, dtype=g.dtype, device=g.device)
    rows, places = g.reshape(count, size), indices.reshape(count, size)
    attrs = (("out", (((count, math.prod(sizes)), g._layout.dtype),)),)
    return apply(PLANE_ADD, (rows, places), (rows, places), attrs=attrs)[0].reshape(whole)
