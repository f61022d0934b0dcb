"""Selecting by masks, and adding at positions of planes."""

import math

from ....base.lazy import numpy as np
from ..handler import failed
from .values import K, save, values

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
            raise failed(instruction.op, "source")
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


SPECIFICATIONS = {"rows.compress:lower_count": count_blocks, "rows.compress:lower_compress": compress,
                  "rows.planes:plane_add": plane_add}
