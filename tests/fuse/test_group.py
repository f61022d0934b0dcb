"""The fusion rules: what shares a kernel and what must not, seen through the plans of recorded programs."""
import numpy as np
import pytest

import rushlight as rl
from rushlight.base import switches
from rushlight.core.stream import STREAM
from rushlight.fuse.expand import expand
from rushlight.fuse.group import Grouping

pytestmark = pytest.mark.skipif(switches.EAGER, reason="the eager mode fuses nothing")


def groups(build):
    """The groups of what `build` records (its results stay alive), and the results."""
    rl.synchronize()
    results = build()
    block = STREAM.block
    path, _, _, _ = expand(block.step.path(), len(block.slots), len(block.scalars))
    grouping = Grouping(path)
    for number, instruction in enumerate(path):
        grouping.place(instruction, number)
    return [[m.instruction.op.name for m in g.members] for g in grouping.groups], results


def test_chain_is_one_kernel():
    x, y = rl.ones(4, 5), rl.ones(5)
    found, out = groups(lambda: ((x * 2 + y).exp() - x).abs())
    assert len(found) == 1 and out.shape == (4, 5)


def test_softmax_and_its_input_are_one_row_kernel():
    x = rl.arange(12.0).view(3, 4)
    found, out = groups(lambda: (x * 0.5).softmax(1))
    assert len(found) == 1
    e = np.exp(np.arange(12.0).reshape(3, 4) * 0.5)
    assert np.allclose(out.numpy(), e / e.sum(1, keepdims=True), atol=1e-6)


def test_other_rows_need_another_kernel():
    x = rl.arange(12.0).view(3, 4)
    found, (a, b) = groups(lambda: (x.sum(0), x.sum(1)))
    assert len(found) == 2 and a.tolist() == [12, 15, 18, 21] and b.tolist() == [6, 22, 38]


def test_a_transposed_reader_needs_memory():
    x = rl.arange(9.0).view(3, 3)
    found, out = groups(lambda: (lambda y: y + y.t())(x * 2))
    assert len(found) == 2
    assert np.array_equal(out.numpy(), (lambda y: y + y.T)(np.arange(9.0).reshape(3, 3) * 2))


def test_a_write_after_a_shifted_read_waits():
    x = rl.arange(6.0)
    rl.synchronize()

    def build():
        shifted = x[1:] * 1
        x[:5].mul_(10)
        return shifted
    found, out = groups(build)
    assert len(found) == 2 and out.tolist() == [1, 2, 3, 4, 5] and x.tolist() == [0, 10, 20, 30, 40, 5]


def test_in_place_after_reduction_is_a_new_kernel():
    x = rl.arange(6.0).view(2, 3)
    rl.synchronize()
    found, _ = groups(lambda: x.sub_(x.mean(1, keepdim=True)))
    assert x.tolist() == [[-1, 0, 1], [-1, 0, 1]] and len(found) >= 2


@switches.env(TIER=1)
def test_equal_updates_of_many_parameters_are_one_launch():
    parameters = [rl.ones(30, n) for n in (3, 5, 7, 11)]
    rl.synchronize()
    before = rl.engine.statistics()["launches"]
    for p in parameters:
        p.mul_(0.5).add_(1)
    rl.synchronize()
    assert rl.engine.statistics()["launches"] == before + 1
    assert [float(p.sum()) for p in parameters] == [1.5 * 30 * n for n in (3, 5, 7, 11)]
