"""Packing kernels: a strided matrix copied into panels [panel][k][rows], converted to the compute type.

In: source with any strides, `rows` of the panel dimension, k; out: contiguous panels in scratch memory, edge rows
repeated. The micro-kernel (microkernel.py) reads them.
"""

from ...ir import builder
from ...ir.kernel import KernelSource, Launch
from ...ir.statics import StaticLayout, ceil_div, kernel, split
from ...ir.vectors import (
    BYTES,
    compute_dtype,
    compute_kind,
    constant_mask,
    load,
    mask_below,
    memory_kind,
    quad,
    store_columns,
)

LAYOUT = StaticLayout(
    "@source", "@panels", "row", "column", "m", "k", "depth", "chunk", "span", "spans", "group", "groups", "inner",
    "batch0", "batch1", "panel_bytes"
)
# Where a line of the source belongs to several panels, a task takes at least so many elements of the panel dimension,
# and goes over its panels for so many steps of k at a time.
GROUP, CHUNK = 64, 64
TASK = 16384  # elements


def pack_source(dtype, rows, lanes, mode):
    """KernelSource of a packing kernel. `mode`: "rows" (panel dimension contiguous), "columns" (k is) or "any"."""

    def emit(module, name):
        _emit_panel(module, name + "_panel", dtype, rows, lanes, mode)
        _emit_task(module, name, dtype, rows)

    return KernelSource(("pack", dtype, rows, lanes, mode), emit)


def _emit_task(module, name, dtype, rows):
    """A task packs `span` steps of k of `group` panels of one matrix of the batch, `chunk` steps at a time."""
    fn = kernel(module, name)
    s = LAYOUT.open(fn)
    kind, compute = memory_kind(dtype), compute_kind(dtype)
    batch, span = split(fn, fn.args[2], s.spans)
    batch, group = split(fn, batch, s.groups)
    outer, inner = split(fn, batch, s.inner)
    source = fn.gep(s.source, outer * s.batch0 + inner * s.batch1, kind)
    panels = fn.gep(s.panels, batch * s.panel_bytes)
    first = group * s.group * rows
    last = fn.minimum(first + s.group * rows, s.m)
    end = fn.minimum((span + 1) * s.span, s.k)
    with fn.loop(span * s.span, end, s.chunk) as start, fn.loop(first, last, rows) as i:
        fn.call(
            "void",
            name + "_panel",
            fn.gep(source, i * s.row + start * s.column, kind),
            s.row,
            s.column,
            fn.minimum(s.m - i, rows),
            fn.minimum(end - start, s.chunk),
            fn.gep(panels, i * s.depth + start * rows, compute),
        )
    fn.ret()


def _emit_panel(module, name, dtype, rows, lanes, mode):
    names = [("ptr", "source"), ("i64", "row"), ("i64", "column"), ("i64", "m"), ("i64", "k"), ("ptr", "panel")]
    fn = module.function(name, names, linkage="internal", attributes="nounwind noinline")
    source, row, column, m, k, panel = fn.args
    emit = {"rows": _copy_rows, "columns": _transpose_columns, "any": _copy_any}[mode]
    emit(fn, dtype, rows, lanes, source, row, column, m, k, panel)
    fn.ret()


def _copy_rows(fn, dtype, rows, lanes, source, row, column, m, k, panel):
    compute, kind = compute_dtype(dtype), memory_kind(dtype)
    pieces = [(j, min(lanes, rows - j)) for j in range(0, rows, lanes)]

    def copy(masks):
        with fn.loop(0, k) as step:
            place = fn.gep(source, step * column, kind)
            for (j, width), mask in zip(pieces, masks):
                value = load(fn, place, j, dtype, lanes, mask)
                _store_part(fn, value, panel, step * rows + j, compute, width)

    full = [None if width == lanes else constant_mask(fn, width, lanes) for _, width in pieces]
    fn.if_else(m.eq(rows), lambda: copy(full), lambda: copy([mask_below(fn, m, lanes, j) for j, _ in pieces]))


