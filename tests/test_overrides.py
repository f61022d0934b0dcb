"""`torch.overrides`: subclasses of Tensor, objects that look like tensors, modes."""
import copy
import inspect
import pickle

import pytest

import rushlight as torch
from rushlight import overrides


class Sub(torch.Tensor):
    """A subclass that changes nothing."""


class Other(torch.Tensor):
    """A subclass that `Sub` knows nothing of."""


class Deeper(Sub):
    """A subclass of a subclass."""


class Tagged(torch.Tensor):
    """A subclass that notes what it sees and hands a tag on."""

    seen = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.seen.append(overrides.resolve_name(func))
        result = super().__torch_function__(func, types, args, kwargs)
        if isinstance(result, Tagged):
            result.tag = next((a.tag for a in args if isinstance(a, Tagged) and hasattr(a, "tag")), None)
        return result


def sub(*values, cls=Sub):
    return torch.tensor(values).as_subclass(cls)


def test_results_keep_the_subclass():
    x = sub(1.0, 2.0)
    y = torch.ones(2)
    for result in (x + 1, 1 - x, y * x, torch.exp(x), torch.stack([y, x]), x[0], x.view(2, 1), x.sum(), x.clone(), -x,
                   torch.zeros_like(x), torch.nn.functional.relu(x), x.to(torch.float64), x.split(1)[1]):
        assert type(result) is Sub
    values, indices = x.sort()
    assert type(values) is type(indices) is Sub
    assert type(x.shape) is torch.Size and type(x.sum().item()) is float and type(x.tolist()) is list


def test_construction_and_conversion():
    assert type(Sub([1.0, 2.0])) is Sub and Sub([1.0, 2.0]).tolist() == [1.0, 2.0]
    assert type(Sub(2, 3)) is Sub and Sub(2, 3).shape == (2, 3)
    made = torch.Tensor._make_subclass(Sub, torch.ones(2), True)
    assert made.requires_grad and made.is_leaf and type(made) is Sub
    with pytest.raises(TypeError):
        torch.ones(2).as_subclass(int)

    class Named(torch.Tensor):
        def __new__(cls, data, title):
            return super().__new__(cls, data)

        def __init__(self, data, title):
            self.title = title

    x = Named([1.0], "n")
    assert x.title == "n" and type(x * 2) is Named


def test_in_place_and_attributes():
    x = sub(1.0, 2.0)
    x.note = "n"
    y = x
    x += 1
    assert x is y and x.note == "n" and x.tolist() == [2.0, 3.0]
    assert type(x.add_(1)) is Sub


def test_copies_and_pickles():
    x = sub(1.0, 2.0)
    x.note = [1]
    for other in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert type(other) is Sub and other.note == [1] and other.tolist() == [1.0, 2.0]
    assert type(copy.copy(x)) is Sub


def test_gradients_of_subclasses():
    x = torch.ones(2, requires_grad=True)
    y = x.as_subclass(Sub)
    assert type(y.grad_fn).__name__ == "AliasBackward0"
    (y * 3).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0] and type(x.grad) is torch.Tensor
    leaf = sub(1.0, 2.0).requires_grad_()
    (leaf * leaf).sum().backward()
    assert type(leaf.grad) is torch.Tensor and leaf.grad.tolist() == [2.0, 4.0]


def test_parameters_do_not_override():
    weight = torch.nn.Parameter(torch.ones(2))
    assert type(weight * 2) is torch.Tensor
    assert not overrides.has_torch_function((weight,))
    assert type(weight * sub(1.0, 2.0)) is Sub


def test_what_a_subclass_sees():
    x = sub(1.0, 2.0, cls=Tagged)
    x.tag = "t"
    Tagged.seen.clear()
    y = (x * 2).sum()
    assert y.tag == "t"
    assert x.shape == (2,)
    x.requires_grad = True
    assert Tagged.seen == ["torch.Tensor.mul", "torch.Tensor.sum", "torch.Tensor.shape.__get__",
                           "torch.Tensor.requires_grad.__set__"]


def test_precedence():
    x, deeper = sub(1.0), sub(1.0, cls=Deeper)
    assert type(x + deeper) is type(deeper + x) is Deeper
    with pytest.raises(TypeError, match="unsupported operand type"):
        x + sub(1.0, cls=Other)
    with pytest.raises(TypeError, match=r"Multiple dispatch failed for 'torch.add'; all __torch_function__ handlers "
                                        r"returned NotImplemented:\n\n  - tensor subclass <class .*Sub'>\n"):
        torch.add(x, sub(1.0, cls=Other))
    with pytest.raises(TypeError, match="no implementation found for 'torch.nn.functional.relu' on types that "
                                        "implement __torch_function__: "):
        torch.nn.functional.relu(Refusing())


