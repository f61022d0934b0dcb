"""Tensors from nothing: empty, zeros, full, arange, eye, linspace and the *_like and new_* forms."""

import functools
import math
import warnings

from ...base.lazy import numpy as np
from ...core import declare, grads
from ...core import dtype as dt
from ...core import infer as rules
from ...core.declare import as_number, elementwise, public
from ...core.device import CPU, resolve
from ...core.graph import MODE
from ...core.kinds import Gather
from ...core.layout import contiguous_layout, dense_strides_like, strides_of_format
from ...core.layout import layout as make_layout
from ...core.record import record, write_number
from ...core.room import LARGEST
from ...core.storage import new_storage
from ...core.stream import STREAM
from ...core.tensor import Tensor, version_of
from ...core.tensor import empty as empty_tensor
from ...core.tensor import view as raw_view
from ...core.views import without_repeats


class MemoryFormat:
    """How the dimensions of a dense tensor lie in memory."""

    __slots__ = ("name",)

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"torch.{self.name}"

    def __reduce__(self):
        return (memory_format_by_name, (self.name,))


FORMATS = {name: MemoryFormat(name) for name in ("contiguous_format", "channels_last", "channels_last_3d",
                                                 "preserve_format")}


def memory_format_by_name(name):
    return FORMATS[name]


def sizes_of(name, size):
    """A shape from `*size` arguments: ints, or one sequence of them. RuntimeError for negative ones."""
    plain = size[0] if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    for n in plain:
        if n.__class__ is not int or not 0 <= n <= LARGEST:
            break
    else:
        return tuple(plain)
    if len(size) == 1 and not hasattr(size[0], "__index__"):
        size = size[0]
    elif len(size) == 1 and isinstance(size[0], Tensor) and size[0].dim():
        size = size[0].tolist()
    if not hasattr(size, "__iter__"):
        raise TypeError(f"{name}(): argument 'size' (position 1) must be tuple of ints, not {type(size).__name__}")
    try:
        shape = tuple([n if n.__class__ is int else rules.as_index(n) for n in size])
    except (TypeError, AttributeError):
        raise TypeError(
            f"{name}(): argument 'size' must be tuple of ints, but found element of type "
            f"{next((type(n).__name__ for n in size if not hasattr(n, '__index__')), type(size).__name__)}"
        ) from None
    for i, n in enumerate(shape, 1):
        if not -LARGEST <= n <= LARGEST:
            raise TypeError(f"{name}(): argument 'size' failed to unpack the object at pos {i} with error \"Overflow "
                            "when unpacking long long\"")
    if any([n < 0 for n in shape]):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    return shape


def new(shape, dtype=None, device=None, requires_grad=False, strides=None):
    """An empty tensor of the given shape with the usual keyword arguments."""
    tensor = empty_tensor(shape, dtype or dt.get_default_dtype(), resolve(device), strides)
    if requires_grad:
        tensor.requires_grad = True
    return tensor


def _fill_layouts(op, layouts, numbers, pattern, attrs, given):
    return [], given[0].dtype.plain


def operand(value, dtype):
    """(pattern, tensors, numbers) that record takes for a number to fill a tensor of this dtype with. A complex number
    lies in memory. RuntimeError for one that does not fit the dtype."""
    if not isinstance(value, complex):
        if not -128 <= value <= 127:  # what every dtype has room for
            dt.check_fits(value, dtype.plain)
        return "n", (), (value,)
    if not dtype.is_complex:
        if value.imag:
            raise RuntimeError(f"value cannot be converted to type {dtype.name} without overflow")
        return "n", (), (value.real,)
    return "t", (declare.complex_scalar(value, dtype.plain),), ()


@elementwise("Tensor._fill", name="fill", promote="keep", layouts=_fill_layouts)
def fill_values(k, value):
    """The value everywhere."""
    return value


FILL = fill_values.op
FILL_FORM = FILL.form("n")  # of `write_number`
LOW_HALF = 65504.0  # fits into every floating dtype


