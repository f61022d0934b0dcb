"""The instruction stream: what has been recorded and has not run yet.

Note [The prefix tree]
The sequence of pending instructions is a path in a tree of `Step`s. The key of a step is the operator's form (its
static attributes), and for each operand the slot it lives in and its interned layout and offset (numbers: only their
type). So one look-up per operator is shape inference, promotion and validation (a known step has been checked before)
as well as the key of the whole program: where a flush ends, the step holds the planned programs, by which slots are
live. Numbers that change from step to step are arguments. A step remembers where the path went last time, because a
loop goes the same way again: comparing a key costs less than looking it up.
The tree is bounded: when it has grown past `MOST_STEPS` it is dropped as a whole and grows again from what is in use.

What comes in: operators from `record`. What goes out: `engine.flush` gets a path and the slots. Program order is
meaning: fusing and reordering may never show.
"""

import threading

from ..base import switches
from .storage import references

MOST_STEPS = 200_000
SOFT_LENGTH = 512  # from here on a block ends where a known block starts, so that loops cut at the same place
HARD_LENGTH = 4096
MOST_BYTES = 1 << 28  # of results held back that somebody may still look at


class Instruction:
    """One recorded operator, without the memory it works on: operands are (slot, layout, offset) with offset in
    elements.

    `args` tells for each parameter of the operator's body where it comes from: ("in", i) or ("num", position in the
    program's scalars).
    """

    __slots__ = ("op", "attrs", "ins", "outs", "args", "info", "given")

    def __init__(self, op, attrs, ins, outs, args, info, given):
        self.op, self.attrs, self.ins, self.outs, self.args, self.info = op, attrs, ins, outs, args, info
        self.given = given  # whether the outputs are existing tensors (in-place)

    def __repr__(self):
        refs = [f"%{s}{tuple(x.shape)}" for s, x, _ in self.ins]
        outs = [f"%{s}{tuple(x.shape)}:{x.dtype.name}" for s, x, _ in self.outs]
        return f"{', '.join(outs)} = {self.op.name}({', '.join(refs)}{', ' + str(self.attrs) if self.attrs else ''})"


class Step:
    """A node of the prefix tree."""

    __slots__ = ("next", "parent", "instruction", "layouts", "nbytes", "programs", "depth", "count", "replays",
                 "known", "likely", "then")

    def __init__(self, parent, instruction, layouts, count=0):
        self.count = count  # slots in use after this step
        self.replays = None  # backward passes known to start here, see autograd/replay.py
        self.next, self.programs = {}, {}
        self.parent, self.instruction, self.layouts = parent, instruction, layouts
        self.depth = parent.depth + 1 if parent else 0
        # The steps that the short paths of record.py may take, and the one they took last, with its key.
        self.known = self.next if self.depth < SOFT_LENGTH and not switches.EAGER else {}
        self.likely = self.then = None
        self.nbytes = sum(x.nbytes for x in layouts)

    def follow(self, key):
        """The step that a short path may take, or None; it is the likely one from now on."""
        step = self.known.get(key)
        if step is not None:
            self.likely, self.then = key, step
        return step

    def path(self):
        """The instructions from the root to here."""
        found, step = [], self
        while step.instruction is not None:
            found.append(step.instruction)
            step = step.parent
        return found[::-1]


class Stream:
    """The pending block. All access is under `lock` (see record.py)."""

    def __init__(self):
        self.root = Step(None, None, ())
        self.step = self.root
        self.slots, self.scalars = [], []
        self.epoch, self.held, self.steps = 0, 0, 0
        self.lock = threading.RLock()
        self.acquire, self.release = self.lock.acquire, self.lock.release  # a `with` would cost 0.15 us more
        # set by the engine: make(step, liveness mask, numbers) -> program with run(slots, numbers, lines)
        self.make = None
        self.tracing, self.traces = False, 0  # core/macro.py runs a body for its instructions alone
        self.wheres = []  # with RUSHLIGHT_CHECK=trace: the user's line of each instruction

    def enter(self, storage):
        """Give a storage a slot in the pending block."""
        storage.epoch = self.epoch
        index = storage.index = len(self.slots)
        self.slots.append(storage)
        return index

    def overfull(self):
        """Whether the block should end because of its memory. Counts anew: results that nobody refers to any more take
        none, or only while the program runs. A few results as large as the newest are always allowed, or expressions
        of large tensors would run operator by operator."""
        live = references(self.slots)
        self.held = sum([s.nbytes for s, seen in zip(self.slots, live) if seen and not s.address])
        return self.held > max(MOST_BYTES * 3 // 4, 4 * self.slots[-1].nbytes)

    def leave(self):
        """Take back the slots of an operator that was refused: later steps count on slots being numbered by the path
        alone."""
        count = self.step.count
        for storage in self.slots[count:]:
            storage.epoch = -1
        del self.slots[count:]

    def grow(self, key, instruction, layouts):
        """Append an unknown step."""
        step = Step(self.step, instruction, layouts, len(self.slots) + len(layouts))
        self.step.next[key] = step
        self.steps += 1
        return step

    def flush(self):
        """Run what is pending."""
        self.acquire()
        try:
            if self.tracing:
                return
            step = self.step
            if step is self.root:
                if self.slots:
                    self.slots = []
                    self.epoch += 1
                return
            slots, scalars, wheres = self.slots, self.scalars, self.wheres
            if self.steps > MOST_STEPS:
                self.root = Step(None, None, ())
                self.steps = 0
            self.step = self.root
            self.slots, self.scalars, self.held = [], [], 0
            self.epoch += 1
            if wheres:
                self.wheres = []
            mask = references(slots)
            program = step.programs.get(mask)
            if program is None:
                program = self.make(step, mask, scalars)
            program.run(slots, scalars, wheres)
        finally:
            self.release()

    def restart(self):
        """Run what is pending, and forget the tree: the switches have changed, and with them which steps are known."""
        with self.lock:
            try:
                self.flush()
            finally:
                self.root = self.step = Step(None, None, ())
                self.steps = 0


STREAM = Stream()
flush = STREAM.flush
switches.WATCHERS.append(STREAM.restart)
