"""What goes along rows: stable sorts, the first of a row, binary searches, sums of few values."""

import math

from ....base.lazy import numpy as np
from ....core import dtype as dt
from .values import save, values, wide


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


def select(instruction, ins, outs, numbers):
    """ins: a tensor; attrs dim, which ("kthvalue", "median" or "nanmedian"), k (rank from 0, of kthvalue); out: the
    position of the chosen element of each row."""
    options = dict(instruction.attrs)
    array, = values(instruction, ins)
    rows, which = np.moveaxis(array, options["dim"], -1), options["which"]
    if which == "kthvalue":
        found = np.apply_along_axis(kth, -1, rows, options["k"])
    else:
        nans = np.isnan(rows) if rows.dtype.kind == "f" else np.zeros(rows.shape, bool)
        count = rows.shape[-1] - nans.sum(-1, keepdims=True) if which == "nanmedian" else rows.shape[-1]
        places = np.broadcast_to(np.maximum(count - 1, 0) // 2, (*rows.shape[:-1], 1))
        found = np.take_along_axis(np.argsort(rows, -1, kind="stable"), places, -1)[..., 0]
        if which == "median":
            found = np.where(nans.any(-1), nans.argmax(-1), found)
    save(instruction, outs, 0, np.expand_dims(found, options["dim"]))


def kth(row, k):
    """The position of the element of rank k: of equal ones that which PyTorch's quickselect leaves there."""
    row = np.where(np.isnan(row), np.inf, row) if row.dtype.kind == "f" else row
    at, left, right = list(range(len(row))), 0, len(row) - 1

    def exchange(i, j, always=False):
        if always or row[at[i]] > row[at[j]]:
            at[i], at[j] = at[j], at[i]
    while right > left + 1:
        exchange((left + right) // 2, left + 1, True)
        exchange(left + 1, right)
        exchange(left, right)
        exchange(left + 1, left)
        i, j, pivot = left + 1, right, row[at[left]]
        while True:
            i, j = i + 1, j - 1
            while row[at[i]] < pivot:
                i += 1
            while row[at[j]] > pivot:
                j -= 1
            if j < i:
                break
            exchange(i, j, True)
        exchange(left, j, True)
        left, right = i if j <= k else left, j - 1 if j >= k else right
    if right == left + 1:
        exchange(left, right)
    return at[k]


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
    """The sum over attrs dims, or the mean, in double precision: the CPU's kernel adds in PyTorch's order instead."""
    options = dict(instruction.attrs)
    array, = values(instruction, ins)
    total = wide(array).sum(tuple(options["dims"]), keepdims=options["keepdim"])
    count = math.prod([array.shape[d] for d in options["dims"]])
    save(instruction, outs, 0, np.true_divide(total, count) if options["mean"] else total)


SPECIFICATIONS = {
    "rows.sort:lower_argsort": argsort, "rows.sort:lower_topk": topk, "rows.sort:lower_search": searchsorted,
    "rows.select:lower_select": select, "rows.sum_order:ordered_sum": ordered_sum,
}
