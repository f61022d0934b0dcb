"""The gradient of a 3 x 3 convolution's weight in 16 products for four results: the transpose of winograd.py.

In: the forward input and the output gradient, both copied to zero-padded NHWC; out: the weight gradient. With the
forward result y = OUT [(TAPS g) * (IN d)], the gradient of g is TAPS^T [(OUT^T dy) * (IN d)], in two dimensions the
same by rows, then by columns. The products of each of the 16 positions, summed over tiles, are one matrix product:
filters x tiles times tiles x channels.

Note [Slices of tiles] A task sums a fixed slice of the tiles for a block of filters and a block of channels into its
own part of the sums, in chunks that it transforms onto the stack; a last launch adds the slices in order, transforms
back and writes the weight's layout. The slices depend on shapes only.
"""

import dataclasses

from ...ir import builder, target
from ...ir.kernel import KernelSource, Launch, Memory, Scratch
from ...ir.statics import StaticLayout, ceil_div, kernel, split
from ...ir.vectors import BYTES, DTYPES, compute_dtype, compute_kind, memory_kind, store
from ..gemm.microkernel import Micro, emit_micro
from ..gemm.tiles import Tile, fitting, tile_cost
from .pack import plan_image
from .winograd import applies, from_far
from .winograd_transforms import INPUTS, POSITIONS, SKEW, TAPS, block_of, emit_gradients, emit_inputs, transformed

BLOCK = 64  # channels and filters of a task, at least
TILES = {32: [(6, 4), (12, 2), (8, 3), (4, 4)], 16: [(6, 2), (4, 2), (4, 3)]}
PRODUCT = StaticLayout(
    "@x",
    "@dy",
    "@sums",
    "channels",
    "filters",
    "channel_block",
    "channel_blocks",
    "filter_block",
    "filter_blocks",
    "block",
    "lines",
    "slice",
    "chunk",
    "high",
    "segment",
    "segments",
    "x_image",
    "x_row",
    "dy_image",
    "dy_row",
)
REDUCE = StaticLayout(
    "@sums",
    "@out",
    "channels",
    "channel_block",
    "channel_blocks",
    "filters",
    "filter_block",
    "block",
    "slices",
    "slice",
    "o_",
    "c_",
    "h_",
    "w_",
)


def product_source(kind, tile):
    """KernelSource of the launch that multiplies."""
    compute = DTYPES[kind]

    def emit(module, name):
        emit_micro(module, name + "_tile", Micro(tile, kind, *(compute,) * 3, a_mode="rows"))
        emit_inputs(module, name + "_inputs", kind, tile.lanes)
        emit_gradients(module, name + "_gradients", kind, tile.lanes)
        _emit_product(module, name, kind, tile)

    return KernelSource(("conv_winograd_weight_grad", kind, tile), emit)


def _emit_product(module, name, kind, tile):
    """A task: a slice of the rows of tiles, a block of filters, a block of channels."""
    fn = kernel(module, name)
    s = PRODUCT.open(fn)
    rest, cb = split(fn, fn.args[2], s.channel_blocks)
    part, fb = split(fn, rest, s.filter_blocks)
    c0, o0 = cb * s.channel_block, fb * s.filter_block
    depth, width = fn.minimum(s.channels - c0, s.channel_block), fn.minimum(s.filters - o0, s.filter_block)
    inputs, gradients = block_of(fn, INPUTS), block_of(fn, INPUTS)
    pitch = POSITIONS * tile.columns + SKEW  # from filter to filter of a panel's sums
    sums = fn.gep(s.sums, fn.args[2] * s.block, kind)
    dt = s.filter_block
    begin = part * s.slice
    end = fn.minimum(begin + s.slice, s.lines)
    zero, one, columns = fn.constant(0), fn.constant(1), fn.constant(tile.columns)
    with fn.loop(begin, end, s.chunk) as g0, fn.loop(0, s.segments) as segment:
        lines, x0 = fn.minimum(end - g0, s.chunk), segment * s.segment * 2
        count = lines * s.segment
        vp, dp = count * s.channel_block + SKEW, count * dt + SKEW
        with fn.loop(0, lines) as line:
            n, h = split(fn, g0 + line, s.high)
            corner = fn.gep(s.x, n * s.x_image + h * 2 * s.x_row + x0 * s.channels + c0, kind)
            with fn.loop(0, depth, tile.columns) as c:
                to = fn.gep(inputs, c * count + line * s.segment * tile.columns, kind)
                args = [s.x_row, s.channels, s.segment, fn.minimum(depth - c, tile.columns), to, vp, columns]
                fn.call("void", name + "_inputs", fn.gep(corner, c, kind), *args)
            corner = fn.gep(s.dy, n * s.dy_image + h * 2 * s.dy_row + x0 * s.filters + o0, kind)
            to = fn.gep(gradients, line * s.segment * dt, kind)
            fn.call("void", name + "_gradients", corner, s.dy_row, s.filters, s.segment, width, to, dp, dt)
        first = fn.cast("zext", (g0 + segment).eq(begin), "i64")
        with fn.loop(0, POSITIONS) as position, fn.loop(0, depth, tile.columns) as c:
            b = fn.gep(inputs, position * vp + c * count, kind)
            with fn.loop(0, width, tile.rows) as o:
                a = fn.gep(gradients, position * dp + o, kind)
                place = (split(fn, c, columns)[0] * s.filter_block + o) * pitch + position * tile.columns
                to = fn.gep(sums, place, kind)
                high = fn.minimum(width - o, tile.rows)
                args = [count, a, zero, dt, high, columns, b, zero, to, fn.constant(pitch), one, first]
                fn.call("void", name + "_tile", *args)
    fn.ret()


