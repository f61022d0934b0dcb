"""MaxViT (Tu et al. 2022, arXiv:2204.01697): convolutions, attention in windows and attention over a grid."""

import collections
import functools
import math

from ... import api as rl
from ... import nn
from ...nn import functional as F
from ...nn import init
from ..ops.misc import Conv2dNormActivation, SqueezeExcitation
from ..ops.stochastic_depth import StochasticDepth
from ._api import weights_enum
from ._utils import _ovewrite_named_param, builder, drawn, init_modules, unit_norm
from .swin_transformer import relative_positions

__all__ = ["MaxVit", "MaxVit_T_Weights", "maxvit_t"]


def _halved(size):
    """The size (H, W) of a 3 x 3 convolution's result with stride 2 and padding 1."""
    return tuple([(n - 1) // 2 + 1 for n in size])


class MBConv(nn.Module):
    """A depthwise convolution and squeeze-and-excitation between 1 x 1 convolutions, beside a shortcut."""

    def __init__(self, in_channels, out_channels, expansion_ratio, squeeze_ratio, stride, activation_layer, norm_layer,
                 p_stochastic_dropout=0.0):
        super().__init__()
        self.proj = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            proj = [nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=True)]
            if stride == 2:
                proj.insert(0, nn.AvgPool2d(kernel_size=3, stride=stride, padding=1))
            self.proj = nn.Sequential(*proj)
        self.stochastic_depth = nn.Identity()
        if p_stochastic_dropout:
            self.stochastic_depth = StochasticDepth(p_stochastic_dropout, mode="row")
        middle, squeezed = int(out_channels * expansion_ratio), int(out_channels * squeeze_ratio)
        options = {"activation_layer": activation_layer, "norm_layer": norm_layer, "inplace": None}
        layers = collections.OrderedDict()
        layers["pre_norm"] = norm_layer(in_channels)
        layers["conv_a"] = Conv2dNormActivation(in_channels, middle, 1, padding=0, **options)
        layers["conv_b"] = Conv2dNormActivation(middle, middle, 3, stride=stride, padding=1, groups=middle, **options)
        layers["squeeze_excitation"] = SqueezeExcitation(middle, squeezed, activation=nn.SiLU)
        layers["conv_c"] = nn.Conv2d(middle, out_channels, kernel_size=1, bias=True)
        self.layers = nn.Sequential(layers)

    def forward(self, x):
        return self.proj(x) + self.stochastic_depth(self.layers(x))


class RelativePositionalMultiHeadAttention(nn.Module):
    """Attention over (B, groups, positions, features) with a learned bias for each difference of two positions."""

    def __init__(self, feat_dim, head_dim, max_seq_len):
        super().__init__()
        if feat_dim % head_dim != 0:
            raise ValueError(f"feat_dim: {feat_dim} must be divisible by head_dim: {head_dim}")
        self.n_heads, self.head_dim, self.max_seq_len = feat_dim // head_dim, head_dim, max_seq_len
        self.size = int(math.sqrt(max_seq_len))
        self.to_qkv = nn.Linear(feat_dim, feat_dim * 3)
        self.scale_factor = feat_dim**-0.5
        self.merge = nn.Linear(feat_dim, feat_dim)
        table = rl.empty(((2 * self.size - 1) ** 2, self.n_heads), dtype=rl.float32)
        self.relative_position_bias_table = nn.Parameter(table)
        self.register_buffer("relative_position_index", relative_positions([self.size, self.size]))
        init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def get_relative_positional_bias(self):
        """Return the biases (1, heads, positions, positions)."""
        return self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1).unsqueeze(0)

    def forward(self, x):
        batch, groups, positions, features = x.shape
        split = (batch, groups, positions, self.n_heads, self.head_dim)
        q, k, v = [part.reshape(split).permute(0, 1, 3, 2, 4) for part in rl.chunk(self.to_qkv(x), 3, dim=-1)]
        scores = q @ (k * self.scale_factor).transpose(-2, -1) + self.get_relative_positional_bias()
        out = F.softmax(scores, dim=-1) @ v
        return self.merge(out.permute(0, 1, 3, 2, 4).reshape(batch, groups, positions, features))


class SwapAxes(nn.Module):
    """The dimensions `a` and `b` exchanged."""

    def __init__(self, a, b):
        super().__init__()
        self.a, self.b = a, b

    def forward(self, x):
        return rl.swapaxes(x, self.a, self.b)


