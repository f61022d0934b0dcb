"""Multi-head attention as a layer: queries, keys and values come in, attended sequences and the weights go out.

The computation is `multi_head_attention_forward` in attention_functional.py.
"""
from ... import api as rl
from .. import functional as F
from .. import init
from ..attention_functional import canonical_mask, none_or_dtype
from ..parameter import Parameter
from .linear import NonDynamicallyQuantizableLinear
from .module import Module

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """concat(head_1, ..., head_h) W^O with head_i = softmax(Q_i K_i^T / sqrt(d)) V_i, and Q_i = Q W_i^Q, ...

    Args: `embed_dim` E, which `num_heads` must divide; `dropout` of the weights; `bias` in the projections; `add_bias_kv`,
    learned entries at the end of keys and values; `add_zero_attn`, zeros there; `kdim`, `vdim`, features of keys and
    values, E by default; `batch_first`, whether the batch comes first in all shapes.
    Source: Vaswani and others, "Attention Is All You Need", arXiv 1706.03762.

    Example:
        >>> x = rl.zeros(2, 5, 8)
        >>> nn.MultiheadAttention(8, 2, batch_first=True)(x, x, x)[0].shape
        rushlight.Size([2, 5, 8])
    """

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True, add_bias_kv: bool = False,
        add_zero_attn: bool = False, kdim: int | None = None, vdim: int | None = None, batch_first: bool = False,
        device=None, dtype=None,
    ):  # fmt: skip
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                f"embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and num_heads={num_heads} "
                "instead"
            )
        self.embed_dim = embed_dim
        self.kdim = kdim if kdim is not None else embed_dim
        self.vdim = vdim if vdim is not None else embed_dim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            raise AssertionError("embed_dim must be divisible by num_heads")

        def make(*shape):
            return Parameter(rl.empty(shape, device=device, dtype=dtype))

        if self._qkv_same_embed_dim:
            self.in_proj_weight = make(3 * embed_dim, embed_dim)
            for name in "qkv":
                self.register_parameter(f"{name}_proj_weight", None)
        else:
            self.q_proj_weight = make(embed_dim, embed_dim)
            self.k_proj_weight = make(embed_dim, self.kdim)
            self.v_proj_weight = make(embed_dim, self.vdim)
            self.register_parameter("in_proj_weight", None)
        self.register_parameter("in_proj_bias", make(3 * embed_dim) if bias else None)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias=bias, device=device, dtype=dtype)
        self.bias_k = make(1, 1, embed_dim) if add_bias_kv else None
        self.bias_v = make(1, 1, embed_dim) if add_bias_kv else None
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _reset_parameters(self):
        """Draw new values; out_proj has drawn its own before."""
        if self._qkv_same_embed_dim:
            init.xavier_uniform_(self.in_proj_weight)
        else:
            init.xavier_uniform_(self.q_proj_weight)
            init.xavier_uniform_(self.k_proj_weight)
            init.xavier_uniform_(self.v_proj_weight)
        if self.in_proj_bias is not None:
            init.constant_(self.in_proj_bias, 0.0)
            init.constant_(self.out_proj.bias, 0.0)
        if self.bias_k is not None:
            init.xavier_normal_(self.bias_k)
        if self.bias_v is not None:
            init.xavier_normal_(self.bias_v)

    def __setstate__(self, state):
        state.setdefault("_qkv_same_embed_dim", True)  # pickles of old versions
        super().__setstate__(state)

    def forward(
        self, query, key, value, key_padding_mask=None, need_weights: bool = True, attn_mask=None,
        average_attn_weights: bool = True, is_causal: bool = False,
    ):  # fmt: skip
        """Returns (result, weights): what the queries attend to, and how much.

        Args: `key_padding_mask`, True (or minus infinity) for keys to ignore; `need_weights`, False is faster and gives
        None; `attn_mask`, True (or minus infinity) for pairs to ignore; `average_attn_weights`, over the heads; `is_causal`,
        a hint that attn_mask lets no query see later keys.
        Shape: query (L, N, E), key (S, N, kdim), value (S, N, vdim), with batch_first (N, L, E) ..., or without N;
        key_padding_mask (N, S); attn_mask (L, S) or (N * num_heads, L, S); weights (N, L, S) or (N, num_heads, L, S).
        """
        batched = query.dim() == 3
        key_padding_mask = canonical_mask(
            key_padding_mask, "key_padding_mask", none_or_dtype(attn_mask), "attn_mask", query.dtype
        )
        attn_mask = canonical_mask(attn_mask, "attn_mask", None, "", query.dtype, False)
        if self.batch_first and batched:
            query, key, value = _transposed(query, key, value)
        separate = not self._qkv_same_embed_dim
        result, weights = F.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=separate,
            q_proj_weight=self.q_proj_weight if separate else None,
            k_proj_weight=self.k_proj_weight if separate else None,
            v_proj_weight=self.v_proj_weight if separate else None,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        if self.batch_first and batched:
            result = result.transpose(1, 0)
        return result, weights

    def merge_masks(self, attn_mask, key_padding_mask, query):
        """(one mask of both, its kind): 1 for a padding mask alone, 2 for one of shape (N, num_heads, L, L), None for none."""
        if attn_mask is None:
            return key_padding_mask, None if key_padding_mask is None else 1
        batch, length, _ = query.shape
        if attn_mask.dim() == 3:
            merged = attn_mask.view(batch, -1, length, length)
        else:
            merged = attn_mask.view(1, 1, length, length).expand(batch, self.num_heads, -1, -1)
        if key_padding_mask is not None:
            merged = merged + key_padding_mask.view(batch, 1, 1, length).expand(-1, self.num_heads, -1, -1)
        return merged, 2


def _transposed(query, key, value):
    """Batch and sequence exchanged; arguments that are the same tensor stay the same tensor."""
    swapped_query = query.transpose(1, 0)
    swapped_key = swapped_query if key is query else key.transpose(1, 0)
    if value is key:
        swapped_value = swapped_key
    else:
        swapped_value = swapped_query if value is query else value.transpose(1, 0)
    return swapped_query, swapped_key, swapped_value
