"""Scaled dot-product attention whose scores never leave the cache: forward, and the gradients of query, key and value.

In: query, key and value (leading dimensions, rows, features), float32 with contiguous rows, perhaps a mask; out: the
result and the logarithm of the sum of each row's weights; backward, the gradients. The method is that of FlashAttention
(arXiv 2205.14135).

Note [Blocks of attention]
A forward task takes ROWS rows of one head and goes over the keys in chunks: their products with the rows, the largest
of a row so far, the weights with their sum, the products of weights and values. When a chunk brings a larger score,
what was summed before is scaled down. A backward task takes all rows of one head of keys, since they share its
gradients. Keys and values are packed once for all tasks where they are multiplied as columns.
"""

import dataclasses
import operator
import struct

from ...ir import target
from ...ir.builder import vector
from ...ir.kernel import KernelSource, Launch, Memory, Scratch
from ...ir.statics import StaticLayout, ceil_div, kernel, split
from ...ir.vectors import load, mask_below, memory_kind
from ...lower import memory
from ...math.elementary import exp_below, log
from ..gemm.gemm import Operand
from ..gemm.microkernel import Micro, emit_micro
from ..gemm.pack import plan_pack
from ..gemm.tiles import Tile

ROWS = 24  # of a task, or of a step of a backward task
CHUNK = 512  # keys at a time
SKEW = 16  # elements between rows of scores: theirs must not share a set of the caches
WIDEST = 256  # features
KIND, DTYPE, SIZE = "float", "float32", 4
LEAST = float("-inf")
GRID = "heads1 groups queries keys features width blocks panel_bytes value_bytes".split()


@dataclasses.dataclass(frozen=True)
class Structure:
    """What the code depends on: `causal`; `mask`: None, "bool" or "float32"; register tiles of products whose columns
    are keys, features and those of values."""

    causal: bool
    mask: str
    keys: Tile
    features: Tile
    width: Tile


def layout(structure, names):
    """The static block: every tensor with the strides of heads (three dimensions), rows and, for masks, columns."""
    entries = [*GRID, "scale", "@key_panels"] + (["@value_panels"] if "g" in names else [])
    for name in names:
        if name != "mask" or structure.mask:
            entries += [f"@{name}", *(f"{name}{i}" for i in range(4))]
    return StaticLayout(*entries)


