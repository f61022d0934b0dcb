"""Launch records: how one instruction runs, found by its form and the layouts of its operands.

Note [Records]
A `Record` is the plan of a single instruction with machine code, made by the planner as for a block of one. Nothing in
it depends on a slot, an offset or a number: its table holds one address per operand, where the table of a planned block
has one per slot, and a view's offset is added to the address. So the static blocks are packed once, and running an
instruction again, wherever it stands in a block, takes a table of a few words.

Operands of one storage share a table entry only where something is written in place: there the planner has to see how
they lie to each other, which then takes part in the key.

Note [Records on disk]
A record is plain numbers and names of kernels, so it is kept beside the kernels, under a digest of what it depends on.
A program whose records are all there loads neither the planner nor the code generators: reading a record takes a
twentieth of the time of making it, and half of the time to the first result used to go into importing what makes it.

In: a step of the prefix tree. Out: its Record, kept by the step's `Known` (core/stream.py) and forgotten with it.
Read `direct` next.
"""

import atexit
import json
import struct

from ..base.lazy import Lazy
from ..core import dtype as dt
from ..runtime.cpu import cpuinfo, jit
from ..runtime.cpu.program import Program

ALIGN = 16  # bytes: a multiple of all sizes of elements
MOST_WAITING = 512  # records that are made before they are written
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
waiting, packs = {}, {}  # digest -> description of records that are not on disk yet; those of packs that have been read


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
    """How operands lie to each other: for each the number of the first operand in its storage, and its elements from
    the address that the two have in common: its own, or, where there are others, what is aligned before it."""
    pattern, bases = [], {}
    for i, (slot, place) in enumerate(zip(slots, places)):
        at, size = slots.index(slot), key[place + 1].dtype.itemsize
        start = key[place + 2] * size
        if at == i:
            bases[i] = start // ALIGN * ALIGN if slot in slots[i + 1:] else start
        pattern.append((at, (start - bases[at]) // size))
    return tuple(pattern)


def make(step, pattern):
    """The Record of a step, from disk or planned anew. `pattern`: that of `shared`, None where each operand has its own
    storage."""
    key = name_of(step, pattern)
    description = read(key)
    addresses = None
    if description is not None:
        addresses = jit.find_kernels([name for name, _, _, _ in description["launches"]])
    if addresses is None:
        description, addresses = plan(step, pattern)
        if key is not None:
            keep(key, description)
    return assemble(description, addresses)


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


# -- on disk -----------------------------------------------------------------------------------------------------------


def name_of(step, pattern):
    """The digest of all that a record depends on; None where that has no text that is the same in every process."""
    key, known = step.key, step.known
    form, places = key[0], places_of(known, key)
    layouts = [key[at + 1] for at in places]
    classes = [cls.__name__ for cls in key[known.operands:known.operands + known.numbers]]
    text = repr(("record", form.op.name, form.pattern, form.attrs, layouts, classes, known.given, known.layouts,
                 pattern, dt.get_default_dtype(), cpuinfo.vector_bytes(), cpuinfo.cache_sizes(), cpuinfo.stack_bytes()))
    return None if " at 0x" in text else jit.digest(text.encode())


def read(key):
    """The description on disk, or None."""
    cache = jit.disk()
    if key is None or cache is None:
        return None
    if key in waiting:
        return waiting[key]
    name = cache.lookup(key)
    if name is None:
        return None
    if name not in packs:
        content = cache.load(name)
        if content is None or key not in content[0]:
            cache.forget(name)
            return None
        packs[name] = json.loads(bytes(content[1]))
    return packs[name].get(key)


def keep(key, description):
    """Write a description with others: when there are many, or at the end of the process."""
    if jit.disk() is not None:
        waiting[key] = description
        if len(waiting) >= MOST_WAITING:
            write()


@atexit.register
def write():
    """Put the records that were made into a pack."""
    cache = jit.disk()
    if waiting and cache is not None:
        cache.store(list(waiting), json.dumps(waiting).encode())
    waiting.clear()


def word(number):
    """A number as a word of a table. struct.error if it does not fit."""
    if number.__class__ is float:
        return BITS.unpack(DOUBLE.pack(number))[0]
    if not SMALLEST <= number <= LARGEST:
        BITS.pack(number)
    return int(number)
