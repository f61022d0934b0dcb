"""A helper function of the convolution kernels: where the pixels of a grid lie.

In: a range of pixel numbers and strides; out: a table of offsets on the caller's stack.
"""

from ...ir.statics import split


def emit_offsets(module, name):
    """Add a function that fills a table with the offsets of `count` pixels from pixel `first` on of a 4-d grid."""
    names = [("ptr", "table"), ("i64", "first"), ("i64", "count"), ("i64", "g1"), ("i64", "g2"), ("i64", "g3")]
    fn = module.function(
        name, names + [("i64", f"s{i}") for i in range(4)], linkage="internal", attributes="nounwind noinline"
    )
    table, first, count, g1, g2, g3, s0, s1, s2, s3 = fn.args
    rest, w = split(fn, first, g3)
    rest, h = split(fn, rest, g2)
    n, d = split(fn, rest, g1)
    places = [fn.variable("i64", v) for v in (w, h, d, n)]
    with fn.loop(0, count) as i:
        w, h, d, n = (p.get() for p in places)
        fn.store_at(n * s0 + d * s1 + h * s2 + w * s3, table, i)
        step = fn.constant(1)
        for place, size in zip(places, (g3, g2, g1)):
            moved = place.get() + step
            wrap = moved.eq(size)
            place.set(fn.select(wrap, fn.constant(0), moved))
            step = fn.cast("zext", wrap, "i64")
        places[3].set(places[3].get() + step)
    fn.ret()
