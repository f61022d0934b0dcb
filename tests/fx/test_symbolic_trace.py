"""Tracing: what becomes a node, what cannot be traced, wrapped functions, concrete arguments. Texts are PyTorch's."""
import operator
from math import sqrt

import pytest

import rushlight as torch
from rushlight import fx, nn
from rushlight.nn import functional as F


@fx.wrap
def scaled(a, b=2):
    """A function that is recorded."""
    return a * b


def body(program, **options):
    """The lines of generated code below the signature."""
    lines = fx.symbolic_trace(program, **options).code.strip().splitlines()
    return [line.strip() for line in lines if not line.startswith(("def", "torch.fx")) and line.strip()]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(4, 5)
        self.scale = nn.Parameter(torch.ones(5))
        self.register_buffer("shift", torch.zeros(5))
        self.seq = nn.Sequential(nn.ReLU(), nn.Linear(5, 3))
        self.extra = torch.ones(3)

    def forward(self, x, y: torch.Tensor = None, *, k=3):
        z = self.scale * self.lin(x) + self.shift
        z = self.seq(torch.relu(z) - F.relu(z, inplace=True).clamp(min=0.0))
        return {"out": torch.cat([z, z], dim=1)[:, 1:3, None] + self.extra[1:], "n": z.shape[0]}, (z.view(1, -1), -z)


NET = """
def forward(self, x, y : torch.Tensor = None, k = 3):
    scale = self.scale
    lin = self.lin(x);  x = None
    mul = scale * lin;  scale = lin = None
    shift = self.shift
    add = mul + shift;  mul = shift = None
    relu = torch.relu(add)
    relu_1 = torch.nn.functional.relu(add, inplace = True);  add = None
    clamp = relu_1.clamp(min = 0.0);  relu_1 = None
    sub = relu - clamp;  relu = clamp = None
    seq_0 = getattr(self.seq, "0")(sub);  sub = None
    seq_1 = getattr(self.seq, "1")(seq_0);  seq_0 = None
    cat = torch.cat([seq_1, seq_1], dim = 1)
    getitem = cat[(slice(None, None, None), slice(1, 3, None), None)];  cat = None
    _tensor_constant0 = self._tensor_constant0
    add_1 = getitem + _tensor_constant0;  getitem = _tensor_constant0 = None
    getattr_1 = seq_1.shape
    getitem_1 = getattr_1[0];  getattr_1 = None
    view = seq_1.view(1, -1)
    neg = -seq_1;  seq_1 = None
    return ({'out': add_1, 'n': getitem_1}, (view, neg))
"""


def test_a_module():
    net = Net()
    traced = fx.symbolic_trace(net)
    assert traced.code.strip() == NET.strip()
    x = torch.rand(2, 4)
    assert torch.equal(traced(x)[0]["out"], net(x)[0]["out"]) and traced(x)[0]["n"] == 2
    assert type(traced).__name__ == "Net" and isinstance(traced, fx.GraphModule)


def test_functions_of_layers():
    def program(x):
        x = F.linear(F.conv2d(x, x), x)
        x = F.dropout(F.gelu(x), 0.5, False)
        x = F.softmax(x, dim=1)
        return torch.einsum("ij->i", torch.add(x, 1, alpha=2)).to(torch.float64)

    assert body(program) == [
        "conv2d = torch.conv2d(x, x)",
        "linear = torch._C._nn.linear(conv2d, x);  conv2d = x = None",
        "gelu = torch._C._nn.gelu(linear);  linear = None",
        "dropout = torch.nn.functional.dropout(gelu, p = 0.5, training = False, inplace = False);  gelu = None",
        "softmax = torch.nn.functional.softmax(dropout, dim = 1, _stacklevel = 3, dtype = None);  dropout = None",
        "add = torch.add(softmax, 1, alpha = 2);  softmax = None",
        "einsum = torch.functional.einsum('ij->i', add);  add = None",
        "to = einsum.to(torch.float64);  einsum = None",
        "return to",
    ]


