"""Sums and means of few floating values, bit for bit as PyTorch's CPU adds them.

What a program prints or decides (`loss > 0`, an arg-maximum of means) can hang on the last bit of a small sum, so small
sums are added in PyTorch's order; large ones take the row kernels of `loops`, which fuse and use all threads.

Note [The order of a sum]
The dimensions are ordered as TensorIterator orders them (`layout.stride_order`) and merged; the innermost two make the
rows. A row of n values is added in one of three ways:
  vector   contiguous, n >= V: four vectors of V lanes take turns; the rest of full vectors goes to the first; then the
           four are added, then the values behind the last full vector, then the lanes, one after the other
  strided  the same with V = 1
  column   one after the other: neighbouring columns that PyTorch adds side by side
Every accumulator is a cascade: after 16 steps it is added to a second one and starts again, that after 256 steps to a
third, and so on. V is 256 bits of lanes on every machine. Rows of one result are added in the order of the outer loops.

Static block: row length and stride; columns: count, strides of input and output, how many are of kind "column"; for
each outer dimension its size and strides; for each of the columns and outer dimensions its size in the result; count
of a mean; result, input. Made by sum_order.py.
"""

from ....core import dtype as dt
from ...bodies.handler import stored_type
from ...ir.builder import vector
from ...ir.statics import StaticReader, kernel
from .sum_order import TURNS, VECTOR_BYTES

STEP, LEVELS = 16, 4


class OrderedSum(StaticReader):
    """Writes the kernel of one kind of row, dtype and number of outer dimensions."""

    def __init__(self, dtype, row, outer, mean):
        self.row, self.outer, self.mean = row, outer, mean
        dtype = dt.by_name(dtype)
        self.kind, self.size = stored_type(dtype), dtype.itemsize

    def emit(self, module, name):
        self.fn = fn = kernel(module, name)
        length, self.stride = self.words(2)
        columns, step, out_step, side_by_side = self.words(4)
        dims = [self.words(3) for _ in range(self.outer)]
        kept = self.words(1 + self.outer)
        count = self.word()
        out, source = self.pointer(), self.pointer()
        results = [(n, 0, stride) for n, (_, _, stride) in zip(kept[1:], dims)] + [(kept[0], 0, out_step)]
        self.walk(results, source, out, lambda _, place: fn.store(fn.constant(0.0, self.kind), place))

        def add_row(total, place):
            fn.store(fn.load(place, self.kind) + total, place)

        def rows(source, out):
            with fn.loop(0, side_by_side) as j:
                add_row(self.cascade(fn.gep(source, j * step), self.stride, length, 1), fn.gep(out, j * out_step))
            with fn.loop(side_by_side, columns) as j:
                add_row(self.whole_row(fn.gep(source, j * step), length), fn.gep(out, j * out_step))
        self.walk(dims, source, out, rows)
        if self.mean:
            number = fn.cast("sitofp", count, self.kind)
            self.walk(results, source, out, lambda _, place: fn.store(fn.load(place, self.kind) / number, place))
        fn.ret()

    def walk(self, dims, source, out, body):
        """Nested loops over `dims`, outermost first, around `body(source, out)`."""
        if not dims:
            body(source, out)
            return
        n, step, out_step = dims[0]
        with self.fn.loop(0, n) as i:
            self.walk(dims[1:], self.fn.gep(source, i * step), self.fn.gep(out, i * out_step), body)

    def items(self, pointer, stride, lanes):
        """`lanes` values, `stride` bytes apart."""
        fn = self.fn
        if lanes == 1:
            return fn.load(pointer, self.kind)
        wide = vector(self.kind, lanes)
        if self.row == "vector":
            return fn.load(pointer, wide, self.size)
        found = fn.poison(wide)
        for lane in range(lanes):
            found = fn.insert(found, fn.load(fn.gep(pointer, stride * lane), self.kind), lane)
        return found

    def cascade(self, pointer, stride, steps, lanes):
        """The sum of `steps` groups of `lanes` values each, lane by lane."""
        fn, wide = self.fn, vector(self.kind, lanes)
        zero = fn.convert(0, wide)
        levels = [fn.variable(wide, zero) for _ in range(LEVELS)]

        def carry(level, done):
            if level == LEVELS:
                return
            with fn.if_((done & (STEP ** level - 1)).eq(0)):
                levels[level].set(levels[level].get() + levels[level - 1].get())
                levels[level - 1].set(zero)
                carry(level + 1, done)
        with fn.loop(0, steps) as i:
            levels[0].set(levels[0].get() + self.items(fn.gep(pointer, i * (stride * lanes)), stride, lanes))
            carry(1, i + 1)
        total = levels[0].get()
        for level in levels[1:]:
            total = total + level.get()
        return total

    def whole_row(self, pointer, length):
        """The sum of one row of kind "vector" or "strided"."""
        fn = self.fn
        lanes = VECTOR_BYTES // self.size if self.row == "vector" else 1
        groups = length // lanes
        turns = groups // TURNS
        sums = self.cascade(pointer, self.stride, turns, TURNS * lanes)

        def turn(number):
            if lanes == 1:
                return fn.extract(sums, number)
            return fn.shuffle(sums, sums, range(number * lanes, (number + 1) * lanes))
        first = fn.variable(vector(self.kind, lanes), turn(0))
        with fn.loop(turns * TURNS, groups) as i:
            first.set(first.get() + self.items(fn.gep(pointer, i * (self.stride * lanes)), self.stride, lanes))
        total = first.get()
        for number in range(1, TURNS):
            total = total + turn(number)
        if lanes == 1:
            return total
        last = fn.variable(self.kind, fn.constant(0.0, self.kind))
        with fn.loop(groups * lanes, length) as i:
            last.set(last.get() + fn.load(fn.gep(pointer, i * self.stride), self.kind))
        result = last.get()
        for lane in range(lanes):
            result = result + fn.extract(total, lane)
        return result
