"""Special functions: `torch.special` and its neighbours at the top level (gamma, Bessel, normal distribution, entropy).

Gradients are the classical formulas, see Abramowitz and Stegun, Handbook of Mathematical Functions, chapters 6, 7 and
9.
"""

import math

from ...core import dtype as dt
from ...core.declare import REGISTRY, elementwise, public
from ...core.tensor import Tensor
from .creation import full
from .pointwise import exp, log, log1p, sgn

SQRT_PI = math.sqrt(math.pi)


def where(condition, input, other):
    return REGISTRY["where"](condition, input, other)


# -- gamma functions --------------------------------------------------------------------------------------------------


@elementwise("lgamma lgamma_ special.gammaln", promote="float", heavy=True,
             grad={"input": lambda g, input: g * digamma(input)})
def lgamma(k, input):
    """Return the logarithm of the absolute value of the gamma function.

    y = log(abs(gamma(x)))

    Args:
        input (Tensor): any shape; integers become the default float.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `input`; infinity at 0 and at negative integers.

    Raises:
        NotImplementedError: the dtype is complex.

    Example:
        >>> torch.lgamma(torch.tensor([1.0, 5.0, 0.0]))
        tensor([0.0000, 3.1781,    inf])
    """
    return k.lgamma(input)


@elementwise("digamma digamma_ special.digamma special.psi", promote="float", heavy=True,
             grad={"input": lambda g, input: g * polygamma(1, input)})
def digamma(k, input):
    """Return the derivative of the logarithm of the gamma function.

    Args:
        input (Tensor): any shape; integers become the default float.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `input`; -inf at 0, NaN at negative integers.

    Raises:
        NotImplementedError: the dtype is complex.

    Example:
        >>> torch.digamma(torch.tensor([1.0, 2.0]))
        tensor([-0.5772,  0.4228])
    """
    return k.digamma(input)


@elementwise("", name="polygamma", promote="float", heavy=True,
             grad={"input": lambda g, input, n: g * polygamma(n + 1, input)})
def polygamma_values(k, input, n: int):
    """The n-th derivative of digamma."""
    if n == 0:
        return k.digamma(input)
    return k.polygamma(k.const(n, input.dtype), input)


def _check_order(n):
    if n < 0:
        raise RuntimeError(f"polygamma(n, x) does not support negative n, but got {n}")
    return int(n)


@public("torch.polygamma special.polygamma")
def polygamma(n, input):
    """The n-th derivative of digamma. RuntimeError for a negative n."""
    return polygamma_values(input, _check_order(n))


@public("Tensor.polygamma", out=False)
def polygamma_method(self, n):
    """The n-th derivative of digamma."""
    return polygamma_values(self, _check_order(n))


@public("Tensor.polygamma_", out=False)
def polygamma_(self, n):
    """`polygamma` in place."""
    return polygamma_values.inplace(self, _check_order(n))


def _sum_of_lgammas(input, p):
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    if input._layout.dtype.category < dt.FLOATING:
        input = input.to(dt.get_default_dtype())
    total = lgamma(input)
    for i in range(1, p):
        total = total + lgamma(input - 0.5 * i)
    return total + p * (p - 1) * 0.25 * math.log(math.pi)


@public("mvlgamma special.multigammaln")
def mvlgamma(input, p):
    """The logarithm of the multivariate gamma function of dimension p."""
    return _sum_of_lgammas(input, p)


def _no_derivative(name):
    def formula(g):
        raise NotImplementedError(f"the derivative for 'self: {name}' is not implemented.")
    return formula


def _gamma_density(g, input, other):
    return g * exp((input - 1) * log(other) - other - lgamma(input))


@elementwise("igamma igamma_ special.gammainc", promote="default", dtypes="floating", heavy=True, tensors=2,
             grad={"input": _no_derivative("igamma"), "other": _gamma_density})
def igamma(k, input, other):
    """The regularised lower incomplete gamma function P(input, other)."""
    return k.gammainc(input, other)


