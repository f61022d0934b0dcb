"""Pooling windows: the maximum with its position, the average, and their gradients.

In: instructions over (N, C, Z, Y, X) tensors (one- and two-dimensional pooling has sizes of 1 in front), windows given by
kernel, stride, padding and dilation, or adaptive ones. Out: one kernel a combination of operation, dtype and lane
order; no size decides code.

Note [Lanes of a pooling kernel]
Order "x": a task takes rows (n, c, z, y) of the result; lanes run along x where all windows lie inside, and the border
is done one by one. Inputs with a step of one or two elements between windows are read by whole vectors. Order "c": for
channels_last memory; rows are (n, z, y, x), lanes run along the channels. Gradients zero a plane (n, c) and add into
it, so that their order of additions is fixed. Maxima keep positions inside the plane, as int32 where nobody sees them.

Static block: chunk, rows, then WORDS in order, then slot, offset and five byte strides of each tensor.
"""

from ..core import dtype as dt
from . import target
from .builder import BITS, vector
from .handler import Handler, Typed, computed_type, stored_type
from .kernel import KernelSource, Launch
from .lower import lowering, memory

TASK_NANOSECONDS = 20000
WORDS = ["C"] + [letter + d for letter in "OIkspd" for d in "ZYX"] + ["low", "high", "counts", "divisor"]


