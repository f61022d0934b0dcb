"""Recurrent layers, one step of time after the other: LSTM, GRU and plain cells, forward and backward.

Operands and results have the names of the attribute "names", see ops/nn/recurrent.py."""

from ....base.lazy import numpy as np
from .values import save, values, wide


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class Layer:
    """The operands of a layer by name, and the order of its steps."""

    def __init__(self, instruction, ins):
        options = dict(instruction.attrs)
        self.mode, names = options["mode"], options["names"]
        self.given = dict(zip(names, map(wide, values(instruction, ins))))
        self.results = names[len(ins):]
        shapes = {name: layout.shape for name, (_, layout, _) in zip(names, [*instruction.ins, *instruction.outs])}
        self.steps, self.batch, self.hidden = shapes["out"]
        self.times = range(self.steps)[::-1] if options["reverse"] else range(self.steps)

    def active(self, time):
        """Which rows of the batch have input at a time, (batch, 1)."""
        lengths = self.given.get("lengths")
        return np.ones((self.batch, 1), bool) if lengths is None else (lengths > time)[:, None]


def lstm_step(layer, gates, h, c):
    """(new h, new c, the activated gates)."""
    i, f, g, o = np.split(gates + h @ layer.given["weight"], 4, -1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    c = f * c + i * g
    return o * np.tanh(c), c, np.concatenate([i, f, g, o], -1)


def gru_step(layer, gates, h, c):
    """(new h, None, the activated gates with the recurrent part of the new one)."""
    (xr, xz, xn), (hr, hz, hn) = [np.split(v, 3, -1) for v in (gates, h @ layer.given["weight"] + layer.given["bias"])]
    r, z = sigmoid(xr + hr), sigmoid(xz + hz)
    n = np.tanh(xn + r * hn)
    return (h - n) * z + n, None, np.concatenate([r, z, n, hn], -1)


def plain_step(function):
    def step(layer, gates, h, c):
        return function(gates + h @ layer.given["weight"]), None, gates
    return step


STEPS = {"lstm": lstm_step, "gru": gru_step, "tanh": plain_step(np.tanh),
         "relu": plain_step(lambda x: np.maximum(x, 0))}


def recurrent(instruction, ins, outs, numbers):
    """x, weight_x, bias_x or gates_x; h0, (c0), weight, (bias), (lengths) -> out, hn, (cn), (kept), (cells)."""
    layer = Layer(instruction, ins)
    given = layer.given
    inputs = given["x"] @ given["weight_x"] + given["bias_x"] if "x" in given else given["gates_x"]
    h, c = given["h0"], given.get("c0")
    found = {name: np.zeros(array.shape) for name, array in zip(layer.results, outs)}
    for time in layer.times:
        active = layer.active(time)
        new_h, new_c, kept = STEPS[layer.mode](layer, inputs[time], h, c)
        h = np.where(active, new_h, h)
        c = None if c is None else np.where(active, new_c, c)
        for name, value in (("out", h), ("kept", kept), ("cells", c)):
            if name in found:
                found[name][time] = value
    found.update({name: value for name, value in (("hn", h), ("cn", c)) if name in found})
    for number, name in enumerate(layer.results):
        save(instruction, outs, number, found[name])


def lstm_slope(layer, time, h, c, dh, dc):
    """(gradients of the gates for the input, for the state, what passes to the state before, to the cell before)."""
    i, f, g, o = np.split(layer.given["kept"][time], 4, -1)
    tanh_c = np.tanh(layer.given["cells"][time])
    dc = dc + dh * o * (1 - tanh_c * tanh_c)
    slopes = np.concatenate([dc * g * (i - i * i), dc * c * (f - f * f), dc * i * (1 - g * g),
                             dh * tanh_c * (o - o * o)], -1)
    return slopes, slopes, 0, dc * f


def gru_slope(layer, time, h, c, dh, dc):
    r, z, n, hn = np.split(layer.given["kept"][time], 4, -1)
    dn = dh * (1 - z) * (1 - n * n)
    dz, dr = dh * (h - n) * (z - z * z), dn * hn * (r - r * r)
    return np.concatenate([dr, dz, dn], -1), np.concatenate([dr, dz, dn * r], -1), dh * z, None


def tanh_slope(layer, time, h, c, dh, dc):
    out = layer.given["out"][time]
    slopes = dh * (1 - out * out)
    return slopes, slopes, 0, None


def relu_slope(layer, time, h, c, dh, dc):
    slopes = np.where(layer.given["out"][time] > 0, dh, 0)
    return slopes, slopes, 0, None


SLOPES = {"lstm": lstm_slope, "gru": gru_slope, "tanh": tanh_slope, "relu": relu_slope}


def recurrent_back(instruction, ins, outs, numbers):
    """g_out, g_hn, (g_cn), out, h0, (c0), (kept), (cells), weight, (weight_x), (x), (lengths) -> dgates_x or dw_x,
    dw_h; db_x; for GRU dgates_h and db_h; dh0, (dc0), (dx)."""
    layer = Layer(instruction, ins)
    given = layer.given
    found = {name: np.zeros(array.shape) for name, array in zip(layer.results, outs)}
    dh, dc = given["g_hn"], given.get("g_cn")
    times = list(layer.times)
    for number in reversed(range(layer.steps)):
        time, active = times[number], layer.active(times[number])
        h = given["out"][times[number - 1]] if number else given["h0"]
        c = None if dc is None else given["cells"][times[number - 1]] if number else given["c0"]
        total = dh + given["g_out"][time]
        in_x, in_h, to_h, to_c = SLOPES[layer.mode](layer, time, h, c, total, dc)
        in_x, in_h = np.where(active, in_x, 0), np.where(active, in_h, 0)
        # the state of a row without input went on as it was
        dh = np.where(active, to_h + in_h @ given["weight"], total)
        dc = None if dc is None else np.where(active, to_c, dc)
        collect(found, time, in_x, in_h, given, h)
    found.update({name: value for name, value in (("dh0", dh), ("dc0", dc)) if name in found})
    for number, name in enumerate(layer.results):
        save(instruction, outs, number, found[name])


def collect(found, time, in_x, in_h, given, h):
    """Add what one step gives to the results."""
    for name, value in (("db_x", in_x), ("db_h", in_h)):
        if name in found:
            found[name] += value
    for name, value in (("dgates_x", in_x), ("dgates_h", in_h)):
        if name in found:
            found[name][time] = value
    if "dw_x" in found:
        found["dw_x"] += in_x.T @ given["x"][time]
        found["dw_h"] += in_h.T @ h
    if "dx" in found:
        found["dx"][time] = in_x @ given["weight_x"]


SPECIFICATIONS = {"rows.recurrent:recurrent": recurrent, "rows.recurrent:recurrent_back": recurrent_back}
