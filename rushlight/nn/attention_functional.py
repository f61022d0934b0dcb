"""Multi-head attention as a function of sequences and all weights.

`nn/functional.py` offers `multi_head_attention_forward` under its own name; next to read: modules/activation.py.
"""
import math
import warnings

from .. import api as rl
from . import functional as F

__all__ = ["multi_head_attention_forward"]

_NEED_MASK = (
    "Need attn_mask if specifying the is_causal hint. You may use the Transformer module method "
    "`generate_square_subsequent_mask` to create this mask."
)


def canonical_mask(mask, mask_name, other_dtype, other_name, target_dtype, check_other=True):
    """A mask as numbers to add to attention scores: True becomes minus infinity. None stays None.

    Raises AssertionError for other dtypes; warns if the other mask, whose dtype is given, is of another kind.
    """
    if mask is None:
        return None
    if mask.dtype != rl.bool and not mask.is_floating_point():
        raise AssertionError(f"only bool and floating types of {mask_name} are supported")
    if check_other and other_dtype is not None and mask.dtype != other_dtype:
        warnings.warn(
            f"Support for mismatched {mask_name} and {other_name} is deprecated. Use same type for both instead.",
            stacklevel=3,
        )
    if mask.is_floating_point():
        return mask
    return rl.zeros_like(mask, dtype=target_dtype).masked_fill_(mask, float("-inf"))


def none_or_dtype(tensor):
    """The dtype of a tensor, None for None."""
    return None if tensor is None else tensor.dtype


def _check_dims(query, key, value, key_padding_mask, attn_mask, num_heads):
    """Whether the query has a batch dimension; raises AssertionError if the other arguments do not fit it."""
    if query.dim() not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {query.dim()}-D query tensor"
        )
    batched = query.dim() == 3
    kind = f"{'batched' if batched else 'unbatched'} ({query.dim()}-D)"
    if key.dim() != query.dim() or value.dim() != query.dim():
        raise AssertionError(
            f"For {kind} `query`, expected `key` and `value` to be {query.dim()}-D but found {key.dim()}-D and "
            f"{value.dim()}-D tensors respectively"
        )
    if key_padding_mask is not None and key_padding_mask.dim() != query.dim() - 1:
        raise AssertionError(
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {query.dim() - 1}-D but found "
            f"{key_padding_mask.dim()}-D tensor instead"
        )
    if attn_mask is None:
        return batched
    if attn_mask.dim() not in (2, 3):
        raise AssertionError(
            f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found {attn_mask.dim()}-D tensor "
            f"instead"
        )
    if not batched and attn_mask.dim() == 3:
        expected = (num_heads, query.shape[0], key.shape[0])
        if tuple(attn_mask.shape) != expected:
            raise AssertionError(f"Expected `attn_mask` shape to be {expected} but got {attn_mask.shape}")
    return batched


def _with_batch(query, key, value):
    """The three with a batch dimension; equal ones stay the same object, which the projection looks at."""
    batched_query = query.unsqueeze(1)
    batched_key = batched_query if key is query else key.unsqueeze(1)
    return batched_query, batched_key, batched_key if value is key else value.unsqueeze(1)


def _check_sizes(query, key, value, embed_dim, num_heads, separate):
    if query.shape[-1] != embed_dim:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim}, but got {query.shape[-1]}")
    if embed_dim // num_heads * num_heads != embed_dim:
        raise AssertionError(f"embed_dim {embed_dim} not divisible by num_heads {num_heads}")
    if separate:
        if key.shape[:2] != value.shape[:2]:
            raise AssertionError(
                f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}"
            )
    elif key.shape != value.shape:
        raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")


def _project_packed(query, key, value, weight, bias):
    """q, k, v from one weight of three stacked ones; equal inputs are multiplied together."""
    if weight is None:
        raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
    if key is value:
        if query is key:
            return F.linear(query, weight, bias).chunk(3, dim=-1)
        size = query.shape[-1]
        w_q, w_kv = weight.split([size, 2 * size])
        b_q, b_kv = (None, None) if bias is None else bias.split([size, 2 * size])
        return F.linear(query, w_q, b_q), *F.linear(key, w_kv, b_kv).chunk(2, dim=-1)
    weights = weight.chunk(3)
    biases = (None, None, None) if bias is None else bias.chunk(3)
    return tuple(F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases))


