"""Running a planned block: give results memory, fill the table, launch.

Note [A run]
`Executable` is a Plan with machine code. Its run fills one table of addresses and numbers, then makes a native call per
segment; host segments (library calls on arrays) come in between. The native code keeps its progress in the table, so
that a run that a signal interrupted continues where it stopped. Errors that depend on data set the table's error word;
`recover` then runs what does not depend on the operator that failed.
"""

import ctypes
import struct

from ..core.storage import FailedStorage, heal
from ..fuse import plan as planning
from ..runtime.cpu import jit, memory
from ..runtime.cpu.program import Batch, Program
from . import host, quick
from .quick import WORD


class Counters:
    """What has happened so far. Runs are counted in the programs' own tallies, so that a run adds one number."""

    planned, plan_seconds = 0, 0.0
    tallies = []  # [runs, instructions a run, launches a run, bytes a run] of every program


class Stopped:
    """Where a program stopped. cause: an exception, an error word, or None where an operand has failed before. step:
    the number of the segment, None where nothing has run."""

    __slots__ = ("cause", "step")

    def __init__(self, cause, step):
        self.cause, self.step = cause, step


SMALL_ARENA = 16384  # temporaries up to this many bytes stay with their program


def find_code(sources):
    """Give these kernels the addresses of their machine code, compiling those that have none."""
    missing = [source for source in sources if not source.address]
    if missing:
        addresses = jit.compile_kernels(missing)
        for source in missing:
            source.address = addresses[source.key]


class Executable:
    """A planned and compiled program.

    Its table has a word of progress for every native segment and one for recovery, then the error word (where the
    address that programs get points to), then the addresses and numbers.
    """

    __slots__ = ("plan", "slots", "steps", "fill", "table", "launches", "user", "path", "tally",
                 "own_arena", "words", "address", "mask")

    def __init__(self, path, mask, scalars):
        plan = self.plan = planning.build(path, mask, len(scalars))
        self.slots, self.path, self.mask = len(mask), path, mask
        find_code({row[0].source for s in plan.segments for row in s.launches})
        self.steps, self.launches = [], 0
        for segment in plan.segments:
            if segment.host is not None:
                self.steps.append((None, segment.host))
            else:
                program = Program([self.record(row) for row in segment.launches], word=len(self.steps) + 1)
                self.launches += len(segment.launches)
                self.steps.append((program.run, None))
        self.words = len(self.steps) + 1
        constants = struct.pack("".join(["=", *["d" if s.__class__ is float else "q" for s in plan.constants]]),
                                *plan.constants)
        empty = bytes(WORD * (self.words + 1 + self.slots + 1 + len(scalars)))
        self.table = ctypes.create_string_buffer(empty + constants, len(empty) + len(constants))
        self.address = ctypes.addressof(self.table) + WORD * self.words
        self.fill = quick.fill
        self.user = None  # the block that has the table
        self.own_arena = memory.allocate(plan.arena) if 0 < plan.arena <= SMALL_ARENA else None
        self.tally = [0, len(path), self.launches, sum(n for _, n in plan.allocate)]
        Counters.tallies.append(self.tally)

    def record(self, row):
        """One launch, or a batch of equal kernels, for the native program."""
        address, places = row[0].source.address, self.plan.places
        blocks = [(launch.words(places, self.slots), launch.tasks) for launch in row]
        cost = sum([launch.cost for launch in row])
        if len(blocks) == 1:
            return (address, *blocks[0], cost)
        return (address, Batch(blocks), 0, cost)

    def run(self, block):
        """Run a block, or the rest of it after an interrupted run. Returns where it stopped, or None at the end.
        Exceptions come from outside the block."""
        if not block.table:
            try:
                ready = self.prepare(block)
            except (RuntimeError, MemoryError, OverflowError, struct.error) as error:
                return Stopped(error, None)
            if not ready:
                return Stopped(None, 0)
        _, address, arena = block.table
        for number, (run, instruction) in enumerate(self.steps):
            if run is None:
                try:
                    host.call(instruction, block.slots, block.scalars, self.plan.places, arena)
                except Exception as error:
                    return Stopped(error, number)
            else:
                code = run(address)
                if code:
                    return Stopped(code, number)
        self.tally[0] += 1
        return None

    def prepare(self, block):
        """Give results memory and fill the table; False if an operand has failed."""
        plan, allocate, slots = self.plan, memory.allocate, block.slots
        for index, nbytes in plan.allocate:
            storage = slots[index]
            room = storage.block = allocate(nbytes)
            storage.address = room.address
        ready = True
        for index in plan.external:
            storage = slots[index]
            if not storage.address:
                if storage.__class__ is FailedStorage:
                    ready &= self.overwrites(block, index, storage)
                    continue
                room = storage.block = allocate(storage.nbytes)
                storage.address = room.address
        user, table, address, arena = self.user, self.table, self.address, self.own_arena
        if user is not None and user.slots is not None and user is not block:  # that run has not ended
            table = ctypes.create_string_buffer(table.raw, len(table))
            address = ctypes.addressof(table) + WORD * self.words
            arena = None
        else:
            self.user = block
        if arena is None and plan.arena:
            arena = memory.scratch(plan.arena)
        self.fill(address, slots, 0 if arena is None else arena.address, block.scalars, self.words)
        block.table = table, address, arena
        return ready

    def overwrites(self, block, index, storage):
        """Make a failed storage usable again if the block overwrites it before it reads it; else False."""
        first = next(i for i in self.plan.expanded if any([slot == index for slot, _, _ in (*i.ins, *i.outs)]))
        if any([slot == index for slot, _, _ in first.ins]):
            return False
        heal(storage)
        if not storage.address:
            room = storage.block = memory.allocate(storage.nbytes)
            storage.address = room.address
        return True
