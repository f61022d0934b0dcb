"""The gamma function's family as IR: lgamma, digamma, zeta, polygamma and the incomplete gamma functions.

A builder function and Values in, a Value out. Everything computes in double, also for float operands: these
functions are rare, and a float result is then right to the last place or so. Built on `elementary` and `powers`.

Note [Error bounds]
Near a zero that is not a number of the type the bound counts units of 1, not of the result.
"""

from .circular_reduction import any_lane
from .elementary import exp, expm1, log, log1p, log_tail, sin, table, tan
from .powers import pow_
from .scalar_base import (
    INF,
    NAN,
    absolute,
    choose,
    clamp_above,
    constant_like,
    copy_sign,
    function,
    is_nan,
    polynomial,
    through_double,
    unary,
)

HALF_LOG_2PI = 0.9189385332046728
LOG_PI = 1.1447298858494002
PI = 3.141592653589793
# B(2k) / (2k (2k - 1)): the correction of lgamma to Stirling's formula, lowest power of 1 / x**2 first.
STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400)
# B(2k) / 2k, for the asymptotic series of digamma.
DIGAMMA = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12, -3617 / 8160)
# (2k)! / B(2k), for the Euler-Maclaurin tail of zeta.
ZETA = (
    12.0, -720.0, 30240.0, -1209600.0, 47900160.0, -1.8924375803183791606e9, 7.47242496e10, -2.950130727918164224e12,
    1.1646782814350067249e14, -4.5979787224074726105e15, 1.8152105401943546773e17, -7.1661652561756670113e18,
)
GAMMA_ROUNDS = 4000


def lgamma_positive(fn, x):
    """lgamma for x > 0: Stirling's series from 8.5 on, otherwise moved into [1.5, 2.5) by the recurrence."""
    y, product = x, constant_like(fn, 1.0, x)
    for _ in range(6):
        above = y >= 2.5
        y = choose(fn, above, y - 1.0, y)
        product = choose(fn, above, product * y, product)
    below = x < 1.5
    raised = x + 1.0
    twice = x < 0.5
    product = choose(fn, below, choose(fn, twice, x * raised, x), product)
    far = x >= 8.5
    logarithm = log(fn, choose(fn, far, x, product))
    # The distance from 2 after the recurrence, exact also where the raised argument would be rounded.
    t = choose(fn, below, choose(fn, twice, x, x - 1.0), y - 2.0)
    near = polynomial(fn, t, table("lgamma", t)) * t + choose(fn, below, -logarithm, logarithm)
    inverse = 1.0 / x
    series = polynomial(fn, inverse * inverse, STIRLING[::-1]) * inverse
    stirling = fn.fma(x - 0.5, logarithm - 1.0, series + (HALF_LOG_2PI - 0.5))
    # (x - 1/2)(log x - 1) overflows only where lgamma does, and inf - inf does not appear.
    return choose(fn, x.eq(INF), INF, choose(fn, far, stirling, near))


def sine_of_pi(fn, x):
    """|sin(pi x)| with the exact distance of x from the nearest integer."""
    distance = absolute(fn, x - unary(fn, "rint", x))
    return sin(fn, distance * PI)


@function("lgamma", 1.0, 10.0)
@through_double
def lgamma(fn, x):
    """log|gamma(x)|; below zero log(pi / |x sin(pi x)|) - lgamma(-x), infinite at the poles."""
    a = absolute(fn, x)
    value = lgamma_positive(fn, a)
    reflected = LOG_PI - log(fn, a * sine_of_pi(fn, a)) - value
    pole = unary(fn, "floor", x).eq(x) & (x <= 0.0)
    value = fn.select(x < 0.0, reflected, value)
    return choose(fn, pole | x.eq(-INF), INF, value)


@function("digamma", 1.0, 8.0)
@through_double
def digamma(fn, x):
    """The derivative of lgamma: the recurrence up to 10, the asymptotic series, the reflection formula below zero."""
    negative = x < 0.0
    y = choose(fn, negative, 1.0 - x, x)
    numerator, denominator = constant_like(fn, 0.0, x), constant_like(fn, 1.0, x)
    for _ in range(10):
        small = y < 10.0
        numerator = fn.select(small, fn.fma(numerator, y, denominator), numerator)
        denominator = fn.select(small, denominator * y, denominator)
        y = choose(fn, small, y + 1.0, y)
    inverse = 1.0 / y
    square = inverse * inverse
    series = polynomial(fn, square, DIGAMMA[::-1]) * square
    value = log(fn, y) - inverse * 0.5 - series - numerator / denominator
    value = choose(fn, y.eq(INF), INF, value)
    distance = x - unary(fn, "rint", x)
    cotangent = PI / tan(fn, distance * PI)
    value = fn.select(negative, value - cotangent, value)
    value = choose(fn, negative & distance.eq(0.0), NAN, value)
    value = choose(fn, x.eq(-INF), NAN, value)
    return choose(fn, x.eq(0.0), copy_sign(fn, constant_like(fn, INF, x), -x), value)


