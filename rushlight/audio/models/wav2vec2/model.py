"""wav2vec 2.0 (arXiv:2006.11477), HuBERT (arXiv:2106.07447), XLS-R (arXiv:2111.09296) and WavLM (arXiv:2110.13900).

Sounds (N, time) go in; features of frames, or scores if there is an auxiliary layer, come out. Sizes of the published
models stand in SIZES; their functions take the same six options.
"""

import inspect
import math

from .... import nn
from ....nn import init
from . import components
from .masks import MaskGenerator


class Wav2Vec2Model(nn.Module):
    """Convolutions, a transformer and, for recognition, a linear layer.

    Args:
        feature_extractor (nn.Module): sounds (N, time) and lengths → frames and their lengths.
        encoder (nn.Module): frames and lengths → features.
        aux (nn.Module, optional): features → scores.
    """

    def __init__(self, feature_extractor, encoder, aux=None):
        super().__init__()
        self.feature_extractor, self.encoder, self.aux = feature_extractor, encoder, aux

    def extract_features(self, waveforms, lengths=None, num_layers=None):
        """The results of the first `num_layers` layers (all if None), and the lengths of the frames (or None)."""
        x, lengths = self.feature_extractor(waveforms, lengths)
        return self.encoder.extract_features(x, lengths, num_layers), lengths

    def forward(self, waveforms, lengths=None):
        x, lengths = self.feature_extractor(waveforms, lengths)
        x = self.encoder(x, lengths)
        return x if self.aux is None else self.aux(x), lengths


class HuBERTPretrainModel(nn.Module):
    """Predict labels of masked frames.

    Args:
        wav2vec2 (Wav2Vec2Model), mask_generator, logit_generator (nn.Module): the parts.
        feature_grad_mult (float or None): factor of the gradient of the convolutions, between 0 and 1.
    """

    def __init__(self, wav2vec2, mask_generator, logit_generator, feature_grad_mult):
        super().__init__()
        self.wav2vec2, self.mask_generator, self.logit_generator = wav2vec2, mask_generator, logit_generator
        if feature_grad_mult is not None and not 0.0 < feature_grad_mult < 1.0:
            raise ValueError("The value of `feature_grad_mult` must be ``None`` or between (0, 1). Found "
                             f"{feature_grad_mult}")
        self.feature_grad_mult = feature_grad_mult

    def forward(self, waveforms, labels, audio_lengths=None):
        """Logits of masked frames, of others, and the mean square of the convolutions' features."""
        x, lengths = self.wav2vec2.feature_extractor(waveforms, audio_lengths)
        if self.feature_grad_mult is not None:
            x = components.ScaledGradient.apply(x, self.feature_grad_mult)
        penalty = x.float().pow(2).mean()
        padding = None if lengths is None else components.padding_mask(x, lengths)
        x, attention_mask = self.wav2vec2.encoder._preprocess(x, lengths)
        x, mask = self.mask_generator(x, padding)
        x = self.wav2vec2.encoder.transformer(x, attention_mask=attention_mask)
        if x.shape[1] != labels.shape[1]:
            raise ValueError("The length of label must match that of HuBERT model output")
        hidden, seen = mask, ~mask
        if padding is not None:
            hidden = ~padding & mask
            seen = ~padding & ~hidden
        return *self.logit_generator(x, labels, hidden, seen), penalty


# -- builders ----------------------------------------------------------------------------------------------------------

ENCODER = ("extractor_mode", "extractor_conv_layer_config", "extractor_conv_bias", "encoder_embed_dim",
           "encoder_projection_dropout", "encoder_pos_conv_kernel", "encoder_pos_conv_groups", "encoder_num_layers",
           "encoder_num_heads")
DROPOUTS = ("encoder_attention_dropout", "encoder_ff_interm_features", "encoder_ff_interm_dropout", "encoder_dropout",
            "encoder_layer_norm_first", "encoder_layer_drop")
MASKS = ("mask_prob", "mask_selection", "mask_other", "mask_length", "no_mask_overlap", "mask_min_space",
         "mask_channel_prob", "mask_channel_selection", "mask_channel_other", "mask_channel_length",
         "no_mask_channel_overlap", "mask_channel_min_space")
LOGITS = ("skip_masked", "skip_nomask", "num_classes", "final_dim", "feature_grad_mult")


def _signature(*names, **defaults):
    """Give a function that takes options these parameters; it is called with a dictionary of them."""
    required = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names]
    optional = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=d) for n, d in defaults.items()]
    signature = inspect.Signature([*required, *optional])

    def decorate(build):
        def function(*args, **kwargs):
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{build.__name__}() {error}") from None
            bound.apply_defaults()
            return build(bound.arguments)
        function.__name__ = function.__qualname__ = build.__name__
        function.__module__, function.__doc__ = build.__module__, build.__doc__
        function.__signature__ = signature
        return function
    return decorate


