"""Sorting and searching kernels: stable radix sorts of rows into positions, the first k of rows, binary searches.

Elements become unsigned keys whose order is theirs (NaN above all, -0 equal to 0; inverted for descending order). Keys
of up to 32 bits share a word with the position, so that moving a key moves both; wider ones are followed by it. A row
is sorted by counting digits of 8 bits from the lowest (all digits are counted in one pass, digits that all keys share
are skipped), short rows by insertion. `topk` keeps the first k of a row in order while it reads it, in vectors where
elements are neighbours. Tasks share rows.
`ops/reduce/sorting.py` declares the operators.
"""

import math

from ....core import dtype as dt
from ...bodies.handler import Handler, Typed, stored_type
from ...ir import builder, target
from ...ir.kernel import KernelSource, Launch, Memory, Scratch
from ...ir.statics import StaticReader, kernel
from ...ir.vectors import lshr
from ...lower import memory

DIGIT, BUCKETS, SHORT, MOST_TASKS = 8, 256, 24, 16
WHOLE = (dt.float32, dt.float64, dt.int32, dt.int64)  # whose keys are as wide as they are in memory


class Rows:
    """The rows of a tensor along one dimension: sizes and byte strides of the other dimensions, and of that one."""

    def __init__(self, layout, dim):
        size = layout.dtype.itemsize
        self.sizes = [n for d, n in enumerate(layout.shape) if d != dim]
        self.strides = [s * size for d, s in enumerate(layout.strides) if d != dim]
        self.length, self.step = layout.shape[dim], layout.strides[dim] * size
        self.count = math.prod(self.sizes)


def key_bits(dtype):
    """Bits of the unsigned key of a dtype."""
    return 32 if dtype in (dt.float16, dt.bfloat16) else max(8, dtype.itemsize * 8)


class OrderKernel(StaticReader):
    """What sorting and selecting kernels share: rows, keys, elements in scratch memory."""

    def __init__(self, dtype, rank, descending):
        self.dtype, self.rank, self.descending = dtype, rank, descending
        self.bits = key_bits(dtype)
        self.words = 1 if self.bits <= 32 else 2
        self.size = 8 * self.words

    def begin(self, module, name):
        self.fn = fn = kernel(module, name)
        self.k = Handler(fn, 1)

    def read_rows(self):
        """Chunk, sizes, then pointer, strides and step of the input and of the result."""
        self.chunk, self.count, self.length = self.word(), self.word(), self.word()
        self.sizes = [self.word() for _ in range(self.rank)]
        self.ends = [(self.pointer(), [self.word() for _ in range(self.rank)], self.word()) for _ in range(2)]

    def row_pointers(self, row):
        fn, index = self.fn, []
        for size in reversed(self.sizes):
            index.insert(0, row % size)
            row = row // size
        found = []
        for base, strides, _ in self.ends:
            for i, s in zip(index, strides):
                base = fn.gep(base, i * s)
            found.append(base)
        return found

    def key(self, pointer):
        """The unsigned key (i64) of the element at a pointer."""
        fn, dtype = self.fn, self.dtype
        bits = self.key_of(self.k.from_memory(dtype, fn.load(pointer, stored_type(dtype))).value)
        return bits if bits.type == "i64" else fn.cast("zext", bits, "i64")

    def key_of(self, x):
        """The unsigned key of a number, or of each lane of a vector, as wide as the number."""
        fn, dtype = self.fn, self.dtype
        if dtype.is_floating_point:
            wide = builder.vector(f"i{self.bits}", builder.lanes(x.type))
            bits = fn.cast("bitcast", x + 0.0, wide)
            bits = fn.select(x.ne(x), fn.constant((1 << (self.bits - 1)) - 1, wide), bits)
            bits = fn.select(bits < 0, bits ^ -1, bits ^ -(1 << (self.bits - 1)))
        elif dtype is dt.bool_:
            bits = fn.cast("zext", x, "i8")
        else:
            bits = x ^ -(1 << (builder.BITS[builder.element(x.type)] - 1)) if dtype.is_signed else x
        return bits ^ -1 if self.descending else bits

    def element(self, pointer, position):
        """The words of an element: key and position."""
        key = self.key(pointer)
        if self.words == 1:
            return (key << 32) | position,
        return key, position

    def load(self, base, at):
        return tuple([self.fn.load_at(base, at * self.words + i, "i64") for i in range(self.words)])

    def store(self, element, base, at):
        for i, word in enumerate(element):
            self.fn.store_at(word, base, at * self.words + i)

    def position(self, element):
        return element[1] if self.words == 2 else element[0] & 0xFFFFFFFF

    def insert(self, element, base, last):
        """Move the elements above `element` up, from position `last` down, and put it below them. Equal ones stay
        below."""
        fn = self.fn
        at = fn.variable("i64", last)
        go = fn.variable("i1", fn.constant(1, "i1"))

        def moving():
            place = at.get()
            with fn.if_(place > 0):
                before = self.load(base, place - 1)
                above = before[0].compare("gt", element[0], unsigned=True)
                go.set(above)
                with fn.if_(above):
                    self.store(before, base, place)
                    at.set(place - 1)
            with fn.if_(place <= 0):
                go.set(fn.constant(0, "i1"))
            return go.get()
        with fn.while_(moving):
            pass
        self.store(element, base, at.get())


