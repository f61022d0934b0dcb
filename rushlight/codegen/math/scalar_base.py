"""Registry and bit-level helpers of the mathematical functions: a builder function and Values in, a Value out.

Every helper works on `float` and `double`, scalars and vectors alike. The modules that hold functions fill the
registry, all other modules import `scalar`.

Note [Fast-math flags]
Argument reductions and two-part sums are exact only as written, so a function clears the flags of the builder
function while it emits and restores them afterwards.
"""

import functools
import math

from ...base.lazy import Lazy
from ..ir.builder import element, lanes, vector

fractions = Lazy("fractions")

FUNCTIONS = {}
ULP = {}
ALL_BITS = {"float": 32, "double": 64}
MANTISSA = {"float": 23, "double": 52}
BIAS = {"float": 127, "double": 1023}
# Adding 1.5 * 2**mantissa rounds to an integer and leaves it in the low bits of the sum.
MAGIC = {"float": 1.5 * 2.0**23, "double": 1.5 * 2.0**52}
TINY = {"float": 2.0**-126, "double": 2.0**-1022}
HUGE = {"float": (2 - 2.0**-23) * 2.0**127, "double": (2 - 2.0**-52) * 2.0**1023}
SIGN = {"float": -(1 << 31), "double": -(1 << 63)}
PI = (3.141592653589793, 1.2246467991473532e-16, -2.9947698097183397e-33)
HALF_PI = tuple(part / 2 for part in PI)
INF = float("inf")
NAN = float("nan")


def function(name, single, double):
    """Register the function that emits `name`; `single` and `double` bound its error in units in the last place."""

    def register(emit):
        @functools.wraps(emit)
        def emit_exactly(fn, *values):
            saved, fn.flags = fn.flags, ""
            try:
                return emit(fn, *values)
            finally:
                fn.flags = saved

        FUNCTIONS[name] = emit_exactly
        ULP[name] = (single, double)
        return emit_exactly

    return register


def through_double(emit):
    """Compute in double also for float operands: for functions whose speed matters less than their size."""

    @functools.wraps(emit)
    def widened(fn, *values):
        kind = values[0].type
        if element(kind) == "double":
            return emit(fn, *values)
        wide = vector("double", lanes(kind))
        result = emit(fn, *(fn.cast("fpext", value, wide) for value in values))
        return fn.cast("fptrunc", result, kind)

    return widened


def base(value):
    """The element type of a Value."""
    return element(value.type)


def integer_type(kind):
    """The integer type with the lanes and the width of a float type."""
    return vector("i64" if element(kind) == "double" else "i32", lanes(kind))


def like(value, kind):
    """The type with element `kind` and the lanes of `value`."""
    return vector(kind, lanes(value.type))


def bits(fn, value):
    return fn.cast("bitcast", value, integer_type(value.type))


def from_bits(fn, value):
    return fn.cast("bitcast", value, like(value, "double" if base(value) == "i64" else "float"))


def shift_right(fn, value, count):
    """Logical shift: AVX2 has no arithmetic one for 64-bit lanes."""
    count = fn.convert(count, value.type)
    return fn.emit(value.type, f"lshr {value.type} {value.name}, {count.name}")


def unary(fn, name, value):
    """A one-operand LLVM intrinsic: fabs, floor, ceil, trunc, rint, roundeven, sqrt."""
    kind = value.type
    short = {"float": "f32", "double": "f64"}[element(kind)]
    suffix = short if kind[0] != "<" else f"v{lanes(kind)}{short}"
    return fn.intrinsic(f"llvm.{name}.{suffix}", kind, value)


def absolute(fn, value):
    return unary(fn, "fabs", value)


def copy_sign(fn, magnitude, sign):
    kind = magnitude.type
    short = {"float": "f32", "double": "f64"}[element(kind)]
    suffix = short if kind[0] != "<" else f"v{lanes(kind)}{short}"
    return fn.intrinsic(f"llvm.copysign.{suffix}", kind, magnitude, sign)


def constant_like(fn, number, value):
    return fn.constant(number, value.type)


def choose(fn, condition, a, b):
    """select where one of the two choices may be a number."""
    kind = a.type if hasattr(a, "type") else b.type
    return fn.select(condition, fn.convert(a, kind), fn.convert(b, kind))


def is_nan(value):
    return value.ne(value)


def extreme(fn, predicate, value, other):
    """The larger ("gt") or smaller ("lt") of two floats, `other` where they are equal; NaN if either is. Two
    instructions follow `other`: a running maximum waits for no more."""
    chosen = fn.select(value.compare(predicate, other), value, other)
    return fn.select(is_nan(value), value, chosen)


def clamp_above(fn, value, top):
    """min(value, top); a NaN stays."""
    return fn.minimum(constant_like(fn, top, value), value)


def clamp_below(fn, value, bottom):
    """max(value, bottom); a NaN stays."""
    return fn.maximum(constant_like(fn, bottom, value), value)


def polynomial(fn, x, coefficients):
    """Horner's rule with fused multiply-adds, highest power first."""
    total = constant_like(fn, coefficients[0], x)
    for coefficient in coefficients[1:]:
        total = fn.fma(total, x, coefficient)
    return total


def two_sum(a, b):
    """a + b and its rounding error, exactly."""
    total = a + b
    back = total - a
    return total, (a - (total - back)) + (b - back)


def fast_two_sum(a, b):
    """a + b and its rounding error when |a| >= |b|."""
    total = a + b
    return total, b - (total - a)


def two_product(fn, a, b):
    """a * b and its rounding error."""
    product = a * b
    return product, fn.fma(a, b, -product)


def scale_by_bits(fn, value, count, bias):
    """value * 2**(count - bias) for 0 < count < 2 * bias + 1 held in the low bits of the integer `count`."""
    return value * from_bits(fn, count << MANTISSA[base(value)])


@functools.cache
def parts(number, kind, count=2):
    """A positive constant, given as a sum of doubles, as `count` positive numbers of type `kind` that sum up to it."""
    rest, found = sum(fractions.Fraction(part) for part in number), []
    digits = MANTISSA[kind] + 1
    for _ in range(count):
        exponent = math.frexp(float(rest))[1] - digits
        head = math.ldexp(math.floor(rest / fractions.Fraction(2) ** exponent), exponent)
        found.append(head)
        rest -= fractions.Fraction(head)
    return found
