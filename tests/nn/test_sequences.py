"""Recurrent networks and sequences of different lengths: packing, padding, checks, results against a plain loop."""
import pytest

import rushlight as rl
from rushlight import nn
from rushlight.nn.utils import rnn


def step_lstm(layer, x, h, c):
    """One step of an LSTM from its formula."""
    gates = x @ layer.weight_ih_l0.T + layer.bias_ih_l0 + h @ layer.weight_hh_l0.T + layer.bias_hh_l0
    i, f, g, o = gates.chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def test_packing():
    packed = rnn.pack_padded_sequence(rl.arange(12).view(4, 3), [1, 4, 2], enforce_sorted=False)
    assert packed.data.tolist() == [1, 2, 0, 4, 5, 7, 10] and packed.batch_sizes.tolist() == [3, 2, 1, 1]
    assert packed.sorted_indices.tolist() == [1, 2, 0] and packed.unsorted_indices.tolist() == [2, 0, 1]
    padded, lengths = rnn.pad_packed_sequence(packed)
    assert padded.tolist() == [[0, 1, 2], [0, 4, 5], [0, 7, 0], [0, 10, 0]] and lengths.tolist() == [1, 4, 2]
    padded, _ = rnn.pad_packed_sequence(packed, batch_first=True, padding_value=-1, total_length=5)
    assert padded.tolist() == [[0, -1, -1, -1, -1], [1, 4, 7, 10, -1], [2, 5, -1, -1, -1]]
    packed = rnn.pack_padded_sequence(rl.arange(12).view(3, 4), rl.tensor([4, 3, 1]), batch_first=True)
    assert packed.data.tolist() == [0, 4, 8, 1, 5, 2, 6, 3] and packed.sorted_indices is None
    assert "batch_sizes=tensor([3, 2, 2, 1])" in repr(packed) and repr(packed).startswith("PackedSequence(data=")


def test_packing_gradients():
    x = rl.randn(4, 3, 2, requires_grad=True)
    packed = rnn.pack_padded_sequence(x, [4, 2, 1])
    padded, _ = rnn.pad_packed_sequence(packed)
    (padded * 2).sum().backward()
    assert x.grad[:, :, 0].tolist() == [[2.0, 2.0, 2.0], [2.0, 2.0, 0.0], [2.0, 0.0, 0.0], [2.0, 0.0, 0.0]]


def test_casts_of_packed():
    packed = rnn.pack_sequence([rl.ones(3), rl.ones(2)])
    assert packed.double().data.dtype is rl.float64 and packed.cpu() is packed and packed.float() is packed
    assert packed.to(rl.int64).batch_sizes is packed.batch_sizes and not packed.is_cuda


@pytest.mark.parametrize(
    "lengths, message",
    [
        ([1, 3, 2], "must be sorted in decreasing order"),
        ([4, 3], "Expected `len.lengths.` to be equal to batch_size"),
        ([4, 3, 0], "Length of all samples has to be greater than 0"),
    ],
)
def test_packing_errors(lengths, message):
    with pytest.raises(RuntimeError, match=message):
        rnn.pack_padded_sequence(rl.zeros(4, 3, 2), lengths)


def test_lists_of_sequences():
    sequences = [rl.arange(2), rl.arange(3)]
    assert rnn.pad_sequence(sequences).tolist() == [[0, 0], [1, 1], [0, 2]]
    padded = rnn.pad_sequence(sequences, batch_first=True, padding_value=9, padding_side="left")
    assert padded.tolist() == [[9, 0, 1], [0, 1, 2]]
    packed = rnn.pack_sequence(sequences, enforce_sorted=False)
    assert [t.tolist() for t in rnn.unpack_sequence(packed)] == [[0, 1], [0, 1, 2]]
    assert [t.tolist() for t in rnn.unpad_sequence(rl.arange(6).view(3, 2), rl.tensor([1, 3]))] == [[0], [1, 3, 5]]
    with pytest.raises(RuntimeError, match="received an empty list of sequences"):
        rnn.pad_sequence([])
    with pytest.raises(RuntimeError, match="Expected padding_side to be one of left or right"):
        rnn.pad_sequence(sequences, padding_side="up")


