"""Direct convolution on planes for few channels or filters a group: vectors along the output row, filters broadcast.

In: an image with any strides (a piece of it is copied, zero-padded, to a buffer on the stack, so nothing else is),
packed weights; out: rows of the result. A unit of work is a block of rows of one image and group. conv.py chooses
between this and kernel.py with the costs given here.

Note [Rows in phases] With a step of s along the row, the buffer holds every s-th column together, s phases one after
another, so that the inputs of neighbouring outputs are neighbours whatever the step.
"""

import dataclasses
import math

from ...ir import builder, target
from ...ir.kernel import KernelSource, Launch, Memory
from ...ir.statics import StaticLayout, ceil_div, kernel, split
from ...ir.vectors import BYTES, compute_dtype, compute_kind, load, memory_kind, store
from ..gemm.microkernel import Micro, emit_micro
from ..gemm.tiles import SHAPES, Tile, fitting, tile_cost
from .pack import plan_weight

BUFFER = 24576  # elements of the copied piece
SLACK = 64  # and what the last vectors may write behind it
DEPTH = 2048  # taps x channels summed at once: the table of their places
FETCH = [
    "n_",
    "c_",
    "d_",
    "h_",
    "w_",
    "D",
    "H",
    "W",
    "s0",
    "s1",
    "s2",
    "p0",
    "p1",
    "p2",
    "t0",
    "t1",
    "t2",
    "q0",
    "q1",
    "q2",
]
GRID = ["g0", "g1", "g2", "wq", "slots", "block", "blocks", "units", "unit_block", "groups", "depth"]
FAST_STEPS = (1, 2)


def layout(bias):
    return StaticLayout(
        "@x",
        "@w",
        "@y",
        *FETCH,
        *GRID,
        "chunks",
        "y0",
        "y1",
        "y2",
        "y3",
        "yc",
        "filters",
        "panels",
        "filter_block",
        "filter_blocks",
        *(["@bias"] if bias else []),
    )


def direct_source(micro, dtype, step, contiguous):
    """KernelSource for a micro-kernel, the image's dtype, its step along the row (0: any) and whether rows are
    contiguous.
    """

    def emit(module, name):
        emit_micro(module, name + "_tile", micro)
        emit_copy(module, name + "_copy", dtype, step, contiguous, micro.tile.lanes)
        _emit_task(module, name, micro, dtype)

    return KernelSource(("conv_direct", micro, dtype, step, contiguous), emit)


def emit_copy(module, name, dtype, step, contiguous, lanes):
    """Add a function that copies one row: to[phase][wq] = source column s2 + q * p2 + phase, zero outside 0..W."""
    names = [
        ("ptr", "source"),
        ("i64", "w_"),
        ("i64", "W"),
        ("i64", "s2"),
        ("i64", "p2"),
        ("i64", "wq"),
        ("ptr", "to"),
    ]
    fn = module.function(name, names, linkage="internal", attributes="nounwind noinline")
    source, w_, width, s2, p2, wq, to = fn.args
    compute = compute_dtype(dtype)

    def single(q, phase):
        column = s2 + q * p2 + phase
        inside = (column >= 0) & (column < width)
        place = fn.gep(to, phase * wq + q, compute_kind(dtype))
        fn.store(fn.constant(0, compute_kind(dtype)), place)
        with fn.if_(inside):
            store(fn, load(fn, source, column * w_, dtype), place, 0, compute)

    if not contiguous or step == 0:
        with fn.loop(0, p2) as phase, fn.loop(0, wq) as q:
            single(q, phase)
        fn.ret()
        return
    words = builder.vector("i32", lanes)
    small = [fn.cast("trunc", value, "i32") for value in (s2, width)]

    def part(q, half):
        """`lanes` columns from s2 + q * step + half * lanes on; the lanes outside the row are zero and not read."""
        column = fn.splat(small[0] + fn.cast("trunc", q * step + half * lanes, "i32"), lanes) + fn.iota(words)
        inside = column.compare("lt", fn.splat(small[1], lanes), unsigned=True)
        return load(fn, source, s2 + q * step + half * lanes, dtype, lanes, inside)

    with fn.loop(0, wq, lanes) as q:  # whole vectors: what they write behind a line is overwritten by the next
        if step == 1:
            store(fn, part(q, 0), to, q, compute)
        else:
            low, high = part(q, 0), part(q, 1)
            store(fn, fn.shuffle(low, high, range(0, 2 * lanes, 2)), to, q, compute)
    if step == 2:
        with fn.loop(0, wq, lanes) as q:
            low, high = part(q, 0), part(q, 1)
            store(fn, fn.shuffle(low, high, range(1, 2 * lanes, 2)), to, wq + q, compute)
    fn.ret()


