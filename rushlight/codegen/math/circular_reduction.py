"""Reduction of large arguments of sin, cos and tan: a double in, its remainder modulo pi / 2 out, exact for every
double.

Note [Large angles]
The usual subtraction of multiples of pi runs out of digits beyond 1e5 (float) or 1e9 (double). Lanes beyond go one
by one through a helper function: the 53-bit mantissa times a window of 192 bits of 2 / pi, taken where the bits
above it only add whole turns. The top two bits of the product are the quadrant and the rest its fraction, with more
than 60 good bits in the worst case. A vector takes this branch only if one of its lanes needs it.
"""

from ..ir.builder import lanes
from .scalar_base import HALF_PI, absolute, base, fast_two_sum, two_product

LIMIT = {"float": 1.0e5, "double": 1.0e9}
# floor(2 / pi * 2**1312) as hexadecimal digits: enough for the largest double and its window.
TWO_OVER_PI = (
    "A2F9836E4E441529FC2757D1F534DDC0DB6295993C439041FE5163ABDEBBC561B7246E3A424DD2E006492EEA09D1921CFE1DEB1CB129A73E"
    "E88235F52EBB4484E99C7026B45F7E413991D639835339F49C845F8BBDF9283B1FF897FFDE05980FEF2F118B5A0A6D1F6D367ECF27CB09B7"
    "4F463F669E5FEA2D7527BAC7EBE5F17B3D0739F78A5292EA6BFB5FB11F8D5D0856033046FC7B6BABF0CFBC209AF4361DA9E39161"
)
PADDING = 64
MANTISSA_BITS = 52


def table_bytes():
    """The digits behind 64 zero bits, last byte first, so that a little-endian load of 24 bytes reads a window."""
    digits = "00" * (PADDING // 8) + TWO_OVER_PI
    return bytes.fromhex(digits)[::-1]


def helper(fn, kind):
    """The name of the reduction function of this kernel's module, written on first use."""
    module, name = fn.module, f"{fn.name}.reduce_{kind}"
    if all(other.name != name for other in module.functions):
        content = table_bytes()
        text = "".join(f"\\{byte:02X}" for byte in content)
        module.globals.append(f'@{name}.digits = internal constant [{len(content)} x i8] c"{text}"')
        emit_helper(module, name, kind, len(content))
    return name


def emit_helper(module, name, kind, size):
    """void name(x, remainder, count, lanes): overwrite remainder and count where |x| is beyond the limit."""
    params = [("ptr", "x"), ("ptr", "remainder"), ("ptr", "count"), ("i64", "lanes")]
    # Unoptimised: LLVM's passes spend more time on the wide integers than these rare lanes ever will.
    fn = module.function(name, params, linkage="internal", attributes="nounwind cold noinline optnone")
    source, remainders, counts, width = fn.args
    with fn.loop(0, width) as index:
        x = fn.load_at(source, index, kind)
        with fn.if_(absolute(fn, x) > LIMIT[kind]):
            wide = x if kind == "double" else fn.cast("fpext", x, "double")
            remainder, count = reduce_far(fn, wide, name, size)
            if kind == "float":
                remainder, count = fn.cast("fptrunc", remainder, "float"), fn.cast("trunc", count, "i32")
            fn.store_at(remainder, remainders, index)
            fn.store_at(count, counts, index)
    fn.ret()


def reduce_far(fn, x, name, size):
    """The remainder of a large double and the count of quarter turns modulo 4."""
    pattern = fn.cast("bitcast", x, "i64")
    exponent = ((pattern >> MANTISSA_BITS) & 0x7FF) - (1023 + MANTISSA_BITS)
    mantissa = (pattern & ((1 << MANTISSA_BITS) - 1)) | (1 << MANTISSA_BITS)
    start = exponent + (PADDING - 2)
    offset = fn.constant(size - 24) - (start >> 3)
    digits = fn.emit("ptr", f"getelementptr i8, ptr @{name}.digits, i64 {offset.name}")
    window = fn.load(digits, "i192", align=1)
    product = window * fn.cast("zext", mantissa << (start & 7), "i192")
    quadrant = fn.cast("trunc", (product + (1 << 189)) >> 190, "i64")
    # The fraction in pieces of 48 bits, the first one signed; their sum survives any cancellation.
    fraction = product << 2
    pieces = []
    for place in (144, 96, 48):
        piece = fn.cast("trunc", fraction >> place, "i64")
        piece = fn.cast("sitofp", piece if place == 144 else piece & ((1 << 48) - 1), "double")
        pieces.append(piece * 2.0 ** (place - 192))
    high, low = fast_two_sum(pieces[0], pieces[1] + pieces[2])
    remainder, error = two_product(fn, high, fn.constant(HALF_PI[0], "double"))
    remainder = remainder + fn.fma(high, HALF_PI[1], fn.fma(low, HALF_PI[0], error))
    backwards = pattern < 0
    # x - x turns an infinite x into NaN.
    remainder = fn.select(backwards, -remainder, remainder) + (x - x)
    return remainder, fn.select(backwards, -quadrant, quadrant)


def any_lane(fn, condition):
    """Whether an i1 vector has a true lane."""
    if condition.type == "i1":
        return condition
    whole = f"i{lanes(condition.type)}"
    return fn.cast("bitcast", condition, whole).ne(0)


def replace_far_lanes(fn, x, remainder, count):
    """The remainder and the integer count, corrected in the lanes where x is too large for the short reduction."""
    kind = base(x)
    found, turns = fn.variable(x.type, remainder), fn.variable(count.type, count)
    name = helper(fn, kind)
    with fn.if_(any_lane(fn, absolute(fn, x) > LIMIT[kind])):
        slots = [fn.variable(value.type, value) for value in (x, remainder, count)]
        fn.call("void", name, *(each.slot for each in slots), fn.constant(lanes(x.type)))
        found.set(slots[1].get())
        turns.set(slots[2].get())
    return found.get(), turns.get()
