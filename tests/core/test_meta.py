"""The device "meta": operators give layouts without memory."""

import pytest

import rushlight as rl
from rushlight import nn


def test_results_are_described():
    x = rl.empty(3, 4, device="meta")
    y = ((x + 1) @ rl.ones(4, 2, device="meta")).relu().sum(0)
    assert y.device.type == "meta" and y.shape == (2,) and y.dtype is rl.float32
    assert rl.zeros(10**9, 10**6, device="meta").shape == (10**9, 10**6)
    assert repr(x) == "tensor(..., device='meta', size=(3, 4))"
    assert x.mul_(2) is x and x._version == 1


def test_values_are_refused():
    x = rl.ones(1, device="meta")
    with pytest.raises(RuntimeError, match="cannot be called on meta tensors"):
        x.item()
    for read in (x.tolist, lambda: x.to("cpu")):
        with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor; no data!"):
            read()
    for mixed in (lambda: x + rl.ones(2), lambda: rl.ones(2) + x):
        with pytest.raises(RuntimeError, match="same device"):
            mixed()


def test_modules_are_described_before_they_are_loaded():
    with rl.device("meta"):
        model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 6 * 6, 10))
        out = model(rl.randn(2, 3, 8, 8))
        out.sum().backward()
    assert out.shape == (2, 10) and model[0].weight.grad.device.type == "meta"
    layer = nn.Linear(3, 4, device="meta")
    layer.load_state_dict(nn.Linear(3, 4).state_dict(), assign=True)
    assert layer(rl.ones(1, 3)).shape == (1, 4)
    assert nn.Linear(3, 4, device="meta").to_empty(device="cpu").weight.device.type == "cpu"
