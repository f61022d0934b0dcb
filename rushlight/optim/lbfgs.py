"""L-BFGS: a quasi-Newton method with limited memory, on all parameters as one vector.

In: a closure that calculates loss and gradients. Out: `LBFGS`. Unlike the other optimizers it must look at numbers
while it works: each iteration decides from the loss and the slope whether and how to go on.
Read next: `line_search.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import api as rl
from ..core.stream import flush
from .line_search import strong_wolfe
from .optimizer import Optimizer, ParamsT
from .per_parameter import add_scaled_, check_lr, to_scalar

__all__ = ["LBFGS", "Optimizer"]

PAIRS = 8  # of the history in one block: however long it grows, blocks have few forms, and each is planned once


# The order of the entries in PyTorch's checkpoints, after the counters.
STATE_ORDER = ["al", "d", "t", "old_dirs", "old_stps", "ro", "H_diag", "prev_flat_grad", "prev_loss"]


class LBFGS(Optimizer):
    r"""L-BFGS. The direction is :math:`d = -H g`, where the inverse Hessian H is estimated from the last `history_size`
    changes of the parameters and of the gradients (two-loop recursion).

    Args:
        params: tensors or (name, tensor) pairs; a single group.
        lr: length of a step along d; a number or a one-element tensor.
        max_iter: iterations in one `step`.
        max_eval: evaluations of the closure in one `step`; None for 1.25 `max_iter`.
        tolerance_grad: stop when no element of the gradient is larger.
        tolerance_change: stop when neither loss nor parameters change by more.
        history_size: number of changes kept; each needs the memory of two copies of all parameters.
        line_search_fn: None, or "strong_wolfe".

    Raises:
        ValueError: several parameter groups, or a negative `lr`.
        RuntimeError: in `step`, for another line search.

    Source: Nocedal and Wright, Numerical Optimization (2006), algorithms 7.4 and 3.5.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_lr(lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    @rl.no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:
        """Up to `max_iter` iterations.

        Args:
            closure: sets the gradients to zero, calculates the loss and the gradients, and returns the loss.

        Returns:
            the loss before the first iteration.
        """
        group = self.param_groups[0]
        search = group["line_search_fn"]
        state = self.state[group["params"][0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        evaluate = rl.enable_grad()(closure)
        first_loss = evaluate()
        loss, grad = float(first_loss), self._gather_flat_grad()
        evaluations, iterations = 1, 0
        state["func_evals"] += 1
        converged = float(grad.abs().max()) <= group["tolerance_grad"]
        while not converged and iterations < group["max_iter"]:
            iterations += 1
            state["n_iter"] += 1
            direction = self._direction(state, grad, group["history_size"])
            previous_loss, state["prev_flat_grad"], state["prev_loss"] = loss, grad, loss
            length = self._first_length(state, grad, to_scalar(group["lr"]))
            state["d"], state["t"] = direction, length
            slope = float(grad.dot(direction))
            if slope > -group["tolerance_change"]:
                break
            last = iterations == group["max_iter"]
            tried = 0
            if search is not None:
                found = self._search(search, evaluate, length, direction, loss, grad, slope)
                loss, grad, length, tried = found
                state["t"] = length
                self._add_grad(length, direction)
            else:
                self._add_grad(length, direction)
                if not last:
                    # The last point is not evaluated: the next call of step does that.
                    loss, grad, tried = float(evaluate()), self._gather_flat_grad(), 1
            evaluations += tried
            state["func_evals"] += tried
            if last or evaluations >= group["max_eval"]:
                break
            converged = self._converged(group, grad, direction * length, loss - previous_loss)
        for key in STATE_ORDER:
            if key in state:
                state[key] = state.pop(key)
        return first_loss

    @staticmethod
    def _converged(group: dict[str, Any], grad: Any, change: Any, loss_change: float) -> bool:
        return (
            float(grad.abs().max()) <= group["tolerance_grad"]
            or float(change.abs().max()) <= group["tolerance_change"]
            or abs(loss_change) < group["tolerance_change"]
        )

    def _direction(self, state: dict[str, Any], grad: Any, history_size: int) -> Any:
        """-H grad, after the last step has been taken into the history that stands for H."""
        if state["n_iter"] == 1:
            state["old_dirs"], state["old_stps"], state["ro"], state["H_diag"] = [], [], [], 1
            return grad.neg()
        changes, steps, inverses = state["old_dirs"], state["old_stps"], state["ro"]
        change, step = grad - state["prev_flat_grad"], state["d"] * state["t"]
        curvature = change.dot(step)
        if float(curvature) > 1e-10:
            if len(changes) == history_size:
                for history in (changes, steps, inverses):
                    history.pop(0)
            changes.append(change)
            steps.append(step)
            inverses.append(1.0 / curvature)
            state["H_diag"] = curvature / change.dot(change)
        weights = state.setdefault("al", [None] * history_size)
        result = grad.neg()
        for index in reversed(range(len(changes))):
            if index % PAIRS == 0:
                flush()
            weights[index] = steps[index].dot(result) * inverses[index]
            result = result - changes[index] * weights[index]
        result = result * state["H_diag"]
        for index in range(len(changes)):
            if index % PAIRS == 0:
                flush()
            weight = changes[index].dot(result) * inverses[index]
            result = result + steps[index] * (weights[index] - weight)
        return result

    @staticmethod
    def _first_length(state: dict[str, Any], grad: Any, lr: Any) -> Any:
        """The step length to begin with: the scale of the direction is unknown in the very first iteration."""
        if state["n_iter"] > 1:
            return lr
        total = float(grad.abs().sum())
        return min(1.0, 1.0 / total) * lr

    def _search(
        self, name: str, evaluate: Callable, length: Any, direction: Any, loss: float, grad: Any, slope: float
    ) -> tuple[float, Any, Any, int]:
        """A line search from the current point: (loss, gradient, step length, evaluations); the parameters stay."""
        if name != "strong_wolfe":
            raise RuntimeError("only 'strong_wolfe' is supported")
        start = self._clone_param()

        def at(length: Any) -> tuple[float, Any]:
            self._add_grad(length, direction)
            result = float(evaluate()), self._gather_flat_grad()
            self._set_param(start)
            return result

        return strong_wolfe(at, float(length), direction, loss, grad, slope)

    # All parameters as one vector; complex numbers as pairs of real ones

    def _gather_flat_grad(self) -> Any:
        views = []
        for param in self.param_groups[0]["params"]:
            grad = rl.zeros_like(param) if param.grad is None else param.grad
            views.append((rl.view_as_real(grad) if grad.is_complex() else grad).reshape(-1))
        return rl.cat(views, 0)

    def _add_grad(self, length: Any, direction: Any) -> None:
        offset = 0
        for param in self.param_groups[0]["params"]:
            if param.is_complex():
                param = rl.view_as_real(param)
            # view_as is not used: a parameter need not be contiguous.
            part = direction[offset : offset + param.numel()].reshape(param.shape)
            add_scaled_(param, part, length)
            offset += param.numel()

    def _clone_param(self) -> list[Any]:
        return [param.clone(memory_format=rl.contiguous_format) for param in self.param_groups[0]["params"]]

    def _set_param(self, values: list[Any]) -> None:
        for param, value in zip(self.param_groups[0]["params"], values):
            param.copy_(value)
