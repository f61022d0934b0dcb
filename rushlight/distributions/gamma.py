"""The gamma distribution."""
from .. import api as rl
from ..ops.random.gamma_sampling import standard_gamma
from . import constraints
from .exp_family import ExponentialFamily

__all__ = ["Gamma"]


class Gamma(ExponentialFamily):
    """Density proportional to x ** (concentration - 1) * exp(-rate * x) for x >= 0."""

    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    _mean_carrier_measure = 0
    _parameters = ("concentration", "rate")

    def __init__(self, concentration, rate, validate_args=None):
        self._start(validate_args, concentration=concentration, rate=rate)

    @property
    def mean(self):
        """concentration / rate."""
        return self.concentration / self.rate

    @property
    def mode(self):
        """Where the density is largest."""
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self):
        """concentration / rate ** 2."""
        return self.concentration / self.rate.pow(2)

    def rsample(self, sample_shape=rl.Size()):
        """Samples with gradients (implicit reparameterisation)."""
        shape = self._extended_shape(sample_shape)
        value = standard_gamma(self.concentration.expand(shape)) / self.rate.expand(shape)
        value.detach().clamp_(min=rl.finfo(value.dtype).tiny)  # without a node: gradients pass such values as well
        return value

    def log_prob(self, value):
        """The logarithm of the density."""
        value = rl.as_tensor(value, dtype=self.rate.dtype, device=self.rate.device)
        self._check(value)
        return (rl.xlogy(self.concentration, self.rate) + rl.xlogy(self.concentration - 1, value) - self.rate * value
                - rl.lgamma(self.concentration))

    def entropy(self):
        """The expectation of -log_prob."""
        return (self.concentration - rl.log(self.rate) + rl.lgamma(self.concentration)
                + (1.0 - self.concentration) * rl.digamma(self.concentration))

    def cdf(self, value):
        """The probability of samples up to a value: the regularised incomplete gamma function."""
        self._check(value)
        return rl.special.gammainc(self.concentration, self.rate * value)

    @property
    def _natural_params(self):
        return self.concentration - 1, -self.rate

    def _log_normalizer(self, x, y):
        return rl.lgamma(x + 1) + (x + 1) * rl.log(-y.reciprocal())
