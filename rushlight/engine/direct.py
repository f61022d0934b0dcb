"""Running a block without planning it: tier 0.

Note [Tiers]
Planning a block costs as much as running it many times, so it waits until the block has come back. The first time, each
instruction runs by its launch record (see `records`): in program order, one after the other, nothing fused. A block
that comes back, or that moves much memory, is planned (tier 1); one short instruction, which a plan makes only a little
faster, when it has come back often. Values do not depend on the tier: an element is computed by the same instructions
alone and fused, and a kernel that adds has the same lanes whatever else it computes. There is one exception: where a
float sum is fused with operands in another order of memory, it may add in another order.

Note [Queues]
The tables of a block's records lie one after the other in an array, each behind the address of its launches; one native
call works through it (`run_queue` in runtime/cpu/native.py). As the order is the program's, the memory of a temporary
result is free after the instruction that reads it last, and the operator that reports an error is known. The queue
keeps its progress, so that a run that a signal interrupted continues where it stopped.

Takes a block of the stream and the liveness of its slots; `make` gives a program with `run(block)`, like a planned one.
An instruction that cannot run fails alone (Note [Failures] in core/block.py): from there on, instructions run one at a
time, and what depends on a failed one fails with it. Read `records` next.
"""

import array
import random

from ..base import switches
from ..base.lazy import Lazy
from ..core import errors
from ..core.block import Failure
from ..core.storage import FailedStorage, fail, heal
from ..runtime.cpu import executor, memory
from ..runtime.cpu.program import RELEASE_NANOSECONDS
from . import host, quick, records  # noqa: F401  (quick: waits for the native code)
from .records import word

MOST_PROGRAMS = 64  # of one step, by which results are alive
DIRECT_RUNS = 1  # of a block, before it is planned
SHORT_RUNS = 32  # of a block of one short instruction: nothing is fused, and a planned run takes little less time
HEAVY_BYTES = 1 << 20  # of results an instruction, from which a block is planned at once
SMALL_TEMPORARIES = 1 << 20  # bytes of temporary results that may all stay until the end
TALLY = [0, 0, 0, 0]  # blocks, instructions, launches, bytes of results: as those of planned programs
planned, recovery = Lazy(f"{__package__}.flush"), Lazy(f"{__package__}.recover")


def make(block, mask):
    """Make what runs a block that has no program yet; the step remembers it."""
    step = block.step
    if not step.programs or len(step.programs) >= MOST_PROGRAMS:
        step.programs = {}
    found = step.programs[mask] = Direct(mask, step.depth == 1)
    return found


def recover(program, block, stopped):
    """Compute what does not depend on the instruction that stopped a planned program."""
    recovery.after(program, block, stopped)


class Direct:
    """The program of a block that runs directly until it is planned."""

    __slots__ = ("mask", "runs", "program", "alone")

    def __init__(self, mask, alone):
        self.mask, self.runs, self.program, self.alone = mask, 0, None, alone

    def run(self, block):
        """Run a block, or the rest of it after an interrupted run."""
        table = block.table
        if not table:  # (): planning it has failed
            if table is None and self.is_planned(block.step):
                return self.run_planned(block)
            self.runs += 1
            table = block.table = self.queue(block) if self.alone else Run(block, self.mask)
        if table.__class__ is Run:
            table.run()
        elif executor.queue(False)(table.buffer_info()[0]):
            block.table = Run(block, self.mask)
            block.table.stopped(table)
        else:
            TALLY[0] += 1
            TALLY[1] += 1
        return None

    def queue(self, block):
        """Make what runs a block of one short instruction: just its queue, as `Run.fill` makes it, or a Run if it
        needs more."""
        step, slots = block.step, block.slots
        known, key = step.known, step.key
        if not all([self.mask[slot] for slot in writes(step)]):
            return Run(block, self.mask)
        try:
            record = None if known.given else known.records
            if record is None:
                record = records.find(step)
            if record.host or record.arena or record.cost >= RELEASE_NANOSECONDS:
                self.alone = False
                return Run(block, self.mask)
            words = [1, 0, 0, *record.head]
            for at, size, behind in record.inputs:
                address = slots[key[at]].address
                if not address:
                    return Run(block, self.mask)
                words.append(address + key[at + 2] * size - behind)
            if record.fresh:
                for slot, layout in enumerate(step.layouts, step.count - record.fresh):
                    storage = slots[slot]
                    room = storage.block = memory.allocate(layout.nbytes)
                    storage.address = room.address
                    words.append(room.address)
                TALLY[3] += step.nbytes
            words.append(0)
            if record.numbers:
                words += map(word, block.scalars)
            words += record.constants
        except Exception:  # a Run says which it is
            return Run(block, self.mask)
        TALLY[2] += record.launches
        return array.array("q", words)

    def run_planned(self, block):
        if self.program is None:
            program = planned.make(block, self.mask)
            if switches.TIER == "random":
                self.program, block.step.programs[self.mask] = program, self
        else:
            program = self.program
        block.program = program
        stopped = program.run(block)
        if stopped is not None:
            recover(program, block, stopped)

    def is_planned(self, step):
        """Whether this run is worth planning: the block has come back, or moves so much memory that fusing pays at
        once."""
        if switches.EAGER or switches.TIER == "0":
            return False
        if switches.TIER == "random":
            return random.random() < 0.5
        return self.runs >= (SHORT_RUNS if self.alone else DIRECT_RUNS) or switches.TIER == "1" or is_heavy(step)


