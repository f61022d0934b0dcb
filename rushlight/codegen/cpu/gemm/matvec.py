"""Products of one to four vectors with a matrix: memory bound, so the matrix is read once, in the order it lies.

In: a `GemmSpec` with m <= MOST rows, batch collapsed to two dimensions; out: launches. "axpy" serves a b with
contiguous columns (a task: a chunk of columns, all of K), "dot" one with contiguous K (a task: some columns).
"""

import operator

from ...ir import builder, target
from ...ir.kernel import KernelSource, Launch, Memory, Scratch
from ...ir.statics import StaticLayout, ceil_div, kernel, repeat, split
from ...ir.vectors import BYTES, compute_dtype, compute_kind, load, mask_below, memory_kind, multiply_add, store
from .pack import plan_pack

MOST = 4
CHUNK = 1024  # columns of an axpy task: whole pages of b, sums on the stack
STEP = 8  # rows of b at once


def layout(key):
    names = [
        "@a",
        "@b",
        "@c",
        "n",
        "k",
        "rsa",
        "csa",
        "ldb",
        "rsc",
        "csc",
        "part",
        "parts",
        "inner",
        "a0",
        "a1",
        "b0",
        "b1",
        "c0",
        "c1",
    ]
    names += ["@d", "rsd", "csd", "d0", "d1"] if key["bias"] else []
    names += ["$" + label for label in ("alpha", "beta") if key[label]]
    return StaticLayout(*names)


def _source(name, key, emit_task):
    def emit(module, symbol):
        fn = kernel(module, symbol)
        s = layout(key).open(fn)
        batch, part = split(fn, fn.args[2], s.parts)
        outer, inner = split(fn, batch, s.inner)
        for label, place, dtype in (
            ("a", "a", key["a"]),
            ("b", "b", key["b"]),
            ("c", "c", key["out"]),
            ("d", "d", key["bias"]),
        ):
            if dtype:
                shift = outer * getattr(s, place + "0") + inner * getattr(s, place + "1")
                setattr(s, label, fn.gep(getattr(s, place), shift, memory_kind(dtype)))
        first = part * s.part
        emit_task(fn, s, key, first, fn.minimum(first + s.part, s.n))
        fn.ret()

    return KernelSource((name, *sorted(key.items())), emit)


def _finish(fn, s, key, value, row, column):
    """Scale a sum, add the weighted bias, store it."""
    kind = key["kind"]
    cast = "fptosi" if kind[0] == "i" else "fptrunc" if kind == "float" else None

    def factor(label):
        number = getattr(s, label)
        return fn.cast(cast, number, kind) if cast else number

    if key["alpha"]:
        value = value * factor("alpha")
    if key["bias"]:
        item = load(fn, s.d, row * s.rsd + column * s.csd, key["bias"])
        if key["beta"]:
            beta = factor("beta")
            item = fn.select(beta.eq(0), fn.constant(0, kind), item * beta)
        value = value + item
    store(fn, value, s.c, row * s.rsc + column * s.csc, key["out"])


def _axpy(fn, s, key, first, last):
    kind, lanes, m = key["kind"], key["lanes"], key["m"]
    vector = builder.vector(kind, lanes)
    width = last - first
    whole = width & -lanes
    sums = fn.alloca(f"[{m * CHUNK} x {kind}]", 64)
    with fn.loop(0, m * CHUNK, lanes) as i:
        fn.store_vector(fn.constant(0, vector), sums, i)
    b_kind = memory_kind(key["b"])

    def rows(k, count):
        lines = [fn.gep(s.b, (k + r) * s.ldb + first, b_kind) for r in range(count)]
        items = [[load(fn, s.a, i * s.rsa + (k + r) * s.csa, key["a"]) for r in range(count)] for i in range(m)]
        spread = [[fn.splat(v, lanes) for v in row] for row in items]

        def columns(j, mask):
            parts = [load(fn, line, j, key["b"], lanes, mask) for line in lines]
            for i in range(m):
                total, other = fn.load_vector(sums, j + i * CHUNK, kind, lanes), None
                for r in range(count):
                    if r % 2 and other is None:
                        other = spread[i][r] * parts[r]
                    elif r % 2:
                        other = multiply_add(fn, spread[i][r], parts[r], other)
                    else:
                        total = multiply_add(fn, spread[i][r], parts[r], total)
                fn.store_vector(total if other is None else total + other, sums, j + i * CHUNK)

        with repeat(fn, 0, whole, lanes) as j:
            columns(j, None)
        with fn.if_(whole < width):
            columns(whole, mask_below(fn, width - whole, lanes))

    steps = s.k & -STEP
    with fn.loop(0, steps, STEP) as k:
        rows(k, STEP)
    with fn.loop(steps, s.k) as k:
        rows(k, 1)
    for i in range(m):
        with fn.loop(0, width) as j:
            _finish(fn, s, key, fn.load_at(sums, j + i * CHUNK, kind), fn.constant(i), first + j)


