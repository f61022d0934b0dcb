"""Tensors taken apart for a pickle and put together again.

In: a tensor (`reduce_tensor`), or the arguments that PyTorch's files give to the `_rebuild_*` functions, whose names
are part of the file format. Out: a picklable tuple, or a tensor. The functions check every number they get; see
adapter.check_view. Next to read: names.py (how these functions are named in files).
"""

import warnings
from collections import OrderedDict

from .. import api as rl
from ..base.lazy import Lazy
from ..nn.parameter import Parameter
from . import adapter
from .storages import TYPE_OF_DTYPE, UNTYPED, TypedStorage

SPARSE = Lazy("rushlight.sparse.construct")  # imported by the first sparse tensor of a file


def reduce_tensor(tensor):
    """What `Tensor.__reduce_ex__` returns: a function of this module and its arguments, as PyTorch's files have them.

    Attributes that a program has set on the tensor are kept. A gradient is not, and neither are hooks (with a warning).
    A tensor that is not a leaf is pickled without its graph.
    """
    hooks = getattr(tensor, "_backward_hooks", None)
    if hooks:
        warnings.warn(f"backward hooks of tensor {tuple(tensor.shape)} will not be serialized", stacklevel=3)
    kind = type(tensor)
    if kind is Parameter:
        return _reduce_parameter(tensor)
    function, arguments = _reduce_plain(tensor)
    state = _own_state(tensor)
    if kind is rl.Tensor and not state:
        return function, arguments
    return _rebuild_from_type_v2, (function, kind, arguments, state)


def _reduce_plain(tensor):
    requires_grad = bool(tensor.requires_grad)
    if tensor.device.type == "meta":
        size, stride = tuple(tensor.size()), tuple(tensor.stride())
        return _rebuild_meta_tensor_no_storage, (tensor.dtype, size, stride, requires_grad)
    if any(getattr(tensor, name, bool)() for name in ("is_conj", "is_neg")):
        tensor = tensor.resolve_conj().resolve_neg()  # the storage holds the numbers from before the conjugation
    storage = tensor.untyped_storage()
    view = (tensor.storage_offset(), tuple(tensor.size()), tuple(tensor.stride()), requires_grad, OrderedDict())
    kind = TYPE_OF_DTYPE.get(tensor.dtype)
    if kind is None:
        return _rebuild_tensor_v3, (TypedStorage(storage, UNTYPED), *view, tensor.dtype)
    return _rebuild_tensor_v2, (TypedStorage(storage, kind), *view)


def reduce_sparse(tensor):
    """What stands for a sparse tensor in a file: its layout, and its parts."""
    function, arguments = tensor.__reduce_ex__(2)
    return _rebuild_sparse_tensor, arguments


def _reduce_parameter(parameter):
    data = parameter.detach()
    state = _own_state(parameter)
    common = (data, bool(parameter.requires_grad), OrderedDict())
    if state:
        return _rebuild_parameter_with_state, (*common, state)
    return _rebuild_parameter, common


def _own_state(tensor):
    """Attributes that were set on the tensor from outside: what a plain tensor of its class does not have."""
    attributes = getattr(tensor, "__dict__", None)
    if not attributes:
        return None
    ours = ("grad", "_backward_hooks", "_is_param")
    return {name: value for name, value in attributes.items() if name not in ours} or None


# --- the names in PyTorch's files ------------------------------------------------------------------------------------


def _rebuild_tensor(storage, storage_offset, size, stride):
    """A tensor over (part of) a TypedStorage. RuntimeError when it would reach outside of the storage."""
    _expect_storage(storage)
    return adapter.view_storage(storage.untyped(), storage.dtype, storage_offset, tuple(size), tuple(stride))


def _rebuild_tensor_v2(storage, storage_offset, size, stride, requires_grad, backward_hooks, metadata=None):
    """The same with `requires_grad`. `metadata` may say that the tensor is a lazy conjugate or negative."""
    tensor = _rebuild_tensor(storage, storage_offset, size, stride)
    return _finish(tensor, requires_grad, backward_hooks, metadata)


def _rebuild_tensor_v3(storage, storage_offset, size, stride, requires_grad, backward_hooks, dtype, metadata=None):
    """The same for data types that have no class of storages: the storage is bytes, `dtype` is said."""
    _expect_storage(storage)
    tensor = adapter.view_storage(storage.untyped(), dtype, storage_offset, tuple(size), tuple(stride))
    return _finish(tensor, requires_grad, backward_hooks, metadata)