class AttentionKernel:
    """What forward and backward share: one emission."""

    def __init__(self, structure, names, module, name):
        self.structure, self.module, self.name = structure, module, name
        self.lanes = structure.keys.lanes
        self.vector = vector(KIND, self.lanes)
        self.mask = "uint8" if structure.mask == "bool" else structure.mask
        self.fn = kernel(module, name)
        self.s = layout(structure, names).open(self.fn)
        self.scale = self.fn.cast("fptrunc", self.fn.cast("bitcast", self.s.scale, "double"), KIND)
        self.pitch = CHUNK + SKEW

    def products(self, suffix, tile, a_mode, b_mode):
        """Add the micro-kernel of one kind of products, whole tiles and edges."""
        micro = Micro(tile, KIND, DTYPE, DTYPE, DTYPE, a_mode, b_mode)
        emit_micro(self.module, self.name + suffix, micro)
        if b_mode == "rows":
            emit_micro(self.module, self.name + suffix + "_edge", micro, masked=True)

    def multiply(self, suffix, tile, sizes, a, b, c, first):
        """c (+)= a b for sizes (m, n, k); a: (pointer, row, column strides), b and c: (pointer, row stride). Columns
        of b come in panels where its stride is None."""
        fn, (m, n, k) = self.fn, sizes
        first = first if not isinstance(first, int) else fn.constant(first)
        with fn.loop(0, n, tile.columns) as j, fn.loop(0, m, tile.rows) as i:
            high, wide = fn.minimum(m - i, tile.rows), fn.minimum(n - j, tile.columns)
            start = fn.gep(a[0], i * a[1], KIND)
            columns = fn.gep(b[0], j * k if b[1] is None else j, KIND)
            stride = fn.constant(tile.columns) if b[1] is None else b[1]
            args = [k, start, a[1], a[2], high, wide, columns, stride, fn.gep(c[0], i * c[1] + j, KIND), c[1],
                    fn.constant(1), first]
            if b[1] is None:
                fn.call("void", self.name + suffix, *args)
            else:
                whole = high.eq(tile.rows) & wide.eq(tile.columns)
                fn.if_else(whole, lambda: fn.call("void", self.name + suffix, *args),
                           lambda: fn.call("void", self.name + suffix + "_edge", *args))

    def at(self, name, head, row=0):
        """The address of a row of a tensor."""
        strides = [getattr(self.s, f"{name}{i}") for i in range(4)]
        place = head[0] * strides[0] + head[1] * strides[1] + head[2] * strides[2] + strides[3] * row
        return self.fn.gep(getattr(self.s, name), place, memory_kind(self.mask) if name == "mask" else KIND)

    def row(self, name):
        return getattr(self.s, f"{name}3")

    def constant(self, number):
        return self.fn.constant(number, self.vector)

    def spread(self, value):
        return self.fn.splat(value, self.lanes)

    def visible(self, first, count):
        """How many keys the rows first.. may see."""
        return self.fn.minimum(first + count, self.s.keys) if self.structure.causal else self.s.keys

    def limit(self, row, start, count):
        """How many keys of the chunk from `start` on a row may see."""
        if not self.structure.causal:
            return count
        fn = self.fn
        return fn.maximum(fn.minimum(row + 1 - start, count), 0)

    def along(self, limit, body):
        """`body(j, inside)` for vectors of keys below `limit`; the lanes of the last one that are (None: all are)."""
        fn = self.fn
        whole = limit & -self.lanes
        with fn.loop(0, whole, self.lanes) as j:
            body(j, None)
        with fn.if_(whole < limit):
            body(whole, mask_below(fn, limit - whole, self.lanes))

    def clear(self, row, limit, count):
        """Zeros for the keys that a row does not see."""
        fn = self.fn
        start = (limit + (self.lanes - 1)) & -self.lanes
        with fn.loop(start, count, self.lanes) as j:
            fn.store_vector(self.constant(0), row, j)

    def score(self, row, mask, j, inside):
        """Scaled and masked scores from the products; -inf beyond the last key."""
        fn = self.fn
        found = fn.load_vector(row, j, KIND, self.lanes) * self.spread(self.scale)
        if self.structure.mask:
            value = load(fn, mask, j, self.mask, self.lanes, inside)
            seen = self.structure.mask == "bool"
            found = fn.select(value.ne(0), found, self.constant(LEAST)) if seen else found + value
        return found if inside is None else fn.select(inside, found, self.constant(LEAST))

    def mask_of(self, head, row, start):
        """Where the mask of a row's chunk of keys lies."""
        if not self.structure.mask:
            return None
        return self.fn.gep(self.at("mask", head, row), start, memory_kind(self.mask))

    def scores(self, left, head, first, count, panels, nbytes, start, keys, to):
        """Products of rows of `left` with a chunk of columns of panels (`nbytes` a head)."""
        fn, depth = self.fn, self.s.features if left == "query" else self.s.width
        panels = fn.gep(panels, (head[0] * self.s.heads1 + head[1]) * nbytes)
        a = (self.at(left, head, first), self.row(left), fn.constant(1))
        b, c = (fn.gep(panels, start * depth, KIND), None), (to, fn.constant(self.pitch))
        self.multiply("_scores", self.structure.keys, (count, keys, depth), a, b, c, 1)

    def buffer(self, elements):
        return self.fn.alloca(f"[{elements} x {KIND}]", 64)