def fetch(fn, s, name, image, kind, compute, d, r0, rows, depth, buffer):
    """Copy `depth` channels x t0 slices x the rows that `rows` output rows from r0 on read;
    buffer[c][t0][slot][phase][wq].
    """
    line = s.wq * s.p2
    count = (rows - 1) * s.p1 + (s.t1 - 1) * s.q1 + 1
    with fn.loop(0, depth) as c, fn.loop(0, s.t0) as t, fn.loop(0, count) as slot:
        depth_at, row_at = s.s0 + d * s.p0 + t * s.q0, s.s1 + r0 * s.p1 + slot
        to = fn.gep(buffer, ((c * s.t0 + t) * s.slots + slot) * line, compute)
        inside = (depth_at >= 0) & (depth_at < s.D) & (row_at >= 0) & (row_at < s.H)
        source = fn.gep(image, c * s.c_ + depth_at * s.d_ + row_at * s.h_, kind)
        width = fn.select(inside, s.W, fn.constant(0))
        fn.call("void", name + "_copy", source, s.w_, width, s.s2, s.p2, s.wq, to)


def fill_table(fn, s, depth, table):
    """table[(t0, t1, t2, c)]: place of a tap of a channel in the buffer, relative to the output's row and column."""
    line = s.wq * s.p2
    entry = fn.variable("i64", 0)
    with fn.loop(0, s.t0) as a, fn.loop(0, s.t1) as b, fn.loop(0, s.t2) as t, fn.loop(0, depth) as c:
        shift, phase = split(fn, t * s.q2, s.p2)
        place = ((c * s.t0 + a) * s.slots + b * s.q1) * line + phase * s.wq + shift
        index = entry.get()
        fn.store_at(place, table, index)
        entry.set(index + 1)


def locate(fn, s, unit):
    """(image, group, slice, first row, rows) of a unit."""
    rest, block = split(fn, unit, s.blocks)
    rest, d = split(fn, rest, s.g0)
    n, group = split(fn, rest, s.groups)
    r0 = block * s.block
    return n, group, d, r0, fn.minimum(s.g1 - r0, s.block)


