"""Recurrent layers: `lstm`, `gru`, `rnn_tanh`, `rnn_relu` over whole or packed sequences, and their single cells.

The input part of all time steps is one matrix product; one kernel then walks through the steps of a layer and direction
(codegen/cpu/rows/recurrent.py), and another one back for the gradients, whose sums over time are matrix products again.
Each layer and direction is one node of the graph. Half precisions and projections go step by step. The signatures are
those of the functions that PyTorch's modules call (torch.lstm and so on).
"""

from ...base.lazy import numpy as np
from ...core import dtype as dt
from ...core import grads
from ...core.declare import REGISTRY, public
from ...core.grads import wants_grad
from ...core.graph import MODE
from ...core.kinds import Kernel
from ...core.record import record
from ...core.tensor import Tensor
from ..basic.arithmetic import where
from ..basic.creation import index_tensor, zeros
from ..basic.shape import cat, stack
from ..linalg.matmul import linear

NEAR_WEIGHTS = 1 << 19  # bytes of weights, or of their gradients, that stay in the second cache of a core
GATES = {"lstm": 4, "gru": 3, "tanh": 1, "relu": 1}
def needs(attrs):
    """Weights are packed from whatever strides; steps and rows of all others have no gaps."""
    return ["any" if name.startswith("weight") else "contiguous" for name in dict(attrs)["names"]]


FORWARD = Kernel("recurrent_layer", lower="rows.recurrent:recurrent", reads=needs)
BACKWARD = Kernel("recurrent_layer_backward", lower="rows.recurrent:recurrent_back", reads=needs)
NODES = {"lstm": "MkldnnRnnLayerBackward0", "gru": "StackBackward0", "tanh": "StackBackward0", "relu": "StackBackward0"}


def _linear(x, weight, bias):
    return linear(x, weight, bias)


# -- one step, as expressions -----------------------------------------------------------------------------------------


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


STEPS = {"lstm": _lstm_step, "gru": _gru_step, "tanh": _tanh_step, "relu": _relu_step}


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


def _layer(step, x, state, weights, reverse, lengths=None):
    """One layer in one direction over x (time, batch, features), step by step: (outputs, last state). Rows of a length
    keep their state from that time on."""
    gates = _linear(x, weights["ih"], weights["b_ih"]).unbind(0)
    outputs = []
    times = range(len(gates))
    for time in (reversed(times) if reverse else times):
        new = step(gates[time], state, weights)
        if lengths is not None:
            active = (lengths > time).unsqueeze(1)
            new = tuple([where(active, a, b) for a, b in zip(new, state)])
        state = new
        outputs.append(state[0])
    if reverse:
        outputs.reverse()
    return stack(outputs, 0), state


# -- a layer as one node ----------------------------------------------------------------------------------------------


def rows_of(x):
    """(time, batch, n) as a matrix."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])


def takes_inputs(batch, features, hidden, mode, dtype):
    """Whether the kernels also multiply the inputs, and make the gradients of weights: all weights must stay in a
    core's cache, and a block have rows enough to share them."""
    return batch >= 8 and GATES[mode] * hidden * (features + hidden) * dtype.itemsize <= NEAR_WEIGHTS


def run_layer(mode, x, state, weights, lengths, reverse, keep):
    """Record the kernel: [out, last states..., kept values if `keep`]."""
    time, batch, features, hidden = *x.shape, weights["hh"].shape[1]
    gru, dtype = mode == "gru", x._layout.dtype
    bias = weights["b_ih"]
    if bias is not None and not gru:
        bias = bias + weights["b_hh"]
    if takes_inputs(batch, features, hidden, mode, dtype):
        operands = {"x": x, "weight_x": weights["ih"].t(), "bias_x": vector(bias, mode, hidden, x)}
    else:
        operands = {"gates_x": _linear(rows_of(x), weights["ih"], bias).reshape(time, batch, -1)}
    operands["h0"] = state[0]
    if mode == "lstm":
        operands["c0"] = state[1]
    operands["weight"] = weights["hh"].t()
    if gru:
        operands["bias"] = vector(weights["b_hh"], mode, hidden, x)
    if lengths is not None:
        operands["lengths"] = lengths
    whole, flat = (time, batch, hidden), (batch, hidden)
    results = {"out": whole, "hn": flat}
    if mode == "lstm":
        results["cn"] = flat
    if keep and mode in ("lstm", "gru"):
        results["kept"] = (time, batch, 4 * hidden)
    if keep and mode == "lstm":
        results["cells"] = whole
    return recorded(FORWARD, mode, reverse, operands, results, dtype)


