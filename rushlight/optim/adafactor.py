"""Adafactor: the second moment of a matrix kept as the product of a column and a row.

In: parameters with gradients. Out: `Adafactor`. Read next: `adam.py`, which keeps the whole matrix.
"""

from __future__ import annotations

from typing import Any

from .. import api as rl
from .optimizer import ParamsT
from .per_parameter import PerParameterOptimizer, add_scaled_, check_lr, new_step, new_zeros, to_scalar

__all__ = ["Adafactor"]


class Adafactor(PerParameterOptimizer):
    r"""Adafactor. With :math:`\hat\beta_t = 1 - t^\tau` and :math:`\text{RMS}(x) = \lVert x \rVert / \sqrt{n}`:

    .. math::
        R \leftarrow \hat\beta_t R + (1 - \hat\beta_t) \, \text{mean}_{-1}(g^2), \quad C \leftarrow \hat\beta_t C + (1 -
        \hat\beta_t) \, \text{mean}_{-2}(g^2), \quad V = R C / \text{mean}_{-2}(R)

    .. math::
        U = g / \sqrt{\max(V, \epsilon_1^2)}, \quad \theta \leftarrow (1 - \gamma \lambda) \theta - \max(\epsilon_2,
        \text{RMS}(\theta)) \min(\gamma, 1 / \sqrt t) \, U / \max(1, \text{RMS}(U) / d)

    Vectors keep their whole second moment.

    Args:
        params: tensors, (name, tensor) pairs or parameter groups.
        lr: the largest relative step, gamma; a number or a one-element tensor.
        beta2_decay: tau, at most 0.
        eps: (epsilon 1, epsilon 2); None for epsilon 1 is the resolution of the dtype.
        d: threshold from which a step is scaled down, at least 1.
        weight_decay: lambda.
        foreach: accepted and stored, see Note [One formula].
        maximize: climb instead of descend.

    Raises:
        ValueError: a hyperparameter out of its range.
        RuntimeError: in `step`, for complex parameters.

    Source: Shazeer and Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost (2018).
    """

    _late_defaults = {"foreach": None}

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check_lr(lr, "Learning rate should be >= 0 but is: {}")
        if not 0.0 >= beta2_decay:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not 0.0 <= eps[0]:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not 0.0 <= eps[1]:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not 1.0 <= d:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _update_param(self, param: Any, grad: Any, group: dict[str, Any]) -> None:
        if param.is_complex():
            raise RuntimeError("Adafactor does not support complex parameters")
        super()._update_param(param, grad, group)

    def _new_state(self, param: Any, group: dict[str, Any]) -> dict[str, Any]:
        state = {"step": new_step(param, group)}
        if param.dim() < 2:
            return {**state, "variance": new_zeros(param.grad)}
        *batch, rows, columns = param.shape
        return {
            **state,
            "row_var": param.grad.new_zeros([*batch, rows, 1]),
            "col_var": param.grad.new_zeros([*batch, 1, columns]),
        }

    def _update(self, param: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        lr, (eps1, eps2) = to_scalar(group["lr"]), group["eps"]
        step = self._host.advance(state["step"])
        if eps1 is None:
            eps1 = rl.finfo(param.dtype).eps
        rate = rms(param).clamp(min=eps2) * smaller(lr, 1 / step**0.5)
        if group["weight_decay"] != 0:
            param.mul_(1 - lr * group["weight_decay"])
        new_part = step ** group["beta2_decay"]
        if "variance" in state:
            variance = state["variance"].lerp_(grad * grad, new_part)
        else:
            row_mean = grad.norm(dim=-1, keepdim=True).square() / grad.size(-1)
            col_mean = grad.norm(dim=-2, keepdim=True).square() / grad.size(-2)
            row_var = state["row_var"].lerp_(row_mean, new_part)
            col_var = state["col_var"].lerp_(col_mean, new_part)
            variance = row_var @ col_var / row_var.mean(dim=-2, keepdim=True).clamp(min=eps1)
        update = variance.clamp(min=eps1 * eps1).rsqrt() * grad
        excess = (rms(update) / group["d"]).clamp(min=1.0)
        add_scaled_(param, update, -rate / excess)


def rms(value: Any) -> Any:
    """The root mean square of all elements, as a tensor without dimensions."""
    return value.norm() / value.numel() ** 0.5


def smaller(lr: Any, bound: float) -> Any:
    """min(lr, bound), where lr may be a tensor, which is not read back."""
    return lr.clamp(max=bound) if isinstance(lr, rl.Tensor) else min(lr, bound)
