"""What changes a tensor itself: in-place views (squeeze_, transpose_, ...), resize_, set_, and the *_copy forms of
views.

In-place views change a tensor's layout, not its memory; its history then starts with the view's node. Read `view` for
the views.
"""

import warnings

from ...core import dtype as dt
from ...core import infer as rules
from ...core.declare import REGISTRY, public
from ...core.grads import check_inplace
from ...core.graph import MODE, sequence
from ...core.layout import channels_last_strides, contiguous_strides, layout
from ...core.owner import is_foreign
from ...core.record import record
from ...core.room import check_bytes
from ...core.storage import check_tracked, storage_on
from ...core.tensor import DETACHED, Tensor
from ...core.tensor import view as raw_view
from .copy import COPY
from .view import narrow, slice_


@public("Tensor.fill_diagonal_", out=False)
def fill_diagonal_(self, fill_value, wrap=False):
    """Write a number on the main diagonal; `wrap`: again after each block of a tall matrix."""
    if self.dim() < 2:
        raise RuntimeError("dimensions must larger than 1")
    shape = self._layout.shape
    if self.dim() > 2 and any(n != shape[0] for n in shape):
        raise RuntimeError("all dimensions of input must be of equal length")
    length = min(shape)
    step = sum(self._layout.strides)
    REGISTRY["as_strided"](self, (length,), (step,), self._offset).fill_(fill_value)
    if wrap and self.dim() == 2 and shape[0] > shape[1] + 1:
        row, column = self._layout.strides
        for start in range(shape[1] + 1, shape[0], shape[1] + 1):
            count = min(shape[1], shape[0] - start)
            REGISTRY["as_strided"](self, (count,), (row + column,), self._offset + start * row).fill_(fill_value)
    return self


# -- in-place views --------------------------------------------------------------------------------------------------


def become(tensor, view):
    """Give a tensor the layout and history of a view of it."""
    check_tracked(tensor._storage)
    tensor._layout, tensor._offset = view._layout, view._offset
    if view._grad_fn is not None:
        tensor._grad_fn, tensor._nr, tensor._rg = view._grad_fn, 0, True
    if tensor._versions is None:
        tensor._storage.version += 1
    else:
        tensor._versions[0] += 1
    if tensor._base is not None:
        tensor._view_version = tensor._storage.version if tensor._versions is None else tensor._versions[0]
    return tensor


def in_place_view(name):
    """Declare Tensor.name_ for a view function."""
    def changed(self, *args, **kwargs):
        if MODE.grad:
            check_inplace(self, self.requires_grad)
        return become(self, REGISTRY[name](self, *args, **kwargs))
    changed.__name__ = changed.__qualname__ = f"{name}_"
    changed.__doc__ = f"`{name}` in place: the tensor's own shape and strides change."
    REGISTRY[f"Tensor.{name}_"] = changed
    return changed


for _name in ("squeeze", "unsqueeze", "transpose", "swapaxes", "swapdims", "t", "as_strided"):
    in_place_view(_name)
REGISTRY["as_strided_"] = REGISTRY["Tensor.as_strided_"]


@public("detach_ Tensor.detach_", out=False)
def detach_(input):
    """Take the tensor out of its graph. RuntimeError for views."""
    if input._base is not None:
        raise RuntimeError("Can't detach views in-place. Use detach() instead. If you are using "
                           "DistributedDataParallel (DDP) for training, and gradient_as_bucket_view is set as True, "
                           "gradients are views of DDP buckets, and hence detach_() cannot be called on these "
                           "gradients. To fix this error, please refer to the Optimizer.zero_grad() function in "
                           "torch/optim/optimizer.py as a solution.")
    if input._grad_fn is not None:
        input._creation, input._view_version = DETACHED, sequence()
    input._grad_fn, input._nr, input._rg = None, 0, False
    return input


# -- memory ------------------------------------------------------------------------------------------------------------


def grow(storage, nbytes):
    """Make a storage at least `nbytes` large, keeping its contents."""
    if nbytes <= storage.nbytes:
        return
    if is_foreign(storage):
        raise RuntimeError("Trying to resize storage that is not resizable")
    check_bytes(nbytes)
    stream = storage.device.stream
    if storage.pending is stream.block:  # the pending block has planned for the size it knows
        stream.flush()
    old, version = storage.nbytes, storage.version
    if old and (storage.address or storage.pending is not None):
        keep = raw_view(storage, layout((old,), (1,), dt.uint8), 0).clone()
        stream.flush()
        storage.address, storage.block, storage.nbytes = 0, None, nbytes
        record(COPY, "t", (), (keep,), (), (raw_view(storage, layout((old,), (1,), dt.uint8), 0),))
        storage.version = version
        return
    storage.address, storage.block, storage.nbytes = 0, None, nbytes


@public("Tensor.resize_", out=False)
def resize_(self, *size, memory_format=None):
    """Change the shape in place, with row-major strides; the storage grows if it must, and new elements are not
    initialised."""
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    if len(size) == 1 and not hasattr(size[0], "__index__"):
        size = size[0]
    shape = tuple([rules.as_index(n) for n in size])
    if any(n < 0 for n in shape):
        raise RuntimeError(f"Trying to resize to a negative dimension: {list(shape)}")
    if shape == tuple(self._layout.shape) and memory_format is None:
        return self
    name = getattr(memory_format, "name", "contiguous_format")
    strides = channels_last_strides(shape) if name.startswith("channels_last") else contiguous_strides(shape)
    found = layout(shape, strides, self._layout.dtype)
    need = (self._offset + found.reach) * found.dtype.itemsize if found.numel else 0
    grow(self._storage, need)
    self._layout = found
    if self._versions is None:
        self._storage.version += 1
    else:
        self._versions[0] += 1
    return self


