"""Shared memory between the ranks of a group on one machine: bytes go in on one rank and come out on the others.

Every rank has a file without a name in memory, which the others map through /proc. Nothing is left when the processes
end, however they end. A file holds a line of counters and two slots: data goes out in rounds of one slot each, and a
slot is used again when all readers are through with it. Waiting watches the processes themselves (pidfd), so that the
death of a rank is an error on the others at once. Counters rely on stores becoming visible in order, as on x86.
Next to read: group.py.
"""
import ctypes
import mmap
import os
import platform
import select
import threading
import time
import weakref

from ..base.lazy import numpy as np
from .store import DistBackendError, seconds

SLOT = 1 << 20
HEAD = 4096
POSTED, DONE, CLOSED = 0, 8, 16  # places of the counters: a cache line each
BLAMED = 24  # 1 + the rank whose end has ended this process
REDUCED = 32
ALIGN = 64  # bytes: the stretches that ranks reduce begin at cache lines
SPINS = 50  # looks at a counter before the first sleep
PERIOD = 0.02  # seconds between looks at the processes
FUTEX = {"x86_64": 202, "aarch64": 98}.get(platform.machine())  # the number of the system call


class _Period(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _Sleep:
    """Sleeping until a counter in shared memory changes (futex), or a short time on other processors."""

    def __init__(self):
        self._call = ctypes.CDLL(None, use_errno=True).syscall if FUTEX else None
        self._period = ctypes.byref(_Period(0, int(PERIOD * 1e9)))

    def wait(self, address, value):
        """Sleep until the counter has another value, at most for PERIOD."""
        if self._call is None:
            time.sleep(2e-4)
        else:
            self._call(FUTEX, ctypes.c_void_p(address), 0, ctypes.c_uint32(value & 0xFFFFFFFF), self._period, None, 0)

    def wake(self, address):
        """Wake whoever sleeps on the counter."""
        if self._call is not None:
            self._call(FUTEX, ctypes.c_void_p(address), 1, 0x7FFFFFFF, None, None, 0)


SLEEP = _Sleep()


class _Peer:
    """The mapped memory of a rank: its counters, and its two slots."""

    def __init__(self, handle):
        memory = mmap.mmap(handle, HEAD + 2 * SLOT)
        self.head = memoryview(memory)[:HEAD].cast("q")
        self.slots = [np.frombuffer(memory, np.uint8, SLOT, HEAD + i * SLOT) for i in range(2)]
        self.address = self.slots[0].ctypes.data - HEAD

    def post(self, counter, value):
        """Set a counter, and wake whoever waits for it."""
        self.head[counter] = value
        SLEEP.wake(self.address + 8 * counter)


_heads = weakref.WeakSet()  # the memory of this process in all its groups


def blame(name):
    """An error that names a rank that has ended. Who waits for this process learns the name as well."""
    for peer in list(_heads):
        peer.head[BLAMED] = name + 1
    return DistBackendError(f"rank {name} has ended; the other ranks of its group cannot go on")


class Arena:
    """The shared memory of a group. `exchange` is the one collective that all others are made of.

    Args: store (Store) of the group's own; rank, size (int) in the group; names: the global rank of each member;
    lost(name): the exit status of a member whose end the launcher has seen, else 0; it may never have come here.
    """

    def __init__(self, store, rank, size, names, timeout, lost):
        self.rank, self.size, self.names = rank, size, names
        self._round = 0
        self._lock = threading.Lock()
        handle = os.memfd_create("rushlight", os.MFD_CLOEXEC)
        try:
            os.ftruncate(handle, HEAD + 2 * SLOT)
            self._own = _Peer(handle)
            _heads.add(self._own)
            store.set(f"at/{rank}", f"{os.getpid()} {handle}")
            self._meet(store, timeout, lost)
            store.set(f"mapped/{rank}", b"1")
            self._wait_until_mapped(store, timeout)  # the file has to stay open until everybody has mapped it
        finally:
            os.close(handle)

    def _wait_until_mapped(self, store, timeout):
        end = time.monotonic() + seconds(timeout)
        keys = [f"mapped/{rank}" for rank in range(self.size)]
        while not store.check(keys):
            self._check_alive(range(self.size), lambda rank: not store.check([keys[rank]]))
            if time.monotonic() > end:
                names = ", ".join(str(name) for name, key in zip(self.names, keys) if not store.check([key]))
                raise DistBackendError(f"timed out after {seconds(timeout):g} s while a group was opened, waiting for "
                                       f"rank {names}")
            time.sleep(0.001)

    def _meet(self, store, timeout, lost):
        self._peers, self._watch = [], []
        end, pause = time.monotonic() + seconds(timeout), 0.0005
        for rank in range(self.size):
            while not store.check([f"at/{rank}"]):
                if lost(self.names[rank]):
                    raise blame(self._first_lost(lost))
                if time.monotonic() > end:
                    raise DistBackendError(f"rank {self.names[rank]} has not joined the group within "
                                           f"{seconds(timeout):g} s")
                time.sleep(pause)
                pause = min(pause * 1.5, 0.02)
            pid, handle = map(int, store.get(f"at/{rank}").split())
            try:
                self._watch.append(os.pidfd_open(pid))
                opened = os.open(f"/proc/{pid}/fd/{handle}", os.O_RDWR | os.O_CLOEXEC)
            except OSError as error:
                first = self._first_lost(lost, 1.0)
                if first is not None:
                    raise blame(first) from None
                raise DistBackendError(f"rank {self.names[rank]} (process {pid}) cannot be reached on this machine: "
                                       f"{error}; gloo works within one machine, use mpi across machines") from None
            self._peers.append(self._own if rank == self.rank else _Peer(opened))
            os.close(opened)

    def _first_lost(self, lost, limit=0.0):
        """The member whose end the launcher has seen (a signal before exit statuses), within `limit` seconds."""
        end = time.monotonic() + limit
        while not (codes := {name: code for name in self.names if (code := lost(name))}):
            if time.monotonic() >= end:
                return None
            time.sleep(0.01)
        return min(codes, key=codes.get)

    def _check_alive(self, ranks, missing):
        """DistBackendError if a rank of `ranks` has ended for which `missing(rank)` still holds."""
        poll = select.poll()
        known = {self._watch[rank]: rank for rank in ranks if rank != self.rank}
        for handle in known:
            poll.register(handle, select.POLLIN)
        for handle, _ in poll.poll(0):
            rank = known[handle]
            if missing(rank):  # asked again: it may have done its part before it ended
                other = int(self._peers[rank].head[BLAMED])
                raise blame(other - 1 if other else self.names[rank])

    def _wait(self, counter, turn, timeout, what, first=False):
        """Wait until all ranks' counters have reached a number. The error at the timeout names those that have not, or
        only the `first` of them.
        """
        looks, end, checked = 0, None, 0.0
        for peer in self._peers:
            while (value := peer.head[counter]) < turn:
                looks += 1
                if looks < SPINS:
                    os.sched_yield()
                    continue
                SLEEP.wait(peer.address + 8 * counter, value)
                now = time.monotonic()
                if end is None:
                    end = now + seconds(timeout)
                elif now - checked > PERIOD:
                    checked = now
                    self._check(counter, turn, what)
                    if now > end:
                        raise self._late(counter, turn, timeout, what, first)

    def _check(self, counter, turn, what):
        def missing(rank):
            return self._peers[rank].head[counter] < turn
        left = [rank for rank in range(self.size) if missing(rank)]
        self._check_alive(left, missing)
        for rank in left:
            if self._peers[rank].head[CLOSED] and missing(rank):
                raise DistBackendError(f"rank {self.names[rank]} has destroyed the group while others wait in {what}")

    def _late(self, counter, turn, timeout, what, first):
        left = [name for name, peer in zip(self.names, self._peers) if peer.head[counter] < turn]
        names = ", ".join(map(str, left[:1 if first else None]))
        return DistBackendError(f"{what}: timed out after {seconds(timeout):g} s waiting for rank"
                                f"{'s' * (len(left) > 1 and not first)} {names}")

    def exchange(self, kind, data, consume, timeout, check_size=False, first=False, reduce=None):
        """Send `data` (array of uint8) to all ranks, who see it in parts.

        kind: (number, name) of the collective; all ranks must be in the same one. consume(parts, start): called with
        the parts of all ranks (arrays of uint8, empty for those that have sent everything) from byte `start` on.
        check_size: all ranks have to send the same number of bytes. first: see `_wait`.
        reduce(parts): each rank replaces a stretch of its own part by reduce(that stretch of all parts); `consume` gets
        a part in which rank r's stretch is the one that rank r has replaced.
        """
        number, name = kind
        own = self._peers[self.rank]
        with self._lock:
            start, sizes = 0, None
            while True:
                self._round += 1
                turn = self._round
                self._wait(DONE, turn - 2, timeout, name, first)
                part = data[start:start + SLOT]
                own.slots[turn % 2][:part.size] = part
                line = 64 + 16 * (turn % 2)
                own.head[line], own.head[line + 1], own.head[line + 2] = data.size, number, start
                own.post(POSTED, turn)
                self._wait(POSTED, turn, timeout, name, first)
                heads = [peer.head[line:line + 3].tolist() for peer in self._peers]
                sizes = self._agreed(heads, number, name, start, check_size)
                parts = [peer.slots[turn % 2][:max(0, min(SLOT, size - start))]
                         for peer, size in zip(self._peers, sizes)]
                if reduce is not None:
                    parts = self._reduced(parts, reduce, turn, timeout, name)
                consume(parts, start)
                own.post(DONE, turn)
                start += SLOT
                if start >= max(sizes):
                    return

    def _reduced(self, parts, reduce, turn, timeout, name):
        """The stretches that all ranks have reduced, in order."""
        step = -(-parts[0].size // self.size // ALIGN) * ALIGN
        stretches = [slice(rank * step, (rank + 1) * step) for rank in range(self.size)]
        mine = stretches[self.rank]
        if parts[self.rank][mine].size:
            parts[self.rank][mine] = reduce([part[mine] for part in parts])
        self._peers[self.rank].post(REDUCED, turn)
        self._wait(REDUCED, turn, timeout, name)
        return [part[stretch] for part, stretch in zip(parts, stretches)]

    def _agreed(self, heads, number, name, start, check_size):
        """The sizes of all ranks' data; DistBackendError if they are not in the same collective."""
        for rank, (size, other, position) in enumerate(heads):
            if other != number or position != start:
                raise DistBackendError(f"rank {self.names[self.rank]} is in {name}, but rank {self.names[rank]} is in "
                                       f"another collective")
            if check_size and size != heads[self.rank][0]:
                raise DistBackendError(f"{name}: rank {self.names[self.rank]} has {heads[self.rank][0]} bytes, rank "
                                       f"{self.names[rank]} has {size}")
        return [size for size, _, _ in heads]

    def pending(self, rank):
        """Whether a rank has posted a round that this rank has not looked at."""
        return self._peers[rank].head[POSTED] > self._round

    def close(self):
        """Tell the others that this rank takes no part any more, and forget them."""
        self._peers[self.rank].post(CLOSED, 1)
        for handle in self._watch:
            os.close(handle)
        self._watch, self._peers = [], []
