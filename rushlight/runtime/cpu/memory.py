"""The caching allocator of the CPU: blocks of 64-byte aligned memory.

A `Block` gives its memory back when it dies; the memory is kept for the next block of its size class, because fresh
pages cost more than most kernels. Small classes are carved out of arenas, large blocks out of segments with huge pages.

Note [Free lists]
A size class is a list of free addresses. `list.pop` and `list.append` are atomic, so allocating from a list and
freeing take no lock and may happen in any thread, also inside a garbage collection.

Note [Dead blocks]
An interrupt inside a finalizer written in Python is lost: Python prints it and continues. So the finalizer of a block
is `list.append` itself, bound like a method, which puts the block on a list of the dead; the next allocation takes the
address from there. Python looks for signals and switches threads only at calls and at jumps back. There is none between
taking an address from a list and storing it in the next place, so no block is lost or freed twice.

Note [Out of memory]
Where the system refuses a mapping, all that is cached is given back and the mapping tried again, before RuntimeError
is raised. Segments are shorter where the address space is limited, so that libraries and threads find room beside them.

Note [Segments]
A segment is one large mapping; its pages count when they are first touched, and up to `top` they have been. A large
block that no free block of its class fits is cut from the lowest gap that is long enough. Before a segment's top rises
above what was in use at a time (and an allowance, so that small programs need not care), all free large blocks are
gathered: neighbours are merged, and new blocks are cut from them. What is held then follows what is needed at a time,
not the sum over all sizes that were ever asked for. The temporaries of running programs, one long block each, have a
segment of their own (`scratch`), because among the others they would need a long gap.
"""

import atexit
import contextlib
import ctypes
import errno
import mmap
import os
import sys
import threading

from ...base.lazy import numpy

try:
    import resource
except ImportError:
    resource = None

from ...base import forks, switches
from ...core import room

ALIGN = 64
SMALL = 1 << 20
ARENA = 4 << 20
HUGE = 2 << 20
_STEPS = 8  # size classes per doubling of large blocks: at most 12.5 % of a block is unused
SEGMENT = 1 << 30
_SLACK = 16 << 20  # what is held may exceed what was in use at a time by this much, or by an eighth of it

_lock = threading.RLock()
_mappings = {}
_segments = []
_arenas = {}
_large = {}
_exact = {}
_tail = [0, 0]
_allocated = 0
_peak = 0
_reserved = 0
_peak_reserved = 0
_counts = {"mappings": 0, "releases": 0}


class Block:
    """Memory of at least `nbytes` bytes at `address`; it goes back to the allocator when this object dies."""

    __slots__ = ("address", "nbytes", "_kind", "__weakref__")

    @property
    def capacity(self):
        """Bytes that are really there: `nbytes` rounded up to a size class."""
        return self._kind.capacity

    def __getattr__(self, name):
        """The `append` of a block that was interrupted before it had memory: it gives back nothing."""
        return {"_kind": _nothing, "address": 0, "nbytes": 0}[name]

    def __repr__(self):
        return f"Block(address={self.address:#x}, nbytes={self.nbytes}, capacity={self.capacity})"


_method = ctypes.pythonapi.PyInstanceMethod_New
_method.restype, _method.argtypes = ctypes.py_object, [ctypes.py_object]
_dead = []
Block.__del__ = _method(_dead.append)  # see Note [Dead blocks]


def _bury():
    """Give the addresses of dead blocks to the free lists."""
    global _allocated
    if len(_dead) > 1:
        _dead.reverse()  # who died last is used first: its memory is in the caches
    while _dead:
        block = _dead[-1]
        del _dead[-1]
        kind = block._kind
        _allocated -= kind.capacity
        kind.give(block.address)


class _SizeClass:
    """One size: its capacity and the addresses that are free."""

    __slots__ = ("capacity", "free", "take", "give")

    def __init__(self, capacity):
        self.capacity = capacity
        self.free = []
        self.take = self.free.pop
        self.give = self.free.append


