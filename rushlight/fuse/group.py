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

import bisect

from ..base.memo import Memo
from ..core.layout import broadcast_strides
from .overlap import may_meet, meets_itself
from .sizes import REORDER_ELEMENTS

MOST_MEMBERS, MOST_ACCESSES = 64, 24
SEARCHED = 64  # groups after the last that an instruction depends on


class Access:
    """How a member reads or writes a slot: byte offset, byte strides over the group's domain, level ("full" or "row"),
    dtype."""

    __slots__ = ("slot", "offset", "strides", "level", "dtype")

    def __init__(self, slot, offset, strides, level, dtype):
        self.slot, self.offset, self.strides, self.level, self.dtype = slot, offset, strides, level, dtype

    def same_place(self, other, domain):
        if self.offset != other.offset or self.dtype is not other.dtype:
            return False
        return self.strides == other.strides or all(
            [a == b or n == 1 for a, b, n in zip(self.strides, other.strides, domain)])


class Member:
    """An instruction in a group: its level, accesses of its inputs (None for random operands) and outputs. `facts`:
    None where it is the only member and no loop."""

    __slots__ = ("instruction", "facts", "number", "level", "ins", "outs")

    def __init__(self, instruction, facts, number, level, ins, outs):
        self.instruction, self.facts, self.number = instruction, facts, number
        self.level, self.ins, self.outs = level, ins, outs


class Group:
    """Instructions that share a kernel (or one instruction with a kernel of its own: `single`)."""

    def __init__(self, number, domain, single=False):
        self.number, self.domain, self.single = number, domain, single
        self.reduce_dims, self.gathers, self.overwrites, self.reorders = None, False, False, False
        self.ordered = False  # rule 11
        self.members, self.reads, self.writes, self.randoms = [], {}, {}, set()
        self.accesses = 0
        self.checks = False  # whether a member checks data


def is_loop(instruction):
    return instruction.op.is_loop


class Facts:
    """What the rules ask about a loop instruction, whatever slots it works on: kept by form and layouts.

    domain: the shape that its loop runs over; shape: that of its result; reduces: the dimensions it reduces, or None;
    randoms: the indices of the operands that a gathering body reads at computed positions; views: the instruction seen
    over the domains of groups, see `seen`."""

    __slots__ = ("gathers", "domain", "shape", "reduces", "randoms", "reorders", "views")

    def __init__(self, instruction):
        op, out = instruction.op, instruction.outs[0][1]
        kind = op.kind
        attrs = dict(instruction.attrs)
        self.shape = self.domain = tuple(out.shape)
        self.reduces, self.gathers, self.randoms, self.views = None, kind == "gather", (), {}
        if kind == "reduction":
            self.domain, self.reduces = tuple(instruction.ins[0][1].shape), attrs["dims"]
        if self.gathers:
            aligned = attrs.get("aligned", op.aligned)
            self.randoms = tuple(i for i in range(len(instruction.ins)) if i not in aligned)
        self.reorders = kind == "elementwise" and out.numel >= REORDER_ELEMENTS and any(
            layout.shape == out.shape and fastest(layout) not in (None, fastest(out))
            for _, layout, _ in instruction.ins)

    def seen(self, instruction, domain, reduce_dims):
        """(level, byte strides of the operands over the domain with None for random ones, those of the results), or
        None where rule 2 or 3 forbids it."""
        key = (domain, reduce_dims)
        if key not in self.views:
            self.views[key] = self.look(instruction, domain, reduce_dims)
        return self.views[key]

    def look(self, instruction, domain, reduce_dims):
        shape, every = self.shape, range(len(domain))
        if self.reduces is not None:
            if self.domain != domain or (reduce_dims is not None and self.reduces != reduce_dims):
                return None
            positions = row_positions(shape, domain, self.reduces)
            return ("row", [strides_over(layout, domain, domain, every) for _, layout, _ in instruction.ins],
                    [strides_over(layout, shape, domain, positions) for _, layout, _ in instruction.outs])
        level, positions = "full", every
        if shape != domain:
            positions = row_positions(shape, domain, reduce_dims) if reduce_dims is not None else None
            if positions is None:
                return None
            level = "row"
        return (level, [None if i in self.randoms else strides_over(layout, shape, domain, positions)
                        for i, (_, layout, _) in enumerate(instruction.ins)],
                [strides_over(layout, shape, domain, positions) for _, layout, _ in instruction.outs])


