"""Scans along one dimension: cumulative sums, products, extremes with positions, logcumsumexp.

One kernel a combination of scan, dtypes and order; each row (a position of the other dimensions) is walked once, in
double precision for floats, as PyTorch does on the CPU. A step waits for the one before it, so that several rows are
under way at a time: as lanes of vectors where they lie side by side in memory, else in turns.

Static block: units a task (rows, or stretches of LANES rows), units, length; for the input and each output its place
and byte stride along the dimension; for each other dimension its size and the byte strides of input and outputs.
"""

from ....core import dtype as dt
from ....core.layout import coalesce
from ...bodies.handler import Handler, Typed, computed_type, stored_type
from ...ir.builder import vector
from ...ir.kernel import KernelSource, Launch
from ...ir.statics import StaticReader, kernel
from ...lower import memory

TASK_ELEMENTS = 16384
ROWS_AT_ONCE = 8
LANES = 16
OTHER_DIMS = 5  # other dimensions after merging neighbours


class ScanKernel(StaticReader):
    """Writes the kernel of one scan. `columns`: rows that lie side by side in memory are the lanes of vectors; else
    rows take turns."""

    def __init__(self, op, source, result, columns):
        self.op = op
        self.source, self.result, self.columns = source, result, columns

    def key(self):
        return ("scan", self.op.name, self.source.name, self.result.name, self.columns)

    def emit(self, module, name):
        self.fn = fn = kernel(module, name)
        count = 1 + len(self.op.start)
        chunk, rows, self.length = self.words(3)
        bases, self.steps = zip(*[(self.pointer(), self.word()) for _ in range(count)])
        dims = [(self.word(), self.words(count)) for _ in range(OTHER_DIMS)]
        start = fn.args[2] * chunk
        stop = fn.minimum(start + chunk, rows)
        if self.columns:
            self.side_by_side(start, stop, bases, dims)
        else:
            self.in_turns(start, stop, bases, dims)
        fn.ret()

    def moved(self, pointers, dims, row):
        """The pointers at a flat index over some dimensions."""
        for size, strides in reversed(dims):
            index, row = row % size, row // size
            pointers = [self.fn.gep(p, index * s) for p, s in zip(pointers, strides)]
        return pointers

    def in_turns(self, start, stop, bases, dims):
        """Scan rows, several at a time."""
        fn, k = self.fn, Handler(self.fn, 1)
        whole = stop - (stop - start) % ROWS_AT_ONCE
        with fn.loop(start, whole, ROWS_AT_ONCE) as row:
            self.walk(k, [self.moved(bases, dims, row + i) for i in range(ROWS_AT_ONCE)])
        with fn.loop(whole, stop) as row:
            self.walk(k, [self.moved(bases, dims, row)])

    def side_by_side(self, start, stop, bases, dims):
        """Scan stretches of LANES rows; the rest of the last dimension row by row."""
        fn = self.fn
        inner, strides = dims[-1]
        stretches = (inner + (LANES - 1)) // LANES
        with fn.loop(start, stop) as index:
            pointers = self.moved(bases, dims[:-1], index // stretches)
            first = index % stretches * LANES

            def at(row):
                return [fn.gep(p, row * s) for p, s in zip(pointers, strides)]

            def singly():
                with fn.loop(first, inner) as row:
                    self.walk(Handler(fn, 1), [at(row)])
            fn.if_else(first + LANES <= inner, lambda: self.walk(Handler(fn, LANES), [at(first)]), singly)

    def walk(self, k, rows):
        """Scan some rows (their pointers), one step of each after the other."""
        fn = self.fn
        k.mask = None
        work = self.op.total(self.result)
        dtypes = [work, dt.int64][:len(self.op.start)]
        states = []
        for _ in rows:
            kinds = [computed_type(d, k.width) for d in dtypes]
            states.append([fn.variable(kind, fn.convert(value, kind)) for kind, value in zip(kinds, self.op.start)])
        with fn.loop(0, self.length) as i:
            values = [self.value(k, fn.gep(pointers[0], i * self.steps[0]), work) for pointers in rows]
            places = [[fn.gep(p, i * step) for p, step in zip(pointers[1:], self.steps[1:])] for pointers in rows]
            for totals, value, targets in zip(states, values, places):
                self.step(k, totals, dtypes, value, i, targets)

    def value(self, k, pointer, work):
        """The elements at a place, in the dtype of the totals."""
        loaded = self.fn.load(pointer, vector(stored_type(self.source), k.width), self.source.itemsize)
        return k.cast(k.from_memory(self.source, loaded), work)

    def step(self, k, totals, dtypes, value, i, targets):
        """Take one element into the totals of a row (or of each lane), and store them."""
        fn = self.fn
        before = [Typed(k, d, t.get()) for d, t in zip(dtypes, totals)]
        after = self.op.step(k, before, value, Typed(k, dt.int64, i))
        for total, new in zip(totals, after):
            total.set(new.vector_value())
        for new, dtype, pointer in zip(after, [self.result, dt.int64], targets):
            fn.store(k.to_memory(k.cast(new, dtype)), pointer, dtype.itemsize)


def scan(instruction):
    """ins: input; outs: values[, indices]; attrs dim."""
    options = dict(instruction.attrs)
    refs = [instruction.ins[0], *instruction.outs]
    shape = instruction.ins[0][1].shape
    if not instruction.outs[0][1].numel:
        return []
    dim, length = options["dim"], shape[options["dim"]] if len(shape) else 1
    strides = [[s * ref[1].dtype.itemsize for s in ref[1].strides] for ref in refs]
    dims = coalesce([(n, tuple(s[d] for s in strides)) for d, n in enumerate(shape) if d != dim])
    if len(dims) > OTHER_DIMS:
        raise NotImplementedError(f"scan over a tensor with {len(dims)} other dimensions that cannot be merged")
    rows = 1
    for n, _ in dims:
        rows *= n
    dims = [(1, (0,) * len(refs))] * (OTHER_DIMS - len(dims)) + dims
    source, result = refs[0][1].dtype, refs[1][1].dtype
    inner, inner_strides = dims[-1]
    columns = inner >= LANES and all(s == ref[1].dtype.itemsize for s, ref in zip(inner_strides, refs))
    kernel = ScanKernel(instruction.op, source, result, columns)
    units = rows // inner * -(-inner // LANES) if columns else rows
    chunk = max(1, TASK_ELEMENTS * units // max(length * rows, 1))
    static = [chunk, units, length]
    for ref, s in zip(refs, strides):
        static += [memory(ref), s[dim] if len(shape) else 0]
    for n, s in dims:
        static += [n, *s]
    return [Launch(KernelSource(kernel.key(), kernel.emit), static, -(-units // chunk), 1.5 * rows * length)]