@function("zeta", 1.0, 20.0)
@through_double
def zeta(fn, s, q):
    """Hurwitz zeta, the sum of (q + k)**-s: terms up to q + k > 9, then the Euler-Maclaurin formula."""
    a = fn.variable(s.type, q)
    total = fn.variable(s.type, pow_(fn, q, -s))
    count = fn.variable("i64", 0)
    negated = -s

    def unfinished():
        early = choose_flag(fn, count.get() < 9, s)
        return any_lane(fn, (a.get() <= 9.0) | early)

    with fn.while_(unfinished):
        early = choose_flag(fn, count.get() < 9, s)
        open_ = (a.get() <= 9.0) | early
        following = fn.select(open_, a.get() + 1.0, a.get())
        a.set(following)
        total.set(fn.select(open_, total.get() + pow_(fn, following, negated), total.get()))
        count.set(count.get() + 1)
    value = total.get() + zeta_tail(fn, s, a.get())
    whole = unary(fn, "floor", q).eq(q)
    value = choose(fn, (q <= 0.0) & whole, INF, value)
    fractional = unary(fn, "floor", s).ne(s)
    undefined = (s < 1.0) | ((q < 0.0) & whole.eq(False) & fractional) | is_nan(s) | is_nan(q)
    return choose(fn, s.eq(1.0), INF, choose(fn, undefined, NAN, value))


def choose_flag(fn, flag, model):
    """A scalar i1 spread over the lanes of `model`."""
    count = model.type
    return flag if count[0] != "<" else fn.splat(flag, int(count[1:].split(" ")[0]))


def zeta_tail(fn, s, w):
    """What follows the sum up to w**-s: w**(1 - s) / (s - 1) - w**-s / 2 + derivatives."""
    power = pow_(fn, w, -s)
    value = power * w / (s - 1.0) - power * 0.5
    factor, k, inverse = s, 0.0, 1.0 / w
    power = power * inverse
    for number in ZETA:
        value = value + factor * power * (1.0 / number)
        k += 1.0
        factor = factor * (s + k) * (s + (k + 1.0))
        power = power * inverse * inverse
        k += 1.0
    # Where w**-s vanishes the factors may be infinite.
    return choose(fn, power.eq(0.0) & is_nan(value), 0.0, value)


@function("polygamma", 1.0, 40.0)
@through_double
def polygamma(fn, n, x):
    """The n-th derivative of digamma for n >= 1: (-1)**(n + 1) n! zeta(n + 1, x)."""
    half = n * 0.5
    even = unary(fn, "floor", half).eq(half)
    value = exp(fn, lgamma(fn, n + 1.0)) * zeta(fn, n + 1.0, x)
    return choose(fn, n.eq(0.0), digamma(fn, x), fn.select(even, -value, value))


# -- incomplete gamma functions ------------------------------------------------------


def log_minus_excess(fn, ratio, u):
    """log(ratio) - u with ratio = 1 + u > 0, without cancellation near u = 0."""
    near = (u > -0.29) & (u < 0.41)
    return fn.select(near, log_tail(fn, choose(fn, near, u, 0.0)), log(fn, ratio) - u)


def gamma_prefactor(fn, a, x):
    """x**a exp(-x) / gamma(a + 1), as exp(a (log(1 + u) - u)) over Stirling's factor for large a, u = (x - a) / a."""
    large = a >= 10.0
    direct = exp(fn, a * log(fn, x) - x - lgamma_positive(fn, a + 1.0))
    inverse = 1.0 / choose(fn, large, a, 10.0)
    series = polynomial(fn, inverse * inverse, STIRLING[::-1]) * inverse
    root = unary(fn, "sqrt", inverse * (0.5 / PI))
    stable = root * exp(fn, a * log_minus_excess(fn, x / a, (x - a) / a) - series)
    return fn.select(large, stable, direct)


def lower_series(fn, a, x, wanted):
    """The sum of x**k / ((a + 1) ... (a + k)); lanes outside `wanted` do not prolong the loop."""
    term = fn.variable(a.type, constant_like(fn, 1.0, a))
    total = fn.variable(a.type, constant_like(fn, 1.0, a))
    denominator = fn.variable(a.type, a)
    count = fn.variable("i64", 0)

    def unfinished():
        open_ = wanted & (term.get() > total.get() * 1.0e-17)
        return any_lane(fn, open_) & (count.get() < GAMMA_ROUNDS)

    with fn.while_(unfinished):
        denominator.set(denominator.get() + 1.0)
        term.set(term.get() * x / denominator.get())
        total.set(total.get() + term.get())
        count.set(count.get() + 1)
    return total.get()


