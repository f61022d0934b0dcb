"""Rprop: a step size for each element, which grows and shrinks with the sign of the gradient.

In: parameters with gradients. Out: `Rprop`. Read next: `sgd.py`.
"""

from __future__ import annotations

from typing import Any

from .. import api as rl
from .optimizer import Optimizer, ParamsT
from .per_parameter import PerParameterOptimizer, check_lr, new_step, new_zeros

__all__ = ["Rprop", "Optimizer"]


class Rprop(PerParameterOptimizer):
    r"""Resilient backpropagation; for gradients of the full data set.

    Where the gradient keeps its sign, the step size is multiplied by eta plus. Where it changes, the size is multiplied
    by eta minus and the gradient is taken as zero. Then :math:`\theta \leftarrow \theta - \text{sign}(g) \cdot
    \text{size}`.

    Args:
        params: tensors, (name, tensor) pairs or parameter groups.
        lr: the first step size.
        etas: (eta minus, eta plus).
        step_sizes: smallest and largest step size.
        capturable: accepted for parameters that are not on the CPU.
        foreach: accepted and stored, see Note [One formula].
        maximize: climb instead of descend.
        differentiable: record the step for gradients through it.

    Raises:
        ValueError: a negative `lr`, or not 0 < eta minus < 1 < eta plus.

    Source: Riedmiller and Braun, A direct adaptive method for faster backpropagation learning (1993).
    """

    _late_defaults = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _new_state(self, param: Any, group: dict[str, Any]) -> dict[str, Any]:
        size = self._host.read(group["lr"]) if isinstance(group["lr"], rl.Tensor) else group["lr"]
        if param.is_complex():
            size = complex(size, size)
        return {
            "step": new_step(param, group),
            "prev": new_zeros(param),
            "step_size": rl.full_like(param, size, requires_grad=False),
        }

    def _update(self, param: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        (eta_minus, eta_plus), (smallest, largest) = group["etas"], group["step_sizes"]
        self._host.advance(state["step"])
        product = grad.detach() * state["prev"].detach()  # only its sign is used, which has no gradient
        turned = product < 0
        factor = product.sign().masked_fill_(product == 0, 1).masked_fill_(turned, eta_minus)
        factor.masked_fill_(product > 0, eta_plus)
        size = state["step_size"].mul_(factor).clamp_(smallest, largest)
        grad = grad.masked_fill(turned, 0)
        param.addcmul_(grad.sign(), size, value=-1)
        state["prev"].copy_(grad)
