"""`torch._C`: the few names of PyTorch's compiled module that programs use."""

import types as _types

from .core import dispatch as _dispatch
from .core.dispatch import DisableAll as DisableTorchFunction
from .core.dispatch import DisableSubclasses as DisableTorchFunctionSubclass
from .core.dispatch import disabled as _disabled_torch_function_impl
from .core.tensor import Tensor as TensorBase
from .overrides import has_torch_function as _has_torch_function
from .overrides import has_torch_function_unary as _has_torch_function_unary
from .overrides import has_torch_function_variadic as _has_torch_function_variadic

__all__ = ["DisableTorchFunction", "DisableTorchFunctionSubclass", "TensorBase", "_disabled_torch_function_impl",
           "_has_torch_function", "_has_torch_function_unary", "_has_torch_function_variadic",
           "_is_torch_function_enabled", "_is_torch_function_mode_enabled", "_len_torch_function_stack"]


_nn = _types.ModuleType(f"{__name__}._nn", "Functions of layers that PyTorch compiles; `nn.functional` fills it.")


def _is_torch_function_enabled():
    """Whether `__torch_function__` of arguments is asked in this thread."""
    local = _dispatch.LOCAL
    return local.enabled and local.subclasses


def _is_torch_function_mode_enabled():
    """Whether a function mode is active in this thread."""
    local = _dispatch.LOCAL
    return local.enabled and bool(local.modes)


def _len_torch_function_stack():
    """The number of function modes of this thread."""
    return len(_dispatch.LOCAL.modes)
