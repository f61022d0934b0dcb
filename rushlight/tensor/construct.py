"""Tensors from Python data: `tensor`, `as_tensor`, the legacy constructors `Tensor(2, 3)` and `FloatTensor([...])`.

In: numbers, nested sequences, arrays, tensors. Out: a tensor with memory of its own (`as_tensor`:
shared if it can).
"""

import ctypes
import functools
import struct

from ..base.lazy import is_array, is_scalar
from ..base.lazy import numpy as np
from ..core import dtype as dt
from ..core.arguments import CLASSES
from ..core.declare import REGISTRY
from ..core.device import CPU, Device, resolve
from ..core.layout import contiguous_layout
from ..core.storage import new_storage
from ..core.tensor import Tensor, TensorMeta, view
from ..runtime.cpu import memory
from .methods import array_layout, from_numpy

MOST_DIMS = 128  # of nested data


def is_sequence(data):
    """Whether data that is neither a list nor a tuple counts as one: ranges, memory views, sequences of the user."""
    return hasattr(data, "__getitem__") and hasattr(data, "__len__") and not (
        isinstance(data, (Tensor, str, bytes, dict)) or is_array(data) or is_scalar(data))


def as_lists(data, depth=0):
    """Nested data in which every sequence is a list or a tuple, and every tensor in one a number. TypeError for a list
    that holds itself, ValueError for too many dimensions and for tensors of several elements."""
    if isinstance(data, Tensor) and depth:
        if data._layout.numel != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        return data.item()
    if not isinstance(data, (list, tuple)):
        if not is_sequence(data):
            return data
        data = [item for item in data] if hasattr(data, "__iter__") else [data[i] for i in range(len(data))]
    if depth > MOST_DIMS:
        raise ValueError(f"too many dimensions '{type(data).__name__}'")
    if all([item.__class__ in NUMBERS for item in data]):
        return data
    if any([item is data for item in data]):
        raise TypeError("new(): self-referential lists are incompatible")
    return [as_lists(item, depth + 1) for item in data]


NUMBERS = frozenset((float, int, bool, complex))


def infer_dtype(data):
    """The dtype of nested Python data: bool < int64 < default float < complex."""
    if isinstance(data, Tensor):
        return data.dtype
    if isinstance(data, (list, tuple)):
        found = None
        for item in data:
            kind = infer_dtype(item)
            if kind is not None:
                found = kind if found is None else dt.promote(found, kind)
        return found
    if is_array(data):
        return array_dtype(data.dtype)
    if is_scalar(data):
        return array_dtype(data.dtype)
    if isinstance(data, str):
        raise TypeError("new(): invalid data type 'str'")
    return dt.of_number(data)


def array_dtype(kind):
    found = dt.numpy_types().get(kind.newbyteorder("="))
    if found is None:
        raise TypeError(f"can't convert np.ndarray of type {kind}. The only supported types are: float64, float32, "
                        f"float16, complex64, "
                        "complex128, int64, int32, int16, int8, uint64, uint32, uint16, uint8, and bool.")
    return found


def shape_of(data):
    shape = []
    while isinstance(data, (list, tuple)):
        shape.append(len(data))
        if not data:
            break
        data = data[0]
    return shape


def check_regular(data, shape, depth=0):
    if depth == len(shape):
        if isinstance(data, (list, tuple)):
            raise ValueError("only one element tensors can be converted to Python scalars")
        return
    if not isinstance(data, (list, tuple)):
        raise TypeError(f"not a sequence: expected sequence of length {shape[depth]} at dim {depth} (got "
                        f"{type(data).__name__})")
    if len(data) != shape[depth]:
        raise ValueError(f"expected sequence of length {shape[depth]} at dim {depth} (got {len(data)})")
    if depth + 1 < len(shape):
        for item in data:
            check_regular(item, shape, depth + 1)


