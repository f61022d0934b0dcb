"""Classification losses: nll_loss, cross_entropy, and the reduction of a loss that all others share.

cross_entropy with class indices is one node over the scores: log(sum(exp(x))) by row, minus the score of the target
class; its gradient softmax(x) - (position == target) is one element-wise pass that reads the scores and nothing else.
Losses of two tensors are in `regression_loss`, margin losses in `margin_loss`, ctc_loss in `ctc`.
"""

import warnings

from ...core import dtype as dt
from ...core.bounds import first_bad
from ...core.declare import apply, public
from ...core.errors import BadData
from ...core.grads import GradRule
from ...core.graph import MODE, without_grad
from ...core.kinds import Gather
from ...core.macro import macro
from ...core.tensor import Tensor
from ..basic.arithmetic import where
from ..basic.pick import pick, spread
from ..basic.pointwise import exp, need_tensor
from ..reduce.rows import narrow, wide
from ..reduce.softmax import log_softmax, log_total, logsumexp_values

MODES = ("none", "mean", "sum")


def reduction_of(size_average, reduce, reduction):
    """The reduction, with the old flags `size_average` and `reduce` translated. ValueError for an unknown one."""
    if size_average is not None or reduce is not None:
        average, fold = size_average is None or size_average, reduce is None or reduce
        reduction = "none" if not fold else "mean" if average else "sum"
        warnings.warn(f"size_average and reduce args will be deprecated, please use reduction='{reduction}' "
                      "instead.", stacklevel=3)
    if reduction not in MODES:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


def reduced(values, reduction):
    """A loss per element as a mean, a sum or itself."""
    if reduction == "mean":
        return values.mean()
    return values.sum() if reduction == "sum" else values


# -- reading and writing at the target class -------------------------------------------------------------------------


def _class_body(k, x, target, ignore: float):
    """x[n, target, ...], 0 where the target is ignored."""
    target = k.cast(target, dt.int64)
    used = target.ne(ignore)
    size = x.shape[1]
    bad = used & k.logical_or(target < 0, target >= size)
    k.report(bad.vector_value(), "target", target.vector_value())
    used = used & k.logical_not(bad)
    at = [k.index(d) for d in range(len(x.shape))]
    at[1] = k.where(used, target, k.const(0, dt.int64))
    return x.load(at, mask=used, other=0)


def _weight_body(k, weight, target, ignore: float):
    """weight[target], 0 where the target is ignored."""
    target = k.cast(target, dt.int64)
    used = target.ne(ignore)
    bad = used & k.logical_or(target < 0, target >= weight.shape[0])
    k.report(bad.vector_value(), "target", target.vector_value())
    used = used & k.logical_not(bad)
    return weight.load([k.where(used, target, k.const(0, dt.int64))], mask=used, other=0)


def _score_grad_body(k, x, norm, scale, target):
    """The gradient of cross entropy: (softmax(x) - (position == target)) * scale."""
    hit = k.index(1).eq(k.cast(target, dt.int64))
    p = k.exp(x - norm)
    return (p - k.cast(hit, x.dtype)) * scale


OUT_OF_BOUNDS = {"target": BadData(IndexError, "Target {value} is out of bounds.")}
AT_CLASS = Gather("nll_pick", _class_body, aligned=(1,), failures=OUT_OF_BOUNDS)
AT_WEIGHT = Gather("nll_weight", _weight_body, aligned=(1,), failures=OUT_OF_BOUNDS)


def _scale_adjoint(g, x, norm, target):
    p = exp(x - norm)
    return (g * p).sum(1, keepdim=True) - pick(g, target, 1)


SCORE_GRAD = Gather("cross_entropy_back", _score_grad_body, aligned=(0, 1, 2, 3),
                    params=("x", "norm", "scale", "target"),
                    grad={"x": lambda g, x, norm, scale: g * exp(x - norm) * scale,
                          "norm": lambda g, x, norm, scale: -(g * exp(x - norm) * scale).sum(1, keepdim=True),
                          "scale": _scale_adjoint})


