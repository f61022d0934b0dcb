"""Native kernels that draw as many numbers as the data asks for: poisson, gamma, binomial, the slopes of rrelu.

In: instructions (state, operand) -> (result, state) of `ops/random/sampling` and `ops/nn/dropout`. Out: one Launch
each, of one task, which walks the memory of the operand in order. Read `random` first.
"""

import math
import struct

from ...ir import target
from ...ir.kernel import Argument, KernelSource, Launch
from ...ir.statics import StaticLayout
from ...ir.vectors import compute_kind, load, store
from ...lower import memory
from ...math.scalar import FUNCTIONS
from ...math.scalar_base import absolute, unary
from .random import Drawing

OPERAND = StaticLayout("@source", "@state", "@operand", "@out", "count")


def in_double(fn, value):
    return value if value.type == "double" else fn.cast("fpext", value, "double")


def from_double(fn, value, dtype):
    """A double as a value of the type that `store` takes for a dtype."""
    return value if dtype == "float64" else fn.cast("fptrunc", value, "float")


def few_events(fn, unit, rate, result):
    """Knuth's method for small rates: how many uniform numbers can be multiplied before the product falls to
    exp(-rate)."""
    limit = FUNCTIONS["exp"](fn, -rate)
    product, going = fn.variable("double", 1.0), fn.variable("i1", 1)
    with fn.while_(lambda: going.get()):
        product.set(product.get() * unit())
        more = product.get() > limit
        with fn.if_(more):
            result.set(result.get() + 1.0)
        going.set(more)


def many_events(fn, unit, rate, result):
    """Hoermann's transformed rejection (PTRS, 1993) for rates from 10 on."""
    root, log_rate = unary(fn, "sqrt", rate), FUNCTIONS["log"](fn, rate)
    b = root * 2.53 + 0.931
    a = b * 0.02483 + -0.059
    inverse = 1.1328 / (b - 3.4) + 1.1239
    ratio = 0.9277 - 3.6224 / (b - 2.0)
    going = fn.variable("i1", 1)
    with fn.while_(lambda: going.get()):
        u, v = unit() - 0.5, unit()
        us = 0.5 - absolute(fn, u)
        k = unary(fn, "floor", (a * 2.0 / us + b) * u + rate + 0.43)
        result.set(k)
        inside = (us >= 0.07) & (v <= ratio)
        outside = (k < 0.0) | ((us < 0.013) & (v > us))

        def accept():
            going.set(0)

        def test():
            left = FUNCTIONS["log"](fn, v) + FUNCTIONS["log"](fn, inverse) - FUNCTIONS["log"](fn, a / (us * us) + b)
            right = k * log_rate - rate - FUNCTIONS["lgamma"](fn, k + 1.0)
            going.set((outside | (left > right)))

        fn.if_else(inside, accept, test)


def poisson_source(dtype):
    def emit(module, name):
        drawing = Drawing(module, name, OPERAND)
        fn, s = drawing.fn, drawing.s
        result = fn.variable("double", 0.0)
        with fn.loop(0, s.count) as i:
            rate = in_double(fn, load(fn, s.operand, i, dtype))
            result.set(0.0)

            def some():
                with fn.if_(rate > 0.0):
                    few_events(fn, drawing.unit, rate, result)

            fn.if_else(rate >= 10.0, lambda: many_events(fn, drawing.unit, rate, result), some)
            store(fn, from_double(fn, result.get(), dtype), s.out, i, dtype)
        fn.ret()

    return KernelSource(("random_poisson", dtype, target.current.vector_bytes), emit)


def lower_poisson(instruction):
    """(state, rates) -> (samples, state)."""
    out, state = instruction.outs
    static = OPERAND.values(source=memory(instruction.ins[0]), state=memory(state),
                            operand=memory(instruction.ins[1]), out=memory(out), count=out[1].numel)
    return [Launch(poisson_source(out[1].dtype.name), static, 1, 300 + 60 * out[1].numel)]


SLOPES = StaticLayout("@source", "@state", "@operand", "@out", "count", "$low", "$high")


def slopes_source(dtype, result):
    def emit(module, name):
        drawing = Drawing(module, name, SLOPES)
        fn, s = drawing.fn, drawing.s
        with fn.loop(0, s.count) as i:
            value = load(fn, s.operand, i, dtype)
            slope = fn.variable("double", 1.0)
            with fn.if_(value <= 0.0):
                slope.set(drawing.unit() * (s.high - s.low) + s.low)
            store(fn, from_double(fn, slope.get(), result), s.out, i, result)
        fn.ret()

    return KernelSource(("rrelu_noise", dtype, result, target.current.vector_bytes), emit)


