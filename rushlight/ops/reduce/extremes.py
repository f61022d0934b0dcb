"""Largest and smallest elements: max, min, amax, amin, aminmax, argmax, argmin.

The gradient of a full reduction is shared evenly by all elements that reach the extreme; that of a reduction with
indices goes to the chosen one.
"""

from ...core import dtype as dt
from ...core.declare import into_out, public
from ...core.infer import wrap_dim, wrap_dims
from ...core.macro import macro
from ...core.return_types import named_result
from ...core.tensor import Tensor
from ..basic.binary import maximum, minimum
from ..basic.pick import spread
from ..basic.pointwise import need_tensor
from .reduce import ARGMAX, ARGMIN, MAX, MIN, expand_back, reduce_

RESULTS = {"max": named_result("max", "values", "indices"), "min": named_result("min", "values", "indices")}
AMINMAX = named_result("aminmax", "min", "max")
VALUE, INDEXED, JOIN = {"max": MAX, "min": MIN}, {"max": ARGMAX, "min": ARGMIN}, {"max": maximum, "min": minimum}


@macro("extreme_back", 3)
def shared(g, input, out, dims, keepdim):
    """g divided evenly among the elements that equal the result."""
    g = expand_back(g, input.shape, dims, keepdim)
    hit = input == expand_back(out, input.shape, dims, keepdim)
    count = hit.sum(dims, keepdim=True) if dims else hit.sum()
    return g / count * hit


@macro("extreme_back_all", 3)
def shared_by_all(g, input, out):
    """As `shared`, over all dimensions; NaN is shared by the elements that are NaN."""
    hit = (input == out) | ((input != input) & (out != out))
    return g / hit.sum() * hit


def _value(op, input, dims, keepdim):
    return reduce_(op, input, dims, keepdim, input._layout.dtype)[0]


def _all_node(which):
    def function(input, dims, keepdim):
        """The extreme of all elements."""
        return _value(VALUE[which], input, dims, False)
    function.__name__ = which
    return public("", node=f"{which.capitalize()}Backward1", grad={"input": shared_by_all})(function)


def _chosen_grad(g, out1, dim, keepdim, input_layout):
    g, index = (g[0], out1) if keepdim else (g[0].unsqueeze(dim), out1.unsqueeze(dim))
    return spread(g, index, dim, input_layout.shape[dim])


def _indexed_node(which):
    def function(input, dim, keepdim):
        """(values, indices) of the extremes along a dimension."""
        values, indices = reduce_(INDEXED[which], input, (dim,), keepdim, input._layout.dtype)
        return RESULTS[which](values, indices)
    function.__name__ = which
    return public("", node=f"{which.capitalize()}Backward0", grad={"input": _chosen_grad})(function)


def _several_node(which):
    def function(input, dims, keepdim):
        """The extremes over several dimensions."""
        return _value(VALUE[which], input, dims, keepdim)
    function.__name__ = f"a{which}"
    return public("", node=f"A{which}Backward0", grad={"input": shared})(function)


ALL = {which: _all_node(which) for which in VALUE}
ALONG = {which: _indexed_node(which) for which in VALUE}
SEVERAL = {which: _several_node(which) for which in VALUE}


def along(name, node, input, dim, keepdim):
    """Call a node over one dimension; zero-dim tensors take dim 0."""
    dim = wrap_dim(dim, input._layout.ndim)
    if input._layout.ndim == 0:
        values, indices = node(input.reshape(1), 0, False)
        return RESULTS[name](values, indices)
    if input._layout.shape[dim] == 0:
        raise IndexError(f"{name}(): Expected reduction dim {dim} to have non-zero size.")
    return node(input, dim, bool(keepdim))


def _extreme(which, input, dim, keepdim):
    """The three forms of max and min: all elements, along a dimension, of two tensors."""
    need_tensor(which, "input", 1, input)
    if isinstance(dim, Tensor):
        return JOIN[which](input, dim)
    if dim is None:
        if input._layout.numel == 0:
            raise RuntimeError(f"{which}(): Expected reduction dim to be specified for input.numel() == 0. Specify the "
                               "reduction dim with the 'dim' argument.")
        return ALL[which](input, tuple(range(input._layout.ndim)), False)
    if not hasattr(dim, "__index__"):
        raise TypeError(f"{which}() received an invalid combination of arguments - got (Tensor, {type(dim).__name__})")
    return along(which, ALONG[which], input, dim, keepdim)


