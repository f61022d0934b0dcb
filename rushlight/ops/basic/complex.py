"""Complex numbers: their parts and conjugates as views, conversions from and to real tensors, angle and polar form.

Everything else about complex numbers is a property of kernels (codegen/bodies/complex_rules.py): other operators are
the same for real and complex operands. A conjugate is a view of a flipped type, see Note [Flipped types] in
core/dtype.py.
"""

import functools
import math

from ...core import declare, grads, record
from ...core import dtype as dt
from ...core.declare import REGISTRY, elementwise, public, view_operator
from ...core.grads import GradRule
from ...core.layout import layout
from ...core.record import is_flipped
from ...core.tensor import Tensor
from ...core.views import viewed
from .arithmetic import where
from .copy import clone, copy_
from .creation import array_tensor, full, zeros_like
from .pointwise import sgn
from .view import MOST_FORMS

RESOLVE = ("{} doesn't work on unresolved conjugated tensors.  To resolve the conjugate tensor so you can view it as "
           "real, use self.resolve_conj(); however, be warned that the resulting tensor will NOT alias the original.")


def complex_scalar(value, dtype):
    """A complex number as a zero-dim tensor."""
    return array_tensor(value, dtype)


declare.complex_scalar = complex_scalar


def _size_rule(layouts, numbers, attrs):
    """The rule of functions with real results: (dtype of the operand, its real dtype)."""
    return layouts[0].dtype.plain, layouts[0].dtype.to_real()


def need_complex(name, input, text="only supports complex tensors"):
    """RuntimeError for a real tensor."""
    if not input._layout.dtype.is_complex:
        raise RuntimeError(f"{name}: {text}")


# -- conjugates -------------------------------------------------------------------------------------------------------


@functools.lru_cache(MOST_FORMS)
def flipped_layout(found):
    """The layout of the same memory read as conjugates (real numbers: negatives)."""
    return layout(found.shape, found.strides, found.dtype.flipped)


CONJ = GradRule("conj", ["input"], {"input": lambda g: conj(g)}, conjugates=True)
NEG_VIEW = GradRule("neg_view", ["input"], {"input": lambda g: -g})


@view_operator("conj")
def conj(input):
    """Return a view whose elements are the complex conjugates.

    Args:
        input (Tensor): any shape and dtype; a real tensor is returned as it is.

    Returns:
        Tensor: a view, in which reading and writing conjugate.

    Raises:
        TypeError: `input` is not a tensor.

    Example:
        >>> torch.conj(torch.tensor([1 + 2j]))
        tensor([1.-2.j])
    """
    if not input._layout.dtype.is_complex:
        return input
    return viewed(input, flipped_layout(input._layout), input._offset, CONJ, (input,))


@view_operator("torch._neg_view Tensor._neg_view")
def neg_view(input):
    """The negative as a view of the same memory. NotImplementedError for dtypes without such views."""
    if input._layout.dtype.flipped is None or input._layout.dtype.is_complex:
        raise NotImplementedError(f"_neg_view: not implemented in rushlight for {input.dtype}")
    return viewed(input, flipped_layout(input._layout), input._offset, NEG_VIEW, (input,))


@elementwise("conj_physical conj_physical_", complex=True, conjugates=True,
             grad={"input": lambda g: conj_physical(g)})
def conj_physical(k, input):
    """The conjugate of each element, as values in memory of their own."""
    return k.complex(input.real, -input.imag) if input.dtype.category == dt.COMPLEX else input


conj_values = conj_physical


@public("Tensor.conj_physical torch.conj_physical")
def conj_physical(input):
    """The conjugate of each element in memory of its own; a real tensor itself."""
    return conj_values(input) if input._layout.dtype.is_complex else input


@public("is_conj", out=False)
def is_conj(input):
    """Return whether the tensor is a view that conjugates.

    Args:
        input (Tensor): any shape and dtype.

    Returns:
        bool: True for the result of `conj` of a complex tensor.

    Raises:
        TypeError: `input` is not a tensor.

    Example:
        >>> torch.is_conj(torch.conj(torch.tensor([1j])))
        True
    """
    return is_flipped(input) and input._layout.dtype.is_complex


