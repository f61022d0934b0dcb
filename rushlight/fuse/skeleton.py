"""What two programs that differ in sizes and offsets alone have in common.

In: expanded instructions, and which slots are live. Out: a `Skeleton`, which holds the groups, their order and levels
and which results need memory, and fills in the launches of other sizes. Read recipe.py next.

Note [Structure is the key]
The key of a skeleton holds everything that the rules of group.py and the choices of loopspec.py may depend on:
operators with their attributes, slots, dtypes; of sizes which of them are equal (a symbol each, in the order of their
first appearance), which are 0 or 1, and a coarse class, because tiles and vectors ask for a few elements; of strides
their order, where they are 0, and where a dimension follows the next inner one without a gap. Of layouts of one slot
that leave gaps it holds which have equal strides. Layouts that overlap themselves stand for themselves, sizes and all.
Of offsets it holds which are 0 and which of one slot are equal. A write to a slot that is read otherwise is compared in
numbers (rule 11), and the answer is in the key. The few choices that ask for more (long reductions in two steps,
vectors across rows, tiles of merged dimensions) are taken again for each size; see recipe.py.
"""

from ..base.memo import Memo
from ..codegen.ir import target
from . import loopspec, origins
from .group import Group, Grouping, add, facts_of, is_loop, member, overlaps, single
from .kits import Kit, Signature, launches_of
from .structure import class_of, text_of

SKELETONS = Memo(1 << 15, weigh=lambda skeleton: 1 + skeleton.length)  # so many instructions


def key_of(instructions, mask, temporaries):
    """The structure of a program (see Note [Structure is the key])."""
    symbols, shapes, offsets, gaps = {}, {}, {}, {}
    key = [target.current, mask, temporaries]
    for instruction in instructions:
        ins, outs = instruction.ins, instruction.outs
        attrs = text_of(instruction.attrs) if is_loop(instruction) else None  # what is no loop joins no group
        key += (instruction.op, attrs, instruction.info, instruction.args, len(outs))
        if instruction.given:
            key.append(is_loop(instruction) and overlaps(instruction))
        for slot, layout, offset in (*ins, *outs):
            shape = layout.shape
            sizes = shapes.get(shape)
            if sizes is None:
                sizes = shapes[shape] = tuple([-n if n < 2 else symbols.setdefault(n, len(symbols)) for n in shape])
            pattern = class_of(layout)
            key += (slot, pattern, sizes)
            if pattern is not layout and pattern.loose:
                moving = tuple([s for n, s in zip(shape, layout.strides) if n > 1])
                key.append(gaps.setdefault((slot, moving), len(gaps)))
            if offset:
                key.append(offsets.setdefault((slot, offset * layout.dtype.itemsize), -1 - len(offsets)))
    return tuple(key)


class Part:
    """A group of a skeleton. members: numbers of its instructions; writes: its slots; stored: those that it writes to
    memory; checks: whether a member checks data; recipe: how other sizes fill in its launch, once it is known."""

    __slots__ = ("members", "single", "ordered", "level", "writes", "stored", "checks", "recipe")

    def __init__(self, group, level, stored):
        self.members = [m.number for m in group.members]
        self.single, self.ordered, self.level, self.recipe = group.single, group.ordered, level, None
        self.writes, self.checks = tuple(group.writes), group.checks
        self.stored = frozenset([slot for slot in group.writes if stored(slot)])

    def is_stored(self, slot, group):
        return slot in self.stored

    def regroup(self, instructions):
        """The group of these instructions."""
        first = instructions[self.members[0]]
        if self.single:
            return single(first, self.members[0], 0)
        group = Group(0, facts_of(first).domain)
        group.ordered = self.ordered
        for number in self.members:
            instruction = instructions[number]
            facts = facts_of(instruction)
            add(group, member(instruction, facts, number, group.domain, group.reduce_dims))
        return group

    def launches(self, instructions):
        """The launches of these instructions; a host instruction comes back as itself."""
        if self.recipe is not None:
            filled = self.recipe.fill(instructions)
            if filled is not None:
                return [filled]
        group = self.regroup(instructions)
        if self.single or self.recipe is not None:
            return launches_of(group, self.is_stored)
        launches, builder, loops = loopspec.plan_loops(group, self.is_stored)
        signature = Signature(group, self.is_stored)
        placed = Kit(launches, signature, group).place(signature)
        if builder is not None:
            self.recipe = origins.recipe_of(group, builder, loops, placed[0].source)
        return placed