class SortKernel(OrderKernel):
    """Stable positions of the sorted order of rows."""

    def emit(self, module, name):
        self.begin(module, name)
        fn = self.fn
        self.read_rows()
        scratch, span = self.pointer(), self.word()
        passes = self.bits // DIGIT
        counters = fn.gep(scratch, fn.args[2] * span)
        first = fn.gep(counters, passes * BUCKETS * 8)
        second = fn.gep(first, self.length * self.size)
        start = fn.args[2] * self.chunk
        with fn.loop(start, fn.minimum(start + self.chunk, self.count)) as row:
            source, target = self.row_pointers(row)
            step = self.ends[0][2]
            with fn.loop(0, self.length) as j:
                self.store(self.element(fn.gep(source, j * step), j), first, j)
            fn.if_else(self.length <= SHORT, lambda: self.short(first, target),
                       lambda: self.long(counters, first, second, target))
        fn.ret()

    def short(self, first, target):
        with self.fn.loop(1, self.length) as j:
            self.insert(self.load(first, j), first, j)
        self.write(first, target)

    def write(self, base, target):
        fn, step = self.fn, self.ends[1][2]
        with fn.loop(0, self.length) as j:
            fn.store(self.position(self.load(base, j)), fn.gep(target, j * step))

    def digit(self, element, number):
        shift = number * DIGIT + (32 if self.words == 1 else 0)
        return self.fn.emit("i64", f"lshr i64 {element[0].name}, {shift}") & (BUCKETS - 1)

    def long(self, counters, first, second, target):
        fn, passes = self.fn, self.bits // DIGIT
        with fn.loop(0, passes * BUCKETS) as i:
            fn.store_at(fn.constant(0), counters, i)
        with fn.loop(0, self.length) as j:
            element = self.load(first, j)
            for number in range(passes):
                place = self.digit(element, number) + number * BUCKETS
                fn.store_at(fn.load_at(counters, place, "i64") + 1, counters, place)
        current, other = fn.variable("ptr", first), fn.variable("ptr", second)
        for number in range(passes):
            table = fn.gep(counters, number * BUCKETS * 8)
            shared = fn.load_at(table, self.digit(self.load(current.get(), 0), number), "i64")
            with fn.if_(shared.ne(self.length)):
                self.distribute(table, current.get(), other.get(), number)
                swap = current.get()
                current.set(other.get())
                other.set(swap)
        self.write(current.get(), target)

    def distribute(self, table, source, target, number):
        """One pass: the counts become starts, every element goes to its bucket."""
        fn = self.fn
        total = fn.variable("i64", 0)
        with fn.loop(0, BUCKETS) as i:
            count = fn.load_at(table, i, "i64")
            fn.store_at(total.get(), table, i)
            total.set(total.get() + count)
        with fn.loop(0, self.length) as j:
            element = self.load(source, j)
            place = self.digit(element, number)
            at = fn.load_at(table, place, "i64")
            fn.store_at(at + 1, table, place)
            self.store(element, target, at)


