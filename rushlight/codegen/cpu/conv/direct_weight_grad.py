"""Direct weight gradient on planes for few channels or filters a group: products of vectors along the row, summed
lane by lane.

In: the forward input and the output gradient with any strides (pieces of both are copied to buffers on the stack);
out: the weight gradient. weight_grad.py chooses between this and its own way with the cost given here.

Note [Lane sums] A task adds the products of a fixed range of units (see direct.py) into one vector per (filter,
channel, tap), kept in scratch memory; the last launch adds the parts in order, then the lanes.
"""

import math
import operator

from ...ir import builder, target
from ...ir.kernel import KernelSource, Launch, Memory, Scratch
from ...ir.statics import StaticLayout, ceil_div, kernel, repeat, split
from ...ir.vectors import BYTES, DTYPES, compute_dtype, compute_kind, load, mask_below, memory_kind, multiply_add, store
from ..gemm.tiles import fitting
from .direct import (
    BUFFER,
    DEPTH,
    FAST_STEPS,
    FETCH,
    GRID,
    SLACK,
    cut,
    emit_copy,
    fetch,
    fetch_values,
    fill_table,
)

MOST_SUMS = 1 << 20  # elements of the lane sums of one part
SHAPES = {
    32: [(1, 9), (1, 5), (1, 7), (1, 3), (2, 9), (2, 5), (3, 7), (3, 5), (4, 5), (4, 3), (5, 5), (6, 3), (8, 3)],
    16: [(1, 9), (1, 5), (1, 3), (2, 5), (4, 3), (3, 3)],
}
LAYOUT = StaticLayout("@x", "@dy", "@sums", *FETCH, *GRID, "y0", "y1", "y2", "y3", "yc", "filters", "part_size",
                      "width")
REDUCE = StaticLayout(
    "@sums",
    "@out",
    "parts",
    "part_size",
    "filters",
    "channels",
    "t0",
    "t1",
    "t2",
    "taps",
    "o_",
    "c_",
    "k0_",
    "k1_",
    "k2_",
    "g_",
    "block",
    "count",
)


def tile_cycles(rows, taps):
    return max(rows * taps / 2, (rows + taps) / 2, 4 if rows * taps < 8 else 0)


def choose(kind, windows, batch, groups, depth, width):
    """(cost in cycles, (filters, taps) of a tile, Piece) of the cheapest tile, or None."""
    lanes = target.current.lanes(kind)
    piece = cut(windows, depth, lanes, False)
    taps = math.prod(w.taps for w in windows)
    if piece is None or width * depth * ceil_div(taps, 9) * 9 * groups * lanes > MOST_SUMS:
        return None
    rows_out = windows[0].count * windows[1].count
    best = None
    for rows, wide in fitting(SHAPES, target.current):
        tiles = ceil_div(width, rows) * ceil_div(taps, wide) * depth
        steps = rows_out * ceil_div(windows[2].count, lanes)
        blocks = windows[0].count * ceil_div(windows[1].count, piece.block)
        cost = tiles * (steps * (tile_cycles(rows, wide) + 1) + rows_out * 4 + blocks * (3 * rows * wide + 30))
        if best is None or cost < best[0]:
            best = (cost, (rows, wide), piece)
    copied = (depth * piece.wq * windows[2].step * windows[1].step + width * piece.wq) * rows_out * 0.5
    return (best[0] + copied) * batch * groups, best[1], piece


def product_source(kind, lanes, shape, x, dy, step, contiguous):
    """KernelSource of the launch that multiplies; `contiguous`: whether rows of x and of dy are."""

    def emit(module, name):
        emit_copy(module, name + "_copy", x, step, contiguous[0], lanes)
        emit_copy(module, name + "_dy_copy", dy, 1, contiguous[1], lanes)
        _emit_tile(module, name + "_tile", kind, lanes, shape)
        _emit_task(module, name, kind, lanes, shape, x, dy)

    return KernelSource(("conv_direct_weight", kind, lanes, shape, x, dy, step, contiguous), emit)


