"""Products of bfloat16 matrices on the tile registers of x86 processors that have them (AMX).

In: a `GemmSpec` of gemm.py with at most two batch dimensions; out: two packing launches and one that multiplies,
blocks of 32 x 32 results in four tile registers, summed in float32 over all of K.

Note [Tile memory] A tile is 16 rows of 64 bytes. Tiles of A hold 16 rows by 32 elements of K; tiles of B hold 16
pairs of K, each row the pairs of 16 columns. Panels are [step of 32 of K][two tiles]: what lies beyond K is zero,
what lies beyond the edge is never stored.
"""

from ...ir import target
from ...ir.kernel import KernelSource, Launch, Memory, Scratch
from ...ir.statics import StaticLayout, ceil_div, kernel, split
from ...ir.vectors import columns_of, load, mask_below, memory_kind, store

PANEL = 32  # rows or columns of a panel, and elements of K in a step
TILE_BYTES = 1024
STEP_BYTES = 2 * TILE_BYTES
PAIR = "<16 x i32>"
TASK_FLOPS = 30_000_000
PACK = StaticLayout("@source", "@panels", "m", "k", "row", "column", "group", "groups", "inner", "batch0", "batch1",
                    "size")


def fits(spec):
    """Whether this is the place for a product: bfloat16 operands, enough work, a processor with tiles."""
    if target.current.matrix != "amx" or {spec.a.dtype, spec.b.dtype} != {"bfloat16"}:
        return False
    return min(spec.m, spec.n) >= 8 and spec.k >= 16 and spec.m * spec.n * spec.k >= 1 << 16


# -- packing -----------------------------------------------------------------------------------------------------------


def pack_source(side, mode):
    """KernelSource that packs panels of A or of B (`side` "a", "b"). `mode`: "along" (K contiguous), "rows" (the
    panel's dimension contiguous) or "any"."""

    def emit(module, name):
        fn = kernel(module, name)
        s = PACK.open(fn)
        batch, group = split(fn, fn.args[2], s.groups)
        outer, inner = split(fn, batch, s.inner)
        source = fn.gep(s.source, outer * s.batch0 + inner * s.batch1, "i16")
        first = group * s.group * PANEL
        panels = fn.gep(s.panels, batch * s.size)
        steps = (s.k + (PANEL - 1)) >> 5
        fill = {
            ("along", "a"): _copy_rows,
            ("along", "b"): _turn_rows,
            ("rows", "b"): _pair_rows,
            ("rows", "a"): _turn_pairs,
        }
        with fn.loop(first, fn.minimum(first + s.group * PANEL, s.m), 16) as i, fn.loop(0, steps) as step:
            place = (i >> 5) * steps * STEP_BYTES + step * STEP_BYTES + ((i >> 4) & 1) * TILE_BYTES
            fill.get((mode, side), _single(side))(fn, s, source, i, step * PANEL, fn.gep(panels, place))
        fn.ret()

    return KernelSource(("amx_pack", side, mode), emit)


def _masked(fn, source, index, width, mask):
    """`width` elements as they are, zero off the mask."""
    vector = f"<{width} x i16>"
    place = fn.gep(source, index, "i16")
    align = fn.constant(2, "i32")
    return fn.intrinsic(f"llvm.masked.load.v{width}i16.p0", vector, place, align, mask, fn.constant(0, vector))


def _line(fn, s, source, row, k):
    """32 elements of K of one row (the last row again beyond the edge), as 16 pairs."""
    mask = mask_below(fn, s.k - k, 32)
    value = _masked(fn, source, fn.minimum(row, s.m - 1) * s.row + k, 32, mask)
    return fn.cast("bitcast", value, PAIR)


