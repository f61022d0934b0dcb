"""Element-wise functions of two and three tensors: powers, extremes, clamp, angles, lerp, addcmul, addcdiv, gcd.

Node names follow PyTorch's overloads: number or tensor in the place of a parameter decides between `PowBackward0`,
`1` and `2`.
"""

import cmath
import math

from ...core import dtype as dt
from ...core import infer as rules
from ...core.declare import REGISTRY, elementwise, public, register
from ...core.graph import MODE
from ...core.tensor import Tensor
from .arithmetic import add_, mul, remainder, sub_
from .complex import real
from .pointwise import exp2, log, need_tensor, zero

register("Tensor.__iadd__", add_)
register("Tensor.__isub__", sub_)
register("Tensor.__imul__", mul.inplace)
register("Tensor.__imod__", remainder.inplace)


def where(condition, input, other):
    return REGISTRY["where"](condition, input, other)


def is_tensor(value):
    return isinstance(value, Tensor)


# -- powers ----------------------------------------------------------------------------------------------------------

QUICK = {-2: 0, -1: 0, -0.5: 0, 0: 0, 0.5: 0, 1: 0, 2: 0, 3: 0, 4: 0}  # exponents that need no logarithm


def _quick_power(k, input, exponent):
    one = k.const(1, input.dtype)
    if exponent == 0.5:
        return k.sqrt(input)
    if exponent == -0.5:
        return one / k.sqrt(input)
    square = input * input
    value = {0: one, 1: input, 2: square, 3: square * input, 4: square * square}[int(abs(exponent))]
    return value if exponent >= 0 else one / value


def _fixed_rule(layouts, numbers, attrs):
    joined = rules.joined_dtype(layouts, [dict(attrs)["exponent"].__class__])
    return joined, joined


def _power_grad(g, input, exponent):
    """exponent * input ** (exponent - 1); the exponent is a number."""
    if exponent == 0:
        return zero(g)
    if not MODE.grad:  # the short forms have no graph of their own, which matters only for higher derivatives
        if exponent == 1:
            return g
        if exponent == 2:
            return g * (input * 2)
    return g * (power(input, exponent - 1) * exponent)


@elementwise("", complex=True, node="PowBackward0", promote=_fixed_rule, grad={"input": _power_grad})
def power_fixed(k, input, exponent: object):
    """A power with a small fixed exponent, by multiplication and square root."""
    return _quick_power(k, input, exponent)


@elementwise("", complex=True, node="PowBackward0", heavy=True, grad={"input": _power_grad})
def power_number(k, input, exponent):
    """A power with a number as exponent."""
    return _power(k, input, exponent)


def _power(k, input, exponent):
    if input.dtype.category >= dt.FLOATING:
        return k.pow(input, exponent)
    if input.dtype is dt.bool_:
        return k.logical_or(input, k.logical_not(exponent))
    return k.integer_power(input, exponent)


def _base_grad(g, input, exponent):
    slope = exponent * power(input, exponent - 1)
    return where(exponent == 0, 0, g * slope)


def _exponent_grad(g, input, exponent, out):
    """out * log(input), and 0 where 0 ** exponent does not change."""
    rises = real(exponent) >= 0
    if is_tensor(input):
        return where((input == 0) & rises, 0, g * (out * log(input)))
    if input == 0:
        return where(rises, 0, g * (out * -math.inf))
    if isinstance(input, complex) or exponent._layout.dtype.is_complex:
        return g * (out * cmath.log(input))
    return g * (out * (math.log(input) if input > 0 else math.nan))


@elementwise("", complex=True, node="PowBackward1", heavy=True, grad={"input": _base_grad, "exponent": _exponent_grad})
def power_tensor(k, input, exponent):
    """A power of two tensors."""
    return _power(k, input, exponent)


@elementwise("", complex=True, node="PowBackward2", heavy=True, grad={"exponent": _exponent_grad})
def power_of_number(k, input, exponent):
    """A power with a number as base."""
    return _power(k, k.like(input, exponent), exponent)


