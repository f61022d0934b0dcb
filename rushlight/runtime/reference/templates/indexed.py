"""Writing at computed positions, and selecting by masks. Elements are written one after the other in the order of the
domain, so that the last of those that meet stays."""

import math

from ....base.lazy import numpy as np
from ....core.errors import ERROR_CODES, exception
from ..handler import Value
from .values import K, numbers_of, save, values

ADD = {"add": "add", "mul": "multiply", "amax": "maximum", "amin": "minimum"}


def scatter(instruction, ins, outs, numbers):
    """args: indices, source (tensor or number)[, skipped index]; out: the target. See ops/basic/fetch.py for placements."""
    options = dict(instruction.attrs)
    domain, spec = tuple(options["domain"]), options["spec"]
    layout = instruction.outs[0][1]
    operands = values(instruction, ins)
    count = sum([kind == "i" for kind, _ in spec])
    own = numbers_of(instruction, numbers)
    if instruction.args[count][0] == "in":
        source, dtype = operands[count], instruction.ins[count][1].dtype.plain
        value = Value(K, dtype, source)
    else:
        value = K.const(own[0], layout.dtype.plain.compute)
    value = np.broadcast_to(K.cast(value, layout.dtype.plain).array, domain)
    places, good = [], np.ones(domain, bool)
    for size, (kind, n) in zip(layout.shape, spec):
        if kind == "d":
            places.append(np.broadcast_to(K.__class__(domain).index(n).array, domain))
            continue
        index = np.broadcast_to(operands[n].astype(np.int64), domain)
        if options["negative"]:
            index = np.where(index < 0, index + size, index)
        if np.any((index < 0) | (index >= size)):
            raise exception(ERROR_CODES[options["code"]], "")
        if options["skip"]:
            good &= index != own[-1]
        places.append(index)
    places = tuple([p[good] for p in places])
    write(outs[0], places, value[good], options["mode"], layout.dtype)


def write(target, places, value, mode, dtype):
    """Combine values with what is there, in order."""
    if mode == "set":
        for number in range(len(value)):  # NumPy does not promise an order
            target[tuple([p[number] for p in places])] = K.to_memory(Value(K, dtype.plain, value[number]), dtype)
        return
    now = np.array(K.from_memory(dtype, target).array)
    if dtype.compute is not dtype.plain:  # a half precision is rounded at each step
        for number in range(len(value)):
            at = tuple([p[number] for p in places])
            step = Value(K, dtype.plain, getattr(np, ADD[mode])(now[at], value[number]))
            now[at] = K.rounded(step).array
    else:
        getattr(np, ADD[mode]).at(now, places, value)
    target[...] = K.to_memory(Value(K, dtype.plain, now), dtype)


def truth(instruction, ins):
    """The mask of a selection."""
    return K.boolean(K.from_memory(instruction.ins[0][1].dtype, ins[0])).array


def count_blocks(instruction, ins, outs, numbers):
    """ins: mask; out: the number of true elements of each block of rows (of columns where there is one row)."""
    mask, blocks = truth(instruction, ins), outs[0].size
    shape = mask.shape or (1,)
    rows = math.prod(shape[:-1])
    table = mask.reshape(rows, shape[-1]) if rows > 1 else mask.reshape(shape[-1], 1)
    chunk = -(-len(table) // blocks)
    outs[0][...] = [np.count_nonzero(table[i * chunk:(i + 1) * chunk]) for i in range(blocks)]


def compress(instruction, ins, outs, numbers):
    """ins: mask, counts[, values or source]; out: positions (rank, count), values (count), or what "spread" writes."""
    mode, mask = dict(instruction.attrs)["mode"], truth(instruction, ins)
    if mode == "positions":
        outs[0][...] = np.stack(np.nonzero(mask))
    elif mode == "values":
        outs[0][...] = np.broadcast_to(ins[2], mask.shape)[mask]
    else:
        places = np.broadcast_to(mask, outs[0].shape)
        count = np.count_nonzero(places)
        if count > ins[2].size:
            raise exception(ERROR_CODES["source"], "")
        outs[0][places] = ins[2][:count]


def plane_add(instruction, ins, outs, numbers):
    """ins: values, positions (planes, n); out: (planes, size), zero where nothing was added."""
    added, index = values(instruction, ins)
    planes, size = outs[0].shape
    total = np.zeros((planes, size), added.dtype)
    inside = (index >= 0) & (index < size)
    plane = np.broadcast_to(np.arange(planes)[:, None], index.shape)
    np.add.at(total, (plane[inside], index[inside]), added[inside])
    save(instruction, outs, 0, total)


SPECIFICATIONS = {"scatter": scatter, "count_blocks": count_blocks, "compress": compress, "plane_add": plane_add}