class Forward(AttentionKernel):
    """A task: ROWS rows of one head."""

    ins, outs = ("query", "key", "value", "mask"), ("out", "logs")

    def emit(self):
        fn, s, structure = self.fn, self.s, self.structure
        self.products("_scores", structure.keys, "along", "packed")
        self.products("_values", structure.width, "along", "rows")
        rest, block = split(fn, fn.args[2], s.blocks)
        rest, group = split(fn, rest, s.groups)
        head = (*split(fn, rest, s.heads1), group)
        first = block * ROWS
        count = fn.minimum(s.queries - first, ROWS)
        scores, sums = self.buffer(ROWS * self.pitch), self.buffer(ROWS * (WIDEST + SKEW))
        tops, totals = self.buffer(ROWS), self.buffer(ROWS)
        outer = fn.constant(WIDEST + SKEW)
        with fn.loop(0, count) as r:
            fn.store_at(fn.constant(LEAST, KIND), tops, r)
            fn.store_at(fn.constant(0, KIND), totals, r)
        visible = self.visible(first, count)
        with fn.loop(0, visible, CHUNK) as start:
            keys = fn.minimum(visible - start, CHUNK)
            self.scores("query", head, first, count, s.key_panels, s.panel_bytes, start, keys, scores)
            with fn.loop(0, count) as r:
                row, limit = fn.gep(scores, r * self.pitch, KIND), self.limit(first + r, start, keys)
                state = [fn.gep(tops, r, KIND), fn.gep(totals, r, KIND), fn.gep(sums, r * outer, KIND)]
                self.weigh(row, self.mask_of(head, first + r, start), limit, *state, start)
                self.clear(row, limit, keys)
            values = (fn.gep(self.at("value", head), start * self.row("value"), KIND), self.row("value"))
            a = (scores, fn.constant(self.pitch), fn.constant(1))
            begin = fn.cast("zext", start.eq(0), "i64")
            self.multiply("_values", structure.width, (count, s.width, keys), a, values, (sums, outer), begin)
        with fn.loop(0, count) as r:
            top, total = fn.load_at(tops, r, KIND), fn.load_at(totals, r, KIND)
            self.finish(head, first + r, fn.gep(sums, r * outer, KIND), top, total)
        fn.ret()

    def weigh(self, row, mask, limit, top, total, sums, start):
        """Scores become weights relative to the row's largest score so far."""
        fn = self.fn
        largest = fn.variable(self.vector, LEAST)

        def compare(j, inside):
            found = self.score(row, mask, j, inside)
            largest.set(fn.maximum(largest.get(), found))

        self.along(limit, compare)
        before = fn.load(top, KIND)
        now = fn.maximum(before, fn.across(largest.get(), fn.maximum))
        fn.store(now, top)
        away = self.spread(fn.select(now.eq(LEAST), fn.constant(0, KIND), now))
        found = fn.variable(self.vector, 0)

        def weigh(j, inside):
            weights = exp_below(fn, self.score(row, mask, j, inside) - away)
            fn.store_vector(weights, row, j)
            found.set(found.get() + weights)

        self.along(limit, weigh)
        summed = fn.across(found.get(), operator.add)
        shrink = fn.select(before.eq(now), fn.constant(1, KIND), exp_below(fn, before - now))
        fn.store(fn.load(total, KIND) * shrink + summed, total)
        with fn.if_((start > 0) & before.ne(now)), fn.loop(0, self.s.width, self.lanes) as j:
            fn.store_vector(fn.load_vector(sums, j, KIND, self.lanes) * self.spread(shrink), sums, j)

    def finish(self, head, row, sums, top, total):
        fn, out, width = self.fn, self.at("out", head, row), self.s.width
        none = total.eq(0)
        divisor = fn.select(none, fn.constant(1, KIND), total)
        whole = width & -self.lanes
        with fn.loop(0, whole, self.lanes) as j:
            fn.store_vector(fn.load_vector(sums, j, KIND, self.lanes) / self.spread(divisor), out, j)
        with fn.loop(whole, width) as j:
            fn.store_at(fn.load_at(sums, j, KIND) / divisor, out, j)
        found = fn.select(none, fn.constant(float("inf"), KIND), log(fn, divisor) + top)
        fn.store(found, self.at("logs", head, row))


