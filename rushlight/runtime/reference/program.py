"""The launcher of the reference device: the instructions of a block run one by one, in program order.

In: a block of the device's stream, and which of its slots somebody still refers to. Out: its program, which the step
keeps. Macros are opened into their instructions; an instruction that nobody reads and that cannot fail is left out. An
instruction that fails fails alone (Note [Failures] in core/block.py).
"""

from ...base.lazy import numpy as np
from ...core.block import Failure
from ...core.storage import FailedStorage, fail, heal
from ...fuse.expand import expand

MOST_PROGRAMS = 64  # of one step, by which results are alive


class Launcher:
    """Makes the programs of a device, of the kernels that its generator gives."""

    def __init__(self, device):
        self.device = device

    def make(self, block, mask):
        """The program of a block; the step remembers it."""
        step = block.step
        if not step.programs or len(step.programs) >= MOST_PROGRAMS:
            step.programs = {}
        found = step.programs[mask] = Program(self.device, step.path(), mask, len(block.scalars))
        return found


class Program:
    """The kernels of a block. `launches`: (kernel or None, instruction, depth of its step)."""

    def __init__(self, device, path, mask, numbers):
        self.device, self.path, self.slots = device, path, len(mask)
        self.memory = device.parts.allocator
        instructions, depths, self.temps, self.constants = expand(path, self.slots, numbers)
        kernel = device.parts.generator.kernel
        self.launches = [(kernel(instruction), instruction, depth)
                         for instruction, depth in needed(instructions, depths, mask)]

    def run(self, block):
        """Run a block. Nothing is left to do afterwards, so this returns None."""
        Run(self, block).run()


def needed(instructions, depths, mask):
    """(instruction, depth of its step) of what has to run: what writes memory that somebody sees or reads, or may
    fail."""
    seen, found = {slot for slot, alive in enumerate(mask) if alive}, []
    for instruction, depth in zip(reversed(instructions), reversed(depths)):
        written = [slot for slot, _, _ in instruction.outs]
        if instruction.op.checks or not seen.isdisjoint(written):
            found.append((instruction, depth))
            seen.update([slot for slot, _, _ in instruction.ins])
            if instruction.given:
                seen.update(written)
    return found[::-1]


class Run:
    """One run of a block. `content`: the bytes of each slot; `failures`: what is wrong with slots."""

    def __init__(self, program, block):
        self.program, self.block = program, block
        self.numbers = [*block.scalars, *program.constants]
        self.lines, self.report = dict(block.lines), []
        self.content, self.failures = {}, {}

    def run(self):
        """Run every instruction; mark what failed."""
        for kernel, instruction, depth in self.program.launches:
            touched = [slot for slot, _, _ in (*instruction.ins, *(instruction.outs if instruction.given else ()))]
            lost = next((self.failures[slot] for slot in touched if slot in self.failures), None)
            if lost is None:
                lost = self.launch(kernel, instruction, depth)
            if lost is not None:
                self.failures.update(dict.fromkeys([slot for slot, _, _ in instruction.outs], lost))
        for slot, failure in self.failures.items():
            if slot < self.program.slots:
                fail(self.block.slots[slot], failure)

    def launch(self, kernel, instruction, depth):
        """Run one instruction; its Failure, or None."""
        try:
            if kernel is None:
                raise NotImplementedError(f"{instruction.op.name} is not implemented on device {self.program.device}")
            ins = [self.array(*ref) for ref in instruction.ins]
            outs = [self.array(*ref, True) for ref in instruction.outs]
            with np.errstate(all="ignore"):
                kernel(instruction, ins, outs, self.numbers)
        except Lost as lost:
            return lost.failure
        except Exception as error:
            return Failure(self.located(error, depth), self.report)
        return None

    def array(self, slot, layout, offset, written=False):
        """An operand as it lies in memory."""
        content = self.content.get(slot)
        if content is None:
            content = self.content[slot] = self.room(slot, written and layout.dense)
        return self.program.memory.array(content, layout, offset)

    def room(self, slot, overwritten):
        """The bytes of a slot."""
        if slot >= self.program.slots:
            return self.program.memory.allocate(self.program.temps[slot - self.program.slots]).content
        storage = self.block.slots[slot]
        if storage.__class__ is FailedStorage:
            if not overwritten:
                raise Lost(storage.guard.failure)
            heal(storage)
        self.program.memory.provide(storage)
        return storage.block.content

    def located(self, error, depth):
        """The error, with the operator and the line that recorded it in its text."""
        if len(error.args) == 1 and isinstance(error.args[0], str):
            name = self.program.path[depth - 1].op.name
            file, line = self.lines.get(depth, ("<unknown>", 0))
            error.args = (f"{error.args[0]} [in {name}, recorded at {file}:{line}]",)
        return error


class Lost(Exception):
    """An operand has failed before."""

    def __init__(self, failure):
        super().__init__()
        self.failure = failure