def at_class(x, target, ignore):
    """x (N, C, ...) at the classes `target` (N, 1, ...), shape of `target`; 0 for ignored ones."""
    attrs = (("out", ((tuple(target.shape), x._layout.dtype),)),)
    return apply(AT_CLASS, (), (x, target), (ignore,), attrs)[0]


def class_weights(weight, target, ignore, dtype):
    """weight[target], 0 for ignored classes; without weights 1 and 0."""
    if weight is None:
        return (target != ignore)._cast(dtype)
    attrs = (("out", ((tuple(target.shape), dtype),)),)
    return apply(AT_WEIGHT, (), (wide(weight), target), (ignore,), attrs)[0]


def score_grad(x, norm, scale, target):
    """(softmax(x) - one_hot(target)) * scale, from x and its logsumexp."""
    attrs = (("out", ((tuple(x.shape), x._layout.dtype),)),)
    return apply(SCORE_GRAD, (x, norm, scale, target), (x, norm, scale, target), attrs=attrs)[0]


# -- nll_loss --------------------------------------------------------------------------------------------------------


def _folded(values, factors, reduction):
    """Per-element values (N, 1, ...) as the loss, `factors` the weights of the elements."""
    if reduction == "none":
        return values.reshape((values.shape[0], *values.shape[2:]))
    total = values.sum()
    return total / factors.sum() if reduction == "mean" else total


def _unfolded(g, factors, reduction):
    """The gradient of each value from that of the folded loss."""
    if reduction == "none":
        return g.unsqueeze(1) * factors
    return (g / factors.sum()) * factors if reduction == "mean" else g * factors


@macro("nll_loss_back", 4)
def _nll_grad(g, input, target, factors, reduction):
    scale = _unfolded(wide(g), factors, reduction)
    return narrow(-spread(scale, target, 1, input.shape[1]), input._layout.dtype)


@macro("nll_loss", 3, failures=OUT_OF_BOUNDS)
def _nll_forward(input, target, weight, reduction, ignore_index):
    """(loss, weights of the elements)."""
    x = wide(input)
    factors = class_weights(weight, target, ignore_index, x._layout.dtype)
    picked = -at_class(x, target, ignore_index)
    loss = _folded(picked if weight is None else picked * factors, factors, reduction)
    return narrow(loss, input._layout.dtype), factors


NLL_PARAMS = ["input", "target", "factors", "reduction"]
NLL = [GradRule("nll_loss", NLL_PARAMS, {"input": _nll_grad}, f"NllLoss{kind}Backward0") for kind in ("", "2D")]


def _check_nll(input, target, weight):
    need_tensor("nll_loss", "input", 1, input)
    need_tensor("nll_loss", "target", 2, target)
    rank = input.dim()
    if rank < 1:
        raise ValueError(f"Expected 1 or more dimensions (got {rank})")
    if rank != 1 and input.shape[0] != target.shape[0:1].numel():
        raise ValueError(f"Expected input batch_size ({input.shape[0]}) to match target batch_size "
                         f"({target.shape[0] if target.dim() else 0}).")
    if rank == 1:
        if target.dim() > 1 or (target.dim() == 1 and target.shape[0] != 1):
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported (got "
                               f"{list(target.shape)})")
    elif (*input.shape[:1], *input.shape[2:]) != tuple(target.shape):
        if rank == 2:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        raise RuntimeError(f"Expected target size {[*input.shape[:1], *input.shape[2:]]}, got {list(target.shape)}")
    if target._layout.dtype not in (dt.int64, dt.uint8):
        raise RuntimeError(f"expected scalar type Long but found {dt.scalar_type(target._layout.dtype)}")
    if input._layout.dtype.category < dt.FLOATING:
        raise NotImplementedError(f"\"nll_loss_out_frame\" not implemented for '{dt.scalar_type(input._layout.dtype)}'")
    classes = input.shape[0 if rank == 1 else 1]
    if weight is not None and (weight.dim() != 1 or weight.shape[0] != classes):
        raise RuntimeError(f"weight tensor should be defined either for all {classes} classes or no classes but got "
                           f"weight tensor of shape: {list(weight.shape)}")
    if weight is not None and weight.dtype is not input.dtype:
        raise RuntimeError(f"expected scalar type {dt.scalar_type(input._layout.dtype)} but found "
                           f"{dt.scalar_type(weight._layout.dtype)}")


