"""Sums of few elements: PyTorch's order of additions, against values it printed and a model of that order in NumPy."""
import numpy as np
import pytest

import rushlight as rl
from rushlight.ops.reduce.reduce import ORDERED_MOST


def values(count, dtype=np.float32):
    return ((np.arange(count) * 7919 % 1009 - 500) / dtype(300)).astype(dtype)


def cascade(items):
    """Four levels of accumulators: the first is carried to the next after 16 additions, that after 256, ..."""
    levels = [np.zeros_like(items[0]) for _ in range(4)] if len(items) else [np.zeros(())] * 4
    for done, item in enumerate(items, 1):
        levels[0] = levels[0] + item
        for level in range(1, 4):
            if done % 16 ** level:
                break
            levels[level], levels[level - 1] = levels[level] + levels[level - 1], np.zeros_like(item)
    return levels[0] + levels[1] + levels[2] + levels[3]


def in_turns(groups):
    """Four rows of groups take turns; what is left goes to the first."""
    turns = len(groups) // 4
    zero = np.zeros_like(groups[0])
    first, *others = [cascade(groups[k:4 * turns:4]) if turns else zero for k in range(4)]
    for group in groups[4 * turns:]:
        first = first + group
    for other in others:
        first = first + other
    return first


def contiguous_sum(row):
    lanes = 32 // row.itemsize
    if len(row) < lanes:
        return in_turns(row.reshape(-1, 1))[0]
    full = len(row) // lanes * lanes
    partial, last = in_turns(row[:full].reshape(-1, lanes)), row.dtype.type(0)
    for x in (*row[full:], *partial):
        last = last + x
    return last


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 3, 4, 7, 8, 9, 15, 31, 32, 33, 63, 100, 511, 512, 513, 1000, 2049, ORDERED_MOST])
def test_contiguous_sum(count, dtype):
    x = values(count, dtype)
    assert rl.from_numpy(x).sum().item() == contiguous_sum(x)
    assert rl.from_numpy(x).mean().item() == contiguous_sum(x) / dtype(count)


@pytest.mark.parametrize("count", [1, 5, 8, 63, 64, 65, 300])
def test_strided_sum(count):
    x = values(3 * count)
    assert rl.from_numpy(x)[::3].sum().item() == in_turns(x[::3].reshape(-1, 1))[0]


@pytest.mark.parametrize("rows", [2, 5, 17, 40])
def test_sum_of_columns(rows):
    """Columns side by side, 4 x 8 at a time, are added in order; those behind in turns."""
    x = values(rows * 37).reshape(rows, 37)
    found = rl.from_numpy(x).sum(0).numpy()
    assert np.array_equal(found[:32], cascade(list(x[:, :32])))
    assert np.array_equal(found[32:], in_turns(x[:, 32:]))


def test_values_that_pytorch_printed():
    x = rl.from_numpy(values(1000))
    found = [x.sum(), x.mean(), x[::3].sum(), x[:20].sum(), x[:7].sum(), (x.double() / 7).sum(),
             x.reshape(10, 100).sum(0)[99], x.reshape(10, 100)[:, :37].sum(1)[3], x.reshape(10, 100).t().sum(),
             x.reshape(10, 100).sum(0)[5], x.reshape(10, 5, 20)[:, 2:4, ::2].sum()]
    assert [f.item().hex() for f in found] == PRINTED


PRINTED = ["0x1.f2fc920000000p+3", "0x1.fef6580000000p-7", "0x1.906d3e0000000p+3", "-0x1.369d000000000p+1",
           "-0x1.192c5e0000000p+1", "0x1.1d229ebb6db6dp+1", "0x1.e81b4e0000000p+0", "-0x1.99999c0000000p+0",
           "0x1.f2fc920000000p+3", "0x1.66666c0000000p-2", "0x1.69d03c0000000p+0"]


@pytest.mark.parametrize("dims, keepdim", [((0, 2), False), ((1,), True), ((0, 1, 2), False), ((), False)])
def test_any_dimensions_and_strides(dims, keepdim):
    x = values(5 * 6 * 7, np.float64).reshape(5, 6, 7)
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        given = x.transpose(order)
        found = rl.from_numpy(x).permute(order).sum(dims or None, keepdim=keepdim)
        assert np.allclose(found.numpy(), given.sum(dims or None, keepdims=keepdim), rtol=1e-13, atol=1e-13)


def test_empty_and_large():
    assert rl.zeros(0).sum().item() == 0 and rl.zeros(0, 3).sum(0).tolist() == [0, 0, 0]
    assert np.isnan(rl.zeros(0).mean().item())
    x = values(3 * ORDERED_MOST)
    assert np.isclose(rl.from_numpy(x).sum().item(), x.astype(float).sum(), rtol=1e-5)
