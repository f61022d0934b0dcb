"""Plans of matrix products: out = beta * bias + alpha * (a @ b), any strides, any edge, batched.

In: a `GemmSpec`. Out: a list of `Launch`es: packing kernels (pack.py) where an operand does not lie as the micro-kernel
(microkernel.py) needs it, then one launch whose tasks are blocks of C. Products with few rows go to matvec.py.

Note [Blocks] A task owns a block of C (`mc` x `nc`) for the whole of K, in steps of `kc` that are summed into C, so
its result does not depend on how tasks are spread over threads. Where C is too small to give work to several threads
and K is long, K is cut into fixed parts ("splits") whose private sums a last launch adds in order.
"""

import dataclasses

from ....core.layout import coalesce
from ...ir import target
from ...ir.kernel import Argument, KernelSource, Launch, Memory, Scratch
from ...ir.statics import StaticLayout, ceil_div, kernel, split
from ...ir.vectors import BYTES, compute_dtype, compute_kind, memory_kind
from . import amx, matvec
from .choice import blocks_of, choose, store_mode
from .microkernel import Micro, emit_micro
from .pack import plan_pack
from .reduce import plan_reduce


@dataclasses.dataclass(frozen=True)
class Operand:
    """A matrix (or batch of them): `row`, `column` strides and one stride per batch dimension, in elements."""

    memory: Memory
    dtype: str
    row: int
    column: int
    batch: tuple = ()

    def transposed(self):
        return dataclasses.replace(self, row=self.column, column=self.row)


@dataclasses.dataclass(frozen=True)
class GemmSpec:
    """a (m, k), b (k, n), out (m, n), bias (m, n; stride 0 broadcasts). `alpha`, `beta`: Arguments (doubles) or None
    for 1. `batch`: the batch shape; every operand has as many batch strides."""

    m: int
    n: int
    k: int
    a: Operand
    b: Operand
    out: Operand
    bias: Operand = None
    alpha: Argument = None
    beta: Argument = None
    batch: tuple = ()

    def swapped(self):
        """The same product written as out.T = b.T @ a.T."""
        bias = self.bias and self.bias.transposed()
        return dataclasses.replace(
            self,
            m=self.n,
            n=self.m,
            a=self.b.transposed(),
            b=self.a.transposed(),
            out=self.out.transposed(),
            bias=bias,
        )

    def operands(self):
        return [o for o in (self.a, self.b, self.out, self.bias) if o is not None]


def layout(micro):
    names = [
        "@a",
        "@b",
        "@c",
        "m",
        "n",
        "k",
        "rsa",
        "csa",
        "ldb",
        "rsc",
        "csc",
        "mc",
        "nc",
        "kc",
        "blocks_m",
        "blocks_n",
        "inner",
        "a0",
        "a1",
        "b0",
        "b1",
        "c0",
        "c1",
        "splits",
        "part",
        "csplit",
        "rows_first",
    ]
    if micro.bias:
        names += ["@d", "rsd", "csd", "d0", "d1"]
    names += ["$" + label for label in ("alpha", "beta") if getattr(micro, label)]
    return StaticLayout(*names)


def compute_source(micro):
    """KernelSource of the launch that multiplies, for one structure of micro-kernel."""

    def emit(module, name):
        emit_micro(module, name + "_tile", micro)
        if "rows" in (micro.a_mode, micro.b_mode):
            emit_micro(module, name + "_edge", micro, masked=True)
        _emit_block(module, name, micro)

    return KernelSource(("gemm", micro), emit)


