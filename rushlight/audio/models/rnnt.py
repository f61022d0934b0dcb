"""Transducers for speech (Graves 2012, arXiv:1211.3711) with an Emformer as encoder."""

from ... import api as rl
from ... import nn
from .emformer import Emformer

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


class _TimeReduction(nn.Module):
    """Joins `stride` neighbouring frames."""

    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, input, lengths):
        count, time, width = input.shape
        time = time // self.stride
        joined = input[:, :time * self.stride].reshape(count, time, width * self.stride)
        return joined, lengths.div(self.stride, rounding_mode="trunc")


class _CustomLSTM(nn.Module):
    """An LSTM whose gates and cells are normalised."""

    def __init__(self, input_dim, hidden_dim, layer_norm=False, layer_norm_epsilon=1e-5):
        super().__init__()
        self.x2g = nn.Linear(input_dim, 4 * hidden_dim, bias=not layer_norm)
        self.p2g = nn.Linear(hidden_dim, 4 * hidden_dim, bias=False)
        self.c_norm = nn.LayerNorm(hidden_dim, eps=layer_norm_epsilon) if layer_norm else nn.Identity()
        self.g_norm = nn.LayerNorm(4 * hidden_dim, eps=layer_norm_epsilon) if layer_norm else nn.Identity()
        self.hidden_dim = hidden_dim

    def forward(self, input, state):
        if state is None:
            state = [input.new_zeros(input.shape[1], self.hidden_dim) for _ in range(2)]
        h, c = state
        found = []
        for gates in self.x2g(input).unbind(0):
            enter, forget, cell, leave = self.g_norm(gates + self.p2g(h)).chunk(4, 1)
            c = self.c_norm(forget.sigmoid() * c + enter.sigmoid() * cell.tanh())
            h = leave.sigmoid() * c.tanh()
            found.append(h)
        return rl.stack(found), [h, c]


class _EmformerEncoder(nn.Module):
    def __init__(self, o):
        super().__init__()
        stride = o["time_reduction_stride"]
        width = o["time_reduction_input_dim"] * stride
        self.input_linear = nn.Linear(o["input_dim"], o["time_reduction_input_dim"], bias=False)
        self.time_reduction = _TimeReduction(stride)
        self.transformer = Emformer(
            width, o["transformer_num_heads"], o["transformer_ffn_dim"], o["transformer_num_layers"],
            o["segment_length"] // stride, o["transformer_dropout"], o["transformer_activation"],
            o["transformer_left_context_length"], o["right_context_length"] // stride,
            o["transformer_max_memory_size"], o["transformer_weight_init_scale_strategy"], o["transformer_tanh_on_mem"])
        self.output_linear = nn.Linear(width, o["encoding_dim"])
        self.layer_norm = nn.LayerNorm(o["encoding_dim"])

    def forward(self, input, lengths):
        x, lengths = self.transformer(*self.time_reduction(self.input_linear(input), lengths))
        return self.layer_norm(self.output_linear(x)), lengths

    def infer(self, input, lengths, states):
        """As `forward` for the next segment of a stream."""
        x, lengths, states = self.transformer.infer(*self.time_reduction(self.input_linear(input), lengths), states)
        return self.layer_norm(self.output_linear(x)), lengths, states


class _Predictor(nn.Module):
    def __init__(self, num_symbols, output_dim, symbol_embedding_dim, num_lstm_layers, lstm_hidden_dim,
                 lstm_layer_norm=False, lstm_layer_norm_epsilon=1e-5, lstm_dropout=0.0):
        super().__init__()
        self.embedding = nn.Embedding(num_symbols, symbol_embedding_dim)
        self.input_layer_norm = nn.LayerNorm(symbol_embedding_dim)
        self.lstm_layers = nn.ModuleList(
            _CustomLSTM(lstm_hidden_dim if layer else symbol_embedding_dim, lstm_hidden_dim, lstm_layer_norm,
                        lstm_layer_norm_epsilon) for layer in range(num_lstm_layers))
        self.dropout = nn.Dropout(lstm_dropout)
        self.linear = nn.Linear(lstm_hidden_dim, output_dim)
        self.output_layer_norm = nn.LayerNorm(output_dim)
        self.lstm_dropout = lstm_dropout

    def forward(self, input, lengths, state=None):
        x, found = self.input_layer_norm(self.embedding(input.permute(1, 0))), []
        for number, layer in enumerate(self.lstm_layers):
            x, new = layer(x, None if state is None else state[number])
            x = self.dropout(x)
            found.append(new)
        return self.output_layer_norm(self.linear(x)).permute(1, 0, 2), lengths, found


