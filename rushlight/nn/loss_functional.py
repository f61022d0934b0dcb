"""Losses made of other functions: features and weights come in, a loss goes out. `nn/functional.py` offers them too."""
from . import functional as F

__all__ = ["linear_cross_entropy"]


def linear_cross_entropy(
    input, linear_weight, target, *, linear_bias=None, weight=None, reduction="mean", ignore_index=None,
    label_smoothing=0.0, options=None,
):  # fmt: skip
    """`cross_entropy(linear(input, linear_weight, linear_bias), target, ...)`.

    Shape: input (N, in_features) or (in_features); linear_weight (C, *, in_features), linear_bias (C, *); target of
    classes (N, *) or (), or of probabilities (N, C, *) or (C). `ignore_index` None means -100 for classes, and is
    refused for probabilities otherwise. `options` says how PyTorch splits the work and does not change the result.
    """
    features = linear_weight.shape[-1]
    outer = linear_weight.shape[:-1]
    if len(outer) > 1 and input.dim() != 2:
        raise ValueError(
            f"linear_cross_entropy: expected a 2-D input for a weight with {linear_weight.dim()} dimensions, got "
            f"{input.dim()}-D"
        )
    bias = None if linear_bias is None else linear_bias.reshape(-1)
    logits = F.linear(input, linear_weight.reshape(-1, features), bias)
    if len(outer) > 1:
        logits = logits.reshape(input.shape[0], *outer)
    return F.cross_entropy(
        logits,
        target,
        weight=weight,
        ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )
