"""Interpreters and transformers."""
import pytest

import rushlight as torch
from rushlight import fx, nn


def test_running_node_by_node():
    names = []

    class Names(fx.Interpreter):
        def run_node(self, n):
            names.append(n.name)
            return super().run_node(n)

    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    x = torch.rand(4, 2)
    assert torch.equal(Names(fx.symbolic_trace(net)).run(x), net(x))
    assert names == ["input_1", "_0", "_1", "output"]


def test_operations_can_be_replaced():
    class Cosine(fx.Interpreter):
        def call_function(self, target, args, kwargs):
            return super().call_function(torch.cos if target is torch.sin else target, args, kwargs)

    assert Cosine(fx.symbolic_trace(lambda x: torch.sin(x))).run(torch.zeros(1)).item() == 1.0


def test_inputs():
    runner = fx.Interpreter(fx.symbolic_trace(lambda x, y=3, *rest: x + y))
    assert runner.run(1) == 4 and runner.run(1, 2) == 3 and runner.run(1, 2, 5) == 3
    with pytest.raises(RuntimeError, match="Expected positional argument for parameter x, but one was not passed in"):
        runner.run()
    traced = fx.symbolic_trace(lambda x: x + 1)
    start = next(iter(traced.graph.nodes))
    assert fx.Interpreter(traced).run(initial_env={start: 4}) == 5
    values = [1]
    assert fx.Interpreter(traced).boxed_run(values) == 2 and values == []


def test_values_are_dropped_after_their_last_use():
    runner = fx.Interpreter(fx.symbolic_trace(lambda x: (x + 1) * 2))
    runner.run(1)
    assert [n.name for n in runner.env] == ["output"]
    keeping = fx.Interpreter(fx.symbolic_trace(lambda x: (x + 1) * 2), garbage_collect_values=False)
    keeping.run(1)
    assert [n.name for n in keeping.env] == ["x", "add", "mul", "output"]


def test_errors_name_the_node():
    with pytest.raises(RuntimeError, match="While executing %mm : "):
        fx.Interpreter(fx.symbolic_trace(lambda x: torch.mm(x, x))).run(torch.zeros(1))


class Swap(fx.Transformer):
    """relu becomes sigmoid, neg of a method becomes twice the value."""

    def call_function(self, target, args, kwargs):
        return torch.sigmoid(*args, **kwargs) if target is torch.relu else super().call_function(target, args, kwargs)

    def call_method(self, target, args, kwargs):
        return args[0] * 2 if target == "neg" else super().call_method(target, args, kwargs)


def test_transforming():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin, self.w = nn.Linear(2, 2), nn.Parameter(torch.ones(2))

        def forward(self, x):
            return {"a": torch.relu(self.lin(x) * self.w).neg()}

    before = fx.symbolic_trace(Net())
    next(n for n in before.graph.nodes if n.name == "relu").meta["note"] = 1
    after = Swap(before).transform()
    assert [n.name for n in after.graph.nodes] == ["x", "lin", "w", "mul", "sigmoid", "mul_1", "output"]
    assert after.graph.find_nodes(op="call_function", target=torch.sigmoid)[0].meta["note"] == 1
    x = torch.rand(3, 2)
    assert torch.allclose(after(x)["a"], torch.sigmoid(before.lin(x) * before.w) * 2)