class Backward(AttentionKernel):
    """A task: one head of keys, with all rows of its group of query heads."""

    ins, outs = ("query", "key", "value", "mask", "out", "logs", "g"), ("dq", "dk", "dv")

    def emit(self):
        fn, s, structure = self.fn, self.s, self.structure
        self.products("_scores", structure.keys, "along", "packed")
        self.products("_features", structure.features, "along", "rows")
        self.products("_of_keys", structure.features, "rows", "rows")
        self.products("_of_values", structure.width, "rows", "rows")
        outer, inner = split(fn, fn.args[2], s.heads1)
        weights, slopes = self.buffer(ROWS * self.pitch), self.buffer(ROWS * self.pitch)
        for name, size in (("dk", s.features), ("dv", s.width)):
            with fn.loop(0, s.keys) as row:
                fn.zero(self.at(name, (outer, inner, fn.constant(0)), row), size * SIZE)
        with fn.loop(0, s.groups) as group, fn.loop(0, s.queries, ROWS) as first:
            head = (outer, inner, group)
            count = fn.minimum(s.queries - first, ROWS)
            visible = self.visible(first, count)
            with fn.loop(0, visible, CHUNK) as start:
                keys = fn.minimum(visible - start, CHUNK)
                self.chunk(head, first, count, start, keys, weights, slopes)
        fn.ret()

    def chunk(self, head, first, count, start, keys, weights, slopes):
        fn, s, structure = self.fn, self.s, self.structure
        self.scores("query", head, first, count, s.key_panels, s.panel_bytes, start, keys, weights)
        self.scores("g", head, first, count, s.value_panels, s.value_bytes, start, keys, slopes)
        with fn.loop(0, count) as r:
            row = first + r
            self.slope(head, row, fn.gep(weights, r * self.pitch, KIND), fn.gep(slopes, r * self.pitch, KIND),
                       self.limit(row, start, keys), start, keys)
        pitch, one = fn.constant(self.pitch), fn.constant(1)
        begin = fn.cast("zext", start.eq(0), "i64")

        def of(name, row):
            return self.at(name, head, row), self.row(name)

        self.multiply("_of_values", structure.width, (keys, s.width, count), (weights, one, pitch), of("g", first),
                      of("dv", start), 0)
        self.multiply("_of_keys", structure.features, (keys, s.features, count), (slopes, one, pitch),
                      of("query", first), of("dk", start), 0)
        self.multiply("_features", structure.features, (count, s.features, keys), (slopes, pitch, one),
                      of("key", start), of("dq", first), begin)

    def slope(self, head, row, weights, slopes, limit, start, keys):
        """Products become weights, and the gradients of scores."""
        fn, width = self.fn, self.s.width
        g, out = self.at("g", head, row), self.at("out", head, row)
        inner = fn.variable(self.vector, 0)
        whole = width & -self.lanes
        with fn.loop(0, whole, self.lanes) as j:
            inner.set(fn.fma(*(fn.load_vector(row, j, KIND, self.lanes) for row in (g, out)), inner.get()))
        along = fn.variable(KIND, fn.across(inner.get(), operator.add))
        with fn.loop(whole, width) as j:
            along.set(along.get() + fn.load_at(g, j, KIND) * fn.load_at(out, j, KIND))
        logs, mean = self.spread(fn.load(self.at("logs", head, row), KIND)), self.spread(along.get())
        scale = self.spread(self.scale)
        mask = self.mask_of(head, row, start)

        def body(j, inside):
            found = exp_below(fn, self.score(weights, mask, j, inside) - logs)
            slope = fn.load_vector(slopes, j, KIND, self.lanes) - mean
            slope = found * slope * scale
            if inside is not None:
                slope = fn.select(inside, slope, self.constant(0))
            fn.store_vector(found, weights, j)
            fn.store_vector(slope, slopes, j)

        self.along(limit, body)
        self.clear(weights, limit, keys)
        self.clear(slopes, limit, keys)


# -- planning ----------------------------------------------------------------------------------------------------------


