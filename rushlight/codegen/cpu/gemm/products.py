"""The lowering of matrix products: an instruction's layouts become the spec of the GEMM template."""

from ...ir.kernel import Argument
from ...lower import memory
from .gemm import GemmSpec, Operand, plan_gemm


def _operand(ref):
    """An Operand of a (..., rows, columns) layout."""
    _, layout, _ = ref
    *batch, row, column = layout.strides
    return Operand(memory(ref), layout.dtype.name, row, column, tuple(batch))


def _bias(ref, shape):
    """An Operand of a layout that broadcasts to the result's shape."""
    _, layout, _ = ref
    lead = len(shape) - layout.ndim
    strides = [0] * lead + [0 if n == 1 and m != 1 else s for n, s, m in zip(layout.shape, layout.strides,
                                                                             shape[lead:])]
    return Operand(memory(ref), layout.dtype.name, strides[-2], strides[-1], tuple(strides[:-2]))


def gemm(instruction):
    """ins: a, b[, bias]; numbers: [alpha, beta]; out = beta * bias + alpha * a @ b, with leading batch dimensions."""
    a, b, *bias = instruction.ins
    out = instruction.outs[0]
    shape = out[1].shape
    numbers = [Argument(arg[1]) for arg in instruction.args if arg[0] == "num"]
    alpha, beta = numbers if numbers else (None, None)
    spec = GemmSpec(shape[-2], shape[-1], a[1].shape[-1], _operand(a), _operand(b), _operand(out),
                    bias=_bias(bias[0], shape) if bias else None, alpha=alpha, beta=beta if bias else None,
                    batch=tuple(shape[:-2]))
    return plan_gemm(spec) if out[1].numel else []
