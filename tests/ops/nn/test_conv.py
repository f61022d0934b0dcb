"""Convolutions against a direct sum in numpy: geometry, groups, transposed, gradients of both orders, errors."""
import itertools

import numpy as np
import pytest

import rushlight as rl
import rushlight.nn.functional as F


def reference(x, w, stride, padding, dilation, groups):
    """Cross-correlation of (N, C, *size) with (O, C / groups, *kernel) by definition."""
    n = x.ndim - 2
    x = np.pad(x, [(0, 0), (0, 0)] + [(p, p) for p in padding])
    size = [(x.shape[2 + d] - dilation[d] * (w.shape[2 + d] - 1) - 1) // stride[d] + 1 for d in range(n)]
    out = np.zeros((x.shape[0], w.shape[0], *size))
    per = w.shape[0] // groups
    for o in range(w.shape[0]):
        channels = slice(o // per * w.shape[1], o // per * w.shape[1] + w.shape[1])
        for tap in itertools.product(*(range(k) for k in w.shape[2:])):
            part = x[(slice(None), channels, *(slice(t * d, t * d + (s - 1) * st + 1, st)
                                               for t, d, s, st in zip(tap, dilation, size, stride)))]
            out[:, o] += np.tensordot(part, w[(o, slice(None), *tap)], ([1], [0]))
    return out


CASES = [((2, 3, 8, 9), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1), ((1, 4, 11, 7), (6, 2, 3, 2), (2, 3), (0, 1), (2, 1),
                                                                   2),
         ((2, 6, 9, 9), (6, 1, 3, 3), (1, 1), (1, 1), (1, 1), 6), ((2, 3, 17), (5, 3, 4), (3,), (2,), (1,), 1),
         ((1, 2, 5, 6, 7), (3, 2, 2, 3, 2), (1, 2, 1), (1, 0, 1), (1, 1, 2), 1), ((3, 16, 6, 6), (32, 16, 1, 1), (1, 1),
                                                                                  (0, 0), (1, 1), 1),
         ((4, 1, 12, 12), (20, 1, 5, 5), (1, 1), (0, 0), (1, 1), 1)]


@pytest.mark.parametrize("xs, ws, stride, padding, dilation, groups", CASES)
def test_forward_and_gradients(xs, ws, stride, padding, dilation, groups):
    rng = np.random.RandomState(0)
    x, w = rng.randn(*xs), rng.randn(*ws)
    a, b = rl.tensor(x, requires_grad=True), rl.tensor(w, requires_grad=True)
    conv = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[x.ndim]
    out = conv(a, b, None, stride, padding, dilation, groups)
    expected = reference(x, w, stride, padding, dilation, groups)
    assert out.shape == expected.shape and np.allclose(out.detach().numpy(), expected, atol=1e-9)
    single = conv(rl.tensor(x.astype("f")), rl.tensor(w.astype("f")), None, stride, padding, dilation, groups)
    assert np.allclose(single.numpy(), expected, atol=1e-3)
    g = rng.randn(*expected.shape)
    out.backward(rl.tensor(g))
    # the convolution is linear in each operand: <g, conv(x', w)> = <grad_x, x'>, and the same for w
    x2, w2 = rng.randn(*xs), rng.randn(*ws)
    assert np.isclose((a.grad.numpy() * x2).sum(), (g * reference(x2, w, stride, padding, dilation, groups)).sum())
    assert np.isclose((b.grad.numpy() * w2).sum(), (g * reference(x, w2, stride, padding, dilation, groups)).sum())


def test_second_derivative():
    x = rl.randn(1, 2, 5, 5, dtype=rl.float64, requires_grad=True)
    w = rl.randn(3, 2, 3, 3, dtype=rl.float64, requires_grad=True)
    assert rl.autograd.gradgradcheck(lambda a, b: F.conv2d(a, b, stride=2, padding=1), (x, w))


def test_transposed_is_the_adjoint():
    rng = np.random.RandomState(1)
    x, w = rng.randn(2, 4, 5, 6), rng.randn(4, 3, 3, 2)
    out = F.conv_transpose2d(rl.tensor(x), rl.tensor(w), stride=2, padding=1, output_padding=1)
    y = rng.randn(*out.shape)
    back = F.conv2d(rl.tensor(y), rl.tensor(w), stride=2, padding=1)
    assert np.isclose((out.numpy() * y).sum(), (back.numpy() * x).sum())


def test_bias_strings_and_unbatched():
    x, w, b = rl.randn(3, 8, 8), rl.randn(4, 3, 3, 4), rl.randn(4)
    assert F.conv2d(x, w, b, padding="same").shape == (4, 8, 8)
    assert np.allclose(F.conv2d(x, w, b).numpy(), (F.conv2d(x, w) + b[:, None, None]).numpy(), atol=1e-5)


def test_channels_last_input():
    x, w = rl.randn(2, 3, 6, 6), rl.randn(4, 3, 3, 3)
    assert np.allclose(F.conv2d(x.to(memory_format=rl.channels_last), w).numpy(), F.conv2d(x, w).numpy(), atol=1e-5)


def test_errors():
    with pytest.raises(RuntimeError, match=r"expected input\[2, 3, 28, 28\] to have 8 channels, but got 3 channels "
                                           r"instead"):
        F.conv2d(rl.zeros(2, 3, 28, 28), rl.zeros(20, 8, 5, 5))
    with pytest.raises(RuntimeError, match="Kernel size can't be greater than actual input size"):
        F.conv2d(rl.zeros(1, 1, 2, 2), rl.zeros(1, 1, 3, 3))
    with pytest.raises(RuntimeError, match="output padding must be smaller"):
        F.conv_transpose2d(rl.zeros(1, 1, 2, 2), rl.zeros(1, 1, 3, 3), output_padding=1)
