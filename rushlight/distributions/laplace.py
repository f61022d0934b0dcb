"""The Laplace distribution: exponential to both sides."""
from .. import api as rl
from . import constraints
from .distribution import Distribution

__all__ = ["Laplace"]


class Laplace(Distribution):
    """Density exp(-|x - loc| / scale) / (2 * scale)."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    _parameters = ("loc", "scale")

    def __init__(self, loc, scale, validate_args=None):
        self._start(validate_args, loc=loc, scale=scale)

    @property
    def mean(self):
        """loc."""
        return self.loc

    @property
    def mode(self):
        """loc."""
        return self.loc

    @property
    def variance(self):
        """2 * scale ** 2."""
        return 2 * self.scale.pow(2)

    @property
    def stddev(self):
        """sqrt(2) * scale."""
        return (2**0.5) * self.scale

    def rsample(self, sample_shape=rl.Size()):
        """Samples with gradients."""
        u = self.loc.new(self._extended_shape(sample_shape)).uniform_(rl.finfo(self.loc.dtype).eps - 1, 1)
        return self.loc - self.scale * u.sign() * rl.log1p(-u.abs())

    def log_prob(self, value):
        """The logarithm of the density."""
        self._check(value)
        return -rl.log(2 * self.scale) - rl.abs(value - self.loc) / self.scale

    def cdf(self, value):
        """The probability of samples up to a value."""
        self._check(value)
        distance = value - self.loc
        return 0.5 - 0.5 * distance.sign() * rl.expm1(-distance.abs() / self.scale)

    def icdf(self, value):
        """The quantile of a probability."""
        term = value - 0.5
        return self.loc - self.scale * term.sign() * rl.log1p(-2 * term.abs())

    def entropy(self):
        """1 + log(2 * scale)."""
        return 1 + rl.log(2 * self.scale)
