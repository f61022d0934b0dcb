"""Pooling, resizing, sampling and sliding blocks against NumPy."""

import itertools

import numpy as np
import pytest

import rushlight as rl
from rushlight.nn import functional as F


def image(*shape):
    return rl.tensor(np.random.default_rng(0).standard_normal(shape).tolist(), dtype=rl.float64, requires_grad=True)


def windows(x, size, stride, padding, filling):
    """(N, C, OH, OW, KH * KW) from an array."""
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)], constant_values=filling)
    found = np.lib.stride_tricks.sliding_window_view(x, (size, size), (2, 3))[:, :, ::stride, ::stride]
    return found.reshape(*found.shape[:4], size * size)


def slope(function, x, weight, at):
    """The central difference of sum(weight * function(x)) at one position."""
    values = []
    for step in (1e-6, -1e-6):
        moved = x.detach().clone()
        moved[at] += step
        values.append((function(moved) * weight).sum().item())
    return (values[0] - values[1]) / 2e-6


def check_grad(function, x):
    out = function(x)
    weight = rl.arange(out.numel(), dtype=x.dtype).reshape(out.shape) / out.numel()
    (out * weight).sum().backward()
    for at in itertools.islice(np.ndindex(*x.shape), 0, None, max(1, x.numel() // 5)):
        assert abs(x.grad[at].item() - slope(function, x, weight, at)) < 1e-5


@pytest.mark.parametrize("size, stride, padding", [(2, 2, 0), (3, 2, 1), (5, 1, 2)])
def test_windows(size, stride, padding):
    x = image(2, 3, 7, 8)
    values, indices = F.max_pool2d(x, size, stride, padding, return_indices=True)
    np.testing.assert_array_equal(
        values.detach().numpy(), windows(x.detach().numpy(), size, stride, padding, -np.inf).max(-1)
    )
    found = x.detach().flatten(2).gather(2, indices.flatten(2))
    assert rl.equal(found, values.detach().flatten(2))
    means = F.avg_pool2d(x, size, stride, padding)
    np.testing.assert_allclose(means.detach().numpy(), windows(x.detach().numpy(), size, stride, padding, 0).mean(-1))
    check_grad(
        lambda v: F.max_pool2d(v, size, stride, padding) + F.avg_pool2d(v, size, stride, padding, False, False), x
    )


def test_long_windows():
    x = image(1, 2, 90)
    assert rl.equal(
        F.max_pool1d(x, 80, 5, return_indices=True)[1],
        rl.stack([x[..., i : i + 80].argmax(-1) + i for i in (0, 5, 10)], -1),
    )
    check_grad(lambda v: F.avg_pool1d(v, 70, 5, 10), x)


def test_adaptive():
    x = image(1, 2, 5, 7)
    wanted = [
        [x.detach().numpy()[..., a:b, c:d].mean((2, 3)) for c, d in ((0, 3), (2, 5), (4, 7))]
        for a, b in ((0, 3), (2, 5))
    ]
    np.testing.assert_allclose(
        F.adaptive_avg_pool2d(x, (2, 3)).detach().numpy(), np.moveaxis(np.array(wanted), (0, 1), (2, 3))
    )
    check_grad(lambda v: F.adaptive_avg_pool2d(v, (2, 3)) * F.adaptive_max_pool2d(v, (2, 3)), x)
    assert type(F.adaptive_avg_pool2d(x, 1).grad_fn).__name__ == "MeanBackward1"


def test_nan_and_layout():
    x = rl.tensor([[[[1.0, float("nan")], [3.0, 2.0]]]]).expand(2, 2, 2, 2).contiguous(memory_format=rl.channels_last)
    values, indices = F.max_pool2d(x, 2, return_indices=True)
    assert values.isnan().all() and (indices == 1).all()
    assert values.is_contiguous(memory_format=rl.channels_last)


def test_unpool():
    values, indices = F.max_pool2d(image(2, 4, 4), 2, return_indices=True)
    back = F.max_unpool2d(values, indices, 2)
    assert rl.equal(F.max_pool2d(back.abs(), 2), values.abs())
    with pytest.raises(RuntimeError, match="invalid max index: 99"):
        F.max_unpool2d(values, indices * 0 + 99, 2)


def test_blocks():
    x = image(2, 3, 6, 7)
    columns = F.unfold(x, (2, 3), padding=1, stride=2)
    assert columns.shape == (2, 18, 16)
    ones = F.fold(F.unfold(rl.ones(1, 1, 5, 5), 3), 5, 3)
    assert ones[0, 0].tolist() == np.outer([1, 2, 3, 2, 1], [1, 2, 3, 2, 1]).tolist()
    check_grad(lambda v: F.unfold(v, (2, 3), (2, 1), 1, 2), x)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic", "area"])
def test_interpolate(mode):
    x = image(1, 2, 4, 5)
    assert rl.allclose(F.interpolate(rl.ones(1, 1, 3, 4), (5, 7), mode=mode), rl.ones(1, 1, 5, 7))
    check_grad(lambda v: F.interpolate(v, (6, 3), mode=mode), x)
    with pytest.raises(ValueError):
        F.interpolate(x)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_grid_sample(mode):
    x, theta = image(1, 2, 5, 6), rl.tensor([[[1.0, 0, 0], [0, 1, 0]]], dtype=rl.float64)
    grid = F.affine_grid(theta, x.shape, align_corners=False)
    assert rl.allclose(F.grid_sample(x, grid, mode=mode, align_corners=False), x)
    inner = (grid * 0.63 + 0.05).detach().requires_grad_()
    check_grad(lambda g: F.grid_sample(x.detach(), g, mode=mode, align_corners=False), inner)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.max_pool2d(x, 9),
        lambda x: F.max_pool2d(x, 2, padding=2),
        lambda x: F.avg_pool2d(x, 2, 0),
        lambda x: F.adaptive_avg_pool2d(x, (-1, 2)),
        lambda x: F.unfold(x, 9),
        lambda x: F.fold(x[0], 4, 2),
    ],
)
def test_errors(call):
    with pytest.raises(RuntimeError):
        call(image(1, 2, 4, 4))