FACTS = Memo(1 << 15)


def facts_of(instruction):
    """The Facts of a loop instruction."""
    key = (instruction.op, instruction.attrs, *[ref[1] for ref in instruction.ins], None,
           *[ref[1] for ref in instruction.outs])
    return FACTS.get(key) or FACTS.put(key, Facts(instruction))


def row_positions(shape, domain, dims):
    """For each dimension of a row-level shape its dimension of the domain, or None if the shape is not row-level."""
    kept = [d for d in range(len(domain)) if d not in dims]
    if len(shape) == len(domain) and all(n == (1 if d in dims else domain[d]) for d, n in enumerate(shape)):
        return list(range(len(domain)))
    if len(shape) == len(kept) and all(n == domain[d] for n, d in zip(shape, kept)):
        return kept
    return None


def strides_over(layout, shape, domain, positions):
    """Byte strides over the domain of an operand that broadcasts to `shape`, whose dimensions lie at `positions` of
    the domain."""
    strides = [0] * len(domain)
    size = layout.dtype.itemsize
    for at, n, s in zip(positions, shape, broadcast_strides(layout.shape, layout.strides, shape)):
        if n == domain[at]:  # a reduced dimension that was kept with size 1 is not walked
            strides[at] = s * size
    return tuple(strides)


def access(ref, strides, level):
    """The Access of an operand with these strides over a domain."""
    slot, layout, offset = ref
    return Access(slot, offset * layout.dtype.itemsize, strides, level, layout.dtype)


def member(instruction, facts, number, domain, reduce_dims):
    """The instruction seen over a group's domain, or None where rule 2 or 3 forbids it."""
    seen = facts.seen(instruction, domain, reduce_dims)
    if seen is None:
        return None
    level, ins, outs = seen
    read = "full" if facts.reduces is not None else level
    return Member(instruction, facts, number, level,
                  [None if s is None else access(ref, s, read) for ref, s in zip(instruction.ins, ins)],
                  [access(ref, s, level) for ref, s in zip(instruction.outs, outs)])


def fits(group, candidate):
    """Rules 3 to 9 for a candidate member that rules 1 and 2 allow."""
    instruction, facts, domain = candidate.instruction, candidate.facts, group.domain
    reduces, gathers = facts.reduces is not None, facts.gathers
    if len(group.members) >= MOST_MEMBERS or group.accesses + len(candidate.ins) + len(candidate.outs) > MOST_ACCESSES:
        return False
    if gathers and (group.reduce_dims is not None or candidate.level == "row"):
        return False
    if reduces and (group.overwrites or group.gathers or group.reorders):
        return False
    if group.reduce_dims is not None and candidate.level == "full" and facts.reorders:
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


def fastest(layout):
    """The dimension along which neighbours in memory lie; None where all elements are one."""
    moving = [(s, -d) for d, (n, s) in enumerate(zip(layout.shape, layout.strides)) if n > 1 and s]
    return -min(moving)[1] if moving else None


def overlaps(instruction):
    """Rule 11: whether an element-wise instruction writes an element twice, or reads one that it has written for
    another position."""
    if not instruction.given or not instruction.ins or instruction.op.kind != "elementwise":
        return False
    (target, out, offset), domain = instruction.outs[0], tuple(instruction.outs[0][1].shape)
    if not out.dense and meets_itself(out.strides, domain, 1):
        return True
    every = range(len(domain))
    written = access(instruction.outs[0], strides_over(out, domain, domain, every), "full")
    for slot, layout, start in instruction.ins:
        if slot == target and not (layout is out and start == offset):
            read = access((slot, layout, start), strides_over(layout, domain, domain, every), "full")
            if not read.same_place(written, domain) and may_meet(read, written, domain):
                return True
    return False


