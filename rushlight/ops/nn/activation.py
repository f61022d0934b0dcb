"""Activation functions of `nn.functional` with their `inplace` flags and in-place names.

Each is one scalar body. Gradients that are used everywhere have a body of their own (one instruction instead of
several); their own gradients are expressions again.
"""

import math

from ...core import dtype as dt
from ...core.declare import REGISTRY, elementwise, public
from ..basic.pointwise import exp, need_tensor, sigmoid, tanh
from ..basic.shape import cat

SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
TANH_SCALE, TANH_CUBE = math.sqrt(2 / math.pi), 0.044715  # of the tanh form of GELU
NORMAL = 1 / math.sqrt(2 * math.pi)


def where(condition, input, other):
    return REGISTRY["where"](condition, input, other)


def choose(function, inplace, *values):
    """The in-place or the ordinary form of an element-wise operator."""
    need_tensor(function.__name__, "input", 1, values[0])
    return function.inplace(*values) if inplace else function(*values)


# -- relu and its kin ------------------------------------------------------------------------------------------------


@elementwise("", grad={"input_g": lambda g, out_value: relu_back(g, out_value)})
def relu_back(k, input_g, out_value):
    """The gradient of relu from its result."""
    return k.where(out_value <= 0, k.const(0, input_g.dtype), input_g)


@elementwise("relu relu_ nn.functional.relu_", dtypes="numeric", grad={"input": lambda g, out: relu_back(g, out)},
             refuse="Boolean inputs not supported for relu")
def relu(k, input):
    """max(x, 0)."""
    return k.maximum(k.const(0, input.dtype), input)  # in this order -0.0 stays


@public("nn.functional.relu", out=False)
def functional_relu(input, inplace=False):
    """max(x, 0)."""
    return choose(relu, inplace, input)


@elementwise("", grad={"input_g": lambda g, input, low, high: between(g, input, low, high)})
def between(k, input_g, input, low: float, high: float):
    """The gradient where low < x < high, else 0."""
    low, high = k.cast(low, input.dtype), k.cast(high, input.dtype)
    return k.where((input <= low) | (input >= high), k.const(0, input_g.dtype), input_g)


@elementwise(
    "", name="hardtanh", dtypes="numeric", grad={"input": lambda g, input, low, high: between(g, input, low, high)}
)
def limit(k, input, low, high):
    """x limited to [low, high]."""
    return k.minimum(k.cast(high, input.dtype), k.maximum(k.cast(low, input.dtype), input))  # equal zeros stay


def _limits(input, min_val, max_val):
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if input._layout.dtype is dt.bool_:
        raise NotImplementedError("Bool inputs not supported for hardtanh")
    if input._layout.dtype.category < dt.FLOATING:
        if not input._layout.dtype.is_signed and (min_val < 0 or max_val < 0):
            raise RuntimeError("cannot do hardtanh on an unsigned type with negative limits")
        return int(min_val), int(max_val)
    return float(min_val), float(max_val)


@public("nn.functional.hardtanh", out=False)
def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    """x limited to [min_val, max_val]."""
    need_tensor("hardtanh", "input", 1, input)
    return choose(limit, inplace, input, *_limits(input, min_val, max_val))


@public("nn.functional.hardtanh_", out=False)
def hardtanh_(input, min_val=-1.0, max_val=1.0):
    """`hardtanh` in place."""
    return hardtanh(input, min_val, max_val, True)


@public("nn.functional.relu6", out=False)
def relu6(input, inplace=False):
    """min(max(x, 0), 6)."""
    return hardtanh(input, 0.0, 6.0, inplace)


@elementwise("", name="leaky_relu_back", grad={"input_g": lambda g, input, slope: leaky_back(g, input, slope)})
def leaky_back(k, input_g, input, slope: float):
    """g where x > 0, else slope * g."""
    return k.where(input > 0, input_g, input_g * k.cast(slope, input_g.dtype))


