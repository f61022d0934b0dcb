"""Scaled dot-product attention: softmax(q k^T * scale + mask) v over the last two dimensions."""

import math

from ..core import dtype as dt
from ..core.declare import REGISTRY, public


def _mask(query, key, attn_mask, is_causal):
    """The additive mask, or None."""
    rows, columns = query.shape[-2], key.shape[-2]
    if is_causal:
        if attn_mask is not None:
            raise RuntimeError("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
        attn_mask = REGISTRY["ones"]((rows, columns), dtype=dt.bool_).tril()
    if attn_mask is None:
        return None
    if attn_mask.dtype is dt.bool_:
        zero = REGISTRY["zeros"]((), dtype=query.dtype)
        return REGISTRY["where"](attn_mask, zero, float("-inf"))
    return attn_mask


@public("nn.functional.scaled_dot_product_attention", out=False)
def scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    """Attention of query (..., L, E) over key (..., S, E) and value (..., S, Ev): (..., L, Ev).

    attn_mask: bool (True takes part) or additive, broadcast to (..., L, S); scale: 1 / sqrt(E) by default; enable_gqa: key and value may
    have fewer heads (dimension -3), which are repeated. Rows without any key give zeros, as in PyTorch's CPU kernel."""
    if query.dim() < 2 or key.dim() < 2 or value.dim() < 2:
        raise RuntimeError(f"Expected query, key, and value to all be at least 2 dimensional, but got query: {query.dim()}, key: {key.dim()}, "
                           f"value: {value.dim()} instead.")
    if not query.dtype is key.dtype is value.dtype:
        raise RuntimeError(f"Expected query, key, and value to have the same dtype, but got query.dtype: {query.dtype} key.dtype: {key.dtype} "
                           f"and value.dtype: {value.dtype} instead.")
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    scale = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = REGISTRY["matmul"](query * scale, key.transpose(-2, -1))
    mask = _mask(query, key, attn_mask, is_causal)
    if mask is not None:
        scores = scores + mask
    weights = scores.softmax(-1)
    if mask is not None and not is_causal:
        weights = REGISTRY["where"](scores.amax(-1, keepdim=True) == float("-inf"), 0.0, weights)
    if dropout_p > 0.0:
        weights = REGISTRY["nn.functional.dropout"](weights, dropout_p, True)
    return REGISTRY["matmul"](weights, value)
