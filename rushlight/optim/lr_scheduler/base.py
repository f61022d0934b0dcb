"""The base class of the learning rate schedules.

In: an optimizer. Out: `LRScheduler`, which sets `lr` in the optimizer's groups at each of its steps, and the helpers
that read and write hyperparameters of groups, be they numbers or tensors. Read next: `formulas.py`.
"""

from __future__ import annotations

import functools
import weakref
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ... import api as rl
from ..optimizer import Optimizer
from ..per_parameter import to_scalar

EPOCH_DEPRECATION_WARNING = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible. Please use "
    "`scheduler.step()` to step the scheduler. During the deprecation, if epoch is different from None, the closed "
    "form is used instead of the new chainable form, where available. Please open an issue if you are unable to "
    "replicate your use case: https://github.com/pytorch/pytorch/issues/new/choose."
)
ADJUST_DOCS = "https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"
NO_INITIAL_LR = (
    "param 'initial_lr' is not specified in param_groups[{}] when resuming scheduler with last_epoch >= 0.\nThis "
    "typically happens when:\n1. You're trying to resume training from a checkpoint but haven't properly loaded the "
    "optimizer state\n2. You're using last_epoch >= 0 for a fresh training run (not recommended)"
)


def check_optimizer(optimizer: Any) -> None:
    """Refuses what is not an optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def per_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """One value a parameter group: `value` repeated, or a list of the right length."""
    groups = optimizer.param_groups
    if not isinstance(value, (list, tuple)):
        return [copied(value) for _ in groups]
    if len(value) != len(groups):
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. "
            f"{name} has {len(value)} values, param_groups has {len(groups)}."
        )
    return [copied(item) for item in value]


def copied(value: Any) -> Any:
    """A number, or a tensor of its own, which later writes to the group do not reach."""
    return value.clone() if isinstance(value, rl.Tensor) else value


def get_values(optimizer: Optimizer, name: str) -> list[Any]:
    """A hyperparameter of all groups."""
    return [copied(group[name]) for group in optimizer.param_groups]


def set_value(group: dict[str, Any], name: str, value: Any) -> None:
    """Sets a hyperparameter of a group; a tensor is filled, for others may hold it."""
    if isinstance(group[name], rl.Tensor):
        group[name].fill_(to_scalar(value))
    else:
        group[name] = value


def set_momentum(group: dict[str, Any], use_beta1: bool, value: Any) -> None:
    """Sets the momentum of a group, which Adam and its relatives call beta1."""
    if use_beta1:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value


class LRScheduler:
    """Base class of all schedules. Subclasses define `get_lr`, the next learning rates from the present ones.

    A schedule is made after the optimizer, and stepped after each of its epochs (or steps): `optimizer.step()`, then
    `scheduler.step()`. Making it is its step number 0, which sets the first learning rates.

    Args:
        optimizer: the optimizer whose groups are written.
        last_epoch: number of the last epoch done; -1 to begin. Otherwise each group must have `initial_lr`.

    Raises:
        TypeError: `optimizer` is none.
        KeyError: a group without `initial_lr`, where `last_epoch` is not -1.
    """

    _get_lr_called_within_step: bool = False
    _is_initial: bool = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        for index, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", copied(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(NO_INITIAL_LR.format(index))
        self.base_lrs: list[Any] = get_values(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        watch_step(optimizer)
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def state_dict(self) -> dict[str, Any]:
        """All attributes except the optimizer."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what `state_dict` returned."""
        self.__dict__.update(state_dict)

    def get_last_lr(self) -> list[Any]:
        """The learning rates that the last step set, one a group."""
        return self._last_lr

    def get_lr(self) -> list[Any]:
        """The learning rates for `last_epoch`, one a group, from the present ones. Called by `step`."""
        raise NotImplementedError

    def step(self, epoch: int | None = None) -> None:
        """Sets the next learning rates.

        Args:
            epoch: deprecated: the epoch to go to, by the closed form if there is one.
        """
        if self._step_count == 1:
            self._check_order()
        self._step_count += 1
        if epoch is not None:
            warnings.warn(EPOCH_DEPRECATION_WARNING, UserWarning, stacklevel=2)
        self._update_lr(epoch)

    def _check_order(self) -> None:
        """Warns at the first step if the optimizer has made none."""
        if not hasattr(self.optimizer.step, "_wrapped_by_lr_sched"):
            warnings.warn(
                "Seems like `optimizer.step()` has been overridden after learning rate scheduler "
                "initialization. Please, make sure to call `optimizer.step()` before "
                f"`lr_scheduler.step()`. See more details at {ADJUST_DOCS}",
                UserWarning,
                stacklevel=3,
            )
        elif not getattr(self.optimizer, "_opt_called", False):
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. In PyTorch 1.1.0 and later, you "
                "should call them in the opposite order: `optimizer.step()` before `lr_scheduler.step()`.  Failure to "
                "do this will result in PyTorch skipping the first value of the learning rate schedule. See more "
                f"details at {ADJUST_DOCS}",
                UserWarning,
                stacklevel=3,
            )

    def _update_lr(self, epoch: int | None = None) -> None:
        with self._stepping():
            if epoch is None:
                self.last_epoch += 1
                values = self.get_lr()
            else:
                self.last_epoch = epoch
                closed_form = getattr(self, "_get_closed_form_lr", self.get_lr)
                values = closed_form()
        self._set_lrs(values)

    def _set_lrs(self, values: list[Any]) -> None:
        for group, value in zip(self.optimizer.param_groups, values):
            set_value(group, "lr", value)
        self._last_lr: list[Any] = get_values(self.optimizer, "lr")

    @contextmanager
    def _stepping(self) -> Iterator[None]:
        """While this is open, `get_lr` is called by `step` and need not warn."""
        self._get_lr_called_within_step = True
        try:
            yield
        finally:
            self._get_lr_called_within_step = False

    def _warn_outside_step(self) -> None:
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use `get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )

    def _present_lrs(self) -> list[Any]:
        return get_values(self.optimizer, "lr")


class _LRScheduler(LRScheduler):
    """The name that `LRScheduler` had before PyTorch 2."""


def watch_step(optimizer: Optimizer) -> None:
    """Lets the optimizer note that `step` was called, for the warning about the order of the two steps."""
    if hasattr(optimizer.step, "_wrapped_by_lr_sched"):
        return
    reference, method = weakref.ref(optimizer), optimizer.step.__func__

    @functools.wraps(method)
    def step(*args: Any, **kwargs: Any) -> Any:
        optimizer = reference()
        optimizer._opt_called = True
        return method(optimizer, *args, **kwargs)

    step._wrapped_by_lr_sched = True
    optimizer.step = step
