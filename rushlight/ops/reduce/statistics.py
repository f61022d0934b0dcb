"""Spread and size: var, std, their pairs with the mean, vector norms, dist, cov, corrcoef."""

import math
import warnings

from ...core import dtype as dt
from ...core.declare import REGISTRY, elementwise, public
from ...core.infer import wrap_dim, wrap_dims
from ...core.macro import macro
from ..basic.complex import abs_square, from_parts
from ..basic.pointwise import need_tensor, sgn, sqrt
from .reduce import MAX, MIN, SUM, expand_back, reduce_
from .rows import mean_of, narrow, total, wide


def where(condition, input, other):
    return REGISTRY["where"](condition, input, other)


# -- variance and deviation ------------------------------------------------------------------------------------------


def _freedom(input, dims, correction):
    return math.prod(input.shape[d] for d in dims) - correction


def _var(input, dims, correction, keepdim):
    """The sum of squared distances from the mean over (count - correction)."""
    x = wide(input)
    away = x - mean_of(x, dims)
    squares = total(abs_square(away) if away._layout.dtype.is_complex else away * away, dims, keepdim)
    free = _freedom(input, dims, correction)
    return squares / float(free) if free > 0 else squares / 0.0 if free == 0 else squares * math.inf


@macro("var_back", 2)
def _var_slope(g, input, dims, correction, keepdim):
    x = wide(input)
    free = _freedom(input, dims, correction)
    g = expand_back(wide(g), input.shape, dims, keepdim)
    if free <= 0:
        return g * ((x - mean_of(x, dims)) * math.inf if free == 0 else x * math.nan)
    return g * ((x - mean_of(x, dims)) * (2.0 / free))


@macro("std_back", 3)
def _std_slope(g, input, out, dims, correction, keepdim):
    out = wide(out)
    g = where(out == 0, 0, wide(g) / (out * 2))
    return _var_slope(g, input, dims, correction, keepdim)


@public("", node="VarBackward0", conjugates=True, grad={"input": _var_slope}, out=False)
@macro("var", 1)
def var_node(input, dims, correction, keepdim):
    """Variance over dimensions."""
    return narrow(_var(input, dims, correction, keepdim), input._layout.dtype.to_real())


@public("", node="StdBackward0", conjugates=True, grad={"input": _std_slope}, out=False)
@macro("std", 1)
def std_node(input, dims, correction, keepdim):
    """Standard deviation over dimensions."""
    return narrow(sqrt(_var(input, dims, correction, keepdim)), input._layout.dtype.to_real())


def _mean_slope(g, input, dims, keepdim):
    count = max(1, math.prod(input.shape[d] for d in dims))
    return expand_back(wide(g) / count, input.shape, dims, keepdim)


def _var_pair_slope(g, input, dims, correction, keepdim):
    return _var_slope(g[0], input, dims, correction, keepdim) + _mean_slope(g[1], input, dims, keepdim)


def _std_pair_slope(g, input, out, dims, correction, keepdim):
    return _std_slope(g[0], input, out, dims, correction, keepdim) + _mean_slope(g[1], input, dims, keepdim)


def _pair_node(name, root):
    def function(input, dims, correction, keepdim):
        """(spread, mean) over dimensions."""
        x = wide(input)
        spread = _var(input, dims, correction, keepdim)
        mean = total(x, dims, keepdim) / float(math.prod(input.shape[d] for d in dims))
        return [narrow(sqrt(spread) if root else spread, input._layout.dtype.to_real()), narrow(mean, input.dtype)]
    function.__name__ = name
    node = f"{name.title().replace('_', '')}Backward0"
    slope = _std_pair_slope if root else _var_pair_slope
    return public("", node=node, grad={"input": slope}, out=False, conjugates=True)(function)


VAR_MEAN, STD_MEAN = _pair_node("var_mean", False), _pair_node("std_mean", True)
UNSET = object()


