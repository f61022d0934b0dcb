"""Scaled dot-product attention and its gradients."""

from ....base.lazy import numpy as np
from .values import save, values, wide


def weights(options, query, key, mask):
    """(weights, logarithms of the sums of each row; infinite for rows without any key)."""
    scores = np.matmul(query, np.swapaxes(key, -1, -2)) * options["scale"]
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    if options["causal"]:
        seen = np.tri(*scores.shape[-2:], dtype=bool)
        scores = np.where(seen, scores, -np.inf)
    top = scores.max(-1, keepdims=True)
    top = np.where(np.isneginf(top), 0, top)
    raw = np.exp(scores - top)
    sums = raw.sum(-1, keepdims=True)
    none = sums == 0
    return raw / np.where(none, 1, sums), np.where(none, np.inf, np.log(np.where(none, 1, sums)) + top)


def operands(instruction, ins):
    """(options, query, key, value, mask or None, the others)."""
    options = dict(instruction.attrs)
    query, key, value, *others = map(wide, values(instruction, ins))
    mask = others.pop(0) if options["masked"] else None
    return options, query, key, value, mask, others


def attention(instruction, ins, outs, numbers):
    """ins: query, key, value[, mask]; outs: result, logarithms of the rows' sums."""
    options, query, key, value, mask, _ = operands(instruction, ins)
    found, logs = weights(options, query, key, mask)
    save(instruction, outs, 0, np.matmul(found, value))
    save(instruction, outs, 1, logs)


def summed(array, shape):
    """Summed over the dimensions in which an operand was broadcast."""
    dims = tuple([d for d, n in enumerate(shape) if n == 1 and array.shape[d] > 1])
    return array.sum(dims, keepdims=True)


def attention_back(instruction, ins, outs, numbers):
    """ins: query, key, value[, mask], result, logarithms, its gradient; outs: gradients of query, key and value."""
    options, query, key, value, mask, (out, _, g) = operands(instruction, ins)
    found, _ = weights(options, query, key, mask)
    slope = found * (np.matmul(g, np.swapaxes(value, -1, -2)) - (g * out).sum(-1, keepdims=True))
    slope = slope * options["scale"]
    save(instruction, outs, 0, np.matmul(slope, key))
    save(instruction, outs, 1, summed(np.matmul(np.swapaxes(slope, -1, -2), query), key.shape))
    save(instruction, outs, 2, summed(np.matmul(np.swapaxes(found, -1, -2), g), value.shape))


SPECIFICATIONS = {"rows.attention:attention": attention, "rows.attention:attention_back": attention_back}
