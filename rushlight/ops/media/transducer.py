"""The transducer's loss (Graves 2012, "Sequence Transduction with Recurrent Neural Networks"), and its gradient.

A lattice has a frame t and a number of labels u at each node. "Skip" moves to the next frame and emits a blank; "emit"
moves to the next label. Forward and backward variables are computed in logarithms on host arrays, a diagonal t + u of
all samples at a time: nodes of one diagonal do not depend on each other.
"""

from ...base.lazy import numpy as np
from ...core.declare import apply
from ...core.kinds import Host

NEVER = float("-inf")


def _log_softmax(scores):
    top = scores.max(-1, keepdims=True)
    return scores - top - np.log(np.exp(scores - top).sum(-1, keepdims=True))


def _moves(scores, targets, frames, labels, blank):
    """Log-probabilities (N, T, U + 1) of skipping and emitting at each node; -inf outside of the samples' lattices."""
    count, steps, nodes, _ = scores.shape
    t, u = np.arange(steps)[None, :, None], np.arange(nodes)[None, None]
    frames, labels = frames[:, None, None], labels[:, None, None]
    skip = np.where((t < frames) & (u <= labels), scores[..., blank], NEVER)
    emit = np.full((count, steps, nodes), NEVER)
    if nodes > 1:
        index = np.broadcast_to(targets[:, None, :, None], (count, steps, nodes - 1, 1))
        emit[:, :, :-1] = np.take_along_axis(scores[:, :, :-1], index, 3)[..., 0]
    return skip, np.where((t < frames) & (u < labels), emit, NEVER)


def _forward(skip, emit):
    """Log-probabilities of all ways from the beginning to each node."""
    count, steps, nodes = skip.shape
    alpha = np.full(skip.shape, NEVER)
    alpha[:, 0, 0] = 0.0
    for diagonal in range(1, steps + nodes - 1):
        u = np.arange(max(0, diagonal - steps + 1), min(nodes, diagonal + 1))
        t = diagonal - u
        down, across = np.maximum(t - 1, 0), np.maximum(u - 1, 0)
        by_skip = np.where(t > 0, alpha[:, down, u] + skip[:, down, u], NEVER)
        by_emit = np.where(u > 0, alpha[:, t, across] + emit[:, t, across], NEVER)
        alpha[:, t, u] = np.logaddexp(by_skip, by_emit)
    return alpha


def _backward(skip, emit, frames, labels):
    """Log-probabilities of all ways from each node to the end, which is behind the skip of the last one."""
    count, steps, nodes = skip.shape
    beta = np.full((count, steps + 1, nodes + 1), NEVER)
    rows = np.arange(count)
    beta[rows, frames, labels] = 0.0
    for diagonal in range(steps + nodes - 2, -1, -1):
        u = np.arange(max(0, diagonal - steps + 1), min(nodes, diagonal + 1))
        t = diagonal - u
        ways = np.logaddexp(beta[:, t + 1, u] + skip[:, t, u], beta[:, t, u + 1] + emit[:, t, u])
        beta[:, t, u] = np.where((t == frames[:, None]) & (u == labels[:, None]), 0.0, ways)
    return beta


def _lattice(scores, targets, frames, labels, blank, fused):
    scores = scores.astype(np.float64)
    scores = _log_softmax(scores) if fused else scores
    return scores, *_moves(scores, targets.astype(np.int64), frames, labels, blank)


def _loss_body(outs, ins, numbers, blank, fused):
    _, skip, emit = _lattice(*ins, blank, fused)
    alpha = _forward(skip, emit)
    rows, last, labels = np.arange(len(skip)), ins[2] - 1, ins[3]
    outs[0][...] = -(alpha[rows, last, labels] + skip[rows, last, labels])


def _grad_body(outs, ins, numbers, blank, fused, clamp):
    g, *ins = ins
    scores, skip, emit = _lattice(*ins, blank, fused)
    alpha, beta = _forward(skip, emit), _backward(skip, emit, ins[2], ins[3])
    total = beta[:, :1, :1]
    skipped = np.exp(alpha + skip + beta[:, 1:, :-1] - total)
    emitted = np.exp(alpha + emit + beta[:, :-1, 1:] - total)
    grad = np.zeros(scores.shape)
    grad[..., blank] = -skipped
    if scores.shape[2] > 1:
        samples, steps, nodes = np.ix_(*map(np.arange, (len(scores), scores.shape[1], scores.shape[2] - 1)))
        np.add.at(grad, (samples, steps, nodes, ins[1][:, None].astype(np.int64)), -emitted[:, :, :-1])
    if fused:
        grad = grad - np.exp(scores) * grad.sum(-1, keepdims=True)
    if clamp > 0:
        grad = np.clip(grad, -clamp, clamp)
    outs[0][...] = grad * g[:, None, None, None]


def _loss_grad(g, logits, targets, logit_lengths, target_lengths, blank, fused, clamp):
    attrs = (("blank", blank), ("fused", fused), ("clamp", clamp),
             ("out", ((tuple(logits.shape), logits._layout.dtype),)))
    return apply(GRAD, (), (g, logits, targets, logit_lengths, target_lengths), attrs=attrs)[0]


LOSS = Host("transducer_loss", _loss_body, grad={"logits": _loss_grad}, node="RnntLossBackward",
            params=("logits", "targets", "logit_lengths", "target_lengths", "blank",
                                                 "fused", "clamp"))
GRAD = Host("transducer_loss_back", _grad_body)


def transducer_loss(logits, targets, logit_lengths, target_lengths, blank, fused, clamp):
    """The loss of each sample: (N,). `rushlight.audio.functional.rnnt_loss` checks the arguments."""
    tensors = (logits, targets, logit_lengths, target_lengths)
    attrs = (("blank", blank), ("fused", fused), ("out", (((logits._layout.shape[0],), logits._layout.dtype),)))
    return apply(LOSS, (*tensors, blank, fused, clamp), tensors, attrs=attrs)[0]