def _power_choice(input, exponent):
    """(operator, values) for pow."""
    if is_tensor(exponent):
        return (power_tensor if is_tensor(input) else power_of_number), (input, exponent)
    exponent = dt.plain(exponent)
    integral = input._layout.dtype.category < dt.FLOATING
    if integral and exponent.__class__ is int and exponent < 0:
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    if exponent in QUICK:
        return power_fixed, (input, exponent)
    return power_number, (input, exponent)


def _check_power(input, exponent):
    if not is_tensor(input) and not is_tensor(exponent):
        raise TypeError(f"pow(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")


@public("pow Tensor.__pow__", quick=True)
def power(input, exponent):
    """input ** exponent, each a tensor or a number. RuntimeError for integers to a negative number."""
    _check_power(input, exponent)
    function, values = _power_choice(input, exponent)
    return function(*values)


@public("Tensor.pow_ Tensor.__ipow__", out=False)
def power_(self, exponent):
    """self **= exponent."""
    function, values = _power_choice(self, exponent)
    return function.inplace(*values)


@public("Tensor.__rpow__", out=False)
def reversed_power(self, other):
    """other ** self."""
    return power(other, self)


@public("square")
def square(input):
    """input ** 2."""
    need_tensor("square", "input", 1, input)
    return power_fixed(input, 2)


@public("square_", out=False)
def square_(self):
    """`square` in place."""
    return power_fixed.inplace(self, 2)


def _to_double(value):
    if is_tensor(value):
        return value.to(dt.complex128 if value._layout.dtype.is_complex else dt.float64)
    return value if isinstance(value, complex) else float(value)


@public("float_power")
def float_power(input, exponent):
    """input ** exponent in float64, or complex128 where one is complex."""
    _check_power(input, exponent)
    return power(_to_double(input), _to_double(exponent))


@public("Tensor.float_power_", out=False)
def float_power_(self, exponent):
    """`float_power` in place; the tensor must be float64."""
    if self.dtype not in (dt.float64, dt.complex128):
        raise RuntimeError(f"the base given to float_power_ has dtype {dt.scalar_type(self._layout.dtype)} but the "
                           "operation's result requires dtype Double")
    return power_(self, _to_double(exponent))


# -- extremes --------------------------------------------------------------------------------------------------------


@elementwise("", grad={"input_g": lambda g, winner, loser: share(g, winner, loser)})
def share(k, input_g, winner, loser):
    """The gradient of the larger of two: all of it, half of it where they are equal, none where it is smaller."""
    half = input_g * 0.5
    return k.where(winner.eq(loser), half, k.where(winner < loser, k.const(0, input_g.dtype), input_g))


@elementwise("maximum maximum_", tensors=2, grad={"input": lambda g, input, other: share(g, input, other),
                                       "other": lambda g, input, other: share(g, other, input)})
def maximum(k, input, other):
    """The larger of two; NaN if one is NaN."""
    return k.logical_or(input, other) if input.dtype is dt.bool_ else k.maximum(input, other)


@elementwise("minimum minimum_", tensors=2, grad={"input": lambda g, input, other: share(g, other, input),
                                       "other": lambda g, input, other: share(g, input, other)})
def minimum(k, input, other):
    """The smaller of two; NaN if one is NaN."""
    return k.logical_and(input, other) if input.dtype is dt.bool_ else k.minimum(input, other)


def _number_extreme(k, input, other, extreme):
    """The larger or smaller of two; a number where one is NaN."""
    if input.dtype is dt.bool_:
        return k.logical_or(input, other) if extreme == "maximum" else k.logical_and(input, other)
    found = getattr(k, extreme)(other, input)  # the first where both are zeros
    if not input.dtype.is_floating_point:
        return found
    return k.where(k.isnan(input), other, k.where(k.isnan(other), input, found))


def _fmax_takes_first(input, other):
    return (input >= other) | other.isnan()


def _fmin_takes_first(input, other):
    return (input <= other) | other.isnan()


@elementwise("fmax", tensors=2, grad={"input": lambda g, input, other: where(_fmax_takes_first(input, other), g, 0),
                           "other": lambda g, input, other: where(_fmax_takes_first(input, other), 0, g)})