_nothing = _SizeClass(0)
_nothing.give = id  # a function that does nothing


def _small_classes():
    """Classes of 64, 128, 192, 256 bytes, then four a doubling up to SMALL."""
    sizes = [64, 128, 192, 256]
    while sizes[-1] < SMALL:
        step = max(ALIGN, (1 << (sizes[-1].bit_length() - 1)) // 4)
        sizes.append(sizes[-1] + step)
    return [_SizeClass(size) for size in sizes]


def _tables(classes):
    """Two tables from a size to its class: by 64 bytes up to 4 KiB, by 1 KiB up to SMALL."""
    fine, coarse = [], []
    at = 0
    for index in range(65):
        while classes[at].capacity < 64 * index:
            at += 1
        fine.append(classes[at])
    at = 0
    for index in range(SMALL // 1024 + 1):
        while classes[at].capacity < 1024 * index:
            at += 1
        coarse.append(classes[at])
    return fine, coarse


_classes = _small_classes()
_fine, _coarse = _tables(_classes)


def allocate(nbytes):
    """A Block of `nbytes` bytes, not initialised. RuntimeError, as in PyTorch, if there is not that much memory."""
    global _allocated, _peak
    if nbytes <= 4096:
        kind = _fine[(nbytes + 63) >> 6]
    elif nbytes <= SMALL:
        kind = _coarse[(nbytes + 1023) >> 10]
    else:
        kind = _exact.get(nbytes) or _large_class(nbytes)
    block = Block()  # without __init__, which would cost as much as all the rest
    block.nbytes = nbytes
    if _dead:
        old = _dead[-1]
        if old._kind is kind:  # the memory changes hands, and nothing else changes
            del _dead[-1]
            block.address, block._kind = old.address, kind
            return block
        _bury()
    free = kind.free
    if free:
        address = free[-1]
        del free[-1]
    else:
        kind, address = _carve(kind) if nbytes <= SMALL else _find_large(kind)
    block.address, block._kind = address, kind
    _allocated += kind.capacity
    if _allocated > _peak:
        _peak = _allocated
    return block


_scratch_kind = _SizeClass(0)  # its one free address is 0 while no run has the segment; `capacity` is what a run asked


def scratch(nbytes):
    """Memory for the temporaries of a run: a Block. One run at a time has the segment for them; the runs of other
    threads meanwhile get ordinary blocks."""
    global _allocated, _peak
    if nbytes <= SMALL:
        return allocate(nbytes)
    if _dead:
        _bury()
    block, free = Block(), _scratch_kind.free
    if not free:
        return allocate(nbytes)
    del free[-1]
    _scratch_kind.capacity = 0
    block.address, block.nbytes, block._kind = 0, nbytes, _scratch_kind  # if it dies now, the segment is free again
    block.address = _reserve_scratch(nbytes)
    _scratch_kind.capacity = nbytes
    _allocated += nbytes
    _peak = max(_peak, _allocated)
    return block


def _reserve_scratch(nbytes):
    """The start of the segment for temporaries, grown to hold `nbytes` bytes."""
    global _scratch
    with _lock:
        if nbytes > _scratch.end - _scratch.start:
            _drop_scratch()
            _scratch = _new_segment(nbytes)
        _touch(_scratch, _scratch.start + nbytes)
        return _scratch.start


def _drop_scratch():
    global _scratch
    segment, _scratch = _scratch, _Segment(0, 0)
    if segment.start:
        _unmap(segment.start, segment.top - segment.start)


def _large_class(nbytes):
    unit = max(4096, (1 << (nbytes.bit_length() - 1)) // _STEPS)
    capacity = -(-nbytes // unit) * unit
    kind = _large.get(capacity)
    if kind is None:
        kind = _large.setdefault(capacity, _SizeClass(capacity))
    if len(_exact) >= 4096:
        _exact.clear()
    _exact[nbytes] = kind
    return kind


def _find_large(kind):
    """A free block at most a quarter larger, or one cut from a segment: (its class, address)."""
    for capacity in sorted(_large):
        if kind.capacity < capacity <= kind.capacity * 5 // 4:
            near = _large[capacity]
            try:
                return near, near.take()
            except IndexError:
                continue
    with _lock:
        return kind, _cut(kind.capacity)


class _Segment:
    """A large mapping: its gaps, [start, end) in rising order, and how far its pages have been touched."""

    __slots__ = ("start", "end", "top", "gaps")

    def __init__(self, start, nbytes):
        self.start, self.end, self.top = start, start + nbytes, start
        self.gaps = [(start, self.end)]


_scratch = _Segment(0, 0)  # nothing is mapped before a run needs it
_scratch_kind.give(0)


def _cut(nbytes):
    """The address of `nbytes` bytes out of a gap of a segment, or of a new one."""
    most = max(_peak, _allocated + nbytes)
    grows = _reserved + nbytes <= most + max(_SLACK, most >> 3)
    tries = ((False, False), (False, True), (True, True)) if grows else ((False, False), (True, False), (False, True))
    for gather, rises in tries:
        if gather:
            _gather()
        address = _first_fit(nbytes, rises)
        if address is not None:
            return address
    _segments.append(_new_segment(nbytes))
    return _first_fit(nbytes, True)


def _new_segment(nbytes):
    """A segment with room for `nbytes`, no longer than that where the system does not give more."""
    needed = -(-nbytes // ARENA) * ARENA
    length = max(_segment_length(), needed)
    try:
        return _Segment(_map(length, held=0), length)
    except RuntimeError:
        if length == needed:
            raise
    return _Segment(_map(needed, held=0), needed)


def _segment_length():
    """SEGMENT, but at most a sixteenth of a limited address space."""
    if resource is None:
        return SEGMENT
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return SEGMENT if limit == resource.RLIM_INFINITY else min(SEGMENT, max(ARENA, limit // 16 // ARENA * ARENA))


def _touch(segment, top):
    """The pages of a segment up to `top` are used from now on."""
    global _reserved, _peak_reserved
    if top > segment.top:
        _reserved += top - segment.top
        _peak_reserved = max(_peak_reserved, _reserved)
        segment.top = top
        _log("uses", top - segment.start)


def _first_fit(nbytes, rises):
    """Cut from the lowest gap; None if there is none, `rises`: untouched pages may be taken."""
    for segment in _segments:
        for i, (start, end) in enumerate(segment.gaps):
            if end - start < nbytes or not rises and start + nbytes > segment.top:
                continue
            if end - start == nbytes:
                del segment.gaps[i]
            else:
                segment.gaps[i] = start + nbytes, end
            _touch(segment, start + nbytes)
            return start
    return None


def _gather():
    """Make gaps of all free large blocks."""
    free = []
    for kind in list(_large.values()):
        while kind.free:
            try:
                start = kind.take()
            except IndexError:
                break
            free.append((start, start + kind.capacity))
    for segment in _segments:
        found = sorted([*segment.gaps, *[gap for gap in free if segment.start <= gap[0] < segment.end]])
        segment.gaps = []
        for start, end in found:
            if segment.gaps and segment.gaps[-1][1] == start:
                segment.gaps[-1] = segment.gaps[-1][0], end
            else:
                segment.gaps.append((start, end))


def _carve(kind):
    """(class, new address) of a small class, cut from the current arena."""
    with _lock:
        start, end = _tail
        if end - start < kind.capacity:
            start = _map(ARENA, held=ARENA)
            end = start + ARENA
            _arenas[start] = 0
        _tail[:] = start + kind.capacity, end
        _arenas[end - ARENA] += kind.capacity
        return kind, start


def _map(nbytes, held):
    """A new mapping, from 2 MiB on aligned to an arena, so to huge pages too; its address. `held`: how much of it
    counts as held at once."""
    global _reserved, _peak_reserved
    slack = ARENA if nbytes >= HUGE else 0
    area = anonymous(nbytes + slack)
    view = ctypes.c_char.from_buffer(area)
    address = ctypes.addressof(view)
    if slack:  # pages never touched cost nothing
        address = -(-address // ARENA) * ARENA
    _mappings[address] = (area, view, nbytes)
    _reserved += held
    _peak_reserved = max(_peak_reserved, _reserved)
    _counts["mappings"] += 1
    _log("took", nbytes)
    return address


def anonymous(nbytes):
    """A new mapping (mmap.mmap) outside the allocator; see Note [Out of memory]."""
    try:
        return _anonymous(nbytes)
    except (OSError, OverflowError, ValueError):
        empty_cache()
        try:
            return _anonymous(nbytes)
        except (OSError, OverflowError, ValueError):
            raise RuntimeError(_message(nbytes)) from None


def require(nbytes):
    """RuntimeError if the system would not give `nbytes` bytes now, beside what the allocator holds."""
    anonymous(nbytes).close()


room.ASK.append(require)


@contextlib.contextmanager
def failing(refuses):
    """For tests: while the block runs, `allocate` and `scratch` raise as if there were no memory whenever
    `refuses(nbytes)` is true."""
    module, real = globals(), (allocate, scratch)

    def guarded(function):
        def ask(nbytes):
            if refuses(nbytes):
                raise RuntimeError(_message(nbytes))
            return function(nbytes)
        return ask
    module["allocate"], module["scratch"] = map(guarded, real)
    try:
        yield
    finally:
        module["allocate"], module["scratch"] = real


def _anonymous(nbytes):
    if os.name != "posix":
        return mmap.mmap(-1, nbytes)
    area = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if nbytes >= HUGE and hasattr(mmap, "MADV_HUGEPAGE"):
        try:
            area.madvise(mmap.MADV_HUGEPAGE)
        except OSError:
            return area  # a kernel without huge pages: the mapping is as good, only slower at first touch
    return area


def _message(nbytes):
    return (
        f"[enforce fail at memory.py] . DefaultCPUAllocator: can't allocate memory: "
        f"you tried to allocate {nbytes} bytes. Error code {errno.ENOMEM} ({os.strerror(errno.ENOMEM)})"
    )


def _unmap(address, held):
    global _reserved
    nbytes = _mappings.pop(address)[2]  # the last reference to the mapping: the system has it back
    _reserved -= held
    _counts["releases"] += 1
    _log("gave back", nbytes)


def _log(what, nbytes):
    if "memory" in switches.LOG:
        in_use = f"{_allocated / 2**20:.1f} MiB in use"
        print(f"[memory] {what} {nbytes} bytes, holds {_reserved / 2**20:.1f} MiB, {in_use}", file=sys.stderr)


def _release_large():
    """Return the pages of all free large blocks, and unused segments. Gaps below a segment's top count as held all the
    same: they will be touched again before it rises."""
    global _reserved
    _gather()
    try:
        _scratch_kind.take()
    except IndexError:
        pass  # a run has the segment
    else:
        _drop_scratch()
        _scratch_kind.give(0)
    for segment in list(_segments):
        if segment.gaps == [(segment.start, segment.end)]:
            _segments.remove(segment)
            _unmap(segment.start, segment.top - segment.start)
            continue
        area = _mappings[segment.start][0]
        origin = ctypes.addressof(_mappings[segment.start][1])
        for start, end in segment.gaps:
            if hasattr(area, "madvise"):
                low, high = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, end // mmap.PAGESIZE * mmap.PAGESIZE
                if high > low:
                    area.madvise(mmap.MADV_DONTNEED, low - origin, high - low)
        start, end = segment.gaps[-1] if segment.gaps else (segment.end, segment.end)
        if end == segment.end and start < segment.top:
            _reserved -= segment.top - start
            segment.top = start


def _release_arenas():
    """Return the arenas all of whose cut pieces are free."""
    inside = dict.fromkeys(_arenas, 0)
    taken = []
    for kind in _classes:
        pieces = []
        while kind.free:
            try:
                pieces.append(kind.take())
            except IndexError:
                break
        taken.append((kind, pieces))
        for piece in pieces:
            inside[_arena_of(piece)] += kind.capacity
    gone = {start for start, free in inside.items() if free == _arenas[start]}
    for kind, pieces in taken:
        for piece in pieces:
            if _arena_of(piece) not in gone:
                kind.give(piece)
    for start in gone:
        del _arenas[start]
        _unmap(start, ARENA)
    if _tail[1] - ARENA in gone:
        _tail[:] = 0, 0


def _arena_of(address):
    """The start of the arena an address lies in: arenas are aligned to their own size."""
    return address & -ARENA


def empty_cache():
    """Return the memory of free blocks to the system."""
    with _lock:
        _bury()
        _release_large()
        _release_arenas()


def memory_allocated():
    """Bytes in blocks that are in use."""
    _bury()
    return _allocated


def max_memory_allocated():
    """The largest `memory_allocated()` since the start or `reset_peak_memory_stats()`."""
    return _peak


def memory_reserved():
    """Bytes obtained from the system: in use, free, and not yet cut into blocks."""
    return _reserved


def max_memory_reserved():
    """The largest `memory_reserved()` since the start or `reset_peak_memory_stats()`."""
    return _peak_reserved


def reset_peak_memory_stats():
    """Start the two maxima again from what is in use now."""
    global _peak, _peak_reserved
    _bury()
    _peak = _allocated
    _peak_reserved = _reserved


def memory_stats():
    """The figures above under PyTorch's names, with how often memory was obtained and returned."""
    _bury()
    return {
        "allocated_bytes.all.current": _allocated,
        "allocated_bytes.all.peak": _peak,
        "reserved_bytes.all.current": _reserved,
        "reserved_bytes.all.peak": _peak_reserved,
        "inactive_split_bytes.all.current": _reserved - _allocated,
        "segment.all.current": len(_mappings),
        "segment.all.allocated": _counts["mappings"],
        "segment.all.freed": _counts["releases"],
    }


class _Owned:
    """The object NumPy asks for the memory of an array; it keeps the owner alive as the array's base."""

    __slots__ = ("__array_interface__", "owner")


def as_array(address, nbytes, owner=None):
    """A numpy uint8 array over memory at `address`; `owner` lives as long as the array and its views."""
    holder = _Owned()
    holder.__array_interface__ = {"data": (address, False), "shape": (nbytes,), "typestr": "|u1", "version": 3}
    holder.owner = owner
    return numpy.asarray(holder)


_memory_view = ctypes.pythonapi.PyMemoryView_FromMemory
_memory_view.restype = ctypes.py_object
_memory_view.argtypes = [ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int]
_WRITABLE = 0x200


def read(address, nbytes):
    """A writable memoryview of the bytes at `address`. It keeps nothing alive."""
    return _memory_view(address, nbytes, _WRITABLE)


def provide(storage):
    """Give a storage memory if it has none yet; its address."""
    if not storage.address:
        block = storage.block = allocate(storage.nbytes)
        storage.address = block.address
    return storage.address


def content(storage):
    """The bytes of a storage, a memoryview that keeps nothing alive."""
    return read(provide(storage), storage.nbytes)


def fill(storage, values):
    """Set the bytes of a storage."""
    content(storage)[:] = memoryview(values).cast("B")


def _at_exit():
    """Blocks that outlive this module's variables stay where they are."""
    del Block.__del__


atexit.register(_at_exit)
forks.hold(_lock, forks.ALLOCATOR)