def is_heavy(step):
    """Whether the results of a block are so large that planning takes less time than fusing saves."""
    count, nbytes = step.depth, 0
    while step.parent is not None:
        nbytes += step.nbytes
        step = step.parent
    return nbytes > HEAVY_BYTES * count


def live(step, mask):
    """(steps whose results may be read later, one byte per slot that is a new result, bytes of new results that
    are only temporary)."""
    needed, made = bytearray(mask), bytearray(len(mask))
    steps, temporary = [], 0
    while step.parent is not None:
        known, key, slot = step.known, step.key, step.count
        wanted = key[0].op.checks
        for layout in known.layouts:
            slot -= 1
            made[slot] = 1
            if needed[slot]:
                wanted = True
        if known.given:
            for at in range(known.operands + known.numbers + 1, len(key), 3):
                if needed[key[at]]:
                    wanted = True
            if wanted:
                for at in range(known.operands + known.numbers + 1, len(key), 3):
                    needed[key[at]] = 1
        if wanted:
            steps.append(step)
            for at in range(1, known.operands, 3):
                needed[key[at]] = 1
            for layout in known.layouts:
                if not mask[slot]:
                    temporary += layout.nbytes + 63 & -64
                slot += 1
        step = step.parent
    steps.reverse()
    return steps, made, temporary


def reads(step):
    """The slots of the operands that exist before a step, including those that it writes."""
    return [step.key[at] for at in records.places_of(step.known, step.key)]


def writes(step):
    """The slots that a step writes."""
    known, key = step.known, step.key
    if known.given:
        return key[known.operands + known.numbers + 1::3]
    return range(step.count - len(step.layouts), step.count)


