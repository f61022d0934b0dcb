"""What goes along rows: scans, stable sorts, the first of a row, binary searches, sums of few values."""

import math

from ....base.lazy import numpy as np
from ....core import dtype as dt
from .values import save, values, wide


def scan(instruction, ins, outs, numbers):
    """ins: input; outs: values[, positions]; attrs kind, dim."""
    options = dict(instruction.attrs)
    array, = values(instruction, ins)
    kind, dim = options["kind"], options["dim"]
    if not array.ndim:
        array, outs, dim = array.reshape(1), [out.reshape(1) for out in outs], 0
    if kind in ("max", "min"):
        found = running_extreme(np.moveaxis(array, dim, 0), np.greater_equal if kind == "max" else np.less_equal)
        for number, result in enumerate(found):
            save(instruction, outs, number, np.moveaxis(result, 0, dim))
        return
    result = instruction.outs[0][1].dtype.plain
    array = wide(array.astype(result.compute.numpy))
    ufunc = {"sum": np.add, "prod": np.multiply, "logsumexp": np.logaddexp}[kind]
    save(instruction, outs, 0, ufunc.accumulate(array, dim))


def running_extreme(rows, at_least):
    """Running extremes along the first dimension and the last position where each was met; NaN stays."""
    best, where = np.empty_like(rows), np.zeros(rows.shape, np.int64)
    for i, value in enumerate(rows):
        if not i:
            best[0] = value
            continue
        take = at_least(value, best[i - 1])
        if rows.dtype.kind == "f":
            take = take & ~np.isnan(best[i - 1]) | np.isnan(value)
        best[i], where[i] = np.where(take, value, best[i - 1]), np.where(take, i, where[i - 1])
    return best, where


def order(array, dim, descending):
    """The positions of a stable sort; NaN counts as the largest value."""
    if not descending:
        return np.argsort(array, dim, kind="stable")
    # the last of equals comes first in the mirrored row, so that mirroring the result keeps their order
    back = np.flip(array, dim)
    found = np.flip(np.argsort(back, dim, kind="stable"), dim)
    return array.shape[dim] - 1 - found


def argsort(instruction, ins, outs, numbers):
    """ins: a tensor; attrs dim, descending; out: positions."""
    options = dict(instruction.attrs)
    array, = values(instruction, ins)
    save(instruction, outs, 0, order(array, options["dim"], options["descending"]))


def topk(instruction, ins, outs, numbers):
    """ins: a tensor; attrs dim, k, largest; out: the positions of the first k."""
    options = dict(instruction.attrs)
    array, = values(instruction, ins)
    found = order(array, options["dim"], options["largest"])
    save(instruction, outs, 0, np.take(found, range(options["k"]), options["dim"]))


def searchsorted(instruction, ins, outs, numbers):
    """ins: edges (..., n), values (..., m)[, sorter (..., n)]; attrs right; out: the first position of its row of edges
    that is not before each value."""
    edges, wanted, *sorter = values(instruction, ins)
    joined = dt.promote(*[ref[1].dtype.plain for ref in instruction.ins[:2]]).compute.numpy
    side = "right" if dict(instruction.attrs)["right"] else "left"
    edges, wanted = edges.astype(joined), wanted.astype(joined)
    if sorter:
        edges = np.take_along_axis(edges, sorter[0], -1)
    if edges.ndim == 1:
        save(instruction, outs, 0, np.searchsorted(edges, wanted, side))
        return
    count = math.prod(edges.shape[:-1])
    rows = zip(edges.reshape(count, edges.shape[-1]), wanted.reshape(count, wanted.shape[-1]))
    found = [np.searchsorted(row, row_values, side) for row, row_values in rows]
    save(instruction, outs, 0, np.reshape(found, outs[0].shape) if found else np.zeros(outs[0].shape))


def ordered_sum(instruction, ins, outs, numbers):
    """The sum over attrs dims, or the mean. (The CPU's kernel has PyTorch's order of
    additions; here they are in double precision.)"""
    options = dict(instruction.attrs)
    array, = values(instruction, ins)
    total = wide(array).sum(tuple(options["dims"]), keepdims=options["keepdim"])
    count = math.prod([array.shape[d] for d in options["dims"]])
    save(instruction, outs, 0, np.true_divide(total, count) if options["mean"] else total)


SPECIFICATIONS = {"scan": scan, "argsort": argsort, "topk": topk, "searchsorted": searchsorted,
                  "ordered_sum": ordered_sum}
