"""Automatic differentiation: `backward`, `grad`, modes, custom functions."""

from . import inplace  # noqa: F401  (enters the rules of in-place writes)
from .engine import backward, grad
from .function import Function, FunctionCtx, once_differentiable
from .modes import enable_grad, inference_mode, is_grad_enabled, is_inference_mode_enabled, no_grad, set_grad_enabled

__all__ = ["Function", "FunctionCtx", "backward", "enable_grad", "grad", "inference_mode", "is_grad_enabled", "is_inference_mode_enabled", "no_grad", "once_differentiable",
           "set_grad_enabled"]
