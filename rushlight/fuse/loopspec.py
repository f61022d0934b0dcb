"""From a group of instructions to a LoopSpec and the numbers of its static block.

In: a Group, and which slots need memory after it. Out: the spec (structure, shared by all sizes) and the Launches.
"""

import math

from ..codegen.loops import tiled  # noqa: F401  (enters its kind of kernel)
from ..codegen.ir.kernel import Argument, Launch, Memory, Scratch
from ..codegen.loops.emitter import LoopSpec, vector_lanes
from ..codegen.loops.nodes import COMPUTED, Apply, Gather, Load, Number, Pick, Reduce
from ..core import dtype as dt
from ..core.kinds import OPERATORS
from ..core.layout import stride_order
from .sizes import (ELEMENT_NANOSECONDS, HEAVY_NANOSECONDS, ROW_NANOSECONDS, SPLIT_BLOCK, SPLIT_STEPS, TASK_NANOSECONDS,
                    TILE_SIDE, divide, is_col, splits)


class Builder:
    """Collects the nodes of one group."""

    def __init__(self, group, stored):
        self.group, self.stored = group, stored
        self.nodes, self.levels, self.stages = [], [], []
        self.accesses, self.access_levels, self.randoms, self.numbers = [], [], [], []
        self.loads, self.values, self.number_nodes = {}, {}, {}
        self.heavy_nodes, self.stores, self.reloads = set(), {}, {}
        self.checking = {}  # node -> the number of the member that it computes, where that checks data
        for position, m in enumerate(group.members):
            self.member(m, position)
        self.plan_reloads()

    # -- nodes ---------------------------------------------------------------------

    def node(self, kind, fields, level, stage):
        """The number of a new node. A tuple is made into it, in a quarter of the time of its own constructor."""
        self.nodes.append(tuple.__new__(kind, fields))
        self.levels.append(level)
        self.stages.append(stage)
        return len(self.nodes) - 1

    def access(self, access):
        """The number of a memory access, shared by equal ones."""
        for i, known in enumerate(self.accesses):
            if known.slot == access.slot and known.level == access.level and known.same_place(access,
                                                                                              self.group.domain):
                return i
        self.accesses.append(access)
        return len(self.accesses) - 1

    def load(self, access):
        """The node of a value read from memory, or the value that a member before has written there."""
        found = self.values.get(access.slot)
        if found is not None:
            return found
        at = self.access(access)
        if at not in self.loads:
            level = access.level
            if level == "full" and self.group.reduce_dims is not None and self.is_row(access):
                level = "row"
            self.loads[at] = self.node(Load, (at,), level, 0)
        return self.loads[at]

    def is_row(self, access):
        """Whether a full-level access does not move along the reduced dimensions."""
        domain = self.group.domain
        return all(access.strides[d] == 0 or domain[d] == 1 for d in self.group.reduce_dims)

    def number(self, position, cls, joined):
        """The node of a number argument."""
        letter = "d" if cls is float else "q"
        dtype = joined.compute if joined else (dt.float64 if cls is float else dt.bool_ if cls is bool else dt.int64)
        key = (position, dtype.name)
        if key not in self.number_nodes:
            self.numbers.append(position)
            self.number_nodes[key] = self.node(Number, (len(self.numbers) - 1, letter, dtype.name), "row", 0)
        return self.number_nodes[key]

    def member(self, m, position):
        """The nodes of one instruction."""
        instruction = m.instruction
        op, inputs, args = instruction.op, [], []
        for where, i, *cls in instruction.args:
            if where != "num" and m.ins[i] is None:
                args.append(("random", self.random(instruction.ins[i])))
                continue
            node = self.number(i, cls[0], instruction.info) if where == "num" else self.load(m.ins[i])
            inputs.append(node)
            args.append(("node", node))
        if op.kind == "reduction":
            self.reduction(m, inputs[0])
            return
        stage = max([self.stages[node] for node in inputs], default=0)
        dtype, attrs = instruction.outs[0][1].dtype.plain.name, instruction.attrs
        if attrs:
            attrs = tuple([(k, v) for k, v in attrs if k != "out" and k != "aligned"])
        if op.kind == "gather":
            at = self.node(Gather, (op.name, attrs, tuple(args), dtype), m.level, stage)
        else:
            joined = instruction.info.name if instruction.info is not None else None
            at = self.node(Apply, (op.name, attrs, tuple(inputs), joined, dtype), m.level, stage)
        if op.checks:
            self.checking[at] = position
        if op.heavy or op.kind == "gather" or self.has_heavy(inputs):
            self.heavy_nodes.add(at)
        self.write(m.outs[0], at)

    def has_heavy(self, nodes):
        """Whether one of the nodes is computed for every element and expensive."""
        return bool(self.heavy_nodes) and any([node in self.heavy_nodes and self.levels[node] == "full"
                                               for node in nodes])

    def reduction(self, m, value):
        options = dict(m.instruction.attrs)
        op = m.instruction.op
        combine = op.name if callable(op.combine) else op.combine
        stage = self.stages[value]
        accumulate = op.accumulate(m.instruction.ins[0][1].dtype, options).plain
        at = self.node(Reduce, (combine, value, accumulate.name), "row", stage)
        for number, access in enumerate(m.outs):
            picked = self.node(Pick, (at, number), "row", stage + 1)
            if access.dtype.plain is not accumulate and not number:
                cast = ("cast_", (), (picked,), None, access.dtype.plain.name)
                picked = self.node(Apply, cast, "row", stage + 1)
            self.write(access, picked)

    def random(self, ref):
        slot, layout, offset = ref
        self.randoms.append((slot, layout, offset))
        return len(self.randoms) - 1

    def write(self, access, node):
        self.values[access.slot] = node
        if self.stored(access.slot, self.group):
            self.stores[access.slot] = (self.access(access), node)

    # -- passes ----------------------------------------------------------------------

    def plan_reloads(self):
        """Values that are expensive and used in a later pass are stored in their pass and read back."""
        if self.group.reduce_dims is None:
            return
        users = {}
        for i, node in enumerate(self.nodes):
            for a in node.arguments():
                if self.levels[a] == "full":
                    users.setdefault(a, []).append(self.stages[i])
        slots = {node: slot for slot, node in self.values.items()}
        outs = {m.outs[0].slot: m.outs[0] for m in self.group.members if m.outs}
        for node, stages in users.items():
            if max(stages) > self.stages[node] and node in self.heavy_nodes and node in slots:
                slot = slots[node]
                if slot not in self.stores:
                    self.stores[slot] = (self.room(outs[slot], max(stages)), node)
                self.reloads[node] = self.stores[slot][0]

    def room(self, access, stage):
        """Where a value stays until this pass: in the place of a result that is written in it or later, if there is
        one. So the value costs no memory of its own, and the lines that it is written to are those of the result."""
        read = {self.accesses[at].slot for at in self.loads} | {slot for slot, _, _ in self.randoms}
        for at, node in self.stores.values():
            result = self.accesses[at]
            moves = all(step or n == 1 for step, n in zip(result.strides, self.group.domain))
            if (moves and result.dtype is access.dtype and self.levels[node] == "full" and self.stages[node] >= stage
                    and result.slot not in read and at not in self.reloads.values()):
                return at
        return self.access(access)


