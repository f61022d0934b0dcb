"""Bessel functions as IR: ordinary and modified ones of orders 0 and 1.

A builder function and Values in, a Value out. Everything computes in double, also for float operands. Built on
`elementary`.

Note [Two ranges]
Near zero a function is a polynomial in x**2 (plus log(x) times its regular companion for the second kind), with its
first zeros split off so that it keeps its relative precision there. Far out it is a wave or an exponential times a
function of 1 / x. Zeros of the wave lie between numbers: error bounds count units of 1 there.
"""

from .elementary import exp, log, sin_cos, table
from .scalar_base import (
    INF,
    NAN,
    absolute,
    choose,
    clamp_above,
    clamp_below,
    constant_like,
    copy_sign,
    function,
    polynomial,
    through_double,
    unary,
)

TWO_OVER_PI = 0.6366197723675814
# Squares of the first zeros, in two parts.
J0_ZEROS = ((5.783185962946784, 4.123247343506204e-16), (30.471262343662087, -2.366534485750659e-16))
J1_ZEROS = ((14.681970642123893, -9.858177825793294e-17),)
WAVE_START = 5.0


# -- ordinary ------------------------------------------------------------------------


def near_zero(fn, z, order):
    """J0(x) or J1(x) / x for z = x**2 up to 25."""
    value = polynomial(fn, z, table(f"j{order}_small", z))
    for high, low in J1_ZEROS if order else J0_ZEROS:
        value = value * ((z - high) - low)
    return value


def wave(fn, a, order, second):
    """J or Y for a >= 5: sqrt(2 / (pi a)) (p cos(chi) - q sin(chi)), chi = a - (2 order + 1) pi / 4."""
    inverse = WAVE_START / a
    v = inverse * inverse
    p, q = (hankel(fn, v, f"hankel{order}_{part}") for part in "pq")
    q = q / a
    sine, cosine = sin_cos(fn, a)
    # cos(chi) and sin(chi) times sqrt(2), without rounding chi.
    along, across = (sine - cosine, -(sine + cosine)) if order else (sine + cosine, sine - cosine)
    value = p * across + q * along if second else p * along - q * across
    return value / unary(fn, "sqrt", a * 3.141592653589793)


def hankel(fn, v, name):
    return polynomial(fn, v, table(name, v)) / polynomial(fn, v, table(name + "_divisor", v))


def first_kind(fn, x, order):
    a = absolute(fn, x)
    near = clamp_above(fn, a, WAVE_START)
    value = near_zero(fn, near * near, order)
    if order:
        value = value * near
    far = wave(fn, clamp_below(fn, a, WAVE_START), order, second=False)
    value = choose(fn, a.eq(INF), 0.0, fn.select(a <= WAVE_START, value, far))
    return value * copy_sign(fn, constant_like(fn, 1.0, x), x) if order else value


def second_kind(fn, x, order):
    near = clamp_above(fn, x, WAVE_START)
    z = near * near
    value = polynomial(fn, z, table(f"y{order}_small", z))
    regular = near_zero(fn, z, order)
    if order:
        value = near * fn.fma(regular * TWO_OVER_PI, log(fn, near), value) - TWO_OVER_PI / near
    else:
        value = fn.fma(regular * TWO_OVER_PI, log(fn, near), value)
    far = wave(fn, clamp_below(fn, x, WAVE_START), order, second=True)
    value = choose(fn, x.eq(INF), 0.0, fn.select(x <= WAVE_START, value, far))
    value = choose(fn, x.eq(0.0), -INF, value)
    return choose(fn, x < 0.0, NAN, value)


@function("bessel_j0", 1.0, 8.0)
@through_double
def bessel_j0(fn, x):
    return first_kind(fn, x, 0)


@function("bessel_j1", 1.0, 8.0)
@through_double
def bessel_j1(fn, x):
    return first_kind(fn, x, 1)


@function("bessel_y0", 1.0, 12.0)
@through_double
def bessel_y0(fn, x):
    return second_kind(fn, x, 0)


@function("bessel_y1", 1.0, 12.0)
@through_double
def bessel_y1(fn, x):
    return second_kind(fn, x, 1)


