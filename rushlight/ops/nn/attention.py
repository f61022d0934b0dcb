"""Scaled dot-product attention: softmax(q k^T * scale + mask) v over the last two dimensions.

One node that keeps the operands, the result and the logarithm of each row's sum, not the weights: backward computes
them again. In single precision this is one kernel (codegen/cpu/rows/attention.py). Else rows are taken in blocks, so
that long sequences need little memory; a causal block looks only at the keys it may see. The method is that of
FlashAttention (arXiv 2205.14135).
"""

import math
from typing import NamedTuple

from ...core import dtype as dt
from ...core import infer as rules
from ...core.declare import public
from ...core.graph import MODE
from ...core.kinds import Kernel
from ...core.layout import contiguous_strides
from ...core.macro import macro
from ...core.record import record
from ...core.tensor import Tensor, empty
from ..basic.arithmetic import where
from ..basic.copy import COPY
from ..basic.creation import ones
from ..basic.grids import broadcast_shapes
from ..basic.pointwise import exp, log
from ..basic.shape import cat
from ..linalg.matmul import matmul
from ..reduce.rows import narrow, total, wide
from ..reduce.softmax import exp_away, finite_or_zero, largest
from .dropout import dropout
from .pad import pad


def needs(attrs):
    """The features of rows are neighbours, in the columns of a mask as well; logarithms have no columns."""
    rows = ["rows"] * (4 if dict(attrs)["masked"] else 3)
    return [*rows, "rows", "any", "rows"]  # the backward kernel: out, logs, g


FORWARD = Kernel("attention_kernel", layouts=rules.strided, lower="rows.attention:attention", reads=needs)
BACKWARD = Kernel("attention_kernel_backward", layouts=rules.strided, lower="rows.attention:attention_back",
                  reads=needs)
FEWEST, WIDEST = 8, 256  # rows of queries and keys, and features, that the kernels are made for
FEWEST_HEADS = 4  # that are worth a backward task each
BLOCK_BYTES = 1 << 24  # of scores that one block holds
CAUSAL_ROWS = 128  # rows of a causal block at least


# -- products, where groups of query heads share a key head -----------------------------------------------------------


def fold(x):
    """(..., G, rows, n) as (..., G rows, n)."""
    return x.flatten(-3, -2)


def times_transposed(a, b, groups):
    """a b^T; with groups a is (..., G, rows, n) and b (..., 1, columns, n)."""
    if groups == 1:
        return matmul(a, b.transpose(-2, -1))
    return matmul(fold(a), b.squeeze(-3).transpose(-2, -1)).unflatten(-2, (groups, a.shape[-2]))


def times(a, b, groups):
    """a b, shapes as in `times_transposed`."""
    if groups == 1:
        return matmul(a, b)
    return matmul(fold(a), b.squeeze(-3)).unflatten(-2, (groups, a.shape[-2]))


def transposed_times(a, b, groups):
    """a^T b, summed over groups."""
    if groups == 1:
        return matmul(a.transpose(-2, -1), b)
    return matmul(fold(a).transpose(-2, -1), fold(b)).unsqueeze(-3)


# -- one kernel -------------------------------------------------------------------------------------------------------


def fits(query, key, value, mask, plan):
    """Whether the kernels take these operands: float32, rows and keys enough for their tiles, two dimensions of heads
    beside groups, a mask whose columns are neighbours."""
    grouped = plan.groups > 1
    heads, shared = query.shape[:-2], key.shape[:-2]
    if any([t.dtype is not dt.float32 for t in (query, key, value)]) or len(heads) > 2 + grouped:
        return False
    if (heads[:-1], 1) != (shared[:-1], shared[-1]) if grouped else heads != shared:
        return False
    if value.shape[:-2] != shared or min(query.shape[-2], key.shape[-2]) < FEWEST:
        return False
    if max(query.shape[-1], value.shape[-1]) > WIDEST:
        return False
    return mask is None or mask.dtype in (dt.bool_, dt.float32) and mask.dim() > 0 and mask.stride(-1) == 1 and (
        mask.shape[-1] == key.shape[-2])


