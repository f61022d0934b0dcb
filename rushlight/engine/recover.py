"""Recovery of a block in which an instruction cannot run: compute everything that does not depend on it.

Takes a block, its program and where the program stopped; afterwards every storage of the block is right or failed
(Note [Failures] in core/block.py). Speed does not matter here: launches run one at a time, and the rest of the group
that failed operator by operator. Read `flush` first.
"""

import ctypes
import struct

from ..core import errors
from ..codegen.ir.kernel import Scratch
from ..core.block import Failure, Instruction, Step, new_block
from ..core.storage import FailedStorage, fail, new_storage
from ..runtime.cpu.program import Program
from . import direct, host
from .executable import WORD, Executable, Stopped


def after(program, block, stopped):
    """Compute what does not depend on the instruction that stopped the program, and fail the rest."""
    if stopped.step is None:
        block.table = direct.Run(block, program.mask)
        block.table.run()
        return
    recovery = Recovery(program, block)
    try:
        recovery.run(stopped)
    except BaseException:  # an interrupt: what has not run is failed
        recovery.poison_rest()
        raise
    finally:
        recovery.mark()


class Recovery:
    """The rest of a program. `failures`: the failures of slots and scratch memory; `rest`: (segment, launches) that
    have not run."""

    def __init__(self, program, block):
        self.program, self.block, self.plan = program, block, program.plan
        self.lines, self.report = dict(block.lines), []
        self.rest = []
        interrupted = Failure(RuntimeError("this value was not computed: its computation was interrupted"))
        self.interrupted, self.failures = interrupted, {}
        for slot in self.plan.external:
            storage = block.slots[slot]
            if storage.__class__ is FailedStorage:
                self.failures[slot] = storage.guard.failure

    def run(self, stopped):
        """Run what is left, from the launch or host instruction that stopped the program."""
        segments = self.plan.segments[stopped.step:]
        self.rest = [(s.host, [launch for row in s.launches for launch in row]) for s in segments]
        cause = stopped.cause
        if cause is None:
            pass
        elif isinstance(cause, Exception):
            self.host_failed(self.rest.pop(0)[0], cause)
        else:
            first = segments[0].launches
            done = ctypes.c_int64.from_address(self.block.table[1] - WORD * (stopped.step + 1)).value
            failing = first[done][0]
            self.rest[0] = (None, [launch for row in first[done + 1:] for launch in row])
            self.launch_failed(failing, cause)
        while self.rest:
            instruction, launches = self.rest[0]
            if instruction is not None:
                self.host(instruction)
            while launches:
                self.launch(launches[0])
                del launches[:1]
            self.rest.pop(0)

    def line(self, number):
        """Where the user recorded an expanded instruction, and its operator: the end of the message of its error."""
        depth = self.plan.depths[number]
        file, line = self.lines.get(depth, ("<unknown>", 0))
        return f" [in {self.program.path[depth - 1].op.name}, recorded at {file}:{line}]"

    def launch(self, launch):
        """Run a launch whose operands have not failed; otherwise its results fail too."""
        found = next((self.failures[slot] for slot in launch.touched() if slot in self.failures), None)
        if found is not None:
            self.part_failed(launch.part, found, None)
            return
        code = self.native(launch)
        if code:
            self.launch_failed(launch, code)

    def native(self, launch):
        """Run one launch over the table of the program; its error word."""
        program, (_, address, _) = self.program, self.block.table
        word = program.words
        ctypes.c_int64.from_address(address - WORD * word).value = 0
        return Program([program.record([launch])], word=word).run(address)

    def launch_failed(self, launch, code):
        """A launch has set the error word."""
        part, expanded = launch.part, self.plan.expanded
        position = launch.checking.get(errors.node_of(code))
        if position is None:
            number = next((number for number in part.members if expanded[number].op.checks), part.members[0])
        else:
            number = part.members[position]
        error = errors.exception(code, expanded[number].op, self.line(number))
        self.part_failed(part, Failure(error, self.report), number)

    def part_failed(self, part, failure, culprit):
        """Fail the member that failed (None: those with a failed operand), what depends on it, and what was written in
        place, perhaps in part; compute the other members."""
        for number in part.members:
            instruction = self.plan.expanded[number]
            slots = [slot for slot, _, _ in instruction.ins]
            outs = [slot for slot, _, _ in instruction.outs]
            read = (*slots, *outs) if instruction.given else slots
            lost = next((self.failures[slot] for slot in read if slot in self.failures), None)
            if number == culprit or instruction.given and culprit is not None:
                lost = failure
            if lost is None:
                lost = self.alone(instruction, number)
            if lost is not None:
                self.failures.update(dict.fromkeys(outs, lost))

    def host(self, instruction):
        """Run a library call whose operands are right."""
        touched = [slot for slot, _, _ in (*instruction.ins, *instruction.outs)]
        found = next((self.failures[slot] for slot in touched if slot in self.failures), None)
        if found is None:
            try:
                host.call(instruction, self.block.slots, self.block.scalars, self.plan.places, self.block.table[2])
            except Exception as error:
                self.host_failed(instruction, error)
            return
        self.failures.update(dict.fromkeys([slot for slot, _, _ in instruction.outs], found))

    def host_failed(self, instruction, error):
        """A library call has raised."""
        number = next(i for i, other in enumerate(self.plan.expanded) if other is instruction)
        failure = Failure(located(error, self.line(number)), self.report)
        self.failures.update(dict.fromkeys([slot for slot, _, _ in instruction.outs], failure))

    def alone(self, instruction, number):
        """Run one member of a group that failed; its Failure if it cannot run."""
        block, places = self.block, self.plan.places
        arena = block.table[2]
        storages, moved = {}, []
        for slot, layout, offset in (*instruction.ins, *instruction.outs):
            if slot in places or slot >= len(block.slots):
                storages[slot] = storage = new_storage(self.bytes_of(slot), None)
                if slot in places:
                    storage.address = arena.address + places[slot]
            else:
                storages[slot] = block.slots[slot]
        for slot, _, _ in instruction.outs:
            if slot in places and not instruction.given:  # computed elsewhere, then moved to its place
                storages[slot].address = 0
                moved.append(slot)
        failure = run_alone(instruction, storages, block.scalars, self.program.plan.constants, self.line(number),
                            self.report)
        if failure is None:
            for slot in moved:
                ctypes.memmove(arena.address + places[slot], storages[slot].address, storages[slot].nbytes)
        return failure

    def bytes_of(self, slot):
        """The bytes of a temporary."""
        return max([(offset + layout.reach) * layout.dtype.itemsize for i in self.plan.expanded
                    for s, layout, offset in (*i.ins, *i.outs) if s == slot], default=0)

    def poison_rest(self):
        """Fail what has not run."""
        for instruction, launches in self.rest:
            outs = [] if instruction is None else [slot for slot, _, _ in instruction.outs]
            for launch in launches:
                outs += launch.part.writes
            for slot in outs:
                self.failures.setdefault(slot, self.interrupted)

    def mark(self):
        """Mark the storages of the block that failed."""
        slots = self.block.slots
        for slot, failure in self.failures.items():
            if not isinstance(slot, Scratch) and slot < len(slots):
                fail(slots[slot], failure)


