"""Arithmetic of two operands and its neighbours: add, sub, mul, div, remainder, pow, comparisons, minimum and maximum,
where."""

from ...core import dtype as dt
from ...core import infer as rules
from ...core.declare import elementwise, public, register
from ...core.errors import DIVISION
from ...core.tensor import Tensor
from .creation import zeros_like

BY_ZERO = {"division": DIVISION}


def _neg(g):
    return -g


def _flat(g):
    """The gradient of a rounded quotient."""
    return zeros_like(g)


@elementwise("Tensor.__add__", complex=True, wraps=True, name="add_plain", node="AddBackward0",
             grad={"input": lambda g: g, "other": lambda g: g})
def add_plain(k, input, other):
    """input + other."""
    return input + other


def swapped(name, function):
    """A reflected Python operator: `function` with its operands exchanged, only for tensors."""
    fast = function.fast

    def method(self, other):
        if not isinstance(self, Tensor):
            raise TypeError(f"descriptor '{name}' for 'torch._C.TensorBase' objects doesn't apply to a "
                            f"'{type(self).__name__}' object")
        return fast(self, other)
    method.__name__, method.__doc__ = name, f"The operator with this tensor on the right: {name}."
    register(f"Tensor.{name}", method)


swapped("__radd__", add_plain)


def _check_alpha(op, alpha, values):
    if isinstance(alpha, float) and not any(_is_float(v) for v in values):
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
    if isinstance(alpha, bool) and any(isinstance(v, Tensor) and v.dtype is not dt.bool_ for v in values):
        raise RuntimeError("Boolean alpha only supported for Boolean results.")


def _is_float(value):
    return value.dtype.category >= dt.FLOATING if isinstance(value, Tensor) else isinstance(value, (float, complex))


@elementwise("Tensor._add_scaled", complex=True, wraps=True, name="add",
             grad={"input": lambda g: g, "other": lambda g, alpha: g * alpha})
def add_scaled(k, input, other, alpha: float):
    """input + alpha * other."""
    return input + other * alpha


@elementwise("Tensor._sub_scaled", complex=True, wraps=True, name="sub",
             grad={"input": lambda g: g, "other": lambda g, alpha: g * -alpha})
def sub_scaled(k, input, other, alpha: float):
    """input - alpha * other."""
    return input - other * alpha


def _refuse_bool_subtract(*values):
    if all(isinstance(v, bool) or (isinstance(v, Tensor) and v.dtype is dt.bool_) for v in values):
        raise RuntimeError("Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
                           "`logical_xor()` operator instead.")
    if any(isinstance(v, bool) or (isinstance(v, Tensor) and v.dtype is dt.bool_) for v in values):
        raise RuntimeError("Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to "
                           "invert a mask, use the `~` or `logical_not()` operator instead.")


@elementwise("Tensor._sub_plain", complex=True, wraps=True, name="sub_plain", node="SubBackward0",
             grad={"input": lambda g: g, "other": _neg})
def sub_plain(k, input, other):
    """input - other."""
    return input - other


@public("add", quick=True)
def add(input, other, *, alpha=1):
    """Add two tensors, the second one times `alpha`.

    y = input + alpha * other

    Args:
        input (Tensor): any shape and dtype.
        other (Tensor or number): a shape that broadcasts with that of `input`.
        alpha (number): the factor of `other`.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the common shape and dtype.

    Raises:
        RuntimeError: the shapes do not broadcast.

    Example:
        >>> torch.add(torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0]), alpha=2)
        tensor([21., 42.])
    """
    if alpha == 1 and alpha is not True:
        return add_plain(input, other)
    _check_alpha("add", alpha, (input, other))
    return add_scaled(input, other, alpha)


@public("Tensor.add_", out=False, quick=True)
def add_(self, other, *, alpha=1):
    """self += alpha * other."""
    if alpha == 1 and alpha is not True:
        return add_plain.inplace(self, other)
    _check_alpha("add_", alpha, (self, other))
    return add_scaled.inplace(self, other, alpha)


@public("sub subtract Tensor.__sub__", quick=True)
def sub(input, other, *, alpha=1):
    """Subtract from a tensor another one times `alpha`.

    y = input - alpha * other

    Args:
        input (Tensor): any shape and dtype but bool.
        other (Tensor or number): a shape that broadcasts with that of `input`.
        alpha (number): the factor of `other`.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the common shape and dtype.

    Raises:
        RuntimeError: the shapes do not broadcast, or a tensor is bool.

    Example:
        >>> torch.sub(torch.tensor([1.0, 2.0]), 1)
        tensor([0., 1.])
    """
    _refuse_bool_subtract(input, other)
    if alpha == 1 and alpha is not True:
        return sub_plain(input, other)
    _check_alpha("sub", alpha, (input, other))
    return sub_scaled(input, other, alpha)