def _pairs(fn, s, source, i, k):
    """Elements k and k + 1 of 16 rows, interleaved."""
    edge = mask_below(fn, s.m - i, 16)
    none = fn.constant(0, "<16 x i1>")
    low, high = (
        _masked(
            fn,
            source,
            i + fn.minimum(k + h, s.k - 1) * s.column,
            16,
            fn.emit(edge.type, _choose(k + h < s.k, edge, none)),
        )
        for h in (0, 1)
    )
    order = [lane // 2 + 16 * (lane % 2) for lane in range(32)]
    return fn.cast("bitcast", fn.shuffle(low, high, order), PAIR)


def _choose(condition, a, b):
    return f"select i1 {condition.name}, {a.type} {a.name}, {b.type} {b.name}"


def _copy_rows(fn, s, source, i, k, tile):
    with fn.loop(0, 16) as r:
        fn.store(_line(fn, s, source, i + r, k), fn.gep(tile, r * 64), align=64)


def _turn_rows(fn, s, source, i, k, tile):
    with fn.loop(0, 16, 4) as r:
        for pair, value in enumerate(columns_of(fn, [_line(fn, s, source, i + r + q, k) for q in range(4)])):
            fn.store(value, fn.gep(tile, r * 4 + pair * 64), align=16)


def _pair_rows(fn, s, source, i, k, tile):
    with fn.loop(0, 16) as pair:
        fn.store(_pairs(fn, s, source, i, k + pair * 2), fn.gep(tile, pair * 64), align=64)


def _turn_pairs(fn, s, source, i, k, tile):
    with fn.loop(0, 16, 4) as pair:
        for row, value in enumerate(columns_of(fn, [_pairs(fn, s, source, i, k + (pair + q) * 2) for q in range(4)])):
            fn.store(value, fn.gep(tile, pair * 4 + row * 64), align=16)


def _single(side):
    def fill(fn, s, source, i, k, tile):
        with fn.loop(0, 16) as r, fn.loop(0, 32) as c:
            value = fn.variable("i16", 0)
            with fn.if_((i + r < s.m) & (k + c < s.k)):
                value.set(fn.load_at(source, (i + r) * s.row + (k + c) * s.column, "i16"))
            place = r * 32 + c if side == "a" else (c >> 1) * 32 + r * 2 + (c & 1)
            fn.store_at(value.get(), tile, place)

    return fill


def _plan_pack(spec, operand, side, extent, launches):
    """(Memory, batch strides in bytes) of the packed operand, its panel dimension as rows; adds the launch."""
    own = tuple(count if step else 1 for count, step in zip(spec.batch, operand.batch))
    panels, steps = ceil_div(extent, PANEL), ceil_div(spec.k, PANEL)
    size = panels * steps * STEP_BYTES
    memory = Memory(Scratch(own[0] * own[1] * size))
    mode = "along" if operand.column == 1 else "rows" if operand.row == 1 else "any"
    group = max(1, min(panels, 64 // steps))
    groups = ceil_div(panels, group)
    static = PACK.values(
        source=operand.memory,
        panels=memory,
        m=extent,
        k=spec.k,
        row=operand.row,
        column=operand.column,
        group=group,
        groups=groups,
        inner=own[1],
        batch0=operand.batch[0],
        batch1=operand.batch[1],
        size=size,
    )
    tasks = own[0] * own[1] * groups
    cost = own[0] * own[1] * extent * spec.k * (0.1 if mode != "any" else 1.0) + 50
    launches.append(Launch(pack_source(side, mode), static, tasks, cost, (operand.memory,), (memory,)))
    return memory, (size * own[1] if own[0] > 1 else 0, size if own[1] > 1 else 0)


# -- multiplying -------------------------------------------------------------------------------------------------------


def _layout(key):
    names = (
        "@a @b @c m n steps rsc csc mc nc blocks_m blocks_n inner a0 a1 b0 b1 c0 c1 panel step half stride".split()
    )
    names += "@d rsd csd d0 d1".split() if key["bias"] else []
    return StaticLayout(*names, *("$" + label for label in ("alpha", "beta") if key[label]))


def product_source(key):
    """KernelSource of the launch that multiplies, for dtypes and flags in `key`."""

    def emit(module, name):
        _emit_tile(module, name + "_tile", key)
        _emit_task(module, name, key)

    return KernelSource(("amx_gemm", *sorted(key.items())), emit)


def _emit_task(module, name, key):
    fn = kernel(module, name)
    s = _layout(key).open(fn)
    _configure(fn)
    rest, nb = split(fn, fn.args[2], s.blocks_n)
    batch, mb = split(fn, rest, s.blocks_m)
    outer, inner = split(fn, batch, s.inner)
    a = fn.gep(s.a, outer * s.a0 + inner * s.a1)
    b = fn.gep(s.b, outer * s.b0 + inner * s.b1)
    c = fn.gep(s.c, outer * s.c0 + inner * s.c1, memory_kind(key["out"]))
    d = fn.gep(s.d, outer * s.d0 + inner * s.d1, memory_kind(key["bias"])) if key["bias"] else None
    factors = [fn.cast("fptrunc", getattr(s, label), "float") for label in ("alpha", "beta") if key[label]]
    i0, j0 = mb * s.mc, nb * s.nc
    i1, j1 = fn.minimum(i0 + s.mc, s.m), fn.minimum(j0 + s.nc, s.n)
    size = s.steps * STEP_BYTES
    with fn.loop(j0, j1, PANEL) as j, fn.loop(i0, i1, PANEL) as i:
        args = [s.steps, fn.gep(a, (i >> 5) * s.panel), fn.gep(b, (j >> 5) * size)]
        args += [
            fn.gep(c, i * s.rsc + j * s.csc, memory_kind(key["out"])),
            fn.minimum(i1 - i, PANEL),
            fn.minimum(j1 - j, PANEL),
        ]
        args += [s.rsc, s.csc, s.step, s.half, s.stride]
        if d is not None:
            args += [fn.gep(d, i * s.rsd + j * s.csd, memory_kind(key["bias"])), s.rsd, s.csd]
        fn.call("void", name + "_tile", *args, *factors)
    fn.intrinsic("llvm.x86.tilerelease", "void")
    fn.ret()


def _configure(fn):
    """Eight tiles of 16 rows of 64 bytes."""
    config = fn.alloca("[64 x i8]", 64)
    fn.store(fn.constant(0, "<64 x i8>"), config, align=64)
    fn.store_at(fn.constant(1, "i8"), config, 0)
    for tile in range(8):
        fn.store_at(fn.constant(64, "i16"), config, 8 + tile)
        fn.store_at(fn.constant(16, "i8"), config, 48 + tile)
    fn.intrinsic("llvm.x86.ldtilecfg", "void", config)


def _emit_tile(module, name, key):
    """32 x 32 results: the sums in tiles 0 to 3, then through the stack to the result."""
    names = [
        ("i64", "steps"),
        ("ptr", "a"),
        ("ptr", "b"),
        ("ptr", "c"),
        ("i64", "m"),
        ("i64", "n"),
        ("i64", "rsc"),
        ("i64", "csc"),
    ]
    names += [("i64", "step"), ("i64", "half"), ("i64", "stride")]
    names += [("ptr", "d"), ("i64", "rsd"), ("i64", "csd")] if key["bias"] else []
    names += [("float", label) for label in ("alpha", "beta") if key[label]]
    fn = module.function(name, names, linkage="internal", attributes="nounwind noinline")
    args = {label: value for (_, label), value in zip(names, fn.args)}
    number = [fn.constant(i, "i8") for i in range(8)]
    for i in range(4):
        fn.intrinsic("llvm.x86.tilezero", "void", number[i])
    with fn.loop(0, args["steps"]) as step:
        for half in (0, 1):
            place = fn.gep(args["a"], step * args["step"] + args["half"] * half)
            fn.intrinsic("llvm.x86.tileloadd64", "void", number[4 + half], place, args["stride"])
            place = fn.gep(args["b"], step * STEP_BYTES + half * TILE_BYTES)
            fn.intrinsic("llvm.x86.tileloadd64", "void", number[6 + half], place, fn.constant(64))
        for i in range(4):
            fn.intrinsic("llvm.x86.tdpbf16ps", "void", number[i], number[4 + i // 2], number[6 + i % 2])
    block = fn.alloca(f"[{PANEL * PANEL} x float]", 64)
    for i in range(4):
        place = fn.gep(block, (i // 2) * 16 * PANEL + (i % 2) * 16, "float")
        fn.intrinsic("llvm.x86.tilestored64", "void", number[i], place, fn.constant(PANEL * 4))
    _finish(fn, key, args, block)
    fn.ret()


def _finish(fn, key, args, block):
    """out = alpha * block + beta * bias: vectors where a row of the result and its bias are contiguous, else one by
    one.
    """
    width = 16 if key["vectors"] else 1
    with fn.loop(0, args["m"]) as i, fn.loop(0, args["n"], width) as j:
        mask = mask_below(fn, args["n"] - j, width) if width > 1 else None
        value = fn.load_vector(block, i * PANEL + j, "float", width)
        if key["alpha"]:
            value = value * fn.splat(args["alpha"], width)
        if key["bias"]:
            item = load(fn, args["d"], i * args["rsd"] + j * args["csd"], key["bias"], width, mask)
            if key["beta"]:
                beta = fn.splat(args["beta"], width)
                item = fn.select(args["beta"].eq(0), fn.constant(0, item.type), item * beta)
            value = value + item
        store(fn, value, args["c"], i * args["rsc"] + j * args["csc"], key["out"], mask)


def plan_amx(spec):
    """Launches of a product that `fits`."""
    if spec.out.column != 1 and spec.out.row == 1:
        spec = spec.swapped()
    launches, bias, out = [], spec.bias, spec.out
    if spec.a.column == 1 and spec.m % PANEL == 0 and spec.k % PANEL == 0:  # tiles can be loaded where they lie
        a, a_batch, row = spec.a.memory, tuple(2 * step for step in spec.a.batch), 2 * spec.a.row
        where = dict(panel=PANEL * row, step=2 * PANEL, half=16 * row, stride=row)
    else:
        a, a_batch = _plan_pack(spec, spec.a, "a", spec.m, launches)
        where = dict(panel=ceil_div(spec.k, PANEL) * STEP_BYTES, step=STEP_BYTES, half=TILE_BYTES, stride=64)
    b, b_batch = _plan_pack(spec, spec.b.transposed(), "b", spec.n, launches)
    batches = spec.batch[0] * spec.batch[1]
    wanted = max(1, min(32, 2 * spec.m * spec.n * spec.k * batches // TASK_FLOPS))
    high, wide = ceil_div(spec.m, PANEL), ceil_div(spec.n, PANEL)
    cut = min(high, ceil_div(wanted, batches))
    mc = ceil_div(high, cut) * PANEL
    nc = ceil_div(wide, min(wide, ceil_div(wanted, batches * cut))) * PANEL
    key = dict(
        out=out.dtype,
        bias=bias.dtype if bias else "",
        vectors=out.column == 1 and (bias is None or bias.column == 1),
        alpha=spec.alpha is not None,
        beta=bias is not None and spec.beta is not None,
    )
    values = dict(
        a=a,
        b=b,
        c=out.memory,
        m=spec.m,
        n=spec.n,
        steps=ceil_div(spec.k, PANEL),
        rsc=out.row,
        csc=out.column,
        mc=mc,
        nc=nc,
    )
    blocks = ceil_div(spec.m, mc), ceil_div(spec.n, nc)
    values.update(where)
    values.update(blocks_m=blocks[0], blocks_n=blocks[1], inner=spec.batch[1], a0=a_batch[0], a1=a_batch[1])
    values.update(b0=b_batch[0], b1=b_batch[1], c0=out.batch[0], c1=out.batch[1])
    reads = [a, b]
    if bias:
        values.update(d=bias.memory, rsd=bias.row, csd=bias.column, d0=bias.batch[0], d1=bias.batch[1])
        reads.append(bias.memory)
    values.update({label: getattr(spec, label) for label in ("alpha", "beta") if key[label]})
    cost = batches * spec.m * spec.n * (spec.k / 300 + 0.3) + 100
    tasks = batches * blocks[0] * blocks[1]
    return launches + [Launch(product_source(key), _layout(key).values(**values), tasks, cost, reads, (out.memory,))]
