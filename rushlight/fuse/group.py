"""Which instructions share a kernel.

Instructions are taken in program order; each joins an earlier group where the rules below allow it, else it starts a
group of its own.

Note [Fusion rules]
An instruction I may join group G if all of these hold:
  1. order     no group after G conflicts with I (reads what I writes, writes what I reads or writes)
  2. loops     I's domain is G's, or I works on the rows that G's reduction leaves (row level)
  3. reduce    a reduction joins if G has none yet or reduces the same dimensions of the same domain
  4. values    what I reads and G wrote is read exactly as it was written (same strides and offset over the domain): it
               stays in a register; any other way of reading needs memory, so a new kernel
  5. writes    what I writes and G reads or wrote is accessed in exactly the same way; in a group with reductions
               (several passes over a row) it is not accessed at all
  6. gather    an operand read at computed positions is not written by G, and G does not reduce
  7. related   I depends on G or shares an operand with it: unrelated work stays apart, so that kernels stay few in
               kind; equal kernels of unrelated groups become one launch later (plan.py)
  8. reorder   what reads large memory against its order does not share the passes of a reduction: each would read so
  9. size      G stays below MOST_MEMBERS instructions and MOST_ACCESSES memory operands
  10. ahead    what a reduction is about to read does not join a group that overwrites its operands, which the
               reduction could not join: it would have to be stored for it
  11. overlap  an instruction that may read or write again what it has written runs alone, one element after the other
"""

from ..core.layout import broadcast_strides
from .overlap import may_meet, meets_itself

MOST_MEMBERS, MOST_ACCESSES = 64, 24
REORDER_ELEMENTS = 8192  # what is smaller stays in the cache, in whatever order it is read


class Access:
    """How a member reads or writes a slot: byte offset, byte strides over the group's domain, level ("full" or "row"),
    dtype."""

    __slots__ = ("slot", "offset", "strides", "level", "dtype")

    def __init__(self, slot, offset, strides, level, dtype):
        self.slot, self.offset, self.strides, self.level, self.dtype = slot, offset, strides, level, dtype

    def same_place(self, other, domain):
        return (self.offset == other.offset and self.dtype is other.dtype
                and all(a == b or n == 1 for a, b, n in zip(self.strides, other.strides, domain)))


class Member:
    """An instruction in a group: its level, accesses of its inputs (None for random operands) and outputs."""

    __slots__ = ("instruction", "number", "level", "ins", "outs")

    def __init__(self, instruction, number, level, ins, outs):
        self.instruction, self.number, self.level, self.ins, self.outs = instruction, number, level, ins, outs


class Group:
    """Instructions that share a kernel (or one instruction with a kernel of its own: `single`)."""

    def __init__(self, number, domain, single=False):
        self.number, self.domain, self.single = number, domain, single
        self.reduce_dims, self.gathers, self.overwrites, self.reorders = None, False, False, False
        self.ordered = False  # rule 11
        self.members, self.reads, self.writes, self.randoms = [], {}, {}, set()
        self.accesses = 0
        self.checks = False  # whether a member checks data

    def touches(self, slot):
        return slot in self.reads or slot in self.writes or slot in self.randoms


def is_loop(instruction):
    return instruction.op.kind == "loop"


def domain_of(instruction):
    """The shape that an instruction's loop runs over."""
    if instruction.op.options["loop"] == "reduction":
        return tuple(instruction.ins[0][1].shape)
    return tuple(instruction.outs[0][1].shape)


def reduce_dims_of(instruction):
    return dict(instruction.attrs)["dims"] if instruction.op.options["loop"] == "reduction" else None


def row_positions(shape, domain, dims):
    """For each dimension of a row-level shape its dimension of the domain, or None if the shape is not row-level."""
    kept = [d for d in range(len(domain)) if d not in dims]
    if len(shape) == len(domain) and all(n == (1 if d in dims else domain[d]) for d, n in enumerate(shape)):
        return list(range(len(domain)))
    if len(shape) == len(kept) and all(n == domain[d] for n, d in zip(shape, kept)):
        return kept
    return None


