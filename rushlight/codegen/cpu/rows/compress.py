"""Selecting by masks: kernels that number the true elements of a mask in row-major order, for nonzero, masked_select,
masked_scatter.

The input is an instruction over the shape of the mask. Work is divided into blocks of rows (of columns where there
is one row): `count_blocks` counts the true elements of every block, `compress` starts each block at the sum of the
counts before it and writes positions ("positions": one row of the result per dimension), values ("values"), or takes
the next values of a source ("spread"). The number of blocks is that of the counts. Where a whole vector of a mask is
false it is skipped. Read `scatter` for the style.
"""

import math

from ...bodies import pairs
from ...bodies.handler import Handler, stored_type
from ...ir.builder import vector
from ...ir.kernel import KernelSource, Launch
from ...ir.statics import StaticReader, kernel
from ...lower import memory

LANES = 32
ELEMENT_NANOSECONDS = {"count": 0.1, "positions": 1.5, "values": 1.0, "spread": 1.2}


class Compress:
    """The static block and key of one instruction. `walking`: operands that the walk over the mask reads or writes as
    well; `code`: of the failure that is reported."""

    def __init__(self, mode, mask, counts, walking, whole, code=0):
        self.mode, self.mask, self.code = mode, mask, code
        found = mask[1]
        self.shape = tuple(found.shape) or (1,)
        self.rank = len(self.shape)
        self.blocks = counts[1].numel
        self.counts, self.walking, self.whole = counts, walking, whole
        self.unit = found.ndim > 0 and found.strides[-1] == 1 and found.dtype.itemsize == 1

    def strides(self, ref):
        _, found, _ = ref
        size, lead = found.dtype.itemsize, self.rank - found.ndim
        return [0] * lead + [0 if n == 1 else s * size for n, s in zip(found.shape, found.strides)]

    def key(self):
        return ("compress", self.mode, self.code, self.rank, self.unit, self.mask[1].dtype.name,
                tuple(r[1].dtype.name for r in self.walking), tuple(r[1].dtype.name for r in self.whole))

    def launch(self):
        rows, columns = math.prod(self.shape[:-1]), self.shape[-1]
        by_rows = rows > 1
        chunk = -(-(rows if by_rows else columns) // self.blocks)
        static = [*self.shape, rows, chunk if by_rows else 1, columns if by_rows else chunk, int(by_rows),
                  memory(self.counts)]
        for ref in (self.mask, *self.walking):
            static += [memory(ref), *self.strides(ref)]
        for ref in self.whole:
            static += [memory(ref), ref[1].numel, *([0, *ref[1].strides] if ref[1].ndim == 1 else ref[1].strides)]
        cost = rows * columns * ELEMENT_NANOSECONDS[self.mode] + rows * 2.0
        return Launch(KernelSource(self.key(), CompressKernel(self).emit), static, self.blocks, cost)


class CompressKernel(StaticReader):
    """Writes the function of one structure."""

    def __init__(self, plan):
        self.mode, self.code, self.rank, self.unit = plan.mode, plan.code, plan.rank, plan.unit
        self.mask_dtype = plan.mask[1].dtype
        self.walking = [r[1].dtype for r in plan.walking]
        self.whole = [r[1].dtype for r in plan.whole]

    def emit(self, module, name):
        self.fn = fn = kernel(module, name)
        self.k = Handler(fn, 1)
        sizes = self.words(self.rank)
        rows, row_chunk, column_chunk, by_rows = self.words(4)
        counts = self.pointer()
        walks = [(self.pointer(), self.words(self.rank)) for _ in range(1 + len(self.walking))]
        self.targets = [(self.pointer(), self.word(), self.words(2)) for _ in self.whole]
        task = fn.args[2]
        split = by_rows.ne(0)
        zero = fn.constant(0)
        first = fn.minimum(fn.select(split, task * row_chunk, zero), rows)
        last = fn.minimum(fn.select(split, first + row_chunk, rows), rows)
        low = fn.minimum(fn.select(split, zero, task * column_chunk), sizes[-1])
        high = fn.minimum(fn.select(split, sizes[-1], low + column_chunk), sizes[-1])
        self.position = fn.variable("i64", 0)
        if self.mode != "count":
            with fn.loop(0, task) as i:
                self.position.set(self.position.get() + fn.load_at(counts, i, "i64"))
        self.dump = fn.alloca("[2 x i64]")
        with fn.loop(first, last) as row:
            index, rest = [], row
            for size in reversed(sizes[:-1]):
                index.insert(0, rest % size)
                rest = rest // size
            pointers = [self.moved(p, strides, index) for p, strides in walks]
            self.row(pointers, [strides[-1] for _, strides in walks], index, low, high)
        if self.mode == "count":
            fn.store_at(self.position.get(), counts, task)
        fn.ret()

    def moved(self, pointer, strides, index):
        for i, stride in zip(index, strides):
            pointer = self.fn.gep(pointer, i * stride)
        return pointer

    def row(self, pointers, steps, index, low, high):
        """The elements low..high of one row, a vector of the mask at a time where it is contiguous."""
        fn = self.fn
        start = low
        if self.unit:
            start = low + (high - low) // LANES * LANES
            with fn.loop(low, start, LANES) as j:
                loaded = fn.load(fn.gep(pointers[0], j), vector("i8", LANES), 1)
                bits = fn.cast("bitcast", loaded.ne(0), f"i{LANES}")
                if self.mode == "count":
                    self.position.set(self.position.get() + fn.cast("zext", self.ones(bits), "i64"))
                else:
                    with fn.if_(bits.ne(0)):
                        self.elements(pointers, steps, index, j, j + LANES)
        self.elements(pointers, steps, index, start, high)

    def ones(self, bits):
        return self.fn.intrinsic(f"llvm.ctpop.i{LANES}", f"i{LANES}", bits)

    def elements(self, pointers, steps, index, low, high):
        fn, k = self.fn, self.k
        with fn.loop(low, high) as j:
            found = fn.load(fn.gep(pointers[0], j * steps[0]), stored_type(self.mask_dtype))
            true = k.boolean(k.from_memory(self.mask_dtype, found)).value
            at = self.position.get()
            if self.mode == "positions":
                base, _, (stride, step) = self.targets[0]
                for d, i in enumerate([*index, j]):
                    place = fn.gep(base, stride * d + step * at, "i64")
                    fn.store(i, fn.select(true, place, self.dump))
            elif self.mode == "values":
                self.take(fn.gep(pointers[1], j * steps[1]), at, true)
            elif self.mode == "spread":
                self.put(fn.gep(pointers[1], j * steps[1]), at, true)
            self.position.set(at + fn.cast("zext", true, "i64"))

    def take(self, source, at, true):
        """Copy an element to the next place of the result."""
        fn = self.fn
        base, _, (_, step) = self.targets[0]
        kind, align = pairs.moved_type(self.whole[0])
        place = fn.gep(base, step * at, kind)
        fn.store(fn.load(source, kind, align), fn.select(true, place, self.dump), align)

    def put(self, target, at, true):
        """Copy the next element of the source to here; reports where the source has none left."""
        fn = self.fn
        base, count, (_, step) = self.targets[0]
        kind, align = pairs.moved_type(self.whole[0])
        with fn.if_(true):
            inside = at < count
            with fn.if_(inside ^ 1):
                fn.line(f"store i64 {self.code}, ptr {fn.args[0].name}")
            with fn.if_(inside):
                fn.store(fn.load(fn.gep(base, step * at, kind), kind, align), target, align)


def lower_count(instruction):
    """ins: mask; out: the number of true elements of each block."""
    return [Compress("count", instruction.ins[0], instruction.outs[0], [], []).launch()]


def lower_compress(instruction):
    """ins: mask, counts[, values or source]; out: positions (rank, count), values (count), or the target of
    "spread"."""
    mode = dict(instruction.attrs)["mode"]
    mask, counts, *rest = instruction.ins
    out = instruction.outs[0]
    if mode == "positions":
        plan = Compress(mode, mask, counts, [], [out])
    elif mode == "values":
        plan = Compress(mode, mask, counts, rest, [out])
    else:
        plan = Compress(mode, mask, counts, [out], rest, instruction.op.code("source"))
    return [plan.launch()]

