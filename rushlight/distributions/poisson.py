"""The Poisson distribution: events in a span of time."""
from .. import api as rl
from . import constraints
from .exp_family import ExponentialFamily
from .utils import broadcast_all

__all__ = ["Poisson"]


class Poisson(ExponentialFamily):
    """P(X = k) = rate ** k * exp(-rate) / k!."""

    arg_constraints = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer
    _parameters = ("rate",)

    def __init__(self, rate, validate_args=None):
        self._start(validate_args, rate=rate)

    @property
    def mean(self):
        """rate."""
        return self.rate

    @property
    def mode(self):
        """rate, rounded down."""
        return self.rate.floor()

    @property
    def variance(self):
        """rate."""
        return self.rate

    def sample(self, sample_shape=rl.Size()):
        """Numbers of events."""
        with rl.no_grad():
            return rl.poisson(self.rate.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value):
        """The logarithm of the probability of `value` events."""
        self._check(value)
        rate, value = broadcast_all(self.rate, value)
        return value.xlogy(rate) - rate - (value + 1).lgamma()

    @property
    def _natural_params(self):
        return (rl.log(self.rate),)

    def _log_normalizer(self, x):
        return rl.exp(x)
