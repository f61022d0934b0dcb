"""The implicit-GEMM convolution kernel: `rows` output pixels x `columns` filters a tile, fed straight from padded NHWC.

In: padded image [n][d][h][w][c] (conv_pack.py), weight panels; out: the tensor in its own strides. A pixel's inputs are
segments t0 x t1 x t2 of `run` contiguous elements, so any kernel size, stride and dilation is loops over the same tile.
conv.py plans it.
"""

import dataclasses

from .. import builder
from ..kernel import KernelSource
from .microkernel import turn_tile
from .offsets import emit_offsets
from .statics import Layout, kernel, repeat, split
from .tiles import Tile
from .vectors import load, mask_below, memory_kind, multiply_add, store

MAX_BLOCK = 512  # pixels of a task: two offset tables on the stack
UNROLL = 4
GRID = ["g1", "g2", "g3", "x0", "x1", "x2", "x3", "y0", "y1", "y2", "y3"]


@dataclasses.dataclass(frozen=True)
class ConvMicro:
    """Structure of the kernel: tile, compute type `kind`, dtypes of the result and of the bias (None: absent)."""

    tile: Tile
    kind: str
    out: str
    bias: str = None


def layout(micro):
    names = [
        "@x",
        "@w",
        "@y",
        "pixels",
        *GRID,
        "t0",
        "t1",
        "t2",
        "q0",
        "q1",
        "q2",
        "run",
        "groups",
        "xg",
        "wg",
        "yg",
        "yc",
        "filters",
        "block",
        "filter_block",
        "filter_blocks",
        "ordered",
    ]
    return Layout(*names, *(["@bias"] if micro.bias else []))


def conv_source(micro):
    """KernelSource of the convolution launch."""

    def emit(module, name):
        emit_offsets(module, name + "_offsets")
        _emit_tile(module, name + "_tile", micro)
        _emit_task(module, name, micro)

    return KernelSource(("conv", micro), emit)


def _emit_task(module, name, micro):
    fn = kernel(module, name)
    s = layout(micro).open(fn)
    tile = micro.tile
    rest, fb = split(fn, fn.args[2], s.filter_blocks)
    pb, group = split(fn, rest, s.groups)
    p0, o0 = pb * s.block, fb * s.filter_block
    count = fn.minimum(s.pixels - p0, s.block)
    o1 = fn.minimum(o0 + s.filter_block, s.filters)
    tables = [fn.alloca(f"[{MAX_BLOCK} x i64]", 64) for _ in range(2)]
    grid = [s.g1, s.g2, s.g3]
    fn.call("void", name + "_offsets", tables[0], p0, count, *grid, s.x0, s.x1, s.x2, s.x3)
    fn.call("void", name + "_offsets", tables[1], p0, count, *grid, s.y0, s.y1, s.y2, s.y3)
    depth = s.t0 * s.t1 * s.t2 * s.run
    x = fn.gep(s.x, group * s.xg, micro.kind)
    w = fn.gep(s.w, group * s.wg, micro.kind)
    y = fn.gep(s.y, group * s.yg, memory_kind(micro.out))
    with fn.loop(o0, o1, tile.columns) as o:
        with fn.loop(0, count, tile.rows) as p:
            args = [
                x,
                fn.gep(tables[0], p, "i64"),
                fn.gep(tables[1], p, "i64"),
                fn.minimum(count - p, tile.rows),
                fn.minimum(o1 - o, tile.columns),
                fn.gep(w, o * depth, micro.kind),
                s.t0,
                s.t1,
                s.t2,
                s.q0,
                s.q1,
                s.q2,
                s.run,
                fn.gep(y, o * s.yc, memory_kind(micro.out)),
                s.yc,
                s.ordered,
            ]
            if micro.bias:
                args.append(fn.gep(s.bias, group * s.filters + o, memory_kind(micro.bias)))
            fn.call("void", name + "_tile", *args)
    fn.ret()


def _emit_tile(module, name, micro):
    tile = micro.tile
    names = [("ptr", "x"), ("ptr", "xoff"), ("ptr", "yoff"), ("i64", "m"), ("i64", "n"), ("ptr", "w")]
    names += [("i64", label) for label in ("t0", "t1", "t2", "q0", "q1", "q2", "run")] + [
        ("ptr", "y"),
        ("i64", "yc"),
        ("i64", "ordered"),
    ]
    names += [("ptr", "bias")] if micro.bias else []
    fn = module.function(name, names, linkage="internal", attributes="nounwind noinline")
    x, xoff, yoff, m, n, w, t0, t1, t2, q0, q1, q2, run, y, yc, ordered = fn.args[:16]
    vector = builder.vector(micro.kind, tile.lanes)
    sums = [[fn.variable(vector, 0) for _ in range(tile.vectors)] for _ in range(tile.rows)]
    starts = [
        fn.gep(x, fn.load_at(xoff, fn.minimum(fn.constant(i), m - 1), "i64"), micro.kind) for i in range(tile.rows)
    ]
    panel = fn.variable("ptr", w)
    with fn.loop(0, t0) as a, fn.loop(0, t1) as b, fn.loop(0, t2) as c:
        shift = a * q0 + b * q1 + c * q2
        points = [fn.gep(p, shift, micro.kind) for p in starts]
        here = panel.get()

        def step(k):
            row = [
                fn.load_vector(here, k * tile.columns + j * tile.lanes, micro.kind, tile.lanes)
                for j in range(tile.vectors)
            ]
            for i in range(tile.rows):
                spread = fn.splat(fn.load_at(points[i], k, micro.kind), tile.lanes)
                for j in range(tile.vectors):
                    sums[i][j].set(multiply_add(fn, spread, row[j], sums[i][j].get()))

        whole = run & -UNROLL
        with repeat(fn, 0, whole, UNROLL) as k:
            for u in range(UNROLL):
                step(k + u)
        with repeat(fn, whole, run) as k:
            step(k)
        panel.set(fn.gep(here, run * tile.columns, micro.kind))
    bias = fn.args[16] if micro.bias else None
    _store_tile(fn, micro, [[v.get() for v in row] for row in sums], yoff, m, n, y, yc, ordered, bias)
    fn.ret()


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
