"""Winograd convolution F(2x2, 3x3): a 3 x 3 kernel with steps of one in 16 products for four results instead of 36.

In: an image with any strides (copied to zero-padded NHWC, conv_pack.py), weights with any strides; out: planes of the
result. conv.py chooses between this and the other kernels with the costs given here. S. Winograd, "Arithmetic
complexity of computations" (1980); A. Lavin, S. Gray, "Fast algorithms for convolutional neural networks",
arXiv:1509.09308, from which the three matrices are.

Along one dimension two results y of three taps g over four inputs d are y = OUT [(TAPS g) * (IN d)], in two dimensions
the same by rows, then by columns. Summed over channels, the products of each of the 16 positions of a transformed
tile are one matrix product: tiles x channels times channels x filters.

Note [Two results a tile] Larger tiles save more products, but their matrices hold factors other than 0, 1/2 and 1:
errors grow tenfold, and a NaN reaches results that do not read it. With two results y0 reads d0..d2 and y1 reads
d1..d3, in the transforms as in the formula, and errors are those of the plain sum.

Note [A block] A task takes a few rows of tiles (of neighbouring images too) and transforms all their channels into
its part of L2, on the stack; then for every panel of filters it multiplies position by position, transforms back, and
writes each filter's pixels in order.
"""

import dataclasses

from .. import builder, target
from ..kernel import KernelSource, Launch, Memory, Scratch
from .conv_pack import SLACK, plan_image
from .microkernel import Micro, emit_micro
from .statics import Layout, ceil_div, kernel, split
from .tiles import Tile, tile_cost
from .vectors import BYTES, columns_of, compute_dtype, load, mask_below, memory_kind, quad, store

IN = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
OUT = ((1, 1, 1, 0), (0, 1, -1, -1))
TAPS = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
POSITIONS = 16
SKEW = 16  # elements between the positions of a block: their lines must not share a set of the caches
INPUTS, PRODUCTS, RESULTS = 196608, 98304, 28672  # elements of a task's transformed tiles, their products, results
ROWS = 128  # rows of tiles of a task
TILES = {
    32: [(12, 2), (6, 4), (14, 2), (13, 2), (11, 2), (10, 2), (9, 2), (8, 3), (8, 2)],
    16: [(6, 2), (5, 2), (4, 2), (4, 3)],
}
BLOCK = Layout(
    "@x",
    "@u",
    "@y",
    "channels",
    "filters",
    "panels",
    "share",
    "shares",
    "lines",
    "high",
    "segment",
    "segments",
    "block",
    "height",
    "width",
    "image",
    "row",
    "yn",
    "yc",
    "yh",
)
WEIGHT = Layout("@source", "@u", "filters", "channels", "o_", "c_", "h_", "w_", "strip", "strips")


def transformed(fn, matrix, grid):
    """matrix @ grid @ matrix^T for a square list of lists of values."""
    turned = [_combined(fn, matrix, column) for column in zip(*grid)]  # [column][row of the result]
    return [_combined(fn, matrix, row) for row in zip(*turned)]


def _combined(fn, matrix, values):
    found = []
    for factors in matrix:
        total = None
        for factor, value in zip(factors, values):
            if factor:
                term = value if abs(factor) == 1 else value * abs(factor)
                if total is None:
                    total = term if factor > 0 else -term
                else:
                    total = total + term if factor > 0 else total - term
        found.append(total)
    return found


# -- weights -----------------------------------------------------------------------------------------------------------


def weight_source(dtype, kind, tile):
    """KernelSource that transforms weights into [panel][position][channel][columns]; filters beyond the last repeat
    it. A task takes a panel and a strip of channels."""

    def emit(module, name):
        fn = kernel(module, name)
        s = WEIGHT.open(fn)
        panel, strip = split(fn, fn.args[2], s.strips)
        first, c0 = panel * tile.columns, strip * s.strip
        plane = s.channels * tile.columns
        to = fn.gep(s.u, panel * plane * POSITIONS, kind)
        taps = fn.alloca(f"[{9 * tile.columns} x {kind}]", 64)
        with fn.loop(c0, fn.minimum(c0 + s.strip, s.channels)) as c:
            with fn.loop(0, tile.columns) as lane:
                place = fn.minimum(first + lane, s.filters - 1) * s.o_ + c * s.c_
                for h in range(3):
                    for w in range(3):
                        value = load(fn, s.source, place + s.h_ * h + s.w_ * w, dtype)
                        fn.store_at(value, taps, lane + (h * 3 + w) * tile.columns)
            for j in range(0, tile.columns, tile.lanes):
                grid = [
                    [fn.load_vector(taps, (h * 3 + w) * tile.columns + j, kind, tile.lanes) for w in range(3)]
                    for h in range(3)
                ]
                values = [value for row in transformed(fn, TAPS, grid) for value in row]
                for position, value in enumerate(values):
                    fn.store_vector(value, to, plane * position + c * tile.columns + j)
        fn.ret()

    return KernelSource(("conv_winograd_weight", dtype, kind, tile), emit)


