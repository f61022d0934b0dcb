"""RMSprop: steps divided by a running root mean square of the gradient.

In: parameters with gradients. Out: `RMSprop`. Read next: `adam.py`.
"""

from __future__ import annotations

from typing import Any

from .optimizer import Optimizer, ParamsT
from .per_parameter import (
    PerParameterOptimizer,
    add_scaled_,
    addcdiv_,
    check_lr,
    check_not_negative,
    decayed,
    new_step,
    new_zeros,
    to_scalar,
)

__all__ = ["RMSprop", "Optimizer"]


class RMSprop(PerParameterOptimizer):
    r"""RMSprop.

    .. math::
        v \leftarrow \alpha v + (1 - \alpha) g^2, \quad \theta \leftarrow \theta - \gamma \frac{g}{\sqrt{v} + \epsilon}

    With `centered` v is replaced by v minus the square of the running average of g, an estimate of the variance. With
    momentum the fraction is gathered in a buffer first.

    Args:
        params: tensors, (name, tensor) pairs or parameter groups.
        lr: learning rate, gamma; a number or a one-element tensor.
        alpha: decay rate of the average.
        eps: keeps the denominator from zero.
        weight_decay: L2 penalty added to the gradient.
        momentum: decay rate of the buffer.
        centered: divide by the standard deviation.
        maximize: climb instead of descend.
        foreach: accepted and stored, see Note [One formula].
        capturable: accepted for parameters that are not on the CPU.
        differentiable: record the step for gradients through it.

    Raises:
        ValueError: a negative hyperparameter.

    Source: Hinton, Neural Networks for Machine Learning, lecture 6 (2012); Graves, Generating Sequences With Recurrent
    Neural Networks (2013) for `centered`.
    """

    _late_defaults = {
        "momentum": 0,
        "centered": False,
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "capturable": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative(epsilon=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _new_state(self, param: Any, group: dict[str, Any]) -> dict[str, Any]:
        state = {"step": new_step(param, group), "square_avg": new_zeros(param)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = new_zeros(param)
        if group["centered"]:
            state["grad_avg"] = new_zeros(param)
        return state

    def _update(self, param: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        lr, alpha = to_scalar(group["lr"]), group["alpha"]
        self._host.advance(state["step"])
        grad = decayed(param, grad, group["weight_decay"])
        square_avg = state["square_avg"].mul_(alpha).addcmul_(grad, grad, value=1 - alpha)
        if group["centered"]:
            grad_avg = state["grad_avg"].lerp_(grad, 1 - alpha)
            square_avg = square_avg.addcmul(grad_avg, grad_avg, value=-1)
        average = square_avg.sqrt() + group["eps"]
        if group["momentum"] > 0:
            buffer = state["momentum_buffer"].mul_(group["momentum"]).addcdiv_(grad, average)
            add_scaled_(param, buffer, -lr)
        else:
            addcdiv_(param, grad, average, -lr)
