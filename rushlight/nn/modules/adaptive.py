"""Adaptive softmax: log probabilities over very many classes of uneven frequency."""
from collections import namedtuple

from ... import api as rl
from .. import functional as F
from .container import ModuleList, Sequential
from .linear import Linear
from .module import Module

__all__ = ["AdaptiveLogSoftmaxWithLoss"]

_ASMoutput = namedtuple("_ASMoutput", ("output", "loss"))


class AdaptiveLogSoftmaxWithLoss(Module):
    """A softmax that is cheap for frequent classes, which come first, and computes rare ones in clusters only if
    needed.

    Args: `in_features`; `n_classes`; `cutoffs`, increasing class numbers where the clusters begin; `div_value`, by
    which the features of every further cluster are fewer; `head_bias`, whether the head has a bias.
    Shape: (N, in_features) or (in_features) and classes (N) or (); returns a named tuple: `output`, the log
    probabilities of the targets, and `loss`, the mean of their negatives.
    Source: Grave and others, "Efficient softmax approximation for GPUs", arXiv 1609.04309.
    """

    def __init__(
        self, in_features: int, n_classes: int, cutoffs, div_value: float = 4.0, head_bias: bool = False, device=None,
        dtype=None,
    ):  # fmt: skip
        super().__init__()
        cutoffs = list(cutoffs)
        if not cutoffs:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        increasing = cutoffs == sorted(set(cutoffs)) and all(int(cutoff) == cutoff for cutoff in cutoffs)
        if not increasing or cutoffs[0] <= 0 or cutoffs[-1] > n_classes - 1:
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where each "
                "value is between 1 and n_classes-1"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = cutoffs + [n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        options = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **options)
        self.tail = ModuleList()
        for cluster in range(self.n_clusters):
            features = int(in_features // (div_value ** (cluster + 1)))
            classes = self.cutoffs[cluster + 1] - self.cutoffs[cluster]
            first = Linear(in_features, features, bias=False, **options)
            self.tail.append(Sequential(first, Linear(features, classes, bias=False, **options)))

    def reset_parameters(self):
        """Draw new values for all layers."""
        self.head.reset_parameters()
        for first, second in self.tail:
            first.reset_parameters()
            second.reset_parameters()

    def forward(self, input_, target_):
        batched = target_.dim() > 0
        self._check_shapes(input_, target_)
        input = input_ if batched else input_.unsqueeze(0)
        target = target_ if batched else target_.unsqueeze(0)
        chosen = target.clone()
        output = rl.zeros_like(target, dtype=input.dtype)
        used = 0
        for cluster, (low, high) in enumerate(zip([0, *self.cutoffs], self.cutoffs)):
            rows = ((target >= low) & (target < high)).nonzero().squeeze(1)
            if rows.numel() == 0:
                continue
            used += rows.numel()
            if cluster == 0:
                continue
            # A rare class is the entry of its cluster in the head, times its probability within the cluster.
            chosen = chosen.index_fill(0, rows, self.shortlist_size + cluster - 1)
            within = F.log_softmax(self.tail[cluster - 1](input.index_select(0, rows)), dim=1)
            relative = (target.index_select(0, rows) - low).unsqueeze(1)
            output = output.index_copy(0, rows, within.gather(1, relative).squeeze(1))
        if used != target.size(0):
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range [{target.min().item()}, "
                f"{target.max().item()}] were found. "
            )
        head = F.log_softmax(self.head(input), dim=1)
        output = output + head.gather(1, chosen.unsqueeze(1)).squeeze()
        loss = (-output).mean()
        return _ASMoutput(output if batched else output.squeeze(0), loss)

    def _check_shapes(self, input_, target_):
        if target_.dim() == 1:
            if input_.shape[0] != target_.shape[0]:
                raise RuntimeError("Input and target should have the same size in the batch dimension.")
            if input_.dim() != 2:
                raise RuntimeError(_wrong_input(1, 2, input_))
        elif target_.dim() == 0:
            if input_.dim() != 1:
                raise RuntimeError(_wrong_input(0, 1, input_))
        else:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")

    def _get_full_log_prob(self, input, head_output):
        """The log probabilities of all classes, from the output of the head."""
        head = F.log_softmax(head_output, dim=1)
        parts = [head[:, : self.shortlist_size]]
        for cluster, tail in enumerate(self.tail):
            within = F.log_softmax(tail(input), dim=1)
            parts.append(within + head[:, self.shortlist_size + cluster].unsqueeze(1))
        return rl.cat(parts, dim=1)

    def log_prob(self, input):
        """The log probabilities of all classes. Shape: (N, in_features) to (N, n_classes)."""
        return self._get_full_log_prob(input, self.head(input))

    def predict(self, input):
        """The most probable classes. Shape: (N, in_features) to (N); clusters are computed only where they can win."""
        head_output = self.head(input)
        best = rl.argmax(head_output, dim=1)
        rare = best >= self.shortlist_size
        if not rare.any():
            return best
        if rare.all():
            return rl.argmax(self._get_full_log_prob(input, head_output), dim=1)
        full = self._get_full_log_prob(input[rare], head_output[rare])
        best[rare] = rl.argmax(full, dim=1)
        return best


def _wrong_input(target_dim, dim, input):
    return f"{target_dim}D target tensor expects {dim}D input tensors, but found inputs with size {input.size()}"
