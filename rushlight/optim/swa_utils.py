"""Averages of a model's weights over the course of training.

In: a model while it is trained. Out: `AveragedModel`, functions for its averages (plain and exponential), `SWALR` and
`update_bn`. Read next: `lr_scheduler/base.py`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any, Literal

from .. import api as rl
from ..nn.modules.batchnorm import _BatchNorm
from ..nn.modules.module import Module
from .host_values import HostValues
from .lr_scheduler.base import LRScheduler, per_group
from .optimizer import Optimizer

__all__ = [
    "AveragedModel",
    "update_bn",
    "SWALR",
    "get_ema_multi_avg_fn",
    "get_swa_multi_avg_fn",
    "get_ema_avg_fn",
    "get_swa_avg_fn",
]


def check_decay(decay: float) -> None:
    """Refuses a decay outside of [0, 1]."""
    if decay < 0.0 or decay > 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable:
    """A function for `multi_avg_fn`: average = decay * average + (1 - decay) * parameter.

    Raises:
        ValueError: a decay outside of [0, 1].
    """
    check_decay(decay)

    @rl.no_grad()
    def ema_update(ema_param_list: Iterable[Any], current_param_list: Iterable[Any], _: Any) -> None:
        for average, current in zip(ema_param_list, current_param_list):
            if average.is_floating_point() or average.is_complex():
                average.lerp_(current, 1 - decay)
            else:
                average.copy_(average * decay + current * (1 - decay))

    return ema_update


def get_swa_multi_avg_fn() -> Callable:
    """A function for `multi_avg_fn`: the mean of all parameters seen."""

    @rl.no_grad()
    def swa_update(averaged_param_list: Iterable[Any], current_param_list: Iterable[Any], num_averaged: Any) -> None:
        for average, current in zip(averaged_param_list, current_param_list):
            average.copy_(average + (current - average) / (num_averaged + 1))

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> Callable:
    """A function for `avg_fn`: average = decay * average + (1 - decay) * parameter.

    Raises:
        ValueError: a decay outside of [0, 1].
    """
    check_decay(decay)

    @rl.no_grad()
    def ema_update(ema_param: Any, current_param: Any, num_averaged: Any) -> Any:
        return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_avg_fn() -> Callable:
    """A function for `avg_fn`: the mean of all parameters seen."""

    @rl.no_grad()
    def swa_update(averaged_param: Any, current_param: Any, num_averaged: Any) -> Any:
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


class AveragedModel(Module):
    """A copy of a model whose parameters are an average of the model's over time.

    Args:
        model: the model, copied.
        device: where the copy is kept; None for where the model is.
        avg_fn: (average, parameter, number of averages) to the new average.
        multi_avg_fn: the same for lists of all tensors, in place. Without either function the mean is taken.
        use_buffers: average the buffers too; otherwise they are copied.

    Raises:
        AssertionError: both functions are given.

    Calling it calls the averaged model. The buffer `n_averaged` counts the calls of `update_parameters`.

    Source: Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization (2018).
    """

    n_averaged: Any

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Callable[[Any, Any, Any], Any] | None = None,
        multi_avg_fn: Callable[[Any, Any, Any], None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", rl.tensor(0, dtype=rl.long, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers
        self._host = HostValues()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The averaged model's result."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Takes the model's present parameters into the average."""
        averages, currents = self._tensors(self), self._tensors(model)
        averages = [average.detach() for average in averages]
        currents = [current.detach().to(average.device) for average, current in zip(averages, currents)]
        if self._host.read(self.n_averaged) == 0:
            for average, current in zip(averages, currents):
                average.copy_(current)
        elif self.multi_avg_fn is None and self.avg_fn is not None:
            for average, current in zip(averages, currents):
                average.copy_(self.avg_fn(average, current, self.n_averaged.to(average.device)))
        elif averages:
            average_all = self.multi_avg_fn or get_swa_multi_avg_fn()
            average_all(averages, currents, self.n_averaged.to(averages[0].device))
        if not self.use_buffers:
            for own, current in zip(self.module.buffers(), model.buffers()):
                own.detach().copy_(current.detach().to(own.device))
        self._host.advance(self.n_averaged)

    def _tensors(self, model: Module) -> list[Any]:
        """What is averaged: the parameters, and the buffers if that was asked for."""
        model = model.module if model is self else model
        return list(itertools.chain(model.parameters(), model.buffers() if self.use_buffers else ()))


@rl.no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Recompute the running statistics of the batch normalisation layers in one pass over the data.

    Args:
        loader: batches: tensors, or lists and tuples whose first entry is the input.
        model: the model; it is in training mode during the pass.
        device: where the batches are brought first; None for not at all.
    """
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    was_training = model.training
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean over all batches
    model.train()
    for batch in loader:
        if isinstance(batch, (list, tuple)):
            batch = batch[0]
        model(batch if device is None else batch.to(device))
    for layer, momentum in zip(layers, momenta):
        layer.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """Brings the learning rate to a fixed value, for the phase in which weights are averaged.

    Args:
        optimizer: the optimizer.
        swa_lr: that value; a number, or a list with one a group.
        anneal_epochs: number of epochs on the way there.
        anneal_strategy: "cos" or "linear".
        last_epoch: number of the last epoch done; -1 to begin.

    Raises:
        ValueError: an unknown strategy, or `anneal_epochs` that is not an integer of at least 0.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float,
        anneal_epochs: int = 10,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        last_epoch: int = -1,
    ) -> None:
        for value, group in zip(per_group("swa_lr", optimizer, swa_lr), optimizer.param_groups):
            group["swa_lr"] = value
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        self._set_anneal_func(anneal_strategy)
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _set_anneal_func(self, anneal_strategy: str) -> None:
        self._anneal_strategy = anneal_strategy
        self.anneal_func = self._cosine_anneal if anneal_strategy == "cos" else self._linear_anneal

    @staticmethod
    def _linear_anneal(t: float) -> float:
        return t

    @staticmethod
    def _cosine_anneal(t: float) -> float:
        return (1 - math.cos(math.pi * t)) / 2

    @staticmethod
    def _get_initial_lr(lr: Any, swa_lr: Any, alpha: float) -> Any:
        """Where the way began, from where it has come to."""
        return swa_lr if alpha == 1 else (lr - alpha * swa_lr) / (1 - alpha)

    def get_lr(self) -> list[Any]:
        """A mean of the learning rate before the averaging phase and of `swa_lr`, weighted by the way gone."""
        self._warn_outside_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        length = max(1, self.anneal_epochs)
        before = self.anneal_func(max(0, min(1, (step - 1) / length)))
        now = self.anneal_func(max(0, min(1, step / length)))
        lrs = []
        for group, lr in zip(self.optimizer.param_groups, self._present_lrs()):
            start = self._get_initial_lr(lr, group["swa_lr"], before)
            lrs.append(group["swa_lr"] * now + start * (1 - now))
        return lrs

    def state_dict(self) -> dict[str, Any]:
        """All attributes except the optimizer and the function, which the strategy's name stands for."""
        return {key: value for key, value in self.__dict__.items() if key not in ("optimizer", "anneal_func")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what `state_dict` returned."""
        self.__dict__.update(state_dict)
        self._set_anneal_func(self._anneal_strategy)
