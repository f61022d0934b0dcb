"""Lowerings of contractions: an instruction's layouts become the spec of a GEMM or convolution template."""

from ..kernel import Argument
from ..lower import lowering, memory
from .conv import ConvSpec, Tensor, plan_conv, plan_conv_input_grad, plan_conv_weight_grad
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


@lowering("gemm")
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


def _tensor(ref):
    return Tensor(memory(ref), ref[1].dtype.name, ref[1].strides)


def _conv_spec(instruction, input, weight, out, bias):
    options = dict(instruction.attrs)
    image, filters = input[1], weight[1]
    return ConvSpec(image.shape[0], image.shape[1], filters.shape[0], tuple(image.shape[2:]), tuple(filters.shape[2:]),
                    tuple(out[1].shape[2:]), options["stride"], options["padding"], options["dilation"],
                    options["groups"],
                    _tensor(input), _tensor(weight), _tensor(out), _tensor(bias) if bias else None)


@lowering("conv")
def conv(instruction):
    """ins: input, weight[, bias]."""
    input, weight, *bias = instruction.ins
    spec = _conv_spec(instruction, input, weight, instruction.outs[0], bias[0] if bias else None)
    return plan_conv(spec) if instruction.outs[0][1].numel else []


@lowering("conv_input_grad")
def conv_input_grad(instruction):
    """ins: gradient of the result, weight[, bias over the input's channels]; out: gradient of the input (transposed
    convolution)."""
    g, weight, *bias = instruction.ins
    spec = _conv_spec(instruction, instruction.outs[0], weight, g, bias[0] if bias else None)
    return plan_conv_input_grad(spec) if instruction.outs[0][1].numel else []


@lowering("conv_weight_grad")
def conv_weight_grad(instruction):
    """ins: gradient of the result, input; out: gradient of the weight."""
    g, input = instruction.ins
    spec = _conv_spec(instruction, input, instruction.outs[0], g, None)
    return plan_conv_weight_grad(spec) if instruction.outs[0][1].numel else []