def _emit_task(module, name, micro, dtype):
    fn = kernel(module, name)
    s = layout(micro.bias).open(fn)
    tile, kind, out = micro.tile, micro.kind, memory_kind(micro.out)
    part, fb = split(fn, fn.args[2], s.filter_blocks)
    buffer = fn.alloca(f"[{BUFFER + SLACK} x {kind}]", 64)
    table = fn.alloca(f"[{DEPTH} x i64]", 64)
    fill_table(fn, s, s.depth, table)
    total = s.t0 * s.t1 * s.t2 * s.depth
    first = fb * s.filter_block
    last = fn.minimum(first + s.filter_block, s.filters)
    line = s.wq * s.p2
    with fn.loop(part * s.unit_block, fn.minimum((part + 1) * s.unit_block, s.units)) as unit:
        n, group, d, r0, rows = locate(fn, s, unit)
        y = fn.gep(s.y, n * s.y0 + group * s.filters * s.yc + d * s.y1 + r0 * s.y2, out)
        with fn.loop(0, s.chunks) as chunk:
            image = fn.gep(s.x, n * s.n_ + (group * s.chunks + chunk) * s.depth * s.c_, memory_kind(dtype))
            fetch(fn, s, name, image, memory_kind(dtype), kind, d, r0, rows, s.depth, buffer)
            weights = fn.gep(s.w, (group * s.chunks + chunk) * s.panels * tile.rows * total, kind)
            begin = fn.cast("zext", chunk.eq(0), "i64")
            with fn.loop(first, last, tile.rows) as f, fn.loop(0, rows) as r, fn.loop(0, s.g2, tile.columns) as j:
                zero, one = fn.constant(0), fn.constant(1)
                args = [
                    total,
                    fn.gep(weights, f * total, kind),
                    zero,
                    zero,
                    fn.minimum(last - f, tile.rows),
                    fn.minimum(s.g2 - j, tile.columns),
                    fn.gep(buffer, r * s.p1 * line + j, kind),
                    zero,
                    fn.gep(y, f * s.yc + r * s.y2 + j * s.y3, out),
                    s.yc,
                    s.y3,
                    begin,
                    table,
                ]
                if micro.bias:
                    args += [fn.gep(s.bias, group * s.filters + f, memory_kind(micro.bias)), one, zero]
                fn.call("void", name + "_tile", *args)
    fn.ret()


# -- planning --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Piece:
    """How the image is cut: `wq` columns a phase, `slots` rows for `block` output rows, `depth` channels at once."""

    wq: int
    slots: int
    block: int
    depth: int


