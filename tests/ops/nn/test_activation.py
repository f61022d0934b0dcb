"""Activations, softmax and its kin: values against formulas in NumPy, gradients, in-place flags, node names, errors."""
import math

import numpy as np
import pytest

import rushlight as rl
import rushlight.nn.functional as F
from numeric import check_gradients, tensor

X = np.linspace(-6.2, 6.1, 20).reshape(4, 5)
ERF = np.vectorize(math.erf)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0), "relu6": lambda x: x.clip(0, 6),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x), "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    "celu": lambda x: np.where(x > 0, x, np.expm1(x)), "gelu": lambda x: x * 0.5 * (1 + ERF(x / math.sqrt(2))),
    "silu": lambda x: x * sigmoid(x), "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "hardswish": lambda x: x * (x + 3).clip(0, 6) / 6, "hardsigmoid": lambda x: (x + 3).clip(0, 6) / 6,
    "hardtanh": lambda x: x.clip(-1, 1), "hardshrink": lambda x: np.where(np.abs(x) > 0.5, x, 0),
    "softshrink": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0), "tanhshrink": lambda x: x - np.tanh(x),
    "softplus": lambda x: np.log1p(np.exp(x)), "softsign": lambda x: x / (1 + np.abs(x)),
    "logsigmoid": lambda x: -np.log1p(np.exp(-x)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_gradients(name):
    function = getattr(F, name)
    np.testing.assert_allclose(function(tensor(X)).numpy(), ACTIVATIONS[name](X), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(function(tensor(X.astype(np.float32)).t()).numpy(), ACTIVATIONS[name](X).T, rtol=1e-5,
                               atol=1e-6)
    check_gradients(function, X[::2, ::2])
    assert function(rl.zeros(0)).shape == (0,)


@pytest.mark.parametrize("name", ["relu", "relu6", "leaky_relu", "elu", "selu", "celu", "silu", "mish", "hardswish",
                                  "hardsigmoid", "hardtanh"])
def test_inplace_flag(name):
    first, second = tensor(X, True), tensor(X, True)
    plain = getattr(F, name)(first * 1)
    target = second * 1
    assert getattr(F, name)(target, inplace=True) is target
    np.testing.assert_array_equal(plain.detach().numpy(), target.detach().numpy())
    plain.sum().backward()
    target.sum().backward()
    np.testing.assert_allclose(first.grad.numpy(), second.grad.numpy(), rtol=1e-12)


def test_second_gradients():
    for name in ("gelu", "silu", "elu", "hardswish", "softplus"):
        def slope(x, function=getattr(F, name)):
            leaf = x if x.requires_grad else x.requires_grad_()
            return rl.autograd.grad(function(leaf).sum(), leaf, create_graph=True)[0]
        check_gradients(slope, X[:1, 1:4] / 3, tolerance=1e-5)


def test_parameters():
    x = tensor(X)
    np.testing.assert_allclose(F.threshold(x, 1.0, 7.0).numpy(), np.where(X > 1, X, 7))
    np.testing.assert_allclose(F.prelu(x, tensor(np.full(5, 0.25))).numpy(), np.where(X > 0, X, 0.25 * X))
    np.testing.assert_allclose(F.glu(tensor(X[:, :4])).numpy(), X[:, :2] * sigmoid(X[:, 2:4]))
    np.testing.assert_allclose(F.softplus(x, beta=2).numpy(), np.log1p(np.exp(2 * X)) / 2, rtol=1e-12)
    tanh_form = X * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (X + 0.044715 * X**3)))
    np.testing.assert_allclose(F.gelu(x, approximate="tanh").numpy(), tanh_form, rtol=1e-10, atol=1e-12)
    check_gradients(lambda a, w: F.prelu(a, w), X[:2], np.linspace(0.1, 0.5, 5))
    check_gradients(F.glu, X[:, :4])


def test_node_names():
    x = tensor(X, True)
    names = {"relu": "ReluBackward0", "relu6": "HardtanhBackward0", "selu": "EluBackward0", "gelu": "GeluBackward0",
             "logsigmoid": "LogSigmoidBackward0", "softsign": "DivBackward0", "glu": None}
    for name, node in names.items():
        if node is not None:
            assert getattr(F, name)(x).grad_fn.name() == node
    assert F.softmax(x, 1).grad_fn.name() == "SoftmaxBackward0"
    assert x.log_softmax(0).grad_fn.name() == "LogSoftmaxBackward0"


def test_errors():
    with pytest.raises(RuntimeError, match="Boolean inputs"):
        rl.relu(rl.tensor([True]))
    with pytest.raises(RuntimeError, match="must be even"):
        F.glu(rl.zeros(3))
    with pytest.raises(RuntimeError, match="approximate"):
        F.gelu(rl.zeros(3), approximate="other")
    with pytest.raises(IndexError, match="out of range"):
        rl.softmax(rl.zeros(3), 1)
    with pytest.raises(NotImplementedError):
        rl.softmax(rl.tensor([1, 2]), 0)


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_softmax(dim):
    np.testing.assert_allclose(rl.softmax(tensor(X), dim).numpy(), softmax(X, dim), rtol=1e-12)
    np.testing.assert_allclose(rl.log_softmax(tensor(X), dim).numpy(), np.log(softmax(X, dim)), rtol=1e-10)
    np.testing.assert_allclose(rl.softmax(tensor(X).t(), dim).numpy(), softmax(X.T, dim), rtol=1e-12)
    np.testing.assert_allclose(F.softmin(tensor(X), dim).numpy(), softmax(-X, dim), rtol=1e-12)
    check_gradients(lambda x: rl.softmax(x, dim), X[:2, 1:4])
    check_gradients(lambda x: rl.log_softmax(x, dim), X[:2, 1:4])


def test_softmax_extremes():
    assert rl.softmax(rl.tensor([1e4, 0.0, -1e4]), 0).tolist() == [1.0, 0.0, 0.0]
    assert rl.softmax(rl.tensor(3.0), 0).item() == 1.0
    assert rl.softmax(rl.tensor([1, 2]), 0, dtype=rl.float64).dtype is rl.float64
    half = rl.softmax(tensor(X).bfloat16(), 1)
    assert half.dtype is rl.bfloat16
    np.testing.assert_allclose(half.float().numpy(), softmax(X, 1), atol=4e-3)
    long = rl.softmax(rl.ones(2, 70001), 1)
    np.testing.assert_allclose(long.sum(1).numpy(), 1, rtol=1e-5)


def test_logsumexp():
    expected = np.log(np.exp(X).sum((0, 1)))
    np.testing.assert_allclose(float(rl.logsumexp(tensor(X), (0, 1))), expected, rtol=1e-12)
    assert rl.logsumexp(rl.tensor([-math.inf, -math.inf]), 0).item() == -math.inf
    assert rl.logsumexp(tensor(X), 1, keepdim=True).shape == (4, 1)
    check_gradients(lambda x: rl.logsumexp(x, 1), X[:2, 1:4])
