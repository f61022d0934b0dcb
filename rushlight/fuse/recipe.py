"""How sizes fill in the launch of a loop kernel.

What comes in: a group that has been planned, with its Builder and Loops (see loopspec.py). What goes out: a `Recipe`,
which makes the launch of a group of the same structure and other sizes: which dimensions of the domain each loop is
merged from, and which dimension of which operand each stride comes from, do not depend on sizes (see Note [Structure is
the key] in skeleton.py). Whatever does is asked again, and where the answer is another one, `fill` gives None.
"""

import math

from ..codegen.loops.emitter import vector_lanes
from .group import row_positions
from .loopspec import TILE_SIDE, divide, is_col, may_split, splits, weight_of


class Filled:
    """A launch of a program, like `kits.Placed`, with words of its own."""

    __slots__ = ("source", "tasks", "cost", "beside", "body", "operands", "numbers", "checking", "part")

    def __init__(self, source, tasks, cost, checking, body, operands, numbers):
        self.source, self.tasks, self.cost, self.beside, self.checking = source, tasks, cost, False, checking
        self.body, self.operands, self.numbers = body, operands, numbers

    def touched(self):
        """The slots that the launch reads or writes."""
        return [slot for _, slot, _ in self.operands]

    def words(self, places, count):
        """The words of the static block; see `kits.Placed.words`."""
        body = self.body
        for at, slot, offset in self.operands:
            place = places.get(slot)
            if place is None:
                body[at] = 1 + slot
                body[at + 1] = offset
            else:
                body[at] = 1 + count
                body[at + 1] = place + offset
        for at, position in self.numbers:
            body[at] = 2 + count + position
        return body


class Recipe:
    """The launch of a group without its sizes.

    domain: where the shape of the domain stands; axes: for each loop the dimensions of the domain; operands: (where the
    operand stands, element size, for each loop the operand's dimension or None, whether it is read over the whole
    domain); randoms: where operands stand that are read at computed positions; numbers: positions of numbers. `Where`
    is (number of the instruction, whether it is a result, which one)."""

    __slots__ = ("source", "kind", "weight", "lanes", "domain", "axes", "kept", "operands", "randoms", "numbers",
                 "splits", "compares", "tiled", "checking")

    def __init__(self, group, builder, loops, source):
        self.source, self.kind, self.checking = source, loops.kind, builder.checking
        self.weight = weight_of(builder, loops.spec, len(builder.accesses))
        self.lanes = vector_lanes(loops.spec)
        first = group.members[0]
        self.domain = (first.number, first.facts.reduces is None, 0)
        self.axes, self.kept = [*loops.axes[0], *loops.axes[1]], len(loops.kept)
        found, self.operands = origins(group), []
        for access in builder.accesses:
            where, dims = found[id(access)]
            steps = [dims[axes[-1]] if axes else None for axes in self.axes]
            self.operands.append((where, access.dtype.itemsize, steps, access.level == "full"))
        self.randoms = [(m.number, False, i) for m in group.members for i in m.facts.randoms]
        self.numbers = builder.numbers
        self.splits, self.compares = may_split(builder), loops.inner is not None
        sizes = [n for n, _ in (*loops.kept, *loops.reduced)]
        strided = any([how in ("s", "t") for _, how in loops.spec.accesses])
        self.tiled = [n >= TILE_SIDE for n in sizes] if group.reduce_dims is None and strided else None

    def fill(self, instructions):
        """The launch for the sizes, slots and offsets of these instructions; None where it needs another kernel."""
        domain = layout_at(instructions, self.domain)[1].shape
        sizes = [math.prod([domain[d] for d in axes]) for axes in self.axes]
        pairs = [(n,) for n in sizes]
        kept, reduced = pairs[:self.kept], pairs[self.kept:]
        if self.splits and splits(self.kind, kept, reduced):
            return None
        if self.tiled is not None and self.tiled != [n >= TILE_SIDE for n in sizes]:
            return None
        chunk, tasks, cost = divide(self.kind, kept, reduced, self.weight, self.lanes)
        words, operands = [chunk, *sizes], []
        inner = []
        for where, size, dims, full in self.operands:
            slot, layout, offset = layout_at(instructions, where)
            strides = layout.strides
            operands.append((len(words), slot, offset * size))
            steps = [0 if d is None else strides[d] * size for d in dims]
            words += (0, 0, *steps)
            if full and self.compares:
                inner.append((steps[self.kept - 1], steps[-1]))
        if self.compares and is_col(inner, sizes[self.kept - 1]) != (self.kind == "col"):
            return None
        for where in self.randoms:
            slot, layout, offset = layout_at(instructions, where)
            size = layout.dtype.itemsize
            operands.append((len(words), slot, offset * size))
            words += (0, 0, *layout.shape, *[s * size for s in layout.strides])
        numbers = [(len(words) + i, position) for i, position in enumerate(self.numbers)]
        words += [0] * len(numbers)
        return Filled(self.source, tasks, cost, self.checking, words, operands, numbers)


def layout_at(instructions, where):
    """The (slot, layout, offset) of an operand."""
    number, result, which = where
    instruction = instructions[number]
    return (instruction.outs if result else instruction.ins)[which]


def origins(group):
    """For each Access of the members, by identity: where its operand stands, and for each dimension of the domain the
    dimension of the operand's layout that moves along it, or None."""
    found, domain, reduce_dims = {}, group.domain, group.reduce_dims
    for m in group.members:
        facts, every = m.facts, range(len(domain))
        shape = facts.shape
        if facts.reduces is not None:
            read = (domain, every)
            wrote = (shape, row_positions(shape, domain, facts.reduces))
        else:
            read = wrote = (shape, every if shape == domain else row_positions(shape, domain, reduce_dims))
        for result, accesses, refs, (over, positions) in ((False, m.ins, m.instruction.ins, read),
                                                          (True, m.outs, m.instruction.outs, wrote)):
            for which, (access, ref) in enumerate(zip(accesses, refs)):
                if access is not None:
                    found[id(access)] = ((m.number, result, which), moving(ref[1], over, domain, positions))
    return found


def moving(layout, shape, domain, positions):
    """See `origins`; the counterpart of `group.strides_over`."""
    dims, shift = [None] * len(domain), len(shape) - layout.ndim
    for i, (at, n) in enumerate(zip(positions, shape)):
        d = i - shift
        if d >= 0 and n == domain[at] and (layout.shape[d] != 1 or n == 1):
            dims[at] = d
    return dims
