"""The state of autocast, a thread each, and the kernel handler that casts the operands of operators.

An operator says in its declaration how autocast treats it (`cast=`):

- "lower": it runs in the dtype of the context.
- "float32": it runs in float32.
- "widest": it runs in float32 if one operand has this dtype.
- "result": it runs in float32 and its results are in the dtype of the context: composites that mix both.
- a function of the arguments that gives one of these, or None.

The handler (see `dispatch.py`) is on the stack while autocast is enabled for the CPU; operators without a policy
and calls with `out=` run as they are.
"""

import threading
import warnings
import weakref

from . import dispatch
from . import dtype as dt
from .device import Device
from .tensor import Tensor

LOWER = {"cpu": dt.bfloat16, "cuda": dt.float16, "mps": dt.float16, "xpu": dt.float16}
SUPPORTED = {"cpu": (dt.bfloat16, dt.float16), "cuda": (dt.float16, dt.bfloat16), "mps": (dt.bfloat16, dt.float16),
             "xpu": (dt.bfloat16, dt.float16)}


class _State(threading.local):
    def __init__(self):
        self.enabled, self.dtypes = {}, dict(LOWER)
        self.caches, self.nesting = True, 0
        self.cached = {}  # id of a leaf -> (reference to it, its version, the cast tensor)


STATE = _State()


def device_type_of(device_type):
    """A device type that exists. RuntimeError for another name, TypeError for anything but a string."""
    if not isinstance(device_type, str):
        raise TypeError(f"is_autocast_enabled(): argument 'device_type' (position 1) must be str, not "
                        f"{type(device_type).__name__}")
    return Device(device_type).type


# -- casting ---------------------------------------------------------------------------------------------------------


def handler(entry, args, kwargs):
    """The kernel handler: cast the operands as the operator's declaration says, then run it without autocast."""
    rule = entry.cast
    if callable(rule):
        rule = rule(*args, **kwargs)
    if rule is None or kwargs.get("out") is not None:
        return entry.plain(*args, **kwargs)
    if rule == "lower":
        dtype = STATE.dtypes["cpu"]
    else:
        dtype = widest(args, kwargs) if rule == "widest" else dt.float32
    with dispatch.without(handler):
        result = entry.plain(*[cast(a, dtype) for a in args], **{k: cast(v, dtype) for k, v in kwargs.items()})
        return cast(result, STATE.dtypes["cpu"]) if rule == "result" else result


def widest(args, kwargs):
    """float32 if one of the tensors is of this dtype, else the dtype of the context."""
    for value in (*args, *kwargs.values()):
        for item in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(item, Tensor) and item._layout.dtype is dt.float32:
                return dt.float32
    return STATE.dtypes["cpu"]


def cast(value, dtype):
    """A tensor (or those in a list) of float32 or a half precision in the dtype; anything else as it is."""
    if isinstance(value, Tensor):
        own = value._layout.dtype
        if own is dtype or own.category != dt.FLOATING or own is dt.float64:
            return value
        return cast_cached(value, dtype)
    if value.__class__ in (list, tuple):
        return value.__class__([cast(v, dtype) for v in value])
    return value


def cast_cached(value, dtype):
    """`value.to(dtype)`; weights, which many calls use, are cast once a context."""
    keep = (STATE.caches and STATE.nesting and value._rg and value._grad_fn is None and value._base is None
            and value._layout.dtype is dt.float32 and dtype is STATE.dtypes["cpu"])
    if not keep:
        return value.to(dtype)
    found = STATE.cached.get(id(value))
    if found is not None and found[0]() is value and found[1].dtype is dtype:
        return found[1]
    result = value.to(dtype)
    STATE.cached[id(value)] = weakref.ref(value), result
    return result


# -- switches --------------------------------------------------------------------------------------------------------


def is_autocast_enabled(device_type=None):
    """Whether autocast is on in this thread for a device type (None: "cuda")."""
    return STATE.enabled.get("cuda" if device_type is None else device_type_of(device_type), False)


def set_autocast_enabled(device_type, enabled=None):
    """Switch autocast of a device type (a single argument: of "cuda") on or off in this thread."""
    if enabled is None:
        device_type, enabled = "cuda", device_type
    kind = device_type_of(device_type)
    STATE.enabled[kind] = bool(enabled)
    if kind == "cpu":
        dispatch.switch_beneath(handler, bool(enabled))


def get_autocast_dtype(device_type):
    """The dtype that operators run in under autocast on a device type."""
    kind = device_type_of(device_type)
    if kind not in STATE.dtypes:
        raise RuntimeError(f"autocast is not supported for device type {kind}")
    return STATE.dtypes[kind]


def set_autocast_dtype(device_type, dtype):
    """Set the dtype that operators run in under autocast on a device type."""
    STATE.dtypes[device_type_of(device_type)] = dtype


def is_autocast_cache_enabled():
    """Whether cast weights are kept until the outermost context ends."""
    return STATE.caches


def set_autocast_cache_enabled(enabled):
    """Set whether cast weights are kept until the outermost context ends."""
    STATE.caches = bool(enabled)


def clear_autocast_cache():
    """Forget the cast weights."""
    STATE.cached.clear()


def autocast_increment_nesting():
    """Count one more autocast context; the number of them."""
    STATE.nesting += 1
    return STATE.nesting


def autocast_decrement_nesting():
    """Count one autocast context less; the number that is left."""
    STATE.nesting -= 1
    return STATE.nesting


def _deprecated(name, instead):
    warnings.warn(f"torch.{name} is deprecated. Please use torch.{instead} instead.", DeprecationWarning, stacklevel=3)


def is_autocast_cpu_enabled():
    """Deprecated: `is_autocast_enabled("cpu")`."""
    _deprecated("is_autocast_cpu_enabled()", "is_autocast_enabled('cpu')")
    return is_autocast_enabled("cpu")


def set_autocast_cpu_enabled(enabled):
    """Deprecated: `set_autocast_enabled("cpu", enabled)`."""
    _deprecated("set_autocast_cpu_enabled(enabled)", "set_autocast_enabled('cpu', enabled)")
    set_autocast_enabled("cpu", enabled)


def get_autocast_cpu_dtype():
    """Deprecated: `get_autocast_dtype("cpu")`."""
    _deprecated("get_autocast_cpu_dtype()", "get_autocast_dtype('cpu')")
    return get_autocast_dtype("cpu")


def set_autocast_cpu_dtype(dtype):
    """Deprecated: `set_autocast_dtype("cpu", dtype)`."""
    _deprecated("set_autocast_cpu_dtype(dtype)", "set_autocast_dtype('cpu', dtype)")
    set_autocast_dtype("cpu", dtype)


def get_autocast_gpu_dtype():
    """Deprecated: `get_autocast_dtype("cuda")`."""
    _deprecated("get_autocast_gpu_dtype()", "get_autocast_dtype('cuda')")
    return get_autocast_dtype("cuda")


def set_autocast_gpu_dtype(dtype):
    """Deprecated: `set_autocast_dtype("cuda", dtype)`."""
    _deprecated("set_autocast_gpu_dtype(dtype)", "set_autocast_dtype('cuda', dtype)")
    set_autocast_dtype("cuda", dtype)
