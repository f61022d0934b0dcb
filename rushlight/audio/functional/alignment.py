"""Alignment of labels and sounds: transducer loss, forced alignment, spans of tokens, edit distance."""

import dataclasses

from ... import api as rl
from ...base.lazy import numpy as np
from ...ops.media.transducer import transducer_loss


def _check_lattice(logits, targets, logit_lengths, target_lengths, blank):
    if logits.dim() != 4:
        raise RuntimeError("logits must be 4-D (batch, time, target, class)")
    if targets.dim() != 2 or logit_lengths.dim() != 1 or target_lengths.dim() != 1:
        raise RuntimeError("targets must be 2-D (batch, max target length), logit_lengths and target_lengths 1-D")
    if len({t.shape[0] for t in (logits, targets, logit_lengths, target_lengths)}) != 1:
        raise RuntimeError("batch dimension mismatch between logits, targets, logit_lengths and target_lengths")
    if not 0 <= blank < logits.shape[-1]:
        raise RuntimeError("blank must be within [0, logits.shape[-1])")
    if not {t.dtype for t in (targets, logit_lengths, target_lengths)} <= {rl.int32, rl.int64}:
        raise RuntimeError("targets, logit_lengths and target_lengths must be integers")
    if int(logit_lengths.max()) != logits.shape[1]:
        raise RuntimeError("input length mismatch: the longest of logit_lengths must be logits.shape[1]")
    if int(target_lengths.max()) != targets.shape[1]:
        raise RuntimeError("target length mismatch: the longest of target_lengths must be targets.shape[1]")
    if targets.shape[1] + 1 != logits.shape[2]:
        raise RuntimeError("output length mismatch: logits.shape[2] must be targets.shape[1] + 1")


def rnnt_loss(logits, targets, logit_lengths, target_lengths, blank=-1, clamp=-1, reduction="mean",
              fused_log_softmax=True):
    """Compute the loss of a transducer: minus the log-probability of all alignments of targets and frames.

    Args:
        logits (Tensor): (N, T, U + 1, classes), floating.
        targets (Tensor): (N, U), int32; logit_lengths, target_lengths (Tensor): (N,), int32.
        blank (int): class of the blank; negative numbers count from the end.
        clamp (float): limits the gradient, if positive.
        reduction (str): "none", "mean" or "sum".
        fused_log_softmax (bool): take the `log_softmax` of the logits first.

    Returns:
        Tensor: (N,) for "none", else a scalar.

    Raises:
        ValueError: unknown reduction.
        RuntimeError: shapes or dtypes do not fit.
    """
    if reduction not in ("none", "mean", "sum"):
        raise ValueError('reduction should be one of "none", "mean", or "sum"')
    blank = blank + logits.shape[-1] if blank < 0 else blank
    _check_lattice(logits, targets, logit_lengths, target_lengths, blank)
    costs = transducer_loss(logits, targets, logit_lengths, target_lengths, int(blank), bool(fused_log_softmax),
                            float(clamp))
    return costs if reduction == "none" else costs.mean() if reduction == "mean" else costs.sum()


def _best_path(scores, labels, blank):
    """The most probable path (T,) through labels with blanks between them (Viterbi's algorithm)."""
    states = np.full(2 * len(labels) + 1, blank)
    states[1::2] = labels
    jump = np.zeros(len(states), bool)
    jump[3::2] = states[3::2] != states[1:-2:2]
    frames = len(scores)
    repeats = int((labels[1:] == labels[:-1]).sum())
    if frames < len(labels) + repeats:
        raise RuntimeError(f"targets length is too long for CTC. Found targets length: {len(labels)}, log_probs "
                           f"length: {frames}, and number of repeats: {repeats}")
    best = np.where(np.arange(len(states)) < 2, scores[0, states], -np.inf)
    origins = np.zeros((frames, len(states)), np.int64)
    for t in range(1, frames):
        ways = np.full((3, len(states)), -np.inf)
        ways[0], ways[1, 1:] = best, best[:-1]
        ways[2, 2:] = np.where(jump[2:], best[:-2], -np.inf)
        origins[t] = ways.argmax(0)
        best = ways.max(0) + scores[t, states]
    at = len(states) - 1 if len(states) == 1 or best[-1] > best[-2] else len(states) - 2
    path = np.empty(frames, np.int64)
    for t in range(frames - 1, -1, -1):
        path[t] = states[at]
        at -= origins[t, at]
    return path


