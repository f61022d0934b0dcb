"""Adadelta: steps in the units of the parameter, from running averages of squared gradients and squared steps.

In: parameters with gradients. Out: `Adadelta`. Read next: `adagrad.py`.
"""

from __future__ import annotations

from typing import Any

from .optimizer import Optimizer, ParamsT
from .per_parameter import (
    PerParameterOptimizer,
    add_scaled_,
    check_lr,
    check_not_negative,
    decayed,
    new_step,
    new_zeros,
    to_scalar,
)

__all__ = ["Adadelta", "Optimizer"]


class Adadelta(PerParameterOptimizer):
    r"""Adadelta.

    .. math::
        v \leftarrow \rho v + (1 - \rho) g^2, \quad \Delta = g \sqrt{u + \epsilon} / \sqrt{v + \epsilon}, \quad u
        \leftarrow \rho u + (1 - \rho) \Delta^2, \quad \theta \leftarrow \theta - \gamma \Delta

    Args:
        params: tensors, (name, tensor) pairs or parameter groups.
        lr: factor of the step, gamma; a number or a one-element tensor.
        rho: decay rate of the averages.
        eps: keeps the roots from zero.
        weight_decay: L2 penalty added to the gradient.
        foreach: accepted and stored, see Note [One formula].
        capturable: accepted for parameters that are not on the CPU.
        maximize: climb instead of descend.
        differentiable: record the step for gradients through it.

    Raises:
        ValueError: a hyperparameter out of its range.

    Source: Zeiler, ADADELTA: An Adaptive Learning Rate Method (2012).
    """

    _late_defaults = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_not_negative(epsilon=eps, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _new_state(self, param: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"step": new_step(param, group), "square_avg": new_zeros(param), "acc_delta": new_zeros(param)}

    def _update(self, param: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        rho, eps = group["rho"], group["eps"]
        self._host.advance(state["step"])
        grad = decayed(param, grad, group["weight_decay"])
        square_avg = state["square_avg"].mul_(rho).addcmul_(grad, grad, value=1 - rho)
        acc_delta = state["acc_delta"]
        delta = (acc_delta + eps).sqrt() / (square_avg + eps).sqrt() * grad
        acc_delta.mul_(rho).addcmul_(delta, delta, value=1 - rho)
        add_scaled_(param, delta, -to_scalar(group["lr"]))
