"""Recurrent layers over all time steps in one kernel: LSTM, GRU and plain cells, forward and backward.

In: the input parts of the gates for all steps (one matrix product made them), states, weights. Out: the outputs of all
steps, last states, and for training the activated gates. Rows of a batch do not depend on one another, so a task takes
a block of rows through all steps, without waiting for other tasks: for each step a small product with the recurrent
weights, whose packed rows stay in the cache, then the gates.

Note [Rows of a recurrent kernel]
A block has `rows` rows, as many as registers allow. The last block points its missing rows at the last row of the
batch: the product computes that row again, the gates leave it out. Rows with a length are inactive from that step on:
their state stays. A layer that runs backwards in time has negative time strides.

Static block: T, B, H, first time, time step; then for each tensor slot, offset, byte stride of time, byte stride of
rows.
"""

from ..core import dtype as dt
from . import target
from .builder import lanes, vector
from .cpu.gemm import Operand
from .cpu.pack import plan_pack
from .handler import Handler, Typed, stored_type
from .kernel import KernelSource, Launch, Memory, Scratch
from .lower import lowering, memory

GATES = {"lstm": 4, "gru": 3, "tanh": 1, "relu": 1}
KEPT = {"lstm": 4, "gru": 4, "tanh": 0, "relu": 0}  # values kept for backward, in units of H
FLOPS = 40  # per nanosecond and thread, for estimates


