"""Recurrent layers: `lstm`, `gru`, `rnn_tanh`, `rnn_relu` over whole or packed sequences, and their single cells.

The input part of all time steps is one matrix product; each step then adds the recurrent part and fuses its gates into
one kernel. The
signatures are those of the functions that PyTorch's modules call (torch.lstm and so on).
"""

from ..core.declare import REGISTRY, public
from ..core.tensor import Tensor


def _linear(x, weight, bias):
    return REGISTRY["nn.functional.linear"](x, weight, bias)


def _lstm_step(gates_x, state, weights):
    """One step: (h, c) -> (h', c'); gates in the order input, forget, cell, output."""
    h, c = state
    gates = gates_x + _linear(h, weights["hh"], weights["b_hh"])
    i, f, g, o = gates.chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    if weights["hr"] is not None:
        h = _linear(h, weights["hr"], None)
    return (h, c)


def _gru_step(gates_x, state, weights):
    """One step: gates in the order reset, update, new; the recurrent part of `new` is scaled by the reset gate."""
    h = state[0]
    rx, zx, nx = gates_x.chunk(3, -1)
    rh, zh, nh = _linear(h, weights["hh"], weights["b_hh"]).chunk(3, -1)
    r, z = (rx + rh).sigmoid(), (zx + zh).sigmoid()
    n = (nx + r * nh).tanh()
    return ((h - n) * z + n,)


def _tanh_step(gates_x, state, weights):
    return ((gates_x + _linear(state[0], weights["hh"], weights["b_hh"])).tanh(),)


def _relu_step(gates_x, state, weights):
    return ((gates_x + _linear(state[0], weights["hh"], weights["b_hh"])).relu(),)


def _weights(params, has_biases, count):
    """Dictionaries of the parameters of each layer and direction."""
    each = len(params) // count
    found = []
    for i in range(count):
        group = list(params[i * each:(i + 1) * each])
        entry = {"ih": group[0], "hh": group[1], "b_ih": None, "b_hh": None, "hr": None}
        rest = group[2:]
        if has_biases:
            entry["b_ih"], entry["b_hh"] = rest[:2]
            rest = rest[2:]
        if rest:
            entry["hr"] = rest[0]
        found.append(entry)
    return found


def _layer(step, x, state, weights, reverse):
    """One layer in one direction over x (time, batch, features): (outputs, last state)."""
    gates = _linear(x, weights["ih"], weights["b_ih"]).unbind(0)
    outputs = []
    for gates_x in (reversed(gates) if reverse else gates):
        state = step(gates_x, state, weights)
        outputs.append(state[0])
    if reverse:
        outputs.reverse()
    return REGISTRY["stack"](outputs, 0), state


def _packed_layer(step, data, batch_sizes, state, weights, reverse):
    """As `_layer` over packed data (rows of all time steps, longest sequences first)."""
    gates = _linear(data, weights["ih"], weights["b_ih"]).split(batch_sizes, 0)
    outputs, finished = [], []
    if not reverse:
        current = state
        for gates_x, n in zip(gates, batch_sizes):
            if n < current[0].shape[0]:
                finished.append(tuple(s[n:] for s in current))
                current = tuple(s[:n] for s in current)
            current = step(gates_x, current, weights)
            outputs.append(current[0])
        finished.append(current)
        last = tuple(REGISTRY["cat"]([part[i] for part in reversed(finished)], 0) for i in range(len(state)))
        return REGISTRY["cat"](outputs, 0), last
    current = tuple(s[:batch_sizes[-1]] for s in state)
    for gates_x, n in zip(reversed(gates), reversed(batch_sizes)):
        have = current[0].shape[0]
        if n > have:
            current = tuple(REGISTRY["cat"]([c, s[have:n]], 0) for c, s in zip(current, state))
        current = step(gates_x, current, weights)
        outputs.append(current[0])
    return REGISTRY["cat"](outputs[::-1], 0), current


def _run(step, x, batch_sizes, hidden, params, has_biases, num_layers, dropout, train, bidirectional):
    """All layers: (outputs, last states stacked over layers and directions)."""
    directions = 2 if bidirectional else 1
    weights = _weights(params, has_biases, num_layers * directions)
    last = []
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            at = layer * directions + direction
            state = tuple(h[at] for h in hidden)
            if batch_sizes is None:
                out, state = _layer(step, x, state, weights[at], direction == 1)
            else:
                out, state = _packed_layer(step, x, batch_sizes, state, weights[at], direction == 1)
            outputs.append(out)
            last.append(state)
        x = outputs[0] if directions == 1 else REGISTRY["cat"](outputs, -1)
        if dropout and train and layer < num_layers - 1:
            x = REGISTRY["nn.functional.dropout"](x, dropout, True)
    return x, tuple(REGISTRY["stack"]([s[i] for s in last], 0) for i in range(len(hidden)))


def _call(name, step, args, states):
    """Tell the two forms of a recurrent function apart and run it."""
    if isinstance(args[2], Tensor) or states > 1 and isinstance(args[1], Tensor):
        data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, bidirectional = args
        hidden = tuple(hx) if states > 1 else (hx,)
        return _run(step, data, batch_sizes.tolist(), hidden, params, has_biases, num_layers, dropout, train,
                    bidirectional)
    input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first = args
    hidden = tuple(hx) if states > 1 else (hx,)
    if input.dim() != 3:
        raise RuntimeError(f"{name}: expected a 3-D input (time, batch, features), got {input.dim()}-D")
    x = input.transpose(0, 1) if batch_first else input
    out, last = _run(step, x, None, hidden, params, has_biases, num_layers, dropout, train, bidirectional)
    return (out.transpose(0, 1) if batch_first else out), last


@public("torch.lstm", out=False)
def lstm(*args):
    """lstm(input, (h0, c0), params, has_biases, num_layers, dropout, train, bidirectional, batch_first) or
    lstm(data, batch_sizes, (h0, c0), params, has_biases, num_layers, dropout, train, bidirectional): (output, h_n,
    c_n)."""
    out, (h, c) = _call("lstm", _lstm_step, args, 2)
    return out, h, c


def _simple(name, step, text):
    def function(*args):
        out, (h,) = _call(name, step, args, 1)
        return out, h
    function.__name__ = name
    function.__doc__ = text + " Arguments as `lstm`, with one state: (output, h_n)."
    return public(f"torch.{name}", out=False)(function)


gru = _simple("gru", _gru_step, "Gated recurrent units over a sequence.")
rnn_tanh = _simple("rnn_tanh", _tanh_step, "An Elman network with tanh over a sequence.")
rnn_relu = _simple("rnn_relu", _relu_step, "An Elman network with relu over a sequence.")


def _cell(step, input, state, w_ih, w_hh, b_ih, b_hh):
    weights = {"hh": w_hh, "b_hh": b_hh, "hr": None}
    return step(_linear(input, w_ih, b_ih), state, weights)


@public("torch.lstm_cell", out=False)
def lstm_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of an LSTM: (h, c)."""
    return _cell(_lstm_step, input, tuple(hx), w_ih, w_hh, b_ih, b_hh)


@public("torch.gru_cell", out=False)
def gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of a GRU."""
    return _cell(_gru_step, input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


@public("torch.rnn_tanh_cell", out=False)
def rnn_tanh_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of an Elman network with tanh."""
    return _cell(_tanh_step, input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


@public("torch.rnn_relu_cell", out=False)
def rnn_relu_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of an Elman network with relu."""
    return _cell(_relu_step, input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]
