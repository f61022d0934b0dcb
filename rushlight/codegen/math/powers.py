"""Powers, roots, roundings and remainders as IR, exact where C demands it.

A builder function and Values in, a Value out, for float and double, scalar or vector.

Note [Two-part logarithm]
A power multiplies the logarithm of its base by up to 1e3 before the exponential sees it, so pow of doubles carries
log(x) as a sum of two doubles (about 68 bits). pow of floats computes in double with short polynomials instead,
which is cheaper and rounds right.
"""

from .circular_reduction import any_lane
from .elementary import (
    EXP_HIGH,
    EXP_LOW,
    LN2,
    exp_reduced,
    normalised,
    power_of_two,
    reduce_exp,
    scale,
    split_log,
    table,
)
from .scalar_base import (
    BIAS,
    FUNCTIONS,
    HUGE,
    INF,
    MAGIC,
    MANTISSA,
    NAN,
    TINY,
    ULP,
    absolute,
    base,
    bits,
    choose,
    clamp_above,
    clamp_below,
    constant_like,
    copy_sign,
    fast_two_sum,
    from_bits,
    function,
    integer_type,
    is_nan,
    like,
    parts,
    polynomial,
    shift_right,
    two_product,
    two_sum,
    unary,
)

# -- powers --------------------------------------------------------------------------


@function("sqrt", 0.5, 0.5)
def sqrt(fn, x):
    return unary(fn, "sqrt", x)


@function("rsqrt", 1.5, 1.5)
def rsqrt(fn, x):
    return 1.0 / unary(fn, "sqrt", x)


