"""Stochastic gradient descent with momentum.

In: parameters with gradients. Out: `SGD`. Read next: `adam.py`.
"""

from __future__ import annotations

from typing import Any

from .. import api as rl
from ..core.macro import macro
from .optimizer import Optimizer, ParamsT
from .per_parameter import PerParameterOptimizer, add_scaled_, check_fused, check_lr, decayed, to_scalar

__all__ = ["SGD", "Optimizer"]


class SGD(PerParameterOptimizer):
    r"""Stochastic gradient descent, with momentum and Nesterov's variant of it.

    .. math::
        g \leftarrow \nabla f(\theta) + \lambda \theta, \quad b \leftarrow \mu b + (1 - \tau) g, \quad \theta \leftarrow
        \theta - \gamma (g + \mu b \text{ if nesterov else } b)

    In the first step b is g. Without momentum g itself is subtracted.

    Args:
        params: tensors, (name, tensor) pairs or parameter groups.
        lr: learning rate, gamma; a number or a one-element tensor.
        momentum: mu.
        dampening: tau.
        weight_decay: L2 penalty, lambda.
        nesterov: Nesterov momentum; needs a momentum and no dampening.
        maximize: climb instead of descend.
        foreach, fused: accepted and stored, see Note [One formula].
        differentiable: record the step for gradients through it.

    Raises:
        ValueError: a negative `lr`, `momentum` or `weight_decay`, or `nesterov` without momentum.

    Source: Sutskever et al., On the importance of initialization and momentum in deep learning (2013).
    """

    _late_defaults = {
        "nesterov": False,
        "maximize": False,
        "foreach": None,
        "differentiable": False,
        "fused": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: Any = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        if momentum < 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if weight_decay < 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)

    def _update_param(self, param: Any, grad: Any, group: dict[str, Any]) -> None:
        if not grad._is_strided:
            self._update_sparse(param, grad, group)
            return
        # Linear in parameter and gradient: complex tensors need no real view. Without momentum there is no state.
        momentum, weight_decay, scale = group["momentum"], group["weight_decay"], -to_scalar(group["lr"])
        decay = weight_decay if isinstance(weight_decay, rl.Tensor) or weight_decay != 0 else None
        if momentum == 0:
            sgd_update(param, None, grad, decay, None, None, scale, False)
            return
        state = self.state[param]
        buffer = state.get("momentum_buffer")
        if buffer is None:
            grad = decayed(param, grad, weight_decay)
            state["momentum_buffer"] = buffer = grad.detach().clone()
            add_scaled_(param, grad.add(buffer, alpha=momentum) if group["nesterov"] else buffer, scale)
            return
        if group["differentiable"]:
            state["momentum_buffer"] = buffer = buffer.clone()
        sgd_update(param, buffer, grad, decay, momentum, 1 - group["dampening"], scale, group["nesterov"])

    def _update_sparse(self, param: Any, grad: Any, group: dict[str, Any]) -> None:
        """The same formula on sparse tensors: only the rows of the gradient change, and those of the momentum."""
        momentum = group["momentum"]
        grad = decayed(param, grad, group["weight_decay"])
        if momentum != 0:
            state = self.state[param]
            buffer = state.get("momentum_buffer")
            if buffer is None:
                buffer = state["momentum_buffer"] = grad.detach().clone()
            else:
                buffer.mul_(momentum).add_(grad, alpha=1 - group["dampening"])
            grad = grad.add(buffer, alpha=momentum) if group["nesterov"] else buffer
        add_scaled_(param, grad, -to_scalar(group["lr"]))


@macro("sgd_update", 3, numbers=4, writes=2)
def sgd_update(
    param: Any, buffer: Any, grad: Any, decay: Any, momentum: Any, keep: Any, scale: Any, nesterov: bool
) -> None:
    """One step of SGD. `keep`: one minus the dampening; `scale`: minus the learning rate."""
    if decay is not None:
        grad = decayed(param, grad, decay)
    if buffer is not None:
        buffer.mul_(momentum).add_(grad, alpha=keep)
        grad = grad.add(buffer, alpha=momentum) if nesterov else buffer
    add_scaled_(param, grad, scale)