class Geometry:
    """The static words of one instruction."""

    def __init__(self, options, inner, outer, order):
        self.words = [inner[1], *outer[2:], *inner[2:], *options["kernel"], *options["stride"], *options["padding"],
                      *options["dilation"]]
        low, high = self.inside(options, inner[4], outer[4]) if order != "c" and not options["adaptive"] else (0, 0)
        self.words += [low, high, int(options["pad_counts"]), options["divisor"]]

    @staticmethod
    def inside(options, size, count):
        """The range of results along x all of whose window lies inside."""
        k, s, p, d = (options[name][2] for name in ("kernel", "stride", "padding", "dilation"))
        low = -(-p // s)
        high = (size - 1 - (k - 1) * d + p) // s + 1 if size > (k - 1) * d - p else 0
        return min(low, count), max(min(low, count), min(high, count))


class PoolKernel:
    """What the kernels share: the prologue, the walk over a window."""

    def __init__(self, key, module, name):
        _, self.kind, dtype, index, self.order, self.adaptive, self.tensors = key
        self.dtype, self.index_dtype = dt.by_name(dtype), dt.by_name(index)
        self.fn = module.function(name, [("ptr", "table"), ("ptr", "static"), ("i64", "task")])
        base = max(1, target.current.vector_bytes // self.dtype.compute.itemsize)
        self.width = base * 2

    def word(self, index):
        return self.fn.load_at(self.fn.args[1], index, "i64")

    def prologue(self):
        fn = self.fn
        self.chunk, self.rows = self.word(0), self.word(1)
        self.w = {name: self.word(2 + i) for i, name in enumerate(WORDS)}
        at = 2 + len(WORDS)
        self.pointers, self.strides = [], []
        for _ in range(self.tensors):
            base = fn.load(fn.gep(fn.args[0], self.word(at), "i64"), "ptr")
            self.pointers.append(fn.gep(base, self.word(at + 1)))
            self.strides.append([self.word(at + 2 + i) for i in range(5)])
            at += 7

    def task_rows(self):
        start = self.fn.args[2] * self.chunk
        return self.fn.loop(start, self.fn.minimum(start + self.chunk, self.rows))

    def place(self, tensor, index):
        """The address at the given position; dimensions that are None count as 0."""
        pointer = self.pointers[tensor]
        for i, stride in zip(index, self.strides[tensor]):
            if i is not None:
                pointer = self.fn.gep(pointer, i * stride)
        return pointer

    # -- windows -------------------------------------------------------------------

    def bounds(self, at, d):
        """(position of the window's first element, first and last tap inside) of result `at` along dimension `d`."""
        fn, w = self.fn, self.w
        size, kernel = w["I" + d], w["k" + d]
        if self.adaptive:
            count = w["O" + d]
            first = at * size // count
            return first, fn.constant(0), ((at + 1) * size + (count - 1)) // count - first
        step = w["d" + d]
        first = at * w["s" + d] - w["p" + d]
        low = fn.maximum(fn.constant(0) - first + (step - 1), fn.constant(0)) // step
        high = fn.minimum(kernel, fn.maximum(size - first + (step - 1), fn.constant(0)) // step)
        return first, low, high

    def extent(self, bound, d):
        """How many elements a window counts along `d` for the average."""
        fn, w = self.fn, self.w
        first, low, high = bound
        padded = fn.minimum(first + w["k" + d], w["I" + d] + w["p" + d]) - first
        return fn.select(w["counts"].ne(0), padded, high - low)

    def taps(self, bounds, visit):
        """Call `visit(z, y, x)`, which emits the work for one element of the window, inside three loops."""
        fn, w = self.fn, self.w
        (fz, lz, hz), (fy, ly, hy), (fx, lx, hx) = bounds
        step = {d: 1 if self.adaptive else w["d" + d] for d in "ZYX"}
        with fn.loop(lz, hz) as kz:
            z = fz + kz * step["Z"]
            with fn.loop(ly, hy) as ky:
                y = fy + ky * step["Y"]
                with fn.loop(lx, hx) as kx:
                    visit(z, y, fx + kx * step["X"])

    def split(self, row, sizes):
        """A flat row number as indices."""
        found = []
        for size in reversed(sizes[1:]):
            found.append(row % size)
            row = row // size
        return [row, *found[::-1]]

    def along_x(self, run):
        """Call `run(x, width)` for all results of a row: vectors inside, one by one at the border."""
        fn, low, high = self.fn, self.w["low"], self.w["high"]
        if self.adaptive:
            with fn.loop(0, self.w["OX"]) as x:
                run(x, 1)
            return
        extra = 1 if self.order == "x2" else 0
        last = low + (high - low - extra) // self.width * self.width
        last = fn.select(high - low > extra, last, low)
        with fn.loop(0, low) as x:
            run(x, 1)
        with fn.loop(low, last, self.width) as x:
            run(x, self.width)
        with fn.loop(last, self.w["OX"]) as x:
            run(x, 1)

    # -- values ----------------------------------------------------------------------

    def load(self, k, tensor, pointer, width, order):
        """`width` elements whose distance the lane order tells."""
        fn, kind = self.fn, stored_type(self.dtype)
        align = self.dtype.itemsize
        if width == 1:
            return k.from_memory(self.dtype, fn.load(pointer, kind, align))
        if order in ("x1", "c"):
            return k.from_memory(self.dtype, fn.load(pointer, vector(kind, width), align))
        if order == "x2":
            wide = fn.load(pointer, vector(kind, 2 * width), align)
            return k.from_memory(self.dtype, fn.shuffle(wide, wide, list(range(0, 2 * width, 2))))
        stride = self.strides[tensor][4] * self.w["sX"]
        found = fn.poison(vector(kind, width))
        for lane in range(width):
            found = fn.insert(found, fn.load(fn.gep(pointer, stride * lane), kind, align), lane)
        return k.from_memory(self.dtype, found)

    def store(self, k, value, pointer, dtype):
        self.fn.store(k.to_memory(k.cast(value, dtype)), pointer, dtype.itemsize)

    def handler(self, width):
        k = Handler(self.fn, width)
        k.mask = None
        return k

    # -- forward -------------------------------------------------------------------------

    def forward(self):
        self.prologue()
        fn, w = self.fn, self.w
        with self.task_rows() as row:
            if self.order == "c":
                n, z, y, x = self.split(row, [None, w["OZ"], w["OY"], w["OX"]])
                bounds = [self.bounds(i, d) for i, d in zip((z, y, x), "ZYX")]
                whole = w["C"] // self.width * self.width
                with fn.loop(0, whole, self.width) as c:
                    self.result((n, c, z, y, x), bounds, self.width)
                with fn.loop(whole, w["C"]) as c:
                    self.result((n, c, z, y, x), bounds, 1)
            else:
                n, c, z, y = self.split(row, [None, w["C"], w["OZ"], w["OY"]])
                outer = [self.bounds(z, "Z"), self.bounds(y, "Y")]
                self.along_x(lambda x, width: self.result((n, c, z, y, x), [*outer, self.x_bounds(x, width)], width))
        fn.ret()

    def x_bounds(self, x, width):
        if width == 1:
            return self.bounds(x, "X")
        return x * self.w["sX"] - self.w["pX"], self.fn.constant(0), self.w["kX"]

    def result(self, index, bounds, width):
        """One result, or `width` neighbours."""
        if self.kind == "max":
            self.maximum(index, bounds, width)
        else:
            self.average(index, bounds, width)

    def maximum(self, index, bounds, width):
        fn, k, w = self.fn, self.handler(width), self.w
        compute = self.dtype.compute
        start = float("-inf") if compute.is_floating_point else dt.iinfo(compute).min
        best = fn.variable(computed_type(self.dtype, width), start)
        where_kind = vector("i32", width)
        ramp = fn.convert(0, where_kind)
        if width > 1 and self.order != "c":
            ramp = fn.iota(where_kind) * fn.convert(fn.cast("trunc", w["sX"], "i32"), where_kind)
        first = self.position(*[f + low * (1 if self.adaptive else w["d" + d]) for (f, low, _), d in zip(bounds, "ZYX")])
        where = fn.variable(where_kind, fn.convert(first, where_kind) + ramp)

        def visit(z, y, x):
            value = self.load(k, 0, self.place(0, (*index[:2], z, y, x)), width, self.order)
            old = Typed(k, self.dtype, best.get())
            take = k.compare("gt", value, old)
            if self.dtype.is_floating_point:
                take = k.logical_or(take, k.isnan(value))
            best.set(k.where(take, value, old).vector_value())
            here = fn.convert(self.position(z, y, x), where_kind) + ramp
            where.set(fn.select(take.vector_value(), here, where.get()))
        self.taps(bounds, visit)
        self.store(k, Typed(k, self.dtype, best.get()), self.place(1, index), self.dtype)
        found = where.get()
        if self.index_dtype is dt.int64:
            found = fn.cast("sext", found, vector("i64", width))
        fn.store(found, self.place(2, index), self.index_dtype.itemsize)

    def position(self, z, y, x):
        """The flat position in a plane, as i32."""
        return self.fn.cast("trunc", (z * self.w["IY"] + y) * self.w["IX"] + x, "i32")

    def divisor(self, bounds):
        """What a window's sum is divided by."""
        count = self.fn.constant(1)
        for bound, d in zip(bounds, "ZYX"):
            count = count * self.extent(bound, d)
        return self.fn.select(self.w["divisor"].ne(0), self.w["divisor"], count)

    def average(self, index, bounds, width):
        fn, k = self.fn, self.handler(width)
        work = self.dtype.compute
        total = fn.variable(computed_type(work, width), 0)

        def visit(z, y, x):
            value = self.load(k, 0, self.place(0, (*index[:2], z, y, x)), width, self.order)
            total.set((Typed(k, work, total.get()) + k.cast(value, work)).vector_value())
        self.taps(bounds, visit)
        count = Typed(k, dt.int64, self.divisor(bounds))
        if work.is_floating_point:
            mean = Typed(k, work, total.get()) / k.cast(count, work)
        else:
            mean = k.truncdiv(Typed(k, work, total.get()), k.cast(count, work))
        self.store(k, mean, self.place(1, index), self.dtype)

    # -- gradients -----------------------------------------------------------------------

    def backward(self):
        """Tensors: gradient of the results, (positions,) gradient of the input."""
        self.prologue()
        fn, w = self.fn, self.w
        inner = self.tensors - 1
        with self.task_rows() as row:
            n, c = self.split(row, [None, w["C"]])
            self.clear(n, c, inner)
            with fn.loop(0, w["OZ"]) as z:
                with fn.loop(0, w["OY"]) as y:
                    if self.kind == "max_back":
                        with fn.loop(0, w["OX"]) as x:
                            self.add_at((n, c, z, y, x))
                    else:
                        outer = [self.bounds(z, "Z"), self.bounds(y, "Y")]
                        self.along_x(lambda x, width: self.spread(
                            (n, c, z, y, x), [*outer, self.x_bounds(x, width)], width))
        fn.ret()

    def clear(self, n, c, tensor):
        fn, w = self.fn, self.w
        k = self.handler(1)
        zero = k.const(0, self.dtype)
        with fn.loop(0, w["IZ"]) as z:
            with fn.loop(0, w["IY"]) as y:
                if self.order == "xs":
                    with fn.loop(0, w["IX"]) as x:
                        self.store(k, zero, self.place(tensor, (n, c, z, y, x)), self.dtype)
                else:
                    fn.zero(self.place(tensor, (n, c, z, y, None)), w["IX"] * self.dtype.itemsize)

    def add_at(self, index):
        """Add one gradient where its maximum was; positions outside are left out."""
        fn, k, w = self.fn, self.handler(1), self.w
        grad = k.from_memory(self.dtype, fn.load(self.place(0, index), stored_type(self.dtype)))
        at = fn.load(self.place(1, index), stored_type(self.index_dtype))
        if self.index_dtype is not dt.int64:
            at = fn.cast("sext", at, "i64")
        with fn.if_((at >= 0) & (at < w["IZ"] * w["IY"] * w["IX"])):
            line = at // w["IX"]
            pointer = self.place(2, (*index[:2], line // w["IY"], line % w["IY"], at % w["IX"]))
            old = k.from_memory(self.dtype, fn.load(pointer, stored_type(self.dtype)))
            self.store(k, old + grad, pointer, self.dtype)

    def spread(self, index, bounds, width):
        """Add a gradient divided by its count to all elements of its window."""
        fn, k = self.fn, self.handler(width)
        work = self.dtype.compute
        grad = k.cast(self.load(k, 0, self.place(0, index), width, "x1" if width > 1 else self.order), work)
        share = grad / k.cast(Typed(k, dt.int64, self.divisor(bounds)), work)

        def visit(z, y, x):
            pointer = self.place(1, (*index[:2], z, y, x))
            old = self.load(k, 1, pointer, width, "x1")
            self.store(k, k.cast(old, work) + share, pointer, self.dtype)
        self.taps(bounds, visit)


def five(ref):
    """(shape, byte strides) of a tensor of rank 5."""
    layout = ref[1]
    return tuple(layout.shape), [s * layout.dtype.itemsize for s in layout.strides]


def lane_order(options, shape, strides, item, forward):
    """How lanes run over the input: "x1", "x2" (steps of one or two elements), "xs" (any), "c" (channels)."""
    if strides[4] == item or shape[4] == 1 and not forward:
        step = options["stride"][2]
        if not forward:
            return "x1" if step == 1 and not options["adaptive"] else "x0"
        return {1: "x1", 2: "x2"}.get(step, "xs")
    return "c" if forward and strides[1] == item else "xs"


def launches(kind, instruction, inner, outer, refs, index, dtype):
    """The launch over `refs`; `inner`, `outer`: the refs with the shapes of input and result."""
    options = dict(instruction.attrs)
    (inner_shape, inner_strides), (outer_shape, outer_strides) = five(inner), five(outer)
    if not outer[1].numel and not kind.endswith("back") or not inner[1].numel:
        return []
    forward = not kind.endswith("back")
    order = lane_order(options, inner_shape, inner_strides, dtype.itemsize, forward)
    if forward and order != "c" and outer_strides[4] != dtype.itemsize and outer_shape[4] > 1:
        raise AssertionError("results of pooling along x lie in rows")
    if inner_shape[2] * inner_shape[3] * inner_shape[4] >= 1 << 31:
        raise NotImplementedError("pooling over planes of 2**31 elements and more is not implemented in rushlight")
    geometry = Geometry(options, inner_shape, outer_shape, order if order in ("x1", "x2", "xs", "c") else "c")
    if not forward and order != "x1":
        geometry.words[-4:-2] = [0, 0]
    n, c, oz, oy, ox = outer_shape
    rows = n * c if not forward else n * oz * oy * ox if order == "c" else n * c * oz * oy
    taps = 1
    for k in options["kernel"]:
        taps *= k
    unit = 20 + outer[1].numel * taps * 0.5 / max(rows, 1) + (inner[1].numel * 0.3 / max(rows, 1) if not forward else 0)
    chunk = max(1, round(TASK_NANOSECONDS / unit))
    static = [chunk, rows, *geometry.words]
    for ref in refs:
        static += [memory(ref), *five(ref)[1]]
    key = ("pool", kind, dtype.name, index.name, order, options["adaptive"], len(refs))
    method = PoolKernel.forward if forward else PoolKernel.backward
    source = KernelSource((*key, target.current.vector_bytes),
                          lambda module, name: method(PoolKernel(key, module, name)))
    return [Launch(source, static, -(-rows // chunk), rows * unit)]


@lowering("pool_max")
def pool_max(instruction):
    """ins: input; outs: values, positions."""
    source, (values, positions) = instruction.ins[0], instruction.outs
    return launches("max", instruction, source, values, [source, values, positions], positions[1].dtype, source[1].dtype)


@lowering("pool_avg")
def pool_avg(instruction):
    """ins: input; outs: means."""
    source, means = instruction.ins[0], instruction.outs[0]
    return launches("avg", instruction, source, means, [source, means], dt.int64, source[1].dtype)


@lowering("pool_max_back")
def pool_max_back(instruction):
    """ins: gradient of the values, positions; outs: gradient of the input."""
    (grad, positions), result = instruction.ins, instruction.outs[0]
    return launches("max_back", instruction, result, grad, [grad, positions, result], positions[1].dtype, grad[1].dtype)


@lowering("pool_avg_back")
def pool_avg_back(instruction):
    """ins: gradient of the means; outs: gradient of the input."""
    grad, result = instruction.ins[0], instruction.outs[0]
    return launches("avg_back", instruction, result, grad, [grad, result], dt.int64, grad[1].dtype)
