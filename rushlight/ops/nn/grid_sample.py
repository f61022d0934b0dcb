"""Sampling of images and volumes at given places: grid_sample, and affine_grid, which makes such places.

Coordinates run from -1 to 1 over the image. One gather kernel interpolates; the same body with derivatives of the
weights gives the gradient of the places, and the weights themselves, scattered, that of the image.
"""

import itertools
import math
import warnings

from ...core import dtype as dt
from ...core.declare import REGISTRY, public
from ...core.kinds import Gather
from ...core.record import record
from ..basic.creation import linspace, zeros, zeros_like
from ..basic.fetch import Place, scatter_sum
from ..basic.shape import cat, stack
from ..linalg.matmul import matmul
from .pooling import check_tensor

CUBIC = -0.75


# -- one dimension ---------------------------------------------------------------------------------------------------


def clipped(k, c, size):
    """(the coordinate within the image, its derivative)."""
    last = k.cast(size, c.dtype) - 1
    zero = k.const(0.0, c.dtype)
    inside = k.logical_and(c > 0, c < last)
    return k.where(c >= last, last, k.where(c > 0, c, zero)), k.where(inside, k.const(1.0, c.dtype), zero)


def reflected(k, c, size, align):
    """(the coordinate mirrored at the borders until it is inside, its derivative)."""
    wide = k.cast(size, c.dtype)
    low = 0.0 if align else -0.5
    span = wide - 1 if align else wide
    moved = c - low
    sign = k.where(moved < 0, k.const(-1.0, c.dtype), k.const(1.0, c.dtype))
    moved = k.abs(moved)
    safe = k.where(span > 0, span, k.const(1.0, c.dtype))
    turns = k.floor(moved / safe)
    rest = moved - turns * safe
    odd = (turns - k.floor(turns * 0.5) * 2.0).eq(1.0)
    value = k.where(odd, span - rest, rest) + low
    zero = k.const(0.0, c.dtype)
    return k.where(span > 0, value, zero), k.where(span > 0, k.where(odd, -sign, sign), zero)


def padded(k, c, size, padding, align):
    """(the coordinate after padding, its derivative)."""
    if padding == "zeros":
        return c, k.const(1.0, c.dtype)
    if padding == "border":
        return clipped(k, c, size)
    c, first = reflected(k, c, size, align)
    c, second = clipped(k, c, size)
    return c, first * second


def whole(k, c):
    """A coordinate without fraction as an index; -100 if it is not an integer."""
    fits = k.abs(c) < 1e9
    return k.cast(k.where(fits, c, k.const(-100.0, c.dtype)), dt.int64)


def cubic_weights(k, t, order):
    """Keys' kernel at distances 1 + t, t, 1 - t, 2 - t, or its first or second derivatives in t."""
    a, found = CUBIC, []
    for x, far, sign in ((t + 1, True, 1), (t, False, 1), (1 - t, False, -1), (2 - t, True, -1)):
        if order == 2:
            value = x * (6 * a) - 10 * a if far else x * (6 * (a + 2)) - 2 * (a + 3)
        elif order == 1:
            value = (((x * (3 * a) - 10 * a) * x + 8 * a) if far else (x * (3 * (a + 2)) - 2 * (a + 3)) * x) * float(
                sign
            )
        else:
            value = ((x * a - 5 * a) * x + 8 * a) * x - 4 * a if far else (x * (a + 2) - (a + 3)) * x * x + 1
        found.append(value)
    return found


