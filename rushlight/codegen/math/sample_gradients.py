"""How samples of gamma and beta distributions move with their parameters, as IR.

Note [Implicit reparameterisation]
A sample x of a distribution with the cumulative function F(x; a) moves with its parameter as dx/da = -(dF/da) /
(dF/dx). F is a prefactor times a series of positive terms, or a continued fraction; both are differentiated term by
term here, and the derivative of the prefactor is closed form. The relative error of a series grows as its sum
approaches 1, so the complement is used far from the middle.
"""

from .circular_reduction import any_lane
from .elementary import log, log1p
from .gamma_functions import digamma
from .scalar_base import NAN, absolute, choose, constant_like, function, through_double, unary

ROUNDS = 20_000  # parameters of 10**6 need half of them


def running(fn, condition, count):
    """Whether a loop goes on: a lane needs another step, and the loop is below its limit."""
    return any_lane(fn, condition) & (count.get() < ROUNDS)


def lower_terms(fn, a, x, wanted):
    """The sum of x**n / ((a + 1) ... (a + n)), and its derivative in a."""
    one, zero = constant_like(fn, 1.0, a), constant_like(fn, 0.0, a)
    term, total, below = fn.variable(a.type, one), fn.variable(a.type, one), fn.variable(a.type, a)
    harmonic, slope, count = fn.variable(a.type, zero), fn.variable(a.type, zero), fn.variable("i64", 0)
    with fn.while_(lambda: running(fn, wanted & (term.get() * (harmonic.get() + 1.0) > total.get() * 1e-18), count)):
        below.set(below.get() + 1.0)
        inverse = 1.0 / below.get()
        term.set(term.get() * x * inverse)
        harmonic.set(harmonic.get() + inverse)
        total.set(total.get() + term.get())
        slope.set(slope.get() - term.get() * harmonic.get())
        count.set(count.get() + 1)
    return total.get(), slope.get()


def upper_fraction(fn, a, x, wanted):
    """1 / (x + 1 - a - 1 (1 - a) / (x + 3 - a - ...)), and its derivative in a, by forward recurrence of convergents
    p / q that are scaled to q = 1."""
    zero = constant_like(fn, 0.0, a)
    start = 1.0 / (x + 1.0 - a)
    p, dp, dq = (fn.variable(a.type, v) for v in (start, zero, -start))
    last_p, last_q, last_dp, last_dq = (fn.variable(a.type, v) for v in (zero, start, zero, zero))
    value, slope = fn.variable(a.type, start), fn.variable(a.type, start * start)
    going, count = fn.variable(wanted.type, wanted), fn.variable("i64", 0)
    step = fn.variable(a.type, zero)
    with fn.while_(lambda: running(fn, going.get(), count)):
        step.set(step.get() + 1.0)
        n = step.get()
        factor, base = n * (a - n), x + n * 2.0 + 1.0 - a
        new_p, new_q = base * p.get() + factor * last_p.get(), base + factor * last_q.get()
        new_dp = base * dp.get() - p.get() + factor * last_dp.get() + n * last_p.get()
        new_dq = base * dq.get() - 1.0 + factor * last_dq.get() + n * last_q.get()
        scale = 1.0 / new_q
        for kept, now in ((last_p, p.get()), (last_dp, dp.get()), (last_dq, dq.get())):
            kept.set(now * scale)
        last_q.set(scale)
        for kept, now in ((p, new_p), (dp, new_dp), (dq, new_dq)):
            kept.set(now * scale)
        change = dp.get() - p.get() * dq.get()
        open_ = absolute(fn, p.get() - value.get()) > absolute(fn, p.get()) * 1e-15
        going.set(wanted & (open_ | (absolute(fn, change - slope.get()) > absolute(fn, change) * 1e-13)))
        value.set(p.get())
        slope.set(change)
        count.set(count.get() + 1)
    return value.get(), slope.get()


@function("gamma_slope", 4.0, 1e5)
@through_double
def gamma_slope(fn, a, x):
    """The derivative in a of a standard gamma number x of shape a. Note [Implicit reparameterisation]."""
    regular = (a > 0.0) & (x > 0.0) & (a < float("inf")) & (x < float("inf"))
    lower = x < a + 1.0
    inner_a, inner_x = choose(fn, regular, a, 1.0), choose(fn, regular, x, 1.0)
    logarithm, psi = log(fn, inner_x), digamma(fn, inner_a)
    total, slope = lower_terms(fn, inner_a, inner_x, regular & lower)
    below = -(inner_x / inner_a) * (total * (logarithm - psi - 1.0 / inner_a) + slope)
    far_x = fn.select(lower, inner_a + 2.0, inner_x)  # keeps lanes that are not wanted from dividing by zero
    value, change = upper_fraction(fn, inner_a, far_x, regular & lower.eq(False))
    above = inner_x * (value * (logarithm - psi) + change)
    found = fn.select(lower, below, above)
    return choose(fn, x.eq(0.0) & (a > 0.0), 0.0, choose(fn, regular, found, NAN))


def beta_terms(fn, x, a, s, both, wanted):
    """The sum of x**n s ... (s + n - 1) / ((a + 1) ... (a + n)) for s = a + b, and its derivative: in a where `both` is
    1, in b where it is 0."""
    one, zero = constant_like(fn, 1.0, a), constant_like(fn, 0.0, a)
    term, total, n = fn.variable(a.type, one), fn.variable(a.type, one), fn.variable(a.type, zero)
    change, slope, count = fn.variable(a.type, zero), fn.variable(a.type, zero), fn.variable("i64", 0)

    def size():
        return term.get() * (absolute(fn, change.get()) + 1.0)

    with fn.while_(lambda: running(fn, wanted & (size() > total.get() * 1e-18), count)):
        above, below = s + n.get(), a + 1.0 + n.get()
        term.set(term.get() * x * above / below)
        change.set(change.get() + 1.0 / above - both / below)
        total.set(total.get() + term.get())
        slope.set(slope.get() + term.get() * change.get())
        n.set(n.get() + 1.0)
        count.set(count.get() + 1)
    return total.get(), slope.get()


@function("beta_slope", 4.0, 1e5)
@through_double
def beta_slope(fn, x, a, b):
    """The derivative in a of a beta number x of (a, b), divided by 1 - x. Note [Implicit reparameterisation]."""
    regular = (a > 0.0) & (b > 0.0) & (x > 0.0) & (x < 1.0)
    x, a, b = choose(fn, regular, x, 0.5), choose(fn, regular, a, 1.0), choose(fn, regular, b, 1.0)
    s, y = a + b, 1.0 - x
    tail_x = x * s > a + 16.0 + unary(fn, "sqrt", a + 1.0) * 6.0
    tail_y = y * s > b + 16.0 + unary(fn, "sqrt", b + 1.0) * 6.0
    direct = ((x <= 0.5) & tail_x.eq(False)) | ((x > 0.5) & tail_y)
    one, zero = constant_like(fn, 1.0, a), constant_like(fn, 0.0, a)
    total, slope = beta_terms(fn, fn.select(direct, x, y), fn.select(direct, a, b), s, fn.select(direct, one, zero),
                              regular)
    logarithm = fn.select(x > 0.5, log1p(fn, -y), log(fn, x)) + digamma(fn, s) - digamma(fn, a)
    near = -(x / a) * (total * (logarithm - 1.0 / a) + slope)
    far = (x / b) * (total * logarithm + slope)
    return choose(fn, regular, fn.select(direct, near, far), NAN)
