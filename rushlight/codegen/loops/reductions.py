"""Reductions of loop kernels: how an accumulator starts, takes a vector of values, and becomes the row's result.

COMBINES maps the name in a Reduce node to its class. `add(handler, value, position, mask)` takes one step;
`finish(handler)` returns a Typed (or a tuple of them: value and index). In kind "row" lanes are folded at the end, in
kind "col" every lane is a row of its own.
"""

from ...core import dtype as dt
from ..bodies.handler import Handler, Typed, computed_type
from ..ir.builder import lanes, vector
from ..math.scalar_base import extreme


class Fold:
    """A reduction with one accumulator per lane."""

    blocked = False
    identity = 0

    def __init__(self, emitter, node, width):
        self.emitter, self.fn, self.width = emitter, emitter.fn, width
        self.dtype = dt.by_name(node.dtype)
        self.start()

    def start(self):
        self.total = self.fn.variable(computed_type(self.dtype, self.width), self.first())

    def first(self):
        return self.fn.convert(self.identity, computed_type(self.dtype, self.width))

    def join(self, a, b):
        raise NotImplementedError

    def prepared(self, handler, value, mask):
        """The value cast, spread over the lanes, with the identity in lanes that are masked out."""
        v = handler.cast(value.under(handler), self.dtype).vector_value()
        if handler.width > 1:
            v = self.fn.splat(v, handler.width)
        if mask is not None:
            v = self.fn.select(mask, v, self.fn.convert(self.first(), v.type))
        return v

    def add(self, handler, value, position, mask):
        v = self.prepared(handler, value, mask)
        if lanes(v.type) == self.width:
            self.total.set(self.join(self.total.get(), v))
        else:  # a scalar step of the rest goes to lane 0
            whole = self.total.get()
            joined = self.join(self.fn.extract(whole, 0), v)
            self.total.set(self.fn.insert(whole, joined, 0))

    def end_block(self):
        """Called where a block of steps ends."""

    def finish(self, handler):
        v = self.total.get()
        if handler.width == 1:
            v = self.fn.across(v, self.join)
        return Typed(handler, self.dtype, v)


class Sum(Fold):
    """Sum; floats in blocks, so that long rows lose no accuracy and the order never depends on threads."""

    def __init__(self, emitter, node, width):
        super().__init__(emitter, node, width)
        self.blocked = self.dtype.is_floating_point

    def start(self):
        super().start()
        self.outer = self.fn.variable(computed_type(self.dtype, self.width), self.first())

    def join(self, a, b):
        return a | b if self.dtype is dt.bool_ else a + b

    def end_block(self):
        if self.blocked:
            self.outer.set(self.outer.get() + self.total.get())
            self.total.set(self.first())

    def finish(self, handler):
        if self.blocked:
            self.total.set(self.total.get() + self.outer.get())
        return super().finish(handler)


class Product(Fold):
    identity = 1

    def join(self, a, b):
        return a & b if self.dtype is dt.bool_ else a * b


class Maximum(Fold):
    name, predicate = "maximum", "gt"

    def first(self):
        return self.fn.convert(lowest(self.dtype), computed_type(self.dtype, self.width))

    def join(self, a, b):
        if self.dtype.is_floating_point:
            return extreme(self.fn, self.predicate, b, a)
        if self.dtype is dt.bool_:
            return a | b if self.name == "maximum" else a & b
        return self.fn.select(a.compare(self.predicate, b, unsigned=not self.dtype.is_signed), a, b)


class Top(Maximum):
    """The largest value that is not NaN, in one instruction a step."""

    def join(self, a, b):
        return self.fn.maximum(b, a)


class Minimum(Maximum):
    name, predicate = "minimum", "lt"

    def first(self):
        return self.fn.convert(highest(self.dtype), computed_type(self.dtype, self.width))


class Any(Fold):
    identity = False

    def join(self, a, b):
        return a | b


class All(Fold):
    identity = True

    def join(self, a, b):
        return a & b


def lowest(dtype):
    if dtype.is_floating_point:
        return float("-inf")
    return 0 if dtype is dt.bool_ else dt.iinfo(dtype).min


def highest(dtype):
    if dtype.is_floating_point:
        return float("inf")
    return 1 if dtype is dt.bool_ else dt.iinfo(dtype).max