@public("max")
def max(input, dim=None, keepdim=False, *, other=None):
    """Return the largest element, the largest along `dim` with their positions, or the larger of two tensors.

    NaN counts as the largest. The position is one of an element with the largest value.

    Args:
        input (Tensor): any shape; not complex.
        dim (int or Tensor, optional): the dimension to reduce, or the other tensor.
        keepdim (bool): whether the reduced dimension stays, with size 1.
        other (Tensor, optional): as a second tensor; see `maximum`.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor, or (values, indices) where `dim` is an int: the shape of `input` without it; indices are int64.

    Raises:
        IndexError: the dimension is out of range, or has size 0.
        RuntimeError: there is no element, and no dimension is given.

    Example:
        >>> x = torch.tensor([[1.0, 5.0], [4.0, 2.0]])
        >>> torch.max(x)
        tensor(5.)
        >>> values, indices = torch.max(x, 1)
        >>> values, indices
        (tensor([5., 4.]), tensor([1, 0]))
    """
    return _extreme("max", input, dim if other is None else other, keepdim)


@public("min")
def min(input, dim=None, keepdim=False, *, other=None):
    """Return the smallest element, the smallest along `dim` with their positions, or the smaller of two tensors.

    NaN counts as the smallest. The position is one of an element with the smallest value.

    Args:
        input (Tensor): any shape; not complex.
        dim (int or Tensor, optional): the dimension to reduce, or the other tensor.
        keepdim (bool): whether the reduced dimension stays, with size 1.
        other (Tensor, optional): as a second tensor; see `minimum`.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor, or (values, indices) where `dim` is an int: the shape of `input` without it; indices are int64.

    Raises:
        IndexError: the dimension is out of range, or has size 0.
        RuntimeError: there is no element, and no dimension is given.

    Example:
        >>> values, indices = torch.min(torch.tensor([[1.0, 5.0], [4.0, 2.0]]), 0)
        >>> values, indices
        (tensor([1., 2.]), tensor([0, 1]))
    """
    return _extreme("min", input, dim if other is None else other, keepdim)


def _over(name, input, dim, keepdim):
    need_tensor(name, "input", 1, input)
    dims = wrap_dims(None if dim == () else dim, input._layout.ndim)
    empty = [d for d in dims if input._layout.shape[d] == 0]
    if empty and (dim is None or dim == ()):
        raise RuntimeError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the "
                           "reduction dim with the 'dim' argument.")
    if empty:
        raise IndexError(f"{name}(): Expected reduction dim {empty[0]} to have non-zero size.")
    return SEVERAL[name[1:]](input, dims, bool(keepdim))


@public("amax")
def amax(input, dim=(), keepdim=False):
    """Return the largest element over the dimensions `dim`. Equal elements share the gradient.

    Args:
        input (Tensor): any shape; not complex.
        dim (int or tuple of int, optional): the dimensions to reduce; all of them for ().
        keepdim (bool): whether reduced dimensions stay, with size 1.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `input` without `dim`, of its dtype.

    Raises:
        IndexError: a dimension is out of range, or has size 0.

    Example:
        >>> torch.amax(torch.tensor([[1, 5], [4, 2]]), 0)
        tensor([4, 5])
    """
    return _over("amax", input, dim, keepdim)


@public("amin")
def amin(input, dim=(), keepdim=False):
    """Return the smallest element over the dimensions `dim`. Equal elements share the gradient.

    Args:
        input (Tensor): any shape; not complex.
        dim (int or tuple of int, optional): the dimensions to reduce; all of them for ().
        keepdim (bool): whether reduced dimensions stay, with size 1.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `input` without `dim`, of its dtype.

    Raises:
        IndexError: a dimension is out of range, or has size 0.

    Example:
        >>> torch.amin(torch.tensor([[1, 5], [4, 2]]), 0)
        tensor([1, 2])
    """
    return _over("amin", input, dim, keepdim)


