"""The implicit-GEMM convolution kernel: `rows` output pixels x `columns` filters a tile, fed straight from padded NHWC.

In: padded image [n][d][h][w][c] (pack.py), weight panels; out: the tensor in its own strides. A pixel's inputs are
segments t0 x t1 x t2 of `run` contiguous elements, so any kernel size, stride and dilation is loops over the same tile.
conv.py plans it.

Note [Pieces] A weight panel of many channels may not stay in L2 while the pixels of a task pass by. So K is taken in
groups of pieces (parts of a segment, or several short ones) for all pixels of the task before the next group, with
the sums kept in between.
"""

import dataclasses

from ...ir import builder
from ...ir.kernel import KernelSource
from ...ir.statics import StaticLayout, kernel, repeat, split
from ...ir.vectors import load, mask_below, memory_kind, multiply_add, store
from ..gemm.microkernel import turn_tile
from ..gemm.tiles import Tile
from .offsets import emit_offsets

MAX_BLOCK = 512  # pixels of a task: two offset tables on the stack
MAX_PIECES = 256  # pieces of a group
PARTIAL = 16384  # sums of a task kept between groups
UNROLL = 4
GRID = ["g1", "g2", "g3", "x0", "x1", "x2", "x3", "y0", "y1", "y2", "y3"]


@dataclasses.dataclass(frozen=True)
class ConvMicro:
    """Structure of the kernel: tile, compute type `kind`, dtypes of the result and of the bias (None: absent)."""

    tile: Tile
    kind: str
    out: str
    bias: str = None


FIELDS = "pixels t0 t1 t2 q0 q1 q2 run groups xg wg yg yc filters block filter_block filter_blocks ordered".split()
PIECES = "piece parts group pieces".split()


def layout(micro):
    return StaticLayout("@x", "@w", "@y", *GRID, *FIELDS, *PIECES, *(["@bias"] if micro.bias else []))


def conv_source(micro):
    """KernelSource of the convolution launch."""

    def emit(module, name):
        emit_offsets(module, name + "_offsets")
        _emit_tile(module, name + "_tile", micro)
        _emit_task(module, name, micro)

    return KernelSource(("conv", micro), emit)


def _emit_task(module, name, micro):
    """A task: a block of pixels, a group, a block of filters."""
    fn = kernel(module, name)
    s = layout(micro).open(fn)
    tile = micro.tile
    rest, fb = split(fn, fn.args[2], s.filter_blocks)
    pb, group = split(fn, rest, s.groups)
    p0, o0 = pb * s.block, fb * s.filter_block
    count = fn.minimum(s.pixels - p0, s.block)
    o1 = fn.minimum(o0 + s.filter_block, s.filters)
    tables = [fn.alloca(f"[{MAX_BLOCK} x i64]", 64) for _ in range(2)]
    list_of_pieces = fn.alloca(f"[{2 * MAX_PIECES} x i64]", 64)
    partial = fn.alloca(f"[{PARTIAL} x {micro.kind}]", 64)
    grid = [s.g1, s.g2, s.g3]
    fn.call("void", name + "_offsets", tables[0], p0, count, *grid, s.x0, s.x1, s.x2, s.x3)
    fn.call("void", name + "_offsets", tables[1], p0, count, *grid, s.y0, s.y1, s.y2, s.y3)
    depth = s.t0 * s.t1 * s.t2 * s.run
    x = fn.gep(s.x, group * s.xg, micro.kind)
    w = fn.gep(s.w, group * s.wg, micro.kind)
    y = fn.gep(s.y, group * s.yg, memory_kind(micro.out))
    with fn.loop(o0, o1, tile.columns) as o, fn.loop(0, fn.maximum(s.pieces, 1), s.group) as piece:
        until = fn.minimum(piece + s.group, s.pieces)
        before = _fill_pieces(fn, s, piece, until, list_of_pieces)
        panel = fn.gep(w, o * depth + before * tile.columns, micro.kind)
        first = fn.cast("zext", piece.eq(0), "i64")
        last = fn.cast("zext", until >= s.pieces, "i64")
        with fn.loop(0, count, tile.rows) as p:
            where = [x, fn.gep(tables[0], p, "i64"), fn.gep(tables[1], p, "i64")]
            edges = [fn.minimum(count - p, tile.rows), fn.minimum(o1 - o, tile.columns)]
            steps = [panel, list_of_pieces, until - piece, fn.gep(partial, p * tile.columns, micro.kind), first, last]
            to = [fn.gep(y, o * s.yc, memory_kind(micro.out)), s.yc, s.ordered]
            more = [fn.gep(s.bias, group * s.filters + o, memory_kind(micro.bias))] if micro.bias else []
            fn.call("void", name + "_tile", *where, *edges, *steps, *to, *more)
    fn.ret()