class ArgMax(Maximum):
    """The largest value and where it is; the first of equals; NaN wins."""

    def start(self):
        super().start()
        self.where = self.fn.variable(vector("i64", self.width), self.fn.convert(0, vector("i64", self.width)))
        self.seen = self.fn.variable(vector("i1", self.width), self.fn.convert(0, vector("i1", self.width)))

    def better(self, new, old):
        """Whether a later value replaces an earlier one."""
        found = new.compare(self.predicate, old, unsigned=not self.dtype.is_signed and not self.dtype.is_floating_point)
        if self.dtype.is_floating_point:
            found = found | (new.ne(new) & old.eq(old))
        return found

    def add(self, handler, value, position, mask):
        fn = self.fn
        v = handler.cast(value.under(handler), self.dtype).vector_value()
        width = handler.width
        v = fn.splat(v, width)
        place = fn.splat(position, width)
        if width > 1 and self.emitter.spec.kind != "col":
            place = place + fn.iota(place.type)
        best, where, seen = self.total.get(), self.where.get(), self.seen.get()
        if width != self.width:
            old = [fn.extract(x, 0) for x in (best, where, seen)]
        else:
            old = [best, where, seen]
        take = self.better(v, old[0]) | (old[2] ^ 1)
        if mask is not None:
            take = take & mask
        new = [fn.select(take, v, old[0]), fn.select(take, place, old[1]), old[2] | take]
        if width != self.width:
            new = [fn.insert(x, item, 0) for x, item in zip((best, where, seen), new)]
        for variable, item in zip((self.total, self.where, self.seen), new):
            variable.set(item)

    def finish(self, handler):
        fn = self.fn
        best, where, seen = self.total.get(), self.where.get(), self.seen.get()
        while handler.width == 1 and lanes(best.type) > 1:
            half = lanes(best.type) // 2
            low = [self.part(x, 0, half) for x in (best, where, seen)]
            high = [self.part(x, half, half) for x in (best, where, seen)]
            worse = self.better(low[0], high[0])
            same = (worse ^ 1) & (self.better(high[0], low[0]) ^ 1)
            take = high[2] & ((low[2] ^ 1) | ((worse ^ 1) & ((same ^ 1) | (high[1] < low[1]))))
            best, where = (fn.select(take, h, x) for h, x in zip(high[:2], low[:2]))
            seen = low[2] | high[2]
        return (Typed(handler, self.dtype, best), Typed(handler, dt.int64, where))

    def part(self, v, start, count):
        if count == 1:
            return self.fn.extract(v, start)
        return self.fn.shuffle(v, v, range(start, start + count))


class ArgMin(ArgMax, Minimum):
    """The smallest value and where it is."""

    name, predicate = "minimum", "lt"

    def first(self):
        return Minimum.first(self)


COMBINES = {
    "sum": Sum, "prod": Product, "max": Maximum, "min": Minimum, "top": Top, "any": Any, "all": All, "argmax": ArgMax,
    "argmin": ArgMin,
}


class Folded(Fold):
    """A reduction that its operator combines itself, see core/kinds.py."""

    def __init__(self, emitter, node, width):
        self.op = emitter.operators[node.combine]
        super().__init__(emitter, node, width)

    @property
    def identity(self):
        return self.op.start

    def join(self, a, b):
        k = Handler(self.fn, lanes(a.type))
        k.mask = k.report = None
        joined = self.op.combine(k, Typed(k, self.dtype, a), Typed(k, self.dtype, b))
        return k.cast(joined, self.dtype).vector_value()


def accumulator(emitter, node, width):
    """The accumulator of a Reduce node."""
    if dt.by_name(node.dtype).category == dt.COMPLEX:
        return PAIRS[node.combine](emitter, node, width)
    return COMBINES.get(node.combine, Folded)(emitter, node, width)


class SumOfPairs:
    """Sum of complex values: the parts add up apart."""

    blocked = True

    def __init__(self, emitter, node, width):
        self.dtype = dt.by_name(node.dtype)
        part = node._replace(dtype=self.dtype.to_real().name)
        self.parts = [Sum(emitter, part, width) for _ in range(2)]

    def add(self, handler, value, position, mask):
        value = handler.cast(value.under(handler), self.dtype)
        for total, part in zip(self.parts, (value.real, value.imag)):
            total.add(handler, part, position, mask)

    def end_block(self):
        for total in self.parts:
            total.end_block()

    def finish(self, handler):
        return handler.complex(*[total.finish(handler) for total in self.parts])


class ProductOfPairs:
    """Product of complex values."""

    blocked = False

    def __init__(self, emitter, node, width):
        self.fn, self.width, self.dtype = emitter.fn, width, dt.by_name(node.dtype)
        self.part = self.dtype.to_real()
        self.kind = computed_type(self.part, width)
        self.totals = [self.fn.variable(self.kind, self.fn.convert(first, self.kind)) for first in (1, 0)]

    def join(self, a, b):
        return [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]]

    def add(self, handler, value, position, mask):
        fn = self.fn
        value = handler.cast(value.under(handler), self.dtype)
        v = [fn.splat(part.vector_value(), handler.width) for part in (value.real, value.imag)]
        if mask is not None:
            v = [fn.select(mask, x, fn.convert(first, x.type)) for x, first in zip(v, (1, 0))]
        whole = [total.get() for total in self.totals]
        if lanes(v[0].type) == self.width:
            joined = self.join(whole, v)
        else:  # a scalar step of the rest goes to lane 0
            joined = self.join([fn.extract(x, 0) for x in whole], v)
            joined = [fn.insert(x, item, 0) for x, item in zip(whole, joined)]
        for total, item in zip(self.totals, joined):
            total.set(item)

    def end_block(self):
        """Products are not taken in blocks."""

    def finish(self, handler):
        fn = self.fn
        v = [total.get() for total in self.totals]
        while handler.width == 1 and lanes(v[0].type) > 1:
            half = lanes(v[0].type) // 2
            if half == 1:
                v = self.join(*[[fn.extract(x, lane) for x in v] for lane in (0, 1)])
            else:
                v = self.join(*[[fn.shuffle(x, x, range(at, at + half)) for x in v] for at in (0, half)])
        return handler.complex(*[Typed(handler, self.part, x) for x in v])


PAIRS = {"sum": SumOfPairs, "prod": ProductOfPairs}
