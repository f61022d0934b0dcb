"""Scans and scatters: the steps of their operators, one after the other.

A scan takes the elements of a dimension in order, all rows at a time. A scatter takes the elements of its domain in
row-major order, one at a time, so that what meets at one position is combined in that order.
"""

from ...base.lazy import numpy as np
from ...core import dtype as dt
from .handler import Handler, Value, computed


def scan(instruction, ins, outs, numbers):
    """ins: input; outs: the first total after each element, and the second, which is a position; attrs dim."""
    op, (_, layout, _) = instruction.op, instruction.ins[0]
    k, result = Handler(op), instruction.outs[0][1].dtype
    work = op.total(result.plain)
    values = k.cast(k.from_memory(layout.dtype, ins[0]), work).array
    if not values.ndim:
        values, outs = values.reshape(1), [out.reshape(1) for out in outs]
    dim = dict(instruction.attrs)["dim"] if layout.ndim else 0
    rows = np.moveaxis(values, dim, 0)
    dtypes = [work, dt.int64][:len(outs)]
    totals = [Value(k, dtype, np.full(rows.shape[1:], start, computed(dtype)))
              for dtype, start in zip(dtypes, op.start)]
    for i, row in enumerate(rows):
        totals = op.step(k, totals, Value(k, work, row), k.const(i, dt.int64))
        for total, out, (_, found, _) in zip(totals, outs, instruction.outs):
            np.moveaxis(out, dim, 0)[i] = k.to_memory(total, found.dtype)


def scatter(instruction, ins, outs, numbers):
    """args: indices, source (tensor or number)[, skipped index]; out: the target. See ops/basic/fetch.py for
    placements."""
    op, options, (_, layout, _) = instruction.op, dict(instruction.attrs), instruction.outs[0]
    domain, dtype = tuple(options["domain"]), layout.dtype
    k = Handler(op, domain)
    count = sum([kind == "i" for kind, _ in options["spec"]])
    own = [numbers[arg[1]] for arg in instruction.args if arg[0] == "num"]
    operands = [k.from_memory(found.dtype, array) for (_, found, _), array in zip(instruction.ins, ins)]
    source = operands[count] if instruction.args[count][0] == "in" else k.const(own[0], dtype.plain)
    source = np.broadcast_to(k.cast(source, dtype.plain).array, domain).reshape(-1)
    good, places = np.ones(domain, bool), []
    for size, (kind, n) in zip(layout.shape, options["spec"]):
        if kind == "d":
            places.append(k.index(n).array)
            continue
        index = k.cast(operands[n], dt.int64).array
        if options["negative"]:
            index = np.where(index < 0, index + size, index)
        k.report((index < 0) | (index >= size), options["code"])
        if options["skip"]:
            good = good & (index != own[-1])
        places.append(index)
    places = [np.broadcast_to(place, domain).reshape(-1) for place in places]
    combine, target = op.combines[options["mode"]], outs[0]
    for number in np.flatnonzero(good):
        at = tuple([place[number] for place in places])
        value = Value(k, dtype.plain, source[number])
        if combine is not None:
            value = combine(k, k.from_memory(dtype, target[at]), value)
        target[at] = k.to_memory(value, dtype)
