"""Module: registration, attributes, walking the tree, casting, copies; against PyTorch's documented behaviour."""
import copy
import gc
import pickle
import weakref
from collections import OrderedDict

import pytest

import rushlight as rl
from rushlight import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.scale = nn.Parameter(rl.ones(2))
        self.register_buffer("count", rl.zeros(1))
        self.register_buffer("cache", rl.zeros(1), persistent=False)

    def forward(self, x):
        return self.fc(x) * self.scale


class Wrapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.module = nn.Linear(1, 1)

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.module, name)


def names(pairs):
    return [name for name, _ in pairs]


def test_registration():
    net = Net()
    assert names(net.named_parameters()) == ["scale", "fc.weight", "fc.bias"]
    assert names(net.named_buffers()) == ["count", "cache"]
    assert names(net.named_children()) == ["fc"]
    assert list(net.state_dict()) == ["scale", "count", "fc.weight", "fc.bias"]
    assert net.fc is net._modules["fc"] and net.scale is net._parameters["scale"]
    assert net(rl.ones(4, 3)).shape == (4, 2)


@pytest.mark.parametrize(
    "value, message",
    [
        (lambda: nn.Linear(1, 1), "cannot assign module before Module.__init__() call"),
        (lambda: nn.Parameter(rl.zeros(1)), "cannot assign parameters before Module.__init__() call"),
        (lambda: nn.Buffer(rl.zeros(1)), "cannot assign buffer before Module.__init__() call"),
    ],
)
def test_before_init(value, message):
    class Early(nn.Module):
        def __init__(self):
            self.x = value()

    with pytest.raises(AttributeError) as caught:
        Early()
    assert str(caught.value) == message


def test_plain_attributes_before_init():
    class Early(nn.Module):
        def __init__(self):
            self.x = 1
            self.x = 2
            super().__init__()

    assert Early().x == 2


def test_wrong_assignments():
    net = Net()
    with pytest.raises(TypeError, match="as parameter 'scale' .torch.nn.Parameter or None expected"):
        net.scale = rl.zeros(2)
    with pytest.raises(TypeError, match="as parameter 'scale'"):
        net.scale = nn.Linear(1, 1)
    with pytest.raises(TypeError, match="as child module 'fc'"):
        net.fc = 3
    with pytest.raises(TypeError, match="as buffer 'count'"):
        net.count = 3
    net.scale = net.count = net.fc = None
    assert net.scale is None and net.count is None and net.fc is None
    assert list(net.state_dict()) == []


def test_wrong_registrations():
    net = Net()
    for register, kind in ((net.register_buffer, "buffer"), (net.register_parameter, "parameter")):
        with pytest.raises(TypeError, match=f"{kind} name should be a string. Got int"):
            register(1, None)
        with pytest.raises(KeyError, match=f"{kind} name can.*t contain"):
            register("a.b", None)
        with pytest.raises(KeyError, match=f"{kind} name can.*t be empty"):
            register("", None)
        with pytest.raises(KeyError, match="attribute 'forward' already exists"):
            register("forward", None)
    with pytest.raises(TypeError, match="int is not a Module subclass"):
        net.add_module("x", 3)
    with pytest.raises(TypeError, match="torch.nn.Parameter or None required"):
        net.register_parameter("y", rl.zeros(1))


def test_kinds_replace_each_other():
    net = Net()
    net.cache = nn.Parameter(rl.ones(1))
    assert "cache" in net._parameters and "cache" not in net._buffers and "cache" in net.state_dict()
    net.fc = nn.Parameter(rl.ones(1))
    assert "fc" not in net._modules
    net.count = nn.ReLU()
    assert list(net._modules) == ["count"] and not net._buffers
    net.plain = 1
    net.plain = nn.ReLU()
    assert isinstance(net.plain, nn.ReLU) and "plain" in net._modules


def test_delete():
    net = Net()
    del net.scale, net.fc, net.count
    for name in ("scale", "fc", "count"):
        with pytest.raises(AttributeError, match=f"'Net' object has no attribute '{name}'"):
            getattr(net, name)
    with pytest.raises(AttributeError):
        del net.nothing