def _spread_arguments(name, input, dim, unbiased, keepdim, correction):
    """(dims, correction, keepdim) of the overloads (dim, correction=), (unbiased) and (dim, unbiased)."""
    need_tensor(name, "input", 1, input)
    if dim is True or dim is False:
        dim, unbiased = None, dim
    if input._layout.dtype.category < dt.FLOATING:
        raise RuntimeError(f"{name.split('_')[0]} only support floating point and complex dtypes" if "_" in name
                           else "std and var only support floating point and complex dtypes")
    if unbiased is not None:
        correction = 1 if unbiased else 0
    elif correction is UNSET or correction is None:
        correction = 1
    dims = wrap_dims(None if dim == () else dim, input._layout.ndim)
    if _freedom(input, dims, correction) <= 0:
        warnings.warn(f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the reduction "
                      "factor (input numel divided by output numel).", stacklevel=3)
    return dims, correction, bool(keepdim)


@public("var")
def var(input, dim=None, unbiased=None, keepdim=False, *, correction=UNSET):
    """Return the variance over the dimensions `dim`.

    var(x) = sum((x - mean(x))**2) / (n - correction)

    Args:
        input (Tensor): any shape, floating or complex.
        dim (int or tuple of int, optional): the dimensions to reduce; all of them by default.
        unbiased (bool, optional): the older name of correction=1 (True) and correction=0 (False).
        keepdim (bool): whether reduced dimensions stay, with size 1.
        correction (int or float, optional): what is taken from the number of elements; 1 by default.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `input` without `dim`; NaN where a division by zero would be.

    Raises:
        RuntimeError: the dtype is neither floating nor complex.
        IndexError: a dimension is out of range.

    Example:
        >>> torch.var(torch.tensor([[1.0, 3.0], [2.0, 8.0]]), 1)
        tensor([ 2., 18.])
    """
    return var_node(input, *_spread_arguments("var", input, dim, unbiased, keepdim, correction))


@public("std")
def std(input, dim=None, unbiased=None, keepdim=False, *, correction=UNSET):
    """Return the standard deviation over the dimensions `dim`.

    std(x) = sqrt(var(x))

    Args:
        input (Tensor): any shape, floating or complex.
        dim (int or tuple of int, optional): the dimensions to reduce; all of them by default.
        unbiased (bool, optional): the older name of correction=1 (True) and correction=0 (False).
        keepdim (bool): whether reduced dimensions stay, with size 1.
        correction (int or float, optional): what is taken from the number of elements; 1 by default.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `input` without `dim`; NaN where a division by zero would be.

    Raises:
        RuntimeError: the dtype is neither floating nor complex.
        IndexError: a dimension is out of range.

    Example:
        >>> torch.std(torch.tensor([[1.0, 3.0], [2.0, 8.0]]), 1, correction=0)
        tensor([1., 3.])
    """
    return std_node(input, *_spread_arguments("std", input, dim, unbiased, keepdim, correction))


@public("torch.var_mean")
def var_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=UNSET):
    """Return the variance and the mean over the dimensions `dim`.

    Args:
        input (Tensor): any shape, floating or complex.
        dim (int or tuple of int, optional): the dimensions to reduce; all of them by default.
        unbiased (bool, optional): the older name of correction=1 (True) and correction=0 (False).
        keepdim (bool): whether reduced dimensions stay, with size 1.
        correction (int or float, optional): what is taken from the number of elements; 1 by default.
        out (Tensor, optional): where the result is written.

    Returns:
        (variance, mean): the shape of `input` without `dim`.

    Raises:
        RuntimeError: the dtype is neither floating nor complex.

    Example:
        >>> variance, mean = torch.var_mean(torch.tensor([1.0, 3.0]))
        >>> variance, mean
        (tensor(2.), tensor(2.))
    """
    return tuple(VAR_MEAN(input, *_spread_arguments("var_mean", input, dim, unbiased, keepdim, correction)))


