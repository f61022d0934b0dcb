"""The native kernels of random numbers: raw draws of MT19937, normal numbers one by one, shuffles.

In: instructions (state, ...) -> (..., state) of `ops/random/random`. Out: Launches. A kernel that draws copies the
state into its result and works there, in one task, in the order of the draws; what only transforms draws is shared by
tasks. The places in a state are those of `ops/random/generator`. Read `box_muller` next.

Note [MT19937] Matsumoto and Nishimura's generator: 624 words, renewed all at once (`twist`) and read in order
(`temper`). Word i of the new state needs words i, i + 1 of the old one and word i + 397 (of the old or, from i = 227
on, of the new one), so that runs of vectors have no dependencies; the few words that do not fill a vector and the
last one, which needs the new word 0, are done one by one.
"""

import math

from ....ops.random.generator import CACHED, LEFT, NEXT, NORMAL, STATE_WORDS, WORDS
from ...ir import target
from ...ir.kernel import Argument, KernelSource, Launch
from ...ir.statics import StaticLayout, kernel
from ...ir.vectors import lshr
from ...lower import memory
from ...math.scalar import FUNCTIONS
from ...math.scalar_base import unary

MIDDLE = 397
UPPER, LOWER, MATRIX = -(1 << 31), 0x7FFFFFFF, 0x9908B0DF - (1 << 32)
MASK_B, MASK_C = 0x9D2C5680 - (1 << 32), 0xEFC60000 - (1 << 32)
DRAW_COST = 0.6  # nanoseconds a draw


def twisted(fn, here, following, middle):
    """The new word from the old words i and i + 1 and the word i + 397."""
    mixed = (here & UPPER) | (following & LOWER)
    odd = fn.convert(0, mixed.type) - (mixed & 1)
    return middle ^ lshr(fn, mixed, 1) ^ (odd & MATRIX)


def tempered(fn, word):
    """The draw that a word of the state gives."""
    word = word ^ lshr(fn, word, 11)
    word = word ^ ((word << 7) & MASK_B)
    word = word ^ ((word << 15) & MASK_C)
    return word ^ lshr(fn, word, 18)


def emit_twist(module, name):
    """`void name(ptr state)`: renew the words, set LEFT and NEXT so that 624 draws are there."""
    fn = module.function(name, [("ptr", "state")], linkage="internal", attributes="nounwind noinline")
    state = fn.args[0]
    width = target.current.lanes("i32")
    for start, stop, shift in ((0, WORDS - MIDDLE, MIDDLE), (WORDS - MIDDLE, WORDS - 1, MIDDLE - WORDS)):
        whole = start + (stop - start) // width * width
        for low, high, lanes in ((start, whole, width), (whole, stop, 1)):
            with fn.loop(low, high, lanes) as i:
                here, following = (fn.load_vector(state, i + d, "i32", lanes) for d in (0, 1))
                fn.store_vector(twisted(fn, here, following, fn.load_vector(state, i + shift, "i32", lanes)), state, i)
    here, following, middle = (fn.load_at(state, i, "i32") for i in (WORDS - 1, 0, MIDDLE - 1))
    fn.store_at(twisted(fn, here, following, middle), state, WORDS - 1)
    fn.store_at(fn.constant(WORDS + 1, "i32"), state, LEFT)
    fn.store_at(fn.constant(0, "i32"), state, NEXT)
    fn.ret()


def copy_state(fn, source, state):
    """Copy all words of a state."""
    width = target.current.lanes("i32")
    with fn.loop(0, STATE_WORDS, width) as i:
        fn.store_vector(fn.load_vector(source, i, "i32", width), state, i)


def emit_draw(module, name, twist):
    """`i32 name(ptr state)`: the next draw."""
    fn = module.function(name, [("ptr", "state")], returns="i32", linkage="internal", attributes="nounwind")
    state = fn.args[0]
    with fn.if_(fn.load_at(state, LEFT, "i32").eq(1)):
        fn.call("void", twist, state)
    place = fn.load_at(state, NEXT, "i32")
    fn.store_at(fn.load_at(state, LEFT, "i32") - 1, state, LEFT)
    fn.store_at(place + 1, state, NEXT)
    fn.ret(tempered(fn, fn.load_at(state, fn.cast("zext", place, "i64"), "i32")))


class Drawing:
    """A kernel that draws one by one: the state is copied into the result, `unit()` and `draw()` go on from there."""

    def __init__(self, module, name, layout):
        emit_twist(module, name + "_twist")
        emit_draw(module, name + "_draw", name + "_twist")
        self.fn = kernel(module, name)
        self.name = name
        self.s = layout.open(self.fn)
        copy_state(self.fn, self.s.source, self.s.state)

    def draw(self):
        """The next 32 bits."""
        return self.fn.call("i32", self.name + "_draw", self.s.state)

    def unit(self):
        """The next two draws as a double in [0, 1)."""
        fn = self.fn
        high, low = fn.cast("zext", self.draw(), "i64"), fn.cast("zext", self.draw(), "i64")
        bits = ((high << 32) | low) & ((1 << 53) - 1)
        return fn.cast("sitofp", bits, "double") * 2.0**-53

    def normal(self):
        """The next normal number. Pairs by Box and Muller in double: the cosine is returned, and the sine waits in the
        state for the next number."""
        fn, state = self.fn, self.s.state
        cached = fn.gep(state, NORMAL, "i32")
        value = fn.variable("double", 0.0)

        def take():
            value.set(fn.load(cached, "double", align=4))
            fn.store_at(fn.constant(0, "i32"), state, CACHED)
            fn.store(fn.constant(0.0, "double"), cached, align=4)

        def make():
            angle, other = self.unit() * (2 * math.pi), self.unit()
            radius = unary(fn, "sqrt", FUNCTIONS["log1p"](fn, -other) * -2.0)
            fn.store(radius * FUNCTIONS["sin"](fn, angle), cached, align=4)
            fn.store_at(fn.constant(1, "i32"), state, CACHED)
            value.set(radius * FUNCTIONS["cos"](fn, angle))

        fn.if_else(fn.load_at(state, CACHED, "i32").eq(1), take, make)
        return value.get()


