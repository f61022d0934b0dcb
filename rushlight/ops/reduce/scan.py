"""Scans: cumsum, cumprod, cummax, cummin, logcumsumexp. One native kernel walks each row (codegen/cpu/rows/scan.py)."""

from ...base.lazy import numpy as np
from ...core import dtype as dt
from ...core.declare import apply, composed, public
from ...core.graph import MODE
from ...core.infer import wrap_dim
from ...core.kinds import Host, Scan
from ...core.return_types import named_result
from ..basic.arithmetic import where
from ..basic.complex import real, resolve_conj, view_as_complex, view_as_real
from ..basic.creation import eye, zeros_like

CUMMAX_RESULT = named_result("cummax", "values", "indices")
CUMMIN_RESULT = named_result("cummin", "values", "indices")


def _reversed_sum(x, dim):
    return cumsum(x.flip(dim), dim).flip(dim)


def _sum_grad(g, dim):
    return _reversed_sum(g, dim)


def _product_grad(g, input, out, dim, dtype):
    """d/dx_k of the products: sums over j >= k of g_j * out_j / x_k, with the rows that hold a zero worked out without
    division."""
    zero = input == 0
    if not bool(zero.any()):
        return _reversed_sum(g * out, dim) / input
    if MODE.grad:
        return _product_slopes(g, input, dim)
    first = (zero.to(dt.int64).cumsum(dim) == 1) & zero
    after = first.to(dt.int64).cumsum(dim) > 0
    safe = where(zero, 1, input)
    plain = where(after, 0, _reversed_sum(where(after, 0, g * out), dim) / safe)
    product = cumprod(where(first, 1, input), dim)
    at_zero = _reversed_sum(where(after, g * product, 0), dim)
    return where(first, at_zero, plain)


def _product_slopes(g, input, dim):
    """`_product_grad` as the products of all factors but one, n x n of them: true also in their derivatives by
    elements that are zero."""
    rows, g = input.movedim(dim, -1), g.movedim(dim, -1)
    without = eye(rows.shape[-1], dtype=dt.bool_)
    factors = where(without, 1, rows.unsqueeze(-2))
    products = cumprod(factors, factors.dim() - 1)
    return (g.unsqueeze(-2) * products).triu().sum(-1).movedim(-1, dim)


def _extreme_grad(g, out1, dim):
    return zeros_like(g[0]).scatter_add(dim, out1, g[0])


def _log_grad(g, input, out, dim):
    """Sums over j >= k of g_j * exp(x_k - out_j), split by the sign of g so that the logarithms exist. Not so where
    it is differentiated again: logarithms of zero gradients would spoil the slopes."""
    if MODE.grad or input._layout.dtype.is_complex:
        top = real(input.detach()).amax(dim, keepdim=True)
        return (input - top).exp() * _reversed_sum(g * (top - out).exp(), dim)
    low = float("-inf")
    positive = where(g > 0, g.clamp(min=0).log(), low)
    negative = where(g < 0, (-g).clamp(min=0).log(), low)
    parts = [logcumsumexp((part - out).flip(dim), dim).flip(dim) + input for part in (positive, negative)]
    return parts[0].exp() - parts[1].exp()


def _double(dtype):
    """The dtype of totals: floats add up in double precision, as in PyTorch on the CPU."""
    return dt.float64 if dtype.is_floating_point else dtype


def _extreme_step(predicate):
    """The step of a running extreme and the last position where it was met; NaN stays."""
    def step(k, totals, value, position):
        best, where = totals
        take = k.compare(predicate, value, best)
        if value.dtype.is_floating_point:
            take = k.logical_or(k.logical_and(take, k.logical_not(k.isnan(best))), k.isnan(value))
        take = k.logical_or(take, position.eq(0))
        return [k.where(take, value, best), k.where(take, position, where)]
    return step


CUMSUM = Scan("cumsum", step=lambda k, totals, value, position: [totals[0] + value], start=(0,), total=_double,
              params=("input", "dim"), grad={"input": _sum_grad})