def lower_slopes(instruction):
    """(state, input; lower, upper) -> (factors, state)."""
    out, state = instruction.outs
    low, high = (Argument(position) for _, position, _ in instruction.args[2:])
    static = SLOPES.values(source=memory(instruction.ins[0]), state=memory(state), operand=memory(instruction.ins[1]),
                           out=memory(out), count=out[1].numel, low=low, high=high)
    source = slopes_source(instruction.ins[1][1].dtype.name, out[1].dtype.name)
    return [Launch(source, static, 1, 300 + 8 * out[1].numel)]


# -- gamma ---------------------------------------------------------------------------------------------------

# Note [PyTorch's roundings]
# The number of draws depends on comparisons, so the same numbers for the same seed need the same roundings: what
# PyTorch computes in the type of the operand is computed in that type here, and what it computes in double in double.


def single(number):
    """A number rounded to 32 bits, which PyTorch's constants of type float are."""
    return struct.unpack("f", struct.pack("f", number))[0]


def gamma_value(drawing, shape, result):
    """Marsaglia and Tsang's rejection (2000): a cube of a normal number. Shapes below 1 are raised by 1, and the sample
    is scaled by a power of a uniform number."""
    fn = drawing.fn
    scale, raised = fn.variable("double", 1.0), fn.variable(shape.type)
    raised.set(shape)
    with fn.if_(shape < 1.0):
        power = in_double(fn, 1.0 / shape)
        scale.set(FUNCTIONS["pow"](fn, 1.0 - drawing.unit(), power))
        raised.set(shape + 1.0)
    d = in_double(fn, raised.get() - single(1 / 3))
    c = 1.0 / unary(fn, "sqrt", d * 9.0)
    going = fn.variable("i1", 1)
    x, y = fn.variable("double", 0.0), fn.variable("double", 0.0)
    with fn.while_(lambda: going.get()):
        y.set(0.0)
        with fn.while_(lambda: y.get() <= 0.0):
            x.set(drawing.normal())
            y.set(c * x.get() + 1.0)
        v, square = y.get() * y.get() * y.get(), x.get() * x.get()
        u = 1.0 - drawing.unit()
        result.set(scale.get() * d * v)
        going.set(u >= 1.0 - square * single(0.0331) * square)
        with fn.if_(going.get()):
            log = FUNCTIONS["log"]
            going.set(log(fn, u) >= square * 0.5 + d * (1.0 - v + log(fn, v)))


def gamma_source(dtype):
    def emit(module, name):
        drawing = Drawing(module, name, OPERAND)
        fn, s = drawing.fn, drawing.s
        result, least = fn.variable("double", 0.0), TINY[dtype]
        with fn.loop(0, s.count) as i:
            shape = load(fn, s.operand, i, dtype)
            result.set(0.0)
            # not a number, and negative: the loops would not end
            fn.if_else(shape > 0.0, lambda: gamma_value(drawing, shape, result),
                       lambda: result.set(fn.select(shape.eq(0.0), fn.constant(0.0, "double"), nan(fn))))
            value = result.get()
            store(fn, from_double(fn, fn.select(value < least, fn.constant(least, "double"), value), dtype), s.out, i,
                  dtype)
        fn.ret()

    return KernelSource(("random_gamma", dtype, target.current.vector_bytes), emit)


def nan(fn):
    """Not a number."""
    return fn.constant(0.0, "double") / fn.constant(0.0, "double")


TINY = {"float64": 2.0**-1022, "float32": 2.0**-126, "bfloat16": 2.0**-126, "float16": 2.0**-14}


def lower_gamma(instruction):
    """(state, shapes) -> (samples, state)."""
    out, state = instruction.outs
    static = OPERAND.values(source=memory(instruction.ins[0]), state=memory(state),
                            operand=memory(instruction.ins[1]), out=memory(out), count=out[1].numel)
    return [Launch(gamma_source(out[1].dtype.name), static, 1, 300 + 100 * out[1].numel)]


# -- binomial ------------------------------------------------------------------------------------------------


# log(k!) less Stirling's formula for it, k from 0 to 9
TAILS = [math.lgamma(k + 1) - (0.5 * math.log(2 * math.pi) + (k + 0.5) * math.log(k + 1) - (k + 1)) for k in range(10)]
PAIR = StaticLayout("@source", "@state", "@total", "@chance", "@out", "count")