@public("Tensor.sub_ Tensor.subtract_", out=False, quick=True)
def sub_(self, other, *, alpha=1):
    """self -= alpha * other."""
    _refuse_bool_subtract(self, other)
    if alpha == 1 and alpha is not True:
        return sub_plain.inplace(self, other)
    _check_alpha("sub_", alpha, (self, other))
    return sub_scaled.inplace(self, other, alpha)


@elementwise("Tensor._rsub", complex=True, name="rsub", grad={"input": _neg, "other": lambda g, alpha: g * alpha})
def rsub_scaled(k, input, other, alpha: float):
    """other * alpha - input, the name PyTorch's graph shows."""
    return other * alpha - input


@public("rsub Tensor.__rsub__", out=False, quick=True)
def rsub(input, other, *, alpha=1):
    """Subtract the first tensor, times `alpha`, from the second.

    y = other - alpha * input

    Args:
        input (Tensor): any shape and dtype but bool.
        other (Tensor or number): a shape that broadcasts with that of `input`.
        alpha (number): the factor of `input`.

    Returns:
        Tensor: the common shape and dtype.

    Raises:
        RuntimeError: the shapes do not broadcast, or a tensor is bool.

    Example:
        >>> torch.rsub(torch.tensor([1, 2]), 10)
        tensor([9, 8])
    """
    if not isinstance(input, Tensor):
        raise TypeError(f"rsub(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    _refuse_bool_subtract(input, other)
    if alpha == 1:
        return rsub_plain(input, other)
    return sub(other if isinstance(other, Tensor) else input * 0 + other, input, alpha=alpha)


@elementwise("Tensor._rsub_plain", complex=True, name="rsub_plain", node="RsubBackward1",
             grad={"input": _neg, "other": lambda g: g})
def rsub_plain(k, input, other):
    """other - input."""
    return k.sub(k.like(other, input), input)


@elementwise("mul mul_ multiply multiply_ Tensor.__mul__", complex=True, wraps=True,
             grad={"input": lambda g, other: g * other, "other": lambda g, input: g * input})
def mul(k, input, other):
    """Multiply two tensors, element by element.

    y = input * other

    Args:
        input (Tensor): any shape and dtype.
        other (Tensor or number): a shape that broadcasts with that of `input`.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the common shape and dtype.

    Raises:
        RuntimeError: the shapes do not broadcast.

    Example:
        >>> torch.mul(torch.tensor([[1], [2]]), torch.tensor([3, 4]))
        tensor([[3, 4],
                [6, 8]])
    """
    return input * other


swapped("__rmul__", mul)


def _div_other(g, input, other):
    return -g * ((input / other) / other)


@elementwise("Tensor._true_div Tensor._true_div_", complex=True, wraps=True, promote="float", name="div",
             grad={"input": lambda g, other: g / other, "other": _div_other})
def true_div(k, input, other):
    """input / other."""
    return input / other


@elementwise("Tensor._trunc_div Tensor._trunc_div_", name="div_trunc", node="DivBackward2", failures=BY_ZERO,
             grad={"input": _flat, "other": _flat})
def trunc_div(k, input, other):
    """input / other rounded towards zero."""
    return k.truncdiv(input, other)


@elementwise("Tensor._floor_div Tensor._floor_div_", name="div_floor", node="DivBackward2", wraps=True,
             failures=BY_ZERO, grad={"input": _flat, "other": _flat})
def floor_div(k, input, other):
    """input / other rounded down."""
    return k.floordiv(input, other)


def _division(mode, inplace=False):
    table = {None: true_div, "trunc": trunc_div, "floor": floor_div}
    if mode not in table:
        raise RuntimeError(f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{mode}'")
    return table[mode].inplace if inplace else table[mode]


@public("div divide")
def div(input, other, *, rounding_mode=None):
    """Divide two tensors, element by element.

    y = input / other, rounded as `rounding_mode` says

    Args:
        input (Tensor): any shape and dtype.
        other (Tensor or number): a shape that broadcasts with that of `input`.
        rounding_mode (str, optional): "trunc" rounds towards zero, "floor" down; by default nothing is rounded.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the common shape; without rounding, integers become the default float.

    Raises:
        RuntimeError: an integer is divided by zero with rounding, or the mode is not known.

    Example:
        >>> torch.div(torch.tensor([7, -7]), 2), torch.div(torch.tensor([7, -7]), 2, rounding_mode="floor")
        (tensor([ 3.5000, -3.5000]), tensor([ 3, -4]))
    """
    return _division(rounding_mode)(input, other)


@public("Tensor.div_ Tensor.divide_", out=False)
def div_(self, other, *, rounding_mode=None):
    """self = self / other, in place."""
    return _division(rounding_mode, True)(self, other)


@public("true_divide Tensor.__truediv__", quick=True)
def true_divide(input, other):
    """Divide two tensors, element by element, without rounding.

    y = input / other

    Args:
        input (Tensor): any shape and dtype.
        other (Tensor or number): a shape that broadcasts with that of `input`.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the common shape; integers become the default float.

    Raises:
        RuntimeError: the shapes do not broadcast.

    Example:
        >>> torch.true_divide(torch.tensor([1, 2]), 4)
        tensor([0.2500, 0.5000])
    """
    return true_div(input, other)


register("Tensor.true_divide_", None, true_div.inplace)
register("Tensor.__itruediv__", true_div.inplace)


@public("Tensor.__rtruediv__ Tensor.__rdiv__", out=False, quick=True)
def rtruediv(input, other):
    """other / input."""
    return input.reciprocal() * other


@public("floor_divide Tensor.__floordiv__", quick=True)
def floor_divide(input, other):
    """Divide two tensors, element by element, and round down.

    y = floor(input / other)

    Args:
        input (Tensor): any shape; not complex.
        other (Tensor or number): a shape that broadcasts with that of `input`.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the common shape and dtype.

    Raises:
        RuntimeError: an integer is divided by zero.

    Example:
        >>> torch.floor_divide(torch.tensor([7, -7]), 2)
        tensor([ 3, -4])
    """
    return floor_div(input, other)


register("Tensor.floor_divide_", None, floor_div.inplace)
register("Tensor.__ifloordiv__", floor_div.inplace)


@public("Tensor.__rfloordiv__", out=False)
def rfloordiv(input, other):
    """other // input."""
    return swapped_floor_div(input, other)


@elementwise("Tensor._rfloordiv", name="rfloordiv", failures=BY_ZERO)
def swapped_floor_div(k, input, other):
    """other // input."""
    return k.floordiv(k.like(other, input), input)


@elementwise("remainder remainder_ Tensor.__mod__", promote="default", dtypes="numeric", failures=BY_ZERO,
             grad={"input": lambda g: g, "other": lambda g, input, other: -g * floor_div(input, other)})
def remainder(k, input, other):
    """Return Python's modulus: the result has the sign of the divisor.

    y = input - other * floor(input / other)

    Args:
        input (Tensor or number): any shape; not bool or complex.
        other (Tensor or number): a shape that broadcasts with that of `input`.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the common shape and dtype.

    Raises:
        RuntimeError: an integer is divided by zero.

    Example:
        >>> torch.remainder(torch.tensor([7, -7]), 3)
        tensor([1, 2])
    """
    return k.mod(input, other)


@elementwise("Tensor.__rmod__", name="rmod", node="RemainderBackward1", dtypes="numeric", tensors=1, failures=BY_ZERO,
             grad={"input": lambda g, input, other: -g * floor_div(other, input), "other": lambda g: g})
def rmod(k, input, other):
    """other % input."""
    return k.mod(k.like(other, input), input)


@elementwise("fmod fmod_", dtypes="numeric", tensors=1, failures=BY_ZERO,
             grad={"input": lambda g: g, "other": lambda g, input, other: -g * trunc_div(input, other)})
def fmod(k, input, other):
    """Return C's fmod: the result has the sign of the dividend.

    y = input - other * trunc(input / other)

    Args:
        input (Tensor): any shape; not bool or complex.
        other (Tensor or number): a shape that broadcasts with that of `input`.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the common shape and dtype.

    Raises:
        RuntimeError: an integer is divided by zero.

    Example:
        >>> torch.fmod(torch.tensor([7, -7]), 3)
        tensor([ 1, -1])
    """
    return k.fmod(input, other)


@elementwise("neg neg_ negative negative_ Tensor.__neg__", complex=True, dtypes="numeric", grad={"input": _neg},
             refuse="Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a "
                    "mask, use the `~` or `logical_not()` operator instead.")
def neg(k, input):
    """Return the negative of each element.

    Args:
        input (Tensor): any shape; not bool.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape and dtype of `input`.

    Raises:
        RuntimeError: the tensor is bool.

    Example:
        >>> torch.neg(torch.tensor([1, -2]))
        tensor([-1,  2])
    """
    return -input


# -- comparisons -----------------------------------------------------------------------------------------------------


@elementwise("eq eq_ Tensor.__eq__", complex=True, promote="compare", tensors=1, name="eq")
def eq(k, input, other):
    """Return whether elements are equal.

    Args:
        input (Tensor): any shape and dtype.
        other (Tensor or number): a shape that broadcasts with that of `input`.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: bool, the common shape. NaN is not equal to anything.

    Raises:
        RuntimeError: the shapes do not broadcast.

    Example:
        >>> torch.eq(torch.tensor([1, 2]), torch.tensor([1, 3]))
        tensor([ True, False])
    """
    return k.compare("eq", k.like(input, other), other)


@elementwise("ne ne_ not_equal not_equal_ Tensor.__ne__", complex=True, promote="compare", tensors=1)
def ne(k, input, other):
    """Return whether elements differ.

    Args:
        input (Tensor): any shape and dtype.
        other (Tensor or number): a shape that broadcasts with that of `input`.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: bool, the common shape. NaN differs from everything.

    Raises:
        RuntimeError: the shapes do not broadcast.

    Example:
        >>> torch.ne(torch.tensor([1, 2]), torch.tensor([1, 3]))
        tensor([False,  True])
    """
    return k.compare("ne", k.like(input, other), other)


@elementwise("lt lt_ less less_ Tensor.__lt__", promote="compare", tensors=1)
def lt(k, input, other):
    """Return whether elements of the first tensor are smaller.

    Args:
        input (Tensor): any shape; not complex.
        other (Tensor or number): a shape that broadcasts with that of `input`.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: bool, the common shape. False for NaN.

    Raises:
        RuntimeError: the shapes do not broadcast.

    Example:
        >>> torch.lt(torch.tensor([1, 2, 3]), 2)
        tensor([ True, False, False])
    """
    return k.compare("lt", k.like(input, other), other)


@elementwise("le le_ less_equal less_equal_ Tensor.__le__", promote="compare", tensors=1)
def le(k, input, other):
    """Return whether elements of the first tensor are smaller or equal.

    Args:
        input (Tensor): any shape; not complex.
        other (Tensor or number): a shape that broadcasts with that of `input`.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: bool, the common shape. False for NaN.

    Raises:
        RuntimeError: the shapes do not broadcast.

    Example:
        >>> torch.le(torch.tensor([1, 2, 3]), 2)
        tensor([ True,  True, False])
    """
    return k.compare("le", k.like(input, other), other)


@elementwise("gt gt_ greater greater_ Tensor.__gt__", promote="compare", tensors=1)
def gt(k, input, other):
    """Return whether elements of the first tensor are larger.

    Args:
        input (Tensor): any shape; not complex.
        other (Tensor or number): a shape that broadcasts with that of `input`.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: bool, the common shape. False for NaN.

    Raises:
        RuntimeError: the shapes do not broadcast.

    Example:
        >>> torch.gt(torch.tensor([1, 2, 3]), 2)
        tensor([False, False,  True])
    """
    return k.compare("gt", k.like(input, other), other)


@elementwise("ge ge_ greater_equal greater_equal_ Tensor.__ge__", promote="compare", tensors=1)
def ge(k, input, other):
    """Return whether elements of the first tensor are larger or equal.

    Args:
        input (Tensor): any shape; not complex.
        other (Tensor or number): a shape that broadcasts with that of `input`.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: bool, the common shape. False for NaN.

    Raises:
        RuntimeError: the shapes do not broadcast.

    Example:
        >>> torch.ge(torch.tensor([1, 2, 3]), 2)
        tensor([False,  True,  True])
    """
    return k.compare("ge", k.like(input, other), other)


# -- choices ---------------------------------------------------------------------------------------------------------


def _where_rule(layouts, numbers, attrs):
    joined = rules.joined_dtype(layouts[1:], numbers)
    return joined, joined


@elementwise("Tensor._where", complex=True, name="where_values", unjoined=1, promote=_where_rule, node="WhereBackward0",
             grad={"input": lambda g, condition: where(condition, g, 0), "other": lambda g, condition: where(condition,
                                                                                                             0, g)})
def where_values(k, condition, input, other):
    """input where condition holds, else other."""
    return k.where(condition, input, other)


@public("Tensor.where", out=False)
def where_method(self, condition, other):
    """This tensor where `condition` holds, else `other`."""
    return where(condition, self, other)


@public("torch.where")
def where(condition, input=None, other=None):
    """Choose from two tensors, element by element.

    y = input if condition else other. With one argument: `nonzero(condition, as_tuple=True)`.

    Args:
        condition (Tensor): bool, any shape.
        input (Tensor or number, optional): what is taken where `condition` holds.
        other (Tensor or number, optional): what is taken elsewhere.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the common shape of all three, the common dtype of `input` and `other`.

    Raises:
        RuntimeError: the shapes do not broadcast, or `condition` is neither bool nor uint8.

    Example:
        >>> x = torch.tensor([-1.0, 2.0])
        >>> torch.where(x > 0, x, 0.0)
        tensor([0., 2.])
    """
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    if condition.dtype is not dt.bool_ and condition.dtype is not dt.uint8:
        raise RuntimeError(f"where expected condition to be a boolean tensor, but got a tensor with dtype "
                           f"{dt.scalar_type(condition.dtype)}")
    return where_values(condition, input, other)
