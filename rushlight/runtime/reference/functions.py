"""The mathematical functions of bodies over NumPy: `FUNCTIONS[name](x, ...)`, arrays of one dtype.

Single precision is computed in double precision, so that its results are correctly rounded but for rare ties. What
NumPy lacks comes from `math`, element by element, or from SciPy, which is optional here as everywhere.
"""

import functools
import math

from ...base.lazy import Lazy
from ...base.lazy import numpy as np

special = Lazy("scipy.special")

FUNCTIONS = {}


def wide(function):
    """Compute in double precision also for single."""
    @functools.wraps(function)
    def computed(*values):
        kind = values[0].dtype
        if kind == np.float32:
            values = [v.astype(np.float64) for v in values]
        elif kind == np.complex64:
            values = [v.astype(np.complex128) for v in values]
        return np.asarray(function(*values)).astype(kind)
    return computed


def enter(name, function):
    FUNCTIONS[name] = wide(function)


def function(body):
    """Enter a function under its own name."""
    enter(body.__name__, body)
    return body


def by_element(scalar):
    """A function of `math` over arrays; NaN where it is not defined."""
    def safe(*values):
        try:
            return scalar(*values)
        except (ValueError, OverflowError):
            return math.nan
    return lambda *values: np.vectorize(safe, otypes=[np.float64])(*values)


OF_NUMPY = {
    "acos": "arccos", "acosh": "arccosh", "asin": "arcsin", "asinh": "arcsinh", "atan": "arctan", "atan2": "arctan2",
    "atanh": "arctanh", "ceil": "ceil", "copysign": "copysign", "cos": "cos", "cosh": "cosh", "exp": "exp",
    "exp2": "exp2", "expm1": "expm1", "floor": "floor", "hypot": "hypot", "log": "log", "log10": "log10",
    "log1p": "log1p", "log2": "log2", "logaddexp2": "logaddexp2", "pow": "power",
    "rint": "rint", "round": "rint", "roundeven": "rint", "sin": "sin", "sinc": "sinc", "sinh": "sinh", "sqrt": "sqrt",
    "tan": "tan", "tanh": "tanh", "trunc": "trunc",
}
OF_SCIPY = {
    "digamma": "psi", "entr": "entr", "erfcx": "erfcx", "erfinv": "erfinv", "gammainc": "gammainc",
    "gammaincc": "gammaincc", "i0": "i0", "i0e": "i0e", "i1": "i1", "i1e": "i1e", "log_ndtr": "log_ndtr",
    "ndtr": "ndtr", "ndtri": "ndtri", "xlog1py": "xlog1py", "xlogy": "xlogy", "zeta": "zeta", "bessel_j0": "j0",
    "bessel_j1": "j1", "bessel_y0": "y0", "bessel_y1": "y1", "modified_bessel_k0": "k0", "modified_bessel_k1": "k1",
    "scaled_modified_bessel_k0": "k0e", "scaled_modified_bessel_k1": "k1e", "airy_ai": "airy",
}


def numpy_function(name):
    return lambda *values: getattr(np, name)(*values)


def scipy_function(name):
    def call(*values):
        try:
            found = getattr(special, name)
        except ImportError:
            raise NotImplementedError(f"the device reference computes scipy.special.{name} with SciPy, which is not "
                                      "installed") from None
        result = found(*values)
        return result[0] if isinstance(result, tuple) else result
    return call


for _name, _theirs in OF_NUMPY.items():
    enter(_name, numpy_function(_theirs))
for _name, _theirs in OF_SCIPY.items():
    enter(_name, scipy_function(_theirs))
enter("erf", by_element(math.erf))
enter("erfc", by_element(math.erfc))


@function
def lgamma(x):
    """The logarithm of the absolute value of gamma, infinite at its poles."""
    poles = (x <= 0) & (x == np.floor(x)) | np.isinf(x)
    return np.where(poles, np.inf, by_element(math.lgamma)(np.where(poles, 1.0, x)))


@function
def logaddexp(x, y):
    """log(exp(x) + exp(y)), also of complex numbers."""
    if x.dtype.kind != "c":
        return np.logaddexp(x, y)
    top = np.where(x.real >= y.real, x, y)
    low = np.where(x.real >= y.real, y, x)
    same = np.isinf(top.real) & (top.real == low.real)
    return np.where(same & (top.real < 0), top, top + np.log1p(np.exp(np.where(same, 0, low - top))))


@function
def rsqrt(x):
    return 1.0 / np.sqrt(x)


@function
def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


