"""Linear feedback: y[t] = x[t] + sum over j of w[t, j] y[t - d[t] - j], row by row; and its transpose.

Recursive filters have one delay and one set of weights for all times; effects such as a phaser have their own at each
time. Up to MOST_REGISTERS constant weights, the results that are needed again stay in registers, in double precision.

Static block: rows, T, taps, channels (row r uses the weights of channel r modulo this); then input, weights (channels,
times, taps), delays (channels, times) and result, all contiguous, where times is 1 or T.
"""

from ....core import dtype as dt
from ...bodies.handler import stored_type
from ...ir.kernel import KernelSource, Launch
from ...ir.statics import StaticReader, kernel
from ...lower import memory

MOST_REGISTERS = 16


class Feedback(StaticReader):
    """Writes one kernel. `order`: number of constant weights kept in registers, or 0; `back`: the transpose."""

    def __init__(self, dtype, order, varying, back):
        self.dtype, self.type = dtype, stored_type(dtype)
        self.order, self.varying, self.back = order, varying, back

    def key(self):
        return ("feedback", self.dtype.name, self.order, self.varying, self.back)

    def emit(self, module, name):
        self.fn = fn = kernel(module, name)
        self.times, self.taps, channels = self.words(3)
        source, weights, delays, result = [self.pointer() for _ in range(4)]
        row = fn.args[2]
        channel = row % channels * (self.times if self.varying else 1)
        self.source, self.result = [fn.gep(p, row * self.times, self.type) for p in (source, result)]
        self.weights = fn.gep(weights, channel * self.taps, self.type)
        self.delays = fn.gep(delays, channel, "i64")
        if self.order:
            self.in_registers()
        else:
            self.in_memory()
        fn.ret()

    def wide(self, value):
        return value if self.type == "double" else self.fn.cast("fpext", value, "double")

    def get(self, pointer, index):
        return self.wide(self.fn.load_at(pointer, index, self.type))

    def put(self, value, index):
        narrow = value if self.type == "double" else self.fn.cast("fptrunc", value, self.type)
        self.fn.store_at(narrow, self.result, index)

    def in_registers(self):
        fn = self.fn
        weights = [self.get(self.weights, j) for j in range(self.order)]
        past = [fn.variable("double", fn.constant(0.0, "double")) for _ in weights]
        with fn.loop(0, self.times) as step:
            t = self.times - 1 - step if self.back else step
            value, before = self.get(self.source, t), [p.get() for p in past]
            for weight, old in reversed(list(zip(weights, before))):  # the latest result last: it is late
                value = fn.fma(weight, old, value)
            for variable, new in zip(past, [value, *before]):
                variable.set(new)
            self.put(value, t)

    def in_memory(self):
        fn = self.fn
        if self.back:
            with fn.loop(0, self.times) as t:
                self.put(self.get(self.source, t), t)
        with fn.loop(0, self.times) as step:
            t = self.times - 1 - step if self.back else step
            at = t if self.varying else fn.constant(0)
            newest = t - fn.load_at(self.delays, at, "i64")
            count = fn.minimum(fn.maximum(newest + 1, 0), self.taps)
            total = fn.variable("double", self.get(self.result if self.back else self.source, t))
            with fn.loop(0, count) as j:
                weight, place = self.get(self.weights, at * self.taps + j), newest - j
                if self.back:
                    self.put(fn.fma(weight, total.get(), self.get(self.result, place)), place)
                else:
                    total.set(fn.fma(weight, self.get(self.result, place), total.get()))
            if not self.back:
                self.put(total.get(), t)


def lower_feedback(instruction):
    """ins: input (R, T), weights (C, times, J), delays (C, times); outs: result (R, T); attrs back, plain."""
    source, weights, delays = instruction.ins
    result, = instruction.outs
    options, (rows, times) = dict(instruction.attrs), source[1].shape
    channels, steps, taps = weights[1].shape
    assert source[1].dtype in (dt.float32, dt.float64) and source[1].dtype is weights[1].dtype
    order = taps if options["plain"] and taps <= MOST_REGISTERS else 0
    static = [times, taps, channels, *map(memory, (source, weights, delays, result))]
    kernel = Feedback(source[1].dtype, order, steps > 1, options["back"])
    return [Launch(KernelSource(kernel.key(), kernel.emit), static, rows, rows * times * 2 * (taps + 2))]
