"""Regions of images: what boxes see of feature maps, suppression of boxes that overlap, samples at given places.

Pooling works on features whose channels lie side by side. `rushlight.vision.ops` checks arguments and calls these
functions; none has a public name of its own. The gradient of each pooling is a kernel, whose own gradient is the
pooling again.
"""

import math

from ...core import dtype as dt
from ...core.declare import public
from ...core.kinds import Gather, Kernel
from ...core.record import record
from ..basic.arithmetic import where
from ..basic.creation import zeros
from ..basic.fetch import FAILURES, Place, scatter_sum
from ..basic.shape import cat
from ..nn.grid_sample import whole

REGIONS = Kernel("regions", lower="rows.regions:lower_regions", reads=("contiguous",) * 3,
                 failures={"index": FAILURES["index"]})
SUPPRESSION = Kernel("suppression", lower="rows.regions:lower_suppression", reads=("contiguous",))
LANES = 8


def _working(x):
    """A contiguous tensor in the dtype that kernels compute in."""
    wanted = dt.float64 if x.dtype is dt.float64 else dt.float32
    return x.to(wanted).contiguous()


# -- pooling of boxes --------------------------------------------------------------------------------------------------


def _forward(input, boxes, options, size):
    """[result] or, for maxima, [result, positions]."""
    pooled = (boxes._layout.shape[0], *size, input._layout.shape[-1])
    outs = [(pooled, input._layout.dtype)]
    if dict(options)["kind"] == "max":
        outs.append((pooled, dt.int64))
    if not boxes._layout.shape[0]:
        return [zeros(shape, dtype=dtype, device=input.device) for shape, dtype in outs]
    return record(REGIONS, "tt", (*options, ("back", False), ("out", tuple(outs))), (input, boxes))


def _back(g, boxes, options, shape, positions=None):
    """The gradient of the features, of this shape."""
    if not g._layout.numel:
        return zeros(tuple(shape), dtype=g.dtype, device=g.device)
    attrs = (*options, ("back", True), ("out", ((tuple(shape), g._layout.dtype),)))
    tensors = (g, boxes) if positions is None else (g, positions, boxes)
    return record(REGIONS, "t" * len(tensors), attrs, tensors)[0]


def _mean_again(g, boxes, options, size):
    return mean_regions(g, boxes, options, size)


def _mean_back(g, boxes, options, input_layout):
    return mean_regions_back(g, boxes, options, tuple(input_layout.shape), tuple(g._layout.shape[1:3]))


@public("", node="RoiAlignBackwardBackward0", out=False, grad={"g": _mean_again})
def mean_regions_back(g, boxes, options, shape, size):
    """The gradient of `mean_regions`; its own gradient is `mean_regions`."""
    return _back(g, boxes, options, shape)


@public("", node="RoiAlignBackward0", out=False, grad={"input": _mean_back})
def mean_regions(input, boxes, options, size):
    """Means over bins: of samples ("align") or of whole pixels ("mean")."""
    return _forward(input, boxes, options, size)[0]


def _max_back(g, out1, boxes, options, input_layout):
    return max_regions_back(g[0], out1, boxes, options, tuple(input_layout.shape))


def _max_again(g, positions, boxes):
    picture = g.flatten(0, 1).flatten(1, 2)[boxes[:, 0].long()]
    found = picture.gather(1, positions.flatten(1, 2).clamp(min=0)).reshape(positions.shape)
    return where(positions >= 0, found, 0.0)


@public("", node="RoiPoolBackwardBackward0", out=False, grad={"g": _max_again})
def max_regions_back(g, positions, boxes, options, shape):
    """The gradient of `max_regions`: g at the positions of the maxima."""
    return _back(g, boxes, options, shape, positions)


@public("", node="RoiPoolBackward0", out=False, grad={"input": _max_back})
def max_regions(input, boxes, options, size):
    """(maxima over bins, their positions in the planes)."""
    return _forward(input, boxes, options, size)


def pool_regions(kind, input, boxes, size, scale, samples=0, aligned=False, sensitive=False):
    """Pool the boxes of feature maps.

    Args:
        kind (str): "align", the mean of interpolated samples; "max"; or "mean", of whole pixels.
        input (Tensor): (N, C, H, W), floating.
        boxes (Tensor): (R, 5): number of the image, left, top, right, bottom; the dtype of `input`.
        size (tuple of 2 int): bins (h, w) of a box.
        scale (float): factor from the coordinates of boxes to those of `input`.
        samples (int): samples along a bin, for "align"; as many as it has pixels if 0.
        aligned (bool): shift boxes by half a pixel, for "align".
        sensitive (bool): `input` has h * w channels for each channel of the result, one for each bin.

    Returns:
        (R, C, h, w), or (R, C / (h w), h, w) if `sensitive`. Differentiable by `input`.

    Raises:
        IndexError: at the flush, for the number of an image that does not exist.
    """
    options = (("kind", kind), ("scale", float(scale)), ("samples", int(samples)), ("aligned", bool(aligned)),
               ("sensitive", bool(sensitive)))
    planes, size = math.prod(size) if sensitive else 1, tuple(size)
    source = _working(input.unflatten(1, (-1, planes)).permute(0, 2, 3, 4, 1))
    boxes = _working(boxes.detach()).to(source.dtype)
    found = (max_regions(source, boxes, options, size)[0] if kind == "max"
             else mean_regions(source, boxes, options, size))
    return found.permute(0, 3, 1, 2).contiguous().to(input.dtype)


