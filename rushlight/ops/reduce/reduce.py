"""Reductions: sum, mean, prod, maxima and minima with and without indices, any, all, variance, norms, logsumexp.

`reduce_` records one reduction; statistics such as variance are expressions over it, which the row kernels fuse into
passes over a row.
"""

import functools
import math

from ...core import dtype as dt
from ...core import infer as rules
from ...core.arguments import CLASSES, spelled_again
from ...core.declare import elementwise, public
from ...core.graph import MODE
from ...core.infer import wrap_dim, wrap_dims
from ...core.kinds import Kernel, Reduction
from ...core.record import record, unary
from ...core.stream import STREAM
from ...core.tensor import Tensor
from ..basic.arithmetic import where
from ..basic.creation import eye
from ..basic.view import MOST_FORMS


def _same(dtype, options):
    return (options["dtype"],)


def _accumulate_sum(dtype, options):
    return options["dtype"].compute


def _accumulate_input(dtype, options):
    return dtype.compute


def _one(name, accumulate, outs=_same):
    return Reduction(f"{name}_reduce", combine=name, accumulate=accumulate, outs=outs)


SUM = _one("sum", _accumulate_sum)
ORDERED_SUM = Kernel("ordered_sum", layouts=lambda op, *known: rules.reduction(SUM, *known),
                     lower="rows.sum_order:ordered_sum", light=True, reads="any")
ORDERED_MOST = 4096  # elements up to which sums keep PyTorch's order, see codegen/cpu/rows/sum.py
PROD = _one("prod", _accumulate_sum)
MAX = _one("max", _accumulate_input)
TOP = _one("top", _accumulate_input)
MIN = _one("min", _accumulate_input)
ANY = _one("any", lambda dtype, options: dt.bool_)
ALL = _one("all", lambda dtype, options: dt.bool_)
ARGMAX = _one("argmax", _accumulate_input, lambda dtype, options: (dtype, dt.int64))
ARGMIN = _one("argmin", _accumulate_input, lambda dtype, options: (dtype, dt.int64))


def reduce_(op, input, dims, keepdim, dtype):
    """Record one reduction over `dims` (a sorted tuple); the list of its results."""
    attrs = (("dims", dims), ("keepdim", bool(keepdim)), ("dtype", dtype))
    if op.finds:
        return record(op, "t", attrs, (input,))
    return [unary(op.form("t", attrs), input)]


def summed(input, dims, keepdim, dtype, count=None):
    """Record the sum over `dims` of a tensor of `dtype`; the mean if `count` is given, the number of terms."""
    if in_order(input._layout):
        attrs = (("dims", dims), ("keepdim", bool(keepdim)), ("dtype", dtype), ("mean", count is not None))
        return unary(ORDERED_SUM.form("t", attrs), input)
    total = reduce_(SUM, input, dims, keepdim, dtype)[0]
    return total if count is None else total / float(count)


def in_order(layout):
    """Whether sums of such a tensor keep PyTorch's order of additions; inside macros sums fuse instead."""
    return (layout.numel <= ORDERED_MOST and (layout.dtype is dt.float32 or layout.dtype is dt.float64)
            and not STREAM.tracing)


def total_form(layout, mean=False):
    """The form of the sum or mean of all elements, where one instruction computes it outside of macros; None
    elsewhere."""
    ordered = in_order(layout)
    if layout.dtype.category < dt.FLOATING or not ordered and mean:
        return None
    return _total_form(layout.ndim, layout.dtype.plain, ordered, mean)


@functools.lru_cache(MOST_FORMS)
def _total_form(rank, dtype, ordered, mean):
    """Remembered: making and hashing the attributes is most of a small sum's cost."""
    attrs = (("dims", tuple(range(rank))), ("keepdim", False), ("dtype", dtype))
    return ORDERED_SUM.form("t", (*attrs, ("mean", mean))) if ordered else SUM.form("t", attrs)


def expand_back(value, shape, dims, keepdim):
    """A reduced value seen with the shape it was reduced from."""
    if not keepdim:
        for d in dims:
            value = value.unsqueeze(d)
    return value.expand(shape)


def named_so_far(dim, keepdim):
    """Those of two arguments that were given by our names."""
    given = {} if dim is None else {"dim": dim}
    return {**given, "keepdim": keepdim} if keepdim else given


