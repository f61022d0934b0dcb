"""Infinities, NaN, signs of zero, numbers at the ends of their range. Expected values: recorded from PyTorch, or the
next number of a dtype counted in its bits."""
import math

import numpy as np
import pytest

import rushlight as rl

INF, NAN = math.inf, math.nan
F = rl.nn.functional


def same(found, expected):
    """Equal, with NaN equal to itself and zeros told apart."""
    return repr(found) == repr(expected)


@pytest.mark.parametrize("dtype", [rl.float32, rl.float64, rl.float16, rl.bfloat16])
@pytest.mark.parametrize("values, expected", [
    ([INF], INF), ([1.0, INF], INF), ([-INF, INF], INF), ([-INF, -INF], -INF), ([NAN, INF], NAN), ([1.0, NAN], NAN),
    ([-INF, 2.0], 2.0),
])
def test_logsumexp_of_infinities(dtype, values, expected):
    assert same(rl.tensor(values, dtype=dtype).logsumexp(0).item(), expected)
    rows = rl.tensor([values, values[::-1]], dtype=dtype)
    assert all(same(x, expected) for x in rows.logsumexp(1).tolist())
    assert all(same(x, rl.tensor([v, v], dtype=dtype).logsumexp(0).item())
               for x, v in zip(rows[:1].expand(2, -1).logsumexp(0).tolist(), values))


def test_logsumexp_of_the_largest_numbers():
    large = 3.4028234663852886e38
    assert rl.tensor([large, INF]).logsumexp(0).item() == INF
    assert rl.tensor([large, -large]).logsumexp(0).item() == large


@pytest.mark.parametrize("function", [
    rl.relu, F.relu6, lambda x: x.clamp(0.0, 1.0), lambda x: x.clamp(min=0), lambda x: x.clamp(-1.0, -0.0),
    lambda x: x.clamp(max=-0.0), lambda x: F.hardtanh(x, 0.0, 1.0), lambda x: x.clamp(min=rl.tensor(0.0)),
    lambda x: rl.fmax(x, -x), lambda x: rl.fmin(x, -x),
])
@pytest.mark.parametrize("dtype", [rl.float32, rl.float64, rl.float16, rl.bfloat16])
def test_zeros_keep_their_sign(function, dtype):
    x = rl.tensor([-0.0, 0.0] * 20, dtype=dtype)
    assert same(function(x).tolist(), [-0.0, 0.0] * 20)
    assert same(function(rl.tensor([NAN], dtype=dtype)).item(), NAN)


@pytest.mark.parametrize("value", [1e-45, 3e38, 1e-30, -2.0])
@pytest.mark.parametrize("order", [2, 3, 0.5, 1, INF, -INF])
def test_the_norm_of_one_number(value, order):
    x = rl.tensor([[value]])
    assert rl.linalg.vector_norm(x, order).item() == abs(x.item())
    assert x.norm(order, dim=1).item() == abs(x.item())


def neighbours_of_half():
    """All finite float16 numbers in their order."""
    bits = np.arange(0x7C00, dtype=np.uint16)
    positive = bits.view(np.float16)
    return np.concatenate([-positive[:0:-1], positive])


def test_nextafter_of_float16():
    numbers = neighbours_of_half()
    x = rl.from_numpy(numbers)
    up, down = rl.nextafter(x, x.new_full((), INF)), rl.nextafter(x, x.new_full((), -INF))
    assert up[:-1].tolist() == numbers[1:].tolist() and up[-1].item() == INF
    assert down[1:].tolist() == numbers[:-1].tolist() and down[0].item() == -INF
    ends = rl.tensor([INF, -INF, NAN, 1.0, 0.0, -0.0], dtype=rl.float16)
    towards = rl.tensor([0.0, 0.0, 1.0, NAN, -0.0, 0.0], dtype=rl.float16)
    assert same(rl.nextafter(ends, towards).tolist(), [65504.0, -65504.0, NAN, NAN, -0.0, 0.0])


def test_nextafter_of_bfloat16():
    bits = np.arange(0x7F80, dtype=np.uint32) << 16
    numbers = bits.view(np.float32)
    x = rl.from_numpy(numbers).bfloat16()
    up = rl.nextafter(x, x.new_full((), INF)).float()
    assert up[:-1].tolist() == numbers[1:].tolist() and up[-1].item() == INF
    assert rl.nextafter(x, x.new_full((), -INF)).float()[1:].tolist() == numbers[:-1].tolist()


def test_the_gradient_of_sinc_near_zero():
    x = rl.tensor([2.3e-308, 1e-160, 5e-324, 0.0], dtype=rl.float64, requires_grad=True)
    rl.sinc(x).sum().backward()
    assert x.grad.tolist() == [0, 0, 0, 0]