def _rebuild_parameter(data, requires_grad, backward_hooks):
    """A `nn.Parameter` around a tensor."""
    parameter = Parameter(data, requires_grad)
    _set_hooks(parameter, backward_hooks)
    return parameter


def _rebuild_parameter_with_state(data, requires_grad, backward_hooks, state):
    """A `nn.Parameter` with attributes of its own."""
    return _set_state(_rebuild_parameter(data, requires_grad, backward_hooks), state)


def _rebuild_meta_tensor_no_storage(dtype, size, stride, requires_grad):
    """A tensor on the meta device: sizes without memory."""
    return rl.empty_strided(tuple(size), tuple(stride), dtype=dtype, device="meta", requires_grad=requires_grad)


def _rebuild_device_tensor_from_cpu_tensor(data, dtype, device, requires_grad):
    """A tensor of a device without storages, from its copy on the CPU."""
    tensor = data.to(dtype=dtype, device=device)
    tensor.requires_grad = requires_grad
    return tensor


def _rebuild_device_tensor_from_numpy(data, dtype, device, requires_grad):
    """The same from a NumPy array."""
    return _rebuild_device_tensor_from_cpu_tensor(rl.from_numpy(data), dtype, device, requires_grad)


def _rebuild_from_type_v2(function, new_type, arguments, state):
    """A tensor of a subclass, or with attributes of its own."""
    tensor = function(*arguments)
    if type(tensor) is not new_type:
        tensor = tensor.as_subclass(new_type)
    own = getattr(new_type, "__setstate__", None)
    if own is not None and own is not getattr(rl.Tensor, "__setstate__", None):
        tensor.__setstate__(state)
        return tensor
    return _set_state(tensor, state)


def _rebuild_from_type(function, new_type, arguments, state):
    """The older form of `_rebuild_from_type_v2`."""
    return _rebuild_from_type_v2(function, new_type, arguments, state)


def _get_layout(name):
    """The layout named `torch.strided` and so on."""
    return rl.strided if name == "torch.strided" else SPARSE.layout_named(name)


def _rebuild_sparse_tensor(layout, data):
    """A sparse tensor from its layout and its parts, which are checked."""
    if not isinstance(data, tuple) or not 3 <= len(data) <= 4:
        raise RuntimeError(f"sparse tensor: expected the parts of one, got {type(data).__name__}")
    if layout is SPARSE.layout_named("sparse_coo"):
        indices, values, size, *coalesced = data
        return SPARSE.sparse_coo_tensor(indices, values, size, is_coalesced=bool(coalesced and coalesced[0]))
    return SPARSE.sparse_compressed_tensor(*data, layout=layout)


def _expect_storage(storage):
    if not isinstance(storage, TypedStorage):
        raise RuntimeError(f"tensor: expected a storage to rebuild from, got {type(storage).__name__}")


def _finish(tensor, requires_grad, backward_hooks, metadata):
    if metadata:
        if not isinstance(metadata, dict):
            raise RuntimeError(f"tensor: expected metadata to be a dictionary, got {type(metadata).__name__}")
        tensor = adapter.resolved(tensor, bool(metadata.get("conj")), bool(metadata.get("neg")))
    if requires_grad:
        tensor.requires_grad = True
    _set_hooks(tensor, backward_hooks)
    return tensor


def _set_hooks(tensor, backward_hooks):
    # PyTorch always writes an empty dictionary here; a file with hooks in it was written by something else.
    if backward_hooks:
        raise RuntimeError(f"tensor: expected no backward hooks in a file, got {len(backward_hooks)}")


def _set_state(tensor, state):
    attributes, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
    for part in (attributes, slots):
        if part is not None and not isinstance(part, dict):
            raise RuntimeError(f"tensor: expected its attributes as a dictionary, got {type(part).__name__}")
        for name, value in (part or {}).items():
            # A file may add attributes, never replace what makes up a tensor: its offset or size, say.
            if not isinstance(name, str) or hasattr(tensor, name):
                raise RuntimeError(f"tensor: a file may not set its attribute {name!r:.80}")
            setattr(tensor, name, value)
    return tensor
