"""Tensor methods that change dtype or device, share memory, copy, pickle or hook: bound to the class like those of
`methods.py`."""

import collections
import copy
import mmap
import warnings

from ..autograd.leaf import AccumulateGrad
from ..base.hooks import RemovableHandle
from ..base.lazy import Lazy
from ..base.lazy import numpy as np
from ..core import dispatch
from ..core import dtype as dt
from ..core.arguments import CLASSES
from ..core.declare import REGISTRY
from ..core.device import CPU, Device, resolve
from ..core.layout import contiguous_strides, layout
from ..core.owner import Kept, expose, is_foreign
from ..core.room import LARGEST, check_bytes
from ..core.storage import EVERYBODY, new_storage, storage_on
from ..core.tensor import Tensor, accumulate_node, check_trackable, make, view
from ..runtime.cpu import memory
from .methods import materialise, over_array


def to(self, *args, **kwargs):
    """This tensor as another dtype and/or on another device: `to(dtype)`, `to(device)`, `to(device, dtype)`,
    `to(other)`.

    Returns the tensor itself where nothing changes, unless copy=True."""
    if len(args) == 1 and not kwargs and isinstance(args[0], Device) and args[0] == self._storage.device:
        return self  # the line that every training loop has
    device, dtype, copy_, memory_format = parse_to(args, kwargs)
    dtype = dtype or self.dtype
    if device is not None and resolve(device) is not self._storage.device:
        there = REGISTRY["Tensor._moved"](self, resolve(device), self._storage.device)
        return there if dtype is self.dtype else there._cast(dtype)
    changed = dtype is not self.dtype
    if changed and self._layout.dtype.is_complex:
        warn_of_parts(dtype)
    if memory_format is not None and not self.is_contiguous(memory_format) and memory_format.name != "preserve_format":
        result = self._cast(dtype) if changed else self
        return result.clone(memory_format=memory_format)
    if changed:
        return self._cast(dtype)
    return self.clone() if copy_ else self


def warn_of_parts(dtype):
    """The UserWarning of a conversion that loses imaginary parts."""
    if not dtype.is_complex and dtype is not dt.bool_:
        warnings.warn("Casting complex values to real discards the imaginary part", stacklevel=3)


def parse_to(args, kwargs):
    """(device, dtype, copy, memory_format) from the arguments of `to`. TypeError for others."""
    allowed = {"device", "dtype", "non_blocking", "copy", "memory_format", "other"}
    for key in kwargs:
        if key not in allowed:
            raise TypeError(f"to() received an invalid combination of arguments - got an unexpected keyword argument "
                            f"'{key}'")
    device, dtype = kwargs.get("device"), kwargs.get("dtype")
    dtype = CLASSES[dtype] if dtype.__class__ is type and dtype in CLASSES else dtype
    other, flags = kwargs.get("other"), []
    for value in args:
        if isinstance(value, dt.DType):
            dtype = value
        elif isinstance(value, Tensor):
            other = value
        elif isinstance(value, (str, Device)) or (isinstance(value, int) and not isinstance(value, bool)
                                                  and device is None and not flags):
            device = value
        elif isinstance(value, bool):
            flags.append(value)
        elif value.__class__ is type and value in CLASSES:
            dtype = CLASSES[value]
        elif value is not None:
            raise TypeError(f"to() received an invalid combination of arguments - got ({type(value).__name__})")
    if other is not None:
        device, dtype = other.device, other.dtype
    if not args and not kwargs:
        raise TypeError("to() received an invalid combination of arguments - got (), but expected one of: (device, "
                        "dtype, ...)")
    return device, dtype, kwargs.get("copy", len(flags) > 1 and flags[1]), kwargs.get("memory_format")


def caster(name):
    dtype = dt.BY_NAME[name]

    def cast(self, memory_format=None):
        if self._layout.dtype.is_complex:
            warn_of_parts(dtype)
        result = self if self.dtype is dtype else self._cast(dtype)
        return result if memory_format is None else to(result, memory_format=memory_format)
    cast.__name__ = name
    cast.__doc__ = f"This tensor as {dtype!r}; itself if it is."
    return cast


CASTS = {"float": "float32", "double": "float64", "half": "float16", "bfloat16": "bfloat16", "int": "int32",
         "long": "int64", "short": "int16",
         "char": "int8", "byte": "uint8", "bool": "bool", "cfloat": "complex64", "cdouble": "complex128"}


