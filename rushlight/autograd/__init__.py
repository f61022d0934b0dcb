"""Automatic differentiation: `backward`, `grad`, modes, custom functions, and what helps to check them.

Read `engine` first, then `function`.
"""

from ..base import lazy
from ..core.dispatch import publish as _publish
from . import anomaly as anomaly_mode
from . import graph, inplace  # noqa: F401  (inplace enters the rules of writes)
from . import modes as grad_mode
from .anomaly import detect_anomaly, set_detect_anomaly
from .engine import backward, grad
from .gradcheck import GradcheckError, gradcheck, gradgradcheck
from .modes import (enable_grad, enforce_grad_layout_policy, inference_mode, is_grad_enabled, is_inference_mode_enabled,
                    is_multithreading_enabled, is_view_replay_enabled, no_grad, set_grad_enabled,
                    set_multithreading_enabled)

__getattr__, __dir__ = lazy.exports(globals(), {
    "forward_ad": "",
    "function": "Function FunctionCtx NestedIOFunction once_differentiable",
    "functional": "",
    "profiler": "",
    "variable": "Variable",
})


backward, grad = (_publish(f"autograd.{f.__name__}", f, __name__, in_python=True) for f in (backward, grad))


def kineto_available():
    """False: PyTorch's profiling library is not there."""
    return False


__all__ = ["Function", "FunctionCtx", "GradcheckError", "NestedIOFunction", "Variable", "anomaly_mode", "backward",
"detect_anomaly",
           "enable_grad", "enforce_grad_layout_policy", "forward_ad", "function", "functional", "grad", "grad_mode",
           "gradcheck",
           "gradgradcheck", "graph", "inference_mode", "is_grad_enabled", "is_inference_mode_enabled",
           "is_multithreading_enabled",
           "is_view_replay_enabled", "kineto_available", "no_grad", "once_differentiable", "profiler",
           "set_detect_anomaly",
           "set_grad_enabled", "set_multithreading_enabled", "variable"]