def line_taps(k, c, size, mode, padding, align, order):
    """The positions of one dimension: [(index, mask, weight)]; `order`: how often weights are differentiated by `c`
    (in -1..1).
    """
    wide = k.cast(size, c.dtype)
    factor = (wide - 1) * 0.5 if align else wide * 0.5
    c = (c + 1.0) * factor if align else ((c + 1.0) * wide - 1.0) * 0.5

    def tap(i, weight):
        mask = k.logical_and(i >= 0, i < size)
        return i, mask, weight

    if mode == "bicubic":
        low = k.floor(c)
        found = []
        for j, weight in enumerate(cubic_weights(k, c - low, order)):
            place = padded(k, low + float(j - 1), size, padding, align)[0]
            for _ in range(order):
                weight = weight * factor
            found.append(tap(whole(k, k.round(place)), weight))
        return found
    c, slope = padded(k, c, size, padding, align)
    if mode == "nearest":
        return [tap(whole(k, k.round(c)), k.const(0.0 if order else 1.0, c.dtype))]
    low = k.floor(c)
    i, t = whole(k, low), c - low
    if order == 2:
        return [tap(i, k.const(0.0, c.dtype)), tap(i + 1, k.const(0.0, c.dtype))]
    if order:
        return [tap(i, -(factor * slope)), tap(i + 1, factor * slope)]
    return [tap(i, 1 - t), tap(i + 1, t)]


def all_taps(k, grid, sizes, places, mode, padding, align, orders):
    """The taps of all dimensions; `orders`: how often the weights of each are differentiated."""
    n = len(sizes)
    return [
        line_taps(k, grid.load([*places, n - 1 - d]), size, mode, padding, align, orders[d])
        for d, size in enumerate(sizes)
    ]


def _sample_body(k, x, grid, mode, padding, align, orders):
    rank, total = len(x.shape), None
    places = [k.index(0), *[k.index(d) for d in range(2, rank)]]
    for chosen in itertools.product(*all_taps(k, grid, x.shape[2:], places, mode, padding, align, orders)):
        at, mask, factor = [k.index(0), k.index(1)], None, None
        for i, m, w in chosen:
            at.append(k.where(m, i, k.const(0, dt.int64)))
            mask = m if mask is None else k.logical_and(mask, m)
            factor = w if factor is None else factor * w
        value = x.load(at, mask, 0) * factor
        total = value if total is None else total + value
    return total


def _place_body(k, grid, size, mode, padding, align, order, coordinate, tap, what):
    """The position of one tap along one dimension, or its weight, over (N, ...): both 0 where it is outside."""
    c = grid.load([*[k.index(d) for d in range(len(grid.shape) - 1)], coordinate])
    i, mask, weight = line_taps(k, c, size, mode, padding, align, order)[tap]
    if what == "place":
        return k.where(mask, i, k.const(0, dt.int64))
    return k.where(mask, weight, k.const(0.0, weight.dtype))


SAMPLE = Gather("grid_sample", _sample_body)
PLACES = Gather("grid_places", _place_body)


# -- the operator and its gradients ----------------------------------------------------------------------------------


def _sample(input, grid, options, orders):
    """The samples, or their derivatives of these orders by the coordinates."""
    if max(orders) > 2:
        raise NotImplementedError("grid_sample: third derivatives by the grid are not implemented in rushlight")
    shape = (*input._layout.shape[:2], *grid._layout.shape[1:-1])
    attrs = (*options, ("orders", orders), ("out", ((shape, input._layout.dtype),)))
    return record(SAMPLE, "tt", attrs, (input, grid))[0]


def line_places(grid, size, coordinate, order, options):
    """(positions, weights) of every tap along one dimension."""
    found, shape = [], tuple(grid._layout.shape[:-1])
    for tap in range({"bilinear": 2, "nearest": 1, "bicubic": 4}[dict(options)["mode"]]):
        pair = []
        for what, dtype in (("place", dt.int64), ("weight", grid._layout.dtype)):
            attrs = (
                *options,
                ("order", order),
                ("coordinate", coordinate),
                ("tap", tap),
                ("what", what),
                ("out", ((shape, dtype),)),
            )
            pair.append(record(PLACES, "tn", attrs, (grid,), (size,))[0])
        found.append(pair)
    return found


