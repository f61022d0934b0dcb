"""Averaged stochastic gradient descent.

In: parameters with gradients. Out: `ASGD`. Read next: `swa_utils.py`, averaging apart from the optimizer.
"""

from __future__ import annotations

from typing import Any

from .. import api as rl
from .host_values import rounded, scalar_dtype
from .optimizer import Optimizer, ParamsT
from .per_parameter import PerParameterOptimizer, check_lr, check_not_negative, decayed, new_step, new_zeros

__all__ = ["ASGD", "Optimizer"]


class ASGD(PerParameterOptimizer):
    r"""Averaged stochastic gradient descent. The state `ax` holds the average.

    .. math::
        \theta \leftarrow (1 - \lambda \eta_t) \theta - \eta_t g, \quad a \leftarrow a + \mu_t (\theta - a), \quad
        \eta_{t+1} = \gamma / (1 + \lambda \gamma t)^\alpha, \quad \mu_{t+1} = 1 / \max(1, t - t_0)

    Args:
        params: tensors, (name, tensor) pairs or parameter groups.
        lr: learning rate, gamma.
        lambd: decay of the parameter, lambda.
        alpha: power of the decay of eta.
        t0: the step in which averaging starts.
        weight_decay: L2 penalty added to the gradient.
        foreach: accepted and stored, see Note [One formula].
        maximize: climb instead of descend.
        differentiable: record the step for gradients through it.
        capturable: accepted for parameters that are not on the CPU.

    Raises:
        ValueError: a negative `lr` or `weight_decay`.

    Source: Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging (1992).
    """

    _late_defaults = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes over `state`; eta and mu were plain numbers in old checkpoints."""
        super().__setstate__(state)
        for entry in self.state.values():
            for name in ("eta", "mu"):
                if entry and not isinstance(entry[name], rl.Tensor):
                    entry[name] = rl.tensor(float(entry[name]), dtype=scalar_dtype())

    def _rate(self, group: dict[str, Any]) -> float:
        return self._host.read(group["lr"]) if isinstance(group["lr"], rl.Tensor) else group["lr"]

    def _new_state(self, param: Any, group: dict[str, Any]) -> dict[str, Any]:
        step = new_step(param, group)
        eta, mu = rl.empty_like(step), rl.empty_like(step)
        self._host.write(eta, self._rate(group))
        self._host.write(mu, 1.0)
        return {"step": step, "eta": eta, "mu": mu, "ax": new_zeros(param)}

    def _update(self, param: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        lr, lambd = self._rate(group), group["lambd"]
        step = self._host.advance(state["step"])
        eta, mu = self._host.read(state["eta"]), self._host.read(state["mu"])
        grad = decayed(param, grad, group["weight_decay"])
        param.mul_(1 - lambd * eta).add_(grad, alpha=-eta)
        average = state["ax"]
        if mu == 1:
            average.copy_(param)
        else:
            average.add_((param - average) * mu)
        self._host.write(state["eta"], next_eta(lr, lambd, group["alpha"], step, bool(group["foreach"])))
        self._host.write(state["mu"], rounded(1 / max(1, step - group["t0"]), scalar_dtype()))


def next_eta(lr: float, lambd: float, alpha: float, step: int, foreach: bool) -> float:
    """lr / (1 + lambd * lr * step) ** alpha, rounded as in PyTorch: at the end, with `foreach` after each operation.

    The rounding is to float32 and so can be seen in float64 parameters.
    """
    dtype = scalar_dtype()
    if not foreach:
        return rounded(lr / (1 + lambd * lr * step) ** alpha, dtype)
    base = rounded(1 + rounded(rounded(lambd * lr, dtype) * step, dtype), dtype)
    power = rounded(base ** rounded(alpha, dtype), dtype)
    return rounded(rounded(1 / power, dtype) * rounded(lr, dtype), dtype)