def to_array(data, dtype):
    """An array of the dtype (bfloat16: as float32). RuntimeError for numbers that do not fit it."""
    kind = dtype.numpy if dtype.numpy is not None else np.dtype(np.float32)
    if is_array(data):
        return np.asarray(data, kind)
    if isinstance(data, (list, tuple)):
        check_regular(data, shape_of(data))
    try:
        if dtype.category != dt.INTEGRAL or dtype.itemsize == 8:
            return np.array(data, kind)
        wide = np.array(data)
        if wide.dtype.kind == "O":
            raise OverflowError
        for extreme in (wide.min(), wide.max()) if wide.size and wide.dtype.kind in "iuf" else ():
            dt.check_fits(extreme.item(), dtype)
        return wide.astype(np.int64).astype(kind) if wide.dtype.kind in "iufb" else wide.astype(kind)
    except OverflowError:
        if dtype.category == dt.INTEGRAL:
            raise ValueError("Overflow when unpacking long long") from None
        raise


def owned(array):
    """A tensor with a copy of an array in memory of its own, which can grow."""
    found = array_layout(array) if array.flags.c_contiguous else None
    if found is None:
        array = np.ascontiguousarray(array).reshape(array.shape)
        found = array_layout(array)
    return from_bytes(found, array.ctypes.data)


def from_bytes(found, content):
    """A tensor of a row-major layout in memory of its own, with a copy of the memory at an address (or of bytes)."""
    storage = new_storage(found.nbytes, CPU)
    storage.block = memory.allocate(found.nbytes)
    storage.address = storage.block.address
    ctypes.memmove(storage.address, content, found.nbytes)
    return view(storage, found, 0)


# How numbers of Python are written to memory, and the classes that may be among them, by dtype.
_REAL, _WHOLE = frozenset((float, int, bool)), frozenset((int, bool))
WRITTEN = {
    dt.float32: ("f", _REAL), dt.float64: ("d", _REAL), dt.int64: ("q", _WHOLE), dt.int32: ("i", _WHOLE),
    dt.bool_: ("?", frozenset((bool,))),
}
PLAIN = frozenset((bool, int, float, list, tuple))
MOST_WRITTEN = 1 << 12  # numbers; for more of them NumPy is worth its import


@functools.lru_cache(256)
def _packer(count, code):
    return struct.Struct(f"{count}{code}").pack


def from_numbers(data, dtype):
    """A tensor of Python numbers or regular nested sequences of them, made without NumPy; None for all other data,
    which `to_array` has to judge."""
    code, classes = WRITTEN.get(dtype, (None, ()))
    shape, values = [], [data]
    while values[0].__class__ in (list, tuple):
        size = len(values[0])
        if not size or size * len(values) > MOST_WRITTEN:
            return None
        if any([row.__class__ not in (list, tuple) or len(row) != size for row in values]):
            return None
        shape.append(size)
        values = [value for row in values for value in row]
    if code is None or not classes.issuperset(map(type, values)):
        return None
    try:
        content = _packer(len(values), code)(*values)
    except (OverflowError, struct.error):
        return None
    return from_bytes(contiguous_layout(tuple(shape), dtype), content)


def tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False):
    """A new leaf tensor with a copy of `data` (numbers, nested sequences, arrays, tensors).

    The dtype is inferred unless given: bool, int64, the default floating dtype; arrays keep theirs.
    """
    if isinstance(data, Tensor):
        result = data.detach().clone() if device is None else data.detach().to(device, copy=True)
        result = result if dtype is None else result.to(dtype)
        return result.requires_grad_(requires_grad)
    if data.__class__ not in PLAIN and hasattr(data, "__array__") and not (is_array(data) or is_scalar(data)):
        data = np.asarray(data)
    if data.__class__ not in NUMBERS:
        data = as_lists(data)
    if dtype.__class__ is type:
        dtype = CLASSES.get(dtype, dtype)
    if dtype is None:
        dtype = infer_dtype(data) or dt.get_default_dtype()
    result = from_numbers(data, dtype)
    if result is None:
        result = owned(to_array(data, dtype))
        if dtype.numpy is None:
            result = result.to(dtype)
    if device is not None and resolve(device) is not CPU:
        result = result.to(device)
    return result.requires_grad_() if requires_grad else result


