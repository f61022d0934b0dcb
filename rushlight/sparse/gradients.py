"""Sparse gradients: of embeddings with `sparse=True`, where only the rows that were used have one.

`ops/index/gather.py` calls `lookup`; the gradient of the table is a CooTensor with the rows' numbers as indices.
"""
from .. import api as rl
from ..autograd.function import Function
from ..ops.index import gather
from .tensor import CooTensor


class _Lookup(Function):
    """weight[indices], whose gradient is sparse."""

    @staticmethod
    def forward(ctx, weight, indices, padding_idx, scale_by_count):
        ctx.save_for_backward(indices)
        ctx.shape, ctx.padding_idx, ctx.scale_by_count = weight.shape, padding_idx, scale_by_count
        return gather.embedding_of(weight, indices, padding_idx)

    @staticmethod
    def backward(ctx, gradient):
        (indices,) = ctx.saved_tensors
        rows, values = indices.reshape(-1).long(), gradient.reshape(-1, ctx.shape[1])
        if ctx.scale_by_count:
            values = values / rl.bincount(rows, minlength=ctx.shape[0])[rows].to(values.dtype).unsqueeze(1)
        if ctx.padding_idx >= 0:
            used = rows != ctx.padding_idx
            rows, values = rows[used], values[used]
        return CooTensor._make((rows.unsqueeze(0),), values.contiguous(), ctx.shape), None, None, None


lookup = _Lookup.apply