def vector(bias, mode, hidden, like):
    """A bias as the kernel reads it."""
    if bias is not None:
        return bias
    return zeros((GATES[mode] * hidden,), dtype=like.dtype, device=like.device)


def recorded(op, mode, reverse, operands, results, dtype):
    outs = tuple([(shape, dtype) for shape in results.values()])
    attrs = (("mode", mode), ("reverse", reverse), ("names", (*operands, *results)), ("out", outs))
    return record(op, "t" * len(operands), attrs, tuple(operands.values()))


def layer_gradients(g, x, h0, c0, ih, hh, b_ih, b_hh, lengths, mode, reverse, keep, outs):
    """Gradients of x, h0, c0, ih, hh, b_ih, b_hh."""
    if MODE.grad:
        return differentiable_gradients(g, x, h0, c0, ih, hh, b_ih, b_hh, lengths, mode, reverse)
    time, batch, hidden = outs[0].shape
    lstm, gru = mode == "lstm", mode == "gru"
    operands = {"g_out": g[0], "g_hn": g[1], "out": outs[0], "h0": h0}
    if lstm:
        operands.update(g_cn=g[2], c0=c0, kept=outs[3], cells=outs[4])
    if gru:
        operands["kept"] = outs[2]
    operands["weight"] = hh
    if lengths is not None:
        operands["lengths"] = lengths
    dtype, width, features = outs[0]._layout.dtype, GATES[mode] * hidden, x.shape[2]
    inside = takes_inputs(batch, features, hidden, mode, dtype) and time * 8 >= features + hidden and wants_grad(hh)
    results = {"db_x": (batch, width), "dh0": (batch, hidden)}
    if lstm:
        results["dc0"] = (batch, hidden)
    if gru:
        results["db_h"] = (batch, width)
    if inside:
        operands["x"] = x
        results.update(dw_x=(width, features), dw_h=(width, hidden))
        if wants_grad(x):
            operands["weight_x"] = ih
            results["dx"] = tuple(x.shape)
    else:
        results["dgates_x"] = (time, batch, width)
        if gru:
            results["dgates_h"] = (time, batch, width)
    found = dict(zip(results, recorded(BACKWARD, mode, reverse, operands, results, dtype)))
    if not inside:
        in_x = rows_of(found["dgates_x"])
        in_h = rows_of(found["dgates_h"]) if gru else in_x
        before = [h0.unsqueeze(0), outs[0][:-1]] if not reverse else [outs[0][1:], h0.unsqueeze(0)]
        before = rows_of(cat(before, 0)) if time > 1 else h0
        found["dx"] = (in_x @ ih).reshape(time, batch, -1)
        found["dw_x"], found["dw_h"] = in_x.t() @ rows_of(x), in_h.t() @ before
    db_ih = None if b_ih is None else found["db_x"].sum(0)
    db_hh = None if b_hh is None else found["db_h" if gru else "db_x"].sum(0)
    return found.get("dx"), found["dh0"], found.get("dc0"), found["dw_x"], found["dw_h"], db_ih, db_hh


def differentiable_gradients(g, x, h0, c0, ih, hh, b_ih, b_hh, lengths, mode, reverse):
    """The gradients through the layer step by step, so that they can be differentiated again."""
    given = [t if t is None else t.alias() for t in (x, h0, c0, ih, hh, b_ih, b_hh)]
    x, h0, c0, ih, hh, b_ih, b_hh = given
    weights = {"ih": ih, "hh": hh, "b_ih": b_ih, "b_hh": b_hh, "hr": None}
    out, last = _layer(STEPS[mode], x, (h0,) if c0 is None else (h0, c0), weights, reverse, lengths)
    wanted = [t for t in given if t is not None and t.requires_grad]
    found = iter(grads.differentiate([out, *last], wanted, list(g[:1 + len(last)])))
    return tuple([next(found) if t is not None and t.requires_grad else None for t in given])


