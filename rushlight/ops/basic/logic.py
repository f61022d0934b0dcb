"""Logic: of truth values (`logical_*`), of bits (`bitwise_*`, shifts and the Python operators), closeness and
equality of tensors.
"""

import math

from ...core import dtype as dt
from ...core.declare import elementwise, public, register
from ...core.tensor import Tensor
from .arithmetic import swapped

# -- truth values ----------------------------------------------------------------------------------------------------


@elementwise("logical_not logical_not_", complex=True, promote="bool")
def logical_not(k, input):
    """Return whether each element is zero.

    Args:
        input (Tensor): any shape and dtype.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: bool, the shape of `input`.

    Raises:
        TypeError: `input` is not a tensor.

    Example:
        >>> torch.logical_not(torch.tensor([0, 1, 2]))
        tensor([ True, False, False])
    """
    return k.logical_not(input)


@elementwise("logical_and logical_and_", complex=True, tensors=2, promote="bool")
def logical_and(k, input, other):
    """Return whether both elements are different from zero.

    Args:
        input (Tensor): any shape and dtype.
        other (Tensor): a shape that broadcasts with that of `input`.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: bool, the common shape.

    Raises:
        RuntimeError: the shapes do not broadcast.

    Example:
        >>> torch.logical_and(torch.tensor([0, 1, 2]), torch.tensor([1, 0, 3]))
        tensor([False, False,  True])
    """
    return k.logical_and(input, other)


@elementwise("logical_or logical_or_", complex=True, tensors=2, promote="bool")
def logical_or(k, input, other):
    """Return whether one of the two elements, or both, are different from zero.

    Args:
        input (Tensor): any shape and dtype.
        other (Tensor): a shape that broadcasts with that of `input`.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: bool, the common shape.

    Raises:
        RuntimeError: the shapes do not broadcast.

    Example:
        >>> torch.logical_or(torch.tensor([0, 1, 0]), torch.tensor([1, 0, 0]))
        tensor([ True,  True, False])
    """
    return k.logical_or(input, other)


@elementwise("logical_xor logical_xor_", complex=True, tensors=2, promote="bool")
def logical_xor(k, input, other):
    """Return whether exactly one of the two elements is different from zero.

    Args:
        input (Tensor): any shape and dtype.
        other (Tensor): a shape that broadcasts with that of `input`.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: bool, the common shape.

    Raises:
        RuntimeError: the shapes do not broadcast.

    Example:
        >>> torch.logical_xor(torch.tensor([0, 1, 2]), torch.tensor([1, 0, 3]))
        tensor([ True,  True, False])
    """
    return k.logical_xor(input, other)


# -- bits ------------------------------------------------------------------------------------------------------------


@elementwise("bitwise_not bitwise_not_", dtypes="integral")
def bitwise_not(k, input):
    """Invert all bits of integers, or the values of bool tensors.

    Args:
        input (Tensor): any shape, integers or bool.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape and dtype of `input`.

    Raises:
        NotImplementedError: the dtype is floating or complex.

    Example:
        >>> torch.bitwise_not(torch.tensor([0, 5, -1]))
        tensor([-1, -6,  0])
    """
    return k.bitwise("xor", input, True if input.dtype is dt.bool_ else -1)


@public("Tensor.__invert__", out=False, quick=True)
def invert(input):
    """~input. TypeError for floats."""
    if input._layout.dtype.category > dt.INTEGRAL:
        raise TypeError("~ (operator.invert) is only implemented on integer and Boolean-type tensors")
    return bitwise_not(input)


@elementwise("bitwise_and bitwise_and_ Tensor.__and__", dtypes="integral")
def bitwise_and(k, input, other):
    """Return the bits that are set in both elements.

    Args:
        input (Tensor or number): any shape, integers or bool.
        other (Tensor or number): a shape that broadcasts with that of `input`.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the common shape and dtype.

    Raises:
        NotImplementedError: the dtype is floating or complex.

    Example:
        >>> torch.bitwise_and(torch.tensor([12, 10]), 6)
        tensor([4, 2])
    """
    return k.bitwise("and", k.like(input, other), other)


@elementwise("bitwise_or bitwise_or_ Tensor.__or__", dtypes="integral")
def bitwise_or(k, input, other):
    """Return the bits that are set in one of the two elements, or in both.

    Args:
        input (Tensor or number): any shape, integers or bool.
        other (Tensor or number): a shape that broadcasts with that of `input`.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the common shape and dtype.

    Raises:
        NotImplementedError: the dtype is floating or complex.

    Example:
        >>> torch.bitwise_or(torch.tensor([12, 10]), 3)
        tensor([15, 11])
    """
    return k.bitwise("or", k.like(input, other), other)


@elementwise("bitwise_xor bitwise_xor_ Tensor.__xor__", dtypes="integral")
def bitwise_xor(k, input, other):
    """Return the bits in which two elements differ.

    Args:
        input (Tensor or number): any shape, integers or bool.
        other (Tensor or number): a shape that broadcasts with that of `input`.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the common shape and dtype.

    Raises:
        NotImplementedError: the dtype is floating or complex.

    Example:
        >>> torch.bitwise_xor(torch.tensor([12, 10]), 6)
        tensor([10, 12])
    """
    return k.bitwise("xor", k.like(input, other), other)


swapped("__rand__", bitwise_and)
swapped("__ror__", bitwise_or)
swapped("__rxor__", bitwise_xor)


@elementwise("bitwise_left_shift bitwise_left_shift_ Tensor.__lshift__", dtypes="integers")
def bitwise_left_shift(k, input, other):
    """input * 2**other; 0 where `other` is negative or not below the number of bits."""
    return k.bitwise("shl", input, other)


