"""Normal numbers in groups of 16 from uniform draws: the kernel of `box_muller`.

In: draws (32 bits each, or pairs of 64 for doubles). Out: for each group of 16 draws, radius from the first eight and
angle from the other eight, eight cosines and then eight sines. Results whose size is not a multiple of 16 end with a
group of their own, which overwrites the last 16 places.

Note [The same bits as PyTorch] On machines with AVX2 PyTorch computes single precision Box-Muller with the
polynomials of Moshier's Cephes library (logf, sinf, cosf). Here they are evaluated in the same order and with the
same fused multiply-adds, so that initial weights agree to the last bit; the library functions of `scalar` are more
accurate, and differ in the last place.
"""

import math

from ...ir import target
from ...ir.builder import vector
from ...ir.kernel import Argument, KernelSource, Launch
from ...ir.statics import StaticLayout, ceil_div, kernel
from ...ir.vectors import lshr, narrow
from ...lower import memory
from ...math.scalar import FUNCTIONS
from ...math.scalar_base import unary

GROUP, HALF = 16, 8
GROUPS_A_TASK = 1024
COST = {"float": 1.6, "double": 5.0}  # nanoseconds a number
BOX_MULLER = StaticLayout("@raw", "@out", "groups", "chunk", "tail", "end", "$mean", "$std")

LOG = (7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
       2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1)
SINE = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
COSINE = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
LN2 = (0.693359375, -2.12194440e-4)
QUARTER_PI = (0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8)
FOUR_OVER_PI = 1.27323954473516
ROOT_HALF = 0.707106781186547524


def horner(fn, x, coefficients):
    total = fn.constant(coefficients[0], x.type)
    for c in coefficients[1:]:
        total = fn.fma(total, x, c)
    return total


def cephes_log(fn, x):
    """logf of a normal positive number."""
    words = vector("i32", HALF)
    bits = fn.cast("bitcast", x, words)
    power = fn.cast("sitofp", lshr(fn, bits, 23) - 0x7E, x.type)
    m = fn.cast("bitcast", (bits & 0x007FFFFF) | 0x3F000000, x.type)
    small = m < ROOT_HALF
    power = fn.select(small, power - 1.0, power)
    m = fn.select(small, (m - 1.0) + m, m - 1.0)
    square = m * m
    y = horner(fn, m, LOG) * m
    y = fn.fma(y, square, power * LN2[1])
    y = fn.fma(square, -0.5, y)
    return fn.fma(power, LN2[0], m + y)


def cephes_sin_cos(fn, x):
    """sinf and cosf of a number in [0, 2 pi]."""
    words = vector("i32", HALF)
    octant = (fn.cast("fptosi", x * FOUR_OVER_PI, words) + 1) & -2
    turns = fn.cast("sitofp", octant, x.type)
    for part in QUARTER_PI:
        x = fn.fma(turns, -part, x)
    square = x * x
    cosine = horner(fn, square, COSINE) * square
    cosine = fn.fma(cosine, square, -(square * 0.5)) + 1.0
    sine = fn.fma(horner(fn, square, SINE) * square, x, x)
    swapped = (octant & 2).ne(0)
    results = []
    for first, second, sign in ((sine, cosine, octant << 29), (cosine, sine, ((octant - 2) ^ -1) << 29)):
        value = fn.cast("bitcast", fn.select(swapped, second, first), words)
        results.append(fn.cast("bitcast", value ^ (sign & -(1 << 31)), x.type))
    return results


def exact_log(fn, x):
    return FUNCTIONS["log"](fn, x)


def exact_sin_cos(fn, x):
    return FUNCTIONS["sin"](fn, x), FUNCTIONS["cos"](fn, x)


def unit_vector(fn, raw, at, kind):
    """Draws from element `at` on as numbers in [0, 1): 24 bits of one as float, 53 bits of two as double."""
    if kind == "float":
        bits = fn.load_vector(raw, at, "i32", HALF) & 0xFFFFFF
        return fn.cast("sitofp", bits, vector("float", HALF)) * 2.0**-24
    pairs = fn.load_vector(raw, at, "i64", HALF)
    words, wide = vector("i32", HALF), vector("double", HALF)
    high = fn.cast("sitofp", fn.cast("trunc", pairs & 0x1FFFFF, words), wide)
    low = fn.cast("sitofp", fn.cast("trunc", lshr(fn, pairs, 32), words) ^ -(1 << 31), wide) + 2147483648.0
    return (high * 4294967296.0 + low) * 2.0**-53


def emit_group(fn, raw, source, out, place, dtype, mean, std):
    """16 numbers from the draws at `source` to the elements at `place`."""
    kind = "double" if dtype == "float64" else "float"
    log, sin_cos = (exact_log, exact_sin_cos) if kind == "double" else (cephes_log, cephes_sin_cos)
    first, second = unit_vector(fn, raw, source, kind), unit_vector(fn, raw, source + HALF, kind)
    radius = unary(fn, "sqrt", log(fn, 1.0 - first) * -2.0)
    sine, cosine = sin_cos(fn, second * (2 * math.pi))
    for shift, part in ((0, cosine), (HALF, sine)):
        value = fn.fma(radius * part, fn.convert(std, radius.type), fn.convert(mean, radius.type))
        fn.store_vector(narrow(fn, value, dtype), out, place + shift)


def source_of(dtype):
    """The kernel for a result dtype; a task makes `chunk` groups, the last one also the group at the end."""

    def emit(module, name):
        fn = kernel(module, name)
        s = BOX_MULLER.open(fn)
        mean, std = s.mean, s.std
        if dtype != "float64":
            mean, std = fn.cast("fptrunc", mean, "float"), fn.cast("fptrunc", std, "float")
        first = fn.args[2] * s.chunk
        last = fn.minimum(first + s.chunk, s.groups)
        with fn.loop(first, last) as group:
            emit_group(fn, s.raw, group * GROUP, s.out, group * GROUP, dtype, mean, std)
        with fn.if_(last.eq(s.groups) & (s.tail > 0)):
            emit_group(fn, s.raw, s.tail, s.out, s.end, dtype, mean, std)
        fn.ret()

    return KernelSource(("box_muller", dtype, target.current.vector_bytes), emit)


def lower_box_muller(instruction):
    """(draws; mean, std) -> normal numbers, contiguous. The draws of the last group are the last 16."""
    raw, out = instruction.ins[0], instruction.outs[0]
    count, dtype = out[1].numel, out[1].dtype.name
    groups = count // GROUP
    tail = raw[1].numel - GROUP if count % GROUP else 0
    mean, std = (Argument(position) for _, position, _ in instruction.args[1:])
    static = BOX_MULLER.values(raw=memory(raw), out=memory(out), groups=groups, chunk=GROUPS_A_TASK, tail=tail,
                               end=count - GROUP, mean=mean, std=std)
    cost = 50 + count * COST["double" if dtype == "float64" else "float"]
    return [Launch(source_of(dtype), static, ceil_div(groups, GROUPS_A_TASK), cost)]
