"""The generalised Pareto distribution."""
from math import inf, nan

from .. import api as rl
from . import constraints
from .distribution import Distribution

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Distribution):
    """P(X > x) = (1 + concentration * (x - loc) / scale) ** (-1 / concentration); exponential for concentration 0."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive, "concentration": constraints.real}
    has_rsample = True
    _parameters = ("loc", "scale", "concentration")

    def __init__(self, loc, scale, concentration, validate_args=None):
        self._start(validate_args, loc=loc, scale=scale, concentration=concentration)

    def _branches(self):
        """Where the concentration is 0, and a concentration that is 1 there."""
        zero = rl.isclose(self.concentration, rl.zeros_like(self.concentration))
        return zero, rl.where(zero, rl.ones_like(self.concentration), self.concentration)

    def rsample(self, sample_shape=rl.Size()):
        """Samples with gradients: quantiles of uniform numbers."""
        shape = self._extended_shape(sample_shape)
        return self.icdf(rl.rand(shape, dtype=self.loc.dtype, device=self.loc.device))

    def log_prob(self, value):
        """The logarithm of the density."""
        self._check(value)
        z = (value - self.loc) / self.scale
        zero, safe = self._branches()
        power = 1 / safe + rl.ones_like(z)
        return -self.scale.log() - rl.where(zero, z, rl.where(power == 0, power, power * rl.log1p(safe * z)))

    def log_survival_function(self, value):
        """log P(X > value)."""
        self._check(value)
        z = (value - self.loc) / self.scale
        zero, safe = self._branches()
        return rl.where(zero, -z, -rl.log1p(safe * z) / safe)

    def log_cdf(self, value):
        """log P(X <= value)."""
        return rl.log1p(-rl.exp(self.log_survival_function(value)))

    def cdf(self, value):
        """The probability of samples up to a value."""
        return rl.exp(self.log_cdf(value))

    def icdf(self, value):
        """The quantile of a probability."""
        zero, safe = self._branches()
        log = rl.log1p(-value)
        return rl.where(zero, self.loc - self.scale * log,
                        self.loc + self.scale / safe * rl.expm1(-safe * log))

    @property
    def mean(self):
        """The mean, not a number for concentration >= 1."""
        valid = self.concentration < 1
        return rl.where(valid, self.loc + self.scale / (1 - rl.where(valid, self.concentration, 0.5)), nan)

    @property
    def variance(self):
        """The variance, not a number for concentration >= 1/2."""
        valid = self.concentration < 0.5
        c = rl.where(valid, self.concentration, 0.25)
        return rl.where(valid, self.scale**2 / ((1 - c) ** 2 * (1 - 2 * c)), nan)

    def entropy(self):
        """log(scale) + concentration + 1."""
        return rl.broadcast_to(rl.log(self.scale) + self.concentration + 1, self._batch_shape)

    @property
    def mode(self):
        """loc."""
        return self.loc

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self):
        """From loc on, to a finite end for concentrations below 0."""
        end = rl.where(self.concentration < 0, self.loc - self.scale / self.concentration, inf)
        return constraints.interval(self.loc, end)
