"""Hooks of modules: order, arguments, what they may change, gradients, and how they are taken away."""
import warnings

import pytest

import rushlight as rl
from rushlight import nn
from rushlight.nn.modules import module as modules


def numbers(value):
    if isinstance(value, rl.Tensor):
        return value.detach().tolist()
    if isinstance(value, tuple):
        return tuple(numbers(entry) for entry in value)
    return value


class Double(nn.Module):
    def forward(self, a, b=None, scale=2):
        return a * scale if b is None else (a * scale, b * 3)


def test_order_and_arguments():
    layer, seen = Double(), []
    layer.register_forward_pre_hook(lambda m, args: seen.append(("pre", numbers(args))))
    layer.register_forward_pre_hook(lambda m, args, kw: seen.append(("pre kw", kw)), with_kwargs=True, prepend=True)
    layer.register_forward_hook(lambda m, args, out: seen.append(("post", numbers(out))))
    layer.register_forward_hook(lambda m, args, kw, out: seen.append(("post kw", kw)), with_kwargs=True, prepend=True)
    layer(rl.ones(1), scale=5)
    assert seen == [("pre kw", {"scale": 5}), ("pre", ([1.0],)), ("post kw", {"scale": 5}), ("post", [5.0])]


def test_changes():
    layer = Double()
    with layer.register_forward_pre_hook(lambda m, args: args[0] + 1):
        assert layer(rl.ones(1)).item() == 4
    with layer.register_forward_pre_hook(lambda m, args, kw: (args, {"scale": 7}), with_kwargs=True):
        assert layer(rl.ones(1)).item() == 7
    with layer.register_forward_hook(lambda m, args, out: out * 10):
        assert layer(rl.ones(1)).item() == 20
    with layer.register_forward_pre_hook(lambda m, args, kw: 3, with_kwargs=True):
        with pytest.raises(RuntimeError, match="forward pre-hook must return None or a tuple"):
            layer(rl.ones(1))
    assert layer(rl.ones(1)).item() == 2 and not layer._has_hooks


def test_always_called():
    class Broken(nn.Module):
        def forward(self, x):
            raise ValueError("broken")

    layer, seen = Broken(), []
    layer.register_forward_hook(lambda m, args, out: seen.append("never"))
    layer.register_forward_hook(lambda m, args, out: seen.append(out), always_call=True)
    with pytest.raises(ValueError, match="broken"):
        layer(1)
    assert seen == [None]


def test_global_hooks():
    layer, seen = Double(), []
    handles = [
        modules.register_module_forward_pre_hook(lambda m, args: seen.append("global pre")),
        modules.register_module_forward_hook(lambda m, args, out: seen.append("global post")),
    ]
    layer.register_forward_hook(lambda m, args, out: seen.append("own post"))
    layer(rl.ones(1))
    for handle in handles:
        handle.remove()
    layer(rl.ones(1))
    assert seen == ["global pre", "global post", "own post", "own post"]
    assert Double()(rl.ones(1)).item() == 2 and not nn.Module._has_hooks


def test_full_backward_hooks():
    layer, seen = Double(), []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append(("grad", numbers(gi), numbers(go))))
    layer.register_full_backward_pre_hook(lambda m, go: seen.append(("pre", numbers(go))))
    x = rl.ones(2, requires_grad=True)
    layer(x).sum().backward()
    assert seen == [("pre", ([1.0, 1.0],)), ("grad", ([2.0, 2.0],), ([1.0, 1.0],))]
    assert x.grad.tolist() == [2.0, 2.0]


def test_backward_hooks_change_gradients():
    layer = Double()
    layer.register_full_backward_pre_hook(lambda m, go: (go[0] * 3,))
    layer.register_full_backward_hook(lambda m, gi, go: (gi[0] + 100,))
    x = rl.ones(1, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.item() == 106


def test_backward_hooks_of_several_tensors():
    layer, seen = Double(), []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((len(gi), numbers(gi[0]), numbers(go))))
    x = rl.ones(1, requires_grad=True)
    first, second = layer(x, rl.ones(1))
    first.sum().backward()
    assert seen == [(2, [2.0], ([1.0], None))] and not second.requires_grad


def test_backward_hooks_without_input_gradients():
    layer, seen = nn.Linear(2, 1), []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, numbers(go))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer(rl.ones(1, 2)).sum().backward()
    assert seen == [((None,), ([[1.0]],))] and layer.weight.grad is not None


def test_backward_hooks_in_depth():
    seen = []
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    for name, layer in model.named_modules():
        layer.register_full_backward_hook(lambda m, gi, go, name=name: seen.append(name))
    x = rl.ones(1, 2, requires_grad=True)
    model(x).sum().backward()
    assert seen == ["2", "1", "0", ""]


def test_wrong_backward_hooks():
    x = rl.ones(1, requires_grad=True)
    layer = Double()
    with layer.register_full_backward_hook(lambda m, gi, go: (1, 2)):
        with pytest.raises(RuntimeError, match="invalid number of grad_input, got 2, but expected 1"):
            layer(x).backward()
    with pytest.raises(RuntimeError, match="Cannot use both regular backward hooks and full backward hooks"):
        layer.register_backward_hook(lambda m, gi, go: None)


def test_global_backward_hooks():
    seen = []
    handle = modules.register_module_full_backward_hook(lambda m, gi, go: seen.append(type(m).__name__))
    x = rl.ones(1, requires_grad=True)
    Double()(x).backward()
    handle.remove()
    Double()(x).backward()
    assert seen == ["Double"]


def test_no_grad_mode():
    layer, seen = Double(), []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append(1))
    with rl.no_grad():
        assert not layer(rl.ones(1, requires_grad=True)).requires_grad
    assert not seen