def upper_fraction(fn, a, x, wanted):
    """Lentz's continued fraction of the upper function over its prefactor x**a exp(-x) / gamma(a)."""
    one = constant_like(fn, 1.0, a)
    b = fn.variable(a.type, x + 1.0 - a)
    c = fn.variable(a.type, constant_like(fn, 1.0e300, a))
    d = fn.variable(a.type, one / (x + 1.0 - a))
    value = fn.variable(a.type, d.get())
    change = fn.variable(a.type, constant_like(fn, 2.0, a))
    step = fn.variable(a.type, constant_like(fn, 0.0, a))

    def unfinished():
        open_ = wanted & (absolute(fn, change.get() - 1.0) > 3.0e-16)
        first = step.get() if a.type[0] != "<" else fn.extract(step.get(), 0)
        return any_lane(fn, open_) & (first < float(GAMMA_ROUNDS))

    with fn.while_(unfinished):
        step.set(step.get() + 1.0)
        factor = step.get() * (a - step.get())
        b.set(b.get() + 2.0)
        d.set(one / away_from_zero(fn, fn.fma(factor, d.get(), b.get())))
        c.set(away_from_zero(fn, b.get() + factor / c.get()))
        change.set(c.get() * d.get())
        value.set(value.get() * change.get())
    return value.get()


def away_from_zero(fn, x):
    return choose(fn, x.eq(0.0), 1.0e-300, x)


def lgamma_of_successor(fn, a):
    """lgamma(1 + a) for 0 <= a <= 3 / 2 to full relative precision."""
    small = a < 0.5
    t = choose(fn, small, a, a - 1.0)
    value = polynomial(fn, t, table("lgamma", t)) * t
    return fn.select(small, value - log1p(fn, a), value)


def upper_series(fn, a, x):
    """Q(a, x) for x <= 1.1 and a <= 5 / 4: -expm1(s) - a exp(s) sum of (-x)**n / (n! (a + n)).

    exp(s) stands for x**a / gamma(a + 1).
    """
    s = a * log(fn, x) - lgamma_of_successor(fn, a)
    term, total = constant_like(fn, 1.0, a), constant_like(fn, 0.0, a)
    for n in range(1, 20):
        term = term * x * (-1.0 / n)
        total = total + term / (a + float(n))
    return -expm1(fn, s) - a * exp(fn, s) * total


def incomplete_gamma(fn, a, x, upper):
    """P(a, x) or Q(a, x): power series for x < a or small x, the continued fraction elsewhere."""
    regular = (a > 0.0) & (x > 0.0) & (a < INF) & (x < INF)
    by_series = (x < 1.1) | (x < a)
    inner_a, inner_x = choose(fn, regular, a, 1.0), choose(fn, regular, x, 1.0)
    prefactor = gamma_prefactor(fn, inner_a, inner_x)
    lower = prefactor * lower_series(fn, inner_a, inner_x, regular & by_series)
    tail = prefactor * inner_a * upper_fraction(fn, inner_a, inner_x, regular & by_series.eq(False))
    if upper:
        # 1 - P where P is not close to 1.
        small = (x < 1.1) & (a < x * 1.1) | (x < 0.5) & (a * log(fn, inner_x) > -0.4)
        direct = upper_series(fn, clamp_above(fn, inner_a, 1.25), clamp_above(fn, inner_x, 1.1))
        value = fn.select(by_series, fn.select(small, direct, 1.0 - lower), tail)
    else:
        value = fn.select(by_series, lower, 1.0 - tail)
    at_zero, at_infinity = (1.0, 0.0) if upper else (0.0, 1.0)
    start = x.eq(0.0) | a.eq(INF)
    end = a.eq(0.0) | x.eq(INF)
    value = choose(fn, start, at_zero, choose(fn, end, at_infinity, value))
    both = (x.eq(0.0) & a.eq(0.0)) | (x.eq(INF) & a.eq(INF))
    undefined = (a < 0.0) | (x < 0.0) | is_nan(a) | is_nan(x) | both
    return choose(fn, undefined, NAN, value)


@function("gammainc", 1.0, 200.0)
@through_double
def gammainc(fn, a, x):
    return incomplete_gamma(fn, a, x, upper=False)


@function("gammaincc", 1.0, 200.0)
@through_double
def gammaincc(fn, a, x):
    return incomplete_gamma(fn, a, x, upper=True)
