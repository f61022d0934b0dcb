"""Element-wise functions of one and two tensors: values against NumPy, strides, dtypes, gradients, in-place, errors."""
import math

import numpy as np
import pytest

import rushlight as rl
from numeric import check_gradients, check_inplace, tensor

X = np.linspace(-2.3, 2.4, 12).reshape(3, 4)
POSITIVE = np.linspace(0.2, 3.0, 12).reshape(3, 4)
UNIT = np.linspace(-0.9, 0.9, 12).reshape(3, 4)

UNARY = {
    "exp": (np.exp, X), "exp2": (np.exp2, X), "expm1": (np.expm1, X), "log": (np.log, POSITIVE),
    "log2": (np.log2, POSITIVE), "log10": (np.log10, POSITIVE), "log1p": (np.log1p, POSITIVE),
    "sqrt": (np.sqrt, POSITIVE), "rsqrt": (lambda x: 1 / np.sqrt(x), POSITIVE), "reciprocal": (lambda x: 1 / x, X),
    "sin": (np.sin, X), "cos": (np.cos, X), "tan": (np.tan, UNIT), "asin": (np.arcsin, UNIT),
    "acos": (np.arccos, UNIT), "atan": (np.arctan, X), "sinh": (np.sinh, X), "cosh": (np.cosh, X),
    "tanh": (np.tanh, X), "asinh": (np.arcsinh, X), "acosh": (np.arccosh, POSITIVE + 1.1),
    "atanh": (np.arctanh, UNIT), "deg2rad": (np.deg2rad, X), "rad2deg": (np.rad2deg, X), "sinc": (np.sinc, X),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), X), "logit": (lambda x: np.log(x / (1 - x)), POSITIVE / 4),
    "abs": (np.abs, X), "square": (np.square, X), "neg": (np.negative, X), "frac": (lambda x: x - np.trunc(x), X),
    "erf": (np.vectorize(math.erf), X), "erfc": (np.vectorize(math.erfc), X),
    "lgamma": (np.vectorize(math.lgamma), POSITIVE),
}
STEPS = {"floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "round": np.round, "sign": np.sign, "sgn": np.sign}


@pytest.mark.parametrize("name", UNARY)
def test_unary_values_and_gradients(name):
    reference, x = UNARY[name]
    function = getattr(rl, name)
    np.testing.assert_allclose(function(tensor(x)).numpy(), reference(x), rtol=1e-12, atol=1e-14)
    single = x.astype(np.float32)
    np.testing.assert_allclose(function(tensor(single).t()).numpy(), reference(single).T, rtol=2e-6, atol=1e-6)
    assert function(rl.zeros(0, 3)).shape == (0, 3)
    check_gradients(function, x[:2, :2])


@pytest.mark.parametrize("name", [n for n in UNARY if hasattr(rl.Tensor, n + "_")])
def test_unary_inplace(name):
    check_inplace(name, UNARY[name][1])


@pytest.mark.parametrize("name", STEPS)
def test_steps(name):
    function = getattr(rl, name)
    np.testing.assert_array_equal(function(tensor(X)).numpy(), STEPS[name](X))
    x = tensor(X, True)
    function(x).sum().backward()
    assert not x.grad.any()
    assert function(rl.tensor([1, -2])).dtype is rl.int64


def test_special_values():
    x = rl.tensor([math.nan, math.inf, -math.inf, -0.0, 1.0])
    assert x.isnan().tolist() == [True, False, False, False, False]
    assert x.isinf().tolist() == [False, True, True, False, False]
    assert x.isfinite().tolist() == [False, False, False, True, True]
    assert x.isposinf().tolist()[1] and x.isneginf().tolist()[2]
    assert x.signbit().tolist() == [False, False, True, True, False]
    assert x.nan_to_num(7.0).tolist()[:2] == [7.0, rl.finfo(rl.float32).max]
    assert x.nan_to_num(posinf=1.0, neginf=2.0).tolist()[:3] == [0.0, 1.0, 2.0]
    assert rl.tensor([2.5, 3.5, -0.125]).round(decimals=2).tolist()[:2] == [2.5, 3.5]
    assert rl.tensor([1234.0]).round(decimals=-2).tolist() == [1200.0]
    mantissa, exponent = rl.frexp(rl.tensor([6.0, 0.0]))
    assert mantissa.tolist() == [0.75, 0.0] and exponent.tolist() == [3, 0]


def test_integers_become_floats_and_errors():
    assert rl.exp(rl.tensor([0, 1])).dtype is rl.float32
    with pytest.raises(RuntimeError, match="bool tensor"):
        rl.positive(rl.tensor([True]))
    with pytest.raises(NotImplementedError):
        rl.floor(rl.tensor([True]))
    with pytest.raises(TypeError, match="must be Tensor"):
        rl.exp(3.0)


BINARY = {
    "atan2": (np.arctan2, X, POSITIVE), "hypot": (np.hypot, X, POSITIVE), "maximum": (np.maximum, X, UNIT),
    "minimum": (np.minimum, X, UNIT), "fmax": (np.fmax, X, UNIT), "fmin": (np.fmin, X, UNIT),
    "copysign": (np.copysign, X, UNIT), "logaddexp": (np.logaddexp, X, UNIT), "logaddexp2": (np.logaddexp2, X, UNIT),
    "pow": (np.power, POSITIVE, X), "ldexp": (lambda a, b: a * 2.0**b, X, UNIT),
    "xlogy": (lambda a, b: a * np.log(b), X, POSITIVE),
}


@pytest.mark.parametrize("name", BINARY)
def test_binary_values_and_gradients(name):
    reference, a, b = BINARY[name]
    function = getattr(rl, name)
    np.testing.assert_allclose(function(tensor(a), tensor(b)).numpy(), reference(a, b), rtol=1e-12)
    np.testing.assert_allclose(function(tensor(a), tensor(b[0])).numpy(), reference(a, b[0]), rtol=1e-12)
    check_gradients(function, a[:2, :2], b[0, :2])


def test_powers():
    x = tensor(POSITIVE)
    for exponent in (-2, -1, -0.5, 0, 0.5, 1, 2, 3, 4, 2.5):
        np.testing.assert_allclose((x**exponent).numpy(), POSITIVE**exponent, rtol=1e-12)
        check_gradients(lambda t, e=exponent: t**e, POSITIVE[:1, :2])
    np.testing.assert_allclose((2**x).numpy(), 2**POSITIVE, rtol=1e-12)
    assert (rl.tensor([2, -3]) ** rl.tensor([10, 3])).tolist() == [1024, -27]
    assert (rl.tensor([2, 1, -1]) ** rl.tensor([-1, -1, -3])).tolist() == [0, 1, -1]
    assert (tensor(X, True) ** 2).grad_fn.name() == "PowBackward0"
    with pytest.raises(RuntimeError, match="negative integer powers"):
        rl.tensor([2]) ** -1
    assert rl.float_power(rl.tensor([2]), 3).dtype is rl.float64


def test_ties_share_the_gradient():
    a, b = tensor([1.0, 2.0, 3.0], True), tensor([1.0, 1.0, 4.0], True)
    rl.maximum(a, b).sum().backward()
    assert a.grad.tolist() == [0.5, 1.0, 0.0] and b.grad.tolist() == [0.5, 0.0, 1.0]


def test_clamp():
    np.testing.assert_array_equal(tensor(X).clamp(-1, 1).numpy(), X.clip(-1, 1))
    np.testing.assert_array_equal(tensor(X).clamp(min=tensor(UNIT)).numpy(), np.maximum(X, UNIT))
    assert rl.tensor([1, 5]).clamp(max=2.5).tolist() == [1.0, 2.5]
    x = tensor([-2.0, 0.5, 3.0], True)
    y = x.clamp(0, 1)
    assert y.grad_fn.name() == "ClampBackward1"
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 0.0]
    check_inplace("clamp", X, -0.5, 1.0)
    check_gradients(lambda a, low, high: a.clamp(low, high), X[:1], UNIT[:1] - 1, UNIT[:1] + 1)
    with pytest.raises(RuntimeError, match="At least one"):
        x.clamp()


