"""Elementary functions as IR: exponentials, logarithms, circular and hyperbolic functions, powers, roundings.

A builder function and Values in, a Value out, for float and double, scalar or vector. `special_functions` builds on
these.

Note [Scaling by powers of two]
AVX-512 has an instruction for it. Elsewhere `reduce_exp` leaves n + 2 * bias in the low bits of an integer. Split into
two nearly equal halves it gives two factors whose product covers denormal results and overflow; where the result is
known to be a normal number one factor is enough.
"""

from ..ir import target
from ..ir.builder import lanes
from .circular_reduction import LIMIT, replace_far_lanes
from .scalar_base import (
    ALL_BITS,
    BIAS,
    HALF_PI,
    HUGE,
    INF,
    MAGIC,
    MANTISSA,
    NAN,
    PI,
    TINY,
    absolute,
    base,
    bits,
    choose,
    clamp_above,
    clamp_below,
    constant_like,
    copy_sign,
    from_bits,
    function,
    parts,
    polynomial,
    shift_right,
    two_sum,
    unary,
)
from .scalar_tables import POLYNOMIALS

LN2 = (0.6931471805599453, 2.3190468138462996e-17, 5.707708438416212e-34)
LOG2E = (1.4426950408889634, 2.0355273740931033e-17, 0.0)
LOG10E = (0.4342944819032518, 1.098319650216765e-17)
LOG10_2 = (0.3010299956639812, -2.8037281277851704e-18)
INV_PI = 0.3183098861837907
# Beyond these exp is 0 or infinity, whatever the rounding.
EXP_LOW = {"float": -104.0, "double": -746.0}
EXP_HIGH = {"float": 89.0, "double": 710.0}
EXP_NORMAL = {"float": -87.33654, "double": -708.3964}  # above this exp is a normal number
EXP2_LOW = {"float": -151.0, "double": -1076.0}
EXP2_HIGH = {"float": 128.0, "double": 1024.0}
SQRT_HALF_BITS = {"float": 0x3F3504F3, "double": 0x3FE6A09E667F3BCD}


def table(name, value):
    """Coefficients of a polynomial for the type of `value`."""
    return POLYNOMIALS[name][base(value)]


# -- exponentials ------------------------------------------------------------------


def reduce_exp(fn, x, offset):
    """x = n ln2 + r, |r| <= ln2 / 2: returns r, n, and an integer with n + offset in its low bits."""
    kind = base(x)
    magic = MAGIC[kind] + offset
    shifted = fn.fma(x, LOG2E[0], magic)
    n = shifted - magic
    high, low = parts(LN2, kind)
    r = fn.fma(n, -low, fn.fma(n, -high, x))
    return r, n, bits(fn, shifted)


def exp_polynomial(fn, r):
    """exp(r) - 1 for |r| <= ln2 / 2."""
    return fn.fma(polynomial(fn, r, table("exp", r)), r * r, r)


def power_of_two(fn, count, kind):
    """2**(n - bias) from n in the low bits of an integer."""
    return from_bits(fn, count << MANTISSA[kind])


def scale(fn, value, n, count):
    """value * 2**n for an n that is given as a float, and as n + 2 * bias in the low bits of `count`."""
    kind = base(value)
    half = shift_right(fn, count, 1)
    return scaled_at_once(fn, value, n) or (
        value * power_of_two(fn, half, kind) * power_of_two(fn, count - half, kind))


def scaled_at_once(fn, value, n):
    """value * 2**n by one instruction a register, whatever the result; None where the target has none."""
    kind = base(value)
    width = 512 // ALL_BITS[kind]
    if target.current.vector_bytes != 64 or lanes(value.type) % width:
        return None
    name = f"llvm.x86.avx512.mask.scalef.{'ps' if kind == 'float' else 'pd'}.512"
    mask, rounding = fn.constant(-1, f"i{width}"), fn.constant(4, "i32")  # all lanes, rounded as everywhere
    registers = [[fn.shuffle(v, v, range(at, at + width)) for v in (value, n)]
                 for at in range(0, lanes(value.type), width)]
    return join(fn, [fn.intrinsic(name, a.type, a, b, a, mask, rounding) for a, b in registers])


