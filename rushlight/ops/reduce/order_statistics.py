"""Order statistics: median, nanmedian, kthvalue, mode, quantile, nanquantile.

Where the chosen element lies is found by a selection kernel (codegen/cpu/rows/select.py), for the mode by a library
call on host arrays; the value is picked from there, and its gradient goes back there. NaN counts as the largest number.
"""

from ...base.lazy import numpy as np
from ...core import dtype as dt
from ...core.declare import REGISTRY, into_out, public
from ...core.infer import wrap_dim
from ...core.kinds import Host, Kernel
from ...core.record import record
from ...core.return_types import named_result
from ...core.tensor import Tensor
from ..basic.creation import full, zeros
from ..basic.fetch import check_no_overlap
from ..basic.pick import pick, spread
from ..basic.pointwise import need_tensor
from .extremes import shared

RESULTS = {name: named_result(name, "values", "indices") for name in ("median", "nanmedian", "kthvalue", "mode")}


def where(condition, input, other):
    return REGISTRY["where"](condition, input, other)


# -- positions --------------------------------------------------------------------------------------------------------


def _mode_body(outs, ins, numbers, dim):
    """The last place of the smallest of the most frequent values."""
    values = np.moveaxis(ins[0], dim, -1)
    order = np.argsort(values, axis=-1, kind="stable")
    ranked = np.take_along_axis(values, order, -1)
    places = np.arange(ranked.shape[-1])
    starts = np.ones(ranked.shape, bool)
    starts[..., 1:] = ranked[..., 1:] != ranked[..., :-1]
    run = places - np.maximum.accumulate(np.where(starts, places, 0), -1)
    last = np.take_along_axis(order, run.argmax(-1)[..., None], -1)
    outs[0][...] = np.moveaxis(last, -1, dim)


SELECT = Kernel("select_position", lower="rows.select:lower_select", reads="any")
MODE_POSITION = Host("mode_position", _mode_body)


def _chosen_grad(g, input_layout, outs, dim, keepdim):
    g, index = (g[0], outs[1]) if keepdim else (g[0].unsqueeze(dim), outs[1].unsqueeze(dim))
    return spread(g, index, dim, input_layout.shape[dim])


def _choosing_node(name, node):
    def function(input, dim, keepdim, number):
        """(value, position) of the chosen element along a dimension."""
        shape = list(input.shape)
        shape[dim] = 1
        attrs = (("dim", dim), ("out", ((tuple(shape), dt.int64),)))
        if name == "mode":
            index = record(MODE_POSITION, "t", attrs, (input,))[0]
        else:
            chosen = (*attrs, ("which", name), ("k", 0 if number is None else number - 1))
            index = record(SELECT, "t", chosen, (input,))[0]
        values = pick(input, index, dim)
        if not keepdim:
            return [without(values, dim), without(index, dim)]
        return [values, index]
    function.__name__ = name
    return public("", node=node, grad={"input": _chosen_grad}, out=False)(function)


def without(tensor, dim):
    """A new tensor without a dimension of size 1, which is not a view."""
    seen = tensor.squeeze(dim)
    seen._base = None
    return seen


NODES = {
    "kthvalue": _choosing_node("kthvalue", "KthvalueBackward0"),
    "median": _choosing_node("median", "MedianBackward1"),
    "nanmedian": _choosing_node("nanmedian", "NanmedianBackward1"),
    "mode": _choosing_node("mode", "ModeBackward0"),
}


def _along(name, input, dim, keepdim, number=None):
    need_tensor(name, "input", 1, input)
    at = wrap_dim(dim, input.dim())
    if input.dim() == 0:
        return RESULTS[name](input.clone(), zeros((), dtype=dt.int64, device=input.device))
    if input.shape[at] == 0:
        raise IndexError(f"{name}(): Expected reduction dim {at} to have non-zero size.")
    return RESULTS[name](*NODES[name](input, at, bool(keepdim), number))


# -- median -----------------------------------------------------------------------------------------------------------


def _whole_grad(g, input, out):
    return shared(g, input, out, tuple(range(input.dim())), False)


def _whole_nan_grad(g, input, out):
    return where(out.isnan(), where(input.isnan(), g / input.numel(), 0), _whole_grad(g, input, out))


def _whole_node(name, node):
    def function(input):
        """The median of all elements."""
        return NODES[name](input.reshape(-1), 0, False, None)[0]
    function.__name__ = name
    return public("", node=node, grad={"input": _whole_nan_grad}, out=False)(function)


