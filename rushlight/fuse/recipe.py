"""How sizes fill in the launch of a loop kernel.

A `Recipe` makes the launch of a group of known structure and other sizes: which dimensions of the domain each loop is
merged from, and which dimension of which operand each stride comes from, do not depend on sizes (see Note [Structure is
the key] in skeleton.py). Whatever does is asked again, and where the answer is another one, `fill` gives None.
Made by origins.py; filling one in needs no code generator.
"""

import math

from .sizes import TILE_SIDE, divide, is_col, splits


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

    domain: where the shape of the domain stands; axes: for each loop the dimensions of the domain; kept: how many loops
    are not reduced; operands: (where the operand stands, element size, for each loop the operand's dimension or None,
    whether it is read over the whole domain); randoms: where operands stand that are read at computed positions;
    numbers: positions of numbers. `Where` is (number of the instruction, whether it is a result, which one). weight,
    lanes: for `sizes.divide`. splits, compares, tiled: which questions of sizes.py have to be asked again."""

    __slots__ = ("source", "kind", "weight", "lanes", "domain", "axes", "kept", "operands", "randoms", "numbers",
                 "splits", "compares", "tiled", "checking")

    def __init__(self, **fields):
        for name in self.__slots__:
            setattr(self, name, fields[name])

    def plain(self):
        """All but the source as values that JSON can hold: fields for another Recipe."""
        return {name: getattr(self, name) for name in self.__slots__ if name not in ("source", "checking")}

    def fill(self, instructions):
        """The launch for the sizes, slots and offsets of these instructions; None where it needs another kernel."""
        refs = [layout_at(instructions, where) for where, _, _, _ in self.operands]
        refs += [layout_at(instructions, where) for where in self.randoms]
        layouts = [layout for _, layout, _ in refs]
        measured = self.measure(layout_at(instructions, self.domain)[1].shape, layouts)
        if measured is None:
            return None
        words, tasks, cost = measured
        operands = [(at, slot, offset * layout.dtype.itemsize)
                    for at, (slot, layout, offset) in zip(self.positions(layouts), refs)]
        first = len(words) - len(self.numbers)
        numbers = [(first + i, position) for i, position in enumerate(self.numbers)]
        return Filled(self.source, tasks, cost, self.checking, words, operands, numbers)

    def measure(self, domain, layouts):
        """(words of the static block, tasks, cost) for a domain of this shape and operands of these layouts, in the
        order of `operands` and `randoms`; None where they need another kernel. Words of memory and numbers are 0."""
        sizes = [domain[axes[0]] if len(axes) == 1 else math.prod([domain[d] for d in axes]) for axes in self.axes]
        pairs = [(n,) for n in sizes]
        kept, reduced = pairs[:self.kept], pairs[self.kept:]
        if self.splits and splits(self.kind, kept, reduced):
            return None
        if self.tiled is not None and self.tiled != [n >= TILE_SIDE for n in sizes]:
            return None
        chunk, tasks, cost = divide(self.kind, kept, reduced, self.weight, self.lanes)
        words, inner = [chunk, *sizes], []
        for layout, (_, size, dims, full) in zip(layouts, self.operands):
            strides = layout.strides
            steps = [0 if d is None else strides[d] * size for d in dims]
            words += (0, 0, *steps)
            if full and self.compares:
                inner.append((steps[self.kept - 1], steps[-1]))
        if self.compares and is_col(inner, sizes[self.kept - 1]) != (self.kind == "col"):
            return None
        for layout in layouts[len(self.operands):]:
            size = layout.dtype.itemsize
            words += (0, 0, *layout.shape, *[s * size for s in layout.strides])
        words += [0] * len(self.numbers)
        return words, tasks, cost

    def positions(self, layouts):
        """Where the words of `measure` have the memory of each operand."""
        loops, found = len(self.axes), []
        at = 1 + loops
        for layout in layouts:
            found.append(at)
            at += 2 + (loops if len(found) <= len(self.operands) else 2 * layout.ndim)
        return found


def layout_at(instructions, where):
    """The (slot, layout, offset) of an operand."""
    number, result, which = where
    instruction = instructions[number]
    return (instruction.outs if result else instruction.ins)[which]