def _sum_dtype(input, dtype):
    if dtype is not None:
        return CLASSES[dtype] if dtype.__class__ is type else dtype
    return input.dtype if input._layout.dtype.category >= dt.FLOATING else dt.int64


def _sum_grad(g, shape, dims, keepdim):
    return expand_back(g, shape, dims, keepdim)


@public("Tensor._sum_dims", node="SumBackward1", out=False, grad={"input": _sum_grad})
def sum_dims(input, shape, dims, keepdim, dtype):
    """Sum over a tuple of dimensions."""
    if input.dtype is not dtype:
        input = input._cast(dtype)
    return summed(input, dims, keepdim, dtype)


@public("Tensor._sum_all", node="SumBackward0", out=False, grad={"input": lambda g, shape: g.expand(shape)})
def sum_all(input, shape, dtype):
    """Sum of all elements."""
    if input.dtype is not dtype:
        input = input._cast(dtype)
    return summed(input, tuple(range(input._layout.ndim)), False, dtype)


@public("sum", quick=True)
def sum(input, dim=None, keepdim=False, *, dtype=None, **spelled):
    """Return the sum of all elements, or the sums over the dimensions `dim`.

    sum(x) = x[0] + x[1] + ... + x[n - 1]. The order of float sums does not depend on the number of threads.

    Args:
        input (Tensor): any shape and dtype.
        dim (int or tuple of int, optional): the dimensions to reduce; all of them by default.
        keepdim (bool): whether reduced dimensions stay, with size 1.
        dtype (dtype, optional): the dtype to add up in; int64 for integers and bool by default.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `input` without `dim`.

    Raises:
        IndexError: a dimension is out of range.
        RuntimeError: a dimension is named twice.

    Example:
        >>> x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> torch.sum(x), torch.sum(x, 0), torch.sum(x, 1, keepdim=True)
        (tensor(10.), tensor([4., 6.]), tensor([[3.],
                [7.]]))
    """
    if spelled:
        return spelled_again(sum, spelled, input, **named_so_far(dim, keepdim), dtype=dtype)
    if not isinstance(input, Tensor):
        raise TypeError(f"sum(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    found = input._layout
    if dim is None and not keepdim and dtype is None and not STREAM.tracing:
        form = total_form(found)
        if form is not None:
            out = unary(form, input)
            if (input._rg or input._base is not None) and MODE.grad:
                sum_all.rule.attach_first((input, found.shape, found.dtype), out)
            return out
    result = _sum_dtype(input, dtype)
    if dim is None and not keepdim:
        return sum_all(input, found.shape, result)
    return sum_dims(input, found.shape, wrap_dims(dim, found.ndim), keepdim, result)


def _mean_grad(g, shape, dims, keepdim, count):
    return expand_back(g / count, shape, dims, keepdim)


@public("Tensor._mean_dims", node="MeanBackward1", out=False, grad={"input": _mean_grad})
def mean_dims(input, shape, dims, keepdim, dtype, count):
    """Mean over a tuple of dimensions."""
    wide = dtype.compute
    if input.dtype is not wide:
        input = input._cast(wide)
    total = summed(input, dims, keepdim, wide, count)
    return total if wide is dtype else total._cast(dtype)


@public("Tensor._mean_all", node="MeanBackward0", out=False, grad={"input": lambda g, shape,
                                                                   count: (g / count).expand(shape)})
def mean_all(input, shape, dims, keepdim, dtype, count):
    """Mean of all elements."""
    return mean_dims(input, shape, dims, keepdim, dtype, count)


@public("mean", quick=True)
def mean(input, dim=None, keepdim=False, *, dtype=None, **spelled):
    """Return the mean of all elements, or the means over the dimensions `dim`.

    mean(x) = sum(x) / n

    Args:
        input (Tensor): any shape, floating or complex.
        dim (int or tuple of int, optional): the dimensions to reduce; all of them by default.
        keepdim (bool): whether reduced dimensions stay, with size 1.
        dtype (dtype, optional): the dtype that `input` is cast to first.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `input` without `dim`; NaN where there is no element.

    Raises:
        RuntimeError: the dtype is neither floating nor complex.
        IndexError: a dimension is out of range.

    Example:
        >>> torch.mean(torch.tensor([[1.0, 2.0], [3.0, 6.0]]), 1)
        tensor([1.5000, 4.5000])
    """
    if spelled:
        return spelled_again(mean, spelled, input, **named_so_far(dim, keepdim), dtype=dtype)
    result = input.dtype if dtype is None else CLASSES[dtype] if dtype.__class__ is type else dtype
    if result.category < dt.FLOATING:
        raise RuntimeError("mean(): could not infer output dtype. Input dtype must be either a floating point or "
                           f"complex dtype. Got: {dt.scalar_type(input._layout.dtype)}")
    found = input._layout
    if dim is None and not keepdim:
        form = total_form(found, True) if dtype is None and not STREAM.tracing else None
        if form is not None:
            out = unary(form, input)
            if (input._rg or input._base is not None) and MODE.grad:
                values = input, found.shape, tuple(range(found.ndim)), False, result, found.numel
                mean_all.rule.attach_first(values, out)
            return out
        return mean_all(input, found.shape, tuple(range(found.ndim)), False, result, found.numel)
    dims = wrap_dims(dim, found.ndim)
    count = 1
    for d in dims:
        count *= found.shape[d]
    return mean_dims(input, found.shape, dims, keepdim, result, count)


# -- products, counts, truth -----------------------------------------------------------------------------------------


def _prod_grad(g, input, out, dims, keepdim):
    """g times the product of all other elements, without dividing by zero."""
    g = expand_back(g, input.shape, dims, keepdim)
    if MODE.grad and (math.prod([input.shape[d] for d in dims]) <= FEW or bool((input == 0).any())):
        return g * others_of(input, dims)
    zero = input == 0
    zeros = expand_back(reduce_(SUM, zero._cast(dt.int64), dims, keepdim, dt.int64)[0], input.shape, dims, keepdim)
    safe = where(zero, 1, input)
    rest = expand_back(prod_node(safe, dims, keepdim, input._layout.dtype), input.shape, dims, keepdim)
    others = where(zeros == 0, rest / safe, where(zero & (zeros == 1), rest, 0))
    return g * others


FEW = 64  # elements of a product whose gradient is differentiated again, up to which n x n factors cost little


def others_of(input, dims):
    """The product of all other elements, as products of n factors each: true also in their derivatives by elements
    that are zero."""
    kept = [d for d in range(input.dim()) if d not in dims]
    moved = input.permute(*kept, *dims)
    rows = moved.reshape(*moved.shape[:len(kept)], -1)
    size = rows.shape[-1]
    factors = where(eye(size, dtype=dt.bool_), 1, rows.unsqueeze(-2))
    found = prod_node(factors, (factors.dim() - 1,), False, input._layout.dtype).reshape(moved.shape)
    return found.movedim(list(range(input.dim())), [*kept, *dims])


def _prod(input, dims, keepdim, dtype):
    """The product over dimensions."""
    if input.dtype is not dtype:
        input = input._cast(dtype)
    return reduce_(PROD, input, dims, keepdim, dtype)[0]


PROD_NODES = [public("", node=f"ProdBackward{i}", grad={"input": _prod_grad}, out=False)(_prod) for i in (0, 1)]
prod_node = PROD_NODES[1]


@public("prod", cast="float32")
def prod(input, dim=None, keepdim=False, *, dtype=None):
    """Return the product of all elements, or the products along the dimension `dim`.

    prod(x) = x[0] * x[1] * ... * x[n - 1]

    Args:
        input (Tensor): any shape and dtype.
        dim (int, optional): the dimension to reduce; all of them by default.
        keepdim (bool): whether the reduced dimension stays, with size 1.
        dtype (dtype, optional): the dtype to multiply in; int64 for integers and bool by default.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `input` without `dim`; 1 where there is no element.

    Raises:
        IndexError: the dimension is out of range.

    Example:
        >>> torch.prod(torch.tensor([[1, 2], [3, 4]]), 0)
        tensor([3, 8])
    """
    found = input._layout
    result = _sum_dtype(input, dtype)
    if dim is None:
        return PROD_NODES[0](input, tuple(range(found.ndim)), False, result)
    return prod_node(input, wrap_dims(wrap_dim(dim, found.ndim), found.ndim), bool(keepdim), result)


def _truth(op, input, dim, keepdim):
    dims = wrap_dims(None if dim == () else dim, input._layout.ndim)
    result = dt.uint8 if input._layout.dtype is dt.uint8 else dt.bool_
    found = reduce_(op, input, dims, keepdim, dt.bool_)[0]
    return found if result is dt.bool_ else found._cast(result)


@public("any")
def any(input, dim=None, keepdim=False):
    """Return whether some element is different from zero.

    Args:
        input (Tensor): any shape and dtype.
        dim (int or tuple of int, optional): the dimensions to reduce; all of them by default.
        keepdim (bool): whether reduced dimensions stay, with size 1.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: bool (uint8 for uint8), the shape of `input` without `dim`; False where there is no element.

    Raises:
        IndexError: a dimension is out of range.

    Example:
        >>> torch.any(torch.tensor([[0, 1], [0, 0]]), 1)
        tensor([ True, False])
    """
    return _truth(ANY, input, dim, keepdim)


@public("all")
def all(input, dim=None, keepdim=False):
    """Return whether all elements are different from zero.

    Args:
        input (Tensor): any shape and dtype.
        dim (int or tuple of int, optional): the dimensions to reduce; all of them by default.
        keepdim (bool): whether reduced dimensions stay, with size 1.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: bool (uint8 for uint8), the shape of `input` without `dim`; True where there is no element.

    Raises:
        IndexError: a dimension is out of range.

    Example:
        >>> torch.all(torch.tensor([[1, 1], [0, 1]]), 1)
        tensor([ True, False])
    """
    return _truth(ALL, input, dim, keepdim)


@elementwise("", complex=True)
def zero_for_nan(k, input):
    """x, and 0 where it is NaN."""
    return k.where(k.isnan(input), k.const(0, input.dtype), input) if input.dtype.category >= dt.FLOATING else input


def _nansum_grad(g, input, dims, keepdim):
    return where(input.isnan(), 0, expand_back(g, input.shape, dims, keepdim))


@public("", node="NansumBackward0", grad={"input": _nansum_grad}, out=False)
def _nansum(input, dims, keepdim, dtype):
    """The sum over dimensions, NaN counting as 0."""
    return sum_dims(zero_for_nan(input), input.shape, dims, keepdim, dtype)


@public("nansum")
def nansum(input, dim=None, keepdim=False, *, dtype=None):
    """Return the sum over `dim`, in which NaN counts as 0.

    Args:
        input (Tensor): any shape and dtype.
        dim (int or tuple of int, optional): the dimensions to reduce; all of them by default.
        keepdim (bool): whether reduced dimensions stay, with size 1.
        dtype (dtype, optional): the dtype to add up in; int64 for integers and bool by default.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `input` without `dim`.

    Raises:
        IndexError: a dimension is out of range.

    Example:
        >>> torch.nansum(torch.tensor([1.0, float("nan"), 2.0]))
        tensor(3.)
    """
    return _nansum(input, wrap_dims(dim, input._layout.ndim), bool(keepdim), _sum_dtype(input, dtype))


@public("nanmean")
def nanmean(input, dim=None, keepdim=False, *, dtype=None):
    """Return the mean over `dim` of the elements that are not NaN.

    Args:
        input (Tensor): any shape, floating.
        dim (int or tuple of int, optional): the dimensions to reduce; all of them by default.
        keepdim (bool): whether reduced dimensions stay, with size 1.
        dtype (dtype, optional): the dtype that `input` is cast to first.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `input` without `dim`; NaN where all elements are.

    Raises:
        RuntimeError: the dtype is not floating.

    Example:
        >>> torch.nanmean(torch.tensor([1.0, float("nan"), 2.0]))
        tensor(1.5000)
    """
    if input._layout.dtype.category < dt.FLOATING:
        raise RuntimeError(f"nanmean(): expected input to have floating point or complex dtype but got "
                           f"{dt.scalar_type(input._layout.dtype)}")
    count = input.detach().isnan().logical_not().sum(dim, keepdim)
    return nansum(input, dim, keepdim, dtype=dtype) / count


@public("count_nonzero", out=False)
def count_nonzero(input, dim=None):
    """Return how many elements are different from zero.

    Args:
        input (Tensor): any shape and dtype.
        dim (int or tuple of int, optional): the dimensions to reduce; all of them by default.

    Returns:
        Tensor: int64, the shape of `input` without `dim`.

    Raises:
        IndexError: a dimension is out of range.

    Example:
        >>> torch.count_nonzero(torch.tensor([[0, 1, 2], [0, 0, 3]]), 1)
        tensor([2, 1])
    """
    dims = wrap_dims(dim, input._layout.ndim)
    return reduce_(SUM, (input != 0)._cast(dt.int64), dims, False, dt.int64)[0]
