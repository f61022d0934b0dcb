"""The continuous Bernoulli distribution: a number in [0, 1]."""
import math

from .. import api as rl
from ..nn.functional import binary_cross_entropy_with_logits
from . import constraints
from ._probs_or_logits import ProbsOrLogits
from .distribution import Distribution
from .exp_family import ExponentialFamily
from .utils import broadcast_all, clamp_probs, lazy_property, logits_to_probs

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(ProbsOrLogits, ExponentialFamily):
    """Density proportional to probs ** x * (1 - probs) ** (1 - x) (Loaiza-Ganem and Cunningham, 2019).

    Formulas have a removable pole at probs = 1/2; between `lims` their Taylor series are used.

    Args:
        probs: the parameter, in (0, 1).
        logits: its log odds, instead of `probs`.
        lims: where the series are used.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    _mean_carrier_measure = 0
    _parameters = ("probs", "logits", "_param")

    def __init__(self, probs=None, logits=None, lims=(0.499, 0.501), validate_args=None):
        self._choose(probs, logits)
        if probs is not None:
            if validate_args is not None and not self.arg_constraints["probs"].check(self.probs).all():
                raise ValueError("The parameter probs has invalid values")
            self.probs = self._param = clamp_probs(self.probs)
        self._lims = lims
        Distribution.__init__(self, self._param.size(), validate_args=validate_args)

    @lazy_property
    def probs(self):
        """The parameter."""
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    def _outside_unstable_region(self):
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _cut_probs(self):
        """probs, with those near 1/2 moved to the limit."""
        return rl.where(self._outside_unstable_region(), self.probs, self._lims[0] * rl.ones_like(self.probs))

    def _either(self, formula, series):
        return rl.where(self._outside_unstable_region(), formula, series)

    def _cont_bern_log_norm(self):
        """The logarithm of the density's factor."""
        p = self._cut_probs()
        low = p <= 0.5
        above = rl.log(2.0 * rl.where(p >= 0.5, p, 1.0) - 1)
        denominator = rl.where(low, rl.log1p(-2.0 * rl.where(low, p, 0.0)), above)
        formula = rl.log(rl.abs(rl.log1p(-p) - rl.log(p))) - denominator
        x = (self.probs - 0.5).pow(2)
        return self._either(formula, math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x)

    @property
    def mean(self):
        """The mean, which is not probs."""
        p, x = self._cut_probs(), self.probs - 0.5
        formula = p / (2.0 * p - 1.0) + 1.0 / (rl.log1p(-p) - rl.log(p))
        return self._either(formula, 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x.pow(2)) * x)

    @property
    def variance(self):
        """The variance."""
        p, x = self._cut_probs(), (self.probs - 0.5).pow(2)
        formula = p * (p - 1.0) / (1.0 - 2.0 * p).pow(2) + 1.0 / (rl.log1p(-p) - rl.log(p)).pow(2)
        return self._either(formula, 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x)

    def sample(self, sample_shape=rl.Size()):
        """Samples without gradients."""
        with rl.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape=rl.Size()):
        """Samples with gradients: quantiles of uniform numbers."""
        shape = self._extended_shape(sample_shape)
        return self.icdf(rl.rand(shape, dtype=self.probs.dtype, device=self.probs.device))

    def log_prob(self, value):
        """The logarithm of the density."""
        self._check(value)
        logits, value = broadcast_all(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value, reduction="none") + self._cont_bern_log_norm()

    def cdf(self, value):
        """The probability of samples up to a value."""
        self._check(value)
        p = self._cut_probs()
        formula = (rl.pow(p, value) * rl.pow(1.0 - p, 1.0 - value) + p - 1.0) / (2.0 * p - 1.0)
        inner = self._either(formula, value)
        return rl.where(value <= 0, 0.0, rl.where(value >= 1, 1.0, inner))

    def icdf(self, value):
        """The quantile of a probability."""
        p = self._cut_probs()
        formula = (rl.log1p(-p + value * (2.0 * p - 1.0)) - rl.log1p(-p)) / (rl.log(p) - rl.log1p(-p))
        return self._either(formula, value)

    def entropy(self):
        """The expectation of -log_prob."""
        log0, log1 = rl.log1p(-self.probs), rl.log(self.probs)
        return self.mean * (log0 - log1) - self._cont_bern_log_norm() - log0

    @property
    def _natural_params(self):
        return (self.logits,)

    def _log_normalizer(self, x):
        low, high = self._lims[0] - 0.5, self._lims[1] - 0.5
        outside = (x <= low) | (x > high)
        cut = rl.where(outside, x, low * rl.ones_like(x))
        formula = rl.log(rl.abs(rl.expm1(cut))) - rl.log(rl.abs(cut))
        return rl.where(outside, formula, 0.5 * x + x.pow(2) / 24.0 - x.pow(4) / 2880.0)
