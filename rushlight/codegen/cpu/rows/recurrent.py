"""Recurrent layers over all time steps in one kernel: LSTM, GRU and plain cells, forward and backward.

In: the inputs and their weights, or the input parts of the gates for all steps where a matrix product made them; the
states and their weights. Out: the outputs of all steps, last states, and for training the activated gates; backward,
the gradients of the gates, of the states and of the inputs. Rows of a batch do not depend on one another, so tasks
take blocks of rows through the steps (see chains.py) without waiting for one another: for each step small products with
the weights, whose packed rows stay in the cache, then the gates.

Note [Rows of a recurrent kernel]
A block has `rows` rows, as many as registers allow; the last one may have fewer. Rows with a length are inactive from
that step on: their state stays. A layer that runs backwards in time has negative time strides.

Note [Sums over time]
The gradients of the weights are sums over all steps and rows of gradients of gates times inputs and states. Where these
sums fit into a core's cache, the backward kernel makes them: a block keeps what CHUNK rows of steps need in rows of its
own, and multiplies when they are full. So the gradients of gates of all steps, several times as large as anything else,
are never stored. Each block has sums of its own, which a last launch adds in order.

Static block: T, B, H, first time, time step, features of an input, steps of a stretch, slot and offset of the words of
the blocks (Note [Chains]); then for each tensor slot, offset, byte stride of time, byte stride of rows.
"""

import math

from ....core import dtype as dt
from ...bodies.handler import Handler, Typed, stored_type
from ...ir import target
from ...ir.builder import LINE, vector
from ...ir.kernel import KernelSource, Launch, Memory, Scratch
from ...ir.statics import StaticBlock, kernel
from ...lower import memory
from ..gemm.gemm import GemmSpec, Operand
from ..gemm.microkernel import UNROLL, Micro, emit_micro
from ..gemm.pack import plan_pack
from ..gemm.reduce import plan_reduce
from ..gemm.tiles import SHAPES, Tile, fitting
from .chains import plan_words, stretches
from .gates import gates

GATES = {"lstm": 4, "gru": 3, "tanh": 1, "relu": 1}
KEPT = 4  # stretches of H elements that forward kernels of gated cells keep for the backward ones
HEAD = 9  # words of the static block before the tensors
CHUNK = 128  # rows of steps whose products with the inputs are summed at once
FLOPS = 40  # per nanosecond and thread, for estimates
STRETCH = 500_000  # nanoseconds that a task should take for a stretch of steps


