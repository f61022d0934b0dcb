"""Averaged models and what belongs to them."""

import copy

import numpy as np
import pytest

import rushlight as rl
from rushlight import nn
from rushlight.optim import SGD
from rushlight.optim.swa_utils import (
    SWALR,
    AveragedModel,
    get_ema_avg_fn,
    get_ema_multi_avg_fn,
    get_swa_avg_fn,
    get_swa_multi_avg_fn,
    update_bn,
)


def averaged(**kwargs):
    """The average of a layer whose weight goes 1, 2, 4, 8."""
    layer = nn.Linear(1, 1, bias=False)
    with rl.no_grad():
        layer.weight.fill_(1.0)
    model = AveragedModel(layer, **kwargs)
    for _ in range(4):
        model.update_parameters(layer)
        with rl.no_grad():
            layer.weight.mul_(2)
    assert model.n_averaged.item() == 4
    return model.module.weight.item()


def test_averages():
    mean, exponential = 15 / 4, ((0.5 * 1 + 0.5 * 2) * 0.5 + 0.5 * 4) * 0.5 + 0.5 * 8
    assert averaged() == mean
    assert averaged(avg_fn=get_swa_avg_fn()) == mean
    assert averaged(multi_avg_fn=get_swa_multi_avg_fn()) == mean
    assert averaged(avg_fn=get_ema_avg_fn(0.5)) == exponential
    assert averaged(multi_avg_fn=get_ema_multi_avg_fn(0.5)) == exponential


def test_model_is_a_copy():
    layer = nn.BatchNorm1d(2)
    model = AveragedModel(layer)
    assert list(model.state_dict())[:2] == ["n_averaged", "module.weight"]
    layer.running_mean.fill_(3.0)
    model.update_parameters(layer)
    assert model.module.running_mean.tolist() == [3.0, 3.0]
    again = copy.deepcopy(model)
    again.update_parameters(layer)
    assert (model.n_averaged.item(), again.n_averaged.item()) == (1, 2)
    assert model.eval()(rl.zeros(1, 2)).shape == (1, 2)


def test_buffers_are_averaged_on_request():
    layer = nn.BatchNorm1d(1)
    model = AveragedModel(layer, use_buffers=True)
    for value in (1.0, 3.0):
        layer.running_mean.fill_(value)
        model.update_parameters(layer)
    assert model.module.running_mean.item() == 2.0


def test_update_bn():
    model = nn.Sequential(nn.BatchNorm1d(1), nn.Dropout(0.5)).eval()
    batches = [rl.tensor([[0.0], [2.0]]), (rl.tensor([[4.0], [6.0]]), "label")]
    update_bn(batches, model)
    assert model[0].running_mean.item() == pytest.approx(3.0)
    assert model[0].momentum == 0.1 and not model.training


def test_swalr():
    optimizer = SGD([rl.ones(1)], lr=1.0)
    scheduler = SWALR(optimizer, 0.5, anneal_epochs=4, anneal_strategy="linear")
    lrs = []
    for _ in range(5):
        optimizer.step()
        scheduler.step()
        lrs += scheduler.get_last_lr()
    np.testing.assert_allclose(lrs, [0.875, 0.75, 0.625, 0.5, 0.5])
    assert "anneal_func" not in scheduler.state_dict()
    again = SWALR(SGD([rl.ones(1)], lr=1.0), 0.5)
    again.load_state_dict(scheduler.state_dict())
    assert again.anneal_func(0.25) == 0.25


def test_errors():
    with pytest.raises(ValueError, match="Invalid decay value 2"):
        get_ema_avg_fn(2)
    with pytest.raises(AssertionError, match="Only one of avg_fn and multi_avg_fn"):
        AveragedModel(nn.Linear(1, 1), avg_fn=get_swa_avg_fn(), multi_avg_fn=get_swa_multi_avg_fn())
    optimizer = SGD([rl.ones(1)], lr=1.0)
    with pytest.raises(ValueError, match="one of 'cos' or 'linear'"):
        SWALR(optimizer, 0.1, anneal_strategy="step")
    with pytest.raises(ValueError, match="anneal_epochs must be equal or greater than 0, got -1"):
        SWALR(optimizer, 0.1, anneal_epochs=-1)