def _check_classes(rows, index, ignore_index):
    """IndexError for a class that is in memory and does not exist."""
    bad = first_bad(index, 0, rows._layout.shape[1], int(ignore_index))
    if bad is not None:
        raise IndexError(f"Target {bad} is out of bounds.")


def _rows(input, target):
    """(input (N, C, ...), target (N, 1, ...), whether the batch dimension was added)."""
    if input.dim() == 1:
        return input.unsqueeze(0), target.reshape(1, 1), True
    return input, target.unsqueeze(1), False


def nll(input, target, weight, ignore_index, reduction):
    """nll_loss after the checks."""
    rows, index, single = _rows(input, target)
    _check_classes(rows, index, ignore_index)
    loss, factors = without_grad(_nll_forward, rows, index, weight, reduction, int(ignore_index))
    if MODE.grad:
        NLL[input.dim() > 2].attach((rows, index, factors, reduction), [loss])
    return loss.reshape(target.shape) if single and reduction == "none" else loss


@public("nn.functional.nll_loss", out=False, cast="float32")
def nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
    """The negative log likelihood -weight[target] * input[target] of log-probabilities `input` (N, C, ...) and
    classes `target` (N, ...).

    "mean" divides by the sum of the weights. IndexError for a class that does not exist."""
    reduction = reduction_of(size_average, reduce, reduction)
    _check_nll(input, target, weight)
    return nll(input, target, weight, ignore_index, reduction)


# -- cross entropy ---------------------------------------------------------------------------------------------------


@macro("cross_entropy_slope", 5)
def _cross_entropy_grad(g, input, target, factors, norm, reduction):
    scale = _unfolded(wide(g), factors, reduction)
    x = wide(input)
    if MODE.grad:
        norm = logsumexp_values(x, (1,), True)  # with a gradient of its own
    return narrow(score_grad(x, norm, scale, target), input._layout.dtype)


@macro("cross_entropy", 3, failures=OUT_OF_BOUNDS)
def _cross_entropy_forward(input, target, weight, reduction, ignore_index):
    """(loss, weights of the elements, logsumexp): the loss is factors * (logsumexp(x) - x[target]), folded."""
    x = wide(input)
    norm = log_total(x, (1,), True)
    factors = class_weights(weight, target, ignore_index, x._layout.dtype)
    loss = _folded((norm - at_class(x, target, ignore_index)) * factors, factors, reduction)
    return narrow(loss, input._layout.dtype), factors, norm


CROSS_ENTROPY = [
    GradRule(
        "cross_entropy",
        ["input", "target", "factors", "norm", "reduction"],
        {"input": _cross_entropy_grad},
        f"NllLoss{kind}Backward0",
    )
    for kind in ("", "2D")
]


def _index_loss(input, target, weight, ignore_index, reduction):
    """Cross entropy with class indices, as one node."""
    rows, index, single = _rows(input, target)
    _check_classes(rows, index, ignore_index)
    loss, factors, norm = without_grad(_cross_entropy_forward, rows, index, weight, reduction, int(ignore_index))
    if MODE.grad:
        CROSS_ENTROPY[input.dim() > 2].attach((rows, index, factors, norm, reduction), [loss])
    return loss.reshape(target.shape) if single and reduction == "none" else loss