def accesses_of(refs, shape, domain, positions, level):
    """Accesses over the domain of operands that broadcast to `shape`, whose dimensions lie at `positions` of the
    domain."""
    found = []
    for slot, layout, offset in refs:
        strides = [0] * len(domain)
        size = layout.dtype.itemsize
        for at, n, s in zip(positions, shape, broadcast_strides(layout.shape, layout.strides, shape)):
            if n == domain[at]:  # a reduced dimension that was kept with size 1 is not walked
                strides[at] = s * size
        found.append(Access(slot, offset * size, tuple(strides), level, layout.dtype))
    return found


def member(instruction, number, domain, reduce_dims):
    """The instruction seen over a group's domain, or None where rule 2 or 3 forbids it."""
    reduces = reduce_dims_of(instruction)
    shape = tuple(instruction.outs[0][1].shape)
    every = range(len(domain))
    if reduces is not None:
        if tuple(instruction.ins[0][1].shape) != domain or (reduce_dims is not None and reduces != reduce_dims):
            return None
        ins = accesses_of(instruction.ins, domain, domain, every, "full")
        positions = row_positions(shape, domain, reduces)
        return Member(instruction, number, "row", ins, accesses_of(instruction.outs, shape, domain, positions, "row"))
    level, positions = "full", every
    if shape != domain:
        positions = row_positions(shape, domain, reduce_dims) if reduce_dims is not None else None
        if positions is None:
            return None
        level = "row"
    random = random_operands(instruction)
    ins = [None if i in random else accesses_of([ref], shape, domain, positions, level)[0]
           for i, ref in enumerate(instruction.ins)]
    return Member(instruction, number, level, ins, accesses_of(instruction.outs, shape, domain, positions, level))


def random_operands(instruction):
    """Indices of the operands that a gathering body reads at computed positions."""
    op = instruction.op
    if op.options["loop"] != "gather":
        return ()
    aligned = dict(instruction.attrs).get("aligned", op.options.get("aligned", ()))
    return tuple(i for i in range(len(instruction.ins)) if i not in aligned)


def fits(group, candidate):
    """Rules 3 to 9 for a candidate member that rules 1 and 2 allow."""
    instruction, domain = candidate.instruction, group.domain
    reduces = instruction.op.options["loop"] == "reduction"
    gathers = instruction.op.options["loop"] == "gather"
    if len(group.members) >= MOST_MEMBERS or group.accesses + len(candidate.ins) + len(candidate.outs) > MOST_ACCESSES:
        return False
    if gathers and (group.reduce_dims is not None or candidate.level == "row"):
        return False
    if reduces and (group.overwrites or group.gathers or group.reorders):
        return False
    if group.reduce_dims is not None and reorders(candidate):
        return False
    multi = group.reduce_dims is not None or reduces
    for i, access in enumerate(candidate.ins):
        if access is None:
            if instruction.ins[i][0] in group.writes:
                return False
            continue
        written = group.writes.get(access.slot)
        if written is not None and not written[0].same_place(access, domain):
            return False
        if written is not None and written[0].level != access.level and access.level == "row":
            return False
    own_reads = {a.slot for a in candidate.ins if a is not None}
    for access in candidate.outs:
        if access.slot in group.randoms:
            return False
        met = [*group.reads.get(access.slot, ()), *group.writes.get(access.slot, ())]
        if multi and (met or access.slot in own_reads):
            return False
        if any(not m.same_place(access, domain) or m.level != access.level for m in met):
            return False
        if any(a is not None and a.slot == access.slot and not a.same_place(access, domain) for a in candidate.ins):
            return False
        if group.members and any(m.slot == access.slot for m in (*met, *candidate.ins)
                                 if m is not None) and meets_itself(access.strides, domain, access.dtype.itemsize):
            return False
    return True


def reorders(candidate):
    """Whether an element-wise member walks an operand, too large for the cache, against the order of its memory."""
    instruction = candidate.instruction
    out = instruction.outs[0][1]
    if candidate.level != "full" or out.numel < REORDER_ELEMENTS or instruction.op.options["loop"] != "elementwise":
        return False
    return any(layout.shape == out.shape and fastest(layout) not in (None, fastest(out))
               for _, layout, _ in instruction.ins)


def fastest(layout):
    """The dimension along which neighbours in memory lie; None where all elements are one."""
    moving = [(s, -d) for d, (n, s) in enumerate(zip(layout.shape, layout.strides)) if n > 1 and s]
    return -min(moving)[1] if moving else None


