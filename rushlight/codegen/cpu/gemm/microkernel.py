"""The micro-kernel of every contraction: one register tile C[m, n] (+)= A[m, k] B[k, n] with its start and its store.

In: pointers and strides (elements), edges m <= rows and n <= columns. `Micro` says which code is emitted: A is
"packed" ([k][rows]), "rows" (contiguous down a column) or "along" (contiguous along k) or "strided"; B is "packed"
([k][columns]) or "rows" (contiguous columns, any row stride). Where an operand is not packed, nothing beyond its edge
is read: rows are clamped, columns masked. An "indexed" operand has its rows at the offsets a table lists: B
(contiguous columns that may be read up to a whole tile) in direct convolutions, A (contiguous down a column) in
weight gradients. Read gemm.py next for the loops around it.
"""

import dataclasses

from ...ir import builder
from ...ir.statics import repeat
from ...ir.vectors import DTYPES, load, mask_below, memory_kind, multiply_add, quad, store, store_columns
from .tiles import Tile, narrower

UNROLL = 4


@dataclasses.dataclass(frozen=True)
class Micro:
    """Structure of a micro-kernel. `a`, `b`, `out`, `bias`: dtype names (`bias` None: absent). `store`: "rows"
    (columns of C contiguous), "columns" (rows contiguous) or "any". `bias_mode`: "row" (contiguous over columns),
    "splat" (constant over columns), "any". `alpha`, `beta`: the factors are given. `prefetch`: ask while this tile is
    computed for the "panels" that come next, or for "lines" that are needed next, one every `UNROLL` steps."""

    tile: Tile
    kind: str
    a: str
    b: str
    out: str
    a_mode: str = "packed"
    b_mode: str = "packed"
    store: str = "rows"
    bias: str = None
    bias_mode: str = "row"
    alpha: bool = False
    beta: bool = False
    prefetch: str = None


def parameters(micro):
    """(type, name) of the arguments of the emitted function; `first`: this is the first block of K."""
    found = [
        ("i64", "k"),
        ("ptr", "a"),
        ("i64", "rsa"),
        ("i64", "csa"),
        ("i64", "m"),
        ("i64", "n"),
        ("ptr", "b"),
        ("i64", "ldb"),
        ("ptr", "c"),
        ("i64", "rsc"),
        ("i64", "csc"),
        ("i64", "first"),
    ]
    if "indexed" in (micro.a_mode, micro.b_mode):
        found.append(("ptr", "table"))
    if micro.prefetch:
        found += [("ptr", label) for label in (("next_a", "next_b") if micro.prefetch == "panels" else ("lines",))]
    if micro.bias:
        found += [("ptr", "d"), ("i64", "rsd"), ("i64", "csd")]
    found += [(micro.kind, label) for label in ("alpha", "beta") if getattr(micro, label)]
    return found


class _Tile:
    """State of one emission: the function, its arguments by name and the accumulators."""

    def __init__(self, module, name, micro, masked):
        self.micro, self.tile, self.masked = micro, micro.tile, masked
        self.names = parameters(micro)
        self.fn = module.function(name, self.names, linkage="internal", attributes="nounwind noinline")
        for (_, label), value in zip(self.names, self.fn.args):
            setattr(self, label, value)
        self.vector = builder.vector(micro.kind, self.tile.lanes)
        self.sums = [
            [self.fn.variable(self.vector, 0) for _ in range(self.tile.vectors)] for _ in range(self.tile.rows)
        ]
        self.masks = [None] * self.tile.vectors
        if masked and micro.b_mode == "rows":
            self.masks = [
                mask_below(self.fn, self.n, self.tile.lanes, j * self.tile.lanes) for j in range(self.tile.vectors)
            ]


def emit_micro(module, name, micro, masked=False):
    """Add the function to the module. `masked`: the variant for edges (n < columns, m < rows) of operands that are
    not packed.
    """
    state = _Tile(module, name, micro, masked)
    _accumulate(state)
    fn = state.fn
    if micro.store == "any" or (micro.bias and micro.bias_mode == "any"):
        _store_any(state)
    elif micro.store == "columns":
        _store_columns(state)
    elif builder.BITS[micro.kind] * micro.tile.lanes == 512:  # masks of AVX-512 cost nothing
        state.masks = [
            mask_below(fn, state.n, micro.tile.lanes, j * micro.tile.lanes) for j in range(micro.tile.vectors)
        ]
        _finish_rows(state)
    else:
        state.masks = [None] * micro.tile.vectors
        fn.if_else(state.n.eq(state.tile.columns), lambda: _finish_rows(state), lambda: _store_any(state))
    fn.ret()