def _smoothed_loss(input, target, weight, ignore_index, reduction, smoothing):
    """Cross entropy with class indices and label smoothing."""
    rows, index, single = _rows(input, target)
    logs = log_softmax(rows, 1)
    shape = target.shape if single else index.squeeze(1).shape
    hit = nll(logs, index.squeeze(1), weight, ignore_index, reduction)
    classes = rows.shape[1]
    spread_out = -(logs if weight is None else logs * weight.reshape(1, -1, *[1] * (rows.dim() - 2))).sum(1)
    used = index.squeeze(1) != ignore_index
    spread_out = where(used, spread_out, 0)
    if reduction == "mean":
        factors = (
            class_weights(weight, index, ignore_index, wide(weight)._layout.dtype) if weight is not None else used.sum()
        )
        smooth = spread_out.sum() / (factors.sum() if weight is not None else factors)
    else:
        smooth = reduced(spread_out, reduction)
    loss = hit * (1 - smoothing) + smooth * (smoothing / classes)
    return loss.reshape(shape) if single and reduction == "none" else loss


def _probability_loss(input, target, weight, reduction, smoothing):
    """Cross entropy with a probability for each class."""
    at = 0 if input.dim() == 1 else 1
    classes = input.shape[at]
    if smoothing > 0:
        target = target * (1 - smoothing) + smoothing / classes
    logs = log_softmax(input, at)
    if weight is not None:
        logs = logs * weight.reshape([-1 if d == at else 1 for d in range(input.dim())])
    loss = -(logs * target).sum(at)
    if reduction == "mean":
        return loss.sum() / loss.numel() if loss.numel() else loss.sum() * float("nan")
    return reduced(loss, reduction)


MOST_CHECKED = 4096
_checked = set()  # (layouts, options) that have passed the checks before


def _check_cross_entropy(input, target, weight, ignore_index, smoothing):
    """Errors for operands that do not fit; what has been right before is right again."""
    if isinstance(input, Tensor) and isinstance(target, Tensor):
        found = None if weight is None else weight._layout
        key = (input._layout, target._layout, found, ignore_index, smoothing)
        if key not in _checked:
            _check_new(input, target, weight, ignore_index, smoothing)
            if len(_checked) >= MOST_CHECKED:
                _checked.clear()
            _checked.add(key)
    else:
        _check_new(input, target, weight, ignore_index, smoothing)


def _check_new(input, target, weight, ignore_index, smoothing):
    need_tensor("cross_entropy_loss", "input", 1, input)
    need_tensor("cross_entropy_loss", "target", 2, target)
    if not 0.0 <= smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {smoothing:g}")
    if input.dim() < 1:
        raise IndexError("Dimension out of range (expected to be in range of [-1, 0], but got 1)")
    if input.shape == target.shape:
        if target._layout.dtype.category < dt.FLOATING:
            raise RuntimeError("Expected floating point type for target with class probabilities, got "
                               f"{dt.scalar_type(target._layout.dtype)}")
        if ignore_index >= 0:
            raise RuntimeError("ignore_index is not supported for floating point target")
        classes = input.shape[0 if input.dim() == 1 else 1]
        if weight is not None and (weight.dim() != 1 or weight.numel() != classes):
            raise RuntimeError(f"cross_entropy: weight tensor should be defined either for all {classes} classes or no "
                               f"classes but got weight tensor of shape: {list(weight.shape)}")
    else:
        _check_nll(input, target, weight)


@public("nn.functional.cross_entropy", out=False, cast="float32")
def cross_entropy(
    input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean", label_smoothing=0.0
):
    """-log(softmax(input))[target] of scores `input` (N, C, ...): `target` holds class indices (N, ...) or
    probabilities (N, C, ...).

    `weight` (C): of the classes; `ignore_index`: a class that does not count; `label_smoothing` in [0, 1]: mixes in
    the uniform distribution. "mean" divides by the sum of the weights for indices, by N for probabilities. IndexError
    for a missing class."""
    reduction = reduction_of(size_average, reduce, reduction)
    _check_cross_entropy(input, target, weight, ignore_index, label_smoothing)
    if input._layout.shape == target._layout.shape:
        return _probability_loss(input, target, weight, reduction, label_smoothing)
    if label_smoothing > 0:
        return _smoothed_loss(input, target, weight, ignore_index, reduction, label_smoothing)
    return _index_loss(input, target, weight, ignore_index, reduction)
