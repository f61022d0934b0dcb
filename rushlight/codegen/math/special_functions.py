"""Special functions as IR: the error function and its relatives, entropies, logarithms of sums.

A builder function and Values in, a Value out, for float and double, scalar or vector. Built on `elementary`.
"""

from .elementary import (
    exp,
    exp2,
    exp_polynomial,
    exp_reduced,
    log,
    log1p,
    power_of_two,
    reduce_exp,
    scale,
    sin,
    table,
)
from .scalar_base import (
    BIAS,
    INF,
    NAN,
    absolute,
    base,
    choose,
    clamp_above,
    clamp_below,
    constant_like,
    copy_sign,
    function,
    is_nan,
    polynomial,
    through_double,
    two_product,
    unary,
)

EXP_FLOOR = {"float": -104.0, "double": -746.0}
EXP_CEILING = {"float": 89.0, "double": 710.0}
# erf is 1 beyond these.
ERF_LIMIT = {"float": 4.0, "double": 6.0}
ERFINV_MIDDLE = {"float": 1.5, "double": 2.0}
# The middle of the map t = (a - K) / (a + K) under which erfcx is a polynomial.
ERFCX_MIDDLE = {"float": 2.0, "double": 4.0}
INV_SQRT2 = (0.7071067811865476, -4.833646656726457e-17)
SQRT_PI = 1.772453850905516


# -- error functions -----------------------------------------------------------------


@function("erf", 2.5, 2.5)
def erf(fn, x):
    """1 - exp(-h) with h = -log(erfc(a)) = a P(a): keeps the relative precision near zero as expm1 does."""
    kind = base(x)
    a = clamp_above(fn, absolute(fn, x), ERF_LIMIT[kind])
    h = -(polynomial(fn, a, table("erf_exponent", a)) * a)
    r, _, count = reduce_exp(fn, h, BIAS[kind])
    scale = power_of_two(fn, count, kind)
    return copy_sign(fn, fn.fma(exp_polynomial(fn, r), scale, scale - 1.0), x)


def scaled_complement(fn, a):
    """exp(a**2) erfc(a) for a >= 0."""
    kind = base(a)
    middle = ERFCX_MIDDLE[kind]
    near = clamp_above(fn, a, 1.0e18)
    t = (near - middle) / (near + middle)
    return polynomial(fn, t, table("erfcx", t)) * 0.5 / (a + 0.5)


def exp_two_part(fn, high, low):
    """exp(high + low), low much smaller than high."""
    kind = base(high)
    inside = clamp_below(fn, clamp_above(fn, high, EXP_CEILING[kind]), EXP_FLOOR[kind])
    low = choose(fn, inside.eq(high), low, 0.0)
    r, n, count = reduce_exp(fn, inside, 2 * BIAS[kind])
    return scale(fn, exp_reduced(fn, r + low), n, count)


def exp_of_square(fn, x, factor):
    """exp(factor * x**2) for a factor that is a power of two up to its sign."""
    square, error = two_product(fn, x, x)
    return exp_two_part(fn, square * factor, error * factor)


@function("erfc", 4.0, 5.0)
def erfc(fn, x):
    a = absolute(fn, x)
    value = exp_of_square(fn, a, -1.0) * scaled_complement(fn, a)
    return fn.select(x < 0.0, 2.0 - value, value)


@function("erfcx", 4.0, 5.0)
def erfcx(fn, x):
    """exp(x**2) erfc(x), which is 2 exp(x**2) - erfcx(-x) for negative x."""
    value = scaled_complement(fn, absolute(fn, x))
    mirrored = fn.fma(exp_of_square(fn, x, 1.0), 2.0, -value)
    return fn.select(x < 0.0, mirrored, value)


@function("ndtr", 4.0, 5.0)
def ndtr(fn, x):
    """The normal distribution function: erfc(-x / sqrt(2)) / 2, with the exact square x**2 / 2 in the exponent."""
    a = absolute(fn, x)
    tail = exp_of_square(fn, a, -0.5) * scaled_complement(fn, a * INV_SQRT2[0]) * 0.5
    return fn.select(x < 0.0, tail, 1.0 - tail)


@function("log_ndtr", 1.0, 6.0)
@through_double
def log_ndtr(fn, x):
    """log(erfcx(-x / sqrt(2)) / 2) - x**2 / 2 below -1, log1p(-ndtr(-x)) above."""
    a = absolute(fn, x)
    scaled = scaled_complement(fn, a * INV_SQRT2[0]) * 0.5
    low = fn.fma(a * a, -0.5, log(fn, scaled))
    tail = exp_of_square(fn, a, -0.5) * scaled
    high = log1p(fn, -fn.select(x < 0.0, 1.0 - tail, tail))
    return fn.select(x < -1.0, low, high)


