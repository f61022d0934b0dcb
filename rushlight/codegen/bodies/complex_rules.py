"""Complex arithmetic of kernel bodies: what the handler's operations and functions mean for pairs of values.

A body such as `k.exp(x) * y` is the same for real and complex operands. A complex value is a pair of real ones
(`handler.Complex`), and the rules here express each operation by operations on the parts. `RULES` holds the handler's
own methods, `FUNCTIONS` the mathematical functions. Special values follow C99, annex G, where PyTorch's do.

Note [Cancellation]
Formulas that lose digits between large terms run in double precision for complex64 (`@widened`). That is cheaper than
compensated sums in single precision, and the result is correctly rounded for nearly all arguments.
"""

import functools
import math

from ...core import dtype as dt

RULES, FUNCTIONS = {}, {}


def rule(function):
    """Enter the complex form of a handler's method of the same name."""
    RULES[function.__name__] = function
    return function


def function(body):
    """Enter the complex form of a mathematical function of the same name."""
    FUNCTIONS[body.__name__] = body
    return body


def widened(body):
    """Compute in double precision also for complex64, see Note [Cancellation]."""
    @functools.wraps(body)
    def wide(k, z, *others):
        if z.dtype is dt.complex128:
            return body(k, z, *others)
        return k.cast(body(k, *[k.cast(v, dt.complex128) for v in (z, *others)]), z.dtype)
    return wide


def join(k, a, b):
    """Two operands as complex values of one dtype."""
    left = a.dtype if hasattr(a, "dtype") else None
    right = b.dtype if hasattr(b, "dtype") else None
    joined = dt.promote(left or right, right or left)
    if joined.category != dt.COMPLEX:
        joined = joined.to_complex()
    return [k.cast(v, joined) if hasattr(v, "dtype") else k.const(v, joined) for v in (a, b)]


def is_negative(k, x):
    """Whether the sign bit of a real value is set."""
    return k.copysign(k.const(1, x.dtype), x) < 0


# -- the handler's own operations -------------------------------------------------------------------------------------


@rule
def add(k, a, b):
    a, b = join(k, a, b)
    return k.complex(a.real + b.real, a.imag + b.imag)


@rule
def sub(k, a, b):
    a, b = join(k, a, b)
    return k.complex(a.real - b.real, a.imag - b.imag)


@rule
def mul(k, a, b):
    a, b = join(k, a, b)
    return k.complex(a.real * b.real - a.imag * b.imag, a.real * b.imag + a.imag * b.real)


@rule
def div(k, a, b):
    """R. L. Smith's division (Algorithm 116, 1962): no intermediate value overflows where the quotient does not."""
    a, b = join(k, a, b)
    c, d = b.real, b.imag
    first = k.abs(c) >= k.abs(d)
    large, small = k.where(first, c, d), k.where(first, d, c)
    ratio = small / large
    scale = 1 / (large + small * ratio)
    plain = k.where(first, a.real + a.imag * ratio, a.real * ratio + a.imag) * scale
    other = k.where(first, a.imag - a.real * ratio, a.imag * ratio - a.real) * scale
    zero = large.eq(0)
    size = k.abs(c)
    return k.complex(k.where(zero, a.real / size, plain), k.where(zero, a.imag / size, other))


@rule
def fma(k, a, b, c):
    return add(k, mul(k, a, b), c)


@rule
def neg(k, a):
    return k.complex(-a.real, -a.imag)


@rule
def abs(k, a):
    return k.hypot(a.real, a.imag)


@rule
def compare(k, predicate, a, b):
    """Equality alone: complex numbers have no order."""
    if predicate not in ("eq", "ne"):
        raise NotImplementedError(f"kernel bodies cannot order complex numbers ({predicate})")
    a, b = join(k, a, b)
    same = [k.compare(predicate, a.real, b.real), k.compare(predicate, a.imag, b.imag)]
    return same[0] & same[1] if predicate == "eq" else same[0] | same[1]


@rule
def where(k, condition, a, b):
    condition = k.boolean(condition)
    if not (is_complex(a) or is_complex(b)):
        return k.where(condition, a, b)
    a, b = join(k, a, b)
    return k.complex(k.where(condition, a.real, b.real), k.where(condition, a.imag, b.imag))


