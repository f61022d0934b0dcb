"""RAdam: Adam that leaves the adaptive step out while its variance is unknown.

In: parameters with gradients. Out: `RAdam`. Read next: `adam.py`.
"""

from __future__ import annotations

from typing import Any

from .optimizer import Optimizer, ParamsT
from .per_parameter import (
    PerParameterOptimizer,
    add_scaled_,
    addcdiv_,
    check_betas,
    check_lr,
    check_not_negative,
    decayed,
    new_step,
    new_zeros,
    to_scalar,
)

__all__ = ["RAdam", "Optimizer"]


class RAdam(PerParameterOptimizer):
    r"""RAdam. With m, v as in Adam, :math:`\rho_\infty = 2 / (1 - \beta_2) - 1` and :math:`\rho_t = \rho_\infty - 2 t
    \beta_2^t / (1 - \beta_2^t)`:

    .. math::
        \theta \leftarrow \theta - \gamma \hat m r_t \frac{\sqrt{1 - \beta_2^t}}{\sqrt v + \epsilon} \text{ if } \rho_t
        > 5, \text{ else } \theta - \gamma \hat m, \qquad r_t = \sqrt{\frac{(\rho_t - 4)(\rho_t - 2)
        \rho_\infty}{(\rho_\infty - 4)(\rho_\infty - 2) \rho_t}}

    Args:
        params: tensors, (name, tensor) pairs or parameter groups.
        lr: learning rate, gamma; a number or a one-element tensor.
        betas: decay rates of the two averages.
        eps: keeps the denominator from zero.
        weight_decay: L2 penalty; with `decoupled_weight_decay` it shrinks the parameter instead.
        decoupled_weight_decay: weight decay as in AdamW.
        foreach: accepted and stored, see Note [One formula].
        maximize: climb instead of descend.
        capturable: accepted for parameters that are not on the CPU.
        differentiable: record the step for gradients through it.

    Raises:
        ValueError: a hyperparameter out of its range.

    Source: Liu et al., On the Variance of the Adaptive Learning Rate and Beyond (2020).
    """

    _late_defaults = {
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
        "capturable": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
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
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _new_state(self, param: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"step": new_step(param, group), "exp_avg": new_zeros(param), "exp_avg_sq": new_zeros(param)}

    def _update(self, param: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        lr, (beta1, beta2) = to_scalar(group["lr"]), group["betas"]
        step = self._host.advance(state["step"])
        if group["weight_decay"] != 0:
            if group["decoupled_weight_decay"]:
                param.mul_(1 - lr * group["weight_decay"])
            else:
                grad = decayed(param, grad, group["weight_decay"])
        exp_avg = state["exp_avg"].lerp_(grad, 1 - beta1)
        exp_avg_sq = state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        rate = lr / (1 - beta1**step)
        bias_correction2 = 1 - beta2**step
        rho_inf = 2 / (1 - beta2) - 1
        rho = rho_inf - 2 * step * beta2**step / bias_correction2
        if rho > 5.0:
            rectification = ((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)) ** 0.5
            denominator = exp_avg_sq.sqrt() + group["eps"]
            addcdiv_(param, exp_avg, denominator, -rate * rectification * bias_correction2**0.5)
        else:
            add_scaled_(param, exp_avg, -rate)