def join(fn, values):
    """Vectors side by side, their number a power of two."""
    while len(values) > 1:
        values = [fn.shuffle(a, b, range(2 * lanes(a.type))) for a, b in zip(values[::2], values[1::2])]
    return values[0]


def exp_reduced(fn, r):
    """exp(r) for |r| <= ln2 / 2."""
    return exp_polynomial(fn, r) + 1.0


@function("exp", 1.0, 1.0)
def exp(fn, x):
    kind = base(x)
    x = clamp_below(fn, clamp_above(fn, x, EXP_HIGH[kind]), EXP_LOW[kind])
    r, n, count = reduce_exp(fn, x, 2 * BIAS[kind])
    return scale(fn, exp_reduced(fn, r), n, count)


@function("exp_below", 1.0, 1.0)
def exp_below(fn, x):
    """exp(x) for x below 64, and 0 where that would not be a normal number: a result that is denormal costs the
    processor as much as ten results, and weights that are masked out are far below."""
    kind, low = base(x), EXP_NORMAL[base(x)]
    r, n, count = reduce_exp(fn, clamp_below(fn, x, low), BIAS[kind])
    value = exp_reduced(fn, r)
    return choose(fn, x < low, 0.0, scaled_at_once(fn, value, n) or value * power_of_two(fn, count, kind))


@function("exp2", 1.0, 1.0)
def exp2(fn, x):
    kind = base(x)
    x = clamp_below(fn, clamp_above(fn, x, EXP2_HIGH[kind]), EXP2_LOW[kind])
    magic = MAGIC[kind] + 2 * BIAS[kind]
    shifted = x + magic
    n = shifted - magic
    r = x - n
    value = fn.fma(polynomial(fn, r, table("exp2", r)), r, 1.0)
    return scale(fn, value, n, bits(fn, shifted))


def expm1_scaled(fn, x, exponent):
    """(exp(x) - 1) / 2**exponent for x below the range of exp: the division keeps the power of two finite."""
    kind = base(x)
    r, _, count = reduce_exp(fn, x, BIAS[kind] - exponent)
    scale = power_of_two(fn, count, kind)
    return fn.fma(exp_polynomial(fn, r), scale, scale - 0.5**exponent)


@function("expm1", 2.0, 2.5)
def expm1(fn, x):
    kind = base(x)
    inner = clamp_below(fn, clamp_above(fn, x, EXP_HIGH[kind]), -50.0)
    result = expm1_scaled(fn, inner, 1)
    return choose(fn, absolute(fn, x) < 2 * TINY[kind], x, result + result)


@function("sigmoid", 2.5, 2.5)
def sigmoid(fn, x):
    """1 / (1 + exp(-x)), as PyTorch: 0 where exp(-x) overflows."""
    return 1.0 / (exp(fn, -x) + 1.0)


# -- hyperbolic ----------------------------------------------------------------------


@function("tanh", 1.25, 3.0)
def tanh(fn, x):
    """Float: 1 - 2 / (exp(2|x|) + 1), below 1 a polynomial; double: (e / 2) / (e / 2 + 1) with e = exp(2|x|) - 1."""
    kind = base(x)
    magnitude = absolute(fn, x)
    if kind == "float":
        z = x * x
        small = fn.fma(polynomial(fn, z, table("tanh", x)) * z, x, x)
        large = 1.0 - 2.0 / (exp(fn, magnitude + magnitude) + 1.0)
        return copy_sign(fn, fn.select(magnitude < 1.0, small, large), x)
    doubled = clamp_above(fn, magnitude + magnitude, 20.0 if kind == "float" else 44.0)
    half = expm1_scaled(fn, doubled, 1)
    result = copy_sign(fn, half / (half + 1.0), x)
    return choose(fn, magnitude < 4 * TINY[kind], x, result)


