"""Graph modules: code, attributes, copies, pickles, text."""
import copy
import pickle
import traceback

import pytest

import rushlight as torch
from rushlight import fx, nn


def traced():
    return fx.symbolic_trace(nn.Sequential(nn.Linear(3, 4), nn.ReLU()))


def test_text():
    assert str(traced()) == """Sequential(
  (0): Linear(in_features=3, out_features=4, bias=True)
  (1): ReLU()
)



def forward(self, input):
    input_1 = input
    _0 = getattr(self, "0")(input_1);  input_1 = None
    _1 = getattr(self, "1")(_0);  _0 = None
    return _1
    
# To see more debug info, please use `graph_module.print_readable()`"""  # noqa: W293
    assert traced().print_readable(print_output=False) == """class Sequential(torch.nn.Module):
    def forward(self, input):
        input_1 = input

        # No stacktrace found for following nodes
        _0 = getattr(self, "0")(input_1);  input_1 = None
        _1 = getattr(self, "1")(_0);  _0 = None
        return _1
"""


def test_pickles():
    module = traced()
    other = pickle.loads(pickle.dumps(module))
    assert other.code == module.code and sorted(other.state_dict()) == ["0.bias", "0.weight"]
    x = torch.rand(2, 3)
    assert torch.equal(other(x), module(x))


def test_copies():
    module = traced()
    module.note = [1]
    deep, shallow = copy.deepcopy(module), copy.copy(module)
    assert deep.code == shallow.code == module.code and deep.graph is not module.graph
    assert torch.equal(deep.get_submodule("0").weight, module.get_submodule("0").weight)
    assert deep.get_submodule("0").weight is not module.get_submodule("0").weight
    assert shallow.get_submodule("0").weight is module.get_submodule("0").weight
    assert deep.note == [1] and deep.note is not module.note
    x = torch.rand(2, 3)
    assert torch.equal(deep(x), module(x)) and type(deep).__name__ == "Sequential"


def test_each_module_has_code_of_its_own():
    one, two = fx.symbolic_trace(lambda x: x + 1), fx.symbolic_trace(lambda x: x + 2)
    assert one(1) == 2 and two(1) == 3 and type(one) is not type(two)


def test_submodules():
    module = traced()
    assert module.add_submodule("extra.a", nn.ReLU()) and not module.add_submodule("0.weight.b", nn.ReLU())
    assert module.delete_submodule("1") and not module.delete_submodule("nope.b")
    module.delete_all_unused_submodules()
    assert [name for name, _ in module.named_modules()] == ["", "0"]


def test_attributes_of_a_root():
    graph = fx.Graph()
    x = graph.placeholder("x")
    weight = graph.get_attr("deep.w")
    graph.output(graph.call_module("lin", (graph.call_function(torch.mul, (x, weight)),)))
    root = {"deep.w": nn.Parameter(torch.full((2,), 2.0)), "lin": nn.Identity()}
    module = fx.GraphModule(root, graph)
    assert module(torch.ones(2)).tolist() == [2.0, 2.0] and sorted(module.state_dict()) == ["deep.w"]
    with pytest.raises(RuntimeError, match="referenced target deep.w but that target was not provided"):
        fx.GraphModule({}, graph)
    with pytest.raises(RuntimeError, match="Unsupported type"):
        fx.GraphModule(3, graph)


def test_training_and_gradients():
    module = fx.symbolic_trace(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)))
    assert not module.eval().training and not module.get_submodule("1").training
    module(torch.ones(1, 2)).sum().backward()
    assert module.get_submodule("0").weight.grad.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    model = nn.Linear(2, 2).eval()
    assert not fx.symbolic_trace(model).training


def test_errors_show_the_generated_line():

    module = fx.symbolic_trace(lambda x: torch.mm(x, x))
    with pytest.raises(RuntimeError) as info:
        module(torch.ones(1))
    assert "mm = torch.mm(x, x)" in "".join(traceback.format_tb(info.tb))


def test_folders(tmp_path):
    module = traced()
    module.to_folder(tmp_path / "saved", "Saved")
    text = (tmp_path / "saved" / "module.py").read_text(encoding="utf-8")
    space = {}
    exec(compile(text, "module.py", "exec"), space)
    x = torch.rand(2, 3)
    assert torch.equal(space["Saved"]()(x), module(x))
