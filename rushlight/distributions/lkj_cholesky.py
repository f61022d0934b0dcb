"""The LKJ distribution of correlation matrices, as Cholesky factors."""
import math

from .. import api as rl
from . import constraints
from .beta import Beta
from .distribution import Distribution
from .utils import broadcast_all

__all__ = ["LKJCholesky"]


class LKJCholesky(Distribution):
    """The Cholesky factor of a `dim` x `dim` correlation matrix with a density proportional to its determinant **
    (concentration - 1) (Lewandowski, Kurowicka and Joe, 2009). Sampled by the onion method."""

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky
    _parameters = ("concentration", "_beta")

    def __init__(self, dim, concentration=1.0, validate_args=None):
        if dim < 2:
            raise ValueError(f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}.")
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        offset = rl.arange(dim - 1, dtype=self.concentration.dtype, device=self.concentration.device)
        offset = rl.cat([offset.new_zeros((1,)), offset])
        marginal = self.concentration + 0.5 * (dim - 2)
        self._beta = Beta(offset + 0.5, marginal.unsqueeze(-1) - 0.5 * offset)
        Distribution.__init__(self, self.concentration.size(), (dim, dim), validate_args)

    def sample(self, sample_shape=rl.Size()):
        """Cholesky factors: each row a direction below the diagonal, of a length from a beta distribution."""
        y = self._beta.sample(sample_shape).unsqueeze(-1)
        normal = rl.randn(self._extended_shape(sample_shape), dtype=y.dtype, device=y.device).tril(-1)
        direction = normal / normal.norm(dim=-1, keepdim=True)
        direction[..., 0, :].fill_(0.0)
        factor = rl.sqrt(y) * direction
        left = (1 - (factor**2).sum(dim=-1)).clamp(min=rl.finfo(factor.dtype).tiny)
        return factor + rl.diag_embed(left.sqrt())

    def log_prob(self, value):
        """The logarithm of the density."""
        self._check(value)
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        order = rl.arange(2, self.dim + 1, device=self.concentration.device)
        order = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - order
        below = self.dim - 1
        alpha = self.concentration + 0.5 * below
        norm = 0.5 * below * math.log(math.pi) + rl.mvlgamma(alpha - 0.5, below) - rl.lgamma(alpha) * below
        return (order * diagonal.log()).sum(dim=-1) - norm