@function("hypot", 1.5, 1.5)
def hypot(fn, x, y):
    """sqrt(x**2 + y**2) after scaling by a power of two near the larger operand."""
    kind = base(x)
    a, b = absolute(fn, x), absolute(fn, y)
    top = fn.maximum(a, b)
    large, small = top > HUGE[kind] ** 0.5 / 4, top < TINY[kind] ** 0.5 * 2.0 ** MANTISSA[kind]
    step = 2.0 ** (BIAS[kind] // 2 + MANTISSA[kind])
    down = choose(fn, large, constant_like(fn, 1 / step, x), choose(fn, small, constant_like(fn, step, x), 1.0))
    back = choose(fn, large, constant_like(fn, step, x), choose(fn, small, constant_like(fn, 1 / step, x), 1.0))
    a, b = a * down, b * down
    result = unary(fn, "sqrt", fn.fma(a, a, b * b)) * back
    infinite = absolute(fn, x).eq(INF) | absolute(fn, y).eq(INF)
    return choose(fn, infinite, INF, result)


def power_magnitude_short(fn, a, y):
    """a**y for float operands, positive finite a: in double with polynomials of 36 bits."""
    kind = a.type
    wide = like(a, "double")
    a, y = fn.cast("fpext", a, wide), fn.cast("fpext", y, wide)
    e, f = split_log(fn, a)
    s = f / (f + 2.0)
    z = s * s
    logarithm = fn.fma(e, LN2[0], fn.fma(polynomial(fn, z, table("pow_log_short", a)), z * s, s + s))
    exponent = clamp_below(fn, clamp_above(fn, logarithm * y, 100.0), -110.0)
    r, _, count = reduce_exp(fn, exponent, BIAS["double"])
    tail = fn.fma(polynomial(fn, r, table("pow_exp_short", r)), r * r, r)
    scale = power_of_two(fn, count, "double")
    return fn.cast("fptrunc", fn.fma(tail, scale, scale), kind)


def log_two_part(fn, x):
    """log(x) of positive normal doubles as an unevaluated sum, to about 68 bits."""
    e, f = split_log(fn, x)
    denominator, missing = fast_two_sum(constant_like(fn, 2.0, f), f)
    s = f / denominator
    s_low = fn.fma(s, -missing, fn.fma(-s, denominator, f)) / denominator
    z, z_low = two_product(fn, s, s)
    z_low = fn.fma(s + s, s_low, z_low)
    # 1 + z / 3 + z**2 Q(z) minus 1, in two parts.
    third, third_low = 1 / 3, 1.850371707708594e-17
    c = z * third
    c_low = fn.fma(z, third, -c) + fn.fma(z, third_low, z_low * third)
    c_low = fn.fma(polynomial(fn, z, table("pow_log", z)), z * z, c_low)
    c, c_low = fast_two_sum(c, c_low)
    product, product_low = two_product(fn, s, c)
    product_low = fn.fma(s, c_low, fn.fma(s_low, c, product_low))
    high, high_low = fast_two_sum(s, product)
    low = (s_low + product_low) + high_low
    first, last = parts(LN2, "double")
    total = e * first
    total_low = fn.fma(e, first, -total) + e * last
    result, error = two_sum(total, high + high)
    return fast_two_sum(result, fn.fma(low, 2.0, error + total_low))


def power_magnitude(fn, a, y):
    """a**y for double operands, positive finite a."""
    scaled, shift = normalised(fn, a)
    high, low = log_two_part(fn, scaled)
    high, error = two_sum(high, shift * -LN2[0])
    low = fn.fma(shift, -LN2[1], low + error) - fn.fma(shift, LN2[0], -(shift * LN2[0]))
    y = clamp_below(fn, clamp_above(fn, y, 2.0**80), -(2.0**80))
    product, product_low = two_product(fn, y, high)
    product_low = fn.fma(y, low, product_low)
    exponent = clamp_below(fn, clamp_above(fn, product, EXP_HIGH["double"]), EXP_LOW["double"])
    product_low = choose(fn, exponent.eq(product), product_low, 0.0)
    r, n, count = reduce_exp(fn, exponent, 2 * BIAS["double"])
    return scale(fn, exp_reduced(fn, r + product_low), n, count)


@function("pow", 1.0, 2.0)
def pow_(fn, x, y):
    """|x|**y, then the sign of a negative base and the special cases of C99."""
    kind = base(x)
    a = absolute(fn, x)
    result = power_magnitude_short(fn, a, y) if kind == "float" else power_magnitude(fn, a, y)
    edge = a.eq(0.0) | a.eq(INF)
    vanishes = a.eq(0.0) ^ (y < 0.0)
    result = fn.select(edge, choose(fn, vanishes, constant_like(fn, 0.0, x), INF), result)
    endless = absolute(fn, y).eq(INF)
    vanishes = (a < 1.0) ^ (y < 0.0)
    result = fn.select(endless, choose(fn, vanishes, constant_like(fn, 0.0, x), INF), result)
    whole = unary(fn, "floor", y).eq(y)
    half = y * 0.5
    odd = whole & unary(fn, "floor", half).ne(half)
    negative = bits(fn, x) < 0
    result = fn.select(negative & odd, -result, result)
    fails = (x < 0.0) & (whole | edge | endless).eq(False)
    undefined = fails | is_nan(x) | is_nan(y)
    result = choose(fn, undefined, NAN, result)
    unit = y.eq(0.0) | x.eq(1.0) | (endless & a.eq(1.0))
    return choose(fn, unit, 1.0, result)


# -- roundings and remainders --------------------------------------------------------


def rounding(name):
    @function(name, 0.5, 0.5)
    def emit(fn, x):
        return unary(fn, name, x)

    return emit


floor = rounding("floor")
ceil = rounding("ceil")
trunc = rounding("trunc")
rint = rounding("rint")
round_half_even = rounding("roundeven")
FUNCTIONS["round"] = round_half_even
ULP["round"] = ULP["roundeven"]


@function("copysign", 0.5, 0.5)
def copysign(fn, x, sign):
    return copy_sign(fn, x, sign)


@function("fmod", 0.5, 0.5)
def fmod(fn, x, y):
    """The exact remainder with the sign of x: each round subtracts the rounded quotient times y by fma, exactly."""
    kind = base(x)
    step = 2.0**100 if kind == "float" else 2.0**1000
    divisor = absolute(fn, y)
    rest = fn.variable(x.type, absolute(fn, x))
    with fn.while_(lambda: any_lane(fn, absolute(fn, rest.get()) >= divisor)):
        value = rest.get()
        scaled = divisor
        for _ in range(2):
            # Keeps the quotient finite; a multiple of the divisor serves as well.
            scaled = fn.select(absolute(fn, value) * (1 / step) > scaled, scaled * step, scaled)
        quotient = unary(fn, "trunc", value / scaled)
        rest.set(fn.select(absolute(fn, value) >= divisor, fn.fma(-quotient, scaled, value), value))
    value = rest.get()
    value = fn.select(value < 0.0, value + divisor, value)
    return choose(fn, is_nan(y), NAN, copy_sign(fn, value, x))


@function("remainder", 0.5, 0.5)
def remainder(fn, x, y):
    """The remainder with the sign of y, as Python's % (one rounding where the signs differ)."""
    rest = fmod(fn, x, y)
    differs = rest.ne(0.0) & ((rest < 0.0) ^ (y < 0.0))
    return fn.select(differs, rest + y, rest)


@function("nextafter", 0.5, 0.5)
def nextafter(fn, x, y):
    """One step of the bit pattern away from or towards zero."""
    pattern = bits(fn, x)
    away = (x < y) ^ (pattern < 0)
    kind = integer_type(x.type)
    moved = from_bits(fn, fn.select(away, pattern + 1, pattern - 1))
    smallest = copy_sign(fn, from_bits(fn, fn.constant(1, kind)), y)
    moved = fn.select(x.eq(0.0), smallest, moved)
    moved = fn.select(x.eq(y), y, moved)
    return choose(fn, is_nan(x) | is_nan(y), NAN, moved)


@function("ldexp", 0.5, 0.5)
def ldexp(fn, x, exponent):
    """x * 2**exponent for an integral exponent of the type of x, rounded once at most."""
    kind = base(x)
    bottom, top = 1 - BIAS[kind], BIAS[kind]
    limit = 2 * (BIAS[kind] + MANTISSA[kind]) + 2
    n = clamp_below(fn, clamp_above(fn, exponent, limit), -limit)
    for _ in range(2):
        # A factor that keeps a product the next one brings into the denormal range still normal.
        part = choose(fn, n < bottom, constant_like(fn, bottom + MANTISSA[kind] + 1, n), clamp_above(fn, n, top))
        x = x * integral_power(fn, part)
        n = n - part
    return x * integral_power(fn, clamp_above(fn, clamp_below(fn, n, bottom), top))


def integral_power(fn, n):
    """2**n for integral n in the normal range."""
    kind = base(n)
    return power_of_two(fn, bits(fn, n + (MAGIC[kind] + BIAS[kind])), kind)


@function("frexp_mantissa", 0.5, 0.5)
def frexp_mantissa(fn, x):
    """m of x = m 2**e with 1/2 <= |m| < 1; 0, infinity and NaN pass."""
    kind = base(x)
    scaled, _ = normalised(fn, absolute(fn, x))
    mantissa = bits(fn, scaled) & ((1 << MANTISSA[kind]) - 1)
    value = from_bits(fn, mantissa | ((BIAS[kind] - 1) << MANTISSA[kind]))
    regular = (absolute(fn, x) < INF) & x.ne(0.0)
    return fn.select(regular, copy_sign(fn, value, x), x)


@function("frexp_exponent", 0.5, 0.5)
def frexp_exponent(fn, x):
    """e of x = m 2**e as a float; 0 for 0, infinity and NaN."""
    kind = base(x)
    mantissa = MANTISSA[kind]
    scaled, shift = normalised(fn, absolute(fn, x))
    magic_bits = (BIAS[kind] + mantissa) << mantissa
    value = from_bits(fn, shift_right(fn, bits(fn, scaled), mantissa) | magic_bits)
    value = value - (2.0**mantissa + BIAS[kind] - 1) - shift
    regular = (absolute(fn, x) < INF) & x.ne(0.0)
    return choose(fn, regular, value, 0.0)


@function("frexp", 0.5, 0.5)
def frexp(fn, x):
    """The pair mantissa and exponent (i32)."""
    exponent = frexp_exponent(fn, x)
    return frexp_mantissa(fn, x), fn.cast("fptosi", exponent, like(x, "i32"))