@public("torch.std_mean")
def std_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=UNSET):
    """Return the standard deviation and the mean over the dimensions `dim`.

    Args:
        input (Tensor): any shape, floating or complex.
        dim (int or tuple of int, optional): the dimensions to reduce; all of them by default.
        unbiased (bool, optional): the older name of correction=1 (True) and correction=0 (False).
        keepdim (bool): whether reduced dimensions stay, with size 1.
        correction (int or float, optional): what is taken from the number of elements; 1 by default.
        out (Tensor, optional): where the result is written.

    Returns:
        (standard deviation, mean): the shape of `input` without `dim`.

    Raises:
        RuntimeError: the dtype is neither floating nor complex.

    Example:
        >>> deviation, mean = torch.std_mean(torch.tensor([1.0, 3.0]), correction=0)
        >>> deviation, mean
        (tensor(1.), tensor(2.))
    """
    return tuple(STD_MEAN(input, *_spread_arguments("std_mean", input, dim, unbiased, keepdim, correction)))


# -- vector norms ----------------------------------------------------------------------------------------------------


@elementwise("", heavy=True)
def absolute_power(k, input, power: float):
    """|x| ** power."""
    return k.pow(k.abs(input), k.cast(power, input.dtype))


def plain_norm(x, ord, dims, keepdim):
    if x._layout.dtype.is_complex:
        if ord == 2:
            return sqrt(total(abs_square(x), dims, keepdim))
        x = x.abs()
    if ord == math.inf or ord == -math.inf:
        return reduce_(MAX if ord > 0 else MIN, x.abs(), dims, keepdim, x._layout.dtype)[0]
    if ord == 0:
        return total((x != 0)._cast(x._layout.dtype), dims, keepdim)
    if ord == 1 or all(x.shape[d] == 1 for d in dims):  # of one number: powers could overflow or vanish
        return total(x.abs(), dims, keepdim)
    if ord == 2:
        return sqrt(total(x * x, dims, keepdim))
    return total(absolute_power(x, float(ord)), dims, keepdim).pow(1.0 / ord)


def norm_grad(g, input, out, ord, dims, keepdim):
    """g times the derivative of the norm, None where that is constant; 0 where the norm is 0."""
    return None if ord == 0 else norm_slope(g, input, out, ord, dims, keepdim)


@macro("vector_norm_back", 3)
def norm_slope(g, input, out, ord, dims, keepdim):
    x = wide(input)
    g = expand_back(wide(g), x.shape, dims, keepdim)
    length = expand_back(wide(out), x.shape, dims, keepdim)
    if ord == 1:
        return g * sgn(x)
    if ord == 2:
        return where(length == 0, 0, g * (x / length))
    if ord in (math.inf, -math.inf):
        hit = x.abs() == length
        count = reduce_(SUM, hit._cast(dt.int64), dims, True, dt.int64)[0]
        return where(hit, g * sgn(x) / count, 0)
    if ord < 2:
        factor = where(x == 0, 0, sgn(x) * x.abs().pow(ord - 1))
    else:
        factor = x * x.abs().pow(ord - 2)
    nothing = length == 0  # kept out of the power, whose own derivative would spoil the second gradient
    return factor * where(nothing, 0, g * where(nothing, 1, length).pow(1 - ord))


@public("", node="LinalgVectorNormBackward0", conjugates=True, grad={"input": norm_grad}, out=False)
@macro("vector_norm", 1)
def vector_norm_node(input, ord, dims, keepdim):
    """The vector norm over dimensions."""
    return narrow(plain_norm(wide(input), ord, dims, keepdim), input._layout.dtype.to_real())


@public("linalg.vector_norm")
def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None):
    """(sum |x|**ord) ** (1 / ord) over `dim`; ord inf and -inf: the largest and smallest |x|, 0: the number of
    nonzero elements.
    """
    need_tensor("linalg_vector_norm", "self", 1, x)
    if dtype is not None:
        if dtype.category < dt.FLOATING:
            raise RuntimeError("linalg.vector_norm: dtype should be floating point or complex. Got "
                               f"{dt.scalar_type(dtype)}")
        x = x.to(dtype)
    if x._layout.dtype.category < dt.FLOATING:
        raise RuntimeError(f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
                           f"{dt.scalar_type(x._layout.dtype)}")
    dims = wrap_dims(dim, x._layout.ndim)
    if ord.__class__ not in (int, float):
        ord = float(ord)
    if (ord < 0 or ord == math.inf) and any_empty(x, dims):
        raise RuntimeError(f"linalg.vector_norm cannot compute the {ord:g} norm on an empty tensor because the "
                           "operation does not have an "
                           "identity" if dim is None else f"linalg.vector_norm cannot compute the {ord:g} norm on "
                                                          f"the dimension {next(d for d in dims if not x.shape[d])} "
                           "because this dimension is empty and the operation does not have an identity")
    return vector_norm_node(x, ord, dims, bool(keepdim))


