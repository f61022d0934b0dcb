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
    "log1p": "log1p", "log2": "log2", "logaddexp": "logaddexp", "logaddexp2": "logaddexp2", "pow": "power",
    "rint": "rint", "round": "rint", "roundeven": "rint", "sin": "sin", "sinc": "sinc", "sinh": "sinh", "sqrt": "sqrt",
    "tan": "tan", "tanh": "tanh", "trunc": "trunc",
}
OF_SCIPY = {
    "digamma": "psi", "entr": "entr", "erfcx": "erfcx", "erfinv": "erfinv", "gammainc": "gammainc",
    "gammaincc": "gammaincc", "i0": "i0", "i0e": "i0e", "i1": "i1", "i1e": "i1e", "log_ndtr": "log_ndtr",
    "ndtr": "ndtr", "ndtri": "ndtri", "xlog1py": "xlog1py", "xlogy": "xlogy", "zeta": "zeta", "bessel_j0": "j0",
    "bessel_j1": "j1", "bessel_y0": "y0", "bessel_y1": "y1", "modified_bessel_k0": "k0", "modified_bessel_k1": "k1",
    "scaled_modified_bessel_k0": "k0e", "scaled_modified_bessel_k1": "k1e",
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
        return found(*values)
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
