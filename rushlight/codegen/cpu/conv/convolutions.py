"""Lowerings of convolutions: an instruction's layouts become the spec of a convolution template."""

from ...lower import memory
from .conv import ConvOperand, ConvSpec, plan_conv, plan_conv_input_grad, plan_conv_weight_grad


def _tensor(ref):
    return ConvOperand(memory(ref), ref[1].dtype.name, ref[1].strides)


def _conv_spec(instruction, input, weight, out, bias):
    options = dict(instruction.attrs)
    image, filters = input[1], weight[1]
    return ConvSpec(image.shape[0], image.shape[1], filters.shape[0], tuple(image.shape[2:]), tuple(filters.shape[2:]),
                    tuple(out[1].shape[2:]), options["stride"], options["padding"], options["dilation"],
                    options["groups"],
                    _tensor(input), _tensor(weight), _tensor(out), _tensor(bias) if bias else None)


def conv(instruction):
    """ins: input, weight[, bias]."""
    input, weight, *bias = instruction.ins
    spec = _conv_spec(instruction, input, weight, instruction.outs[0], bias[0] if bias else None)
    return plan_conv(spec) if instruction.outs[0][1].numel else []


def conv_input_grad(instruction):
    """ins: gradient of the result, weight[, bias over the input's channels]; out: gradient of the input (transposed
    convolution)."""
    g, weight, *bias = instruction.ins
    spec = _conv_spec(instruction, instruction.outs[0], weight, g, bias[0] if bias else None)
    return plan_conv_input_grad(spec) if instruction.outs[0][1].numel else []


def conv_weight_grad(instruction):
    """ins: gradient of the result, input; out: gradient of the weight."""
    g, input = instruction.ins
    spec = _conv_spec(instruction, input, instruction.outs[0], g, None)
    return plan_conv_weight_grad(spec) if instruction.outs[0][1].numel else []