def _dot(fn, s, key, first, last):
    """`STRIP` columns of b at once, two vectors of K a round; a is [m][k] contiguous in the compute type."""
    kind, lanes, m = key["kind"], key["lanes"], key["m"]
    vector = builder.vector(kind, lanes)
    strip = 4 if m <= 2 else 2
    ways = 2 if m <= 2 else 1
    compute = compute_dtype(key["b"])
    b_kind = memory_kind(key["b"])
    with fn.loop(first, last, strip) as j:
        lines = [fn.gep(s.b, fn.minimum(j + c, last - 1) * s.ldb, b_kind) for c in range(strip)]
        heads = [fn.gep(s.a, i * s.rsa, kind) for i in range(m)]
        sums = [[[fn.variable(vector, 0) for _ in range(ways)] for _ in range(m)] for _ in range(strip)]

        def step(k, way, mask=None):
            xs = [load(fn, head, k, compute, lanes, mask) for head in heads]
            for c in range(strip):
                item = load(fn, lines[c], k, key["b"], lanes, mask)
                for i in range(m):
                    total = sums[c][i][way]
                    total.set(multiply_add(fn, item, xs[i], total.get()))

        whole = s.k & -(lanes * ways)
        with repeat(fn, 0, whole, lanes * ways) as k:
            for way in range(ways):
                step(k + way * lanes, way)
        with fn.loop(whole, s.k, lanes) as k:
            step(k, 0, mask_below(fn, s.k - k, lanes))
        for c in range(strip):
            for i in range(m):
                total = sums[c][i][0].get()
                for way in range(1, ways):
                    total = total + sums[c][i][way].get()
                value = fn.across(total, operator.add)
                with fn.if_(j + c < last):
                    _finish(fn, s, key, value, fn.constant(i), j + c)


def fits(spec):
    """Whether this is the place for a product (m <= n, at most two batch dimensions)."""
    return spec.m <= MOST and spec.k > 0 and (spec.b.column == 1 or spec.b.row == 1 or spec.n == 1)


def plan_matvec(spec):
    """Launches of a product that `fits`."""
    kind, lanes = compute_kind(spec.a.dtype), target.current.lanes(compute_kind(spec.a.dtype))
    key = dict(
        kind=kind,
        lanes=lanes,
        m=spec.m,
        a=spec.a.dtype,
        b=spec.b.dtype,
        out=spec.out.dtype,
        bias=spec.bias.dtype if spec.bias else "",
        alpha=spec.alpha is not None,
        beta=spec.bias is not None and spec.beta is not None,
    )
    a, launches = spec.a, []
    along_k = spec.b.row == 1 and (spec.b.column != 1 or spec.k > spec.n)
    if along_k and (a.column != 1 or a.dtype != compute_dtype(a.dtype)):
        a = _gather(spec, launches)
        key["a"] = a.dtype
    if along_k:
        part = max(4, min(256, ceil_div(65536, spec.k) & -4))
        source, ldb = _source("matvec_dot", key, _dot), spec.b.column
    else:
        part = (
            CHUNK if spec.n > 2 * CHUNK else min(CHUNK, max(lanes * 8, ceil_div(ceil_div(spec.n, 4), lanes) * lanes))
        )
        if spec.n * spec.k < 65536:
            part = CHUNK
        source, ldb = _source("matvec_axpy", key, _axpy), spec.b.row
    batch, parts = spec.batch, ceil_div(spec.n, part)
    values = dict(
        a=a.memory,
        b=spec.b.memory,
        c=spec.out.memory,
        n=spec.n,
        k=spec.k,
        rsa=a.row,
        csa=a.column,
        ldb=ldb,
        rsc=spec.out.row,
        csc=spec.out.column,
        part=part,
        parts=parts,
        inner=batch[1],
        a0=a.batch[0],
        a1=a.batch[1],
        b0=spec.b.batch[0],
        b1=spec.b.batch[1],
        c0=spec.out.batch[0],
        c1=spec.out.batch[1],
    )
    reads = [a.memory, spec.b.memory]
    if spec.bias:
        d = spec.bias
        values.update(d=d.memory, rsd=d.row, csd=d.column, d0=d.batch[0], d1=d.batch[1])
        reads.append(d.memory)
    values.update({label: getattr(spec, label) for label in ("alpha", "beta") if key[label]})
    count = batch[0] * batch[1]
    cost = count * (spec.n * spec.k * 0.1 * BYTES[spec.b.dtype] / 4 * (0.7 + 0.3 * spec.m) + 2 * spec.n + 50)
    return launches + [Launch(source, layout(key).values(**values), count * parts, cost, reads, (spec.out.memory,))]


def _gather(spec, launches):
    """a copied to contiguous rows of the compute type."""
    a = spec.a
    dtype = compute_dtype(a.dtype)
    own = tuple(o if s else 1 for o, s in zip(spec.batch, a.batch))
    memory = Memory(Scratch(max(64, own[0] * own[1] * spec.m * spec.k * BYTES[dtype])))
    lanes = target.current.lanes(compute_kind(a.dtype))
    launches.append(plan_pack(a, 1, lanes, spec.m, spec.k, a.row, a.column, own, a.batch, memory))
    step = spec.m * spec.k
    batch = (step * own[1] if own[0] > 1 else 0, step if own[1] > 1 else 0)
    return type(a)(memory, dtype, spec.k, 1, batch)