@function("sinh", 2.5, 3.0)
def sinh(fn, x):
    kind = base(x)
    magnitude = absolute(fn, x)
    quarter = expm1_scaled(fn, clamp_above(fn, magnitude, EXP_HIGH[kind] + 0.6), 2)
    result = quarter + quarter / fn.fma(quarter, 4.0, 1.0)
    result = result + result
    return copy_sign(fn, choose(fn, magnitude < 4 * TINY[kind], magnitude, result), x)


@function("cosh", 1.5, 1.5)
def cosh(fn, x):
    kind = base(x)
    magnitude = absolute(fn, x)
    r, n, count = reduce_exp(fn, clamp_above(fn, magnitude, EXP_HIGH[kind] + 1), 2 * BIAS[kind] - 1)
    half = scale(fn, exp_reduced(fn, r), n - 1.0, count)
    return half + 0.25 / half


# -- logarithms ----------------------------------------------------------------------


def split_log(fn, x):
    """x = 2**e * (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2), for positive normal x: returns e as a float and f."""
    kind = base(x)
    mantissa = MANTISSA[kind]
    one, root = BIAS[kind] << mantissa, SQRT_HALF_BITS[kind]
    shifted = bits(fn, x) + (one - root)
    count = shift_right(fn, shifted, mantissa)
    magic = 2.0**mantissa
    magic_bits = (BIAS[kind] + mantissa) << mantissa
    e = from_bits(fn, count | magic_bits) - (magic + BIAS[kind])
    f = from_bits(fn, (shifted & ((1 << mantissa) - 1)) + root) - 1.0
    return e, f


def normalised(fn, x):
    """Denormal x times a power of two, and the exponent to subtract."""
    kind = base(x)
    small = x < TINY[kind]
    shift = MANTISSA[kind] + 2
    return choose(fn, small, x * 2.0**shift, x), choose(fn, small, constant_like(fn, shift, x), 0.0)


def log_tail(fn, f):
    """log(1 + f) - f for sqrt(1/2) <= 1 + f < sqrt(2)."""
    if base(f) == "float":
        return polynomial(fn, f, (*table("log", f), -0.5)) * (f * f)
    half_square = f * f * 0.5
    s = f / (f + 2.0)
    z = s * s
    return fn.fma(s, fn.fma(polynomial(fn, z, table("log", f)), z, half_square), -half_square)


def log_specials(fn, x, result):
    """The logarithm of 0, negative numbers, infinity and NaN."""
    inside = (x > 0.0) & (x < INF)
    outside = choose(fn, x > 0.0, x, NAN)
    outside = choose(fn, x.eq(0.0), -INF, outside)
    return fn.select(inside, result, outside)


@function("log", 1.0, 1.0)
def log(fn, x):
    scaled, shift = normalised(fn, x)
    e, f = split_log(fn, scaled)
    e = e - shift
    high, low = parts(LN2, base(x))
    tail = fn.fma(e, low, log_tail(fn, f))
    return log_specials(fn, x, fn.fma(e, high, f + tail))


@function("log2", 1.25, 1.25)
def log2(fn, x):
    scaled, shift = normalised(fn, x)
    e, f = split_log(fn, scaled)
    tail = log_tail(fn, f)
    high, low = parts(LOG2E, base(x))
    tail = fn.fma(f, low, tail * high)
    return log_specials(fn, x, (e - shift) + fn.fma(f, high, tail))


@function("log10", 1.25, 1.25)
def log10(fn, x):
    scaled, shift = normalised(fn, x)
    e, f = split_log(fn, scaled)
    e = e - shift
    tail = log_tail(fn, f)
    high, low = parts(LOG10E, base(x))
    tail = fn.fma(f, low, tail * high)
    high2, low2 = parts(LOG10_2, base(x))
    tail = fn.fma(f, high, fn.fma(e, low2, tail))
    return log_specials(fn, x, fn.fma(e, high2, tail))