def test_lstm_against_formula():
    layer = nn.LSTM(2, 3)
    x, h, c = rl.randn(4, 5, 2), rl.zeros(5, 3), rl.zeros(5, 3)
    output, (last_h, last_c) = layer(x)
    for step in range(4):
        h, c = step_lstm(layer, x[step], h, c)
        assert rl.allclose(output[step], h, atol=1e-5)
    assert rl.allclose(last_h[0], h, atol=1e-5) and rl.allclose(last_c[0], c, atol=1e-5)
    unbatched, (h0, _) = layer(x[:, 0])
    assert unbatched.shape == (4, 3) and h0.shape == (1, 3) and rl.allclose(unbatched, output[:, 0], atol=1e-5)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_packed_agrees_with_single_sequences(kind):
    layer = getattr(nn, kind)(2, 3, num_layers=2, bidirectional=True)
    sequences = [rl.randn(2, 2), rl.randn(4, 2), rl.randn(3, 2)]
    output, hidden = layer(rnn.pack_sequence(sequences, enforce_sorted=False))
    hidden = hidden[0] if kind == "LSTM" else hidden
    for place, (sequence, result) in enumerate(zip(sequences, rnn.unpack_sequence(output))):
        alone, state = layer(sequence)
        state = state[0] if kind == "LSTM" else state
        assert rl.allclose(result, alone, atol=1e-5) and rl.allclose(hidden[:, place], state, atol=1e-5)


def test_batch_first_and_training():
    layer = nn.GRU(2, 3, batch_first=True)
    x = rl.randn(5, 4, 2, requires_grad=True)
    output, hidden = layer(x)
    assert output.shape == (5, 4, 3) and hidden.shape == (1, 5, 3)
    output.sum().backward()
    assert x.grad.abs().sum().item() > 0 and all(p.grad is not None for p in layer.parameters())


def test_cells():
    x = rl.randn(4, 2)
    for kind in (nn.RNNCell, nn.GRUCell):
        cell = kind(2, 3)
        assert cell(x).shape == (4, 3) and rl.allclose(cell(x[0]), cell(x)[0], atol=1e-6)
    h, c = nn.LSTMCell(2, 3)(x)
    assert h.shape == c.shape == (4, 3)
    with pytest.raises(ValueError, match="RNNCell: Expected input to be 1D or 2D, got 3D instead"):
        nn.RNNCell(2, 3)(rl.zeros(1, 1, 2))
    with pytest.raises(RuntimeError, match="Unknown nonlinearity: foo"):
        nn.RNNCell(2, 3, nonlinearity="foo")(x)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda m: m(rl.zeros(2)), ValueError, "GRU: Expected input to be 2D or 3D, got 1D instead"),
        (lambda m: m(rl.zeros(4, 3, 5)), RuntimeError, "Expected 2, got 5"),
        (lambda m: m(rl.zeros(4, 3, 2).double()), ValueError, "does not match weight dtype"),
        (lambda m: m(rl.zeros(4, 3, 2), rl.zeros(1, 3)), RuntimeError, "hx should also be 3-D but got 2-D tensor"),
        (lambda m: m(rl.zeros(4, 2), rl.zeros(1, 1, 3)), RuntimeError, "hx should also be 2-D but got 3-D tensor"),
        (lambda m: m(rl.zeros(4, 3, 2), rl.zeros(1, 1, 3)), RuntimeError, "Expected hidden size .1, 3, 3., got .1, 1"),
    ],
)
def test_checks(call, error, message):
    with pytest.raises(error, match=message):
        call(nn.GRU(2, 3))
