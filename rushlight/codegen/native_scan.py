"""Scans along one dimension: cumulative sums, products, extremes with positions, logcumsumexp.

One kernel a combination of scan and dtypes; a task takes some of the rows (all positions of the other dimensions),
each row is walked
once. Floats are summed in double precision, as PyTorch does on the CPU.

Static block: rows a task, rows, length; input slot, offset, byte stride along the dimension; the same for each output;
the number of
other dimensions, then for each its size and the byte strides of input and outputs.
"""

from ..core import dtype as dt
from .handler import Handler, Typed, computed_type, stored_type
from .kernel import KernelSource, Launch
from .lower import lowering, memory

TASK_ELEMENTS = 16384
OTHER_DIMS = 5  # other dimensions after merging neighbours


class Sum:
    """Running total."""

    outputs, start = 1, 0

    @staticmethod
    def step(k, total, value, position):
        return [total[0] + value]


class Product(Sum):
    """Running product."""

    start = 1

    @staticmethod
    def step(k, total, value, position):
        return [total[0] * value]


class Maximum:
    """Running maximum and the last position where it was met; NaN stays."""

    outputs, start, predicate = 2, None, "ge"

    @classmethod
    def step(cls, k, total, value, position):
        best, where = total
        take = k.compare(cls.predicate, value, best)
        if value.dtype.is_floating_point:
            take = k.logical_or(k.logical_and(take, k.logical_not(k.isnan(best))), k.isnan(value))
        first = position.eq(0)
        take = k.logical_or(take, first)
        return [k.where(take, value, best), k.where(take, position, where)]


class Minimum(Maximum):
    """Running minimum and the last position where it was met; NaN stays."""

    predicate = "le"


class LogSumExp(Sum):
    """Running log of the sum of exponentials."""

    start = float("-inf")

    @staticmethod
    def step(k, total, value, position):
        return [k.logaddexp(total[0], value)]


SCANS = {"sum": Sum, "prod": Product, "max": Maximum, "min": Minimum, "logsumexp": LogSumExp}


def working_dtype(kind, dtype):
    """The dtype that a scan accumulates in."""
    if kind in ("max", "min"):
        return dtype.compute
    if dtype.is_floating_point:
        return dt.float64
    return dtype


class ScanKernel:
    """Writes the kernel of one scan."""

    def __init__(self, kind, source, result, module, name):
        self.kind, self.scan = kind, SCANS[kind]
        self.source, self.result = source, result
        self.fn = module.function(name, [("ptr", "table"), ("ptr", "static"), ("i64", "task")])
        self.k = Handler(self.fn, 1)
        self.k.mask = None

    def word(self, index):
        return self.fn.load_at(self.fn.args[1], index, "i64")

    def pointer(self, index):
        base = self.fn.load(self.fn.gep(self.fn.args[0], self.word(index), "i64"), "ptr")
        return self.fn.gep(base, self.word(index + 1))

    def emit(self):
        fn, count = self.fn, 1 + self.scan.outputs
        chunk, rows, length = (self.word(i) for i in range(3))
        bases = [self.pointer(3 + 3 * i) for i in range(count)]
        steps = [self.word(5 + 3 * i) for i in range(count)]
        first = 3 + 3 * count
        sizes = [self.word(first + d * (1 + count)) for d in range(OTHER_DIMS)]
        strides = [[self.word(first + d * (1 + count) + 1 + i) for d in range(OTHER_DIMS)] for i in range(count)]
        start = fn.args[2] * chunk
        with fn.loop(start, fn.minimum(start + chunk, rows)) as row:
            rest, pointers = row, bases
            for d in reversed(range(OTHER_DIMS)):
                index = rest % sizes[d]
                rest = rest // sizes[d]
                pointers = [fn.gep(p, index * s[d]) for p, s in zip(pointers, strides)]
            self.row(pointers, steps, length)
        fn.ret()

    def row(self, pointers, steps, length):
        fn, k = self.fn, self.k
        work = working_dtype(self.kind, self.result)
        dtypes = [work, dt.int64][:self.scan.outputs]
        totals = [fn.variable(computed_type(d), self.scan.start if i == 0 and self.scan.start is not None else 0)
                  for i, d in enumerate(dtypes)]
        with fn.loop(0, length) as i:
            loaded = k.from_memory(self.source, fn.load(fn.gep(pointers[0], i * steps[0]), stored_type(self.source)))
            value = k.cast(loaded, work)
            before = [Typed(k, d, t.get()) for d, t in zip(dtypes, totals)]
            after = self.scan.step(k, before, value, Typed(k, dt.int64, i))
            for total, new in zip(totals, after):
                total.set(new.vector_value())
            for new, dtype, pointer, step in zip(after, [self.result, dt.int64], pointers[1:], steps[1:]):
                stored = k.to_memory(k.cast(new, dtype))
                fn.store(stored, fn.gep(pointer, i * step), dtype.itemsize)


def merged(dims):
    """Neighbouring dimensions merged where all strides allow it: [(size, strides)]."""
    found = []
    for n, strides in dims:
        if n == 1:
            continue
        if found and all(outer == n * inner for outer, inner in zip(found[-1][1], strides)):
            found[-1] = (found[-1][0] * n, strides)
        else:
            found.append((n, strides))
    return found


@lowering("scan")
def scan(instruction):
    """ins: input; outs: values[, indices]; attrs kind, dim."""
    options = dict(instruction.attrs)
    refs = [instruction.ins[0], *instruction.outs]
    shape = instruction.ins[0][1].shape
    if not instruction.outs[0][1].numel:
        return []
    dim, length = options["dim"], shape[options["dim"]] if len(shape) else 1
    strides = [[s * ref[1].dtype.itemsize for s in ref[1].strides] for ref in refs]
    dims = merged([(n, tuple(s[d] for s in strides)) for d, n in enumerate(shape) if d != dim])
    if len(dims) > OTHER_DIMS:
        raise NotImplementedError(f"scan over a tensor with {len(dims)} other dimensions that cannot be merged")
    rows = 1
    for n, _ in dims:
        rows *= n
    dims = [(1, (0,) * len(refs))] * (OTHER_DIMS - len(dims)) + dims
    chunk = max(1, TASK_ELEMENTS // max(length, 1))
    static = [chunk, rows, length]
    for ref, s in zip(refs, strides):
        static += [memory(ref), s[dim] if len(shape) else 0]
    for n, s in dims:
        static += [n, *s]
    source, result = refs[0][1].dtype, refs[1][1].dtype
    kind = options["kind"]
    key = ("scan", kind, source.name, result.name)
    kernel = KernelSource(key, lambda module, name: ScanKernel(kind, source, result, module, name).emit())
    return [Launch(kernel, static, -(-rows // chunk), 1.5 * rows * length)]