def forced_align(log_probs, targets, input_lengths=None, target_lengths=None, blank=0):
    """Align a transcript with the log-probabilities of a model that was trained with CTC.

    Args:
        log_probs (Tensor): (1, T, classes).
        targets (Tensor): (1, L), integers; no blanks.
        input_lengths, target_lengths (Tensor, optional): (1,), what counts of them.
        blank (int): class of the blank.

    Returns:
        tuple: (1, T) labels of the frames, and (1, T) their log-probabilities.

    Raises:
        ValueError: a target is the blank or no class.
        RuntimeError: the transcript is too long, or the batch is not 1.
    """
    labels = targets.detach().cpu().numpy()
    if blank in labels:
        raise ValueError(f"targets Tensor shouldn't contain blank index. Found {targets}.")
    if labels.size and labels.max() >= log_probs.shape[-1]:
        raise ValueError("targets values must be less than the CTC dimension")
    if log_probs.dim() != 3 or targets.dim() != 2:
        raise RuntimeError("log_probs must be 3-D (batch, time, class) and targets 2-D (batch, length)")
    if log_probs.shape[0] != 1 or labels.shape[0] != 1:
        raise RuntimeError("The batch dimension for log_probs and targets must be 1")
    frames = log_probs.shape[1] if input_lengths is None else int(input_lengths[0])
    length = labels.shape[1] if target_lengths is None else int(target_lengths[0])
    if frames != log_probs.shape[1] or length != labels.shape[1]:
        raise RuntimeError("input_lengths and target_lengths must be those of log_probs and targets")
    path = _best_path(log_probs[0].detach().cpu().double().numpy(), labels[0], blank)
    path = rl.from_numpy(path).to(log_probs.device)
    return path.to(targets.dtype)[None], log_probs[0].gather(1, path[:, None])[:, 0][None]


@dataclasses.dataclass
class TokenSpan:
    """A token, the frames from `start` to before `end` that it spans, and its mean score."""

    token: int
    start: int
    end: int
    score: float

    def __len__(self):
        return self.end - self.start


def merge_tokens(tokens, scores, blank=0):
    """Join equal neighbours of an alignment (T,) and drop blanks: a list of `TokenSpan`.

    Example:
        >>> F.merge_tokens(torch.tensor([0, 1, 1, 0]), torch.tensor([1.0, 2.0, 4.0, 1.0]))
        [TokenSpan(token=1, start=1, end=3, score=3.0)]
    """
    if tokens.ndim != 1 or scores.ndim != 1:
        raise ValueError("`tokens` and `scores` must be 1D Tensor.")
    if len(tokens) != len(scores):
        raise ValueError("`tokens` and `scores` must be the same length.")
    labels = tokens.tolist()
    starts = [t for t, label in enumerate(labels) if t == 0 or label != labels[t - 1]]
    ends = [*starts[1:], len(labels)]
    return [TokenSpan(labels[start], start, end, scores[start:end].mean().item())
            for start, end in zip(starts, ends) if labels[start] != blank]


def edit_distance(seq1, seq2):
    """Count the insertions, deletions and substitutions that turn one sequence into the other, at least.

    Example:
        >>> F.edit_distance("kitten", "sitting")
        3
    """
    row = list(range(len(seq2) + 1))
    for i, item in enumerate(seq1, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(seq2, 1):
            cost = before if item == other else 1 + min(before, row[j - 1], row[j])
            before, row[j] = row[j], cost
    return row[-1]