def test_registries_and_attributes_agree():
    net = Net()
    new = nn.Parameter(rl.zeros(2))
    net._parameters["scale"] = new
    assert net.scale is new
    del net._parameters["scale"]
    assert not hasattr(net, "scale")
    net._parameters.update(other=new)
    assert net.other is new and net._parameters.pop("other") is new and not hasattr(net, "other")
    net._modules = OrderedDict(act=nn.ReLU())
    assert not hasattr(net, "fc") and isinstance(net.act, nn.ReLU)
    net._buffers.clear()
    assert not hasattr(net, "count")


def test_getattr_of_wrappers():
    assert Wrapped().in_features == 1
    with pytest.raises(AttributeError):
        Wrapped().nothing


def test_buffers():
    buffer = nn.Buffer(rl.zeros(2), persistent=False)
    net = nn.Module()
    net.b = buffer
    assert isinstance(buffer, nn.Buffer) and "b" in net._buffers and not net.state_dict()
    assert not isinstance(rl.zeros(1), nn.Buffer) and not isinstance(rl.zeros(1), nn.Parameter)
    net.b = rl.ones(3)
    assert net._buffers["b"].shape == (3,)


def test_parameter():
    data = rl.zeros(2)
    parameter = nn.Parameter(data)
    assert parameter.requires_grad and parameter.is_leaf and type(parameter) is nn.Parameter
    assert parameter.data_ptr() == data.data_ptr()
    assert type(parameter + 1) is rl.Tensor
    clone = copy.deepcopy(parameter)
    assert type(clone) is nn.Parameter and clone.data_ptr() != parameter.data_ptr()
    assert not nn.Parameter(data, requires_grad=False).requires_grad
    with pytest.raises(RuntimeError):
        nn.Parameter(rl.zeros(2, dtype=rl.int64))


def test_shared_parameters_and_modules():
    layer = nn.Linear(1, 1)
    model = nn.Sequential(layer, layer, nn.Sequential(layer))
    assert names(model.named_parameters()) == ["0.weight", "0.bias"]
    assert len(names(model.named_parameters(remove_duplicate=False))) == 6
    assert names(model.named_modules()) == ["", "0", "2"]
    assert names(model.named_modules(remove_duplicate=False)) == ["", "0", "1", "2", "2.0"]
    assert len(model.state_dict()) == 6 and len(list(model.children())) == 2


def test_lookup_by_path():
    model = nn.Sequential(nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1)))
    assert model.get_submodule("0.0") is model[0][0] and model.get_submodule("") is model
    assert model.get_parameter("0.0.weight") is model[0][0].weight
    assert model.get_buffer("0.1.running_mean") is model[0][1].running_mean
    for method, path, message in (
        ("get_submodule", "0.9", "Sequential has no attribute `9`"),
        ("get_submodule", "0.0.weight", "`weight` is not an nn.Module"),
        ("get_parameter", "0.1.running_mean", "`running_mean` is not an nn.Parameter"),
        ("get_buffer", "0.0.weight", "`weight` is not a buffer"),
    ):
        with pytest.raises(AttributeError) as caught:
            getattr(model, method)(path)
        assert str(caught.value) == message
    model.set_submodule("0.0", nn.ReLU())
    assert isinstance(model[0][0], nn.ReLU)
    with pytest.raises(AttributeError):
        model.set_submodule("0.7", nn.ReLU(), strict=True)
    with pytest.raises(ValueError):
        model.set_submodule("", nn.ReLU())


