"""The Cauchy distribution."""
import math
from math import inf, nan

from .. import api as rl
from . import constraints
from .distribution import Distribution

__all__ = ["Cauchy"]


class Cauchy(Distribution):
    """Density 1 / (pi * scale * (1 + ((x - loc) / scale) ** 2)): a quotient of two normal numbers, without a mean."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    _parameters = ("loc", "scale")

    def __init__(self, loc, scale, validate_args=None):
        self._start(validate_args, loc=loc, scale=scale)

    @property
    def mean(self):
        """Not a number."""
        return self._full(nan, self.loc)

    @property
    def mode(self):
        """loc."""
        return self.loc

    @property
    def variance(self):
        """Infinite."""
        return self._full(inf, self.loc)

    def rsample(self, sample_shape=rl.Size()):
        """Samples with gradients."""
        return self.loc + self.loc.new(self._extended_shape(sample_shape)).cauchy_() * self.scale

    def log_prob(self, value):
        """The logarithm of the density."""
        self._check(value)
        return -math.log(math.pi) - self.scale.log() - (((value - self.loc) / self.scale) ** 2).log1p()

    def cdf(self, value):
        """The probability of samples up to a value."""
        self._check(value)
        return rl.atan((value - self.loc) / self.scale) / math.pi + 0.5

    def icdf(self, value):
        """The quantile of a probability."""
        return rl.tan(math.pi * (value - 0.5)) * self.scale + self.loc

    def entropy(self):
        """log(4 * pi * scale)."""
        return math.log(4 * math.pi) + self.scale.log()
