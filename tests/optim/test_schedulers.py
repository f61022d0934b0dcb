"""Every schedule against learning rates and momenta from PyTorch 2.13; checkpoints, order of calls and errors."""

import copy
import math
import warnings

import numpy as np
import pytest

import rushlight as rl
from rushlight.optim import SGD, Adagrad, Adam, lr_scheduler

# (class, arguments, learning rates of both groups and momentum of the second one, after each of 8 steps in PyTorch)
CASES = [
    (
        "LambdaLR",
        dict(lr_lambda=[lambda epoch: 0.9**epoch, lambda epoch: 1 / (1 + epoch)]),
        "0.09 0.081 0.0729 0.06561 0.059049 0.0531441 0.04782969 0.043046721",
        "0.025 0.016666667 0.0125 0.01 0.0083333333 0.0071428571 0.00625 0.0055555556",
        "0.9 0.9 0.9 0.9 0.9 0.9 0.9 0.9",
    ),
    (
        "MultiplicativeLR",
        dict(lr_lambda=lambda epoch: 0.95 if epoch % 3 else 1.05),
        "0.095 0.09025 0.0947625 0.090024375 0.085523156 0.089799314 0.085309348 0.081043881",
        "0.0475 0.045125 0.04738125 0.045012187 0.042761578 0.044899657 0.042654674 0.04052194",
        "0.9 0.9 0.9 0.9 0.9 0.9 0.9 0.9",
    ),
    (
        "StepLR",
        dict(step_size=3, gamma=0.5),
        "0.1 0.1 0.05 0.05 0.05 0.025 0.025 0.025",
        "0.05 0.05 0.025 0.025 0.025 0.0125 0.0125 0.0125",
        "0.9 0.9 0.9 0.9 0.9 0.9 0.9 0.9",
    ),
    (
        "MultiStepLR",
        dict(milestones=[2, 5, 5], gamma=0.3),
        "0.1 0.03 0.03 0.03 0.0027 0.0027 0.0027 0.0027",
        "0.05 0.015 0.015 0.015 0.00135 0.00135 0.00135 0.00135",
        "0.9 0.9 0.9 0.9 0.9 0.9 0.9 0.9",
    ),
    (
        "ConstantLR",
        dict(factor=0.5, total_iters=4),
        "0.05 0.05 0.05 0.1 0.1 0.1 0.1 0.1",
        "0.025 0.025 0.025 0.05 0.05 0.05 0.05 0.05",
        "0.9 0.9 0.9 0.9 0.9 0.9 0.9 0.9",
    ),
    (
        "LinearLR",
        dict(start_factor=0.2, end_factor=0.8, total_iters=6),
        "0.03 0.04 0.05 0.06 0.07 0.08 0.08 0.08",
        "0.015 0.02 0.025 0.03 0.035 0.04 0.04 0.04",
        "0.9 0.9 0.9 0.9 0.9 0.9 0.9 0.9",
    ),
    (
        "ExponentialLR",
        dict(gamma=0.9),
        "0.09 0.081 0.0729 0.06561 0.059049 0.0531441 0.04782969 0.043046721",
        "0.045 0.0405 0.03645 0.032805 0.0295245 0.02657205 0.023914845 0.021523361",
        "0.9 0.9 0.9 0.9 0.9 0.9 0.9 0.9",
    ),
    (
        "PolynomialLR",
        dict(total_iters=6, power=2.5),
        "0.063393815 0.036288737 0.01767767 0.006415003 0.001134023 0 0 0",
        "0.031696907 0.018144368 0.0088388348 0.0032075015 0.00056701151 0 0 0",
        "0.9 0.9 0.9 0.9 0.9 0.9 0.9 0.9",
    ),
    (
        "CosineAnnealingLR",
        dict(T_max=4, eta_min=0.001),
        "0.085501786 0.0505 0.015498214 0.001 0.015498214 0.0505 0.085501786 0.1",
        "0.042824116 0.0255 0.0081758839 0.001 0.0081758839 0.0255 0.042824116 0.05",
        "0.9 0.9 0.9 0.9 0.9 0.9 0.9 0.9",
    ),
    (
        "CosineAnnealingWarmRestarts",
        dict(T_0=3, T_mult=2, eta_min=0.01),
        "0.0775 0.0325 0.1 0.093971143 0.0775 0.055 0.0325 0.016028857",
        "0.04 0.02 0.05 0.047320508 0.04 0.03 0.02 0.012679492",
        "0.9 0.9 0.9 0.9 0.9 0.9 0.9 0.9",
    ),
    (
        "CyclicLR",
        dict(base_lr=0.01, max_lr=0.1, step_size_up=2, step_size_down=3, mode="triangular2"),
        "0.055 0.1 0.07 0.04 0.01 0.0325 0.055 0.04",
        "0.055 0.1 0.07 0.04 0.01 0.0325 0.055 0.04",
        "0.85 0.8 0.83333333 0.86666667 0.9 0.875 0.85 0.86666667",
    ),
    (
        "CyclicLR",
        dict(base_lr=[0.01, 0.02], max_lr=0.1, step_size_up=3, mode="exp_range", gamma=0.9),
        "0.037 0.0586 0.07561 0.049366 0.0277147 0.01 0.024348907 0.035828033",
        "0.044 0.0632 0.07832 0.054992 0.0357464 0.02 0.032754584 0.042958251",
        "0.87 0.846 0.8271 0.85626 0.880317 0.9 0.88405677 0.87130219",
    ),
    (
        "OneCycleLR",
        dict(max_lr=0.3, total_steps=12),
        "0.1049369 0.26378555 0.29832463 0.27990389 0.2435237 0.1942137 0.13879113 0.084918299",
        "0.1049369 0.26378555 0.29832463 0.27990389 0.2435237 0.1942137 0.13879113 0.084918299",
        "0.91773024 0.86257446 0.85055846 0.85669873 0.86882551 0.88526224 0.9037365 0.92169419",
    ),
    (
        "OneCycleLR",
        dict(max_lr=[0.3, 0.1], epochs=4, steps_per_epoch=3, anneal_strategy="linear", three_phase=True),
        "0.12276923 0.23353846 0.25569231 0.14492308 0.034153846 0.010344993 0.0082762345 0.0062074759",
        "0.040923077 0.077846154 0.085230769 0.048307692 0.011384615 0.003448331 0.0027587448 0.0020691586",
        "0.91153846 0.87307692 0.86538462 0.90384615 0.94230769 0.95 0.95 0.95",
    ),
]


