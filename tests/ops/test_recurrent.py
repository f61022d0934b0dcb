"""Recurrent layers and cells against NumPy."""
import numpy as np
import pytest

import rushlight as rl
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


def recurrent_kernels():
    """The keys of the recurrent kernels that there are."""
    return {key for key in jit._addresses if key[0] == "recurrent"}
