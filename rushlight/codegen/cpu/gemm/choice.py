"""How a matrix product is cut: orientation, which operands are packed, register tile, blocks.

In: a target and a spec of gemm.py; out: a `Choice` and `Blocks`. Costs are estimated cycles of one thread; sizes and
strides alone decide, never the number of threads.
"""

import dataclasses
import functools

from ...ir.statics import ceil_div
from ...ir.vectors import BYTES, compute_dtype, compute_kind
from .tiles import SHAPES, Tile, fitting, narrower, tile_cost

PACK = {"rows": 0.6, "columns": 0.9, "any": 3.0}  # cycles per packed element
LAUNCH = 8000  # cycles per launch: hand-out to the pool
TASK_FLOPS = 2_000_000
MOST_TASKS = 24
MOST_ROWS, MOST_COLUMNS = 144, 288  # of a block: larger ones were slower everywhere
MOST_DEPTH = {"packed": 512, "rows": 128}  # steps of K at a time, by how B lies
PAGE = 4096  # bytes: rows so far apart lie in the same place of the cache
SHARING = {0: 1.2, 2048: 0.15, 1024: 0.08, 3072: 0.08}  # bytes beyond a page -> how much slower rows so far apart are
SHORT_DEPTH = 128  # steps of K: up to here, writing C takes longer than they do


