"""Multiscale vision transformers for videos (Fan et al. 2021, arXiv:2104.11227) and version 2 (Li et al. 2021,
arXiv:2112.01526): attention whose queries, keys and values are pooled, so that the size shrinks from block to block."""

import dataclasses
import functools
import math

from .... import api as rl
from .... import nn
from ....nn import functional as F
from ....nn import init
from ...ops.misc import MLP
from ...ops.stochastic_depth import StochasticDepth
from .._api import weights_enum
from .._utils import _ovewrite_named_param, builder, drawn, init_modules, unit_norm

__all__ = ["MViT", "MViT_V1_B_Weights", "mvit_v1_b", "MViT_V2_S_Weights", "mvit_v2_s"]


@dataclasses.dataclass
class MSBlockConfig:
    """What a block is like. Kernels and strides have three numbers; empty ones do not pool."""

    num_heads: int
    input_channels: int
    output_channels: int
    kernel_q: list
    kernel_kv: list
    stride_q: list
    stride_kv: list


class Pool(nn.Module):
    """Pool the positions of (B, N, 1 + T H W, C), or (B, 1 + T H W, C); the class token stays as it is.

    Returns (of forward): the pooled positions and their sizes (T, H, W).
    """

    def __init__(self, pool, norm, activation=None, norm_before_pool=False):
        super().__init__()
        self.pool = pool
        layers = [layer for layer in (norm, activation) if layer is not None]
        self.norm_act = nn.Sequential(*layers) if layers else None
        self.norm_before_pool = norm_before_pool

    def forward(self, x, thw):
        whole = x if x.dim() == 4 else x.unsqueeze(1)
        token, places = whole[:, :, :1], whole[:, :, 1:].transpose(2, 3)
        batch, heads, channels = places.shape[:3]
        places = places.reshape(batch * heads, channels, *thw)
        if self.norm_before_pool and self.norm_act is not None:
            places = self.norm_act(places)
        places = self.pool(places)
        sizes = tuple(places.shape[2:])
        places = rl.cat((token, places.reshape(batch, heads, channels, -1).transpose(2, 3)), dim=2)
        if not self.norm_before_pool and self.norm_act is not None:
            places = self.norm_act(places)
        return places if x.dim() == 4 else places.squeeze(1), sizes


def _differences(table, q_size, k_size):
    """(q_size, k_size, C): the embeddings of the differences between positions on two scales of one dimension."""
    count = 2 * max(q_size, k_size) - 1
    if table.shape[0] != count:
        table = F.interpolate(table.permute(1, 0).unsqueeze(0), size=count, mode="linear").squeeze(0).permute(1, 0)
    q_ratio, k_ratio = max(k_size / q_size, 1.0), max(q_size / k_size, 1.0)
    distance = rl.arange(q_size)[:, None] * q_ratio - (rl.arange(k_size)[None, :] + (1.0 - k_size)) * k_ratio
    return table[distance.long()]


def relative_scores(q, q_thw, k_thw, tables):
    """(B, heads, positions of q, positions of k): q times the embeddings of time, height and width differences."""
    times, rows, columns = [_differences(*row) for row in zip(tables, q_thw, k_thw)]
    batch, heads, _, dim = q.shape
    q = q.reshape(batch, heads, *q_thw, dim)
    by_row = rl.einsum("bythwc,hkc->bythwk", q, rows)[:, :, :, :, :, None, :, None]
    by_column = rl.einsum("bythwc,wkc->bythwk", q, columns)[:, :, :, :, :, None, None, :]
    by_time = rl.einsum("bythwc,tkc->bythwk", q, times)[:, :, :, :, :, :, None, None]
    return (by_row + by_column + by_time).reshape(batch, heads, math.prod(q_thw), math.prod(k_thw))