@public("Tensor._make_room", out=False)
def make_room(self, shape, strides=None):
    """Give a tensor of `out=` the shape of what is written to it, and its strides if there are any. An `out` that has
    elements is left alone where the shape is the same; where not, PyTorch warns."""
    if self._layout.shape == tuple(shape):
        return self
    if self._layout.numel:
        warnings.warn("An output with one or more elements was resized since it had shape "
                      f"{list(self.shape)}, which does not match the required output shape {list(shape)}. This "
                      "behavior is deprecated, and in a future PyTorch release outputs will not be resized unless "
                      "they have zero elements. You can explicitly reuse an out tensor t by resizing it, inplace, to "
                      "zero elements with t.resize_(0).", UserWarning, stacklevel=4)
    resize_(self, tuple(shape))
    if strides is not None:
        self._layout = layout(tuple(shape), tuple(strides), self._layout.dtype)
    return self


@public("Tensor.resize_as_", out=False)
def resize_as_(self, the_template, *, memory_format=None):
    """`resize_` to the shape of another tensor."""
    return resize_(self, the_template._layout.shape, memory_format=memory_format)


REGISTRY["resize_as_"] = REGISTRY["Tensor.resize_as_"]


@public("Tensor.resize", out=False)
def resize(self, *sizes):
    """A view with another shape of the same number of elements (deprecated)."""
    return self.view(*sizes)


@public("Tensor.set_", out=False)
def set_(self, source=None, storage_offset=0, size=None, stride=None):
    """Share the memory of another tensor or storage; without arguments become empty."""
    if self.requires_grad and self.is_leaf is False and MODE.grad:
        raise RuntimeError("set_ is not allowed on a tensor that is part of a graph")
    if source is None:
        self._storage, self._offset = storage_on(0, self._storage.device), 0
        self._layout = layout((0,), (1,), self._layout.dtype)
        return self
    if isinstance(source, Tensor):
        if source.dtype is not self.dtype:
            raise RuntimeError(f"Could not set tensor of type {source.dtype} to a tensor of type {self.dtype}")
        if size is None:
            self._storage, self._layout, self._offset = source._storage, source._layout, source._offset
            return self
        storage = source._storage
    else:
        plain = getattr(source, "_untyped_storage", source)
        storage = getattr(plain, "_storage", None)
        if storage is None:
            raise NotImplementedError(f"Tensor.set_ with a source of type {type(source).__name__} is not implemented "
                                      "in rushlight")
    shape = tuple(size) if size is not None else (storage.nbytes // self._layout.dtype.itemsize,)
    strides = tuple(stride) if stride is not None else contiguous_strides(shape)
    found = layout(shape, strides, self._layout.dtype)
    grow(storage, (storage_offset + found.reach) * found.dtype.itemsize if found.numel else 0)
    self._storage, self._layout, self._offset = storage, found, storage_offset
    return self


# -- results written back ----------------------------------------------------------------------------------------------


def written_back(name):
    """Declare Tensor.name_ for a composite function: its result, of the same shape, is copied into the tensor."""
    def changed(self, *args, **kwargs):
        result = REGISTRY[name](self, *args, **kwargs)
        rules.check_out(name, result._layout, self._layout)
        if result._layout.shape != self._layout.shape:
            raise RuntimeError(f"output with shape {list(self.shape)} doesn't match the broadcast shape "
                               f"{list(result.shape)}")
        return self.copy_(result)
    changed.__name__ = changed.__qualname__ = f"{name}_"
    changed.__doc__ = f"`{name}` in place."
    REGISTRY[f"Tensor.{name}_"] = changed


for _name in ("addmm", "addmv", "addbmm", "baddbmm", "addr", "mvlgamma"):
    written_back(_name)
REGISTRY["addmv_"] = REGISTRY["Tensor.addmv_"]


# -- views as copies ---------------------------------------------------------------------------------------------------


def copied(name, of):
    """Declare torch.name_copy: the view REGISTRY[of] as a new tensor (several: a list)."""
    def copy(*args, out=None, **kwargs):
        found = REGISTRY[of](*args, **kwargs)
        if not isinstance(found, Tensor):
            if out is None:
                return [t.clone() for t in found]
            for o, t in zip(out, found):
                o._make_room(t._layout.shape).copy_(t)
            return None
        result = found.clone()
        return result if out is None else out._make_room(result._layout.shape).copy_(result)
    copy.__name__ = copy.__qualname__ = f"{name}_copy"
    copy.__doc__ = f"`{name}` as a copy instead of a view."
    REGISTRY[f"{name}_copy"] = copy


for _name in ("permute", "transpose", "squeeze", "unsqueeze", "select", "diagonal", "t", "detach", "unbind", "split",
              "as_strided", "split_with_sizes"):
    copied(_name, _name)
for _name in ("expand", "view", "alias", "unfold"):
    copied(_name, f"Tensor.{_name}")


@public("narrow_copy")
def narrow_copy(input, dim, start, length):
    """`narrow` as a copy instead of a view. RuntimeError also for a dimension out of range."""
    if dim >= input.dim():
        raise RuntimeError(f"narrow_copy: expected dim < {input.dim()}, but got {dim}")
    return narrow(input, dim, start, length).clone()


@public("slice_copy", out=False)
def slice_copy(input, dim=0, start=None, end=None, step=1):
    """input[start:end:step] of one dimension, as a copy."""
    start, stop, step = slice(start, end, step).indices(input._layout.shape[dim])
    return slice_(input, dim % input.dim(), start, max(start, stop), step).clone()