class TopKernel(OrderKernel):
    """Positions of the first k elements of rows, in order."""

    def emit(self, module, name):
        self.begin(module, name)
        fn = self.fn
        self.read_rows()
        k = self.word()
        scratch, span = self.pointer(), self.word()
        best = fn.gep(scratch, fn.args[2] * span)
        start = fn.args[2] * self.chunk
        with fn.loop(start, fn.minimum(start + self.chunk, self.count)) as row:
            source, target = self.row_pointers(row)
            step = self.ends[0][2]
            with fn.loop(0, k) as j:
                self.store(self.element(fn.gep(source, j * step), j), best, j)
                self.insert(self.load(best, j), best, j)
            worst = fn.variable("i64", self.load(best, k - 1)[0])
            read = fn.variable("i64", k)

            def consider(j):
                element = self.element(fn.gep(source, j * step), j)
                with fn.if_(element[0].compare("lt", worst.get(), unsigned=True)):
                    self.insert(element, best, k - 1)
                    worst.set(self.load(best, k - 1)[0])

            if self.dtype in WHOLE:
                with fn.if_(step.eq(self.dtype.itemsize)):
                    self.in_vectors(source, read, worst, consider)
            with fn.loop(read.get(), self.length) as j:
                consider(j)
            out = self.ends[1][2]
            with fn.loop(0, k) as j:
                fn.store(self.position(self.load(best, j)), fn.gep(target, j * out))
        fn.ret()

    def in_vectors(self, source, read, worst, consider):
        """`consider` the positions whose keys may be among the first k: most vectors of a row hold none."""
        fn, kind = self.fn, stored_type(self.dtype)
        width = target.current.vector_bytes // self.dtype.itemsize
        with fn.while_(lambda: read.get() + width <= self.length):
            first = read.get()
            limit = worst.get() if self.words == 2 else fn.cast("trunc", lshr(fn, worst.get(), 32), "i32")
            keys = self.key_of(fn.load_vector(source, first, kind, width))
            better = fn.cast("bitcast", keys.compare("lt", limit, unsigned=True), f"i{width}")
            left = fn.variable("i64", fn.cast("zext", better, "i64"))
            with fn.while_(lambda: left.get().ne(0)):
                among = left.get()
                consider(first + fn.intrinsic("llvm.cttz.i64", "i64", among, fn.constant(0, "i1")))
                left.set(among & (among - 1))
            read.set(first + width)


def rows_of(instruction):
    options = dict(instruction.attrs)
    source, target = instruction.ins[0], instruction.outs[0]
    return options, source, target, Rows(source[1], options["dim"]), Rows(target[1], options["dim"])


def static_of(source, target, rows, results, chunk):
    return [chunk, rows.count, rows.length, *rows.sizes, memory(source), *rows.strides, rows.step, memory(target),
            *results.strides, results.step]


