"""Macros put back into their instructions (see core/macro.py), before a program is planned.

What comes in: the instructions of a block and how many slots and numbers it has. What goes out: instructions without
macros, with slots for their temporaries behind the others, and the constants they need, which follow the block's
numbers in its table.
"""

from ..core.macro import Given
from ..core.stream import Instruction


def expand(instructions, slots, numbers):
    """(instructions, bytes of each temporary slot, constants)."""
    if not any([i.op.kind == "macro" for i in instructions]):
        return instructions, [], []
    state = State(slots, numbers)
    for instruction in instructions:
        state.put(instruction)
    return state.instructions, state.temps, state.constants


class State:
    """What has been expanded so far."""

    def __init__(self, slots, numbers):
        self.instructions, self.slots, self.numbers = [], slots, numbers
        self.temps, self.constants = [], []

    def put(self, instruction):
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

    def constant(self, value):
        """A new number of the program, behind the block's own."""
        self.constants.append(value)
        return ("num", self.numbers + len(self.constants) - 1, value.__class__)


def relocated(inner, moved, numbers):
    """An instruction of a trace in the slots and numbers of a block."""
    def refs(given):
        return tuple([(moved[slot][0], layout, offset + moved[slot][1]) for slot, layout, offset in given])
    args = tuple([arg if arg[0] == "in" else numbers[arg[1]] for arg in inner.args])
    return Instruction(inner.op, inner.attrs, refs(inner.ins), refs(inner.outs), args, inner.info, inner.given)