def overlaps(instruction):
    """Rule 11: whether an element-wise instruction writes an element twice, or reads one that it has written for
    another position."""
    if not instruction.given or not instruction.ins or instruction.op.options["loop"] != "elementwise":
        return False
    (target, out, offset), domain = instruction.outs[0], tuple(instruction.outs[0][1].shape)
    if not out.dense and meets_itself(out.strides, domain, 1):
        return True
    written = accesses_of(instruction.outs, domain, domain, range(len(domain)), "full")[0]
    for slot, layout, start in instruction.ins:
        if slot == target and not (layout is out and start == offset):
            read = accesses_of([(slot, layout, start)], domain, domain, range(len(domain)), "full")[0]
            if not read.same_place(written, domain) and may_meet(read, written, domain):
                return True
    return False


def related(group, instruction):
    """Rule 7 for a group that the instruction does not depend on."""
    return any(slot in group.reads or slot in group.writes for slot, layout, _ in instruction.ins if layout.numel > 1)


def add(group, candidate):
    """Enter a member and what it touches."""
    group.members.append(candidate)
    group.checks |= candidate.instruction.op.checks
    if candidate.instruction.op.kind == "loop":
        kind = candidate.instruction.op.options["loop"]
        group.gathers |= kind == "gather"
        group.reorders |= reorders(candidate)
        if kind == "reduction":
            group.reduce_dims = reduce_dims_of(candidate.instruction)
    for i, access in enumerate(candidate.ins):
        slot = candidate.instruction.ins[i][0]
        if access is None:
            group.randoms.add(slot)
            group.accesses += 1
        else:
            known = group.reads.setdefault(slot, [])
            if slot not in group.writes and not any(k.same_place(access, group.domain) for k in known):
                group.accesses += 1
            known.append(access)
    for access in candidate.outs:
        group.overwrites |= access.slot in group.reads
        group.accesses += access.slot not in group.writes
        group.writes[access.slot] = [access]


def single(instruction, number, index):
    """A group for an instruction that shares its kernel with nobody."""
    group = Group(index, None, single=True)
    group.checks = instruction.op.checks
    group.members.append(Member(instruction, number, "full", [None] * len(instruction.ins), []))
    for slot, _, _ in instruction.ins:
        group.reads.setdefault(slot, [])
    for slot, _, _ in instruction.outs:
        group.writes.setdefault(slot, [])
    return group


class Grouping:
    """Greedy grouping in program order; keeps for each slot the last group that wrote it and the last that read it.
    What comes in: the instructions, which are then placed one by one."""

    def __init__(self, instructions):
        self.groups, self.last_write, self.last_read = [], {}, {}
        self.reduced = {slot for i in instructions if is_loop(i) and i.op.options["loop"] == "reduction"
                        for slot, _, _ in i.ins}

    def place(self, instruction, number):
        """Put one instruction into a group."""
        earliest = -1
        for slot, _, _ in instruction.ins:
            earliest = max(earliest, self.last_write.get(slot, -1))
        for slot, _, _ in instruction.outs:
            earliest = max(earliest, self.last_write.get(slot, -1), self.last_read.get(slot, -1))
        group = None
        if is_loop(instruction):
            ordered = overlaps(instruction)
            group = None if ordered else self.find(instruction, number, earliest)
            if group is None:
                group = Group(len(self.groups), domain_of(instruction))
                group.ordered = ordered
                self.groups.append(group)
                add(group, member(instruction, number, group.domain, None))
        else:
            group = single(instruction, number, len(self.groups))
            self.groups.append(group)
        for slot, _, _ in instruction.ins:
            self.last_read[slot] = max(self.last_read.get(slot, -1), group.number)
        for slot, _, _ in instruction.outs:
            self.last_write[slot] = group.number

    def find(self, instruction, number, earliest):
        """The group that the instruction joins, or None."""
        depends = max(earliest, 0)
        for index in range(depends, min(len(self.groups), depends + 64)):
            group = self.groups[index]
            if group.single or group.ordered or (index != earliest and not related(group, instruction)):
                continue
            if group.overwrites and any([slot in self.reduced for slot, _, _ in instruction.outs]):
                continue
            candidate = member(instruction, number, group.domain, group.reduce_dims)
            if candidate is not None and fits(group, candidate):
                add(group, candidate)
                return group
        return None
