"""Plan and kernels of the gradient of a convolution's weight.

In: the forward input and the output gradient; out: the weight gradient. Both images are copied to NHWC (the input
padded), then it is a matrix product with the pixels as inner dimension: rows are the taps x channels of a filter,
columns the filters.

Note [Pixel slices] A task sums a fixed slice of the pixels for a block of rows and a block of filters into its own
buffer, in chunks whose operands are packed next to it; a last launch adds the slices in order and writes the weight's
layout. The slices depend on shapes only.
"""

import dataclasses
import math

from ...ir import builder, target
from ...ir.kernel import KernelSource, Launch, Memory, Scratch
from ...ir.statics import StaticLayout, ceil_div, kernel, split
from ...ir.vectors import BYTES, compute_dtype, compute_kind, constant_mask, load, memory_kind, store
from ..gemm.microkernel import Micro, emit_micro
from ..gemm.tiles import Tile, fitting, tile_cost
from .offsets import emit_offsets
from .pack import plan_image

CHUNK = 256
FEW_PANELS = 3  # of filters: more of them are worth packing the rows for, in spite of the copy
SHAPES = {
    32: [(14, 2), (13, 2), (12, 2), (11, 2), (10, 2), (9, 2), (8, 2), (6, 2), (16, 1), (12, 1), (8, 1)],
    16: [(6, 2), (5, 2), (4, 2), (3, 2), (8, 1)],
}
BUFFER = 144  # rows collected by a task of the last launch
WIDE, WIDEST = 4, 6  # vectors of filters in a panel of the sums: whole tiles, about WIDE
GRID = ["g1", "g2", "g3", "x0", "x1", "x2", "x3"]
PRODUCT = StaticLayout(
    "@x",
    "@dy",
    "@sums",
    "@pack",
    "pixels",
    *GRID,
    "t1",
    "t2",
    "q0",
    "q1",
    "q2",
    "run",
    "xg",
    "rows",
    "filters",
    "dyc",
    "groups",
    "slice",
    "row_block",
    "row_blocks",
    "filter_block",
    "filter_blocks",
    "panel",
    "wide",
    "pack_size",
    "slice_size",
    "indexed",
)
REDUCE = StaticLayout(
    "@sums",
    "@out",
    "slices",
    "slice_size",
    "rows",
    "panel",
    "filters",
    "t0",
    "t1",
    "t2",
    "channels",
    "o_",
    "c_",
    "k0_",
    "k1_",
    "k2_",
    "g_",
    "panels",
    "strips",
)


def product_source(micro):
    """KernelSource of the launch that multiplies; `micro` is packed on both sides."""

    def emit(module, name):
        emit_micro(module, name + "_tile", micro)
        emit_micro(module, name + "_indexed", dataclasses.replace(micro, a_mode="indexed"))
        emit_offsets(module, name + "_offsets")
        _emit_pack_rows(module, name + "_rows", micro)
        _emit_product(module, name, micro)

    return KernelSource(("conv_weight_grad", micro), emit)