def share(rows, nanoseconds):
    """(rows of a task, number of tasks)."""
    tasks = max(1, min(rows.count, MOST_TASKS, math.ceil(rows.count * nanoseconds / 20_000)))
    chunk = -(-rows.count // tasks)
    return chunk, -(-rows.count // chunk)


def lower_argsort(instruction):
    """ins: a tensor; attrs dim, descending; out: int64 positions of the same shape."""
    options, source, target, rows, results = rows_of(instruction)
    if not target[1].numel:
        return []
    kernel = SortKernel(source[1].dtype, len(rows.sizes), options["descending"])
    passes = kernel.bits // DIGIT
    each = rows.length * (2.0 + 2.0 * passes) + (passes * BUCKETS * 2 if rows.length > SHORT else rows.length * 4)
    chunk, tasks = share(rows, each)
    span = -(-(passes * BUCKETS * 8 + 2 * rows.length * kernel.size) // 64) * 64
    static = static_of(source, target, rows, results, chunk) + [Memory(Scratch(span * tasks)), span]
    key = ("argsort", source[1].dtype.name, len(rows.sizes), options["descending"])
    return [Launch(KernelSource(key, kernel.emit), static, tasks, rows.count * each)]


def lower_topk(instruction):
    """ins: a tensor; attrs dim, k (at least 1), largest; out: int64 positions with size k in dim."""
    options, source, out, rows, results = rows_of(instruction)
    if not out[1].numel:
        return []
    k = options["k"]
    kernel = TopKernel(source[1].dtype, len(rows.sizes), options["largest"])
    each = rows.length * 1.5 + k * 30.0
    chunk, tasks = share(rows, each)
    span = -(-k * kernel.size // 64) * 64
    static = static_of(source, out, rows, results, chunk) + [k, Memory(Scratch(span * tasks)), span]
    key = ("topk", source[1].dtype.name, len(rows.sizes), options["largest"], target.current.vector_bytes)
    return [Launch(KernelSource(key, kernel.emit), static, tasks, rows.count * each)]


class SearchKernel(StaticReader):
    """Binary searches: for every value the first position of its row of edges that is not before it."""

    def __init__(self, edges, values, sorter, rank, right, out):
        self.edges, self.values, self.sorter, self.rank, self.right, self.out = edges, values, sorter, rank, right, out

    def emit(self, module, name):
        self.fn = fn = kernel(module, name)
        word = self.word
        chunk, count, length = word(), word(), word()
        sizes = self.words(self.rank)
        ends = [(self.pointer(), self.words(self.rank)) for _ in range(2)]
        rows = [(self.pointer(), self.words(self.rank), word())
                for _ in range(2 if self.sorter else 1)]
        k = Handler(fn, 1)
        joined = dt.promote(self.edges, self.values)
        start = fn.args[2] * chunk
        with fn.loop(start, fn.minimum(start + chunk, count)) as flat:
            index, rest = [], flat
            for size in reversed(sizes):
                index.insert(0, rest % size)
                rest = rest // size
            places = []
            for base, strides, *_ in (*ends, *rows):
                for i, s in zip(index, strides):
                    base = fn.gep(base, i * s)
                places.append(base)
            value = k.cast(k.from_memory(self.values, fn.load(places[0], stored_type(self.values))), joined)
            low, high = fn.variable("i64", 0), fn.variable("i64", length)
            with fn.while_(lambda: low.get() < high.get()):
                middle = low.get() + (high.get() - low.get()) // 2
                at = middle
                if self.sorter:
                    at = fn.load(fn.gep(places[3], middle * rows[1][2]), "i64")
                edge = k.from_memory(self.edges, fn.load(fn.gep(places[2], at * rows[0][2]), stored_type(self.edges)))
                reached = k.compare("gt" if self.right else "ge", k.cast(edge, joined), value).value
                low.set(fn.select(reached, low.get(), middle + 1))
                high.set(fn.select(reached, middle, high.get()))
            found = k.cast(Typed(k, dt.int64, low.get()), self.out)
            fn.store(found.value, places[1])
        fn.ret()


def lower_search(instruction):
    """ins: edges (..., n), values (..., m)[, sorter (..., n)]; attrs right; out: integers in the shape of the
    values."""
    edges, values, *sorter = instruction.ins
    out = instruction.outs[0]
    if not out[1].numel:
        return []
    shape, rank = out[1].shape, out[1].ndim
    length = edges[1].shape[-1]

    def strides(ref):
        return [s * ref[1].dtype.itemsize for s in ref[1].strides]

    def row_strides(ref):
        lead = strides(ref)[:-1]
        return [*(lead or [0] * max(rank - 1, 0)), *[0] * min(rank, 1), ref[1].strides[-1] * ref[1].dtype.itemsize]
    each = 5.0 + 3.0 * math.log2(length + 1)
    count = out[1].numel
    chunk = max(1, min(count, math.ceil(20_000 / each)))
    static = [chunk, count, length, *shape, memory(values), *strides(values), memory(out), *strides(out)]
    for ref in (edges, *sorter):
        static += [memory(ref), *row_strides(ref)]
    right = dict(instruction.attrs)["right"]
    key = ("search", edges[1].dtype.name, values[1].dtype.name, bool(sorter), rank, right, out[1].dtype.name)
    kernel = SearchKernel(edges[1].dtype, values[1].dtype, bool(sorter), rank, right, out[1].dtype)
    return [Launch(KernelSource(key, kernel.emit), static, -(-count // chunk), count * each)]
