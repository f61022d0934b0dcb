"""The launches of a group, planned once for each structure and shape.

In: a group, and which of its results need memory. Out: its launches in the slots of a program. The same group comes
again and again, in every layer of a model and in every program that has the layer: in other slots, at other offsets,
with other numbers. So what is planned is a `Kit`, in which slots, offsets and numbers are parameters, and a `Placed`
launch is a reference to it with their values. See plan.py for what becomes of them.
"""

from ..base.memo import Memo
from ..codegen import lower
from ..codegen.ir import target
from ..codegen.ir.kernel import Argument, Memory, Scratch
from . import loopspec

KITS = Memo(1 << 12)
SOURCES = Memo(1 << 13)  # kernels by key: one object each, so that they compare by identity


class Template:
    """A launch without its slots: the words of its static block, and which of them say where an operand, a scratch or
    a number is. `checking`: see codegen/ir/kernel.py.

    operands: (position of its two words, number of the operand, bytes from where the group first touches its slot);
    scratches: the same for the kit's scratch buffers; numbers: (position, number of the number)."""

    __slots__ = ("source", "tasks", "cost", "beside", "words", "operands", "scratches", "numbers", "touched", "buffers",
                 "checking")

    def __init__(self, launch, group, buffers):
        source = launch.source
        self.source = SOURCES.get(source.key) or SOURCES.put(source.key, source)
        self.tasks, self.cost, self.beside = launch.tasks, launch.cost, launch.beside
        self.checking = launch.checking or {}
        words, self.operands, self.scratches, self.numbers = [], [], [], []
        for word in launch.static:
            if word.__class__ is Memory:
                if word.slot.__class__ is Scratch:
                    number = buffers.setdefault(word.slot, len(buffers))
                    self.scratches.append((len(words), number, word.offset))
                else:
                    number = group.index[word.slot]
                    self.operands.append((len(words), number, word.offset - group.offsets[number]))
                words += (0, 0)
            elif word.__class__ is Argument:
                self.numbers.append((len(words), group.numbers[word.index]))
                words.append(0)
            else:
                words.append(int(word))
        self.words = words
        self.touched = tuple({number for _, number, _ in self.operands})
        self.buffers = tuple({number for _, number, _ in self.scratches})


class Placed:
    """A launch of a program: a template with slots (and their first offsets in bytes), scratch buffers and numbers.
    `part`: the group that it computes, see skeleton.py."""

    __slots__ = ("template", "source", "tasks", "cost", "beside", "slots", "offsets", "scratches", "numbers",
                 "checking", "part")

    def __init__(self, template, slots, offsets, scratches, numbers):
        self.template, self.source, self.tasks = template, template.source, template.tasks
        self.cost, self.beside, self.checking = template.cost, template.beside, template.checking
        self.slots, self.offsets, self.scratches, self.numbers = slots, offsets, scratches, numbers

    def touched(self):
        """The slots and scratch buffers that the launch reads or writes."""
        return [*[self.slots[i] for i in self.template.touched], *[self.scratches[i] for i in self.template.buffers]]

    def words(self, places, count):
        """The words of the static block: memory as (table index, byte offset), numbers as table indices. `places`: of
        what is in the arena; `count`: slots of the program."""
        template, slots, offsets = self.template, self.slots, self.offsets
        words = template.words.copy()
        for at, i, offset in template.operands:
            slot = slots[i]
            place = places.get(slot)
            if place is None:
                words[at] = 1 + slot
                words[at + 1] = offset + offsets[i]
            else:
                words[at] = 1 + count
                words[at + 1] = place + offset + offsets[i]
        for at, i, offset in template.scratches:
            words[at] = 1 + count
            words[at + 1] = places[self.scratches[i]] + offset
        for at, i in template.numbers:
            words[at] = 2 + count + self.numbers[i]
        return words


class Kit:
    """The launches of one structure and shape."""

    __slots__ = ("templates", "scratches", "kept")

    def __init__(self, launches, signature, group):
        buffers = {}
        self.templates = [Template(launch, signature, buffers) for launch in launches]
        self.scratches = [buffer.nbytes for buffer in buffers]
        self.kept = [m.instruction.attrs for m in group.members]  # their identities are in the key

    def place(self, signature):
        """The launches in the slots of a program."""
        scratches = [Scratch(nbytes) for nbytes in self.scratches]
        slots, offsets, numbers = list(signature.index), signature.offsets, list(signature.numbers)
        return [Placed(template, slots, offsets, scratches, numbers) for template in self.templates]


class Signature:
    """What decides the launches of a group: the key of its kit, its slots and numbers in the order in which it first
    names them (`index`, `numbers`: to their number), and the offset in bytes at which it first touches each slot."""

    __slots__ = ("key", "index", "offsets", "numbers")

    def __init__(self, group, stored):
        index, offsets, numbers = {}, [], {}
        key = [group.ordered]
        for m in group.members:
            instruction = m.instruction
            ins, outs = instruction.ins, instruction.outs
            key += (instruction.op, id(instruction.attrs), instruction.info, len(ins), len(outs))
            for slot, layout, offset in (*ins, *outs):
                offset *= layout.dtype.itemsize
                at = index.get(slot)
                if at is None:
                    at = index[slot] = len(offsets)
                    offsets.append(offset)
                key += (at, layout, offset - offsets[at])
            for arg in instruction.args:
                if arg[0] == "num":
                    key += (numbers.setdefault(arg[1], len(numbers)), arg[2])
                else:
                    key.append(arg[1])
            key += [stored(slot, group) for slot, _, _ in outs]
        self.key, self.index, self.offsets, self.numbers = tuple(key), index, offsets, numbers


def launches_of(group, stored):
    """The launches of a group, as a list of Placed; a host instruction comes back as itself."""
    instruction = group.members[0].instruction
    if group.single and instruction.op.kind == "host":
        return instruction
    signature = Signature(group, stored)
    key = (target.current, signature.key)
    kit = KITS.get(key)
    if kit is None:
        if group.single:
            launches = lower.launches(instruction.op, instruction)
        else:
            launches = loopspec.build(group, stored)
        kit = KITS.put(key, Kit(launches, signature, group))
    return kit.place(signature)
