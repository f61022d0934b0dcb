"""The Tensor class: its state, and the attributes that need no operator.

A tensor is a view (layout, offset) of a Storage plus what autograd keeps about it. Methods that compute are bound to
this class by `rushlight/tensor/methods.py` from the operator registry. Read `record` next.

Note [Views and in-place writes]
A view knows its base (`_base`, the tensor that owns the storage in autograd's eyes) and the version at which its
`_grad_fn` was true. An in-place write to a view rewrites the history of the base (`CopySlices`); every other view of
that base then finds its version stale and takes a new `AsStridedBackward0` over the base. `refresh` does that before
anybody looks at a view's gradient state.
"""

import warnings
import weakref

from . import dispatch, graph
from . import dtype as dt
from .device import CPU, Device
from .layout import Size, contiguous_layout
from .layout import layout as make_layout
from .room import LARGE, check_bytes
from .storage import new_storage, storage_elsewhere

PLAIN, MULTI_OUTPUT, NO_GRAD_MODE, INFERENCE, CUSTOM = range(5)  # how a view came to be
DETACHED = 5  # a tensor that `detach_` took out of its graph, at the sequence number in `_view_version`


class TensorMeta(type):
    """So that `isinstance(x, torch.FloatTensor)`-like checks and subclasses behave."""


