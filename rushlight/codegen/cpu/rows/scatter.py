"""Scatters: kernels that write elements at computed positions, for index_put, scatter, index_add and their family.

The input is an instruction over a *domain* (the shape of what is scattered): each dimension of the target is either
indexed by a tensor of indices (broadcast to the domain) or walks along one dimension of the domain. The result is one
launch. `ops/index/scatter.py` declares the operators.

Note [Deterministic scatters]
Two elements may meet at one position, so elements that could are taken in order by one task. Dimensions of the domain
that the target walks along cannot meet: these are shared by the tasks (rows by their flat number, the last one in
stretches), all others are loops inside a task, in order. So the result depends neither on the number of threads nor on
the division into tasks. Where the last dimension is contiguous and no index varies along it, the inner loop is a vector
loop (rows of embedding gradients, index_add).

Static block: rows of a task, sizes of the row dimensions P, sizes of the serial dimensions S, size of the last
dimension, its stretch, number of stretches, target (slot, offset, strides over P and the last dimension), per index
(size and stride of the target's dimension; slot, offset, strides over P, S and the last dimension), source (the same,
or the table index of a number), skipped index.
"""

import math

from ....core import dtype as dt
from ...bodies import pairs
from ...bodies.handler import Handler, Typed, stored_type
from ...ir import target
from ...ir.builder import vector
from ...ir.kernel import Argument, KernelSource, Launch
from ...ir.statics import StaticReader, kernel
from ...lower import memory, number_of

ELEMENT_NANOSECONDS, VECTOR_NANOSECONDS, TASK_NANOSECONDS = 1.5, 0.15, 25_000.0