def test_casts_keep_parameters():
    net = Net()
    weight = net.fc.weight
    weight.grad = rl.ones_like(weight)
    assert net.double() is net and net.fc.weight is weight
    assert weight.dtype is rl.float64 and weight.grad.dtype is rl.float64 and net.count.dtype is rl.float64
    net.to(rl.float16)
    assert weight.dtype is rl.float16
    net.to("cpu", rl.float32)
    assert weight.dtype is rl.float32
    net.to(rl.zeros(1, dtype=rl.float64))
    assert weight.dtype is rl.float64
    assert net.bfloat16().count.dtype is rl.bfloat16
    norm = nn.BatchNorm1d(2).half()
    assert norm.num_batches_tracked.dtype is rl.int64 and norm.running_mean.dtype is rl.float16
    with pytest.raises(TypeError, match="only accepts floating point or complex"):
        net.to(rl.int32)


def test_modes_and_gradients():
    net = nn.Sequential(Net(), nn.Dropout())
    assert net.training and not net.eval()[0].fc.training and net.train()[1].training
    with pytest.raises(ValueError, match="training mode is expected to be boolean"):
        net.train(1)
    net[0](rl.ones(1, 3)).sum().backward()
    assert net[0].scale.grad is not None
    net.zero_grad(set_to_none=False)
    assert net[0].scale.grad.abs().sum().item() == 0
    net.zero_grad()
    assert net[0].scale.grad is None
    assert not any(p.requires_grad for p in net.requires_grad_(False).parameters())


def test_apply():
    seen = []
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    assert model.apply(lambda module: seen.append(type(module).__name__)) is model
    assert seen == ["Linear", "ReLU", "Sequential"]


def test_repr():
    class Two(nn.Module):
        def extra_repr(self):
            return "a=1\nb=2"

    two = Two()
    assert repr(two) == "Two(\n  a=1\n  b=2\n)"
    two.child = nn.Sequential(nn.Linear(1, 2))
    two.none = None
    two.add_module("missing", None)
    assert repr(two) == (
        "Two(\n  a=1\n  b=2\n  (child): Sequential(\n    (0): Linear(in_features=1, out_features=2, bias=True)\n  )\n"
        "  (missing): None\n)"
    )
    assert repr(nn.ReLU()) == "ReLU()"


def test_copies():
    net = Net()
    model = nn.Sequential(net, net)
    clone = copy.deepcopy(model)
    assert clone[0] is clone[1] and clone[0].fc is not net.fc and clone[0].scale is clone[0]._parameters["scale"]
    clone[0].scale.data.fill_(7)
    assert net.scale.sum().item() == 2
    clone[0]._parameters["scale"] = None
    assert clone[0].scale is None and net.scale is not None
    assert copy.copy(model)[0] is net


def test_pickle():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU())
    clone = pickle.loads(pickle.dumps(model))
    assert repr(clone) == repr(model) and list(clone.state_dict()) == list(model.state_dict())
    assert rl.equal(clone[0].weight, model[0].weight)
    clone[0]._parameters["bias"] = None
    assert clone[0].bias is None


def test_freed_by_reference_counts():
    gc.disable()
    try:
        net = nn.Sequential(Net(), nn.LSTM(2, 3))
        dead = weakref.ref(net[0])
        del net
        assert dead() is None
    finally:
        gc.enable()


def test_forward_is_needed():
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match='Module .Empty. is missing the required "forward" function'):
        Empty()(1)
    with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
        Empty(1)
    with pytest.raises(NotImplementedError):
        Empty().compile()


def test_forward_of_an_object():
    def successor(x):
        return x + 1

    layer = nn.ReLU()
    layer.forward = successor
    assert layer(1) == 2


def test_registration_hooks():
    seen = []
    module = nn.modules.module
    handles = [
        module.register_module_parameter_registration_hook(lambda m, name, value: seen.append(("p", name))),
        module.register_module_buffer_registration_hook(lambda m, name, value: seen.append(("b", name))),
        module.register_module_module_registration_hook(lambda m, name, value: seen.append(("m", name))),
    ]
    net = nn.Module()
    net.w = nn.Parameter(rl.zeros(1))
    net.register_buffer("b", rl.zeros(1))
    net.add_module("m", nn.ReLU())
    for handle in handles:
        handle.remove()
    net.w = nn.Parameter(rl.zeros(1))
    assert seen == [("p", "w"), ("b", "b"), ("m", "m")]