def tile_of(columns):
    """The register tile for products with `columns` columns."""
    lanes = target.current.vector_bytes // SIZE
    vectors = min(ceil_div(columns, lanes), 4 if target.current.registers >= 32 else 2)
    if target.current.registers >= 32:
        return Tile({1: 12, 2: 12, 3: 8, 4: 6}[vectors], vectors, lanes)
    return Tile(6 if vectors == 2 else 8, vectors, lanes)


def packed(ref, heads, grouped, tile, launches):
    """(Memory, bytes of a head) of the rows of keys or values as columns of panels."""
    layout = ref[1]
    rows, features = layout.shape[-2:]
    nbytes = ceil_div(rows, tile.columns) * tile.columns * features * SIZE
    panels = Memory(Scratch(heads[0] * heads[1] * nbytes))
    strides = head_strides(layout, grouped)
    operand = Operand(memory(ref), DTYPE, layout.strides[-2], 1)
    launches.append(plan_pack(operand, tile.columns, tile.lanes, rows, features, layout.strides[-2], 1, heads,
                              strides[:2], panels))
    return panels, nbytes


def three_heads(values, grouped, missing):
    """One entry for each dimension of heads: outer, inner, and the heads of a group."""
    found = [*values] if grouped else [*values, missing]
    return [missing] * (3 - len(found)) + found


def head_strides(layout, grouped):
    """The strides of the dimensions of heads; 0 where there is but one."""
    strides = [0 if size == 1 else stride for size, stride in zip(layout.shape[:-2], layout.strides)]
    return three_heads(strides, grouped, 0)


def plan(kernel_class, instruction):
    """The launches of forward or backward."""
    options = dict(instruction.attrs)
    names = [name for name in (*kernel_class.ins, *kernel_class.outs) if name != "mask" or options["masked"]]
    refs = dict(zip(names, [*instruction.ins, *instruction.outs]))
    query, key, value = (refs[name][1] for name in ("query", "key", "value"))
    queries, features, keys, width = *query.shape[-2:], *value.shape[-2:]
    grouped = options["grouped"]
    *heads, groups = three_heads(query.shape[:-2], grouped, 1)
    mask = refs["mask"][1].dtype.name if options["masked"] else None
    structure = Structure(options["causal"], mask, tile_of(1 << 20), tile_of(features), tile_of(width))
    assert width <= WIDEST, f"attention over values of {width} features"
    launches, backward = [], kernel_class is Backward
    blocks = 1 if backward else ceil_div(queries, ROWS)
    panels, panel_bytes = packed(refs["key"], heads, grouped, structure.keys, launches)
    values = dict(heads1=heads[1], groups=groups, queries=queries, keys=keys, features=features, width=width,
                  blocks=blocks, panel_bytes=panel_bytes, value_bytes=0, key_panels=panels,
                  scale=struct.unpack("q", struct.pack("d", options["scale"]))[0])
    if backward:
        values["value_panels"], values["value_bytes"] = packed(refs["value"], heads, grouped, structure.keys, launches)
    for name, ref in refs.items():
        strides = [*head_strides(ref[1], grouped), ref[1].strides[-2]]
        values |= {name: memory(ref), **{f"{name}{i}": stride for i, stride in enumerate(strides)}}
    source = KernelSource(("attention", kernel_class.__name__, structure),
                          lambda module, name: kernel_class(structure, names, module, name).emit())
    tasks = heads[0] * heads[1] * (1 if backward else groups * blocks)
    seen = 0.5 if options["causal"] else 1.0
    flops = 2.0 * seen * heads[0] * heads[1] * groups * queries * keys * (features + width) * (2.5 if backward else 1)
    static = layout(structure, names).values(**values)
    ins = [memory(ref) for ref in instruction.ins] + [panels]
    outs = [memory(ref) for ref in instruction.outs]
    return [*launches, Launch(source, static, tasks, flops / 40 + 1000.0, ins, outs)]


def attention(instruction):
    """ins: query, key, value[, mask]; outs: result, logarithms of the rows' sums."""
    return plan(Forward, instruction)


def attention_back(instruction):
    """ins: query, key, value[, mask], result, logarithms, its gradient; outs: gradients of query, key and value."""
    return plan(Backward, instruction)
