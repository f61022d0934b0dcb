"""The Weibull distribution."""
from .. import api as rl
from . import constraints
from .exponential import Exponential
from .transformed_distribution import TransformedDistribution
from .transforms import AffineTransform, PowerTransform
from .utils import broadcast_all, euler_constant

__all__ = ["Weibull"]


class Weibull(TransformedDistribution):
    """P(X > x) = exp(-(x / scale) ** concentration)."""

    arg_constraints = {"scale": constraints.positive, "concentration": constraints.positive}
    support = constraints.positive
    _parameters = ("scale", "concentration", "concentration_reciprocal")

    def __init__(self, scale, concentration, validate_args=None):
        self.scale, self.concentration = broadcast_all(scale, concentration)
        self.concentration_reciprocal = self.concentration.reciprocal()
        transforms = [PowerTransform(exponent=self.concentration_reciprocal), AffineTransform(loc=0, scale=self.scale)]
        base = Exponential(rl.ones_like(self.scale), validate_args=validate_args)
        super().__init__(base, transforms, validate_args=validate_args)

    @property
    def mean(self):
        """scale * gamma(1 + 1 / concentration)."""
        return self.scale * rl.exp(rl.lgamma(1 + self.concentration_reciprocal))

    @property
    def mode(self):
        """Where the density is largest."""
        return self.scale * ((self.concentration - 1) / self.concentration) ** self.concentration.reciprocal()

    @property
    def variance(self):
        """The variance."""
        second = rl.exp(rl.lgamma(1 + 2 * self.concentration_reciprocal))
        return self.scale.pow(2) * (second - rl.exp(2 * rl.lgamma(1 + self.concentration_reciprocal)))

    def entropy(self):
        """The expectation of -log_prob."""
        return (euler_constant * (1 - self.concentration_reciprocal)
                + rl.log(self.scale * self.concentration_reciprocal) + 1)