class _Joiner(nn.Module):
    def __init__(self, input_dim, output_dim, activation="relu"):
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"Unsupported activation {activation}")
        self.linear = nn.Linear(input_dim, output_dim)
        self.activation = ACTIVATIONS[activation]()

    def forward(self, source_encodings, source_lengths, target_encodings, target_lengths):
        both = source_encodings.unsqueeze(2) + target_encodings.unsqueeze(1)
        return self.linear(self.activation(both)), source_lengths, target_lengths


class RNNT(nn.Module):
    """A transducer: encoder of sounds, predictor of symbols, and what joins both.

    Args:
        transcriber (nn.Module): features (N, T, D) and lengths → encodings and lengths; `infer` for streams.
        predictor (nn.Module): symbols (N, U), lengths and state → encodings, lengths and state.
        joiner (nn.Module): both encodings and lengths → scores (N, T, U, symbols) and lengths.
    """

    def __init__(self, transcriber, predictor, joiner):
        super().__init__()
        self.transcriber, self.predictor, self.joiner = transcriber, predictor, joiner

    def forward(self, sources, source_lengths, targets, target_lengths, predictor_state=None):
        sources, source_lengths = self.transcriber(sources, source_lengths)
        targets, target_lengths, state = self.predictor(targets, target_lengths, predictor_state)
        return *self.joiner(sources, source_lengths, targets, target_lengths), state

    def transcribe_streaming(self, sources, source_lengths, state):
        """Encode the next segment of a stream: encodings, lengths and the new state."""
        return self.transcriber.infer(sources, source_lengths, state)

    def transcribe(self, sources, source_lengths):
        """Encode features: encodings and lengths."""
        return self.transcriber(sources, source_lengths)

    def predict(self, targets, target_lengths, state):
        """Encode symbols: encodings, lengths and the new state."""
        return self.predictor(targets, target_lengths, state)

    def join(self, source_encodings, source_lengths, target_encodings, target_lengths):
        """Score each symbol at each pair of encodings."""
        return self.joiner(source_encodings, source_lengths, target_encodings, target_lengths)


def emformer_rnnt_model(*, input_dim, encoding_dim, num_symbols, segment_length, right_context_length,
                        time_reduction_input_dim, time_reduction_stride, transformer_num_heads, transformer_ffn_dim,
                        transformer_num_layers, transformer_dropout, transformer_activation,
                        transformer_left_context_length, transformer_max_memory_size,
                        transformer_weight_init_scale_strategy, transformer_tanh_on_mem, symbol_embedding_dim,
                        num_lstm_layers, lstm_layer_norm, lstm_layer_norm_epsilon, lstm_dropout):
    """Build a transducer with an Emformer: `transformer_...` are the Emformer's, `lstm_...` the predictor's sizes.

    `segment_length` and `right_context_length` count frames before the time reduction.
    """
    encoder = _EmformerEncoder(locals())
    predictor = _Predictor(num_symbols, encoding_dim, symbol_embedding_dim, num_lstm_layers, symbol_embedding_dim,
                           lstm_layer_norm, lstm_layer_norm_epsilon, lstm_dropout)
    return RNNT(encoder, predictor, _Joiner(encoding_dim, num_symbols))


def emformer_rnnt_base(num_symbols):
    """Build the transducer that was trained on LibriSpeech."""
    return emformer_rnnt_model(
        input_dim=80, encoding_dim=1024, num_symbols=num_symbols, segment_length=16, right_context_length=4,
        time_reduction_input_dim=128, time_reduction_stride=4, transformer_num_heads=8, transformer_ffn_dim=2048,
        transformer_num_layers=20, transformer_dropout=0.1, transformer_activation="gelu",
        transformer_left_context_length=30, transformer_max_memory_size=0,
        transformer_weight_init_scale_strategy="depthwise", transformer_tanh_on_mem=True, symbol_embedding_dim=512,
        num_lstm_layers=3, lstm_layer_norm=True, lstm_layer_norm_epsilon=1e-3, lstm_dropout=0.3)
