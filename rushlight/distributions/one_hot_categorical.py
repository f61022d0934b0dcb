"""The categorical distribution as vectors with a single 1."""
from .. import api as rl
from ..nn.functional import one_hot
from . import constraints
from .categorical import Categorical
from .distribution import Distribution

__all__ = ["OneHotCategorical", "OneHotCategoricalStraightThrough"]


class OneHotCategorical(Distribution):
    """A vector of K numbers: 1 at a category, 0 elsewhere.

    Args:
        probs: probabilities (..., K).
        logits: log probabilities (..., K) up to a constant, instead of `probs`.
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.one_hot
    has_enumerate_support = True
    _parameters = ("_categorical",)

    def __init__(self, probs=None, logits=None, validate_args=None):
        self._categorical = Categorical(probs, logits)
        Distribution.__init__(self, self._categorical.batch_shape, self._categorical.param_shape[-1:],
                              validate_args=validate_args)

    def _new(self, *args, **kwargs):
        return self._categorical._new(*args, **kwargs)

    @property
    def _param(self):
        return self._categorical._param

    @property
    def probs(self):
        """Probabilities."""
        return self._categorical.probs

    @property
    def logits(self):
        """Log probabilities."""
        return self._categorical.logits

    @property
    def param_shape(self):
        """The shape of the parameter."""
        return self._categorical.param_shape

    @property
    def mean(self):
        """probs."""
        return self.probs

    @property
    def mode(self):
        """1 at the most probable category."""
        return one_hot(self.probs.argmax(dim=-1), self.probs.shape[-1]).to(self.probs)

    @property
    def variance(self):
        """probs * (1 - probs)."""
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape=rl.Size()):
        """Vectors with a single 1."""
        indices = self._categorical.sample(rl.Size(sample_shape))
        return one_hot(indices, self._categorical._num_events).to(self.probs)

    def log_prob(self, value):
        """The logarithm of the probability of the category that is 1."""
        self._check(value)
        return self._categorical.log_prob(value.max(-1)[1])

    def entropy(self):
        """The expectation of -log_prob."""
        return self._categorical.entropy()

    def enumerate_support(self, expand=True):
        """All vectors with a single 1."""
        n = self.event_shape[0]
        values = rl.eye(n, dtype=self._param.dtype, device=self._param.device)
        values = values.view((n,) + (1,) * len(self.batch_shape) + (n,))
        return values.expand((n,) + self.batch_shape + (n,)) if expand else values


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """`OneHotCategorical` whose samples have the gradient of the probabilities (Bengio et al., 2013)."""

    has_rsample = True

    def rsample(self, sample_shape=rl.Size()):
        """Vectors with a single 1; gradients go to the probabilities."""
        return self.sample(sample_shape) + (self.probs - self.probs.detach())