def _accumulate(state):
    fn, tile, micro = state.fn, state.tile, state.micro
    if micro.store == "rows":
        _fetch_result(state)
    a_kind = memory_kind(micro.a)
    together = micro.a_mode in ("packed", "indexed") or micro.a_mode == "rows" and not state.masked
    if not together:
        starts = [
            fn.gep(state.a, fn.minimum(fn.constant(i), state.m - 1) * state.rsa, a_kind) for i in range(tile.rows)
        ]
    csa = {"packed": fn.constant(tile.rows), "along": fn.constant(1)}.get(micro.a_mode, state.csa)
    ldb = fn.constant(tile.columns) if micro.b_mode == "packed" else state.ldb

    def step(k, vectors):
        b_at = fn.load_at(state.table, k, "i64") if micro.b_mode == "indexed" else k * ldb
        a_at = fn.load_at(state.table, k, "i64") if micro.a_mode == "indexed" else k * csa
        line = fn.gep(state.b, b_at, memory_kind(micro.b))
        row = [load(fn, line, j * tile.lanes, micro.b, tile.lanes, state.masks[j]) for j in range(vectors)]
        at = fn.gep(state.a, a_at, a_kind) if together else a_at
        for i in range(tile.rows):
            item = load(fn, at, i, micro.a) if together else load(fn, starts[i], at, micro.a)
            spread = fn.splat(item, tile.lanes)
            for j in range(vectors):
                state.sums[i][j].set(multiply_add(fn, spread, row[j], state.sums[i][j].get()))

    def lines(k):
        if micro.prefetch == "lines":
            fn.prefetch(fn.gep(state.lines, k * (builder.LINE // UNROLL)))

    def single(start, vectors):
        with repeat(fn, start, state.k) as k:
            lines(k)
            step(k, vectors)

    def whole():
        end = state.k & -UNROLL
        with repeat(fn, 0, end, UNROLL) as k:
            if micro.prefetch == "panels":
                _prefetch(state, k)
            lines(k)
            for u in range(UNROLL):
                step(k + u, tile.vectors)
        single(end, tile.vectors)

    def over_k(vectors):
        """Only what most tiles take is unrolled: edges are few, and every loop costs time to compile."""
        if vectors == tile.vectors and not state.masked:
            whole()
        else:
            single(fn.constant(0), vectors)

    def by_width(vectors):
        """The last panel may be narrow: halves of it, as long as they hold its columns."""
        half = narrower(vectors)
        if micro.b_mode != "packed" or half == vectors:
            over_k(vectors)
        else:
            fn.if_else(state.n > half * tile.lanes, lambda: over_k(vectors), lambda: by_width(half))

    by_width(tile.vectors)


def _fetch_result(state):
    """Ask for the lines of C and of the bias while the sums are made, so that the stores find them."""
    fn, tile, micro = state.fn, state.tile, state.micro
    wanted = [(1, state.c, state.rsc, micro.out)]
    if micro.bias and micro.bias_mode == "row":
        wanted.append((0, state.d, state.rsd, micro.bias))
    for write, pointer, stride, dtype in wanted:
        for row in _row_pointers(state, pointer, stride, dtype):
            fn.prefetch(row, tile.columns * builder.BITS[memory_kind(dtype)] // 8, write)


def _prefetch(state, k):
    """For `UNROLL` steps: their share of the next panel of A, and one row of the next panel of B (a quarter of it a
    tile).
    """
    fn, tile, micro = state.fn, state.tile, state.micro
    a_size, b_size = (builder.BITS[memory_kind(dtype)] // 8 for dtype in (micro.a, micro.b))
    places = []
    if micro.a_mode == "along":
        turn = (k >> 2) & 3  # a line serves 16 steps of one row (more for smaller elements): take rows in turn
        places += [
            fn.gep(state.next_a, (turn + row) * state.rsa * a_size + k * a_size) for row in range(0, tile.rows, 4)
        ]
    elif micro.a_mode == "packed":
        length = UNROLL * tile.rows * a_size
        places += [fn.gep(state.next_a, k * (tile.rows * a_size) + line) for line in range(0, length, builder.LINE)]
    else:
        places += [fn.gep(state.next_a, (k + u) * state.csa * a_size) for u in range(UNROLL)]
    stride = fn.constant(tile.columns) if micro.b_mode == "packed" else state.ldb
    row = fn.gep(state.next_b, (k >> 2) * stride * b_size)
    places += [fn.gep(row, line) for line in range(0, tile.columns * b_size, builder.LINE)]
    for place in places:
        fn.prefetch(place, level=2)


def _row_pointers(state, pointer, stride, dtype):
    """Pointers to the rows of C or of the bias; rows beyond m repeat the last."""
    fn = state.fn
    return [
        fn.gep(pointer, fn.minimum(fn.constant(i), state.m - 1) * stride, memory_kind(dtype))
        for i in range(state.tile.rows)
    ]


def _scale(state):
    if state.micro.alpha:
        for row in state.sums:
            for item in row:
                item.set(item.get() * state.fn.splat(state.alpha, state.tile.lanes))


def _weighted(state, value):
    """beta * value; a beta of zero hides even NaN."""
    fn = state.fn
    if not state.micro.beta:
        return value
    beta = fn.convert(state.beta, value.type)
    return fn.select(state.beta.eq(0), fn.constant(0, value.type), value * beta)


def _finish_rows(state):
    """Start values and store when the columns of C are contiguous."""
    fn, tile, micro = state.fn, state.tile, state.micro
    _scale(state)
    rows = _row_pointers(state, state.c, state.rsc, micro.out)

    def resume():
        for i in range(tile.rows):
            for j in range(tile.vectors):
                old = load(fn, rows[i], j * tile.lanes, micro.out, tile.lanes, state.masks[j])
                state.sums[i][j].set(state.sums[i][j].get() + old)

    fn.if_else(state.first.eq(0), resume, lambda: _add_bias(state))
    for i in range(tile.rows):
        with fn.if_(fn.constant(i) < state.m):
            for j in range(tile.vectors):
                store(fn, state.sums[i][j].get(), rows[i], j * tile.lanes, micro.out, state.masks[j])


def _add_bias(state):
    fn, tile, micro = state.fn, state.tile, state.micro
    if not micro.bias:
        return
    rows = _row_pointers(state, state.d, state.rsd, micro.bias)
    for i in range(tile.rows):
        spread = fn.splat(load(fn, rows[i], 0, micro.bias), tile.lanes) if micro.bias_mode == "splat" else None
        for j in range(tile.vectors):
            item = (
                load(fn, rows[i], j * tile.lanes, micro.bias, tile.lanes, state.masks[j])
                if spread is None
                else spread
            )
            state.sums[i][j].set(state.sums[i][j].get() + _weighted(state, item))


def _store_any(state):
    """Element by element through a copy of the tile on the stack: any strides, any edge."""
    fn, tile, micro = state.fn, state.tile, state.micro
    _scale(state)
    block = fn.alloca(f"[{tile.rows * tile.columns} x {micro.kind}]", 64)
    for i in range(tile.rows):
        for j in range(tile.vectors):
            fn.store_vector(state.sums[i][j].get(), block, i * tile.columns + j * tile.lanes)
    with fn.loop(0, state.m) as i:
        with fn.loop(0, state.n) as j:
            value = fn.variable(micro.kind, fn.load_at(block, i * tile.columns + j, micro.kind))
            place = i * state.rsc + j * state.csc

            def resume():
                value.set(value.get() + load(fn, state.c, place, micro.out))

            def begin():
                if micro.bias:
                    item = load(fn, state.d, i * state.rsd + j * state.csd, micro.bias)
                    value.set(value.get() + _weighted(state, item))

            fn.if_else(state.first.eq(0), resume, begin)
            store(fn, value.get(), state.c, place, micro.out)


def _store_columns(state):
    """Rows of C contiguous: columns collected on the stack, then one (masked) vector a column."""
    fn, tile, micro = state.fn, state.tile, state.micro
    _scale(state)
    lanes, groups = tile.lanes, range(0, tile.rows, tile.lanes)
    block = turn_tile(fn, [[item.get() for item in row] for row in state.sums], len(groups) * lanes)
    masks = [mask_below(fn, state.m, lanes, start) for start in groups]
    with fn.loop(0, state.n) as column:
        place = fn.gep(state.c, column * state.csc, memory_kind(micro.out))
        for g, start in enumerate(groups):
            value = fn.variable(
                state.vector, fn.load_vector(block, (column * len(groups) + g) * lanes, micro.kind, lanes)
            )

            def resume():
                value.set(value.get() + load(fn, place, start, micro.out, lanes, masks[g]))

            def begin():
                if micro.bias_mode == "splat" and micro.bias:
                    item = fn.splat(load(fn, state.d, column * state.csd, micro.bias), lanes)
                    value.set(value.get() + _weighted(state, item))
                elif micro.bias:
                    item = load(fn, state.d, column * state.csd + start, micro.bias, lanes, masks[g])
                    value.set(value.get() + _weighted(state, item))

            fn.if_else(state.first.eq(0), resume, begin)
            store(fn, value.get(), place, start, micro.out, masks[g])


def turn_tile(fn, sums, width):
    """The transposed of a tile on the stack: element (row i, column j) at j * width + i."""
    lanes, kind = builder.lanes(sums[0][0].type), builder.element(sums[0][0].type)
    block = fn.alloca(f"[{width * lanes * len(sums[0])} x {kind}]", 64)
    for j in range(len(sums[0])):
        for i in range(0, len(sums), quad(kind)):
            strip = [row[j] for row in sums[i : i + quad(kind)]]
            store_columns(fn, strip, len(strip), fn.gep(block, j * lanes * width + i, kind), width, DTYPES[kind])
    return block