class _Block:
    """Values of one task: the block's ranges and base pointers."""

    def __init__(self, fn, s, micro):
        self.fn, self.s, self.micro = fn, s, micro
        task, part = fn.args[2], None
        task, part = split(fn, task, s.splits)
        task, nb = split(fn, task, s.blocks_n)
        batch, mb = split(fn, task, s.blocks_m)
        outer, inner = split(fn, batch, s.inner)
        self.i0, self.j0, self.k0 = mb * s.mc, nb * s.nc, part * s.part
        self.i1 = fn.minimum(self.i0 + s.mc, s.m)
        self.j1 = fn.minimum(self.j0 + s.nc, s.n)
        self.k1 = fn.minimum(self.k0 + s.part, s.k)
        self.a = fn.gep(s.a, outer * s.a0 + inner * s.a1, memory_kind(micro.a))
        self.b = fn.gep(s.b, outer * s.b0 + inner * s.b1, memory_kind(micro.b))
        self.c = fn.gep(s.c, outer * s.c0 + inner * s.c1 + part * s.csplit, memory_kind(micro.out))
        if micro.bias:
            self.d = fn.gep(s.d, outer * s.d0 + inner * s.d1, memory_kind(micro.bias))
        op = "fptosi" if micro.kind[0] == "i" else "fptrunc" if micro.kind == "float" else None
        factors = [getattr(s, label) for label in ("alpha", "beta") if getattr(micro, label)]
        self.factors = [fn.cast(op, factor, micro.kind) if op else factor for factor in factors]

    def tile(self, name, i, j, pc, kc):
        fn, s, micro, tile = self.fn, self.s, self.micro, self.micro.tile
        a_kind, b_kind, c_kind = memory_kind(micro.a), memory_kind(micro.b), memory_kind(micro.out)
        a_at = i * s.k + pc * tile.rows if micro.a_mode == "packed" else i * s.rsa + pc * s.csa
        b_at = j * s.k + pc * tile.columns if micro.b_mode == "packed" else pc * s.ldb + j
        n, m = fn.minimum(self.j1 - j, tile.columns), fn.minimum(self.i1 - i, tile.rows)
        first = fn.cast("zext", pc.eq(self.k0), "i64")
        args = [
            kc,
            fn.gep(self.a, a_at, a_kind),
            s.rsa,
            s.csa,
            m,
            n,
            fn.gep(self.b, b_at, b_kind),
            s.ldb,
            fn.gep(self.c, i * s.rsc + j * s.csc, c_kind),
            s.rsc,
            s.csc,
            first,
        ]
        if micro.prefetch:
            args += self.upcoming(i, a_at, b_at, kc)
        if micro.bias:
            args += [fn.gep(self.d, i * s.rsd + j * s.csd, memory_kind(micro.bias)), s.rsd, s.csd]
        args += self.factors
        whole = [n.eq(tile.columns)] if micro.b_mode == "rows" else []
        whole += [m.eq(tile.rows)] if micro.a_mode == "rows" else []
        if not whole:
            fn.call("void", name + "_tile", *args)
            return
        fn.if_else(
            whole[0] if len(whole) == 1 else whole[0] & whole[1],
            lambda: fn.call("void", name + "_tile", *args),
            lambda: fn.call("void", name + "_edge", *args),
        )

    def upcoming(self, i, a_at, b_at, kc):
        """Where the next panel of A begins, and the quarter of the next panel of B that this tile asks for."""
        fn, s, micro, tile = self.fn, self.s, self.micro, self.micro.tile
        a_step = s.k * tile.rows if micro.a_mode == "packed" else s.rsa * tile.rows
        b_step, ldb = (s.k * tile.columns, tile.columns) if micro.b_mode == "packed" else (tile.columns, s.ldb)
        turn = fn.minimum(fn.emit("i64", f"udiv i64 {(i - self.i0).name}, {tile.rows}"), 3)
        quarter = turn * (kc >> 2) * ldb
        return [
            fn.gep(self.a, a_at + a_step, memory_kind(micro.a)),
            fn.gep(self.b, b_at + b_step + quarter, memory_kind(micro.b)),
        ]


def _emit_block(module, name, micro):
    fn = kernel(module, name)
    s = layout(micro).open(fn)
    block, tile = _Block(fn, s, micro), micro.tile

    def rows_first(pc, kc):
        with fn.loop(block.i0, block.i1, tile.rows) as i:
            with fn.loop(block.j0, block.j1, tile.columns) as j:
                block.tile(name, i, j, pc, kc)

    def columns_first(pc, kc):
        with fn.loop(block.j0, block.j1, tile.columns) as j:
            with fn.loop(block.i0, block.i1, tile.rows) as i:
                block.tile(name, i, j, pc, kc)

    pc = fn.variable("i64", block.k0)
    more = fn.variable("i1", 1)
    with fn.while_(more.get):  # at least once: k = 0 stores the start values
        start = pc.get()
        kc = fn.minimum(block.k1 - start, s.kc)
        fn.if_else(s.rows_first.ne(0), lambda: rows_first(start, kc), lambda: columns_first(start, kc))
        pc.set(start + s.kc)
        more.set(pc.get() < block.k1)
    fn.ret()


# -- planning --------------------------------------------------------------------------------------------------------


def collapse_batch(shape, strides):
    """Merge batch dimensions that every operand walks evenly; dimensions of size 1 go. (shape, strides per operand)"""
    merged = coalesce([(size, steps) for size, *steps in zip(shape, *strides)])
    return [size for size, _ in merged], [[steps[i] for _, steps in merged] for i in range(len(strides))]


def plan_gemm(spec):
    """The launches of a matrix product; [] when the result has no elements."""
    if spec.m == 0 or spec.n == 0 or 0 in spec.batch:
        return []
    spec = _with_batch(spec)
    if len(spec.batch) > 2:
        return _outer_batches(spec)
    if spec.m > spec.n and spec.n <= matvec.MOST:
        spec = spec.swapped()
    if matvec.fits(spec):
        return matvec.plan_matvec(spec)
    if amx.fits(spec):
        return amx.plan_amx(spec)
    return _plan_blocks(spec)


def _with_batch(spec):
    operands = spec.operands()
    shape, strides = collapse_batch(spec.batch, [o.batch for o in operands])
    if len(shape) < 2:
        shape, strides = [1] * (2 - len(shape)) + shape, [[0] * (2 - len(s)) + s for s in strides]
    named = dict(zip([n for n in ("a", "b", "out", "bias") if getattr(spec, n) is not None], zip(operands, strides)))
    changed = {n: dataclasses.replace(o, batch=tuple(s)) for n, (o, s) in named.items()}
    return dataclasses.replace(spec, batch=tuple(shape), **changed)