def layer_node(mode):
    """The layer of a mode as one node: (out, last states..., what backward needs)."""
    def layer(x, h0, c0, ih, hh, b_ih, b_hh, lengths, mode, reverse, keep):
        weights = {"ih": ih, "hh": hh, "b_ih": b_ih, "b_hh": b_hh}
        return run_layer(mode, x, (h0, c0), weights, lengths, reverse, keep)
    layer.__name__ = f"{mode}_layer"
    params = ("x", "h0", "c0", "ih", "hh", "b_ih", "b_hh")
    return public("", node=NODES[mode], out=False, grad={params: layer_gradients})(layer)


LAYERS = {mode: layer_node(mode) for mode in GATES}


def one_layer(mode, x, state, weights, reverse, lengths=None):
    """One layer in one direction over x (time, batch, features): (outputs, last state)."""
    tensors = (x, *state, *[t for t in weights.values() if t is not None])
    dtype = x._layout.dtype
    plain = weights["hr"] is None and dtype in (dt.float32, dt.float64)
    if not plain or any([t._layout.dtype is not dtype for t in tensors]) or 0 in (*x.shape[1:], weights["hh"].shape[1]):
        return _layer(STEPS[mode], x, state, weights, reverse, lengths)
    check_layer(x, state, weights, mode)
    keep = MODE.grad and any([wants_grad(t) for t in tensors])
    h0, c0 = state if mode == "lstm" else (state[0], None)
    found = LAYERS[mode](x, h0, c0, weights["ih"], weights["hh"], weights["b_ih"], weights["b_hh"], lengths, mode,
                         reverse, bool(keep))
    return found[0], tuple(found[1:1 + len(state)])


def check_layer(x, state, weights, mode):
    """RuntimeError where the sizes do not fit."""
    batch, features = x.shape[1:]
    rows, hidden = weights["hh"].shape
    if weights["ih"].shape[1] != features:
        raise RuntimeError("input.size(-1) must be equal to input_size. Expected "
                           f"{weights['ih'].shape[1]}, got {features}")
    if rows != GATES[mode] * hidden or weights["ih"].shape[0] != rows:
        raise RuntimeError(f"{mode}: weights of shapes {list(weights['ih'].shape)} and {list(weights['hh'].shape)} do "
                           f"not fit {GATES[mode]} gates")
    for s in state:
        if tuple(s.shape) != (batch, hidden):
            raise RuntimeError(f"Expected hidden size {(batch, hidden)}, got {list(s.shape)}")


# -- packed sequences -------------------------------------------------------------------------------------------------


class Packing:
    """Where the rows of packed data stand in (time, batch): indices for both ways, and the lengths."""

    def __init__(self, batch_sizes, device):
        sizes = np.array(batch_sizes, np.int64)
        self.time, self.batch = len(sizes), int(sizes[0])
        first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        column = np.arange(self.batch)
        there = column < sizes[:, None]
        self.padded = index_tensor(np.where(there, first[:, None] + column, 0).reshape(-1)).to(device)
        self.packed = index_tensor(np.flatnonzero(there)).to(device)
        self.lengths = index_tensor(there.sum(0).astype(np.int64)).to(device)

    def pad(self, data):
        """(rows, n) as (time, batch, n); places without data have some row's values."""
        return data.index_select(0, self.padded).reshape(self.time, self.batch, -1)

    def pack(self, padded):
        """(time, batch, n) as (rows, n)."""
        return padded.reshape(self.time * self.batch, -1).index_select(0, self.packed)


# -- all layers -------------------------------------------------------------------------------------------------------


def _run(mode, x, packing, hidden, params, has_biases, num_layers, dropout, train, bidirectional):
    """All layers: (outputs, last states stacked over layers and directions)."""
    directions = 2 if bidirectional else 1
    weights = _weights(params, has_biases, num_layers * directions)
    last = []
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            at = layer * directions + direction
            state = tuple([h[at] for h in hidden])
            if packing is None:
                out, state = one_layer(mode, x, state, weights[at], direction == 1)
            else:
                out, state = one_layer(mode, packing.pad(x), state, weights[at], direction == 1, packing.lengths)
                out = packing.pack(out)
            outputs.append(out)
            last.append(state)
        x = outputs[0] if directions == 1 else cat(outputs, -1)
        if dropout and train and layer < num_layers - 1:
            x = REGISTRY["nn.functional.dropout"](x, dropout, True)
    if len(last) == 1:
        return x, tuple([s.unsqueeze(0) for s in last[0]])
    return x, tuple([stack([s[i] for s in last], 0) for i in range(len(hidden))])