def _fill_pieces(fn, s, piece, until, table):
    """table[i] = (place relative to a pixel, length) of pieces piece..until; the elements of K before them."""

    def locate(index):
        tap, part = split(fn, index, s.parts)
        line, c = split(fn, tap, s.t2)
        a, b = split(fn, line, s.t1)
        start = part * s.piece
        return a * s.q0 + b * s.q1 + c * s.q2 + start, fn.minimum(s.run - start, s.piece), tap * s.run + start

    with fn.loop(piece, until) as index:
        shift, length, _ = locate(index)
        fn.store_at(shift, table, (index - piece) * 2)
        fn.store_at(length, table, (index - piece) * 2 + 1)
    return locate(piece)[2]


def _emit_tile(module, name, micro):
    """One tile over some pieces of K, added to the partial sums; they end in the result or there."""
    tile, kind = micro.tile, micro.kind
    names = [
        ("ptr", "x"),
        ("ptr", "xoff"),
        ("ptr", "yoff"),
        ("i64", "m"),
        ("i64", "n"),
        ("ptr", "w"),
        ("ptr", "pieces"),
    ]
    names += [("i64", "count"), ("ptr", "partial"), ("i64", "first"), ("i64", "last"), ("ptr", "y"), ("i64", "yc")]
    names += [("i64", "ordered")] + ([("ptr", "bias")] if micro.bias else [])
    fn = module.function(name, names, linkage="internal", attributes="nounwind noinline")
    x, xoff, yoff, m, n, w, pieces, count, partial, first, last, y, yc, ordered = fn.args[:14]
    sums = [[fn.variable(builder.vector(kind, tile.lanes), 0) for _ in range(tile.vectors)] for _ in range(tile.rows)]
    places = [(i * tile.columns + j * tile.lanes, sums[i][j]) for i in range(tile.rows) for j in range(tile.vectors)]
    fn.prefetch(partial, tile.rows * tile.columns * builder.BITS[kind] // 8, write=True)
    starts = [fn.gep(x, fn.load_at(xoff, fn.minimum(fn.constant(i), m - 1), "i64"), kind) for i in range(tile.rows)]
    panel = fn.variable("ptr", w)
    with repeat(fn, 0, count) as piece:
        shift, length = fn.load_at(pieces, piece * 2, "i64"), fn.load_at(pieces, piece * 2 + 1, "i64")
        _accumulate(fn, micro, sums, [fn.gep(p, shift, kind) for p in starts], panel.get(), length)
        panel.set(fn.gep(panel.get(), length * tile.columns, kind))

    with fn.if_(first.eq(0)):
        for at, total in places:
            total.set(total.get() + fn.load_vector(partial, at, kind, tile.lanes))

    def finish():
        bias = fn.args[14] if micro.bias else None
        _store_tile(fn, micro, [[v.get() for v in row] for row in sums], yoff, m, n, y, yc, ordered, bias)

    def keep():
        for at, total in places:
            fn.store_vector(total.get(), partial, at)

    fn.if_else(last.ne(0), finish, keep)
    fn.ret()


def _accumulate(fn, micro, sums, points, panel, length):
    """sums[i] += points[i][k] * panel[k] over one piece."""
    tile, kind = micro.tile, micro.kind

    def step(k):
        row = [
            fn.load_vector(panel, k * tile.columns + j * tile.lanes, kind, tile.lanes) for j in range(tile.vectors)
        ]
        for i in range(tile.rows):
            spread = fn.splat(fn.load_at(points[i], k, kind), tile.lanes)
            for j in range(tile.vectors):
                sums[i][j].set(multiply_add(fn, spread, row[j], sums[i][j].get()))

    whole = length & -UNROLL
    with repeat(fn, 0, whole, UNROLL) as k:
        for u in range(UNROLL):
            step(k + u)
    with repeat(fn, whole, length) as k:
        step(k)


def _store_tile(fn, micro, sums, yoff, m, n, y, yc, ordered, bias):
    """Through a transposed copy of the tile on the stack: a vector a filter where the pixels are neighbours, else
    singles.
    """
    tile, kind = micro.tile, micro.kind
    lanes, groups = tile.lanes, range(0, tile.rows, tile.lanes)
    width = len(groups) * lanes
    block = turn_tile(fn, sums, width)
    first, last = fn.load_at(yoff, 0, "i64"), fn.load_at(yoff, m - 1, "i64")
    masks = [mask_below(fn, m, lanes, g) for g in groups]
    out = memory_kind(micro.out)

    def extra(o):
        return load(fn, bias, o, micro.bias) if bias is not None else None

    def neighbours():
        with fn.loop(0, n) as o:
            place, add = fn.gep(y, first + o * yc, out), extra(o)
            for g, mask in zip(groups, masks):
                value = fn.load_vector(block, o * width + g, kind, lanes)
                value = value if add is None else value + fn.splat(add, lanes)
                store(fn, value, place, g, micro.out, mask)

    def singles():
        with fn.loop(0, n) as o:
            place, add = fn.gep(y, o * yc, out), extra(o)
            with fn.loop(0, m) as i:
                value = fn.load_at(block, o * width + i, kind)
                store(fn, value if add is None else value + add, place, fn.load_at(yoff, i, "i64"), micro.out)

    # Where offsets only grow ("ordered"), the span tells whether they are neighbours.
    fn.if_else((last - first).eq(m - 1) & ordered.ne(0), neighbours, singles)