def fmax(k, input, other):
    """The larger of two, the number where the other is NaN."""
    return _number_extreme(k, input, other, "maximum")


@elementwise("fmin", tensors=2, grad={"input": lambda g, input, other: where(_fmin_takes_first(input, other), g, 0),
                           "other": lambda g, input, other: where(_fmin_takes_first(input, other), 0, g)})
def fmin(k, input, other):
    """The smaller of two, the number where the other is NaN."""
    return _number_extreme(k, input, other, "minimum")


# -- clamp -----------------------------------------------------------------------------------------------------------


def _clamped_low(k, input, low):
    return k.logical_or(input, low) if input.dtype is dt.bool_ else k.maximum(low, input)  # input if they are equal


def _clamped_high(k, input, high):
    return k.logical_and(input, high) if input.dtype is dt.bool_ else k.minimum(high, input)


@elementwise("", grad={"input_g": lambda g, input, min, max: inside(g, input, min, max)})
def inside(k, input_g, input, min, max):
    """The gradient where min <= input <= max, else 0."""
    return k.where((input >= min) & (input <= max), input_g, k.const(0, input_g.dtype))


def _below_grad(g, input, min, max):
    return where((min < max) & (input < min), g, 0)


def _above_grad(g, input, min, max):
    return where((input > max) | (max < min), g, 0)


def _clamp_body(k, input, min, max):
    return _clamped_high(k, _clamped_low(k, input, min), max)


@elementwise("", node="ClampBackward1", grad={"input": lambda g, input, min, max: inside(g, input, min, max)})
def clamp_numbers(k, input, min, max):
    """min(max(input, min), max) with numbers."""
    return _clamp_body(k, input, min, max)


@elementwise(
    "",
    node="ClampBackward0",
    grad={"input": lambda g, input, min, max: inside(g, input, min, max), "min": _below_grad, "max": _above_grad},
)
def clamp_tensors(k, input, min, max):
    """min(max(input, min), max) with tensors."""
    return _clamp_body(k, input, min, max)


def _min_grads(node):
    return dict(node=node, grad={"input": lambda g, input, min: where(input >= min, g, 0),
                                 "min": lambda g, input, min: where(input < min, g, 0)})


def _max_grads(node):
    return dict(node=node, grad={"input": lambda g, input, max: where(input <= max, g, 0),
                                 "max": lambda g, input, max: where(input > max, g, 0)})


def _low(k, input, min):
    """max(input, min)."""
    return _clamped_low(k, input, min)


def _high(k, input, max):
    """min(input, max)."""
    return _clamped_high(k, input, max)


CLAMP_LOW = {name: elementwise("", name=name.lower(), **_min_grads(name))(_low)
             for name in ("ClampBackward0", "ClampBackward1", "ClampMinBackward0", "ClampMinBackward1")}
CLAMP_HIGH = {name: elementwise("", name=name.lower() + "_high", **_max_grads(name))(_high)
              for name in ("ClampBackward0", "ClampBackward1", "ClampMaxBackward0", "ClampMaxBackward1")}


def _clamp_choice(name, input, min, max):
    """(operator, values) for clamp."""
    need_tensor(name, "input", 1, input)
    if min is None and max is None:
        raise RuntimeError(f"torch.{name}: At least one of 'min' or 'max' must not be None")
    if is_tensor(min) != is_tensor(max) and min is not None and max is not None:
        raise TypeError(f"{name}() received an invalid combination of arguments - got (Tensor, "
                        f"min={type(min).__name__}, "
                        f"max={type(max).__name__}), but expected both to be Tensor or both to be Number")
    tensors = is_tensor(min) or is_tensor(max)
    node = "ClampBackward0" if tensors else "ClampBackward1"
    if max is None:
        return CLAMP_LOW[node], (input, min)
    if min is None:
        return CLAMP_HIGH[node], (input, max)
    return (clamp_tensors if tensors else clamp_numbers), (input, min, max)