@function("log1p", 1.0, 1.0)
def log1p(fn, x):
    """log(1 + x): the logarithm of the rounded sum plus its rounding error over the sum."""
    total, error = two_sum(constant_like(fn, 1.0, x), x)
    e, f = split_log(fn, total)
    high, low = parts(LN2, base(x))
    tail = log_tail(fn, f) + fn.fma(e, low, error / total)
    result = log_specials(fn, total, fn.fma(e, high, f + tail))
    return choose(fn, absolute(fn, x) < 2.0 ** -(MANTISSA[base(x)] + 2), x, result)


# -- circular ------------------------------------------------------------------------


def reduce_quarter_turns(fn, x):
    """x = n pi / 2 + r + rest, |r| <= pi / 4: returns r, the rest, and an integer with the low bits of n."""
    kind = base(x)
    shifted = fn.fma(x, 2 * INV_PI, MAGIC[kind])
    n = shifted - MAGIC[kind]
    # A constant in three parts, the first step is exact; positive parts keep the sign of zero.
    first, second, third = parts(HALF_PI, kind, 3)
    exact = fn.fma(n, -first, x)
    r = fn.fma(n, -second, exact)
    moved = exact - r  # rounded, so that the error of r is what n * second leaves of it, and its own error
    rest = fn.fma(n, -third, fn.fma(n, -second, moved) + ((exact - moved) - r))
    near = absolute(fn, x) < LIMIT[kind]
    r, count = replace_far_lanes(fn, x, r, bits(fn, shifted))
    return r, choose(fn, near, rest, 0.0), count


def sine_and_cosine(fn, r, rest):
    """sin(r + rest) and cos(r + rest) for |r| <= pi / 4 and a rest below its last digit."""
    z = r * r
    sine = r + fn.fma(polynomial(fn, z, table("sin", r)) * z, r, rest)
    half = z * 0.5
    head = 1.0 - half
    tail = fn.fma(polynomial(fn, z, table("cos", r)), z * z, fn.fma(r, -rest, (1.0 - head) - half))
    return copy_sign(fn, sine, r), head + tail


def turned(fn, value, count):
    """value with its sign flipped in the third and fourth quarter turn."""
    flip = (count & 2) << (ALL_BITS[base(value)] - 2)
    return from_bits(fn, bits(fn, value) ^ flip)


def sin_cos(fn, x):
    """The pair sin(x), cos(x)."""
    r, rest, count = reduce_quarter_turns(fn, x)
    sine, cosine = sine_and_cosine(fn, r, rest)
    odd = (count & 1).ne(0)
    return turned(fn, fn.select(odd, cosine, sine), count), turned(fn, fn.select(odd, sine, cosine), count + 1)


@function("sin", 1.0, 1.0)
def sin(fn, x):
    return sin_cos(fn, x)[0]


@function("cos", 1.0, 1.0)
def cos(fn, x):
    return sin_cos(fn, x)[1]


@function("tan", 4.0, 4.0)
def tan(fn, x):
    """sin(r) / cos(r), or -cos(r) / sin(r) for an odd multiple of pi / 2."""
    r, rest, count = reduce_quarter_turns(fn, x)
    sine, cosine = sine_and_cosine(fn, r, rest)
    odd = (count & 1).ne(0)
    return fn.select(odd, -cosine, sine) / fn.select(odd, sine, cosine)


# -- inverse circular ----------------------------------------------------------------


def arc_tangent(fn, numerator, denominator):
    """The angle in [0, pi / 2] of non-negative operands: reduced to |t| <= tan(pi / 8) with a single division."""
    kind = base(numerator)
    large = numerator > denominator * 2.414213562373095
    middle = numerator > denominator * 0.4142135623730951
    top = fn.select(large, -denominator, choose(fn, middle, numerator - denominator, numerator))
    bottom = fn.select(large, numerator, choose(fn, middle, numerator + denominator, denominator))
    t = top / bottom
    z = t * t
    angle = fn.fma(polynomial(fn, z, table("atan", t)), z * t, t)
    high, low = parts(HALF_PI, kind)
    offset = choose(fn, large, constant_like(fn, high, t), choose(fn, middle, constant_like(fn, high / 2, t), 0.0))
    return fn.fma(offset, low / high, angle) + offset


