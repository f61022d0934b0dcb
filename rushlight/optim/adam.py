"""Adam: steps scaled by running averages of the gradient and of its square.

In: parameters with gradients. Out: `Adam`. Read next: `adamw.py`, the same with decoupled weight decay.
"""

from __future__ import annotations

from typing import Any

from .. import api as rl
from ..core.macro import macro
from .optimizer import Optimizer, ParamsT
from .per_parameter import (
    PerParameterOptimizer,
    addcdiv_,
    addcmul_,
    check_betas,
    check_fused,
    check_lr,
    check_not_negative,
    decayed,
    new_step,
    new_zeros,
    to_scalar,
)

__all__ = ["Adam", "Optimizer"]


class Adam(PerParameterOptimizer):
    r"""Adam.

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad \theta
        \leftarrow \theta
            - \gamma \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    Args:
        params: tensors, (name, tensor) pairs or parameter groups.
        lr: learning rate, gamma; a number or a one-element tensor.
        betas: decay rates of the two averages; two numbers or two one-element tensors.
        eps: keeps the denominator from zero.
        weight_decay: L2 penalty added to the gradient; with `decoupled_weight_decay` it shrinks the parameter instead.
        amsgrad: divide by the largest v so far.
        maximize: climb instead of descend.
        foreach, fused: accepted and stored, see Note [One formula].
        capturable: accepted for parameters that are not on the CPU.
        differentiable: record the step for gradients through it.
        decoupled_weight_decay: AdamW's weight decay.

    Raises:
        ValueError: a hyperparameter out of its range, or tensors with `foreach=True`.

    Source: Kingma and Ba, Adam: A Method for Stochastic Optimization (2015); Reddi et al., On the Convergence of Adam
    and Beyond (2018) for `amsgrad`.
    """

    _late_defaults = {
        "amsgrad": False,
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
        "fused": None,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        if foreach and not capturable:
            check_no_tensors(lr)
        check_lr(lr)
        check_not_negative(epsilon=eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        check_tensor_betas(betas, foreach and not capturable)
        defaults = {
            "lr": lr,
            "betas": tuple(map(to_scalar, betas)),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)

    def _update_sparse(self, param: Any, grad: Any, group: dict[str, Any]) -> None:
        name = type(self).__name__
        hint = ", please consider SparseAdam instead" if name == "Adam" else ""
        raise RuntimeError(f"{name} does not support sparse gradients{hint}")

    def _new_state(self, param: Any, group: dict[str, Any]) -> dict[str, Any]:
        state = {"step": new_step(param, group), "exp_avg": new_zeros(param), "exp_avg_sq": new_zeros(param)}
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = new_zeros(param)
        return state

    def _update(self, param: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        lr, (beta1, beta2), weight_decay = to_scalar(group["lr"]), group["betas"], group["weight_decay"]
        count = self._host.read(state["step"]) + 1
        decoupled = group["decoupled_weight_decay"]
        adam_update(
            param,
            state["exp_avg"],
            state["exp_avg_sq"],
            state.get("max_exp_avg_sq") if group["amsgrad"] else None,
            state["step"],
            grad,
            1 - lr * weight_decay if decoupled and weight_decay != 0 else None,
            weight_decay if not decoupled and weight_decay != 0 else None,
            1 - beta1,
            beta2,
            1 - beta2,
            (1 - beta2**count) ** 0.5,
            group["eps"],
            -(lr / (1 - beta1**count)),
        )
        self._host.know(state["step"], count)


@macro("adam_update", 6, numbers=8, writes=5)
def adam_update(
    param: Any, exp_avg: Any, exp_avg_sq: Any, largest: Any, step: Any, grad: Any,
    shrink: Any, decay: Any, weight1: Any, beta2: Any, weight2: Any, correction2: Any, eps: Any, scale: Any,
) -> None:
    """One step of Adam. `correction2`: the root of the bias correction of the second moment; `scale`: minus the
    learning rate over the bias correction of the first."""
    step.add_(1)
    if shrink is not None:
        param.mul_(shrink)
    if decay is not None:
        grad = decayed(param, grad, decay)
    exp_avg.lerp_(grad, weight1)
    addcmul_(exp_avg_sq.mul_(beta2), grad, grad, weight2)
    if largest is not None:
        exp_avg_sq = largest.clamp_min_(exp_avg_sq)
    denominator = exp_avg_sq.sqrt() / correction2 + eps
    addcdiv_(param, exp_avg, denominator, scale)


def check_no_tensors(lr: Any) -> None:
    """Refuses a tensor as learning rate, where `foreach` was asked for."""
    if isinstance(lr, rl.Tensor):
        raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True")


def check_tensor_betas(betas: tuple[Any, Any], numbers_only: bool | None) -> None:
    """Refuses betas that are neither two floats nor two one-element tensors."""
    if not (all(isinstance(beta, float) for beta in betas) or all(isinstance(beta, rl.Tensor) for beta in betas)):
        raise ValueError("betas must be either both floats or both Tensors")
    for index, beta in enumerate(betas):
        if not isinstance(beta, rl.Tensor):
            continue
        if numbers_only:
            raise ValueError(f"betas[{index}] as a Tensor is not supported for capturable=False and foreach=True")
        if beta.numel() != 1:
            raise ValueError(f"Tensor betas[{index}] must be 1-element")