def _emit_pack_rows(module, name, micro):
    """pack[pixel][rows]: rows r0.. of every pixel; vectors where they lie in one run, else element by element."""
    names = [("ptr", "x"), ("ptr", "table"), ("i64", "count"), ("i64", "r0"), ("i64", "m")]
    names += [("i64", label) for label in ("t1", "t2", "q0", "q1", "q2", "run")] + [("ptr", "pack")]
    fn = module.function(name, names, linkage="internal", attributes="nounwind noinline")
    x, table, count, r0, m, t1, t2, q0, q1, q2, run, pack = fn.args
    kind, rows = micro.kind, micro.tile.rows

    def place(r):
        return _place(fn, r, run, t1, t2, q0, q1, q2)

    lanes, dtype = micro.tile.lanes, micro.a

    def together():
        start = fn.gep(x, place(r0), kind)
        with fn.loop(0, count) as p:
            source = fn.gep(start, fn.load_at(table, p, "i64"), kind)
            for j in range(0, rows, lanes):
                width = min(lanes, rows - j)
                if width == lanes or lanes <= 8:
                    fn.store_vector(fn.load_vector(source, j, kind, width), pack, p * rows + j)
                    continue
                mask = constant_mask(fn, width, lanes)
                store(fn, load(fn, source, j, dtype, lanes, mask), pack, p * rows + j, dtype, mask)

    def apart():
        with fn.loop(0, rows) as i:
            start = fn.gep(x, place(r0 + fn.minimum(i, m - 1)), kind)
            with fn.loop(0, count) as p:
                value = fn.load_at(start, fn.load_at(table, p, "i64"), kind)
                fn.store_at(value, pack, p * rows + i)

    _, in_run = split(fn, r0, run)
    fn.if_else(in_run + m <= run, together, apart)
    fn.ret()


def _place(fn, r, run, t1, t2, q0, q1, q2):
    """Where row r (taps x channels) lies relative to a pixel."""
    tap, c = split(fn, r, run)
    line, c2 = split(fn, tap, t2)
    c0, c1 = split(fn, line, t1)
    return c0 * q0 + c1 * q1 + c2 * q2 + c


def _emit_product(module, name, micro):
    """A task: one slice of pixels, one group, one block of rows, one block of filters."""
    fn = kernel(module, name)
    s = PRODUCT.open(fn)
    tile, kind = micro.tile, micro.kind
    rest, fb = split(fn, fn.args[2], s.filter_blocks)
    rest, rb = split(fn, rest, s.row_blocks)
    part, group = split(fn, rest, s.groups)
    r0, o0 = rb * s.row_block, fb * s.filter_block
    r1, o1 = fn.minimum(r0 + s.row_block, s.rows), fn.minimum(o0 + s.filter_block, s.filters)
    p1 = fn.minimum(part * s.slice + s.slice, s.pixels)
    x = fn.gep(s.x, group * s.xg, kind)
    dy = fn.gep(s.dy, group * s.filters, kind)
    sums = fn.gep(s.sums, part * s.slice_size + group * s.rows * s.wide, kind)
    panel = fn.gep(s.pack, fn.args[2] * s.pack_size, kind)
    pack = fn.gep(panel, s.filter_block * CHUNK, kind)
    table = fn.alloca(f"[{CHUNK} x i64]", 64)
    zero = fn.constant(0)
    with fn.loop(part * s.slice, p1, CHUNK) as p:
        count = fn.minimum(p1 - p, CHUNK)
        fn.call("void", name + "_offsets", table, p, count, s.g1, s.g2, s.g3, s.x0, s.x1, s.x2, s.x3)
        _pack_filters(fn, tile, kind, dy, p, count, o0, o1, s, panel)
        first = fn.cast("zext", p.eq(part * s.slice), "i64")
        with fn.loop(r0, r1, tile.rows) as r:
            m = fn.minimum(r1 - r, tile.rows)
            with fn.if_(_reaches_over(fn, s, r, m)):
                to = fn.gep(pack, (r - r0) * CHUNK, kind)
                fn.call("void", name + "_rows", x, table, count, r, m, s.t1, s.t2, s.q0, s.q1, s.q2, s.run, to)
        with fn.loop(o0, o1, tile.columns) as o, fn.loop(r0, r1, tile.rows) as r:
            m = fn.minimum(r1 - r, tile.rows)
            turn, lane = split(fn, o, s.panel)
            c = fn.gep(sums, (turn * s.rows + r) * s.panel + lane, kind)
            width, columns = fn.constant(tile.columns), fn.gep(panel, (o - o0) * CHUNK, kind)

            def tile_of(suffix, a, *more):
                args = [count, a, zero, zero, m, width, columns, zero, c, s.panel, fn.constant(1), first, *more]
                fn.call("void", name + suffix, *args)

            def direct():
                start = fn.gep(x, _place(fn, r, s.run, s.t1, s.t2, s.q0, s.q1, s.q2), kind)
                tile_of("_indexed", start, table)

            over = _reaches_over(fn, s, r, m)
            fn.if_else(over, lambda: tile_of("_tile", fn.gep(pack, (r - r0) * CHUNK, kind)), direct)
    fn.ret()


