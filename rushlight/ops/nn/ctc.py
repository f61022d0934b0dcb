"""Connectionist temporal classification: the loss of an unaligned label sequence and its gradient.

Forward-backward recursions over the labels with blanks between them (Graves et al. 2006, equations 6 to 16), in
logarithms, for all samples and states of a time step at once on host arrays. The gradient with respect to the
log-probabilities assumes that they come from `log_softmax`, as PyTorch's does.
"""

from ...base.lazy import numpy as np
from ...core import dtype as dt
from ...core.declare import apply, public
from ...core.kinds import Host
from ...core.tensor import Tensor
from ..basic.arithmetic import where
from ..basic.creation import arange, full, zeros
from ..basic.pointwise import need_tensor
from ..basic.shape import cat
from .loss import MODES

NEVER = float("-inf")


def _states(targets, blank):
    """(labels (N, S) with blanks between, whether a state may be entered from two before)."""
    count, length = targets.shape
    labels = np.full((count, 2 * length + 1), blank, np.int64)
    labels[:, 1::2] = targets
    jump = np.zeros(labels.shape, bool)
    jump[:, 3::2] = labels[:, 3::2] != labels[:, 1:-2:2]
    return labels, jump


def _log_sum(*terms):
    """log of the sum of exponentials of arrays, -inf where all are."""
    top = np.maximum.reduce(terms)
    base = np.where(np.isneginf(top), 0.0, top)
    return base + np.log(sum(np.exp(t - base) for t in terms))


def _shifted(values, by):
    """The columns moved `by` places to the right, -inf in front."""
    moved = np.full_like(values, NEVER)
    if values.shape[1] > by:
        moved[:, by:] = values[:, :values.shape[1] - by]
    return moved


def _forward_pass(scores, labels, jump):
    """alpha (T, N, S): log-probabilities of all prefixes that end in each state."""
    emitted = np.take_along_axis(scores, np.broadcast_to(labels, (len(scores), *labels.shape)), 2)
    alpha = np.full(emitted.shape, NEVER)
    if len(scores):
        alpha[0, :, :2] = emitted[0, :, :2]
    for t in range(1, len(scores)):
        before = alpha[t - 1]
        skipped = np.where(jump, _shifted(before, 2), NEVER)
        alpha[t] = _log_sum(before, _shifted(before, 1), skipped) + emitted[t]
    return alpha, emitted


def _ends(alpha, input_lengths, target_lengths):
    """The log-likelihood of each sample: its last label or the blank after it at its last time step."""
    rows = np.arange(alpha.shape[1])
    last = 2 * target_lengths
    steps = np.maximum(input_lengths - 1, 0)
    blank = alpha[steps, rows, last]
    label = np.where(target_lengths > 0, alpha[steps, rows, np.maximum(last - 1, 0)], NEVER)
    found = _log_sum(blank, label)
    return np.where(input_lengths > 0, found, np.where(target_lengths == 0, 0.0, NEVER))


def _masked_states(targets, target_lengths, blank, classes):
    inside = np.arange(targets.shape[1]) < target_lengths[:, None]
    return _states(np.where(inside, targets, blank), blank)


def _loss_body(outs, ins, numbers, blank):
    scores, targets, input_lengths, target_lengths = ins
    scores = scores.astype(np.float64)
    labels, jump = _masked_states(targets, target_lengths, blank, scores.shape[2])
    alpha, _ = _forward_pass(scores, labels, jump)
    outs[0][...] = -_ends(alpha, input_lengths, target_lengths)


def _reversed_rows(values, lengths):
    """Each sample's first `length` time steps in reverse order; the others stay."""
    steps = np.arange(len(values))[:, None]
    order = np.where(steps < lengths, lengths - 1 - steps, steps)
    return np.take_along_axis(values, order[:, :, None], 0)


