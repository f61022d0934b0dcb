"""Loop kernels: a fused group of element-wise, reduction and gathering operators becomes one function.

The input is a `LoopSpec` from `fuse/`, in which every decision has been taken: loop dimensions, memory accesses, the
order of values, which pass of the row each belongs to. The result is a KernelSource. Operator bodies run over
`handler.Handler`.

Note [Rows and passes]
The kept dimensions K are the rows; tasks share them. For each row the reduced (or inner) dimensions R are walked once
per pass: a value that needs a reduction's result belongs to a later pass (softmax: max, then exp and sum, then the
quotient). Row-level values are computed between the passes. Kind "row" puts the vector lanes along the innermost R
dimension; kind "col" along the innermost K dimension, so that a reduction over outer dimensions reads contiguous
memory. Vectors are several registers wide, which LLVM splits: that is the unrolling. The rest of a row is one masked
step (or scalar steps where an access is strided).

Static block: chunk, K sizes, R sizes, [block of R0, blocks] for partial sums, then per access: slot, offset, byte
strides over K and R;
per random operand: slot, offset, sizes, byte strides; then the table index of each number.
"""

import dataclasses

from ...core import dtype as dt
from ...core.kinds import OUTSIDE
from ..bodies import pairs
from ..bodies.handler import Handler, Typed, stored_type
from ..ir import target
from ..ir.builder import BITS, lanes, suffix, vector
from ..ir.kernel import KernelSource
from ..ir.statics import StaticBlock, kernel
from .nodes import COMPUTED, Gather, Load, Number, Pick, Reduce
from .reductions import accumulator

BLOCK = 16  # steps of a float sum that one accumulator set takes before it is added to the outer one


@dataclasses.dataclass(frozen=True)
class LoopSpec:
    """Everything that decides the code; equal specs share a kernel.

    kind: "row", "col", "flat", "tile" (see tiled.py) or "ordered": one element after the other, in one task.
    accesses: (dtype name, mode) with mode 1, 0 or "s": the stride along the vector dimension; "t": see tiled.py.
    randoms: (dtype name, rank, whether the last stride is 1).
    nodes: see nodes.py.
    levels: "full" or "row" per node; stages: the pass in (or, for row level, before) which a node is computed.
    reloads: node -> access, for full-level values that later passes read back from memory.
    stores: (access, node, stage).
    """

    kind: str
    rank_k: int
    rank_r: int
    accesses: tuple
    randoms: tuple
    nodes: tuple
    levels: tuple
    stages: tuple
    reloads: tuple
    stores: tuple
    dims: tuple  # for gathers: where each dimension of the domain is: ("k", i), ("r", i)
    partial: bool
    heavy: bool
    numbers: int
    widest: int  # bytes of the widest element

    def key(self):
        """The fields as they are: they are hashable, and `dataclasses.astuple` would copy them, node by node."""
        stamps = [OUTSIDE[name] for name in self.operators() if name in OUTSIDE] if OUTSIDE else ()
        return ("loop", target.current.vector_bytes, *self.__dict__.values(), *stamps)

    def operators(self):
        """The names of the operators and reductions that the kernel computes."""
        return [node.combine if node.__class__ is Reduce else node.op for node in self.nodes
                if node.__class__ in COMPUTED]

    def source(self, operators):
        return KernelSource(self.key(), lambda module, name: EMITTERS[self.kind](self, module, name, operators).emit())


