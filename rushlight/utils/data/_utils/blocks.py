"""Shared memory in which workers hand over tensors: blocks that two processes see.

Note [Shared blocks]
A block is an anonymous file in memory, which has no name: the worker makes it, sends its descriptor over a socket,
and both sides map it. It is gone when both have let go of it or died, however they died, so nothing is ever left
behind in /dev/shm, and the size of /dev/shm does not matter. A block whose tensor has died in the main process is
used again, because fresh pages cost more than most batches: the main process says so with the next indices it sends.
Read next: transport.py.
"""

import ctypes
import errno
import mmap
import os
import tempfile

from ....base.lazy import numpy as np

PAGE = mmap.PAGESIZE
SPARE_BYTES = 64 << 20  # free blocks are kept up to this, or to as much as is in use


def new_file(size):
    """The descriptor of an anonymous file of so many bytes, all of which exist. RuntimeError when memory is short."""
    try:
        if hasattr(os, "memfd_create"):
            handle = os.memfd_create("rushlight-batch", os.MFD_CLOEXEC)
        else:
            with tempfile.TemporaryFile() as file:  # it has no name either where the system can do that
                handle = os.dup(file.fileno())
        try:
            # Without this, a lack of memory would show as a SIGBUS at the first write.
            os.posix_fallocate(handle, 0, size)
        except BaseException:
            os.close(handle)
            raise
    except OSError as error:
        raise RuntimeError(_explain(size, error)) from None
    return handle


def _explain(size, error):
    text = f"DataLoader worker could not get {size} bytes of shared memory for a batch: {os.strerror(error.errno)}."
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"{text} Too many open files; please increase the limit using `ulimit -n` in the shell."
    return (
        f"{text} Please use fewer workers, a smaller prefetch_factor or smaller batches, or give the machine or "
        "container more memory."
    )


_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_longlong]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
FAILED = ctypes.c_void_p(-1).value


class _Mapping:
    """A mapped file. Python's own `mmap` keeps a descriptor of each, of which a process may have only a thousand or
    so.
    """

    __slots__ = ("address", "size", "__array_interface__", "_unmap")

    def __init__(self, handle, size):
        flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
        self.address = _libc.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, handle, 0)
        self.size, self._unmap = size, _libc.munmap
        if self.address == FAILED:
            self.size = 0
            raise RuntimeError(_explain(size, OSError(ctypes.get_errno(), "")))
        self.__array_interface__ = {"version": 3, "shape": (size,), "typestr": "|u1", "data": (self.address, False)}

    def __del__(self):
        if self.size:
            self._unmap(self.address, self.size)


def map_file(handle, size):
    """The file as a writable array of bytes. RuntimeError when that is impossible."""
    return np.asarray(_Mapping(handle, size))


class BlockPool:
    """The blocks of one worker, as the worker sees them."""

    def __init__(self):
        self._blocks = {}  # number -> array
        self._free = []  # numbers, those freed first in front
        self._next = 0
        self.dropped = []  # numbers that the main process may forget

    def take(self, size):
        """(number, array of at least `size` bytes, descriptor to send) of a block; no descriptor for one that has
        been sent.
        """
        fitting = [n for n in self._free if size <= len(self._blocks[n]) <= 2 * size + 16 * PAGE]
        if fitting:
            number = min(fitting, key=lambda n: len(self._blocks[n]))
            self._free.remove(number)
            return number, self._blocks[number], None
        step = max(PAGE, 1 << max(0, size.bit_length() - 4))  # sizes that differ little can use the same block
        rounded = -(-size // step) * step
        handle = new_file(rounded)
        number, self._next = self._next, self._next + 1
        self._blocks[number] = map_file(handle, rounded)
        return number, self._blocks[number], handle

    def release(self, numbers):
        """The main process has no tensor in these blocks any more."""
        self._free.extend(n for n in numbers if n in self._blocks)
        free = sum(len(self._blocks[n]) for n in self._free)
        limit = max(SPARE_BYTES, sum(len(block) for block in self._blocks.values()) - free)
        while free > limit:
            number = self._free.pop(0)
            free -= len(self._blocks.pop(number))
            self.dropped.append(number)

    def discard(self, numbers):
        """Gives up blocks that the main process has never heard of."""
        for number in numbers:
            del self._blocks[number]

    def forget_dropped(self):
        """The numbers of the blocks that were given up since the last call."""
        dropped, self.dropped = self.dropped, []
        return dropped


class BlockViews:
    """The blocks of one worker, as the main process sees them."""

    def __init__(self):
        self._blocks = {}
        self._released = []

    def add(self, number, handle):
        """Maps a block that has arrived, and closes its descriptor."""
        try:
            self._blocks[number] = map_file(handle, os.fstat(handle).st_size)
        finally:
            os.close(handle)

    def forget(self, numbers):
        """The worker has given up these blocks."""
        for number in numbers:
            del self._blocks[number]

    def lease(self, number, size):
        """The first `size` bytes of a block as an array; when it and all views of it are gone, the block counts as
        released.
        """
        return np.asarray(_Lease(self._blocks[number][:size], number, self._released))

    def take_released(self):
        """The numbers of the blocks released since the last call."""
        count = len(self._released)  # leases may end in other threads meanwhile
        released = self._released[:count]
        del self._released[:count]
        return released


class _Lease:
    """Stands below the array that a tensor is made of: it dies when the last array over it does."""

    __slots__ = ("_array", "_number", "_released", "__array_interface__")

    def __init__(self, array, number, released):
        self._array, self._number, self._released = array, number, released
        self.__array_interface__ = array.__array_interface__

    def __del__(self):
        self._released.append(self._number)