class Tensor(metaclass=TensorMeta):
    __slots__ = ("_storage", "_layout", "_offset", "_rg", "_grad_fn", "_nr", "_base", "_grad", "_versions", "_hooks",
                 "_view_version", "_creation", "_retain", "_accumulate", "__dict__", "__weakref__")

    _is_strided = True  # False for sparse tensors, which have no memory of a single piece

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        """What a public function does with tensors of subclasses: it runs on them, and its results become instances of
        the subclass. NotImplemented unless all classes among `types` are bases of this one."""
        if not all([issubclass(cls, kind) for kind in types]):
            return NotImplemented
        with dispatch.DisableSubclasses():
            result = func(*args, **(kwargs or {}))
            return result if func in dispatch.UNWRAPPED else converted(result, cls)

    # -- layout ------------------------------------------------------------------

    @property
    def shape(self):
        """The sizes, a torch.Size."""
        return self._layout.size

    @property
    def dtype(self):
        return self._layout.dtype.plain

    @property
    def device(self):
        return self._storage.device

    @property
    def ndim(self):
        return self._layout.ndim

    def dim(self):
        """The number of dimensions."""
        return self._layout.ndim

    def numel(self):
        """The number of elements."""
        return self._layout.numel

    def size(self, dim=None, *, axis=None):
        """All sizes, or the size of one dimension. IndexError if `dim` is out of range."""
        shape = self._layout.shape
        if dim is None:
            dim = axis
        if dim is None:
            return self._layout.size
        rank = len(shape)
        if not -max(rank, 1) <= dim < max(rank, 1):
            raise IndexError(f"Dimension out of range (expected to be in range of [{-max(rank, 1)}, "
                             f"{max(rank, 1) - 1}], but got {dim})")
        if rank == 0:
            raise IndexError("Dimension specified as 0 but tensor has no dimensions")
        return shape[dim]

    def stride(self, dim=None, *, axis=None):
        """All strides in elements, or that of one dimension."""
        strides = self._layout.strides
        if dim is None:
            dim = axis
        return strides if dim is None else strides[dim]

    def storage_offset(self):
        """The position of the first element in the storage, in elements."""
        return self._offset

    def element_size(self):
        return self._layout.dtype.itemsize

    # -- autograd state ------------------------------------------------------------

    @property
    def requires_grad(self):
        """Whether operations on this tensor record gradients."""
        return self._rg or (self._base is not None and self._base._rg)

    @requires_grad.setter
    def requires_grad(self, value):
        if self._grad_fn is not None and not value:
            raise RuntimeError("you can only change requires_grad flags of leaf variables. If you want to use a "
                               "computed variable in "
                               "a subgraph that doesn't require differentiation use var_no_grad = var.detach().")
        if value and self._layout.dtype.category < dt.FLOATING:
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        if value:
            check_trackable(self)
        if self._grad_fn is None:
            self._rg = bool(value)

    def requires_grad_(self, requires_grad=True):
        """Set `requires_grad` in place and return the tensor."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self):
        """True for tensors that no operator made (or that need no gradient)."""
        return self.grad_fn is None

    @property
    def grad_fn(self):
        """The node that made this tensor, or None for a leaf."""
        if self._base is not None:
            refresh(self)
        return self._grad_fn

    @property
    def output_nr(self):
        return self._nr

    @property
    def grad(self):
        """The accumulated gradient of a leaf (or of a tensor with `retain_grad`)."""
        if self._grad is None and self._grad_fn is not None and not self._retain:
            warnings.warn("The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad "
                          "attribute won't be populated during autograd.backward(). If you indeed want the .grad field "
                          "to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor. If you "
                          "access the non-leaf Tensor by mistake, make sure you access the leaf Tensor instead. See "
                          "github.com/pytorch/pytorch/pull/30531 for more information.",
                          stacklevel=2)
        return self._grad

    @grad.setter
    def grad(self, value):
        if value is not None:
            check_grad_assignment(self, value)
        self._grad = value

    @grad.deleter
    def grad(self):
        self._grad = None

    @property
    def _version(self):
        """How often the tensor or another one over its memory was written in place."""
        version = version_of(self)
        if version < 0:
            raise RuntimeError("Inference tensors do not track version counter.")
        return version

    def is_inference(self):
        """Whether the memory was made in inference mode (Note [Inference tensors] in storage.py)."""
        return self._storage.version < 0

    @property
    def data(self):
        """The same memory without history; writes to it are not seen by autograd's version check."""
        tensor = view(self._storage, self._layout, self._offset)
        tensor._versions = [0]
        return tensor

    @data.setter
    def data(self, value):
        if not isinstance(value, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
        if self._versions is None:  # what a node saved before this is as new as ever
            self._versions = Inherited(self._storage)
        self._storage, self._layout, self._offset = value._storage, value._layout, value._offset


class Inherited:
    """The version of a tensor that `x.data = y` gave another storage: that of its first storage, which views of that
    time still have."""

    __slots__ = ("storage", "last")

    def __init__(self, storage):
        self.storage, self.last = weakref.ref(storage), storage.version

    @property
    def version(self):
        storage = self.storage()
        if storage is not None:
            self.last = storage.version
        return self.last

    def __getitem__(self, index):
        return self.version

    def __setitem__(self, index, value):
        storage, self.last = self.storage(), value
        if storage is not None:
            storage.version = value


def check_trackable(tensor):
    """Refuse to let an inference tensor require a gradient outside inference mode."""
    if tensor._storage.version < 0 and not graph.MODE.inference:
        raise RuntimeError("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.")


def version_of(tensor):
    """How often the memory of a tensor was written; below zero for inference tensors."""
    versions = tensor._versions
    return tensor._storage.version if versions is None else versions[0]


def converted(value, cls):
    """A result with its tensors (also those in lists and tuples) as instances of a subclass."""
    if cls is Tensor:
        return value
    if isinstance(value, Tensor):
        return value if isinstance(value, cls) else value.as_subclass(cls)
    if isinstance(value, (tuple, list)) and value.__class__ is not Size:
        values = [converted(v, cls) for v in value]
        return type(value)(*values) if hasattr(value, "_fields") else type(value)(values)
    return value


dispatch.PLAIN.update((Tensor, dt.DType, Device, Size))
dispatch.tensor_class = Tensor


def check_grad_assignment(tensor, value):
    if not isinstance(value, Tensor):
        raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}")
    if value is tensor:
        raise RuntimeError("can't assign Variable as its own grad")
    if value.dtype is not tensor.dtype:
        raise RuntimeError(f"attempting to assign a gradient with dtype '{value.dtype}' to a tensor with dtype "
                           f"'{tensor.dtype}'. Please ensure that the gradient and the tensor have the same dtype")
    if value._layout.shape != tensor._layout.shape:
        raise RuntimeError(f"attempting to assign a gradient of size '{list(value.shape)}' to a tensor of size "
                           f"'{list(tensor.shape)}'. Please ensure that the gradient and the tensor are the same size")