def type_(self, dtype=None, non_blocking=False):
    """The type's name ("torch.FloatTensor"), or the tensor as another dtype (a dtype, a name, or a tensor type)."""
    if dtype is None:
        return f"torch.{dt.scalar_type(self.dtype)}Tensor"
    if isinstance(dtype, str):
        names = {f"torch.{dt.SCALAR_TYPES[d.name]}Tensor": d for d in dt.ALL}
        if dtype not in names:
            raise ValueError(f"invalid type: '{dtype}'")
        dtype = names[dtype]
    dtype = getattr(dtype, "dtype", dtype)
    return to(self, dtype)


def type_as(self, other):
    """As the dtype of another tensor."""
    return to(self, other.dtype)


def cpu(self, memory_format=None):
    """This tensor in the CPU's memory."""
    return to(self, CPU)


def cuda(self, device=None, non_blocking=False, memory_format=None):
    """This tensor on a CUDA device. AssertionError where there is no CUDA runtime."""
    return to(self, Device("cuda", device) if not isinstance(device, (str, Device)) else device)


# -- storages --------------------------------------------------------------------------------------------------------


class UntypedStorage:
    """The bytes under a tensor."""

    def __init__(self, size=0, *, device=None, _storage=None):
        if _storage is None:
            size = int(size)
            if size > LARGEST:
                raise ValueError("Overflow when unpacking long long")
            if size < 0:
                raise RuntimeError(f"UntypedStorage: a number of bytes must not be negative, but got {size}")
            check_bytes(size)
        self._storage = storage_on(size, resolve(device)) if _storage is None else _storage

    def nbytes(self):
        """The number of bytes."""
        return self._storage.nbytes

    size = __len__ = nbytes

    def __sizeof__(self):
        return object.__sizeof__(self) + self._storage.nbytes

    @property
    def device(self):
        return self._storage.device

    def _bytes(self):
        found = layout((self._storage.nbytes,), (1,), dt.uint8)
        return view(self._storage, found, 0)

    def data_ptr(self):
        """The address of the first byte."""
        address = materialise(self._bytes())
        expose(self._storage)
        return address

    def tolist(self):
        return self._bytes().tolist()

    def __getitem__(self, index):
        found = self._bytes()[index]
        return found.item() if found.dim() == 0 else UntypedStorage(_storage=found.clone()._storage)

    def __setitem__(self, index, value):
        self._bytes()[index] = value

    def __iter__(self):
        return iter(self.tolist())

    def clone(self):
        """A copy of the bytes."""
        return UntypedStorage(_storage=self._bytes().clone()._storage)

    def copy_(self, source, non_blocking=False):
        """Take the bytes of another storage."""
        self._bytes().copy_(source._bytes())
        return self

    def resize_(self, size):
        """Change the number of bytes, keeping those that fit."""
        resize_storage(self._storage, int(size))
        return self

    def cpu(self):
        return self

    def is_shared(self):
        return False

    def __eq__(self, other):
        return isinstance(other, UntypedStorage) and other._storage is self._storage

    def __hash__(self):
        return id(self._storage)

    def __repr__(self):
        values = " ".join(map(str, self.tolist()[:64]))
        return f" {values}\n[torch.storage.UntypedStorage(device={self.device}) of size {self.nbytes()}]"

    def __reduce__(self):
        return (storage_from_bytes, (self._bytes().numpy().tobytes(),))


def storage_from_bytes(data):
    """A storage with a copy of the bytes."""
    return UntypedStorage(_storage=over_array(np.frombuffer(bytearray(data), np.uint8))._storage)


def resize_storage(storage, nbytes):
    """Give a storage another size; what fits of its contents stays."""
    if nbytes == storage.nbytes:
        return
    if is_foreign(storage) and nbytes > storage.nbytes:
        raise RuntimeError("Trying to resize storage that is not resizable")
    keep = min(nbytes, storage.nbytes)
    probe = view(storage, layout((storage.nbytes,), (1,), dt.uint8), 0)
    old_address = materialise(probe)
    block = memory.allocate(nbytes)
    if keep:
        memory.as_array(block.address, keep)[...] = memory.as_array(old_address, keep)
    storage.block, storage.address, storage.nbytes = block, block.address, nbytes


class TypedStorage(UntypedStorage):
    """The deprecated storage that knows a dtype."""

    def __init__(self, storage, dtype):
        super().__init__(_storage=storage)
        self.dtype = dtype

    def size(self):
        return self._storage.nbytes // self.dtype.itemsize

    __len__ = size

    def _typed(self):
        return view(self._storage, layout((self.size(),), (1,), self.dtype), 0)

    def tolist(self):
        return self._typed().tolist()

    def __getitem__(self, index):
        return self._typed()[index].item() if isinstance(index, int) else self._typed()[index].tolist()

    def __setitem__(self, index, value):
        self._typed()[index] = value

    def untyped(self):
        return UntypedStorage(_storage=self._storage)


