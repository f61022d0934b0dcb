"""NAdam: Adam with Nesterov momentum.

In: parameters with gradients. Out: `NAdam`. Read next: `adam.py`.
"""

from __future__ import annotations

from typing import Any

from .. import api as rl
from .host_values import rounded, scalar_dtype
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

__all__ = ["NAdam", "Optimizer"]


class NAdam(PerParameterOptimizer):
    r"""NAdam. With m, v as in Adam and :math:`\mu_t = \beta_1 (1 - 0.5 \cdot 0.96^{t \psi})`:

    .. math::
        \theta \leftarrow \theta - \gamma
            \frac{(1 - \mu_t) g / (1 - \prod_{i \le t} \mu_i) + \mu_{t+1} m / (1 - \prod_{i \le t+1} \mu_i)}
                 {\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    Args:
        params: tensors, (name, tensor) pairs or parameter groups.
        lr: learning rate, gamma; a number or a one-element tensor.
        betas: decay rates of the two averages.
        eps: keeps the denominator from zero.
        weight_decay: L2 penalty; with `decoupled_weight_decay` it shrinks the parameter instead.
        momentum_decay: psi.
        decoupled_weight_decay: weight decay as in AdamW.
        foreach: accepted and stored, see Note [One formula].
        maximize: climb instead of descend.
        capturable: accepted for parameters that are not on the CPU.
        differentiable: record the step for gradients through it.

    Raises:
        ValueError: a hyperparameter out of its range.

    Source: Dozat, Incorporating Nesterov Momentum into Adam (2016).
    """

    _late_defaults = {
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
        check_not_negative(weight_decay=weight_decay, momentum_decay=momentum_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes over `state`; the product of momenta was a plain number in old checkpoints."""
        super().__setstate__(state)
        for entry in self.state.values():
            if entry and not isinstance(entry["mu_product"], rl.Tensor):
                entry["mu_product"] = rl.tensor(entry["mu_product"], dtype=scalar_dtype())

    def _new_state(self, param: Any, group: dict[str, Any]) -> dict[str, Any]:
        step = new_step(param, group)
        return {
            "step": step,
            "mu_product": rl.ones_like(step),
            "exp_avg": new_zeros(param),
            "exp_avg_sq": new_zeros(param),
        }

    def _update(self, param: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        lr, (beta1, beta2) = to_scalar(group["lr"]), group["betas"]
        step = self._host.advance(state["step"])
        if group["weight_decay"] != 0:
            if group["decoupled_weight_decay"]:
                param.mul_(1 - lr * group["weight_decay"])
            else:
                grad = decayed(param, grad, group["weight_decay"])
        mu = beta1 * (1.0 - 0.5 * 0.96 ** (step * group["momentum_decay"]))
        mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * group["momentum_decay"]))
        mu_product = self._multiply(state["mu_product"], mu)
        exp_avg = state["exp_avg"].lerp_(grad, 1 - beta1)
        exp_avg_sq = state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        denominator = (exp_avg_sq / (1 - beta2**step)).sqrt() + group["eps"]
        addcdiv_(param, grad, denominator, -lr * (1.0 - mu) / (1.0 - mu_product))
        addcdiv_(param, exp_avg, denominator, -lr * mu_next / (1.0 - mu_product * mu_next))

    def _multiply(self, mu_product: Any, mu: float) -> float:
        """Multiplies the tensor `mu_product` by mu; its value, rounded as the tensor rounds it."""
        dtype = mu_product.dtype
        value = rounded(self._host.read(mu_product) * rounded(mu, dtype), dtype)
        mu_product *= mu
        self._host.know(mu_product, value)
        return value
