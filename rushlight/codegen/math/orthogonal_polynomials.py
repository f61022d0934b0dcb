"""Orthogonal polynomials in generated code: T, U, V, W of Chebyshev, Hermite's H and He, Laguerre, Legendre.

The degree is a value like the argument: all lanes run the three-term recurrence until the largest degree is reached
(Abramowitz and Stegun, table 22.7). Inside (-1, 1) Chebyshev polynomials of higher degree use their trigonometric
forms, so that the cost stays bounded.
"""

from .circular_reduction import any_lane
from .elementary import acos, cos, sin
from .powers import trunc
from .scalar_base import absolute, choose, constant_like, function, through_double

RECURRENT = 8  # degrees up to here use the recurrence also inside (-1, 1)


def recurrence(fn, x, n, first, second, step, limit=None):
    """The polynomial of degree n (integral): `step(k, p, q)` gives degree k + 1 from those of k - 1 and k."""
    zero = constant_like(fn, 0.0, x)
    before, now, degree = fn.variable(x.type, first), fn.variable(x.type, second), fn.variable(x.type, zero + 1.0)
    wanted = n if limit is None else fn.select(limit, zero, n)
    with fn.while_(lambda: any_lane(fn, degree.get() < wanted)):
        k, p, q = degree.get(), before.get(), now.get()
        active = k < wanted
        before.set(fn.select(active, q, p))
        now.set(fn.select(active, step(k, p, q), q))
        degree.set(k + 1.0)
    found = fn.select(n < 1.0, first, now.get())
    return choose(fn, n < 0.0, 0.0, found)


def register(name, second, step, trigonometric=None):
    """Enter a polynomial: `second(x)` is degree 1, degree 0 is 1."""
    @function(name, 2.0, 1e6)
    @through_double
    def emit(fn, x, n):
        one = constant_like(fn, 1.0, x)
        n = trunc(fn, n)
        inside = None if trigonometric is None else (absolute(fn, x) < 1.0) & (n > float(RECURRENT))
        found = recurrence(fn, x, n, one, second(fn, x), lambda k, p, q: step(fn, x, k, p, q), inside)
        if inside is None:
            return found
        return fn.select(inside, trigonometric(fn, n, acos(fn, fn.select(inside, x, x * 0.0))), found)
    return emit


def chebyshev_step(fn, x, k, p, q):
    return (x + x) * q - p


def shifted(fn, x):
    return x + x - 1.0


def _over_sine(fn, n, angle):
    return sin(fn, (n + 1.0) * angle) / sin(fn, angle)


def _over_half_cosine(fn, n, angle):
    return cos(fn, (n + 0.5) * angle) / cos(fn, angle * 0.5)


def _over_half_sine(fn, n, angle):
    return sin(fn, (n + 0.5) * angle) / sin(fn, angle * 0.5)


CHEBYSHEV = {
    "t": (lambda fn, x: x, lambda fn, n, angle: cos(fn, n * angle)),
    "u": (lambda fn, x: x + x, _over_sine),
    "v": (lambda fn, x: x + x - 1.0, _over_half_cosine),
    "w": (lambda fn, x: x + x + 1.0, _over_half_sine),
}

for _kind, (_second, _form) in CHEBYSHEV.items():
    register(f"chebyshev_polynomial_{_kind}", _second, chebyshev_step, _form)


def _shifted_polynomial(kind):
    second, form = CHEBYSHEV[kind]
    name = f"shifted_chebyshev_polynomial_{kind}"

    @function(name, 2.0, 1e6)
    @through_double
    def emit(fn, x, n):
        x, one = shifted(fn, x), constant_like(fn, 1.0, x)
        n = trunc(fn, n)
        inside = (absolute(fn, x) < 1.0) & (n > float(RECURRENT))
        found = recurrence(fn, x, n, one, second(fn, x), lambda k, p, q: chebyshev_step(fn, x, k, p, q), inside)
        return fn.select(inside, form(fn, n, acos(fn, fn.select(inside, x, x * 0.0))), found)
    return emit


for _kind in CHEBYSHEV:
    _shifted_polynomial(_kind)

register("hermite_polynomial_h", lambda fn, x: x + x, lambda fn, x, k, p, q: (x + x) * q - (k + k) * p)
register("hermite_polynomial_he", lambda fn, x: x, lambda fn, x, k, p, q: x * q - k * p)
register("laguerre_polynomial_l", lambda fn, x: constant_like(fn, 1.0, x) - x,
         lambda fn, x, k, p, q: ((k + k + 1.0 - x) * q - k * p) / (k + 1.0))
register("legendre_polynomial_p", lambda fn, x: x,
         lambda fn, x, k, p, q: ((k + k + 1.0) * x * q - k * p) / (k + 1.0))
