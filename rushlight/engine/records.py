"""Launch records: how one instruction runs, found by its form and the layouts of its operands.

Note [Records]
A `Record` is the plan of a single instruction with machine code, made by the planner as for a block of one. Nothing in
it depends on a slot, an offset or a number: its table holds one address per operand, where the table of a planned block
has one per slot, and a view's offset is added to the address. So the static blocks are packed once, and running an
instruction again, wherever it stands in a block, takes a table of a few words.

Operands of one storage share a table entry only if something is written in place. The planner then needs their relative
positions, which become part of the key.

Records are kept on disk, see `packs`; those of loops are filled in from recipes for their structure, see
`families`.

In: a step of the prefix tree. Out: its Record, kept by the step's `Known` (core/stream.py) and forgotten with it.
Read `direct` next.
"""

import struct

from ..base.lazy import Lazy
from ..core import dtype as dt
from ..runtime.cpu import jit
from ..runtime.cpu.program import Program
from . import families, packs

ALIGN = 16  # bytes: a multiple of all sizes of elements
MOST_PATTERNS = 64  # of operands that lie in one storage, for one form and layouts
SMALLEST, LARGEST = -(1 << 63), (1 << 63) - 1
BITS, DOUBLE = struct.Struct("=q"), struct.Struct("=d")


class Record:
    """How an instruction runs. `program`: its packed launches, `head`: the words before the operands in a queue's
    entry. `inputs`: for each table entry of an operand that exists before, where the step's key has it, the bytes of
    its elements, and those by which it lies behind the entry. `fresh`: the number of new results. `arena`: bytes of
    scratch memory, whose table entry follows the operands'; `numbers`: how many; `constants`: the words at the end.
    `host`: the instruction is a library's call instead."""

    __slots__ = ("program", "head", "inputs", "fresh", "numbers", "arena", "constants", "launches", "cost", "host")


made = 0  # records that were planned, for statistics
single = Lazy(f"{__package__}.single")


def find(step):
    """The Record of a step."""
    known, key = step.known, step.key
    if not known.given:
        if known.records is None:
            known.records = make(step, None)
        return known.records
    if known.records is None:
        known.records = {}
    slots = key[1:known.operands:3] + key[known.operands + known.numbers + 1::3]
    pattern = None if len(set(slots)) == len(slots) else shared(key, places_of(known, key), slots)
    found = known.records.get(pattern)
    if found is None:
        if len(known.records) >= MOST_PATTERNS:
            known.records.clear()
        found = known.records[pattern] = make(step, pattern)
    return found


def places_of(known, key):
    """Where a key has the operands that exist before the step."""
    places = [*range(1, known.operands, 3)]
    if known.given:
        places += range(known.operands + known.numbers + 1, len(key), 3)
    return places


def shared(key, places, slots):
    """The relative positions of operands: for each, the number of the first operand in its storage, and its distance in
    elements from their common address: where they all begin, or else an aligned address before the first."""
    pattern, bases = [], {}
    starts = [key[place + 2] * key[place + 1].dtype.itemsize for place in places]
    for i, (slot, place) in enumerate(zip(slots, places)):
        at, size, start = slots.index(slot), key[place + 1].dtype.itemsize, starts[i]
        if at == i:
            apart = any([starts[j] != start for j in range(i + 1, len(slots)) if slots[j] == slot])
            bases[i] = start // ALIGN * ALIGN if apart else start
        pattern.append((at, (start - bases[at]) // size))
    return tuple(pattern)


def make(step, pattern):
    """The Record of a step: filled in, read from disk or newly planned. `pattern`: that of `shared`, None where each
    operand has its own storage."""
    global made
    places = places_of(step.known, step.key)
    launch, new = families.find(step, pattern, places)
    made += new
    if launch is not None:
        return filled(launch, step, pattern, places)
    key = name_of(step, pattern)
    description = packs.read(key)
    addresses = None
    if description is not None:
        addresses = jit.find_kernels([name for name, _, _, _ in description["launches"]])
    if addresses is None:
        description, addresses = plan(step, pattern)
        packs.keep(key, description)
    return assemble(description, addresses)


def filled(launch, step, pattern, places):
    """The Record of a loop that one kernel runs."""
    key, known, found = step.key, step.known, Record()
    found.program, found.cost, found.launches, found.host = launch, launch.cost, 1, False
    found.arena, found.numbers, found.constants = 0, known.numbers, ()
    found.fresh = 0 if known.given else len(known.layouts)
    found.inputs = tuple([(place, key[place + 1].dtype.itemsize, 0) for i, place in enumerate(places)
                          if pattern is None or pattern[i][0] == i])
    found.head = (launch.address, 2 + len(found.inputs) + found.fresh + found.numbers, 0)
    return found


def plan(step, pattern):
    """(description, addresses of the kernels) of a step that is planned alone."""
    global made
    made += 1
    description, sources = single.describe(step, pattern, places_of(step.known, step.key))
    known = jit.compile_kernels(sources, hurry=True)
    return description, [known[source.key] for source in sources]


def assemble(description, addresses):
    """A Record from its description, see single.py."""
    found = Record()
    found.inputs = tuple(map(tuple, description["inputs"]))
    found.fresh, found.numbers, found.arena = description["fresh"], description["numbers"], description["arena"]
    found.constants = tuple(map(word, description["constants"]))
    found.host, found.program, found.cost, launches = description["host"], None, 0.0, description["launches"]
    found.launches = len(launches)
    if not found.host:
        found.program = Program([(address, static, tasks, cost)
                                 for address, (_, static, tasks, cost) in zip(addresses, launches)])
        found.cost = found.program.cost
    words = 2 + len(found.inputs) + found.fresh + found.numbers + len(found.constants)
    found.head = (0 if found.host else found.program.address, words, 0)
    return found


def name_of(step, pattern):
    """The name on disk of a record that holds for these layouts alone."""
    key, known = step.key, step.known
    form, places = key[0], places_of(known, key)
    layouts = [key[at + 1] for at in places]
    types = [layout.dtype.name for layout in (*layouts, *known.layouts)]  # which tell flipped types apart
    classes = [cls.__name__ for cls in key[known.operands:known.operands + known.numbers]]
    return packs.name_of(("record", form.op.name, form.pattern, form.attrs, layouts, types, classes, known.given,
                          known.layouts, pattern, dt.get_default_dtype()))


def word(number):
    """A number as a word of a table. struct.error if it does not fit."""
    if number.__class__ is float:
        return BITS.unpack(DOUBLE.pack(number))[0]
    if not SMALLEST <= number <= LARGEST:
        BITS.pack(number)
    return int(number)
