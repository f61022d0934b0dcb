"""Losses of a prediction and a target of the same shape: squared, absolute, Huber, cross entropies of probabilities,
likelihoods.

Each loss per element is one scalar body; together with the mean or sum it is one node, whose gradient is the slope
per element times a scale. All fuse into one pass over the operands.
"""

import math
import warnings

from ...core import dtype as dt
from ...core.declare import REGISTRY, elementwise, public
from ...core.errors import BadData
from ...core.macro import macro
from ...core.tensor import Tensor
from ..basic.creation import ones_like
from ..basic.grids import broadcast_shapes
from ..basic.pointwise import exp, log, need_tensor, sgn, sigmoid
from ..basic.special import xlogy
from .activation import logsigmoid
from .loss import MODES, reduced, reduction_of


def where(condition, input, other):
    return REGISTRY["where"](condition, input, other)


def same_sizes(input, target, stacklevel=3):
    """Warn as PyTorch does where a loss would broadcast."""
    if input.shape != target.shape:
        warnings.warn(f"Using a target size ({target.size()}) that is different to the input size ({input.size()}). "
                      "This will likely lead to incorrect results due to broadcasting. Please ensure they have the "
                      "same size.", stacklevel=stacklevel)


def scaled(g, reduction, count):
    """The gradient of each element's loss from that of the reduced one."""
    return g / count if reduction == "mean" else g


def joint_numel(*tensors):
    return math.prod(broadcast_shapes(*[t.shape for t in tensors if isinstance(t, Tensor)]))


def folded_loss(node, values, slope, target_slope=None):
    """A loss of (input, target, reduction, numbers) as one node.

    `values`: the loss per element; `slope`: its derivative with respect to the input, `target_slope` to the target
    (None: -slope)."""
    def forward(input, target, reduction, number):
        """The reduced loss."""
        return reduced(values(input, target, *number), reduction)

    def input_grad(g, input, target, reduction, number):
        return scaled(g, reduction, joint_numel(input, target)) * slope(input, target, *number)

    def target_grad(g, input, target, reduction, number):
        if target_slope is None:
            return scaled(g, reduction, joint_numel(input, target)) * -slope(input, target, *number)
        return scaled(g, reduction, joint_numel(input, target)) * target_slope(input, target, *number)
    grads = {"input": macro(f"{node}_input", 3)(input_grad), "target": macro(f"{node}_target", 3)(target_grad)}
    return public("", node=node, out=False, grad=grads)(macro(node, 2)(forward))


# -- squared and absolute errors --------------------------------------------------------------------------------------


@elementwise("", dtypes="floating")
def squared_error(k, input, target):
    """(input - target) ** 2."""
    away = input - target
    return away * away


MSE = folded_loss("MseLossBackward0", squared_error, lambda input, target: (input - target) * 2)


def weighted_loss(values, weight, reduction, by_weight=True):
    """A loss per element times its weight; the mean divides by the sum of the weights."""
    values = values * weight
    if reduction == "mean":
        return values.sum() / weight.sum() if by_weight else values.mean()
    return reduced(values, reduction)


def _check_weight(input, weight):
    if weight is not None and weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")


def _check_pair(name, input, target):
    need_tensor(name, "input", 1, input)
    need_tensor(name, "target", 2, target)


@public("nn.functional.mse_loss", out=False, cast="float32")
def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """(input - target) ** 2, reduced; with `weight` the mean divides by its sum."""
    _check_pair("mse_loss", input, target)
    same_sizes(input, target)
    reduction = reduction_of(size_average, reduce, reduction)
    _check_weight(input, weight)
    if weight is not None:
        return weighted_loss((input - target) ** 2, weight, reduction)
    return MSE(input, target, reduction, ())


@public("nn.functional.l1_loss", out=False, cast="float32")
def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """|input - target|, reduced; with `weight` the mean divides by its sum."""
    _check_pair("l1_loss", input, target)
    same_sizes(input, target)
    reduction = reduction_of(size_average, reduce, reduction)
    _check_weight(input, weight)
    values = (input - target).abs()
    return reduced(values, reduction) if weight is None else weighted_loss(values, weight, reduction)


