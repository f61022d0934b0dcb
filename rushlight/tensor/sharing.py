"""Tensors over memory of others: `asarray`, `frombuffer`, DLPack.

In: arrays, objects with a buffer, DLPack capsules. Out: a tensor over the same memory, which keeps its owner alive.
`tensor.over_array` does the work; who sees the memory, `core/owner.py` knows.
"""

from ..base.lazy import is_array, is_scalar
from ..base.lazy import numpy as np
from ..core import dtype as dt
from ..core.tensor import Tensor
from .construct import tensor
from .methods import from_numpy, over_array, warn_read_only


def frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False):
    """A 1-d tensor over the bytes of an object with the buffer protocol, `count` elements from byte `offset` on.

    ValueError where the bytes do not fit."""
    try:
        size = memoryview(buffer).nbytes
    except TypeError:
        raise ValueError("object does not implement Python buffer protocol.") from None
    if not size or not count:
        raise ValueError(f"both buffer length ({size}) and count ({count}) must not be 0")
    if not 0 <= offset < size:
        raise ValueError(f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({size} "
                         "bytes) minus 1")
    left = size - offset
    if count < 0 and left % dtype.itemsize:
        raise ValueError(f"buffer length ({left} bytes) after offset ({offset} bytes) must be a multiple of element "
                         f"size ({dtype.itemsize})")
    if count * dtype.itemsize > left:
        raise ValueError(f"requested buffer length ({count} * {dtype.itemsize} bytes) after offset ({offset} bytes) "
                         f"must not be greater than actual buffer length ({size} bytes)")
    raw = np.frombuffer(buffer, np.uint8, count * dtype.itemsize if count > 0 else -1, offset)
    if not raw.flags.writeable:
        warn_read_only("buffer")
    return over_array(raw).view(dtype).requires_grad_(requires_grad)


class Capsule:
    """A bare DLPack capsule of CPU memory as an object of the protocol."""

    def __init__(self, capsule):
        self.capsule = capsule

    def __dlpack__(self, **options):
        return self.capsule

    def __dlpack_device__(self):
        return (1, 0)


def from_dlpack(ext_tensor, *, device=None, copy=None):
    """A tensor over the memory of an object with `__dlpack__`, or of a DLPack capsule."""
    if isinstance(ext_tensor, Tensor):
        found = ext_tensor.detach()
    elif is_array(ext_tensor) and ext_tensor.flags.writeable:
        found = over_array(ext_tensor)  # through a capsule its owner could not be found
    else:
        source = ext_tensor if hasattr(ext_tensor, "__dlpack__") else Capsule(ext_tensor)
        found = over_array(np.from_dlpack(source))
    return found.clone() if copy else found


def to_dlpack(tensor):
    """The DLPack capsule of a tensor's memory."""
    return tensor.__dlpack__()


def _shared(obj, dtype):
    """A tensor over the memory of an object, None for objects without any."""
    if isinstance(obj, Tensor):
        return obj
    if is_array(obj):
        return from_numpy(obj) if obj.dtype in dt.numpy_types() else None
    if is_scalar(obj):
        return None
    if hasattr(obj, "__dlpack__") or type(obj).__name__ == "PyCapsule":
        return from_dlpack(obj)
    try:
        memoryview(obj)
    except TypeError:
        return None
    return frombuffer(obj, dtype=dtype or dt.get_default_dtype())


def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False):
    """`obj` (tensor, array, DLPack or buffer object, number, nested sequence) as a tensor, over its memory where it
              can.

    copy: True always copies; False never does, and is a ValueError where that cannot be."""
    shared = _shared(obj, dtype)
    if shared is None:
        if copy is False:
            raise ValueError("can't alias arbitrary sequence into a tensor.")
        return tensor(obj, dtype=dtype, device=device, requires_grad=requires_grad)
    changed = dtype is not None and dtype is not shared.dtype
    if changed and copy is False:
        raise ValueError(f"can't alias tensor with dtype '{dt.scalar_type(shared.dtype)}' into dtype "
                         f"'{dt.scalar_type(dtype)}'.")
    found = shared.to(dtype) if changed else shared.clone() if copy else shared
    if shared is obj:
        return found
    return found.requires_grad_(requires_grad)
