"""The Kumaraswamy distribution: a number in (0, 1), like beta, with a closed cumulative function."""
from math import nan

from .. import api as rl
from . import constraints
from .transformed_distribution import TransformedDistribution
from .transforms import AffineTransform, PowerTransform
from .uniform import Uniform
from .utils import broadcast_all, euler_constant

__all__ = ["Kumaraswamy"]


class Kumaraswamy(TransformedDistribution):
    """P(X <= x) = 1 - (1 - x ** concentration1) ** concentration0."""

    arg_constraints = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval
    has_rsample = True
    _parameters = ("concentration1", "concentration0")

    def __init__(self, concentration1, concentration0, validate_args=None):
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        base = Uniform(rl.full_like(self.concentration0, 0), rl.full_like(self.concentration0, 1),
                       validate_args=validate_args)
        transforms = [PowerTransform(exponent=self.concentration0.reciprocal()), AffineTransform(loc=1.0, scale=-1.0),
                      PowerTransform(exponent=self.concentration1.reciprocal())]
        super().__init__(base, transforms, validate_args=validate_args)

    def _moment(self, n):
        """The expectation of x ** n."""
        a, b = 1 + n / self.concentration1, self.concentration0
        return b * rl.exp(rl.lgamma(a) + rl.lgamma(b) - rl.lgamma(a + b))

    @property
    def mean(self):
        """The mean."""
        return self._moment(1)

    @property
    def mode(self):
        """Where the density is largest; not a number if a concentration is below 1."""
        a, b = self.concentration1, self.concentration0
        log_mode = b.reciprocal() * (-b).log1p() - (-b * a).log1p()
        return rl.where((b < 1) | (a < 1), nan, log_mode).exp()

    @property
    def variance(self):
        """The variance."""
        return self._moment(2) - self.mean.pow(2)

    def entropy(self):
        """The expectation of -log_prob."""
        a, b = self.concentration1, self.concentration0
        harmonic = rl.digamma(b + 1) + euler_constant
        return (1 - b.reciprocal()) + (1 - a.reciprocal()) * harmonic - rl.log(a) - rl.log(b)