def vector_lanes(spec):
    """Lanes of one step: several registers; fewer where the body is long, one where memory is read lane by lane. The
    lanes decide in which order a sum adds: it has as many whatever else the kernel computes, so that it has the same
    bits alone and fused with a long body."""
    base = max(1, target.current.vector_bytes // spec.widest)
    if spec.kind == "ordered":
        return 1
    if spec.kind == "tile" or any(mode == "s" for _, mode in spec.accesses):
        return base
    ordered = any(node.__class__ is Reduce and node.combine in ("sum", "prod") for node in spec.nodes)
    return base * (2 if spec.heavy or ordered else 4)


def can_mask_tail(spec):
    """Whether the rest of a row can be one masked step: all its memory is contiguous and the target has such loads."""
    sizes = [dt.by_name(name).itemsize for name, mode in spec.accesses if mode == 1]
    return (spec.kind != "ordered" and all(mode != "s" for _, mode in spec.accesses)
            and all(n.__class__ is not Gather for n in spec.nodes) and target.current.can_mask(min(sizes, default=8)))


class LoopEmitter:
    """Writes one loop kernel."""

    def __init__(self, spec, module, name, operators):
        self.spec, self.operators = spec, operators
        self.fn = kernel(module, name)
        self.width = vector_lanes(spec)
        self.masked_tail = can_mask_tail(spec)
        self.reloads = dict(spec.reloads)
        self.partial_row = self.part = None
        self.passes = 1 + max([s for s, level in zip(spec.stages, spec.levels) if level == "full"]
                              + [s for _, _, s in spec.stores] + [0])

    # -- prologue ------------------------------------------------------------------

    def emit(self):
        fn, spec, entries = self.fn, self.spec, StaticBlock(self.fn)
        nk, nr = spec.rank_k, spec.rank_r
        at = 1
        self.sizes_k = entries.words(at, nk)
        at += nk
        self.sizes_r = entries.words(at, nr)
        at += nr
        if spec.partial:
            self.block, self.blocks = entries.words(at, 2)
            at += 2
        self.bases, self.strides_k, self.strides_r = [], [], []
        for _ in spec.accesses:
            self.bases.append(entries.pointer(at))
            self.strides_k.append(entries.words(at + 2, nk))
            self.strides_r.append(entries.words(at + 2 + nk, nr))
            at += 2 + nk + nr
        self.randoms = []
        for dtype, rank, unit in spec.randoms:
            sizes, strides = entries.words(at + 2, rank), entries.words(at + 2 + rank, rank)
            self.randoms.append((dt.by_name(dtype), entries.pointer(at), sizes, strides, unit))
            at += 2 + 2 * rank
        self.scalars = [entries.scalar_address(at + i) for i in range(spec.numbers)]
        self.numbers = {}
        chunk = entries.word(0)
        self.body(fn.args[2] * chunk, chunk)
        fn.ret()

    def body(self, start, chunk):
        """One task."""
        fn, spec = self.fn, self.spec
        if spec.kind == "flat":
            self.row(None, (start, fn.minimum(start + chunk, self.sizes_r[-1])))
        elif spec.kind == "col":
            self.columns(start, chunk)
        else:
            rows = self.product(self.sizes_k + ([self.blocks] if spec.partial else []))
            with fn.loop(start, fn.minimum(start + chunk, rows)) as index:
                self.row(index, None)

    def product(self, values):
        result = self.fn.constant(1)
        for value in values:
            result = result * value
        return result

    # -- rows ------------------------------------------------------------------------

    def decompose(self, index, sizes):
        """The multi-index of a flat row index."""
        found = []
        for size in reversed(sizes[1:]):
            found.append(index % size)
            index = index // size
        return ([index] if sizes else []) + found[::-1]

    def row(self, index, columns):
        """One row of kind "row" (or a stretch of the single row of kind "flat")."""
        spec, fn = self.spec, self.fn
        first = None
        if spec.partial:
            block = index % self.blocks
            index_k = self.decompose(index // self.blocks, self.sizes_k)
            first = (block * self.block, fn.minimum(block * self.block + self.block, self.sizes_r[0]))
            index_k_store = [*index_k, block]
        else:
            index_k = self.decompose(index, self.sizes_k) if index is not None else []
            index_k_store = None
        self.index_k = index_k
        self.row_pointers = []
        for base, strides in zip(self.bases, self.strides_k):
            for i, s in zip(index_k, strides):
                base = fn.gep(base, i * s)
            self.row_pointers.append(base)
        self.partial_row = index if index_k_store else None
        self.lane_offset = None
        self.run_passes(1, None, first, columns)

    def columns(self, start, chunk):
        """Kind "col": tasks share stretches of the last K dimension. Those of the same outer row, and where partial of
        the same block of the first R dimension, follow one another: they read what lies side by side."""
        fn, partial = self.fn, self.spec.partial
        stretches = (self.sizes_k[-1] + (self.width - 1)) // self.width
        outer = self.sizes_k[:-1] + ([self.blocks] if partial else [])
        total = self.product([*outer, stretches])
        with fn.loop(start, fn.minimum(start + chunk, total)) as index:
            self.group = index // stretches
            self.index_k = self.decompose(self.group, outer)
            if partial:
                block = self.index_k.pop()
                self.part = block * self.block, fn.minimum(block * self.block + self.block, self.sizes_r[0])
            column = (index % stretches) * self.width
            pointers = []
            for base, strides in zip(self.bases, self.strides_k):
                for i, s in zip(self.index_k, strides):
                    base = fn.gep(base, i * s)
                pointers.append(base)
            self.base_pointers = pointers
            rest = self.sizes_k[-1] - column
            full = rest >= self.width
            fn.if_else(full, lambda: self.column_step(column, self.width, None), lambda: self.column_tail(column, rest))

    def column_tail(self, column, rest):
        if self.masked_tail:
            self.column_step(column, self.width, self.tail_mask(rest))
            return
        with self.fn.loop(column, column + rest) as at:
            self.column_step(at, 1, None)

    def tail_mask(self, rest):
        """Which lanes the rest of a row has. Lane numbers are as wide as the widest element: the comparison then gives
        the mask in the registers that the values have."""
        base = f"i{min(64, 8 * self.spec.widest)}"
        kind = vector(base, self.width)
        if base != "i64":
            rest = self.fn.cast("trunc", rest, base)
        return self.fn.iota(kind).compare("lt", self.fn.convert(rest, kind), unsigned=True)

    def column_step(self, column, width, mask):
        fn = self.fn
        self.row_pointers = []
        for pointer, strides in zip(self.base_pointers, self.strides_k):
            self.row_pointers.append(fn.gep(pointer, column * strides[-1]))
        self.lane_offset = column
        self.partial_row = self.group * self.sizes_k[-1] + column if self.spec.partial else None
        self.run_passes(width, mask, self.part, None)

    # -- passes ----------------------------------------------------------------------

    def run_passes(self, width, mask, first, columns):
        """All passes of one row. `width`, `mask`: lanes of row-level values (kind "col")."""
        spec = self.spec
        self.row_width, self.row_mask = width, mask
        self.row_handler = self.handler(width, mask)
        self.row_values = {}
        self.row_stage(0)
        for number in range(self.passes):
            reduces = [i for i, n in enumerate(spec.nodes) if n.__class__ is Reduce and spec.stages[i] == number]
            stores = [(a, n) for a, n, s in spec.stores if s == number and spec.levels[n] == "full"]
            if reduces or stores:
                self.one_pass(number, reduces, stores, first, columns)
            self.row_stage(number + 1)

    def handler(self, width, mask):
        handler = Handler(self.fn, width)
        handler.mask = mask
        handler.report = lambda condition, code, value=None: self.report(condition, code, mask, value)
        return handler

    def row_stage(self, stage):
        """Compute and store the row-level values that are available before pass `stage`."""
        spec = self.spec
        for i, node in enumerate(spec.nodes):
            if spec.levels[i] == "row" and spec.stages[i] == stage and node.__class__ is not Reduce:
                self.row_values[i] = self.evaluate(node, self.row_handler, lambda arg: self.row_values[arg],
                                                   self.row_load)
        for access, node, at in spec.stores:
            if at == stage and spec.levels[node] == "row":
                self.store(access, self.row_pointer(access), self.row_values[node], self.row_handler)

    def row_pointer(self, access):
        """Where a row-level access is; partial sums go to (row, block) of their scratch, in kind "col" to (outer row,
        block, column)."""
        if self.partial_row is None or not self.spec.partial:
            return self.row_pointers[access]
        size = dt.by_name(self.spec.accesses[access][0]).itemsize
        return self.fn.gep(self.bases[access], self.partial_row * size)

    def row_load(self, access, handler):
        dtype = dt.by_name(self.spec.accesses[access][0])
        return self.load(dtype, self.row_pointers[access], self.row_mode(access), self.strides_k[access], handler)

    def row_mode(self, access):
        return self.spec.accesses[access][1] if self.spec.kind == "col" else 0

    def one_pass(self, number, reduces, stores, first, columns):
        """Walk the R dimensions once, feeding reductions and stores."""
        spec = self.spec
        width = self.row_width if spec.kind == "col" else self.width
        self.accumulators = {}
        for i in reduces:
            self.accumulators[i] = accumulator(self, spec.nodes[i], width)
        if spec.kind == "col":
            self.walk(0, spec.rank_r, self.row_pointers, [], first,
                      lambda pointers, index: self.step(number, reduces, stores, pointers, index, None, width,
                                                        self.row_mask))
        else:
            self.walk(0, spec.rank_r - 1, self.row_pointers, [], first,
                      lambda pointers, index: self.inner(number, reduces, stores, pointers, index, first, columns))
        for i in reduces:
            self.row_values[i] = self.accumulators[i].finish(self.row_handler)

    def walk(self, d, depth, pointers, index, first, body):
        """Nested loops over R dimensions d..depth-1."""
        if d >= depth:
            body(pointers, index)
            return
        low, high = first if d == 0 and first is not None else (self.fn.constant(0), self.sizes_r[d])

        def steps(low, high):
            with self.fn.loop(low, high) as i:
                moved = [self.fn.gep(p, i * s[d]) for p, s in zip(pointers, self.strides_r)]
                self.walk(d + 1, depth, moved, [*index, i], first, body)

        if self.spec.kind == "col" and d + 1 == depth:
            self.in_blocks(low, high, 1, steps)
        else:
            steps(low, high)

    def in_blocks(self, low, high, step, body):
        """`body(low, high)` for stretches of BLOCK steps where a sum is taken in blocks, else for all steps."""
        blocked = [a for a in self.accumulators.values() if a.blocked]
        if not blocked:
            body(low, high)
            return
        with self.fn.loop(low, high, BLOCK * step) as outer:
            body(outer, self.fn.minimum(outer + BLOCK * step, high))
            for accumulator in blocked:
                accumulator.end_block()

    def inner(self, number, reduces, stores, pointers, index, first, columns):
        """The vector loop over the innermost R dimension, then its rest."""
        fn, width = self.fn, self.width
        if columns is not None:
            low, high = columns
        elif first is not None and self.spec.rank_r == 1:
            low, high = first
        else:
            low, high = fn.constant(0), self.sizes_r[-1]
        whole = low + ((high - low) & -width)

        def steps(low, high):
            with fn.loop(low, high, width) as j:
                self.step(number, reduces, stores, pointers, index, j, width, None)

        self.in_blocks(low, whole, width, steps)
        if self.masked_tail:
            with fn.if_(whole < high):
                mask = self.tail_mask(high - whole)
                self.step(number, reduces, stores, pointers, index, whole, width, mask)
            return
        with fn.loop(whole, high) as j:
            self.step(number, reduces, stores, pointers, index, j, 1, None)

    def step(self, number, reduces, stores, pointers, index, j, width, mask):
        """One vector of full-level values: evaluate what the reductions and stores of this pass need."""
        spec = self.spec
        handler = self.handler(width, mask)
        values = {}
        self.index_r, self.lane_index = index, j

        def load(access, handler):
            dtype = dt.by_name(spec.accesses[access][0])
            return self.load(dtype, self.at(pointers[access], access, j), spec.accesses[access][1],
                             self.lane_strides(access), handler)

        def value(i):
            if i in values:
                return values[i]
            if spec.levels[i] == "row":
                return self.row_values[i]
            if i in self.reloads and spec.stages[i] < number:
                found = load(self.reloads[i], handler)
            else:
                found = self.evaluate(spec.nodes[i], handler, value, load)
            values[i] = found
            return found

        needed = [spec.nodes[i].arg for i in reduces] + [n for _, n in stores]
        for i in sorted(self.closure(needed, number)):
            value(i)
        for i in reduces:
            self.accumulators[i].add(handler, value(spec.nodes[i].arg), self.position(j, width), mask)
        for access, node in stores:
            self.store(access, self.at(pointers[access], access, j), value(node), handler)
        if number == 1 and mask is None and width > 1:
            self.ask_for_next_row(pointers, j, width)

    def ask_for_next_row(self, pointers, j, width):
        """Prefetch what the passes over the next row read and write: memory would wait while the second pass computes
        with what is near."""
        spec, fn = self.spec, self.fn
        if spec.kind != "row" or not spec.rank_k:
            return
        wanted = dict.fromkeys([n.access for n in spec.nodes if n.__class__ is Load], 0)
        wanted.update(dict.fromkeys([access for access, node, _ in spec.stores if spec.levels[node] == "full"], 1))
        for access, write in wanted.items():
            dtype, mode = spec.accesses[access]
            if mode != 1:
                continue
            place = fn.gep(self.at(pointers[access], access, j), self.strides_k[access][-1])
            fn.prefetch(place, width * dt.by_name(dtype).itemsize, write, level=2)

    def closure(self, needed, number):
        """The full-level nodes that this pass computes, so that they can be emitted in program order without
        recursion."""
        spec, found, todo = self.spec, set(), [n for n in needed if self.spec.levels[n] == "full"]
        while todo:
            i = todo.pop()
            if i in found:
                continue
            found.add(i)
            if i in self.reloads and spec.stages[i] < number:
                continue
            todo += [a for a in spec.nodes[i].arguments() if spec.levels[a] == "full"]
        return found

    def at(self, pointer, access, j):
        """The address of column j of an access (kind "row"); kind "col" has none."""
        if j is None:
            return pointer
        dtype, mode = self.spec.accesses[access]
        if mode == 0:
            return pointer
        if mode == 1:
            return self.fn.gep(pointer, j, pairs.addressed_type(dt.by_name(dtype)))
        return self.fn.gep(pointer, j * self.strides_r[access][-1])

    def lane_strides(self, access):
        return self.strides_k[access] if self.spec.kind == "col" else self.strides_r[access]

    def position(self, j, width):
        """The flat position inside R of this step, for arg-reductions."""
        index = [*self.index_r] if j is None else [*self.index_r, j]
        flat = self.fn.constant(0)
        for i, size in zip(index, self.sizes_r):
            flat = flat * size + i
        return flat

    # -- values ----------------------------------------------------------------------

    def evaluate(self, node, handler, value, load):
        kind = node.__class__
        if kind is Load:
            return load(node.access, handler)
        if kind is Number:
            return self.number(node, handler)
        if kind is Pick:
            results = value(node.reduction)
            return results[node.output] if isinstance(results, tuple) else results
        self.current = node  # what reports errors
        if kind is Gather:
            return self.gather(node, handler, value)
        op = self.operators[node.op]
        operands = [value(a) for a in node.args]
        if node.joined is not None:
            keep = op.unjoined
            wanted = dt.by_name(node.joined)
            operands = [handler.cast(v.under(handler), wanted) if i >= keep and v.dtype is not wanted.compute
                        else v.under(handler)
                        for i, v in enumerate(operands)]
        else:
            operands = [v.under(handler) for v in operands]
        out = op.body(handler, *operands, **dict(node.attrs))
        return handler.rounded(handler.cast(out, dt.by_name(node.dtype)))

    def number(self, node, handler):
        """A number argument of the program, as double or int64."""
        at, letter, dtype = node
        kind = "double" if letter == "d" else "i64"
        source = dt.float64 if letter == "d" else dt.int64
        loaded = Typed(handler, source, self.fn.load(self.scalars[at], kind))
        return handler.cast(loaded, dt.by_name(dtype))

    def load(self, dtype, pointer, mode, strides, handler):
        if dtype.category == dt.COMPLEX:
            return pairs.load(self, dtype, pointer, mode, strides, handler)
        fn, kind, width = self.fn, stored_type(dtype), handler.width
        align = BITS[kind] // 8
        if mode == 0 or width == 1:
            return handler.from_memory(dtype, fn.load(pointer, kind))
        wide = vector(kind, width)
        if mode == 1:
            if handler.mask is None:
                return handler.from_memory(dtype, fn.load(pointer, wide, align))
            return handler.from_memory(dtype, self.masked_load(pointer, wide, align, handler.mask))
        collected = fn.poison(wide)
        for lane in range(width):
            item = fn.load(fn.gep(pointer, strides[-1] * lane), kind)
            collected = fn.insert(collected, item, lane)
        return handler.from_memory(dtype, collected)

    def masked_load(self, pointer, kind, align, mask):
        fn = self.fn
        name = f"llvm.masked.load.{suffix(kind)}.p0"
        fn.module.declare(f"declare {kind} @{name}(ptr, i32, {mask.type}, {kind})")
        return fn.emit(kind, f"call {kind} @{name}(ptr {pointer.name}, i32 {align}, {mask.type} {mask.name}, {kind} "
                             f"zeroinitializer)")

    def masked_store(self, stored, pointer, align, mask):
        fn, kind = self.fn, stored.type
        name = f"llvm.masked.store.{suffix(kind)}.p0"
        fn.module.declare(f"declare void @{name}({kind}, ptr, i32, {mask.type})")
        fn.line(f"call void @{name}({kind} {stored.name}, ptr {pointer.name}, i32 {align}, {mask.type} {mask.name})")

    def store(self, access, pointer, value, handler):
        fn = self.fn
        dtype = dt.by_name(self.spec.accesses[access][0])
        mode = self.store_mode(access)
        value = handler.cast(value.under(handler), dtype.plain)
        if dtype.category == dt.COMPLEX:
            pairs.store(self, dtype, pointer, value, mode, self.lane_strides(access), handler)
            return
        stored = handler.to_memory(value if dtype.plain is dtype else -value)
        align = dtype.itemsize
        if handler.width == 1:
            fn.store(stored, pointer, align)
            return
        stored = fn.splat(stored, handler.width)
        if mode == 1 or mode == 0:
            if handler.mask is None:
                fn.store(stored, pointer, align)
            else:
                self.masked_store(stored, pointer, align, handler.mask)
            return
        stride = self.lane_strides(access)[-1]
        for lane in range(handler.width):
            fn.store(fn.extract(stored, lane), fn.gep(pointer, stride * lane), align)

    def store_mode(self, access):
        """How a store walks the lanes."""
        return self.spec.accesses[access][1]

    # -- computed positions ------------------------------------------------------------

    def gather(self, node, handler, value):
        """A gathering body: its arguments are random operands and values, `k.index(d)` the position in the domain."""
        operands = [random_operand(self, handler, *self.randoms[a]) if where == "random" else value(a).under(handler)
                    for where, a in node.args]
        handler.index = lambda d: self.domain_index(d, handler)
        out = self.operators[node.op].body(handler, *operands, **dict(node.attrs))
        return handler.rounded(handler.cast(out, dt.by_name(node.dtype)))

    def domain_index(self, d, handler):
        where, i = self.spec.dims[d]
        if where == "k":
            return Typed(handler, dt.int64, self.index_k[i])
        if i < len(self.index_r):
            return Typed(handler, dt.int64, self.index_r[i])
        if handler.width == 1:
            return Typed(handler, dt.int64, self.lane_index)
        return Typed(handler, dt.int64, None, (self.lane_index, 1))

    def report(self, condition, code, mask, value=None):
        """Set the error word where a lane of `condition` holds: 8 bits of the code, 8 of the node that reports, then an
        offending value."""
        fn = self.fn
        width = lanes(condition.type)
        if value is not None and width > 1:
            value = fn.splat(value, width)
        chosen = condition
        if width > 1:
            if mask is not None:
                condition = condition & mask
            whole = f"i{width}"
            chosen = fn.cast("bitcast", condition, whole).ne(0)
        with fn.if_(chosen):
            tag = min(self.spec.nodes.index(self.current), 255)
            word = fn.constant(self.operators[self.current.op].code(code) | tag << 8)
            if value is not None:
                if width > 1:
                    lowest_value = fn.convert(-(1 << 63), value.type)
                    value = fn.intrinsic(
                        f"llvm.vector.reduce.smax.{suffix(value.type)}",
                        "i64",
                        fn.select(condition, value, lowest_value),
                    )
                word = word | (value << 16)
            fn.line(f"store i64 {word.name}, ptr {fn.args[0].name}")


EMITTERS = {"row": LoopEmitter, "flat": LoopEmitter, "col": LoopEmitter, "ordered": LoopEmitter}  # tiled.py: "tile"



def random_operand(emitter, handler, dtype, *rest):
    """A RandomOperand, of pairs for complex dtypes."""
    if dtype.category == dt.COMPLEX:
        return pairs.RandomPairs(RandomOperand, emitter, handler, dtype, *rest)
    return RandomOperand(emitter, handler, dtype, *rest)


class RandomOperand:
    """A tensor operand that a gathering body reads at positions of its own choice."""

    def __init__(self, emitter, handler, dtype, pointer, sizes, strides, unit):
        self.emitter, self.k, self.dtype, self.stored = emitter, handler, dtype.plain, dtype
        self.pointer, self.strides, self.unit = pointer, strides, unit
        self.shape = [Typed(handler, dt.int64, s) for s in sizes]

    def load(self, index, mask=None, other=0):
        """The element at `index` (a list of int64 values, all in range), or `other` where `mask` is false."""
        k, fn, width = self.k, self.emitter.fn, self.k.width
        kind = stored_type(self.dtype)
        base, step, varying = fn.constant(0), 0, None
        for d, (i, stride) in enumerate(zip(index, self.strides)):
            i = i if isinstance(i, Typed) else k.const(i, dt.int64)
            last_unit = self.unit and d == len(self.strides) - 1
            if i.affine is not None and (last_unit or i.affine[1] == 0):
                base = base + i.affine[0] * stride
                step += i.affine[1]
            elif i.uniform:
                base = base + i.value * stride
            else:
                part = i.vector_value() * fn.convert(stride, i.vector_value().type)
                varying = part if varying is None else varying + part
        mask_value = None if mask is None else mask.vector_value()
        if varying is None and step in (0, 1):
            return self._regular(kind, base, step, mask_value, other)
        return self._scattered(kind, base, step, varying, mask_value, other, width)

    def _regular(self, kind, base, step, mask, other):
        """One scalar, or neighbours in memory."""
        k, fn, width = self.k, self.emitter.fn, self.k.width
        if step == 0 or width == 1:
            if mask is None:
                return k.from_memory(self.stored, fn.load(fn.gep(self.pointer, base), kind))
            return self._scattered(kind, base, 0, None, mask, other, width if mask.type[0] == "<" else 1)
        pointer = fn.gep(self.pointer, base)
        wide = vector(kind, width)
        if mask is None and k.mask is None:
            return k.from_memory(self.stored, fn.load(pointer, wide, BITS[kind] // 8))
        both = fn.splat(mask, width) if mask is not None else k.mask
        loaded = k.from_memory(self.stored, self.emitter.masked_load(pointer, wide, BITS[kind] // 8, both))
        return loaded if mask is None else k.where(Typed(k, dt.bool_, both), loaded, k.const(other, self.dtype))

    def _scattered(self, kind, base, step, varying, mask, other, width):
        """Lane by lane; lanes that are masked out read the operand's first element."""
        k, fn = self.k, self.emitter.fn
        if width == 1:
            offset = base if varying is None else base + varying
            if mask is not None:
                offset = fn.select(mask, offset, fn.constant(0))
            loaded = k.from_memory(self.stored, fn.load(fn.gep(self.pointer, offset), kind))
        else:
            wide = vector("i64", width)
            offsets = fn.convert(base, wide) if varying is None else fn.convert(base, wide) + varying
            if step:
                ramp = fn.iota(wide) * (step * (BITS[kind] // 8))
                offsets = offsets + ramp
            if mask is not None:
                offsets = fn.select(fn.splat(mask, width), offsets, fn.convert(0, wide))
            collected = fn.poison(vector(kind, width))
            for lane in range(width):
                item = fn.load(fn.gep(self.pointer, fn.extract(offsets, lane)), kind)
                collected = fn.insert(collected, item, lane)
            loaded = k.from_memory(self.stored, collected)
        if mask is None:
            return loaded
        return k.where(Typed(k, dt.bool_, mask), loaded, k.const(other, self.dtype))

    def checked(self, index, dim, code="index"):
        """An index of dimension `dim` (negative ones count from the end), checked: reports and reads 0 where out of
        range."""
        k, size = self.k, self.shape[dim]
        wrapped = k.where(index < 0, index + size, index)
        bad = k.logical_or(wrapped < 0, wrapped >= size)
        k.report(bad.vector_value(), code)
        return k.where(bad, k.const(0, dt.int64), wrapped)