@elementwise(
    "", name="leaky_relu", dtypes="floating", grad={"input": lambda g, input, slope: leaky_back(g, input, slope)}
)
def leaky(k, input, slope: float):
    """x where positive, else slope * x."""
    return k.where(input > 0, input, input * k.cast(slope, input.dtype))


@public("nn.functional.leaky_relu", out=False)
def leaky_relu(input, negative_slope=0.01, inplace=False):
    """x where positive, else negative_slope * x."""
    return choose(leaky, inplace, input, float(negative_slope))


@public("nn.functional.leaky_relu_", out=False)
def leaky_relu_(input, negative_slope=0.01):
    """`leaky_relu` in place."""
    return leaky.inplace(input, float(negative_slope))


@elementwise("", dtypes="floating", node="PreluKernelBackward0",
             grad={"input": lambda g, input, weight: where(input > 0, g, weight * g),
                   "weight": lambda g, input: where(input > 0, 0, input * g)})
def prelu_kernel(k, input, weight):
    """x where positive, else weight * x."""
    return k.where(input > 0, input, weight * input)


@public("prelu nn.functional.prelu", out=False, cast="lower")
def prelu(input, weight):
    """x where positive, else weight * x; `weight` has one element, or one for each channel (dimension 1)."""
    need_tensor("prelu", "input", 1, input)
    need_tensor("prelu", "weight", 2, weight)
    if input.dtype is not weight.dtype:
        raise RuntimeError(f"prelu: Type promoting not supported. Got {dt.scalar_type(input._layout.dtype)} and "
                           f"{dt.scalar_type(weight._layout.dtype)}")
    count = weight.numel()
    if weight.dim() > 1:
        raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.dim()}")
    if count != 1:
        if input.dim() == 0:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = input.shape[1] if input.dim() > 1 else 1
        if channels != count:
            raise RuntimeError("Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                               f"{count} and channel size = {channels}.")
    shape = [1] * input.dim()
    if input.dim() > 1:
        shape[1] = count
    return prelu_kernel(input, weight.reshape(shape))


@elementwise(
    "", name="threshold_back", grad={"input_g": lambda g, input, threshold: threshold_back(g, input, threshold)}
)
def threshold_back(k, input_g, input, threshold: float):
    """g where x > threshold, else 0."""
    return k.where(input <= k.cast(threshold, input.dtype), k.const(0, input_g.dtype), input_g)


@elementwise("", name="threshold", dtypes="numeric", promote="keep", repeats=True,
             grad={"input": lambda g, input, threshold: threshold_back(g, input, threshold)})
def threshold_values(k, input, threshold: float, value: float):
    """x where above the threshold, else value."""
    return k.where(input <= k.cast(threshold, input.dtype), k.cast(value, input.dtype), input)


@public("torch.threshold nn.functional.threshold")
def threshold(input, threshold, value, inplace=False):
    """x where above `threshold`, else `value`."""
    return choose(threshold_values, inplace, input, threshold, value)


@public("torch.threshold_ nn.functional.threshold_", out=False)
def threshold_(input, threshold, value):
    """`threshold` in place."""
    return threshold_values.inplace(input, threshold, value)


# -- exponential units -----------------------------------------------------------------------------------------------


def _elu_second(g, input_g, input, alpha, scale):
    return where(input > 0, 0, g * input_g * exp(input) * (alpha * scale))


@elementwise(
    "",
    heavy=True,
    grad={"input_g": lambda g, input, alpha, scale: elu_back(g, input, alpha, scale), "input": _elu_second},
)
def elu_back(k, input_g, input, alpha: float, scale: float):
    """The gradient of elu."""
    factor = k.where(input > 0, k.cast(scale, input.dtype), k.cast(alpha * scale, input.dtype) * k.exp(input))
    return input_g * factor


@elementwise("", name="elu", dtypes="floating", heavy=True,
             grad={"input": lambda g, input, alpha, scale: elu_back(g, input, alpha, scale)})
def exponential_unit(k, input, alpha: float, scale: float):
    """scale * (x if positive, else alpha * (exp(x) - 1))."""
    return k.where(input > 0, input * k.cast(scale, input.dtype), k.cast(alpha * scale, input.dtype) * k.expm1(input))


@public("nn.functional.elu")
def elu(input, alpha=1.0, inplace=False):
    """x where positive, else alpha * (exp(x) - 1)."""
    return choose(exponential_unit, inplace, input, float(alpha), 1.0)


@public("nn.functional.elu_", out=False)
def elu_(input, alpha=1.0):
    """`elu` in place."""
    return exponential_unit.inplace(input, float(alpha), 1.0)


@public("nn.functional.selu", out=False)
def functional_selu(input, inplace=False):
    """The self-normalising exponential unit: scale * (x if positive, else alpha * (exp(x) - 1))."""
    return choose(exponential_unit, inplace, input, SELU_ALPHA, SELU_SCALE)


@public("torch.selu", out=False)
def selu(input):
    """The self-normalising exponential unit."""
    return functional_selu(input)


@public("torch.selu_ nn.functional.selu_", out=False)
def selu_(input):
    """`selu` in place."""
    return exponential_unit.inplace(input, SELU_ALPHA, SELU_SCALE)


@elementwise("", name="celu", dtypes="floating", heavy=True,
             grad={"input": lambda g, input, alpha: where(input > 0, g, g * exp(input / alpha))})
def continuous_unit(k, input, alpha: float):
    """x where positive, else alpha * (exp(x / alpha) - 1)."""
    alpha = k.cast(alpha, input.dtype)
    return k.where(input > 0, input, alpha * k.expm1(input / alpha))


def _checked_alpha(alpha):
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return float(alpha)


@public("nn.functional.celu", out=False)
def functional_celu(input, alpha=1.0, inplace=False):
    """x where positive, else alpha * (exp(x / alpha) - 1)."""
    return choose(continuous_unit, inplace, input, _checked_alpha(alpha))


@public("torch.celu", out=False)
def celu(input, alpha=1.0):
    """x where positive, else alpha * (exp(x / alpha) - 1)."""
    return functional_celu(input, alpha)


@public("torch.celu_ nn.functional.celu_", out=False)
def celu_(input, alpha=1.0):
    """`celu` in place."""
    return continuous_unit.inplace(input, _checked_alpha(alpha))


# -- smooth gates ----------------------------------------------------------------------------------------------------


def _gelu_second(g, input_g, input, tanh_form):
    if not tanh_form:
        return g * input_g * ((2 - input * input) * exp(input * input * -0.5) * NORMAL)
    inner = (input + input * input * input * TANH_CUBE) * TANH_SCALE
    t, slope = tanh(inner), (input * input * (3 * TANH_CUBE) + 1) * TANH_SCALE
    curve = input * (6 * TANH_CUBE * TANH_SCALE)
    return g * input_g * (1 - t * t) * (slope + input * curve * 0.5 - input * t * slope * slope)


@elementwise(
    "", heavy=True, grad={"input_g": lambda g, input, tanh_form: gelu_back(g, input, tanh_form), "input": _gelu_second}
)
def gelu_back(k, input_g, input, tanh_form: bool):
    """The gradient of gelu."""
    if tanh_form:
        square = input * input
        t = k.tanh((input + input * square * TANH_CUBE) * TANH_SCALE)
        slope = (square * (3 * TANH_CUBE) + 1) * TANH_SCALE
        return input_g * ((t + 1) * 0.5 + input * 0.5 * (1 - t * t) * slope)
    density = k.exp(input * input * -0.5) * NORMAL
    return input_g * ((k.erf(input * math.sqrt(0.5)) + 1) * 0.5 + input * density)


@elementwise("", name="gelu", dtypes="floating", heavy=True,
             grad={"input": lambda g, input, tanh_form: gelu_back(g, input, tanh_form)})
def gelu_values(k, input, tanh_form: bool):
    """x times the normal distribution function of x, or its tanh form."""
    if tanh_form:
        return input * 0.5 * (k.tanh((input + input * input * input * TANH_CUBE) * TANH_SCALE) + 1)
    return input * 0.5 * (k.erf(input * math.sqrt(0.5)) + 1)


@public("nn.functional.gelu")
def gelu(input, approximate="none"):
    """x * Phi(x), Phi the distribution function of the standard normal distribution; approximate="tanh" for
    Hendrycks' formula.
    """
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    return choose(gelu_values, False, input, approximate == "tanh")


def _silu_second(g, input_g, input):
    s = sigmoid(input)
    return g * input_g * (s * (1 - s) * (2 + input * (1 - 2 * s)))


@elementwise("", complex=True, heavy=True,
             grad={"input_g": lambda g, input: silu_back(g, input), "input": _silu_second})
def silu_back(k, input_g, input):
    """The gradient of silu."""
    s = k.sigmoid(input)
    return input_g * (s * (input * (1 - s) + 1))


@elementwise("", complex=True, name="silu", dtypes="floating", heavy=True,
             grad={"input": lambda g, input: silu_back(g, input)})
def silu_values(k, input):
    """x * sigmoid(x), with one division."""
    return input / (k.exp(-input) + 1)


@public("nn.functional.silu")
def silu(input, inplace=False):
    """x * sigmoid(x)."""
    return choose(silu_values, inplace, input)


def _mish_grad(g, input):
    t = tanh(softplus(input))
    return g * (t + input * sigmoid(input) * (1 - t * t))


@elementwise("", name="mish", dtypes="floating", heavy=True, grad={"input": _mish_grad})
def mish_values(k, input):
    """x * tanh(log(1 + exp(x)))."""
    return input * k.tanh(k.where(input > 20, input, k.log1p(k.exp(input))))


@public("nn.functional.mish", out=False)
def mish(input, inplace=False):
    """x * tanh(softplus(x))."""
    return choose(mish_values, inplace, input)


@elementwise(
    "",
    heavy=True,
    promote="float",
    name="softplus",
    grad={"input": lambda g, input, beta, threshold: where(input * beta > threshold, g, g * sigmoid(input * beta))},
)
def softplus_values(k, input, beta: float, threshold: float):
    """log(1 + exp(beta * x)) / beta, x itself where beta * x is above the threshold."""
    beta = k.cast(beta, input.dtype)
    scaled = input * beta
    return k.where(scaled > k.cast(threshold, input.dtype), input, k.log1p(k.exp(scaled)) / beta)


@public("nn.functional.softplus")
def softplus(input, beta=1.0, threshold=20.0):
    """log(1 + exp(beta * x)) / beta, x itself where beta * x > threshold."""
    need_tensor("softplus", "input", 1, input)
    _floats("softplus", input)
    return softplus_values(input, float(beta), float(threshold))


def _floats(name, input):
    if input._layout.dtype.category < dt.FLOATING:
        raise NotImplementedError(f"\"{name}\" not implemented for '{dt.scalar_type(input._layout.dtype)}'")


@elementwise("", name="log_sigmoid", node="LogSigmoidBackward0", dtypes="floating", heavy=True, contiguous=True,
             grad={"input": lambda g, input: g * sigmoid(-input)})
def log_sigmoid(k, input):
    """log(sigmoid(x)) without overflow."""
    return k.minimum(input, k.const(0, input.dtype)) - k.log1p(k.exp(-k.abs(input)))


@public("nn.functional.logsigmoid")
def logsigmoid(input):
    """log(1 / (1 + exp(-x)))."""
    return choose(log_sigmoid, False, input)


# -- piecewise polynomials -------------------------------------------------------------------------------------------


@elementwise("", grad={"input_g": lambda g, input: hardswish_back(g, input),
                       "input": lambda g, input_g, input: between(g * input_g * (1 / 3), input, -3.0, 3.0)})
def hardswish_back(k, input_g, input):
    """The gradient of hardswish."""
    inner = input_g * (input * (1 / 3) + 0.5)
    return k.where(input <= -3, k.const(0, input_g.dtype), k.where(input < 3, inner, input_g))


@elementwise("", name="hardswish", dtypes="floating", grad={"input": lambda g, input: hardswish_back(g, input)})
def hardswish_values(k, input):
    """x * relu6(x + 3) / 6."""
    return input * k.minimum(k.maximum(input + 3, k.const(0, input.dtype)), k.const(6, input.dtype)) / 6


@public("nn.functional.hardswish", out=False)
def hardswish(input, inplace=False):
    """x * relu6(x + 3) / 6."""
    return choose(hardswish_values, inplace, input)


@elementwise(
    "", name="hardsigmoid", dtypes="floating", grad={"input": lambda g, input: between(g * (1 / 6), input, -3.0, 3.0)}
)
def hardsigmoid_values(k, input):
    """relu6(x + 3) / 6."""
    return k.minimum(k.maximum(input + 3, k.const(0, input.dtype)), k.const(6, input.dtype)) / 6


@public("nn.functional.hardsigmoid", out=False)
def hardsigmoid(input, inplace=False):
    """relu6(x + 3) / 6."""
    return choose(hardsigmoid_values, inplace, input)


@elementwise("", grad={"input_g": lambda g, input, lambd: outside(g, input, lambd)})
def outside(k, input_g, input, lambd: float):
    """The gradient where |x| > lambd, else 0."""
    lambd = k.cast(lambd, input.dtype)
    return k.where((input >= -lambd) & (input <= lambd), k.const(0, input_g.dtype), input_g)


@elementwise("", name="hardshrink", dtypes="floating", grad={"input": lambda g, input, lambd: outside(g, input, lambd)})
def hardshrink_values(k, input, lambd: float):
    """0 where |x| <= lambd, else x."""
    lambd = k.cast(lambd, input.dtype)
    return k.where((input >= -lambd) & (input <= lambd), k.const(0, input.dtype), input)


@public("hardshrink nn.functional.hardshrink")
def hardshrink(input, lambd=0.5):
    """0 where |x| <= lambd, else x."""
    return choose(hardshrink_values, False, input, float(lambd))


@elementwise("", name="softshrink", dtypes="floating", grad={"input": lambda g, input, lambd: outside(g, input, lambd)})
def softshrink_values(k, input, lambd: float):
    """x moved towards zero by lambd, 0 where |x| <= lambd."""
    lambd = k.cast(lambd, input.dtype)
    inner = k.where(k.isnan(input), input, k.const(0, input.dtype))
    return k.where(input > lambd, input - lambd, k.where(input < -lambd, input + lambd, inner))


@public("nn.functional.softshrink")
def softshrink(input, lambd=0.5):
    """x moved towards zero by `lambd`, 0 where |x| <= lambd. RuntimeError for a negative `lambd`."""
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd:g}.")
    return choose(softshrink_values, False, input, float(lambd))