@dataclasses.dataclass(frozen=True)
class Choice:
    """`swap`: compute out.T = b.T @ a.T; the modes are those of microkernel.Micro, after the swap."""

    swap: bool
    a_mode: str
    b_mode: str
    tile: Tile


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Task block `mc` x `nc`, K in steps of `kc`; K cut into `splits` of `part`."""

    mc: int
    nc: int
    kc: int
    rows_first: bool
    splits: int
    part: int


def store_mode(out):
    """Which dimension of the result is contiguous: "rows" (columns of a row are neighbours), "columns" or "any"."""
    return "rows" if out.column == 1 else "columns" if out.row == 1 else "any"


def choose(target, spec):
    """The cheapest `Choice` for a spec with two batch dimensions."""
    shared = [tuple(bool(step) for step in o.batch) for o in (spec.a, spec.b)]
    size = BYTES[compute_dtype(spec.a.dtype)]
    a, b, out = ((o.dtype, stride_class(o.row, size), stride_class(o.column, size))
                 for o in (spec.a, spec.b, spec.out))
    m, n, k = (shape_class(size) for size in (spec.m, spec.n, spec.k))
    return _choose(target, m, n, k, spec.batch, a, b, out, shared[0], shared[1])


def shape_class(size):
    """The size that stands for its class in the choice: small sizes themselves, others the next power of two, so that
    batches of neighbouring sizes share their kernels."""
    return size if size <= 16 else 1 << (size - 1).bit_length()


def stride_class(stride, size):
    """The stride (of elements of `size` bytes) that stands for its class in the choice: 1, those that share few places
    in the cache, all others."""
    if stride == 1:
        return 1
    rest = stride * size % PAGE
    return (PAGE + (rest if rest in SHARING else 64)) // size


@functools.lru_cache(4096)
def _choose(target, m, n, k, batch, a, b, out, a_walks, b_walks):
    best, least = None, None
    flip = [(dtype, column, row) for dtype, row, column in (a, b, out)]
    for swap in (False, True):
        sides = (n, m, flip[1], flip[0], flip[2], b_walks, a_walks) if swap else (m, n, a, b, out, a_walks, b_walks)
        for choice, cost in _candidates(target, k, batch, *sides):
            if least is None or cost < least * 0.999:
                best, least = dataclasses.replace(choice, swap=swap), cost
    return best


def _candidates(target, k, batch, m, n, a, b, out, a_walks, b_walks):
    """(Choice, cost) of every tile and packing of one orientation."""
    kind = compute_kind(a[0])
    lanes, size = target.lanes(kind), BYTES[compute_dtype(a[0])]
    count = batch[0] * batch[1]
    store = "rows" if out[2] == 1 else "columns" if out[1] == 1 else "any"
    a_modes = {"packed": _pack_cost(target, size, m, k, batch, a_walks, a[1], a[2])}
    if a[0] == compute_dtype(a[0]) and 1 in (a[1], a[2]):
        a_modes["rows" if a[1] == 1 else "along"] = 0
    b_modes = {"packed": _pack_cost(target, size, n, k, batch, b_walks, b[2], b[1])}
    if b[2] == 1:
        b_modes["rows"] = 0
    for rows, vectors in fitting(SHAPES, target):
        columns = vectors * lanes
        store_cost = {"rows": rows * vectors * 2, "columns": columns * 5, "any": rows * columns * 3}[store]
        high = ceil_div(m, rows) * count
        for a_mode, a_cost in a_modes.items():
            if a_mode == "along" and rows > 12:
                continue  # more row pointers than registers
            factor = 1.0
            if a_mode == "along":
                factor = 1.03 + (0.6 if a[1] * size % PAGE == 0 and rows > 8 and k > 64 else 0)
                factor += (0.1 if (m + n) * k * size > target.l2 // 4 else 0) + (
                    0.05 if m * k * size > target.l2 else 0
                )
            elif a_mode == "rows":
                factor = _unpacked_factor(target, k, m, a[2], rows, size, n > columns, MOST_DEPTH["packed"]) + (
                    0.5 if m * k * size > target.l2 // 4 else 0
                )
            for b_mode, b_cost in b_modes.items():
                step = tile_cost(rows, vectors)
                if min(k, MOST_DEPTH[b_mode]) * columns * size > target.l1 // 2:
                    step += 0.05 * rows + 0.2 * vectors  # the panel comes from L2
                if b_mode == "rows":
                    slow = _unpacked_factor(target, k, n, b[1], columns, size, m > rows, MOST_DEPTH["rows"])
                    slow, wide = factor * slow * (1 if BYTES[b[0]] == size else 1.1), ceil_div(n, columns)
                else:
                    slow, wide = factor, n // columns + last_panel(n % columns, vectors, lanes)
                    b_cost *= ceil_div(n, columns) * columns / n
                cost = high * wide * (k * step * slow + store_cost + 25) + a_cost + b_cost
                yield Choice(False, a_mode, b_mode, Tile(rows, vectors, lanes)), cost


def last_panel(rest, vectors, lanes):
    """What the last, narrow panel of packed columns costs, as part of a whole one."""
    fewest = vectors if rest else 0
    while fewest > 1 and rest <= narrower(fewest) * lanes:
        fewest = narrower(fewest)
    return fewest / vectors


def _pack_cost(target, size, m, k, batch, walks, row, column):
    matrices = (batch[0] if walks[0] else 1) * (batch[1] if walks[1] else 1)
    elements = m * k * matrices
    far = 1.0 if elements * size > target.l2 // 2 else 0.0
    return (PACK["rows" if row == 1 else "columns" if column == 1 else "any"] + far) * elements + LAUNCH


def _unpacked_factor(target, k, n, stride, columns, size, again, depth):
    """How much slower steps are that read a row of the matrix where it lies: rows a power of two apart share few
    places in the cache, so a panel read `again` comes from further away each time."""
    factor = 1.02
    if again and k > 32:
        bad = SHARING.get(stride * size % PAGE, 0)
        factor += bad * min(1, k / 256)
    if min(k, depth) * columns * size > target.l1 // 2:
        factor += 0.05
    if k * n * size > target.l2 // 2 and again:
        factor += 0.2
    return factor


# -- blocks ----------------------------------------------------------------------------------------------------------


def blocks_of(target, spec, choice):
    """The `Blocks` of a spec (after the swap)."""
    m, n, k, tile = spec.m, spec.n, spec.k, choice.tile
    batches = spec.batch[0] * spec.batch[1]
    half = BYTES[spec.out.dtype] < BYTES[compute_dtype(spec.out.dtype)]
    steps = ceil_div(k, 4096 if half else MOST_DEPTH[choice.b_mode])
    kc = max(4, ceil_div(ceil_div(k, max(steps, 1)), 4) * 4)
    wanted = max(1, min(MOST_TASKS, 2 * m * n * k * batches // TASK_FLOPS // 2 * 2))  # even: two threads share alike
    wanted = ceil_div(wanted, batches)
    high, wide = ceil_div(m, tile.rows), ceil_div(n, tile.columns)
    splits = 1
    if k >= 2048 and k >= 8 * max(m, n):
        splits = min(wanted, k // 512)
        wanted = ceil_div(wanted, splits)
    cuts = _cuts(high, wide, wanted, tile, choice)
    mc, nc = ceil_div(high, cuts[0]) * tile.rows, ceil_div(wide, cuts[1]) * tile.columns
    limit = max(tile.columns, target.l2 // 3 // (min(kc, MOST_DEPTH["packed"]) * BYTES[compute_dtype(spec.a.dtype)]))
    mc = min(mc, max(1, limit // tile.rows) * tile.rows, MOST_ROWS // tile.rows * tile.rows)
    nc = min(nc, max(1, limit // tile.columns) * tile.columns, MOST_COLUMNS // tile.columns * tile.columns)
    part = ceil_div(ceil_div(max(k, 1), splits), 4) * 4
    splits = ceil_div(max(k, 1), part)
    rows_first = choice.a_mode != "packed" and m > n or writes_much(target, spec)
    return Blocks(mc, nc, kc, rows_first, splits, part)


def writes_much(target, spec):
    """Whether writing C takes as long as the sums of so few steps. Tiles then go along its rows: memory is written in
    order, and a panel of B that comes from L2 for each is the smaller price."""
    plane = spec.m * spec.n * BYTES[spec.out.dtype]
    far = plane > target.l2 // 8 and plane * spec.batch[0] * spec.batch[1] > target.l2
    return far and spec.k <= SHORT_DEPTH and spec.out.column == 1


def _cuts(high, wide, wanted, tile, choice):
    """(cuts of the rows, cuts of the columns) giving about `wanted` even blocks with little waste and short borders."""
    best, least = (1, 1), None
    for cut in range(1, min(high, wanted) + 1):
        other = min(wide, ceil_div(wanted, cut))
        tall, broad = ceil_div(high, cut), ceil_div(wide, other)
        blocks = ceil_div(high, tall) * ceil_div(wide, broad)
        uneven = tall * broad * max(blocks, wanted) / (high * wide)
        border = (tall * tile.rows + broad * tile.columns) / 2000
        cost = uneven + border + (0.2 if blocks < wanted else 0)
        if least is None or cost < least:
            best, least = (ceil_div(high, tall), ceil_div(wide, broad)), cost
    return best
