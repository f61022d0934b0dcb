"""Self-attention of wav2vec 2.0, and that of WavLM, which adds a gated bias by relative position."""

import math

from .... import api as rl
from .... import nn
from ....nn import functional as nnf


class SelfAttention(nn.Module):
    """Attention of frames (N, time, embed_dim); returns them and None, for the bias that WavLM's returns."""

    def __init__(self, embed_dim, num_heads, dropout=0.0):
        super().__init__()
        if embed_dim % num_heads:
            raise ValueError(f"`embed_dim ({embed_dim})` is not divisible by `num_heads ({num_heads})`")
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.head_dim = embed_dim // num_heads
        self.scaling = self.head_dim ** -0.5
        self.k_proj = nn.Linear(embed_dim, embed_dim)
        self.v_proj = nn.Linear(embed_dim, embed_dim)
        self.q_proj = nn.Linear(embed_dim, embed_dim)
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, x, attention_mask=None, position_bias=None, key_padding_mask=None):
        if x.ndim != 3 or x.shape[2] != self.embed_dim:
            raise ValueError(f"The expected input shape is (batch, sequence, embed_dim=={self.embed_dim}). Found "
                             f"{x.shape}.")
        count, time, _ = x.shape
        if attention_mask is not None and tuple(attention_mask.shape) != (count, 1, time, time):
            raise ValueError(f"The expected attention mask shape is {(count, 1, time, time)}. Found "
                             f"{attention_mask.shape}.")
        q, k, v = [_heads(project(x), self.num_heads) for project in (self.q_proj, self.k_proj, self.v_proj)]
        found = nnf.scaled_dot_product_attention(q, k, v, attn_mask=attention_mask,
                                                 dropout_p=self.dropout if self.training else 0.0)
        return self.out_proj(found.transpose(1, 2).flatten(2)), None


def _heads(x, count):
    """(N, time, features) → (N, heads, time, features of a head)."""
    return x.unflatten(2, (count, -1)).transpose(1, 2)


class WavLMSelfAttention(nn.Module):
    """Attention with a bias by relative position, which each query gates.

    Positions are sorted into `num_buckets`: exact ones nearby, then logarithmically up to `max_distance`. The first
    layer (`has_relative_attention_bias`) makes the bias (N, heads, time, time) and returns it for the others.
    """

    def __init__(self, embed_dim, num_heads, dropout=0.0, bias=True, has_relative_attention_bias=False, num_buckets=32,
                 max_distance=128, gru_rel_pos=True):
        super().__init__()
        if embed_dim % num_heads:
            raise AssertionError("embed_dim must be divisible by num_heads")
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.has_relative_attention_bias = has_relative_attention_bias
        self.num_buckets, self.max_distance = num_buckets, max_distance
        self.rel_attn_embed = nn.Embedding(num_buckets, num_heads) if has_relative_attention_bias else None
        self.head_dim = embed_dim // num_heads
        self.attention = nn.MultiheadAttention(embed_dim, num_heads, dropout=dropout, bias=bias, batch_first=True)
        self.gru_rel_pos = gru_rel_pos
        if gru_rel_pos:
            self.gru_rel_pos_linear = nn.Linear(self.head_dim, 8)
            self.gru_rel_pos_const = nn.Parameter(rl.ones(1, num_heads, 1, 1))
        self.has_position_bias = True

    def _buckets(self, distance):
        """The bucket of each distance (int64), those to later frames in the second half."""
        half = self.num_buckets // 2
        exact = half // 2
        size = distance.abs()
        share = rl.log(size.float() / exact) / math.log(self.max_distance / exact)
        far = (exact + (share.clamp(min=0) * (half - exact)).long()).clamp(max=half - 1)
        return rl.where(size < exact, size, far) + (distance > 0).long() * half

    def compute_bias(self, query_length, key_length):
        """The bias (heads, query_length, key_length)."""
        distance = rl.arange(key_length)[None] - rl.arange(query_length)[:, None]
        buckets = self._buckets(distance).to(self.rel_attn_embed.weight.device)
        return self.rel_attn_embed(buckets).permute(2, 0, 1)

    def _gated(self, query, bias):
        if not self.gru_rel_pos:
            return bias
        found = self.gru_rel_pos_linear(_heads(query, self.num_heads)).unflatten(-1, (2, 4)).sum(-1).sigmoid()
        first, second = found.chunk(2, -1)
        return (first * (second * self.gru_rel_pos_const - 1.0) + 2.0) * bias

    def forward(self, query, key_padding_mask=None, attention_mask=None, position_bias=None):
        count, time, _ = query.shape
        if attention_mask is not None:
            raise AssertionError("WavLM's attention takes no mask; pass sounds of one length")
        if self.rel_attn_embed is not None and position_bias is None:
            position_bias = self.compute_bias(time, time).unsqueeze(0).expand(count, -1, -1, -1)
        mask = None if position_bias is None else self._gated(query, position_bias)
        if mask is not None and key_padding_mask is not None:
            hidden = rl.zeros_like(key_padding_mask, dtype=query.dtype).masked_fill(key_padding_mask, float("-inf"))
            mask = mask + hidden.view(count, 1, 1, time)
        projected = nnf.linear(query, self.attention.in_proj_weight, self.attention.in_proj_bias)
        q, k, v = [_heads(part, self.num_heads) for part in projected.chunk(3, -1)]
        found = nnf.scaled_dot_product_attention(q, k, v, attn_mask=mask,
                                                 dropout_p=self.dropout if self.training else 0.0)
        return self.attention.out_proj(found.transpose(1, 2).flatten(2)), position_bias