def new_optimizer(lr=0.1, second_lr=0.05):
    groups = [{"params": [rl.ones(1)]}, {"params": [rl.ones(1)], "lr": second_lr}]
    return SGD(groups, lr=lr, momentum=0.9)


def follow(optimizer, scheduler, steps):
    rows = []
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        first, second = optimizer.param_groups
        assert scheduler.get_last_lr() == [first["lr"], second["lr"]]
        rows.append([float(first["lr"]), float(second["lr"]), float(second["momentum"])])
    return rows


def parse(*columns):
    return np.array([[float(value) for value in column.split()] for column in columns]).T


@pytest.mark.parametrize("name, kwargs, first, second, momentum", CASES)
def test_schedule(name, kwargs, first, second, momentum):
    optimizer = new_optimizer()
    scheduler = getattr(lr_scheduler, name)(optimizer, **kwargs)
    np.testing.assert_allclose(follow(optimizer, scheduler, 8), parse(first, second, momentum), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("name, kwargs, first, second, momentum", CASES)
def test_checkpoint_goes_on(name, kwargs, first, second, momentum):
    optimizer = new_optimizer()
    scheduler = getattr(lr_scheduler, name)(optimizer, **kwargs)
    follow(optimizer, scheduler, 4)
    other = new_optimizer()
    continued = getattr(lr_scheduler, name)(other, **kwargs)
    other.load_state_dict(optimizer.state_dict())
    continued.load_state_dict(copy.deepcopy(scheduler.state_dict()))
    expected = parse(first, second, momentum)[4:]
    np.testing.assert_allclose(follow(other, continued, 4), expected, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("name, kwargs, first, second, momentum", CASES)
def test_tensor_lr(name, kwargs, first, second, momentum):
    optimizer = new_optimizer(rl.tensor(0.1, dtype=rl.float64), rl.tensor(0.05, dtype=rl.float64))
    tensor = optimizer.param_groups[0]["lr"]
    scheduler = getattr(lr_scheduler, name)(optimizer, **kwargs)
    rows = follow(optimizer, scheduler, 8)
    np.testing.assert_allclose(rows, parse(first, second, momentum), rtol=1e-7, atol=1e-12)
    assert optimizer.param_groups[0]["lr"] is tensor


@pytest.mark.parametrize("name", ["StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "PolynomialLR", "ExponentialLR"])
def test_closed_form(name):
    kwargs = next(case[1] for case in CASES if case[0] == name)
    stepped, jumped = new_optimizer(), new_optimizer()
    scheduler, jump = (getattr(lr_scheduler, name)(optimizer, **kwargs) for optimizer in (stepped, jumped))
    follow(stepped, scheduler, 5)
    jumped.step()
    with pytest.warns(UserWarning, match="epoch parameter"):
        jump.step(5)
    assert jump.get_last_lr() == pytest.approx(scheduler.get_last_lr())


def test_state_dict_keys():
    scheduler = lr_scheduler.StepLR(new_optimizer(), 3)
    expected = ["step_size", "gamma", "base_lrs", "last_epoch", "_step_count", "_is_initial"]
    assert list(scheduler.state_dict()) == [*expected, "_get_lr_called_within_step", "_last_lr"]
    assert lr_scheduler.LambdaLR(new_optimizer(), lambda epoch: 1.0).state_dict()["lr_lambdas"] == [None, None]


def test_callable_objects_keep_their_attributes():
    class Decay:
        def __init__(self, rate):
            self.rate = rate

        def __call__(self, epoch):
            return self.rate**epoch

    first = lr_scheduler.LambdaLR(new_optimizer(), Decay(0.5))
    second = lr_scheduler.LambdaLR(new_optimizer(), Decay(0.9))
    second.load_state_dict(first.state_dict())
    assert second.lr_lambdas[0].rate == 0.5


def test_plateau():
    optimizer = new_optimizer()
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, factor=0.5, cooldown=1, min_lr=[0.0, 0.04])
    lrs = []
    for metric in (3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, rl.tensor(1.0)):
        optimizer.step()
        scheduler.step(metric)
        lrs.append(scheduler.get_last_lr())
    assert [lr for lr, _ in lrs] == pytest.approx([0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025])
    assert lrs[-1][1] == 0.04 and scheduler.best == 1.0
    upward = lr_scheduler.ReduceLROnPlateau(optimizer, "max", threshold=0.1, threshold_mode="abs")
    upward.step(1.0)
    upward.step(1.05)
    assert upward.best == 1.0 and upward.num_bad_epochs == 1 and not upward.in_cooldown


def test_chained_and_sequential():
    optimizer = new_optimizer()
    parts = [lr_scheduler.ConstantLR(optimizer, 0.1, 2), lr_scheduler.ExponentialLR(optimizer, 0.9)]
    chained = lr_scheduler.ChainedScheduler(parts)
    lrs = [row[0] for row in follow(optimizer, chained, 3)]
    assert lrs == pytest.approx([0.009, 0.081, 0.0729])
    assert [state["last_epoch"] for state in chained.state_dict()["_schedulers"]] == [3, 3]
    optimizer = new_optimizer()
    parts = [lr_scheduler.ConstantLR(optimizer, 0.1, 4), lr_scheduler.ExponentialLR(optimizer, 0.9)]
    sequential = lr_scheduler.SequentialLR(optimizer, parts, milestones=[3])
    lrs = [row[0] for row in follow(optimizer, sequential, 5)]
    assert lrs == pytest.approx([0.01, 0.01, 0.1, 0.09, 0.081])
    other = new_optimizer()
    parts = [lr_scheduler.ConstantLR(other, 0.1, 4), lr_scheduler.ExponentialLR(other, 0.9)]
    continued = lr_scheduler.SequentialLR(other, parts, milestones=[3])
    continued.load_state_dict(sequential.state_dict())
    assert continued.last_epoch == 5 and parts[1].last_epoch == 2


def test_beta1_is_adams_momentum():
    optimizer = Adam([rl.ones(1)])
    lr_scheduler.CyclicLR(optimizer, 0.1, 0.2, max_momentum=0.8)
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.999)


def test_resume():
    optimizer = new_optimizer()
    with pytest.raises(KeyError, match="initial_lr"):
        lr_scheduler.StepLR(optimizer, 3, last_epoch=4)
    for group in optimizer.param_groups:
        group["initial_lr"] = 1.0
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, 10, last_epoch=4)
    assert scheduler.last_epoch == 5 and scheduler.base_lrs == [1.0, 1.0]


def test_warnings():
    scheduler = lr_scheduler.StepLR(new_optimizer(), 3)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        scheduler.step()
    with pytest.warns(UserWarning, match="use `get_last_lr"):
        scheduler.get_lr()
    optimizer = new_optimizer()
    scheduler = lr_scheduler.StepLR(optimizer, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize(
    "build, kind, text",
    [
        (lambda s: s.StepLR(3, 1), TypeError, "int is not an Optimizer"),
        (lambda s: s.LambdaLR(new_optimizer(), [math.exp]), ValueError, "Expected 2 lr_lambdas, but got 1"),
        (lambda s: s.MultiplicativeLR(new_optimizer(), 3), TypeError, "lr_lambda should be a function, but got int"),
        (lambda s: s.ConstantLR(new_optimizer(), 2.0), ValueError, "expected to be between 0 and 1"),
        (lambda s: s.LinearLR(new_optimizer(), 0.0), ValueError, "greater than 0 and less or equal to 1"),
        (lambda s: s.CyclicLR(new_optimizer(), [0.1], 0.2), ValueError, "base_lr must have the same length"),
        (lambda s: s.CyclicLR(Adagrad([rl.ones(1)]), 0.1, 0.2), ValueError, "must support momentum or beta1"),
        (lambda s: s.OneCycleLR(new_optimizer(), 0.1), ValueError, "either total_steps OR"),
        (lambda s: s.OneCycleLR(new_optimizer(), 0.1, total_steps=0), ValueError, "positive integer total_steps"),
        (lambda s: s.ReduceLROnPlateau(new_optimizer(), factor=1.0), ValueError, "Factor should be < 1.0."),
        (lambda s: s.ReduceLROnPlateau(new_optimizer(), "best"), ValueError, "mode best is unknown!"),
        (lambda s: s.ChainedScheduler([]), ValueError, "at least one scheduler to be chained"),
        (lambda s: s.SequentialLR(new_optimizer(), [], []), ValueError, "expects at least one scheduler"),
        (lambda s: s.CosineAnnealingWarmRestarts(new_optimizer(), 0), ValueError, "positive integer T_0"),
    ],
)
def test_errors(build, kind, text):
    with pytest.raises(kind, match=text):
        build(lr_scheduler)


def test_one_cycle_ends():
    optimizer = new_optimizer()
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=3)
    follow(optimizer, scheduler, 3)
    with pytest.raises(ValueError, match="Tried to step 4 times"):
        follow(optimizer, scheduler, 1)
