"""Automatic mixed precision: the context `autocast`, and `custom_fwd`, `custom_bwd` for custom functions."""

import functools
import warnings
from collections import abc

from ..base.lazy import is_array
from ..core import autocast as state
from ..core import dtype as dt
from ..core.device import Device
from ..core.tensor import Tensor

__all__ = ["autocast", "autocast_decorator", "custom_bwd", "custom_fwd", "is_autocast_available"]


def is_autocast_available(device_type):
    """Whether autocast knows a device type. RuntimeError for names that are none."""
    return state.device_type_of(device_type) in state.LOWER


def autocast_decorator(autocast_instance, func):
    """`func` as a function that runs in the context."""
    @functools.wraps(func)
    def decorate_autocast(*args, **kwargs):
        with autocast_instance:
            return func(*args, **kwargs)
    decorate_autocast.__script_unsupported = "@autocast() decorator is not supported in script mode"
    return decorate_autocast


class autocast:
    """A context in which products and convolutions run in a half precision and operators that need range in float32.

    Parameters and results elsewhere keep their dtypes; weights are cast once a context. Also a decorator.

    Args:
        device_type (str): "cpu"; for other types the context has no effect here and warns.
        dtype (torch.dtype): bfloat16 (the default on the CPU) or float16. With another one, warns and does nothing.
        enabled (bool): False switches autocast off inside an outer context.
        cache_enabled (bool): whether cast weights are kept for later calls in the context.

    Raises:
        ValueError: if `device_type` is not a string.
        RuntimeError: if there is no such device type.

    Example:
        >>> linear = torch.nn.Linear(4, 2)
        >>> with torch.autocast("cpu", dtype=torch.bfloat16):
        ...     y = linear(torch.ones(3, 4))
        >>> y.dtype
        torch.bfloat16
    """

    def __init__(self, device_type, dtype=None, enabled=True, cache_enabled=None):
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        kind = Device(device_type).type
        if not is_autocast_available(kind):
            raise RuntimeError(f"User specified an unsupported autocast device_type '{kind}'")
        self.device = kind
        self.fast_dtype = state.get_autocast_dtype(kind) if dtype is None else dtype
        self._cache_enabled = state.is_autocast_cache_enabled() if cache_enabled is None else cache_enabled
        self._enabled = bool(enabled) and self._possible()
        self._before = []

    def _possible(self):
        """Whether this machine and autocast support the device and dtype; warns if not."""
        if self.device != "cpu":
            warnings.warn(f"{self.device.upper()} is not available or torch_xla is imported. Disabling autocast.",
                          stacklevel=3)
            return False
        if self.fast_dtype not in state.SUPPORTED[self.device]:
            names = ", ".join(map(str, state.SUPPORTED[self.device]))
            warnings.warn(f"In {self.device.upper()} autocast, but the target dtype is not supported. Disabling "
                          f"autocast.\n{self.device.upper()} Autocast only supports dtypes of {names} currently.",
                          stacklevel=3)
            return False
        return True

    def __enter__(self):
        kind = self.device
        self._before.append((state.is_autocast_cache_enabled(), state.is_autocast_enabled(kind),
                             state.get_autocast_dtype(kind)))
        state.set_autocast_enabled(kind, self._enabled)
        state.set_autocast_dtype(kind, self.fast_dtype)
        state.autocast_increment_nesting()
        state.set_autocast_cache_enabled(self._cache_enabled)
        return self

    def __exit__(self, exc_type, exc_val, exc_tb):
        caches, enabled, dtype = self._before.pop()
        if state.autocast_decrement_nesting() == 0:
            state.clear_autocast_cache()
        state.set_autocast_enabled(self.device, enabled)
        state.set_autocast_dtype(self.device, dtype)
        state.set_autocast_cache_enabled(caches)
        return False

    def __call__(self, func):
        return autocast_decorator(self, func)


def _enter_autocast(*values):
    """Enter a context that `_exit_autocast` leaves."""
    mode = autocast(*values)
    mode.__enter__()
    return mode


def _exit_autocast(mode):
    mode.__exit__(None, None, None)


def _cast(value, device_type, dtype):
    """The floating tensors of a device in a nested value (float64 excepted) in another dtype."""
    if isinstance(value, Tensor):
        eligible = value.is_floating_point() and value.device.type == device_type and value.dtype is not dt.float64
        return value.to(dtype) if eligible else value
    if isinstance(value, (str, bytes)) or is_array(value):
        return value
    if isinstance(value, abc.Mapping):
        return {_cast(k, device_type, dtype): _cast(v, device_type, dtype) for k, v in value.items()}
    if isinstance(value, abc.Iterable):
        items = [_cast(v, device_type, dtype) for v in value]
        return type(value)(items) if isinstance(value, (list, tuple)) else items
    return value


def custom_fwd(fwd=None, *, device_type, cast_inputs=None):
    """Decorate the `forward` of a `torch.autograd.Function` for programs that use autocast.

    Args:
        device_type (str): the device type whose autocast state counts.
        cast_inputs (torch.dtype): inside autocast, floating inputs are cast to it and `forward` runs without autocast.
            None: `forward` runs in the state around it.
    """
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def decorate_fwd(*args, **kwargs):
        ctx = args[0]
        ctx._dtype = state.get_autocast_dtype(device_type)
        enabled = state.is_autocast_enabled(device_type)
        if cast_inputs is None:
            ctx._fwd_used_autocast = enabled
            return fwd(*args, **kwargs)
        ctx._fwd_used_autocast = False
        if not enabled:
            return fwd(*args, **kwargs)
        with autocast(device_type=device_type, enabled=False):
            return fwd(ctx, *_cast(args[1:], device_type, cast_inputs), **_cast(kwargs, device_type, cast_inputs))
    return decorate_fwd


def custom_bwd(bwd=None, *, device_type):
    """Decorate the `backward` of a `torch.autograd.Function` whose `forward` has `custom_fwd`: it runs with the
    autocast state that `forward` had."""
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def decorate_bwd(*args, **kwargs):
        with autocast(device_type=device_type, enabled=args[0]._fwd_used_autocast, dtype=args[0]._dtype):
            return bwd(*args, **kwargs)
    return decorate_bwd