class Skeleton:
    """The groups of a program in the order in which they run, without sizes."""

    __slots__ = ("parts", "fresh", "allocated", "external", "count", "checks", "length", "groups")

    def __init__(self, instructions, mask, temporaries):
        outside = externals(instructions)
        made = [entry for entry in made_slots(instructions) if entry[0] not in outside]
        kept = live_instructions(instructions, mask)
        grouping = Grouping([instructions[number] for number in kept])
        for number in kept:
            grouping.place(instructions[number], number)
        users, slots = {}, {slot for slot, _, _ in made}
        slots.update(range(len(mask) - temporaries, len(mask)))
        for group in grouping.groups:
            for slot in {*group.reads, *group.writes, *group.randoms}:
                users[slot] = users.get(slot, 0) + 1
        levels = group_levels(grouping.groups)
        self.groups = sorted(grouping.groups, key=lambda g: (levels[g.number], g.number))
        self.parts = [
            Part(group, levels[group.number], lambda slot: slot not in slots or mask[slot] or users[slot] > 1)
            for group in self.groups]
        self.fresh = made
        self.allocated = [slot for slot in dict.fromkeys([slot for slot, _, _ in made]) if mask[slot]]
        self.external = sorted([slot for slot in users if slot not in slots])
        self.count, self.length = len(kept), len(instructions)
        self.checks = any([i.op.checks for i in instructions])

    def listed(self, instructions):
        """[(level, launches or host instruction)] of these instructions, in order."""
        if self.groups is not None:  # the instructions that the skeleton is made from
            groups, self.groups = self.groups, None
            found = [launches_of(group, part.is_stored) for part, group in zip(self.parts, groups)]
        else:
            found = [part.launches(instructions) for part in self.parts]
        for part, launches in zip(self.parts, found):
            if launches.__class__ is list:
                for launch in launches:
                    launch.part = part
        return [(part.level, launches) for part, launches in zip(self.parts, found)]

    def sizes(self, instructions):
        """Slot -> bytes of the results that the program makes."""
        return {slot: instructions[number].outs[which][1].nbytes for slot, number, which in self.fresh}


def skeleton_of(instructions, mask, temporaries):
    """The Skeleton of a program; the last `temporaries` slots are those of macros."""
    key = key_of(instructions, mask, temporaries)
    return SKELETONS.get(key) or SKELETONS.put(key, Skeleton(instructions, mask, temporaries))


def live_instructions(instructions, mask):
    """Numbers of the instructions whose results may be read later, and the slots that have a reader."""
    needed = {slot for slot, live in enumerate(mask) if live}
    kept = []
    for number in range(len(instructions) - 1, -1, -1):
        instruction = instructions[number]
        if instruction.op.checks or any([slot in needed for slot, _, _ in instruction.outs]):
            kept.append(number)
            needed.update([slot for slot, _, _ in instruction.ins])
            needed.update([slot for slot, _, _ in instruction.outs])
    return kept[::-1]


def made_slots(instructions):
    """(slot, number of the instruction, number of the result) of new results. A slot is new if it first appears
    as an output that fills a storage of its own."""
    made, seen = [], set()
    for number, instruction in enumerate(instructions):
        seen.update([slot for slot, _, _ in instruction.ins])
        for which, (slot, _, _) in enumerate(instruction.outs):
            if slot not in seen:
                made.append((slot, number, which))
                seen.add(slot)
    return made


def externals(instructions):
    """Slots whose storage existed before the block: written as a given output, or read before anything wrote them."""
    found, written = set(), set()
    for instruction in instructions:
        for slot, _, _ in instruction.ins:
            if slot not in written:
                found.add(slot)
        for slot, _, _ in instruction.outs:
            if instruction.given:
                if slot not in written:
                    found.add(slot)
            written.add(slot)
    return found


def group_levels(groups):
    """The length of the longest chain of dependent groups that ends in each."""
    levels, wrote, read = {}, {}, {}
    for group in groups:
        level = 0
        for slot in (*group.reads, *group.randoms):
            level = max(level, wrote.get(slot, -1) + 1)
        for slot in group.writes:
            level = max(level, wrote.get(slot, -1) + 1, read.get(slot, -1) + 1)
        levels[group.number] = level
        for slot in (*group.reads, *group.randoms):
            read[slot] = max(read.get(slot, -1), level)
        for slot in group.writes:
            wrote[slot] = max(wrote.get(slot, -1), level)
    return levels