def add(group, candidate):
    """Enter a member and what it touches."""
    group.members.append(candidate)
    group.checks |= candidate.instruction.op.checks
    facts = candidate.facts
    group.gathers |= facts.gathers
    group.reorders |= facts.reorders and candidate.level == "full"
    if facts.reduces is not None:
        group.reduce_dims = facts.reduces
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
    """A group for an instruction that shares its kernel with no other."""
    group = Group(index, None, single=True)
    group.checks = instruction.op.checks
    group.members.append(Member(instruction, None, number, "full", [None] * len(instruction.ins), []))
    for slot, _, _ in instruction.ins:
        group.reads.setdefault(slot, [])
    for slot, _, _ in instruction.outs:
        group.writes.setdefault(slot, [])
    return group


class Grouping:
    """Greedy grouping in program order; keeps for each slot the last group that wrote it, the last that read it, and
    the groups that touch it. In: the instructions, which are then placed one by one."""

    def __init__(self, instructions):
        self.groups, self.last_write, self.last_read, self.touching = [], {}, {}, {}
        self.reduced = {slot for i in instructions if i.op.kind == "reduction"
                        for slot, _, _ in i.ins}

    def place(self, instruction, number):
        """Put one instruction into a group."""
        earliest = -1
        last_write, last_read = self.last_write, self.last_read
        for slot, _, _ in instruction.ins:
            earliest = max(earliest, last_write.get(slot, -1))
        for slot, _, _ in instruction.outs:
            earliest = max(earliest, last_write.get(slot, -1), last_read.get(slot, -1))
        group = None
        if is_loop(instruction):
            facts, ordered = facts_of(instruction), overlaps(instruction)
            group = None if ordered else self.find(instruction, facts, number, earliest)
            if group is None:
                group = Group(len(self.groups), facts.domain)
                group.ordered = ordered
                self.groups.append(group)
                add(group, member(instruction, facts, number, group.domain, None))
        else:
            group = single(instruction, number, len(self.groups))
            self.groups.append(group)
        at = group.number
        for slot, _, _ in instruction.ins:
            if last_read.get(slot, -1) < at:
                last_read[slot] = at
        for slot, _, _ in instruction.outs:
            last_write[slot] = at
        if not group.single:
            self.note(instruction, group)

    def note(self, instruction, group):
        """Enter the group with those that read or write these slots at positions of their loops."""
        for slot, _, _ in (*instruction.ins, *instruction.outs):
            if slot not in group.randoms or slot in group.reads or slot in group.writes:
                touching = self.touching.setdefault(slot, [])
                if not touching or touching[-1] < group.number:
                    touching.append(group.number)
                elif touching[-1] > group.number:
                    at = bisect.bisect_left(touching, group.number)
                    if touching[at] != group.number:
                        touching.insert(at, group.number)

    def find(self, instruction, facts, number, earliest):
        """The group that the instruction joins, or None. Those that it does not depend on are tried if they touch an
        operand of more than one element (rule 7)."""
        first = max(earliest, 0)
        end = first + SEARCHED
        tried = {earliest} if earliest >= 0 else set()
        for slot, layout, _ in instruction.ins:
            if layout.numel > 1:
                touching = self.touching.get(slot, ())
                at = bisect.bisect_left(touching, first)
                tried.update([index for index in touching[at:at + SEARCHED] if index < end])
        for index in sorted(tried):
            group = self.groups[index]
            if group.single or group.ordered:
                continue
            if group.overwrites and any([slot in self.reduced for slot, _, _ in instruction.outs]):
                continue
            candidate = member(instruction, facts, number, group.domain, group.reduce_dims)
            if candidate is not None and fits(group, candidate):
                add(group, candidate)
                return group
        return None
