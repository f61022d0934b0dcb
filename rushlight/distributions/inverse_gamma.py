"""The inverse gamma distribution."""
from .. import api as rl
from . import constraints
from .gamma import Gamma
from .transformed_distribution import TransformedDistribution
from .transforms import PowerTransform

__all__ = ["InverseGamma"]


class InverseGamma(TransformedDistribution):
    """The reciprocal of a gamma number."""

    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.positive
    has_rsample = True
    _parameters = ()

    def __init__(self, concentration, rate, validate_args=None):
        base = Gamma(concentration, rate, validate_args=validate_args)
        super().__init__(base, PowerTransform(-base.rate.new_ones(())), validate_args=validate_args)

    @property
    def concentration(self):
        """That of the gamma distribution."""
        return self.base_dist.concentration

    @property
    def rate(self):
        """That of the gamma distribution."""
        return self.base_dist.rate

    @property
    def mean(self):
        """rate / (concentration - 1), infinite for concentration <= 1."""
        return rl.where(self.concentration > 1, self.rate / (self.concentration - 1), rl.inf)

    @property
    def mode(self):
        """rate / (concentration + 1)."""
        return self.rate / (self.concentration + 1)

    @property
    def variance(self):
        """The variance, infinite for concentration <= 2."""
        formula = self.rate.square() / ((self.concentration - 1).square() * (self.concentration - 2))
        return rl.where(self.concentration > 2, formula, rl.inf)

    def entropy(self):
        """The expectation of -log_prob."""
        a = self.concentration
        return a + self.rate.log() + a.lgamma() - (1 + a) * a.digamma()
