"""Functions of integers in generated code that need a loop: greatest common divisor and power.

Registered with the mathematical functions, so that bodies call them as `k.gcd(a, b)`. See `scalar_base` for the
registry.
"""

from ..ir.builder import BITS, element
from .circular_reduction import any_lane
from .scalar_base import FUNCTIONS


def magnitude(fn, x):
    return fn.select(x < 0, fn.convert(0, x.type) - x, x)


def gcd(fn, x, y):
    """Euclid's algorithm on all lanes at once; lanes that are done wait."""
    a, b = fn.variable(x.type, magnitude(fn, x)), fn.variable(x.type, magnitude(fn, y))
    with fn.while_(lambda: any_lane(fn, b.get().ne(0))):
        divisor, value = b.get(), a.get()
        done = divisor.eq(0)
        safe = fn.select(done, fn.convert(1, x.type), divisor)
        rest = value % safe
        a.set(fn.select(done, value, divisor))
        b.set(fn.select(done, divisor, rest))
    return a.get()


def integer_power(fn, x, y):
    """x**y modulo 2**bits by repeated squaring; a negative exponent gives the reciprocal rounded towards zero."""
    kind, sign_bit = x.type, BITS[element(x.type)] - 1
    one = fn.convert(1, kind)
    power, square, rest = fn.variable(kind, one), fn.variable(kind, x), fn.variable(kind, y)
    with fn.while_(lambda: any_lane(fn, rest.get() > 0)):
        left, factor = rest.get(), square.get()
        odd = (left & 1).ne(0) & (left > 0)
        power.set(fn.select(odd, power.get() * factor, power.get()))
        square.set(factor * factor)
        rest.set(fn.emit(kind, f"ashr {kind} {left.name}, {one.name}"))
    negative = fn.emit(kind, f"ashr {kind} {y.name}, {fn.convert(sign_bit, kind).name}").ne(0)
    minus = fn.select((y & 1).ne(0), x, one)
    reciprocal = fn.select(x.eq(1), one, fn.select(x.eq(-1), minus, fn.convert(0, kind)))
    return fn.select(negative, reciprocal, power.get())


FUNCTIONS["gcd"] = gcd
FUNCTIONS["integer_power"] = integer_power