def like(x, shape):
    """(shape, strides, dtype) of a result: the strides of x if it is dense, of this shape, and features neighbours."""
    kept = x._layout.dense and tuple(x.shape) == tuple(shape) and x.stride(-1) == 1
    strides = x.stride() if kept else contiguous_strides(shape)
    return tuple(shape), tuple(strides), dt.float32


def run(op, plan, query, key, value, mask, more, results):
    """Record a kernel."""
    if mask is not None:
        mask = mask.expand((*query.shape[:-1], key.shape[-2]))
    operands = [query, key, value, *([] if mask is None else [mask]), *more]
    attrs = (("scale", plan.scale), ("causal", plan.causal), ("grouped", plan.groups > 1), ("masked", mask is not None),
             ("out", tuple(results)))
    return record(op, "t" * len(operands), attrs, operands)


# -- one block of rows ------------------------------------------------------------------------------------------------


class Attention(NamedTuple):
    """What stays the same over blocks: the scale, whether rows see only keys up to their own, the groups."""

    scale: float
    causal: bool
    groups: int

    def blocks(self, shape, columns):
        """The ranges of rows that are computed at a time, and the keys each sees: [(first, end, keys)]."""
        rows = shape[-2]
        lead = max(1, math.prod(shape[:-2]))
        size = max(32, BLOCK_BYTES // (4 * lead * max(1, columns)))
        if self.causal:
            size = min(size, max(CAUSAL_ROWS, -(-rows // 8)))
        count = max(1, -(-rows // size))
        size = -(-rows // count)
        found = [(i, min(rows, i + size)) for i in range(0, rows, size)]
        return [(i, end, min(columns, end) if self.causal else columns) for i, end in found]

    def scores(self, query, key, mask, block):
        """Scaled and masked products of a block's rows with the keys it sees."""
        first, end, keys = block
        rows = part(query, first, end) * self.scale
        found = times_transposed(rows, part(key, 0, keys), self.groups)
        if self.causal:
            if keys > first + 1:
                seen = ones((end - first, keys), dtype=dt.bool_, device=query.device).tril(first)
                found = where(seen, found, float("-inf"))
        elif mask is not None:
            rows_of = mask if mask.dim() < 2 or mask.shape[-2] == 1 else part(mask, first, end)
            found = where(rows_of, found, float("-inf")) if mask.dtype is dt.bool_ else found + rows_of
        return found


def part(x, first, end):
    """Rows of the last but one dimension."""
    return x if first == 0 and end == x.shape[-2] else x.narrow(-2, first, end - first)


@macro("attention", 4)
def forward(query, key, value, attn_mask, plan):
    """(result, logarithms of the sums of each row; infinite for rows without any key)."""
    if fits(query, key, value, attn_mask, plan):
        shape = (*query.shape[:-1], value.shape[-1])
        return tuple(run(FORWARD, plan, query, key, value, attn_mask, (),
                         (like(query, shape), like(query, (*shape[:-1], 1)))))
    q, k, v = wide(query), wide(key), wide(value)
    shape = (*joined_lead(q, k, v), q.shape[-2], v.shape[-1])
    strides = query.stride() if query._layout.dense and tuple(query.shape) == shape else None
    out = empty(shape, query.dtype, query._storage.device, strides)
    logs = empty((*shape[:-1], 1), q.dtype, query._storage.device)
    for block in plan.blocks(shape[:-1] + (shape[-1],), k.shape[-2]):
        first, end, keys = block
        scores = plan.scores(q, k, attn_mask, block)
        dim = (scores.dim() - 1,)
        top = finite_or_zero(largest(scores, dim))
        weights = exp_away(scores, top)
        sums = total(weights, dim)
        none = sums == 0
        found = times(weights, part(v, 0, keys), plan.groups) / where(none, 1.0, sums)
        store(narrow(found, query.dtype), part(out, first, end))
        store(where(none, float("inf"), log(sums) + top), part(logs, first, end))
    return out, logs


def joined_lead(*tensors):
    """The broadcast leading dimensions."""
    return tuple(broadcast_shapes(*[t.shape[:-2] for t in tensors]))


def store(source, target):
    record(COPY, "t", (), (source,), (), (target,))


# -- gradients --------------------------------------------------------------------------------------------------------


def gradients(g, query, key, value, attn_mask, plan, out0, out1):
    """The gradients of query, key, value and mask."""
    if MODE.grad:
        return differentiable_gradients(g[0], query, key, value, attn_mask, plan)
    masked = isinstance(attn_mask, Tensor) and attn_mask.requires_grad
    return slopes(g[0], query, key, value, attn_mask, out0, out1, plan, masked)


@macro("attention_slopes", 7)
def slopes(g, query, key, value, attn_mask, out, logs, plan, masked):
    """The gradients, block by block; that of the mask if it wants one."""
    if not masked and fits(query, key, value, attn_mask, plan) and math.prod(key.shape[:-2]) >= FEWEST_HEADS:
        found = run(BACKWARD, plan, query, key, value, attn_mask, (out, logs, g),
                    [like(t, t.shape) for t in (query, key, value)])
        return (*found, None)
    g, out = wide(g), wide(out)
    q, k, v = wide(query), wide(key), wide(value)
    inner = (g * out).sum(-1, keepdim=True)
    dq, dmask, dk, dv = [], [], None, None
    for block in reversed(plan.blocks(tuple(out.shape), k.shape[-2])):
        first, end, keys = block
        weights = exp_away(plan.scores(q, k, attn_mask, block), part(logs, first, end))
        rows = part(g, first, end)
        slope = times_transposed(rows, part(v, 0, keys), plan.groups)
        slope = weights * (slope - part(inner, first, end))
        more_v = transposed_times(weights, rows, plan.groups)
        more_k = transposed_times(slope, part(q, first, end) * plan.scale, plan.groups)
        dq.append(times(slope, part(k, 0, keys) * plan.scale, plan.groups))
        if masked:
            dmask.append(slope)
        if dk is None:
            dk, dv = whole(more_k, k.shape[-2]), whole(more_v, v.shape[-2])
        else:
            part(dk, 0, keys).add_(more_k)
            part(dv, 0, keys).add_(more_v)
    return joined(dq), dk, dv, joined(dmask) if masked else None


def whole(x, rows):
    """Zeros below where the last block sees only some of the keys."""
    return x if x.shape[-2] == rows else pad(x, (0, 0, 0, rows - x.shape[-2]))


def joined(parts):
    """Blocks that were made from the last to the first, as one."""
    return parts[0] if len(parts) == 1 else cat(parts[::-1], -2)


def differentiable_gradients(g, query, key, value, attn_mask, plan):
    """The same as expressions of the operands alone, in one block: what is differentiated again."""
    g, q, k, v = wide(g), wide(query), wide(key), wide(value)
    scores = plan.scores(q, k, attn_mask, (0, q.shape[-2], k.shape[-2]))
    top = finite_or_zero(scores.amax(-1, keepdim=True)).detach()
    raw = exp(scores - top)
    sums = raw.sum(-1, keepdim=True)
    weights = raw / where(sums == 0, 1.0, sums)
    slope = times_transposed(g, v, plan.groups)
    slope = weights * (slope - (slope * weights).sum(-1, keepdim=True))
    dmask = slope if isinstance(attn_mask, Tensor) and attn_mask.requires_grad else None
    return (times(slope, k * plan.scale, plan.groups), transposed_times(slope, q * plan.scale, plan.groups),
            transposed_times(weights, g, plan.groups), dmask)


attend = public("", node="ScaledDotProductFlashAttentionForCpuBackward0", out=False,
                grad={("query", "key", "value", "attn_mask"): gradients})(forward)


# -- the public function ----------------------------------------------------------------------------------------------


def check(query, key, value, attn_mask, dropout_p, is_causal, enable_gqa):
    """RuntimeErrors as PyTorch raises them."""
    if query.dim() < 2 or key.dim() < 2 or value.dim() < 2:
        raise RuntimeError("Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: "
                           f"{query.dim()} key.dim: {key.dim()} and value.dim: {value.dim()} instead.")
    if not query.dtype is key.dtype is value.dtype:
        raise RuntimeError("Expected query, key, and value to have the same dtype, but got query.dtype: "
                           f"{query.dtype} key.dtype: {key.dtype} and value.dtype: {value.dtype} instead.")
    if query.dtype.category != dt.FLOATING:
        raise RuntimeError(f"expected scalar type Float but found {dt.scalar_type(query.dtype)}")
    if attn_mask is not None:
        if is_causal:
            raise RuntimeError("_scaled_dot_product_attention: Explicit attn_mask should not be set when "
                               "is_causal=True")
        if attn_mask.dtype not in (dt.bool_, dt.float32, query.dtype):
            raise RuntimeError("Expected attn_mask dtype to be bool or float or to match query dtype, but got "
                               f"attn_mask.dtype: {attn_mask.dtype} and  query.dtype: {query.dtype} instead.")
    if not 0.0 <= dropout_p <= 1.0:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {dropout_p}")
    if key.shape[-1] != query.shape[-1] or value.shape[-2] != key.shape[-2]:
        raise RuntimeError("scaled_dot_product_attention: query, key and value do not fit: "
                           f"{list(query.shape)}, {list(key.shape)}, {list(value.shape)}")
    if enable_gqa:
        if query.dim() < 3 or key.dim() < 3 or value.dim() < 3:
            raise RuntimeError("scaled_dot_product_attention: enable_gqa needs a dimension of heads")
        if query.shape[-3] % key.shape[-3] or query.shape[-3] % value.shape[-3]:
            raise RuntimeError("Number of heads in key and value must divide the number of heads in query")


def grouped_mask(mask, heads, groups):
    """A mask over (..., heads, rows, columns) with the heads of a group in a dimension of their own."""
    if mask is None or mask.dim() < 3:
        return mask
    if mask.shape[-3] == heads:
        return mask.unflatten(-3, (heads // groups, groups))
    return mask.unsqueeze(-3)


@public("nn.functional.scaled_dot_product_attention", out=False, cast="lower")
def scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None,
                                 enable_gqa=False):
    """Attention of query (..., L, E) over key (..., S, E) and value (..., S, Ev): (..., L, Ev).

    attn_mask: bool (True takes part) or numbers to add, broadcast to (..., L, S). is_causal: position i sees keys up to
    i. scale: 1 / sqrt(E) by default. dropout_p: of the weights, always applied. enable_gqa: key and value may have
    fewer heads (dimension -3), each for a group of query heads. Rows without any key give zeros.
    """
    check(query, key, value, attn_mask, dropout_p, is_causal, enable_gqa)
    scale = 1.0 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    groups, shape = 1, tuple(query.shape)
    if enable_gqa and key.shape[-3] != value.shape[-3]:
        most = max(key.shape[-3], value.shape[-3])
        key = key.repeat_interleave(most // key.shape[-3], -3)
        value = value.repeat_interleave(most // value.shape[-3], -3)
    if enable_gqa and key.shape[-3] != shape[-3]:
        groups = shape[-3] // key.shape[-3]
        attn_mask = grouped_mask(attn_mask, shape[-3], groups)
        query, key, value = query.unflatten(-3, (-1, groups)), key.unsqueeze(-3), value.unsqueeze(-3)
    plan = Attention(scale, bool(is_causal), groups)
    if 0 in (*query.shape, *key.shape, value.shape[-1]):
        found = times(query[..., :0] @ key[..., :0].transpose(-2, -1), value, groups)
    elif dropout_p > 0.0:
        found = with_dropout(query, key, value, attn_mask, dropout_p, plan)
    else:
        found = attend(query, key, value, attn_mask, plan)[0]
    return found.flatten(-4, -3) if groups > 1 else found


def with_dropout(query, key, value, attn_mask, dropout_p, plan):
    """The weights as a tensor, for dropout."""
    rows, columns = query.shape[-2], key.shape[-2]
    if plan.causal:
        attn_mask = ones((rows, columns), dtype=dt.bool_, device=query.device).tril()
    scores = Attention(plan.scale, False, plan.groups).scores(query, key, attn_mask, (0, rows, columns))
    weights = scores.softmax(-1)
    if attn_mask is not None and not plan.causal:
        weights = where(scores.detach().amax(-1, keepdim=True) == float("-inf"), 0.0, weights)
    return times(dropout(weights, dropout_p, True), value, plan.groups)
