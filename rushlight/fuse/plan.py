"""The plan of a program: dead results dropped, groups made and ordered, launches listed, temporary buffers placed.

What comes in: the path of instructions and which slots are live. What goes out: a `Plan`, which the engine turns into
machine code.
The table of a run: entry 0 the error word, entry 1 + i the address of slot i, then the arena of temporaries, then the
numbers.
"""

import dataclasses

from ..codegen import lower
from ..codegen.kernel import Argument, Memory, Scratch
from . import loopspec
from .expand import expand
from .group import Grouping

ALIGN = 64


@dataclasses.dataclass
class Segment:
    """Part of a program that runs without coming back to Python (`launches`), or one call of a library (`host`)."""

    launches: list
    host: object = None


@dataclasses.dataclass
class Plan:
    """allocate: (slot, bytes) of results that stay. external: slots whose memory exists before. arena: bytes of
    temporaries. expanded: the instructions without macros; depths: for each the depth of the operator it is part of."""

    segments: list
    allocate: list
    external: list
    places: dict
    arena: int
    instructions: int
    checks: bool
    constants: list
    expanded: list
    depths: list


def live_instructions(instructions, mask):
    """Numbers of the instructions whose results somebody may see, and the slots that have a reader."""
    needed = {slot for slot, live in enumerate(mask) if live}
    kept = []
    for number in range(len(instructions) - 1, -1, -1):
        instruction = instructions[number]
        if instruction.op.checks or any(slot in needed for slot, _, _ in instruction.outs):
            kept.append(number)
            needed.update([slot for slot, _, _ in instruction.ins])
            needed.update([slot for slot, _, _ in instruction.outs])
    return kept[::-1]


def made_slots(instructions):
    """Slots of new results: slot -> bytes. A slot is new where its first appearance is as a whole, fresh output."""
    made, seen = {}, set()
    for instruction in instructions:
        seen.update([slot for slot, _, _ in instruction.ins])
        for slot, layout, offset in instruction.outs:
            if slot not in seen:
                made[slot] = layout.nbytes
                seen.add(slot)
    return made


def build(instructions, mask, numbers):
    """Plan a program of instructions, given which slots are live and how many numbers it takes."""
    instructions, depths, temps, constants = expand(instructions, len(mask), numbers)
    outside = externals(instructions)
    made = {slot: n for slot, n in made_slots(instructions).items() if slot not in outside}
    made.update(enumerate(temps, len(mask)))
    mask = mask + bytes(len(temps))
    kept = live_instructions(instructions, mask)
    grouping = Grouping([instructions[number] for number in kept])
    for number in kept:
        grouping.place(instructions[number], number)
    groups = grouping.groups
    users = {}
    for group in groups:
        for slot in (*group.reads, *group.writes, *group.randoms):
            users.setdefault(slot, set()).add(group.number)

    def stored(slot, group):
        return slot not in made or bool(mask[slot]) or len(users[slot]) > 1

    levels = group_levels(groups)
    ordered = sorted(groups, key=lambda g: (levels[g.number], g.number))
    listed = [(group, launches_of(group, stored)) for group in ordered]
    segments, arena, places = place_buffers(listed, made, mask, levels)
    used = {slot for group in groups for slot in (*group.reads, *group.writes, *group.randoms)}
    allocate = [(slot, n) for slot, n in made.items() if mask[slot]]
    external = sorted(slot for slot in used if slot not in made)
    return Plan(
        segments, allocate, external, places, arena, len(kept), any(i.op.checks for i in instructions), constants,
        instructions, depths
    )


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


def launches_of(group, stored):
    """The launches of a group; a host instruction comes back as itself."""
    if not group.single:
        launches = loopspec.build(group, stored)
    else:
        instruction = group.members[0].instruction
        if instruction.op.kind == "host":
            return instruction
        launches = lower.find(instruction.op.options["lower"])(instruction)
    for launch in launches:
        launch.group = group
    return launches


def place_buffers(listed, made, mask, levels):
    """Segments in order, and a place in the arena for every temporary slot and scratch that a launch really touches: it
    lives from the first row of launches that touches it to the last."""
    segments, current = [], []
    for group, launches in listed:
        if isinstance(launches, list):
            current.append((levels[group.number], launches))
        else:
            segments += [Segment(flatten(current)), Segment([], launches)]
            current = []
    segments.append(Segment(flatten(current)))
    lives, position = {}, 0
    for segment in segments:
        rows = segment.launches if segment.host is None else [None]
        for position, row in enumerate(rows, position + 1):
            for slot in touched_slots(row, segment.host):
                if isinstance(slot, Scratch) or (slot in made and not mask[slot]):
                    lives[slot] = (lives.get(slot, (position,))[0], position)
    events = []
    for slot, (start, end) in lives.items():
        nbytes = slot.nbytes if isinstance(slot, Scratch) else made[slot]
        events.append((start, end, -(-max(nbytes, 1) // ALIGN) * ALIGN, slot))
    arena, places = first_fit(events)
    return [s for s in segments if s.launches or s.host is not None], arena, places


def touched_slots(row, host):
    """The slots and scratch buffers of a row of launches, or of a host instruction."""
    if host is not None:
        return [slot for slot, _, _ in (*host.ins, *host.outs)]
    return [word.slot for launch in row for word in launch.static if word.__class__ is Memory]


def first_fit(events):
    """Offsets for buffers (start, end, bytes, key): each takes the lowest gap that is free during its life."""
    events.sort(key=lambda e: (e[0], -e[2]))
    placed, places, total = [], {}, 0
    for start, end, nbytes, key in events:
        placed = [p for p in placed if p[1] >= start]
        offset = 0
        for low, _, high in sorted((p[0], p[1], p[2]) for p in placed):
            if low - offset >= nbytes:
                break
            offset = max(offset, high)
        placed.append((offset, end, offset + nbytes))
        places[key] = offset
        total = max(total, offset + nbytes)
    return total, places


def flatten(leveled):
    """Launches in order; equal kernels of one level in one list: [[launch, ...], ...]. The steps of a group stay in
    order: a step joins a list that comes after those its group's steps so far are in, or may be the same as that of
    the step it stands `beside`."""
    rows, open_rows = [], {}
    for level, launches in leveled:
        before = last = -1
        for launch in launches:
            if not launch.beside:
                before = last
            key = (level, launch.source.key)
            if launch.group.checks:  # its errors have to be told from those of others
                key = (key, launch.group.number)
            at = open_rows.get(key, -1)
            if at <= before:
                at = open_rows[key] = len(rows)
                rows.append([])
            rows[at].append(launch)
            last = max(last, at)
    return rows


def resolve(static, places, slots):
    """The words of a static block: memory operands as (table index, byte offset), numbers as table indices."""
    words = []
    for word in static:
        if word.__class__ is Memory:
            place = places.get(word.slot)
            if place is not None:
                words += (1 + slots, place + word.offset)
            else:
                words += (1 + word.slot, word.offset)
        elif word.__class__ is Argument:
            words.append(2 + slots + word.index)
        else:
            words.append(int(word))
    return words