@public("clamp clip")
def clamp(input, min=None, max=None):
    """Each element limited to [min, max]: numbers, tensors (broadcast) or None for no limit. RuntimeError if both are
    None.
    """
    function, values = _clamp_choice("clamp", input, min, max)
    return function(*values)


@public("clamp_ clip_", out=False)
def clamp_(self, min=None, max=None):
    """`clamp` in place."""
    function, values = _clamp_choice("clamp_", self, min, max)
    return function.inplace(*values)


@public("clamp_min")
def clamp_min(input, min):
    """max(input, min)."""
    need_tensor("clamp_min", "input", 1, input)
    return CLAMP_LOW[f"ClampMinBackward{int(is_tensor(min))}"](input, min)


@public("clamp_min_", out=False)
def clamp_min_(self, min):
    """`clamp_min` in place."""
    return CLAMP_LOW[f"ClampMinBackward{int(is_tensor(min))}"].inplace(self, min)


@public("clamp_max")
def clamp_max(input, max):
    """min(input, max)."""
    need_tensor("clamp_max", "input", 1, input)
    return CLAMP_HIGH[f"ClampMaxBackward{int(is_tensor(max))}"](input, max)


@public("clamp_max_", out=False)
def clamp_max_(self, max):
    """`clamp_max` in place."""
    return CLAMP_HIGH[f"ClampMaxBackward{int(is_tensor(max))}"].inplace(self, max)


# -- angles, magnitudes, signs ---------------------------------------------------------------------------------------


def _turn(input, other):
    """1 / (squared distance from the origin); 0 at the origin, where PyTorch's gradient of the angle is zero."""
    square = input * input + other * other
    return square.reciprocal().masked_fill(square == 0, 0)


@elementwise("atan2 atan2_ arctan2 arctan2_", tensors=2, promote="float", heavy=True,
             grad={"input": lambda g, input, other: g * (other * _turn(input, other)),
                   "other": lambda g, input, other: g * (-input * _turn(input, other))})
def atan2(k, input, other):
    """The angle of the point (other, input), in [-pi, pi]."""
    return k.atan2(input, other)


@elementwise("hypot hypot_", tensors=2, dtypes="floating", grad={"input": lambda g, input, out: g * (input / out),
                                                      "other": lambda g, other, out: g * (other / out)})
def hypot(k, input, other):
    """sqrt(input**2 + other**2) without overflow."""
    return k.hypot(input, other)


def _copysign_grad(g, input, other, out):
    return g * where(input == 0, 0, out / input)


def _sign_values(k, input, other):
    return k.copysign(input, other)


COPYSIGN = [elementwise("", name=f"copysign_{i}", node=f"CopysignBackward{i}", promote="float",
                        grad={"input": _copysign_grad, **({} if i else {"other": zero})})(_sign_values) for i in (0, 1)]


@public("copysign")
def copysign(input, other):
    """The magnitude of `input` with the sign of `other`."""
    need_tensor("copysign", "input", 1, input)
    return COPYSIGN[not is_tensor(other)](input, other)


@public("Tensor.copysign_", out=False)
def copysign_(self, other):
    """`copysign` in place."""
    return COPYSIGN[not is_tensor(other)].inplace(self, other)


@elementwise("", name="heaviside")
def step_values(k, input, values):
    """0 below zero, 1 above, `values` at zero."""
    if input.dtype is dt.bool_:
        return k.logical_or(input, values)
    return k.where(input.eq(0), values, k.cast(input > 0, input.dtype))


def _check_heaviside(input, values):
    need_tensor("heaviside", "input", 1, input)
    need_tensor("heaviside", "values", 2, values)
    if input.dtype is not values.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")


@public("heaviside")
def heaviside(input, values):
    """The step function: 0 below zero, 1 above, `values` at zero. RuntimeError for different dtypes."""
    _check_heaviside(input, values)
    return step_values(input, values)


@public("Tensor.heaviside_", out=False)
def heaviside_(self, values):
    """`heaviside` in place."""
    _check_heaviside(self, values)
    return step_values.inplace(self, values)


