"""The multinomial distribution: how often each category occurs."""
from math import inf

from .. import api as rl
from . import constraints
from .binomial import Binomial
from .categorical import Categorical
from .distribution import Distribution
from .utils import broadcast_all

__all__ = ["Multinomial"]


class Multinomial(Distribution):
    """How often each of K categories occurs among `total_count` draws.

    Args:
        total_count: the number of draws, an int.
        probs: probabilities (..., K).
        logits: log probabilities (..., K) up to a constant, instead of `probs`.
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    _parameters = ("_categorical",)

    def __init__(self, total_count=1, probs=None, logits=None, validate_args=None):
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        self.total_count = total_count
        self._categorical = Categorical(probs=probs, logits=logits)
        self._binomial = Binomial(total_count=total_count, probs=self.probs)
        Distribution.__init__(self, self._categorical.batch_shape, self._categorical.param_shape[-1:],
                              validate_args=validate_args)

    def _new(self, *args, **kwargs):
        return self._categorical._new(*args, **kwargs)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self):
        """Counts that sum up to total_count at most."""
        return constraints.multinomial(self.total_count)

    @property
    def mean(self):
        """probs * total_count."""
        return self.probs * self.total_count

    @property
    def variance(self):
        """total_count * probs * (1 - probs)."""
        return self.total_count * self.probs * (1 - self.probs)

    @property
    def logits(self):
        """Log probabilities."""
        return self._categorical.logits

    @property
    def probs(self):
        """Probabilities."""
        return self._categorical.probs

    @property
    def param_shape(self):
        """The shape of the parameter."""
        return self._categorical.param_shape

    def sample(self, sample_shape=rl.Size()):
        """Counts, as floating numbers."""
        sample_shape = rl.Size(sample_shape)
        draws = self._categorical.sample(rl.Size((self.total_count,)) + sample_shape).movedim(0, -1)
        counts = draws.new_zeros(self._extended_shape(sample_shape))
        return counts.scatter_add_(-1, draws, rl.ones_like(draws)).type_as(self.probs)

    def entropy(self):
        """The expectation of -log_prob."""
        n = rl.tensor(self.total_count)
        support = self._binomial.enumerate_support(expand=False)[1:]
        chances = rl.exp(self._binomial.log_prob(support))
        return (n * self._categorical.entropy() - rl.lgamma(n + 1)
                + (chances * rl.lgamma(support + 1)).sum([0, -1]))

    def log_prob(self, value):
        """The logarithm of the probability of counts."""
        self._check(value)
        logits, value = broadcast_all(self.logits, value)
        logits = rl.where((value == 0) & (logits == -inf), 0.0, logits)
        ways = rl.lgamma(value.sum(-1) + 1) - rl.lgamma(value + 1).sum(-1)
        return ways + (logits * value).sum(-1)