def any_empty(x, dims):
    return not all([x.shape[d] for d in dims])


@public("norm")
def norm(input, p="fro", dim=None, keepdim=False, dtype=None):
    """Return the p-norm over the dimensions `dim`.

    y = sum(abs(x)**p)**(1 / p)

    Args:
        input (Tensor): any shape, floating or complex.
        p (float or str): the order; "fro" is the root of the sum of squares, "nuc" the sum of singular values.
        dim (int or tuple of int, optional): the dimensions to reduce; all of them by default.
        keepdim (bool): whether reduced dimensions stay, with size 1.
        dtype (dtype, optional): the dtype that `input` is cast to first.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: real, the shape of `input` without `dim`.

    Raises:
        RuntimeError: the dtype is neither floating nor complex, or the order is not known.

    Example:
        >>> torch.norm(torch.tensor([[3.0, 4.0], [0.0, 1.0]]), dim=1)
        tensor([5., 1.])
    """
    need_tensor("norm", "input", 1, input)
    if p == "nuc":
        return REGISTRY["linalg.matrix_norm"](input, "nuc", (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    if p == "fro":
        p = 2.0
    if isinstance(p, str):
        raise RuntimeError(f"linalg.matrix_norm: Order {p} not supported.")
    return vector_norm(input, 2.0 if p is None else p, dim, keepdim, dtype=dtype)


@public("torch.norm_except_dim", out=False)
def norm_except_dim(v, pow=2, dim=0):
    """The norm over all dimensions but `dim`, which keep size 1; over all of them for -1."""
    if dim == -1:
        return vector_norm(v, pow)
    at = wrap_dim(dim, v.dim())
    return vector_norm(v, pow, [d for d in range(v.dim()) if d != at], True)


@public("torch.frobenius_norm")
def frobenius_norm(input, dim, keepdim=False):
    """The root of the sum of squares over `dim`."""
    return vector_norm(input, 2, dim, keepdim)


@public("torch.nuclear_norm")
def nuclear_norm(input, dim=(-2, -1), keepdim=False):
    """The sum of the singular values of matrices."""
    return REGISTRY["linalg.matrix_norm"](input, "nuc", dim, keepdim)


def _dist_grad(sign):
    def slope(g, input, other, out, p):
        away = input - other
        return norm_grad(g, away, out, p, tuple(range(away.dim())), False) * sign
    return slope


@public("", node="DistBackward0", grad={"input": _dist_grad(1), "other": _dist_grad(-1)}, out=False, conjugates=True)
def dist_node(input, other, p):
    """The p-norm of the difference."""
    away = input - other
    return narrow(plain_norm(wide(away), p, tuple(range(away.dim())), False), away._layout.dtype.to_real())


@public("dist")
def dist(input, other, p=2):
    """Return the p-norm of the difference of two tensors.

    dist(x, y) = sum(abs(x - y)**p)**(1 / p)

    Args:
        input (Tensor): any shape, floating or complex.
        other (Tensor): a shape that broadcasts with that of `input`.
        p (float): the order of the norm; inf for the largest difference.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: 0-dim.

    Raises:
        RuntimeError: the shapes do not broadcast.

    Example:
        >>> torch.dist(torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0]))
        tensor(5.)
    """
    need_tensor("dist", "input", 1, input)
    need_tensor("dist", "other", 2, other)
    return dist_node(input, other, p)


# -- covariance ------------------------------------------------------------------------------------------------------


def _weights(name, values, count):
    if values is None:
        return None
    if values.dim() > 1:
        raise RuntimeError(f"cov(): expected {name} to have one or fewer dimensions but got {name} with "
                           f"{values.dim()} dimensions")
    if values.numel() != count:
        raise RuntimeError(f"cov(): expected {name} to have the same numel as there are observations in the input but "
                           f"got {values.numel()} != {count}")
    return values


@public("cov", out=False, cast="result")
def cov(input, *, correction=1, fweights=None, aweights=None):
    """Return the covariance matrix of variables from their observations.

    cov[i][j] = sum((x[i] - mean(x[i])) * conj(x[j] - mean(x[j]))) / (n - correction)

    Args:
        input (Tensor): a matrix with a variable in each row and an observation in each column, or a vector.
        correction (int): what is taken from the number of observations.
        fweights (Tensor, optional): integers that say how often each observation counts.
        aweights (Tensor, optional): the importance of each observation, not negative.

    Returns:
        Tensor: a square matrix, or 0-dim for a vector.

    Raises:
        RuntimeError: more than two dimensions, or weights that do not fit.

    Example:
        >>> torch.cov(torch.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
        tensor([[ 1., -1.],
                [-1.,  1.]])
    """
    if input.dim() > 2:
        raise RuntimeError("cov(): expected input to have two or fewer dimensions but got an input with "
                           f"{input.dim()} dimensions")
    if input._layout.dtype is dt.bool_:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x = input.reshape(1, -1) if input.dim() < 2 else input
    count = x.shape[1]
    counts, importance = _weights("fweights", fweights, count), _weights("aweights", aweights, count)
    if counts is not None and counts.is_floating_point():
        raise RuntimeError("cov(): expected fweights to have integral dtype but got fweights with "
                           f"{dt.scalar_type(counts.dtype)} dtype")
    if importance is not None and not importance.is_floating_point():
        raise RuntimeError("cov(): expected aweights to have floating point dtype but got aweights with "
                           f"{dt.scalar_type(importance.dtype)} dtype")
    weight = counts
    if importance is not None:
        weight = importance if counts is None else counts * importance
    if weight is not None and count and bool((weight < 0).any()):
        raise RuntimeError("cov(): fweights and aweights cannot be negative")
    share = count if weight is None else weight.sum()
    if weight is not None and count and float(share) == 0:
        raise RuntimeError("cov(): weights sum to zero, can't be normalized")
    mean = (x if weight is None else x * weight).sum(1) / share
    if importance is None or correction == 0:
        factor = share - correction
    else:
        factor = share - correction * (weight * importance).sum() / share
    if weight is None:
        factor = builtin_max(factor, 0)
    else:
        factor = where(factor <= 0, 0, factor)
    away = x - mean.unsqueeze(1)
    product = (away @ (away if weight is None else away * weight).t().conj()) / factor
    return product.squeeze()


builtin_max = max


@public("corrcoef", out=False, cast="result")
def corrcoef(input):
    """Return the matrix of Pearson's correlation coefficients of variables.

    y[i][j] = cov[i][j] / sqrt(cov[i][i] * cov[j][j]), limited to [-1, 1]

    Args:
        input (Tensor): a matrix with a variable in each row and an observation in each column, or a vector.

    Returns:
        Tensor: a square matrix, or 0-dim for a vector.

    Raises:
        RuntimeError: more than two dimensions.

    Example:
        >>> torch.corrcoef(torch.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
        tensor([[ 1., -1.],
                [-1.,  1.]])
    """
    if input.dim() > 2:
        raise RuntimeError("corrcoef(): expected input to have two or fewer dimensions but got an input with "
                           f"{input.dim()} dimensions")
    c = cov(input)
    if c.dim() == 0:
        return c / c
    deviation = sqrt(c.diagonal())
    found = c / deviation.unsqueeze(1) / deviation.unsqueeze(0)
    if found._layout.dtype.is_complex:
        return from_parts(*[part.clamp(-1, 1) for part in (found.real, found.imag)])
    return found.clamp(-1, 1)