# -- suppression -------------------------------------------------------------------------------------------------------


def suppress(boxes, scores, threshold):
    """Positions of the boxes (n, 4) that overlap no better box which is kept, best first: int64. Sync point.

    Two boxes overlap if their intersection over their union is larger than `threshold`.
    """
    count = boxes._layout.shape[0]
    if not count:
        return zeros(0, dtype=dt.int64, device=boxes.device)
    order = scores.detach().argsort(descending=True, stable=True)
    lines = _working(boxes.detach())[order].t()
    areas = (lines[2] - lines[0]) * (lines[3] - lines[1])
    width = -(-count // LANES) * LANES
    table = zeros((5, width), dtype=lines.dtype, device=lines.device)
    table[:4, :count] = lines
    table[4, :count] = areas
    attrs = (("threshold", float(threshold)), ("count", count), ("out", (((width,), dt.uint8),)))
    marks = record(SUPPRESSION, "t", attrs, (table,))[0]
    return order[marks[:count].eq(0)]


# -- samples of planes -------------------------------------------------------------------------------------------------


def _line(k, value, size, order):
    """The two pixels of a coordinate along one dimension: [(index, mask, weight)]; weights or their derivatives."""
    low = k.floor(value)
    i, t = whole(k, low), value - low
    weights = (k.const(-1.0, t.dtype), k.const(1.0, t.dtype)) if order else (1 - t, t)
    return [(at, k.logical_and(at >= 0, at < size), weight) for at, weight in zip((i, i + 1), weights)]


def _plane_body(k, input, ys, xs, orders):
    group, channel, place = k.index(0), k.index(1), k.index(2)
    rows, columns = [_line(k, source.load([group, place]), size, order)
                     for source, size, order in zip((ys, xs), input.shape[2:], orders)]
    total = None
    for i, row_inside, by_row in rows:
        for j, column_inside, by_column in columns:
            inside = k.logical_and(row_inside, column_inside)
            zero = k.const(0, dt.int64)
            at = [group, channel, k.where(inside, i, zero), k.where(inside, j, zero)]
            value = input.load(at, inside, 0) * (by_row * by_column)
            total = value if total is None else total + value
    return total


def _tap_body(k, coordinates, size, tap, what):
    i, inside, weight = _line(k, coordinates.load([k.index(0), k.index(1)]), size, 0)[tap]
    if what == "place":
        return k.where(inside, i, k.const(0, dt.int64))
    return k.where(inside, weight, k.const(0.0, weight.dtype))


PLANE_SAMPLE = Gather("plane_sample", _plane_body)
PLANE_TAP = Gather("plane_tap", _tap_body)


def _sampled(input, ys, xs, orders):
    shape = (*input._layout.shape[:2], ys._layout.shape[1])
    if not input._layout.numel or not ys._layout.numel:
        return zeros(shape, dtype=input.dtype, device=input.device)
    attrs = (("orders", orders), ("out", ((shape, input._layout.dtype),)))
    return record(PLANE_SAMPLE, "ttt", attrs, (input, ys, xs))[0]


def _by_input(g, ys, xs, input_layout):
    """g times the weights, added at the pixels that were read. Differentiable by g and the coordinates' weights."""
    height, width = input_layout.shape[2:]
    groups, channels, count = g._layout.shape
    if not g._layout.numel:
        return zeros(tuple(input_layout.shape), dtype=g.dtype, device=g.device)
    taps = [[_tap(source, size, tap) for tap in range(2)] for source, size in ((ys, height), (xs, width))]
    places, values = [], []
    for i, by_row in taps[0]:
        for j, by_column in taps[1]:
            places.append(i * width + j)
            values.append(g * (by_row * by_column).unsqueeze(1))
    values = cat(values, 2)
    place = Place((("d", 0), ("d", 1), ("i", 0)), values._layout.shape)
    places = cat(places, 1).unsqueeze(1)
    return scatter_sum(values, [places], place, (groups, channels, height * width)).reshape(*input_layout.shape)


def _tap(coordinates, size, tap):
    """(positions, weights) of one of the two pixels of every coordinate."""
    found = []
    for what, dtype in (("place", dt.int64), ("weight", coordinates._layout.dtype)):
        attrs = (("tap", tap), ("what", what), ("out", ((tuple(coordinates._layout.shape), dtype),)))
        found.append(record(PLANE_TAP, "tn", attrs, (coordinates,), (size,))[0])
    return found


def _by_coordinate(orders):
    def formula(g, input, ys, xs):
        return (g * _sampled(input, ys, xs, orders)).sum(1)
    return formula


@public("", node="PlaneSampleBackward0", out=False,
        grad={"input": _by_input, "ys": _by_coordinate((1, 0)), "xs": _by_coordinate((0, 1))})
def sample_planes(input, ys, xs):
    """Interpolate planes (B, C, H, W) at the places `ys`, `xs` (B, M), in pixels: (B, C, M). Pixels outside are 0."""
    return _sampled(input, ys, xs, (0, 0))
