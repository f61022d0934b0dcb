"""Batch normalization folded into the layer before it, for inference."""
import copy

from ... import api as rl
from ..parameter import Parameter

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]


def _check_eval(first, second):
    if first.training or second.training:
        raise AssertionError("Fusion only for eval!")


def _fused(weight, bias, mean, var, eps, norm_weight, norm_bias, dim):
    """Parameters of the layer and its norm together; the norm's channels are dimension `dim` of the weight."""
    shift = rl.zeros_like(mean) if bias is None else bias
    scale = rl.ones_like(mean) if norm_weight is None else norm_weight
    offset = rl.zeros_like(mean) if norm_bias is None else norm_bias
    factor = scale * rl.rsqrt(var + eps)
    shape = [1] * weight.dim()
    shape[dim] = -1
    new_weight = (weight * factor.reshape(shape)).to(weight.dtype)
    new_bias = ((shift - mean) * factor + offset).to(weight.dtype if bias is None else bias.dtype)
    trained = weight.requires_grad
    return Parameter(new_weight, trained), Parameter(new_bias, trained if bias is None else bias.requires_grad)


def fuse_conv_bn_weights(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, transpose=False):
    """(weight, bias) of a convolution that also does the batch normalization after it.

    Args: its weight and bias (or None); mean, variance, eps, weight and bias (or None) of the norm; `transpose`, for a
    transposed convolution, whose output channels are the second dimension.
    """
    return _fused(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 1 if transpose else 0)


def fuse_linear_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b):
    """(weight, bias) of a linear layer that also does the batch normalization after it."""
    return _fused(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 0)


def fuse_conv_bn_eval(conv, bn, transpose=False):
    """A copy of a convolution that also does the batch normalization after it. Both must be in evaluation mode."""
    _check_eval(conv, bn)
    fused = copy.deepcopy(conv)
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused


def fuse_linear_bn_eval(linear, bn):
    """A copy of a linear layer that also does the batch normalization after it. Both must be in evaluation mode.

    The norm must have as many features as the linear layer has outputs, or one.
    """
    _check_eval(linear, bn)
    fused = copy.deepcopy(linear)
    if linear.out_features != bn.num_features and bn.num_features != 1:
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got "
            f"linear.out_features={linear.out_features} and bn.num_features={bn.num_features}"
        )
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return fused
