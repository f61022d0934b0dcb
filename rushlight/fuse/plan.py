"""The plan of a program: dead results dropped, groups made and ordered, launches listed, temporary buffers placed.

In: the path of instructions and which slots are live. Out: a `Plan`, which the engine turns into machine code.
The table of a run: entry 0 the error word, entry 1 + i the address of slot i, then the arena of temporaries, then the
numbers.
"""

import dataclasses

from ..codegen.ir.kernel import Scratch
from .expand import expand
from .skeleton import skeleton_of

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


def build(instructions, mask, numbers):
    """Plan a program of instructions, given which slots are live and how many numbers it takes."""
    instructions, depths, temps, constants = expand(instructions, len(mask), numbers)
    whole = mask + bytes(len(temps))
    skeleton = skeleton_of(instructions, whole, len(temps))
    listed = skeleton.listed(instructions)
    made = skeleton.sizes(instructions)
    allocate = [(slot, made[slot]) for slot in skeleton.allocated]
    made.update(enumerate(temps, len(mask)))
    segments, arena, places = place_buffers(listed, made, whole)
    return Plan(segments, allocate, skeleton.external, places, arena, skeleton.count, skeleton.checks, constants,
                instructions, depths)


def place_buffers(listed, made, mask):
    """Segments in order, and a place in the arena for every temporary slot and scratch that a launch really touches: it
    lives from the first row of launches that touches it to the last."""
    segments, current = [], []
    for level, launches in listed:
        if isinstance(launches, list):
            current.append((level, launches))
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
    return [slot for launch in row for slot in launch.touched()]


def first_fit(events):
    """Offsets for buffers (start, end, bytes, key): each takes the lowest gap that is free during its life."""
    events.sort(key=lambda e: (e[0], -e[2]))
    placed, places, total = [], {}, 0  # placed: (offset, end of the life, end) of those alive, by offset
    for start, end, nbytes, key in events:
        placed = [p for p in placed if p[1] >= start]
        offset = at = 0
        for low, _, high in placed:
            if low - offset >= nbytes:
                break
            offset = max(offset, high)
            at += 1
        placed.insert(at, (offset, end, offset + nbytes))
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
            # Where data is checked, the errors have to be told from those of others.
            key = (level, launch.source, launch.part if launch.part.checks else None)
            at = open_rows.get(key, -1)
            if at <= before:
                at = open_rows[key] = len(rows)
                rows.append([])
            rows[at].append(launch)
            last = max(last, at)
    return rows
