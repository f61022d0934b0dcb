"""The methods of Tensor: bound from the registry of operators, and those that read values or talk to NumPy.

In: REGISTRY entries "Tensor.x". Out: the complete class. Everything that reads a value is a sync point: it flushes the
stream first. Read `core/tensor.py` for the state of a tensor, `api.py` next.
"""

import ctypes
import struct
import types
import warnings
import weakref

from .. import (
    engine,  # noqa: F401  (gives the stream its engine)
    ops,  # noqa: F401  (fills the registry)
)
from ..autograd import backward as run_backward
from ..base.lazy import is_array
from ..base.lazy import numpy as np
from ..core import dtype as dt
from ..core.declare import REGISTRY
from ..core.device import CPU
from ..core.dispatch import with_cell
from ..core.graph import MODE
from ..core.layout import layout
from ..core.owner import Handle, adopt, adopt_alone, expose
from ..core.storage import Export, MetaStorage, check, new_storage
from ..core.stream import STREAM
from ..core.tensor import Tensor, view
from ..engine.host import flipped, from_bfloat, values_at
from ..runtime.cpu import memory

FORMATS = {"float32": "f", "float64": "d", "int64": "q", "int32": "i", "int16": "h", "int8": "b", "uint8": "B",
           "bool": "?",
           "float16": "e", "uint16": "H", "uint32": "I", "uint64": "Q", "complex64": "ff", "complex128": "dd"}
CODES = {name: f for name, f in FORMATS.items() if len(f) == 1 and f != "e"}  # that memoryviews know
FORMATS = {name: struct.Struct(f) for name, f in FORMATS.items()}
DIRECT = {dt.float32: ctypes.c_float, dt.float64: ctypes.c_double, dt.int64: ctypes.c_int64, dt.int32: ctypes.c_int32,
          dt.bool_: ctypes.c_bool}


def materialise(tensor):
    """Run what is pending and make sure the storage has memory; its address."""
    STREAM.flush()
    storage = tensor._storage
    if not storage.address:
        check(storage)
    if storage.device is not CPU:
        raise TypeError(f"the CPU cannot reach the memory of device {storage.device}. Use Tensor.cpu() to copy the "
                        "tensor to host memory first.")
    return memory.provide(storage)


def at_home(tensor):
    """The values of a tensor in the CPU's memory, outside the graph."""
    return REGISTRY["Tensor._moved"].plain(tensor, CPU, tensor._storage.device)


def readable(tensor):
    """The address of a tensor's storage, for a reader that has finished when the next operator is recorded. Pending
    results may stay so. Pending writes run: a step of a training loop ends with them, and its blocks stay the same
    whether the loss is read or not."""
    storage = tensor._storage
    return storage.address if not STREAM.block.step.written and STREAM.is_ready(storage) else materialise(tensor)


def item(self):
    """The value of a tensor of one element as a Python number. RuntimeError for other sizes."""
    found = self._layout
    if found.numel != 1:
        raise RuntimeError(f"a Tensor with {found.numel} elements cannot be converted to Scalar")
    if self._storage.device is not CPU:
        if self._storage.__class__ is MetaStorage:
            raise RuntimeError("Tensor.item() cannot be called on meta tensors")
        return item(at_home(self))
    address = readable(self) + self._offset * found.dtype.itemsize
    direct = DIRECT.get(found.dtype)
    if direct is not None:
        return direct.from_address(address).value
    if found.dtype is dt.bfloat16:
        return float(from_bfloat(np.array([ctypes.c_uint16.from_address(address).value], np.uint16))[0])
    values = FORMATS[found.dtype.plain.name].unpack(ctypes.string_at(address, found.dtype.itemsize))
    value = complex(*values) if found.dtype.is_complex else values[0]
    return value if found.dtype.plain is found.dtype else flipped(value)


def _array(self):
    """An array over the tensor's memory, valid while the tensor lives; copies of bfloat16 (as float32) and of lazily
    conjugated or negated views."""
    if self._storage.device is not CPU:
        found = np.array(_array(at_home(self)))
        found.flags.writeable = False  # what is written there would not reach the tensor
        return found
    return values_at(materialise(self), self._layout, self._offset)