def run_alone(instruction, storages, scalars, constants, where, report):
    """Run one instruction over storages by slot, as a program of its own; its Failure if it cannot run."""
    slots = list(storages)
    index = {slot: i for i, slot in enumerate(slots)}
    numbers = [*scalars, *constants]

    def refs(operands):
        return tuple([(index[slot], layout, offset) for slot, layout, offset in operands])
    given, args = [], []
    for arg in instruction.args:
        if arg[0] == "num":
            given.append(numbers[arg[1]])
            arg = ("num", len(given) - 1, arg[2])
        args.append(arg)
    own = Instruction(instruction.op, instruction.attrs, refs(instruction.ins), refs(instruction.outs), tuple(args),
                      instruction.info, instruction.given)
    block = new_block(Step())
    block.slots, block.scalars = [storages[slot] for slot in slots], given
    try:
        program = Executable([own], bytes([1]) * len(slots), given)
        stopped = program.run(block)
    except (RuntimeError, MemoryError, ArithmeticError, ValueError, TypeError, NotImplementedError, struct.error,
            OSError) as error:
        stopped = Stopped(error, None)
    if stopped is None:
        return None
    if isinstance(stopped.cause, Exception):
        return Failure(located(stopped.cause, where), report)
    return Failure(errors.exception(stopped.cause, instruction.op, where), report)


def located(error, where):
    """The error, with the operator and the line that recorded it in its text."""
    if where and len(error.args) == 1 and isinstance(error.args[0], str) and " [in " not in error.args[0]:
        error.args = (error.args[0] + where,)
    return error
