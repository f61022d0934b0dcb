"""state_dict and load_state_dict: keys, versions, messages, assignment, extra state and hooks."""
from collections import OrderedDict

import pytest

import rushlight as rl
from rushlight import nn


def test_keys_and_versions():
    model = nn.Sequential(nn.Linear(1, 2), nn.BatchNorm1d(2))
    state = model.state_dict(prefix="m.")
    assert list(state) == [
        "m.0.weight", "m.0.bias", "m.1.weight", "m.1.bias", "m.1.running_mean", "m.1.running_var",
        "m.1.num_batches_tracked",
    ]  # fmt: skip
    assert state._metadata == {"m": {"version": 1}, "m.0": {"version": 1}, "m.1": {"version": 2}}
    assert isinstance(state, OrderedDict)
    assert not state["m.0.weight"].requires_grad and type(state["m.0.weight"]) is rl.Tensor
    assert model.state_dict(keep_vars=True)["0.weight"] is model[0].weight


def test_load_copies():
    first, second = nn.Linear(2, 3), nn.Linear(2, 3)
    weight = second.weight
    assert repr(second.load_state_dict(first.state_dict())) == "<All keys matched successfully>"
    assert second.weight is weight and rl.equal(weight, first.weight)
    assert weight.data_ptr() != first.weight.data_ptr()


def test_messages():
    layer = nn.Linear(2, 3)
    with pytest.raises(TypeError, match="Expected state_dict to be dict-like, got <class 'int'>"):
        layer.load_state_dict(3)
    with pytest.raises(RuntimeError) as caught:
        layer.load_state_dict({})
    assert str(caught.value) == (
        'Error(s) in loading state_dict for Linear:\n\tMissing key(s) in state_dict: "weight", "bias". '
    )
    with pytest.raises(RuntimeError) as caught:
        layer.load_state_dict({"weight": rl.zeros(1), "bias": 3, "foo.bar": 1})
    text = str(caught.value)
    assert '\n\tUnexpected key(s) in state_dict: "foo.bar". ' in text
    assert "size mismatch for weight: copying a param with shape" in text
    assert 'While copying the parameter named "bias", expected torch.Tensor or Tensor-like object' in text
    result = layer.load_state_dict({"weight": rl.zeros(3, 2), "x": rl.zeros(1)}, strict=False)
    assert result.missing_keys == ["bias"] and result.unexpected_keys == ["x"]
    assert layer.weight.abs().sum().item() == 0


def test_scalar_from_vector():
    class Scalar(nn.Module):
        def __init__(self):
            super().__init__()
            self.value = nn.Parameter(rl.tensor(1.0))

    module = Scalar()
    module.load_state_dict({"value": rl.tensor([5.0])})
    assert module.value.item() == 5 and module.value.shape == ()


def test_assign():
    layer = nn.Linear(2, 3)
    layer.bias.requires_grad_(False)
    weight, bias = rl.ones(3, 2), rl.zeros(3)
    layer.load_state_dict({"weight": weight, "bias": bias}, assign=True)
    assert isinstance(layer.weight, nn.Parameter) and layer.weight.data_ptr() == weight.data_ptr()
    assert layer.weight.requires_grad and not layer.bias.requires_grad


def test_extra_state():
    class Extra(nn.Module):
        loaded = None

        def get_extra_state(self):
            return {"a": 1}

        def set_extra_state(self, state):
            self.loaded = state

    model = nn.Sequential(Extra())
    state = model.state_dict()
    assert state == {"0._extra_state": {"a": 1}}
    model.load_state_dict(state)
    assert model[0].loaded == {"a": 1}
    with pytest.raises(RuntimeError, match='Missing key.s. in state_dict: "0._extra_state"'):
        model.load_state_dict({})
    with pytest.raises(RuntimeError, match="Unexpected key"):
        nn.Sequential(nn.ReLU()).load_state_dict(state)


def test_hooks():
    model, seen = nn.Sequential(nn.Linear(1, 1)), []
    model[0].register_state_dict_pre_hook(lambda m, prefix, keep: seen.append(("pre", prefix, keep)))
    model[0].register_state_dict_post_hook(lambda m, state, prefix, meta: seen.append(("post", list(state))))
    model._register_state_dict_hook(lambda m, state, prefix, meta: {k.upper(): v for k, v in state.items()})
    assert list(model.state_dict()) == ["0.WEIGHT", "0.BIAS"]
    assert seen == [("pre", "0.", False), ("post", ["0.weight", "0.bias"])]
    bad = nn.Linear(1, 1)
    bad.register_state_dict_post_hook(lambda *args: {})
    with pytest.raises(RuntimeError, match="state_dict post-hook must return None"):
        bad.state_dict()


def test_load_hooks():
    layer, seen = nn.Linear(1, 1), []

    def rename(module, state, prefix, *rest):
        seen.append(module is layer)
        state[prefix + "weight"] = state.pop(prefix + "old")

    layer.register_load_state_dict_pre_hook(rename)
    layer.register_load_state_dict_post_hook(lambda m, keys: seen.append(keys.missing_keys))
    given = {"old": rl.ones(1, 1), "bias": rl.zeros(1)}
    layer.load_state_dict(given)
    assert seen == [True, []] and layer.weight.item() == 1 and "old" in given
    layer.register_load_state_dict_post_hook(lambda m, keys: 3)
    with pytest.raises(AssertionError, match="not expected to return new values"):
        layer.load_state_dict({"old": rl.ones(1, 1), "bias": rl.zeros(1)})


def test_old_batch_norm_states():
    state = nn.BatchNorm1d(2).state_dict()
    del state["num_batches_tracked"]
    with pytest.raises(RuntimeError, match="num_batches_tracked"):
        nn.BatchNorm1d(2).load_state_dict(state)
    state._metadata.clear()
    nn.BatchNorm1d(2).load_state_dict(state)


def test_consume_prefix():
    state = OrderedDict([("module.a", 1), ("module.b.c", 2)])
    state._metadata = OrderedDict([("", {}), ("module", {"version": 1}), ("module.b", {"version": 2})])
    nn.modules.utils.consume_prefix_in_state_dict_if_present(state, "module.")
    assert list(state) == ["a", "b.c"]
    assert state._metadata == {"": {"version": 1}, "b": {"version": 2}}
