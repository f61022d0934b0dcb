"""Copies around the convolution kernels: images into zero-padded NHWC, weights into panels.

In: tensors with any strides; out: scratch memory in the compute type. conv.py plans them, conv_kernel.py reads the
results.
"""

from .. import builder
from ..kernel import KernelSource, Launch, Memory, Scratch
from .statics import Layout, ceil_div, kernel, split
from .vectors import (BYTES, compute_dtype, compute_kind, load, mask_below, memory_kind, store, transpose)

IMAGE = Layout("@source", "@padded", "channels", "d", "h", "w", "n_", "c_", "d_", "h_", "w_", "lo0", "lo1", "lo2", "p0", "p1", "p2")
STRIP = 16
SLACK = 64                  # elements that a whole tile may read behind an image
WEIGHT = Layout("@source", "@panels", "filters", "channels", "t0", "t1", "t2", "o_", "c_", "k0_", "k1_", "k2_", "g_", "per_group")


def image_source(dtype, lanes, mode):
    """KernelSource of the padding copy. `mode`: which source dimension is contiguous, "w", "c" or "any"."""

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
        end = stop * s.channels
        whole = start * s.channels + ((stop - start) * s.channels & -lanes)
        with fn.loop(start * s.channels, whole, lanes) as i:
            fn.store_vector(fn.constant(0, builder.vector(compute, lanes)), row, i)
        with fn.loop(whole, end) as i:
            fn.store_at(fn.constant(0, compute), row, i)

    def copy():
        first = fn.minimum(fn.maximum(s.lo2, 0), s.p2)
        last = fn.maximum(fn.minimum(s.lo2 + s.w, s.p2), first)
        clear(fn.constant(0), first)
        clear(last, s.p2)
        skip = first - s.lo2
        source = fn.gep(s.source, n * s.n_ + source_d * s.d_ + source_h * s.h_ + skip * s.w_, kind)
        fn.call("void", name + "_row", source, s.c_, s.w_, s.channels, last - first, fn.gep(row, first * s.channels, compute))

    fn.if_else(inside, copy, lambda: clear(fn.constant(0), s.p2))
    fn.ret()


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
    elif mode == "w":
        _transpose_row(fn, dtype, lanes, source, c_, channels, width, row)
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


def _transpose_row(fn, dtype, lanes, source, c_, channels, width, row):
    """Blocks of lanes channels x lanes columns, transposed in registers; the last channels masked, the last columns
    alone.
    """
    compute, kind = compute_dtype(dtype), memory_kind(dtype)
    whole_c, whole_w = channels & -lanes, width & -lanes

    def block(c, w, rows, mask):
        lines = [load(fn, fn.gep(source, r * c_, kind), w, dtype, lanes) for r in rows]
        for q, value in enumerate(transpose(fn, lines)):
            store(fn, value, row, (w + q) * channels + c, compute, mask)

    with fn.loop(0, whole_c, lanes) as c:
        with fn.loop(0, whole_w, lanes) as w:
            block(c, w, [c + i for i in range(lanes)], None)
    rest = channels - whole_c
    with fn.if_(rest > 0):
        mask = mask_below(fn, rest, lanes)
        with fn.loop(0, whole_w, lanes) as w:
            block(whole_c, w, [fn.minimum(whole_c + i, channels - 1) for i in range(lanes)], mask)
    with fn.loop(whole_w, width) as w:
        with fn.loop(0, channels) as c:
            store(fn, load(fn, source, c * c_ + w, dtype), row, w * channels + c, compute)


def plan_image(tensor, batch, channels, size, low, padded, lanes):
    """(Memory, Launch): the image as [batch][d][h][w][channels] of the compute type; `padded` sizes, `low` zeros (or,
    negative, cropped elements) before each dimension."""
    dtype = tensor.dtype
    elements = batch * channels * padded[0] * padded[1] * padded[2]
    memory = Memory(Scratch((elements + SLACK) * BYTES[compute_dtype(dtype)]))
    n_, c_, d_, h_, w_ = tensor.strides
    mode = "c" if c_ == 1 and channels > 1 else "w" if w_ == 1 or size[2] == 1 and channels == 1 else "any"
    static = IMAGE.values(source=tensor.memory, padded=memory, channels=channels, d=size[0], h=size[1], w=size[2], n_=n_, c_=c_,
                          d_=d_, h_=h_, w_=w_, lo0=low[0], lo1=low[1], lo2=low[2], p0=padded[0], p1=padded[1], p2=padded[2])
    launch = Launch(image_source(dtype, lanes, mode), static, batch * padded[0] * padded[1], 0.3 * elements + 50,
                    (tensor.memory,), (memory,))
    return memory, launch


# -- weights
# ---------------------------------------------------------------------------------------------------------------


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
        with fn.loop(0, s.channels, STRIP) as start:            # a strip of every filter stays in L1 for all its taps
            stop = fn.minimum(start + STRIP, s.channels)
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
    static = WEIGHT.values(source=source, panels=memory, filters=filters, channels=channels, t0=taps[0], t1=taps[1], t2=taps[2],
                           o_=o_, c_=c_, k0_=k0_, k1_=k1_, k2_=k2_, g_=group_stride, per_group=panels)
    launch = Launch(weight_source(dtype, columns), static, groups * panels, elements + 50, (tensor.memory,), (memory,))
    return memory, launch
