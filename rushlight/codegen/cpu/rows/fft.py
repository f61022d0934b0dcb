"""Fourier transforms of many signals along one dimension, as many at a time as a register has lanes.

In: signals (complex, real, or the first half of a symmetric spectrum) and a table of roots of unity. Out: their
transforms. A lane is a signal, so that no value ever moves between lanes; signals that do not lie side by side in
memory are loaded lane by lane. Real signals of even length are transformed as complex ones of half the length (E. O.
Brigham, The Fast Fourier Transform, 1974, section 10-10).

Note [Passes]
A transform of length n = p1 p2 ... is a chain of passes over two buffers (C. Temperton, Self-sorting mixed-radix fast
Fourier transforms, 1983). With l the product of the factors so far and m = n / (l p), a pass combines the elements i +
m (q + p k), q < p, by a transform of length p and puts element q, times the root exp(-2 pi i q l i / n), at i + m (k +
l q). The result is in order.

Static block: groups a task, groups, signals; sizes of the other dimensions; input (slot, offset, byte strides of the
other dimensions, of the transformed one), the same for the result; table (slot, offset); buffers (slot, offset).
"""

import functools
import math

from ...bodies.pairs import part_type
from ...ir import target
from ...ir.builder import BITS, lanes, vector
from ...ir.kernel import KernelSource, Launch, Memory, Scratch
from ...ir.statics import StaticReader, kernel
from ...lower import memory

RADICES = (4, 2, 3, 5, 7, 11, 13)
LONGEST = 4096  # two buffers of so many lanes of complex numbers fit into the second cache
TASK_NANOSECONDS = 30_000.0


def factors_of(n):
    """The radices of the passes of a transform of length n, None where it has another prime factor."""
    found = []
    for p in RADICES:
        while n % p == 0:
            found.append(p)
            n //= p
    return found if n == 1 else None


def core_length(kind, n):
    """The length of the complex transform that does the work."""
    return n // 2 if kind != "c2c" and n % 2 == 0 else n


def root(turn, sign):
    """exp(sign 2 pi i turn)."""
    return math.cos(2 * math.pi * turn), sign * math.sin(2 * math.pi * turn)


class Complex:
    """A pair of builder Values."""

    __slots__ = ("re", "im")

    def __init__(self, re, im):
        self.re, self.im = re, im

    def __add__(self, other):
        return Complex(self.re + other.re, self.im + other.im)

    def __sub__(self, other):
        return Complex(self.re - other.re, self.im - other.im)

    def __mul__(self, other):
        return Complex(self.re * other.re - self.im * other.im, self.re * other.im + self.im * other.re)

    def times(self, number):
        return Complex(self.re * number, self.im * number)

    def turned(self, sign):
        """Times i or -i."""
        return Complex(-self.im, self.re) if sign > 0 else Complex(self.im, -self.re)

    def conj(self):
        return Complex(self.re, -self.im)


def butterfly(values, sign):
    """The transform of as many values as a radix."""
    p = len(values)
    if p == 2:
        return [values[0] + values[1], values[0] - values[1]]
    if p == 4:
        a, b = values[0] + values[2], values[0] - values[2]
        c, d = values[1] + values[3], (values[1] - values[3]).turned(sign)
        return [a + c, b + d, a - c, b - d]
    # an odd radix: sums and differences of the values that lie opposite
    first, half = values[0], (p - 1) // 2
    sums = [values[q] + values[p - q] for q in range(1, half + 1)]
    gaps = [(values[q] - values[p - q]).turned(sign) for q in range(1, half + 1)]
    total = first
    for s in sums:
        total = total + s
    low, high = [], []
    for k in range(1, half + 1):
        even, odd = first, None
        for q in range(1, half + 1):
            cosine, sine = root(k * q % p / p, 1)
            even = even + sums[q - 1].times(cosine)
            part = gaps[q - 1].times(sine)
            odd = part if odd is None else odd + part
        low.append(even + odd)
        high.append(even - odd)
    return [total, *low, *high[::-1]]


