"""The launch that ends a product whose K was split: out = beta * bias + alpha * (sum of the parts, in order).

In: parts [split][batch][m][n] in the compute type (scratch); out: the result in its own dtype and strides.
"""

from ...ir import builder
from ...ir.kernel import KernelSource, Launch
from ...ir.statics import StaticLayout, ceil_div, kernel, split
from ...ir.vectors import compute_kind, load, memory_kind, store


def _layout(key):
    names = ["@parts", "@c", "m", "n", "splits", "plane", "group", "groups", "inner", "rsc", "csc", "c0", "c1"]
    names += ["@d", "rsd", "csd", "d0", "d1"] if key["bias"] else []
    names += ["$" + label for label in ("alpha", "beta") if key[label]]
    return StaticLayout(*names)


def reduce_source(key):
    """KernelSource for dtypes and flags in `key`; a task adds `group` rows of one matrix of the batch."""

    def emit(module, name):
        fn = kernel(module, name)
        s = _layout(key).open(fn)
        kind, lanes = key["kind"], key["lanes"]
        cast = "fptosi" if kind[0] == "i" else "fptrunc" if kind == "float" else None
        factors = {
            label: fn.cast(cast, getattr(s, label), kind) if cast else getattr(s, label)
            for label in ("alpha", "beta")
            if key[label]
        }
        batch, group = split(fn, fn.args[2], s.groups)
        outer, inner = split(fn, batch, s.inner)
        c = fn.gep(s.c, outer * s.c0 + inner * s.c1, memory_kind(key["out"]))
        line = fn.alloca(f"[{lanes} x {kind}]", 64)
        first = group * s.group
        with fn.loop(first, fn.minimum(first + s.group, s.m)) as i, fn.loop(0, s.n, lanes) as j:
            place = fn.gep(s.parts, (batch * s.m + i) * s.n + j, kind)
            total = fn.variable(builder.vector(kind, lanes), 0)
            with fn.loop(0, s.splits) as part:
                total.set(total.get() + fn.load_vector(place, part * s.plane, kind, lanes))
            fn.store_vector(total.get(), line, 0)
            with fn.loop(0, fn.minimum(s.n - j, lanes)) as lane:
                value = fn.load_at(line, lane, kind)
                if key["alpha"]:
                    value = value * factors["alpha"]
                if key["bias"]:
                    at = outer * s.d0 + inner * s.d1 + i * s.rsd + (j + lane) * s.csd
                    item = load(fn, s.d, at, key["bias"])
                    if key["beta"]:
                        item = fn.select(factors["beta"].eq(0), fn.constant(0, kind), item * factors["beta"])
                    value = value + item
                store(fn, value, c, i * s.rsc + (j + lane) * s.csc, key["out"])
        fn.ret()

    return KernelSource(("gemm_reduce", *sorted(key.items())), emit)


def plan_reduce(spec, partial, splits, lanes):
    """Launch that adds the parts of `spec` (an Operand over scratch memory) into its result."""
    key = dict(
        kind=compute_kind(spec.out.dtype),
        lanes=lanes,
        out=spec.out.dtype,
        bias=spec.bias.dtype if spec.bias else "",
        alpha=spec.alpha is not None,
        beta=spec.bias is not None and spec.beta is not None,
    )
    batches = spec.batch[0] * spec.batch[1]
    group = max(1, min(spec.m, 16384 // (spec.n * splits)))
    out = spec.out
    values = dict(
        parts=partial.memory,
        c=out.memory,
        m=spec.m,
        n=spec.n,
        splits=splits,
        plane=spec.m * spec.n * batches,
        group=group,
        groups=ceil_div(spec.m, group),
        inner=spec.batch[1],
        rsc=out.row,
        csc=out.column,
        c0=out.batch[0],
        c1=out.batch[1],
    )
    reads = [partial.memory]
    if spec.bias:
        d = spec.bias
        values.update(d=d.memory, rsd=d.row, csd=d.column, d0=d.batch[0], d1=d.batch[1])
        reads.append(d.memory)
    values.update({label: getattr(spec, label) for label in ("alpha", "beta") if key[label]})
    cost = spec.m * spec.n * batches * (1 + 0.1 * splits) + 50
    return Launch(
        reduce_source(key),
        _layout(key).values(**values),
        batches * ceil_div(spec.m, group),
        cost,
        reads,
        (out.memory,),
    )
