"""Planning one instruction alone, for its launch record. Loaded when a record is not on disk.

In: a step of the prefix tree, and how its operands lie to each other. Out: the description of its Record, plain values
that JSON can hold, and the sources of its kernels; or the recipe of its only kernel. Read `records` for what a Record
is.
"""

from ..core.block import Instruction
from ..fuse import group as grouping
from ..fuse import loopspec, origins
from ..fuse import plan as planning
from ..fuse.expand import converts
from ..runtime.cpu import jit
from . import machine  # noqa: F401  (before the first plan)


def describe(step, pattern, places):
    """(description, kernel sources, one a launch). `pattern`: that of `records.shared`, None where each operand has its
    own storage; `places`: where the step's key has the operands that exist before."""
    alone, heads, sizes, pattern = separate(step, pattern, places)
    plan = planning.build([alone], bytes([1] * len(heads)), step.known.numbers)
    fresh = len(pattern) - len(places)
    rows = [row for segment in plan.segments for row in segment.launches]
    launches = [x for row in rows for x in row]
    return {
        "inputs": [(places[i], sizes[i], sizes[i] * pattern[i][1]) for i in heads[:len(heads) - fresh]],
        "fresh": fresh,
        "numbers": step.known.numbers,
        "arena": plan.arena,
        "constants": plan.constants,
        "host": any([segment.host is not None for segment in plan.segments]),
        "launches": [(jit.kernel_name(x.source.key), x.words(plan.places, len(heads)), x.tasks,
                      x.cost) for x in launches],
    }, [x.source for x in launches]


def recipe(step, pattern, places):
    """(the Recipe of a step with a loop operator, the source of its kernel), or None where sizes decide more than its
    numbers."""
    alone = separate(step, pattern, places)[0]
    if converts(alone) or grouping.overlaps(alone):
        return None
    facts = grouping.facts_of(alone)
    group = grouping.Group(0, facts.domain)
    grouping.add(group, grouping.member(alone, facts, 0, group.domain, None))
    launches, builder, loops = loopspec.plan_loops(group, lambda slot, group: True)
    if builder is None:
        return None
    source = launches[0].source
    return origins.recipe_of(group, builder, loops, source), source


def separate(step, pattern, places):
    """(a step's instruction with a slot for each storage, which operands have a table entry, sizes of their elements,
    how the operands lie to each other)."""
    instruction = step.instruction
    refs = (*instruction.ins, *instruction.outs)
    if pattern is None:
        pattern = [(i, 0) for i in range(len(refs))]
    heads = [i for i, (at, _) in enumerate(pattern) if at == i]  # operands that have a table entry
    entries = {at: n for n, at in enumerate(heads)}
    refs = [(entries[at], layout, distance) for (at, distance), (_, layout, _) in zip(pattern, refs)]
    count = len(instruction.ins)
    alone = Instruction(instruction.op, instruction.attrs, tuple(refs[:count]), tuple(refs[count:]), step.known.args,
                        instruction.info, instruction.given)
    return alone, heads, [layout.dtype.itemsize for _, layout, _ in refs], pattern
