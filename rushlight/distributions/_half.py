"""Distributions of absolute values: what `HalfNormal` and `HalfCauchy` share."""
import math
from math import inf

from .. import api as rl
from . import constraints
from .transformed_distribution import TransformedDistribution


class Half(TransformedDistribution):
    """The absolute value of a number that is distributed symmetrically around 0."""

    arg_constraints = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    @property
    def scale(self):
        """The scale of the whole distribution."""
        return self.base_dist.scale

    @property
    def mode(self):
        """0."""
        return rl.zeros_like(self.scale)

    def log_prob(self, value):
        """The logarithm of the density, which is twice that of the whole distribution."""
        self._check(value)
        value = rl.as_tensor(value, dtype=self.scale.dtype, device=self.scale.device)
        return rl.where(value >= 0, self.base_dist.log_prob(value) + math.log(2), -inf)

    def cdf(self, value):
        """The probability of samples up to a value."""
        self._check(value)
        return 2 * self.base_dist.cdf(value) - 1

    def icdf(self, prob):
        """The quantile of a probability."""
        return self.base_dist.icdf((prob + 1) / 2)

    def entropy(self):
        """The expectation of -log_prob."""
        return self.base_dist.entropy() - math.log(2)
