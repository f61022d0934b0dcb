"""Checking indices where they are used: an index that is in memory already raises its error at the user's line.

Takes an index tensor and its bounds. Indices that are themselves pending are checked by the kernel that uses them (see
`errors`). Called by the operators of ops/ that read or write at computed positions.
"""

import ctypes

from .device import CPU
from .graph import MODE
from .stream import STREAM

MOST_ROWS = 64  # runs of an index that is not contiguous; one with more is left to the kernel
NO_SKIP = -(1 << 63)

outside = None  # set by the engine: () -> the native function of runtime/cpu/executor.py


def first_bad(index, low, high, skip=NO_SKIP):
    """The first value of an integer tensor in memory that is not `skip` and not in low <= value < high; None if there
    is none, or if the tensor is not in the CPU's memory yet."""
    storage, layout = index._storage, index._layout
    if not layout.numel or MODE.task is not None or storage.device is not CPU or not STREAM.is_ready(storage):
        return None
    size = layout.dtype.itemsize
    for start, count, step in runs(layout):
        address = storage.address + (index._offset + start) * size
        number = outside()(address, count, step * size, size, low, high, skip)
        if number >= 0:
            place = index._offset + start + number * step
            return int.from_bytes(ctypes.string_at(storage.address + place * size, size), "little", signed=size > 1)
    return None


def runs(layout):
    """(offset, count, step) of the runs of elements that make up a layout; none where there are too many."""
    if layout.dense:
        return [(0, layout.numel, 1)]
    dims = [(n, s) for n, s in zip(layout.shape, layout.strides) if n > 1 and s]  # a stride of 0 repeats elements
    if not dims:
        return [(0, 1, 1)]
    dims.sort(key=lambda d: d[0])
    count, step = dims.pop()
    starts = [0]
    for n, s in dims:
        if len(starts) * n > MOST_ROWS:
            return []
        starts = [start + i * s for start in starts for i in range(n)]
    return [(start, count, step) for start in starts]