def _store_part(fn, value, pointer, index, dtype, width):
    """The first `width` lanes, without touching what lies behind them."""
    kind, lanes = builder.element(value.type), builder.lanes(value.type)
    place = fn.gep(pointer, index, kind)
    if width == lanes:
        fn.store(value, place, align=BYTES[dtype])
    elif lanes > 8:
        align = fn.constant(BYTES[dtype], "i32")
        name = f"llvm.masked.store.{builder.suffix(value.type)}.p0"
        fn.intrinsic(name, "void", value, place, align, constant_mask(fn, width, lanes))
    else:
        part = fn.extract(value, 0) if width == 1 else fn.shuffle(value, value, range(width))
        fn.store(part, place, align=BYTES[dtype])


def _transpose_columns(fn, dtype, rows, lanes, source, row, column, m, k, panel):
    """Strips of a few rows at a time; the last columns overlap the ones before (all of k alone where it is short)."""
    compute, kind, size = compute_dtype(dtype), memory_kind(dtype), quad(compute_kind(dtype))

    def strip(first, count, at):
        lines = [fn.gep(source, fn.minimum(first + i, m - 1) * row, kind) for i in range(count)]
        values = [load(fn, line, at, dtype, lanes) for line in lines]
        store_columns(fn, values, count, fn.gep(panel, at * rows + first, compute_kind(dtype)), rows, compute)

    def vectors():
        with fn.loop(0, k, lanes) as step:
            at = fn.minimum(step, k - lanes)
            with fn.loop(0, rows - rows % size, size) as first:
                strip(first, size, at)
            if rows % size:
                strip(fn.constant(rows - rows % size), rows % size, at)

    def single():
        _copy_any(fn, dtype, rows, lanes, source, row, fn.constant(1), m, k, panel)

    fn.if_else(k >= lanes, vectors, single)


def _copy_any(fn, dtype, rows, lanes, source, row, column, m, k, panel):
    with fn.loop(0, k) as step:
        with fn.loop(0, rows) as i:
            value = load(fn, source, fn.minimum(i, m - 1) * row + step * column, dtype)
            fn.store_at(value, panel, step * rows + i)


def plan_pack(operand, rows, lanes, m, k, row, column, batch, strides, panels, depth=None):
    """Launch that packs every matrix of a batch. `operand`: its Memory and dtype; `batch`: (outer, inner) counts with
    `strides`; `panels`: Memory of the result, ceil(m / rows) * rows * depth elements a matrix. `depth`: steps of k that
    a panel has room for; these k of them begin at `panels`."""
    depth = depth or k
    mode = "any" if rows == 1 else "rows" if row == 1 else "columns" if column == 1 else "any"
    dtype = operand.dtype
    size = BYTES[compute_dtype(dtype)]
    count = ceil_div(m, rows)
    group, chunk = TASK // max(1, rows * k), max(1, k)
    if mode == "rows" and k > CHUNK:
        group, chunk = max(group, ceil_div(GROUP, rows)), CHUNK
    group = max(1, min(count, group))
    span = chunk * max(1, TASK // (group * rows * chunk))
    spans = max(1, ceil_div(k, span))
    static = LAYOUT.values(
        source=operand.memory,
        panels=panels,
        row=row,
        column=column,
        m=m,
        k=k,
        depth=depth,
        chunk=chunk,
        span=span,
        spans=spans,
        group=group,
        groups=ceil_div(count, group),
        inner=batch[1],
        batch0=strides[0],
        batch1=strides[1],
        panel_bytes=count * rows * depth * size,
    )
    tasks = ceil_div(count, group) * spans * batch[0] * batch[1]
    cost = (0.15 if mode != "any" else 0.8) * m * k * batch[0] * batch[1]
    return Launch(pack_source(dtype, rows, lanes, mode), static, tasks, cost, (operand.memory,), (panels,))
