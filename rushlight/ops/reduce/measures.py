"""Differences, integrals, distances and counts: diff, trapezoid, gradient, cdist, pdist, renorm, histc, histogram,
bincount.
"""

import math

from ...base.lazy import numpy as np
from ...core import dtype as dt
from ...core.declare import REGISTRY, public
from ...core.infer import wrap_dim
from ...core.kinds import Host
from ...core.record import record
from ...core.return_types import named_result
from ...core.tensor import Tensor
from ..basic.arithmetic import where
from ..basic.creation import zeros_like
from ..basic.pointwise import need_tensor
from ..basic.shape import cat, triu_indices
from .rows import narrow, wide
from .statistics import norm_grad, plain_norm, vector_norm

# -- differences and integrals ----------------------------------------------------------------------------------------


def _step(input, dim):
    size = input.shape[dim]
    after, before = input.narrow(dim, 1, size - 1), input.narrow(dim, 0, size - 1)
    return after != before if input.dtype is dt.bool_ else after - before


@public("diff")
def diff(input, n=1, dim=-1, prepend=None, append=None):
    """Return the n-th differences along `dim`.

    y[i] = x[i + 1] - x[i], `n` times

    Args:
        input (Tensor): any shape and dtype; bool elements are compared.
        n (int): how often differences are taken.
        dim (int): the dimension; the last one by default.
        prepend (Tensor, optional): what is put before `input` along `dim`.
        append (Tensor, optional): what is put behind it.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `input` with `n` elements less along `dim`, after what was added.

    Raises:
        RuntimeError: `n` is negative, or shapes do not fit.

    Example:
        >>> torch.diff(torch.tensor([1, 4, 9, 16])), torch.diff(torch.tensor([1, 4, 9, 16]), n=2)
        (tensor([3, 5, 7]), tensor([2, 2]))
    """
    need_tensor("diff", "input", 1, input)
    if input.dim() == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    at = wrap_dim(dim, input.dim())
    parts = [part for part in (prepend, input, append) if part is not None]
    for part in parts:
        if part.dim() != input.dim():
            raise RuntimeError("diff expects prepend or append to be the same dimension as input")
        for d, (have, want) in enumerate(zip(part.shape, input.shape)):
            if have != want and d != at:
                raise RuntimeError("diff expects the shape of tensor to prepend or append to match that of input "
                                   f"except along the differencing dimension; input.size({d}) = {want}, but got "
                                   f"tensor.size({d}) = {have}")
    joined = cat(parts, at) if len(parts) > 1 else input
    if n == 0:
        return input.clone()
    n = min(n, joined.shape[at])
    if n == joined.shape[at]:
        return joined.narrow(at, 0, 0).clone()
    for _ in range(n):
        joined = _step(joined, at)
    return joined


def _strips(y, x, dx, dim, name):
    """The areas of the trapezoids along `dim`."""
    need_tensor(name, "y", 1, y)
    if isinstance(x, Tensor):
        if dx is not None:
            raise TypeError(f"{name}() received an invalid combination of arguments: x and dx")
        if x.dim() == 0 or y.dim() == 0:
            raise RuntimeError(f"{name}: The x or y tensor is a scalar")
        widths = _widths(y, x, dim, name)
    else:
        widths = None
    at = wrap_dim(dim, y.dim())
    size = y.shape[at]
    sums = y.narrow(at, 1, size - 1) + y.narrow(at, 0, size - 1)
    if widths is None:
        return sums * ((1.0 if dx is None else dx) / 2.0), at
    return sums * widths / 2.0, at


def _widths(y, x, dim, name):
    at = wrap_dim(dim, y.dim())
    if x.dim() == 1:
        if x.shape[0] != y.shape[at]:
            raise RuntimeError(f"{name}: There must be one `x` value for each sample point")
        shape = [1] * y.dim()
        shape[at] = x.shape[0]
        x = x.reshape(shape)
    return diff(x, dim=dim)


def _without_points(y, x, dim):
    return (
        isinstance(y, Tensor)
        and y.dim()
        and y.shape[wrap_dim(dim, y.dim())] == 0
        and (x is None or not isinstance(x, Tensor))
    )


