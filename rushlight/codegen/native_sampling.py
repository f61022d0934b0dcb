"""Native kernels that draw as many numbers as the data asks for: poisson, the slopes of rrelu.

What comes in: instructions (state, operand) -> (result, state) of `ops/sampling` and `ops/dropout`. What goes out:
one Launch each, of one task, which walks the memory of the operand in order. Read `native_random` first.
"""

from . import target
from .cpu.statics import Layout
from .cpu.vectors import load, store
from .kernel import Argument, KernelSource, Launch
from .lower import lowering, memory
from .native_random import Drawing
from .scalar import FUNCTIONS
from .scalar_base import absolute, unary

OPERAND = Layout("@source", "@state", "@operand", "@out", "count")


def in_double(fn, value):
    return value if value.type == "double" else fn.cast("fpext", value, "double")


def from_double(fn, value, dtype):
    """A double as a value of the type that `store` takes for a dtype."""
    return value if dtype == "float64" else fn.cast("fptrunc", value, "float")


def few_events(fn, unit, rate, result):
    """Knuth's method for small rates: how many uniform numbers can be multiplied before the product falls to "
      "exp(-rate)."""
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


@lowering("random_poisson")
def lower_poisson(instruction):
    """(state, rates) -> (samples, state)."""
    out, state = instruction.outs
    static = OPERAND.values(source=memory(instruction.ins[0]), state=memory(state),
                            operand=memory(instruction.ins[1]), out=memory(out), count=out[1].numel)
    return [Launch(poisson_source(out[1].dtype.name), static, 1, 300 + 60 * out[1].numel)]


SLOPES = Layout("@source", "@state", "@operand", "@out", "count", "$low", "$high")


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


@lowering("rrelu_noise")
def lower_slopes(instruction):
    """(state, input; lower, upper) -> (factors, state)."""
    out, state = instruction.outs
    low, high = (Argument(position) for _, position, _ in instruction.args[2:])
    static = SLOPES.values(source=memory(instruction.ins[0]), state=memory(state), operand=memory(instruction.ins[1]),
                           out=memory(out), count=out[1].numel, low=low, high=high)
    source = slopes_source(instruction.ins[1][1].dtype.name, out[1].dtype.name)
    return [Launch(source, static, 1, 300 + 8 * out[1].numel)]