CUMPROD = Scan("cumprod", step=lambda k, totals, value, position: [totals[0] * value], start=(1,), total=_double,
               params=("input", "dim", "dtype"), grad={"input": _product_grad})
LOGCUMSUMEXP = Scan("logcumsumexp", step=lambda k, totals, value, position: [k.logaddexp(totals[0], value)],
                    start=(float("-inf"),), total=_double, params=("input", "dim"), grad={"input": _log_grad})
CUMMAX, CUMMIN = [Scan(name, step=_extreme_step(predicate), start=(0, 0), total=lambda dtype: dtype.compute,
                       params=("input", "dim"), grad={"input": _extreme_grad})
                  for name, predicate in (("cummax", "ge"), ("cummin", "le"))]


def _complex_product_body(outs, ins, numbers, dim):
    np.cumprod(ins[0], dim, out=outs[0]) if ins[0].ndim else np.copyto(outs[0], ins[0])


COMPLEX_PRODUCT = Host("complex_cumprod", _complex_product_body, grad={"input": _product_grad},
                       params=("input", "dim", "dtype"), node="CumprodBackward0")


def _complex_logsumexp_body(outs, ins, numbers, dim):
    """Running log(exp(a) + exp(b)) from the larger one: a + log(1 + exp(b - a))."""
    if not ins[0].ndim or not ins[0].size:
        outs[0][...] = ins[0]
        return
    values, found = np.moveaxis(ins[0], dim, 0), np.moveaxis(outs[0], dim, 0)
    found[0] = total = values[0]
    for i in range(1, len(values)):
        first = total.real >= values[i].real
        high, low = np.where(first, total, values[i]), np.where(first, values[i], total)
        found[i] = total = np.where(low.real == -np.inf, high, high + np.log1p(np.exp(low - high)))


COMPLEX_LOGSUMEXP = Host("complex_logcumsumexp", _complex_logsumexp_body, grad={"input": _log_grad},
                         params=("input", "dim"), node="LogcumsumexpBackward0")


def _record(op, values, outs):
    """Record a scan of values[0] along values[1]."""
    return apply(op, values, (values[0],), (), (("dim", values[1]), ("out", outs)))


def _summed(input, dtype):
    """The input as the dtype that sums and products have: int64 for integers unless given."""
    wanted = dtype or (input.dtype if input.dtype.category >= dt.FLOATING else dt.int64)
    return input.to(wanted)


@public("cumsum")
def cumsum(input, dim, *, dtype=None):
    """Return running sums along `dim`.

    y[i] = x[0] + ... + x[i]

    Args:
        input (Tensor): any shape and dtype.
        dim (int): the dimension to walk along.
        dtype (dtype, optional): the dtype to add up in; int64 for integers and bool by default.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `input`.

    Raises:
        IndexError: the dimension is out of range.

    Example:
        >>> torch.cumsum(torch.tensor([1, 2, 3, 4]), 0)
        tensor([ 1,  3,  6, 10])
    """
    input = _summed(input, dtype)
    dim = wrap_dim(dim, input.dim())
    if input._layout.dtype.is_complex:  # the parts add up apart
        return composed(CUMSUM.rule, (input, dim), lambda: view_as_complex(cumsum(view_as_real(
            resolve_conj(input if input.dim() else input.reshape(1))), dim)).reshape(input.shape))
    return _record(CUMSUM, (input, dim), ((tuple(input.shape), input.dtype),))[0]


