"""Recording: forms, known and likely steps, and that the short paths record what the long one does."""
import pytest

import rushlight as rl
from rushlight.base import switches
from rushlight.core import record
from rushlight.core.kinds import OPERATORS
from rushlight.core.record import Memo
from rushlight.core.stream import STREAM

lazy = pytest.mark.skipif(switches.EAGER, reason="the eager mode runs every operator at once")


def test_forms_are_interned():
    op = OPERATORS["power_fixed"]
    assert op.form("t", (("exponent", 2),), (int,)) is op.form("t", (("exponent", 2),), (int,))
    assert op.form("t", (("exponent", 2),), (int,)) is not op.form("t", (("exponent", 2.0),), (float,))


def test_attributes_of_another_class_are_another_operator():
    x = rl.arange(4)
    rl.synchronize()
    assert [str(x.pow(e).dtype) for e in (2, 2.0, 2, 2.0)] == ["torch.int64", "torch.float32"] * 2


@lazy
def test_a_path_that_forks_is_followed_both_ways():
    def run(way):
        x = rl.ones(3)
        for add in way:
            x = x + 1 if add else x * 3
        return x.tolist()[0]
    ways = [(1, 0, 1), (0, 0, 1), (1, 0, 1), (1, 1, 0), (0, 0, 1)]
    wanted = [7.0, 10.0, 7.0, 9.0, 10.0]
    assert [run(way) for way in ways] == wanted
    grown = STREAM.steps
    assert [run(way) for way in ways] == wanted and STREAM.steps == grown


@lazy
def test_the_likely_step_is_not_taken_for_other_operands():
    a, b = rl.full((3,), 2.0), rl.full((3,), 5.0)
    rl.synchronize()
    for _ in range(3):
        assert (a - b).tolist() == [-3.0] * 3
        assert (b - a).tolist() == [3.0] * 3  # its slots are the same, and so is the program
    c = rl.full((2, 3), 1.0)
    for _ in range(2):
        assert (a + b).tolist() == [7.0] * 3
        assert (a + c).tolist() == [[3.0] * 3] * 2
        assert (a + a).tolist() == [4.0] * 3


def test_a_change_of_switches_ends_the_block_and_forgets_the_tree():
    x = rl.ones(3)
    y = x + 1
    with switches.env(EAGER=1):
        for _ in range(2):
            z = y + 1
            assert not STREAM.block.step.depth and z._storage.address
    assert (y + 1).tolist() == [3.0] * 3


@lazy
def test_an_error_that_was_pending_stays_with_its_tensor_when_switches_change():
    bad = rl.ones(3)[rl.tensor([7]) + 0]
    with switches.env(EAGER=1):
        assert (rl.ones(2) + 1).tolist() == [2.0] * 2
    assert not switches.EAGER and not STREAM.block.step.depth
    for _ in range(2):
        with pytest.raises(IndexError, match="test_record.py"):
            bad.tolist()


def test_the_map_without_a_graph_is_the_map_with_one():
    rl.manual_seed(0)
    for shape, bias in (((5, 4), True), ((2, 5, 4), True), ((2, 5, 4), False), ((4,), True), ((0, 4), True)):
        layer = rl.nn.Linear(4, 3, bias=bias)
        for x in (rl.randn(shape), rl.randn((*shape[:-1], 8))[..., ::2], rl.randn(4, *shape[:-1]).movedim(0, -1)):
            wanted = layer(x)
            with rl.no_grad():
                found = layer(x)
            assert found.shape == wanted.shape and found.stride() == wanted.stride() and not found.requires_grad
            assert rl.equal(found, wanted)


def test_known_forms_are_inferred_once_whatever_the_offset(monkeypatch):
    x = rl.randn(40, 6)
    (x[0] * x[1] + 2).sum().item()
    calls, infer = [], record.infer
    monkeypatch.setattr(record, "infer", lambda *values: calls.append(values) or infer(*values))
    found = [(x[i] * x[i + 3] + 2).sum() for i in range(1, 30)]
    assert not calls
    expected = x.numpy()
    for i, value in enumerate(found, 1):
        assert abs(value.item() - (expected[i] * expected[i + 3] + 2).sum()) < 1e-4
    assert (x[:7, :5] * 3).shape == (7, 5) and len(calls) == 1  # another layout


def test_results_that_are_pending_keep_the_dtype_they_were_recorded_with():
    x = rl.tensor([3, 4, 5])
    pending = x / 4
    rl.set_default_dtype(rl.float64)
    try:
        assert pending.tolist() == [0.75, 1.0, 1.25] and (x / 4).tolist() == [0.75, 1.0, 1.25]
    finally:
        rl.set_default_dtype(rl.float32)


@lazy
def test_numbers_are_read_while_unrelated_results_are_pending():
    x, y = rl.tensor([1.0, 2.0]), rl.tensor([5.0, 6.0])
    flushes = rl.engine.statistics()["flushes"]
    waiting = y * 2
    assert x[1].item() == 2 and x.tolist() == [1, 2]
    assert rl.engine.statistics()["flushes"] == flushes
    x.add_(1)
    assert x[1].item() == 3 and waiting.tolist() == [10, 12]


def test_a_new_default_dtype_is_seen_by_known_operators():
    x = rl.tensor([3, 4])
    assert (x / 2).dtype is rl.float32
    rl.set_default_dtype(rl.float64)
    try:
        assert (x / 2).dtype is rl.float64 and (x / 2).tolist() == [1.5, 2.0]
    finally:
        rl.set_default_dtype(rl.float32)
    assert (x / 2).dtype is rl.float32


def test_a_memo_keeps_what_is_used():
    memo = Memo(8)
    for i in range(40):
        memo.keep(i, i)
        assert memo.get(0) == 0  # looked up all the time
    assert len(memo.young) + len(memo.old) <= 8 and memo.get(39) == 39 and memo.get(20) is None