def untyped_storage(self):
    """The storage this tensor views."""
    return UntypedStorage(_storage=self._storage)


def storage(self):
    """The storage this tensor views, as a sequence of its dtype (deprecated in PyTorch)."""
    return TypedStorage(self._storage, self._layout.dtype)


def set_(self, source=None, storage_offset=0, size=None, stride=None):
    """View another storage (of a tensor or storage object) with the offset, sizes and strides given."""
    if source is None:
        self._storage, self._layout, self._offset = new_storage(0, CPU), layout((0,), (1,), self.dtype), 0
        return self
    if isinstance(source, Tensor):
        if source.dtype is not self.dtype:
            raise RuntimeError(f"Could not set tensor of type {source.dtype} to a tensor of type {self.dtype}")
        if size is None:
            self._storage, self._layout, self._offset = source._storage, source._layout, source._offset
            return self
    found = source._storage
    item = self.dtype.itemsize
    if size is None:
        size = (found.nbytes // item,)
    size = tuple(int(n) for n in size)
    stride = contiguous_strides(size) if stride is None else tuple(int(s) for s in stride)
    new = layout(size, stride, self.dtype)
    need = (storage_offset + new.reach) * item
    if new.numel and need > found.nbytes:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {storage_offset}, and itemsize "
            f"{item} requiring a storage size of {need} are out of bounds for storage of size {found.nbytes}"
        )
    self._storage, self._layout, self._offset = found, new, int(storage_offset)
    return self


def share_memory_(self):
    """Move the storage to memory that child processes share (an anonymous shared mapping)."""
    raise_unless_cpu(self)
    address, storage_ = materialise(self), self._storage
    block = SharedBlock(max(storage_.nbytes, 1))
    memory.as_array(block.address, max(storage_.nbytes, 1))[:storage_.nbytes] = memory.as_array(
        address - self._offset * self.dtype.itemsize, max(storage_.nbytes, 1))[:storage_.nbytes]
    storage_.block, storage_.address, storage_.guard = block, block.address, EVERYBODY  # other processes
    return self


def raise_unless_cpu(tensor):
    if tensor.device.type != "cpu":
        raise RuntimeError("share_memory_: only CPU tensors have shared memory")


class SharedBlock(Kept):
    """An anonymous mapping that forked processes share."""

    __slots__ = ("address",)

    def __init__(self, nbytes):
        super().__init__(np.frombuffer(mmap.mmap(-1, nbytes), np.uint8))
        self.address = self.thing.ctypes.data


def is_shared(self):
    """Whether the storage lies in memory shared between processes."""
    return isinstance(self._storage.block, SharedBlock)


# -- copies and pickles ----------------------------------------------------------------------------------------------


def deepcopy(self, memo):
    """A copy with memory of its own; only leaves can be copied."""
    if id(self) in memo:
        return memo[id(self)]
    if not self.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  "
            "If you were attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage, "
            "see https://github.com/pytorch/pytorch/pull/103001"
        )
    key = ("storage", id(self._storage))
    if key not in memo:
        memo[key] = untyped_storage(self).clone()._storage
    result = view(memo[key], self._layout, self._offset)
    if type(self) is not Tensor:
        result = result.as_subclass(type(self))
    result._rg = self._rg
    memo[id(self)] = result
    if self._grad is not None:
        result._grad = copy.deepcopy(self._grad, memo)
    for name, value in self.__dict__.items():
        result.__dict__[name] = copy.deepcopy(value, memo)
    return result


def as_subclass(self, cls):
    """The same tensor as an instance of a subclass of Tensor."""
    if not (isinstance(cls, type) and issubclass(cls, Tensor)):
        raise TypeError(f"as_subclass(): argument 'cls' must be a subclass of torch.Tensor, not {cls!r}")
    with dispatch.Inside():
        source = REGISTRY["Tensor.alias"](self)
    result = make(cls, source._storage, source._layout, source._offset)
    for name in Tensor.__slots__:
        if not name.startswith("__"):
            setattr(result, name, getattr(source, name))
    return result


def make_subclass(cls, data, require_grad=False):
    """A leaf of class `cls` over the memory of `data`, without its history."""
    result = make(cls, data._storage, data._layout, data._offset)
    result._versions = data._versions
    if require_grad:
        check_trackable(result)
    result._rg = require_grad
    return result