class Transform(StaticReader):
    """Writes the kernel of one kind, length, dtype, direction and way that signals lie."""

    def __init__(self, kind, n, dtype, forward, scale, rank, columns, pairs):
        self.pairs = pairs  # neighbours of a real signal lie side by side: two of them are loaded as a complex number
        self.kind, self.n, self.part, self.forward = kind, n, part_type(dtype), forward
        self.scale, self.rank, self.columns = scale, rank, columns
        self.width = target.current.lanes(self.part)
        self.core, self.size = core_length(kind, n), BITS[self.part] // 8
        self.wide = vector(self.part, self.width)
        self.step = 2 * self.size * self.width  # bytes of an element of a buffer
        self.sign = {"c2c": -1 if forward else 1, "r2c": -1, "c2r": 1}[kind]  # a conjugate makes the other direction

    def key(self):
        return ("fft", self.kind, self.n, self.part, self.forward, self.scale, self.rank, self.columns, self.pairs,
                self.width)

    def emit(self, module, name):
        self.fn = fn = kernel(module, name)
        chunk, groups, self.signals = self.words(3)
        self.sizes = self.words(self.rank)
        operands = []
        for _ in range(2):
            base = self.pointer()
            operands.append((base, self.words(self.rank), self.word()))
        self.table, buffers = self.pointer(), self.pointer()
        room = self.core * self.step
        self.buffers = [fn.gep(buffers, fn.args[2] * (2 * room)), fn.gep(buffers, fn.args[2] * (2 * room) + room)]
        (self.source, self.source_strides, self.source_step) = operands[0]
        (self.result, self.result_strides, self.result_step) = operands[1]
        start = fn.args[2] * chunk
        with fn.loop(start, fn.minimum(start + chunk, groups)) as group:
            self.group(group)
        fn.ret()

    # -- where signals lie -------------------------------------------------------------

    def group(self, number):
        """The transforms of one group of signals."""
        fn = self.fn
        if self.columns:
            across = (self.sizes[-1] + (self.width - 1)) // self.width
            column = fn.minimum((number % across) * self.width, self.sizes[-1] - self.width)
            index = [*self.decompose(number // across, self.sizes[:-1]), column]
            self.inputs = [self.moved(self.source, self.source_strides, index)]
            self.outputs = [self.moved(self.result, self.result_strides, index)]
        else:
            self.inputs, self.outputs = [], []
            for lane in range(self.width):
                signal = fn.minimum(number * self.width + lane, self.signals - 1)
                index = self.decompose(signal, self.sizes)
                self.inputs.append(self.moved(self.source, self.source_strides, index))
                self.outputs.append(self.moved(self.result, self.result_strides, index))
        factors, length, at = factors_of(self.core), 1, 0
        # Where signals lie side by side, the first pass reads them and the last one writes the results. Else these are
        # loops of their own: passes take steps that for powers of two would meet in few lines of the cache.
        direct = bool(factors) and self.columns
        if not direct:
            with fn.loop(0, self.core) as j:
                self.put(0, j, self.element(j))
        whole = self.kind != "r2c"
        for number, p in enumerate(factors):
            load = self.element if direct and number == 0 else functools.partial(self.take, at)
            last = direct and whole and number == len(factors) - 1
            store = self.deliver if last else functools.partial(self.put, 1 - at)
            self.one_pass(p, length, load, store)
            length *= p
            at = 1 - at
        if not whole:
            self.write_half(at)
        elif not direct:
            with fn.loop(0, self.core) as j:
                self.deliver(j, self.take(at, j))

    def decompose(self, number, sizes):
        found = []
        for size in reversed(sizes[1:]):
            found.append(number % size)
            number = number // size
        return ([number] if sizes else []) + found[::-1]

    def moved(self, pointer, strides, index):
        for i, stride in zip(index, strides):
            pointer = self.fn.gep(pointer, i * stride)
        return pointer

    # -- elements of signals -------------------------------------------------------------

    def load_complex(self, j):
        """Element j of all lanes; of real signals (`pairs`) elements 2 j and 2 j + 1."""
        fn, both = self.fn, vector(self.part, 2 * self.width)
        step = self.source_step * 2 if self.kind == "r2c" else self.source_step
        if self.columns:
            loaded = fn.load(fn.gep(self.inputs[0], j * step), both, self.size)
        else:
            loaded = self.load_pairs(j * step)
        return Complex(*[fn.shuffle(loaded, loaded, range(at, 2 * self.width, 2)) for at in (0, 1)])

    def load_pairs(self, offset):
        """Two neighbours at `offset` of every lane's signal, interleaved."""
        fn = self.fn
        pair, parts = vector(self.part, 2), []
        for pointer in self.inputs:
            parts.append(fn.load(fn.gep(pointer, offset), pair, self.size))
        while len(parts) > 1:
            count = 2 * lanes(parts[0].type)
            parts = [fn.shuffle(a, b, range(count)) for a, b in zip(parts[::2], parts[1::2])]
        return parts[0]

    def load_real(self, j):
        fn = self.fn
        if self.columns:
            return fn.load(fn.gep(self.inputs[0], j * self.source_step), self.wide, self.size)
        found = fn.poison(self.wide)
        for lane, pointer in enumerate(self.inputs):
            found = fn.insert(found, fn.load(fn.gep(pointer, j * self.source_step), self.part, self.size), lane)
        return found

    def store_complex(self, j, value):
        fn, width = self.fn, self.width
        both = fn.shuffle(value.re, value.im, [lane // 2 + lane % 2 * width for lane in range(2 * width)])
        if self.columns:
            fn.store(both, fn.gep(self.outputs[0], j * self.result_step), self.size)
        else:
            self.store_pairs(both, j * (self.result_step * 2 if self.kind == "c2r" else self.result_step))

    def store_pairs(self, both, offset):
        fn = self.fn
        for lane, pointer in enumerate(self.outputs):
            fn.store(fn.shuffle(both, both, [2 * lane, 2 * lane + 1]), fn.gep(pointer, offset), self.size)

    def store_real(self, j, value):
        fn = self.fn
        if self.columns:
            fn.store(value, fn.gep(self.outputs[0], j * self.result_step), self.size)
            return
        for lane, pointer in enumerate(self.outputs):
            fn.store(fn.extract(value, lane), fn.gep(pointer, j * self.result_step), self.size)

    # -- the buffers ---------------------------------------------------------------------

    def take(self, buffer, index):
        place = self.fn.gep(self.buffers[buffer], index * self.step)
        return Complex(self.fn.load(place, self.wide, self.size),
                       self.fn.load(self.fn.gep(place, self.step // 2), self.wide, self.size))

    def put(self, buffer, index, value):
        place = self.fn.gep(self.buffers[buffer], index * self.step)
        self.fn.store(value.re, place, self.size)
        self.fn.store(value.im, self.fn.gep(place, self.step // 2), self.size)

    def root(self, index):
        """Entry `index` of the table, the same for all lanes."""
        fn = self.fn
        place = fn.gep(self.table, index * (2 * self.size))
        return Complex(*[fn.splat(fn.load(fn.gep(place, part * self.size), self.part, self.size), self.width)
                         for part in (0, 1)])

    def one_pass(self, p, length, load, store):
        """See Note [Passes]. `load(index)` gives an element, `store(index, value)` takes one."""
        fn, m = self.fn, self.core // (length * p)
        with fn.loop(0, m) as i:
            roots = [self.root(i * (q * length)) for q in range(1, p)] if m > 1 else None
            with fn.loop(0, length) as k:
                values = butterfly([load(i + (k * p + q) * m) for q in range(p)], self.sign)
                for q, value in enumerate(values):
                    store(i + (k + length * q) * m, value * roots[q - 1] if q and roots else value)

    # -- into and out of the core --------------------------------------------------------

    def element(self, j):
        """Element j of what the core transforms."""
        if self.kind == "c2c":
            return self.load_complex(j)
        if self.kind == "c2r":
            return self.read_half(j)
        if self.n % 2:
            return Complex(self.load_real(j), self.fn.constant(0, self.wide))
        if self.pairs:
            return self.load_complex(j)
        return Complex(self.load_real(j * 2), self.load_real(j * 2 + 1))

    def half_entry(self, index):
        """Frequency `index` of the half spectrum, conjugated where a forward transform is meant; the first and, for
        even n, the last are real."""
        fn = self.fn
        value = self.load_complex(index)
        edge = index.eq(0) if self.n % 2 else index.eq(0) | index.eq(self.n // 2)
        zero = fn.constant(0, self.wide)
        imag = fn.select(edge, zero, -value.im if self.forward else value.im)
        return Complex(value.re, imag)

    def read_half(self, j):
        fn, n = self.fn, self.n
        if n % 2:
            mirrored = j > n // 2
            value = self.half_entry(fn.select(mirrored, fn.constant(n) - j, j))
            return Complex(value.re, fn.select(mirrored, -value.im, value.im))
        a, b = self.half_entry(j), self.half_entry(fn.constant(self.core) - j).conj()
        return (a + b) + ((a - b) * self.root(j + self.core)).turned(1)

    def scaled(self, value):
        return value if self.scale == 1.0 else value.times(self.scale)

    def deliver(self, j, value):
        """Write element j of the core's result."""
        value = self.scaled(value)
        if self.kind == "c2c":
            self.store_complex(j, value)
        elif self.n % 2:
            self.store_real(j, value.re)
        elif self.pairs:
            self.store_complex(j, value)
        else:
            self.store_real(j * 2, value.re)
            self.store_real(j * 2 + 1, value.im)

    def write_half(self, buffer):
        """The frequencies of real signals."""
        with self.fn.loop(0, self.n // 2 + 1) as k:
            value = self.scaled(self.frequency(buffer, k))
            self.store_complex(k, value if self.forward else value.conj())

    def frequency(self, buffer, k):
        """Frequency k of a real signal."""
        fn, half = self.fn, self.core
        if self.n % 2:
            return self.take(buffer, k)
        zero = fn.constant(0)
        a = self.take(buffer, fn.select(k < half, k, zero))
        b = self.take(buffer, fn.select(k > 0, fn.constant(half) - k, zero)).conj()
        return ((a + b) + ((a - b) * self.root(k + half)).turned(-1)).times(0.5)


def columns_of(dims, itemsizes, width):
    """The number of the dimension along which signals lie side by side in input and result, or None."""
    for at, (size, strides) in enumerate(dims):
        if size >= width and strides == itemsizes:
            return at
    return None


def lower_fft(instruction):
    """ins: signals, table (see ops/signal/fft.py); outs: transforms. attrs: kind, dim, size, forward, factor."""
    options = dict(instruction.attrs)
    source, result = instruction.ins[0], instruction.outs[0]
    kind, dim, n = options["kind"], options["dim"], options["size"]
    dtype = (result if kind != "c2r" else source)[1].dtype
    refs = (source, result)
    if not result[1].numel:
        return []
    dims = [(size, tuple([ref[1].strides[d] * ref[1].dtype.itemsize for ref in refs]))
            for d, size in enumerate(result[1].shape) if d != dim and size > 1]
    width = target.current.lanes(part_type(dtype))
    at = columns_of(dims, tuple([ref[1].dtype.itemsize for ref in refs]), width)
    if at is not None:
        dims.append(dims.pop(at))
    real = {"r2c": source, "c2r": result}.get(kind)
    pairs = at is None and real is not None and real[1].strides[dim] == 1 and n % 2 == 0
    maker = Transform(kind, n, dtype, options["forward"], options["factor"], len(dims), at is not None, pairs)
    signals = math.prod(size for size, _ in dims)
    groups = signals // dims[-1][0] * -(-dims[-1][0] // width) if at is not None else -(-signals // width)
    unit = maker.core * width * (0.5 + 0.25 * len(factors_of(maker.core)))
    chunk = max(1, round(TASK_NANOSECONDS / unit))
    tasks = -(-groups // chunk)
    static = [chunk, groups, signals, *[size for size, _ in dims]]
    for i, ref in enumerate(refs):
        static += [memory(ref), *[strides[i] for _, strides in dims], ref[1].strides[dim] * ref[1].dtype.itemsize]
    static += [memory(instruction.ins[1]), Memory(Scratch(tasks * 2 * maker.core * maker.step))]
    return [Launch(KernelSource(maker.key(), maker.emit), static, tasks, groups * unit)]
