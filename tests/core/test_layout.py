"""Strides: what is contiguous, what can be viewed, what element-wise results look like."""
import numpy as np
import pytest

import rushlight as rl
from rushlight.core import layout as lay


@pytest.mark.parametrize("shape, strides, contiguous, dense", [
    ((2, 3), (3, 1), True, True), ((2, 3), (1, 2), False, True), ((2, 3), (4, 1), False, False), ((2, 1), (1, 7), True,
                                                                                                  True),
    ((0, 3), (9, 9), True, True), ((2, 3), (0, 1), False, False), ((), (), True, True),
])
def test_kinds(shape, strides, contiguous, dense):
    found = lay.layout(shape, strides, rl.float32)
    assert (found.contiguous, found.dense) == (contiguous, dense)
    assert found is lay.layout(shape, strides, rl.float32)


@pytest.mark.parametrize(
    "shape, strides, target, expected",
    [
        ((2, 3), (3, 1), (6,), (1,)),
        ((2, 3), (1, 2), (6,), None),
        ((2, 3, 4), (12, 4, 1), (6, 2, 2), (4, 2, 1)),
        ((4,), (2,), (2, 2), (4, 2)),
    ],
)
def test_view_strides(shape, strides, target, expected):
    assert lay.view_strides(shape, strides, target) == expected


def test_results_keep_the_order_of_dimensions():
    x = rl.zeros(2, 3, 4, 5).to(memory_format=rl.channels_last)
    assert (x + 1).stride() == x.stride() == (60, 1, 15, 3)
    t = rl.zeros(3, 4).t()
    assert (t * 2).stride() == t.stride() == (1, 4)
    assert (t[:, None] + rl.zeros(1, 2, 3)).shape == (4, 2, 3)


def test_size():
    size = rl.zeros(2, 3).shape
    assert isinstance(size, tuple) and repr(size) == "torch.Size([2, 3])" and size.numel() == 6
    assert isinstance(size[:1], rl.Size) and size + (4,) == (2, 3, 4)


def test_broadcast_error_names_the_dimension():
    with pytest.raises(RuntimeError, match=r"The size of tensor a \(3\) must match the size of tensor b \(4\) at "
                                           r"non-singleton dimension 0"):
        rl.zeros(3) + rl.zeros(4)


def test_views_share_memory_and_writes_show():
    x = rl.arange(12.0).view(3, 4)
    v = x.t()[1:, ::2]
    v.add_(100)
    expected = np.arange(12.0).reshape(3, 4)
    expected.T[1:, ::2] += 100
    assert np.array_equal(x.numpy(), expected) and v._base is not None