def as_tensor(data, dtype=None, device=None):
    """`data` as a tensor, without a copy where it is a tensor or array of the right dtype."""
    if isinstance(data, Tensor):
        data = data.to(dtype) if dtype is not None else data
        return data if device is None else data.to(device)
    if is_array(data) and (dtype is None or dtype.numpy == data.dtype) and not any(s < 0
                                                                                                 for s in data.strides):
        return from_numpy(data)
    return tensor(data, dtype=dtype, device=device)


def scalar_tensor(s, *, dtype=None, device=None, requires_grad=False):
    """A zero-dim tensor of the default floating dtype (unless given)."""
    return REGISTRY["full"]((), s, dtype=dtype or dt.get_default_dtype(), device=device, requires_grad=requires_grad)


def legacy(dtype, name, args):
    """`FloatTensor(2, 3)`: uninitialised of that shape; `FloatTensor([..])`: the data."""
    dtype = dtype or dt.get_default_dtype()
    if (
        len(args) == 1
        and (isinstance(args[0], (list, tuple, Tensor)) or is_array(args[0]) or is_sequence(args[0]))
        and type(args[0]).__name__ != "Size"
    ):
        data = args[0]
        if isinstance(data, Tensor):
            return data.detach().to(dtype) if data.dtype is not dtype else data.alias()
        return tensor(data, dtype=dtype)
    if len(args) == 1 and type(args[0]).__name__ == "UntypedStorage":
        return REGISTRY["empty"](0, dtype=dtype).set_(args[0])
    if not args:
        return REGISTRY["empty"](0, dtype=dtype)
    return REGISTRY["empty"](*args, dtype=dtype)


def check_legacy_device(device):
    """RuntimeError unless the device of a legacy constructor is the CPU."""
    if device is not None and Device(device).type != "cpu":
        raise RuntimeError("legacy constructor expects device type: cpu but device type: "
                           f"{Device(device).type} was passed")


class LegacyType(type):
    """The type of FloatTensor and its like: constructors that `isinstance` tests by dtype."""

    def __instancecheck__(cls, value):
        return isinstance(value, Tensor) and value.dtype is cls.dtype

    def __dir__(cls):
        return dir(Tensor)

    def __getattr__(cls, name):
        return getattr(Tensor, name)

    def __call__(cls, *args, device=None):
        check_legacy_device(device)
        return legacy(cls.dtype, cls.__name__, args)


def legacy_types():
    """FloatTensor, LongTensor, ... by name."""
    names = dict(Float="float32", Double="float64", Half="float16", BFloat16="bfloat16", Long="int64", Int="int32",
                 Short="int16",
                 Char="int8", Byte="uint8", Bool="bool")
    return {f"{n}Tensor": LegacyType(f"{n}Tensor", (), {"dtype": dt.by_name(d), "__module__": "torch"}) for n,
            d in names.items()}


def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    """A new tensor with a copy of `data`, of this tensor's dtype unless given."""
    return tensor(data, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


def new(self, *args, device=None):
    """The legacy constructor of this tensor's type."""
    check_legacy_device(device)
    return legacy(self.dtype, "new", args)


Tensor.new_tensor, Tensor.new = new_tensor, new


def new_instance(cls, *args, device=None):
    """`Tensor.__new__(cls, ...)`: what the legacy constructor gives, as an instance of a subclass."""
    check_legacy_device(device)
    return Tensor._make_subclass(cls, legacy(None, cls.__name__, args))


Tensor.__new__ = new_instance


def construct(cls, *args, **kwargs):
    """`Tensor(...)` itself."""
    if cls is Tensor:
        check_legacy_device(kwargs.get("device"))
        return legacy(None, "Tensor", args)
    return type.__call__(cls, *args, **kwargs)


TensorMeta.__call__ = construct
