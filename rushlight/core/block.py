"""The pending block: recorded instructions that have not run yet, and what became of the ones that could not run.

Note [Transactions]
A `Block` owns everything that is pending: slots, path, scalars and the user's lines. Recording appends to its lists and
commits by one last store, `block.step = step`; whatever stands in the lists beyond what `step` counts belongs to an
operator that did not complete, and `repair` drops it. So an exception at any bytecode (an interrupt, a RecursionError,
a refused operand) leaves either a recorded operator or no trace of it.

A flush takes the block as a whole. While it plans, allocates or runs, `Stream.taken` holds the block; if an exception
ends the flush early, the next flush resumes it first. Native programs keep their progress in the table of the run, so a
resumed launch never runs twice.

Note [Failures]
An instruction that cannot run (an index out of range, a singular matrix, no memory) fails alone: what depends on it
fails with it, and everything else is computed. A failed storage is a `FailedStorage`: it has no address, and reading or
using it raises the error again until an operator overwrites it as a whole. An in-place target that was partly written
is failed too; its content is undefined. An error that nobody has seen is reported when the process ends: the
first of each block, unless another one of it was raised.

Takes operators from `record`; `stream` holds the current block and flushes it. Read `stream` next.
"""

import atexit
import sys

from ..base import switches

SOFT_LENGTH = 512  # from here on a block ends where a known block starts, so that loops cut at the same place
HARD_LENGTH = 4096


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

    __slots__ = ("next", "parent", "instruction", "layouts", "nbytes", "programs", "depth", "count", "numbers",
                 "replays", "known", "likely", "then", "written")

    def __init__(self, parent, instruction, layouts, count=0, numbers=0):
        self.count, self.numbers = count, numbers  # slots and scalars in use after this step
        self.replays = None  # backward passes known to start here, see autograd/replay.py
        self.next, self.programs = {}, {}
        self.parent, self.instruction, self.layouts = parent, instruction, layouts
        self.depth = parent.depth + 1 if parent else 0
        # The steps that the short paths of record.py may take, and the one they took last, with its key.
        self.known = self.next if self.depth < SOFT_LENGTH and not switches.EAGER else {}
        self.likely = self.then = None
        self.nbytes = sum(x.nbytes for x in layouts)
        # Slots of memory that existed before the block and that the path writes.
        self.written = parent.written if parent else frozenset()
        if instruction is not None and instruction.given:
            self.written = self.written.union([slot for slot, _, _ in instruction.outs])

    def follow(self, key):
        """The step that a short path may take, or None; it is the likely one from now on."""
        step = self.known.get(key)
        if step is not None:
            self.likely, self.then = key, step
        return step

    def path(self):
        """The instructions from the root to here."""
        instructions, step = [], self
        while step.instruction is not None:
            instructions.append(step.instruction)
            step = step.parent
        return instructions[::-1]


class Block:
    """What is pending. `step` is the end of its path, and commits all the rest (Note [Transactions]).

    slots: the storages of the path. scalars: the numbers of its operators. lines: (depth, user's line) of the operators
    that check data. held: bytes of results that have no memory yet. program, table: set by the flush that runs it, so
    that another one can resume it. After the run, `slots` is None.
    """

    __slots__ = ("step", "slots", "scalars", "lines", "held", "program", "table", "outer", "grad")

    def repair(self):
        """Drop what an operator that did not complete has left behind the committed step."""
        step = self.step
        for storage in self.slots[step.count:]:
            if storage.pending is self:
                storage.pending = None
        del self.slots[step.count:], self.scalars[step.numbers:]
        while self.lines and self.lines[-1][0] > step.depth:
            self.lines.pop()


def new_block(root, _new=object.__new__, _cls=Block):
    """An empty block. (Not its __init__, which would cost as much as all the rest.)"""
    block = _new(_cls)
    block.step, block.slots, block.scalars, block.lines, block.held = root, [], [], [], 0
    block.program = block.table = None
    block.outer = None  # the block that waits while a body is traced, see core/macro.py
    return block


class Failure:
    """Why storages have no value. `report`: what the failures of one block share: a list that is empty once one of them
    was raised in the user's program. None: the failure is not reported at the end."""

    __slots__ = ("error", "report")

    def __init__(self, error, report=None):
        self.error, self.report = error, report
        if report is not None:
            report.append(error)
            if len(report) == 1:
                _unseen.append(report)

    def fresh(self):
        """The error to raise: a new exception each time, so that tracebacks do not grow."""
        if self.report is not None:
            self.report.clear()
        try:
            error = self.error.__class__(*self.error.args)
        except Exception:  # an exception class with a constructor of its own
            return self.error.with_traceback(None)
        error.__dict__.update(self.error.__dict__)
        return error


_unseen = []
MOST_REPORTED = 20


@atexit.register
def report_unseen():
    """Print the errors of failed operators that no read has raised."""
    unseen = [report[0] for report in _unseen if report]
    for error in unseen[:MOST_REPORTED]:
        print(f"rushlight: an operator failed, and nothing read its result: {type(error).__name__}: {error}",
              file=sys.stderr)
    if len(unseen) > MOST_REPORTED:
        print(f"rushlight: {len(unseen) - MOST_REPORTED} more operators failed", file=sys.stderr)
    _unseen.clear()