def fill(tensor, value):
    """Write a number everywhere, without gradient rules; returns the tensor."""
    pattern, tensors, numbers = operand(value, tensor._layout.dtype)
    record(FILL, pattern, (), tensors, numbers, (without_repeats(tensor),))
    return tensor


def _full_layouts(op, layouts, numbers, pattern, attrs, given):
    ((shape, strides, dtype),) = attrs[0][1]
    return [make_layout(shape, strides, dtype)], dtype


@elementwise("Tensor._full", name="full", promote="keep", layouts=_full_layouts)
def full_values(k, value):
    """The value everywhere, as a new tensor."""
    return value



FULL = full_values.op


@functools.lru_cache(4096)
def _full_attrs(found):
    return (("out", ((tuple(found.shape), found.strides, found.dtype),)),)


def filled(tensor, value):
    """A number everywhere, in a new tensor with the shape, strides, dtype and device of `tensor`, which is left without
    memory."""
    return filled_layout(tensor._layout, value, tensor._storage.device)


def filled_layout(found, value, device):
    """A number everywhere, in a new tensor."""
    pattern, tensors, numbers = operand(value, found.dtype)
    tensors = [t if t._storage.device is device else t.to(device) for t in tensors]
    return record(FULL, pattern, _full_attrs(found), tensors, numbers, device=device)[0]


def constant(shape, dtype, device, value):
    """A number everywhere, in row-major order."""
    return filled_layout(contiguous_layout(shape, dtype or dt.get_default_dtype()), value, resolve(device))


FILL_RULE = grads.GradRule("fill", ["input", "value"], {"input": lambda g: zeros_like(g), "value": lambda g: g.sum()})


@public("Tensor.fill_ torch.fill_", out=False)
def fill_(self, value):
    """Write one number (or the element of a zero-dim tensor) everywhere, in place."""
    kind = value.__class__
    if (kind is int and -128 <= value <= 127 or kind is float and -LOW_HALF <= value <= LOW_HALF
            and self._layout.dtype.category == dt.FLOATING) and is_plain(self):
        write_number(FILL_FORM, value, self._storage, self._layout, self._offset)
        return self
    if isinstance(value, Tensor):
        if value.dim():
            raise RuntimeError(f"fill_ only supports 0-dimension value tensor but got tensor with {value.dim()} "
                               f"dimensions.")
    node = grads.begin_write(FILL_RULE, (self, value), self)
    version = version_of(self)
    try:
        if isinstance(value, Tensor):
            record(FILL, "t", (), (value,), (), (self,))
        else:
            fill(self, value if isinstance(value, complex) else as_number("fill_", "value", value))
        grads.end_write(node, self)
    except BaseException:
        STREAM.unsettled.append((node, self, version))  # Note [Unsettled writes] in core/grads.py
        STREAM.dirty = True
        raise
    return self


def is_plain(tensor):
    """Whether a small number can be written into a tensor without looking into anything: the graph need not know, and
    every element is there once."""
    base, found = tensor._base, tensor._layout
    if tensor._versions is not None or tensor._storage.version < 0 or found.dtype.is_complex or found.overlaps_itself:
        return False
    return not MODE.grad or not tensor._rg and (base is None or not base._rg and not tensor._creation)


@public("Tensor.zero_ torch.zero_", out=False)
def zero_(self):
    """Write zeros, in place."""
    return fill_(self, 0)


@public("fill", out=False)
def fill_copy(input, value):
    """A tensor of the same shape and dtype filled with a value."""
    return fill_(input.clone(), value)


def _grad_zeros(shape, dtype, device):
    return constant(shape, dtype, device, 0)


grads.zeros = _grad_zeros


def _options(dtype, layout, device, pin_memory, memory_format, shape):
    name = getattr(memory_format, "name", "")
    strides = strides_of_format(name, shape) if name.startswith("channels_last") else None
    return dtype, device, strides