WHOLE = {
    "median": _whole_node("median", "MedianBackward0"),
    "nanmedian": _whole_node("nanmedian", "NanmedianBackward0"),
}


def _median(name, input, dim, keepdim):
    need_tensor(name, "input", 1, input)
    if dim is not None:
        return _along(name, input, dim, keepdim)
    if not input.numel():
        nothing = float("nan") if input.is_floating_point() else dt.iinfo(input.dtype).min
        return full((), nothing, dtype=input.dtype, device=input.device)
    return WHOLE[name](input)


@public("median")
def median(input, dim=None, keepdim=False):
    """Return the median of all elements, or the medians along `dim` with their positions.

    Of two elements in the middle the lower one counts. A NaN among the elements is the median.

    Args:
        input (Tensor): any shape; not complex.
        dim (int, optional): the dimension to reduce; all of them by default.
        keepdim (bool): whether the reduced dimension stays, with size 1.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor, or (values, indices) with `dim`: the shape of `input` without it; indices are int64.

    Raises:
        IndexError: the dimension is out of range, or has size 0.

    Example:
        >>> torch.median(torch.tensor([4.0, 1.0, 3.0, 2.0]))
        tensor(2.)
    """
    return _median("median", input, dim, keepdim)


@public("nanmedian")
def nanmedian(input, dim=None, keepdim=False):
    """Return the median of the elements that are not NaN, or the medians along `dim` with their positions.

    Args:
        input (Tensor): any shape; not complex.
        dim (int, optional): the dimension to reduce; all of them by default.
        keepdim (bool): whether the reduced dimension stays, with size 1.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor, or (values, indices) with `dim`: the shape of `input` without it; indices are int64.

    Raises:
        IndexError: the dimension is out of range, or has size 0.

    Example:
        >>> torch.nanmedian(torch.tensor([4.0, float("nan"), 1.0, 3.0]))
        tensor(3.)
    """
    return _median("nanmedian", input, dim, keepdim)


@public("kthvalue")
def kthvalue(input, k, dim=-1, keepdim=False, *, out=None):
    """Return the k-th smallest elements along `dim` and their positions.

    Args:
        input (Tensor): any shape; not complex.
        k (int): which element, counted from 1.
        dim (int): the dimension to reduce; the last one by default.
        keepdim (bool): whether the reduced dimension stays, with size 1.
        out (tuple of two Tensors, optional): where the results are written.

    Returns:
        (values, indices): the shape of `input` without `dim`; indices are int64.

    Raises:
        RuntimeError: `k` is smaller than 1 or larger than the size of `dim`.

    Example:
        >>> values, indices = torch.kthvalue(torch.tensor([4, 1, 3]), 2)
        >>> values, indices
        (tensor(3), tensor(2))
    """
    need_tensor("kthvalue", "input", 1, input)
    at = wrap_dim(dim, input.dim())
    size = input.shape[at] if input.dim() else 1
    if not 1 <= k <= max(size, 1):
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {at}")
    if out is None:
        return _along("kthvalue", input, dim, keepdim, int(k))
    check_no_overlap(out[0], input)
    return into_out("kthvalue", _along, out, ("kthvalue", input, dim, keepdim, int(k)), {})


@public("mode")
def mode(input, dim=-1, keepdim=False):
    """Return the most frequent elements along `dim` and the last positions where they are.

    Of equally frequent elements the smallest counts.

    Args:
        input (Tensor): any shape; not complex.
        dim (int): the dimension to reduce; the last one by default.
        keepdim (bool): whether the reduced dimension stays, with size 1.
        out (Tensor, optional): where the result is written.

    Returns:
        (values, indices): the shape of `input` without `dim`; indices are int64.

    Raises:
        IndexError: the dimension is out of range, or has size 0.

    Example:
        >>> values, indices = torch.mode(torch.tensor([3, 1, 3, 2]))
        >>> values, indices
        (tensor(3), tensor(2))
    """
    return _along("mode", input, dim, keepdim)


# -- quantiles --------------------------------------------------------------------------------------------------------

INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _check_quantile(name, input, q, interpolation):
    need_tensor(name, "input", 1, input)
    if interpolation not in INTERPOLATIONS:
        raise RuntimeError(f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, but "
                           f"got {interpolation}")
    if not input.numel():
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    if input.dtype not in (dt.float32, dt.float64):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if isinstance(q, Tensor):
        if q.dim() > 1:
            raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
        if q.dtype is not input.dtype:
            raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
        if q.device != input.device:
            raise RuntimeError(f"{name}() q tensor must be on the same device as the input tensor")
        if bool(((q < 0) | (q > 1)).any()):
            raise RuntimeError(f"{name}() q values must be in the range [0, 1]")
        return q
    if not 0 <= q <= 1:
        raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q:g}")
    return full((), float(q), dtype=input.dtype, device=input.device)


def _ranks(ordered, q, ignore_nan):
    """The fractional positions (..., number of q) of the quantiles in the sorted rows."""
    size = ordered.shape[-1]
    if ignore_nan:
        count = ordered.isnan().logical_not().sum(-1, keepdim=True)
        return (q * (count - 1)).clamp_min(0)
    last = (q * (size - 1)).expand(*ordered.shape[:-1], q.numel())
    return where(ordered.isnan().any(-1, keepdim=True), float(size - 1), last)


def _interpolate(ordered, ranks, interpolation):
    if interpolation == "lower":
        ranks = ranks.floor()
    elif interpolation == "higher":
        ranks = ranks.ceil()
    elif interpolation == "nearest":
        ranks = ranks.round()
    below = ranks.to(dt.int64)
    low = ordered.gather(-1, below)
    if interpolation in ("lower", "higher", "nearest"):
        return low
    weights = ranks.detach() * 0 + 0.5 if interpolation == "midpoint" else ranks - below
    high = ordered.gather(-1, ranks.ceil().to(dt.int64))
    return low.lerp(high, weights)


def _quantile(name, input, q, dim, keepdim, interpolation, ignore_nan):
    points = _check_quantile(name, input, q, interpolation)
    rank = input.dim()
    at = wrap_dim(0 if dim is None else dim, rank)
    x = input.reshape(-1) if dim is None or rank == 0 else input.transpose(at, -1)
    ordered = x.sort(-1)[0]
    found = _interpolate(ordered, _ranks(ordered, points.reshape(-1), ignore_nan), interpolation)
    if dim is None:
        found = found.reshape([1] * rank + [-1]) if keepdim else found
    elif keepdim or rank == 0:
        found = found.unsqueeze(-2).transpose(at, -2) if rank else found
    else:
        found = found.unsqueeze(-2).transpose(at, -2).squeeze(at)
    return found.squeeze(-1) if points.dim() == 0 else found.movedim(-1, 0)


@public("quantile", cast="float32")
def quantile(input, q, dim=None, keepdim=False, *, interpolation="linear"):
    """Return the q-th quantiles of all elements, or along `dim`.

    The quantile lies at position q * (n - 1) of the sorted elements; `interpolation` says what is between two of them.

    Args:
        input (Tensor): any shape, float32 or float64.
        q (float or Tensor): a number or a vector of numbers in [0, 1].
        dim (int, optional): the dimension to reduce; the tensor is flattened by default.
        keepdim (bool): whether the reduced dimension stays, with size 1.
        interpolation (str): "linear", "lower", "higher", "midpoint" or "nearest".
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `input` without `dim`, behind the dimension of `q` if it is a vector.

    Raises:
        RuntimeError: another dtype, or `q` outside of [0, 1].

    Example:
        >>> torch.quantile(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0.5, 0.75]))
        tensor([2., 3.])
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, False)


@public("nanquantile", cast="float32")
def nanquantile(input, q, dim=None, keepdim=False, *, interpolation="linear"):
    """Return the q-th quantiles of the elements that are not NaN.

    Args:
        input (Tensor): any shape, float32 or float64.
        q (float or Tensor): a number or a vector of numbers in [0, 1].
        dim (int, optional): the dimension to reduce; the tensor is flattened by default.
        keepdim (bool): whether the reduced dimension stays, with size 1.
        interpolation (str): "linear", "lower", "higher", "midpoint" or "nearest"; see `quantile`.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `input` without `dim`, behind the dimension of `q` if it is a vector.

    Raises:
        RuntimeError: another dtype, or `q` outside of [0, 1].

    Example:
        >>> torch.nanquantile(torch.tensor([1.0, float("nan"), 3.0]), 0.5)
        tensor(2.)
    """
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, True)