def _emit_tile(module, name, kind, lanes, shape):
    """sums[filter][tap] += dy[filter] * x[tap] over `rows` rows of `width`; all in vectors."""
    names = [
        ("ptr", "dy"),
        ("i64", "plane"),
        ("i64", "dy_row"),
        ("i64", "m"),
        ("ptr", "x"),
        ("i64", "x_row"),
        ("ptr", "table"),
        ("i64", "n"),
        ("i64", "rows"),
        ("i64", "width"),
        ("ptr", "sums"),
        ("i64", "filter_step"),
    ]
    fn = module.function(name, names, linkage="internal", attributes="nounwind noinline")
    dy, plane, dy_row, m, x, x_row, table, n, rows, width, sums, filter_step = fn.args
    vector = builder.vector(kind, lanes)
    filters = [fn.gep(dy, fn.minimum(fn.constant(i), m - 1) * plane, kind) for i in range(shape[0])]
    taps = [fn.gep(x, fn.load_at(table, fn.minimum(fn.constant(t), n - 1), "i64"), kind) for t in range(shape[1])]
    totals = [[fn.variable(vector, 0) for _ in taps] for _ in filters]
    whole = width & -lanes
    mask = mask_below(fn, width - whole, lanes)

    def step(at_dy, at_x, lanes_mask):
        ds = [_vector(fn, p, at_dy, kind, lanes, lanes_mask) for p in filters]
        for t, place in enumerate(taps):
            item = _vector(fn, place, at_x, kind, lanes, lanes_mask)
            for i, d in enumerate(ds):
                totals[i][t].set(multiply_add(fn, d, item, totals[i][t].get()))

    with repeat(fn, 0, rows) as r:
        with repeat(fn, 0, whole, lanes) as j:
            step(r * dy_row + j, r * x_row + j, None)
        with fn.if_(whole < width):
            step(r * dy_row + whole, r * x_row + whole, mask)
    for i in range(shape[0]):
        with fn.if_(fn.constant(i) < m):
            line = fn.gep(sums, filter_step * i, kind)
            for t in range(shape[1]):
                fn.store_vector(totals[i][t].get() + fn.load_vector(line, t * lanes, kind, lanes), line, t * lanes)
    fn.ret()


def _vector(fn, pointer, index, kind, lanes, mask):
    return load(fn, pointer, index, DTYPES[kind], lanes, mask)


def _emit_task(module, name, kind, lanes, shape, x_dtype, dy_dtype):
    """A task: a range of units of one group."""
    fn = kernel(module, name)
    s = LAYOUT.open(fn)
    part, group = split(fn, fn.args[2], s.groups)
    buffer, planes = (fn.alloca(f"[{BUFFER + SLACK} x {kind}]", 64) for _ in range(2))
    table = fn.alloca(f"[{DEPTH} x i64]", 64)
    fill_table(fn, s, fn.constant(1), table)
    taps = s.t0 * s.t1 * s.t2
    padded = s.width  # taps rounded up to whole tiles
    filter_step = s.depth * padded * lanes
    sums = fn.gep(s.sums, (part * s.groups + group) * s.filters * filter_step, kind)
    with fn.loop(0, s.filters * filter_step, lanes) as i:
        fn.store_vector(fn.constant(0, builder.vector(kind, lanes)), sums, i)
    line, zero = s.wq * s.p2, fn.constant(0)
    per_plane = s.block * s.wq
    fit = fn.minimum(fn.emit("i64", f"sdiv i64 {BUFFER}, {per_plane.name}"), s.filters)
    with fn.loop(part * s.unit_block, fn.minimum((part + 1) * s.unit_block, s.units)) as unit:
        rest, block = split(fn, unit, s.blocks)
        n, d = split(fn, rest, s.g0)
        r0 = block * s.block
        rows = fn.minimum(s.g1 - r0, s.block)
        image = fn.gep(s.x, n * s.n_ + group * s.depth * s.c_, memory_kind(x_dtype))
        fetch(fn, s, name, image, memory_kind(x_dtype), kind, d, r0, rows, s.depth, buffer)
        dy = fn.gep(s.dy, n * s.y0 + group * s.filters * s.yc + d * s.y1 + r0 * s.y2, memory_kind(dy_dtype))
        with fn.loop(0, s.filters, fit) as f0:
            f1 = fn.minimum(f0 + fit, s.filters)
            with fn.loop(f0, f1) as f, fn.loop(0, rows) as r:
                fn.call(
                    "void",
                    name + "_dy_copy",
                    fn.gep(dy, f * s.yc + r * s.y2, memory_kind(dy_dtype)),
                    s.y3,
                    s.g2,
                    zero,
                    fn.constant(1),
                    s.wq,
                    fn.gep(planes, (f - f0) * per_plane + r * s.wq, kind),
                )
            with fn.loop(0, s.depth) as c, fn.loop(0, taps, shape[1]) as t, fn.loop(f0, f1, shape[0]) as f:
                fn.call(
                    "void",
                    name + "_tile",
                    fn.gep(planes, (f - f0) * per_plane, kind),
                    per_plane,
                    s.wq,
                    fn.minimum(f1 - f, shape[0]),
                    fn.gep(buffer, c * s.t0 * s.slots * line, kind),
                    s.p1 * line,
                    fn.gep(table, t, "i64"),
                    fn.minimum(taps - t, shape[1]),
                    rows,
                    s.g2,
                    fn.gep(sums, f * filter_step + (c * padded + t) * lanes, kind),
                    filter_step,
                )
    fn.ret()


