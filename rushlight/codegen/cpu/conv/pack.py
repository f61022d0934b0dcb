"""Copies around the convolution kernels: images into zero-padded NHWC, weights into panels.

In: tensors with any strides; out: scratch memory in the compute type. conv.py plans them, kernel.py reads the
results.
"""

import math

from ...ir import builder
from ...ir.kernel import KernelSource, Launch, Memory, Scratch
from ...ir.statics import StaticLayout, ceil_div, kernel, split
from ...ir.vectors import BYTES, columns_of, compute_dtype, compute_kind, load, memory_kind, quad, store
from .offsets import emit_offsets

IMAGE = StaticLayout(
    "@source",
    "@padded",
    "channels",
    "d",
    "h",
    "w",
    "n_",
    "c_",
    "d_",
    "h_",
    "w_",
    "lo0",
    "lo1",
    "lo2",
    "p0",
    "p1",
    "p2",
)
PLANE = StaticLayout(
    "@source",
    "@padded",
    "channels",
    "d",
    "h",
    "w",
    "n_",
    "c_",
    "lo0",
    "lo1",
    "lo2",
    "p0",
    "p1",
    "p2",
    "block",
    "blocks",
    "copies",
    "images",
)
PLANE_BLOCK = 256  # pixels of a copying task
CLEAR = 16  # rows of a clearing task
STRIP = 16
SLACK = 64  # elements that a whole tile may read behind an image
WEIGHT = StaticLayout(
    "@source", "@panels", "filters", "channels", "t0", "t1", "t2", "o_", "c_", "k0_", "k1_", "k2_", "g_", "per_group"
)


def image_source(dtype, lanes, mode):
    """KernelSource of the padding copy of rows. `mode`: "c" (channels contiguous) or "any"."""

    def emit(module, name):
        _emit_row(module, name + "_row", dtype, lanes, mode)
        _emit_image(module, name, dtype, lanes)

    return KernelSource(("conv_image", dtype, lanes, mode), emit)


def _emit_image(module, name, dtype, lanes):
    """A task writes one row (n, d, h) of the padded image."""
    fn = kernel(module, name)
    s = IMAGE.open(fn)
    kind, compute = memory_kind(dtype), compute_kind(dtype)
    line, h = split(fn, fn.args[2], s.p1)
    n, d = split(fn, line, s.p0)
    row = fn.gep(s.padded, fn.args[2] * s.p2 * s.channels, compute)
    source_d, source_h = d - s.lo0, h - s.lo1
    inside = _within(fn, source_d, s.d) & _within(fn, source_h, s.h)

    def clear(start, stop):
        clear_range(fn, row, start * s.channels, stop * s.channels, compute, lanes)

    def copy():
        first = fn.minimum(fn.maximum(s.lo2, 0), s.p2)
        last = fn.maximum(fn.minimum(s.lo2 + s.w, s.p2), first)
        clear(fn.constant(0), first)
        clear(last, s.p2)
        skip = first - s.lo2
        source = fn.gep(s.source, n * s.n_ + source_d * s.d_ + source_h * s.h_ + skip * s.w_, kind)
        fn.call(
            "void",
            name + "_row",
            source,
            s.c_,
            s.w_,
            s.channels,
            last - first,
            fn.gep(row, first * s.channels, compute),
        )

    fn.if_else(inside, copy, lambda: clear(fn.constant(0), s.p2))
    fn.ret()


def plane_source(dtype, lanes):
    """KernelSource of the padding copy of images whose planes are contiguous: the first tasks copy blocks of pixels,
    whatever row they are in, the last ones clear the padding of a few rows each."""

    def emit(module, name):
        emit_offsets(module, name + "_offsets")
        _emit_plane(module, name, dtype, lanes)

    return KernelSource(("conv_plane", dtype, lanes), emit)


def _emit_plane(module, name, dtype, lanes):
    fn = kernel(module, name)
    s = PLANE.open(fn)
    kind, compute = memory_kind(dtype), compute_kind(dtype)
    row = s.p2 * s.channels

    def copy():
        n, block = split(fn, fn.args[2], s.blocks)
        first = block * s.block
        count = fn.minimum(s.d * s.h * s.w - first, s.block)
        table = fn.alloca(f"[{PLANE_BLOCK} x i64]", 64)
        zero = fn.constant(0)
        fn.call("void", name + "_offsets", table, first, count, s.d, s.h, s.w, zero, s.p1 * row, row, s.channels)
        base = ((n * s.p0 + s.lo0) * s.p1 + s.lo1) * row + s.lo2 * s.channels
        target = fn.gep(s.padded, base, compute)
        source = fn.gep(s.source, n * s.n_ + first, kind)
        _turn_pixels(fn, dtype, lanes, source, s.c_, s.channels, count, target, table)

    def clear():
        first = (fn.args[2] - s.copies) * CLEAR
        total = s.images * s.p0 * s.p1
        with fn.loop(first, fn.minimum(first + CLEAR, total)) as line:
            rest, h = split(fn, line, s.p1)
            d = split(fn, rest, s.p0)[1]
            inside = _within(fn, d - s.lo0, s.d) & _within(fn, h - s.lo1, s.h)
            place = fn.gep(s.padded, line * row, compute)
            left = fn.select(inside, s.lo2, s.p2)
            for start, stop in ((fn.constant(0), left), (fn.minimum(left + s.w, s.p2), s.p2)):
                clear_range(fn, place, start * s.channels, stop * s.channels, compute, lanes)

    fn.if_else(fn.args[2] < s.copies, copy, clear)
    fn.ret()