def test_three_operands():
    a, b, c = tensor(X), tensor(UNIT), tensor(POSITIVE)
    np.testing.assert_allclose(rl.addcmul(a, b, c, value=2).numpy(), X + 2 * UNIT * POSITIVE)
    np.testing.assert_allclose(rl.addcdiv(a, b, c, value=2).numpy(), X + 2 * UNIT / POSITIVE)
    np.testing.assert_allclose(rl.lerp(a, b, 0.3).numpy(), X + 0.3 * (UNIT - X))
    check_gradients(lambda x, y, z: rl.addcdiv(x, y, z, value=3), X[:1, :2], UNIT[:1, :2], POSITIVE[:1, :2])
    check_gradients(lambda x, y, z: rl.addcmul(x, y, z, value=3), X[:1, :2], UNIT[:1, :2], POSITIVE[:1, :2])
    check_gradients(rl.lerp, X[:1, :2], UNIT[:1, :2], POSITIVE[:1, :2])
    with pytest.raises(RuntimeError, match="Integer division"):
        rl.addcdiv(rl.tensor([1]), rl.tensor([1]), rl.tensor([1]))


def test_integers_and_bits():
    a, b = np.array([12, -18, 0, 7]), np.array([8, 12, 5, 0])
    assert rl.gcd(tensor(a), tensor(b)).tolist() == np.gcd(a, b).tolist()
    assert rl.lcm(tensor(a), tensor(b)).tolist() == np.lcm(a, b).tolist()
    x, y = tensor(a), tensor(b)
    assert (x & y).tolist() == (a & b).tolist() and (x | 3).tolist() == (a | 3).tolist()
    assert (5 ^ x).tolist() == (5 ^ a).tolist() and (~x).tolist() == (~a).tolist()
    assert (x << 2).tolist() == (a << 2).tolist() and (x >> 1).tolist() == (a >> 1).tolist()
    assert (rl.tensor([1]) << 64).tolist() == [0]
    flags = rl.tensor([True, False])
    assert (~flags).tolist() == [False, True] and (flags & True).tolist() == [True, False]
    x &= 6
    assert x.tolist() == (a & 6).tolist()
    with pytest.raises(NotImplementedError):
        rl.tensor([1.0]) & 1


