"""Global settings that PyTorch programs make. Results here are deterministic and float32 products are float32 whatever
they say."""

from .core import default_device as _default_device
from .core.autocast import (  # noqa: F401
    autocast_decrement_nesting, autocast_increment_nesting, clear_autocast_cache, get_autocast_cpu_dtype,
    get_autocast_dtype, get_autocast_gpu_dtype, is_autocast_cache_enabled, is_autocast_cpu_enabled, is_autocast_enabled,
    set_autocast_cache_enabled, set_autocast_cpu_dtype, set_autocast_cpu_enabled, set_autocast_dtype,
    set_autocast_enabled, set_autocast_gpu_dtype,
)
from .core import dtype as _dt
from .core.device import CPU
from .core.device import Device as _Device
from .core.device import resolve
from .ops.basic.creation import Unwritten as _Unwritten


class _State:
    deterministic, precision, warn_only = False, "highest", False


def use_deterministic_algorithms(mode, *, warn_only=False):
    """Every operator is deterministic; what this adds is that `empty` and its like fill the memory they give."""
    _State.deterministic, _State.warn_only = bool(mode), warn_only
    _Unwritten.filled = bool(mode)


def are_deterministic_algorithms_enabled():
    """What `use_deterministic_algorithms` was given."""
    return _State.deterministic


def set_float32_matmul_precision(precision):
    """Remembered; products of float32 matrices are computed in float32. RuntimeError for unknown names."""
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(f"{precision} is not one of 'highest', 'high', or 'medium'.")
    _State.precision = precision


def get_float32_matmul_precision():
    """What `set_float32_matmul_precision` was given."""
    return _State.precision


def get_default_device():
    """The device of new tensors: of the innermost `with torch.device(...)`, of `set_default_device`, or the CPU."""
    return _default_device.current() or CPU


def set_default_device(device):
    """Make `device` (a torch.device, a string, or None for the CPU) the one that new tensors of this thread are on.

    Raises what making a tensor on the device raises."""
    device = None if device is None else _Device(device)
    resolve(device)
    _default_device.set_default(device)


def set_default_tensor_type(t):
    """Set the default floating dtype by a tensor type such as torch.DoubleTensor or its name."""
    if isinstance(t, str):
        names = {f"torch.{text}Tensor": name for name, text in _dt.SCALAR_TYPES.items()}
        if t not in names:
            raise TypeError(f"invalid type object: {t}")
        _dt.set_default_dtype(_dt.by_name(names[t]))
        return
    _dt.set_default_dtype(getattr(t, "dtype", t))


def set_flush_denormal(mode):
    """False: denormal numbers are kept."""
    return False