def _plan_weight(tensor, offset, filters, channels, strides, tile, kind):
    panels = ceil_div(filters, tile.columns)
    size = BYTES[compute_dtype(tensor.dtype)]
    memory = Memory(Scratch(panels * POSITIONS * channels * tile.columns * size))
    strip = min(channels, 32)
    strips = ceil_div(channels, strip)
    source = Memory(tensor.memory.slot, tensor.memory.offset + offset * BYTES[tensor.dtype])
    values = dict(zip(("o_", "c_", "h_", "w_"), strides))
    static = WEIGHT.values(
        source=source, u=memory, filters=filters, channels=channels, strip=strip, strips=strips, **values
    )
    cost = 5.0 * filters * channels + 50
    launch = Launch(weight_source(tensor.dtype, kind, tile), static, panels * strips, cost, (tensor.memory,), (memory,))
    return memory, launch


# -- blocks of tiles ---------------------------------------------------------------------------------------------------


def layout(micro):
    return BLOCK if not micro.bias else Layout("@bias", *BLOCK.names)


@dataclasses.dataclass(frozen=True)
class Winograd:
    """Structure of the kernel: tile, compute type `kind`, dtypes of the result and of the bias (None: absent)."""

    tile: Tile
    kind: str
    out: str
    bias: str = None


def block_source(structure):
    """KernelSource of the launch that convolves."""
    compute = {"float": "float32", "double": "float64"}[structure.kind]

    def emit(module, name):
        emit_micro(module, name + "_tile", Micro(structure.tile, structure.kind, *(compute,) * 3, a_mode="along"))
        emit_inputs(module, name + "_inputs", structure.kind, structure.tile.lanes)
        _emit_results(module, name + "_results", structure)
        _emit_copy(module, name + "_copy", structure)
        _emit_block(module, name, structure)

    return KernelSource(("conv_winograd", structure), emit)


def emit_inputs(module, name, kind, lanes):
    """Add a function: for `count` tiles, two pixels apart in a row, v[position][tile][depth] from the image."""
    _emit_forth(module, name, kind, lanes, IN)


def emit_gradients(module, name, kind, lanes):
    """Add a function: the same from the 2 x 2 gradients of every tile's results."""
    _emit_forth(module, name, kind, lanes, tuple(zip(*OUT)))


def _emit_forth(module, name, kind, lanes, matrix):
    names = [("ptr", "x"), ("i64", "row"), ("i64", "pixel"), ("i64", "count"), ("i64", "depth")]
    names += [("ptr", "v"), ("i64", "vp"), ("i64", "vt")]
    fn = module.function(name, names, linkage="internal", attributes="nounwind noinline")
    x, row, pixel, count, depth, v, vp, vt = fn.args
    side = range(len(matrix[0]))
    with fn.loop(0, count) as tile:
        corner = fn.gep(x, tile * pixel * 2, kind)
        to = fn.gep(v, tile * vt, kind)
        with fn.loop(0, depth, lanes) as c:
            grid = [[fn.load_vector(corner, row * i + pixel * j + c, kind, lanes) for j in side] for i in side]
            for position, value in enumerate(value for line in transformed(fn, matrix, grid) for value in line):
                fn.store_vector(value, to, vp * position + c)
    fn.ret()


def _emit_results(module, name, structure):
    """Add a function: results[column][2 rows][pitch] of one row of tiles from their products."""
    tile, kind = structure.tile, structure.kind
    names = [("ptr", "m"), ("i64", "mp"), ("i64", "count"), ("ptr", "results"), ("i64", "plane"), ("i64", "pitch")]
    fn = module.function(name, names, linkage="internal", attributes="nounwind noinline")
    m, mp, count, results, plane, pitch = fn.args
    together = quad(kind) // 2  # tiles whose pixels in a row fill 16 bytes; the last may be none: it is never read
    with fn.loop(0, count, together) as first, fn.loop(0, tile.columns, tile.lanes) as j:
        rows = [[], []]
        for t in range(together):
            at = fn.gep(m, (first + t) * tile.columns + j, kind)
            grid = [[fn.load_vector(at, mp * (4 * h + w), kind, tile.lanes) for w in range(4)] for h in range(4)]
            for row, pixels in zip(rows, transformed(fn, OUT, grid)):
                row += pixels
        for i, row in enumerate(rows):
            to = fn.gep(results, j * plane + pitch * i + first * 2, kind)
            for column, pixels in enumerate(columns_of(fn, row)):
                fn.store_vector(pixels, to, plane * column)
    fn.ret()


