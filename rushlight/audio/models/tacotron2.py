"""Tacotron 2 (Shen et al. 2018, arXiv:1712.05884): from symbols to mel spectrograms."""

import warnings

from ... import api as rl
from ... import nn
from ...nn import functional as nnf
from .conformer import padding_mask

NEVER = float("-inf")
PAST_END = 1000.0  # score of the gate beyond the end of a spectrogram
SHARED = 0.5  # dropout of the networks before and after the decoder


def _started(layer, gain):
    nn.init.xavier_uniform_(layer.weight, gain=nn.init.calculate_gain(gain))
    return layer


def _linear(in_dim, out_dim, bias=True, gain="linear"):
    return _started(nn.Linear(in_dim, out_dim, bias=bias), gain)


def _conv(in_channels, out_channels, kernel_size, bias=True, gain="linear"):
    """A convolution that keeps the length, for odd kernels."""
    return _started(nn.Conv1d(in_channels, out_channels, kernel_size, padding=(kernel_size - 1) // 2, bias=bias), gain)


class _LocationLayer(nn.Module):
    def __init__(self, attention_n_filter, attention_kernel_size, attention_hidden_dim):
        super().__init__()
        self.location_conv = _conv(2, attention_n_filter, attention_kernel_size, bias=False)
        self.location_dense = _linear(attention_n_filter, attention_hidden_dim, False, "tanh")

    def forward(self, weights):
        return self.location_dense(self.location_conv(weights).transpose(1, 2))


class _Attention(nn.Module):
    """Attention to symbols that knows where it was before."""

    def __init__(self, attention_rnn_dim, encoder_embedding_dim, attention_hidden_dim, attention_location_n_filter,
                 attention_location_kernel_size):
        super().__init__()
        self.query_layer = _linear(attention_rnn_dim, attention_hidden_dim, False, "tanh")
        self.memory_layer = _linear(encoder_embedding_dim, attention_hidden_dim, False, "tanh")
        self.v = _linear(attention_hidden_dim, 1, False)
        self.location_layer = _LocationLayer(attention_location_n_filter, attention_location_kernel_size,
                                             attention_hidden_dim)

    def forward(self, query, memory, processed_memory, weights, mask):
        energies = self.query_layer(query.unsqueeze(1)) + self.location_layer(weights) + processed_memory
        scores = self.v(energies.tanh()).squeeze(2).masked_fill(mask, NEVER).softmax(1)
        return (scores.unsqueeze(1) @ memory).squeeze(1), scores


class _Prenet(nn.Module):
    """Linear layers with dropout, which is never off: it is what makes the decoder vary."""

    def __init__(self, in_dim, out_sizes):
        super().__init__()
        self.layers = nn.ModuleList(_linear(size, out, False) for size, out in zip([in_dim, *out_sizes], out_sizes))

    def forward(self, x):
        for layer in self.layers:
            x = nnf.dropout(nnf.relu(layer(x)), SHARED, True)
        return x


class _Postnet(nn.Module):
    def __init__(self, n_mels, postnet_embedding_dim, postnet_kernel_size, postnet_n_convolution):
        super().__init__()
        sizes = [n_mels, *[postnet_embedding_dim] * (postnet_n_convolution - 1), n_mels]
        gains = ["tanh"] * (postnet_n_convolution - 1) + ["linear"]
        self.convolutions = nn.ModuleList(
            nn.Sequential(_conv(size, out, postnet_kernel_size, gain=gain), nn.BatchNorm1d(out))
            for size, out, gain in zip(sizes, sizes[1:], gains))

    def forward(self, x):
        for layer in self.convolutions[:-1]:
            x = nnf.dropout(layer(x).tanh(), SHARED, self.training)
        return nnf.dropout(self.convolutions[-1](x), SHARED, self.training)


class _Encoder(nn.Module):
    def __init__(self, encoder_embedding_dim, encoder_n_convolution, encoder_kernel_size):
        super().__init__()
        width = encoder_embedding_dim
        self.convolutions = nn.ModuleList(
            nn.Sequential(_conv(width, width, encoder_kernel_size, gain="relu"), nn.BatchNorm1d(width))
            for _ in range(encoder_n_convolution))
        self.lstm = nn.LSTM(width, width // 2, 1, batch_first=True, bidirectional=True)

    def forward(self, x, lengths):
        for layer in self.convolutions:
            x = nnf.dropout(nnf.relu(layer(x)), SHARED, self.training)
        packed = nn.utils.rnn.pack_padded_sequence(x.transpose(1, 2), lengths.cpu(), batch_first=True)
        return nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)[0]


class _Step:
    """What the decoder carries from frame to frame."""

    def __init__(self, decoder, memory, lengths):
        def zeros(size):
            return memory.new_zeros(memory.shape[0], size)
        self.memory, self.mask = memory, padding_mask(lengths)
        self.processed = decoder.attention_layer.memory_layer(memory)
        self.attention = zeros(decoder.attention_rnn_dim), zeros(decoder.attention_rnn_dim)
        self.decoder = zeros(decoder.decoder_rnn_dim), zeros(decoder.decoder_rnn_dim)
        self.weights, self.total = zeros(memory.shape[1]), zeros(memory.shape[1])
        self.context = zeros(decoder.encoder_embedding_dim)


class _Decoder(nn.Module):
    def __init__(self, n_mels, n_frames_per_step, encoder_embedding_dim, decoder_rnn_dim, decoder_max_step,
                 decoder_dropout, decoder_early_stopping, attention_rnn_dim, attention_hidden_dim,
                 attention_location_n_filter, attention_location_kernel_size, attention_dropout, prenet_dim,
                 gate_threshold):
        super().__init__()
        self.n_mels, self.n_frames_per_step = n_mels, n_frames_per_step
        self.encoder_embedding_dim, self.attention_rnn_dim = encoder_embedding_dim, attention_rnn_dim
        self.decoder_rnn_dim, self.decoder_max_step = decoder_rnn_dim, decoder_max_step
        self.gate_threshold, self.attention_dropout = gate_threshold, attention_dropout
        self.decoder_dropout, self.decoder_early_stopping = decoder_dropout, decoder_early_stopping
        frame = n_mels * n_frames_per_step
        self.prenet = _Prenet(frame, [prenet_dim, prenet_dim])
        self.attention_rnn = nn.LSTMCell(prenet_dim + encoder_embedding_dim, attention_rnn_dim)
        self.attention_layer = _Attention(attention_rnn_dim, encoder_embedding_dim, attention_hidden_dim,
                                          attention_location_n_filter, attention_location_kernel_size)
        self.decoder_rnn = nn.LSTMCell(attention_rnn_dim + encoder_embedding_dim, decoder_rnn_dim)
        self.linear_projection = _linear(decoder_rnn_dim + encoder_embedding_dim, frame)
        self.gate_layer = _linear(decoder_rnn_dim + encoder_embedding_dim, 1, gain="sigmoid")

    def _decode(self, frame, step):
        """The next frame and its gate's score; the step is updated."""
        hidden, cell = self.attention_rnn(rl.cat((frame, step.context), -1), step.attention)
        step.attention = nnf.dropout(hidden, self.attention_dropout, self.training), cell
        step.context, step.weights = self.attention_layer(step.attention[0], step.memory, step.processed,
                                                          rl.stack((step.weights, step.total), 1), step.mask)
        step.total = step.total + step.weights
        hidden, cell = self.decoder_rnn(rl.cat((step.attention[0], step.context), -1), step.decoder)
        step.decoder = nnf.dropout(hidden, self.decoder_dropout, self.training), cell
        both = rl.cat((step.decoder[0], step.context), 1)
        return self.linear_projection(both), self.gate_layer(both)

    def _whole(self, frames, gates, weights):
        """(spectrograms (N, n_mels, time), gates (N, steps), alignments (N, steps, symbols))."""
        frames = rl.stack(frames, 1)
        return (frames.reshape(frames.shape[0], -1, self.n_mels).transpose(1, 2), rl.cat(gates, 1),
                rl.stack(weights, 1))

    def forward(self, memory, mel_specgram_truth, memory_lengths):
        truth = mel_specgram_truth.transpose(1, 2)
        truth = truth.reshape(truth.shape[0], truth.shape[1] // self.n_frames_per_step, -1).transpose(0, 1)
        inputs = self.prenet(rl.cat((rl.zeros_like(truth[:1]), truth)))
        step, found = _Step(self, memory, memory_lengths), ([], [], [])
        for number in range(len(inputs) - 1):
            frame, gate = self._decode(inputs[number], step)
            for values, value in zip(found, (frame, gate, step.weights)):
                values.append(value)
        return self._whole(*found)

    def infer(self, memory, memory_lengths):
        """Decode until all gates are open: (spectrograms, their lengths, gates, alignments)."""
        count = memory.shape[0]
        frame = memory.new_zeros(count, self.n_mels * self.n_frames_per_step)
        step, found = _Step(self, memory, memory_lengths), ([], [], [])
        lengths = rl.zeros(count, dtype=rl.int32, device=memory.device)
        finished = rl.zeros(count, dtype=rl.bool, device=memory.device)
        for _ in range(self.decoder_max_step):
            frame, gate = self._decode(self.prenet(frame), step)
            for values, value in zip(found, (frame, gate, step.weights)):
                values.append(value)
            lengths = lengths + (~finished).int()
            finished = finished | (gate.squeeze(1).sigmoid() > self.gate_threshold)
            if self.decoder_early_stopping and bool(finished.all()):
                break
        if len(found[0]) == self.decoder_max_step:
            warnings.warn("Reached max decoder steps. The generated spectrogram might not cover the whole transcript.")
        frames, gates, weights = self._whole(*found)
        return frames, lengths, gates, weights


class Tacotron2(nn.Module):
    """Symbols (N, length) → mel spectrograms (N, n_mels, time).

    Args:
        mask_padding (bool): clear results beyond the lengths of spectrograms, while training.
        n_mels, n_symbol, n_frames_per_step (int): bands, symbols, frames of a step of the decoder.
        symbol_embedding_dim, encoder_..., decoder_..., attention_..., prenet_dim, postnet_...: sizes and dropouts.
        decoder_max_step (int), decoder_early_stopping (bool), gate_threshold (float): when `infer` ends.
    """

    def __init__(self, mask_padding=False, n_mels=80, n_symbol=148, n_frames_per_step=1, symbol_embedding_dim=512,
                 encoder_embedding_dim=512, encoder_n_convolution=3, encoder_kernel_size=5, decoder_rnn_dim=1024,
                 decoder_max_step=2000, decoder_dropout=0.1, decoder_early_stopping=True, attention_rnn_dim=1024,
                 attention_hidden_dim=128, attention_location_n_filter=32, attention_location_kernel_size=31,
                 attention_dropout=0.1, prenet_dim=256, postnet_n_convolution=5, postnet_kernel_size=5,
                 postnet_embedding_dim=512, gate_threshold=0.5):
        super().__init__()
        self.mask_padding, self.n_mels, self.n_frames_per_step = mask_padding, n_mels, n_frames_per_step
        self.embedding = nn.Embedding(n_symbol, symbol_embedding_dim)
        nn.init.xavier_uniform_(self.embedding.weight)
        self.encoder = _Encoder(encoder_embedding_dim, encoder_n_convolution, encoder_kernel_size)
        self.decoder = _Decoder(n_mels, n_frames_per_step, encoder_embedding_dim, decoder_rnn_dim, decoder_max_step,
                                decoder_dropout, decoder_early_stopping, attention_rnn_dim, attention_hidden_dim,
                                attention_location_n_filter, attention_location_kernel_size, attention_dropout,
                                prenet_dim, gate_threshold)
        self.postnet = _Postnet(n_mels, postnet_embedding_dim, postnet_kernel_size, postnet_n_convolution)

    def forward(self, tokens, token_lengths, mel_specgram, mel_specgram_lengths):
        """Spectrograms before and after the last network, gates (N, time) and alignments (N, time, length), with the
        true spectrograms as input of the decoder. Lengths of tokens must fall."""
        memory = self.encoder(self.embedding(tokens).transpose(1, 2), token_lengths)
        found, gates, alignments = self.decoder(memory, mel_specgram, token_lengths)
        final = found + self.postnet(found)
        if self.mask_padding:
            mask = padding_mask(mel_specgram_lengths)
            found, final = [values.masked_fill(mask.unsqueeze(1), 0.0) for values in (found, final)]
            gates = gates.masked_fill(mask, PAST_END)
        return found, final, gates, alignments

    def infer(self, tokens, lengths=None):
        """Spectrograms for tokens (N, length), their lengths (N,), and alignments (N, time, length)."""
        if lengths is None:
            lengths = rl.full((tokens.shape[0],), tokens.shape[1], dtype=tokens.dtype, device=tokens.device)
        memory = self.encoder(self.embedding(tokens).transpose(1, 2), lengths)
        found, frames, _, alignments = self.decoder.infer(memory, lengths)
        return found + self.postnet(found), frames, alignments