@public("is_neg", out=False)
def is_neg(input):
    """Whether the tensor is a lazily negated view."""
    return is_flipped(input) and not input._layout.dtype.is_complex


def resolved(input):
    """The tensor itself, or its values as they are in memory of their own."""
    return clone(input) if is_flipped(input) else input


@public("resolve_conj", out=False)
def resolve_conj(input):
    """Return a tensor whose memory holds the conjugates that a view stands for.

    Args:
        input (Tensor): any shape and dtype.

    Returns:
        Tensor: a copy of a conjugate view; any other tensor as it is.

    Raises:
        TypeError: `input` is not a tensor.

    Example:
        >>> torch.resolve_conj(torch.conj(torch.tensor([1j]))).is_conj()
        False
    """
    return resolved(input) if is_conj(input) else input


@public("resolve_neg", out=False)
def resolve_neg(input):
    """The tensor itself, or a copy of a lazily negated view."""
    return resolved(input) if is_neg(input) else input


record.resolve = resolved


def conjugate(g):
    """What gradients are conjugated with: no instruction where that undoes a view, else one that fuses."""
    if not g._layout.dtype.is_complex:
        return g
    return conj(g) if is_flipped(g) else conj_values(g)


grads.conjugate = conjugate


# -- parts ------------------------------------------------------------------------------------------------------------


@functools.lru_cache(MOST_FORMS)
def part_layout(found, flips):
    """The layout of the real or imaginary parts."""
    part = found.dtype.to_real()
    return layout(found.shape, tuple([2 * s for s in found.strides]), part.flipped if flips else part)


REAL = GradRule("real", ["input"], {"input": lambda g: g}, conjugates=True)
IMAG = GradRule("imag", ["input"], {"input": lambda g: g * 1j}, conjugates=True)


@view_operator("torch.real")
def real(input):
    """Return the real parts as a view.

    Args:
        input (Tensor): any shape and dtype; a real tensor is returned as it is.

    Returns:
        Tensor: a view of the real dtype.

    Raises:
        TypeError: `input` is not a tensor.

    Example:
        >>> torch.real(torch.tensor([1 + 2j, 3j]))
        tensor([1., 0.])
    """
    found = input._layout
    if not found.dtype.is_complex:
        return input
    return viewed(input, part_layout(found, False), input._offset * 2, REAL, (input,))


@view_operator("torch.imag")
def imag(input):
    """Return the imaginary parts as a view.

    Args:
        input (Tensor): any shape, complex.

    Returns:
        Tensor: a view of the real dtype.

    Raises:
        RuntimeError: the dtype is not complex.

    Example:
        >>> torch.imag(torch.tensor([1 + 2j, 3j]))
        tensor([2., 3.])
    """
    found = input._layout
    if not found.dtype.is_complex:
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return viewed(input, part_layout(found, is_flipped(input)), input._offset * 2 + 1, IMAG, (input,))


def part_property(function):
    def assign(self, value):
        copy_(function(self), value if isinstance(value, Tensor) else
                                 full((), value, dtype=function(self).dtype, device=self.device))
    return property(function, assign, doc=function.__doc__)


REGISTRY["Tensor.real"], REGISTRY["Tensor.imag"] = part_property(real), part_property(imag)


# -- complex numbers seen as real ones and the other way round --------------------------------------------------------


@functools.lru_cache(MOST_FORMS)
def real_layout(found):
    strides = (*[2 * s for s in found.strides], 1)
    return layout((*found.shape, 2), strides, found.dtype.to_real())


AS_REAL = GradRule("view_as_real", ["input"], {"input": lambda g: complex_view_of(g)}, conjugates=True)
AS_COMPLEX = GradRule("view_as_complex", ["input"], {"input": lambda g: view_as_real(resolve_conj(g))},
                      conjugates=True)


def complex_view_of(g):
    """`view_as_complex` of any real tensor whose last dimension has two elements."""
    return view_as_complex(g if fits_pairs(g) else REGISTRY["Tensor._to_strides"](g, packed_strides(g)))


