"""SparseAdam: Adam for gradients of few rows, whose moments change only where the gradient has elements.

In: parameters with sparse gradients. Out: `SparseAdam`. Read next: `adam.py`.
"""

from __future__ import annotations

from typing import Any

from .optimizer import Optimizer, ParamsT
from .per_parameter import PerParameterOptimizer, add_scaled_, check_betas, check_lr, check_not_negative, to_scalar

__all__ = ["Optimizer", "SparseAdam"]


class SparseAdam(PerParameterOptimizer):
    r"""Adam whose moments are updated at the elements of sparse gradients alone.

    The formulas are those of `Adam`, for the rows that the gradient has:

    .. math::
        m \leftarrow m + (1 - \beta_1) (g - m), \quad v \leftarrow v + (1 - \beta_2) (g^2 - v), \quad \theta \leftarrow
        \theta - \gamma \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t} \frac{m}{\sqrt{v} + \epsilon}

    Args:
        params: dense tensors, (name, tensor) pairs or parameter groups.
        lr: learning rate, gamma; a number or a one-element tensor.
        betas: decay rates of the moments.
        eps: keeps the denominator from zero.
        maximize: climb instead of descend.

    Raises:
        ValueError: a hyperparameter out of range, or a sparse parameter.
        RuntimeError: at `step`, for a dense gradient.
    """

    _late_defaults = {"maximize": False}

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 < lr:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not 0.0 < eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        check_not_negative(epsilon=eps)
        check_betas(betas)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
        sparse = [[number, at] for number, group in enumerate(self.param_groups)
                  for at, param in enumerate(group["params"]) if not param._is_strided]
        if sparse:
            raise ValueError(f"Sparse params at indices {sparse}: SparseAdam requires dense parameter tensors")

    def _new_state(self, param: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"step": 0, "exp_avg": param.new_zeros(param.shape), "exp_avg_sq": param.new_zeros(param.shape)}

    def _update_param(self, param: Any, grad: Any, group: dict[str, Any]) -> None:
        if grad._is_strided:
            raise RuntimeError("SparseAdam does not support dense gradients, please consider Adam instead")
        self._update_sparse(param, grad, group)

    def _update_sparse(self, param: Any, grad: Any, group: dict[str, Any]) -> None:
        state = self.state[param]
        if not state:
            state.update(self._new_state(param, group))
        state["step"] += 1
        step, (beta1, beta2), grad = state["step"], group["betas"], grad.coalesce()
        if not grad._nnz():
            return
        values, moments = grad.values(), []
        for name, target, weight in (("exp_avg", values, 1 - beta1), ("exp_avg_sq", values.pow(2), 1 - beta2)):
            old = state[name].sparse_mask(grad).values()
            change = (target - old) * weight
            state[name].add_(grad._with(change))
            moments.append(old + change)
        first, second = moments
        scale = to_scalar(group["lr"]) * (1 - beta2**step) ** 0.5 / (1 - beta1**step)
        add_scaled_(param, grad._with(first / (second.sqrt() + group["eps"])), -scale)