# digits of the half precisions, their smallest positive number, their largest
HALVES = {"float16": (11, 2.0 ** -24, 65504.0), "bfloat16": (8, 2.0 ** -133, 2.0 ** 127 * (2 - 2.0 ** -7))}


@elementwise("nextafter nextafter_", tensors=2, dtypes="floating",
             grad={"input": lambda g, input, other: where(input == other, 0, g), "other": zero})
def nextafter(k, input, other):
    """The next representable number after `input` towards `other`."""
    if input.dtype.compute is input.dtype:
        return k.nextafter(input, other)
    return _next_half(k, input, other)


def _next_half(k, input, other):
    """`nextafter` of half precisions: a little more than half a step away, which rounds to the neighbour."""
    digits, smallest, largest = HALVES[input.dtype.name]
    x, y = k.cast(input, dt.float32), k.cast(other, dt.float32)
    size = k.abs(x)
    step = k.maximum(size * (1.001 * 0.5 ** digits), k.const(0.75 * smallest, dt.float32))
    back = k.isinf(x) & (y.ne(x))  # from infinity to the largest number
    step = k.where(back, k.const(0, dt.float32), step)
    size = k.where(back, k.const(largest, dt.float32), x)
    moved = k.where(back, k.copysign(size, x), k.where(y > x, x + step, x - step))
    moved = k.where(k.compare("eq", x, y), y, moved)
    moved = k.where(k.isnan(x), x, k.where(k.isnan(y), y, moved))
    return k.cast(moved, input.dtype)


# -- sums of exponentials, products with logarithms ------------------------------------------------------------------


@elementwise("logaddexp special.logaddexp", complex=True, tensors=2, promote="float", heavy=True,
             grad={"input": lambda g, input, other: g * (input - other).sigmoid(),
                   "other": lambda g, input, other: g * (other - input).sigmoid()})
def logaddexp(k, input, other):
    """log(exp(input) + exp(other)) without overflow."""
    return k.logaddexp(input, other)


@elementwise("logaddexp2", tensors=2, promote="float", heavy=True,
             grad={"input": lambda g, input, other: g / (1 + exp2(other - input)),
                   "other": lambda g, input, other: g / (1 + exp2(input - other))})
def logaddexp2(k, input, other):
    """log2(2**input + 2**other) without overflow."""
    return k.logaddexp2(input, other)


@elementwise("ldexp ldexp_", complex=True, tensors=2, promote="float", heavy=True,
             grad={"input": lambda g, other: g * exp2(other), "other": lambda g, out: g * (out * math.log(2))})
def ldexp(k, input, other):
    """input * 2**other."""
    return input * k.exp2(other)


# -- three operands --------------------------------------------------------------------------------------------------


def _lerp_weight_grad(g, input, end):
    return g * (end - input)


def _lerp_body(k, input, end, weight):
    away = end - input
    return k.where(k.abs(weight) < 0.5, input + weight * away, end - away * (1 - weight))


@elementwise("", complex=True, dtypes="floating", node="LerpBackward0",
             grad={"input": lambda g, weight: g * (1 - weight),
                                                                "end": lambda g, weight: g * weight})
def lerp_number(k, input, end, weight: float):
    """input + weight * (end - input)."""
    return _lerp_body(k, input, end, k.cast(weight, input.dtype))


@elementwise(
    "", complex=True,
    dtypes="floating",
    node="LerpBackward1",
    grad={
        "input": lambda g, weight: g * (1 - weight),
        "end": lambda g, weight: g * weight,
        "weight": _lerp_weight_grad,
    },
)
def lerp_tensor(k, input, end, weight):
    """input + weight * (end - input)."""
    return _lerp_body(k, input, end, weight)


def _check_lerp(input, end, weight):
    need_tensor("lerp", "input", 1, input)
    need_tensor("lerp", "end", 2, end)
    if input.dtype is not end.dtype:
        raise RuntimeError(f"expected dtype {input.dtype} for `end` but got dtype {end.dtype}")
    if is_tensor(weight) and weight.dtype is not input.dtype and weight.dim():
        raise RuntimeError(f"expected dtype {input.dtype} for `weight` but got dtype {weight.dtype}")


