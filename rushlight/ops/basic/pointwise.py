"""Element-wise functions of one tensor: exponentials, trigonometry, roundings, signs, tests of floating point values.

Each is a scalar body for the kernels and a gradient formula. Integers become the default float where the function is
not one of integers. Functions of two tensors are in `binary`, those of `special.*` alone in `special`, logic in
`logic`.
"""

import math

from ...core import dtype as dt
from ...core.declare import REGISTRY, elementwise, public
from ...core.return_types import named_result
from ...core.tensor import Tensor
from .arithmetic import where
from .creation import zeros_like

SQRT_PI = math.sqrt(math.pi)


def zero(g):
    """The gradient of a function that is constant almost everywhere."""
    return zeros_like(g)


# -- exponentials and logarithms -------------------------------------------------------------------------------------


@elementwise("exp exp_", complex=True, promote="float", heavy=True, grad={"input": lambda g, out: g * out})
def exp(k, input):
    """e to the power of each element."""
    return k.exp(input)


@elementwise(
    "exp2 exp2_ special.exp2", complex=True, promote="float", heavy=True,
    grad={"input": lambda g, out: g * out * math.log(2)}
)
def exp2(k, input):
    """2 to the power of each element."""
    return k.exp2(input)


@elementwise("expm1 expm1_ special.expm1", complex=True, promote="float", heavy=True,
             grad={"input": lambda g, out: g * (out + 1)})
def expm1(k, input):
    """exp(x) - 1, exact for small x."""
    return k.expm1(input)


@elementwise("log log_", complex=True, promote="float", heavy=True, grad={"input": lambda g, input: g / input})
def log(k, input):
    """The natural logarithm."""
    return k.log(input)


@elementwise("log2 log2_", complex=True, promote="float", heavy=True,
             grad={"input": lambda g, input: g / (input * math.log(2))})
def log2(k, input):
    """The logarithm to base 2."""
    return k.log2(input)


@elementwise("log10 log10_", complex=True, promote="float", heavy=True,
             grad={"input": lambda g, input: g / (input * math.log(10))})
def log10(k, input):
    """The logarithm to base 10."""
    return k.log10(input)


@elementwise("log1p log1p_ special.log1p", complex=True, promote="float", heavy=True, node="Log1PBackward0",
             grad={"input": lambda g, input: g / (input + 1)})
def log1p(k, input):
    """log(1 + x), exact for small x."""
    return k.log1p(input)


# -- powers and roots ------------------------------------------------------------------------------------------------


@elementwise("sqrt sqrt_", complex=True, promote="float", grad={"input": lambda g, out: g / (2 * out)})
def sqrt(k, input):
    """The square root; NaN for negative elements."""
    return k.sqrt(input)


@elementwise("rsqrt rsqrt_", complex=True, promote="float", grad={"input": lambda g, out: g * (out * out * out) * -0.5})
def rsqrt(k, input):
    """1 / sqrt(x)."""
    return k.rsqrt(input)


@elementwise("reciprocal reciprocal_", complex=True, promote="float", grad={"input": lambda g, out: -g * (out * out)})
def reciprocal(k, input):
    """1 / x."""
    return k.div(k.const(1, input.dtype), input)


# -- trigonometry ----------------------------------------------------------------------------------------------------


@elementwise("sin sin_", complex=True, promote="float", heavy=True, grad={"input": lambda g, input: g * cos(input)})
def sin(k, input):
    """The sine of an angle in radians."""
    return k.sin(input)


@elementwise("cos cos_", complex=True, promote="float", heavy=True, grad={"input": lambda g, input: g * -sin(input)})
def cos(k, input):
    """The cosine of an angle in radians."""
    return k.cos(input)


@elementwise("tan tan_", complex=True, promote="float", heavy=True, grad={"input": lambda g, out: g * (out * out + 1)})
def tan(k, input):
    """The tangent of an angle in radians."""
    return k.tan(input)


@elementwise(
    "asin asin_ arcsin arcsin_",
    promote="float",
    heavy=True,
    grad={"input": lambda g, input: g * rsqrt(1 - input * input)}, complex=True,
)
def asin(k, input):
    """The arcsine; NaN outside [-1, 1]."""
    return k.asin(input)


@elementwise(
    "acos acos_ arccos arccos_",
    promote="float",
    heavy=True,
    grad={"input": lambda g, input: g * -rsqrt(1 - input * input)}, complex=True,
)
def acos(k, input):
    """The arccosine; NaN outside [-1, 1]."""
    return k.acos(input)


@elementwise(
    "atan atan_ arctan arctan_", complex=True, promote="float", heavy=True,
    grad={"input": lambda g, input: g / (input * input + 1)}
)
def atan(k, input):
    """The arctangent, in (-pi/2, pi/2)."""
    return k.atan(input)