def reduce_source(kind, lanes, dtype):
    """KernelSource that adds parts and lanes and writes the weight; a task takes `block` of all (group, filter,
    channel).
    """

    def emit(module, name):
        fn = kernel(module, name)
        s = REDUCE.open(fn)
        first = fn.args[2] * s.block
        with fn.loop(first, fn.minimum(first + s.block, s.count)) as item:
            rest, c = split(fn, item, s.channels)
            group, f = split(fn, rest, s.filters)
            out = fn.gep(s.out, group * s.g_ + f * s.o_ + c * s.c_, memory_kind(dtype))
            source = fn.gep(s.sums, item * s.taps * lanes, kind)
            with fn.loop(0, s.t0) as a, fn.loop(0, s.t1) as b, fn.loop(0, s.t2) as t:
                total = fn.variable(builder.vector(kind, lanes), 0)
                place = ((a * s.t1 + b) * s.t2 + t) * lanes
                with fn.loop(0, s.parts) as part:
                    total.set(total.get() + fn.load_vector(source, part * s.part_size + place, kind, lanes))
                store(fn, fn.across(total.get(), operator.add), out, a * s.k0_ + b * s.k1_ + t * s.k2_, dtype)
        fn.ret()

    return KernelSource(("conv_direct_weight_reduce", kind, lanes, dtype), emit)


def plan_direct_weight(spec, windows, low, choice):
    """Launches of the weight gradient for the forward windows of a spec in three dimensions."""
    cost, shape, piece = choice
    depth, width, groups = spec.channels // spec.groups, spec.filters // spec.groups, spec.groups
    kind, dtype = compute_kind(spec.input.dtype), compute_dtype(spec.input.dtype)
    lanes = target.current.lanes(kind)
    taps = [w.taps for w in windows]
    padded = ceil_div(math.prod(taps), shape[1]) * shape[1]
    values = fetch_values(spec.input, spec.size, low, windows, piece, spec.batch, 1)
    part_size = groups * width * depth * padded * lanes
    parts = max(
        1, min(values["units"], ceil_div(16, groups), int(cost / groups / 50_000), 4 * MOST_SUMS // part_size)
    )
    unit_block = ceil_div(values["units"], parts)
    parts = ceil_div(values["units"], unit_block)
    sums = Memory(Scratch(max(64, parts * part_size * BYTES[dtype])))
    n_, yc, *y_ = spec.out.strides
    values.update(
        x=spec.input.memory,
        dy=spec.out.memory,
        sums=sums,
        unit_block=unit_block,
        depth=depth,
        groups=groups,
        y0=n_,
        y1=y_[0],
        y2=y_[1],
        y3=y_[2],
        yc=yc,
        filters=width,
        part_size=part_size,
        width=padded,
    )
    step = windows[2].step if windows[2].step in FAST_STEPS else 0
    source = product_source(
        kind,
        lanes,
        shape,
        spec.input.dtype,
        spec.out.dtype,
        step,
        (spec.input.strides[4] == 1, spec.out.strides[4] == 1),
    )
    product = Launch(
        source,
        LAYOUT.values(**values),
        parts * groups,
        cost / 2.5 + 100,
        (spec.input.memory, spec.out.memory),
        (sums,),
    )
    return [product, _reduce(spec, kind, lanes, sums, parts, part_size, padded)]


def _reduce(spec, kind, lanes, sums, parts, part_size, padded):
    """The launch that adds parts and lanes."""
    depth, width = spec.channels // spec.groups, spec.filters // spec.groups
    count = spec.groups * width * depth
    block = max(1, 4096 // (padded * parts))
    values = dict(
        zip(("o_", "c_", "k0_", "k1_", "k2_"), spec.weight.strides),
        sums=sums,
        out=spec.weight.memory,
        parts=parts,
        part_size=part_size,
        filters=width,
        channels=depth,
        taps=padded,
        g_=width * spec.weight.strides[0],
        block=block,
        count=count,
        **dict(zip(("t0", "t1", "t2"), spec.kernel)),
    )
    source = reduce_source(kind, lanes, spec.weight.dtype)
    cost = count * padded * (2 + parts) + 50
    return Launch(source, REDUCE.values(**values), ceil_div(count, block), cost, (sums,), (spec.weight.memory,))