def _reaches_over(fn, s, r, m):
    """Whether the tile of rows r.. is packed: it must be where it reaches over several runs, and may be anywhere."""
    return (split(fn, r, s.run)[1] + m > s.run) | s.indexed.eq(0)


def _pack_filters(fn, tile, kind, dy, p, count, o0, o1, s, panel):
    """panel[filter block][pixel][columns] of the output gradient; filters beyond the last read as the last."""
    with fn.loop(o0, o1, tile.columns) as o:
        to = fn.gep(panel, (o - o0) * CHUNK, kind)
        source = fn.gep(dy, p * s.dyc, kind)

        def whole():
            with fn.loop(0, count) as i:
                for j in range(tile.vectors):
                    value = fn.load_vector(source, i * s.dyc + o + j * tile.lanes, kind, tile.lanes)
                    fn.store_vector(value, to, i * tile.columns + j * tile.lanes)

        def edge():
            with fn.loop(0, count) as i, fn.loop(0, tile.columns) as lane:
                fn.store_at(
                    fn.load_at(source, i * s.dyc + fn.minimum(o + lane, o1 - 1), kind), to, i * tile.columns + lane
                )

        fn.if_else(o + tile.columns <= o1, whole, edge)


def reduce_source(kind, dtype, lanes):
    """KernelSource that adds the slices and writes the weight's own layout: a task takes one panel of filters and
    BUFFER rows in the weight's order (channel, then taps), sums them into a buffer, then writes filter by filter."""

    def emit(module, name):
        fn = kernel(module, name)
        s = REDUCE.open(fn)
        rest, strip = split(fn, fn.args[2], s.strips)
        group, panel = split(fn, rest, s.panels)
        r0 = strip * BUFFER
        count = fn.minimum(s.rows - r0, BUFFER)
        width = fn.minimum(s.filters - panel * s.panel, s.panel)
        sums = fn.gep(s.sums, (group * s.panels + panel) * s.rows * s.panel, kind)
        buffer = fn.alloca(f"[{WIDEST * lanes * BUFFER} x {kind}]", 64)
        places = fn.alloca(f"[{BUFFER} x i64]", 64)
        with fn.loop(0, count) as i:
            c, tap = split(fn, r0 + i, s.t0 * s.t1 * s.t2)
            line, t2 = split(fn, tap, s.t2)
            t0, t1 = split(fn, line, s.t1)
            fn.store_at(c * s.c_ + t0 * s.k0_ + t1 * s.k1_ + t2 * s.k2_, places, i)
            row = fn.gep(sums, (tap * s.channels + c) * s.panel, kind)
            with fn.loop(0, s.panel, lanes) as o:
                total = fn.variable(builder.vector(kind, lanes), 0)
                with fn.loop(0, s.slices) as part:
                    total.set(total.get() + fn.load_vector(row, part * s.slice_size + o, kind, lanes))
                fn.store_vector(total.get(), buffer, i * s.panel + o)
        out = fn.gep(s.out, group * s.g_ + panel * s.panel * s.o_, memory_kind(dtype))
        with fn.loop(0, width) as o:
            column, target_row = fn.gep(buffer, o, kind), fn.gep(out, o * s.o_, memory_kind(dtype))
            with fn.loop(0, count) as i:
                store(fn, fn.load_at(column, i * s.panel, kind), target_row, fn.load_at(places, i, "i64"), dtype)
        fn.ret()

    return KernelSource(("conv_weight_reduce", kind, dtype, lanes), emit)