def _reversed_targets(targets, lengths):
    places = np.arange(targets.shape[1])[None]
    order = np.where(places < lengths[:, None], lengths[:, None] - 1 - places, places)
    return np.take_along_axis(targets, order, 1)


def _occupancy(scores, targets, input_lengths, target_lengths, blank):
    """(T, N, C): log of the summed probability of paths through each class at each time step, times its own once
    more.
    """
    classes = scores.shape[2]
    labels, jump = _masked_states(targets, target_lengths, blank, classes)
    alpha, _ = _forward_pass(scores, labels, jump)
    back_labels, back_jump = _masked_states(_reversed_targets(targets, target_lengths), target_lengths, blank, classes)
    beta, _ = _forward_pass(_reversed_rows(scores, input_lengths), back_labels, back_jump)
    beta = _reversed_rows(beta, input_lengths)
    states = np.arange(labels.shape[1])[None]
    last = 2 * target_lengths[:, None]
    mirrored = np.where(states <= last, last - states, 0)
    beta = np.take_along_axis(beta, np.broadcast_to(mirrored, beta.shape), 2)
    both = np.where(states <= last, alpha + beta, NEVER)
    total = np.full(scores.shape, NEVER)
    rows = np.arange(labels.shape[0])
    for s in range(labels.shape[1]):
        total[:, rows, labels[:, s]] = _log_sum(total[:, rows, labels[:, s]], both[:, :, s])
    return total


def _grad_body(outs, ins, numbers, blank, zero_infinity):
    g, scores, loss, targets, input_lengths, target_lengths = ins
    scores, loss = scores.astype(np.float64), loss.astype(np.float64)
    total = _occupancy(scores, targets, input_lengths, target_lengths, blank)
    share = np.exp(total + np.where(np.isinf(loss), np.nan, loss)[None, :, None] - scores)
    grad = (np.exp(scores) - share) * g[None, :, None]
    if zero_infinity:
        grad = np.where(np.isinf(loss)[None, :, None], 0, grad)
    outs[0][...] = np.where(np.arange(len(scores))[:, None, None] < input_lengths[None, :, None], grad, 0)


def _loss_grad(g, log_probs, out, targets, input_lengths, target_lengths, blank, zero_infinity):
    attrs = (("blank", blank), ("zero_infinity", zero_infinity), ("out", ((tuple(log_probs.shape), log_probs.dtype),)))
    return apply(GRAD, (), (g, log_probs, out, targets, input_lengths, target_lengths), attrs=attrs)[0]


LOSS = Host("ctc_loss", _loss_body, grad={"log_probs": _loss_grad}, node="CtcLossBackward0",
            params=("log_probs", "targets", "input_lengths", "target_lengths", "blank", "zero_infinity"))
GRAD = Host("ctc_loss_back", _grad_body)


def _lengths(name, value, count, device):
    """Lengths as an int64 tensor (N) on a device. RuntimeError for another number of them."""
    if not isinstance(value, Tensor):
        value = full((0,), 0, dtype=dt.int64) if not len(value) else _vector(value)
    if value._layout.dtype.category != dt.INTEGRAL:
        raise RuntimeError(f"{name} must be integral")
    value = value.reshape(-1).to(device, dt.int64)
    if value.numel() != count:
        raise RuntimeError(f"{name} must be of size batch_size")
    return value


def _vector(numbers):
    parts = [full((1,), int(n), dtype=dt.int64) for n in numbers]
    return cat(parts)


def _target_matrix(targets, lengths, count):
    """Targets (N, S): concatenated ones are split by their lengths."""
    if targets.dim() == 2:
        return targets.to(dt.int64)
    sizes = lengths.tolist()
    if sum(sizes) != targets.numel():
        raise RuntimeError(f"Expected targets of total length {sum(sizes)}, got {targets.numel()}")
    width = max(sizes, default=0)
    starts = lengths.cumsum(0) - lengths
    places = arange(width, device=lengths.device)
    index = starts.unsqueeze(1) + places
    if not targets.numel():
        return zeros((count, width), dtype=dt.int64, device=targets.device)
    return targets.to(dt.int64)[index.clamp_max(targets.numel() - 1)]