@public("torch.trapezoid torch.trapz", out=False)
def trapezoid(y, x=None, *, dx=None, dim=-1):
    """Return the integral of `y` along `dim` by the trapezoidal rule.

    sum((y[i] + y[i + 1]) / 2 * (x[i + 1] - x[i]))

    Args:
        y (Tensor): the values, any shape.
        x (Tensor, optional): the points, a vector or a shape that broadcasts with that of `y`.
        dx (number, optional): the distance of the points where there is no `x`; 1 by default.
        dim (int): the dimension; the last one by default.

    Returns:
        Tensor: the shape of `y` without `dim`.

    Raises:
        RuntimeError: there are other points than values.

    Example:
        >>> torch.trapezoid(torch.tensor([0.0, 1.0, 4.0]), dx=2.0)
        tensor(6.)
    """
    if _without_points(y, x, dim):
        return y.sum(dim) * 1.0
    areas, at = _strips(y, x, dx, dim, "trapezoid")
    return areas.sum(at)


@public("torch.cumulative_trapezoid", out=False)
def cumulative_trapezoid(y, x=None, *, dx=None, dim=-1):
    """Return the running integral of `y` along `dim` by the trapezoidal rule.

    Args:
        y (Tensor): the values, any shape.
        x (Tensor, optional): the points, a vector or a shape that broadcasts with that of `y`.
        dx (number, optional): the distance of the points where there is no `x`; 1 by default.
        dim (int): the dimension; the last one by default.

    Returns:
        Tensor: the shape of `y` with one element less along `dim`.

    Raises:
        RuntimeError: there are other points than values.

    Example:
        >>> torch.cumulative_trapezoid(torch.tensor([0.0, 1.0, 4.0]))
        tensor([0.5000, 3.0000])
    """
    if _without_points(y, x, dim):
        return y.clone()
    areas, at = _strips(y, x, dx, dim, "cumulative_trapezoid")
    return areas.cumsum(at)


def _slope(f, at, edge_order, spacing):
    """Second-order differences along one dimension; `spacing` a number or 1-d tensor of coordinates."""
    size = f.shape[at]

    def part(start, count):
        return f.narrow(at, start, count)
    cat = REGISTRY["cat"]
    if not isinstance(spacing, Tensor):
        h = spacing if isinstance(spacing, complex) else float(spacing)
        middle = (part(2, size - 2) - part(0, size - 2)) / (2 * h)
        low, high = (part(1, 1) - part(0, 1)) / h, (part(size - 1, 1) - part(size - 2, 1)) / h
        if edge_order == 2:
            low = (part(0, 1) * -1.5 + part(1, 1) * 2 - part(2, 1) * 0.5) / h
            high = (part(size - 3, 1) * 0.5 - part(size - 2, 1) * 2 + part(size - 1, 1) * 1.5) / h
        return cat([low, middle, high], at)
    shape = [1] * f.dim()
    shape[at] = -1
    steps = diff(spacing).reshape(shape)
    a, b = steps.narrow(at, 0, size - 2), steps.narrow(at, 1, size - 2)
    middle = part(0, size - 2) * (-b / (a * (a + b))) + part(1, size - 2) * ((b - a) / (a * b)) \
        + part(2, size - 2) * (a / (b * (a + b)))
    first, last = steps.narrow(at, 0, 1), steps.narrow(at, size - 2, 1)
    low, high = (part(1, 1) - part(0, 1)) / first, (part(size - 1, 1) - part(size - 2, 1)) / last
    if edge_order == 2:
        a, b = first, steps.narrow(at, 1, 1)
        low = (
            part(0, 1) * (-(2 * a + b) / (a * (a + b)))
            + part(1, 1) * ((a + b) / (a * b))
            - part(2, 1) * (a / (b * (a + b)))
        )
        a, b = steps.narrow(at, size - 3, 1), last
        high = part(size - 3, 1) * (b / (a * (a + b))) - part(size - 2, 1) * ((a + b) / (a * b)) \
            + part(size - 1, 1) * ((a + 2 * b) / (b * (a + b)))
    return cat([low, middle, high], at)