@elementwise("bitwise_right_shift bitwise_right_shift_ Tensor.__rshift__", dtypes="integers")
def bitwise_right_shift(k, input, other):
    """input / 2**other rounded down."""
    return k.bitwise("ashr" if input.dtype.is_signed else "lshr", input, other)


@public("Tensor.__rlshift__", out=False)
def reversed_left_shift(self, other):
    """other << self."""
    return bitwise_left_shift(other, self)


@public("Tensor.__rrshift__", out=False)
def reversed_right_shift(self, other):
    """other >> self."""
    return bitwise_right_shift(other, self)


register("Tensor.__iand__", bitwise_and.inplace)
register("Tensor.__ior__", bitwise_or.inplace)
register("Tensor.__ixor__", bitwise_xor.inplace)
register("Tensor.__ilshift__", bitwise_left_shift.inplace)
register("Tensor.__irshift__", bitwise_right_shift.inplace)


# -- closeness -------------------------------------------------------------------------------------------------------


@elementwise("", complex=True, promote="bool")
def close_values(k, input, other, rtol: float, atol: float, equal_nan: bool):
    """|input - other| <= atol + rtol * |other|, or equal (infinities)."""
    if input.dtype.category < dt.FLOATING:
        input, other = k.cast(input, dt.float64), k.cast(other, dt.float64)
    rtol, atol = k.cast(rtol, input.dtype.to_real()), k.cast(atol, input.dtype.to_real())
    error = k.abs(input - other)
    close = (error <= atol + k.abs(rtol * k.abs(other))) & (error < math.inf)
    close = close | input.eq(other)
    return close | (k.isnan(input) & k.isnan(other)) if equal_nan else close


@public("isclose", out=False)
def isclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Return whether elements are close to each other.

    close = abs(input - other) <= atol + rtol * abs(other)

    Args:
        input (Tensor): any shape and dtype.
        other (Tensor): the dtype of `input`, a shape that broadcasts with its shape.
        rtol (float): the relative tolerance.
        atol (float): the absolute tolerance.
        equal_nan (bool): whether two NaN are close.

    Returns:
        Tensor: bool, the common shape.

    Raises:
        RuntimeError: the dtypes differ, or a tolerance is negative.

    Example:
        >>> torch.isclose(torch.tensor([1.0, 2.0]), torch.tensor([1.000001, 2.1]))
        tensor([ True, False])
    """
    _same_dtypes("isclose", input, other)
    if rtol < 0:
        raise RuntimeError(f"rtol must be greater than or equal to zero, but got {rtol:g}")
    if atol < 0:
        raise RuntimeError(f"atol must be greater than or equal to zero, but got {atol:g}")
    return close_values(input, other, float(rtol), float(atol), bool(equal_nan))


def _same_dtypes(name, input, other):
    for position, value in enumerate((input, other), 1):
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}(): argument '{('input', 'other')[position - 1]}' (position {position}) must be "
                            f"Tensor, not {type(value).__name__}")
    if input.dtype is not other.dtype:
        raise RuntimeError(f"{dt.scalar_type(input._layout.dtype)} did not match {dt.scalar_type(other._layout.dtype)}")


@public("allclose", out=False)
def allclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Return whether all elements of two tensors are close to each other.

    Args:
        input (Tensor): any shape and dtype.
        other (Tensor): the dtype of `input`, a shape that broadcasts with its shape.
        rtol (float): the relative tolerance; see `isclose`.
        atol (float): the absolute tolerance.
        equal_nan (bool): whether two NaN are close.

    Returns:
        bool: this waits for the values.

    Raises:
        RuntimeError: the dtypes differ, or a tolerance is negative.

    Example:
        >>> torch.allclose(torch.tensor([1.0]), torch.tensor([1.000001]))
        True
    """
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


@public("equal", out=False)
def equal(input, other):
    """Return whether two tensors have the same shape and the same values.

    Args:
        input (Tensor): any shape and dtype.
        other (Tensor): any shape and dtype.

    Returns:
        bool: this waits for the values. False for NaN.

    Raises:
        TypeError: one of the two is not a tensor.

    Example:
        >>> torch.equal(torch.tensor([1, 2]), torch.tensor([1, 2]))
        True
    """
    for position, value in enumerate((input, other), 1):
        if not isinstance(value, Tensor):
            raise TypeError(f"equal(): argument '{('input', 'other')[position - 1]}' (position {position}) must be "
                            f"Tensor, not {type(value).__name__}")
    if input._layout.shape != other._layout.shape:
        return False
    return bool((input == other).all())


# -- questions about a tensor, answered in Python --------------------------------------------------------------------


@public("is_nonzero", out=False)
def is_nonzero(input):
    """Whether the only element differs from zero. RuntimeError for more or fewer elements."""
    if input._layout.numel != 1:
        raise RuntimeError("Boolean value of Tensor with "
                           f"{'no values' if not input._layout.numel else 'more than one value'} is ambiguous")
    return bool(input)


@public("torch.is_same_size Tensor.is_same_size", out=False)
def is_same_size(input, other):
    """Whether two tensors have the same shape."""
    return input._layout.shape == other._layout.shape


@public("torch.numel", out=False)
def numel(input):
    """Return the number of elements.

    Args:
        input (Tensor): any shape and dtype.

    Returns:
        int: the product of the sizes.

    Raises:
        TypeError: `input` is not a tensor.

    Example:
        >>> torch.numel(torch.zeros(2, 3))
        6
    """
    return input._layout.numel


@public("Tensor.ndimension", out=False)
def ndimension(self):
    """The number of dimensions."""
    return self._layout.ndim


@public("is_signed", out=False)
def is_signed(input):
    """Whether the dtype has negative numbers."""
    return input._layout.dtype.is_signed