def test_operators():
    def program(x):
        return (x + 1, 1 - x, x / x, 2 // x, x % 2, x ** 2, x @ x, x << 1, x & x, ~x, -x, abs(x), x < 1, x == 1, x[0])

    targets = [n.target for n in fx.symbolic_trace(program).graph.nodes if n.op == "call_function"]
    o = operator
    assert targets == [o.add, o.sub, o.truediv, o.floordiv, o.mod, o.pow, o.matmul, o.lshift, o.and_, o.invert, o.neg,
                       o.abs, o.lt, o.eq, o.getitem]


def test_attributes_are_nodes_where_they_are_used():
    assert body(lambda x: (x.foo, x.bar(1, a=2), x.size())) == [
        "bar = x.bar(1, a = 2)", "size = x.size()", "getattr_1 = x.foo;  x = None", "return (getattr_1, bar, size)"]


def test_unpacking():
    def program(x):
        a, b = x.split(2)
        return a + b

    assert body(program)[1:3] == ["getitem = split[0]", "getitem_1 = split[1];  split = None"]


@pytest.mark.parametrize("program, error, text", [
    (lambda x: x if x.sum() > 0 else -x, fx.proxy.TraceError, "cannot be used as inputs to control flow"),
    (lambda x: [i for i in x], fx.proxy.TraceError, "Proxy object cannot be iterated"),
    (lambda x: len(x), RuntimeError, "'len' is not supported in symbolic tracing by default"),
    (lambda x: operator.setitem(x, 0, 1), TypeError, "item assignment"),
])
def test_what_cannot_be_traced(program, error, text):
    with pytest.raises(error, match=text):
        fx.symbolic_trace(program)
    assert (torch.ones(1) + 1).item() == 2.0  # nothing stays patched


def test_wrapped_functions():
    traced = fx.symbolic_trace(lambda x: scaled(x, b=3) + scaled(2) + sqrt(x))
    assert "wrap(" in traced.code and "sqrt = math_sqrt(x)" in traced.code
    assert [n.target for n in traced.graph.nodes if n.meta.get("is_wrapped")] == [scaled, sqrt]
    assert traced(torch.tensor(4.0)).item() == 18.0
    with pytest.raises(NotImplementedError, match="wrap must be called at the top level of a module"):
        fx.wrap("len")
    with pytest.raises(RuntimeError, match="Unsupported type for global function"):
        fx.wrap(3)


def test_inputs_of_all_kinds():
    traced = fx.symbolic_trace(lambda x, y=2.5, *args, k=1, **rest: x * y + k)
    assert [(n.target, n.name, n.args) for n in traced.graph.nodes if n.op == "placeholder"] == [
        ("x", "x", ()), ("y", "y", (2.5,)), ("k", "k", (1,)), ("*args", "_args", ()), ("**rest", "_rest", ())]
    assert fx.symbolic_trace(lambda x, *, k=1: x + k)(torch.ones(1), k=3).item() == 4.0


def test_concrete_arguments():
    traced = fx.symbolic_trace(lambda x, flag: x + 1 if flag else x - 1, concrete_args={"flag": True})
    assert "torch._assert(eq, 'flag has been specialized to have value True but got another value')" in traced.code
    assert traced(torch.ones(1), True).item() == 2.0
    with pytest.raises(AssertionError, match="flag has been specialized"):
        traced(torch.ones(1), False)
    nested = fx.symbolic_trace(lambda x, d: {"s": x + d["a"] + d["b"]}, concrete_args={"d": {"a": fx.PH, "b": 3}})
    assert nested(torch.ones(1), {"a": torch.ones(1), "b": 3})["s"].item() == 5.0


def test_parameters_are_proxies_and_shapes_can_be_constants():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(3, 3))

        def forward(self, x):
            return self.w * x if self.w.shape[0] == 3 else x

    with pytest.raises(fx.proxy.TraceError):
        fx.symbolic_trace(Scaled())
    graph = fx.Tracer(param_shapes_constant=True).trace(Scaled())
    assert [n.op for n in graph.nodes] == ["placeholder", "get_attr", "call_function", "output"]


class Layers(fx.Tracer):
    """Keeps Sequential whole and knows how to branch and iterate."""

    def is_leaf_module(self, m, module_qualified_name):
        return isinstance(m, nn.Sequential) or super().is_leaf_module(m, module_qualified_name)

    def to_bool(self, obj):
        return True

    def iter(self, obj):
        return iter([obj[0], obj[1]])


def test_tracers_of_programs():
    net, tracer = Net(), Layers()
    graph = tracer.trace(net)
    assert [n.target for n in graph.nodes if n.op == "call_module"] == ["lin", "seq"]
    assert tracer.path_of_module(net.seq) == "seq"
    with pytest.raises(NameError, match="module is not installed as a submodule"):
        tracer.path_of_module(nn.ReLU())
    assert len(Layers().trace(lambda x: [y + 1 for y in x] if x.sum() > 0 else x).nodes) == 8


def test_stacks_of_modules_are_noted():
    graph = fx.symbolic_trace(nn.Sequential(nn.Sequential(nn.ReLU()))).graph
    node = next(n for n in graph.nodes if n.op == "call_module")
    assert node.name == "_0_0" and node.target == "0.0"
    assert list(node.meta["nn_module_stack"].items()) == [("0", ("0", nn.Sequential)), ("0.0", ("0.0", nn.ReLU))]


def test_calls_of_one_module_have_one_target():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.ReLU()
            self.b = self.a

        def forward(self, x):
            return self.b(self.a(x))

    assert body(Shared()) == ["a = self.a(x);  x = None", "a_1 = self.a(a);  a = None", "return a_1"]


def test_classes_whose_construction_is_recorded():
    class Pair(metaclass=fx.ProxyableClassMeta):
        def __init__(self, a, b):
            self.a, self.b = a, b

    graph = fx.symbolic_trace(lambda x: Pair(x, 1)).graph
    assert next(n for n in graph.nodes if n.op == "call_function").target is Pair
    assert Pair(1, 2).b == 2
