"""The instruction stream: the current block, the tree of known paths, and the lock over both.

Note [The prefix tree]
The sequence of pending instructions is a path in a tree of `Step`s. The key of a step is the operator's form (its
static attributes), and for each operand the slot it lives in and its interned layout and offset (numbers: only their
type). So one look-up per operator is shape inference, promotion and validation (a known step has been checked before)
as well as the key of the whole program: where a flush ends, the step holds the planned programs, by which slots are
live. Numbers that change from step to step are arguments. A step remembers where the path went last time, because a
loop goes the same way again: comparing a key costs less than looking it up.
The tree is bounded: when `MOST_STEPS` have been added, it becomes the past, and a new one grows from what is in use. A
step takes the programs that it had in the past with it; what is left there when the tree turns again was not used for
so long, and goes. A planned program counts as many steps as it has instructions.

Note [The lock]
`acquire` and `release` are called without `with`, which would cost 0.15 us an operator. The holder calls `acquire` as
the first statement inside `try`. The handler of any exception releases the lock if this thread owns it, so that an
interrupt before, in or after `acquire` cannot leave it held. The handler calls no Python function: where the recursion
limit is reached, a call would fail again. It only marks the stream as `dirty`, and the next operator repairs it.

Takes operators from `record`, and gives the engine blocks to run. Program order is meaning: fusing and reordering may
never show. Read `record` next.
"""

import atexit
import threading
import time

from ..base import forks, switches
from . import dtype as dt
from .block import Step, new_block
from .graph import MODE
from .storage import references

MOST_STEPS = 100_000  # of a generation of the tree
MOST_BYTES = 1 << 28  # of results held back that somebody may still look at


