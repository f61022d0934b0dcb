"""Losses of margins and distances: hinge, ranking, multi-class and multi-label margins, triplets, cosine similarity,
pairwise distances.
"""

from ...core import dtype as dt
from ...core.declare import REGISTRY, public
from ...core.graph import without_grad
from ..basic.binary import minimum
from ..basic.creation import arange, zeros
from ..basic.grids import broadcast_tensors
from ..basic.pick import pick, spread
from ..basic.pointwise import need_tensor, sqrt
from ..reduce.statistics import norm_grad, vector_norm, vector_norm_node
from .loss import MODES, class_weights, reduced, reduction_of


def where(condition, input, other):
    return REGISTRY["where"](condition, input, other)


def as_mode(reduction):
    """A reduction given by name, or by number as kernels take it."""
    return reduction if isinstance(reduction, str) else MODES[reduction]


# -- hinges -----------------------------------------------------------------------------------------------------------


def _hinge_embedding(input, target, margin, reduction):
    far = where(target != 1, (margin - input).clamp_min(0), 0)
    near = where(target != -1, input, 0)
    return reduced(near + far, reduction)


@public("nn.functional.hinge_embedding_loss", out=False, cast="float32")
def hinge_embedding_loss(input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"):
    """x where the target is 1, max(0, margin - x) where it is -1; reduced."""
    need_tensor("hinge_embedding_loss", "input", 1, input)
    return _hinge_embedding(input, target, margin, reduction_of(size_average, reduce, reduction))


@public("torch.hinge_embedding_loss", out=False)
def hinge_embedding_values(input, target, margin=1.0, reduction=1):
    """`nn.functional.hinge_embedding_loss` with the reduction as a number."""
    return _hinge_embedding(input, target, margin, as_mode(reduction))


def _margin_ranking(input1, input2, target, margin, reduction):
    return reduced((-target * (input1 - input2) + margin).clamp_min(0), reduction)


@public("nn.functional.margin_ranking_loss", out=False, cast="float32")
def margin_ranking_loss(input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"):
    """max(0, -target * (input1 - input2) + margin), reduced."""
    need_tensor("margin_ranking_loss", "input1", 1, input1)
    if input1.dim() != input2.dim() or input1.dim() != target.dim():
        raise RuntimeError("margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: "
                           f"{input1.size()}, input2: {input2.size()}, target: {target.size()} ")
    return _margin_ranking(input1, input2, target, margin, reduction_of(size_average, reduce, reduction))


@public("torch.margin_ranking_loss", out=False)
def margin_ranking_values(input1, input2, target, margin=0.0, reduction=1):
    """`nn.functional.margin_ranking_loss` with the reduction as a number."""
    return _margin_ranking(input1, input2, target, margin, as_mode(reduction))


# -- classes ----------------------------------------------------------------------------------------------------------


def _excess(input, target, margin):
    """(margin - x[target] + x[j], whether it is positive and j is not the target)."""
    own = pick(input, target, 1)
    over = margin - own + input
    places = arange(input.shape[1], device=input.device)
    return over, (over > 0) & (places != target)


def _power_of(over, p):
    return over if p == 1 else over * over


def _class_factors(weight, target):
    return None if weight is None else without_grad(class_weights, weight, target, -1, weight._layout.dtype)


def _multi_margin_forward(input, target, p, margin, weight, reduction):
    over, counts = _excess(input, target, margin)
    values = where(counts, _power_of(over, p), 0)
    factors = _class_factors(weight, target)
    values = values if factors is None else values * factors
    return reduced_rows(values.sum(1) / input.shape[1], reduction)


def reduced_rows(values, reduction):
    """`reduced`, with 0 for the mean of no rows."""
    return reduced(values, reduction if values.numel() or reduction == "none" else "sum")


def _multi_margin_grad(g, input, target, p, margin, weight, reduction):
    over, counts = _excess(input, target, margin)
    slope = where(counts, 1.0, 0.0)._cast(input._layout.dtype) if p == 1 else where(counts, over * 2, 0)
    factors = _class_factors(weight, target)
    slope = slope if factors is None else slope * factors
    slope = slope - spread(slope.sum(1, keepdim=True), target, 1, input.shape[1])
    g = g / input.shape[0] if reduction == "mean" else g
    return (g.unsqueeze(1) if reduction == "none" else g) * slope / input.shape[1]


multi_margin_node = public("", node="MultiMarginLossBackward0", out=False, grad={"input": _multi_margin_grad})(
    _multi_margin_forward
)


@public("nn.functional.multi_margin_loss", out=False, cast="float32")
def multi_margin_loss(input, target, p=1, margin=1.0, weight=None, size_average=None, reduce=None, reduction="mean"):
    """The mean over classes j of max(0, margin - x[target] + x[j]) ** p for j other than the target; reduced over the
    batch.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    need_tensor("multi_margin_loss", "input", 1, input)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    single = input.dim() <= 1
    if input.dim() > 2 or input.dim() and not input.shape[-1]:
        raise RuntimeError("Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
                           f"{list(input.shape)}")
    rows = input.reshape(1, -1) if single else input
    if target.dim() > 1 or target.numel() != rows.shape[0]:
        raise RuntimeError(f"inconsistent target size, expected {rows.shape[0]} but got {list(target.shape)}")
    if weight is not None:
        if weight.dim() != 1:
            raise ValueError("weight must be one-dimensional")
        if weight.numel() != rows.shape[1]:
            raise RuntimeError(f"inconsistent weight size, expected {rows.shape[1]} but got {list(weight.shape)}")
    index = target.reshape(-1, 1)
    if bool(((index < 0) | (index >= rows.shape[1])).any()):
        raise RuntimeError("target out of range")
    loss = multi_margin_node(rows, index, p, float(margin), weight, reduction)
    return loss.reshape(target.shape) if single and reduction == "none" else loss


def _label_matrix(target, classes):
    """Which classes the rows of `target` name (before their first -1), as 0 and 1."""
    named = (target < 0).cumsum(-1) == 0
    safe = where(named, target, 0)
    hits = zeros((*target.shape[:-1], classes), dtype=dt.int64, device=target.device)
    hits = hits.scatter_add(-1, safe, named.to(dt.int64))
    return hits > 0, named, safe


def _label_margins(input, target):
    """max(0, 1 - x[target_i] + x[j]) for labels i and classes j that are not labels, as (values, whether they
    count)."""
    is_label, named, safe = _label_matrix(target, input.shape[-1])
    own = input.gather(-1, safe)
    over = 1 - own.unsqueeze(-1) + input.unsqueeze(-2)
    return over, named.unsqueeze(-1) & is_label.logical_not().unsqueeze(-2) & (over > 0), safe


def _multilabel_forward(input, target, reduction):
    over, counts, _ = _label_margins(input, target)
    return reduced_rows(where(counts, over, 0).sum((-1, -2)) / input.shape[-1], reduction)


def _multilabel_grad(g, input, target, reduction):
    _, counts, safe = _label_margins(input, target)
    counts = counts.to(input.dtype)
    slope = counts.sum(-2).scatter_add(-1, safe, -counts.sum(-1)) / input.shape[-1]
    if reduction == "mean":
        g = g / (input.shape[0] if input.dim() == 2 else 1)
    return (g.unsqueeze(-1) if reduction == "none" else g) * slope


multilabel_node = public("", node="MultilabelMarginLossBackward0", out=False, grad={"input": _multilabel_grad})(
    _multilabel_forward
)


@public("nn.functional.multilabel_margin_loss", out=False, cast="float32")
def multilabel_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """The sum over labels i and other classes j of max(0, 1 - x[i] + x[j]) / C; `target` lists the labels, ended by
    -1.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    need_tensor("multilabel_margin_loss", "input", 1, input)
    if input.dim() > 2 or (input.dim() == 2 and not input.shape[1]):
        raise RuntimeError("Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
                           f"{list(input.shape)}")
    if (input.shape != target.shape) and not (input.dim() <= 1 and target.numel() == input.numel()):
        raise RuntimeError(f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}")
    if target._layout.dtype is not dt.int64:
        raise RuntimeError(f"expected scalar type Long but found {dt.scalar_type(target._layout.dtype)}")
    if bool(((target < -1) | (target >= max(input.shape[-1:] or (1,)))).any()):
        raise RuntimeError("multilabel_margin_loss: target is out of range")
    if input.dim() == 0:
        return multilabel_node(input.reshape(1), target.reshape(1), reduction)
    return multilabel_node(input, target.reshape(input.shape), reduction)


@public("nn.functional.multilabel_soft_margin_loss", out=False)
def multilabel_soft_margin_loss(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """The mean over classes of the binary cross entropies of sigmoid(input), reduced over the batch."""
    reduction = reduction_of(size_average, reduce, reduction)
    need_tensor("multilabel_soft_margin_loss", "input", 1, input)
    logsigmoid = REGISTRY["nn.functional.logsigmoid"]
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return reduced(loss.sum(-1) / input.shape[-1], reduction)


# -- distances -------------------------------------------------------------------------------------------------------


@public("", node="NormBackward1", out=False, grad={"x": lambda g, x, out, ord, dims, keepdim:
                                                   norm_grad(g, x, out, ord, dims, keepdim)})
def distance_norm(x, ord, dims, keepdim):
    """The vector norm, under the name that distances show in a graph."""
    return vector_norm_node(x, ord, dims, keepdim)


@public("pairwise_distance nn.functional.pairwise_distance", out=False)
def pairwise_distance(x1, x2, p=2.0, eps=1e-06, keepdim=False):
    """The p-norm of x1 - x2 + eps along the last dimension."""
    need_tensor("pairwise_distance", "x1", 1, x1)
    away = x1 - x2 + eps
    if away.dim() == 0:
        return distance_norm(away, float(p), (), False)
    return distance_norm(away, float(p), (away.dim() - 1,), bool(keepdim))


@public("cosine_similarity nn.functional.cosine_similarity", out=False)
def cosine_similarity(x1, x2, dim=1, eps=1e-08):
    """The sum along `dim` of x1 / max(|x1|, eps) * x2 / max(|x2|, eps)."""
    need_tensor("cosine_similarity", "x1", 1, x1)
    joined = dt.promote(x1._layout.dtype, x2._layout.dtype)
    if joined.category < dt.FLOATING:
        raise RuntimeError("expected common dtype to be floating point, yet common dtype is " + dt.scalar_type(joined))
    x1, x2 = broadcast_tensors(x1.to(joined), x2.to(joined))
    return dot_of_units(x1, x2, dim, eps)


def dot_of_units(x1, x2, dim, eps):
    """x1 / max(|x1|, eps) times x2 / max(|x2|, eps), summed along `dim`."""
    first, second = [x / vector_norm(x, 2, dim, True).clamp_min(eps) for x in (x1, x2)]
    return (first * second).sum(dim)


def _cosine_embedding(input1, input2, target, margin, reduction):
    if target.dim() not in (0, 1):
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    rank = target.dim() + 1
    if input1.dim() != rank or input2.dim() != rank:
        raise RuntimeError(f"{rank - 1}D target tensor expects {rank}D input tensors, but found inputs with sizes "
                           f"{list(input1.shape)} and {list(input2.shape)}.")
    tiny = 1e-12
    product = (input1 * input2).sum(rank - 1)
    first, second = [(x * x).sum(rank - 1) + tiny for x in (input1, input2)]
    cosine = product / sqrt(first * second)
    near = where(target == 1, 1 - cosine, 0)
    far = where(target == -1, (cosine - margin).clamp_min(0), 0)
    return reduced(near + far, reduction)


@public("nn.functional.cosine_embedding_loss", out=False, cast="float32")
def cosine_embedding_loss(input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"):
    """1 - cos(x1, x2) where the target is 1, max(0, cos(x1, x2) - margin) where it is -1; reduced."""
    return _cosine_embedding(input1, input2, target, margin, reduction_of(size_average, reduce, reduction))


@public("torch.cosine_embedding_loss", out=False)
def cosine_embedding_values(input1, input2, target, margin=0.0, reduction=1):
    """`nn.functional.cosine_embedding_loss` with the reduction as a number."""
    return _cosine_embedding(input1, input2, target, margin, as_mode(reduction))


# -- triplets --------------------------------------------------------------------------------------------------------


def _check_triplet(name, tensors):
    ranks = [t.dim() for t in tensors]
    if len(set(ranks)) > 1:
        raise RuntimeError("The anchor, positive, and negative tensors are expected to have the same number of "
                           "dimensions, but got: anchor "
                           f"{ranks[0]}D, positive {ranks[1]}D, and negative {ranks[2]}D inputs")


def _triplet(anchor, positive, negative, margin, p, eps, swap, reduction):
    _check_triplet("triplet_margin_loss", (anchor, positive, negative))
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduced((near - far + margin).clamp_min(0), reduction)


@public("nn.functional.triplet_margin_loss", out=False, cast="float32")
def triplet_margin_loss(
    anchor, positive, negative, margin=1.0, p=2, eps=1e-06, swap=False, size_average=None, reduce=None, reduction="mean"
):
    """max(0, |anchor - positive| - |anchor - negative| + margin) of p-norms along the last dimension, reduced."""
    reduction = reduction_of(size_average, reduce, reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    return _triplet(anchor, positive, negative, margin, p, eps, swap, reduction)


@public("torch.triplet_margin_loss", out=False)
def triplet_margin_values(anchor, positive, negative, margin=1.0, p=2.0, eps=1e-06, swap=False, reduction=1):
    """`nn.functional.triplet_margin_loss` with the reduction as a number."""
    return _triplet(anchor, positive, negative, margin, p, eps, swap, as_mode(reduction))


@public("nn.functional.triplet_margin_with_distance_loss", out=False)
def triplet_margin_with_distance_loss(
    anchor, positive, negative, *, distance_function=None, margin=1.0, swap=False, reduction="mean"
):
    """As `triplet_margin_loss`, with a distance of one's own."""
    reduction = reduction_of(None, None, reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    _check_triplet("triplet_margin_with_distance_loss", (anchor, positive, negative))
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return reduced((margin + near - far).clamp_min(0), reduction)
