"""The negative binomial distribution: successes before a number of failures."""
from .. import api as rl
from ..nn import functional as F
from . import constraints
from ._probs_or_logits import ProbsOrLogits
from .distribution import Distribution
from .gamma import Gamma
from .utils import lazy_property

__all__ = ["NegativeBinomial"]


class NegativeBinomial(ProbsOrLogits, Distribution):
    """How many trials succeed before `total_count` of them fail; also for numbers that are not whole.

    Args:
        total_count: the number of failures.
        probs: the probability of a success, in [0, 1).
        logits: its log odds, instead of `probs`.
    """

    arg_constraints = {"total_count": constraints.greater_than_eq(0),
                       "probs": constraints.half_open_interval(0.0, 1.0), "logits": constraints.real}
    support = constraints.nonnegative_integer
    _parameters = ("total_count", "probs", "logits", "_param")

    def __init__(self, total_count, probs=None, logits=None, validate_args=None):
        (total_count,) = self._choose(probs, logits, total_count)
        self.total_count = total_count.type_as(self._param)
        Distribution.__init__(self, self._param.size(), validate_args=validate_args)

    @property
    def mean(self):
        """total_count * exp(logits)."""
        return self.total_count * rl.exp(self.logits)

    @property
    def mode(self):
        """The most probable number."""
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self):
        """mean / (1 - probs)."""
        return self.mean / rl.sigmoid(-self.logits)

    @lazy_property
    def _gamma(self):
        return Gamma(concentration=self.total_count, rate=rl.exp(-self.logits), validate_args=False)

    def sample(self, sample_shape=rl.Size()):
        """Numbers of successes: Poisson numbers with rates from a gamma distribution."""
        with rl.no_grad():
            return rl.poisson(self._gamma.sample(sample_shape))

    def log_prob(self, value):
        """The logarithm of the probability of `value` successes."""
        self._check(value)
        n = self.total_count
        ways = rl.lgamma(n + value) - rl.lgamma(1.0 + value) - rl.lgamma(n)
        ways = ways.masked_fill(n + value == 0.0, 0.0)
        return n * F.logsigmoid(-self.logits) + value * F.logsigmoid(self.logits) + ways
