"""Swin transformers (Liu et al. 2021, arXiv:2103.14030) and version 2 (arXiv:2111.09883): attention in windows that
shift from block to block. The windows may have any number of dimensions; video/swin_transformer.py has three."""

import functools
import itertools
import math

from ... import api as rl
from ... import nn
from ...nn import functional as F
from ...nn import init
from ..ops.misc import MLP, Permute
from ..ops.stochastic_depth import StochasticDepth
from ._api import weights_enum
from ._utils import builder, drawn, init_modules
from .vision_transformer import init_perceptron

__all__ = [
    "SwinTransformer", "Swin_T_Weights", "Swin_S_Weights", "Swin_B_Weights", "Swin_V2_T_Weights", "Swin_V2_S_Weights",
    "Swin_V2_B_Weights", "swin_t", "swin_s", "swin_b", "swin_v2_t", "swin_v2_s", "swin_v2_b",
]


# -- patches -----------------------------------------------------------------------------------------------------------


def _patch_merging_pad(x):
    """Join each 2 x 2 pixels of (..., H, W, C) to (..., H / 2, W / 2, 4 C), with zeros beyond odd sides."""
    height, width, _ = x.shape[-3:]
    x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
    parts = [x[..., i::2, j::2, :] for j, i in itertools.product(range(2), range(2))]
    return rl.cat(parts, -1)


class PatchMerging(nn.Module):
    """Halve the size and double the features; normalisation first."""

    def __init__(self, dim, norm_layer=nn.LayerNorm):
        super().__init__()
        self.dim = dim
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = norm_layer(4 * dim)

    def forward(self, x):
        return self.reduction(self.norm(_patch_merging_pad(x)))


class PatchMergingV2(nn.Module):
    """Halve the size and double the features; normalisation last."""

    def __init__(self, dim, norm_layer=nn.LayerNorm):
        super().__init__()
        self.dim = dim
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = norm_layer(2 * dim)

    def forward(self, x):
        return self.norm(self.reduction(_patch_merging_pad(x)))


# -- windows -----------------------------------------------------------------------------------------------------------