def _spread(samples, grid, options, orders, sizes):
    """The transpose of `_sample`: the weights times g, added at the positions that were read."""
    lead, out = tuple(samples._layout.shape[:2]), grid._layout.shape[1:-1]
    count, n = math.prod(out), len(sizes)
    if not samples._layout.numel:
        return zeros((*lead, *sizes), dtype=samples.dtype, device=samples.device)
    indices, values, flat = [], [], samples.reshape(*lead, count)
    for chosen in itertools.product(*[line_places(grid, sizes[d], n - 1 - d, orders[d], options) for d in range(n)]):
        index = weight = None
        for size, (i, w) in zip(sizes, chosen):
            index = i if index is None else index * size + i
            weight = w if weight is None else weight * w
        indices.append(index.reshape(lead[0], 1, count))
        values.append(flat * weight.reshape(lead[0], 1, count))
    values = cat(values, 2)
    place = Place((("d", 0), ("d", 1), ("i", 0)), values._layout.shape)
    return scatter_sum(values, [cat(indices, 2)], place, (*lead, math.prod(sizes))).reshape(*lead, *sizes)


def by_grid(sample, g, input, grid, options, orders):
    """For each coordinate the sum over channels of g times the sample differentiated once more."""
    n = len(orders)
    if dict(options)["mode"] == "nearest":
        return zeros_like(grid)
    found = []
    for i in range(n):
        more = tuple([order + (d == n - 1 - i) for d, order in enumerate(orders)])
        found.append((g * sample(input, grid, options, more)).sum(1))
    return stack(found, -1)


def sample_node(n):
    """The sampling function with the node that PyTorch shows. Samples and their transposes are each other's
    gradients.
    """
    made, again = {}, f"GridSampler{n}DBackwardBackward0"

    def by_input(g, grid, options, orders, input_layout):
        return made["spread"](g, grid, options, orders, tuple(input_layout.shape[2:]))

    def by_place(g, input, grid, options, orders):
        return by_grid(made["inner"], g, input, grid, options, orders)

    formulas = {"input": by_input, "grid": by_place}

    def by_samples(g, grid, options, orders):
        return made["inner"](g, grid, options, orders)

    def by_spread_place(g, samples, grid, options, orders):
        return by_grid(made["inner"], samples, g, grid, options, orders)

    made["spread"] = public("", node=again, out=False, grad={"samples": by_samples, "grid": by_spread_place})(_spread)
    made["inner"] = public("", node=again, out=False, grad=formulas)(_sample)
    return public("", node=f"GridSampler{n}DBackward0", out=False, grad=formulas)(_sample)


NODES = {n: sample_node(n) for n in (2, 3)}
MODES, PADDINGS = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")


def check_sampler(input, grid, mode):
    """RuntimeError for shapes that do not fit."""
    x, g = input._layout, grid._layout
    if x.shape[:1] != g.shape[:1]:
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with sizes "
            f"{list(x.shape)} and grid with sizes {list(g.shape)}"
        )
    if x.ndim < 3 or g.shape[-1] != x.ndim - 2:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {x.ndim - 2} in last dimension, but got grid with sizes "
            f"{list(g.shape)}"
        )
    for d in range(2, x.ndim):
        if not x.shape[d]:
            raise RuntimeError(
                "grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes "
                f"{list(x.shape)} with dimension {d} being empty"
            )
    if x.ndim not in (4, 5) or g.ndim != x.ndim:
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got input with "
            f"sizes {list(x.shape)} and grid with sizes {list(g.shape)}"
        )
    if mode == "bicubic" and x.ndim == 5:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    if x.dtype is not g.dtype:
        raise RuntimeError(f"expected scalar type {dt.scalar_type(x.dtype)} but found {dt.scalar_type(g.dtype)}")
    if not x.dtype.is_floating_point:
        raise NotImplementedError(f"\"grid_sampler_{x.ndim - 2}d_cpu\" not implemented for '{dt.scalar_type(x.dtype)}'")


