"""Vision transformers (Dosovitskiy et al. 2020, arXiv:2010.11929)."""

import collections
import functools
import math
import typing

from ... import api as rl
from ... import nn
from ...nn import functional as F
from ...nn import init
from ..ops.misc import MLP, Conv2dNormActivation, rename_keys
from ._api import weights_enum
from ._utils import _ovewrite_named_param, builder

__all__ = [
    "VisionTransformer", "ViT_B_16_Weights", "ViT_B_32_Weights", "ViT_L_16_Weights", "ViT_L_32_Weights",
    "ViT_H_14_Weights", "vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32", "vit_h_14",
]

_layer_norm = functools.partial(nn.LayerNorm, eps=1e-6)


class ConvStemConfig(typing.NamedTuple):
    """A convolution of a stem that stands in for patches."""

    out_channels: int
    kernel_size: int
    stride: int
    norm_layer: typing.Callable = nn.BatchNorm2d
    activation_layer: typing.Callable = nn.ReLU


def init_perceptron(module):
    """Initialise the perceptron of a transformer's block."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                init.normal_(layer.bias, std=1e-6)


class MLPBlock(MLP):
    """The perceptron of an encoder block."""

    _version = 2

    def __init__(self, in_dim, mlp_dim, dropout):
        super().__init__(in_dim, [mlp_dim, in_dim], activation_layer=nn.GELU, inplace=None, dropout=dropout)
        init_perceptron(self)

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
        if local_metadata.get("version", None) in (None, 1):
            rename_keys(state_dict, [(f"{prefix}linear_{i + 1}.{kind}", f"{prefix}{3 * i}.{kind}")
                                     for i in range(2) for kind in ("weight", "bias")])
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


class EncoderBlock(nn.Module):
    """Attention and a perceptron, each with normalisation before it and a shortcut beside it."""

    def __init__(self, num_heads, hidden_dim, mlp_dim, dropout, attention_dropout, norm_layer=_layer_norm):
        super().__init__()
        self.num_heads = num_heads
        self.ln_1 = norm_layer(hidden_dim)
        self.self_attention = nn.MultiheadAttention(hidden_dim, num_heads, dropout=attention_dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = norm_layer(hidden_dim)
        self.mlp = MLPBlock(hidden_dim, mlp_dim, dropout)

    def forward(self, input):
        _check_sequences(input)
        x = self.ln_1(input)
        x = self.dropout(self.self_attention(x, x, x, need_weights=False)[0]) + input
        return x + self.mlp(self.ln_2(x))


def _check_sequences(input):
    rl._assert(input.dim() == 3, f"Expected (batch_size, seq_length, hidden_dim) got {input.shape}")


class Encoder(nn.Module):
    """Blocks over sequences (N, seq_length, hidden_dim) to which positions are added."""

    def __init__(self, seq_length, num_layers, num_heads, hidden_dim, mlp_dim, dropout, attention_dropout,
                 norm_layer=_layer_norm):
        super().__init__()
        self.pos_embedding = nn.Parameter(rl.empty(1, seq_length, hidden_dim).normal_(std=0.02))
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.Sequential(collections.OrderedDict(
            (f"encoder_layer_{i}",
             EncoderBlock(num_heads, hidden_dim, mlp_dim, dropout, attention_dropout, norm_layer))
            for i in range(num_layers)))
        self.ln = norm_layer(hidden_dim)

    def forward(self, input):
        _check_sequences(input)
        return self.ln(self.layers(self.dropout(input + self.pos_embedding)))


class VisionTransformer(nn.Module):
    """A transformer over patches: images (N, 3, image_size, image_size) → scores (N, num_classes).

    Args:
        image_size, patch_size (int): sides in pixels; patches have to divide the image.
        num_layers, num_heads, hidden_dim, mlp_dim (int): blocks, heads, features, features inside perceptrons.
        dropout, attention_dropout (float): probabilities.
        num_classes (int): number of classes.
        representation_size (int, optional): features of a layer before the last one.
        norm_layer (callable): `LayerNorm` with eps 1e-6 by default.
        conv_stem_configs (list of ConvStemConfig, optional): convolutions in place of patches.
    """

    def __init__(self, image_size, patch_size, num_layers, num_heads, hidden_dim, mlp_dim, dropout=0.0,
                 attention_dropout=0.0, num_classes=1000, representation_size=None, norm_layer=_layer_norm,
                 conv_stem_configs=None):
        super().__init__()
        if image_size % patch_size != 0:
            raise AssertionError("Input shape indivisible by patch size!")
        self.image_size, self.patch_size, self.hidden_dim, self.mlp_dim = image_size, patch_size, hidden_dim, mlp_dim
        self.attention_dropout, self.dropout, self.num_classes = attention_dropout, dropout, num_classes
        self.representation_size, self.norm_layer = representation_size, norm_layer
        if conv_stem_configs is None:
            self.conv_proj = nn.Conv2d(3, hidden_dim, kernel_size=patch_size, stride=patch_size)
        else:
            self.conv_proj = _stem(conv_stem_configs, hidden_dim)
        self.class_token = nn.Parameter(rl.zeros(1, 1, hidden_dim))
        self.seq_length = (image_size // patch_size) ** 2 + 1
        self.encoder = Encoder(self.seq_length, num_layers, num_heads, hidden_dim, mlp_dim, dropout,
                               attention_dropout, norm_layer)
        heads = collections.OrderedDict()
        if representation_size is not None:
            heads["pre_logits"] = nn.Linear(hidden_dim, representation_size)
            heads["act"] = nn.Tanh()
        heads["head"] = nn.Linear(hidden_dim if representation_size is None else representation_size, num_classes)
        self.heads = nn.Sequential(heads)
        self._init_weights()

    def _init_weights(self):
        if isinstance(self.conv_proj, nn.Conv2d):
            _draw_by_inputs(self.conv_proj)
        else:
            last = self.conv_proj.conv_last
            init.normal_(last.weight, mean=0.0, std=math.sqrt(2.0 / last.out_channels))
            init.zeros_(last.bias)
        if self.representation_size is not None:
            _draw_by_inputs(self.heads.pre_logits)
        init.zeros_(self.heads.head.weight)
        init.zeros_(self.heads.head.bias)

    def _process_input(self, x):
        n, _, h, w = x.shape
        for name, size in (("height", h), ("width", w)):
            rl._assert(size == self.image_size, f"Wrong image {name}! Expected {self.image_size} but got {size}!")
        p = self.patch_size
        return self.conv_proj(x).reshape(n, self.hidden_dim, (h // p) * (w // p)).permute(0, 2, 1)

    def forward(self, x):
        x = self._process_input(x)
        x = self.encoder(rl.cat([self.class_token.expand(x.shape[0], -1, -1), x], dim=1))
        return self.heads(x[:, 0])


def _stem(configs, hidden_dim):
    layers, channels = collections.OrderedDict(), 3
    for i, config in enumerate(configs):
        layers[f"conv_bn_relu_{i}"] = Conv2dNormActivation(
            channels, config.out_channels, config.kernel_size, config.stride, norm_layer=config.norm_layer,
            activation_layer=config.activation_layer)
        channels = config.out_channels
    layers["conv_last"] = nn.Conv2d(channels, hidden_dim, kernel_size=1)
    return nn.Sequential(layers)


def _draw_by_inputs(module):
    init.trunc_normal_(module.weight, std=math.sqrt(1 / module.weight[0].numel()))
    if module.bias is not None:
        init.zeros_(module.bias)


def _prepare(weights, kwargs):
    _ovewrite_named_param(kwargs, "image_size", weights.meta["min_size"][0])


def _variant(name, weights, num_layers, num_heads, hidden_dim, **options):
    patch = int(name.rpartition("_")[2])
    construct = functools.partial(
        VisionTransformer, patch_size=patch, num_layers=num_layers, num_heads=num_heads, hidden_dim=hidden_dim,
        mlp_dim=4 * hidden_dim, image_size=224)
    doc = f"Build the vision transformer of size {name[4].upper()} for patches of {patch} x {patch} pixels."
    return builder(name, weights, construct, doc, prepare=_prepare, **options)


ViT_B_16_Weights = weights_enum("ViT_B_16_Weights", __name__)
ViT_B_32_Weights = weights_enum("ViT_B_32_Weights", __name__)
ViT_L_16_Weights = weights_enum("ViT_L_16_Weights", __name__)
ViT_L_32_Weights = weights_enum("ViT_L_32_Weights", __name__)
ViT_H_14_Weights = weights_enum("ViT_H_14_Weights", __name__)

vit_b_16 = _variant("vit_b_16", ViT_B_16_Weights, 12, 12, 768)
vit_b_32 = _variant("vit_b_32", ViT_B_32_Weights, 12, 12, 768)
vit_l_16 = _variant("vit_l_16", ViT_L_16_Weights, 24, 16, 1024)
vit_l_32 = _variant("vit_l_32", ViT_L_32_Weights, 24, 16, 1024)
vit_h_14 = _variant("vit_h_14", ViT_H_14_Weights, 32, 16, 1280, pretrained=None)


def interpolate_embeddings(image_size, patch_size, model_state, interpolation_mode="bicubic", reset_heads=False):
    """Return a state dict with positions for images of another size.

    Args:
        image_size, patch_size (int): of the new model.
        model_state (dict): state dict of a vision transformer; changed in place.
        interpolation_mode (str): how positions between positions are computed.
        reset_heads (bool): leave the classifier out if the size changes.

    Raises:
        ValueError: the positions are not those of a square image.
    """
    embedding = model_state["encoder.pos_embedding"]
    if embedding.shape[0] != 1:
        raise ValueError(f"Unexpected position embedding shape: {embedding.shape}")
    side = image_size // patch_size
    old_count = embedding.shape[1] - 1
    if old_count == side * side:
        return model_state
    old_side = math.isqrt(old_count)
    if old_side * old_side != old_count:
        raise ValueError("seq_length is not a perfect square! Instead got seq_length_1d * seq_length_1d = "
                         f"{old_side * old_side } and seq_length = {old_count}")
    token, grid = embedding[:, :1], embedding[:, 1:].permute(0, 2, 1)
    grid = grid.reshape(1, -1, old_side, old_side)
    grid = F.interpolate(grid, size=side, mode=interpolation_mode, align_corners=True)
    grid = grid.reshape(1, -1, side * side).permute(0, 2, 1)
    model_state["encoder.pos_embedding"] = rl.cat([token, grid], dim=1)
    if reset_heads:
        kept = [(key, value) for key, value in model_state.items() if not key.startswith("heads")]
        return collections.OrderedDict(kept)
    return model_state
