"""The Dirichlet distribution: a point of the simplex."""
from .. import api as rl
from ..nn.functional import one_hot
from ..ops.random.gamma_sampling import sample_dirichlet
from . import constraints
from .distribution import Distribution
from .exp_family import ExponentialFamily

__all__ = ["Dirichlet"]


class Dirichlet(ExponentialFamily):
    """Density proportional to the product of x ** (concentration - 1), for shares x (..., K) with the sum 1."""

    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True
    _parameters = ("concentration",)

    def __init__(self, concentration, validate_args=None):
        if concentration.dim() < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        Distribution.__init__(self, concentration.shape[:-1], concentration.shape[-1:], validate_args=validate_args)

    def rsample(self, sample_shape=()):
        """Samples with gradients (implicit reparameterisation)."""
        return sample_dirichlet(self.concentration.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value):
        """The logarithm of the density."""
        self._check(value)
        return (rl.xlogy(self.concentration - 1.0, value).sum(-1) + rl.lgamma(self.concentration.sum(-1))
                - rl.lgamma(self.concentration).sum(-1))

    @property
    def mean(self):
        """concentration divided by its sum."""
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def mode(self):
        """Where the density is largest: a corner where all concentrations are below 1."""
        above = (self.concentration - 1).clamp(min=0.0)
        mode = above / above.sum(-1, True)
        corner = (self.concentration < 1).all(dim=-1, keepdim=True)
        return rl.where(corner, one_hot(mode.argmax(dim=-1), above.shape[-1]).to(mode), mode)

    @property
    def variance(self):
        """The variance of each share."""
        total = self.concentration.sum(-1, True)
        return self.concentration * (total - self.concentration) / (total.pow(2) * (total + 1))

    def entropy(self):
        """The expectation of -log_prob."""
        k, total = self.concentration.size(-1), self.concentration.sum(-1)
        return (rl.lgamma(self.concentration).sum(-1) - rl.lgamma(total) - (k - total) * rl.digamma(total)
                - ((self.concentration - 1.0) * rl.digamma(self.concentration)).sum(-1))

    @property
    def _natural_params(self):
        return (self.concentration,)

    def _log_normalizer(self, x):
        return x.lgamma().sum(-1) - rl.lgamma(x.sum(-1))