@public("grid_sampler", out=False, cast="float32")
def grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners):
    """`nn.functional.grid_sample` with modes as numbers: 0 bilinear, 1 nearest, 2 bicubic; 0 zeros, 1 border, 2
    reflection.
    """
    check_tensor("grid_sampler", input)
    mode = MODES[interpolation_mode]
    check_sampler(input, grid, mode)
    options = (("mode", mode), ("padding", PADDINGS[padding_mode]), ("align", bool(align_corners)))
    return NODES[input.dim() - 2](input, grid, options, (0,) * (input.dim() - 2))


def corners(align_corners):
    """`align_corners`, False with a warning at the caller's line where it is not given."""
    if align_corners is None:
        warnings.warn(
            "Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. Please "
            "specify align_corners=True if the old behavior is desired. See the documentation of grid_sample for "
            "details.",
            stacklevel=3,
        )
        return False
    return align_corners


@public("nn.functional.grid_sample", out=False, cast="float32")
def grid_sample(input, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    """Values of images (N, C, H, W) at places `grid` (N, OH, OW, 2) of (x, y) in -1..1: (N, C, OH, OW); volumes
    likewise.

    mode: "bilinear", "nearest", "bicubic" (images only); padding_mode, for places outside: "zeros", "border",
    "reflection"."""
    if mode not in MODES:
        raise ValueError(
            f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'"
        )
    if padding_mode not in PADDINGS:
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but got: "
            f"'{padding_mode}'"
        )
    align_corners = corners(align_corners)
    return grid_sampler(input, grid, MODES.index(mode), PADDINGS.index(padding_mode), align_corners)


# -- places ----------------------------------------------------------------------------------------------------------


def base_grid(theta, size, align):
    """The places of a result of `size` under the identity, each with a last coordinate of 1."""
    dims, lines = len(size) - 2, []
    for d, n in enumerate(size[2:]):
        at = (
            linspace(-1, 1, n, dtype=theta.dtype, device=theta.device)
            if n > 1
            else zeros(1, dtype=theta.dtype, device=theta.device)
        )
        if not align:
            at = at * ((n - 1) / n)
        lines.append(at.reshape(*(1,) * d, n, *(1,) * (dims - 1 - d)).expand(*size[2:]))
    ones = REGISTRY["ones"](tuple(size[2:]), dtype=theta.dtype, device=theta.device)
    return stack([*lines[::-1], ones], -1).reshape(-1, dims + 1)


def _grid_theta(g, theta_layout, size, align):
    flat = g.reshape(g._layout.shape[0], -1, len(size) - 2)
    base = base_grid(g, size, align)
    return matmul(flat.transpose(1, 2), base)


@public(
    "affine_grid_generator",
    grad={"theta": lambda g, theta_layout, size, align_corners: _grid_theta(g, theta_layout, size, align_corners)},
    node="AffineGridGeneratorBackward0",
    out=False,
)
def affine_grid_generator(theta, size, align_corners):
    """The places of `affine_grid`, with checked arguments."""
    dims = len(size) - 2
    grid = matmul(base_grid(theta, size, align_corners), theta.transpose(1, 2))
    return grid.reshape(size[0], *size[2:], dims)


@public("nn.functional.affine_grid", out=False)
def affine_grid(theta, size, align_corners=None):
    """Places for `grid_sample` under affine maps: theta (N, 2, 3) for size (N, C, H, W), or (N, 3, 4) for (N, C, D,
    H, W).
    """
    size = tuple(int(n) for n in size)
    align_corners = corners(align_corners)
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    dims, shape = len(size) - 2, theta._layout.shape
    if dims in (2, 3):
        if len(shape) != 3 or tuple(shape[1:]) != (dims, dims + 1):
            raise ValueError(
                f"Expected a batch of {dims}D affine matrices of shape Nx{dims}x{dims + 1} for size {list(size)}. "
                f"Got {theta.shape}."
            )
    else:
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. Got size "
            f"{list(size)}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {list(size)}")
    return affine_grid_generator(theta, size, bool(align_corners))