@public("lerp")
def lerp(input, end, weight):
    """input + weight * (end - input); `weight` a number or a tensor. RuntimeError for different dtypes."""
    _check_lerp(input, end, weight)
    return lerp_tensor(input, end, weight) if is_tensor(weight) else lerp_number(input, end, weight)


@public("Tensor.lerp_", out=False)
def lerp_(self, end, weight):
    """`lerp` in place."""
    _check_lerp(self, end, weight)
    return lerp_tensor.inplace(self, end, weight) if is_tensor(weight) else lerp_number.inplace(self, end, weight)


@elementwise("", complex=True, name="addcmul",
             grad={"input": lambda g: g, "tensor1": lambda g, tensor2, value: g * (tensor2 * value),
                                       "tensor2": lambda g, tensor1, value: g * (tensor1 * value)})
def addcmul_values(k, input, tensor1, tensor2, value: float):
    """input + value * tensor1 * tensor2."""
    if input.dtype is dt.bool_:
        raise NotImplementedError("\"addcmul_cpu_out\" not implemented for 'Bool'")
    return input + k.cast(value, input.dtype) * tensor1 * tensor2


@public("addcmul")
def addcmul(input, tensor1, tensor2, *, value=1):
    """input + value * tensor1 * tensor2, broadcast together."""
    return addcmul_values(input, tensor1, tensor2, value)


@public("Tensor.addcmul_", out=False)
def addcmul_(self, tensor1, tensor2, *, value=1):
    """`addcmul` in place."""
    return addcmul_values.inplace(self, tensor1, tensor2, value)


def _addcdiv_divisor(g, tensor1, tensor2, value):
    return -g * (tensor1 * value / (tensor2 * tensor2))


@elementwise("", complex=True, name="addcdiv",
             grad={"input": lambda g: g, "tensor1": lambda g, tensor2, value: g * (value / tensor2),
                                       "tensor2": _addcdiv_divisor})
def addcdiv_values(k, input, tensor1, tensor2, value: float):
    """input + value * tensor1 / tensor2."""
    return input + k.cast(value, input.dtype) * tensor1 / tensor2


def _check_addcdiv(tensor1, tensor2):
    if all(t._layout.dtype.category < dt.FLOATING for t in (tensor1, tensor2)):
        raise RuntimeError("Integer division with addcdiv is no longer supported, and in a future  release addcdiv "
                           "will perform a true "
                           "division of tensor1 and tensor2. Use div and add, or cast the tensors to a floating dtype.")


@public("addcdiv")
def addcdiv(input, tensor1, tensor2, *, value=1):
    """input + value * tensor1 / tensor2, broadcast together. RuntimeError for integer division."""
    _check_addcdiv(tensor1, tensor2)
    return addcdiv_values(input, tensor1, tensor2, value)


@public("Tensor.addcdiv_", out=False)
def addcdiv_(self, tensor1, tensor2, *, value=1):
    """`addcdiv` in place."""
    _check_addcdiv(tensor1, tensor2)
    return addcdiv_values.inplace(self, tensor1, tensor2, value)


# -- integers --------------------------------------------------------------------------------------------------------


def _signed(k, *operands):
    """The operands of dtype uint8 as signed integers that hold them: the code of gcd takes signs off."""
    return [k.cast(x, dt.int32) if x.dtype is dt.uint8 else x for x in operands]


@elementwise("gcd gcd_", tensors=2, dtypes="integers")
def gcd(k, input, other):
    """The greatest common divisor, never negative."""
    return k.cast(k.gcd(*_signed(k, input, other)), input.dtype)


@elementwise("lcm lcm_", tensors=2, dtypes="integers")
def lcm(k, input, other):
    """The least common multiple, never negative."""
    a, b = _signed(k, input, other)
    divisor = k.gcd(a, b)
    safe = k.where(divisor.eq(0), k.const(1, a.dtype), divisor)
    return k.cast(k.abs(k.truncdiv(a, safe) * b), input.dtype)
