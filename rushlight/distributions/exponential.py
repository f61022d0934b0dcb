"""The exponential distribution: the time to the next event."""
from .. import api as rl
from . import constraints
from .exp_family import ExponentialFamily

__all__ = ["Exponential"]


class Exponential(ExponentialFamily):
    """Density rate * exp(-rate * x) for x >= 0."""

    arg_constraints = {"rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    _mean_carrier_measure = 0
    _parameters = ("rate",)

    def __init__(self, rate, validate_args=None):
        self._start(validate_args, rate=rate)

    @property
    def mean(self):
        """1 / rate."""
        return self.rate.reciprocal()

    @property
    def mode(self):
        """0."""
        return rl.zeros_like(self.rate)

    @property
    def stddev(self):
        """1 / rate."""
        return self.rate.reciprocal()

    @property
    def variance(self):
        """1 / rate ** 2."""
        return self.rate.pow(-2)

    def rsample(self, sample_shape=rl.Size()):
        """Samples with gradients."""
        return self.rate.new(self._extended_shape(sample_shape)).exponential_() / self.rate

    def log_prob(self, value):
        """The logarithm of the density."""
        self._check(value)
        return self.rate.log() - self.rate * value

    def cdf(self, value):
        """1 - exp(-rate * value)."""
        self._check(value)
        return 1 - rl.exp(-self.rate * value)

    def icdf(self, value):
        """The quantile of a probability."""
        return -rl.log1p(-value) / self.rate

    def entropy(self):
        """1 - log(rate)."""
        return 1.0 - rl.log(self.rate)

    @property
    def _natural_params(self):
        return (-self.rate,)

    def _log_normalizer(self, x):
        return -rl.log(-x)