@elementwise("sinh sinh_", complex=True, promote="float", heavy=True, grad={"input": lambda g, input: g * cosh(input)})
def sinh(k, input):
    """The hyperbolic sine."""
    return k.sinh(input)


@elementwise("cosh cosh_", complex=True, promote="float", heavy=True, grad={"input": lambda g, input: g * sinh(input)})
def cosh(k, input):
    """The hyperbolic cosine."""
    return k.cosh(input)


@elementwise("", complex=True, grad={"input_g": lambda g, out_value: tanh_back(g, out_value),
                                    "out_value": lambda g, input_g, out_value: g * input_g * out_value * -2})
def tanh_back(k, input_g, out_value):
    """The gradient of tanh from its result: g (1 - y**2)."""
    return input_g * (1 - out_value * out_value)


@elementwise(
    "tanh tanh_ nn.functional.tanh", complex=True, promote="float", heavy=True,
    grad={"input": lambda g, out: tanh_back(g, out)}
)
def tanh(k, input):
    """The hyperbolic tangent."""
    return k.tanh(input)


@elementwise("asinh asinh_ arcsinh arcsinh_", complex=True, promote="float", heavy=True,
             grad={"input": lambda g, input: g * rsqrt(input * input + 1)})
def asinh(k, input):
    """The inverse hyperbolic sine."""
    return k.asinh(input)


@elementwise("acosh acosh_ arccosh arccosh_", complex=True, promote="float", heavy=True,
             grad={"input": lambda g, input: g * (rsqrt(input - 1) * rsqrt(input + 1))})
def acosh(k, input):
    """The inverse hyperbolic cosine; NaN below 1."""
    return k.acosh(input)


@elementwise(
    "atanh atanh_ arctanh arctanh_",
    promote="float",
    heavy=True,
    grad={"input": lambda g, input: g / (1 - input * input)}, complex=True,
)
def atanh(k, input):
    """The inverse hyperbolic tangent; NaN outside [-1, 1]."""
    return k.atanh(input)


@elementwise(
    "deg2rad deg2rad_", promote="float", node="Deg2RadBackward0", grad={"input": lambda g: g * (math.pi / 180)}
)
def deg2rad(k, input):
    """Degrees to radians."""
    return input * (math.pi / 180)


@elementwise(
    "rad2deg rad2deg_", promote="float", node="Rad2DegBackward0", grad={"input": lambda g: g * (180 / math.pi)}
)
def rad2deg(k, input):
    """Radians to degrees."""
    return input * (180 / math.pi)


def _sinc_grad(g, input):
    angle = input * math.pi
    slope = (cos(angle) - sin(angle) / angle) / input
    return g * where(input == 0, 0, slope)


@elementwise("sinc sinc_ special.sinc", complex=True, promote="float", heavy=True, grad={"input": _sinc_grad})
def sinc(k, input):
    """sin(pi x) / (pi x), 1 at 0."""
    return k.sinc(input)


# -- logistic functions ----------------------------------------------------------------------------------------------


@elementwise("", complex=True, grad={"input_g": lambda g, out_value: sigmoid_back(g, out_value),
                       "out_value": lambda g, input_g, out_value: g * input_g * (1 - 2 * out_value)})
def sigmoid_back(k, input_g, out_value):
    """The gradient of sigmoid from its result: g y (1 - y)."""
    return input_g * (out_value * (1 - out_value))


@elementwise("sigmoid sigmoid_ special.expit nn.functional.sigmoid", complex=True, promote="float", heavy=True,
             grad={"input": lambda g, out: sigmoid_back(g, out)})
def sigmoid(k, input):
    """1 / (1 + exp(-x))."""
    return k.sigmoid(input)


def _logit_grad(g, input, eps, clamped):
    low, high = (eps, 1 - eps) if clamped else (0.0, 1.0)
    slope = g / (input * (1 - input))
    outside = (input < low) | (input > high)
    return where(outside, 0.0 if clamped else math.nan, slope)


@elementwise("", name="logit", promote="float", heavy=True, grad={"input": _logit_grad})
def logit_values(k, input, eps: float, clamped: bool):
    """log(x / (1 - x)), x clamped to [eps, 1 - eps] where asked for."""
    if clamped:
        high = k.cast(1 - eps, input.dtype)
        input = k.where(input < eps, eps, k.where(input > high, high, input))
    return k.log(input / (1 - input))


@public("logit special.logit")
def logit(input, eps=None):
    """log(x / (1 - x)); x is clamped to [eps, 1 - eps] if `eps` is given, else NaN outside [0, 1]."""
    return logit_values(input, 0.0 if eps is None else float(eps), eps is not None)


@public("logit_", out=False)
def logit_(self, eps=None):
    """`logit` in place."""
    return logit_values.inplace(self, 0.0 if eps is None else float(eps), eps is not None)


# -- error functions -------------------------------------------------------------------------------------------------


@elementwise("erf erf_ special.erf", promote="float", heavy=True,
             grad={"input": lambda g, input: exp(-(input * input)) * (2 / SQRT_PI) * g})
def erf(k, input):
    """The error function, 2/sqrt(pi) times the integral of exp(-t**2) from 0 to x."""
    return k.erf(input)


@elementwise("erfc erfc_ special.erfc", promote="float", heavy=True,
             grad={"input": lambda g, input: exp(-(input * input)) * (-2 / SQRT_PI) * g})
def erfc(k, input):
    """1 - erf(x), exact for large x."""
    return k.erfc(input)


@elementwise("erfinv erfinv_ special.erfinv", promote="float", heavy=True,
             grad={"input": lambda g, out: exp(out * out) * (SQRT_PI / 2) * g})
def erfinv(k, input):
    """The inverse of the error function."""
    return k.erfinv(input)


# -- roundings -------------------------------------------------------------------------------------------------------


def _rounded(k, name, input):
    return getattr(k, name)(input) if input.dtype.is_floating_point else input


@elementwise("floor floor_", dtypes="numeric", grad={"input": zero})
def floor(k, input):
    """The largest integer not above x."""
    return _rounded(k, "floor", input)


@elementwise("ceil ceil_", dtypes="numeric", grad={"input": zero})
def ceil(k, input):
    """The smallest integer not below x."""
    return _rounded(k, "ceil", input)


@elementwise("trunc trunc_ fix fix_", dtypes="numeric", grad={"input": zero})
def trunc(k, input):
    """x rounded towards zero."""
    return _rounded(k, "trunc", input)


@elementwise("frac frac_", dtypes="floating", grad={"input": lambda g: g})
def frac(k, input):
    """x - trunc(x)."""
    return input - k.trunc(input)


@elementwise("", name="round", dtypes="numeric", grad={"input": zero})
def round_values(k, input):
    """x rounded to the nearest integer, halves to the even one."""
    return _rounded(k, "round", input)


@elementwise("", name="round_decimals", dtypes="floating", node="RoundBackward1", grad={"input": zero})
def round_decimals(k, input, scale: float, up: bool):
    """x rounded to a multiple of a power of ten."""
    scale = k.cast(scale, input.dtype)
    return k.round(input * scale) / scale if up else k.round(input / scale) * scale


@public("round special.round")
def round(input, *, decimals=0):
    """x rounded to `decimals` digits (negative: tens, hundreds ...), halves to even. Integers take no decimals."""
    if decimals == 0:
        return round_values(input)
    return round_decimals(input, 10.0 ** builtin_abs(decimals), decimals > 0)


@public("round_", out=False)
def round_(self, *, decimals=0):
    """`round` in place."""
    if decimals == 0:
        return round_values.inplace(self)
    return round_decimals.inplace(self, 10.0 ** builtin_abs(decimals), decimals > 0)


builtin_abs = abs


# -- signs -----------------------------------------------------------------------------------------------------------


def _size_rule(layouts, numbers, attrs):
    return layouts[0].dtype.plain, layouts[0].dtype.to_real()


@elementwise("abs absolute Tensor.__abs__", dtypes="numeric", promote=_size_rule, complex=True, conjugates=True,
             grad={"input": lambda g, input: g * sgn(input)})
def abs(k, input):
    """The absolute value; of a complex number its distance from 0, a real one."""
    return k.abs(input)


@public("abs_ absolute_", out=False)
def abs_(self):
    """`abs` in place. RuntimeError for complex tensors."""
    if self._layout.dtype.is_complex:
        raise RuntimeError("In-place abs is not supported for complex tensors.")
    return abs.inplace(self)


def _sign(k, input):
    if input.dtype is dt.bool_:
        return input
    one = k.const(1, input.dtype)
    if not input.dtype.is_signed:
        return k.where(input.eq(0), input, one)
    return k.where(input > 0, one, k.where(input < 0, -one, k.const(0, input.dtype)))


@elementwise("sign sign_", grad={"input": zero})
def sign(k, input):
    """-1, 0 or 1."""
    return _sign(k, input)


def _sgn_grad(g, input, out):
    """The part of g across the direction of z, divided by |z|."""
    if not input._layout.dtype.is_complex:
        return zero(g)
    size = abs(input)
    along = REGISTRY["real"](g * REGISTRY["conj"](out)) * out
    return where(size == 0, 0, (g - along) / size)


@elementwise("sgn sgn_", complex=True, conjugates=True, grad={"input": _sgn_grad})
def sgn(k, input):
    """-1, 0 or 1; of a complex number z / |z|, or 0."""
    if input.dtype.category != dt.COMPLEX:
        return _sign(k, input)
    size = k.abs(input)
    still = size.eq(0)
    size = k.where(still, k.const(1, size.dtype), size)
    return k.complex(input.real / size, input.imag / size)