def _smooth_slope(input, target, beta):
    away = input - target
    return where(away.abs() < beta, away / beta, sgn(away)) if beta else sgn(away)


@elementwise("", dtypes="floating")
def smooth_error(k, input, target, beta: float):
    """Half the square over beta near zero, the distance minus beta / 2 beyond."""
    away, beta = k.abs(input - target), k.cast(beta, input.dtype)
    return k.where(away < beta, away * away * 0.5 / beta, away - beta * 0.5)


SMOOTH = folded_loss("SmoothL1LossBackward0", smooth_error, _smooth_slope)


@public("nn.functional.smooth_l1_loss", out=False, cast="float32")
def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    """0.5 d**2 / beta where the distance d is below `beta`, else d - 0.5 beta; reduced. RuntimeError for a negative
    beta.
    """
    _check_pair("smooth_l1_loss", input, target)
    same_sizes(input, target)
    reduction = reduction_of(size_average, reduce, reduction)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    return SMOOTH(input, target, reduction, (float(beta),))


def _huber_slope(input, target, delta):
    away = input - target
    return where(away.abs() <= delta, away, sgn(away) * delta)


@elementwise("", dtypes="floating")
def huber_error(k, input, target, delta: float):
    """Half the square near zero, delta times (the distance minus delta / 2) beyond."""
    away, delta = k.abs(input - target), k.cast(delta, input.dtype)
    return k.where(away <= delta, away * away * 0.5, delta * (away - delta * 0.5))


HUBER = folded_loss("HuberLossBackward0", huber_error, _huber_slope)


@public("nn.functional.huber_loss", out=False, cast="float32")
def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """0.5 d**2 where the distance d is at most `delta`, else delta (d - 0.5 delta); reduced. RuntimeError for delta
    <= 0.
    """
    _check_pair("huber_loss", input, target)
    same_sizes(input, target)
    reduction = reduction_of(None, None, reduction)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    _check_weight(input, weight)
    if weight is not None:
        return weighted_loss(HUBER(input, target, "none", (float(delta),)), weight, reduction, by_weight=False)
    return HUBER(input, target, reduction, (float(delta),))


# -- binary cross entropy --------------------------------------------------------------------------------------------


OUTSIDE = {"unit": BadData(RuntimeError, "all elements of input should be between 0 and 1")}


@elementwise("", dtypes="floating", heavy=True, failures=OUTSIDE)
def binary_entropy(k, input, target):
    """-(t log(p) + (1 - t) log(1 - p)), the logarithms not below -100; reports probabilities and targets outside
    [0, 1]."""
    k.report(k.logical_not((input >= 0) & (input <= 1) & (target >= 0) & (target <= 1)).vector_value(), "unit")
    one, floor = k.const(1, input.dtype), k.const(-100, input.dtype)
    yes = k.maximum(k.log(input), floor)
    no = k.maximum(k.log1p(-input), floor)
    return (target - one) * no - target * yes


@macro("binary_cross_entropy_input", 4)
def _probability_slope(g, input, target, weight, reduction):
    slope = (input - target) / ((1 - input) * input).clamp_min(1e-12)
    slope = slope if weight is None else slope * weight
    return scaled(g, reduction, input.numel()) * slope


@macro("binary_cross_entropy_target", 3)
def _probability_target(g, input, weight, reduction):
    slope = (-input).log1p().clamp_min(-100) - log(input).clamp_min(-100)
    slope = slope if weight is None else slope * weight
    return scaled(g, reduction, input.numel()) * slope


@public("", node="BinaryCrossEntropyBackward0", out=False,
        grad={"input": _probability_slope, "target": _probability_target})
@macro("binary_cross_entropy", 3, failures=OUTSIDE)
def probability_loss(input, target, weight, reduction):
    """Binary cross entropy of probabilities."""
    values = binary_entropy(input, target)
    return reduced(values if weight is None else values * weight, reduction)