@dataclasses.dataclass(frozen=True)
class _Cut:
    """How the product is divided: the tile; `run` rows that are neighbours; `panel` filters of the sums, `wide` all
    of them; blocks of rows and filters of a task; `slices` of `part` pixels; element counts of one slice's sums and
    one task's packed operands."""

    tile: Tile
    run: int
    rows: int
    panel: int
    wide: int
    row_block: int
    filter_block: int
    blocks: int
    part: int
    slices: int
    slice_size: int
    pack_size: int


def _cut(spec, pixels):
    kind = compute_kind(spec.input.dtype)
    width, run = spec.filters // spec.groups, _run(spec)
    rows = spec.channels // spec.groups * math.prod(spec.kernel)
    _, tile = _choose_tile(kind, rows, width, run)
    columns = ceil_div(width, tile.columns) * tile.columns
    panel = tile.columns * max(1, WIDE * tile.lanes // tile.columns)
    wide = ceil_div(columns, panel) * panel
    filter_block = min(columns, max(1, 256 // tile.columns) * tile.columns)
    row_block = min(rows, 16 * tile.rows)
    blocks = spec.groups * ceil_div(rows, row_block) * ceil_div(width, filter_block)
    slice_size = spec.groups * rows * wide
    slices = _slices(pixels, blocks, slice_size, rows * width)
    part = ceil_div(ceil_div(pixels, slices), CHUNK) * CHUNK or CHUNK
    pack_size = CHUNK * (filter_block + ceil_div(row_block, tile.rows) * tile.rows) + 64
    slices = ceil_div(pixels, part)
    return _Cut(tile, run, rows, panel, wide, row_block, filter_block, blocks, part, slices, slice_size, pack_size)


def plan_weight_grad(spec):
    """Launches of the weight gradient; `spec` has three dimensions."""
    if spec.channels * spec.filters * math.prod(spec.kernel) == 0:
        return []
    lanes = target.current.lanes(compute_kind(spec.input.dtype))
    edges = zip(spec.out_size, spec.stride, spec.kernel, spec.dilation)
    padded = [(o - 1) * s + (k - 1) * d + 1 for o, s, k, d in edges]
    pixels = spec.batch * math.prod(spec.out_size)
    if pixels == 0 or 0 in spec.size:
        padded, pixels = [1, 1, 1], 0
    x, copy_x = plan_image(spec.input, spec.batch, spec.channels, spec.size, spec.padding, padded, lanes)
    dy, copy_dy = plan_image(spec.out, spec.batch, spec.filters, spec.out_size, (0, 0, 0), spec.out_size, lanes)
    cut = _cut(spec, pixels)
    size = BYTES[compute_dtype(spec.input.dtype)]
    sums = Memory(Scratch(max(64, cut.slices * cut.slice_size * size)))
    launches = [copy_x, copy_dy, _product(spec, cut, x, dy, padded, pixels, sums), _reduce(spec, cut, sums)]
    return [launch for launch in launches if launch.tasks]


def _product(spec, cut, x, dy, padded, pixels, sums):
    """The launch that multiplies."""
    dtype, kind = compute_dtype(spec.input.dtype), compute_kind(spec.input.dtype)
    depth, width = spec.channels // spec.groups, spec.filters // spec.groups
    tasks = cut.slices * cut.blocks
    pack = Memory(Scratch(max(64, tasks * cut.pack_size * BYTES[dtype])))
    row = padded[2] * spec.channels
    plane = padded[1] * row
    steps, dilation = spec.stride, spec.dilation
    values = dict(
        zip(GRID, (*spec.out_size, padded[0] * plane, steps[0] * plane, steps[1] * row, steps[2] * spec.channels)),
        x=x,
        dy=dy,
        sums=sums,
        pack=pack,
        pixels=pixels,
        t1=spec.kernel[1],
        t2=spec.kernel[2] * depth // cut.run,
        q0=dilation[0] * plane,
        q1=dilation[1] * row,
        q2=dilation[2] * spec.channels,
        run=cut.run,
        xg=depth,
        rows=cut.rows,
        filters=width,
        dyc=spec.filters,
        groups=spec.groups,
        slice=cut.part,
        row_block=cut.row_block,
        row_blocks=ceil_div(cut.rows, cut.row_block),
        filter_block=cut.filter_block,
        filter_blocks=ceil_div(width, cut.filter_block),
        panel=cut.panel,
        wide=cut.wide,
        pack_size=cut.pack_size,
        slice_size=cut.slice_size,
        indexed=int(ceil_div(width, cut.tile.columns) <= FEW_PANELS),
    )
    source = product_source(Micro(cut.tile, kind, dtype, dtype, dtype))
    cost = pixels * spec.groups * cut.rows * width / 35 + 100
    return Launch(source, PRODUCT.values(**values), tasks, cost, (x, dy), (sums,))


def _reduce(spec, cut, sums):
    """The launch that adds the slices."""
    kind, width = compute_kind(spec.input.dtype), spec.filters // spec.groups
    panels, strips = cut.wide // cut.panel, ceil_div(cut.rows, BUFFER)
    values = dict(
        zip(("o_", "c_", "k0_", "k1_", "k2_"), spec.weight.strides),
        sums=sums,
        out=spec.weight.memory,
        slices=cut.slices,
        slice_size=cut.slice_size,
        rows=cut.rows,
        panel=cut.panel,
        filters=width,
        channels=spec.channels // spec.groups,
        g_=width * spec.weight.strides[0],
        panels=panels,
        strips=strips,
        **dict(zip(("t0", "t1", "t2"), spec.kernel)),
    )
    source = reduce_source(kind, spec.weight.dtype, cut.tile.lanes)
    cost = spec.groups * cut.rows * width * (1 + 0.2 * cut.slices) + 50
    tasks = spec.groups * panels * strips
    return Launch(source, REDUCE.values(**values), tasks, cost, (sums,), (spec.weight.memory,))


def weight_grad_cost(spec):
    """Estimated cycles of `plan_weight_grad` on one thread."""
    width = spec.filters // spec.groups
    pixels, rows = spec.batch * math.prod(spec.out_size), spec.channels // spec.groups * math.prod(spec.kernel)
    cost, tile = _choose_tile(compute_kind(spec.input.dtype), rows, width, _run(spec))
    copies = 1.2 * (spec.filters + spec.channels * math.prod(spec.stride))
    return pixels * (spec.groups * cost + copies + ceil_div(width, tile.columns) * 4 * spec.groups) + rows * width * 2


def _run(spec):
    """How many rows (taps x channels) lie next to each other in a pixel's neighbourhood."""
    return spec.channels // spec.groups * (spec.kernel[2] if spec.groups == 1 and spec.dilation[2] == 1 else 1)


def _choose_tile(kind, rows, width, run):
    """(cycles a pixel, Tile): tiles that reach over several runs are gathered element by element."""
    lanes, best = target.current.lanes(kind), None
    for high, vectors in fitting(SHAPES, target.current):
        crossing = ceil_div(rows, run) * (1 - math.gcd(high, run) / high) if run >= high else ceil_div(rows, high)
        cost = (
            ceil_div(rows, high) * ceil_div(width, vectors * lanes) * (tile_cost(high, vectors) + 1)
            + crossing * high * 1.5
        )
        if best is None or cost < best[0]:
            best = (cost, Tile(high, vectors, lanes))
    return best


def _slices(pixels, blocks, slice_size, work):
    """How many slices of pixels: enough for 16 tasks, none below a megaflop, private sums of at most 16M elements."""
    wanted = max(1, 16 // blocks)
    return max(1, min(wanted, pixels // CHUNK, pixels * work * blocks // 1_000_000, 16_000_000 // max(1, slice_size)))
