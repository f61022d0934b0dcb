"""The binomial distribution: successes among trials."""
from .. import api as rl
from . import constraints
from ._probs_or_logits import ProbsOrLogits
from .distribution import Distribution

__all__ = ["Binomial"]


class Binomial(ProbsOrLogits, Distribution):
    """The successes among `total_count` trials.

    Args:
        total_count: the number of trials.
        probs: the probability of a success.
        logits: its log odds, instead of `probs`.
    """

    arg_constraints = {"total_count": constraints.nonnegative_integer, "probs": constraints.unit_interval,
                       "logits": constraints.real}
    has_enumerate_support = True
    _parameters = ("total_count", "probs", "logits", "_param")

    def __init__(self, total_count=1, probs=None, logits=None, validate_args=None):
        (total_count,) = self._choose(probs, logits, total_count)
        self.total_count = total_count.type_as(self._param)
        Distribution.__init__(self, self._param.size(), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self):
        """0 to total_count."""
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self):
        """total_count * probs."""
        return self.total_count * self.probs

    @property
    def mode(self):
        """The most probable number."""
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self):
        """total_count * probs * (1 - probs)."""
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape=rl.Size()):
        """Numbers of successes."""
        shape = self._extended_shape(sample_shape)
        with rl.no_grad():
            return rl.binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value):
        """The logarithm of the probability of `value` successes."""
        self._check(value)
        n, logits = self.total_count, self.logits
        # n * log(1 + exp(logits)), without overflow
        positive = (logits.clamp(min=0) + logits - logits.clamp(max=0)) / 2
        norm = n * positive + n * rl.log1p(rl.exp(-rl.abs(logits))) - rl.lgamma(n + 1)
        return value * logits - rl.lgamma(value + 1) - rl.lgamma(n - value + 1) - norm

    def entropy(self):
        """The expectation of -log_prob. NotImplementedError unless all trials are as many."""
        log_prob = self.log_prob(self._all("entropy"))
        return -(rl.exp(log_prob) * log_prob).sum(0)

    def enumerate_support(self, expand=True):
        """0 to total_count. NotImplementedError unless all trials are as many."""
        values = self._all("enumerate_support")
        return values.expand((-1,) + self._batch_shape) if expand else values

    def _all(self, purpose):
        most = int(self.total_count.max())
        if not self.total_count.min() == most:
            raise NotImplementedError(f"Inhomogeneous total count not supported by `{purpose}`.")
        return self._enumerated(rl.arange(1 + most, dtype=self._param.dtype, device=self._param.device), False)