@elementwise(
    "igammac igammac_ special.gammaincc",
    promote="default",
    dtypes="floating",
    heavy=True,
    tensors=2,
    grad={"input": _no_derivative("igammac"), "other": lambda g, input, other: -_gamma_density(g, input, other)},
)
def igammac(k, input, other):
    """The regularised upper incomplete gamma function Q(input, other)."""
    return k.gammaincc(input, other)


@elementwise("special.zeta", promote="float", heavy=True, node="SpecialZetaBackward0",
             grad={"input": _no_derivative("zeta"),
                   "other": lambda g, input, other: g * -input * zeta(input + 1, other)})
def zeta(k, input, other):
    """The Hurwitz zeta function: the sum of (n + other) ** -input over n = 0, 1, ..."""
    return k.zeta(k.like(input, other), other)


# -- Bessel functions -------------------------------------------------------------------------------------------------


def _nonzero(input):
    return where(input == 0, 1, input)


@elementwise("i0 i0_ special.i0", promote="float", heavy=True, grad={"input": lambda g, input: g * i1(input)})
def i0(k, input):
    """Return the modified Bessel function of the first kind and order 0.

    y = sum((x**2 / 4)**k / (k!)**2)

    Args:
        input (Tensor): any shape; integers become the default float.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `input`.

    Raises:
        NotImplementedError: the dtype is complex.

    Example:
        >>> torch.i0(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 1.2661])
    """
    return k.i0(input)


@elementwise("special.i0e", promote="float", heavy=True, node="SpecialI0EBackward0",
             grad={"input": lambda g, input, out: g * (i1e(input) - sgn(input) * out)})
def i0e(k, input):
    """exp(-|x|) times i0."""
    return k.i0e(input)


@elementwise("special.i1", promote="float", heavy=True, node="SpecialI1Backward0",
             grad={"input": lambda g, input, out: g * where(input == 0, 0.5, i0(input) - out / _nonzero(input))})
def i1(k, input):
    """The modified Bessel function of the first kind of order 1."""
    return k.i1(input)


@elementwise("special.i1e", promote="float", heavy=True, node="SpecialI1EBackward0",
             grad={"input": lambda g, input, out: g * where(input == 0, 0.5,
                                                            i0e(input) - out * (sgn(input) + 1 / _nonzero(input)))})
def i1e(k, input):
    """exp(-|x|) times i1."""
    return k.i1e(input)


# -- the normal distribution ------------------------------------------------------------------------------------------


@elementwise("special.ndtr", promote="float", heavy=True, node="MulBackward1",
             grad={"input": lambda g, input: g * exp(input * input * -0.5) * (1 / math.sqrt(2 * math.pi))})
def ndtr(k, input):
    """The distribution function of the standard normal distribution."""
    return k.ndtr(input)


@elementwise("special.ndtri", promote="float", heavy=True, node="SpecialNdtriBackward0",
             grad={"input": lambda g, out: g * exp(out * out * 0.5) * math.sqrt(2 * math.pi)})
def ndtri(k, input):
    """The inverse of ndtr."""
    return k.ndtri(input)


@elementwise("special.log_ndtr", promote="float", heavy=True, node="SpecialLogNdtrBackward0",
             grad={"input": lambda g, input: g / erfcx(input * -math.sqrt(0.5)) * math.sqrt(2 / math.pi)})
def log_ndtr(k, input):
    """The logarithm of ndtr, exact far below zero."""
    return k.log_ndtr(input)


@elementwise("special.erfcx", promote="float", heavy=True, node="SpecialErfcxBackward0",
             grad={"input": lambda g, input, out: g * (2.0 * input * out - 2 / SQRT_PI)})
def erfcx(k, input):
    """exp(x**2) * erfc(x)."""
    return k.erfcx(input)


# -- entropy ----------------------------------------------------------------------------------------------------------


@elementwise("special.entr", promote="float", heavy=True, node="SpecialEntrBackward0",
             grad={"input": lambda g, input: g * (-1 - log(input))})
def entr(k, input):
    """-x log(x); 0 at 0, -inf below."""
    return k.entr(input)


def _log_slope(g, input, other):
    vanishes = (input == 0) & (other <= 0)
    return where(vanishes, 0, g * _log(log, other))


