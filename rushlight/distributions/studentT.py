"""Student's t distribution."""
import math
from math import inf, nan

from .. import api as rl
from . import constraints
from .chi2 import Chi2
from .distribution import Distribution
from .utils import _standard_normal, broadcast_all

__all__ = ["StudentT"]


class StudentT(Distribution):
    """loc + scale * n / sqrt(c / df) for a normal number n and a chi-squared number c with `df` degrees of freedom."""

    arg_constraints = {"df": constraints.positive, "loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    _parameters = ("df", "loc", "scale", "_chi2")

    def __init__(self, df, loc=0.0, scale=1.0, validate_args=None):
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        self._chi2 = Chi2(self.df)
        Distribution.__init__(self, self.df.size(), validate_args=validate_args)

    @property
    def mean(self):
        """loc, not a number for df <= 1."""
        return rl.where(self.df <= 1, nan, self.loc)

    @property
    def mode(self):
        """loc."""
        return self.loc

    @property
    def variance(self):
        """The variance: infinite for df <= 2, not a number for df <= 1."""
        finite = self.scale.pow(2) * self.df / (self.df - 2)
        return rl.where(self.df > 2, finite, rl.where(self.df > 1, inf, nan).to(finite))

    def rsample(self, sample_shape=rl.Size()):
        """Samples with gradients."""
        normal = _standard_normal(self._extended_shape(sample_shape), self.df.dtype, self.df.device)
        return self.loc + self.scale * (normal * rl.rsqrt(self._chi2.rsample(sample_shape) / self.df))

    def log_prob(self, value):
        """The logarithm of the density."""
        self._check(value)
        y = (value - self.loc) / self.scale
        norm = (self.scale.log() + 0.5 * self.df.log() + 0.5 * math.log(math.pi) + rl.lgamma(0.5 * self.df)
                - rl.lgamma(0.5 * (self.df + 1.0)))
        return -0.5 * (self.df + 1.0) * rl.log1p(y**2.0 / self.df) - norm

    def entropy(self):
        """The expectation of -log_prob."""
        more = 0.5 * (self.df + 1)
        beta = rl.lgamma(0.5 * self.df) + math.lgamma(0.5) - rl.lgamma(more)
        return (self.scale.log() + more * (rl.digamma(more) - rl.digamma(0.5 * self.df)) + 0.5 * self.df.log() + beta)