class Loops:
    """The loops of a kernel: `kind`; `kept` and `reduced`, the dimensions K and R from outermost to innermost, each
    (size, strides of every access); `axes`: for each of them the dimensions of the domain that it is merged from;
    `where`: see LoopSpec.dims; `inner`: see `is_col`, None where it is not asked; `spec`:
    the LoopSpec, when it is made."""

    __slots__ = ("kind", "kept", "reduced", "axes", "where", "inner", "spec")

    def __init__(self, kind, kept, reduced, where=(), inner=None):
        self.kind, self.where, self.inner = kind, where, inner
        self.kept, self.reduced = [d[:2] for d in kept], [d[:2] for d in reduced]
        self.axes = [d[2] for d in kept], [d[2] for d in reduced]


def canonical(builder):
    """The Loops of a group."""
    group = builder.group
    domain, reduce_dims = group.domain, group.reduce_dims
    columns = [a.strides for a in builder.accesses]
    dims = [(n, tuple([s[d] for s in columns]), (d,)) for d, n in enumerate(domain)]
    none = [(1, (0,) * len(columns), ())]
    if group.gathers:
        where = tuple(("k", i) for i in range(len(dims) - 1)) + (("r", 0),) if dims else ()
        return Loops("row" if dims[:-1] else "flat", dims[:-1], dims[-1:] or none, where)
    if group.ordered:
        found = ordered_dims(dims, builder) or none
        return Loops("ordered", found[:-1], found[-1:])
    if reduce_dims is None:
        merged = order(dims, builder) or none
        rows = tile_rows(builder, merged)
        if rows is not None:
            kept = [d for i, d in enumerate(merged[:-1]) if i != rows] + [merged[rows]]
            return Loops("tile", kept, merged[-1:])
        return Loops("flat" if len(merged) == 1 else "row", merged[:-1], merged[-1:])
    kept = order([d for d in dims if d[2][0] not in reduce_dims], builder)
    reduced = order([d for d in dims if d[2][0] in reduce_dims], builder) or none
    full = [i for i, a in enumerate(builder.accesses) if a.level == "full"]
    if not kept or not full:
        return Loops("row", kept, reduced)
    steps = [(kept[-1][1][i], reduced[-1][1][i]) for i in full]
    return Loops("col" if is_col(steps, kept[-1][0]) else "row", kept, reduced, (), steps)