def test_python_operators_in_place():
    x = tensor(X)
    same = x
    x += 1
    x *= 2
    x -= 0.5
    x /= 4
    x **= 2
    assert x is same
    np.testing.assert_allclose(x.numpy(), (((X + 1) * 2 - 0.5) / 4) ** 2)


def test_logic_and_closeness():
    a, b = rl.tensor([0.0, 1.0, 2.0]), rl.tensor([1.0, 0.0, 2.0])
    assert rl.logical_and(a, b).tolist() == [False, False, True]
    assert rl.logical_xor(a, b).tolist() == [True, True, False]
    assert rl.logical_not(a).tolist() == [True, False, False]
    assert rl.isclose(a, b + 1e-9).tolist() == [False, False, True]
    assert rl.allclose(a, a + 1e-9) and not rl.allclose(a, b)
    nan = rl.tensor([math.nan])
    assert not rl.allclose(nan, nan) and rl.allclose(nan, nan, equal_nan=True)
    assert rl.equal(a, a.clone()) and not rl.equal(a, b) and not rl.equal(a, a[:2])
    with pytest.raises(RuntimeError, match="did not match"):
        rl.isclose(a, a.double())


def test_out_and_types():
    target = rl.empty(0)
    assert rl.sin(tensor(X.astype(np.float32)), out=target) is target and target.shape == (3, 4)
    with pytest.raises(TypeError):
        rl.maximum(rl.zeros(2), 1)
    with pytest.raises(RuntimeError, match="can't be cast"):
        rl.tensor([1, 2]).exp_()


@pytest.mark.parametrize("divide", [lambda a, b: a // b, lambda a, b: a % b, lambda a, b: a.fmod(b),
                                    lambda a, b: a.div(b, rounding_mode="trunc"), lambda a, b: 7 // b])
def test_integer_divisors_of_zero_are_reported_with_their_line(divide):
    a, b = rl.tensor([4, 5]), rl.tensor([2, 0])
    with pytest.raises(RuntimeError, match=r"ZeroDivisionError.*test_pointwise\.py:\d+"):
        divide(a, b).tolist()
