"""Clipping of gradients in place, by norm or by value."""
import types
import warnings

from ... import api as rl
from ...base.lazy import Lazy

__all__ = ["clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]

dist = Lazy(f"{__name__.split('.')[0]}.distributed")  # stands below this folder in the import order


def _as_list(tensors):
    return [tensors] if isinstance(tensors, rl.Tensor) else list(tensors)


def _gradients(parameters):
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def _over_ranks(total, norm_type, tensors, groups):
    """The norm of gradients that are distributed over the ranks of a group, from the norm of the local parts."""
    if len(groups) > 1 or any(getattr(tensor, "_shard", None) is None for tensor in tensors):
        raise NotImplementedError("get_total_norm: gradients of several groups of ranks, or sharded ones together with "
                                  "others")
    (group,) = groups.values()
    if norm_type == float("inf"):
        dist.all_reduce(total, dist.ReduceOp.MAX, group)
        return total
    total = total.pow(norm_type)
    dist.all_reduce(total, group=group)
    return total.pow(1 / norm_type)


def get_total_norm(tensors, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """The norm of all values of some tensors together, a tensor of one value.

    Args: `norm_type`, the p of the p-norm, `inf` for the largest; `error_if_nonfinite`, raise RuntimeError for a norm
    that is infinite or not a number; `foreach` is accepted, one way is as fast as the other.
    """
    tensors = _as_list(tensors)
    norm_type = float(norm_type)
    with rl.no_grad():
        if not tensors:
            return rl.tensor(0.0)
        device = tensors[0].device
        norms = [rl.linalg.vector_norm(tensor, norm_type) for tensor in tensors]
        total = rl.linalg.vector_norm(rl.stack([norm.to(device) for norm in norms]), norm_type)
        groups = {id(shard.group): shard.group for shard in (getattr(t, "_shard", None) for t in tensors) if shard}
        if groups:
            total = _over_ranks(total, norm_type, tensors, groups)
    if error_if_nonfinite and not bool(total.isfinite()):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be "
            "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`"
        )
    return total


def clip_grads_with_norm_(parameters, max_norm, total_norm, foreach=None):
    """Multiply the gradients by max_norm / (total_norm + 1e-6), if that is less than 1."""
    gradients = _gradients(_as_list(parameters))
    with rl.no_grad():
        # A factor of 1 is applied as well: looking at the norm would mean to wait for it.
        factor = rl.clamp(float(max_norm) / (total_norm + 1e-6), max=1.0)
        for gradient in gradients:
            gradient.mul_(factor.to(gradient.device))


def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """Scale the gradients, all together, down to a norm of at most max_norm; returns the norm before.

    Args: `parameters`, tensors or one; the others as for `get_total_norm`.
    """
    if isinstance(parameters, types.GeneratorType):
        parameters = list(parameters)
        if not parameters:
            warnings.warn("`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=2)
    parameters = _as_list(parameters)
    total_norm = get_total_norm(_gradients(parameters), norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(parameters, max_norm, total_norm, foreach)
    return total_norm


def clip_grad_norm(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """Deprecated: the old name of `clip_grad_norm_`."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def clip_grad_value_(parameters, clip_value, foreach=None):
    """Cut off every value of the gradients at -clip_value and clip_value."""
    clip_value = float(clip_value)
    with rl.no_grad():
        for gradient in _gradients(_as_list(parameters)):
            gradient.clamp_(min=-clip_value, max=clip_value)