# -- entropies and logarithms of sums ------------------------------------------------


@function("entr", 2.0, 2.0)
def entr(fn, x):
    """-x log(x): 0 at 0, minus infinity below."""
    value = -(x * log(fn, x))
    value = choose(fn, x.eq(0.0), 0.0, value)
    return choose(fn, x < 0.0, -INF, value)


@function("xlogy", 2.0, 2.0)
def xlogy(fn, x, y):
    """x log(y), 0 where x is 0 unless y is NaN."""
    return choose(fn, x.eq(0.0) & y.eq(y), 0.0, x * log(fn, y))


@function("xlog1py", 3.0, 3.0)
def xlog1py(fn, x, y):
    """x log(1 + y), 0 where x is 0 unless y is NaN."""
    return choose(fn, x.eq(0.0) & y.eq(y), 0.0, x * log1p(fn, y))


def larger_and_gap(fn, x, y):
    """max(x, y), NaN if one is NaN, and -|x - y|; equal infinities count as no gap."""
    top = fn.select((x >= y) | is_nan(x), x, y)
    gap = -absolute(fn, x - y)
    return top, choose(fn, x.eq(y), 0.0, gap)


@function("logaddexp", 3.0, 3.0)
def logaddexp(fn, x, y):
    top, gap = larger_and_gap(fn, x, y)
    return top + log1p(fn, exp(fn, gap))


@function("logaddexp2", 3.0, 3.0)
def logaddexp2(fn, x, y):
    """max + log1p(2**-gap) / log(2)."""
    top, gap = larger_and_gap(fn, x, y)
    return top + log1p(fn, exp2(fn, gap)) * 1.4426950408889634


@function("sinc", 4.0, 4.0)
def sinc(fn, x):
    """sin(pi x) / (pi x), 1 at 0."""
    angle = x * 3.141592653589793
    return choose(fn, x.eq(0.0), 1.0, sin(fn, angle) / angle)


# -- inverse error functions ---------------------------------------------------------


def inverse_erf_center(fn, x):
    """erfinv(x) for |x| <= 1/2."""
    z = x * x
    return polynomial(fn, z, table("erfinv", z)) * x


def inverse_erfc_tail(fn, t):
    """y with erfc(y) = t for 0 < t <= 1/2 (floats: t >= 2**-24); doubles take a step of Halley's method."""
    s = unary(fn, "sqrt", -log(fn, t))
    middle = ERFINV_MIDDLE[base(s)]
    y = polynomial(fn, (s - middle) / (s + middle), table("erfinv_tail", s)) * s
    if base(s) == "float":
        return y
    scaled = scaled_complement(fn, y)
    gauss = exp_of_square(fn, y, -1.0)
    # (erfc(y) - t) / erfc'(y), with erfc(y) = gauss * scaled.
    newton = (t / gauss - scaled) * (0.5 * SQRT_PI)
    return y - newton / fn.fma(newton, y, 1.0)


@function("erfinv", 3.0, 4.0)
def erfinv(fn, x):
    a = absolute(fn, x)
    center = inverse_erf_center(fn, x)
    tail = inverse_erfc_tail(fn, clamp_below(fn, 1.0 - a, 1.0e-17))
    value = fn.select(a <= 0.5, center, copy_sign(fn, tail, x))
    value = choose(fn, a.eq(1.0), copy_sign(fn, constant_like(fn, INF, x), x), value)
    return choose(fn, a > 1.0, NAN, value)


@function("ndtri", 1.0, 4.0)
@through_double
def ndtri(fn, p):
    """The inverse of ndtr: sqrt(2) erfinv(2p - 1), from the smaller tail where that is far from 0."""
    x = p * 2.0 - 1.0
    center = inverse_erf_center(fn, x)
    lower = p < 0.5
    t = fn.select(lower, p, 1.0 - p) * 2.0
    tail = inverse_erfc_tail(fn, clamp_below(fn, t, 5e-324))
    value = fn.select(absolute(fn, x) <= 0.5, center, fn.select(lower, -tail, tail)) * 1.4142135623730951
    value = choose(fn, p.eq(0.0), -INF, choose(fn, p.eq(1.0), INF, value))
    return choose(fn, (p < 0.0) | (p > 1.0), NAN, value)
