"""Parts of wav2vec 2.0, HuBERT and WavLM: convolutions that make frames, a transformer, masks and logits."""

from .... import api as rl
from .... import nn
from ....autograd import Function
from ....nn import functional as nnf
from .attention import SelfAttention, WavLMSelfAttention

CONVOLUTIONS = ((512, 10, 5), *[(512, 3, 2)] * 4, *[(512, 2, 2)] * 2)  # (channels, kernel, stride)
MASKED = -10000.0
TEMPERATURE = 0.1


def padding_mask(frames, lengths):
    """Which frames (N, time) of (N, time, features) are beyond the lengths (N,)."""
    places = rl.arange(frames.shape[1], device=lengths.device)
    return places.expand(frames.shape[0], -1) >= lengths[:, None]


class LayerNorm(nn.LayerNorm):
    """Normalise channels (N, channels, time)."""

    def forward(self, input):
        return super().forward(input.transpose(-2, -1)).transpose(-2, -1)


class ConvLayerBlock(nn.Module):
    """A convolution, a normalisation (if any) and GELU."""

    def __init__(self, in_channels, out_channels, kernel_size, stride, bias, layer_norm):
        super().__init__()
        self.kernel_size, self.stride, self.layer_norm = kernel_size, stride, layer_norm
        self.conv = nn.Conv1d(in_channels, out_channels, kernel_size, stride, bias=bias)

    def forward(self, x, length):
        x = self.conv(x)
        x = nnf.gelu(x if self.layer_norm is None else self.layer_norm(x))
        if length is not None:
            length = (rl.div(length - self.kernel_size, self.stride, rounding_mode="floor") + 1).clamp(min=0)
        return x, length


class FeatureExtractor(nn.Module):
    """Sounds (N, time) → frames (N, frames, channels)."""

    def __init__(self, conv_layers):
        super().__init__()
        self.conv_layers = conv_layers

    def forward(self, x, length):
        if x.ndim != 2:
            raise ValueError(f"Expected the input Tensor to be 2D (batch, time). Found: {list(x.shape)}")
        x = x.unsqueeze(1)
        for layer in self.conv_layers:
            x, length = layer(x, length)
        return x.transpose(1, 2), length


def feature_extractor(norm_mode, shapes, bias):
    """The extractor of some (channels, kernel, stride), normalised at the first layer or at all."""
    if norm_mode not in ("group_norm", "layer_norm"):
        raise ValueError("Invalid norm mode")
    blocks, channels = [], 1
    for number, (out, kernel, stride) in enumerate(shapes):
        norm = None
        if norm_mode == "layer_norm":
            norm = LayerNorm(out)
        elif number == 0:
            norm = nn.GroupNorm(out, out)
        blocks.append(ConvLayerBlock(channels, out, kernel, stride, bias, norm))
        channels = out
    return FeatureExtractor(nn.ModuleList(blocks))


class FeatureProjection(nn.Module):
    """Normalise frames and project them."""

    def __init__(self, in_features, out_features, dropout):
        super().__init__()
        self.layer_norm = nn.LayerNorm(in_features)
        self.projection = nn.Linear(in_features, out_features)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        return self.dropout(self.projection(self.layer_norm(x)))