@public("nn.functional.tanhshrink", out=False)
def tanhshrink(input):
    """x - tanh(x)."""
    return input - tanh(input)


@public("nn.functional.softsign", out=False)
def softsign(input):
    """x / (1 + |x|)."""
    return input / (REGISTRY["abs"](input) + 1)


# -- gated linear unit -----------------------------------------------------------------------------------------------


def _halves(input, dim):
    half = input.shape[dim] // 2
    return input.narrow(dim, 0, half), input.narrow(dim, half, half)


def _glu_grad(g, input, dim):
    a, b = _halves(input, dim)
    s = sigmoid(b)
    return cat([g * s, g * a * (s * (1 - s))], dim)


@public("", node="GluBackward0", grad={"input": _glu_grad})
def gated(input, dim):
    """The first half times the sigmoid of the second."""
    a, b = _halves(input, dim)
    return a * sigmoid(b)


@public("nn.functional.glu")
def glu(input, dim=-1):
    """a * sigmoid(b) with a, b the halves of `input` along `dim`. RuntimeError for an odd size."""
    need_tensor("glu", "input", 1, input)
    if input.dim() == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    dim = dim + input.dim() if dim < 0 else dim
    size = input.size(dim)
    if size % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {dim} is size {size}")
    _floats("glu", input)
    return gated(input, dim)
