"""Planned launches in, one callable out that runs them all.

`Program(launches)` packs the launches into native memory; `program.run(table_address)` runs them in order and
returns the error word (0 where nothing went wrong). Read next: codegen/ir/kernel.py for the ABI, native.py for the
executor.
"""

import array
import ctypes

from . import executor, native
from . import pool  # noqa: F401  (tells the executor how many threads to make)

RELEASE_NANOSECONDS = 100_000.0  # getting the GIL back may take 5 ms while another thread computes in Python
WAKE_NANOSECONDS = 100_000.0  # a launch shorter than this is over before a sleeping worker is there
AHEAD_NANOSECONDS = 150_000.0  # workers are woken at the start of a program with this much work to share
UNKNOWN_COST = 1e6


class Batch:
    """One launch of one kernel over many static blocks: `blocks` is a list of (static, tasks)."""

    __slots__ = ("blocks",)

    def __init__(self, blocks):
        self.blocks = blocks


class Program:
    """Launches ready to run: a list of (address, static, tasks) or (address, static, tasks, cost).

    `address` is a kernel's, `static` its list of int64, or a `Batch` (then `tasks` is ignored); `cost` is the estimated
    time in nanoseconds on one thread. `release`: whether to release the GIL; None decides by the cost.
    `address` is that of the packed launches. `run(table_address)` runs the launches in order until one sets the error
    word, entry 0 of the table, and returns that word. It keeps the packed launches alive by itself. `word`: the word
    before the table in which the number of completed launches stands; a run starts with the launch of that number, so
    that a run that a signal ended can be called again. 0: such a run starts again from the beginning.
    """

    __slots__ = ("run", "cost", "launches", "address", "_block")

    def __init__(self, launches, release=None, word=0):
        words = []
        records = []
        total = shared = 0.0
        for address, static, tasks, *rest in launches:
            cost = rest[0] if rest else UNKNOWN_COST
            if isinstance(static, Batch):
                address, at, tasks = self._add_batch(words, address, static.blocks)
            else:
                at = len(words)
                words += static
            mode = native.NO_WAKE if cost < WAKE_NANOSECONDS else 0
            records.append((address, at, tasks, mode))
            total += cost
            if tasks > 1:
                shared += cost
        self.cost = total
        self.launches = len(records)
        self._pack(words, records, shared >= AHEAD_NANOSECONDS, word)
        released = total >= RELEASE_NANOSECONDS if release is None else release
        self.run = executor.bind(self._block, released)

    def _pack(self, words, records, ahead, word):
        """One array: the program block, the records, the static words; places in `words` become addresses."""
        first = 4 + 4 * len(records)
        self._block = (ctypes.c_int64 * (first + len(words)))()
        base = self.address = ctypes.addressof(self._block)
        start = base + 8 * first
        packed = [base + 32, len(records), int(ahead), word]
        for address, at, tasks, mode in records:
            packed += (address, start + 8 * at, tasks, mode)
        packed += [start + 8 * value.at if value.__class__ is _Place else value for value in words]
        self._block[:] = packed

    @staticmethod
    def _add_batch(words, address, blocks):
        """Append the statics and the batch block; (address of the batch kernel, place of the block, tasks)."""
        places = []
        sums = [0]
        for static, tasks in blocks:
            places.append(_Place(len(words)))
            words += static
            sums.append(sums[-1] + tasks)
        at = len(words)
        words += [address, len(blocks), *places, *sums]
        return executor.batch_task(), at, sums[-1]


class Single:
    """One launch ready to run in a queue: its packed words at `address`, which it keeps alive, and its cost."""

    __slots__ = ("address", "cost", "_words")

    def __init__(self, kernel, static, tasks, cost):
        shared = tasks > 1 and cost >= AHEAD_NANOSECONDS
        words = self._words = array.array("q", (0, 1, shared, 0, kernel, 0, tasks,
                                                native.NO_WAKE if cost < WAKE_NANOSECONDS else 0, *static))
        self.address = address = words.buffer_info()[0]
        words[0], words[5] = address + 32, address + 64
        self.cost = cost


class _Place:
    """An index into the static words, to be replaced by its address."""

    __slots__ = ("at",)

    def __init__(self, at):
        self.at = at
