"""Regions of images: what boxes see of feature maps, with gradients, and suppression of boxes that overlap.

Features are (N, P, H, W, C), boxes (R, 5): number of the image, left, top, right, bottom; results (R, h, w, C). There
is a plane P for each bin where the features are "sensitive", else one.
"""

from ....base.lazy import numpy as np
from ..handler import failed
from .values import save, values

FARTHEST = 1e9


def whole(value):
    """A float as an integer, also where it is too large or not one."""
    return int(min(max(value, -FARTHEST), FARTHEST)) if value == value else -int(FARTHEST)


def nearest(value):
    """The nearest integer, halves away from zero."""
    size = whole(np.floor(abs(float(value)) + 0.5))
    return -size if value < 0 else size


class Pooling:
    """One instruction: the options, and the sizes of features and results."""

    def __init__(self, options, features, result, kind):
        self.options, self.kind = options, kind
        self.images, self.planes, self.height, self.width, _ = features
        self.rows, self.columns = result[1:3]

    def image(self, box):
        number = float(box[0])
        return int(number) if -1 < number < FARTHEST else -1

    def plane(self, row, column):
        return row * self.columns + column if self.options["sensitive"] else 0

    def ends(self, box, low, high):
        """The ends of a box along rows or columns, in the scale of the features."""
        scale = self.kind(self.options["scale"])
        return box[low] * scale, box[high] * scale

    def extents(self, box, row, column):
        """The whole pixels of a bin: (slice of rows, slice of columns), perhaps empty."""
        found = []
        for number, bins, size, low, high in ((row, self.rows, self.height, 2, 4),
                                              (column, self.columns, self.width, 1, 3)):
            start, end = map(nearest, self.ends(box, low, high))
            length = max(end - start + (0 if self.options["sensitive"] else 1), 1)
            step = self.kind(length) / self.kind(bins)
            first, last = whole(np.floor(number * step)), whole(np.ceil((number + 1) * step))
            found.append(slice(min(max(start + first, 0), size), min(max(start + last, 0), size)))
        return found

    def samples(self, box):
        """(rows, columns) of bins: for each the coordinates of its samples."""
        found = []
        for bins, low, high in ((self.rows, 2, 4), (self.columns, 1, 3)):
            shift = self.kind(0.5 if self.options["aligned"] else 0)
            start, end = [v - shift for v in self.ends(box, low, high)]
            size = end - start if self.options["aligned"] else max(end - start, self.kind(1))
            step = size / self.kind(bins)
            count = self.options["samples"] if self.options["samples"] > 0 else max(whole(np.ceil(step)), 0)
            found.append([[start + number * step + (sample + self.kind(0.5)) * step / self.kind(count)
                           for sample in range(count)] for number in range(bins)])
        return found

    def taps(self, value, size):
        """[(pixel, weight)] of a coordinate within the image."""
        value = max(value, self.kind(0))
        low = int(value)
        if low >= size - 1:
            return [(size - 1, 1.0)]
        return [(low, 1.0 - (value - low)), (low + 1, value - low)]

    def points(self, ys, xs):
        """[(row, column, weight)] of all samples of a bin."""
        return [(i, j, a * b) for y in ys if -1 <= y <= self.height for x in xs if -1 <= x <= self.width
                for i, a in self.taps(y, self.height) for j, b in self.taps(x, self.width)]


def regions(instruction, ins, outs, numbers):
    """ins: features, boxes; outs: result and, for maxima, positions. Backward: ins: gradient, (positions), boxes; out:
    the gradient of the features."""
    options = dict(instruction.attrs)
    operands = values(instruction, ins)
    boxes = operands[-1]
    if options["back"]:
        g = operands[0]
        pooling = Pooling(options, outs[0].shape, g.shape, boxes.dtype.type)
        save(instruction, outs, 0, slopes(pooling, g, operands[1], boxes, outs[0].shape))
        return
    features = operands[0]
    pooling = Pooling(options, features.shape, outs[0].shape, boxes.dtype.type)
    result, where = np.zeros(outs[0].shape), np.full(outs[0].shape, -1)
    for number, box in enumerate(boxes):
        image = pooling.image(box)
        if not 0 <= image < pooling.images:
            raise failed(instruction.op, "index")
        for row, column, values_of in bins(pooling, box):
            plane = features[image, pooling.plane(row, column)]
            result[number, row, column], where[number, row, column] = values_of(plane)
    save(instruction, outs, 0, result)
    if len(outs) > 1:
        save(instruction, outs, 1, where)


