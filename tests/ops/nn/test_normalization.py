"""Normalisation: values against NumPy, gradients by differences, running statistics, half precision, errors."""
import numpy as np
import pytest

import rushlight as rl
import rushlight.nn.functional as F
from numeric import check_gradients, tensor

X = np.sin(np.arange(2 * 4 * 3 * 3)).reshape(2, 4, 3, 3) * 2 + 0.3
W, B = np.linspace(0.5, 1.5, 4), np.linspace(-1, 1, 4)


def normal(x, axes, eps=1e-5):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def by_channel(v):
    return v.reshape(1, -1, 1, 1)


def test_layer_norm():
    weight, bias = np.linspace(0.5, 2, 9).reshape(3, 3), np.linspace(-1, 1, 9).reshape(3, 3)
    expected = normal(X, (2, 3)) * weight + bias
    got = F.layer_norm(tensor(X), (3, 3), tensor(weight), tensor(bias))
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(F.layer_norm(tensor(X), (3,)).numpy(), normal(X, (3,)), rtol=1e-10, atol=1e-12)
    check_gradients(lambda x, w, b: F.layer_norm(x, (3,), w, b), X[0, 0], weight[0], bias[0])
    assert F.layer_norm(tensor(X, True), (3, 3)).grad_fn.name() == "NativeLayerNormBackward0"


def test_layer_norm_second_gradient():
    def slope(x):
        leaf = x if x.requires_grad else x.requires_grad_()
        y = F.layer_norm(leaf, (3,))
        return rl.autograd.grad((y * y * y).sum(), leaf, create_graph=True)[0]
    check_gradients(slope, X[0, 0], tolerance=1e-5)


def test_layer_norm_errors():
    with pytest.raises(RuntimeError, match="expected input with shape"):
        F.layer_norm(rl.zeros(2, 3), (4,))
    with pytest.raises(RuntimeError, match="Expected weight"):
        F.layer_norm(rl.zeros(2, 3), (3,), rl.zeros(2))


def test_rms_norm():
    expected = X / np.sqrt((X * X).mean(3, keepdims=True) + 1e-5) * np.arange(1, 4)
    got = F.rms_norm(tensor(X), (3,), tensor(np.arange(1.0, 4)), 1e-5)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-10)
    check_gradients(lambda x, w: F.rms_norm(x, (3,), w), X[0, 0], np.linspace(1, 2, 3))


def test_batch_norm_training():
    mean, var = rl.zeros(4, dtype=rl.float64), rl.ones(4, dtype=rl.float64)
    got = F.batch_norm(tensor(X), mean, var, tensor(W), tensor(B), training=True, momentum=0.3)
    expected = normal(X, (0, 2, 3)) * by_channel(W) + by_channel(B)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(mean.numpy(), 0.3 * X.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(var.numpy(), 0.7 + 0.3 * X.var((0, 2, 3), ddof=1), rtol=1e-12)
    check_gradients(lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), X[:, :2, :2, 0], W[:2], B[:2])


def test_batch_norm_evaluation():
    mean, var = np.linspace(0, 1, 4), np.linspace(1, 2, 4)
    got = F.batch_norm(tensor(X), tensor(mean), tensor(var), tensor(W), tensor(B))
    expected = (X - by_channel(mean)) / np.sqrt(by_channel(var) + 1e-5) * by_channel(W) + by_channel(B)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-10)
    check_gradients(lambda x, w, b: F.batch_norm(x, tensor(mean[:2]), tensor(var[:2]), w, b), X[:, :2, 0, 0], W[:2],
                    B[:2])
    with pytest.raises(ValueError, match="more than 1 value"):
        F.batch_norm(rl.zeros(1, 3), None, None, training=True)
    with pytest.raises(RuntimeError, match="running_mean should contain"):
        F.batch_norm(rl.zeros(2, 3), rl.zeros(2), rl.zeros(3))


@pytest.mark.parametrize("shape", [(0, 4), (0, 4, 3), (2, 4, 0)])
def test_batch_without_elements_moves_no_statistics(shape):
    layer = rl.nn.BatchNorm1d(4)
    x = rl.zeros(shape, requires_grad=True)
    layer(x).sum().backward()
    assert layer.running_mean.tolist() == [0] * 4 and layer.running_var.tolist() == [1] * 4
    assert layer.num_batches_tracked.item() == 1
    assert layer.weight.grad.tolist() == [0] * 4 and x.grad.shape == shape


def test_batch_norm_eps():
    mean, variance = rl.zeros(4), rl.ones(4)
    for eps in (0, -1.0):
        with pytest.raises(ValueError, match="eps must be positive during training"):
            F.batch_norm(tensor(X), None, None, training=True, eps=eps)
    with pytest.raises(ValueError, match="eps must be non-negative"):
        F.batch_norm(tensor(X), mean, variance, eps=-0.5)
    np.testing.assert_allclose(F.batch_norm(rl.ones(3, 4), mean, variance, eps=0).numpy(), 1)


def test_group_and_instance_norm():
    grouped = normal(X.reshape(2, 2, -1), (2,)).reshape(X.shape) * by_channel(W) + by_channel(B)
    got = F.group_norm(tensor(X), 2, tensor(W), tensor(B))
    np.testing.assert_allclose(got.numpy(), grouped, rtol=1e-9, atol=1e-12)
    check_gradients(lambda x, w, b: F.group_norm(x, 2, w, b), X[:, :, 0, :2], W, B)
    np.testing.assert_allclose(F.instance_norm(tensor(X)).numpy(), normal(X, (2, 3)), rtol=1e-9, atol=1e-12)
    mean, var = rl.zeros(4, dtype=rl.float64), rl.ones(4, dtype=rl.float64)
    F.instance_norm(tensor(X), mean, var, use_input_stats=True)
    np.testing.assert_allclose(mean.numpy(), 0.1 * X.mean((2, 3)).mean(0), rtol=1e-10)
    with pytest.raises(RuntimeError, match="divisible"):
        F.group_norm(rl.zeros(2, 3, 4), 2)


def test_in_place_after_group_norm():
    x = tensor(X, True)
    y = F.group_norm(x, 2)
    y.mul_(2)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 0, atol=1e-10)


def test_half_precision():
    x = tensor(X.astype(np.float32)).bfloat16().requires_grad_()
    y = F.layer_norm(x, (3, 3))
    assert y.dtype is rl.bfloat16
    np.testing.assert_allclose(y.detach().float().numpy(), normal(X, (2, 3)), atol=0.03)
    y.sum().backward()
    assert x.grad.dtype is rl.bfloat16


def test_response_norm_and_normalize():
    squares = np.pad(X * X, ((0, 0), (1, 1), (0, 0), (0, 0)))
    windows = sum(squares[:, i:i + 4] for i in range(3)) / 3
    got = F.local_response_norm(tensor(X), 3, alpha=0.1)
    np.testing.assert_allclose(got.numpy(), X / (1 + 0.1 * windows) ** 0.75, rtol=1e-10)
    unit = F.normalize(tensor(X), dim=1)
    np.testing.assert_allclose((unit * unit).sum(1).numpy(), 1, rtol=1e-10)
    assert F.normalize(rl.zeros(2, 3)).tolist() == [[0.0] * 3] * 2