def cut(windows, depth, columns, may_chunk):
    """The `Piece` for three windows, or None where not even one output row of one channel fits."""
    outer, rows, line = windows
    wq = ceil_div(line.count, columns) * columns + (line.taps - 1) * line.tap // line.step
    taps = outer.taps * rows.taps * line.taps
    area = outer.taps * wq * line.step
    below = (rows.taps - 1) * rows.tap + 1
    while True:
        room = BUFFER // (area * depth) if depth else 0
        if depth * taps <= DEPTH and (room >= below + 3 * rows.step or room >= below and (depth == 1 or not may_chunk)):
            break
        if depth <= 1 or not may_chunk:
            return None
        depth = next(d for d in range(depth // 2, 0, -1) if depth % d == 0)
    block = min(rows.count, (room - below) // rows.step + 1)
    block = ceil_div(rows.count, ceil_div(rows.count, block))
    return Piece(wq, (block - 1) * rows.step + below, block, depth)


def choose_direct(kind, windows, batch, groups, depth, width, y_step):
    """(cost in cycles, Tile, Piece) of the cheapest tile, or None."""
    lanes = target.current.lanes(kind)
    outer, inner, line = windows
    rows_out, taps = outer.count * inner.count, outer.taps * inner.taps * line.taps
    size = target.current.vector_bytes // lanes
    best, pieces = None, {}
    for rows, vectors in fitting(DIRECT_SHAPES, target.current):
        if vectors not in pieces:
            pieces[vectors] = cut(windows, depth, vectors * lanes, groups == 1)
        piece = pieces[vectors]
        if piece is None:
            continue
        tiles = rows_out * ceil_div(line.count, vectors * lanes) * ceil_div(width, rows)
        chunks = depth // piece.depth
        stores = rows * vectors * (2 if y_step == 1 else 3 * lanes) + 30
        area = piece.wq * line.step * piece.slots * outer.taps
        copied = area * depth * ceil_div(inner.count, piece.block)
        far = 1.2 if area * piece.depth * size > target.current.l1 else 1.0
        cost = (
            tiles * (tile_cost(rows, vectors) * taps * depth * far + stores * chunks)
            + copied * outer.count * 0.5
        )
        if best is None or cost < best[0]:
            best = (cost, (rows, vectors, lanes), piece)
    return best and (best[0] * batch * groups, Tile(*best[1]), best[2])


DIRECT_SHAPES = {
    32: [*SHAPES[32], (1, 4), (1, 7), (2, 7), (4, 7), (3, 7), (4, 1), (2, 2), (4, 5), (8, 1)],
    16: [*SHAPES[16], (1, 4), (4, 1), (2, 2), (2, 5)],
}


def plan_direct(spec, image, size, low, result, filters, windows, forward, choice):
    """Launches for one combination of windows; the arguments are those of conv.py's `_plan_one`."""
    _, tile, piece = choice
    channels = spec.channels if forward else spec.filters
    groups, depth, width = spec.groups, channels // spec.groups, filters // spec.groups
    kind, dtype = compute_kind(image.dtype), compute_dtype(result.dtype)
    taps, chunks = [w.taps for w in windows], depth // piece.depth
    o_, c_, *k_ = spec.weight.strides
    group_stride = (depth if not forward else width) * o_
    o_, c_ = (o_, c_) if forward else (c_, o_)
    offset = sum(w.w0 * k for w, k in zip(windows, k_))
    steps = [w.w_step * k for w, k in zip(windows, k_)]
    panels, pack = plan_weight(
        spec.weight,
        offset,
        groups * chunks,
        width,
        piece.depth,
        taps,
        (o_, c_, *steps),
        group_stride if groups > 1 else piece.depth * c_,
        tile.rows,
    )
    n_, yc, *y_ = result.strides
    y_steps = [n_, *(w.y_step * step for w, step in zip(windows, y_))]
    y = Memory(
        result.memory.slot, result.memory.offset + sum(w.y0 * k for w, k in zip(windows, y_)) * BYTES[result.dtype]
    )
    store_mode = "rows" if y_steps[3] == 1 else "any"
    micro = Micro(
        tile,
        kind,
        dtype,
        dtype,
        result.dtype,
        "packed",
        "indexed",
        store_mode,
        spec.bias.dtype if spec.bias else None,
        "splat",
    )
    values = fetch_values(image, size, low, windows, piece, spec.batch, groups)
    work = piece.block * windows[2].count * width * depth * math.prod(taps)
    unit_block = max(1, min(values["units"], ceil_div(1_500_000, max(1, work))))
    parts = ceil_div(values["units"], unit_block)
    wanted = min(ceil_div(width, tile.rows), max(1, 8 // parts) if work > 500_000 else 1)
    filter_block = ceil_div(ceil_div(width, tile.rows), wanted) * tile.rows
    values.update(
        x=image.memory,
        w=panels,
        y=y,
        chunks=chunks,
        y0=y_steps[0],
        y1=y_steps[1],
        y2=y_steps[2],
        y3=y_steps[3],
        yc=yc,
        filters=width,
        panels=ceil_div(width, tile.rows),
        filter_block=filter_block,
        filter_blocks=ceil_div(width, filter_block),
        unit_block=unit_block,
        depth=piece.depth,
    )
    reads = [image.memory, panels]
    if spec.bias:
        values["bias"] = spec.bias.memory
        reads.append(spec.bias.memory)
    step = windows[2].step if windows[2].step in FAST_STEPS else 0
    source = direct_source(micro, image.dtype, step, image.strides[4] == 1)
    launch = Launch(
        source,
        layout(micro.bias).values(**values),
        parts * values["filter_blocks"],
        choice[0] / 2.5 + 100,
        reads,
        (result.memory,),
    )
    return [pack, launch]


def fetch_values(image, size, low, windows, piece, batch, groups):
    """The static entries FETCH and GRID but for `unit_block` and `depth`."""
    blocks = ceil_div(windows[1].count, piece.block)
    values = dict(zip(FETCH[:5], image.strides), D=size[0], H=size[1], W=size[2])
    for i, (window, zeros) in enumerate(zip(windows, low)):
        values.update(
            {
                f"s{i}": window.x0 - zeros,
                f"p{i}": window.step,
                f"t{i}": window.taps,
                f"q{i}": window.tap,
                f"g{i}": window.count,
            }
        )
    values.update(
        wq=piece.wq,
        slots=piece.slots,
        block=piece.block,
        blocks=blocks,
        groups=groups,
        units=batch * groups * windows[0].count * blocks,
    )
    return values