def ordered_dims(dims, builder):
    """The dimensions in the order in which PyTorch visits the elements: by what is written, then by what is read."""
    written = next(at for at, _ in builder.stores.values())
    operands = [written, *[i for i in range(len(builder.accesses)) if i != written]]
    order_ = stride_order(builder.group.domain, [[s[i] for _, s, _ in dims] for i in operands])
    return [dims[d] for d in reversed(order_)]


def merge(dims):
    """`core.layout.coalesce` of (size, strides, axes)."""
    merged = []
    for n, strides, axes in dims:
        if n == 1:
            continue
        if merged and all([outer == n * inner for outer, inner in zip(merged[-1][1], strides)]):
            merged[-1] = (merged[-1][0] * n, strides, merged[-1][2] + axes)
        else:
            merged.append((n, strides, axes))
    return merged


def tile_rows(builder, dims):
    """The number of the dimension along which all accesses are contiguous that are not so along the last one; None
    where there is no such dimension, or tiles do not pay."""
    inner = dims[-1][1]
    strided = [i for i, a in enumerate(builder.accesses) if inner[i] not in (0, a.dtype.itemsize)]
    if not strided or dims[-1][0] < TILE_SIDE or any(a.level != "full" for a in builder.accesses):
        return None
    if any(a.dtype.category == dt.COMPLEX or a.dtype.plain is not a.dtype for a in builder.accesses):
        return None  # tiles are turned as they lie in memory
    for d, (size, strides, _) in enumerate(dims[:-1]):
        if size >= TILE_SIDE and all(strides[i] == builder.accesses[i].dtype.itemsize for i in strided):
            return d
    return None


def has_arg(builder):
    return any(n.__class__ is Reduce and n.combine.startswith("arg") for n in builder.nodes)


def order(dims, builder):
    """Merged dimensions from outermost to innermost: by the strides of what is written, then of what is read.
    Arg-reductions keep their order."""
    dims = [d for d in dims if d[0] != 1]
    if len(dims) > 1 and not has_arg(builder):
        written = {at for at, _ in builder.stores.values()}
        weights = sorted(range(len(builder.accesses)), key=lambda i: (i not in written, i))
        weights = [i for i in weights if any([d[1][i] for d in dims])]
        dims = sorted(dims, key=lambda d: tuple([-abs(d[1][i]) for i in weights]))
    return merge(dims)


def mode(access, stride, size):
    """How an access walks the vector dimension: 1, 0 or "s" (see LoopSpec). A single step counts as contiguous, so that
    tensors of one element share the kernels of others."""
    if size == 1 and access.level == "full":
        return 1
    return 0 if stride == 0 else 1 if stride == access.dtype.itemsize else "s"


def build(group, stored):
    """The Launches of a loop group."""
    return plan_loops(group, stored)[0]


def plan_loops(group, stored):
    """(the Launches of a loop group, its Builder, its Loops); the last two are None where more than sizes decides."""
    b = Builder(group, stored)
    if math.prod(group.domain) == 0 and group.reduce_dims is None:
        return [], None, None
    loops = canonical(b)
    kind, kept, reduced = loops.kind, loops.kept, loops.reduced
    if splits(kind, kept, reduced) and may_split(b):
        return partial_launches(b, kind, kept, reduced), None, None
    spec = make_spec(b, kind, kept, reduced, loops.where, b.nodes, b.levels, b.stages, b.stores.values(), False)
    loops.spec = spec
    only = launch(b, spec, kind, kept, reduced, b.accesses, static_of(b, b.accesses, kept, reduced))
    only.checking = b.checking
    return [only], b, loops


