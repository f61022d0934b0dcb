"""softmax, log_softmax, softmin, logsumexp: one node each, expressions that the row kernels walk in passes over a row
in cache.

Half precisions are computed in float32. Gradients are formulas over the result.
"""

from ...core import dtype as dt
from ...core.declare import elementwise, public
from ...core.infer import wrap_dim, wrap_dims
from ...core.macro import macro
from ..basic.complex import real
from ..basic.copy import packed
from ..basic.pointwise import exp, log, need_tensor
from .reduce import TOP, reduce_
from .rows import narrow, total, wide


def largest(input, dims, keepdim=True):
    """The maximum over `dims` of the values that are not NaN: NaN reaches sums of exponentials through the values
    themselves."""
    return reduce_(TOP, input, dims, keepdim, input._layout.dtype)[0]


@elementwise("", heavy=True, grad={"x": lambda g, out: g * out, "top": lambda g, out: -(g * out)})
def exp_away(k, x, top):
    """exp(x - top) for a `top` that no x is far above, and 0 far below."""
    return k.exp_below(x - top)


@elementwise("", grad={"y": lambda g, g_in, total_gy: g * (g_in - total_gy), "g_in": lambda g, y: g * y,
                       "total_gy": lambda g, y: -(g * y)})
def softmax_slope(k, y, g_in, total_gy):
    """y * (g - sum(g * y))."""
    return y * (g_in - total_gy)


@elementwise("", heavy=True)
def log_plus(k, total_e, top):
    """log(total) + top."""
    return k.log(total_e) + top


@macro("softmax_back", 2)
def _softmax_grad(g, out, dim):
    g, y = wide(g), wide(out)
    return softmax_slope(y, g, (g * y).sum(dim, keepdim=True))


@public("", node="SoftmaxBackward0", grad={"input": _softmax_grad})
@macro("softmax", 1)
def softmax_values(input, dim):
    """exp(x) / sum(exp(x)) along one dimension; along the last one a multiplication with the reciprocal, as PyTorch."""
    x = packed(wide(input))
    e = exp_away(x, largest(x, dim))
    last = dim[0] == input._layout.ndim - 1
    return narrow(e * (1.0 / total(e, dim)) if last else e / total(e, dim), input._layout.dtype)


@macro("log_softmax_back", 2)
def _log_softmax_grad(g, out, dim):
    g = wide(g)
    return g - exp(wide(out)) * g.sum(dim, keepdim=True)


@public("", node="LogSoftmaxBackward0", grad={"input": _log_softmax_grad})
@macro("log_softmax", 1)
def log_softmax_values(input, dim):
    """x - log(sum(exp(x))) along one dimension."""
    x = packed(wide(input))
    shifted = x - largest(x, dim)
    return narrow(shifted - log(total(exp(shifted), dim)), input._layout.dtype)


def _along(name, function, input, dim, dtype):
    need_tensor(name, "input", 1, input)
    if dtype is not None:
        input = input.to(dtype)
    found = input._layout
    if found.dtype.category < dt.FLOATING:
        raise NotImplementedError(f"\"{name}_lastdim_kernel_impl\" not implemented for '{dt.scalar_type(found.dtype)}'")
    dims = ALONG.get((found.ndim, dim)) or along(found.ndim, dim)
    return function(input, dims) if found.ndim else function(input.reshape(1), dims).reshape(())


ALONG = {}  # (number of dimensions, dim) -> dimensions, kept so that a macro finds the same object again


def along(ndim, dim):
    """The one dimension that `dim` means, as a tuple."""
    found = ALONG[ndim, dim] = (wrap_dim(dim, ndim),)
    return found


def _implicit_dim(ndim):
    """The dimension that nn.functional.softmax takes where none is given."""
    return 0 if ndim in (0, 1, 3) else 1


@public("softmax special.softmax")
def softmax(input, dim, dtype=None):
    """Return exponentials along `dim`, scaled so that they add up to 1.

    y[i] = exp(x[i]) / sum(exp(x)), computed from x - max(x) so that nothing overflows.

    Args:
        input (Tensor): any shape, floating.
        dim (int): the dimension along which the results add up to 1.
        dtype (dtype, optional): the dtype that `input` is cast to first.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `input`, values in [0, 1].

    Raises:
        IndexError: the dimension is out of range.
        NotImplementedError: the dtype is not floating.

    Example:
        >>> torch.softmax(torch.tensor([[0.0, 0.0], [1000.0, 0.0]]), 1)
        tensor([[0.5000, 0.5000],
                [1.0000, 0.0000]])
    """
    return _along("softmax", softmax_values, input, dim, dtype)