@function
def polygamma(n, x):
    """The n-th derivative of digamma."""
    sign = np.where(n % 2 == 0, -1.0, 1.0)
    value = sign * FUNCTIONS["zeta"](n + 1.0, x) * np.exp(lgamma(n + 1.0))
    return np.where(n == 0, FUNCTIONS["digamma"](x), value)


@function
def spherical_bessel_j0(x):
    """sin(x) / x, 1 at 0."""
    return np.where(np.isinf(x), 0, np.sinc(x / math.pi))


# Families of orthogonal polynomials. The one of degree 0 is 1. Given are the one of degree 1, and from the degree k the
# numbers (a, b, c) of the next one, which is (a x + b) p(k) - c p(k - 1).
FAMILIES = {
    "chebyshev_polynomial_t": (lambda x: x, lambda k: (2, 0, 1)),
    "chebyshev_polynomial_u": (lambda x: 2 * x, lambda k: (2, 0, 1)),
    "chebyshev_polynomial_v": (lambda x: 2 * x - 1, lambda k: (2, 0, 1)),
    "chebyshev_polynomial_w": (lambda x: 2 * x + 1, lambda k: (2, 0, 1)),
    "hermite_polynomial_h": (lambda x: 2 * x, lambda k: (2, 0, 2 * k)),
    "hermite_polynomial_he": (lambda x: x, lambda k: (1, 0, k)),
    "laguerre_polynomial_l": (lambda x: 1 - x, lambda k: (-1 / (k + 1), (2 * k + 1) / (k + 1), k / (k + 1))),
    "legendre_polynomial_p": (lambda x: x, lambda k: ((2 * k + 1) / (k + 1), 0, k / (k + 1))),
}


def polynomial(first, step, shifted):
    """The function (x, degree) of a family; 0 for negative degrees. `shifted`: over [0, 1] instead of [-1, 1]."""
    def value(x, degree):
        x, degree = np.broadcast_arrays(2 * x - 1 if shifted else x, np.trunc(degree))
        before, now = np.ones_like(x), first(x)
        result = np.where(degree == 0, before, np.where(degree == 1, now, np.where(degree < 0, 0.0, np.nan)))
        top = degree[np.isfinite(degree)].max(initial=0)
        for k in range(1, int(top)):
            a, b, c = step(k)
            before, now = now, (a * x + b) * now - c * before
            result = np.where(degree == k + 1, now, result)
        return result
    return value


for _name, _family in FAMILIES.items():
    enter(_name, polynomial(*_family, False))
    if _name.startswith("chebyshev"):
        enter(f"shifted_{_name}", polynomial(*_family, True))


@function
def remainder(x, y):
    rest = np.fmod(x, y)
    return np.where((rest != 0) & ((y < 0) != (rest < 0)), rest + y, rest)


@function
def fmod(x, y):
    return np.fmod(x, y)


def _exact(body):
    """Enter a function of the dtype itself, not of a wider one."""
    FUNCTIONS[body.__name__] = body
    return body


@_exact
def nextafter(x, y):
    return np.nextafter(x, y)


@_exact
def exp_below(x):
    """exp(x), and 0 where that would not be a normal number."""
    value = FUNCTIONS["exp"](x)
    return np.where(value < np.finfo(x.dtype).tiny, 0, value)


@_exact
def frexp_mantissa(x):
    return np.frexp(x)[0]


@_exact
def frexp_exponent(x):
    regular = np.isfinite(x)
    return np.where(regular, np.frexp(np.where(regular, x, 0))[1], 0)


@_exact
def gcd(x, y):
    return np.gcd(x, y)


@_exact
def ldexp(x, exponent):
    return np.ldexp(x, np.clip(exponent, -(1 << 20), 1 << 20).astype(np.int32))


@_exact
def integer_power(x, y):
    """x ** y modulo the bits of the type, by repeated squaring; a negative exponent gives the reciprocal rounded
    towards zero."""
    x, y = np.broadcast_arrays(x, y)
    if x.dtype.kind == "c":
        return np.power(x.astype(np.complex128), y)
    power, square, rest = np.ones_like(x), x.copy(), y.copy()
    while np.any(rest > 0):
        power = np.where((rest > 0) & (rest & 1 != 0), power * square, power)
        square, rest = square * square, rest >> 1
    reciprocal = np.where(x == 1, 1, np.where(x == -1, np.where(y & 1 != 0, -1, 1), 0)) if x.dtype.kind == "i" else 0
    return np.where(y < 0, reciprocal, power)
