"""Muon: momentum steps for matrices, made orthogonal.

In: 2-D parameters with gradients. Out: `Muon`. Read next: `sgd.py`.
"""

from __future__ import annotations

from typing import Any

from .. import api as rl
from .optimizer import ParamsT
from .per_parameter import PerParameterOptimizer, add_scaled_, check_lr, new_zeros, to_scalar

__all__ = ["Muon"]


class Muon(PerParameterOptimizer):
    r"""Muon: MomentUm Orthogonalised by Newton-Schulz, for the hidden matrices of a network.

    .. math::
        b \leftarrow \mu b + (1 - \mu) g, \quad O = \text{NS}((1 - \mu) g + \mu b \text{ if nesterov else } b), \quad
        \theta \leftarrow (1 - \gamma \lambda) \theta - \gamma s \, O

    NS brings all singular values near 1. The factor s follows from the shape (A, B): :math:`\sqrt{\max(1, A / B)}`
    ("original", the default), or :math:`0.2 \sqrt{\max(A, B)}` ("match_rms_adamw": learning rates made for AdamW fit).

    Args:
        params: 2-D tensors, (name, tensor) pairs or parameter groups of them.
        lr: learning rate, gamma; a number or a one-element tensor.
        weight_decay: lambda, decoupled.
        momentum: mu.
        nesterov: Nesterov momentum.
        ns_coefficients: (a, b, c) of the polynomial :math:`a X + b (X X^T) X + c (X X^T)^2 X`.
        eps: keeps the norm in the first division from zero.
        ns_steps: how often the polynomial is applied, below 100.
        adjust_lr_fn: "original", "match_rms_adamw" or None.

    Raises:
        ValueError: a hyperparameter out of its range, or a parameter that is not 2-D.
        RuntimeError: in `step`, for complex parameters.

    Source: Jordan, Muon: An optimizer for hidden layers in neural networks (2024); Liu et al., Muon is Scalable for LLM
    Training (2025) for "match_rms_adamw".
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        check_lr(lr, "Learning rate should be >= 0 but is: {}")
        if not 0.0 <= momentum:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for param in group["params"]:
                if param.ndim != 2:
                    raise ValueError(
                        f"Muon only supports 2D parameters whereas we found a parameter with size: {param.size()}"
                    )

    def _update_param(self, param: Any, grad: Any, group: dict[str, Any]) -> None:
        if param.is_complex():
            raise RuntimeError("Muon does not support complex parameters")
        if grad.ndim != 2:
            raise ValueError("Param gradient must be a 2D matrix")
        super()._update_param(param, grad, group)

    def _new_state(self, param: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"momentum_buffer": new_zeros(param.grad)}

    def _update(self, param: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        lr, momentum = to_scalar(group["lr"]), group["momentum"]
        buffer = state["momentum_buffer"].lerp_(grad, 1 - momentum)
        update = grad.lerp(buffer, momentum) if group["nesterov"] else buffer
        update = orthogonalized(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
        param.mul_(1 - lr * group["weight_decay"])
        add_scaled_(param, update, -(lr * shape_factor(group["adjust_lr_fn"], param.shape)))


def shape_factor(adjust_lr_fn: str | None, shape: Any) -> float:
    """By how much the learning rate is scaled for a matrix of this shape."""
    rows, columns = shape
    if adjust_lr_fn == "match_rms_adamw":
        return 0.2 * max(rows, columns) ** 0.5
    return max(1, rows / columns) ** 0.5


def orthogonalized(matrix: Any, coefficients: Any, steps: int, eps: float) -> Any:
    """`matrix` in bfloat16 with all singular values near 1, by Newton-Schulz iterations."""
    if steps >= 100:
        raise ValueError("Number of steps must be less than 100 for computational efficiency")
    if len(coefficients) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    a, b, c = coefficients
    tall = matrix.size(0) > matrix.size(1)
    x = matrix.bfloat16()
    if tall:
        x = x.T
    x = x / x.norm().clamp(min=eps)  # the iteration converges from singular values of at most 1
    for _ in range(steps):
        gram = x @ x.T
        polynomial = rl.addmm(gram, gram, gram, beta=b, alpha=c)
        x = rl.addmm(x, polynomial, x, beta=a)
    return x.T if tall else x