@public("torch.gradient", out=False)
def gradient(input, *, spacing=1, dim=None, edge_order=1):
    """A list of estimates of the derivatives along `dim` (default all): central differences inside, one-sided at the
    ends.

    spacing: a number for all dimensions, one for each, or coordinates (1-d tensors) for each."""
    need_tensor("gradient", "input", 1, input)
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    rank, spacing = input.dim(), 1 if spacing is None else spacing
    dims = range(rank) if dim is None else [dim] if isinstance(dim, int) else dim
    dims = [wrap_dim(d, rank) for d in dims]
    if len(set(dims)) != len(dims):
        raise RuntimeError("dim repeated in the list of dims")
    spaces = list(spacing) if isinstance(spacing, (list, tuple)) else [spacing] * len(dims)
    if len(spaces) != len(dims):
        raise RuntimeError("torch.gradient expected spacing to be unspecified, a scalar or a list of length equal to "
                           f"'self.dim() = {rank}' or the number of dims, but got a list of length {len(spaces)}")
    for d, space in zip(dims, spaces):
        if input.shape[d] < edge_order + 1:
            raise RuntimeError("torch.gradient expected each dimension size to be at least edge_order+1")
        if isinstance(space, Tensor) and space.numel() != input.shape[d]:
            raise RuntimeError(f"torch.gradient expected each element of spacing to be of size {input.shape[d]}, got "
                               f"{space.numel()}")
    if input._layout.dtype.category < dt.FLOATING:
        input = input.to(dt.get_default_dtype())
    return [_slope(input, d, edge_order, space) for d, space in zip(dims, spaces)]


# -- distances --------------------------------------------------------------------------------------------------------


def _apart(x1, x2):
    return wide(x1).unsqueeze(-2) - wide(x2).unsqueeze(-3)


def _cdist_grad(first):
    def formula(g, x1, x2, out, p):
        away = _apart(x1, x2)
        slope = norm_grad(g, away, out, p, (away.dim() - 1,), False)
        if slope is None:
            return zeros_like(x1 if first else x2)
        return slope.sum(-2) if first else -slope.sum(-3)
    return formula


@public("", node="CdistBackward0", grad={"x1": _cdist_grad(True), "x2": _cdist_grad(False)}, out=False)
def cdist_values(x1, x2, p):
    """The p-norms of the differences of all pairs of rows."""
    away = _apart(x1, x2)
    return narrow(plain_norm(away, p, (away.dim() - 1,), False), x1._layout.dtype)


@public("torch.cdist", out=False, cast="float32")
def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary"):
    """Return the distances between all pairs of rows of two matrices.

    y[i][j] = sum(abs(x1[i] - x2[j])**p)**(1 / p)

    Args:
        x1 (Tensor): (..., P, M), floating.
        x2 (Tensor): (..., R, M), floating.
        p (float): the order of the norm, not negative.
        compute_mode (str): accepted; whether Euclidean distances may be computed by a matrix product.

    Returns:
        Tensor: (..., P, R).

    Raises:
        RuntimeError: the last dimensions differ, `p` is negative, or the dtype is not floating.

    Example:
        >>> torch.cdist(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
        tensor([[5., 1.]])
    """
    need_tensor("cdist", "x1", 1, x1)
    need_tensor("cdist", "x2", 2, x2)
    if x1.dim() < 2 or x2.dim() < 2:
        raise RuntimeError(f"cdist only supports at least 2D tensors, X{1 if x1.dim() < 2 else 2} got: "
                           f"{(x1 if x1.dim() < 2 else x2).dim()}D")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}")
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    if compute_mode not in (
        "use_mm_for_euclid_dist_if_necessary",
        "use_mm_for_euclid_dist",
        "donot_use_mm_for_euclid_dist",
    ):
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    for x in (x1, x2):
        if x._layout.dtype.category < dt.FLOATING:
            raise RuntimeError(f"cdist only supports floating-point dtypes, X{1 + (x is x2)} got: "
                               f"{dt.scalar_type(x._layout.dtype)}")
    return cdist_values(x1, x2, float(p))


def _pairs(input):
    """The positions of all pairs of rows."""
    count = input.shape[0]
    places = triu_indices(count, count, 1, device=input.device)
    return places[0], places[1]


def _pdist_grad(g, input, out, p):
    first, second = _pairs(input)
    away = input.index_select(0, first) - input.index_select(0, second)
    slope = norm_grad(g, away, out, p, (1,), False)
    zeros = zeros_like(input)
    if slope is None:
        return zeros
    return zeros.index_add(0, first, slope).index_add(0, second, -slope)


