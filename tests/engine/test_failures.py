"""Operators that fail: they fail alone, the error names them, and it stays until the storage is overwritten."""

import subprocess
import sys

import pytest

import rushlight as rl
import rushlight.nn.functional as F
from rushlight.base import switches

lazy = pytest.mark.skipif(switches.EAGER, reason="in eager mode the error is raised at the line")


def pending(values):
    """An index tensor that is not in memory yet, so that the kernel checks it."""
    return rl.tensor(values) + 0


@lazy
def test_only_what_depends_on_the_failure_fails():
    x = rl.full((4,), 5.0)
    right, shared = x * 2, x + 1
    bad = rl.ones(4)[pending([0, 9])]
    worse = bad * 2
    z = rl.zeros(3)
    z += 1
    assert right.tolist() == [10.0] * 4 and shared.tolist() == [6.0] * 4 and z.tolist() == [1.0] * 3
    for _ in range(2):
        for failed in (bad, worse):
            with pytest.raises(IndexError, match=r"in index, recorded at .*test_failures.py"):
                failed.tolist()


@lazy
def test_the_error_names_the_operator_and_the_line():
    table = rl.arange(20.0).view(10, 2)
    good = F.embedding(pending([1, 2]), table)
    loss = F.cross_entropy(good, pending([0, 5]))
    with pytest.raises(IndexError, match=r"Target 5 is out of bounds. \[in cross_entropy"):
        loss.item()
    assert good.tolist() == [[2.0, 3.0], [4.0, 5.0]]


@lazy
def test_two_checks_of_one_kernel_are_told_apart():
    x = rl.arange(8.0)
    first, second = x[pending([1, 2])], x[pending([3, 99])]
    total = first + second
    with pytest.raises(IndexError):
        total.tolist()
    assert first.tolist() == [1.0, 2.0]
    with pytest.raises(IndexError):
        second.tolist()


@lazy
def test_using_a_failed_tensor_raises_at_the_line():
    bad = rl.ones(4)[pending([9])]
    with pytest.raises(IndexError):
        bad.item()
    with pytest.raises(IndexError):
        bad + 1
    with pytest.raises(IndexError):
        bad.view(1).exp()
    with pytest.raises(IndexError):
        rl.zeros(1).copy_(bad)


@lazy
def test_a_failed_tensor_is_right_again_once_overwritten():
    bad = rl.ones(4)[pending([9, 9])]
    with pytest.raises(IndexError):
        bad.tolist()
    bad.fill_(3)
    assert (bad + 1).tolist() == [4.0, 4.0]
    assert bad.tolist() == [3.0, 3.0]


@lazy
def test_an_in_place_target_fails_with_what_was_to_be_written():
    x = rl.zeros(4)
    x.tolist()
    view = x[1:]
    x.index_add_(0, pending([7]), rl.ones(1))
    with pytest.raises((IndexError, RuntimeError)):
        x.tolist()
    with pytest.raises((IndexError, RuntimeError)):
        view.tolist()
    x.zero_()
    assert view.tolist() == [0.0] * 3


@lazy
def test_gradients_of_a_failed_loss_fail_and_leave_parameters_alone():
    table = rl.ones(5, 2, requires_grad=True)
    optimizer = rl.optim.SGD([table], lr=0.1)
    loss = F.embedding(pending([7]), table).sum()
    with pytest.raises(IndexError):
        loss.backward()
        optimizer.step()
    table.grad = None
    F.embedding(pending([1]), table).sum().backward()
    optimizer.step()
    assert table.detach()[1].tolist() == pytest.approx([0.9, 0.9]) and table.detach()[0].tolist() == [1.0, 1.0]


@lazy
def test_a_library_call_fails_alone():
    x = rl.full((3,), 2.0) + 1
    with pytest.raises(RuntimeError):
        rl.linalg.inv(rl.zeros(3, 3))
    assert x.tolist() == [3.0] * 3


def test_indices_in_memory_are_refused_at_the_line():
    x, table = rl.ones(4), rl.ones(5, 2)
    with pytest.raises(IndexError, match="index out of range in self"):
        F.embedding(rl.tensor([1, 7]), table)
    with pytest.raises(IndexError, match="index 9 is out of bounds for dimension 0 with size 4"):
        x[rl.tensor([0, 9])]
    with pytest.raises(IndexError, match="index -5 is out of bounds for dimension 0 with size 4"):
        x[rl.tensor([[0, -5]])]
    with pytest.raises(RuntimeError, match="index 4 is out of bounds for dimension 0 with size 4"):
        x.gather(0, rl.tensor([4]))
    with pytest.raises(RuntimeError):
        x.scatter_(0, rl.tensor([4]), 1.0)
    with pytest.raises(IndexError, match="Target 3 is out of bounds"):
        F.cross_entropy(rl.zeros(2, 3), rl.tensor([0, 3]))
    with pytest.raises(IndexError):
        x.index_select(0, rl.tensor([-1]))
    assert F.cross_entropy(rl.zeros(2, 3), rl.tensor([0, -100])).item() == pytest.approx(1.0986123)
    strided = rl.tensor([[0, 8], [1, 8]])[:, 0]
    assert x[strided].tolist() == [1.0, 1.0]
    assert x.tolist() == [1.0] * 4


def test_numbers_that_do_not_fit_are_refused_at_the_line():
    x, whole = rl.ones(3), rl.ones(3, dtype=rl.int64)
    kept = x * 2
    for call in (lambda: x * 2**70, lambda: whole + 2**64, lambda: whole.fill_(2**64), lambda: whole == 2**70,
                 lambda: x.clamp(0, 2**70), lambda: rl.full((2,), 2**70), lambda: x.masked_fill(x > 0, 2**70),
                 lambda: x ** 2**70, lambda: x.add(1, alpha=2**70)):
        with pytest.raises(OverflowError):
            call()
    assert (x + 2**63).tolist() == [2.0**63] * 3
    assert (whole + 2**63).tolist() == [1 - 2**63] * 3
    assert kept.tolist() == [2.0] * 3 and x.tolist() == [1.0] * 3 and whole.tolist() == [1] * 3


@lazy
def test_an_error_that_nobody_has_seen_is_reported_at_the_end():
    def stderr(line):
        code = f"import rushlight as rl\nx = rl.ones(3)[rl.tensor([7]) + 0]\n{line}\n"
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr
    assert "IndexError: index out of range in self [in index" in stderr("")
    assert "IndexError" not in stderr("try:\n    x.tolist()\nexcept IndexError:\n    pass")
