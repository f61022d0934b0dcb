"""Gradients of convolutions as functions: with respect to the input or the weight, from the gradient of the output."""
from .. import api as rl
from . import functional as F

__all__ = ["conv1d_input", "conv1d_weight", "conv2d_input", "conv2d_weight", "conv3d_input", "conv3d_weight"]


def _gradient(convolve, input, weight, grad_output, wanted, *options):
    """The gradient of a convolution with respect to the operand `wanted`; the values of that operand do not matter."""
    with rl.enable_grad():
        input, weight = input.detach(), weight.detach()
        operand = (input if wanted == "input" else weight).requires_grad_()
        output = convolve(input, weight, None, *options)
    return rl.autograd.grad(output, operand, grad_output)[0]


def _of_input(convolve, input_size, weight, grad_output, options):
    input = rl.zeros(input_size, dtype=weight.dtype, device=weight.device)
    return _gradient(convolve, input, weight, grad_output, "input", *options)


def _of_weight(convolve, input, weight_size, grad_output, options):
    weight = rl.zeros(weight_size, dtype=input.dtype, device=input.device)
    return _gradient(convolve, input, weight, grad_output, "weight", *options)


def conv1d_input(input_size, weight, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of `conv1d` with respect to an input of this size."""
    return _of_input(F.conv1d, input_size, weight, grad_output, (stride, padding, dilation, groups))


def conv1d_weight(input, weight_size, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of `conv1d` with respect to a weight of this size."""
    return _of_weight(F.conv1d, input, weight_size, grad_output, (stride, padding, dilation, groups))


def conv2d_input(input_size, weight, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of `conv2d` with respect to an input of this size."""
    return _of_input(F.conv2d, input_size, weight, grad_output, (stride, padding, dilation, groups))


def conv2d_weight(input, weight_size, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of `conv2d` with respect to a weight of this size."""
    return _of_weight(F.conv2d, input, weight_size, grad_output, (stride, padding, dilation, groups))


def conv3d_input(input_size, weight, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of `conv3d` with respect to an input of this size."""
    return _of_input(F.conv3d, input_size, weight, grad_output, (stride, padding, dilation, groups))


def conv3d_weight(input, weight_size, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of `conv3d` with respect to a weight of this size."""
    return _of_weight(F.conv3d, input, weight_size, grad_output, (stride, padding, dilation, groups))
