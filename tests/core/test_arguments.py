"""Arguments of the wrong kind are a TypeError, whatever else is wrong (Note [Kinds of arguments])."""
import inspect

import pytest

import rushlight as rl

X = rl.arange(6.0).reshape(2, 3)
F = rl.nn.functional

WRONG = {
    "no tensor": lambda: rl.nan_to_num(3),
    "None for a tensor": lambda: rl.addbmm(X, X, None),
    "a list for a tensor": lambda: X.take([1]),
    "a kind goes before a shape": lambda: rl.conv3d(X, X, object()),
    "a dim that is no integer": lambda: X.cummin(1.5),
    "a dim that is a name": lambda: X.cumsum("a"),
    "a dtype that is a name": lambda: F.log_softmax(X, 0, dtype="float32"),
    "a number that is a string": lambda: rl.bernoulli(X, "a"),
    "an unexpected keyword": lambda: rl.cumsum(X, 0, nonsense=1),
    "a missing argument": lambda: rl.cumsum(X),
    "one of many": lambda: rl.block_diag(object()),
    "sizes": lambda: X.resize_("a"),
    "a matrix": lambda: rl.linalg.matrix_power(X, ["a"]),
    "the second of two": lambda: rl.lu_solve(X, X, object()),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_kinds(name):
    with pytest.raises(TypeError):
        WRONG[name]()


def test_other_errors_stay():
    with pytest.raises(IndexError, match="Dimension out of range"):
        X.cumsum(99)
    with pytest.raises(RuntimeError, match="batches of square matrices"):
        rl.linalg.matrix_power(X, 2)
    with pytest.raises(RuntimeError, match="size"):
        rl.cat([X, rl.ones(3, 7)])


def test_the_message_names_the_argument():
    with pytest.raises(TypeError, match=r"addbmm\(\): argument 'batch2' \(position 3\) must be Tensor, not str"):
        rl.addbmm(X, X, "a")


def test_shown_signatures():
    """What `inspect.signature` and editors see: `self` for methods, `out` where there is one, PyTorch's first names."""
    def shown(function):
        return list(inspect.signature(function).parameters)
    assert shown(rl.add) == ["input", "other", "alpha", "out"] and shown(rl.Tensor.add)[0] == "self"
    assert "out" not in shown(rl.Tensor.kthvalue) and "out" in shown(rl.kthvalue)
    assert shown(rl.det) == ["input", "out"] and shown(rl.linalg.det) == ["A", "out"]
    assert "out" not in shown(rl.nn.functional.relu) and shown(rl.special.exp2)[-1] == "out"
    assert rl.det(input=rl.eye(2)).item() == rl.linalg.det(A=rl.eye(2)).item() == 1
    assert rl.exp(self=rl.zeros(1)).item() == 1


@pytest.mark.parametrize("call", [
    lambda: rl.zeros(2, dtype=3), lambda: rl.zeros(2, dtype="float32"), lambda: rl.ones(2, requires_grad="x"),
    lambda: rl.zeros(2, pin_memory="x"), lambda: rl.zeros(2, layout=3), lambda: rl.empty(2, memory_format=3),
    lambda: X.softmax(0, dtype=3), lambda: X.amax(0, keepdim="x"), lambda: X.clone(memory_format=3),
    lambda: X.contiguous(memory_format=3), lambda: X.sort(stable="x"), lambda: rl.Tensor.__radd__(2, X),
    lambda: rl.Tensor.__rmul__(2, X),
])  # fmt: skip
def test_calls_that_would_succeed_by_accident(call):
    """Keywords of the wrong kind that no line of Python would notice."""
    with pytest.raises(TypeError):
        call()


@pytest.mark.parametrize("call", [
    lambda: rl.arange(float("-inf"), 1, 2), lambda: rl.arange(float("nan"), 1), lambda: rl.movedim(X, (0, 1), (1,)),
    lambda: rl.gradient(X, spacing=[0.1], dim=[1, 0]),
    lambda: rl.complex(X.double(), X.double(), out=rl.zeros(2, 3, dtype=rl.complex64)),
])  # fmt: skip
def test_values_of_the_right_kind_that_are_refused(call):
    """Names of parameters that mean something else in single functions make no TypeError."""
    with pytest.raises(RuntimeError):
        call()