def _emit_copy(module, name, structure):
    """Add a function: write one filter's rows of pixels; table: (place in `results`, place in y) a row."""
    kind, lanes, out = structure.kind, structure.tile.lanes, structure.out
    names = [("ptr", "results"), ("ptr", "y"), ("ptr", "table"), ("i64", "count"), ("i64", "width"), (kind, "bias")]
    fn = module.function(name, names, linkage="internal", attributes="nounwind noinline")
    results, y, table, count, width, bias = fn.args
    whole = width & -lanes
    mask = mask_below(fn, width - whole, lanes)
    with fn.loop(0, count) as row:
        source = fn.gep(results, fn.load_at(table, row * 2, "i64"), kind)
        to = fn.gep(y, fn.load_at(table, row * 2 + 1, "i64"), memory_kind(out))

        def part(x, mask=None):
            value = fn.load_vector(source, x, kind, lanes)
            store(fn, value + fn.splat(bias, lanes) if structure.bias else value, to, x, out, mask)

        with fn.loop(0, whole, lanes) as x:
            part(x)
        with fn.if_(whole < width):
            part(whole, mask)
    fn.ret()


def _emit_block(module, name, structure):
    """A task: some rows of tiles (a segment of each), some panels of filters."""
    fn = kernel(module, name)
    s = layout(structure).open(fn)
    tile, kind = structure.tile, structure.kind
    rest, share = split(fn, fn.args[2], s.shares)
    block, segment = split(fn, rest, s.segments)
    g0 = block * s.block
    lines = fn.minimum(s.lines - g0, s.block)
    inputs = fn.alloca(f"[{INPUTS + POSITIONS * SKEW} x {kind}]", 64)
    products = fn.alloca(f"[{PRODUCTS + POSITIONS * SKEW} x {kind}]", 64)
    results = fn.alloca(f"[{RESULTS} x {kind}]", 64)
    table = fn.alloca(f"[{4 * ROWS} x i64]", 64)
    vt = (s.channels + (tile.lanes - 1)) & -tile.lanes
    count = lines * s.segment
    vp, mp = count * vt + SKEW, count * tile.columns + SKEW
    pitch = (s.segment * 2 + (quad(kind) - 1)) & -quad(kind)
    plane = lines * 2 * pitch + SKEW
    x0 = segment * s.segment * 2
    rows = fn.variable("i64", 0)
    with fn.loop(0, lines) as line:
        n, h = split(fn, g0 + line, s.high)
        corner = fn.gep(s.x, n * s.image + h * 2 * s.row + x0 * s.channels, kind)
        to = fn.gep(inputs, line * s.segment * vt, kind)
        fn.call("void", name + "_inputs", corner, s.row, s.channels, s.segment, s.channels, to, vp, vt)
        for i in range(2):
            with fn.if_(h * 2 + i < s.height):
                fn.store_at((line * 2 + i) * pitch, table, rows.get() * 2)
                fn.store_at(n * s.yn + (h * 2 + i) * s.yh + x0, table, rows.get() * 2 + 1)
                rows.set(rows.get() + 1)
    width = fn.minimum(s.width - x0, s.segment * 2)
    zero, one, columns = fn.constant(0), fn.constant(1), fn.constant(tile.columns)
    with fn.loop(share * s.share, fn.minimum((share + 1) * s.share, s.panels)) as panel:
        with fn.loop(0, POSITIONS) as position:
            u = fn.gep(s.u, (panel * POSITIONS + position) * s.channels * tile.columns, kind)
            v, m = fn.gep(inputs, position * vp, kind), fn.gep(products, position * mp, kind)
            with fn.loop(0, count, tile.rows) as t:
                a, c = fn.gep(v, t * vt, kind), fn.gep(m, t * tile.columns, kind)
                high = fn.minimum(count - t, tile.rows)
                args = [s.channels, a, vt, one, high, columns, u, zero, c, columns, one, one]
                fn.call("void", name + "_tile", *args)
        with fn.loop(0, lines) as line:
            m = fn.gep(products, line * s.segment * tile.columns, kind)
            to = fn.gep(results, line * 2 * pitch, kind)
            fn.call("void", name + "_results", m, mp, s.segment, to, plane, pitch)
        o0 = panel * tile.columns
        with fn.loop(0, fn.minimum(s.filters - o0, tile.columns)) as o:
            bias = load(fn, s.bias, o0 + o, structure.bias) if structure.bias else fn.constant(0, kind)
            y = fn.gep(s.y, (o0 + o) * s.yc, memory_kind(structure.out))
            fn.call("void", name + "_copy", fn.gep(results, o * plane, kind), y, table, rows.get(), width, bias)
    fn.ret()


# -- planning ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Cut:
    """How the tiles are divided: register tile; `high` x `wide` tiles an image; tasks of `block` rows of `segment`
    tiles, and `share` panels of filters."""

    tile: Tile
    high: int
    wide: int
    block: int
    segment: int
    share: int


