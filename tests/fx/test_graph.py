"""Graphs and nodes: building, changing, checking, printing."""
import copy
import operator

import pytest

import rushlight as torch
from rushlight import fx, nn
from rushlight.fx.node import map_aggregate


def relu_plus_one():
    graph = fx.symbolic_trace(lambda x: torch.relu(x) + 1).graph
    return graph, {n.name: n for n in graph.nodes}


def test_building_and_printing():
    graph = fx.Graph()
    a = fx.Proxy(graph.placeholder("a"))
    b = fx.Proxy(graph.placeholder("b", type_expr=int, default_value=3))
    c = torch.sigmoid(a) + b
    graph.output((c + c.view(-1)[0]).node, type_expr=torch.Tensor)
    graph.lint()
    assert str(graph) == """graph():
    %a : [num_users=1] = placeholder[target=a]
    %b : int [num_users=1] = placeholder[target=b](default=3)
    %sigmoid : [num_users=1] = call_function[target=torch.sigmoid](args = (%a,), kwargs = {})
    %add : [num_users=2] = call_function[target=operator.add](args = (%sigmoid, %b), kwargs = {})
    %view : [num_users=1] = call_method[target=view](args = (%add, -1), kwargs = {})
    %getitem : [num_users=1] = call_function[target=operator.getitem](args = (%view, 0), kwargs = {})
    %add_1 : [num_users=1] = call_function[target=operator.add](args = (%add, %getitem), kwargs = {})
    return add_1"""
    assert fx.GraphModule({}, graph).code == """


def forward(self, a, b : int = 3) -> torch.Tensor:
    sigmoid = torch.sigmoid(a);  a = None
    add = sigmoid + b;  sigmoid = b = None
    view = add.view(-1)
    getitem = view[0];  view = None
    add_1 = add + getitem;  add = getitem = None
    return add_1
    """


def test_tables(capsys):
    relu_plus_one()[0].print_tabular()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["opcode", "name", "target", "args", "kwargs"]
    assert lines[2].split() == ["placeholder", "x", "x", "()", "{}"] and len(lines) == 6


def test_replacing_uses_and_erasing():
    graph, nodes = relu_plus_one()
    relu, add = nodes["relu"], nodes["add"]
    with pytest.raises(RuntimeError, match="Tried to erase Node relu but it still had 1 users in the graph: {add: No"):
        graph.erase_node(relu)
    with graph.inserting_after(relu):
        new = graph.call_function(torch.sigmoid, (relu,))
    assert relu.replace_all_uses_with(new) == [add, new]
    new.args = (relu,)
    assert list(relu.users) == [new] and new.all_input_nodes == [relu] and add.args == (new, 1)
    assert relu.next is new and new.prev is relu and relu < new
    new.replace_input_with(relu, nodes["x"])
    assert graph.eliminate_dead_code() and [n.name for n in graph.nodes] == ["x", "sigmoid", "add", "output"]
    assert graph.find_nodes(op="call_function", target=torch.sigmoid) == [new]
    assert graph.output_node().args == (add,) and len(graph.nodes) == 4


def test_arguments():
    graph, nodes = relu_plus_one()
    node = nodes["relu"]
    node.update_kwarg("a", 1)
    node.insert_arg(0, 5)
    node.update_arg(0, [6, nodes["x"]])
    assert node.format_node() == \
        "%relu : [num_users=1] = call_function[target=torch.relu](args = ([6, %x], %x), kwargs = {a: 1})"
    with pytest.raises(TypeError, match="'immutable_list' object does not support mutation"):
        node.args[0].append(1)
    with pytest.raises(TypeError, match="'immutable_dict' object does not support mutation"):
        node.kwargs["a"] = 2
    assert list(nodes["x"].users) == [node]


def test_names_are_unique_and_no_names_of_python():
    graph = fx.Graph()
    names = [graph.placeholder("x").name, graph.placeholder("x").name, graph.placeholder("list").name,
             graph.placeholder("input").name, graph.call_module("seq.0").name, graph.call_module("0").name,
             graph.call_function(operator.pow, ()).name, graph.call_method("FooBar", ()).name,
             graph.call_function(torch.sum, ()).name, graph.call_method("x_1", ()).name,
             graph.call_method("__len__", ()).name]
    assert names == ["x", "x_1", "list_1", "input_1", "seq_0", "_0", "pow_1", "foo_bar", "sum_1", "x_2", "len_1"]


def test_checks():
    with pytest.raises(AssertionError, match="op 'foo' is not in _legal_ops"):
        fx.Graph().create_node("foo", "x")
    graph, nodes = relu_plus_one()
    nodes["add"].append(nodes["relu"])
    with pytest.raises(RuntimeError, match="was used before it has been defined"):
        graph.lint()
    traced = fx.symbolic_trace(nn.Sequential(nn.ReLU()))
    next(n for n in traced.graph.nodes if n.op == "call_module").target = "nope.x"
    with pytest.raises(RuntimeError, match="Node _0 target nope.x references nonexistent attribute nope"):
        traced.graph.lint()
    other = fx.Graph()
    other.output(nodes["x"])
    with pytest.raises(RuntimeError, match="does not belong to this Graph"):
        other.lint()


def test_copies():
    graph, nodes = relu_plus_one()
    nodes["relu"].meta["note"] = 1
    other = copy.deepcopy(graph)
    assert str(other) == str(graph) and not set(other.nodes) & set(graph.nodes)
    assert [n.meta.get("note") for n in other.nodes] == [None, 1, None, None]
    target, values = fx.Graph(), {}
    result = target.graph_copy(graph, values)
    assert result is values[nodes["add"]] and len(target.nodes) == 3


def test_dead_code_keeps_side_effects():
    graph = fx.symbolic_trace(lambda x: (x + 1, torch._assert(x.sum() > 0, "a"), x * 2)[2]).graph
    graph.eliminate_dead_code()
    assert [n.name for n in graph.nodes] == ["x", "sum_1", "gt", "_assert", "mul", "output"]


def test_code_can_be_rewritten():
    traced = fx.symbolic_trace(lambda x: x + 1)
    before = traced.code
    with traced.graph.on_generate_code(lambda current: lambda body: ["x = x * 10\n", *body]):
        traced.recompile()
        assert traced(torch.ones(1)).item() == 11.0
    traced.recompile()
    assert traced.code == before


def test_in_place_operators_and_constants():
    graph = fx.Graph()
    x = graph.placeholder("x")
    y = graph.call_function(operator.iadd, (x, float("inf")))
    graph.call_function(operator.setitem, (y, slice(0, 1), 3))
    graph.output((y, torch.float32, torch.device("cpu"), slice(x, None)))
    code = fx.GraphModule({}, graph).code
    assert "x += inf;  iadd = x" in code and "iadd[slice(0, 1, None)] = 3;  setitem = iadd" in code
    assert "return (iadd, torch.float32, device(type='cpu'), slice(x, None, None))" in code


def test_nested_values():
    assert map_aggregate([1, (2, {"a": slice(3, None)})], lambda v: v and v + 1) == [2, (3, {"a": slice(4, None)})]
