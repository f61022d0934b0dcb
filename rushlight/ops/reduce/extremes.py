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
    """The largest element; with `dim` a pair (values, indices) along it; with a second tensor the larger of each
    pair.
    """
    return _extreme("max", input, dim if other is None else other, keepdim)


@public("min")
def min(input, dim=None, keepdim=False, *, other=None):
    """The smallest element; with `dim` a pair (values, indices) along it; with a second tensor the smaller of each
    pair.
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
    """The largest element over `dim` (int, tuple, or () for all)."""
    return _over("amax", input, dim, keepdim)


@public("amin")
def amin(input, dim=(), keepdim=False):
    """The smallest element over `dim` (int, tuple, or () for all)."""
    return _over("amin", input, dim, keepdim)


def _pair_grad(g, input, outs, dims, keepdim):
    return shared(g[0], input, outs[0], dims, keepdim) + shared(g[1], input, outs[1], dims, keepdim)


@public("", node="AminmaxBackward0", grad={"input": _pair_grad})
def _aminmax(input, dims, keepdim):
    """(min, max) over dimensions."""
    return AMINMAX(_value(MIN, input, dims, keepdim), _value(MAX, input, dims, keepdim))


@public("aminmax", out=False)
def aminmax(input, *, dim=None, keepdim=False, out=None):
    """(min, max) of all elements or along `dim`, in one pass."""
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
    """The index of the largest element along `dim`, or in the flattened tensor. The first of equals; NaN counts as
    largest.
    """
    return _position("argmax", ARGMAX, input, dim, keepdim)


@public("argmin")
def argmin(input, dim=None, keepdim=False):
    """The index of the smallest element along `dim`, or in the flattened tensor. The first of equals; NaN counts as
    smallest.
    """
    return _position("argmin", ARGMIN, input, dim, keepdim)