def _project_separately(query, key, value, weights, bias):
    """q, k, v from three weights, for keys and values with numbers of features of their own."""
    for name, weight in zip("qkv", weights):
        if weight is None:
            raise AssertionError(f"use_separate_proj_weight is True but {name}_proj_weight is None")
    biases = (None, None, None) if bias is None else bias.chunk(3)
    return tuple(F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases))


def _check_attn_mask(mask, tgt_len, src_len, bsz, num_heads):
    """The mask with three dimensions; raises RuntimeError for the wrong shape."""
    if mask.dim() == 2:
        expected = (tgt_len, src_len)
        if tuple(mask.shape) != expected:
            raise RuntimeError(f"The shape of the 2D attn_mask is {mask.shape}, but should be {expected}.")
        return mask.unsqueeze(0)
    if mask.dim() == 3:
        expected = (bsz * num_heads, tgt_len, src_len)
        if tuple(mask.shape) != expected:
            raise RuntimeError(f"The shape of the 3D attn_mask is {mask.shape}, but should be {expected}.")
        return mask
    raise RuntimeError(f"attn_mask's dimension {mask.dim()} is not supported")


def _heads(x, bsz, num_heads, head_dim):
    """(L, bsz, heads * dim) to (bsz * heads, L, dim)."""
    return x.contiguous().view(x.shape[0], bsz * num_heads, head_dim).transpose(0, 1)


def _static_or_heads(static, name, x, bsz, num_heads, head_dim):
    if static is None:
        return _heads(x, bsz, num_heads, head_dim)
    if static.size(0) != bsz * num_heads:
        raise AssertionError(f"expecting static_{name}.size(0) of {bsz * num_heads}, but got {static.size(0)}")
    if static.size(2) != head_dim:
        raise AssertionError(f"expecting static_{name}.size(2) of {head_dim}, but got {static.size(2)}")
    return static


def _with_zero(x):
    """A key or value of zeros added at the end of (bsz * heads, L, dim)."""
    return rl.cat([x, x.new_zeros((x.shape[0], 1, x.shape[2]))], dim=1)


def _wider(mask):
    """A mask for one more key, which is not masked."""
    return None if mask is None else F.pad(mask, (0, 1))


def _merge_masks(attn_mask, key_padding_mask, bsz, num_heads, src_len):
    """One mask that broadcasts to (bsz * heads, tgt, src), or None."""
    if key_padding_mask is None:
        return attn_mask
    if tuple(key_padding_mask.shape) != (bsz, src_len):
        raise AssertionError(f"expecting key_padding_mask shape of {(bsz, src_len)}, but got {key_padding_mask.shape}")
    padding = key_padding_mask.view(bsz, 1, 1, src_len).expand(-1, num_heads, -1, -1)
    padding = padding.reshape(bsz * num_heads, 1, src_len)
    return padding if attn_mask is None else attn_mask + padding


def _attend_with_weights(q, k, v, mask, dropout_p, embed_dim):
    """(result, weights) of attention computed step by step, from (bsz * heads, L, dim) to (L * bsz, heads * dim)."""
    scaled = q * math.sqrt(1.0 / q.shape[-1])
    transposed = k.transpose(-2, -1)
    scores = rl.bmm(scaled, transposed) if mask is None else rl.baddbmm(mask, scaled, transposed)
    weights = F.softmax(scores, dim=-1)
    if dropout_p > 0.0:
        weights = F.dropout(weights, p=dropout_p)
    result = rl.bmm(weights, v).transpose(0, 1)
    return result.contiguous().view(-1, embed_dim), weights