class MultiscaleAttention(nn.Module):
    """Attention with pooled queries, keys and values.

    Args:
        input_size (list of 3 int): T, H, W of the input.
        embed_dim, output_dim, num_heads (int): features before and after, heads.
        kernel_q, kernel_kv, stride_q, stride_kv (list of 3 int, or empty): of the pooling.
        residual_pool, residual_with_cls_embed (bool): add the queries to the result; also that of the class token.
        rel_pos_embed (bool): learn embeddings of the differences between positions.
        dropout (float): probability.
        norm_layer (callable): normalisation.
    """

    def __init__(self, input_size, embed_dim, output_dim, num_heads, kernel_q, kernel_kv, stride_q, stride_kv,
                 residual_pool, residual_with_cls_embed, rel_pos_embed, dropout=0.0, norm_layer=nn.LayerNorm):
        super().__init__()
        self.embed_dim, self.output_dim, self.num_heads = embed_dim, output_dim, num_heads
        self.head_dim = output_dim // num_heads
        self.scaler = 1.0 / math.sqrt(self.head_dim)
        self.residual_pool, self.residual_with_cls_embed = residual_pool, residual_with_cls_embed
        self.qkv = nn.Linear(embed_dim, 3 * output_dim)
        layers = [nn.Linear(output_dim, output_dim)]
        if dropout > 0.0:
            layers.append(nn.Dropout(dropout, inplace=True))
        self.project = nn.Sequential(*layers)
        self.pool_q = self._pool(kernel_q, stride_q, norm_layer)
        self.pool_k = self._pool(kernel_kv, stride_kv, norm_layer)
        self.pool_v = self._pool(kernel_kv, stride_kv, norm_layer)
        self.rel_pos_h = self.rel_pos_w = self.rel_pos_t = None
        if rel_pos_embed:
            size = max(input_size[1:])
            q_size = size // stride_q[1] if stride_q else size
            kv_size = size // stride_kv[1] if stride_kv else size
            side, length = 2 * max(q_size, kv_size) - 1, 2 * input_size[0] - 1
            for name, count in (("h", side), ("w", side), ("t", length)):
                table = nn.Parameter(rl.zeros(count, self.head_dim))
                setattr(self, f"rel_pos_{name}", table)
                init.trunc_normal_(table, std=0.02)

    def _pool(self, kernel, stride, norm_layer):
        if math.prod(kernel) <= 1 and math.prod(stride) <= 1:
            return None
        conv = nn.Conv3d(self.head_dim, self.head_dim, tuple(kernel), stride=tuple(stride),
                         padding=tuple([k // 2 for k in kernel]), groups=self.head_dim, bias=False)
        return Pool(conv, norm_layer(self.head_dim))

    def forward(self, x, thw):
        batch, count, _ = x.shape
        qkv = self.qkv(x).reshape(batch, count, 3, self.num_heads, self.head_dim)
        q, k, v = qkv.transpose(1, 3).unbind(dim=2)
        k_thw = thw
        if self.pool_k is not None:
            k, k_thw = self.pool_k(k, thw)
        if self.pool_v is not None:
            v = self.pool_v(v, thw)[0]
        if self.pool_q is not None:
            q, thw = self.pool_q(q, thw)
        scores = rl.matmul(self.scaler * q, k.transpose(2, 3))
        if self.rel_pos_h is not None:
            tables = (self.rel_pos_t, self.rel_pos_h, self.rel_pos_w)
            scores = scores + F.pad(relative_scores(q[:, :, 1:], thw, k_thw, tables), (1, 0, 1, 0))
        x = rl.matmul(scores.softmax(dim=-1), v)
        if self.residual_pool:
            x = x + (q if self.residual_with_cls_embed else F.pad(q[:, :, 1:], (0, 0, 1, 0)))
        return self.project(x.transpose(1, 2).reshape(batch, -1, self.output_dim)), thw


class MultiscaleBlock(nn.Module):
    """Attention and a perceptron, each with normalisation before it and a shortcut beside it."""

    def __init__(self, input_size, cnf, residual_pool, residual_with_cls_embed, rel_pos_embed, proj_after_attn,
                 dropout=0.0, stochastic_depth_prob=0.0, norm_layer=nn.LayerNorm):
        super().__init__()
        self.proj_after_attn = proj_after_attn
        self.pool_skip = None
        if math.prod(cnf.stride_q) > 1:
            kernel = tuple([s + 1 if s > 1 else s for s in cnf.stride_q])
            padding = tuple([k // 2 for k in kernel])
            self.pool_skip = Pool(nn.MaxPool3d(kernel, stride=tuple(cnf.stride_q), padding=padding), None)
        dim = cnf.output_channels if proj_after_attn else cnf.input_channels
        self.norm1 = norm_layer(cnf.input_channels)
        self.norm2 = norm_layer(dim)
        self.needs_transposal = isinstance(self.norm1, nn.BatchNorm1d)
        self.attn = MultiscaleAttention(
            input_size, cnf.input_channels, dim, cnf.num_heads, cnf.kernel_q, cnf.kernel_kv, cnf.stride_q,
            cnf.stride_kv, residual_pool, residual_with_cls_embed, rel_pos_embed, dropout, norm_layer)
        self.mlp = MLP(dim, [4 * dim, cnf.output_channels], activation_layer=nn.GELU, dropout=dropout, inplace=None)
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")
        self.project = None
        if cnf.input_channels != cnf.output_channels:
            self.project = nn.Linear(cnf.input_channels, cnf.output_channels)

    def _normalised(self, norm, x):
        return norm(x.transpose(1, 2)).transpose(1, 2) if self.needs_transposal else norm(x)

    def forward(self, x, thw):
        normed = self._normalised(self.norm1, x)
        attended, new_thw = self.attn(normed, thw)
        if self.project is not None and self.proj_after_attn:
            x = self.project(normed)
        if self.pool_skip is not None:
            x = self.pool_skip(x, thw)[0]
        x = x + self.stochastic_depth(attended)
        normed = self._normalised(self.norm2, x)
        if self.project is not None and not self.proj_after_attn:
            x = self.project(normed)
        return x + self.stochastic_depth(self.mlp(normed)), new_thw


class PositionalEncoding(nn.Module):
    """Put a class token before the positions, and add learned positions in space and time unless `rel_pos_embed`."""

    def __init__(self, embed_size, spatial_size, temporal_size, rel_pos_embed):
        super().__init__()
        self.spatial_size, self.temporal_size = spatial_size, temporal_size
        self.class_token = nn.Parameter(rl.zeros(embed_size))
        self.spatial_pos = self.temporal_pos = self.class_pos = None
        if not rel_pos_embed:
            self.spatial_pos = nn.Parameter(rl.zeros(math.prod(spatial_size), embed_size))
            self.temporal_pos = nn.Parameter(rl.zeros(temporal_size, embed_size))
            self.class_pos = nn.Parameter(rl.zeros(embed_size))

    def forward(self, x):
        x = rl.cat((self.class_token.expand(x.size(0), -1).unsqueeze(1), x), dim=1)
        if self.spatial_pos is None:
            return x
        places = (self.temporal_pos.unsqueeze(1) + self.spatial_pos.unsqueeze(0)).flatten(0, 1)
        return x + rl.cat((self.class_pos.unsqueeze(0), places), dim=0)


class MViT(nn.Module):
    """A multiscale vision transformer: videos (N, 3, T, H, W) → scores (N, num_classes).

    Args:
        spatial_size (tuple of 2 int), temporal_size (int): sizes of the videos.
        block_setting (list of MSBlockConfig): the blocks.
        residual_pool, residual_with_cls_embed, rel_pos_embed (bool): see `MultiscaleAttention`.
        proj_after_attn (bool): change the number of features behind attention instead of in the perceptron.
        dropout, attention_dropout, stochastic_depth_prob (float): probabilities; the last grows from 0 linearly.
        num_classes (int): number of classes.
        block, norm_layer (callable, optional): `MultiscaleBlock` and `LayerNorm` by default.
        patch_embed_kernel, patch_embed_stride, patch_embed_padding (tuple of 3 int): of the first convolution.
    """

    def __init__(self, spatial_size, temporal_size, block_setting, residual_pool, residual_with_cls_embed,
                 rel_pos_embed, proj_after_attn, dropout=0.5, attention_dropout=0.0, stochastic_depth_prob=0.0,
                 num_classes=400, block=None, norm_layer=None, patch_embed_kernel=(3, 7, 7),
                 patch_embed_stride=(2, 4, 4), patch_embed_padding=(1, 3, 3)):
        super().__init__()
        if not block_setting:
            raise ValueError("The configuration parameter can't be empty.")
        norm_layer = norm_layer or functools.partial(nn.LayerNorm, eps=1e-6)
        channels = block_setting[0].input_channels
        self.conv_proj = nn.Conv3d(3, channels, patch_embed_kernel, patch_embed_stride, patch_embed_padding)
        size = [n // s for n, s in zip((temporal_size, *spatial_size), self.conv_proj.stride)]
        self.pos_encoding = PositionalEncoding(channels, (size[1], size[2]), size[0], rel_pos_embed)
        self.blocks = nn.ModuleList()
        for i, config in enumerate(block_setting):
            self.blocks.append((block or MultiscaleBlock)(
                input_size=size, cnf=config, residual_pool=residual_pool,
                residual_with_cls_embed=residual_with_cls_embed, rel_pos_embed=rel_pos_embed,
                proj_after_attn=proj_after_attn, dropout=attention_dropout,
                stochastic_depth_prob=stochastic_depth_prob * i / (len(block_setting) - 1.0), norm_layer=norm_layer))
            if config.stride_q:
                size = [n // s for n, s in zip(size, config.stride_q)]
        channels = block_setting[-1].output_channels
        self.norm = norm_layer(channels)
        self.head = nn.Sequential(nn.Dropout(dropout, inplace=True), nn.Linear(channels, num_classes))
        init_modules(
            self,
            (nn.Linear, drawn(init.trunc_normal_, std=0.02)),
            (nn.LayerNorm, unit_norm),
            (PositionalEncoding, lambda m: [init.trunc_normal_(p, std=0.02) for p in m.parameters()]),
        )

    def forward(self, x):
        x = self.pos_encoding(self.conv_proj(as_video(x)).flatten(2).transpose(1, 2))
        thw = (self.pos_encoding.temporal_size, *self.pos_encoding.spatial_size)
        for block in self.blocks:
            x, thw = block(x, thw)
        return self.head(self.norm(x)[:, 0])


def as_video(x):
    """Images (N, C, H, W) as videos of one frame. ValueError for other dimensions."""
    if x.dim() == 4:
        return x.unsqueeze(2)
    if x.dim() != 5:
        raise ValueError(f"Unsupported input dimension {x.shape}")
    return x


HEADS = [1] + 2 * [2] + 11 * [4] + 2 * [8]
KEY_STRIDES = [[1, 8, 8]] + 2 * [[1, 4, 4]] + 11 * [[1, 2, 2]] + 2 * [[1, 1, 1]]
HALVING = (1, 3, 14)  # blocks that halve height and width
CUBE = [3, 3, 3]


def _first_version():
    before = [96] + 2 * [192] + 11 * [384] + 2 * [768]
    after = 2 * [192] + 11 * [384] + 3 * [768]
    for i, (heads, narrow, wide, stride) in enumerate(zip(HEADS, before, after, KEY_STRIDES)):
        kernel, step = (CUBE, [1, 2, 2]) if i in HALVING else ([], [])
        yield MSBlockConfig(heads, narrow, wide, kernel, CUBE, step, stride)


def _second_version():
    before = 2 * [96] + 2 * [192] + 11 * [384] + [768]
    after = [96] + 2 * [192] + 11 * [384] + 2 * [768]
    for i, (heads, narrow, wide, stride) in enumerate(zip(HEADS, before, after, KEY_STRIDES)):
        yield MSBlockConfig(heads, narrow, wide, CUBE, CUBE, [1, 2, 2] if i in HALVING else [1, 1, 1], stride)


def _prepare(weights, kwargs):
    _ovewrite_named_param(kwargs, "spatial_size", weights.meta["min_size"])
    _ovewrite_named_param(kwargs, "temporal_size", weights.meta["min_temporal_size"])


def _variant(name, weights, blocks, doc, **options):
    construct = functools.partial(
        MViT, block_setting=list(blocks), spatial_size=(224, 224), temporal_size=16, residual_with_cls_embed=False,
        stochastic_depth_prob=0.2, **options)
    return builder(name, weights, construct, doc, pretrained="KINETICS400_V1", prepare=_prepare)


MViT_V1_B_Weights = weights_enum("MViT_V1_B_Weights", __name__)
MViT_V2_S_Weights = weights_enum("MViT_V2_S_Weights", __name__)

mvit_v1_b = _variant(
    "mvit_v1_b", MViT_V1_B_Weights, _first_version(), "Build MViT of size B.",
    residual_pool=False, rel_pos_embed=False, proj_after_attn=False)
mvit_v2_s = _variant(
    "mvit_v2_s", MViT_V2_S_Weights, _second_version(), "Build MViT V2 of size S.",
    residual_pool=True, rel_pos_embed=True, proj_after_attn=True)