def numpy(self, *, force=False):
    """A NumPy array that shares this tensor's memory. RuntimeError for tensors that require grad (unless `force`)."""
    if self._storage.device is not CPU:
        if not force:
            raise TypeError(f"can't convert {self._storage.device} device type tensor to numpy. Use Tensor.cpu() to "
                            "copy the tensor to host memory first.")
        self = at_home(self.detach())
    if force:
        return numpy(REGISTRY["resolve_neg"](REGISTRY["resolve_conj"](self.detach())))
    if self.requires_grad and MODE.grad:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
    found = self._layout
    if found.dtype is dt.bfloat16:
        raise TypeError("Got unsupported ScalarType BFloat16")
    if found.dtype.plain is not found.dtype:
        kind, cure = ("conjugate", "resolve_conj") if found.dtype.is_complex else ("negative", "resolve_neg")
        raise RuntimeError(f"Can't call numpy() on Tensor that has {kind} bit set. Use tensor.{cure}().numpy() "
                           f"instead.")
    address = materialise(self)
    storage = self._storage
    if storage.guard is None:
        storage.guard = Export()
    size = found.dtype.itemsize
    interface = dict(version=3, shape=tuple(found.shape), typestr=found.dtype.numpy.str, data=(address
                                                                                               + self._offset * size,
                                                                                               False),
                     strides=tuple(s * size for s in found.strides))
    if not found.numel:
        return np.empty(tuple(found.shape), found.dtype.numpy)
    return np.asarray(Handle(storage.guard, storage.block, interface))


_ARRAY_LAYOUTS = {}  # (dtype, shape, strides) of arrays that passed the checks -> layout