def multi_head_attention_forward(
    query, key, value, embed_dim_to_check, num_heads, in_proj_weight, in_proj_bias, bias_k, bias_v, add_zero_attn,
    dropout_p, out_proj_weight, out_proj_bias, training=True, key_padding_mask=None, need_weights=True, attn_mask=None,
    use_separate_proj_weight=False, q_proj_weight=None, k_proj_weight=None, v_proj_weight=None, static_k=None,
    static_v=None, average_attn_weights=True, is_causal=False,
):  # fmt: skip
    """Attention with several heads, the computation of `nn.MultiheadAttention`, which describes the arguments.

    Shape: query (L, N, E), key (S, N, kdim), value (S, N, vdim), all without N too; key_padding_mask (N, S); attn_mask
    (L, S) or (N * num_heads, L, S). Returns (L, N, E) and weights (N, L, S), (N, num_heads, L, S) or None.
    Raises AssertionError and RuntimeError for shapes that do not fit.
    """
    batched = _check_dims(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        query, key, value = _with_batch(query, key, value)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    tgt_len, bsz, embed_dim = query.shape
    key_padding_mask = canonical_mask(
        key_padding_mask, "key_padding_mask", none_or_dtype(attn_mask), "attn_mask", query.dtype
    )
    if is_causal and attn_mask is None:
        raise RuntimeError(_NEED_MASK)
    if is_causal and key_padding_mask is None and not need_weights:
        attn_mask = None  # the kernel knows the mask
    else:
        attn_mask = canonical_mask(attn_mask, "attn_mask", None, "", query.dtype, False)
        is_causal = is_causal and key_padding_mask is None
    _check_sizes(query, key, value, embed_dim_to_check, num_heads, use_separate_proj_weight)
    if use_separate_proj_weight:
        weights = (q_proj_weight, k_proj_weight, v_proj_weight)
        q, k, v = _project_separately(query, key, value, weights, in_proj_bias)
    else:
        q, k, v = _project_packed(query, key, value, in_proj_weight, in_proj_bias)
    if attn_mask is not None:
        attn_mask = _check_attn_mask(attn_mask, tgt_len, key.shape[0], bsz, num_heads)
    if bias_k is not None and bias_v is not None:
        k = rl.cat([k, bias_k.repeat(1, bsz, 1)])
        v = rl.cat([v, bias_v.repeat(1, bsz, 1)])
        attn_mask, key_padding_mask = _wider(attn_mask), _wider(key_padding_mask)
    head_dim = embed_dim // num_heads
    q = _heads(q, bsz, num_heads, head_dim)
    k = _static_or_heads(static_k, "k", k, bsz, num_heads, head_dim)
    v = _static_or_heads(static_v, "v", v, bsz, num_heads, head_dim)
    if add_zero_attn:
        k, v = _with_zero(k), _with_zero(v)
        attn_mask, key_padding_mask = _wider(attn_mask), _wider(key_padding_mask)
    src_len = k.size(1)
    mask = _merge_masks(attn_mask, key_padding_mask, bsz, num_heads, src_len)
    dropout_p = dropout_p if training else 0.0
    if need_weights:
        result, weights = _attend_with_weights(q, k, v, mask, dropout_p, embed_dim)
    else:
        result, weights = _attend(q, k, v, mask, dropout_p, is_causal, bsz, num_heads), None
    result = F.linear(result, out_proj_weight, out_proj_bias).view(tgt_len, bsz, out_proj_weight.size(0))
    if weights is not None:
        weights = weights.view(bsz, num_heads, tgt_len, src_len)
        weights = weights.mean(dim=1) if average_attn_weights else weights
    if not batched:
        return result.squeeze(1), None if weights is None else weights.squeeze(0)
    return result, weights


def _attend(q, k, v, mask, dropout_p, is_causal, bsz, num_heads):
    """Attention in one operator, from (bsz * heads, L, dim) to (L * bsz, heads * dim)."""
    tgt_len, head_dim = q.shape[1:]
    if mask is not None:
        mask = mask.unsqueeze(0) if mask.size(0) == 1 else mask.view(bsz, num_heads, -1, mask.shape[-1])
    q, k, v = (x.view(bsz, num_heads, x.shape[1], head_dim) for x in (q, k, v))
    result = F.scaled_dot_product_attention(q, k, v, mask, dropout_p, is_causal)
    return result.permute(2, 0, 1, 3).contiguous().view(bsz * tgt_len, num_heads * head_dim)
