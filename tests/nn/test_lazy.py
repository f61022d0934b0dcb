"""Lazy modules: what works before the first call, and what they become then."""
import copy
import pickle

import pytest

import rushlight as rl
from rushlight import nn


def model():
    return nn.Sequential(
        nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)
    )


def test_first_call():
    net = model()
    assert repr(net[4]) == "LazyLinear(in_features=0, out_features=2, bias=True)"
    assert repr(net[4].weight) == "<UninitializedParameter>" and net[4].has_uninitialized_params()
    weight = net[4].weight
    assert net(rl.ones(2, 3, 5, 5)).shape == (2, 2)
    assert [type(layer) for layer in net] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Flatten, nn.Linear]
    assert net[4].weight is weight and type(weight) is nn.Parameter and weight.shape == (2, 36)
    assert net[4].in_features == 36 and net[0].in_channels == 3 and net[1].running_mean.shape == (4,)
    assert not net[4]._forward_pre_hooks and not hasattr(net[4], "_initialize_hook")


def test_same_values_as_the_ordinary_layer():
    rl.manual_seed(0)
    lazy = nn.LazyLinear(3)
    lazy(rl.ones(1, 4))
    rl.manual_seed(0)
    assert rl.equal(lazy.weight, nn.Linear(4, 3).weight)


def test_states():
    filled, empty = model(), model()
    filled(rl.ones(2, 3, 5, 5))
    assert list(empty.state_dict()) == list(filled.state_dict())
    empty.load_state_dict(filled.state_dict())
    assert isinstance(empty[0], nn.LazyConv2d) and rl.equal(empty[0].weight, filled[0].weight)
    x = rl.randn(2, 3, 5, 5)
    filled.eval()
    assert rl.allclose(empty.eval()(x), filled(x), atol=1e-6) and type(empty[0]) is nn.Conv2d
    with pytest.raises(RuntimeError, match="Can't access the shape of an uninitialized parameter or buffer"):
        nn.Linear(2, 3).load_state_dict(nn.LazyLinear(3).state_dict())


def test_use_before_the_first_call():
    weight = nn.LazyLinear(3).weight
    with pytest.raises(RuntimeError, match="Can't access the shape"):
        weight.shape
    for use in (lambda: weight + 1, lambda: 2 * weight, lambda: weight.sum()):
        with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter"):
            use()
    with pytest.raises(RuntimeError, match="Can't share memory"):
        weight.share_memory_()


def test_casts_and_copies():
    norm = nn.LazyBatchNorm1d().double()
    assert norm.running_mean.dtype is rl.float64
    assert norm(rl.ones(2, 3, dtype=rl.float64)).dtype is rl.float64
    for clone in (copy.deepcopy(nn.LazyLinear(3)), pickle.loads(pickle.dumps(nn.LazyLinear(3)))):
        assert clone(rl.ones(1, 2)).shape == (1, 3) and type(clone) is nn.Linear


def test_wrong_input():
    with pytest.raises(RuntimeError, match="Expected 3D .unbatched. or 4D .batched. input to LazyConv2d"):
        nn.LazyConv2d(4, 3)(rl.zeros(3, 3))
    with pytest.raises(ValueError, match="in_channels must be divisible by groups"):
        nn.LazyConv2d(4, 3, groups=2)(rl.zeros(1, 3, 5, 5))
