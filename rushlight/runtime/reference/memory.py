"""The allocator of the reference device.

Addresses are numbers of a space of their own, which nothing on the CPU can read by mistake: the bytes of a storage are
found through its block alone.
"""

import math

from ...base.lazy import numpy as np
from ...core import dtype as dt

FIRST, ALIGN = 1 << 60, 64
_next = FIRST


class Block:
    """Bytes of the device. `address`: where they lie in its address space."""

    __slots__ = ("address", "content")

    def __init__(self, address, content):
        self.address, self.content = address, content


def allocate(nbytes):
    """A block of `nbytes` bytes, not initialised."""
    global _next
    address = _next
    _next += max(ALIGN, -(-nbytes // ALIGN) * ALIGN)
    return Block(address, np.empty(nbytes, np.uint8))


def provide(storage):
    """Give a storage memory if it has none yet."""
    if not storage.address:
        storage.block = allocate(storage.nbytes)
        storage.address = storage.block.address


def content(storage):
    """The bytes of a storage."""
    provide(storage)
    return storage.block.content


def fill(storage, content):
    """Set the bytes of a storage."""
    provide(storage)
    storage.block.content[...] = np.frombuffer(content, np.uint8)


def array(content, layout, offset):
    """The elements of a layout as an array over bytes; bfloat16 as its bits."""
    kind = np.dtype(np.uint16) if layout.dtype.plain is dt.bfloat16 else np.dtype(layout.dtype.plain.numpy)
    size = kind.itemsize
    if not math.prod(layout.shape):
        return np.empty(tuple(layout.shape), kind)
    flat = content[offset * size:(offset + layout.reach) * size].view(kind)
    return np.lib.stride_tricks.as_strided(flat, tuple(layout.shape), tuple([s * size for s in layout.strides]))