@public("nn.functional.binary_cross_entropy", out=False, cast="float32")
def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """-w (t log(p) + (1 - t) log(1 - p)) of probabilities p and targets t, reduced.

    ValueError for different sizes, RuntimeError for input outside [0, 1] (when the values are computed)."""
    _check_pair("binary_cross_entropy", input, target)
    reduction = reduction_of(size_average, reduce, reduction)
    if input.shape != target.shape:
        raise ValueError(f"Using a target size ({target.size()}) that is different to the input size ({input.size()}) "
                         "is deprecated. Please ensure they have the same size.")
    if weight is not None:
        weight = weight.expand(broadcast_shapes(target.shape, weight.shape))
    return probability_loss(input, target, weight, reduction)


@elementwise("", dtypes="floating", heavy=True)
def logit_entropy(k, input, target):
    """(1 - t) x + log(1 + exp(-x)) without overflow."""
    return (1 - target) * input + k.maximum(-input, k.const(0, input.dtype)) + k.log1p(k.exp(-k.abs(input)))


@elementwise("", dtypes="floating", heavy=True)
def weighted_logit_entropy(k, input, target, pos_weight):
    """The same with a weight of positive targets."""
    factor = (pos_weight - 1) * target + 1
    tail = k.maximum(-input, k.const(0, input.dtype)) + k.log1p(k.exp(-k.abs(input)))
    return (1 - target) * input + factor * tail


@macro("binary_cross_entropy_with_logits_input", 5)
def _logit_slope(g, input, target, weight, pos_weight, reduction):
    if pos_weight is None:
        slope = sigmoid(input) - target
    else:
        t = pos_weight * target
        slope = (t + 1 - target) * sigmoid(input) - t
    slope = slope if weight is None else slope * weight
    return scaled(g, reduction, joint_numel(input, target)) * slope


@macro("binary_cross_entropy_with_logits_target", 5)
def _logit_target(g, input, target, weight, pos_weight, reduction):
    if pos_weight is None:
        slope = -input
    else:
        slope = logsigmoid(-input) - pos_weight * logsigmoid(input)
    slope = slope if weight is None else slope * weight
    return scaled(g, reduction, joint_numel(input, target)) * slope


@public(
    "", node="BinaryCrossEntropyWithLogitsBackward0", out=False, grad={"input": _logit_slope, "target": _logit_target}
)
@macro("binary_cross_entropy_with_logits", 4)
def logit_loss(input, target, weight, pos_weight, reduction):
    """Binary cross entropy of scores."""
    values = logit_entropy(input, target) if pos_weight is None else weighted_logit_entropy(input, target, pos_weight)
    return reduced(values if weight is None else values * weight, reduction)


@public("nn.functional.binary_cross_entropy_with_logits", out=False, cast="float32")
def binary_cross_entropy_with_logits(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None
):
    """Binary cross entropy of sigmoid(input), without overflow; `pos_weight` (broadcast) weighs positive targets."""
    _check_pair("binary_cross_entropy_with_logits", input, target)
    reduction = reduction_of(size_average, reduce, reduction)
    if input.shape != target.shape:
        raise ValueError(f"Target size ({target.size()}) must be the same as input size ({input.size()})")
    return logit_loss(input, target, weight, pos_weight, reduction)


@public("torch.binary_cross_entropy_with_logits", out=False)
def logit_losses(input, target, weight=None, pos_weight=None, reduction=1):
    """`nn.functional.binary_cross_entropy_with_logits` with the reduction as a number."""
    return logit_loss(input, target, weight, pos_weight, MODES[reduction])


@elementwise("", dtypes="floating", heavy=True)
def soft_margin(k, input, target):
    """log(1 + exp(-t x))."""
    return k.log1p(k.exp(-(target * input)))


SOFT_MARGIN = folded_loss("SoftMarginLossBackward0", soft_margin,
                          lambda input, target: -target * sigmoid(-(target * input)),
                          lambda input, target: -input * sigmoid(-(target * input)))


@public("nn.functional.soft_margin_loss", out=False, cast="float32")
def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """log(1 + exp(-target * input)), reduced; targets are 1 and -1."""
    _check_pair("soft_margin_loss", input, target)
    return SOFT_MARGIN(input, target, reduction_of(size_average, reduce, reduction), ())