def reduce_source(kind, dtype, tile):
    """KernelSource that adds the slices, transforms back and writes the weight's own layout: a task takes one filter
    and a block of channels."""

    def emit(module, name):
        fn = kernel(module, name)
        s = REDUCE.open(fn)
        filter_, cb = split(fn, fn.args[2], s.channel_blocks)
        fb, o = split(fn, filter_, s.filter_block)
        pitch, c0 = POSITIONS * tile.columns + SKEW, cb * s.channel_block
        sums = fn.gep(s.sums, (fb * s.channel_blocks + cb) * s.block + o * pitch, kind)
        out = fn.gep(s.out, filter_ * s.o_ + c0 * s.c_, memory_kind(dtype))
        taps = fn.alloca(f"[{9 * tile.lanes} x {kind}]", 64)
        depth = fn.minimum(s.channels - c0, s.channel_block)
        with fn.loop(0, depth, tile.lanes) as c:
            panel, lane = split(fn, c, fn.constant(tile.columns))
            start = fn.gep(sums, panel * s.filter_block * pitch + lane, kind)
            totals = [fn.variable(builder.vector(kind, tile.lanes), 0) for _ in range(POSITIONS)]
            with fn.loop(0, s.slices) as part:
                for position, total in enumerate(totals):
                    value = fn.load_vector(start, part * s.slice + tile.columns * position, kind, tile.lanes)
                    total.set(total.get() + value)
            grid = [[totals[4 * h + w].get() for w in range(4)] for h in range(4)]
            for tap, value in enumerate(v for row in transformed(fn, tuple(zip(*TAPS)), grid) for v in row):
                fn.store_vector(value, taps, tap * tile.lanes)
            with fn.loop(0, fn.minimum(depth - c, tile.lanes)) as i:
                for tap in range(9):
                    place = (c + i) * s.c_ + s.h_ * (tap // 3) + s.w_ * (tap % 3)
                    store(fn, fn.load_at(taps, i + tap * tile.lanes, kind), out, place, dtype)
        fn.ret()

    return KernelSource(("conv_winograd_weight_reduce", kind, dtype, tile), emit)


# -- planning ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Cut:
    """How the work is divided: register tile; `high` x `wide` tiles an image; tasks of `slice` rows of tiles, in
    chunks of `chunk` rows of `segment` tiles, `channels` x `filters`."""

    tile: Tile
    high: int
    wide: int
    slice: int
    chunk: int
    segment: int
    channels: int
    filters: int


def choose_winograd_weight(kind, windows, batch, channels, filters):
    """(cost in cycles, Cut), or None where this kernel does not apply."""
    if not applies(kind, windows, channels, filters):
        return None
    lanes = target.current.lanes(kind)
    shapes = [Tile(rows, vectors, lanes) for rows, vectors in fitting(TILES, target.current)]
    tile = min(shapes, key=lambda t: _steps(t, channels, filters))
    channel_block = min(ceil_div(channels, tile.columns), ceil_div(BLOCK, tile.columns)) * tile.columns
    filter_block = ceil_div(min(filters, BLOCK), lanes) * lanes
    high, wide = ceil_div(windows[1].count, 2), ceil_div(windows[2].count, 2)
    size = target.current.vector_bytes // lanes
    room = min(INPUTS // max(channel_block, filter_block), target.current.l2 // 4 // (channel_block + filter_block))
    room = max(1, room // (POSITIONS * size))
    segment = ceil_div(wide, ceil_div(wide, room))
    lines = batch * high
    chunk = max(1, min(lines, room // segment))
    blocks = ceil_div(channels, channel_block) * ceil_div(filters, filter_block)
    slices = max(1, min(ceil_div(16, blocks), lines // chunk))
    part = ceil_div(ceil_div(lines, slices), chunk) * chunk
    tiles = lines * wide
    cost = POSITIONS * tiles * _steps(tile, channels, filters)
    cost += tiles * (ceil_div(channels, lanes) * ceil_div(filters, filter_block) * 40
                     + ceil_div(filters, lanes) * ceil_div(channels, channel_block) * 25)
    cost += channels * filters * POSITIONS * (ceil_div(lines, part) + 1) * 0.25 + channels * filters * 10
    cost += from_far(channels * filters * POSITIONS * size, 2)
    cost += batch * windows[1].count * windows[2].count * 1.2 * (channels + filters)
    return cost, Cut(tile, high, wide, part, chunk, segment, channel_block, filter_block)


def _steps(tile, channels, filters):
    """Cycles a tile of the image and a position take."""
    return ceil_div(filters, tile.rows) * ceil_div(channels, tile.columns) * tile_cost(tile.rows, tile.vectors)


def plan_winograd_weight(spec, cut):
    """Launches of the weight gradient; `spec` has three dimensions."""
    tile, kind, dtype = cut.tile, compute_kind(spec.input.dtype), compute_dtype(spec.input.dtype)
    segments, lines = ceil_div(cut.wide, cut.segment), spec.batch * cut.high
    high, wide = cut.high * 2, segments * cut.segment * 2
    x, copy_x = plan_image(spec.input, spec.batch, spec.channels, spec.size, spec.padding, [1, high + 2, wide + 2],
                           tile.lanes)
    dy, copy_dy = plan_image(spec.out, spec.batch, spec.filters, spec.out_size, (0, 0, 0), [1, high, wide], tile.lanes)
    channel_blocks, filter_blocks = ceil_div(spec.channels, cut.channels), ceil_div(spec.filters, cut.filters)
    slices = ceil_div(lines, cut.slice)
    block = cut.channels // tile.columns * cut.filters * (POSITIONS * tile.columns + SKEW)
    sums = Memory(Scratch(slices * channel_blocks * filter_blocks * block * BYTES[dtype]))
    shared = dict(
        sums=sums,
        channels=spec.channels,
        channel_block=cut.channels,
        channel_blocks=channel_blocks,
        filters=spec.filters,
        filter_block=cut.filters,
        block=block,
    )
    values = dict(
        x=x,
        dy=dy,
        filter_blocks=filter_blocks,
        lines=lines,
        slice=cut.slice,
        chunk=cut.chunk,
        high=cut.high,
        segment=cut.segment,
        segments=segments,
        x_image=(high + 2) * (wide + 2) * spec.channels,
        x_row=(wide + 2) * spec.channels,
        dy_image=high * wide * spec.filters,
        dy_row=wide * spec.filters,
        **shared,
    )
    tasks = slices * channel_blocks * filter_blocks
    cost = POSITIONS * lines * cut.wide * spec.channels * spec.filters / 35 + 100
    product = Launch(product_source(kind, tile), PRODUCT.values(**values), tasks, cost, (x, dy), (sums,))
    o_, c_, _, h_, w_ = spec.weight.strides
    values = dict(
        out=spec.weight.memory,
        slices=slices,
        slice=channel_blocks * filter_blocks * block,
        o_=o_,
        c_=c_,
        h_=h_,
        w_=w_,
        **shared,
    )
    source, out = reduce_source(kind, spec.weight.dtype, tile), spec.weight.memory
    cost = (slices + 9) * spec.channels * spec.filters
    reduce = Launch(source, REDUCE.values(**values), spec.filters * channel_blocks, cost, (sums,), (out,))
    return [copy_x, copy_dy, product, reduce]