def make(cls, storage, layout, offset):
    """A tensor of class `cls` over a storage, without history."""
    tensor = object.__new__(cls)
    tensor._storage, tensor._layout, tensor._offset = storage, layout, offset
    tensor._rg, tensor._grad_fn, tensor._nr, tensor._base, tensor._grad = False, None, 0, None, None
    tensor._versions = tensor._hooks = tensor._retain = tensor._accumulate = None
    tensor._view_version = tensor._creation = 0
    return dispatch.adopt(tensor)


def view(storage, layout, offset, _new=Tensor.__new__, _cls=Tensor):
    """A plain Tensor over a storage, without history (the hot constructor)."""
    tensor = _new(_cls)
    tensor._storage = storage
    tensor._layout = layout
    tensor._offset = offset
    tensor._rg = False
    tensor._grad_fn = tensor._base = tensor._grad = tensor._versions = tensor._hooks = tensor._retain = (
        tensor._accumulate
    ) = None
    tensor._nr = tensor._view_version = tensor._creation = 0
    return tensor


graph.make_view = view


def empty(shape, dtype, device=CPU, strides=None):
    """A tensor of uninitialised memory (allocated when first used)."""
    dtype = dtype.plain
    found = contiguous_layout(shape, dtype) if strides is None else make_layout(tuple(shape), tuple(strides), dtype)
    if device is not CPU:
        return view(storage_elsewhere(found.nbytes, device), found, 0)
    if found.nbytes > LARGE:
        check_bytes(found.nbytes)
    return view(new_storage(found.nbytes, device), found, 0)


move_retained = None  # set by grads: (tensor, old node, new node) -> None
make_as_strided_node = None  # set by autograd: (base, view) -> Node


def refresh(tensor):
    """Bring the gradient state of a view up to date (Note [Views and in-place writes])."""
    base = tensor._base
    if base._rg:
        tensor._rg = True  # as in PyTorch: a view requires grad where its base does
    version = tensor._storage.version if tensor._versions is None else tensor._versions[0]
    if tensor._view_version == version:
        return
    if not base._rg:
        if tensor._grad_fn is None:
            tensor._view_version = version
        return
    if tensor._creation != PLAIN:
        raise_stale_view(tensor, indirect=True)
    before, tensor._grad_fn = tensor._grad_fn, make_as_strided_node(base, tensor)
    tensor._nr, tensor._rg = 0, True
    if tensor._retain:
        move_retained(tensor, before, tensor._grad_fn)
    tensor._view_version = version


def raise_stale_view(tensor, indirect):
    """The RuntimeError for a write that the history of a view cannot express."""
    what = ("is a view and its base or another view of its base has been modified inplace" if indirect
            else "is a view and is being modified inplace")
    made = f"Output {tensor._nr} of {graph.short_name(tensor._grad_fn)}" if tensor._grad_fn is not None else "A view"
    if tensor._creation == CUSTOM:
        raise RuntimeError(f"{made} {what}. This view was created inside a custom Function (or because an input was "
                           "returned as-is) and the autograd logic to handle view+inplace would override the custom "
                           "backward associated with the custom Function, leading to incorrect gradients. This "
                           "behavior is forbidden. You can fix this by cloning the output of the custom Function.")
    if tensor._creation == MULTI_OUTPUT:
        raise RuntimeError(f"{made} {what}. This view is the output of a function that returns multiple views. Such "
                           f"functions do not "
                           "allow the output views to be modified inplace. You should replace the inplace operation by "
                           "an "
                           "out-of-place one.")
    if tensor._creation == INFERENCE:
        mode, what = "inference mode", what.removeprefix("is a view and ") + " in normal mode"
    else:
        mode, what = "no_grad mode", what.removeprefix("is a view and ") + " with grad mode enabled"
    raise RuntimeError(f"{made} was created in {mode} and {what}. Given that this use case is ambiguous and "
                       "error-prone, it is forbidden. You can clarify your code by moving both the view and the "
                       "inplace either both inside the block (if you don't want the inplace to be tracked) or both "
                       "outside (if you want the inplace to be tracked).")


def accumulate_node(tensor, factory):
    """The AccumulateGrad node of a leaf, made on first request and kept while somebody holds it."""
    node = tensor._accumulate() if tensor._accumulate is not None else None
    if node is None:
        node = factory(tensor)
        tensor._accumulate = weakref.ref(node)
    return node
