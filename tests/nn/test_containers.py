"""Containers: what lists and dictionaries can do, names, repr."""
from collections import OrderedDict

import pytest

import rushlight as rl
from rushlight import nn


def kinds(container):
    return [type(module).__name__ for module in container]


def parameter(*shape):
    return nn.Parameter(rl.zeros(*shape))


def test_sequential():
    model = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid())
    assert kinds(model[:2]) == ["ReLU", "Tanh"] and kinds([model[-1]]) == ["Sigmoid"]
    model.insert(1, nn.ELU())
    model.append(nn.SELU()).extend([nn.GELU()])
    assert kinds(model) == ["ReLU", "ELU", "Tanh", "Sigmoid", "SELU", "GELU"]
    assert list(model._modules) == list("012345")
    assert kinds([model.pop(1)]) == ["ELU"]
    del model[-2:]
    assert kinds(model) == ["ReLU", "Tanh", "Sigmoid"]
    model[0] = nn.ELU()
    assert kinds(model + nn.Sequential(nn.ReLU())) == ["ELU", "Tanh", "Sigmoid", "ReLU"]
    assert kinds(nn.Sequential(nn.ReLU()) * 3) == ["ReLU"] * 3
    assert nn.Sequential()(5) == 5
    named = nn.Sequential(OrderedDict(a=nn.ReLU(), b=nn.Tanh()))
    assert list(named._modules) == ["a", "b"] and named.a is named[0]


def test_sequential_errors():
    model = nn.Sequential(nn.ReLU())
    with pytest.raises(IndexError, match="index 5 is out of range"):
        model[5]
    with pytest.raises(TypeError, match="int is not a Module subclass"):
        nn.Sequential(3)
    with pytest.raises(ValueError, match="Non-positive multiplication factor 0"):
        model * 0
    with pytest.raises(ValueError, match="add operator supports only objects of Sequential class"):
        model + 3
    with pytest.raises(IndexError, match="Index out of range: 9"):
        model.insert(9, nn.ReLU())


def test_module_list():
    layers = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1), nn.ReLU()])
    assert repr(layers) == (
        "ModuleList(\n  (0-1): 2 x Linear(in_features=1, out_features=1, bias=True)\n  (2): ReLU()\n)"
    )
    layers.insert(0, nn.Tanh())
    layers += [nn.ELU()]
    assert kinds(layers) == ["Tanh", "Linear", "Linear", "ReLU", "ELU"] and kinds(layers[1:3]) == ["Linear"] * 2
    assert kinds([layers.pop(0)]) == ["Tanh"] and len(layers) == 4
    del layers[0]
    assert list(layers._modules) == ["0", "1", "2"] and repr(nn.ModuleList()) == "ModuleList()"
    with pytest.raises(TypeError, match="ModuleList.extend should be called with an iterable, but got int"):
        layers.extend(3)
    with pytest.raises(NotImplementedError):
        layers(1)


def test_module_dict():
    table = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()})
    table["c"] = nn.ELU()
    assert list(table) == ["a", "b", "c"] and "b" in table and len(table) == 3
    assert kinds([table.pop("a")]) == ["ReLU"] and kinds(table.values()) == ["Tanh", "ELU"]
    table.update([("d", nn.SELU())])
    with pytest.raises(ValueError, match="sequence element #0 has length 1; 2 is required"):
        table.update([("d",)])
    with pytest.raises(KeyError, match="attribute 'keys' already exists"):
        table.update({"keys": nn.ReLU()})
    with pytest.raises(KeyError):
        table["nothing"]
    table.clear()
    assert repr(table) == "ModuleDict()" and not hasattr(table, "d")


def test_parameter_list():
    values = nn.ParameterList([parameter(2, 3), rl.ones(1), "text"])
    assert repr(values) == (
        "ParameterList(\n    (0): Parameter containing: [torch.float32 of size 2x3]\n"
        "    (1): Parameter containing: [torch.float32 of size 1]\n    (2): Object of type: str\n)"
    )
    assert isinstance(values[1], nn.Parameter) and list(values.state_dict()) == ["0", "1"] and len(values) == 3
    values.append(parameter(4))
    values[0] = parameter(5)
    assert values[0].shape == (5,) and values[-1].shape == (4,) and [len(values[1:])] == [3]
    with pytest.raises(IndexError, match="index 9 is out of range"):
        values[9]
    with pytest.raises(TypeError, match="ParameterList.extend should be called with an iterable, but got Parameter"):
        values.extend(parameter(2))
    with pytest.raises(RuntimeError, match="ParameterList should not be called"):
        values(1)


def test_parameter_dict():
    table = nn.ParameterDict({"b": parameter(2), "a": 3})
    assert list(table) == ["a", "b"] and list(table.state_dict()) == ["b"]
    table["c"] = rl.ones(1)
    assert isinstance(table["c"], nn.Parameter) and table.get("x", 5) == 5
    assert [key for key, _ in table.items()] == ["a", "b", "c"] and list(reversed(table)) == ["c", "b", "a"]
    assert list(table | {"d": parameter(1)}) == ["a", "b", "c", "d"]
    assert table.pop("a") == 3 and table.popitem()[0] == "c" and table.setdefault("n", 7) == 7
    assert list(nn.ParameterDict().fromkeys(["x", "y"], 1)) == ["x", "y"]
    with pytest.raises(TypeError, match="cannot be used as a key"):
        table[3] = parameter(1)
    table.clear()
    assert len(table) == 0


def test_training_through_containers():
    model = nn.ModuleDict({"first": nn.Linear(2, 2), "rest": nn.ModuleList([nn.Linear(2, 1)])})
    out = model["rest"][0](model["first"](rl.ones(1, 2)))
    out.sum().backward()
    assert all(p.grad is not None for p in model.parameters())