@function("spherical_bessel_j0", 2.0, 4.0)
@through_double
def spherical_bessel_j0(fn, x):
    """sin(x) / x, 1 at 0 and 0 at infinity."""
    value = choose(fn, x.eq(0.0), 1.0, sin_cos(fn, x)[0] / x)
    return choose(fn, absolute(fn, x).eq(INF), 0.0, value)


# -- modified, first kind ------------------------------------------------------------


def bessel_i(fn, a, order):
    """For a >= 0: whether a <= 8, a power series for I(a) there, and exp(-a) I(a) as a series in 1 / a above."""
    near = clamp_above(fn, a, 8.0)
    z = near * near * 0.25
    series = polynomial(fn, z, table(f"i{order}_small", z))
    if order == 1:
        series = series * near * 0.5
    far = clamp_below(fn, a, 8.0)
    tail = polynomial(fn, 8.0 / far, table(f"i{order}_large", far)) / unary(fn, "sqrt", far)
    return a <= 8.0, series, tail


def scaled_bessel_i(fn, x, order):
    a = absolute(fn, x)
    near, series, tail = bessel_i(fn, a, order)
    value = fn.select(near, series * exp(fn, -clamp_above(fn, a, 8.0)), tail)
    return fn.select(x < 0.0, -value, value) if order == 1 else value


def plain_bessel_i(fn, x, order):
    a = absolute(fn, x)
    near, series, tail = bessel_i(fn, a, order)
    half = exp(fn, a * 0.5)
    value = fn.select(near, series, tail * half * half)
    value = choose(fn, a.eq(INF), NAN, value)  # as in PyTorch, whose factors are infinite and zero
    return fn.select(x < 0.0, -value, value) if order == 1 else value


@function("i0", 1.0, 8.0)
@through_double
def i0(fn, x):
    return plain_bessel_i(fn, x, 0)


@function("i0e", 1.0, 5.0)
@through_double
def i0e(fn, x):
    return scaled_bessel_i(fn, x, 0)


@function("i1", 1.0, 8.0)
@through_double
def i1(fn, x):
    return plain_bessel_i(fn, x, 1)


@function("i1e", 1.0, 5.0)
@through_double
def i1e(fn, x):
    return scaled_bessel_i(fn, x, 1)


# -- modified, second kind -----------------------------------------------------------


def bessel_k(fn, x, order, scaled):
    """K(x) or exp(x) K(x) for x > 0: below 2 a regular part plus log(x / 2) I(x), above a function of 1 / x."""
    near = clamp_above(fn, x, 2.0)
    z = near * near * 0.25
    logarithm = log(fn, near * 0.5)
    regular = polynomial(fn, z, table(f"k{order}_small", z))
    companion = polynomial(fn, z, table(f"i{order}_small", z))
    if order:
        value = near * fn.fma(logarithm * 0.5, companion, regular) + 1.0 / near
    else:
        value = regular - logarithm * companion
    if scaled:
        value = value * exp(fn, near)
    far = clamp_below(fn, x, 2.0)
    tail = polynomial(fn, 2.0 / far, table(f"k{order}_large", far)) / unary(fn, "sqrt", far)
    if not scaled:
        half = exp(fn, far * -0.5)
        tail = tail * half * half
    value = fn.select(x <= 2.0, value, tail)
    value = choose(fn, x.eq(0.0), INF, value)
    return choose(fn, x < 0.0, NAN, value)


def register_bessel_k(name, order, scaled, error):
    @function(name, 1.0, error)
    @through_double
    def emit(fn, x):
        return bessel_k(fn, x, order, scaled)

    return emit


modified_bessel_k0 = register_bessel_k("modified_bessel_k0", 0, False, 8.0)
modified_bessel_k1 = register_bessel_k("modified_bessel_k1", 1, False, 8.0)
scaled_modified_bessel_k0 = register_bessel_k("scaled_modified_bessel_k0", 0, True, 8.0)
scaled_modified_bessel_k1 = register_bessel_k("scaled_modified_bessel_k1", 1, True, 8.0)