# -- draws ---------------------------------------------------------------------------------------------------


DRAWS = StaticLayout("@source", "@state", "@raw", "count")


def emit_draws(module, name):
    """Fill `raw` with `count` draws."""
    emit_twist(module, name + "_twist")
    fn = kernel(module, name)
    s = DRAWS.open(fn)
    copy_state(fn, s.source, s.state)
    width = 2 * target.current.lanes("i32")
    done = fn.variable("i64", 0)
    with fn.while_(lambda: done.get() < s.count):
        with fn.if_(fn.load_at(s.state, LEFT, "i32").eq(1)):
            fn.call("void", name + "_twist", s.state)
        left, place = fn.load_at(s.state, LEFT, "i32"), fn.load_at(s.state, NEXT, "i32")
        start = done.get()
        count = fn.minimum(fn.cast("zext", left, "i64") - 1, s.count - start)
        words, raw = fn.gep(s.state, fn.cast("zext", place, "i64"), "i32"), fn.gep(s.raw, start, "i32")
        whole = count // width * width
        for low, high, lanes in ((fn.constant(0), whole, width), (whole, count, 1)):
            with fn.loop(low, high, lanes) as i:
                fn.store_vector(tempered(fn, fn.load_vector(words, i, "i32", lanes)), raw, i)
        taken = fn.cast("trunc", count, "i32")
        fn.store_at(left - taken, s.state, LEFT)
        fn.store_at(place + taken, s.state, NEXT)
        done.set(start + count)
    fn.ret()


def lower_draws(instruction):
    """(state) -> (draws of any dense layout of 4 or 8 bytes an element, state)."""
    raw, state = instruction.outs
    count = raw[1].numel * raw[1].dtype.itemsize // 4
    source = KernelSource(("random_draws", target.current.vector_bytes), emit_draws)
    static = DRAWS.values(source=memory(instruction.ins[0]), state=memory(state), raw=memory(raw), count=count)
    return [Launch(source, static, 1, 300 + DRAW_COST * count)]


# -- normal numbers one by one -------------------------------------------------------------------------------


NORMALS = StaticLayout("@source", "@state", "@out", "count", "$mean", "$std")


def emit_normals(module, name):
    """`count` normal numbers as doubles."""
    drawing = Drawing(module, name, NORMALS)
    fn, s = drawing.fn, drawing.s
    with fn.loop(0, s.count) as i:
        fn.store_at(drawing.normal() * s.std + s.mean, s.out, i)
    fn.ret()


def lower_normals(instruction):
    """(state; mean, std) -> (doubles of any dense layout, state)."""
    out, state = instruction.outs
    mean, std = (Argument(position) for _, position, _ in instruction.args[1:])
    static = NORMALS.values(source=memory(instruction.ins[0]), state=memory(state), out=memory(out), count=out[1].numel,
                            mean=mean, std=std)
    source = KernelSource(("random_normals", target.current.vector_bytes), emit_normals)
    return [Launch(source, static, 1, 300 + 30 * out[1].numel)]


# -- shuffles ------------------------------------------------------------------------------------------------


SHUFFLE = StaticLayout("@raw", "@out", "count")


def emit_shuffle(module, name):
    """0 ... count - 1, then position i changes places with one of those from i on, by draw i."""
    fn = kernel(module, name)
    s = SHUFFLE.open(fn)
    with fn.loop(0, s.count) as i:
        fn.store_at(i, s.out, i)
    with fn.loop(0, s.count - 1) as i:
        # PyTorch's remainder is one of 64 bits, the draw has 32
        draw = fn.cast("zext", fn.load_at(s.raw, i, "i32"), "i64")
        other = i + fn.emit("i64", f"urem i64 {draw.name}, {(s.count - i).name}")
        here, there = fn.load_at(s.out, i, "i64"), fn.load_at(s.out, other, "i64")
        fn.store_at(there, s.out, i)
        fn.store_at(here, s.out, other)
    fn.ret()


def lower_shuffle(instruction):
    """(count - 1 draws) -> a permutation as int64."""
    out = instruction.outs[0]
    static = SHUFFLE.values(raw=memory(instruction.ins[0]), out=memory(out), count=out[1].numel)
    return [Launch(KernelSource(("random_shuffle",), emit_shuffle), static, 1, 6.0 * out[1].numel)]
