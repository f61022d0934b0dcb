"""Small models of every family, and calls of them. `models` and `torch` are Rushlight's; `recorded.json` holds what
torchaudio 2.11 gives for the same calls and seeds."""

LAYERS = [(16, 10, 5), (16, 3, 2), (16, 2, 2)]
ENCODER = (32, 0.1, 16, 2, 2, 4, 0.1, 64, 0.1, 0.1)
MASKS = (0.8, "static", 0.0, 4, False, 1, 0.0, "static", 0.0, 10, False, 1, False, False)
TRANSDUCER = {
    "input_dim": 8, "encoding_dim": 16, "num_symbols": 7, "segment_length": 8, "right_context_length": 4,
    "time_reduction_input_dim": 8, "time_reduction_stride": 2, "transformer_num_heads": 2, "transformer_ffn_dim": 32,
    "transformer_num_layers": 2, "transformer_dropout": 0.1, "transformer_activation": "gelu",
    "transformer_left_context_length": 4, "transformer_max_memory_size": 0,
    "transformer_weight_init_scale_strategy": "depthwise", "transformer_tanh_on_mem": True, "symbol_embedding_dim": 12,
    "num_lstm_layers": 2, "lstm_layer_norm": True, "lstm_layer_norm_epsilon": 1e-3, "lstm_dropout": 0.1,
}
SPEECH = {
    "n_mels": 8, "n_symbol": 9, "symbol_embedding_dim": 16, "encoder_embedding_dim": 16, "decoder_rnn_dim": 24,
    "decoder_max_step": 6, "attention_rnn_dim": 24, "attention_hidden_dim": 8, "attention_location_n_filter": 4,
    "prenet_dim": 12, "postnet_embedding_dim": 16,
}


def inputs(torch):
    """What the calls take: a function that makes deterministic waves of a shape."""
    def wave(*shape):
        count = 1
        for size in shape:
            count *= size
        return torch.sin(torch.arange(count, dtype=torch.float32) * 0.37).reshape(shape) * 0.5
    return wave


def flat(values):
    """The tensors of nested tuples and lists."""
    if isinstance(values, (tuple, list)):
        return [tensor for value in values for tensor in flat(value)]
    return [values] if hasattr(values, "shape") else []


def lengths(torch, *values):
    return torch.tensor(values, dtype=torch.int32)


def symbols(torch, count, length):
    return torch.arange(count * length).reshape(count, length) % 6


CASES = {  # name: (how to build the model, how to run it)
    "Wav2Letter": (lambda m: m.Wav2Letter(5, "mfcc", 13), lambda f, x, t: f(x(2, 13, 60))),
    "ConvTasNet": (lambda m: m.ConvTasNet(2, 16, 32, 3, 16, 32, 3, 2), lambda f, x, t: f(x(2, 1, 905))),
    "DeepSpeech": (lambda m: m.DeepSpeech(13, 24, 5), lambda f, x, t: f(x(2, 1, 20, 13))),
    "Conformer": (lambda m: m.Conformer(16, 2, 32, 2, 5), lambda f, x, t: f(x(2, 12, 16), lengths(t, 12, 9))),
    "Emformer": (lambda m: m.Emformer(16, 2, 32, 2, 4, left_context_length=4, right_context_length=2,
                                      max_memory_size=2),
                 lambda f, x, t: (f(x(2, 10, 16), lengths(t, 8, 6)), f.infer(x(1, 6, 16), lengths(t, 6), None))),
    "wav2vec2": (lambda m: m.wav2vec2_model("group_norm", LAYERS, False, *ENCODER, False, 0.0, 7),
                 lambda f, x, t: (f(x(2, 1200), lengths(t, 1200, 900)), f.extract_features(x(2, 1200)))),
    "wav2vec2 layer norm": (lambda m: m.wav2vec2_model("layer_norm", LAYERS, True, *ENCODER, True, 0.0, None),
                            lambda f, x, t: f.extract_features(x(2, 1200), num_layers=1)),
    "wavlm": (lambda m: m.wavlm_model("group_norm", LAYERS, False, 32, 0.1, 16, 2, 2, 4, 20, 40, 0.1, 64, 0.1, 0.1,
                                      False, 0.0, 7), lambda f, x, t: f(x(2, 1200))),
    "hubert_pretrain": (lambda m: m.hubert_pretrain_model("group_norm", LAYERS, False, *ENCODER, False, 0.0, *MASKS,
                                                          9, 12, 0.1),
                        lambda f, x, t: f(x(2, 1200), symbols(t, 2, 59), lengths(t, 1200, 1100))),
    "Tacotron2": (lambda m: m.Tacotron2(**SPEECH),
                  lambda f, x, t: (f(symbols(t, 2, 7), lengths(t, 7, 5), x(2, 8, 6), lengths(t, 6, 4)),
                                   f.infer(symbols(t, 2, 7), lengths(t, 7, 5)))),
    "WaveRNN": (lambda m: m.WaveRNN([2, 2, 3], 8, 12, 2, 16, 16, 5, 10, 12, 16),
                lambda f, x, t: f(x(2, 1, 72), x(2, 1, 10, 10))),
    "RNNT": (lambda m: m.emformer_rnnt_model(**TRANSDUCER),
             lambda f, x, t: f(x(2, 20, 8), lengths(t, 16, 12), symbols(t, 2, 5).int(), lengths(t, 5, 3))),
    "HDemucs": (lambda m: m.HDemucs(["drums", "rest"], nfft=256, depth=4, channels=8),
                lambda f, x, t: f(x(1, 2, 4096))),
    "squim": (lambda m: m.squim_objective_model(16, 16, 16, 2, 24, 2, "LSTM", 10), lambda f, x, t: f(x(1, 800))),
}
