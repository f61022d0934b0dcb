"""The flat namespace of everything `torch.*` has at its top: what the package root and the upper layers import.

In: the registry, classes and functions of the layers below. Out: names. Nothing is defined here but names.
"""

import importlib as _importlib
from math import e, inf, nan, pi  # noqa: F401

from . import autograd  # noqa: F401
from .autograd import enable_grad, inference_mode, is_grad_enabled, is_inference_mode_enabled, no_grad, set_grad_enabled
from .core import dtype as _dt
from .core.device import Device as device
from .core.dtype import DType as dtype
from .core.dtype import finfo, get_default_dtype, iinfo, set_default_dtype
from .core.layout import Size
from .core.namespace import fill as _fill
from .core.namespace import publish as _publish
from .core.namespace import publish_tensor as _publish_tensor
from .core.stream import STREAM as _STREAM
from .core.tensor import Tensor
from .ops.basic.creation import FORMATS as _FORMATS
from .ops.basic.creation import MemoryFormat as memory_format
from .settings import *  # noqa: F401,F403
from .streams import AcceleratorError, Event, OutOfMemoryError, Stream
from .tensor.construct import as_tensor, legacy_types, scalar_tensor, tensor
from .tensor.conversion import STRIDED as strided
from .tensor.conversion import Layout as layout
from .tensor.conversion import TypedStorage, UntypedStorage
from .tensor.methods import from_numpy, is_complex, is_floating_point
from .tensor.printing import set_printoptions
from .tensor.sharing import asarray, from_dlpack, frombuffer, to_dlpack

_importlib.import_module(".ops", __package__)  # the registry is complete from here on
fft = _importlib.import_module(".fft", __package__)
linalg = _importlib.import_module(".linalg", __package__)
special = _importlib.import_module(".special", __package__)
signal = _importlib.import_module(".signal", __package__)
_registered = _fill(globals(), "")
globals().update(_dt.BY_NAME)
globals().update(_FORMATS)
globals().update(legacy_types())

newaxis, legacy_contiguous_format = None, _FORMATS["contiguous_format"]


def is_tensor(obj):
    """Whether an object is a Tensor."""
    return isinstance(obj, Tensor)


def promote_types(type1, type2):
    """The smallest dtype that holds both."""
    return _dt.promote(type1, type2)


def can_cast(from_, to):
    """Whether promotion allows writing `from_` results into `to`."""
    return _dt.can_cast(from_, to)


def result_type(tensor1, tensor2):
    """The dtype of an arithmetic operation on two tensors or numbers."""
    groups = ([], [], [])
    for value in (tensor1, tensor2):
        if isinstance(value, Tensor):
            groups[0 if value.dim() else 1].append(value.dtype)
        else:
            groups[2].append(_dt.of_number(value))
    return _dt.result_type(*groups)


def is_storage(obj):
    """Whether an object is a storage."""
    return isinstance(obj, UntypedStorage)


def is_inference(input):
    """Whether a tensor was made in inference mode."""
    return input.is_inference()


def is_distributed(input):
    """False: tensors belong to one process."""
    return input.is_distributed()


def get_device(input):
    """-1: the number of the CPU."""
    return input.get_device()


def typename(obj):
    """The name of an object's type, as PyTorch prints it."""
    if isinstance(obj, Tensor):
        return obj.type()
    kind = obj if isinstance(obj, type) else type(obj)
    return f"{kind.__module__}.{kind.__qualname__}" if kind.__module__ not in ("builtins", "") else kind.__qualname__


def _pool():
    return _importlib.import_module(".runtime.cpu.pool", __package__)


def get_num_threads():
    """The number of threads that kernels use."""
    return _pool().get_num_threads()


def set_num_threads(int):
    """Set the number of threads that kernels use; results do not depend on it."""
    _pool().set_num_threads(int)


def get_num_interop_threads():
    """1: operators do not run beside one another."""
    return 1


def set_num_interop_threads(int):
    """Accepted; operators do not run beside one another."""


def synchronize():
    """Run everything that is pending."""
    _STREAM.flush()


def _assert(condition, message):
    """Raise AssertionError with the message unless the condition holds; traced programs keep it."""
    assert condition, message


for _name in ("_assert", "tensor", "as_tensor", "scalar_tensor", "asarray", "frombuffer", "is_complex",
              "is_floating_point", "promote_types", "can_cast", "result_type"):
    globals()[_name] = _publish(_name, globals()[_name])
_publish_tensor()

__all__ = [name for name in globals() if not name.startswith("_")]
__all__ += [name for name in _registered if name.startswith("_")]  # such as torch._standard_gamma