@public("log_softmax special.log_softmax")
def log_softmax(input, dim, dtype=None):
    """Return the logarithm of `softmax` along `dim`, without overflow.

    y[i] = x[i] - log(sum(exp(x)))

    Args:
        input (Tensor): any shape, floating.
        dim (int): the dimension along which the exponentials of the results add up to 1.
        dtype (dtype, optional): the dtype that `input` is cast to first.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `input`.

    Raises:
        IndexError: the dimension is out of range.
        NotImplementedError: the dtype is not floating.

    Example:
        >>> torch.log_softmax(torch.tensor([0.0, 0.0]), 0)
        tensor([-0.6931, -0.6931])
    """
    return _along("log_softmax", log_softmax_values, input, dim, dtype)


@public("nn.functional.softmax", out=False)
def functional_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """exp(x) / sum(exp(x)) along `dim`."""
    return softmax(input, _implicit_dim(input.dim()) if dim is None else dim, dtype)


@public("nn.functional.log_softmax", out=False)
def functional_log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """log(softmax(x)) along `dim`."""
    return log_softmax(input, _implicit_dim(input.dim()) if dim is None else dim, dtype)


@public("nn.functional.softmin", out=False)
def functional_softmin(input, dim=None, _stacklevel=3, dtype=None):
    """softmax(-x) along `dim`."""
    return softmax(-input, _implicit_dim(input.dim()) if dim is None else dim, dtype)


@elementwise("")
def finite_or_zero(k, input):
    """x, and 0 where it is infinite."""
    return k.where(k.isinf(input), k.const(0, input.dtype), input)


@macro("logsumexp_back", 3)
def _logsumexp_grad(g, input, out, dims, keepdim):
    if not keepdim:
        for d in dims:
            g, out = g.unsqueeze(d), out.unsqueeze(d)
    return g * exp(input - out)


def without_dims(value, dims):
    """A reduced value without its dimensions of size 1."""
    for d in reversed(dims):
        value = value.squeeze(d)
    return value


def log_total(input, dims, keepdim, exponential=exp_away):
    """log(sum(exp(x))) over a tuple of dimensions; NaN where an x is infinite, as losses have it."""
    x = wide(input)
    top = finite_or_zero(largest(x, dims))
    result = log_plus(total(exponential(x, top), dims, keepdim), top if keepdim else without_dims(top, dims))
    return narrow(result, input._layout.dtype)


@public("", node="LogsumexpBackward0", grad={"input": _logsumexp_grad})
@macro("logsumexp", 1)
def logsumexp_values(input, dims, keepdim):
    """log(sum(exp(x))) over a tuple of dimensions; infinite where an x is."""
    if input._layout.dtype.is_complex:
        top = finite_or_zero(largest(real(input), dims))
        return log(total(exp(input - top), dims, keepdim)) + (top if keepdim else without_dims(top, dims))
    return log_total(input, dims, keepdim, lambda x, top: exp(x - top))


@public("logsumexp special.logsumexp")
def logsumexp(input, dim, keepdim=False):
    """Return the logarithm of the sum of exponentials over `dim`, without overflow.

    y = log(sum(exp(x)))

    Args:
        input (Tensor): any shape; integers become the default float.
        dim (int or tuple of int): the dimensions to reduce.
        keepdim (bool): whether reduced dimensions stay, with size 1.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `input` without `dim`; -inf where there is no element.

    Raises:
        IndexError: a dimension is out of range.

    Example:
        >>> torch.logsumexp(torch.tensor([[0.0, 0.0], [1000.0, 1000.0]]), 1)
        tensor([6.9315e-01, 1.0007e+03])
    """
    need_tensor("logsumexp", "input", 1, input)
    if input._layout.dtype.category < dt.FLOATING:
        input = input._cast(dt.get_default_dtype())
    dims = wrap_dims(dim, input._layout.ndim)
    if input._layout.ndim == 0:
        return logsumexp_values(input.reshape(1), (0,), False)
    return logsumexp_values(input, dims, bool(keepdim))
