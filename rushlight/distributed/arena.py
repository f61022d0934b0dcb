"""Shared memory between the ranks of a group on one machine: bytes go in on one rank and come out on the others.

Every rank has a file without a name in memory, which the others map through /proc. Nothing is left when the processes
end, however they end. A file holds a line of counters and two slots: data goes out in rounds of one slot each, and a
slot is used again when all readers are through with it. Waiting watches the processes themselves (pidfd), so that the
death of a rank is an error on the others at once. Counters rely on stores becoming visible in order, as on x86.
Next to read: group.py.
"""
import mmap
import os
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
SPINS = 200  # looks at a counter before the first sleep


class _Peer:
    """The mapped memory of a rank: its counters, and its two slots."""

    def __init__(self, handle):
        memory = mmap.mmap(handle, HEAD + 2 * SLOT)
        self.head = np.frombuffer(memory, np.int64, HEAD // 8)
        self.slots = [np.frombuffer(memory, np.uint8, SLOT, HEAD + i * SLOT) for i in range(2)]


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

    def wait(self, ranks, missing, timeout, what, first=False):
        """Wait until `missing(rank)` holds for no rank. The error at the timeout names those for which it does, or only
        the `first` of them.
        """
        limit = seconds(timeout)
        end, looks, pause, checked = time.monotonic() + limit, 0, 2e-5, 0.0
        while left := [rank for rank in ranks if missing(rank)]:
            looks += 1
            if looks < SPINS:
                os.sched_yield()
                continue
            now = time.monotonic()
            if now - checked > 0.02:
                checked = now
                self._check_alive(left, missing)
                closed = [rank for rank in left if self._peers[rank].head[CLOSED] and missing(rank)]
                if closed:
                    raise DistBackendError(f"rank {self.names[closed[0]]} has destroyed the group while "
                                           f"others wait in {what}")
            if now > end:
                names = ", ".join(str(self.names[rank]) for rank in left[:1 if first else None])
                raise DistBackendError(f"{what}: timed out after {limit:g} s waiting for rank"
                                       f"{'s' * (len(left) > 1 and not first)} {names}")
            time.sleep(pause)
            pause = min(pause * 1.2, 1e-3)

    def exchange(self, kind, data, consume, timeout, check_size=False, first=False):
        """Send `data` (array of uint8) to all ranks, who see it in parts.

        kind: (number, name) of the collective; all ranks must be in the same one. consume(parts, start): called with
        the parts of all ranks (arrays of uint8, empty for those that have sent everything) from byte `start` on.
        check_size: all ranks have to send the same number of bytes. first: see `wait`.
        """
        number, name = kind
        own, everybody = self._peers[self.rank].head, range(self.size)
        with self._lock:
            start, sizes = 0, None
            while True:
                self._round += 1
                turn = self._round
                self.wait(everybody, lambda r: self._peers[r].head[DONE] < turn - 2, timeout, name, first)
                part = data[start:start + SLOT]
                self._peers[self.rank].slots[turn % 2][:part.size] = part
                line = 64 + 16 * (turn % 2)
                own[line], own[line + 1], own[line + 2] = data.size, number, start
                own[POSTED] = turn
                self.wait(everybody, lambda r: self._peers[r].head[POSTED] < turn, timeout, name, first)
                heads = [self._peers[r].head[line:line + 3].tolist() for r in everybody]
                sizes = self._agreed(heads, number, name, start, check_size)
                consume([self._peers[r].slots[turn % 2][:max(0, min(SLOT, sizes[r] - start))] for r in everybody],
                        start)
                own[DONE] = turn
                start += SLOT
                if start >= max(sizes):
                    return

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
        self._peers[self.rank].head[CLOSED] = 1
        for handle in self._watch:
            os.close(handle)
        self._watch, self._peers = [], []
