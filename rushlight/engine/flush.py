"""Running a block: look up or make its program, give results memory, fill the table, launch.

Note [A run]
`Executable` is a Plan with machine code. Its run fills one table of addresses and numbers, then makes a native call
per segment; host
segments (library calls on arrays) come in between. Errors that only the data shows set the table's error word; the
exception then
names the operator and the user's line.
"""

import ctypes
import struct
import sys
import time

from ..base import switches
from ..codegen import loops, target
from ..fuse import plan as planning
from ..runtime.cpu import cpuinfo, jit, memory
from ..runtime.cpu.program import Batch, Program
from . import host

def _describe_machine():
    """Tell the code generators what the processor has."""
    caches = cpuinfo.cache_sizes()
    registers, stack = cpuinfo.vector_registers(), cpuinfo.stack_bytes()
    target.set_current(target.Target(cpuinfo.vector_bytes(), registers, *caches, cpuinfo.matrix_unit(), stack))


_describe_machine()


class Counters:
    """What has happened so far. Runs are counted in the programs' own tallies, so that a run adds one number."""

    planned, plan_seconds = 0, 0.0
    tallies = []  # [runs, instructions a run, launches a run, bytes a run] of every program


def statistics():
    """What the engine has done so far: instructions run, flushes, programs planned, kernels compiled (and loaded from
    disk), launches,
    bytes of results allocated, seconds spent planning."""
    tallies = Counters.tallies
    return dict(
        instructions=sum(t[0] * t[1] for t in tallies),
        flushes=sum(t[0] for t in tallies),
        programs_planned=Counters.planned,
        kernels_compiled=jit.stats["compiled"],
        kernels_loaded=jit.stats["loaded"],
        launches=sum(t[0] * t[2] for t in tallies),
        bytes_allocated=sum(t[0] * t[3] for t in tallies),
        plan_seconds=Counters.plan_seconds,
    )


def reset_statistics():
    """Set all counters to zero."""
    Counters.planned, Counters.plan_seconds = 0, 0.0
    for tally in Counters.tallies:
        tally[0] = 0
    jit.stats["compiled"] = jit.stats["loaded"] = 0


SMALL_ARENA = 16384  # temporaries up to this many bytes stay with their program


class Executable:
    """A planned and compiled program."""

    __slots__ = (
        "plan",
        "slots",
        "steps",
        "pack",
        "table",
        "address",
        "errors",
        "launches",
        "busy",
        "formats",
        "tally",
        "constants",
        "own_arena",
    )

    def __init__(self, instructions, mask, scalars):
        plan = self.plan = planning.build(instructions, mask, len(scalars))
        self.slots = len(mask)
        sources = {launch.source.key: launch.source for s in plan.segments for row in s.launches for launch in row}
        addresses = jit.compile_kernels(list(sources.values()))
        self.steps, self.launches = [], 0
        for segment in plan.segments:
            if segment.host is not None:
                self.steps.append((None, segment.host))
            else:
                program = Program([self.record(row, addresses) for row in segment.launches])
                self.launches += len(segment.launches)
                self.steps.append((program.run, None))
        self.constants = plan.constants
        self.formats = "".join(["d" if s.__class__ is float else "q" for s in (*scalars, *plan.constants)])
        form = struct.Struct(f"={self.slots + 2}q{self.formats}")
        self.pack = form.pack_into
        self.table = ctypes.create_string_buffer(form.size)
        self.address = ctypes.addressof(self.table)
        self.errors = [(i.op, depth) for depth, i in enumerate(instructions, 1) if i.op.checks]
        self.busy = False
        self.own_arena = memory.allocate(plan.arena) if 0 < plan.arena <= SMALL_ARENA else None
        self.tally = [0, len(instructions), self.launches, sum(n for _, n in plan.allocate)]
        Counters.tallies.append(self.tally)

    def record(self, row, addresses):
        """One launch, or a batch of equal kernels, for the native program."""
        address = addresses[row[0].source.key]
        blocks = [(planning.resolve(launch.static, self.plan.places, self.slots), launch.tasks) for launch in row]
        cost = sum(launch.cost for launch in row)
        if len(blocks) == 1:
            return (address, *blocks[0], cost)
        return (address, Batch(blocks), 0, cost)

    def run(self, slots, scalars, wheres):
        plan, allocate = self.plan, memory.allocate
        for index, nbytes in plan.allocate:
            storage = slots[index]
            block = storage.block = allocate(nbytes)
            storage.address = block.address
        for index in plan.external:
            storage = slots[index]
            if not storage.address:
                block = storage.block = allocate(storage.nbytes)
                storage.address = block.address
        table, address, arena = self.table, self.address, self.own_arena
        if self.busy:  # another thread is inside this program
            table = ctypes.create_string_buffer(len(table))
            address = ctypes.addressof(table)
            arena = None
        if arena is None and plan.arena:
            arena = memory.scratch(plan.arena)
        self.busy = True
        if self.constants:
            scalars = (*scalars, *self.constants)
        try:
            self.pack(table, 0, 0, *[s.address for s in slots], 0 if arena is None else arena.address, *scalars)
            for run, instruction in self.steps:
                if run is None:
                    host.call(instruction, slots, scalars, plan.places, arena)
                elif run(address):
                    self.fail(ctypes.c_int64.from_address(address).value, wheres)
        finally:
            self.busy = False
            self.tally[0] += 1

    def fail(self, code, wheres):
        """Raise the exception of the error word, naming the operator and the line that recorded it."""
        code, value = code & 255, code >> 8
        name = {v: k for k, v in loops.ERROR_CODES.items()}.get(code, "value")
        ops = {depth: op for op, depth in self.errors}
        depth, (file, line) = next(((d, w) for d, w in wheres if d in ops), (0, ("<unknown>", 0)))
        named = ops[depth].name if depth in ops else "operator"
        where = f" [in {named}, recorded at {file}:{line}]"
        kind, text = FAILURES.get(name, (RuntimeError, "invalid value in operand"))
        raise kind(text.replace("{value}", str(value)) + where)