def packed_strides(g):
    strides, step = [], 1
    for n in reversed(g._layout.shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def fits_pairs(input):
    found = input._layout
    return (found.strides[-1] == 1 and all([s % 2 == 0 for s in found.strides[:-1]]) and input._offset % 2 == 0
            and not is_flipped(input))


@view_operator("view_as_real")
def view_as_real(input):
    """View complex elements as pairs of real ones.

    Args:
        input (Tensor): any shape, complex and not a conjugate view.

    Returns:
        Tensor: a view with a last dimension of size 2 more, of the real dtype.

    Raises:
        RuntimeError: the dtype is not complex, or the tensor is a conjugate view.

    Example:
        >>> torch.view_as_real(torch.tensor([1 + 2j]))
        tensor([[1., 2.]])
    """
    found = input._layout
    need_complex("view_as_real", input)
    if is_flipped(input):
        raise RuntimeError(RESOLVE.format("view_as_real"))
    return viewed(input, real_layout(found), input._offset * 2, AS_REAL, (input,))


@view_operator("view_as_complex")
def view_as_complex(input):
    """View pairs of real elements as complex ones.

    Args:
        input (Tensor): floating, (..., 2), whose pairs lie side by side in memory.

    Returns:
        Tensor: a view without the last dimension, of the complex dtype.

    Raises:
        RuntimeError: the last dimension has another size, or the strides do not allow it.

    Example:
        >>> torch.view_as_complex(torch.tensor([[1.0, 2.0]]))
        tensor([1.+2.j])
    """
    found = input._layout
    if not found.ndim:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if found.dtype.plain not in dt.COMPLEX_OF:
        raise RuntimeError(f"view_as_complex is only supported for floating point tensors, but got a tensor of scalar "
                           f"type: {dt.scalar_type(found.dtype)}")
    if found.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    input = resolve_neg(input)
    found = input._layout
    if found.strides[-1] != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    for d, s in enumerate(found.strides[:-1]):
        if s % 2:
            raise RuntimeError(f"Tensor must have a stride divisible by 2 for all but last dimension (dimension {d})")
    if input._offset % 2:
        raise RuntimeError("Tensor must have a storage_offset divisible by 2")
    strides = tuple([s // 2 for s in found.strides[:-1]])
    seen = layout(found.shape[:-1], strides, found.dtype.to_complex())
    return viewed(input, seen, input._offset // 2, AS_COMPLEX, (input,))


@elementwise("", complex=True, conjugates=True, grad={"input": lambda g: -times_i(g)})
def times_i(k, input):
    """i times a complex number, whatever its parts: infinities stay apart."""
    return k.complex(-input.imag, input.real)


@elementwise("", complex=True, conjugates=True, promote=_size_rule, grad={"input": lambda g, input: input * (g * 2)})
def abs_square(k, input):
    """|x| ** 2."""
    return input.real * input.real + input.imag * input.imag if input.dtype.category == dt.COMPLEX else input * input


def _pair_rule(layouts, numbers, attrs):
    joined = dt.promote(layouts[0].dtype, layouts[1].dtype)
    return joined, joined.to_complex()


def _need_pair(name, first, second, labels):
    """The checks of `complex` and `polar`."""
    for label, value in zip(labels, (first, second)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}(): argument '{label}' must be Tensor, not {type(value).__name__}")
    kinds = [first.dtype, second.dtype]
    if any(kind not in dt.COMPLEX_OF for kind in kinds):
        raise RuntimeError(f"Expected both inputs to be Half, Float or Double tensors but got "
                           f"{dt.scalar_type(kinds[0])} and {dt.scalar_type(kinds[1])}")
    if kinds[0] is not kinds[1]:
        raise RuntimeError(f"Expected object of scalar type {dt.scalar_type(kinds[0])} but got scalar type "
                           f"{dt.scalar_type(kinds[1])} for second argument")


@elementwise("", name="complex", promote=_pair_rule, conjugates=True,
             grad={"real": lambda g: real(g), "imag": lambda g: imag(g)})
def from_parts(k, real, imag):
    """real + i imag."""
    return k.complex(real, imag)


@public("torch.complex")
def complex(real, imag):
    """Make complex numbers of their real and imaginary parts.

    y = real + 1j * imag

    Args:
        real (Tensor): any shape, half, float or double.
        imag (Tensor): the dtype of `real`, a shape that broadcasts with its shape.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: complex, the common shape.

    Raises:
        RuntimeError: the dtypes differ, or are not floating.

    Example:
        >>> torch.complex(torch.tensor([1.0]), torch.tensor([2.0]))
        tensor([1.+2.j])
    """
    _need_pair("complex", real, imag, ("real", "imag"))
    return from_parts(real, imag)


def _polar_size(g, out):
    return real(conj(g) * sgn(out))


def _polar_angle(g, out):
    return real(conj(g) * out * 1j)


@elementwise("", name="polar", promote=_pair_rule, heavy=True, conjugates=True,
             grad={"abs": _polar_size, "angle": _polar_angle})
def from_polar(k, abs, angle):
    """abs (cos(angle) + i sin(angle))."""
    return k.complex(abs * k.cos(angle), abs * k.sin(angle))


@public("torch.polar")
def polar(abs, angle):
    """Make complex numbers of their magnitudes and angles.

    y = abs * cos(angle) + 1j * abs * sin(angle)

    Args:
        abs (Tensor): any shape, float or double.
        angle (Tensor): the dtype of `abs`, a shape that broadcasts with its shape; in radians.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: complex, the common shape.

    Raises:
        RuntimeError: the dtypes differ, or are not floating.

    Example:
        >>> torch.polar(torch.tensor([2.0]), torch.tensor([0.0]))
        tensor([2.+0.j])
    """
    _need_pair("polar", abs, angle, ("abs", "angle"))
    return from_polar(abs, angle)


def _angle_rule(layouts, numbers, attrs):
    dtype = layouts[0].dtype.plain
    dtype = dtype if dtype.category >= dt.FLOATING else dt.get_default_dtype()
    return dtype, dtype.to_real()


def _angle_grad(g, input):
    """The direction across z, divided by |z|: i g z / |z|**2."""
    if not input._layout.dtype.is_complex:
        return zeros_like(g)
    square = real(input) * real(input) + imag(input) * imag(input)
    return from_parts(where(square == 0, 0, -g * imag(input) / square),
                      where(square == 0, 0, g * real(input) / square))


@elementwise("angle", promote=_angle_rule, complex=True, conjugates=True, grad={"input": _angle_grad})
def angle(k, input):
    """Return the angle of each element in radians.

    y = atan2(imag, real)

    Args:
        input (Tensor): any shape and dtype.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: real, the shape of `input`; 0 or pi for real elements, NaN for NaN.

    Raises:
        TypeError: `input` is not a tensor.

    Example:
        >>> torch.angle(torch.tensor([1j, -1.0]))
        tensor([1.5708, 3.1416])
    """
    if input.dtype.category == dt.COMPLEX:
        return k.atan2(input.imag, input.real)
    return k.where(k.isnan(input), input, k.where(input < 0, k.const(math.pi, input.dtype), k.const(0, input.dtype)))


@elementwise("isreal", promote="bool", complex=True)
def isreal(k, input):
    """Return whether the imaginary part of each element is zero.

    Args:
        input (Tensor): any shape and dtype.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: bool, the shape of `input`.

    Raises:
        TypeError: `input` is not a tensor.

    Example:
        >>> torch.isreal(torch.tensor([1 + 0j, 1j]))
        tensor([ True, False])
    """
    return input.imag.eq(0) if input.dtype.category == dt.COMPLEX else k.const(True, dt.bool_)


@public("torch.view_as_real_copy")
def view_as_real_copy(input):
    """`view_as_real` with memory of its own."""
    return view_as_real(input).clone()


@public("torch.view_as_complex_copy")
def view_as_complex_copy(input):
    """`view_as_complex` with memory of its own."""
    return view_as_complex(input).clone()
