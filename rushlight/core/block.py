"""The pending block: recorded instructions that have not run yet, and the failures of those that could not run.

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
is failed too; its content is undefined. An error that was never raised is reported when the process ends: the
first of each block, unless another error of that block was raised.

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


class Known:
    """What follows from the layouts of its operands alone, Note [Known forms] in record.py: layouts and bytes of
    new results, `info` for the planner, where the arguments of its body come from (numbers counted from its own first
    one). `operands`: the length of a step's key up to its tensors; `numbers`: how many follow; `given`: whether
    results follow that exist before. `records`: for engine/direct.py, how to run it."""

    __slots__ = ("layouts", "nbytes", "info", "args", "operands", "numbers", "given", "records")

    def __init__(self, layouts, info, args, given):
        self.layouts, self.info, self.args, self.given, self.records = tuple(layouts), info, args, given, None
        self.nbytes = sum([x.nbytes for x in layouts])
        self.numbers = sum([arg[0] == "num" for arg in args])
        self.operands = 1 + 3 * (len(args) - self.numbers)


NOTHING = Known((), None, (), False)
NONE_YET, LONG_WAY = {}, {}  # dictionaries of steps that have no other yet; nothing is ever put into them


class Step:
    """A node of the prefix tree.

    known: what the layouts of its key say. count, numbers: slots and scalars of the block in use after it. short: the
    steps that the short paths of record.py may take. written: slots of memory that existed before the block and that
    the path writes. replays: backward passes known to start here, see autograd/replay.py. likely, then: the key and the
    step that the path took last. past: the same step of the generation of the tree before this one, if it is known.

    Most of the many steps are met only once, so the instruction, which planning needs, and the dictionaries are made on
    demand.
    """

    __slots__ = ("next", "parent", "key", "known", "layouts", "nbytes", "programs", "depth", "count", "numbers",
                 "replays", "short", "likely", "then", "written", "made", "past")

    def __init__(self, parent=None, key=None, known=NOTHING, count=0):
        self.parent, self.key, self.known, self.count = parent, key, known, count
        self.layouts, self.nbytes = known.layouts, known.nbytes
        self.replays = self.likely = self.then = self.made = self.past = None
        self.next = self.programs = self.short = NONE_YET
        if parent is None:
            self.depth = self.numbers = 0
            self.written = frozenset()
        else:
            self.depth = parent.depth + 1
            self.numbers = parent.numbers + known.numbers
            self.written = parent.written
            if known.given:
                slots = key[known.operands + known.numbers + 1::3]
                if not self.written.issuperset(slots):
                    self.written = self.written.union(slots)
            if self.depth >= SOFT_LENGTH:
                self.short = LONG_WAY
        if switches.EAGER:
            self.short = LONG_WAY

    @property
    def instruction(self):
        """The Instruction of this step."""
        found = self.made
        if found is None:
            key, known = self.key, self.known
            ins = [key[at:at + 3] for at in range(1, known.operands, 3)]
            if known.given:
                outs = [key[at:at + 3] for at in range(known.operands + known.numbers + 1, len(key), 3)]
            else:
                outs = [(slot, layout, 0) for slot, layout in enumerate(known.layouts, self.count - len(known.layouts))]
            before = self.numbers - known.numbers
            args = tuple([arg if arg[0] == "in" else ("num", arg[1] + before, arg[2]) for arg in known.args])
            form = key[0]
            found = self.made = Instruction(form.op, form.attrs, tuple(ins), tuple(outs), args, known.info,
                                            known.given)
        return found

    def grow(self, key, known, slots):
        """Add the step for a key that this step has not seen; `slots` are in use."""
        step = Step(self, key, known, slots + len(known.layouts))
        if self.next is NONE_YET:
            self.next = {key: step}
            if self.short is NONE_YET:
                self.short = self.next
        else:
            self.next[key] = step
        if self.past is not None:
            step.past = self.past.next.get(key)
            if step.past is not None:
                step.programs = step.past.programs
        return step

    def follow(self, key):
        """The step that a short path may take, or None; it is the likely one from now on."""
        step = self.short.get(key)
        if step is not None:
            self.likely, self.then = key, step
        return step

    def path(self):
        """The instructions from the root to here."""
        instructions, step = [], self
        while step.key is not None:
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
    """Why storages have no value. `report`: shared by the failures of one block; a list that is emptied once one of
    them has been raised in the user's program. None: the failure is not reported at the end."""

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
