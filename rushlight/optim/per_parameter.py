"""The step that most optimizers share: go through the groups, and update each parameter from its own gradient.

In: an optimizer's groups and the gradients. Out: `PerParameterOptimizer`, whose subclasses give two methods, what state
a parameter starts with and the update formula; and the few helpers that the formulas are written with.

# Note [One formula]
PyTorch writes each formula two or three times: one tensor at a time, `foreach` over lists, `fused` in one kernel. Here
it is written once. Its operations are recorded and fused by the compiler, over all parameters, so `foreach` and `fused`
choose nothing; they are checked and kept in the groups because checkpoints carry them. The order of operations is
PyTorch's one-tensor form, so that the rounding agrees. What changes from step to step (learning rate, bias
corrections) enters as Python numbers, which are arguments of the compiled program and no part of it.

Read next: `sgd.py` and `adam.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import api as rl
from .host_values import scalar_dtype
from .optimizer import Optimizer

# Where PyTorch accepts `capturable=True`; the CPU is not among them.
CAPTURABLE_DEVICES = ["cuda", "xpu", "hpu", "privateuseone", "xla"]
FUSED_DEVICES = ["mps", "cuda", "xpu", "hpu", "cpu", "mtia", "privateuseone"]


class PerParameterOptimizer(Optimizer):
    """An optimizer that treats each parameter on its own. Subclasses define `_new_state` and `_update`."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient.

        Args:
            closure: calculates the loss again, with gradients, and returns it.

        Returns:
            the closure's loss, or None.
        """
        previous = rl.is_grad_enabled()
        rl.set_grad_enabled(self.defaults.get("differentiable", False))
        try:
            loss = None
            if closure is not None:
                with rl.enable_grad():
                    loss = closure()
            for group in self.param_groups:
                check_flags(group)
                maximize = group.get("maximize", False)
                for param in group["params"]:
                    grad = param.grad
                    if grad is not None:
                        self._update_param(param, -grad if maximize else grad, group)
        finally:
            rl.set_grad_enabled(previous)
        return loss

    def _update_param(self, param: Any, grad: Any, group: dict[str, Any]) -> None:
        """Brings the state of one parameter into the form that the formula takes, and applies it."""
        if not grad._is_strided:
            self._update_sparse(param, grad, group)
            return
        state = self.state[param]
        if not state:
            state.update(self._new_state(param, group))
            if "step" in state:
                self._host.know(state["step"], 0)
        if group.get("differentiable"):
            # The formulas write into the state; the graph of earlier steps still needs its old values.
            state.update({key: value.clone() for key, value in state.items() if key != "step"})
        if param.is_complex():
            state = {key: real_view(value) for key, value in state.items()}
            param, grad = rl.view_as_real(param), rl.view_as_real(grad)
        self._update(param, grad, state, group)

    def _update_sparse(self, param: Any, grad: Any, group: dict[str, Any]) -> None:
        """One step with a sparse gradient. RuntimeError: most formulas change every element."""
        raise RuntimeError(f"{type(self).__name__} does not support sparse gradients")

    def _new_state(self, param: Any, group: dict[str, Any]) -> dict[str, Any]:
        """The state of a parameter before its first step, with PyTorch's keys in PyTorch's order."""
        raise NotImplementedError

    def _update(self, param: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of one real parameter: writes `param` and the tensors in `state`. `grad` must stay as it is."""
        raise NotImplementedError


def check_flags(group: dict[str, Any]) -> None:
    """Refuses what PyTorch refuses about `foreach`, `capturable` and `fused` when a step is made."""
    if group.get("foreach") and group.get("differentiable"):
        raise AssertionError("_foreach ops don't support autograd")
    capturable, fused = group.get("capturable"), group.get("fused")
    if not (capturable or fused):
        return
    for param in group["params"]:
        if param.grad is None:
            continue
        if capturable and param.device.type not in CAPTURABLE_DEVICES:
            raise AssertionError(
                f"If capturable=True, params and state_steps must be on supported devices: {CAPTURABLE_DEVICES}."
            )
        if fused and not param.is_floating_point():
            raise RuntimeError(
                "`fused=True` requires all the params to be floating point Tensors of "
                f"supported devices: {FUSED_DEVICES} but {param.dtype} and {param.device.type}"
            )


def check_lr(lr: Any, message: str = "Invalid learning rate: {}") -> None:
    """Refuses a learning rate that is negative, or a tensor of more than one element."""
    if isinstance(lr, rl.Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not 0.0 <= lr:
        raise ValueError(message.format(lr))


def check_betas(betas: Any) -> None:
    """Refuses decay rates outside of [0, 1)."""
    for index, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {index}: {beta}")


def check_not_negative(**values: Any) -> None:
    """Refuses negative hyperparameters: `check_not_negative(epsilon=eps)` raises "Invalid epsilon value: -1"."""
    for name, value in values.items():
        if not 0.0 <= value:
            raise ValueError(f"Invalid {name} value: {value}")


def check_fused(fused: bool | None, foreach: bool | None, differentiable: bool) -> None:
    """Refuses `fused` together with `differentiable` or `foreach`."""
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")


def new_step(param: Any, group: dict[str, Any]) -> Any:
    """A step counter at zero, beside its parameter: one instruction updates both."""
    fused = bool(group.get("fused"))
    if fused or group.get("capturable") or param.device.type != "cpu":
        return rl.zeros((), dtype=scalar_dtype(fused), device=param.device)
    return rl.tensor(0.0, dtype=scalar_dtype())


def new_zeros(param: Any) -> Any:
    """Zeros of the parameter's shape, dtype, device and memory format."""
    return rl.zeros_like(param, memory_format=rl.preserve_format)


def real_view(value: Any) -> Any:
    """A complex tensor as a real one with a last dimension of 2; anything else as it is."""
    return rl.view_as_real(value) if isinstance(value, rl.Tensor) and value.is_complex() else value


def to_scalar(value: Any) -> Any:
    """A hyperparameter as the formulas take it: a number, or a tensor without dimensions."""
    return value.squeeze() if isinstance(value, rl.Tensor) and value.dim() else value


def decayed(param: Any, grad: Any, weight_decay: Any) -> Any:
    """The gradient with an L2 penalty, grad + weight_decay * param; `weight_decay` is a number or a tensor."""
    if isinstance(weight_decay, rl.Tensor):
        return grad + param * weight_decay
    return grad.add(param, alpha=weight_decay) if weight_decay != 0 else grad


def add_scaled_(out: Any, update: Any, scale: Any) -> None:
    """out += scale * update, where scale is a number or a one-element tensor, which is not read back."""
    if isinstance(scale, rl.Tensor):
        out.add_(update * scale)
    else:
        out.add_(update, alpha=scale)


def addcmul_(out: Any, first: Any, second: Any, scale: Any) -> None:
    """out += scale * first * second, where scale is a number or a one-element tensor."""
    if isinstance(scale, rl.Tensor):
        out.add_(first * second * scale)
    else:
        out.addcmul_(first, second, value=scale)


def addcdiv_(out: Any, numerator: Any, denominator: Any, scale: Any) -> None:
    """out += scale * numerator / denominator, where scale is a number or a one-element tensor."""
    if isinstance(scale, rl.Tensor):
        out.add_(numerator / denominator * scale)
    else:
        out.addcdiv_(numerator, denominator, value=scale)
