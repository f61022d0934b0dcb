"""GradScaler: unscaled steps, skipped steps, the factor, errors in PyTorch's words, states."""
import math
import pickle

import pytest

import rushlight as torch
from rushlight.amp import GradScaler


def problem(**options):
    weight = torch.nn.Parameter(torch.ones(2))
    return GradScaler("cpu", **options), weight, torch.optim.SGD([weight], lr=0.5)


def test_a_step_uses_unscaled_gradients():
    scaler, weight, optimizer = problem()
    loss = scaler.scale((weight * 0.5).sum())
    assert loss.item() == 65536.0
    loss.backward()
    assert weight.grad.tolist() == [32768.0] * 2
    scaler.unscale_(optimizer)
    assert weight.grad.tolist() == [0.5] * 2
    scaler.step(optimizer)
    scaler.update()
    assert weight.tolist() == [0.75] * 2 and scaler.get_scale() == 65536.0


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_bad_step_is_skipped_and_halves_the_factor(bad):
    scaler, weight, optimizer = problem(init_scale=8.0)
    scaler.scale((weight * torch.tensor([1.0, bad])).sum()).backward()
    assert scaler.step(optimizer) is None
    scaler.update()
    assert weight.tolist() == [1.0, 1.0] and scaler.get_scale() == 4.0


def test_the_factor_grows_after_enough_good_steps():
    scaler, weight, optimizer = problem(init_scale=2.0, growth_interval=2, growth_factor=4.0)
    factors = []
    for _ in range(4):
        optimizer.zero_grad()
        scaler.scale(weight.sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        factors.append((scaler.get_scale(), scaler._get_growth_tracker()))
    assert factors == [(2.0, 1), (8.0, 0), (8.0, 1), (32.0, 0)]


def test_the_factor_stays_finite():
    scaler, weight, optimizer = problem(init_scale=3e38, growth_interval=1)
    scaler.scale(weight.sum() * 1e-30).backward()
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == pytest.approx(3e38)


def test_lists_are_scaled():
    scaler = GradScaler("cpu", init_scale=2.0)
    one, (two,) = scaler.scale([torch.ones(1), (torch.ones(1) * 2,)])
    assert one.item() == 2.0 and two.item() == 4.0
    with pytest.raises(ValueError, match="outputs must be a Tensor or an iterable of Tensors"):
        scaler.scale(3)


def test_wrong_order():
    scaler, weight, optimizer = problem()
    with pytest.raises(AssertionError, match="Attempted step but _scale is None"):
        scaler.step(optimizer)
    scaler.scale(weight.sum()).backward()
    with pytest.raises(AssertionError, match="No inf checks were recorded prior to update"):
        scaler.update()
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match=r"unscale_\(\) has already been called"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=r"step\(\) has already been called"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=r"unscale_\(\) is being called after step"):
        scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="Closure use is not currently supported"):
        scaler.step(optimizer, closure=lambda: None)
    with pytest.raises(AssertionError, match="growth factor"):
        GradScaler("cpu", growth_factor=1.0)


def test_gradients_in_float16_are_refused():
    weight = torch.nn.Parameter(torch.ones(2, dtype=torch.float16))
    scaler, optimizer = GradScaler("cpu", init_scale=2.0), torch.optim.SGD([weight], lr=0.5)
    scaler.scale(weight.sum()).backward()
    with pytest.raises(ValueError, match="Attempting to unscale FP16 gradients"):
        scaler.unscale_(optimizer)


def test_two_optimizers_share_the_factor():
    scaler, weight, optimizer = problem(init_scale=4.0)
    other = torch.nn.Parameter(torch.ones(1))
    second = torch.optim.SGD([other], lr=0.5)
    scaler.scale(weight.sum() + (other * math.inf).sum()).backward()
    scaler.step(optimizer)
    scaler.step(second)
    scaler.update()
    assert weight.tolist() == [0.5, 0.5] and other.item() == 1.0 and scaler.get_scale() == 2.0


def test_states():
    scaler = GradScaler("cpu", init_scale=4.0, growth_interval=7)
    scaler.scale(torch.ones(1))
    scaler.update(2.0)
    assert scaler.state_dict() == {"scale": 2.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 7,
                                   "_growth_tracker": 0}
    assert pickle.loads(pickle.dumps(scaler)).state_dict() == scaler.state_dict()
    other = GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.get_scale() == 2.0 and other.get_growth_interval() == 7
    with pytest.raises(RuntimeError, match="The source state dict is empty"):
        other.load_state_dict({})
    with pytest.raises(AssertionError, match="new_scale should be a float"):
        scaler.update(torch.ones(2))


def test_disabled():
    weight = torch.nn.Parameter(torch.ones(2))
    scaler, optimizer = GradScaler("cpu", enabled=False), torch.optim.SGD([weight], lr=0.5)
    scaler.scale(weight.sum()).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert weight.tolist() == [0.5, 0.5] and scaler.get_scale() == 1.0 and scaler.state_dict() == {}
    with pytest.warns(UserWarning, match="CUDA is not available.  Disabling"):
        assert not GradScaler().is_enabled()