def _model(o):
    shapes = o["extractor_conv_layer_config"] or components.CONVOLUTIONS
    extractor = components.feature_extractor(o["extractor_mode"], shapes, o["extractor_conv_bias"])
    encoder = components.encoder(o, shapes[-1][0])
    classes = o.get("aux_num_out")
    return Wav2Vec2Model(extractor, encoder, None if classes is None else nn.Linear(o["encoder_embed_dim"], classes))


@_signature(*ENCODER, *DROPOUTS, "aux_num_out")
def wav2vec2_model(options):
    """Build a model of the family of wav2vec 2.0.

    Args:
        extractor_mode (str): "group_norm" (at the first convolution) or "layer_norm" (at all).
        extractor_conv_layer_config (list of (channels, kernel, stride), optional): that of the paper if None.
        extractor_conv_bias (bool): convolutions have biases.
        encoder_embed_dim, encoder_num_layers, encoder_num_heads, encoder_ff_interm_features (int): sizes.
        encoder_pos_conv_kernel, encoder_pos_conv_groups (int): of the convolution that gives positions.
        encoder_projection_dropout, encoder_attention_dropout, encoder_ff_interm_dropout, encoder_dropout (float):
            probabilities; encoder_layer_drop (float): that of leaving out a layer.
        encoder_layer_norm_first (bool): normalise before attention and feed-forward layers.
        aux_num_out (int, optional): classes of the linear layer at the end.

    Returns:
        Wav2Vec2Model
    """
    return _model(options)


@_signature(*ENCODER, "encoder_num_buckets", "encoder_max_distance", *DROPOUTS, "aux_num_out")
def wavlm_model(options):
    """Build a WavLM: as `wav2vec2_model`, with `encoder_num_buckets` of relative positions up to
    `encoder_max_distance`."""
    return _model(options)


def _init_pretraining(module):
    if isinstance(module, components.ConvLayerBlock):
        init.kaiming_normal_(module.conv.weight)
    elif isinstance(module, components.ConvolutionalPositionalEmbedding):
        init.normal_(module.conv.weight, 0.0, math.sqrt(4.0 / (module.embed_dim * module.kernel_size)))
        init.zeros_(module.conv.bias)
    elif isinstance(module, components.SelfAttention):
        for part in (module.k_proj, module.v_proj, module.q_proj):
            init.xavier_uniform_(part.weight, gain=1 / math.sqrt(2))
        init.xavier_uniform_(module.out_proj.weight)
        init.zeros_(module.out_proj.bias)
    elif isinstance(module, components.Transformer):
        module.apply(_init_linear)


def _init_linear(module):
    if isinstance(module, nn.Linear):
        init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            init.zeros_(module.bias)


@_signature(*ENCODER, *DROPOUTS, *MASKS, *LOGITS)
def hubert_pretrain_model(options):
    """Build a HuBERT for pretraining.

    Arguments are those of `wav2vec2_model`, and

    Args:
        mask_prob (float), mask_selection (str), mask_other, mask_length, no_mask_overlap, mask_min_space: share of
            frames that are masked; spans' lengths are "static", "uniform", "normal" or "poisson", whose second
            parameter is `mask_other`; whether spans may overlap, and the space between them.
        mask_channel_...: the same for channels.
        skip_masked, skip_nomask (bool): no logits of (un)masked frames.
        num_classes, final_dim (int): labels, and size of their embeddings.
        feature_grad_mult (float or None): see `HuBERTPretrainModel`.
    """
    o = options
    wav2vec2 = _model(o)
    masks = MaskGenerator(o["encoder_embed_dim"], *[o[name] for name in MASKS])
    logits = components.LogitGenerator(o["encoder_embed_dim"], o["num_classes"], o["final_dim"], o["skip_masked"],
                                       o["skip_nomask"])
    model = HuBERTPretrainModel(wav2vec2, masks, logits, o["feature_grad_mult"])
    model.apply(_init_pretraining)
    return model


