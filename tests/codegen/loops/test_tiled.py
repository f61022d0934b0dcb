"""Kernels that turn tiles: transposed reads and writes of every element size, whole tiles and what is left over."""

import numpy as np
import pytest

import rushlight as rl

RNG = np.random.default_rng(0)
SHAPES = [(16, 16), (17, 33), (48, 64), (100, 37), (3, 40, 50), (2, 3, 33, 18)]


def numbers(shape, dtype):
    return (RNG.standard_normal(shape) * 10).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int16", "int64", "float16", "bool"])
@pytest.mark.parametrize("shape", SHAPES)
def test_transposed_copies(dtype, shape):
    a = numbers(shape, dtype)
    t = rl.from_numpy(a.copy())
    assert np.array_equal(t.transpose(-1, -2).contiguous().numpy(), np.swapaxes(a, -1, -2))
    backwards = range(len(shape) - 1, -1, -1)
    assert np.array_equal(t.permute(*backwards).contiguous().numpy(), a.transpose())


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_transposed_operands_and_results(dtype, shape):
    a, b = numbers(shape, dtype), numbers((*shape[:-2], shape[-1], shape[-2]), dtype)
    x, y = rl.from_numpy(a.copy()), rl.from_numpy(b.copy())
    turned = np.swapaxes(a, -1, -2)
    assert np.allclose((x.transpose(-1, -2) * 2 + y).numpy(), turned * 2 + b)
    written = rl.empty(shape, dtype=x.dtype).transpose(-1, -2)
    written.copy_(y)
    written += y
    assert np.allclose(written.numpy(), b + b)
    added = x.clone()
    added.transpose(-1, -2).add_(y)
    assert np.allclose(added.numpy(), a + np.swapaxes(b, -1, -2))


def test_different_element_sizes_meet():
    a, b = numbers((40, 35), "float32"), numbers((35, 40), "int8")
    x, y = rl.from_numpy(a.copy()), rl.from_numpy(b.copy())
    assert np.allclose((x.t() + y).numpy(), a.T + b)
    assert np.array_equal((x.t() > y).numpy(), a.T > b)
    assert np.allclose((x.t().double() * y.double()).numpy(), a.T.astype("f8") * b)