class Refusing:
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return NotImplemented


HANDLED = {}


class Diagonal:
    """An n x n matrix with one value on its diagonal: looks like a tensor and is none."""

    def __init__(self, n, value):
        self.n, self.value = n, value

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func not in HANDLED or not all(issubclass(t, (torch.Tensor, Diagonal)) for t in types):
            return NotImplemented
        return HANDLED[func](*args, **(kwargs or {}))


HANDLED[torch.mean] = lambda input: input.value / input.n
HANDLED[torch.Tensor.add] = lambda input, other: ("method", type(input), type(other))
HANDLED[torch.nn.functional.linear] = lambda input, weight, bias=None: ("linear", bias)
HANDLED[torch.cat] = lambda tensors, dim=0: ("cat", dim)


def test_objects_that_look_like_tensors():
    x = Diagonal(5, 2)
    assert torch.mean(x) == 0.4
    assert torch.nn.functional.linear(x, torch.ones(2, 2)) == ("linear", None)
    assert torch.cat([torch.ones(2), x], dim=1) == ("cat", 1)
    assert torch.ones(2) + x == ("method", torch.Tensor, Diagonal)
    with pytest.raises(TypeError, match="Multiple dispatch failed for 'torch.exp'"):
        torch.exp(x)


def test_a_type_error_without_such_objects_stays():
    with pytest.raises(TypeError, match="must be Tensor, not str"):
        torch.exp("a")


def test_modes():
    class Sevens(overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func is torch.Tensor.add:
                return 7
            return NotImplemented if func is torch.exp else func(*args, **(kwargs or {}))

    x = torch.ones(2)
    with Sevens() as mode:
        assert x + 1 == 7
        assert torch.add(x, 1).tolist() == [2.0, 2.0]
        assert overrides._get_current_function_mode() is mode
        assert overrides.has_torch_function(()) and torch._C._is_torch_function_mode_enabled()
        with pytest.raises(TypeError, match="mode object"):
            torch.exp(x)
        with torch._C.DisableTorchFunction():
            assert (x + 1).tolist() == [2.0, 2.0]
        with torch._C.DisableTorchFunctionSubclass():
            assert x + 1 == 7
    assert overrides._get_current_function_mode() is None and not overrides.has_torch_function((x,))


def test_disabling_subclasses():
    x = sub(1.0)
    assert torch._C._is_torch_function_enabled()
    with torch._C.DisableTorchFunctionSubclass():
        assert type(x + 1) is torch.Tensor
        assert not overrides.has_torch_function_unary(x) and not torch._C._is_torch_function_enabled()
        with overrides.enable_reentrant_dispatch():
            assert type(x + 1) is Sub
    assert overrides.has_torch_function_variadic(1, x)


def test_functions_of_programs_take_part():
    def scale(x, factor=2):
        if overrides.has_torch_function((x,)):
            return overrides.handle_torch_function(scale, (x,), x, factor=factor)
        return x * factor

    wrapped = overrides.wrap_torch_function(lambda x, **rest: (x,))(lambda x: x * 2)

    class Echo:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return func, types, args[1:], kwargs

    assert scale(torch.ones(1)).item() == 2.0
    assert scale(Echo(), 3) == (scale, (Echo,), (), {"factor": 3})
    assert wrapped(Echo())[0] is wrapped and wrapped(torch.ones(1)).item() == 2.0


def test_names_and_lists():
    assert overrides.resolve_name(torch.Tensor.add) == "torch.Tensor.add"
    assert overrides.resolve_name(torch.Tensor.shape.__get__) == "torch.Tensor.shape.__get__"
    assert overrides.resolve_name(torch.nn.functional.relu) == "torch.nn.functional.relu"
    assert overrides.resolve_name(test_modes) is None
    assert overrides.is_tensor_like(torch.ones(1)) and overrides.is_tensor_like(Diagonal(1, 1))
    assert not overrides.is_tensor_like(1)
    assert overrides.is_tensor_method_or_property(torch.Tensor.add)
    assert overrides.is_tensor_method_or_property(torch.Tensor.shape.__get__)
    assert not overrides.is_tensor_method_or_property(torch.add)
    spaces = overrides.get_overridable_functions()
    assert torch.add in spaces[torch] and torch.Tensor.add in spaces[torch.Tensor]
    assert torch.nn.functional.conv2d in spaces[torch.nn.functional]
    stand_in = overrides.get_testing_overrides()[torch.nn.functional.linear]
    assert stand_in(1, 2) == -1 and list(inspect.signature(stand_in).parameters)[:3] == ["input", "weight", "bias"]
    assert torch.Tensor.as_subclass in overrides.get_ignored_functions()