@public("", node="PdistBackward0", grad={"input": _pdist_grad}, out=False)
def pdist_values(input, p):
    """The p-norms of the differences of all pairs i < j of rows."""
    first, second = _pairs(input)
    return plain_norm(input.index_select(0, first) - input.index_select(0, second), p, (1,), False)


@public("pdist nn.functional.pdist", out=False)
def pdist(input, p=2.0):
    """Return the distances of all pairs of rows of a matrix.

    Args:
        input (Tensor): (N, M), floating.
        p (float): the order of the norm, not negative.

    Returns:
        Tensor: a vector of N * (N - 1) / 2 distances: of rows 0 and 1, 0 and 2, and so on.

    Raises:
        RuntimeError: `input` is not a matrix, or `p` is negative.

    Example:
        >>> torch.pdist(torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]), p=1.0)
        tensor([7., 1., 6.])
    """
    need_tensor("pdist", "input", 1, input)
    if input.dim() != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.dim()}D")
    if input._layout.dtype.category < dt.FLOATING:
        raise RuntimeError("pdist only supports floating-point dtypes")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    return pdist_values(input, float(p))


def _renormed(input, p, dim, maxnorm):
    if isinstance(p, complex) or p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm:g}")
    if input.dim() < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {input.dim()} dimensions")
    at = wrap_dim(dim, input.dim())
    length = vector_norm(input, p, [d for d in range(input.dim()) if d != at], True)
    return input * where(length > maxnorm, maxnorm / (length + 1e-7), 1.0)


@public("renorm")
def renorm(input, p, dim, maxnorm):
    """Return a copy in which each slice along `dim` has a p-norm of `maxnorm` at most.

    Args:
        input (Tensor): at least two dimensions, floating.
        p (float): the order of the norm, positive.
        dim (int): the dimension whose slices are scaled.
        maxnorm (float): the largest norm.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape and dtype of `input`.

    Raises:
        RuntimeError: fewer dimensions, `p` is not positive, or `maxnorm` is negative.

    Example:
        >>> torch.renorm(torch.tensor([[3.0, 4.0], [0.0, 1.0]]), 2, 0, 2.5)
        tensor([[1.5000, 2.0000],
                [0.0000, 1.0000]])
    """
    need_tensor("renorm", "input", 1, input)
    return _renormed(input, p, dim, maxnorm)


@public("Tensor.renorm_", out=False)
def renorm_(self, p, dim, maxnorm):
    """`renorm` in place."""
    return self.copy_(_renormed(self, p, dim, maxnorm))


# -- counts -----------------------------------------------------------------------------------------------------------


def _histc_body(outs, ins, numbers):
    values, (low, high) = ins[0].ravel(), numbers
    bins = outs[0].shape[0]
    inside = values[(values >= low) & (values <= high)]
    # the bin as PyTorch computes it, the upper end belongs to the last one
    place = ((inside - low) * bins / (high - low)).astype(np.int64)
    outs[0][...] = np.bincount(np.minimum(place, bins - 1), minlength=bins)


HISTC = Host("histc", _histc_body)


@public("histc")
def histc(input, bins=100, min=0, max=0):
    """Count the elements in equal intervals of a range.

    Args:
        input (Tensor): any shape, floating.
        bins (int): how many intervals.
        min (number): the beginning of the range.
        max (number): its end; where both are equal, the range of the data is taken.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: a vector of `bins` counts, of the dtype of `input`; elements outside do not count.

    Raises:
        RuntimeError: `bins` is not positive, or `min` is larger than `max`.

    Example:
        >>> torch.histc(torch.tensor([1.0, 2.0, 1.0, 5.0]), bins=4, min=0, max=4)
        tensor([0., 2., 1., 0.])
    """
    need_tensor("histc", "input", 1, input)
    if input._layout.dtype.category > dt.FLOATING or input._layout.dtype is dt.bool_:
        raise NotImplementedError(f"\"histogram_cpu\" not implemented for '{dt.scalar_type(input._layout.dtype)}'")
    if bins <= 0:
        raise RuntimeError("bins must be > 0")
    low, high = float(min), float(max)
    if low == high and input.numel():
        low, high = [float(v) for v in input.detach().aminmax()]
    if low == high:
        low, high = low - 1, high + 1
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"range of [{low:g}, {high:g}] is not finite")
    if low > high:
        raise RuntimeError("max must be larger than min")
    return record(HISTC, "tnn", (("out", (((int(bins),), input._layout.dtype),)),), (input.detach(),), (low, high))[0]