class Determinism:
    """What `use_deterministic_algorithms` asks for: `demanded`, or with `warn_only` just a warning. `filled`: memory
    that a program asks for without values gets some."""

    demanded, warn_only, filled = False, False, True


def alert_not_deterministic(caller):
    """Refuse an operator that PyTorch counts as not deterministic, where a program demands determinism."""
    if not Determinism.demanded:
        return
    text = (f"{caller} does not have a deterministic implementation, but you set "
            "'torch.use_deterministic_algorithms(True")
    if not Determinism.warn_only:
        raise RuntimeError(f"{text})'. You can turn off determinism just for this operation, or you can use the "
                           "'warn_only=True' option, if that's acceptable for your application. You can also file an "
                           "issue at https://github.com/pytorch/pytorch/issues to help us prioritize adding "
                           "deterministic support for this operation.")
    warnings.warn(f"{text}, warn_only=True)'. You can file an issue at https://github.com/pytorch/pytorch/issues to "
                  "help us prioritize adding deterministic support for this operation.", stacklevel=3)


def unwritten(tensor, requires_grad=False):
    """A new tensor without values; in deterministic programs with NaN or else the largest number of the dtype."""
    if Determinism.demanded and Determinism.filled and tensor._layout.numel:
        dtype = tensor._layout.dtype
        if dtype.category >= dt.FLOATING:
            tensor = filled(tensor, float("nan"))
        else:
            tensor = filled(tensor, True if dtype is dt.bool_ else dt.iinfo(dtype).max)
    return tensor.requires_grad_() if requires_grad else tensor


@public("torch.empty", out=False)
def empty(*size, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False,
          memory_format=None, names=None):
    """A tensor of uninitialised memory."""
    shape = sizes_of("empty", size if size else ((),))
    if out is not None:
        return out._make_room(shape)
    dtype, device, strides = _options(dtype, layout, device, pin_memory, memory_format, shape)
    return unwritten(new(shape, dtype, device, False, strides), requires_grad)