@function("atan", 2.5, 2.5)
def atan(fn, x):
    return copy_sign(fn, arc_tangent(fn, absolute(fn, x), constant_like(fn, 1.0, x)), x)


@function("atan2", 2.5, 2.5)
def atan2(fn, y, x):
    kind = base(x)
    a, b = absolute(fn, y), absolute(fn, x)
    top = fn.maximum(a, b)
    scale = choose(fn, top > HUGE[kind] / 4, constant_like(fn, 0.0625, x), 1.0)
    a, b = a * scale, b * scale
    same = a.eq(b) & (top.eq(0.0) | top.eq(INF))
    # 0 / 0 becomes 0 / 1 and inf / inf becomes 1 / 1.
    a = fn.select(same, fn.minimum(a, constant_like(fn, 1.0, a)), a)
    b = choose(fn, same, 1.0, b)
    angle = arc_tangent(fn, a, b)
    high, low = parts(PI, kind)
    angle = fn.select((bits(fn, x) < 0), high - (angle - low), angle)
    return copy_sign(fn, angle, y)


def arc_sine_core(fn, x):
    """For |x| <= 1/2 the pair x, asin(x); above it s = sqrt((1 - |x|) / 2) and asin(s). Also the condition."""
    magnitude = absolute(fn, x)
    small = magnitude <= 0.5
    z = fn.select(small, x * x, fn.fma(magnitude, -0.5, 0.5))
    s = fn.select(small, magnitude, unary(fn, "sqrt", z))
    return small, fn.fma(polynomial(fn, z, table("asin", z)), z * s, s)


@function("asin", 2.5, 2.5)
def asin(fn, x):
    high, low = parts(HALF_PI, base(x))
    small, angle = arc_sine_core(fn, x)
    reflected = high - (angle * 2.0 - low)
    return copy_sign(fn, fn.select(small, angle, reflected), x)


@function("acos", 1.5, 1.5)
def acos(fn, x):
    high, low = parts(HALF_PI, base(x))
    small, angle = arc_sine_core(fn, x)
    negative = x < 0.0
    signed = fn.select(negative, -angle, angle)
    near = high - (signed - low)
    doubled = angle + angle
    far = fn.select(negative, high * 2.0 - (doubled - low * 2.0), doubled)
    return fn.select(small, near, far)


# -- inverse hyperbolic --------------------------------------------------------------


@function("asinh", 2.5, 2.5)
def asinh(fn, x):
    """log1p(a + a**2 / (1 + sqrt(1 + a**2))), and log(a) + log(2) where a**2 may overflow."""
    a = absolute(fn, x)
    large = a > 1.0e18
    square = a * a
    argument = a + square / (unary(fn, "sqrt", square + 1.0) + 1.0)
    result = log1p(fn, fn.select(large, a, argument)) + choose(fn, large, constant_like(fn, LN2[0], x), 0.0)
    return copy_sign(fn, result, x)


@function("acosh", 2.5, 2.5)
def acosh(fn, x):
    """log1p(t + sqrt(2t + t**2)) with t = x - 1."""
    large = x > 1.0e18
    t = x - 1.0
    argument = t + unary(fn, "sqrt", fn.fma(t, t, t + t))
    result = log1p(fn, fn.select(large, x, argument)) + choose(fn, large, constant_like(fn, LN2[0], x), 0.0)
    return choose(fn, x >= 1.0, result, NAN)


@function("atanh", 2.5, 2.5)
def atanh(fn, x):
    """log1p(2a / (1 - a)) / 2."""
    a = absolute(fn, x)
    return copy_sign(fn, log1p(fn, (a + a) / (1.0 - a)) * 0.5, x)
