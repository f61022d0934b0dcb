"""Casts, copies and clones: the element-wise operators that only move values. Gradients cast back."""

from ...core import grads
from ...core import infer as rules
from ...core import record as recording
from ...core.declare import elementwise, public
from ...core.dtype import FLOATING
from ...core.grads import GradRule, begin_write, check_inplace, end_write
from ...core.layout import channels_last_strides, contiguous_strides, seems_channels_last, strides_of_format
from ...core.record import record
from ...core.stream import STREAM
from ...core.tensor import Tensor, empty, version_of
from .creation import zeros_like


def _cast_rule(layouts, numbers, attrs):
    return None, dict(attrs)["dtype"]


@elementwise("Tensor._cast", promote=_cast_rule,
             grad={"input": lambda g: g}, node="ToCopyBackward0", complex=True, conjugates=True,
             casts=True)
def cast(k, input, dtype: object):
    """The values as another dtype."""
    return input


@elementwise("Tensor._same", promote="keep", name="cast_")
def same(k, input):
    """The identity: what kernels use to convert a reduction's result."""
    return input


@elementwise("", promote="keep", name="contiguous", grad={"input": lambda g: g}, contiguous=True, complex=True)
def contiguous_values(k, input):
    """The same values in row-major order."""
    return input


def packed(input):
    """The operand of an operator whose result PyTorch makes contiguous."""
    return input if input._layout.contiguous else contiguous_values(input)


@elementwise("Tensor._clone", promote="keep", name="clone", grad={"input": lambda g: g}, complex=True)
def clone_values(k, input):
    """A copy of the values."""
    return input


def _copy_layouts(op, layouts, numbers, pattern, attrs, given):
    """The source broadcasts to the target and takes its dtype, whatever it is."""
    source, target = layouts[0], given[0]
    if rules.broadcast_shapes(source.shape, target.shape) != tuple(target.shape):
        raise RuntimeError("The expanded size of the tensor must match the existing size: target sizes "
                           f"{list(target.shape)}, tensor sizes {list(source.shape)}")
    return [], None


@elementwise("Tensor._copy_values", promote="keep", name="copy_", complex=True, layouts=_copy_layouts)
def copy_values(k, input):
    """What `copy_` writes."""
    return input


COPY = copy_values.op
COPY_FORM = recording.copy_form = COPY.form("t")  # of `write_copy`


def _zeros_for(g):
    return zeros_like(g)


COPY_RULE = GradRule("copy", ["input", "src"], {"input": _zeros_for, "src": lambda g: g}, "CopyBackwards")


@public("Tensor.copy_", out=False, quick=True)
def copy_(self, src, non_blocking=False):
    """Write the values of `src` (broadcast, cast) into this tensor; returns it. RuntimeError if the shapes do not
    fit."""
    if not isinstance(src, Tensor):
        raise TypeError(f"copy_(): argument 'other' (position 1) must be Tensor, not {type(src).__name__}")
    if src._storage.device is not self._storage.device:
        src = src.to(self._storage.device)
    node = None
    if self._layout.dtype.category >= FLOATING:
        node = begin_write(COPY_RULE, (self, src), self)
    else:  # nothing to differentiate, whatever the source wants
        check_inplace(self, False)
    version = version_of(self)
    try:
        there = src._storage is self._storage and src._layout is self._layout and src._offset == self._offset
        if not there:
            record(COPY, "t", (), (src,), (), (self,))
        elif self._versions is None:  # nothing to write, but a write to those who look at versions
            self._storage.version += 1
        else:
            self._versions[0] += 1
        end_write(node, self)
    except BaseException:
        STREAM.unsettled.append((node, self, version))  # Note [Unsettled writes] in core/grads.py
        STREAM.dirty = True
        raise
    return self


@public("clone", out=False, quick=True)
def clone(input, *, memory_format=None):
    """Return a copy with memory of its own. It is part of the graph of gradients.

    Args:
        input (Tensor): any shape and dtype.
        memory_format (memory_format, optional): the order of strides; that of `input` by default.

    Returns:
        Tensor: the shape and dtype of `input`.

    Raises:
        RuntimeError: the format does not fit the number of dimensions.

    Example:
        >>> x = torch.tensor([1, 2])
        >>> torch.clone(x)
        tensor([1, 2])
    """
    strides = format_strides(input, memory_format)
    if strides is None:
        return clone_values(input)
    return to_strides(input, strides)


grads.clone = clone


def format_strides(input, memory_format):
    """The strides a memory format asks for, or None where an element-wise result has them anyway."""
    name = getattr(memory_format, "name", None)
    if name is None and memory_format is not None:
        raise TypeError(f"clone(): argument 'memory_format' must be torch.memory_format, not "
                        f"{type(memory_format).__name__}")
    if name in (None, "preserve_format"):
        found = input._layout
        return found.strides if found.dense else None
    return strides_of_format(name, input._layout.shape)


@public("Tensor._to_strides", grad={"input": lambda g: g}, node="CloneBackward0", out=False)
def to_strides(input, strides):
    """A copy with the strides given (dense)."""
    out = empty(tuple(input._layout.shape), input._layout.dtype, input._storage.device, tuple(strides))
    record(COPY, "t", (), (input,), (), (out,))
    return out


@public("Tensor.contiguous", out=False, quick=True)
def contiguous(self, memory_format=None):
    """The tensor itself if it has the strides of the memory format, else a copy that has."""
    name = getattr(memory_format, "name", "contiguous_format" if memory_format is None else None)
    if name is None:
        raise TypeError(f"contiguous(): argument 'memory_format' must be torch.memory_format, not "
                        f"{type(memory_format).__name__}")
    if name == "preserve_format":
        raise RuntimeError("preserve memory format is unsupported by the contiguous operator")
    if is_contiguous(self, memory_format):
        return self
    strides = contiguous_strides(self._layout.shape) if name == "contiguous_format" else format_strides(self,
                                                                                                        memory_format)
    return to_strides(self, strides)


def in_format_of(result, input):
    """A fresh result in channels_last, if PyTorch takes `input` for that; else contiguous."""
    found = result._layout
    if seems_channels_last(input._layout) and found.ndim == input._layout.ndim:
        strides = channels_last_strides(found.shape)
    else:
        strides = contiguous_strides(found.shape)
    return result if found.strides == strides else to_strides(result, strides)


@public("Tensor.is_contiguous", out=False, quick=True)
def is_contiguous(self, memory_format=None):
    """Whether the strides are those of the memory format."""
    name = getattr(memory_format, "name", "contiguous_format")
    found = self._layout
    if name == "contiguous_format":
        return found.contiguous
    return found.ndim == (4 if name == "channels_last" else 5) and all([
        a == b or n == 1 for a, b, n in zip(found.strides, channels_last_strides(found.shape), found.shape)])


def to_dtype(input, dtype):
    """The tensor itself or a cast copy."""
    return input if input.dtype is dtype else cast(input, dtype)
