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
from .core.graph import MODE as _MODE
from .ops.basic.creation import Determinism as _Determinism


class _State:
    precision, warn_always = "highest", False


def use_deterministic_algorithms(mode, *, warn_only=False):
    """Every operator is deterministic; what this adds is that `empty` and its like fill the memory they give, and that
    the operators which PyTorch counts as not deterministic raise a RuntimeError, or with `warn_only` warn."""
    _Determinism.demanded, _Determinism.warn_only = bool(mode), bool(warn_only)


def are_deterministic_algorithms_enabled():
    """What `use_deterministic_algorithms` was given."""
    return _Determinism.demanded


def is_deterministic_algorithms_warn_only_enabled():
    """Whether `use_deterministic_algorithms` was asked for warnings alone."""
    return _Determinism.warn_only


_DEBUG_MODES = ("default", "warn", "error")


def set_deterministic_debug_mode(debug_mode):
    """`use_deterministic_algorithms` by a word or number: "default" (0), "warn" (1) or "error" (2)."""
    if not isinstance(debug_mode, (str, int)):
        raise TypeError(f"debug_mode must be str or int, but got {type(debug_mode)}")
    if isinstance(debug_mode, str):
        if debug_mode not in _DEBUG_MODES:
            raise RuntimeError("invalid value of debug_mode, expected one of `default`, `warn`, `error`, but got "
                               f"{debug_mode}")
        debug_mode = _DEBUG_MODES.index(debug_mode)
    if debug_mode not in (0, 1, 2):
        raise RuntimeError(f"invalid value of debug_mode, expected 0, 1, or 2, but got {debug_mode}")
    use_deterministic_algorithms(debug_mode > 0, warn_only=debug_mode == 1)


def get_deterministic_debug_mode():
    """The number of the mode: 0 (default), 1 (warn) or 2 (error)."""
    return 0 if not _Determinism.demanded else 1 if _Determinism.warn_only else 2


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


def is_anomaly_enabled():
    """Whether `autograd.set_detect_anomaly` is on."""
    return _MODE.anomaly


def is_anomaly_check_nan_enabled():
    """Whether anomaly detection looks for NaN."""
    return _MODE.check_nan


def set_anomaly_enabled(enabled, check_nan=True):
    """Turn anomaly detection on or off."""
    _MODE.anomaly, _MODE.check_nan = bool(enabled), bool(check_nan)


def set_warn_always(b):
    """Whether warnings that come once are given each time; remembered."""
    if not isinstance(b, bool):
        raise TypeError(f"set_warn_always_enabled expects a bool, but got {type(b).__name__}")
    _State.warn_always = b


def is_warn_always_enabled():
    """What `set_warn_always` was given."""
    return _State.warn_always