def may_split(b):
    """Whether a reduction can be done in two steps."""
    return (b.group.reduce_dims is not None and max(b.stages) <= 1 and not b.reloads and not has_arg(b)
            and not any(b.levels[n] == "full" and b.stages[n] for _, n in b.stores.values()))


def make_spec(b, kind, kept, reduced, where, nodes, levels, stages, stores, partial):
    size, steps = (kept if kind == "col" else reduced)[-1]
    accesses = tuple((a.dtype.name, mode(a, steps[i], size)) for i, a in enumerate(b.accesses))
    if kind == "tile":
        accesses = tuple((name, "t" if how == "s" else how) for name, how in accesses)
    randoms = tuple((x.dtype.name, x.ndim, bool(x.ndim) and x.strides[-1] == 1) for _, x, _ in b.randoms)
    names = (
        [n for n, _ in accesses]
        + [n for n, _, _ in randoms]
        + [node.dtype for node in nodes if node.__class__ in COMPUTED]
    )
    widest = max([dt.by_name(n).compute.itemsize for n in names if n != "bool"], default=4)
    staged = tuple((at, node, stages[node]) for at, node in stores)
    return LoopSpec(kind, len(kept), len(reduced), accesses, randoms, tuple(nodes), tuple(levels), tuple(stages),
                    tuple(sorted(b.reloads.items())), staged, where, partial, bool(b.heavy_nodes), len(b.numbers),
                    widest)


def static_of(b, accesses, kept, reduced, extra=()):
    """The static block without the chunk."""
    static = [n for n, _ in kept] + [n for n, _ in reduced] + list(extra)
    for i, a in enumerate(accesses):
        static += [Memory(a.slot, a.offset), *(s[i] for _, s in kept), *(s[i] for _, s in reduced)]
    for slot, layout, offset in b.randoms:
        size = layout.dtype.itemsize
        static += [Memory(slot, offset * size), *layout.shape, *(s * size for s in layout.strides)]
    return static + [Argument(position) for position in b.numbers]


def launch(b, spec, kind, kept, reduced, accesses, static):
    """Divide the work into tasks of fixed size."""
    chunk, tasks, cost = divide(kind, kept, reduced, weight_of(b, spec, len(accesses)), vector_lanes(spec))
    return Launch(spec.source(OPERATORS), [chunk, *static], tasks, cost)


def weight_of(b, spec, accesses):
    """Estimated nanoseconds an element."""
    passes = 1 + max(spec.stages, default=0)
    strided = any(m == "s" for _, m in spec.accesses)
    weight = (HEAVY_NANOSECONDS if b.heavy_nodes else ELEMENT_NANOSECONDS) * (4 / spec.widest if spec.widest < 4
                                                                              else spec.widest / 4)
    return weight * max(1, accesses / 3) * passes * (6 if strided or b.randoms else 1) + 0.01 * len(spec.nodes)