def _turn_pixels(fn, dtype, lanes, source, c_, channels, count, target, table):
    """target[table[p] + c] = source[c * c_ + p]: strips of a few channels at a time, the last pixels overlap the ones
    before.
    """
    compute, kind, size = compute_dtype(dtype), memory_kind(dtype), quad(compute_kind(dtype))
    whole = channels & -size

    def strip(c, height, at):
        rows = [load(fn, fn.gep(source, (c + min(i, height - 1)) * c_, kind), at, dtype, lanes) for i in range(size)]
        for q, column in enumerate(columns_of(fn, rows)):
            part = (
                column
                if height == size
                else fn.extract(column, 0)
                if height == 1
                else fn.shuffle(column, column, range(height))
            )
            store(fn, part, target, fn.load_at(table, at + q, "i64") + c, compute)

    def vectors():
        with fn.loop(0, whole, size) as c, fn.loop(0, count, lanes) as step:
            strip(c, size, fn.minimum(step, count - lanes))
        for rest in range(1, size):
            with fn.if_((channels - whole).eq(rest)), fn.loop(0, count, lanes) as step:
                strip(whole, rest, fn.minimum(step, count - lanes))

    def single():
        with fn.loop(0, count) as p, fn.loop(0, channels) as c:
            store(fn, load(fn, source, c * c_ + p, dtype), target, fn.load_at(table, p, "i64") + c, compute)

    fn.if_else(count >= lanes, vectors, single)


def clear_range(fn, row, start, stop, compute, lanes):
    """Zero the elements start..stop of a row."""
    whole = start + (fn.maximum(stop - start, 0) & -lanes)
    with fn.loop(start, whole, lanes) as i:
        fn.store_vector(fn.constant(0, builder.vector(compute, lanes)), row, i)
    with fn.loop(whole, stop) as i:
        fn.store_at(fn.constant(0, compute), row, i)


def _within(fn, index, size):
    return (index >= 0) & (index < size)


def _emit_row(module, name, dtype, lanes, mode):
    """row[w][channels] = source[c * c_ + w * w_] for one row of the image."""
    names = [("ptr", "source"), ("i64", "c_"), ("i64", "w_"), ("i64", "channels"), ("i64", "width"), ("ptr", "row")]
    fn = module.function(name, names, linkage="internal", attributes="nounwind noinline")
    source, c_, w_, channels, width, row = fn.args
    compute = compute_dtype(dtype)
    if mode == "c":
        with fn.loop(0, width) as w:
            place = fn.gep(source, w * w_, memory_kind(dtype))
            _copy_line(fn, place, dtype, fn.gep(row, w * channels, compute_kind(dtype)), channels, lanes)
    else:
        with fn.loop(0, width) as w:
            with fn.loop(0, channels) as c:
                store(fn, load(fn, source, c * c_ + w * w_, dtype), row, w * channels + c, compute)
    fn.ret()


def _copy_line(fn, source, dtype, target, count, lanes):
    compute = compute_dtype(dtype)
    whole = count & -lanes
    with fn.loop(0, whole, lanes) as i:
        store(fn, load(fn, source, i, dtype, lanes), target, i, compute)
    with fn.loop(whole, count) as i:
        store(fn, load(fn, source, i, dtype), target, i, compute)


def plan_image(tensor, batch, channels, size, low, padded, lanes):
    """(Memory, Launch): the image as [batch][d][h][w][channels] of the compute type; `padded` sizes, `low` zeros (or,
    negative, cropped elements) before each dimension."""
    dtype = tensor.dtype
    elements = batch * channels * padded[0] * padded[1] * padded[2]
    memory = Memory(Scratch((elements + SLACK) * BYTES[compute_dtype(dtype)]))
    n_, c_, d_, h_, w_ = tensor.strides
    if contiguous_planes(tensor, size) and all(0 <= lo and lo + n <= p for lo, n, p in zip(low, size, padded)):
        return memory, _plan_plane(tensor, batch, channels, size, low, padded, lanes, memory, elements)
    mode = "c" if c_ == 1 and channels > 1 else "any"
    static = IMAGE.values(
        source=tensor.memory,
        padded=memory,
        channels=channels,
        d=size[0],
        h=size[1],
        w=size[2],
        n_=n_,
        c_=c_,
        d_=d_,
        h_=h_,
        w_=w_,
        lo0=low[0],
        lo1=low[1],
        lo2=low[2],
        p0=padded[0],
        p1=padded[1],
        p2=padded[2],
    )
    launch = Launch(
        image_source(dtype, lanes, mode),
        static,
        batch * padded[0] * padded[1],
        0.3 * elements + 50,
        (tensor.memory,),
        (memory,),
    )
    return memory, launch