# (first dropouts: projection, attention, feed-forward, output, layers), (mode, bias, width, layers, heads, hidden)
SIZES = {
    "wav2vec2_base": ((0.1, 0.1, 0.1, 0.1, 0.1), ("group_norm", False, 768, 12, 12, 3072)),
    "wav2vec2_large": ((0.1, 0.1, 0.1, 0.1, 0.1), ("group_norm", False, 1024, 24, 16, 4096)),
    "wav2vec2_large_lv60k": ((0.1, 0.0, 0.1, 0.0, 0.1), ("layer_norm", True, 1024, 24, 16, 4096)),
    "wav2vec2_xlsr_300m": ((0.0, 0.0, 0.0, 0.0, 0.0), ("layer_norm", True, 1024, 24, 16, 4096)),
    "wav2vec2_xlsr_1b": ((0.1, 0.0, 0.0, 0.0, 0.0), ("layer_norm", True, 1280, 48, 16, 5120)),
    "wav2vec2_xlsr_2b": ((0.1, 0.0, 0.0, 0.0, 0.0), ("layer_norm", True, 1920, 48, 16, 7680)),
    "hubert_base": ((0.1, 0.1, 0.0, 0.1, 0.05), ("group_norm", False, 768, 12, 12, 3072)),
    "hubert_large": ((0.0, 0.0, 0.0, 0.0, 0.0), ("layer_norm", False, 1024, 24, 16, 4096)),
    "hubert_xlarge": ((0.0, 0.0, 0.0, 0.0, 0.0), ("layer_norm", False, 1280, 48, 16, 5120)),
    "wavlm_base": ((0.1, 0.1, 0.1, 0.1, 0.1), ("group_norm", False, 768, 12, 12, 3072)),
    "wavlm_large": ((0.1, 0.1, 0.0, 0.1, 0.1), ("layer_norm", False, 1024, 24, 16, 4096)),
}
RATES = ("encoder_projection_dropout", "encoder_attention_dropout", "encoder_ff_interm_dropout", "encoder_dropout",
         "encoder_layer_drop")


def model_sizes(name):
    mode, bias, width, layers, heads, hidden = SIZES[name][1]
    found = {"extractor_mode": mode, "extractor_conv_layer_config": None, "extractor_conv_bias": bias,
             "encoder_embed_dim": width, "encoder_pos_conv_kernel": 128, "encoder_pos_conv_groups": 16,
             "encoder_num_layers": layers, "encoder_num_heads": heads, "encoder_ff_interm_features": hidden,
             "encoder_layer_norm_first": mode == "layer_norm"}
    if name.startswith("wavlm"):
        found.update(encoder_num_buckets=320, encoder_max_distance=800)
    return found


def _published(name, text):
    """The function that builds a published model."""
    def build(options):
        return _model({**model_sizes(name), **options})
    build.__name__, build.__doc__ = name, f"Build {text}: see `wav2vec2_model` for the options."
    return _signature(**dict(zip(RATES, SIZES[name][0])), aux_num_out=None)(build)


wav2vec2_base = _published("wav2vec2_base", 'the "base" wav2vec 2.0')
wav2vec2_large = _published("wav2vec2_large", 'the "large" wav2vec 2.0')
wav2vec2_large_lv60k = _published("wav2vec2_large_lv60k", 'the "large lv-60k" wav2vec 2.0')
wav2vec2_xlsr_300m = _published("wav2vec2_xlsr_300m", "XLS-R with 300 million parameters")
wav2vec2_xlsr_1b = _published("wav2vec2_xlsr_1b", "XLS-R with a billion parameters")
wav2vec2_xlsr_2b = _published("wav2vec2_xlsr_2b", "XLS-R with two billion parameters")
hubert_base = _published("hubert_base", 'the "base" HuBERT')
hubert_large = _published("hubert_large", 'the "large" HuBERT')
hubert_xlarge = _published("hubert_xlarge", 'the "extra large" HuBERT')
wavlm_base = _published("wavlm_base", 'the "base" WavLM')
wavlm_large = _published("wavlm_large", 'the "large" WavLM')


def _pretraining(name, size, final_dim, gradient, classes):
    """The function that builds a published HuBERT for pretraining; `classes` is an option if `size` is "base"."""
    fixed = {"mask_selection": "static", "mask_other": 0.0, "mask_length": 10, "no_mask_overlap": False,
             "mask_min_space": 1, "mask_channel_selection": "static", "mask_channel_other": 0.0,
             "no_mask_channel_overlap": False, "mask_channel_min_space": 1, "skip_masked": False,
             "skip_nomask": False, "num_classes": classes, "final_dim": final_dim}
    options = {"mask_prob": 0.8, "mask_channel_prob": 0.0, "mask_channel_length": 10, "feature_grad_mult": gradient}
    if size == "hubert_base":
        options["num_classes"] = classes

    def build(options):
        return hubert_pretrain_model(**{**model_sizes(size), **fixed, **options})
    build.__name__ = name
    build.__doc__ = f"Build `{size}` for pretraining: see `hubert_pretrain_model` for the options."
    return _signature(**dict(zip(RATES, SIZES[size][0])), **options)(build)


hubert_pretrain_base = _pretraining("hubert_pretrain_base", "hubert_base", 256, 0.1, 100)
hubert_pretrain_large = _pretraining("hubert_pretrain_large", "hubert_large", 768, None, 500)
hubert_pretrain_xlarge = _pretraining("hubert_pretrain_xlarge", "hubert_xlarge", 1024, None, 500)