class Run:
    """One run of a block.

    at: the number of the next step. queue: (array, number of the step behind it, scratch memory, time in ns) of steps
    that are ready to run, or None. error: why the step behind the queue was not queued. failures: the failures of
    slots. Until the queue exists, everything done to make it can be repeated.
    """

    def __init__(self, block, mask):
        self.block, self.mask, self.slots = block, mask, block.slots
        self.steps, made, temporary = live(block.step, mask)
        self.at, self.queue, self.error, self.failures, self.report = 0, None, None, {}, []
        addresses = self.addresses = [s.address for s in self.slots]
        used = {slot for step in self.steps for slot in reads(step)} if 0 in addresses else ()
        for slot in used:
            if not addresses[slot] and not made[slot]:
                self.provide(slot)
        # Temporary results lie one behind the other or, if they are large, in blocks that are reused.
        self.held, self.last, self.place = {}, None, 0  # no bytes need no place
        if temporary > SMALL_TEMPORARIES:
            self.last = {slot: step for step in self.steps for slot in (*reads(step), *writes(step))}
        elif temporary:
            arena = self.held[-1] = memory.allocate(temporary)
            self.place = arena.address

    def provide(self, slot):
        """Memory for an operand that has none yet; for a failed one if the block overwrites it before it reads it."""
        storage = self.slots[slot]
        if storage.__class__ is FailedStorage:
            first = next(step for step in self.steps if slot in reads(step))
            if slot in first.key[1:first.known.operands:3]:
                self.failures[slot] = storage.guard.failure
                return
            heal(storage)
            if storage.address:
                self.addresses[slot] = storage.address
                return
        try:
            room = storage.block = memory.allocate(storage.nbytes)
        except (RuntimeError, MemoryError) as error:
            self.failures[slot] = Failure(error, self.report)
        else:
            self.addresses[slot] = storage.address = room.address

    def run(self):
        """Run what is left."""
        steps = self.steps
        while self.at < len(steps) and not self.failures:
            if self.queue is None:
                self.queue = self.fill(self.at, len(steps))
            queue, behind, area, cost = self.queue
            if queue[0]:
                failed = executor.queue(cost >= RELEASE_NANOSECONDS)(queue.buffer_info()[0])
                if failed:
                    failed = self.at + failed - 1
                    self.refused(steps[failed], queue)
                    self.at, self.queue = failed + 1, None
                    break
            self.at, self.queue = behind, None
            if behind < len(steps):
                self.alone(steps[behind])
        if self.failures:
            self.slowly()
        self.held = None
        TALLY[0] += 1
        TALLY[1] += len(steps)

    def stopped(self, queue):
        """Go on after the queue of the first instruction has reported an error."""
        self.refused(self.steps[0], queue)
        self.at = 1
        self.run()

    def slowly(self):
        """Run the rest one at a time, after a failure."""
        try:
            while self.at < len(self.steps):
                step = self.steps[self.at]
                lost = next((self.failures[slot] for slot in reads(step) if slot in self.failures), None)
                if lost is None:
                    self.alone(step)
                else:
                    self.failures.update(dict.fromkeys(writes(step), lost))
                    self.at += 1
        except BaseException:
            cause = Failure.quiet(RuntimeError("this value was not computed: its computation was interrupted"))
            for step in self.steps[self.at:]:
                self.failures.update(dict.fromkeys(writes(step), cause))
            raise
        finally:
            for slot, failure in self.failures.items():
                fail(self.slots[slot], failure)

    def alone(self, step):
        """Run the next step, which a library computes or which could not be queued."""
        try:
            if self.queue is None:
                self.queue = self.fill(self.at, self.at + 1)
            queue, behind, area, cost = self.queue
            if behind == self.at:
                if self.error is not None:
                    raise self.error
                if not step.known.given:
                    self.place = self.results(step, self.place, {})[1]
                host.call(step.instruction, self.slots, self.block.scalars, dict(enumerate(self.addresses)), NOWHERE)
            elif executor.queue(cost >= RELEASE_NANOSECONDS)(queue.buffer_info()[0]):
                self.refused(step, queue)
        except Exception as error:
            self.failed(step, recovery.located(error, self.line(step)))
        self.at, self.queue = self.at + 1, None

    def refused(self, step, queue):
        """A kernel of a step has set the error word of its queue."""
        self.failed(step, errors.exception(error_word(queue), step.key[0].op, self.line(step)))

    def failed(self, step, error):
        self.failures.update(dict.fromkeys(writes(step), Failure(error, self.report)))

    def line(self, step):
        """Where the user recorded a step, and its operator: the end of the message of its error."""
        file, line = dict(self.block.lines).get(step.depth, ("<unknown>", 0))
        return f" [in {step.key[0].op.name}, recorded at {file}:{line}]"

    def fill(self, start, end):
        """A queue of the steps from `start` on, up to one that a library computes, or that cannot be queued."""
        words, patches, scratch, cost, spare = [0, 0, 0], [], 0, 0.0, {}
        addresses, scalars, place, launches = self.addresses, self.block.scalars, self.place, 0
        self.error, count = None, 0
        for number in range(start, end):
            step = self.steps[number]
            known, key = step.known, step.key
            try:
                record = None if known.given else known.records
                if record is None:
                    record = records.find(step)
                if record.host:
                    break
                new, place = self.results(step, place, spare) if record.fresh else ((), place)
                words += record.head
                for at, size, behind in record.inputs:
                    words.append(addresses[key[at]] + key[at + 2] * size - behind)
                words += new
                if record.arena:
                    patches.append(len(words))
                    scratch = max(scratch, record.arena)
                words.append(0)
                if record.numbers:
                    for value in scalars[step.numbers - record.numbers:step.numbers]:
                        words.append(word(value))
                words += record.constants
            except Exception as error:
                self.error = error
                break
            count += 1
            cost += record.cost
            launches += record.launches
            if self.last is not None:
                self.release(step, spare)
        if self.error is not None:
            del words[3:]
            if count:
                return self.fill(start, start + count)
        words[0] = count
        area = None
        if scratch:
            area = memory.scratch(scratch)
            for at in patches:
                words[at] = area.address
        self.place = place
        TALLY[2] += launches
        return array.array("q", words), start + count, area, cost

    def results(self, step, place, spare):
        """(addresses of the new results of a step, the place of the next temporary result). Results that a queue had,
        which was interrupted or failed before them, keep their places."""
        mask, layouts, new = self.mask, step.layouts, []
        for slot, layout in enumerate(layouts, step.count - len(layouts)):
            nbytes = layout.nbytes
            address = self.addresses[slot]
            if address:
                if not mask[slot]:
                    if self.last is None:
                        place = max(place, address + (nbytes + 63 & -64))
                    elif self.held[slot] in spare.get(nbytes, ()):
                        spare[nbytes].remove(self.held[slot])
            elif mask[slot]:
                storage = self.slots[slot]
                room = storage.block = memory.allocate(nbytes)
                address = storage.address = room.address
                TALLY[3] += nbytes
            elif self.last is None:
                address = place
                place += nbytes + 63 & -64
            else:
                blocks = spare.get(nbytes)
                room = self.held[slot] = blocks.pop() if blocks else memory.allocate(nbytes)
                address = room.address
            self.addresses[slot] = address
            new.append(address)
        return new, place

    def release(self, step, spare):
        """The memory of temporary results that this step reads last serves later ones of this queue. It is kept until
        the end all the same: it must not be allocated again before the queue has run."""
        for slot in {*reads(step), *writes(step)}:
            room = self.held.get(slot)
            if room is not None and self.last[slot] is step:
                spare.setdefault(room.nbytes, []).append(room)


def error_word(queue):
    """The error word of the entry where a queue stopped."""
    at = 3
    for _ in range(queue[1]):
        at += 2 + queue[at + 1]
    return queue[at + 2]


class Nowhere:
    """The arena that addresses count from."""

    address = 0


NOWHERE = Nowhere()
