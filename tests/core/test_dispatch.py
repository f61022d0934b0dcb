"""The door: when it is in, what handlers see, in which order they are asked, and that it goes out again."""
import inspect
import threading

import pytest
from programs import run

import rushlight as torch
from rushlight.core import dispatch
from rushlight.overrides import resolve_name


class Log:
    """A function mode that notes names and arguments."""

    def __init__(self):
        self.names, self.calls = [], []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.names.append(resolve_name(func))
        self.calls.append((types, args, kwargs))
        return func(*args, **(kwargs or {}))

    def __enter__(self):
        dispatch.push(self)
        return self

    def __exit__(self, *error):
        dispatch.pop()


def seen(call):
    with Log() as log:
        call()
    return log.names


X = torch.ones(2, 2)
I = torch.ones(2, 2, dtype=torch.int64)  # noqa: E741

OPERATORS = [  # a call, and the methods that PyTorch's modes see for it
    (lambda: X + X, "add"), (lambda: 2 + X, "add"), (lambda: X - X, "sub"), (lambda: 2 - X, "__rsub__"),
    (lambda: X * 2, "mul"), (lambda: 2.0 * X, "mul"), (lambda: X / X, "div"), (lambda: 2 / X, "__rtruediv__"),
    (lambda: X // X, "__floordiv__"), (lambda: 2 // X, "__rfloordiv__"), (lambda: X % X, "remainder"),
    (lambda: X ** 2, "__pow__"), (lambda: 2 ** X, "__rpow__"), (lambda: X @ X, "matmul"), (lambda: X < X, "lt"),
    (lambda: 1 < X, "gt"), (lambda: X == X, "__eq__"), (lambda: X != 1, "ne"), (lambda: I & I, "__and__"),
    (lambda: 1 & I, "bitwise_and"), (lambda: I << 1, "__lshift__"), (lambda: -X, "neg"), (lambda: abs(X), "abs"),
    (lambda: ~I, "__invert__"), (lambda: X[0], "__getitem__"), (lambda: len(X), "__len__"),
    (lambda: X.shape, "shape.__get__"), (lambda: X.T, "T.__get__"), (lambda: X.requires_grad, "requires_grad.__get__"),
    (lambda: 1.0 in X, "__contains__"), (lambda: repr(X), "__repr__"), (lambda: f"{X}", "__format__"),
]  # fmt: skip


@pytest.mark.parametrize("call, name", OPERATORS)
def test_operators_are_seen_as_methods(call, name):
    assert seen(call) == [f"torch.Tensor.{name}"]


def test_functions_methods_and_layers_keep_apart():
    assert seen(lambda: torch.relu(X)) == ["torch.relu"]
    assert seen(lambda: X.relu()) == ["torch.Tensor.relu"]
    assert seen(lambda: torch.nn.functional.relu(X)) == ["torch.nn.functional.relu"]
    assert seen(lambda: torch.nn.ReLU()(X)) == ["torch.nn.functional.relu"]
    assert seen(lambda: torch.nn.Linear(2, 2)(X))[-1] == "torch.nn.functional.linear"


def test_inside_an_operator_nothing_is_seen():
    assert seen(lambda: torch.nn.functional.cross_entropy(X, I[0])) == [
        "torch.Tensor.__getitem__", "torch.nn.functional.cross_entropy"]


def test_arguments_come_as_written_and_by_keyword_for_functions_in_python():
    with Log() as log:
        torch.flatten(X, 1)
        torch.sum(X, dim=1)
        torch.nn.functional.dropout(X, 0.5)
    assert log.calls[0][1:] == ((X, 1), {})
    assert log.calls[1][1:] == ((X,), {"dim": 1})
    assert log.calls[2][1:] == ((X,), {"p": 0.5, "training": True, "inplace": False})


def test_formulas_of_gradients_are_not_seen_and_custom_functions_are():
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g.exp()

    x = torch.ones(2, requires_grad=True)
    y = (Double.apply(x) * 3).sum()
    dispatch.push(log := Log())
    try:
        torch.autograd.backward(y)
    finally:
        dispatch.pop()
    assert log.names == ["torch.autograd.backward"]
    assert torch.equal(x.grad, torch.full((2,), 3.0).exp())


def test_modes_are_asked_from_the_innermost_outwards():
    order = []

    class Named(Log):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def __torch_function__(self, func, types, args=(), kwargs=None):
            order.append(self.name)
            return super().__torch_function__(func, types, args, kwargs)

    with Named("outer"), Named("inner"):
        X + 1
    assert order == ["inner", "outer"]


def test_kernel_handlers_come_last_and_see_the_entry():
    found = []

    def handler(entry, args, kwargs):
        found.append(entry.path)
        with dispatch.outside():
            return entry.plain(*args, **kwargs) * 2

    dispatch.push_beneath(handler)
    try:
        with Log() as log:
            result = torch.exp(torch.zeros(2))
    finally:
        dispatch.pop_beneath()
    assert log.names == ["torch.zeros", "torch.exp"]
    assert found == ["zeros", "exp"]
    assert result.tolist() == [2.0, 2.0]


def test_other_threads_are_not_concerned():
    names = []
    with Log() as log:
        thread = threading.Thread(target=lambda: names.append((X + 1).sum().item()))
        thread.start()
        thread.join()
    assert log.names == [] and names == [8.0]


PROGRAM = """
import rushlight as torch
from rushlight.core import dispatch
from rushlight.core.dispatch import DOORS

def idle():
    for _ in range(dispatch.IDLE_CALLS + 2):
        x.ndim

class Sub(torch.Tensor):
    pass

x = torch.ones(2)
assert not DOORS.installed
with torch.overrides.BaseTorchFunctionMode():
    assert DOORS.installed
idle()
assert not DOORS.installed and torch.add.__code__ is dispatch.ENTRIES["add"].code
y = x.as_subclass(Sub)
idle()
assert DOORS.installed and type(x + y) is Sub
del y
idle()
assert not DOORS.installed and (x + 1).tolist() == [2.0, 2.0]
torch.fx.symbolic_trace(lambda x: x + 1)
idle()
assert not DOORS.installed
"""


def test_the_doors_go_out_when_nobody_watches():
    run("-c", PROGRAM)  # in a process of its own: nobody else's objects keep them in


def test_functions_keep_identity_and_signature():
    add, before = torch.add, inspect.signature(torch.nn.functional.conv2d)
    with Log():
        assert torch.add is add
        assert inspect.signature(torch.nn.functional.conv2d) == before
    assert torch.Tensor.add is torch.Tensor.add is not torch.add


def test_operators_refuse_what_they_do_not_know():
    assert X.__add__("a") is NotImplemented
    assert X.__lt__(object()) is NotImplemented
    assert (X == "a") is False
    with pytest.raises(TypeError, match="unsupported operand type"):
        X - object()

    class Right:
        def __radd__(self, other):
            return "right"

        def __rmatmul__(self, other):
            return "right"

    assert X + Right() == "right"
    assert X @ Right() == "right"


def test_device_contexts_reach_constructors_alone():
    class Spy(Log):
        pass

    with Spy() as outer, torch.device("cpu"):
        torch.zeros(2)
        torch.zeros(2, device="cpu")
        X + 1
    devices = [kwargs.get("device") for _, _, kwargs in outer.calls]
    assert devices == [torch.device("cpu"), "cpu", None]

    @torch.device("cpu")
    def make():
        return torch.get_default_device(), torch.ones(2)

    assert make()[0] == torch.device("cpu")
    torch.set_default_device("cpu")
    assert torch.get_default_device() == torch.device("cpu")
    torch.set_default_device(None)
