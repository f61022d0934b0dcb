"""The gates of recurrent kernels: several sigmoids and hyperbolic tangents at once, in single precision.

Lists of float Values in, lists of Values out. Beside the functions of `elementary`, which are right to a unit in the
last place, these take half the time; an error of a few units in a gate is that of the products before it.
"""

from ...math.elementary import clamp_above, clamp_below, polynomial

# tanh(x) = x TOP(x^2) / BOTTOM(x^2) within 2.2e-8 for |x| <= ONE, from where on it is 1; highest power first. Fitted by
# iteratively reweighted least squares in extended precision.
TOP = (1.33196236e-08, 2.05839333e-05, 0.00349406432, 0.133797437, 1.0)
BOTTOM = (7.76226102e-07, 0.000328313996, 0.0258711893, 0.467130601, 1.0)
ONE = 9.02


def gates(fn, sigmoids, tanhs):
    """(sigmoids, tanhs) of two lists of values; errors are below 5e-7 of a tanh and 2e-7 of 1 of a sigmoid. Two
    quotients share one division, whose unit would else be what all wait for: so a NaN may reach the neighbour's
    result."""
    quotients = [_quotient(fn, x, 0.5) for x in sigmoids] + [_quotient(fn, x, 1.0) for x in tanhs]
    found = []
    for (a, b), (c, d) in zip(quotients[::2], quotients[1::2]):
        both = 1.0 / (b * d)
        found += [a * (d * both), c * (b * both)]
    if len(quotients) % 2:
        a, b = quotients[-1]
        found.append(a / b)
    return [value + 0.5 for value in found[: len(sigmoids)]], found[len(sigmoids) :]


def _quotient(fn, x, factor):
    """Numerator and denominator of factor * tanh(factor * x); sigmoid(x) is 1/2 + tanh(x / 2) / 2."""
    x = clamp_below(fn, clamp_above(fn, x, ONE / factor), -ONE / factor)
    square = x * x
    top = _of_square(fn, square, [c * factor * factor for c in TOP], factor)
    return x * top, _of_square(fn, square, BOTTOM, factor)


def _of_square(fn, square, coefficients, factor):
    """The polynomial at factor^2 * square."""
    powers = range(len(coefficients) - 1, -1, -1)
    return polynomial(fn, square, [c * factor ** (2 * n) for n, c in zip(powers, coefficients)])