@public("cumprod")
def cumprod(input, dim, *, dtype=None):
    """Return running products along `dim`.

    y[i] = x[0] * ... * x[i]

    Args:
        input (Tensor): any shape and dtype.
        dim (int): the dimension to walk along.
        dtype (dtype, optional): the dtype to multiply in; int64 for integers and bool by default.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `input`.

    Raises:
        IndexError: the dimension is out of range.

    Example:
        >>> torch.cumprod(torch.tensor([1, 2, 3, 4]), 0)
        tensor([ 1,  2,  6, 24])
    """
    input = _summed(input, dtype)
    dim = wrap_dim(dim, input.dim())
    if input._layout.dtype.is_complex:
        return apply(COMPLEX_PRODUCT, (input, dim, input.dtype), (input,), (),
                     (("dim", dim), ("out", ((tuple(input.shape), input.dtype),))))[0]
    return _record(CUMPROD, (input, dim, input.dtype), ((tuple(input.shape), input.dtype),))[0]


def _inplace(function):
    def call(self, dim, *, dtype=None):
        return self.copy_(function(self, dim, dtype=dtype or self.dtype))
    call.__doc__ = f"`{function.__name__}` in place."
    return call


public("Tensor.cumsum_", out=False)(_inplace(cumsum))
public("Tensor.cumprod_", out=False)(_inplace(cumprod))


def _extreme(op, input, dim, result):
    dim = wrap_dim(dim, input.dim())
    shape = tuple(input.shape)
    return result(*_record(op, (input, dim), ((shape, input.dtype), (shape, dt.int64))))


@public("cummax")
def cummax(input, dim):
    """Return running maxima along `dim` and the last positions where they were met.

    y[i] = max(x[0], ..., x[i])

    Args:
        input (Tensor): any shape; not complex.
        dim (int): the dimension to walk along.
        out (Tensor, optional): where the result is written.

    Returns:
        (values, indices): the shape of `input`; values of its dtype, indices int64.

    Raises:
        IndexError: the dimension is out of range.

    Example:
        >>> values, indices = torch.cummax(torch.tensor([1, 3, 2, 3]), 0)
        >>> values, indices
        (tensor([1, 3, 3, 3]), tensor([0, 1, 1, 3]))
    """
    return _extreme(CUMMAX, input, dim, CUMMAX_RESULT)


@public("cummin")
def cummin(input, dim):
    """Return running minima along `dim` and the last positions where they were met.

    y[i] = min(x[0], ..., x[i])

    Args:
        input (Tensor): any shape; not complex.
        dim (int): the dimension to walk along.
        out (Tensor, optional): where the result is written.

    Returns:
        (values, indices): the shape of `input`; values of its dtype, indices int64.

    Raises:
        IndexError: the dimension is out of range.

    Example:
        >>> values, indices = torch.cummin(torch.tensor([3, 1, 2, 1]), 0)
        >>> values, indices
        (tensor([3, 1, 1, 1]), tensor([0, 1, 1, 3]))
    """
    return _extreme(CUMMIN, input, dim, CUMMIN_RESULT)


@public("logcumsumexp")
def logcumsumexp(input, dim):
    """Return logarithms of running sums of exponentials along `dim`, without overflow.

    y[i] = log(exp(x[0]) + ... + exp(x[i]))

    Args:
        input (Tensor): any shape, floating or complex.
        dim (int): the dimension to walk along.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape and dtype of `input`.

    Raises:
        NotImplementedError: the dtype is neither floating nor complex.
        IndexError: the dimension is out of range.

    Example:
        >>> torch.logcumsumexp(torch.tensor([0.0, 0.0, 1000.0]), 0)
        tensor([0.0000e+00, 6.9315e-01, 1.0000e+03])
    """
    if input.dtype.category < dt.FLOATING:
        raise NotImplementedError(f"\"logcumsumexp_out_cpu\" not implemented for '{dt.scalar_type(input.dtype)}'")
    dim = wrap_dim(dim, input.dim())
    if input._layout.dtype.is_complex:
        return apply(COMPLEX_LOGSUMEXP, (input, dim), (input,), (),
                     (("dim", dim), ("out", ((tuple(input.shape), input.dtype),))))[0]
    return _record(LOGCUMSUMEXP, (input, dim), ((tuple(input.shape), input.dtype),))[0]
