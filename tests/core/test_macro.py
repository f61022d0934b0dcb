"""Macros: one recorded instruction whose body is planned, fused and differentiated as if recorded operator by
operator.
"""
import numpy as np
import pytest

import rushlight as rl
from rushlight.base import switches
from rushlight.core.macro import macro
from rushlight.core.stream import STREAM

lazy = pytest.mark.skipif(switches.EAGER, reason="the eager mode runs every operator at once")


@macro("test_center", 2)
def center(x, weight, factor):
    """(x - mean) * factor [* weight], and the mean; None for the weight leaves it out."""
    mean = x.mean(-1, keepdim=True)
    away = (x - mean) * factor
    return away if weight is None else away * weight, mean, None


@macro("test_twice", 1)
def twice(x):
    """A macro in a macro."""
    first, mean, _ = center(x, None, 2.0)
    return first + mean


X = np.arange(12.0).reshape(3, 4)


def tensor():
    return rl.from_numpy(X.copy()).clone()


def test_values_and_none():
    found, mean, nothing = center(tensor(), rl.tensor([1.0, 2, 3, 4]), 0.5)
    away = (X - X.mean(-1, keepdims=True)) * 0.5
    np.testing.assert_allclose(found.numpy(), away * [1, 2, 3, 4])
    np.testing.assert_allclose(mean.numpy(), X.mean(-1, keepdims=True))
    assert nothing is None
    np.testing.assert_allclose(twice(tensor()).numpy(), (X - X.mean(-1, keepdims=True)) * 2 + X.mean(-1, keepdims=True))


@lazy
def test_one_instruction():
    x = tensor()
    rl.synchronize()
    before = STREAM.block.step.depth
    center(x, None, 3.0)
    assert STREAM.block.step.depth == before + 1
    rl.synchronize()


def test_views_of_operands():
    base = tensor()
    np.testing.assert_allclose(center(base.t()[1:], None, 1.0)[0].numpy(),
                               X.T[1:] - X.T[1:].mean(-1, keepdims=True))


@lazy
@switches.env(TIER=1)
def test_fuses_with_its_neighbours():
    x = tensor()
    y = center(x + 1, None, 1.0)[0] * 2
    y.numpy()
    x = tensor()
    rl.synchronize()
    before = rl.engine.statistics()["launches"]
    y = center(x + 1, None, 1.0)[0] * 2
    rl.synchronize()
    assert rl.engine.statistics()["launches"] - before == 1
    np.testing.assert_allclose(y.numpy(), (X - X.mean(-1, keepdims=True)) * 2)


def test_differentiates_as_its_parts():
    x = tensor().requires_grad_()
    found = center(x, None, 3.0)[0]
    (found * found).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 18 * (X - X.mean(-1, keepdims=True)), atol=1e-12)


def test_refused_operands_leave_no_trace():
    with pytest.raises(RuntimeError):
        center(tensor(), rl.zeros(3), 1.0)
    assert not STREAM.tracing
    np.testing.assert_allclose(center(tensor(), None, 1.0)[1].numpy(), X.mean(-1, keepdims=True))