# -- likelihoods and divergences -------------------------------------------------------------------------------------


def _kl_divergence(input, target, log_target):
    if input._layout.dtype.category < dt.FLOATING and target._layout.dtype.category < dt.FLOATING:
        raise RuntimeError(f"kl_div: result type Float can't be cast to the desired output type "
                           f"{dt.scalar_type(input.dtype)}")
    if log_target:
        return exp(target) * (target - input)
    return xlogy(target, target) - target * input


@public("nn.functional.kl_div", out=False, cast="float32")
def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    """target * (log(target) - input) for log-probabilities `input`, reduced; "batchmean" divides the sum by the batch
    size.
    """
    _check_pair("kl_div", input, target)
    if reduction == "mean" and size_average is None and reduce is None:
        warnings.warn("reduction: 'mean' divides the total loss by both the batch size and the support "
                      "size.'batchmean' divides only by the batch size, and aligns with the KL div math "
                      "definition.'mean' will be changed to behave the same as 'batchmean' in the next major "
                      "release.", stacklevel=2)
    values = _kl_divergence(input, target, log_target)
    if reduction == "batchmean" and size_average is None and reduce is None:
        total = values.sum()
        return total / input.shape[0] if input.dim() else total
    return reduced(values, reduction_of(size_average, reduce, reduction))


@public("torch.kl_div", out=False)
def kl_div_values(input, target, reduction=1, *, log_target=False):
    """`nn.functional.kl_div` with the reduction as a number: 0 none, 1 mean, 2 sum."""
    return reduced(_kl_divergence(input, target, log_target), MODES[reduction])


def _poisson(input, target, log_input, full, eps):
    loss = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        stirling = target * log(target) - target + 0.5 * log(2 * math.pi * target)
        loss = loss + where(target <= 1, 0, stirling)
    return loss


@public("nn.functional.poisson_nll_loss", out=False, cast="float32")
def poisson_nll_loss(
    input, target, log_input=True, full=False, size_average=None, eps=1e-08, reduce=None, reduction="mean"
):
    """The negative log likelihood of Poisson targets: exp(x) - t x (x - t log(x + eps) without `log_input`), with
    Stirling's term if `full`."""
    _check_pair("poisson_nll_loss", input, target)
    return reduced(_poisson(input, target, log_input, full, eps), reduction_of(size_average, reduce, reduction))


@public("torch.poisson_nll_loss", out=False)
def poisson_nll_values(input, target, log_input, full, eps, reduction):
    """`nn.functional.poisson_nll_loss` with the reduction as a number."""
    return reduced(_poisson(input, target, log_input, full, eps), MODES[reduction])


def _variance(input, var):
    """`var` in a shape that broadcasts. ValueError for other shapes and negative numbers."""
    if isinstance(var, (int, float)):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * ones_like(input)
    if var.shape != input.shape:
        if input.shape[:-1] == var.shape:
            return var.unsqueeze(-1)
        different = [v for n, v in zip(input.shape, var.shape) if n != v]
        if input.dim() != var.dim() or different != [1]:
            raise ValueError("var is of incorrect size")
    return var


@elementwise("", grad={"input": lambda g: g},
             failures={"variance": BadData(ValueError, "var has negative entry/entries")})
def raise_to(k, input, low: float):
    """max(x, low); the gradient passes as if nothing had been done; reports negative elements."""
    k.report((input < 0).vector_value(), "variance")
    return k.maximum(input, k.cast(low, input.dtype))


@public("nn.functional.gaussian_nll_loss", out=False)
def gaussian_nll_loss(input, target, var, full=False, eps=1e-06, reduction="mean"):
    """0.5 (log(var) + (input - target)**2 / var), var at least `eps`; with the constant 0.5 log(2 pi) if `full`;
    reduced.
    """
    _check_pair("gaussian_nll_loss", input, target)
    var = _variance(input, var)
    if reduction not in MODES:
        raise ValueError(f"{reduction} is not valid")
    var = raise_to(var, float(eps))
    loss = 0.5 * (log(var) + (input - target) ** 2 / var)
    return reduced(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)