class ConvolutionalPositionalEmbedding(nn.Module):
    """What a wide grouped convolution says about the position of a frame."""

    def __init__(self, embed_dim, kernel_size, groups):
        super().__init__()
        self.embed_dim, self.kernel_size = embed_dim, kernel_size
        conv = nn.Conv1d(embed_dim, embed_dim, kernel_size, padding=kernel_size // 2, groups=groups)
        self.conv = nn.utils.parametrizations.weight_norm(conv, name="weight", dim=2)
        self.num_remove = 1 - kernel_size % 2

    def forward(self, x):
        found = self.conv(x.transpose(-2, -1))
        return nnf.gelu(found[..., :found.shape[-1] - self.num_remove]).transpose(-2, -1)


class FeedForward(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self, io_features, intermediate_features, intermediate_dropout, output_dropout):
        super().__init__()
        self.intermediate_dense = nn.Linear(io_features, intermediate_features)
        self.intermediate_dropout = nn.Dropout(intermediate_dropout)
        self.output_dense = nn.Linear(intermediate_features, io_features)
        self.output_dropout = nn.Dropout(output_dropout)

    def forward(self, x):
        x = self.intermediate_dropout(nnf.gelu(self.intermediate_dense(x)))
        return self.output_dropout(self.output_dense(x))


class EncoderLayer(nn.Module):
    """Attention and a feed-forward layer, normalised before or after."""

    def __init__(self, attention, dropout, layer_norm_first, feed_forward):
        super().__init__()
        self.attention = attention
        self.dropout = nn.Dropout(dropout)
        self.layer_norm = nn.LayerNorm(attention.embed_dim)
        self.layer_norm_first = layer_norm_first
        self.feed_forward = feed_forward
        self.final_layer_norm = nn.LayerNorm(attention.embed_dim)

    def forward(self, x, attention_mask=None, position_bias=None, key_padding_mask=None):
        seen = self.layer_norm(x) if self.layer_norm_first else x
        found, position_bias = self.attention(seen, attention_mask=attention_mask, position_bias=position_bias,
                                              key_padding_mask=key_padding_mask)
        x = x + self.dropout(found)
        if self.layer_norm_first:
            return x + self.feed_forward(self.final_layer_norm(x)), position_bias
        x = self.layer_norm(x)
        return self.final_layer_norm(x + self.feed_forward(x)), position_bias


class Transformer(nn.Module):
    """Layers after the positions; while training each is left out with the probability `layer_drop`."""

    def __init__(self, pos_conv_embed, dropout, layers, layer_norm_first, layer_drop):
        super().__init__()
        self.pos_conv_embed = pos_conv_embed
        self.layer_norm = nn.LayerNorm(pos_conv_embed.embed_dim)
        self.layer_norm_first, self.layer_drop = layer_norm_first, layer_drop
        self.dropout = nn.Dropout(dropout)
        self.layers = layers

    def _preprocess(self, x):
        x = x + self.pos_conv_embed(x)
        return self.dropout(self.layer_norm(x) if self.layer_norm_first else x)

    def forward(self, x, attention_mask=None, position_bias=None):
        x = self._preprocess(x)
        for layer in self.layers:
            if not (self.training and rl.rand(1).item() <= self.layer_drop):
                x, position_bias = layer(x, attention_mask, position_bias=position_bias)
        return x if self.layer_norm_first else self.layer_norm(x)

    def get_intermediate_outputs(self, x, attention_mask=None, num_layers=None):
        """The results of the first `num_layers` layers, or of all."""
        if num_layers is not None and not 0 < num_layers <= len(self.layers):
            raise ValueError(f"`num_layers` must be between [1, {len(self.layers)}]")
        x, position_bias, found = self._preprocess(x), None, []
        for layer in self.layers[:num_layers]:
            x, position_bias = layer(x, attention_mask, position_bias=position_bias)
            found.append(x)
        return found


class Encoder(nn.Module):
    """Projection and transformer. Frames beyond the lengths become 0 and are not attended to."""

    def __init__(self, feature_projection, transformer):
        super().__init__()
        self.feature_projection, self.transformer = feature_projection, transformer

    def _preprocess(self, features, lengths=None):
        x = self.feature_projection(features)
        if lengths is None:
            return x, None
        mask = padding_mask(x, lengths)
        x = x.masked_fill(mask[..., None], 0.0)
        mask = MASKED * mask[:, None, None, :].to(features.dtype)
        return x, mask.expand(-1, 1, x.shape[1], -1)

    def forward(self, features, lengths=None):
        x, mask = self._preprocess(features, lengths)
        return self.transformer(x, attention_mask=mask)

    def extract_features(self, features, lengths=None, num_layers=None):
        """The results of the transformer's layers."""
        x, mask = self._preprocess(features, lengths)
        return self.transformer.get_intermediate_outputs(x, mask, num_layers)


def encoder(o, in_features):
    """The encoder that a dictionary of options (names of `wav2vec2_model`'s parameters) describes."""
    width = o["encoder_embed_dim"]
    projection = FeatureProjection(in_features, width, o["encoder_projection_dropout"])
    positions = ConvolutionalPositionalEmbedding(width, o["encoder_pos_conv_kernel"], o["encoder_pos_conv_groups"])
    layers = nn.ModuleList()
    for number in range(o["encoder_num_layers"]):
        heads, dropout = o["encoder_num_heads"], o["encoder_attention_dropout"]
        if "encoder_num_buckets" in o:
            attention = WavLMSelfAttention(width, heads, dropout, has_relative_attention_bias=number == 0,
                                           num_buckets=o["encoder_num_buckets"],
                                           max_distance=o["encoder_max_distance"])
        else:
            attention = SelfAttention(width, heads, dropout)
        forward = FeedForward(width, o["encoder_ff_interm_features"], o["encoder_ff_interm_dropout"],
                              o["encoder_dropout"])
        layers.append(EncoderLayer(attention, o["encoder_dropout"], o["encoder_layer_norm_first"], forward))
    transformer = Transformer(positions, o["encoder_dropout"], layers, not o["encoder_layer_norm_first"],
                              o["encoder_layer_drop"])
    return Encoder(projection, transformer)


class LogitGenerator(nn.Module):
    """Cosine similarities of frames with the embedding of their label (first) and of all labels."""

    def __init__(self, encoder_embed_dim, num_classes, final_dim, skip_masked, skip_nomask):
        super().__init__()
        self.label_embeddings = nn.Parameter(rl.empty(num_classes, final_dim))
        nn.init.uniform_(self.label_embeddings)
        self.final_proj = nn.Linear(encoder_embed_dim, final_dim)
        self.skip_masked, self.skip_nomask = skip_masked, skip_nomask

    def _logits(self, frames, labels):
        right = self.label_embeddings.index_select(0, labels.long())
        others = self.label_embeddings.unsqueeze(1).expand(-1, frames.shape[0], -1)
        same = (right == others).all(-1)
        logits = rl.cosine_similarity(frames.float(), rl.cat((right.unsqueeze(0), others)).float(), dim=-1)
        logits = logits.to(frames.dtype) / TEMPERATURE
        return rl.cat((logits[:1], logits[1:].masked_fill(same, float("-inf")))).transpose(0, 1)

    def forward(self, x, label, mask_m, mask_u):
        x = self.final_proj(x)
        masked = None if self.skip_masked else self._logits(x[mask_m], label[mask_m])
        return masked, None if self.skip_nomask else self._logits(x[mask_u], label[mask_u])


class ScaledGradient(Function):
    """The identity; the gradient is multiplied by a number."""

    @staticmethod
    def forward(ctx, x, scale):
        ctx.scale = scale
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.scale, None