@public("torch.empty_strided", out=False)
def empty_strided(size, stride, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """Uninitialised memory with the sizes and strides given."""
    if len(size) != len(stride):
        raise RuntimeError(f"mismatch in length of strides and shape: {len(stride)} != {len(size)}")
    return unwritten(new(tuple(size), dtype, device, False, tuple(stride)), requires_grad)


@public("torch.empty_permuted", out=False)
def empty_permuted(size, physical_layout, *, dtype=None, layout=None, device=None, requires_grad=False,
                   pin_memory=False):
    """Uninitialised dense memory whose dimensions lie in the order `physical_layout` (outermost first)."""
    if sorted(physical_layout) != list(range(len(size))):
        raise RuntimeError("Number of dimensions in size does not match the length of the physical_layout or "
                           f"dimensions repeat: size {tuple(size)}, physical_layout {tuple(physical_layout)}")
    strides, step = [0] * len(size), 1
    for d in reversed(physical_layout):
        strides[d] = step
        step *= max(size[d], 1)
    return new(tuple(size), dtype, device, requires_grad, tuple(strides))


@public("torch.full", out=False)
def full(size, fill_value, *, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False,
         names=None):
    """Return a tensor filled with a number.

    Args:
        size (sequence of int): the shape.
        fill_value (number): what is everywhere.
        out (Tensor, optional): where the result is written.
        dtype (dtype, optional): by default that of the number: bool, int64, or the default float or complex.
        layout (layout, optional): `torch.strided`.
        device (device, optional): where the tensor lies.
        requires_grad (bool): whether autograd records what is done with it.
        pin_memory (bool): accepted; it changes nothing on the CPU.
        names (None): accepted as None alone.

    Returns:
        Tensor: the shape `size`.

    Raises:
        RuntimeError: a size is negative, or the number does not fit the dtype.

    Example:
        >>> torch.full((2, 2), 7)
        tensor([[7, 7],
                [7, 7]])
    """
    shape = sizes_of("full", (size,))
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    if out is not None:
        return fill(out._make_room(shape), fill_value)
    if dtype is None:
        dtype = dt.of_number(fill_value)
    elif isinstance(fill_value, complex) and not dtype.is_complex:
        raise RuntimeError(f"value cannot be converted to type {dtype.name} without overflow")
    return constant(shape, dtype, device, fill_value).requires_grad_(requires_grad)


@public("torch.zeros", out=False)
def zeros(*size, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False, names=None):
    """Return a tensor of zeros.

    Args:
        size (int or sequence of int): the shape, as several numbers or one sequence.
        out (Tensor, optional): where the result is written.
        dtype (dtype, optional): the default one by default.
        layout (layout, optional): `torch.strided`.
        device (device, optional): where the tensor lies.
        requires_grad (bool): whether autograd records what is done with it.
        pin_memory (bool): accepted; it changes nothing on the CPU.
        names (None): accepted as None alone.

    Returns:
        Tensor: the shape `size`.

    Raises:
        RuntimeError: a size is negative.

    Example:
        >>> torch.zeros(2, 3)
        tensor([[0., 0., 0.],
                [0., 0., 0.]])
    """
    shape = sizes_of("zeros", _named_size(size, names))
    if out is not None:
        return fill(out._make_room(shape), 0)
    tensor = constant(shape, dtype, device, 0)
    return tensor.requires_grad_() if requires_grad else tensor


def _named_size(size, names):
    return size if size else ((),)


@public("torch.ones", out=False)
def ones(*size, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False, names=None):
    """Return a tensor of ones.

    Args:
        size (int or sequence of int): the shape, as several numbers or one sequence.
        out (Tensor, optional): where the result is written.
        dtype (dtype, optional): the default one by default.
        layout (layout, optional): `torch.strided`.
        device (device, optional): where the tensor lies.
        requires_grad (bool): whether autograd records what is done with it.
        pin_memory (bool): accepted; it changes nothing on the CPU.
        names (None): accepted as None alone.

    Returns:
        Tensor: the shape `size`.

    Raises:
        RuntimeError: a size is negative.

    Example:
        >>> torch.ones(2, dtype=torch.int64)
        tensor([1, 1])
    """
    shape = sizes_of("ones", _named_size(size, names))
    if out is not None:
        return fill(out._make_room(shape), 1)
    tensor = constant(shape, dtype, device, 1)
    return tensor.requires_grad_() if requires_grad else tensor


def _like(input, dtype, device, memory_format):
    strides = None
    name = getattr(memory_format, "name", "preserve_format")
    if name == "preserve_format":
        strides = dense_strides_like(input._layout.shape, input._layout.strides)
    elif name.startswith("channels_last"):
        strides = strides_of_format(name, input._layout.shape)
    return new(tuple(input._layout.shape), dtype or input._layout.dtype, device or input._storage.device, False,
               strides)


@public("torch.empty_like", out=False)
def empty_like(input, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False,
               memory_format=None):
    """Uninitialised memory of the same shape, dtype and strides."""
    return unwritten(_like(input, dtype, device, memory_format), requires_grad)


@public("torch.zeros_like", out=False)
def zeros_like(input, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False,
               memory_format=None):
    """Return zeros in the shape of another tensor.

    Args:
        input (Tensor): any shape and dtype.
        dtype (dtype, optional): that of `input` by default.
        layout (layout, optional): `torch.strided`.
        device (device, optional): where the tensor lies.
        requires_grad (bool): whether autograd records what is done with it.
        pin_memory (bool): accepted; it changes nothing on the CPU.
        memory_format (memory_format, optional): the order of strides; that of `input` by default.

    Returns:
        Tensor: the shape of `input`.

    Raises:
        TypeError: `input` is not a tensor.

    Example:
        >>> torch.zeros_like(torch.tensor([1, 2]))
        tensor([0, 0])
    """
    return filled(_like(input, dtype, device, memory_format), 0).requires_grad_(requires_grad)


@public("torch.ones_like", out=False)
def ones_like(input, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False,
              memory_format=None):
    """Return ones in the shape of another tensor.

    Args:
        input (Tensor): any shape and dtype.
        dtype (dtype, optional): that of `input` by default.
        layout (layout, optional): `torch.strided`.
        device (device, optional): where the tensor lies.
        requires_grad (bool): whether autograd records what is done with it.
        pin_memory (bool): accepted; it changes nothing on the CPU.
        memory_format (memory_format, optional): the order of strides; that of `input` by default.

    Returns:
        Tensor: the shape of `input`.

    Raises:
        TypeError: `input` is not a tensor.

    Example:
        >>> torch.ones_like(torch.tensor([1, 2]), dtype=torch.float32)
        tensor([1., 1.])
    """
    return filled(_like(input, dtype, device, memory_format), 1).requires_grad_(requires_grad)


@public("torch.full_like", out=False)
def full_like(input, fill_value, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False,
              memory_format=None):
    """A constant of the same shape and dtype."""
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    return filled(_like(input, dtype, device, memory_format), fill_value).requires_grad_(requires_grad)


@public("Tensor.new_empty", out=False)
def new_empty(self, *size, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    """Uninitialised memory of this tensor's dtype and device."""
    return unwritten(new(sizes_of("new_empty", size), dtype or self.dtype, device or self.device), requires_grad)


@public("Tensor.new_empty_strided", out=False)
def new_empty_strided(self, size, stride, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    """Uninitialised memory of this tensor's dtype with the strides given. RuntimeError where they are not as many as
    the sizes."""
    if len(size) != len(stride):
        raise RuntimeError(f"mismatch in length of strides and shape: {len(stride)} != {len(size)}")
    return new(tuple(size), dtype or self.dtype, device or self.device, requires_grad, tuple(stride))


@public("Tensor.new_zeros", out=False)
def new_zeros(self, *size, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    """Zeros of this tensor's dtype and device."""
    return filled(new(sizes_of("new_zeros", size), dtype or self.dtype, device or self.device),
                0).requires_grad_(requires_grad)


@public("Tensor.new_ones", out=False)
def new_ones(self, *size, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    """Ones of this tensor's dtype and device."""
    return filled(new(sizes_of("new_ones", size), dtype or self.dtype, device or self.device),
                1).requires_grad_(requires_grad)


@public("Tensor.new_full", out=False)
def new_full(self, size, fill_value, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    """A constant of this tensor's dtype and device."""
    tensor = new(sizes_of("new_full", (size,)), dtype or self.dtype, device or self.device)
    return filled(tensor, fill_value).requires_grad_(requires_grad)


# -- ranges ----------------------------------------------------------------------------------------------------------


def _range_body(k, start, step, letter: object, dtype: object):
    i = k.index(0)
    compute = dtype.compute if dtype.category >= dt.FLOATING else dt.int64
    if letter == "d":
        wide = dt.float64
        return k.cast(k.cast(i, wide) * k.cast(step, wide) + k.cast(start, wide), compute)
    return k.cast(i * k.cast(step, dt.int64) + k.cast(start, dt.int64), compute)


def _linspace_body(k, start, end, count, dtype: object):
    compute = dtype.compute if dtype.category >= dt.FLOATING else dt.float64
    wide = dt.float32 if compute is dt.float32 else dt.float64
    i = k.cast(k.index(0), dt.int64)
    n = k.cast(count, dt.int64)
    low, high = k.cast(start, wide), k.cast(end, wide)
    step = (high - low) / k.cast(n - 1, wide)
    half = k.compare("lt", i, k.floordiv(n, 2))
    up = low + step * k.cast(i, wide)
    down = high - step * k.cast(n - 1 - i, wide)
    return k.where(half, up, down)


RANGE = Gather("arange", _range_body)
LINSPACE = Gather("linspace", _linspace_body)


@public("torch.arange", out=False)
def arange(
    start=0, end=None, step=1, *, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False
):
    """Return numbers from `start` up to, and without, `end`.

    y[i] = start + i * step

    Args:
        start (number): the first number.
        end (number): where the numbers end; given alone, they begin at 0.
        step (number): how far they are apart, not 0.
        out (Tensor, optional): where the result is written.
        dtype (dtype, optional): by default int64 for integers, else the default float.
        layout (layout, optional): `torch.strided`.
        device (device, optional): where the tensor lies.
        requires_grad (bool): whether autograd records what is done with it.
        pin_memory (bool): accepted; it changes nothing on the CPU.

    Returns:
        Tensor: a vector of ceil((end - start) / step) numbers.

    Raises:
        RuntimeError: `step` is 0, or leads away from `end`.

    Example:
        >>> torch.arange(5), torch.arange(1, 2, 0.25)
        (tensor([0, 1, 2, 3, 4]), tensor([1.0000, 1.2500, 1.5000, 1.7500]))
    """
    if end is None:
        start, end = 0, start
    start, end, step = [v.item() if isinstance(v, Tensor) else v for v in (start, end, step)]
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (end - start) * (1 if step > 0 else -1) < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if dtype is None and out is not None:
        dtype = out.dtype
    floats = any(isinstance(v, float) for v in (start, end, step))
    if dtype is None:
        dtype = dt.get_default_dtype() if floats else dt.int64
    ends = (start, end, step)
    if dtype.category < dt.FLOATING and floats:
        start, end, step = int(start), int(end), int(step)
        floats = False
        if not step:
            raise ValueError("step must be nonzero")
        if dtype is dt.int64:  # only here PyTorch counts with the integers
            ends = (start, end, step)
    count = max(0, math.ceil((ends[1] - ends[0]) / ends[2]))
    if count > LARGEST:
        raise RuntimeError("invalid size, possible overflow?")
    numbers = (float(start), float(step)) if floats else (int(start), int(step))
    attrs = (("letter", "d" if floats else "q"), ("dtype", dtype), ("out", (((count,), dtype),)))
    result = _explicit(RANGE, attrs, numbers, device)
    if out is not None:
        return fill_out("arange", out, result)
    return result.requires_grad_(requires_grad)


def fill_out(name, out, result):
    """Write a vector to `out`: its elements take it in their own order if they are as many, else it is resized."""
    if out._layout.numel != result._layout.numel:
        if out._layout.numel:
            warnings.warn(f"{name}(): the out tensor of shape {list(out.shape)} is resized to {result.numel()} "
                          "elements", UserWarning, stacklevel=3)
        out._make_room(tuple(result.shape))
    return out.copy_(result.view(out.shape))


def _explicit(op, attrs, numbers, device):
    return record(op, "n" * len(numbers), attrs, (), numbers, device=resolve(device))[0]


@public("torch.range", out=False)
def range_(start=0, end=None, step=1, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """As `arange`, with `end` included."""
    return arange(
        start, end + step * 0.5, step, dtype=dtype or dt.get_default_dtype(), out=out, requires_grad=requires_grad
    )


def _spacing(name, start, end, steps, dtype, out):
    """(first value, last value, dtype) of evenly spaced numbers; for integers the ends are cut to integers first."""
    if isinstance(steps, float):
        raise TypeError(f"{name}() received an invalid combination of arguments: 'steps' must be int, not float")
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    dtype = dtype or (out.dtype if out is not None else dt.get_default_dtype())
    if dtype is dt.bool_:
        raise NotImplementedError(f"\"{name}_cpu\" not implemented for 'Bool'")
    start, end = [v.item() if isinstance(v, Tensor) else v for v in (start, end)]
    return (int(start), int(end), dtype) if dtype.category == dt.INTEGRAL else (start, end, dtype)


@public("torch.linspace", out=False)
def linspace(
    start, end, steps, *, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False
):
    """Return evenly spaced numbers from `start` to `end`, both included.

    y[i] = start + i * (end - start) / (steps - 1)

    Args:
        start (number or Tensor): the first number, or a 0-dim tensor.
        end (number or Tensor): the last one.
        steps (int): how many numbers.
        out (Tensor, optional): where the result is written.
        dtype (dtype, optional): the default one by default.
        layout (layout, optional): `torch.strided`.
        device (device, optional): where the tensor lies.
        requires_grad (bool): whether autograd records what is done with it.
        pin_memory (bool): accepted; it changes nothing on the CPU.

    Returns:
        Tensor: a vector of `steps` numbers.

    Raises:
        RuntimeError: `steps` is negative.

    Example:
        >>> torch.linspace(0, 1, 5)
        tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    start, end, dtype = _spacing("linspace", start, end, steps, dtype, out)
    if steps == 1:
        result = full((1,), start, dtype=dtype, device=device)
    else:
        result = _explicit(
            LINSPACE,
            (
                ("dtype", dtype),
                ("out", (((int(steps),), dtype),)),
            ),
            (float(start), float(end), int(steps)),
            device,
        )
    if out is not None:
        return fill_out("linspace", out, result)
    return result.requires_grad_(requires_grad)


@public("torch.logspace", out=False)
def logspace(
    start,
    end,
    steps,
    base=10.0,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
):
    """base ** linspace(start, end, steps)."""
    start, end, dtype = _spacing("logspace", start, end, steps, dtype, out)
    wide = dtype if dtype.category >= dt.FLOATING else dt.float64
    powers = linspace(start, end, steps, dtype=dt.float64 if wide.itemsize < 8 else wide, device=device)
    result = (float(base) ** powers).to(dtype)
    if out is not None:
        return fill_out("logspace", out, result)
    return result.requires_grad_(requires_grad)


def _eye_body(k, dtype: object):
    return k.cast(k.compare("eq", k.index(0), k.index(1)), dtype)


EYE = Gather("eye", _eye_body)


@public("torch.eye", out=False)
def eye(n, m=None, *, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """Return a matrix with ones on its diagonal and zeros elsewhere.

    Args:
        n (int): the number of rows.
        m (int, optional): the number of columns; `n` by default.
        out (Tensor, optional): where the result is written.
        dtype (dtype, optional): the default one by default.
        layout (layout, optional): `torch.strided`.
        device (device, optional): where the tensor lies.
        requires_grad (bool): whether autograd records what is done with it.
        pin_memory (bool): accepted; it changes nothing on the CPU.

    Returns:
        Tensor: (n, m).

    Raises:
        RuntimeError: a size is negative.

    Example:
        >>> torch.eye(2, 3)
        tensor([[1., 0., 0.],
                [0., 1., 0.]])
    """
    m = n if m is None else m
    if n < 0:
        raise RuntimeError(f"n must be greater or equal to 0, got {n}")
    if m < 0:
        raise RuntimeError(f"m must be greater or equal to 0, got {m}")
    dtype = dtype or (out.dtype if out is not None else dt.get_default_dtype())
    result = _explicit(EYE, (("dtype", dtype), ("out", (((n, m), dtype),)),), (), device)
    if out is not None:
        return out._make_room((n, m)).copy_(result)
    return result.requires_grad_(requires_grad)


# -- tensors of arrays -------------------------------------------------------------------------------------------------


def array_tensor(values, dtype):
    """A row-major tensor with a copy of an array's values."""
    values = np.array(values, dtype.numpy, order="C")
    storage = new_storage(values.nbytes, CPU)
    storage.address, storage.guard = values.ctypes.data, values
    storage.version = 0  # a constant of ours, that others keep beyond an inference mode
    return raw_view(storage, contiguous_layout(values.shape, dtype), 0)


def index_tensor(values):
    """An array of indices or a mask as a tensor."""
    dtype = dt.numpy_types().get(values.dtype)
    if dtype is None or dtype.category > dt.INTEGRAL:
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    return array_tensor(values, dt.bool_ if dtype is dt.bool_ else dt.int64)