class RecurrentKernel:
    """What forward and backward share. `names`: the tensors of the static block in order."""

    def __init__(self, mode, dtype, rows, names, module, name):
        self.mode, self.dtype, self.rows, self.names = mode, dt.by_name(dtype), rows, names
        self.fn = module.function(name, [("ptr", "table"), ("ptr", "static"), ("i64", "task")])
        self.size = self.dtype.itemsize
        self.lanes = max(1, target.current.vector_bytes // self.size)
        self.kind = stored_type(self.dtype)

    def word(self, index):
        return self.fn.load_at(self.fn.args[1], index, "i64")

    def prologue(self):
        fn = self.fn
        self.steps, self.batch, self.hidden, self.first_time, self.time_step = (self.word(i) for i in range(5))
        self.base, self.by_time, self.by_row = {}, {}, {}
        for i, name in enumerate(self.names):
            at = 5 + 4 * i
            base = fn.load(fn.gep(fn.args[0], self.word(at), "i64"), "ptr")
            self.base[name] = fn.gep(base, self.word(at + 1))
            self.by_time[name], self.by_row[name] = self.word(at + 2), self.word(at + 3)
        self.row0 = fn.args[2] * self.rows
        self.real = fn.minimum(self.batch - self.row0, fn.constant(self.rows))
        last = self.batch - 1
        self.block = [fn.minimum(self.row0 + r, last) for r in range(self.rows)]

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

    def product(self, left, inner, right, width, start, finish):
        """rows x inner times inner x width. `left`: addresses of the rows; `right`: the matrix in panels of two
        vectors of columns; `start(row number, column, vector type)`: the value to add to; `finish(row number, column,
        value)` stores."""
        fn, panel = self.fn, 2 * self.lanes
        whole = width // panel * panel
        with fn.loop(0, whole, panel) as column:
            self.columns(left, inner, fn.gep(right, column * inner, self.kind), column, [self.lanes] * 2, start, finish)
        last = fn.gep(right, whole * inner, self.kind)
        rest = whole + (width - whole) // self.lanes * self.lanes
        for begin, end, size in ((whole, rest, self.lanes), (rest, width, 1)):
            with fn.loop(begin, end, size) as column:
                self.columns(left, inner, fn.gep(last, column - whole, self.kind), column, [size], start, finish)

    def columns(self, left, inner, panel, column, lanes, start, finish):
        """All rows of the block for a few columns: `lanes` of each vector, from `panel` on."""
        fn = self.fn
        starts = [sum(lanes[:i]) for i in range(len(lanes))]
        kinds = [vector(self.kind, n) for n in lanes]
        sums = [[fn.variable(kind, start(r, column + at, kind)) for at, kind in zip(starts, kinds)]
                for r in range(self.rows)]
        with fn.loop(0, inner) as i:
            line = fn.gep(panel, i * (2 * self.lanes), self.kind)
            weights = [fn.load(fn.gep(line, at, self.kind), kind, self.size) for at, kind in zip(starts, kinds)]
            for r in range(self.rows):
                value = fn.load(fn.gep(left[r], i, self.kind), self.kind, self.size)
                for total, weight, kind in zip(sums[r], weights, kinds):
                    total.set(fn.fma(fn.convert(value, kind), weight, total.get()))
        for r in range(self.rows):
            for total, at in zip(sums[r], starts):
                finish(r, column + at, total.get())

    def value_at(self, pointer, column, kind):
        return self.fn.load(self.fn.gep(pointer, column, self.kind), kind, self.size)

    def ask(self, pointer, column, kind):
        """Prefetch the lines of a vector."""
        if lanes(kind) > 1:
            flags = [self.fn.constant(flag, "i32") for flag in (0, 3, 1)]  # read, keep close, data
            self.fn.intrinsic("llvm.prefetch.p0", "void", self.fn.gep(pointer, column, self.kind), *flags)

    def put(self, pointer, column, value):
        self.fn.store(value, self.fn.gep(pointer, column, self.kind), self.size)

    def copy(self, source, target, size):
        self.along(size, lambda k, j: self.store(k, self.load(k, source, j), target, j))

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
    """gates_x, h0, (c0), weight, (bias), (lengths) -> out, hn, (cn), kept (or scratch), (cells)."""

    def emit(self):
        self.prologue()
        fn = self.fn
        if self.mode == "lstm":
            self.each_row(lambda row: self.copy(self.at("c0", None, row), self.at("cn", None, row), self.hidden))
        with fn.loop(0, self.steps) as step:
            first = step.eq(0)
            before = [fn.select(first, self.at("h0", None, row), self.at("out", step - 1, row)) for row in self.block]
            self.recur(step, before)
            self.each_row(lambda row: self.if_active(step, row, lambda: self.activate(step, row, first),
                                                     lambda: self.keep(step, row, first)))
        self.each_row(lambda row: self.copy(self.at("out", self.steps - 1, row), self.at("hn", None, row), self.hidden))
        fn.ret()

    def room(self, step, number):
        """Where the product of a row goes: kept values, a scratch row of the block's own, or the output."""
        if self.mode in ("tanh", "relu"):
            return self.at("out", step, self.block[number])
        if "scratch" in self.names:
            return self.at("scratch", None, self.row0 + number)
        return self.at("kept", step, self.block[number])

    def recur(self, step, before):
        """The recurrent part of the gates; all but GRU add it to the input part here."""
        targets = [self.room(step, r) for r in range(self.rows)]
        inputs = [self.at("gates_x", step, row) for row in self.block]
        bias = self.base.get("bias")

        def start(r, column, kind):
            if self.mode == "gru":
                return self.value_at(bias, column, kind)
            self.ask(inputs[r], column, kind)  # it comes from far away, and is here when the product is done
            return self.fn.constant(0, kind)

        def finish(r, column, value):
            if self.mode != "gru":
                value = value + self.value_at(inputs[r], column, value.type)
            self.put(targets[r], column, value)
        self.product(before, self.hidden, self.base["weight"], self.hidden * GATES[self.mode], start, finish)

    def previous(self, step, row, first):
        return self.fn.select(first, self.at("h0", None, row), self.at("out", step - 1, row))

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
            i, f, g, o = k.sigmoid(i), k.sigmoid(f), k.tanh(g), k.sigmoid(o)
            c = f * self.load(k, state, j) + i * g
            self.store(k, c, state, j)
            self.store(k, o * k.tanh(c), out, j)
            if cells is not None:
                self.store(k, c, cells, j)
                for n, value in enumerate((i, f, g, o)):
                    self.put_gate(value, gates, n, k, j)
        self.along(self.hidden, body)

    def activate_gru(self, step, row, first):
        gates, out, inputs = self.row_of_gates(step, row), self.at("out", step, row), self.at("gates_x", step, row)
        before = self.previous(step, row, first)

        def body(k, j):
            r, z, hn = [self.gate(gates, n, k, j) for n in range(3)]
            r = k.sigmoid(self.gate(inputs, 0, k, j) + r)
            z = k.sigmoid(self.gate(inputs, 1, k, j) + z)
            n = k.tanh(self.gate(inputs, 2, k, j) + r * hn)
            self.store(k, (self.load(k, before, j) - n) * z + n, out, j)
            if "kept" in self.names:
                for number, value in enumerate((r, z, n, hn)):
                    self.put_gate(value, gates, number, k, j)
        self.along(self.hidden, body)

    def activate_tanh(self, step, row, first):
        out = self.at("out", step, row)
        self.along(self.hidden, lambda k, j: self.store(k, k.tanh(self.load(k, out, j)), out, j))

    def activate_relu(self, step, row, first):
        out = self.at("out", step, row)

        def body(k, j):
            value = self.load(k, out, j)
            self.store(k, k.where(value < 0, k.const(0, self.dtype), value), out, j)
        self.along(self.hidden, body)


class Backward(RecurrentKernel):
    """g_out, g_hn, (g_cn), out, h0, (c0), kept, (cells), weight, (lengths) -> dgates_x, (dgates_h), dh0, (dc0).

    The rows of dh0 and dc0 carry the gradients of the states from step to step."""

    def emit(self):
        self.prologue()
        fn = self.fn
        self.each_row(lambda row: self.copy(self.at("g_hn", None, row), self.at("dh0", None, row), self.hidden))
        if self.mode == "lstm":
            self.each_row(lambda row: self.copy(self.at("g_cn", None, row), self.at("dc0", None, row), self.hidden))
        through = "dgates_h" if self.mode == "gru" else "dgates_x"
        with fn.loop(0, self.steps) as back:
            step = self.steps - 1 - back
            first = step.eq(0)
            self.each_row(lambda row: self.if_active(step, row, lambda: self.slope(step, row, first),
                                                     lambda: self.pass_on(step, row)))
            carry = [self.at("dh0", None, row) for row in self.block]
            left = [self.at(through, step, row) for row in self.block]
            self.product(left, self.hidden * GATES[self.mode], self.base["weight"], self.hidden,
                         lambda r, column, kind: self.value_at(carry[r], column, kind),
                         lambda r, column, value: self.put(carry[r], column, value))
        fn.ret()

    def pass_on(self, step, row):
        """An inactive row: its gates have no gradient, that of its state goes on."""
        names = ["dgates_x"] + (["dgates_h"] if self.mode == "gru" else [])
        for name in names:
            pointer = self.at(name, step, row)
            self.fn.zero(pointer, self.hidden * (GATES[self.mode] * self.size))

    def slope(self, step, row, first):
        getattr(self, f"slope_{self.mode}")(step, row, first)

    def slope_lstm(self, step, row, first):
        fn = self.fn
        kept, cells, g_out = self.at("kept", step, row), self.at("cells", step, row), self.at("g_out", step, row)
        before = fn.select(first, self.at("c0", None, row), self.at("cells", step - 1, row))
        dh_row, dc_row, gates = self.at("dh0", None, row), self.at("dc0", None, row), self.at("dgates_x", step, row)

        def body(k, j):
            i, f, g, o = [self.gate(kept, n, k, j) for n in range(4)]
            dh = self.load(k, dh_row, j) + self.load(k, g_out, j)
            tanh_c = k.tanh(self.load(k, cells, j))
            dc = self.load(k, dc_row, j) + dh * o * (1 - tanh_c * tanh_c)
            self.put_gate(dc * g * i * (1 - i), gates, 0, k, j)
            self.put_gate(dc * self.load(k, before, j) * f * (1 - f), gates, 1, k, j)
            self.put_gate(dc * i * (1 - g * g), gates, 2, k, j)
            self.put_gate(dh * tanh_c * o * (1 - o), gates, 3, k, j)
            self.store(k, dc * f, dc_row, j)
            self.store(k, self.zero(k), dh_row, j)
        self.along(self.hidden, body)

    def zero(self, k):
        return Typed(k, self.dtype, self.fn.constant(0, vector(self.kind, k.width)))

    def slope_gru(self, step, row, first):
        kept, g_out, dh_row = self.at("kept", step, row), self.at("g_out", step, row), self.at("dh0", None, row)
        before = self.fn.select(first, self.at("h0", None, row), self.at("out", step - 1, row))
        dx, dh_gates = self.at("dgates_x", step, row), self.at("dgates_h", step, row)

        def body(k, j):
            r, z, n, hn = [self.gate(kept, number, k, j) for number in range(4)]
            dh = self.load(k, dh_row, j) + self.load(k, g_out, j)
            dn = dh * (1 - z) * (1 - n * n)
            dz = dh * (self.load(k, before, j) - n) * z * (1 - z)
            dr = dn * hn * r * (1 - r)
            for number, (in_x, in_h) in enumerate(((dr, dr), (dz, dz), (dn, dn * r))):
                self.put_gate(in_x, dx, number, k, j)
                self.put_gate(in_h, dh_gates, number, k, j)
            self.store(k, dh * z, dh_row, j)
        self.along(self.hidden, body)

    def slope_tanh(self, step, row, first):
        self.plain(step, row, lambda k, dh, h: dh * (1 - h * h))

    def slope_relu(self, step, row, first):
        self.plain(step, row, lambda k, dh, h: k.where(h > 0, dh, self.zero(k)))

    def plain(self, step, row, formula):
        out, g_out = self.at("out", step, row), self.at("g_out", step, row)
        dh_row, gates = self.at("dh0", None, row), self.at("dgates_x", step, row)

        def body(k, j):
            dh = self.load(k, dh_row, j) + self.load(k, g_out, j)
            self.store(k, formula(k, dh, self.load(k, out, j)), gates, j)
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


def panels(ref, launches):
    """The memory of a matrix (inner, width) cut into panels of two vectors of columns; adds the launch that cuts it."""
    layout, dtype = ref[1], ref[1].dtype
    columns = 2 * max(1, target.current.vector_bytes // dtype.itemsize)
    inner, width = layout.shape
    packed = Memory(Scratch(-(-width // columns) * columns * inner * dtype.itemsize))
    by_inner, by_width = layout.strides
    operand = Operand(memory(ref), dtype.name, by_width, by_inner)
    launches.append(plan_pack(operand, columns, columns // 2, width, inner, by_width, by_inner, (1, 1), (0, 0), packed))
    return packed


TIMED = {"gates_x", "out", "kept", "cells", "g_out", "dgates_x", "dgates_h"}


def launch(kernel, instruction, names):
    """The launch of a kernel over the operands of an instruction."""
    options = dict(instruction.attrs)
    refs = [*instruction.ins, *instruction.outs]
    mode, reverse = options["mode"], options["reverse"]
    time, batch, hidden = dict(zip(names, refs))["out"][1].shape
    dtype = refs[0][1].dtype
    rows = block_rows(batch)
    tasks = -(-batch // rows)
    static = [time, batch, hidden, time - 1 if reverse else 0, -1 if reverse else 1]
    launches = []
    for name, ref in zip(names, refs):
        if name == "weight":
            static += [panels(ref, launches), 0, 0]
        else:
            static += strides(ref, reverse, name in TIMED)
    if mode in ("lstm", "gru") and kernel is Forward and "kept" not in names:
        names = [*names, "scratch"]
        row = GATES[mode] * hidden * dtype.itemsize
        static += [Memory(Scratch(tasks * rows * row)), 0, row]
    key = ("recurrent", kernel.__name__, mode, dtype.name, rows, tuple(names), target.current.vector_bytes)
    source = KernelSource(key, lambda module, name: kernel(mode, dtype.name, rows, names, module, name).emit())
    cost = 2.0 * time * batch * hidden * hidden * GATES[mode] / FLOPS + 1000.0
    return [*launches, Launch(source, static, tasks, cost)]


@lowering("recurrent")
def recurrent(instruction):
    """ins and outs as the attribute "names" lists them."""
    return launch(Forward, instruction, list(dict(instruction.attrs)["names"]))


@lowering("recurrent_back")
def recurrent_back(instruction):
    """ins and outs as the attribute "names" lists them."""
    return launch(Backward, instruction, list(dict(instruction.attrs)["names"]))
