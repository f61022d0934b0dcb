"""Video Swin transformers (Liu et al. 2021, arXiv:2106.13230): windows over time, height and width."""

import functools
import math

from .... import api as rl
from .... import nn
from ....nn import functional as F
from ....nn import init
from .._api import weights_enum
from .._utils import builder, drawn, init_modules
from ..swin_transformer import (
    SIZES, PatchMerging, ShiftedWindowAttention, SwinTransformerBlock, make_stages, relative_positions,
    window_attention,
)

__all__ = [
    "SwinTransformer3d", "Swin3D_T_Weights", "Swin3D_S_Weights", "Swin3D_B_Weights", "swin3d_t", "swin3d_s",
    "swin3d_b",
]


class ShiftedWindowAttention3d(ShiftedWindowAttention):
    """Attention in windows of three dimensions; a window is never larger than the video."""

    rank = 3

    def define_relative_position_index(self):
        """Make the buffer of the numbers of differences (positions, positions)."""
        self.register_buffer("relative_position_index", relative_positions(self.window_size))

    def get_relative_position_bias(self, window_size):
        """Return the biases (1, heads, positions, positions) of a window that may be smaller."""
        count = math.prod(window_size)
        index = self.relative_position_index[:count, :count].flatten()
        table = self.relative_position_bias_table[index].view(count, count, -1)
        return table.permute(2, 0, 1).contiguous().unsqueeze(0)

    def forward(self, x):
        sizes = x.shape[1:-1]
        window = [min(n, w) for n, w in zip(sizes, self.window_size)]
        shift = [0 if n <= w else s for n, w, s in zip(sizes, self.window_size, self.shift_size)]
        return window_attention(x, self, self.get_relative_position_bias(window), window, shift)


class PatchEmbed3d(nn.Module):
    """Videos (N, in_channels, T, H, W) → features of patches (N, T', H', W', embed_dim)."""

    def __init__(self, patch_size, in_channels=3, embed_dim=96, norm_layer=None):
        super().__init__()
        self.tuple_patch_size = tuple(patch_size)
        self.proj = nn.Conv3d(in_channels, embed_dim, self.tuple_patch_size, stride=self.tuple_patch_size)
        self.norm = nn.Identity() if norm_layer is None else norm_layer(embed_dim)

    def forward(self, x):
        missing = [-n % p for n, p in zip(x.shape[2:], self.tuple_patch_size)]
        x = self.proj(F.pad(x, [end for n in reversed(missing) for end in (0, n)]))
        return self.norm(x.permute(0, 2, 3, 4, 1))


class SwinTransformer3d(nn.Module):
    """A video Swin transformer: videos (N, 3, T, H, W) → scores (N, num_classes). Arguments as of `SwinTransformer`;
    `patch_size` and `window_size` have three numbers."""

    def __init__(self, patch_size, embed_dim, depths, num_heads, window_size, mlp_ratio=4.0, dropout=0.0,
                 attention_dropout=0.0, stochastic_depth_prob=0.1, num_classes=400, norm_layer=None, block=None,
                 downsample_layer=PatchMerging, patch_embed=None):
        super().__init__()
        self.num_classes = num_classes
        norm_layer = norm_layer or functools.partial(nn.LayerNorm, eps=1e-5)
        make_block = functools.partial(
            block or SwinTransformerBlock, mlp_ratio=mlp_ratio, dropout=dropout, attention_dropout=attention_dropout,
            norm_layer=norm_layer, attn_layer=ShiftedWindowAttention3d)
        self.patch_embed = (patch_embed or PatchEmbed3d)(
            patch_size=patch_size, embed_dim=embed_dim, norm_layer=norm_layer)
        self.pos_drop = nn.Dropout(p=dropout)
        self.features = nn.Sequential(*make_stages(
            make_block, functools.partial(downsample_layer, norm_layer=norm_layer), embed_dim, depths, num_heads,
            window_size, stochastic_depth_prob))
        self.num_features = embed_dim * 2 ** (len(depths) - 1)
        self.norm = norm_layer(self.num_features)
        self.avgpool = nn.AdaptiveAvgPool3d(1)
        self.head = nn.Linear(self.num_features, num_classes)
        init_modules(self, (nn.Linear, drawn(init.trunc_normal_, std=0.02)))

    def forward(self, x):
        x = self.norm(self.features(self.pos_drop(self.patch_embed(x))))
        return self.head(rl.flatten(self.avgpool(x.permute(0, 4, 1, 2, 3)), 1))


def _variant(name, weights):
    embed_dim, depths, heads = SIZES[name[-1]]
    construct = functools.partial(
        SwinTransformer3d, [2, 4, 4], embed_dim, depths, heads, [8, 7, 7], stochastic_depth_prob=0.1)
    doc = f"Build the video Swin transformer of size {name[-1].upper()}."
    return builder(name, weights, construct, doc, pretrained="KINETICS400_V1")


Swin3D_T_Weights = weights_enum("Swin3D_T_Weights", __name__)
Swin3D_S_Weights = weights_enum("Swin3D_S_Weights", __name__)
Swin3D_B_Weights = weights_enum("Swin3D_B_Weights", __name__)

swin3d_t = _variant("swin3d_t", Swin3D_T_Weights)
swin3d_s = _variant("swin3d_s", Swin3D_S_Weights)
swin3d_b = _variant("swin3d_b", Swin3D_B_Weights)