def rebuild(storage_, dtype, offset, size, stride, requires_grad, state, kind=Tensor):
    """The inverse of Tensor.__reduce_ex__."""
    result = make(kind, storage_._storage, layout(tuple(size), tuple(stride), dtype), offset)
    result._rg = requires_grad
    result.__dict__.update(state)
    return result


def reduce_ex(self, protocol):
    """Pickling: the storage's bytes and the view. The tensor comes back as a leaf."""
    if self._layout.dtype is not self.dtype:  # its storage holds other values
        self = self.detach().clone().requires_grad_(self._rg)
    return (
        rebuild,
        (
            untyped_storage(self),
            self.dtype,
            self._offset,
            tuple(self.shape),
            self.stride(),
            self._rg,
            dict(self.__dict__),
            type(self),
        ),
    )


# -- hooks -----------------------------------------------------------------------------------------------------------


def register_hook(self, hook):
    """Call `hook(grad)` when the gradient of this tensor is computed; a tensor it returns replaces the gradient."""
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    node = self.grad_fn
    if node is None:
        if self._hooks is None:
            self._hooks = collections.OrderedDict()
        hooks = self._hooks
    else:
        if node.out_hooks is None:
            node.out_hooks = {}
        hooks = node.out_hooks.setdefault(self._nr, collections.OrderedDict())
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


def register_post_accumulate_grad_hook(self, hook):
    """Call `hook(tensor)` after the gradient of this leaf has been accumulated."""
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if self.grad_fn is not None:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    hooks = self.__dict__.setdefault("_post_accumulate_hooks", collections.OrderedDict())
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


def accumulate_grad(self):
    """The AccumulateGrad node of a leaf."""
    return accumulate_node(self, AccumulateGrad)


def dim_order(self, *, ambiguity_check=False):
    """The dimensions from the outermost to the innermost in memory. RuntimeError, with `ambiguity_check`, where more
    than one order is true."""
    if ambiguity_check:
        found = self._layout
        if not found.dense or len(set(found.strides)) < found.ndim or 1 in found.shape:
            raise RuntimeError("The tensor does not have unique dim order, or cannot map to exact one of the given "
                               "memory formats.")
    strides = self.stride()
    return tuple(sorted(range(self.dim()), key=lambda d: -strides[d]))


def module_load(self, other, assign=False):
    """How `load_state_dict` enters a loaded tensor: copied into this one, or with `assign` in its place."""
    return other.detach() if assign else self.copy_(other).detach()


def resize_as(self, the_template, *, memory_format=None):
    """Deprecated: `reshape` to the shape of another tensor of as many elements."""
    warnings.warn("non-inplace resize_as is deprecated", stacklevel=2)
    if self.numel() != the_template.numel():
        raise RuntimeError(f"requested resize to {list(the_template.shape)} ({the_template.numel()} elements in total),"
                           f" but the given tensor has a size of {list(self.shape)} ({self.numel()} elements). "
                           "autograd's resize can only change the shape of a given tensor, while preserving the number "
                           "of elements.")
    return self.reshape(the_template.shape)


def reinforce(self, reward):
    """Removed, as in PyTorch."""
    raise RuntimeError("reinforce() was removed. Use torch.distributions instead. See "
                       "https://pytorch.org/docs/main/distributions.html")


def record_stream(self, stream):
    """Nothing to do: memory of the CPU is not given back before its last use."""


def refuse_deletion(self, index):
    """Elements of tensors cannot be deleted."""
    raise TypeError("Tensor does not support deleting items")


def device_property(name):
    """The property that tells whether a tensor is on a device of this type."""
    return property(lambda self: self._storage.device.type == name, doc=f"Whether the tensor is on a {name} device.")


def data_property_is(name, value):
    return property(lambda self: value, doc=f"Always {value} here ({name}).")


def dlpack(self, *, stream=None, max_version=None, dl_device=None, copy=None):
    """The DLPack capsule of this tensor's memory."""
    return self.detach().numpy().__dlpack__()


def apply_(self, callable):
    """Replace each element by what a Python function gives for it; slow. RuntimeError if a gradient is recorded."""
    return map_elements("apply_", self, (), callable)


def map_(self, tensor, callable):
    """Replace each element by a Python function of it and of another tensor's element (broadcast)."""
    return map_elements("map_", self, (tensor,), callable)


def map2_(self, x, y, callable):
    """Replace each element by a Python function of it and of the elements of two other tensors (broadcast)."""
    return map_elements("map2_", self, (x, y), callable)