def contiguous_planes(tensor, size):
    """Whether the pixels of a channel are neighbours, in order."""
    expected = 1
    for step, count in zip(tensor.strides[:1:-1], size[::-1]):
        if count != 1 and step != expected:
            return False
        expected *= count
    return True


def _plan_plane(tensor, batch, channels, size, low, padded, lanes, memory, elements):
    pixels = math.prod(size)
    block = ceil_div(pixels, ceil_div(pixels, PLANE_BLOCK))
    blocks = ceil_div(pixels, block)
    values = (
        dict(zip(("d", "h", "w"), size))
        | dict(zip(("lo0", "lo1", "lo2"), low))
        | dict(zip(("p0", "p1", "p2"), padded))
    )
    static = PLANE.values(
        source=tensor.memory,
        padded=memory,
        channels=channels,
        n_=tensor.strides[0],
        c_=tensor.strides[1],
        block=block,
        blocks=blocks,
        copies=batch * blocks,
        images=batch,
        **values,
    )
    clears = 0 if list(size) == list(padded) else ceil_div(batch * padded[0] * padded[1], CLEAR)
    return Launch(
        plane_source(tensor.dtype, lanes),
        static,
        batch * blocks + clears,
        0.3 * elements + 50,
        (tensor.memory,),
        (memory,),
    )


# -- weights ---------------------------------------------------------------------------------------------------------


def weight_source(dtype, columns):
    """KernelSource that packs weights as [group][panel][t0][t1][t2][channel][columns]; filters beyond the last repeat
    it.
    """

    together = 4 if columns % 4 == 0 else 1

    def emit(module, name):
        fn = kernel(module, name)
        s = WEIGHT.open(fn)
        kind, compute = memory_kind(dtype), compute_kind(dtype)
        group, panel = split(fn, fn.args[2], s.per_group)
        taps = s.t0 * s.t1 * s.t2
        target = fn.gep(s.panels, fn.args[2] * taps * s.channels * columns, compute)
        source = fn.gep(s.source, group * s.g_, kind)
        first = panel * columns
        lines = fn.alloca(f"[{columns} x ptr]", 64)
        with fn.loop(0, columns) as lane:
            fn.store_at(fn.gep(source, fn.minimum(first + lane, s.filters - 1) * s.o_, kind), lines, lane)
        with fn.loop(0, s.channels, STRIP) as start:  # a strip of every filter stays in L1 for all its taps
            stop = fn.minimum(start + STRIP, s.channels)
            with fn.loop(0, columns) as lane, fn.loop(stop, fn.minimum(stop + STRIP, s.channels)) as c:
                place = fn.gep(fn.load_at(lines, lane, "ptr"), c * s.c_, kind)  # the next strip, far apart in memory
                fn.prefetch(place, level=2)
            with fn.loop(0, s.t0) as t0, fn.loop(0, s.t1) as t1, fn.loop(0, s.t2) as t2:
                shift = t0 * s.k0_ + t1 * s.k1_ + t2 * s.k2_
                to = fn.gep(target, ((t0 * s.t1 + t1) * s.t2 + t2) * s.channels * columns, compute)
                with fn.loop(start, stop) as c:
                    at = shift + c * s.c_
                    line = fn.gep(to, c * columns, compute)
                    with fn.loop(0, columns, together) as lane:
                        for u in range(together):
                            fn.store_at(load(fn, fn.load_at(lines, lane + u, "ptr"), at, dtype), line, lane + u)
        fn.ret()

    return KernelSource(("conv_weight", dtype, columns), emit)


def plan_weight(tensor, offset, groups, filters, channels, taps, strides, group_stride, columns):
    """(Memory, Launch) of packed weights. `strides`: of filter, channel and the three taps (may be negative) in
    elements; `offset`: element of tap (0, 0, 0)."""
    dtype = tensor.dtype
    panels = ceil_div(filters, columns)
    elements = groups * panels * columns * channels * taps[0] * taps[1] * taps[2]
    memory = Memory(Scratch(max(64, elements * BYTES[compute_dtype(dtype)])))
    source = Memory(tensor.memory.slot, tensor.memory.offset + offset * BYTES[dtype])
    o_, c_, k0_, k1_, k2_ = strides
    static = WEIGHT.values(
        source=source,
        panels=memory,
        filters=filters,
        channels=channels,
        t0=taps[0],
        t1=taps[1],
        t2=taps[2],
        o_=o_,
        c_=c_,
        k0_=k0_,
        k1_=k1_,
        k2_=k2_,
        g_=group_stride,
        per_group=panels,
    )
    launch = Launch(
        weight_source(dtype, columns), static, groups * panels, elements + 50, (tensor.memory,), (memory,)
    )
    return memory, launch
