"""Recurrent layers and cells against NumPy."""
import numpy as np
import pytest

import rushlight as rl
from rushlight.base import switches
from rushlight.codegen.cpu.rows import recurrent as native_recurrent
from rushlight.runtime.cpu import jit

RNG = np.random.default_rng(1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_step(x, h, c, w):
    i, f, g, o = np.split(x @ w[0].T + w[2] + h @ w[1].T + w[3], 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_step(x, h, w):
    rx, zx, nx = np.split(x @ w[0].T + w[2], 3, -1)
    rh, zh, nh = np.split(h @ w[1].T + w[3], 3, -1)
    r, z = sigmoid(rx + rh), sigmoid(zx + zh)
    n = np.tanh(nx + r * nh)
    return (1 - z) * n + z * h


def weights(gates, inputs, hidden):
    shapes = ((gates * hidden, inputs), (gates * hidden, hidden), (gates * hidden,), (gates * hidden,))
    return [RNG.standard_normal(s) * 0.5 for s in shapes]


def tensors(arrays):
    return [rl.tensor(a).requires_grad_() for a in arrays]


def test_lstm_over_a_sequence():
    x, w = RNG.standard_normal((6, 3, 4)), weights(4, 4, 5)
    h, c = np.zeros((3, 5)), np.zeros((3, 5))
    expected = []
    for step in x:
        h, c = lstm_step(step, h, c, w)
        expected.append(h)
    state = [rl.zeros(1, 3, 5, dtype=rl.float64)] * 2
    out, hn, cn = rl.lstm(rl.tensor(x), state, tensors(w), True, 1, 0.0, True, False, False)
    assert np.allclose(out.detach().numpy(), expected)
    assert np.allclose(hn.detach().numpy()[0], h) and np.allclose(cn.detach().numpy()[0], c)
    swapped = rl.lstm(rl.tensor(x.swapaxes(0, 1)), state, tensors(w), True, 1, 0.0, True, False, True)[0]
    assert np.allclose(swapped.detach().numpy().swapaxes(0, 1), expected)


def test_gru_in_both_directions():
    x, w, back = RNG.standard_normal((5, 2, 3)), weights(3, 3, 4), weights(3, 3, 4)
    h, expected = np.zeros((2, 4)), []
    for step in x[::-1]:
        h = gru_step(step, h, back)
        expected.append(h)
    state = rl.zeros(2, 2, 4, dtype=rl.float64)
    out, hn = rl.gru(rl.tensor(x), state, tensors(w + back), True, 1, 0.0, True, True, False)
    assert out.shape == (5, 2, 8) and np.allclose(out.detach().numpy()[..., 4:], expected[::-1])
    assert np.allclose(hn.detach().numpy()[1], h)


@pytest.mark.parametrize("name, function", [("rnn_tanh", np.tanh), ("rnn_relu", lambda x: np.maximum(x, 0))])
def test_plain_cells(name, function):
    x, h, w = RNG.standard_normal((3, 4)), RNG.standard_normal((3, 5)), weights(1, 4, 5)
    found = getattr(rl, f"{name}_cell")(rl.tensor(x), rl.tensor(h), *tensors(w))
    assert np.allclose(found.detach().numpy(), function(x @ w[0].T + w[2] + h @ w[1].T + w[3]))


def test_packed_sequences_give_what_single_ones_give():
    lengths = [4, 2, 1]
    net = rl.nn.LSTM(3, 4, num_layers=2, bidirectional=True, dtype=rl.float64)
    rows = [rl.randn(n, 3, dtype=rl.float64) for n in lengths]
    packed = rl.nn.utils.rnn.pack_sequence(rows)
    out, (h, c) = net(packed)
    out, _ = rl.nn.utils.rnn.pad_packed_sequence(out)
    for i, row in enumerate(rows):
        single, (hs, cs) = net(row)
        assert out[: lengths[i], i].allclose(single) and h[:, i].allclose(hs) and c[:, i].allclose(cs)


def test_gradients():
    x = rl.tensor(RNG.standard_normal((3, 2, 2))).requires_grad_()
    for name, gates, states in (("lstm", 4, 2), ("gru", 3, 1), ("rnn_tanh", 1, 1)):
        w = tensors(weights(gates, 2, 2))
        h = [rl.tensor(RNG.standard_normal((1, 2, 2))).requires_grad_() for _ in range(states)]

        def run(x, *rest, name=name, states=states):
            hidden = list(rest[:states]) if states > 1 else rest[0]
            return getattr(rl, name)(x, hidden, list(rest[states:]), True, 1, 0.0, True, False, False)
        assert rl.autograd.gradcheck(run, (x, *h, *w))


@switches.env(TIER=1)
def test_second_gradients_and_new_lengths_of_time():
    w = tensors(weights(3, 2, 2))
    x = rl.tensor(RNG.standard_normal((2, 1, 2))).requires_grad_()
    h = rl.tensor(RNG.standard_normal((1, 1, 2))).requires_grad_()

    def run(x, h):
        return rl.gru(x, h, w, True, 1, 0.0, True, False, False)[0]
    assert rl.autograd.gradgradcheck(run, (x, h))
    net = rl.nn.LSTM(3, 4)
    for time in (5, 6):
        net(rl.randn(time, 2, 3))[0].sum().backward()
    before = recurrent_kernels()
    for time in (7, 8, 30):
        net(rl.randn(time, 2, 3))[0].sum().backward()
    assert before and recurrent_kernels() == before


CELLS = {"LSTM": rl.nn.LSTMCell, "GRU": rl.nn.GRUCell, "RNN": rl.nn.RNNCell}


def step_by_step(kind, net, x, reverse):
    """What one direction of a layer gives, from single cells: differentiated like any other program."""
    cell = CELLS[kind](net.input_size, net.hidden_size, bias=net.bias, dtype=x.dtype)
    suffix = "_l0_reverse" if reverse else "_l0"
    cell.load_state_dict({name: value for name, value in
                          ((n[: -len(suffix)], p) for n, p in net.named_parameters() if n.endswith(suffix))})
    times, state, found = list(range(len(x))), None, {}
    for time in reversed(times) if reverse else times:
        state = cell(x[time], state)
        found[time] = state[0] if kind == "LSTM" else state
    return cell, rl.stack([found[time] for time in times])


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("time, batch, features, hidden, bias", [
    (90, 9, 3, 20, True),  # inputs and gradients of weights in the kernels, blocks that are not full
    (19, 32, 16, 16, False),  # blocks of eight rows, whole chunks of steps and one that is not
    (2, 9, 3, 20, True),  # too short for gradients of weights in the kernel
    (6, 3, 5, 7, True),  # products of inputs and for weights outside
])
def test_layers_give_what_cells_give(kind, time, batch, features, hidden, bias, monkeypatch):
    monkeypatch.setattr(native_recurrent, "STRETCH", 1)  # tasks go from block to block as often as they can
    net = getattr(rl.nn, kind)(features, hidden, bias=bias, bidirectional=True, dtype=rl.float64)
    x = rl.tensor(RNG.standard_normal((time, batch, features))).requires_grad_()
    seed = rl.tensor(RNG.standard_normal((time, batch, 2 * hidden)))
    out = net(x)[0]
    gradient, *found = rl.autograd.grad(out, [x, *net.parameters()], seed)
    parts = [step_by_step(kind, net, x, reverse) for reverse in (False, True)]
    expected = rl.cat([part for _, part in parts], -1)
    assert out.allclose(expected)
    wanted, *others = rl.autograd.grad(expected, [x, *(p for cell, _ in parts for p in cell.parameters())], seed)
    assert gradient.allclose(wanted) and gradient.is_contiguous()
    assert all(a.allclose(b) and a.stride() == b.stride() for a, b in zip(found, others, strict=True))


@switches.env(TIER=1)
def test_the_kernels_multiply_where_weights_stay_in_the_cache():
    def products(net, time, batch):
        """The matrix products of forward and backward beside the kernels, and the operands of the latter."""
        before = rl.engine.statistics()["launches"]
        net(rl.randn(time, batch, 4))[0].sum().backward()
        rl.cpu.synchronize()
        return rl.engine.statistics()["launches"] - before
    inside, outside = rl.nn.LSTM(4, 8), rl.nn.LSTM(4, 200)
    known = recurrent_kernels()
    products(inside, 10, 8)
    forward, backward = sorted(recurrent_kernels() - known, key=lambda key: key[1] == "Backward")
    assert "joined" in forward[5] and {"dw_x", "dw_h"} <= set(backward[5])
    assert not {"dgates_x", "dx"} & set(backward[5])  # nobody asked for the gradient of the input
    assert products(inside, 10, 8) < products(outside, 10, 8)


def test_rows_that_have_ended_add_nothing_to_weights():
    lengths = [21, 20, 20, 16, 9, 3, 2, 1, 1]
    net = rl.nn.GRU(3, 6, dtype=rl.float64)
    rows = [rl.randn(n, 3, dtype=rl.float64, requires_grad=True) for n in lengths]
    wanted = [*rows, *net.parameters()]
    packed = net(rl.nn.utils.rnn.pack_sequence(rows))[0].data
    found = rl.autograd.grad(packed.square().sum(), wanted)
    expected = rl.autograd.grad(sum(net(row)[0].square().sum() for row in rows), wanted)
    assert all(a.allclose(b) for a, b in zip(found, expected, strict=True))


def recurrent_kernels():
    """The keys of the recurrent kernels that there are."""
    return {key for key in jit._addresses if key[0] == "recurrent"}