def _bincount_body(outs, ins, numbers):
    weights = ins[1] if len(ins) > 1 else None
    outs[0][...] = np.bincount(ins[0], weights=weights, minlength=outs[0].shape[0])


BINCOUNT = Host("bincount", _bincount_body)


@public("bincount", out=False)
def bincount(input, weights=None, minlength=0):
    """Count how often each number occurs in a vector of integers, or add up weights.

    y[n] = sum(weights[i] where input[i] == n)

    Args:
        input (Tensor): a vector of integers, not negative.
        weights (Tensor, optional): one weight for each element; 1 by default.
        minlength (int): the least size of the result.

    Returns:
        Tensor: a vector that reaches to the largest number; int64, or the floating dtype of the weights.

    Raises:
        RuntimeError: `input` is not a vector of such integers, or the weights have another size.

    Example:
        >>> torch.bincount(torch.tensor([0, 2, 2])), torch.bincount(torch.tensor([0, 1]), torch.tensor([0.5, 1.5]))
        (tensor([1, 0, 2]), tensor([0.5000, 1.5000]))
    """
    need_tensor("bincount", "input", 1, input)
    if input._layout.dtype.category >= dt.FLOATING or input._layout.dtype is dt.bool_:
        raise NotImplementedError(f"\"bincount_cpu\" not implemented for '{dt.scalar_type(input._layout.dtype)}'")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if input.dim() != 1:
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is not None and weights.shape != input.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    low, high = (int(v) for v in input.aminmax()) if input.numel() else (0, -1)
    if low < 0:
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    result = dt.int64 if weights is None else dt.float32 if weights.dtype is dt.float32 else dt.float64
    ins = (input,) if weights is None else (input, weights.detach())
    return record(BINCOUNT, "t" * len(ins), (("out", (((max(high + 1, minlength),), result),)),), ins)[0]


HISTOGRAM = named_result("histogram", "hist", "bin_edges")
HISTOGRAMDD = named_result("histogramdd", "hist", "bin_edges")


def _edges(values, bins, bounds):
    """Edges of equal bins over `bounds` or the range of the data."""
    if bounds is not None:
        low, high = bounds
    elif values.size:
        low, high = values.min(), values.max()
    else:
        low, high = 0.0, 1.0
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"range [{low:g}, {high:g}] is not finite")
    if low > high:
        raise RuntimeError(f"min should not exceed max, but got min {low:g} max {high:g}")
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, int(bins) + 1, dtype=values.dtype)


def _histogram_body(outs, ins, numbers, given, weighted, density):
    """ins: points (N, D), weights if `weighted`, then edges where `given`; numbers: the ranges or nothing; outs:
    counts, edges.
    """
    points, rest = ins[0].reshape(-1, len(given)), list(ins[1:])
    weights = rest.pop(0).ravel() if weighted else None
    edges = []
    for d, fixed in enumerate(given):
        bounds = numbers[2 * d:2 * d + 2] if numbers else None
        edges.append(rest.pop(0) if fixed else _edges(points[:, d], outs[1 + d].shape[0] - 1, bounds))
        outs[1 + d][...] = edges[-1]
    counts = _counted(points, edges, weights)
    if density:
        total = counts.sum()
        for d, edge in enumerate(edges):
            counts = counts / np.diff(edge).reshape([-1 if i == d else 1 for i in range(len(edges))])
        counts = counts / total
    outs[0][...] = counts


def _counted(points, edges, weights):
    """Sums of the weights of the points in each bin; the last bin of a dimension includes its upper edge."""
    inside = np.ones(len(points), bool)
    places = []
    for d, edge in enumerate(edges):
        column = points[:, d]
        inside &= (column >= edge[0]) & (column <= edge[-1])
        places.append(np.minimum(np.searchsorted(edge, column, side="right") - 1, len(edge) - 2))
    shape = tuple([len(edge) - 1 for edge in edges])
    flat = np.ravel_multi_index([place[inside] for place in places], shape) if inside.any() else np.empty(0, np.int64)
    return np.bincount(flat, weights=None if weights is None else weights[inside], minlength=math.prod(shape)).reshape(
        shape
    )