class WindowPartition(nn.Module):
    """(B, C, H, W) → (B, windows, positions, C) for windows of p x p."""

    def forward(self, x, p):
        batch, channels, height, width = x.shape
        x = x.reshape(batch, channels, height // p, p, width // p, p).permute(0, 2, 4, 3, 5, 1)
        return x.reshape(batch, (height // p) * (width // p), p * p, channels)


class WindowDepartition(nn.Module):
    """The reverse of `WindowPartition`, for a number of windows along each side."""

    def forward(self, x, p, h_partitions, w_partitions):
        batch, _, _, channels = x.shape
        x = x.reshape(batch, h_partitions, w_partitions, p, p, channels).permute(0, 5, 1, 3, 2, 4)
        return x.reshape(batch, channels, h_partitions * p, w_partitions * p)


class PartitionAttentionLayer(nn.Module):
    """Attention and a perceptron over windows ("window"), or over the equal positions of all windows ("grid")."""

    def __init__(self, in_channels, head_dim, partition_size, partition_type, grid_size, mlp_ratio, activation_layer,
                 norm_layer, attention_dropout, mlp_dropout, p_stochastic_dropout):
        super().__init__()
        if partition_type not in ("grid", "window"):
            raise ValueError("partition_type must be either 'grid' or 'window'")
        self.n_heads, self.head_dim = in_channels // head_dim, head_dim
        self.n_partitions = grid_size[0] // partition_size
        self.partition_type, self.grid_size = partition_type, grid_size
        grid = partition_type == "grid"
        self.p, self.g = (self.n_partitions, partition_size) if grid else (partition_size, self.n_partitions)
        self.partition_op = WindowPartition()
        self.departition_op = WindowDepartition()
        self.partition_swap = SwapAxes(-2, -3) if grid else nn.Identity()
        self.departition_swap = SwapAxes(-2, -3) if grid else nn.Identity()
        self.attn_layer = nn.Sequential(
            norm_layer(in_channels), RelativePositionalMultiHeadAttention(in_channels, head_dim, partition_size**2),
            nn.Dropout(attention_dropout))
        self.mlp_layer = nn.Sequential(
            nn.LayerNorm(in_channels), nn.Linear(in_channels, in_channels * mlp_ratio), activation_layer(),
            nn.Linear(in_channels * mlp_ratio, in_channels), nn.Dropout(mlp_dropout))
        self.stochastic_dropout = StochasticDepth(p_stochastic_dropout, mode="row")

    def forward(self, x):
        if self.grid_size[0] % self.p != 0 or self.grid_size[1] % self.p != 0:
            raise AssertionError("Grid size must be divisible by partition size. Got grid size of "
                                 f"{self.grid_size} and partition size of {self.p}")
        x = self.partition_swap(self.partition_op(x, self.p))
        x = x + self.stochastic_dropout(self.attn_layer(x))
        x = x + self.stochastic_dropout(self.mlp_layer(x))
        return self.departition_op(self.departition_swap(x), self.p, *[n // self.p for n in self.grid_size])


class MaxVitLayer(nn.Module):
    """`MBConv`, attention in windows and attention over the grid."""

    def __init__(self, in_channels, out_channels, squeeze_ratio, expansion_ratio, stride, norm_layer, activation_layer,
                 head_dim, mlp_ratio, mlp_dropout, attention_dropout, p_stochastic_dropout, partition_size, grid_size):
        super().__init__()
        layers = collections.OrderedDict()
        layers["MBconv"] = MBConv(in_channels, out_channels, expansion_ratio, squeeze_ratio, stride, activation_layer,
                                  norm_layer, p_stochastic_dropout)
        for kind in ("window", "grid"):
            layers[f"{kind}_attention"] = PartitionAttentionLayer(
                out_channels, head_dim, partition_size, kind, grid_size, mlp_ratio, activation_layer, nn.LayerNorm,
                attention_dropout, mlp_dropout, p_stochastic_dropout)
        self.layers = nn.Sequential(layers)

    def forward(self, x):
        return self.layers(x)


class MaxVitBlock(nn.Module):
    """Layers of one size; the first halves it."""

    def __init__(self, in_channels, out_channels, squeeze_ratio, expansion_ratio, norm_layer, activation_layer,
                 head_dim, mlp_ratio, mlp_dropout, attention_dropout, partition_size, input_grid_size, n_layers,
                 p_stochastic):
        super().__init__()
        if len(p_stochastic) != n_layers:
            raise ValueError(f"p_stochastic must have length n_layers={n_layers}, got p_stochastic={p_stochastic}.")
        self.layers = nn.ModuleList()
        self.grid_size = _halved(input_grid_size)
        for i, p in enumerate(p_stochastic):
            self.layers.append(MaxVitLayer(
                out_channels if i else in_channels, out_channels, squeeze_ratio, expansion_ratio, 1 if i else 2,
                norm_layer, activation_layer, head_dim, mlp_ratio, mlp_dropout, attention_dropout, p, partition_size,
                self.grid_size))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class MaxVit(nn.Module):
    """MaxViT: images (N, 3, *input_size) → scores (N, num_classes).

    Args:
        input_size (tuple of 2 int): sides of the images; the size of every block has to be divisible by
            `partition_size`.
        stem_channels (int): channels of the first convolutions.
        partition_size (int): side of windows and grids.
        block_channels, block_layers (list of int): channels and layers of the blocks.
        head_dim (int): features of a head.
        stochastic_depth_prob (float): probability for the last layer; it grows from 0 linearly.
        norm_layer, activation_layer (callable, optional): of convolutions; `BatchNorm2d` and `GELU` by default.
        squeeze_ratio, expansion_ratio (float), mlp_ratio (int): features inside, in multiples of those outside.
        mlp_dropout, attention_dropout (float): probabilities.
        num_classes (int): number of classes.
    """

    def __init__(self, input_size, stem_channels, partition_size, block_channels, block_layers, head_dim,
                 stochastic_depth_prob, norm_layer=None, activation_layer=nn.GELU, squeeze_ratio=0.25,
                 expansion_ratio=4, mlp_ratio=4, mlp_dropout=0.0, attention_dropout=0.0, num_classes=1000):
        super().__init__()
        norm_layer = norm_layer or functools.partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)
        size = _halved(input_size)
        _check_sizes(size, len(block_channels), partition_size)
        self.stem = nn.Sequential(
            Conv2dNormActivation(3, stem_channels, 3, stride=2, norm_layer=norm_layer,
                                 activation_layer=activation_layer, bias=False, inplace=None),
            Conv2dNormActivation(stem_channels, stem_channels, 3, norm_layer=None, activation_layer=None, bias=True))
        self.partition_size = partition_size
        self.blocks = nn.ModuleList()
        total, channels, done = sum(block_layers), stem_channels, 0
        for wide, count in zip(block_channels, block_layers):
            chances = [stochastic_depth_prob * i / max(1, total - 1) for i in range(done, done + count)]
            self.blocks.append(MaxVitBlock(
                channels, wide, squeeze_ratio, expansion_ratio, norm_layer, activation_layer, head_dim, mlp_ratio,
                mlp_dropout, attention_dropout, partition_size, size, count, chances))
            size, channels, done = self.blocks[-1].grid_size, wide, done + count
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(channels), nn.Linear(channels, channels), nn.Tanh(),
            nn.Linear(channels, num_classes, bias=False))
        normal = drawn(init.normal_, std=0.02)
        init_modules(self, ((nn.Conv2d, nn.Linear), normal), (nn.BatchNorm2d, unit_norm))

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.classifier(x)


def _check_sizes(size, blocks, partition_size):
    sizes = []
    for _ in range(blocks):
        size = _halved(size)
        sizes.append(size)
    for i, size in enumerate(sizes):
        if size[0] % partition_size != 0 or size[1] % partition_size != 0:
            raise ValueError(
                f"Input size {size} of block {i} is not divisible by partition size {partition_size}. Consider "
                f"changing the partition size or the input size.\nCurrent configuration yields the following block "
                f"input sizes: {sizes}.")


def _prepare(weights, kwargs):
    _ovewrite_named_param(kwargs, "input_size", weights.meta["min_size"])


MaxVit_T_Weights = weights_enum("MaxVit_T_Weights", __name__)
maxvit_t = builder(
    "maxvit_t", MaxVit_T_Weights,
    functools.partial(MaxVit, stem_channels=64, block_channels=[64, 128, 256, 512], block_layers=[2, 2, 5, 2],
                      head_dim=32, stochastic_depth_prob=0.2, partition_size=7, input_size=(224, 224)),
    "Build MaxViT of size T.", prepare=_prepare)