FAILURES = {
    "division": (RuntimeError, "ZeroDivisionError"),
    "index": (IndexError, "index out of range in self"),
    "target": (IndexError, "Target {value} is out of bounds."),
    "bounds": (RuntimeError, "index is out of bounds for the dimension it indexes"),
    "classes": (RuntimeError, "Class values must be non-negative and smaller than num_classes."),
    "unit": (RuntimeError, "all elements of input should be between 0 and 1"),
    "variance": (ValueError, "var has negative entry/entries"),
    "take": (IndexError, "out of range: tried to access an index outside the tensor"),
    "probability": (RuntimeError, "Expected p_in >= 0 && p_in <= 1 to be true, but got false."),
    "source": (RuntimeError, "masked_scatter: expected self and source to have same dtypes and enough elements in "
                             "source"),
}


def make(step, mask, scalars):
    """Plan and compile; the step remembers the program."""
    began = time.perf_counter()
    path = step.path()
    log = switches.LOG
    if "stream" in log:
        print(f"[stream] {len(path)} instructions", *map(repr, path), sep="\n  ", file=sys.stderr)
    executable = Executable(path, mask, scalars)
    if len(step.programs) >= 64:
        step.programs.clear()
    step.programs[mask] = executable
    Counters.planned += 1
    Counters.plan_seconds += time.perf_counter() - began
    if "fuse" in log:
        describe(executable)
    if "time" in log:
        print(f"[time] planned {len(path)} instructions in {1e3 * (time.perf_counter() - began):.2f} ms",
              file=sys.stderr)
    return executable


def describe(executable):
    """Print a plan: one line per launch."""
    print(f"[fuse] {executable.plan.instructions} live instructions, arena {executable.plan.arena} bytes",
          file=sys.stderr)
    for segment in executable.plan.segments:
        for row in segment.launches:
            what = [n[1] for n in row[0].source.key[7] if n[0] in ("apply", "reduce",
                                                                   "gather")] if row[0].source.key[0] == "loop" \
                else row[0].source.key[:2]
            print(f"  {len(row)} x {row[0].tasks} tasks, {sum(x.cost for x in row) / 1e3:.1f} us: {what}",
                  file=sys.stderr)
        if segment.host is not None:
            print(f"  host {segment.host!r}", file=sys.stderr)
