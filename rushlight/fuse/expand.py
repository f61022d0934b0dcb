"""Macros put back into their instructions (see core/macro.py), before a program is planned.

In: the instructions of a block and how many slots and numbers it has. Out: instructions without macros, with slots for
their temporaries behind the others, and the constants they need, which follow the block's numbers in its table.

A write that meets its own operands (rule 11 in group.py) has operands of other dtypes converted before and its result
after it, as PyTorch does: the element by element order is that of the computation in its own dtype.
"""

from ..core.block import Instruction
from ..core.kinds import OPERATORS
from ..core.layout import dense_strides_like, layout
from ..core.macro import Given
from .group import overlaps


def expand(instructions, slots, numbers):
    """(instructions, bytes of each temporary slot, constants)."""
    if not any([i.op.kind == "macro" or converts(i) for i in instructions]):
        return instructions, list(range(1, len(instructions) + 1)), [], []
    state = State(slots, numbers)
    for depth, instruction in enumerate(instructions, 1):
        state.put(instruction)
        state.depths += [depth] * (len(state.instructions) - len(state.depths))
    return state.instructions, state.depths, state.temps, state.constants


class State:
    """What has been expanded so far."""

    def __init__(self, slots, numbers):
        self.instructions, self.slots, self.numbers = [], slots, numbers
        self.temps, self.constants, self.depths = [], [], []

    def put(self, instruction):
        if converts(instruction):
            self.convert(instruction)
            return
        if instruction.op.kind != "macro":
            self.instructions.append(instruction)
            return
        trace = instruction.info
        first = self.slots + len(self.temps)
        self.temps += trace.temps
        own = [arg for arg in instruction.args if arg[0] == "num"]
        numbers = [own[s.index] if s.__class__ is Given else self.constant(s) for s in trace.scalars]
        moved = []
        for where, i in trace.places:
            if where == "temp":
                moved.append((first + i, 0))
            else:
                slot, _, offset = (instruction.ins if where == "in" else instruction.outs)[i]
                moved.append((slot, offset))
        for inner in trace.instructions:
            self.put(relocated(inner, moved, numbers))

    def convert(self, instruction):
        """The instruction between conversions."""
        wanted, ins = instruction.info, []
        for ref in instruction.ins:
            if ref[1].dtype is not wanted:
                ins.append(self.temporary(ref[1], wanted))
                self.instructions.append(moved_values("cast_", ref, ins[-1], False))
            else:
                ins.append(ref)
        (out,) = instruction.outs
        direct = out[1].dtype is wanted
        target = out if direct else self.temporary(out[1], wanted)
        self.instructions.append(Instruction(instruction.op, instruction.attrs, tuple(ins), (target,),
                                             instruction.args, wanted, direct))
        if not direct:
            self.instructions.append(moved_values("copy_", target, out, True))

    def temporary(self, like, dtype):
        """(slot, layout, offset) of new memory for the values of a layout in another dtype."""
        found = layout(tuple(like.shape), dense_strides_like(like.shape, like.strides), dtype)
        self.temps.append(found.nbytes)
        return (self.slots + len(self.temps) - 1, found, 0)

    def constant(self, value):
        """A new number of the program, behind the block's own."""
        self.constants.append(value)
        return ("num", self.numbers + len(self.constants) - 1, value.__class__)


def converts(instruction):
    """Whether an instruction is a write that meets its own operands and computes in another dtype than one of them."""
    wanted = instruction.info
    return (instruction.given and instruction.op.is_loop and wanted is not None
            and any([ref[1].dtype is not wanted for ref in (*instruction.ins, *instruction.outs)])
            and overlaps(instruction))


def moved_values(name, source, target, given):
    """The instruction that copies one operand into another."""
    return Instruction(OPERATORS[name], (), (source,), (target,), (("in", 0),), None, given)


def relocated(inner, moved, numbers):
    """An instruction of a trace in the slots and numbers of a block."""
    def refs(given):
        return tuple([(moved[slot][0], layout, offset + moved[slot][1]) for slot, layout, offset in given])
    args = tuple([arg if arg[0] == "in" else numbers[arg[1]] for arg in inner.args])
    return Instruction(inner.op, inner.attrs, refs(inner.ins), refs(inner.outs), args, inner.info, inner.given)