def is_complex(value):
    return hasattr(value, "dtype") and value.dtype.category == dt.COMPLEX


@rule
def isnan(k, a):
    return k.isnan(a.real) | k.isnan(a.imag)


@rule
def isinf(k, a):
    return k.isinf(a.real) | k.isinf(a.imag)


@rule
def cast(k, a, dtype):
    """Parts converted; to a real dtype the real part, to bool whether it is not zero."""
    if a.dtype is dtype:
        return a
    if dtype is dt.bool_:
        return compare(k, "ne", a, 0)
    if dtype.category != dt.COMPLEX:
        return k.cast(a.real, dtype)
    part = dtype.to_real()
    return k.complex(k.cast(a.real, part), k.cast(a.imag, part))


@rule
def rounded(k, a):
    return a


# -- exponentials and logarithms --------------------------------------------------------------------------------------


def polar(k, size, angle):
    """The number of this absolute value and argument; an angle of 0 gives a real number even if the size is
    infinite."""
    return k.complex(size * k.cos(angle), k.where(angle.eq(0), angle, size * k.sin(angle)))


@function
def exp(k, z):
    size = k.exp(z.real)
    found = polar(k, size, z.imag)
    # exp(-inf + iy) is 0 for every y
    none = size.eq(0)
    zero = k.const(0, z.real.dtype)
    return k.complex(k.where(none, zero, found.real), k.where(none, zero, found.imag))


@function
def exp2(k, z):
    return exp(k, mul(k, z, math.log(2)))


@function
@widened
def expm1(k, z):
    half = k.sin(z.imag * 0.5)
    return k.complex(k.expm1(z.real) * k.cos(z.imag) - half * half * 2, k.exp(z.real) * k.sin(z.imag))


@function
@widened
def log(k, z):
    """log |z| through log1p where |z| is close to 1: (x - 1)(x + 1) + y**2 keeps the digits that |z| has lost."""
    x, y = k.abs(z.real), k.abs(z.imag)
    large, small = k.maximum(x, y), k.minimum(x, y)
    size = k.hypot(z.real, z.imag)
    close = k.log1p((large - 1) * (large + 1) + small * small) * 0.5
    plain = k.where((size > 0.5) & (size < 2), close, k.log(size))
    return k.complex(plain, k.atan2(z.imag, z.real))


@function
def log2(k, z):
    return mul(k, log(k, z), 1 / math.log(2))


@function
def log10(k, z):
    return mul(k, log(k, z), 1 / math.log(10))


@function
@widened
def log1p(k, z):
    x, y = z.real, z.imag
    small = k.maximum(k.abs(x), k.abs(y)) < 0.5
    close = k.log1p(x * (x + 2) + y * y) * 0.5
    return k.complex(k.where(small, close, log(k, add(k, z, 1)).real), k.atan2(y, x + 1))


@function
@widened
def pow(k, a, b):
    """exp(b log a), with a**0 = 1 and 0**b = 0 where the real part of b is positive."""
    size, angle = log(k, a).real, k.atan2(a.imag, a.real)
    found = polar(k, k.exp(b.real * size - b.imag * angle), b.imag * size + b.real * angle)
    nothing = a.real.eq(0) & a.imag.eq(0)
    found = where(k, nothing & (b.real > 0), k.const(0, a.dtype), found)
    return where(k, b.real.eq(0) & b.imag.eq(0), k.const(1, a.dtype), found)


@function
def integer_power(k, z, exponent):
    return pow(k, z, k.cast(exponent, z.dtype) if hasattr(exponent, "dtype") else k.const(exponent, z.dtype))


@function
@widened
def sqrt(k, z):
    """The root with a real part that is not negative; the sign of the imaginary part is that of z."""
    x, y = z.real, z.imag
    root = k.sqrt((k.abs(x) + k.hypot(x, y)) * 0.5)
    other = k.where(root.eq(0), root, k.abs(y) / (root * 2))
    right = k.logical_not(is_negative(k, x))
    real = k.where(right, root, other)
    imag = k.copysign(k.where(right, other, root), y)
    endless = k.isinf(y)
    return k.complex(k.where(endless, k.abs(y), real), k.where(endless, y, imag))


@function
def rsqrt(k, z):
    return div(k, k.const(1, z.dtype), sqrt(k, z))