HISTOGRAM_OP = Host("histogram", _histogram_body)


def _histogram(name, input, bins, bounds, weight, density):
    """(counts, list of edges) of rows of points; `bins`: a number or a 1-d tensor of edges for each column."""
    if input.dtype not in (dt.float32, dt.float64):
        raise NotImplementedError(f"\"histogramdd\" not implemented for '{dt.scalar_type(input.dtype)}'")
    if weight is not None and weight.dtype is not input.dtype:
        raise RuntimeError(f"torch.{name}: if weight tensor is provided, input tensor and weight tensor should have "
                           "the same dtype")
    for edges in bins:
        if isinstance(edges, Tensor) and edges.dtype is not input.dtype:
            raise RuntimeError(f"torch.{name}: input tensor and bins tensors should have the same dtype")
        if isinstance(edges, Tensor) and edges.dim() != 1:
            raise RuntimeError(f"torch.{name}: bins tensor should have one dimension, but got {edges.dim()} dimensions")
        if not isinstance(edges, Tensor) and edges <= 0:
            raise RuntimeError(f"torch.{name}: bins must be > 0, but got {edges}")
    given = tuple([isinstance(edges, Tensor) for edges in bins])
    sizes = [edges.numel() if isinstance(edges, Tensor) else int(edges) + 1 for edges in bins]
    ins = [input.detach(), *([] if weight is None else [weight.detach()]), *[e for e in bins if isinstance(e, Tensor)]]
    numbers = () if bounds is None else tuple([float(b) for b in bounds])
    outs = ((tuple([n - 1 for n in sizes]), input.dtype), *[((n,), input.dtype) for n in sizes])
    attrs = (("given", given), ("weighted", weight is not None), ("density", bool(density)), ("out", outs))
    found = record(HISTOGRAM_OP, "t" * len(ins) + "n" * len(numbers), attrs, ins, numbers)
    return found[0], found[1:]


@public("histogram")
def histogram(input, bins, *, range=None, weight=None, density=False):
    """Count the elements in the intervals between edges.

    Args:
        input (Tensor): any shape, float32 or float64.
        bins (int or Tensor): how many equal intervals, or a vector of edges in ascending order.
        range (tuple of two floats, optional): where equal intervals begin and end; the range of the data by default.
        weight (Tensor, optional): what each element counts, in the shape of `input`.
        density (bool): whether counts are divided by their sum and by the widths of the intervals.
        out (Tensor, optional): where the result is written.

    Returns:
        (hist, bin_edges): counts of the dtype of `input`, and one edge more.

    Raises:
        RuntimeError: edges that do not ascend, weights of another shape, or a range that is not finite.

    Example:
        >>> counts, edges = torch.histogram(torch.tensor([1.0, 2.0, 1.0]), bins=2, range=(0.0, 4.0))
        >>> counts, edges
        (tensor([2., 1.]), tensor([0., 2., 4.]))
    """
    need_tensor("histogram", "input", 1, input)
    counts, edges = _histogram("histogram", input, [bins], range, weight, density)
    return HISTOGRAM(counts, edges[0])


@public("torch.histogramdd", out=False)
def histogramdd(input, bins, *, range=None, weight=None, density=False):
    """(counts, list of edges) of points (..., D) in D-dimensional bins."""
    need_tensor("histogramdd", "input", 1, input)
    if input.dim() < 2:
        raise RuntimeError("torch.histogramdd: input tensor should have at least 2 dimensions")
    columns = input.shape[-1]
    bins = [bins] * columns if isinstance(bins, int) else list(bins)
    if len(bins) != columns:
        raise RuntimeError(f"torch.histogramdd: expected {columns} sequences of bin edges for a {columns}-dimensional "
                           f"histogram but got {len(bins)}")
    counts, edges = _histogram("histogramdd", input, bins, range, weight, density)
    return HISTOGRAMDD(counts, tuple(edges))