def float_bits_sign(k, input):
    """Whether the sign bit of a floating point value is set."""
    return k.copysign(k.const(1, input.dtype), input) < 0


@elementwise("signbit", promote="bool")
def signbit(k, input):
    """Whether the sign bit is set (also of -0.0)."""
    if input.dtype.is_floating_point:
        return float_bits_sign(k, input)
    return input < 0 if input.dtype.is_signed else k.const(False, dt.bool_)


@public("positive Tensor.__pos__", out=False)
def positive(input):
    """The tensor itself. RuntimeError for bool tensors."""
    if input._layout.dtype is dt.bool_:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


# -- tests -----------------------------------------------------------------------------------------------------------


@elementwise("isnan", promote="bool", complex=True)
def isnan(k, input):
    """Whether the element is NaN."""
    return k.isnan(input)


@elementwise("isinf", promote="bool", complex=True)
def isinf(k, input):
    """Whether the element is infinite."""
    return k.isinf(input)


@elementwise("isfinite", promote="bool", complex=True)
def isfinite(k, input):
    """Whether the element is neither infinite nor NaN."""
    if input.dtype.category == dt.COMPLEX:
        return isfinite_value(k, input.real) & isfinite_value(k, input.imag)
    return isfinite_value(k, input)


def isfinite_value(k, input):
    if not input.dtype.is_floating_point:
        return k.const(True, dt.bool_)
    return k.abs(input) < float("inf")


@elementwise("isposinf", promote="bool")
def isposinf(k, input):
    """Whether the element is +infinity."""
    return input.eq(float("inf")) if input.dtype.is_floating_point else k.const(False, dt.bool_)


@elementwise("isneginf", promote="bool")
def isneginf(k, input):
    """Whether the element is -infinity."""
    return input.eq(float("-inf")) if input.dtype.is_floating_point else k.const(False, dt.bool_)


def _finite_only(g, input):
    return where(isfinite(input), g, 0)


@elementwise("", name="nan_to_num", grad={"input": _finite_only})
def replace_nonfinite(k, input, nan: float, high: float, low: float, top: bool, bottom: bool):
    """NaN and infinities replaced; the dtype's limits where no number is given."""
    if not input.dtype.is_floating_point:
        return input
    limit = dt.finfo(input.dtype).max
    above = k.cast(high, input.dtype) if top else k.const(limit, input.dtype)
    below = k.cast(low, input.dtype) if bottom else k.const(-limit, input.dtype)
    kept = k.where(input.eq(float("inf")), above, k.where(input.eq(float("-inf")), below, input))
    return k.where(k.isnan(input), k.cast(nan, input.dtype), kept)


def _replacements(nan, posinf, neginf):
    return (
        0.0 if nan is None else float(nan),
        0.0 if posinf is None else float(posinf),
        0.0 if neginf is None else float(neginf),
        posinf is not None,
        neginf is not None,
    )


@public("nan_to_num")
def nan_to_num(input, nan=None, posinf=None, neginf=None):
    """NaN becomes `nan` (0), the infinities `posinf` and `neginf` (the largest and smallest finite numbers)."""
    if input._layout.dtype.category < dt.FLOATING:
        return input.clone()
    return replace_nonfinite(input, *_replacements(nan, posinf, neginf))


@public("nan_to_num_", out=False)
def nan_to_num_(self, nan=None, posinf=None, neginf=None):
    """`nan_to_num` in place."""
    if self._layout.dtype.category < dt.FLOATING:
        return self
    return replace_nonfinite.inplace(self, *_replacements(nan, posinf, neginf))


# -- parts of a number -----------------------------------------------------------------------------------------------

FREXP = named_result("frexp", "mantissa", "exponent")


@elementwise("", dtypes="floating")
def frexp_mantissa(k, input):
    """m of x = m 2**e with 1/2 <= |m| < 1."""
    return k.frexp_mantissa(input)


@elementwise("", dtypes="floating", promote=lambda layouts, numbers, attrs: (layouts[0].dtype, dt.int32))
def frexp_exponent(k, input):
    """e of x = m 2**e."""
    return k.frexp_exponent(input)


def _frexp_grad(g, out1):
    return g[0] / exp2(out1)


@public("frexp", grad={"input": _frexp_grad})
def frexp(input):
    """(mantissa, exponent) with x = mantissa * 2**exponent and 1/2 <= |mantissa| < 1. RuntimeError for integers."""
    if input._layout.dtype.category < dt.FLOATING:
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    return FREXP(frexp_mantissa(input), frexp_exponent(input))


def need_tensor(name, argument, position, value):
    """TypeError with PyTorch's text unless `value` is a Tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}(): argument '{argument}' (position {position}) must be Tensor, not "
                        f"{type(value).__name__}")