class Scatter:
    """The loops of one scatter instruction: which dimensions are shared, and the numbers of the static block."""

    def __init__(self, instruction):
        options = dict(instruction.attrs)
        self.combine, self.negative = instruction.op.combines[options["mode"]], options["negative"]
        self.code = instruction.op.code(options["code"])
        self.spec, self.domain = options["spec"], options["domain"]
        self.ref = instruction.outs[0]
        letters = [a for a in instruction.args]
        count = sum(1 for kind, _ in self.spec if kind == "i")
        self.indices = [instruction.ins[a[1]] for a in letters[:count]]
        source = letters[count]
        self.number = None if source[0] == "in" else number_of(instruction, 0)
        self.source = instruction.ins[source[1]] if source[0] == "in" else None
        self.skip = number_of(instruction, 0 if self.source is not None else 1) if options["skip"] else None
        self.along = {d: t for t, (kind, d) in enumerate(self.spec) if kind == "d"}
        last = len(self.domain) - 1
        self.last_shared = last in self.along
        self.outer = [d for d in range(last) if d in self.along]
        self.serial = [d for d in range(last + 1) if d not in self.along and not (d == last and self.last_shared)]
        self.plan_vectors(last)

    def plan_vectors(self, last):
        self.vector = False
        self.varies = tuple([bool(self.strides(ref)[last]) for ref in self.indices])
        if not self.last_shared:
            return
        self.target_last = self.ref[1].strides[self.along[last]] * self.ref[1].dtype.itemsize
        if any(self.varies) or self.domain[last] < 4:
            return
        unit = self.target_last == self.ref[1].dtype.itemsize
        moves = 0 if self.source is None else self.strides(self.source)[last]
        self.source_step = moves
        self.vector = unit and (self.source is None or moves in (0, self.source[1].dtype.itemsize))

    def strides(self, ref):
        """Byte strides of an operand over the domain."""
        _, layout, _ = ref
        size, lead = layout.dtype.itemsize, len(self.domain) - layout.ndim
        return [0] * lead + [0 if n == 1 else s * size for n, s in zip(layout.shape, layout.strides)]

    def key(self):
        source = self.source[1].dtype.name if self.source is not None else self.number[2].__name__
        uniform = self.vector and self.source is not None and self.source_step == 0
        combine = "set" if self.combine is None else f"{self.combine.__module__}.{self.combine.__qualname__}"
        return ("scatter", combine, self.negative, self.code, self.ref[1].dtype.name, source, self.source is not None,
                tuple([ref[1].dtype.name for ref in self.indices]), self.skip is not None, self.varies,
                len(self.outer), len(self.serial), self.last_shared, self.vector, uniform, target.current.vector_bytes)

    def launch(self):
        last = len(self.domain) - 1
        rows = math.prod(self.domain[d] for d in self.outer)
        length = self.domain[last] if self.last_shared else 1
        serial = math.prod(self.domain[d] for d in self.serial)
        each = VECTOR_NANOSECONDS if self.vector else ELEMENT_NANOSECONDS
        cost = rows * serial * (length * each + 3.0)
        stretch = length
        if self.last_shared and rows * TASK_NANOSECONDS < cost:
            pieces = min(math.ceil(cost / TASK_NANOSECONDS / rows), 16)
            stretch = max(-(-length // pieces), 64)
            stretch = -(-stretch // 64) * 64
        stretches = -(-length // stretch)
        chunk = max(1, math.floor(TASK_NANOSECONDS / max(cost / (rows * stretches), 0.1)))
        static = [chunk, *[self.domain[d] for d in self.outer], *[self.domain[d] for d in self.serial], length, stretch,
                  stretches]
        size = self.ref[1].dtype.itemsize
        static += [memory(self.ref), *[self.ref[1].strides[self.along[d]] * size for d in self.outer]]
        static.append(self.target_last if self.last_shared else 0)
        dims = [t for _, t in sorted((n, t) for t, (kind, n) in enumerate(self.spec) if kind == "i")]
        for t, ref in zip(dims, self.indices):
            static += [self.ref[1].shape[t], self.ref[1].strides[t] * size, *self.operand(ref)]
        static += self.operand(self.source) if self.source is not None else [Argument(self.number[1])]
        if self.skip is not None:
            static.append(Argument(self.skip[1]))
        if not distinct(self.ref[1]):
            chunk = static[0] = rows * stretches
        shape = ScatterKernel(self)
        tasks = -(-rows * stretches // chunk)
        return Launch(KernelSource(self.key(), shape.emit), static, tasks, cost)

    def operand(self, ref):
        strides = self.strides(ref)
        tail = strides[-1] if self.last_shared else 0
        return [memory(ref), *[strides[d] for d in self.outer], *[strides[d] for d in self.serial], tail]


class ScatterKernel(StaticReader):
    """Writes the function of one structure of scatters."""

    def __init__(self, plan):
        self.combined, self.negative, self.code = plan.combine, plan.negative, plan.code
        self.dtype = plan.ref[1].dtype
        self.index_dtypes = [ref[1].dtype for ref in plan.indices]
        self.source_dtype = plan.source[1].dtype if plan.source is not None else None
        self.number_class = plan.number[2] if plan.number is not None else None
        self.skip, self.varies, self.vector = plan.skip is not None, plan.varies, plan.vector
        self.uniform_source = plan.vector and plan.source is not None and plan.source_step == 0
        self.outer, self.serial, self.last_shared = len(plan.outer), len(plan.serial), plan.last_shared

    def emit(self, module, name):
        self.fn = fn = kernel(module, name)
        chunk = self.word()
        sizes_outer, self.sizes_serial = self.words(self.outer), self.words(self.serial)
        length, stretch, stretches = self.words(3)
        self.read_operands()
        self.k = Handler(fn, 1)
        self.wide = Handler(fn, 4 * target.current.vector_bytes // max(self.dtype.compute.itemsize, 1))
        total = stretches
        for size in sizes_outer:
            total = total * size
        start = fn.args[2] * chunk
        with fn.loop(start, fn.minimum(start + chunk, total)) as at:
            low = at % stretches * stretch
            high = fn.minimum(low + stretch, length)
            index, rest = [], at // stretches
            for size in reversed(sizes_outer):
                index.insert(0, rest % size)
                rest = rest // size
            pointers = [self.moved(p, strides[:self.outer], index) for p, strides in self.operands]
            self.serial_loops(0, pointers, low, high)
        fn.ret()

    def read_operands(self):
        """`operands`: (pointer, strides over P, S, last) of the target, the indices and the source."""
        fn = self.fn
        zeros = [fn.constant(0)] * self.serial
        base, strides, tail = self.pointer(), self.words(self.outer), self.word()
        self.operands = [(base, [*strides, *zeros, tail])]
        self.dims = []
        for _ in self.index_dtypes:
            self.dims.append(self.words(2))
            self.operands.append((self.pointer(), self.words(self.outer + self.serial + 1)))
        if self.source_dtype is not None:
            self.operands.append((self.pointer(), self.words(self.outer + self.serial + 1)))
        else:
            kind, source = ("double", dt.float64) if self.number_class is float else ("i64", dt.int64)
            self.scalar = source, self.argument(kind)
        if self.skip:
            self.skipped = self.argument("i64")

    def moved(self, pointer, strides, index):
        for i, stride in zip(index, strides):
            pointer = self.fn.gep(pointer, i * stride)
        return pointer

    def serial_loops(self, d, pointers, low, high):
        """The loops over dimensions in which elements may meet, then the last shared dimension."""
        if d < self.serial:
            with self.fn.loop(0, self.sizes_serial[d]) as i:
                moved = [pointers[0]] + [self.fn.gep(p, i * strides[self.outer + d])
                                         for p, (_, strides) in zip(pointers[1:], self.operands[1:])]
                self.serial_loops(d + 1, moved, low, high)
            return
        if not self.last_shared:
            self.guarded(pointers, range(len(self.dims)), lambda at: self.element(at, pointers[-1]), pointers[0])
            return
        fixed = [i for i, varies in enumerate(self.varies) if not varies]
        self.guarded(pointers, fixed, lambda at: self.along_last(at, pointers, low, high), pointers[0])

    def guarded(self, pointers, which, body, at):
        """Check the indices `which`, add their parts to the address `at`; run `body(address)` if all are good."""
        fn, good = self.fn, None
        for i in which:
            size, stride = self.dims[i]
            loaded = self.k.from_memory(self.index_dtypes[i], fn.load(pointers[1 + i],
                                                                      stored_type(self.index_dtypes[i])))
            index = self.k.cast(loaded, dt.int64).value
            if self.negative:
                index = fn.select(index < 0, index + size, index)
            fits = index.compare("lt", size, unsigned=True)
            with fn.if_(fits ^ 1):
                fn.line(f"store i64 {self.code}, ptr {fn.args[0].name}")
            if self.skip:
                fits = fits & index.ne(self.skipped)
            good = fits if good is None else good & fits
            at = fn.gep(at, fn.select(fits, index, fn.constant(0)) * stride)
        if good is None:
            body(at)
            return
        with fn.if_(good):
            body(at)

    def along_last(self, at, pointers, low, high):
        """The last dimension from `low` to `high`."""
        fn = self.fn
        step_target = self.operands[0][1][-1]
        if self.vector:
            self.vectors(at, pointers[-1], low, high)
            return
        varying = [i for i, varies in enumerate(self.varies) if varies]
        with fn.loop(low, high) as j:
            moved = [fn.gep(p, j * strides[-1]) for p, (_, strides) in zip(pointers[1:], self.operands[1:])]
            self.guarded([None, *moved], varying, lambda place: self.element(place, moved[-1]), fn.gep(at,
                                                                                                       j * step_target))

    def vectors(self, at, source, low, high):
        fn, width = self.fn, self.wide.width
        size = self.dtype.itemsize
        whole = low + (high - low) // width * width

        def step(k, j):
            place = source
            if self.source_dtype is not None and not self.uniform_source:
                place = fn.gep(source, j * self.source_dtype.itemsize)
            self.combine(k, fn.gep(at, j * size), place)
        with fn.loop(low, whole, width) as j:
            step(self.wide, j)
        with fn.loop(whole, high) as j:
            step(self.k, j)

    def element(self, at, source):
        self.combine(self.k, at, source)

    def new_value(self, k, source):
        """What is scattered, in the target's dtype."""
        fn = self.fn
        if self.source_dtype is None:
            dtype, value = self.scalar
            return k.cast(Typed(k, dtype, value), self.dtype)
        if self.source_dtype.category == dt.COMPLEX:
            mode = 0 if self.uniform_source or k.width == 1 else 1
            return k.cast(pairs.load(self, self.source_dtype, source, mode, None, k), self.dtype)
        kind, align = stored_type(self.source_dtype), self.source_dtype.itemsize
        width = 1 if self.uniform_source else k.width
        return k.cast(k.from_memory(self.source_dtype, fn.load(source, vector(kind, width), align)), self.dtype)

    def combine(self, k, at, source):
        fn = self.fn
        value = self.new_value(k, source)
        if self.dtype.category == dt.COMPLEX:
            if self.combined is not None:
                value = self.combined(k, pairs.load(self, self.dtype, at, 1, None, k), value)
            pairs.store(self, self.dtype, at, value, 1, None, k)
            return
        if self.combined is not None:
            kind = vector(stored_type(self.dtype), k.width)
            old = k.from_memory(self.dtype, fn.load(at, kind, self.dtype.itemsize))
            value = self.combined(k, old, value)
        stored = fn.splat(k.to_memory(value), k.width)
        fn.store(stored, at, self.dtype.itemsize)


def distinct(found):
    """Whether surely no two indices of a layout reach the same element."""
    reach = 1
    for s, n in sorted((s, n) for s, n in zip(found.strides, found.shape) if n > 1):
        if s < reach:
            return False
        reach = s * (n - 1) + reach
    return True


def lower_scatter(instruction):
    """One launch for a scatter instruction."""
    return [Scatter(instruction).launch()]