def _pair_grad(g, input, outs, dims, keepdim):
    return shared(g[0], input, outs[0], dims, keepdim) + shared(g[1], input, outs[1], dims, keepdim)


@public("", node="AminmaxBackward0", grad={"input": _pair_grad})
def _aminmax(input, dims, keepdim):
    """(min, max) over dimensions."""
    return AMINMAX(_value(MIN, input, dims, keepdim), _value(MAX, input, dims, keepdim))


@public("aminmax", out=False)
def aminmax(input, *, dim=None, keepdim=False, out=None):
    """Return the smallest and the largest element in one pass.

    Args:
        input (Tensor): any shape; not complex.
        dim (int, optional): the dimension to reduce; all of them by default.
        keepdim (bool): whether the reduced dimension stays, with size 1.
        out (tuple of two Tensors, optional): where the results are written.

    Returns:
        (min, max): the shape of `input` without `dim`, of its dtype.

    Raises:
        RuntimeError: there is no element.

    Example:
        >>> low, high = torch.aminmax(torch.tensor([3, 1, 2]))
        >>> low, high
        (tensor(1), tensor(3))
    """
    for given in out or ():
        if given.dtype is not input.dtype:
            raise RuntimeError(f"Expected out tensor to have dtype {input._layout.dtype}, but got "
                               f"{given._layout.dtype} instead")
    if out is not None:
        return into_out("aminmax", aminmax, out, (input,), dict(dim=dim, keepdim=keepdim))
    need_tensor("aminmax", "input", 1, input)
    if dim is None:
        if input._layout.numel == 0:
            raise RuntimeError("aminmax(): cannot compute aminmax over an empty dimension as the operation has no "
                               "identity.")
        return _aminmax(input, tuple(range(input._layout.ndim)), bool(keepdim))
    at = wrap_dim(dim, input._layout.ndim)
    if input._layout.ndim and input._layout.shape[at] == 0:
        raise IndexError(f"aminmax(): Expected reduction dim {at} to have non-zero size.")
    return _aminmax(input, (at,) if input._layout.ndim else (), bool(keepdim))


def _position(name, op, input, dim, keepdim):
    need_tensor(name, "input", 1, input)
    found = input._layout
    if found.dtype is dt.bool_:
        raise RuntimeError(f"{name}(): does not support bool input")
    if dim is None:
        if found.numel == 0:
            raise IndexError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0.")
        dims = tuple(range(found.ndim))
    else:
        at = wrap_dim(dim, found.ndim)
        dims = (at,) if found.ndim else ()
        if found.ndim and found.shape[at] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {at} to have non-zero size.")
    return reduce_(op, input, dims, keepdim, found.dtype)[1]


@public("argmax")
def argmax(input, dim=None, keepdim=False):
    """Return the position of the largest element along `dim`, or in the flattened tensor.

    The first of equal elements counts. NaN is larger than every number.

    Args:
        input (Tensor): any shape; not complex.
        dim (int, optional): the dimension to reduce; the tensor is flattened by default.
        keepdim (bool): whether the reduced dimension stays, with size 1.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: int64, the shape of `input` without `dim`.

    Raises:
        IndexError: the dimension is out of range, or there is no element along it.

    Example:
        >>> torch.argmax(torch.tensor([[1, 5], [4, 2]]), 1)
        tensor([1, 0])
    """
    return _position("argmax", ARGMAX, input, dim, keepdim)


@public("argmin")
def argmin(input, dim=None, keepdim=False):
    """Return the position of the smallest element along `dim`, or in the flattened tensor.

    The first of equal elements counts. NaN is smaller than every number.

    Args:
        input (Tensor): any shape; not complex.
        dim (int, optional): the dimension to reduce; the tensor is flattened by default.
        keepdim (bool): whether the reduced dimension stays, with size 1.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: int64, the shape of `input` without `dim`.

    Raises:
        IndexError: the dimension is out of range, or there is no element along it.

    Example:
        >>> torch.argmin(torch.tensor([[1, 5], [4, 2]]), 1)
        tensor([0, 1])
    """
    return _position("argmin", ARGMIN, input, dim, keepdim)