class RecurrentKernel:
    """What forward and backward share. `names`: the tensors of the static block in order. `biased`: whether products
    may be added to another tensor."""

    biased, prefetch = False, None

    def __init__(self, mode, dtype, rows, names, module, name):
        self.mode, self.dtype, self.rows, self.names = mode, dt.by_name(dtype), rows, names
        self.size = self.dtype.itemsize
        self.lanes = max(1, target.current.vector_bytes // self.size)
        self.kind = stored_type(self.dtype)
        self.micro = Micro(tile_of(rows, self.lanes), self.kind, dtype, dtype, dtype, "along",
                           bias=dtype if self.biased else None, prefetch=self.prefetch)
        emit_micro(module, name + "_tile", self.micro)
        if "dw_x" in names:
            tile = Tile(6, 4 if target.current.registers >= 32 else 2, self.lanes)
            self.summing = Micro(tile, self.kind, dtype, dtype, dtype, "rows", "rows")
            emit_micro(module, name + "_sum", self.summing)
            emit_micro(module, name + "_sum_edge", self.summing, masked=True)
        self.fn = kernel(module, name)
        self.fn.flags = "contract"  # products go into the sums they are added to

    def prologue(self):
        entries = StaticBlock(self.fn)
        self.steps, self.batch, self.hidden, self.first_time, self.time_step = entries.words(0, 5)
        self.features, self.stretch = entries.words(5, 2)
        self.chains = entries.pointer(7)
        self.base, self.by_time, self.by_row = {}, {}, {}
        for i, name in enumerate(self.names):
            at = HEAD + 4 * i
            self.base[name] = entries.pointer(at)
            self.by_time[name], self.by_row[name] = entries.words(at + 2, 2)

    def emit(self):
        self.prologue()
        blocks = (self.batch + (self.rows - 1)) // self.rows
        with stretches(self.fn, self.chains, blocks, self.steps, self.stretch) as (self.block, start, stop):
            self.row0 = self.block * self.rows
            self.real = self.fn.minimum(self.batch - self.row0, self.fn.constant(self.rows))
            with self.fn.if_(start.eq(0)):
                self.begin()
            self.run(start, stop)
            with self.fn.if_(stop.eq(self.steps)):
                self.end()
        self.fn.ret()

    def at(self, name, step, row):
        """The address of a row of a tensor at a step (None: a tensor without time)."""
        pointer = self.fn.gep(self.base[name], row * self.by_row[name])
        return pointer if step is None else self.fn.gep(pointer, step * self.by_time[name])

    def handler(self, width):
        k = Handler(self.fn, width)
        k.mask = None
        return k

    def load(self, k, pointer, index):
        """`k.width` neighbours from element `index` on."""
        found = self.fn.load(self.fn.gep(pointer, index, self.kind), vector(self.kind, k.width), self.size)
        return Typed(k, self.dtype, found)

    def store(self, k, value, pointer, index):
        self.fn.store(value.vector_value(), self.fn.gep(pointer, index, self.kind), self.size)

    def along(self, size, body):
        """`body(k, index)` over `size` elements: vectors, then one by one."""
        whole = size // self.lanes * self.lanes
        wide, single = self.handler(self.lanes), self.handler(1)
        with self.fn.loop(0, whole, self.lanes) as j:
            body(wide, j)
        with self.fn.loop(whole, size) as j:
            body(single, j)

    def each_row(self, body):
        """`body(row)` for the rows of the block that exist."""
        with self.fn.loop(0, self.real) as r:
            body(self.row0 + r)

    def product(self, left, left_row, inner, right, width, out, step, bias=None, add=False, lines=None):
        """Into the rows of `out` at `step`: their rows of `left` (`left_row` elements apart) times the matrix `right`
        (inner, width), plus `bias` (address, elements from row to row), or plus what `out` holds if `add`. `lines`:
        what the panels of `right` prefetch, one after the other."""
        fn, panel = self.fn, self.micro.tile.columns
        target, first = self.at(out, step, self.row0), fn.constant(int(not add))
        with fn.loop(0, width, panel) as column:
            args = [inner, left, left_row, fn.constant(1), self.real, fn.minimum(width - column, panel)]
            args += [fn.gep(self.base[right], column * inner, self.kind), fn.constant(panel)]
            args += [fn.gep(target, column, self.kind), self.elements(out), fn.constant(1), first]
            if lines:
                args.append(self.turn(lines, column))
            if self.micro.bias:
                pointer, row = bias or (target, self.elements(out))  # where it adds, the bias is not read
                args += [fn.gep(pointer, column, self.kind), row, fn.constant(1)]
            fn.call("void", self.fn.name + "_tile", *args)

    def turn(self, pointers, column):
        """The pointer whose turn it is at this column; the last one for all that follow."""
        found = pointers[-1]
        for number in reversed(range(len(pointers) - 1)):
            found = self.fn.select(column < (number + 1) * self.micro.tile.columns, pointers[number], found)
        return found

    def previous(self, step, row, first):
        """The state of a row before a step."""
        return self.fn.select(first, self.at("h0", None, row), self.at("out", step - 1, row))

    def elements(self, name):
        """From row to row of a tensor."""
        return self.by_row[name] // self.size

    def copy(self, source, target, size):
        self.along(size, lambda k, j: self.store(k, self.load(k, source, j), target, j))

    def gates(self, k, sigmoids, tanhs):
        """(sigmoids, tanhs) of the values."""
        if self.dtype is not dt.float32:
            return [k.sigmoid(v) for v in sigmoids], [k.tanh(v) for v in tanhs]
        found = gates(self.fn, *([v.vector_value() for v in values] for values in (sigmoids, tanhs)))
        return [[Typed(k, self.dtype, v) for v in values] for values in found]

    def tanh(self, k, value):
        return self.gates(k, [], [value])[1][0]

    def if_active(self, step, row, then, otherwise):
        """Whether a row still has input at this step."""
        if "lengths" not in self.names:
            then()
            return
        length = self.fn.load(self.at("lengths", None, row), "i64")
        time = self.first_time + step * self.time_step
        self.fn.if_else(time < length, then, otherwise)

    def gate(self, pointer, number, k, j):
        """Element j of one of the stretches of H elements."""
        return self.load(k, self.fn.gep(pointer, self.hidden * number, self.kind), j)

    def put_gate(self, value, pointer, number, k, j):
        self.store(k, value, self.fn.gep(pointer, self.hidden * number, self.kind), j)


class Forward(RecurrentKernel):
    """x, weight_x, bias_x or gates_x; h0, (c0), weight, (bias), (lengths) -> out, hn, (cn), kept, (cells); kept may be
    missing. For GRU `bias_x` is that of the input alone, else the sum of both."""

    biased = True

    def begin(self):
        if self.mode == "lstm":
            self.each_row(lambda row: self.copy(self.at("c0", None, row), self.at("cn", None, row), self.hidden))

    def run(self, start, stop):
        with self.fn.loop(start, stop) as step:
            first = step.eq(0)
            self.recur(step, first)
            self.each_row(lambda row: self.if_active(step, row, lambda: self.activate(step, row, first),
                                                     lambda: self.keep(step, row, first)))

    def end(self):
        self.each_row(lambda row: self.copy(self.at("out", self.steps - 1, row), self.at("hn", None, row), self.hidden))

    def recur(self, step, first):
        """The products go where the gates are made: to the kept values, to scratch rows of the block's own, or to the
        output. GRU needs those of the input and of the state apart; the others make one product of both."""
        width, gru = self.hidden * GATES[self.mode], self.mode == "gru"
        made = "out" if self.mode in ("tanh", "relu") else "scratch" if "scratch" in self.names else "kept"
        when, none = None if made == "scratch" else step, self.fn.constant(0)
        if "joined" in self.names:
            self.each_row(lambda row: self.join(step, row, first))
            self.product(self.at("joined", None, self.row0), self.elements("joined"), self.features + self.hidden,
                         "weight", width, made, when, (self.base["bias_x"], none))
            return
        if gru and "x" in self.names:
            self.product(self.at("x", step, self.row0), self.elements("x"), self.features, "weight_x", width, "inputs",
                         None, (self.base["bias_x"], none))
        bias = (self.base["bias"], none) if gru else (self.at("gates_x", step, self.row0), self.elements("gates_x"))
        left_row = self.fn.select(first, self.elements("h0"), self.elements("out"))
        self.product(self.previous(step, self.row0, first), left_row, self.hidden, "weight", width, made, when, bias)

    def join(self, step, row, first):
        """The input of a row and its state before this step, side by side."""
        joined = self.at("joined", None, row)
        self.copy(self.at("x", step, row), joined, self.features)
        self.copy(self.previous(step, row, first), self.fn.gep(joined, self.features, self.kind), self.hidden)

    def keep(self, step, row, first):
        """An inactive row: its state goes on."""
        self.copy(self.previous(step, row, first), self.at("out", step, row), self.hidden)
        if "cells" in self.names:
            self.copy(self.at("cn", None, row), self.at("cells", step, row), self.hidden)

    def activate(self, step, row, first):
        getattr(self, f"activate_{self.mode}")(step, row, first)

    def row_of_gates(self, step, row):
        return self.at("scratch", None, row) if "scratch" in self.names else self.at("kept", step, row)

    def activate_lstm(self, step, row, first):
        gates, out, state = self.row_of_gates(step, row), self.at("out", step, row), self.at("cn", None, row)
        cells = self.at("cells", step, row) if "cells" in self.names else None

        def body(k, j):
            i, f, g, o = [self.gate(gates, n, k, j) for n in range(4)]
            (i, f, o), (g,) = self.gates(k, [i, f, o], [g])
            c = f * self.load(k, state, j) + i * g
            self.store(k, c, state, j)
            self.store(k, o * self.tanh(k, c), out, j)
            if cells is not None:
                self.store(k, c, cells, j)
                for n, value in enumerate((i, f, g, o)):
                    self.put_gate(value, gates, n, k, j)
        self.along(self.hidden, body)

    def activate_gru(self, step, row, first):
        gates, out = self.row_of_gates(step, row), self.at("out", step, row)
        inputs = self.at("inputs", None, row) if "x" in self.names else self.at("gates_x", step, row)
        before = self.previous(step, row, first)

        def body(k, j):
            r, z, hn = [self.gate(gates, n, k, j) for n in range(3)]
            (r, z), _ = self.gates(k, [self.gate(inputs, n, k, j) + value for n, value in enumerate((r, z))], [])
            n = self.tanh(k, self.gate(inputs, 2, k, j) + r * hn)
            self.store(k, (self.load(k, before, j) - n) * z + n, out, j)
            if "kept" in self.names:
                for number, value in enumerate((r, z, n, hn)):
                    self.put_gate(value, gates, number, k, j)
        self.along(self.hidden, body)

    def activate_tanh(self, step, row, first):
        out = self.at("out", step, row)
        self.along(self.hidden, lambda k, j: self.store(k, self.tanh(k, self.load(k, out, j)), out, j))

    def activate_relu(self, step, row, first):
        out = self.at("out", step, row)

        def body(k, j):
            value = self.load(k, out, j)
            self.store(k, k.where(value < 0, k.const(0, self.dtype), value), out, j)
        self.along(self.hidden, body)


class Backward(RecurrentKernel):
    """g_out, g_hn, (g_cn), out, h0, (c0), kept, (cells), weight, (weight_x), (x), (lengths) -> dgates_x or dw_x, dw_h;
    db_x; for GRU dgates_h and db_h; dh0, (dc0), (dx).

    The rows of dh0 and dc0 carry the gradients of the states from step to step, those of db_x and db_h (batch, gates)
    the sums of the gates' gradients over the steps."""

    prefetch = "lines"

    def begin(self):
        fn, width = self.fn, self.hidden * GATES[self.mode]
        self.each_row(lambda row: self.copy(self.at("g_hn", None, row), self.at("dh0", None, row), self.hidden))
        if self.mode == "lstm":
            self.each_row(lambda row: self.copy(self.at("g_cn", None, row), self.at("dc0", None, row), self.hidden))
        for part in self.parts:
            self.each_row(lambda row, part=part: fn.zero(self.at("db_" + part, None, row), width * self.size))
        self.slot = fn.variable("i64", 0)
        if "dw_x" in self.names:
            with fn.if_(self.real < self.rows):  # rows that do not exist add nothing
                for name in scratch_rows(Backward, self.mode, self.names):
                    fn.zero(self.near(name, 0), self.by_row[name] * (self.rows * slots(self.rows)))

    def run(self, start, stop):
        """A stretch is a multiple of the steps that the sums keep, so that none is left over."""
        fn, width, through = self.fn, self.hidden * GATES[self.mode], "h" if self.mode == "gru" else "x"
        sums, slot = "dw_x" in self.names, self.slot
        slot.set(0)
        filled = fn.variable("i64", start)
        with fn.loop(start, stop) as back:
            step = self.steps - 1 - back
            first = step.eq(0)
            self.each_row(lambda row: self.if_active(step, row, lambda: self.slope(step, row, first),
                                                     lambda: self.pass_on(step, row)))
            left = "near_" + through
            kept, others = self.before(step, width)
            self.product(self.near(left, 0), self.elements(left), width, "weight", self.hidden, "dh0", None, add=True,
                         lines=kept + others)
            if "dx" in self.names:
                self.product(self.near("near_x", 0), self.elements("near_x"), width, "weight_x", self.features, "dx",
                             step, lines=others[-2:])
            if sums:
                self.each_row(lambda row: self.remember(step, row, first))
                slot.set(slot.get() + 1)
                with fn.if_(first | slot.get().eq(slots(self.rows))):
                    count, start = slot.get() * self.rows, filled.get().eq(0)
                    slot.set(0)
                    self.add("near_x", "inputs", self.features, "dw_x", count, start)
                    self.add("near_" + through, "states", self.hidden, "dw_h", count, start)
                    filled.set(1)

    def end(self):
        """The last gradients of the states are where they belong."""

    def before(self, step, width):
        """What the step before this one (the next to be computed) reads from memory, for `product`: (pointers into the
        kept gates, a pointer to each of the others). A panel prefetches a line for `UNROLL` of its `width` steps."""
        fn, kept = self.fn, []
        if "kept" in self.names:
            share = self.rows * self.size * KEPT * UNROLL / (GATES[self.mode] * LINE)
            start = self.at("kept", step - 1, self.row0)
            kept = [fn.gep(start, width * (LINE // UNROLL * number)) for number in range(math.ceil(share))]
        others = {"cells": step - 2, "g_out": step - 1, "out": step - 2}
        return kept, [self.at(name, when, self.row0) for name, when in others.items() if name in self.names]

    def near(self, name, number):
        """Row `number` of the block for this step, in rows of the block's own."""
        if "dw_x" not in self.names:
            return self.at(name, None, self.row0 + number)
        return self.at(name, None, (self.block * slots(self.rows) + self.slot.get()) * self.rows + number)

    def remember(self, step, row, first):
        """The input of a row and its state before this step, for the sums."""
        number = row - self.row0
        self.copy(self.at("x", step, row), self.near("inputs", number), self.features)
        self.copy(self.previous(step, row, first), self.near("states", number), self.hidden)

    def add(self, gates, inputs, width, out, count, start):
        """The sums of this block plus (at the `start` only) gates.T (all, count) times inputs (count, width)."""
        fn, tile = self.fn, self.summing.tile
        left, right, target = self.near(gates, 0), self.near(inputs, 0), self.at(out, None, self.block)
        all_gates, one, first = self.hidden * GATES[self.mode], fn.constant(1), fn.cast("zext", start, "i64")
        with fn.loop(0, width, tile.columns) as j, fn.loop(0, all_gates, tile.rows) as i:
            m, n = fn.minimum(all_gates - i, tile.rows), fn.minimum(width - j, tile.columns)
            args = [count, fn.gep(left, i, self.kind), one, self.elements(gates), m, n, fn.gep(right, j, self.kind),
                    self.elements(inputs), fn.gep(target, i * width + j, self.kind), width, one, first]
            fn.if_else(m.eq(tile.rows) & n.eq(tile.columns), lambda: fn.call("void", fn.name + "_sum", *args),
                       lambda: fn.call("void", fn.name + "_sum_edge", *args))

    def pass_on(self, step, row):
        """An inactive row: its gates have no gradient, that of its state goes on."""
        def body(k, j):
            for n in range(GATES[self.mode]):
                self.put_slopes(self.zero(k), self.zero(k), step, row, n, k, j)
        self.along(self.hidden, body)

    @property
    def parts(self):
        """Only GRU has other gradients of gates for the state than for the input."""
        return "xh" if self.mode == "gru" else "x"

    def put_slopes(self, in_x, in_h, step, row, number, k, j):
        """The gradients of a gate, as part of the input and of the state."""
        for value, part in zip((in_x, in_h), self.parts):
            total = self.at("db_" + part, None, row)
            self.put_gate(self.gate(total, number, k, j) + value, total, number, k, j)
            self.put_gate(value, self.near("near_" + part, row - self.row0), number, k, j)
            if "dgates_" + part in self.names:
                self.put_gate(value, self.at("dgates_" + part, step, row), number, k, j)

    def slope(self, step, row, first):
        getattr(self, f"slope_{self.mode}")(step, row, first)

    def slope_lstm(self, step, row, first):
        fn = self.fn
        kept, cells, g_out = self.at("kept", step, row), self.at("cells", step, row), self.at("g_out", step, row)
        before = fn.select(first, self.at("c0", None, row), self.at("cells", step - 1, row))
        dh_row, dc_row = self.at("dh0", None, row), self.at("dc0", None, row)

        def body(k, j):
            i, f, g, o = [self.gate(kept, n, k, j) for n in range(4)]
            dh = self.load(k, dh_row, j) + self.load(k, g_out, j)
            tanh_c = self.tanh(k, self.load(k, cells, j))
            dc = self.load(k, dc_row, j) + dh * o * (1 - tanh_c * tanh_c)
            slopes = (dc * g * (i - i * i), dc * self.load(k, before, j) * (f - f * f), dc * i * (1 - g * g),
                      dh * tanh_c * (o - o * o))
            for n, value in enumerate(slopes):
                self.put_slopes(value, value, step, row, n, k, j)
            self.store(k, dc * f, dc_row, j)
            self.store(k, self.zero(k), dh_row, j)
        self.along(self.hidden, body)

    def zero(self, k):
        return Typed(k, self.dtype, self.fn.constant(0, vector(self.kind, k.width)))

    def slope_gru(self, step, row, first):
        kept, g_out, dh_row = self.at("kept", step, row), self.at("g_out", step, row), self.at("dh0", None, row)
        before = self.previous(step, row, first)

        def body(k, j):
            r, z, n, hn = [self.gate(kept, number, k, j) for number in range(4)]
            dh = self.load(k, dh_row, j) + self.load(k, g_out, j)
            dn = dh * (1 - z) * (1 - n * n)
            dz = dh * (self.load(k, before, j) - n) * (z - z * z)
            dr = dn * hn * (r - r * r)
            for number, (in_x, in_h) in enumerate(((dr, dr), (dz, dz), (dn, dn * r))):
                self.put_slopes(in_x, in_h, step, row, number, k, j)
            self.store(k, dh * z, dh_row, j)
        self.along(self.hidden, body)

    def slope_tanh(self, step, row, first):
        self.plain(step, row, lambda k, dh, h: dh * (1 - h * h))

    def slope_relu(self, step, row, first):
        self.plain(step, row, lambda k, dh, h: k.where(h > 0, dh, self.zero(k)))

    def plain(self, step, row, formula):
        out, g_out = self.at("out", step, row), self.at("g_out", step, row)
        dh_row = self.at("dh0", None, row)

        def body(k, j):
            dh = self.load(k, dh_row, j) + self.load(k, g_out, j)
            value = formula(k, dh, self.load(k, out, j))
            self.put_slopes(value, value, step, row, 0, k, j)
            self.store(k, self.zero(k), dh_row, j)
        self.along(self.hidden, body)


def block_rows(batch):
    """Rows of a block: as many as registers hold, fewer where that leaves threads idle."""
    most = 6 if target.current.registers < 32 else 12
    blocks = max(-(-batch // most), min(batch // 2, 4), 1)
    return -(-batch // blocks)


def strides(ref, reverse, timed):
    """(memory, byte stride of time, byte stride of rows) of a tensor (time, rows, n), (rows, n) or (n)."""
    layout, item = ref[1], ref[1].dtype.itemsize
    where = memory(ref)
    if not timed:
        return [where, 0, layout.strides[0] * item if layout.ndim else 0]
    by_time, by_row = layout.strides[0] * item, layout.strides[1] * item
    if reverse:
        where.offset += (layout.shape[0] - 1) * by_time
        by_time = -by_time
    return [where, by_time, by_row]


def tile_of(rows, lanes):
    """The register tile of a block of `rows` rows: as many vectors as there are registers for."""
    return Tile(rows, max(vectors for high, vectors in fitting(SHAPES, target.current) if high == rows), lanes)


def panels(refs, rows, launches):
    """The memory of matrices (inner, width), one below the other, cut into panels for the tiles of a block; adds the
    launches that cut them."""
    width, dtype = refs[0][1].shape[1], refs[0][1].dtype
    lanes = max(1, target.current.vector_bytes // dtype.itemsize)
    columns = tile_of(rows, lanes).columns
    depth = sum(layout.shape[0] for _, layout, *_ in refs)
    packed, above = Scratch(-(-width // columns) * columns * depth * dtype.itemsize), 0
    for ref in refs:
        inner, (by_inner, by_width) = ref[1].shape[0], ref[1].strides
        operand = Operand(memory(ref), dtype.name, by_width, by_inner)
        place = Memory(packed, above * columns * dtype.itemsize)
        launches.append(
            plan_pack(operand, columns, lanes, width, inner, by_width, by_inner, (1, 1), (0, 0), place, depth)
        )
        above += inner
    return Memory(packed)


TIMED = {"x", "gates_x", "out", "kept", "cells", "g_out", "dgates_x", "dgates_h", "dx"}


def slots(rows):
    """The steps that a block remembers for its sums."""
    return -(-CHUNK // rows)


def scratch_rows(kernel, mode, names):
    """The scratch rows of a block: {name: what their width is}."""
    if kernel is Backward:
        found = {"near_x": "gates"}
        if mode == "gru":
            found["near_h"] = "gates"
        return {**found, "inputs": "features", "states": "hidden"} if "dw_x" in names else found
    found = {"scratch": "gates"} if mode in ("lstm", "gru") and "kept" not in names else {}
    if "x" in names:
        found.update({"inputs": "gates"} if mode == "gru" else {"joined": "joined"})
    return found


def launch(kernel, instruction, names):
    """The launch of a kernel over the operands of an instruction."""
    options = dict(instruction.attrs)
    refs = dict(zip(names, [*instruction.ins, *instruction.outs]))
    mode, reverse = options["mode"], options["reverse"]
    time, batch, hidden = refs["out"][1].shape
    features = next((refs[name][1].shape[2] for name in ("x", "dx") if name in refs), 0)
    dtype = refs["out"][1].dtype
    rows = block_rows(batch)
    tasks = -(-batch // rows)
    width = {"gates": GATES[mode] * hidden, "hidden": hidden, "features": features, "joined": features + hidden}
    scratch = scratch_rows(kernel, mode, names)
    weights = [refs.pop("weight_x"), refs["weight"]] if "joined" in scratch else None
    flops = 2.0 * batch * (hidden + features) * width["gates"] * (2 if "dw_x" in names else 1)
    launches, sums = [], []
    stretch = slots(rows) * math.ceil(STRETCH * FLOPS * tasks / (flops * slots(rows)))
    static = [time, batch, hidden, time - 1 if reverse else 0, -1 if reverse else 1, features, stretch]
    static.append(plan_words(tasks, launches))
    for name, ref in refs.items():
        if name.startswith("weight"):
            static += [panels(name == "weight" and weights or [ref], rows, launches), 0, 0]
        elif name.startswith("dw"):
            static += [partial_sums(ref, tasks, sums), 0, ref[1].shape[0] * ref[1].shape[1] * dtype.itemsize]
        else:
            static += strides(ref, reverse, name in TIMED)
    count = tasks * rows * (slots(rows) if "dw_x" in names else 1)
    for name, what in scratch.items():
        row = width[what] * dtype.itemsize + LINE  # rows a power of two apart would share few places in the cache
        static += [Memory(Scratch(count * row)), 0, row]
    names = [*refs, *scratch]
    key = ("recurrent", kernel.__name__, mode, dtype.name, rows, tuple(names), target.current.vector_bytes)
    source = KernelSource(key, lambda module, name: kernel(mode, dtype.name, rows, names, module, name).emit())
    for launch in (*launches[1:], *sums[1:]):
        launch.beside = True
    return [*launches, Launch(source, static, tasks, time * flops / FLOPS + 1000.0), *sums]


def partial_sums(ref, tasks, launches):
    """The memory of the sums of every block; adds the launch that adds them into the result."""
    where, layout = memory(ref), ref[1]
    m, n = layout.shape
    dtype = layout.dtype
    lanes = max(1, target.current.vector_bytes // dtype.itemsize)
    parts = Memory(Scratch(tasks * m * n * dtype.itemsize + target.current.vector_bytes))
    flat = (0, 0)
    result = Operand(where, dtype.name, *layout.strides, flat)
    partial = Operand(parts, dtype.name, n, 1, flat)
    spec = GemmSpec(m, n, 0, partial, partial, result, batch=(1, 1))
    launches.append(plan_reduce(spec, partial, tasks, lanes))
    return parts


def recurrent(instruction):
    """ins and outs as the attribute "names" lists them."""
    return launch(Forward, instruction, list(dict(instruction.attrs)["names"]))


def recurrent_back(instruction):
    """ins and outs as the attribute "names" lists them."""
    return launch(Backward, instruction, list(dict(instruction.attrs)["names"]))