def partial_launches(b, kind, kept, reduced):
    """A long reduction in two steps: sums of fixed blocks, then the sum of these, so that the result does not depend
    on threads. Partial results lie as (rows, blocks), in kind "col" as (outer rows, blocks, columns)."""
    inner = math.prod(n for n, _ in reduced[1:])
    wide = kept[-1][0] if kind == "col" else 1
    block = max(SPLIT_STEPS // inner if kind == "col" else 1, SPLIT_BLOCK // (inner * wide), 1)
    blocks = -(-reduced[0][0] // block)
    rows = math.prod(n for n, _ in kept)
    reduces = [i for i, n in enumerate(b.nodes) if n.__class__ is Reduce]
    nodes, levels, stages = list(b.nodes), list(b.levels), list(b.stages)
    scratch, accesses, sizes = [], list(b.accesses), []
    stores = [(at, node) for at, node in b.stores.values() if b.levels[node] == "full"]
    for i in reduces:
        dtype = dt.by_name(nodes[i].dtype)
        sizes.append(dtype.itemsize)
        buffer = Scratch(max(1, rows * blocks) * dtype.itemsize)
        scratch.append(buffer)
        accesses.append(PartialAccess(buffer, dtype))
        nodes.append(Pick(i, 0))
        levels.append("row")
        stages.append(stages[i] + 1)
        stores.append((len(accesses) - 1, len(nodes) - 1))
    keep = needed(nodes, [node for _, node in stores])
    nodes = [node if i in keep else Number(0, "q", "int64") for i, node in enumerate(nodes)]
    wide_kept = [(n, (*s, *[0] * len(scratch))) for n, s in kept]
    wide_reduced = [(n, (*s, *[0] * len(scratch))) for n, s in reduced]
    if kind == "col":
        wide_kept[-1] = (wide, (*kept[-1][1], *sizes))
    first = Narrow(b, accesses)
    spec = make_spec(first, kind, wide_kept, wide_reduced, (), *prune(nodes, levels, stages, keep, stores), True)
    static = static_of(first, accesses, wide_kept, wide_reduced, (block, blocks))
    lanes = vector_lanes(spec) if kind == "col" else 1
    unit = ROW_NANOSECONDS + block * inner * lanes * ELEMENT_NANOSECONDS * (5 if b.heavy_nodes else 1)
    units = rows // wide * -(-wide // lanes) * blocks
    chunk = max(1, math.ceil(TASK_NANOSECONDS / unit))
    one = Launch(spec.source(OPERATORS), [chunk, *static], -(-units // chunk), units * unit)
    return [one, second_step(b, kind, kept, blocks, reduces, scratch)]


class PartialAccess:
    """The access of partial sums: their own scratch, addressed by the flat row index."""

    def __init__(self, slot, dtype):
        self.slot, self.offset, self.dtype, self.level = slot, 0, dtype, "row"


class Narrow:
    """What make_spec and static_of need of a Builder, with other accesses."""

    def __init__(self, b, accesses, heavy=None, reloads=None):
        self.accesses, self.randoms, self.numbers = accesses, b.randoms, b.numbers
        self.heavy_nodes = b.heavy_nodes if heavy is None else heavy
        self.reloads = {} if reloads is None else reloads


def needed(nodes, wanted):
    found, todo = set(), list(wanted)
    while todo:
        i = todo.pop()
        if i not in found:
            found.add(i)
            todo += nodes[i].arguments()
    return found


def prune(nodes, levels, stages, keep, stores):
    """Drop the nodes outside `keep` and renumber."""
    order_, index = sorted(keep), {}
    for i in order_:
        index[i] = len(index)
    kept = [nodes[i].renumbered(index) for i in order_]
    return (kept, [levels[i] for i in order_], [stages[i] for i in order_], [(at, index[n]) for at, n in stores])


def second_step(b, kind, kept, blocks, reduces, scratch):
    """Fold the partial results and compute what follows at row level."""
    accesses = [*b.accesses]
    nodes, levels, stages = list(b.nodes), list(b.levels), list(b.stages)
    strides_r, wide = [0] * len(b.accesses), kept[-1][0] if kind == "col" else 1
    for buffer, i in zip(scratch, reduces):
        dtype = dt.by_name(nodes[i].dtype)
        accesses.append(PartialAccess(buffer, dtype))
        strides_r.append(wide * dtype.itemsize)
        nodes.append(Load(len(accesses) - 1))
        levels.append("full")
        stages.append(0)
        nodes[i] = nodes[i]._replace(arg=len(nodes) - 1)
    stores = [(at, node) for at, node in b.stores.values() if levels[node] == "row"]
    keep = needed(nodes, [node for _, node in stores])
    order_k = math.prod(n for n, _ in kept)
    wide_kept, step = [], order_k
    for n, s in kept:
        step //= n
        apart = step * blocks if step >= wide else step  # columns lie side by side in each block
        wide_kept.append((n, (*s, *[apart * dt.by_name(nodes[i].dtype).itemsize for i in reduces])))
    reduced = [(blocks, tuple(strides_r))]
    second = Narrow(b, accesses, set())
    # loads come after their uses in number: put them first
    sequence = sorted(keep, key=lambda i: (nodes[i].__class__ is not Load, i))
    index = {i: at for at, i in enumerate(sequence)}
    spec = make_spec(second, kind, wide_kept, reduced, (), [nodes[i].renumbered(index) for i in sequence],
                     [levels[i] for i in sequence], [stages[i] for i in sequence], [(at, index[n]) for at, n in stores],
                     False)
    static = static_of(second, accesses, wide_kept, reduced)
    if kind == "col":
        return launch(second, spec, kind, wide_kept, reduced, accesses, static)
    return Launch(spec.source(OPERATORS), [order_k, *static], 1, 100.0 + order_k * blocks)
