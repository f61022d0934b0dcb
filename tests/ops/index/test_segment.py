"""`segment_reduce`: every reduction, empty stretches, other dimensions, gradients and errors."""
import math

import pytest

import rushlight as rl

DATA = rl.tensor([1.0, 2.0, 3.0, 4.0])


@pytest.mark.parametrize("reduce, expected, started", [
    ("sum", [1.0, 0.0, 9.0], [11.0, 10.0, 19.0]),
    ("mean", [1.0, math.nan, 3.0], [11.0, 10.0, 19 / 3]),
    ("max", [1.0, -math.inf, 4.0], [10.0, 10.0, 10.0]),
    ("min", [1.0, math.inf, 2.0], [1.0, 10.0, 2.0]),
    ("prod", [1.0, 1.0, 24.0], [10.0, 10.0, 240.0]),
])
def test_reductions(reduce, expected, started):
    lengths = rl.tensor([1, 0, 3])
    assert rl.allclose(rl.segment_reduce(DATA, reduce, lengths=lengths), rl.tensor(expected), equal_nan=True)
    assert rl.allclose(rl.segment_reduce(DATA, reduce, offsets=rl.tensor([0, 1, 1, 4])), rl.tensor(expected),
                       equal_nan=True)
    assert rl.allclose(rl.segment_reduce(DATA, reduce, lengths=lengths, initial=10.0), rl.tensor(started))


def test_rows_and_stretches_of_each_row():
    rows = DATA.reshape(4, 1) * rl.tensor([1.0, 10.0])
    assert rl.segment_reduce(rows, "sum", lengths=rl.tensor([1, 3])).tolist() == [[1.0, 10.0], [9.0, 90.0]]
    found = rl.segment_reduce(DATA.reshape(2, 2), "sum", lengths=rl.tensor([[2, 0], [1, 1]]), axis=1)
    assert found.tolist() == [[3.0, 0.0], [3.0, 4.0]]


def test_gradients():
    x = DATA.clone().requires_grad_()
    (rl.segment_reduce(x, "mean", lengths=rl.tensor([1, 3])) * rl.tensor([1.0, 6.0])).sum().backward()
    assert x.grad.tolist() == [1.0, 2.0, 2.0, 2.0]


@pytest.mark.parametrize("reduce, options, match", [
    ("sum", {"lengths": rl.tensor([1, 1])}, "sum to"),
    ("sum", {"lengths": rl.tensor([-1, 5])}, "negative"),
    ("sum", {}, "must be defined"),
    ("other", {"lengths": rl.tensor([4])}, "reduce argument"),
    ("sum", {"lengths": rl.tensor([4]), "axis": 1}, "axis"),
])
def test_errors(reduce, options, match):
    with pytest.raises(RuntimeError, match=match):
        rl.segment_reduce(DATA, reduce, **options)