def _check_lengths(log_probs, targets, input_lengths, target_lengths):
    steps = log_probs.shape[0]
    inputs, labels = input_lengths.tolist(), target_lengths.tolist()
    for b, n in enumerate(inputs):
        if n < 0:
            raise RuntimeError(f"Expected input_lengths to have value at least 0, but got value {n}")
        if n > steps:
            raise RuntimeError(f"Expected input_lengths to have value at most {steps}, but got value {n} (while "
                               "checking arguments for ctc_loss_cpu)")
    for n in labels:
        if n < 0:
            raise RuntimeError(f"Expected target_lengths to have value at least 0, but got value {n}")
    if targets.dim() == 2 and labels and max(labels) > targets.shape[1]:
        raise RuntimeError(f"Expected tensor to have size at least {max(labels)} at dimension 1, but got size "
                           f"{list(targets.shape)} for "
                           "argument #2 'targets' (while checking arguments for ctc_loss_cpu)")


def _ctc(log_probs, targets, input_lengths, target_lengths, blank, reduction, zero_infinity):
    need_tensor("ctc_loss", "log_probs", 1, log_probs)
    need_tensor("ctc_loss", "targets", 2, targets)
    if log_probs._layout.dtype not in (dt.float32, dt.float64):
        raise NotImplementedError(f"\"ctc_loss_cpu\" not implemented for '{dt.scalar_type(log_probs._layout.dtype)}'")
    single = log_probs.dim() == 2
    if single:
        log_probs = log_probs.unsqueeze(1)
        targets = targets.unsqueeze(0) if targets.dim() == 1 else targets
    count, classes = log_probs.shape[1], log_probs.shape[2]
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    input_lengths = _lengths("input_lengths", input_lengths, count, log_probs.device)
    target_lengths = _lengths("target_lengths", target_lengths, count, log_probs.device)
    _check_lengths(log_probs, targets, input_lengths, target_lengths)
    matrix = _target_matrix(targets, target_lengths, count)
    attrs = (("blank", int(blank)), ("out", (((count,), log_probs._layout.dtype),)))
    loss = apply(LOSS, (log_probs, matrix, input_lengths, target_lengths, int(blank), bool(zero_infinity)),
                 (log_probs, matrix, input_lengths, target_lengths), attrs=attrs)[0]
    if zero_infinity:
        loss = where(loss == float("inf"), 0, loss)
    if single:
        loss = loss.squeeze(0)
        target_lengths = target_lengths.squeeze(0)
    if reduction == "mean":
        return (loss / target_lengths.clamp_min(1)).mean()
    return loss.sum() if reduction == "sum" else loss


@public("torch.ctc_loss", out=False)
def ctc_loss(log_probs, targets, input_lengths, target_lengths, blank=0, reduction=1, zero_infinity=False):
    """As `nn.functional.ctc_loss`, with the reduction as a number: 0 none, 1 mean, 2 sum."""
    return _ctc(log_probs, targets, input_lengths, target_lengths, blank, MODES[reduction], zero_infinity)


@public("nn.functional.ctc_loss", out=False, cast="float32")
def functional_ctc_loss(
    log_probs, targets, input_lengths, target_lengths, blank=0, reduction="mean", zero_infinity=False
):
    """The negative log-likelihood of label sequences under log-probabilities (T, N, C) or (T, C).

    targets: (N, S), or the sequences one after the other; lengths: of the inputs and targets (N). "mean" divides each
    loss by the length of its target first. `zero_infinity`: impossible alignments (too short inputs) count 0, also in
    the gradient."""
    if reduction not in MODES:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return _ctc(log_probs, targets, input_lengths, target_lengths, blank, reduction, zero_infinity)