def from_numpy(ndarray):
    """A tensor over an array's memory. TypeError for other objects and dtypes, ValueError for negative strides.

    Warns where the array cannot be written: the tensor's methods would write all the same."""
    if not is_array(ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    found = array_layout(ndarray)
    if not ndarray.flags.writeable:
        warn_read_only("NumPy array")
    return over_array(ndarray, found)


def warn_read_only(what):
    """PyTorch's warning where a tensor is made over memory that must not be written."""
    warnings.warn(f"The given {what} is not writable, and PyTorch does not support non-writable tensors. This means "
                  f"writing to this tensor will result in undefined behavior. You may want to copy the {what} to "
                  "protect its data or make it writable before converting it to a tensor.", UserWarning, stacklevel=3)


def over_array(array, found=None, alone=False):
    """A tensor over an array's memory, writable or not. alone: no one else reads the memory, whatever refers to it
    (a part of a file that is read, a block of a worker)."""
    found = found or array_layout(array)
    storage = new_storage(found.nbytes, CPU)
    storage.address = array.ctypes.data
    (adopt_alone if alone else adopt)(storage, array)
    return view(storage, found, 0)


def array_layout(array):
    """The layout of an array; data sets hand over many arrays of few layouts, so it is kept."""
    found = _ARRAY_LAYOUTS.get((array.dtype, array.shape, array.strides))
    return _array_layout(array) if found is None else found


def _array_layout(array):
    """`array_layout` of an array of a new kind. TypeError and ValueError for those that no tensor can have."""
    dtype = dt.numpy_types().get(array.dtype)
    if dtype is None:
        raise TypeError(
            f"can't convert np.ndarray of type {array.dtype}. The only supported types are: float64, float32, float16, "
            "complex64, complex128, int64, int32, int16, int8, uint64, uint32, uint16, uint8, and bool."
        )
    if any(s < 0 for s in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not "
            "currently supported. (You can probably work around this by making a copy of your array with array.copy().)"
        )
    if any(s % array.itemsize for s in array.strides):
        raise ValueError(
            "given numpy array strides not a multiple of the element byte size. Copy the numpy array to reallocate the "
            "memory."
        )
    strides = tuple(s // array.itemsize for s in array.strides)
    if len(_ARRAY_LAYOUTS) >= 1024:
        _ARRAY_LAYOUTS.clear()
    found = _ARRAY_LAYOUTS[array.dtype, array.shape, array.strides] = layout(array.shape, strides, dtype)
    return found


def tolist(self):
    """The values as nested lists of Python numbers (a number for zero dimensions)."""
    found = self._layout
    if not found.ndim:
        return item(self)
    code = CODES.get(found.dtype.name)
    if code is None or not found.numel:
        return _array(self.detach() if self.requires_grad else self).tolist()
    if self._storage.device is not CPU:
        return tolist(at_home(self))
    address = readable(self) + self._offset * found.dtype.itemsize
    values = memory.read(address, found.nbytes).cast("B")
    if found.contiguous:
        return values.cast(code, tuple(found.shape)).tolist()
    return strided_list(values.cast(code), found.shape, found.strides, 0)


def strided_list(values, shape, strides, at):
    """Nested lists of what a view of a flat memoryview shows, from position `at` on."""
    n, step = shape[0], strides[0]
    if len(shape) > 1:
        return [strided_list(values, shape[1:], strides[1:], at + i * step) for i in range(n)]
    return values[at:at + (n - 1) * step + 1:step].tolist() if step else [values[at]] * n


def _data_ptr(self):
    """The address of the first element. It may be kept: from here on, what is written reaches memory at once."""
    address = materialise(self)
    expose(self._storage)
    return address + self._offset * self._layout.dtype.itemsize


def __bool__(self):
    count = self._layout.numel
    if count != 1:
        if count == 0:
            raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
        raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
    return bool(item(self))


def real_item(self, kind):
    """`item` for a real number type. ValueError for several elements, RuntimeError for a number with an imaginary
    part, which it would lose."""
    if self._layout.numel != 1:
        raise ValueError("only one element tensors can be converted to Python scalars")
    value = item(self)
    if value.__class__ is complex:
        if value.imag:
            raise RuntimeError(f"value cannot be converted to type {kind} without overflow")
        return value.real
    return value


def __int__(self):
    return int(real_item(self, "int64_t"))


def __float__(self):
    return float(real_item(self, "double"))


def __complex__(self):
    return complex(item(self))


def __index__(self):
    if self._layout.numel != 1 or self._layout.dtype.category > dt.INTEGRAL:
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(item(self))


def __len__(self):
    if not self._layout.ndim:
        raise TypeError("len() of a 0-d tensor")
    return self._layout.shape[0]


def __iter__(self):
    if not self._layout.ndim:
        raise TypeError("iteration over a 0-d tensor")
    return iter(self.unbind(0))


def __reversed__(self):
    """The tensor with its first dimension reversed."""
    return self.flip(0) if self._layout.ndim else self


def __contains__(self, element):
    if isinstance(element, (Tensor, int, float, bool, complex)):
        return bool((element == self).any())
    raise RuntimeError(f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}.")


def __dir__(self):
    return sorted(key for key in {*dir(type(self)), *self.__dict__} if key.isidentifier())


def __hash__(self):
    return id(self)


def __format__(self, spec):
    if self._layout.ndim == 0 and type(self) in (Tensor,):
        return item(self).__format__(spec)
    return object.__format__(self, spec)


def __array__(self, dtype=None, copy=None):
    found = _array(self) if self._layout.dtype is dt.bfloat16 else numpy(
        REGISTRY["resolve_neg"](REGISTRY["resolve_conj"](self)))
    return found if dtype is None else found.astype(dtype, copy=False)


def __array_wrap__(self, array, context=None, return_scalar=False):
    """What NumPy's functions of tensors give: a tensor over the result, uint8 for truth values."""
    return from_numpy(array.astype(np.uint8) if array.dtype == np.bool_ else array)


def equals_other(self, other):
    """What `self == other` gives for an array, and for anything that is not an operand."""
    return REGISTRY["eq"](self, from_numpy(other) if is_array(other) else other)


def __rtruediv__(self, other):
    """`other / self`: the reciprocal times `other`, which may be an array."""
    return self.reciprocal() * other if is_array(other) else REGISTRY["Tensor.__rtruediv__"](self, other)


def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    """Sum the gradients of this tensor into the leaves of its graph; see autograd.backward."""
    run_backward([self], [gradient], retain_graph, create_graph, inputs=inputs)


def is_floating_point(input):
    """Whether the dtype is a floating one."""
    return input._layout.dtype.category == dt.FLOATING


def is_complex(input):
    return input._layout.dtype.category == dt.COMPLEX


def nelement(self):
    return self._layout.numel


def retain_grad(self):
    """Keep the gradient of a tensor that is not a leaf in `.grad`."""
    if not self.requires_grad:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    node = self.grad_fn
    if node is None or self._retain:
        return
    if node.retains is None:
        node.retains = []
    node.retains.append((self._nr, weakref.ref(self)))
    self._retain = True


METHODS = dict(item=item, numpy=numpy, tolist=tolist, data_ptr=_data_ptr, __bool__=__bool__, __int__=__int__,
               __float__=__float__, __index__=__index__, __len__=__len__, __iter__=__iter__, __reversed__=__reversed__,
               __contains__=__contains__, __complex__=__complex__, __dir__=__dir__, __hash__=__hash__,
               __format__=__format__, __array__=__array__, __array_wrap__=__array_wrap__, __rtruediv__=__rtruediv__,
               backward=backward, is_floating_point=is_floating_point, is_complex=is_complex, nelement=nelement,
               retain_grad=retain_grad,
               _array=_array)


def bind():
    """Give the class every registered method."""
    for name, function in REGISTRY.items():
        if name.startswith("Tensor."):
            setattr(Tensor, name.removeprefix("Tensor."), function)
    for name, function in METHODS.items():
        setattr(Tensor, name, function)
    Tensor.__eq__ = with_cell(REGISTRY["Tensor.__eq__"].fast, "otherwise", types.CellType(equals_other))
    Tensor.__array_priority__ = 1000  # NumPy's arrays and numbers leave operators to tensors


bind()