def _room(tile, channels):
    """How many tiles a task holds: transformed, they and a panel's products fill most of L2."""
    size = target.current.vector_bytes // tile.lanes
    depth = ceil_div(channels, tile.lanes) * tile.lanes
    fit = int(0.6 * target.current.l2) // (POSITIONS * size * (depth + tile.columns))
    return min(fit, INPUTS // (POSITIONS * depth), PRODUCTS // (POSITIONS * tile.columns))


def applies(kind, windows, channels, filters):
    """Whether this is a 3 x 3 convolution of floats in steps of one, with channels and filters for a vector."""
    if not builder.is_float(kind) or min(channels, filters) < target.current.lanes(kind):
        return False
    plain = all((w.taps, w.tap, w.step, w.y_step) == (3, 1, 1, 1) for w in windows[1:])
    return plain and (windows[0].taps, windows[0].count) == (1, 1)


def choose_winograd(kind, windows, batch, channels, filters):
    """(cost in cycles, Cut) of the cheapest tile, or None where this kernel does not apply."""
    if not applies(kind, windows, channels, filters):
        return None
    lanes = target.current.lanes(kind)
    high, wide = ceil_div(windows[1].count, 2), ceil_div(windows[2].count, 2)
    lines, best = batch * high, None
    for rows, vectors in TILES[32 if target.current.registers >= 32 else 16]:
        tile = Tile(rows, vectors, lanes)
        room = _room(tile, channels)
        if room < tile.rows:
            continue
        segments = ceil_div(wide, room)
        segment = ceil_div(wide, segments)
        pitch = ceil_div(segment * 2, quad(kind)) * quad(kind)
        most = min(lines, ROWS, room // segment, (RESULTS // tile.columns - SKEW) // (2 * pitch))
        if most < 1:
            continue
        for block in range(ceil_div(most, 2), most + 1):
            panels, blocks = ceil_div(filters, tile.columns), ceil_div(lines, block) * segments
            count = block * segment
            products = ceil_div(count, rows) * (channels * tile_cost(rows, vectors) + 2 * rows * vectors) * POSITIONS
            far = ceil_div(channels * tile.columns * POSITIONS * 64 // lanes, 64) * 0.1
            back = count * vectors * 60
            cost = blocks * (panels * (products + back + far) + count * ceil_div(channels, lanes) * 40)
            cost += filters * channels * 10 + batch * channels * windows[1].count * windows[2].count * 1.2
            share = ceil_div(panels, max(1, min(panels, 8 // blocks)))
            if best is None or cost < best[0]:
                best = (cost, Cut(tile, high, wide, block, segment, share))
    return best


def plan_winograd(spec, image, size, low, channels, result, filters, windows, forward, cut):
    """Launches for one combination of windows; the arguments are those of conv.py's `_plan_one`."""
    tile, kind = cut.tile, {4: "float", 8: "double"}[target.current.vector_bytes // cut.tile.lanes]
    segments, lines = ceil_div(cut.wide, cut.segment), spec.batch * cut.high
    padded = [1, cut.high * 2 + 2, segments * cut.segment * 2 + 2]
    memory, copy = plan_image(image, spec.batch, channels, size, low, padded, tile.lanes)
    o_, c_, *k_ = spec.weight.strides
    o_, c_ = (o_, c_) if forward else (c_, o_)
    offset = sum(w.w0 * k for w, k in zip(windows, k_))
    strides = (o_, c_, *(w.w_step * k for w, k in zip(windows[1:], k_[1:])))
    panels, transform = _plan_weight(spec.weight, offset, filters, channels, strides, tile, kind)
    structure = Winograd(tile, kind, result.dtype, spec.bias.dtype if spec.bias else None)
    n_, yc, d_, yh, _ = result.strides
    values = dict(
        x=memory,
        u=panels,
        y=result.memory,
        channels=channels,
        filters=filters,
        panels=ceil_div(filters, tile.columns),
        share=cut.share,
        shares=ceil_div(ceil_div(filters, tile.columns), cut.share),
        lines=lines,
        high=cut.high,
        segment=cut.segment,
        segments=segments,
        block=cut.block,
        height=windows[1].count,
        width=windows[2].count,
        image=padded[1] * padded[2] * channels,
        row=padded[2] * channels,
        yn=n_,
        yc=yc,
        yh=yh,
    )
    reads = [memory, panels]
    if spec.bias:
        values["bias"] = spec.bias.memory
        reads.append(spec.bias.memory)
    tasks = ceil_div(lines, cut.block) * segments * values["shares"]
    static = layout(structure).values(**values)
    cost = 16 * lines * cut.wide * channels * filters / 40
    return [copy, transform, Launch(block_source(structure), static, tasks, cost, reads, (result.memory,))]