def _log1p_slope(g, input, other):
    vanishes = (input == 0) & (other <= -1)
    return where(vanishes, 0, g * _log(log1p, other))


def _log(function, value):
    if isinstance(value, Tensor):
        return function(value)
    return float(function(full((), float(value), dtype=dt.float64)))


@elementwise("xlogy xlogy_ special.xlogy", promote="float", heavy=True,
             grad={"input": _log_slope, "other": lambda g, input, other: g * (input / other)})
def xlogy(k, input, other):
    """Return input * log(other), and 0 where `input` is 0.

    Args:
        input (Tensor or number): any shape; integers become the default float.
        other (Tensor or number): a shape that broadcasts with that of `input`.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the common shape; NaN where `other` is.

    Raises:
        TypeError: neither of the two is a tensor.

    Example:
        >>> torch.xlogy(torch.tensor([0.0, 2.0]), torch.tensor([0.0, 1.0]))
        tensor([0., 0.])
    """
    return k.xlogy(k.like(input, other), other)


@elementwise("special.xlog1py", promote="float", heavy=True, node="SpecialXlog1PyBackward0",
             grad={"input": _log1p_slope, "other": lambda g, input, other: g * (input / (other + 1))})
def xlog1py(k, input, other):
    """input * log1p(other); 0 where input is 0 (and `other` not NaN)."""
    return k.xlog1py(k.like(input, other), other)


# -- functions without gradients --------------------------------------------------------------------------------------


def _plain(name, emitted, text):
    """Declare a function of one tensor that has no gradient."""
    def body(k, input):
        return getattr(k, emitted)(input)
    body.__name__, body.__doc__ = name, text
    return elementwise(f"special.{name}", name=f"special_{name}", promote="float", heavy=True)(body)


PLAIN = {
    "airy_ai": ("airy_ai", "The Airy function Ai."),
    "bessel_j0": ("bessel_j0", "The Bessel function of the first kind of order 0."),
    "bessel_j1": ("bessel_j1", "The Bessel function of the first kind of order 1."),
    "bessel_y0": ("bessel_y0", "The Bessel function of the second kind of order 0."),
    "bessel_y1": ("bessel_y1", "The Bessel function of the second kind of order 1."),
    "modified_bessel_i0": ("i0", "The modified Bessel function of the first kind of order 0."),
    "modified_bessel_i1": ("i1", "The modified Bessel function of the first kind of order 1."),
    "modified_bessel_k0": ("modified_bessel_k0", "The modified Bessel function of the second kind of order 0."),
    "modified_bessel_k1": ("modified_bessel_k1", "The modified Bessel function of the second kind of order 1."),
    "scaled_modified_bessel_k0": ("scaled_modified_bessel_k0", "exp(x) times modified_bessel_k0."),
    "scaled_modified_bessel_k1": ("scaled_modified_bessel_k1", "exp(x) times modified_bessel_k1."),
    "spherical_bessel_j0": ("spherical_bessel_j0", "The spherical Bessel function of order 0, sin(x) / x."),
}
for _name, (_emitted, _text) in PLAIN.items():
    _plain(_name, _emitted, _text)


def _polynomial(name, text):
    """Declare an orthogonal polynomial of the degree `n` (numbers or tensors, rounded towards zero)."""
    def body(k, input, n):
        return getattr(k, name)(k.like(input, n), n)
    body.__name__, body.__doc__ = name, text
    return elementwise(f"special.{name}", name=f"special_{name}", promote="float", heavy=True)(body)


for _name, _text in (("chebyshev_polynomial_{}", "Chebyshev's polynomial {} of degree n."),
                     ("shifted_chebyshev_polynomial_{}", "Chebyshev's polynomial {} of degree n at 2 x - 1.")):
    for _kind in "tuvw":
        _polynomial(_name.format(_kind), _text.format(_kind.upper()))
_polynomial("hermite_polynomial_h", "The physicists' Hermite polynomial of degree n.")
_polynomial("hermite_polynomial_he", "The probabilists' Hermite polynomial of degree n.")
_polynomial("laguerre_polynomial_l", "The Laguerre polynomial of degree n.")
_polynomial("legendre_polynomial_p", "The Legendre polynomial of degree n.")
