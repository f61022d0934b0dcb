"""Adamax: Adam with the infinity norm in the place of the root mean square.

In: parameters with gradients. Out: `Adamax`. Read next: `adam.py`.
"""

from __future__ import annotations

from typing import Any

from .optimizer import Optimizer, ParamsT
from .per_parameter import (
    PerParameterOptimizer,
    addcdiv_,
    check_betas,
    check_lr,
    check_not_negative,
    decayed,
    new_step,
    new_zeros,
    to_scalar,
)

__all__ = ["Adamax", "Optimizer"]


class Adamax(PerParameterOptimizer):
    r"""Adamax.

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad u \leftarrow \max(\beta_2 u, |g| + \epsilon), \quad \theta
        \leftarrow \theta - \frac{\gamma}{1 - \beta_1^t} \frac{m}{u}

    Args:
        params: tensors, (name, tensor) pairs or parameter groups.
        lr: learning rate, gamma; a number or a one-element tensor.
        betas: decay rates of the average and of the norm.
        eps: keeps the norm from zero.
        weight_decay: L2 penalty added to the gradient.
        foreach: accepted and stored, see Note [One formula].
        maximize: climb instead of descend.
        differentiable: record the step for gradients through it.
        capturable: accepted for parameters that are not on the CPU.

    Raises:
        ValueError: a hyperparameter out of its range.

    Source: Kingma and Ba, Adam: A Method for Stochastic Optimization (2015), section 7.1.
    """

    _late_defaults = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative(epsilon=eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _new_state(self, param: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"step": new_step(param, group), "exp_avg": new_zeros(param), "exp_inf": new_zeros(param)}

    def _update(self, param: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        step = self._host.advance(state["step"])
        grad = decayed(param, grad, group["weight_decay"])
        exp_avg = state["exp_avg"].lerp_(grad, 1 - beta1)
        exp_inf = state["exp_inf"].mul_(beta2).clamp_min_(grad.abs() + group["eps"])
        addcdiv_(param, exp_avg, exp_inf, -(to_scalar(group["lr"]) / (1 - beta1**step)))