class Stream:
    """The pending block. All access is under the lock (Note [The lock])."""

    __slots__ = ("root", "starts", "block", "taken", "steps", "planned", "dirty", "inferring", "make", "recover",
                 "load", "watch", "lock", "acquire", "release", "owned", "unsettled", "settle")

    def __init__(self, lock=None):
        self.root = Step()
        self.block = new_block(self.root)
        self.taken = None  # the block that a flush runs, or that an interrupted flush has left
        self.steps = 0
        self.planned = 0  # instructions of the programs that were planned for this generation of the tree
        self.starts = set()  # (form, layout and offset of its first operand) of the steps that follow the root
        self.dirty = False  # whether an exception has left an operator that did not complete
        self.inferring = False  # whether a thread is in inference mode, see core/storage.py
        self.unsettled, self.settle = [], None  # in-place writes without their history, see grads.py; who gives it
        # Set by the engine: make(block, liveness mask) -> program; program.run(block) -> where it stopped, or None;
        # recover(program, block, where) computes what does not depend on what failed.
        # load(): called when something is recorded that will need the engine.
        self.make = self.recover = self.load = None
        self.watch = None  # who else sees the blocks that run: watch(block), see utils/module_trace.py
        self.lock = lock or threading.RLock()  # one for the streams of all devices
        self.acquire, self.release, self.owned = self.lock.acquire, self.lock.release, self.lock._is_owned

    def repair(self):
        """Drop what an exception has left: the block of a traced body (core/macro.py), and the traces of an operator
        that did not complete."""
        block = self.block
        while block.outer is not None:
            MODE.grad = block.grad
            self.block = block = block.outer
        block.repair()
        for stream in ELSEWHERE:
            stream.block.repair()
        self.dirty = False
        try:
            while self.unsettled:
                self.settle(*self.unsettled[0])
                del self.unsettled[0]
        except BaseException:
            self.dirty = True
            raise

    @property
    def tracing(self):
        """Whether a body runs only to record its instructions."""
        return self.block.outer is not None

    def enter(self, storage):
        """Give a storage a slot in the pending block."""
        block = self.block
        index = len(block.slots)
        block.slots.append(storage)
        storage.index = index
        storage.pending = block
        return index

    def overfull(self):
        """Whether the block should end because of its memory. Recounts it: results without references take no memory,
        or take it only while the program runs. A few results as large as the newest are always allowed, or expressions
        of large tensors would run operator by operator."""
        block = self.block
        live = references(block.slots)
        block.held = sum([s.nbytes for s, seen in zip(block.slots, live) if seen and not s.address])
        return block.held > max(MOST_BYTES * 3 // 4, 4 * block.slots[-1].nbytes)

    def is_ready(self, storage):
        """Whether the memory of a storage holds its values now: nothing that is pending or running writes it."""
        block = self.block  # before `taken`: a flush of another thread takes the block before it puts a new one there
        return (storage.address != 0 and self.taken is None and block.outer is None
                and (storage.pending is not block or storage.index not in block.step.written))

    def grow(self, key, known):
        """Add the step for a key that the current step has not seen."""
        if not self.steps and self.load is not None:
            self.load()
        self.steps += 1
        before = self.block.step
        if before is self.root:
            self.starts.add((key[0], *key[2:4]))
        return before.grow(key, known, len(self.block.slots))

    def flush(self):
        """Run what is pending."""
        try:
            if forks.waiting:
                time.sleep(0.001)  # a thread that computes all the time would hardly ever leave the lock to others
            self.acquire()
            if self.dirty:
                self.repair()
            block = self.block
            if block.outer is None:
                if self.taken is not None:
                    self.resume(block)
                if block.step.depth:
                    self.taken = block
                    self.block = new_block(self.root)
                    if self.watch is not None:
                        self.watch(block)
                    # Kept with the block: what resumes an interrupted run has to go on with the same program.
                    program = block.program = block.step.programs.get(references(block.slots))
                    if program is None:
                        self.complete(block)
                    else:
                        stopped = program.run(block)
                        if stopped is not None:
                            self.recover(program, block, stopped)
                        block.slots = block.scalars = block.table = None
                        self.taken = None
            self.release()
        except BaseException:
            if self.owned():
                self.dirty = True
                self.release()
            raise

    def resume(self, block):
        """Run what an interrupted flush has left, unless that is the current block, which no flush has begun to run."""
        if self.taken is not block and self.taken.slots is not None:
            self.complete(self.taken)
        self.taken = None

    def complete(self, block):
        """Run a block that was taken, with a new program if it has none."""
        program = block.program
        if program is None:
            if self.steps + self.planned > MOST_STEPS:
                self.turn()
            mask = references(block.slots)
            program = block.step.programs.get(mask)
            if program is None:
                program = self.make(block, mask)
            block.program = program
        stopped = program.run(block)
        if stopped is not None:
            self.recover(program, block, stopped)
        block.slots = block.scalars = block.table = None
        self.taken = None

    def restart(self):
        """Run what is pending, and forget the tree: the switches or the default dtype have changed, and with them which
        steps are known."""
        with self.lock:
            try:
                self.flush()
            finally:
                self.forget()

    def turn(self):
        """Begin a new generation of the tree, and drop the one before this."""
        past, todo = self.root, [self.root]
        while todo:
            step = todo.pop()
            step.past = None
            todo += step.next.values()
        self.forget()
        self.root.past = past

    def forget(self):
        """Drop the tree."""
        self.root = Step()
        self.steps = self.planned = 0
        self.starts.clear()
        if not self.block.slots:
            self.block = new_block(self.root)


ELSEWHERE = []  # the streams of other devices that collect blocks
STREAM = Stream()  # of the CPU
flush = STREAM.flush
switches.WATCHERS.append(STREAM.restart)
dt.WATCHERS.append(STREAM.restart)


@atexit.register
def _check_pending():
    """Run a last block that checks its data, so that its errors are reported."""
    for stream in (STREAM, *ELSEWHERE):
        if stream.block.lines:
            stream.flush()


forks.hold(STREAM.lock, forks.STREAM)  # a child finds the stream as it was between two operators