def map_elements(name, target, others, function):
    if any(t.requires_grad for t in (target, *others)):
        raise RuntimeError(f"Can't call {name}() on Variable that requires grad. Use var.detach().{name}() instead.")
    columns = [t.expand(target.shape).reshape(-1).tolist() for t in (target, *others)]
    values = np.array([function(*row) for row in zip(*columns)])
    return target.copy_(over_array(values).reshape(target.shape))


SPARSE = Lazy("rushlight.sparse.construct")  # imported by the first sparse tensor


def sparse_method(name):
    """The method of dense tensors that makes a sparse one."""
    def method(self, *args, **kwargs):
        return getattr(SPARSE, name)(self, *args, **kwargs)

    method.__name__, method.__doc__ = name, f"See `{name}` in sparse/construct.py."
    return method


def to_dense(self, dtype=None, *, masked_grad=None):
    """The tensor itself, in another dtype if one is given."""
    return self if dtype is None else to(self, dtype)


def not_sparse(name):
    """A method that only sparse tensors have: RuntimeError."""
    def method(self):
        raise RuntimeError(f"{name} expected sparse coordinate tensor layout but got Strided")

    method.__name__, method.__doc__ = name, "RuntimeError for dense tensors."
    return method


FLAGS = dict(  # of every tensor here
    is_sparse=False,
    is_quantized=False,
    is_mkldnn=False,
    is_nested=False,
    is_sparse_csr=False,
    is_xla=False,
    is_vulkan=False,
    names=None,
)


def dlpack_device(self):
    """The device in DLPack's numbers. BufferError for one that DLPack has no number for."""
    if self._storage.device is not CPU:
        raise BufferError(f"DLPack has no number for device {self._storage.device}")
    return 1, 0


def bind():
    """Give the class these methods."""
    methods = dict(
        to=to,
        type=type_,
        type_as=type_as,
        cpu=cpu,
        cuda=cuda,
        untyped_storage=untyped_storage,
        storage=storage,
        set_=set_,
        share_memory_=share_memory_,
        is_shared=is_shared,
        __deepcopy__=deepcopy,
        apply_=apply_,
        map_=map_,
        map2_=map2_,
        as_subclass=as_subclass,
        __reduce_ex__=reduce_ex,
        register_hook=register_hook,
        __dlpack__=dlpack,
        register_post_accumulate_grad_hook=register_post_accumulate_grad_hook,
        _accumulate_grad=accumulate_grad,
        dim_order=dim_order,
        module_load=module_load,
        resize_as=resize_as,
        reinforce=reinforce,
        record_stream=record_stream,
        __delitem__=refuse_deletion,
        to_dense=to_dense,
    )
    for name in ("to_sparse", "to_sparse_coo", "to_sparse_csr", "to_sparse_csc", "sparse_mask"):
        methods[name] = sparse_method(name)
    for name in ("coalesce", "indices", "is_coalesced", "values", "_indices", "_values", "_nnz"):
        methods[name] = not_sparse(name)
    for name, function in methods.items():
        setattr(Tensor, name, function)
        REGISTRY.setdefault(f"Tensor.{name}", function)
    Tensor._make_subclass = staticmethod(make_subclass)
    for name, dtype in CASTS.items():
        setattr(Tensor, name, caster(dtype))
    for name, value in FLAGS.items():
        setattr(Tensor, name, data_property_is(name, value))
    for name in ("cpu", "cuda", "meta", "mps", "xpu"):
        setattr(Tensor, f"is_{name}", device_property(name))
    Tensor.nbytes = property(lambda self: self.numel() * self.element_size())
    Tensor.itemsize = property(lambda self: self.element_size())
    Tensor.layout = property(lambda self: STRIDED)
    Tensor.__dlpack_device__ = dlpack_device
    Tensor.is_pinned = lambda self, device=None: False
    Tensor.pin_memory = lambda self, device=None: self
    Tensor.get_device = lambda self: -1
    Tensor.is_distributed = lambda self: False
    Tensor.name = property(lambda self: None)
    Tensor.grad_dtype = property(lambda self: self.dtype)
    Tensor.is_set_to = lambda self, other: (self._storage is other._storage and self._layout is other._layout
                                            and self._offset == other._offset)
    Tensor.has_names = lambda self: False
    Tensor._is_view = lambda self: self._base is not None
    Tensor.retains_grad = property(lambda self: bool(self._retain))


class Layout:
    """The kind of a tensor's memory: torch.strided."""

    __slots__ = ()

    def __repr__(self):
        return "torch.strided"


STRIDED = Layout()
bind()
