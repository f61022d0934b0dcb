"""Batch normalization over the batches of several processes, with its gradient: `normalize`, for SyncBatchNorm.

Each process computes mean and sum of squared deviations of its own part; these are gathered and combined, so that no
large sums are subtracted from each other. The backward pass needs two sums over all processes.
"""
from ... import api as rl
from ...autograd.function import Function, once_differentiable
from ...base.lazy import Lazy

dist = Lazy(f"{__name__.split('.')[0]}.distributed")  # stands below this folder in the import order


def _wide(input):
    """The dtype of statistics: at least float32."""
    return rl.float32 if input.dtype in (rl.float16, rl.bfloat16) else input.dtype


def statistics(input, group):
    """Mean and biased variance of each channel, and the number of values a channel, over all processes."""
    dims = [dim for dim in range(input.dim()) if dim != 1]
    values, count = input.detach().to(_wide(input)), input.numel() // input.size(1)
    if count:
        mean = values.mean(dims)
        deviation = (values - _channels(mean, input)).square().sum(dims)
    else:
        mean = deviation = values.new_zeros(input.size(1))
    own = rl.cat([mean, deviation, mean.new_full((1,), count)])
    parts = own.new_empty(dist.get_world_size(group), own.numel())
    dist.all_gather_into_tensor(parts, own, group)
    counts, channels = parts[:, -1:], input.size(1)
    total = int(counts.sum())
    if total < 2:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.size()}")
    means, deviations = parts[:, :channels], parts[:, channels:-1]
    mean = (means * counts).sum(0) / total
    deviation = (deviations + counts * (means - mean).square()).sum(0)
    return mean, deviation / total, total


def _channels(values, input):
    """A vector of one value a channel, shaped to broadcast against the input."""
    return values.view(1, -1, *[1] * (input.dim() - 2))


class _Normalize(Function):
    """(x - mean) / sqrt(var + eps) * weight + bias, where mean and variance depend on the input of every process."""

    @staticmethod
    def forward(ctx, input, weight, bias, mean, inverse, total, group):
        ctx.save_for_backward(input, weight, mean, inverse)
        ctx.total, ctx.group = total, group
        result = (input.to(mean.dtype) - _channels(mean, input)) * _channels(inverse, input)
        if weight is not None:
            result = result * _channels(weight, input)
        if bias is not None:
            result = result + _channels(bias, input)
        return result.to(input.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        input, weight, mean, inverse = ctx.saved_tensors
        dims = [dim for dim in range(input.dim()) if dim != 1]
        wide = grad.to(mean.dtype)
        normal = (input.to(mean.dtype) - _channels(mean, input)) * _channels(inverse, input)
        sums = rl.stack([wide.sum(dims), (wide * normal).sum(dims)])
        grad_weight = sums[1].to(weight.dtype) if weight is not None and ctx.needs_input_grad[1] else None
        grad_bias = sums[0].to(grad.dtype if weight is None else weight.dtype) if ctx.needs_input_grad[2] else None
        grad_input = None
        if ctx.needs_input_grad[0]:
            shared = sums.clone()
            dist.all_reduce(shared, group=ctx.group)
            shared = shared / ctx.total
            slope = inverse if weight is None else inverse * weight
            grad_input = wide - _channels(shared[0], input) - normal * _channels(shared[1], input)
            grad_input = (grad_input * _channels(slope, input)).to(input.dtype)
        return grad_input, grad_weight, grad_bias, None, None, None, None


def normalize(input, running_mean, running_var, weight, bias, momentum, eps, group):
    """Batch normalization in training mode; the running averages are updated in place unless they are None."""
    mean, variance, total = statistics(input, group)
    if running_mean is not None:
        with rl.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_((variance * (total / (total - 1))).to(running_var.dtype), momentum)
    return _Normalize.apply(input, weight, bias, mean, (variance + eps).rsqrt(), total, group)
