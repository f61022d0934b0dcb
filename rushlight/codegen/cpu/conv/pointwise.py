"""Convolutions with a kernel of one tap, no padding and stride 1 as batched matrix products over the images.

In: a `ConvSpec` of conv.py in three dimensions; out: launches of gemm.py, or None where the planes of a tensor are
not evenly strided.
"""

import math

from ...ir import target
from ...ir.kernel import Memory, Scratch
from ...ir.vectors import BYTES, compute_dtype, compute_kind
from ..gemm.gemm import GemmSpec, Operand, plan_gemm
from ..gemm.reduce import plan_reduce

MOST_PARTIAL = 1 << 23  # elements of per-image weight gradients


def fits(spec):
    """Whether the convolution is one matrix product an image (output padding may add pixels that no tap reaches)."""
    if set(spec.kernel) != {1} or set(spec.stride) != {1} or set(spec.padding) != {0} or spec.size != spec.out_size:
        return False
    return _even(spec.input, spec.size) and _even(spec.out, spec.size)


def _even(tensor, size):
    _, _, d, h, w = tensor.strides
    return (size[1] == 1 or size[2] == 1 or h == w * size[2]) and (
        size[0] == 1 or size[1] * size[2] == 1 or d == (h * size[1] if size[1] > 1 else w * size[2])
    )


def _pixel_stride(tensor, size):
    return next((step for step, count in zip(tensor.strides[:1:-1], size[::-1]) if count > 1), 1)


def _image(tensor, size, channels, by_channel):
    """A tensor as matrices (channels, pixels) or its transposed, batch (image, group)."""
    n_, c_ = tensor.strides[:2]
    pixel = _pixel_stride(tensor, size)
    row, column = (c_, pixel) if by_channel else (pixel, c_)
    return Operand(tensor.memory, tensor.dtype, row, column, (n_, channels * c_))


def plan_pointwise(spec, what):
    """Launches for `what`: "forward", "input" or "weight" (None where the weight's partial sums would be too large)."""
    depth, width, pixels = spec.channels // spec.groups, spec.filters // spec.groups, math.prod(spec.size)
    o_, c_ = spec.weight.strides[:2]
    batch = (spec.batch, spec.groups)
    x, y = _image(spec.input, spec.size, depth, True), _image(spec.out, spec.size, width, True)
    weight = Operand(spec.weight.memory, spec.weight.dtype, o_, c_, (0, width * o_))
    if what == "weight":
        return _plan_weight(spec, x, y, weight)
    a, b, out, m, k = (weight, x, y, width, depth) if what == "forward" else (weight.transposed(), y, x, depth, width)
    bias = spec.bias and Operand(spec.bias.memory, spec.bias.dtype, 1, 0, (0, m))
    return plan_gemm(GemmSpec(m, pixels, k, a, b, out, bias, batch=batch))


def _plan_weight(spec, x, y, weight):
    depth, width, pixels = spec.channels // spec.groups, spec.filters // spec.groups, math.prod(spec.size)
    if spec.batch == 1:
        return plan_gemm(GemmSpec(width, depth, pixels, y, x.transposed(), weight, batch=(1, spec.groups)))
    plane = spec.groups * width * depth
    if spec.batch * plane > MOST_PARTIAL or pixels < 64:
        return None
    dtype = compute_dtype(weight.dtype)
    memory = Memory(Scratch(spec.batch * plane * BYTES[dtype] + target.current.vector_bytes))
    partial = Operand(memory, dtype, depth, 1, (plane, width * depth))
    launches = plan_gemm(GemmSpec(width, depth, pixels, y, x.transposed(), partial, batch=(spec.batch, spec.groups)))
    total = GemmSpec(width, depth, pixels, y, x, weight, batch=(1, spec.groups))
    return launches + [plan_reduce(total, partial, spec.batch, target.current.lanes(compute_kind(weight.dtype)))]
