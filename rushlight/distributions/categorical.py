"""The categorical distribution: the number of a category."""
from math import nan

from .. import api as rl
from . import constraints
from ._probs_or_logits import ProbsOrLogits
from .distribution import Distribution

__all__ = ["Categorical"]


class Categorical(ProbsOrLogits, Distribution):
    """The number of a category, 0 to K - 1.

    Args:
        probs: probabilities (..., K), which are divided by their sum.
        logits: log probabilities (..., K) up to a constant, instead of `probs`.
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True
    _is_binary = False
    _parameters = ("probs", "logits", "_param")

    def __init__(self, probs=None, logits=None, validate_args=None):
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        name, given = ("probs", probs) if probs is not None else ("logits", logits)
        if given.dim() < 1:
            raise ValueError(f"`{name}` parameter must be at least one-dimensional.")
        if probs is not None:
            self.probs = self._param = probs / probs.sum(-1, keepdim=True)
        else:
            self.logits = self._param = logits - logits.logsumexp(dim=-1, keepdim=True)
        self._num_events = self._param.size(-1)
        Distribution.__init__(self, self._param.size()[:-1], validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self):
        """0 to K - 1."""
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def mean(self):
        """Not a number: categories have no order."""
        return self._full(nan, self.probs)

    @property
    def mode(self):
        """The most probable category."""
        return self.probs.argmax(dim=-1)

    @property
    def variance(self):
        """Not a number."""
        return self._full(nan, self.probs)

    def sample(self, sample_shape=rl.Size()):
        """Numbers of categories, int64."""
        sample_shape = rl.Size(sample_shape)
        rows = self.probs.reshape(-1, self._num_events)
        samples = rl.multinomial(rows, sample_shape.numel(), True).T
        return samples.reshape(self._extended_shape(sample_shape))

    def log_prob(self, value):
        """The logarithm of the probability of a category."""
        self._check(value)
        value, log_pmf = rl.broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        return log_pmf.gather(-1, value[..., :1]).squeeze(-1)

    def entropy(self):
        """The expectation of -log_prob."""
        logits = self.logits.clamp(min=rl.finfo(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand=True):
        """All categories."""
        return self._enumerated(rl.arange(self._num_events, device=self._param.device), expand)
