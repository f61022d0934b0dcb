"""Adagrad: steps divided by the root of the sum of all squared gradients.

In: parameters with gradients. Out: `Adagrad`. Read next: `adadelta.py`.
"""

from __future__ import annotations

from typing import Any

from .. import api as rl
from .optimizer import Optimizer, ParamsT
from .per_parameter import (
    PerParameterOptimizer,
    add_scaled_,
    addcdiv_,
    check_fused,
    check_lr,
    check_not_negative,
    decayed,
    new_step,
    to_scalar,
)

__all__ = ["Adagrad", "Optimizer"]


class Adagrad(PerParameterOptimizer):
    r"""Adagrad.

    .. math::
        s \leftarrow s + g^2, \quad \theta \leftarrow \theta - \frac{\gamma}{1 + (t - 1) \eta} \frac{g}{\sqrt{s} +
        \epsilon}

    Args:
        params: tensors, (name, tensor) pairs or parameter groups.
        lr: learning rate, gamma; a number or a one-element tensor.
        lr_decay: eta.
        weight_decay: L2 penalty added to the gradient.
        initial_accumulator_value: the value that s begins with.
        eps: keeps the denominator from zero.
        foreach, fused: accepted and stored, see Note [One formula].
        maximize: climb instead of descend.
        differentiable: record the step for gradients through it.

    Raises:
        ValueError: a negative hyperparameter.

    Source: Duchi, Hazan and Singer, Adaptive Subgradient Methods for Online Learning and Stochastic Optimization
    (2011).
    """

    _late_defaults = {"foreach": None, "maximize": False, "differentiable": False, "fused": None}

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_not_negative(
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            epsilon=eps,
        )
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)
        # Unlike the others Adagrad has its state from the beginning.
        for group in self.param_groups:
            for param in group["params"]:
                state = self.state[param]
                state.update(self._new_state(param, group))
                self._host.know(state["step"], 0)

    def share_memory(self) -> None:
        """Moves the state to memory that processes share."""
        for state in self.state.values():
            state["sum"].share_memory_()

    def _new_state(self, param: Any, group: dict[str, Any]) -> dict[str, Any]:
        start = group["initial_accumulator_value"]
        if param.is_complex():
            start = complex(start, start)
        return {
            "step": new_step(param, group),
            "sum": rl.full_like(param, start, memory_format=rl.preserve_format, requires_grad=False),
        }

    def _update_sparse(self, param: Any, grad: Any, group: dict[str, Any]) -> None:
        """The same formula for the rows of the gradient."""
        if group["weight_decay"] != 0:
            raise RuntimeError("weight_decay option is not compatible with sparse gradients")
        state = self.state[param]
        step = self._host.advance(state["step"])
        rate = to_scalar(group["lr"]) / (1 + (step - 1) * group["lr_decay"])
        grad = grad.coalesce()
        values = grad.values()
        state["sum"].add_(grad._with(values.pow(2)))
        spread = state["sum"].sparse_mask(grad).values().sqrt().add(group["eps"])
        add_scaled_(param, grad._with(values / spread), -rate)

    def _update(self, param: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        step = self._host.advance(state["step"])
        grad = decayed(param, grad, group["weight_decay"])
        rate = to_scalar(group["lr"]) / (1 + (step - 1) * group["lr_decay"])
        total = state["sum"].addcmul_(grad, grad, value=1)
        addcdiv_(param, grad, total.sqrt() + group["eps"], -rate)