@function
def sigmoid(k, z):
    return div(k, k.const(1, z.dtype), add(k, exp(k, neg(k, z)), 1))


@function
@widened
def logaddexp(k, a, b):
    first = (a.real > b.real)
    high, low = where(k, first, a, b), where(k, first, b, a)
    found = add(k, high, log1p(k, exp(k, sub(k, low, high))))
    same = compare(k, "eq", a, b) & k.isinf(a.real)
    return where(k, same, a, found)


# -- trigonometric and hyperbolic functions ---------------------------------------------------------------------------


@function
def sin(k, z):
    return k.complex(k.sin(z.real) * k.cosh(z.imag), k.cos(z.real) * k.sinh(z.imag))


@function
def cos(k, z):
    return k.complex(k.cos(z.real) * k.cosh(z.imag), -(k.sin(z.real) * k.sinh(z.imag)))


@function
def sinh(k, z):
    real, imag = k.sinh(z.real), k.cosh(z.real)
    real = k.where(z.real.eq(0), z.real, real * k.cos(z.imag))
    return k.complex(real, k.where(z.imag.eq(0), z.imag, imag * k.sin(z.imag)))


@function
def cosh(k, z):
    imag = k.where(z.imag.eq(0) | z.real.eq(0), z.real * z.imag, k.sinh(z.real) * k.sin(z.imag))
    return k.complex(k.cosh(z.real) * k.cos(z.imag), imag)


@function
@widened
def tanh(k, z):
    """W. Kahan's form ("Branch cuts for complex elementary functions", 1987)."""
    x, y = z.real, z.imag
    slope, size = k.tan(y), k.sinh(x)
    square = slope * slope + 1
    denominator = square * size * size + 1
    real = square * k.sqrt(size * size + 1) * size / denominator
    large = k.abs(x) > 20
    far = k.sin(y) * k.cos(y) * k.exp(k.abs(x) * -2) * 4
    one = k.copysign(k.const(1, x.dtype), x)
    return k.complex(k.where(large, one, real), k.where(large, far, slope / denominator))


def turned(k, z):
    """i z."""
    return k.complex(-z.imag, z.real)


def turned_back(k, z):
    """-i z."""
    return k.complex(z.imag, -z.real)


@function
def tan(k, z):
    return turned_back(k, tanh(k, turned(k, z)))


def square_roots(k, z):
    """sqrt(1 - z) and sqrt(1 + z); the signs of zeros say on which side of the cuts z lies."""
    return (sqrt(k, k.complex(1 - z.real, -z.imag)), sqrt(k, k.complex(z.real + 1, z.imag)))


@function
@widened
def asin(k, z):
    less, more = square_roots(k, z)
    real = k.atan2(z.real, less.real * more.real - less.imag * more.imag)
    return k.complex(real, k.copysign(k.asinh(less.real * more.imag - less.imag * more.real), z.imag))


@function
@widened
def acos(k, z):
    less, more = square_roots(k, z)
    return k.complex(k.atan2(less.real, more.real) * 2,
                     k.asinh(more.real * less.imag - more.imag * less.real))


@function
@widened
def atan(k, z):
    return turned_back(k, atanh(k, turned(k, z)))


@function
@widened
def asinh(k, z):
    return turned_back(k, asin(k, turned(k, z)))


@function
@widened
def acosh(k, z):
    less, more = sqrt(k, k.complex(z.real - 1, z.imag)), sqrt(k, k.complex(z.real + 1, z.imag))
    return k.complex(k.asinh(less.real * more.real + less.imag * more.imag), k.atan2(less.imag, more.real) * 2)


@function
@widened
def atanh(k, z):
    x, y = z.real, z.imag
    below = (1 - x) * (1 - x) + y * y
    real = k.log1p(x * 4 / below) * 0.25
    # of the two forms of the real part the other keeps its digits for negative x
    above = (x + 1) * (x + 1) + y * y
    real = k.where(x < 0, k.log1p(x * -4 / above) * -0.25, real)
    return k.complex(real, k.atan2(y * 2, (1 - x) * (x + 1) - y * y) * 0.5)


@function
def sinc(k, z):
    angle = mul(k, z, math.pi)
    one, zero = k.const(1, z.dtype), compare(k, "eq", z, 0)
    return where(k, zero, one, div(k, sin(k, angle), where(k, zero, one, angle)))