class Binomial:
    """Successes among `total` trials of probability `chance` <= 1/2. Note [PyTorch's roundings]."""

    def __init__(self, drawing, total, chance, result):
        self.drawing, self.fn, self.total, self.chance, self.result = drawing, drawing.fn, total, chance, result

    def rounded(self, value):
        """A double in the type of the operands."""
        return value if value.type == self.total.type else self.fn.cast("fptrunc", value, self.total.type)

    def log(self, value):
        """The natural logarithm in the type of the value."""
        return FUNCTIONS["log"](self.fn, value)

    def unit(self):
        """A uniform number in the type of the operands."""
        return self.rounded(self.drawing.unit())

    def few(self):
        """How many geometric numbers fit into the trials, for less than 10 expected successes."""
        fn = self.fn
        log_miss = FUNCTIONS["log1p"](fn, -self.chance)
        spent, going = fn.variable(self.total.type, 0.0), fn.variable("i1", 1)
        self.result.set(fn.constant(0.0, self.total.type))
        with fn.while_(lambda: going.get()):
            spent.set(spent.get() + unary(fn, "ceil", self.log(self.unit()) / log_miss))
            going.set(spent.get() <= self.total)
            with fn.if_(going.get()):
                self.result.set(self.result.get() + 1.0)

    def tail(self, k):
        """log(k!) less Stirling's formula for it."""
        fn, double = self.fn, in_double
        square = double(fn, (k + 1.0) * (k + 1.0))
        value = self.rounded((1 / 12 - (1 / 360 - 1 / 1260 / square) / square) / double(fn, k + 1.0))
        for index, known in enumerate(TAILS):
            value = fn.select(k.eq(float(index)), fn.constant(known, value.type), value)
        return value

    def many(self):
        """Hoermann's transformed rejection (BTRS, 1993)."""
        fn, total, p, double = self.fn, self.total, self.chance, in_double
        spread = unary(fn, "sqrt", total * p * (1.0 - p))
        b = self.rounded(double(fn, spread) * 2.53 + 1.15)
        a = self.rounded(double(fn, b) * 0.0248 + -0.0873 + double(fn, p) * 0.01)
        c = self.rounded(double(fn, total * p) + 0.5)
        inside = self.rounded(0.92 - 4.2 / double(fn, b))
        odds = p / (1.0 - p)
        alpha = self.rounded((5.1 / double(fn, b) + 2.83) * double(fn, spread))
        m = unary(fn, "floor", (total + 1.0) * p)
        going = fn.variable("i1", 1)
        with fn.while_(lambda: going.get()):
            u = self.rounded(double(fn, self.unit()) - 0.5)
            v = self.unit()
            us = self.rounded(0.5 - double(fn, absolute(fn, u)))
            k = unary(fn, "floor", (a * 2.0 / us + b) * u + c)
            self.result.set(k)
            going.set((double(fn, us) < 0.07) | (v > inside))
            with fn.if_(going.get() & (k >= 0.0) & (k <= total)):
                left = self.log(v * alpha / (a / (us * us) + b))
                going.set(left > self.bound(m, k, odds))

    def bound(self, m, k, odds):
        """The logarithm of the probability of k, relative to that of m."""
        fn, n, double = self.fn, self.total, in_double
        value = (double(fn, m) + 0.5) * double(fn, self.log((m + 1.0) / (odds * (n - m + 1.0))))
        value = value + double(fn, (n + 1.0) * self.log((n - m + 1.0) / (n - k + 1.0)))
        value = value + (double(fn, k) + 0.5) * double(fn, self.log(odds * (n - k + 1.0) / (k + 1.0)))
        for count, sign in ((m, 1), (n - m, 1), (k, -1), (n - k, -1)):
            tail = double(fn, self.tail(count))
            value = value + tail if sign > 0 else value - tail
        return self.rounded(value)

    def emit(self):
        """Put the number of successes into the result."""
        self.fn.if_else(self.total * self.chance >= 10.0, self.many, self.few)


def binomial_source(dtype):
    def emit(module, name):
        drawing = Drawing(module, name, PAIR)
        fn, s = drawing.fn, drawing.s
        kind = compute_kind(dtype)
        result = fn.variable(kind, 0.0)

        def draw(total, p):
            mirrored = p > 0.5
            chance = fn.select(mirrored, 1.0 - p, p)
            Binomial(drawing, total, chance, result).emit()
            result.set(fn.select(mirrored, total - result.get(), result.get()))

        def edges(total, p):
            """Without a draw; operands that are not numbers would never end."""
            whole = fn.select(p >= 1.0, total, fn.convert(0.0, kind))
            result.set(fn.select((total + p).eq(total + p), whole, total + p))

        with fn.loop(0, s.count) as i:
            total, p = load(fn, s.total, i, dtype), load(fn, s.chance, i, dtype)
            some = (total > 0.0) & (total < float("inf")) & (p > 0.0) & (p < 1.0)
            fn.if_else(some, lambda: draw(total, p), lambda: edges(total, p))
            store(fn, result.get(), s.out, i, dtype)
        fn.ret()

    return KernelSource(("random_binomial", dtype, target.current.vector_bytes), emit)


def lower_binomial(instruction):
    """(state, totals, probabilities) -> (samples, state)."""
    out, state = instruction.outs
    static = PAIR.values(source=memory(instruction.ins[0]), state=memory(state), total=memory(instruction.ins[1]),
                         chance=memory(instruction.ins[2]), out=memory(out), count=out[1].numel)
    return [Launch(binomial_source(out[1].dtype.name), static, 1, 300 + 150 * out[1].numel)]