def bins(pooling, box):
    """(row, column, function of a plane (H, W, C) -> (values, positions)) of each bin of a box."""
    samples = pooling.samples(box) if pooling.options["kind"] == "align" else None
    for row in range(pooling.rows):
        for column in range(pooling.columns):
            if samples is not None:
                ys, xs = samples[0][row], samples[1][column]
                yield row, column, lambda plane: interpolated(pooling, plane, ys, xs)
            else:
                part = pooling.extents(box, row, column)
                yield row, column, lambda plane: pixels(pooling, plane, part)


def interpolated(pooling, plane, ys, xs):
    """The mean of the samples of a bin."""
    total = np.zeros(plane.shape[-1])
    for i, j, weight in pooling.points(ys, xs):
        total += plane[i, j] * float(weight)
    return total / max(len(ys) * len(xs), 1), -1


def pixels(pooling, plane, part):
    """The mean or the largest of the pixels of a bin, with the position of the first that is as large."""
    found = plane[tuple(part)]
    rows, columns, channels = found.shape
    if not rows * columns:
        return np.zeros(channels), -1
    flat = found.reshape(-1, channels)
    if pooling.options["kind"] == "mean":
        return flat.astype(np.float64).mean(0), -1
    at = flat.argmax(0)
    place = (part[0].start + at // columns) * plane.shape[1] + part[1].start + at % columns
    return flat.max(0), place


def slopes(pooling, g, positions, boxes, shape):
    """The gradient of the features."""
    total = np.zeros(shape)
    for number, box in enumerate(boxes):
        image = pooling.image(box)
        if not 0 <= image < pooling.images:
            continue
        samples = pooling.samples(box) if pooling.options["kind"] == "align" else None
        for row in range(pooling.rows):
            for column in range(pooling.columns):
                plane, slope = total[image, pooling.plane(row, column)], g[number, row, column].astype(np.float64)
                if samples is not None:
                    ys, xs = samples[0][row], samples[1][column]
                    for i, j, weight in pooling.points(ys, xs):
                        plane[i, j] += slope / max(len(ys) * len(xs), 1) * float(weight)
                elif pooling.options["kind"] == "mean":
                    part = plane[tuple(pooling.extents(box, row, column))]
                    part += slope / max(part.shape[0] * part.shape[1], 1)
                else:
                    at = positions[number, row, column]
                    for channel in np.flatnonzero(at >= 0):
                        plane[at[channel] // shape[3], at[channel] % shape[3], channel] += slope[channel]
    return total


def suppression(instruction, ins, outs, numbers):
    """ins: boxes (5, n): left, top, right, bottom and area, best first; out: marks (n) of those that overlap a better
    box which is not marked."""
    options = dict(instruction.attrs)
    lines, = values(instruction, ins)
    outs[0][...] = 0
    for i in range(options["count"]):
        if outs[0][i]:
            continue
        own, others = lines[:, i:i + 1], lines[:, i + 1:]
        width = np.maximum(np.minimum(own[2], others[2]) - np.maximum(own[0], others[0]), 0)
        height = np.maximum(np.minimum(own[3], others[3]) - np.maximum(own[1], others[1]), 0)
        shared = width * height
        overlap = shared / (own[4] + others[4] - shared)
        outs[0][i + 1:][overlap.astype(np.float64) > options["threshold"]] = 1


SPECIFICATIONS = {"rows.regions:lower_regions": regions, "rows.regions:lower_suppression": suppression}