def into_windows(x, window):
    """(N, sizes..., C) → (N * windows, positions of a window, C)."""
    rank, count = len(window), x.shape[0]
    sizes = [pair for n, w in zip(x.shape[1:-1], window) for pair in (n // w, w)]
    x = x.reshape(count, *sizes, x.shape[-1])
    order = [0, *range(1, 2 * rank, 2), *range(2, 2 * rank + 1, 2), 2 * rank + 1]
    return x.permute(order).reshape(-1, math.prod(window), x.shape[-1])


def from_windows(x, window, sizes):
    """The reverse of `into_windows`."""
    rank = len(window)
    x = x.reshape(-1, *[n // w for n, w in zip(sizes, window)], *window, x.shape[-1])
    order = [0, *[d for i in range(rank) for d in (1 + i, 1 + rank + i)], 2 * rank + 1]
    return x.permute(order).reshape(-1, *sizes, x.shape[-1])


def shift_mask(x, sizes, window, shift):
    """(windows, positions, positions): -100 between positions that the shift has brought together, 0 elsewhere."""
    regions, count = x.new_zeros(sizes), 0
    stretches = [((0, -w), (-w, -s), (-s, None)) for w, s in zip(window, shift)]
    for chosen in itertools.product(*stretches):
        regions[tuple([slice(*ends) for ends in chosen])] = count
        count += 1
    regions = into_windows(regions.unsqueeze(0).unsqueeze(-1), window).squeeze(-1)
    differs = regions.unsqueeze(1) != regions.unsqueeze(2)
    return x.new_zeros(differs.shape).masked_fill(differs, -100.0)


def window_attention(input, attention, bias, window, shift, logit_scale=None):
    """Attention within windows, which are shifted around the ends.

    Args:
        input (Tensor): (N, sizes..., C).
        attention (Module): holds `qkv`, `proj`, `num_heads`, `attention_dropout`, `dropout`.
        bias (Tensor): (1, heads, positions, positions), added to the scores.
        window, shift (list of int): sizes of the windows, and by how much they are shifted.
        logit_scale (Tensor, optional): (heads, 1, 1), for cosine attention.
    """
    sizes, rank, features = input.shape[1:-1], len(window), input.shape[-1]
    dims, heads, training = tuple(range(1, rank + 1)), attention.num_heads, attention.training
    missing = [-n % w for n, w in zip(sizes, window)]
    x = F.pad(input, [0, 0, *[end for n in reversed(missing) for end in (0, n)]])
    padded = tuple(x.shape[1:-1])
    shifted = sum(shift) > 0
    if shifted:
        x = rl.roll(x, shifts=tuple([-s for s in shift]), dims=dims)
    x = into_windows(x, window)
    qkv_bias = attention.qkv.bias
    if logit_scale is not None and qkv_bias is not None:  # keys have no bias in cosine attention
        third = qkv_bias.numel() // 3
        qkv_bias = rl.cat([qkv_bias[:third], rl.zeros_like(qkv_bias[third:2 * third]), qkv_bias[2 * third:]])
    qkv = F.linear(x, attention.qkv.weight, qkv_bias)
    q, k, v = qkv.reshape(*x.shape[:2], 3, heads, features // heads).permute(2, 0, 3, 1, 4).unbind(0)
    if logit_scale is None:
        scores = (q * (features // heads) ** -0.5).matmul(k.transpose(-2, -1))
    else:
        scores = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
        scores = scores * rl.clamp(logit_scale, max=math.log(100.0)).exp()
    scores = scores + bias
    if shifted:
        mask = shift_mask(x, padded, window, shift)
        grouped = scores.reshape(-1, mask.shape[0], heads, *scores.shape[-2:])
        scores = (grouped + mask.unsqueeze(1).unsqueeze(0)).reshape(scores.shape)
    scores = F.dropout(F.softmax(scores, dim=-1), p=attention.attention_dropout, training=training)
    x = scores.matmul(v).transpose(1, 2).reshape(*x.shape[:2], features)
    x = F.dropout(attention.proj(x), p=attention.dropout, training=training)
    x = from_windows(x, window, padded)
    if shifted:
        x = rl.roll(x, shifts=tuple(shift), dims=dims)
    return x[(slice(None), *[slice(n) for n in sizes])].contiguous()


def relative_positions(window):
    """(positions, positions): for each two positions of a window the number of their difference."""
    grids = rl.meshgrid(*[rl.arange(w) for w in window], indexing="ij")
    number = None
    for places, w in zip(grids, window):
        places = places.flatten()
        difference = places[:, None] - places[None, :] + (w - 1)
        number = difference if number is None else number * (2 * w - 1) + difference
    return number


class ShiftedWindowAttention(nn.Module):
    """Attention in windows with a learned bias for each difference of two positions.

    Args:
        dim (int): features.
        window_size, shift_size (list of 2 int): the window, and by how much it is shifted.
        num_heads (int): heads.
        qkv_bias, proj_bias (bool): whether the layers have a bias.
        attention_dropout, dropout (float): probabilities.
    """

    rank = 2

    def __init__(self, dim, window_size, shift_size, num_heads, qkv_bias=True, proj_bias=True, attention_dropout=0.0,
                 dropout=0.0):
        super().__init__()
        if len(window_size) != self.rank or len(shift_size) != self.rank:
            raise ValueError(f"window_size and shift_size must be of length {self.rank}")
        self.window_size, self.shift_size, self.num_heads = window_size, shift_size, num_heads
        self.attention_dropout, self.dropout = attention_dropout, dropout
        self.qkv = nn.Linear(dim, dim * 3, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim, bias=proj_bias)
        self.define_relative_position_bias_table()
        self.define_relative_position_index()

    def define_relative_position_bias_table(self):
        """Make the biases, one for each difference and head."""
        count = math.prod([2 * w - 1 for w in self.window_size])
        self.relative_position_bias_table = nn.Parameter(rl.zeros(count, self.num_heads))
        init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def define_relative_position_index(self):
        """Make the buffer of the numbers of differences."""
        self.register_buffer("relative_position_index", relative_positions(self.window_size).flatten())

    def _biases(self, table):
        count = math.prod(self.window_size)
        return table[self.relative_position_index].view(count, count, -1).permute(2, 0, 1).contiguous().unsqueeze(0)

    def get_relative_position_bias(self):
        """Return the biases (1, heads, positions, positions)."""
        return self._biases(self.relative_position_bias_table)

    def _shift(self, x):
        """The shift; there is none where a window covers the whole padded size."""
        return [0 if w >= n + -n % w else s for n, w, s in zip(x.shape[1:-1], self.window_size, self.shift_size)]

    def forward(self, x):
        return window_attention(x, self, self.get_relative_position_bias(), self.window_size, self._shift(x))


class ShiftedWindowAttentionV2(ShiftedWindowAttention):
    """Cosine attention in windows; a small network computes the biases from differences on a logarithmic scale."""

    def __init__(self, dim, window_size, shift_size, num_heads, qkv_bias=True, proj_bias=True, attention_dropout=0.0,
                 dropout=0.0):
        super().__init__(dim, window_size, shift_size, num_heads, qkv_bias, proj_bias, attention_dropout, dropout)
        self.logit_scale = nn.Parameter(rl.log(10 * rl.ones((num_heads, 1, 1))))
        self.cpb_mlp = nn.Sequential(
            nn.Linear(2, 512, bias=True), nn.ReLU(inplace=True), nn.Linear(512, num_heads, bias=False))
        if qkv_bias:
            third = self.qkv.bias.numel() // 3
            self.qkv.bias.detach()[third:2 * third].zero_()

    def define_relative_position_bias_table(self):
        """Make the buffer of differences, from -8 to 8 and then on a logarithmic scale."""
        lines = [rl.arange(1 - w, w, dtype=rl.float32) / (w - 1) * 8 for w in self.window_size]
        table = rl.stack(rl.meshgrid(*lines, indexing="ij"), dim=-1).unsqueeze(0)
        self.register_buffer("relative_coords_table", rl.sign(table) * rl.log2(rl.abs(table) + 1.0) / 3.0)

    def get_relative_position_bias(self):
        """Return the biases (1, heads, positions, positions)."""
        table = self.cpb_mlp(self.relative_coords_table).view(-1, self.num_heads)
        return 16 * rl.sigmoid(self._biases(table))

    def forward(self, x):
        bias = self.get_relative_position_bias()
        return window_attention(x, self, bias, self.window_size, self._shift(x), self.logit_scale)


# -- blocks and networks -----------------------------------------------------------------------------------------------


class SwinTransformerBlock(nn.Module):
    """Attention and a perceptron, each with normalisation before it and a shortcut beside it."""

    def __init__(self, dim, num_heads, window_size, shift_size, mlp_ratio=4.0, dropout=0.0, attention_dropout=0.0,
                 stochastic_depth_prob=0.0, norm_layer=nn.LayerNorm, attn_layer=ShiftedWindowAttention):
        super().__init__()
        self.norm1 = norm_layer(dim)
        self.attn = attn_layer(dim, window_size, shift_size, num_heads, attention_dropout=attention_dropout,
                               dropout=dropout)
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")
        self.norm2 = norm_layer(dim)
        self.mlp = MLP(dim, [int(dim * mlp_ratio), dim], activation_layer=nn.GELU, inplace=None, dropout=dropout)
        init_perceptron(self.mlp)

    def forward(self, x):
        x = x + self.stochastic_depth(self.attn(self.norm1(x)))
        return x + self.stochastic_depth(self.mlp(self.norm2(x)))


class SwinTransformerBlockV2(SwinTransformerBlock):
    """Attention and a perceptron, each with normalisation behind it and a shortcut beside it."""

    def __init__(self, dim, num_heads, window_size, shift_size, mlp_ratio=4.0, dropout=0.0, attention_dropout=0.0,
                 stochastic_depth_prob=0.0, norm_layer=nn.LayerNorm, attn_layer=ShiftedWindowAttentionV2):
        super().__init__(dim, num_heads, window_size, shift_size, mlp_ratio, dropout, attention_dropout,
                         stochastic_depth_prob, norm_layer, attn_layer)

    def forward(self, x):
        x = x + self.stochastic_depth(self.norm1(self.attn(x)))
        return x + self.stochastic_depth(self.norm2(self.mlp(x)))


def make_stages(make_block, downsample, embed_dim, depths, num_heads, window_size, depth_prob):
    """Return the stages of blocks, with what halves the size between them.

    `make_block`: (features, heads, window_size=, shift_size=, stochastic_depth_prob=) → block.
    """
    layers, done = [], 0
    for stage, (depth, heads) in enumerate(zip(depths, num_heads)):
        dim, blocks = embed_dim * 2**stage, []
        for i in range(depth):
            shift = [0 if i % 2 == 0 else w // 2 for w in window_size]
            blocks.append(make_block(dim, heads, window_size=window_size, shift_size=shift,
                                     stochastic_depth_prob=depth_prob * float(done) / (sum(depths) - 1)))
            done += 1
        layers.append(nn.Sequential(*blocks))
        if stage + 1 < len(depths):
            layers.append(downsample(dim))
    return layers


class SwinTransformer(nn.Module):
    """A Swin transformer: images (N, 3, H, W) → scores (N, num_classes).

    Args:
        patch_size (list of 2 int): sides of the patches.
        embed_dim (int): features of the first stage.
        depths, num_heads (list of int): blocks and heads of the stages.
        window_size (list of 2 int): sides of the windows.
        mlp_ratio (float): features inside perceptrons, in multiples of those outside.
        dropout, attention_dropout, stochastic_depth_prob (float): probabilities; the last grows from 0 linearly.
        num_classes (int): number of classes.
        norm_layer, block, downsample_layer (callable, optional): `LayerNorm`, `SwinTransformerBlock` and
            `PatchMerging` by default.
    """

    def __init__(self, patch_size, embed_dim, depths, num_heads, window_size, mlp_ratio=4.0, dropout=0.0,
                 attention_dropout=0.0, stochastic_depth_prob=0.1, num_classes=1000, norm_layer=None, block=None,
                 downsample_layer=PatchMerging):
        super().__init__()
        self.num_classes = num_classes
        norm_layer = norm_layer or functools.partial(nn.LayerNorm, eps=1e-5)
        make_block = functools.partial(
            block or SwinTransformerBlock, mlp_ratio=mlp_ratio, dropout=dropout, attention_dropout=attention_dropout,
            norm_layer=norm_layer)
        patches = nn.Sequential(
            nn.Conv2d(3, embed_dim, kernel_size=tuple(patch_size), stride=tuple(patch_size)),
            Permute([0, 2, 3, 1]), norm_layer(embed_dim))
        self.features = nn.Sequential(patches, *make_stages(
            make_block, functools.partial(downsample_layer, norm_layer=norm_layer), embed_dim, depths, num_heads,
            window_size, stochastic_depth_prob))
        features = embed_dim * 2 ** (len(depths) - 1)
        self.norm = norm_layer(features)
        self.permute = Permute([0, 3, 1, 2])
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten(1)
        self.head = nn.Linear(features, num_classes)
        init_modules(self, (nn.Linear, drawn(init.trunc_normal_, std=0.02)))

    def forward(self, x):
        x = self.permute(self.norm(self.features(x)))
        return self.head(self.flatten(self.avgpool(x)))


SIZES = {  # features, blocks, heads
    "t": (96, [2, 2, 6, 2], [3, 6, 12, 24]),
    "s": (96, [2, 2, 18, 2], [3, 6, 12, 24]),
    "b": (128, [2, 2, 18, 2], [4, 8, 16, 32]),
}


def _variant(name, weights, depth_prob):
    size, second = name[-1], "_v2_" in name
    embed_dim, depths, heads = SIZES[size]
    options = {"block": SwinTransformerBlockV2, "downsample_layer": PatchMergingV2} if second else {}
    window = [8, 8] if second else [7, 7]
    construct = functools.partial(
        SwinTransformer, [4, 4], embed_dim, depths, heads, window, stochastic_depth_prob=depth_prob, **options)
    doc = f"Build the Swin transformer {'V2 ' if second else ''}of size {size.upper()}."
    return builder(name, weights, construct, doc)


Swin_T_Weights = weights_enum("Swin_T_Weights", __name__)
Swin_S_Weights = weights_enum("Swin_S_Weights", __name__)
Swin_B_Weights = weights_enum("Swin_B_Weights", __name__)
Swin_V2_T_Weights = weights_enum("Swin_V2_T_Weights", __name__)
Swin_V2_S_Weights = weights_enum("Swin_V2_S_Weights", __name__)
Swin_V2_B_Weights = weights_enum("Swin_V2_B_Weights", __name__)

swin_t = _variant("swin_t", Swin_T_Weights, 0.2)
swin_s = _variant("swin_s", Swin_S_Weights, 0.3)
swin_b = _variant("swin_b", Swin_B_Weights, 0.5)
swin_v2_t = _variant("swin_v2_t", Swin_V2_T_Weights, 0.2)
swin_v2_s = _variant("swin_v2_s", Swin_V2_S_Weights, 0.3)
swin_v2_b = _variant("swin_v2_b", Swin_V2_B_Weights, 0.5)