def _call(name, mode, args, states):
    """Tell the two forms of a recurrent function apart and run it."""
    packed = isinstance(args[2], Tensor) or (states > 1 and isinstance(args[1], Tensor))
    if packed:
        data, batch_sizes, hx, params, *options = args
    else:
        data, hx, params, *options = args
        batch_sizes = None
    if states > 1 and len(hx) != 2:
        raise RuntimeError(f"{name} expects two hidden states")
    hidden = tuple(hx) if states > 1 else (hx,)
    if packed:
        return _run(mode, data, Packing(batch_sizes.tolist(), data.device), hidden, params, *options)
    *options, batch_first = options
    if data.dim() != 3:
        raise RuntimeError(f"{name}: expected a 3-D input (time, batch, features), got {data.dim()}-D")
    x = data.transpose(0, 1) if batch_first else data
    if x.shape[0] == 0:
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
    out, last = _run(mode, x, None, hidden, params, *options)
    return (out.transpose(0, 1) if batch_first else out), last


def _promoted(input, *rest):
    """The autocast policy of cells with products and states of different dtypes: the dtype of the input."""
    return "float32" if input.dtype is dt.float32 else "result"


@public("torch.lstm", out=False, cast="result")
def lstm(*args):
    """lstm(input, (h0, c0), params, has_biases, num_layers, dropout, train, bidirectional, batch_first) or
    lstm(data, batch_sizes, (h0, c0), params, has_biases, num_layers, dropout, train, bidirectional): (output, h_n,
    c_n)."""
    out, (h, c) = _call("lstm", "lstm", args, 2)
    return out, h, c


def _simple(name, mode, text):
    def function(*args):
        out, (h,) = _call(name, mode, args, 1)
        return out, h
    function.__name__ = name
    function.__doc__ = text + " Arguments as `lstm`, with one state: (output, h_n)."
    return public(f"torch.{name}", out=False, cast=_promoted if mode == "gru" else "result")(function)


gru = _simple("gru", "gru", "Gated recurrent units over a sequence.")
rnn_tanh = _simple("rnn_tanh", "tanh", "An Elman network with tanh over a sequence.")
rnn_relu = _simple("rnn_relu", "relu", "An Elman network with relu over a sequence.")


def _cell(step, input, state, w_ih, w_hh, b_ih, b_hh):
    if input.size(-1) != w_ih.size(1):
        raise RuntimeError(f"input has inconsistent input_size: got {input.size(-1)} expected {w_ih.size(1)}")
    for number, hidden in enumerate(state):
        if input.dim() == 2 and hidden.dim() == 2 and input.size(0) != hidden.size(0):
            raise RuntimeError(f"Input batch size {input.size(0)} doesn't match hidden{number} batch size "
                               f"{hidden.size(0)}")
        if hidden.size(-1) != w_hh.size(1):
            raise RuntimeError(f"hidden{number} has inconsistent hidden_size: got {hidden.size(-1)}, expected "
                               f"{w_hh.size(1)}")
    weights = {"hh": w_hh, "b_hh": b_hh, "hr": None}
    return step(_linear(input, w_ih, b_ih), state, weights)


@public("torch.lstm_cell", out=False, cast=_promoted)
def lstm_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of an LSTM: (h, c)."""
    return _cell(_lstm_step, input, tuple(hx), w_ih, w_hh, b_ih, b_hh)


@public("torch.gru_cell", out=False, cast=_promoted)
def gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of a GRU."""
    return _cell(_gru_step, input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


@public("torch.rnn_tanh_cell", out=False, cast="result")
def rnn_tanh_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of an Elman network with tanh."""
    return _cell(_tanh_step, input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


@public("torch.rnn_relu_cell", out=False, cast="result")
def rnn_relu_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of an Elman network with relu."""
    return _cell(_relu_step, input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]