def _outer_batches(spec):
    """More than two uneven batch dimensions: one plan per index of the first."""
    launches = []
    for index in range(spec.batch[0]):
        changed = {}
        for name in ("a", "b", "out", "bias"):
            o = getattr(spec, name)
            if o is not None:
                offset = o.memory.offset + index * o.batch[0] * BYTES[o.dtype]
                changed[name] = dataclasses.replace(o, memory=Memory(o.memory.slot, offset), batch=o.batch[1:])
        launches += plan_gemm(dataclasses.replace(spec, batch=spec.batch[1:], **changed))
    return launches


def _bias_mode(bias, store):
    if bias is None:
        return "row"
    along = bias.column if store == "rows" else bias.row
    return {0: "splat", 1: "row"}.get(along, "any") if store != "any" else "any"


def _plan_blocks(spec):
    choice = choose(target.current, spec)
    if choice.swap:
        spec = spec.swapped()
    m, n, k, launches = spec.m, spec.n, spec.k, []
    kind, tile = compute_kind(spec.a.dtype), choice.tile
    a = _packed(spec, spec.a, tile.rows, m, launches) if choice.a_mode == "packed" else spec.a
    b = _packed(spec, spec.b.transposed(), tile.columns, n, launches) if choice.b_mode == "packed" else spec.b
    blocks = blocks_of(target.current, spec, choice)
    out, partial = spec.out, None
    if blocks.splits > 1 or blocks.kc < k and out.dtype != compute_dtype(out.dtype):
        dtype = compute_dtype(out.dtype)
        plane = m * n * spec.batch[0] * spec.batch[1]
        memory = Memory(Scratch(blocks.splits * plane * BYTES[dtype] + target.current.vector_bytes))
        partial = out = Operand(memory, dtype, n, 1, (m * n * spec.batch[1], m * n))
    full = spec if partial is None else dataclasses.replace(spec, out=out, bias=None, alpha=None, beta=None)
    store, bias = store_mode(out), full.bias
    far = (m + n) * k * BYTES[compute_dtype(a.dtype)] > target.current.l2 // 4
    micro = Micro(
        tile,
        kind,
        a.dtype,
        b.dtype,
        out.dtype,
        choice.a_mode,
        choice.b_mode,
        store,
        bias.dtype if bias else None,
        _bias_mode(bias, store),
        full.alpha is not None,
        bias is not None and full.beta is not None,
        "panels" if far else None,
    )
    launches.append(_compute(full, micro, a, b, blocks))
    if partial is not None:
        launches.append(plan_reduce(spec, partial, blocks.splits, tile.lanes))
    return launches


def _packed(spec, operand, rows, extent, launches):
    """The operand as panels of `rows` (given with the panel dimension as its rows); adds the launch that packs it."""
    dtype = compute_dtype(operand.dtype)
    own = tuple(count if step else 1 for count, step in zip(spec.batch, operand.batch))
    size = ceil_div(extent, rows) * rows * spec.k
    memory = Memory(Scratch(max(64, own[0] * own[1] * size * BYTES[dtype])))
    if spec.k:
        lanes = target.current.lanes(compute_kind(dtype))
        launches.append(
            plan_pack(operand, rows, lanes, extent, spec.k, operand.row, operand.column, own, operand.batch, memory)
        )
    return Operand(memory, dtype, 0, 0, (size * own[1] if own[0] > 1 else 0, size if own[1] > 1 else 0))


def _compute(spec, micro, a, b, blocks):
    blocks_m, blocks_n = ceil_div(spec.m, blocks.mc), ceil_div(spec.n, blocks.nc)
    batches = spec.batch[0] * spec.batch[1]
    out = spec.out
    values = dict(
        a=a.memory,
        b=b.memory,
        c=out.memory,
        m=spec.m,
        n=spec.n,
        k=spec.k,
        rsa=a.row,
        csa=a.column,
        ldb=b.row,
        rsc=out.row,
        csc=out.column,
        mc=blocks.mc,
        nc=blocks.nc,
        kc=blocks.kc,
        blocks_m=blocks_m,
        blocks_n=blocks_n,
        inner=spec.batch[1],
        a0=a.batch[0],
        a1=a.batch[1],
        b0=b.batch[0],
        b1=b.batch[1],
        c0=out.batch[0],
        c1=out.batch[1],
        splits=blocks.splits,
        part=blocks.part,
        csplit=spec.m * spec.n * batches,
        rows_first=int(blocks.rows_first),
    )
    reads = [a.memory, b.memory]
    if micro.bias:
        d = spec.bias
        values.update(d=d.memory, rsd=d.row, csd=d.column, d0=d.batch[0], d1=d.batch[1])
        reads.append(d.memory)
    values.update({label: getattr(spec, label) for label in ("alpha", "beta") if getattr(micro, label)})
    cost = batches * (spec.m * spec.n * (spec.k / 40 + 0.1) + 50)
    return Launch(
        compute_source(micro),
        layout(micro).values(**values),
        batches * blocks_m * blocks_n * blocks.splits,
        cost,
        reads,
        (out.memory,),
    )
