"""The normal distribution of vectors."""
import math

from .. import api as rl
from . import constraints
from .distribution import Distribution
from .utils import _standard_normal, lazy_property

__all__ = ["MultivariateNormal"]


def _batch_mv(bmat, bvec):
    """Matrix times vector, over batches that broadcast."""
    return (bmat @ bvec.unsqueeze(-1)).squeeze(-1)


def _batch_mahalanobis(bL, bx):
    """x' (L L')^-1 x for vectors `bx` (..., n), whose batch is at least that of the factors `bL`.

    The vectors of one factor become columns of one right-hand side: batch dimensions of `bx` that `bL` lacks, or has
    with size 1, move behind the others.
    """
    n = bx.size(-1)
    outer = bx.dim() - bL.dim() + 1
    split = list(bx.shape[:outer])
    for own, all_ in zip(bL.shape[:-2], bx.shape[outer:-1]):
        split += [all_ // own, own]
    pairs = bL.dim() - 2
    repeated = [*range(outer), *range(outer, outer + 2 * pairs, 2)]
    matched = [*range(outer + 1, outer + 2 * pairs, 2)]
    parts = bx.reshape(split + [n]).permute(repeated + matched + [outer + 2 * pairs])
    flat_L = bL.reshape(-1, n, n)
    columns = parts.reshape(-1, flat_L.size(0), n).permute(1, 2, 0)
    distance = rl.linalg.solve_triangular(flat_L, columns, upper=False).pow(2).sum(-2).t()
    back = [*range(outer)]
    for i in range(pairs):
        back += [outer + i, outer + pairs + i]
    return distance.reshape(parts.shape[:-1]).permute(back).reshape(bx.shape[:-1])


def _precision_to_scale_tril(P):
    """The lower triangular L with (L L')^-1 = P: the inverse of the factor of P reversed in both directions."""
    reversed_factor = rl.linalg.cholesky(rl.flip(P, (-2, -1)))
    inverse = rl.flip(reversed_factor, (-2, -1)).mT
    return rl.linalg.solve_triangular(inverse, rl.eye(P.shape[-1], dtype=P.dtype, device=P.device), upper=False)


def _half_log_det(tril):
    return tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)


class MultivariateNormal(Distribution):
    """Normal vectors (..., D). Exactly one of the three matrices (..., D, D) is given.

    Args:
        loc: the mean.
        covariance_matrix: the covariance.
        precision_matrix: its inverse.
        scale_tril: its Cholesky factor, which is what computes.
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True
    _parameters = ("loc", "covariance_matrix", "precision_matrix", "scale_tril")

    def __init__(self, loc, covariance_matrix=None, precision_matrix=None, scale_tril=None, validate_args=None):
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        given = {name: matrix for name, matrix in (("scale_tril", scale_tril), ("covariance_matrix", covariance_matrix),
                                                   ("precision_matrix", precision_matrix)) if matrix is not None}
        if len(given) != 1:
            raise ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        (name, matrix), = given.items()
        if matrix.dim() < 2:
            raise ValueError(f"{name}{' matrix' if name == 'scale_tril' else ''} must be at least two-dimensional, "
                             "with optional leading batch dimensions")
        batch_shape = rl.Size(rl.broadcast_shapes(matrix.shape[:-2], loc.shape[:-1]))
        setattr(self, name, matrix.expand(batch_shape + (-1, -1)))
        self.loc = loc.expand(batch_shape + (-1,))
        Distribution.__init__(self, batch_shape, self.loc.shape[-1:], validate_args=validate_args)
        factor = dict(scale_tril=lambda m: m, covariance_matrix=rl.linalg.cholesky,
                      precision_matrix=_precision_to_scale_tril)[name]
        self._unbroadcasted_scale_tril = factor(matrix)

    def _wide(self, matrix):
        return matrix.expand(self._batch_shape + self._event_shape + self._event_shape)

    @lazy_property
    def scale_tril(self):
        """The Cholesky factor of the covariance."""
        return self._wide(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self):
        """The covariance."""
        return self._wide(self._unbroadcasted_scale_tril @ self._unbroadcasted_scale_tril.mT)

    @lazy_property
    def precision_matrix(self):
        """The inverse of the covariance."""
        return self._wide(rl.cholesky_inverse(self._unbroadcasted_scale_tril))

    @property
    def mean(self):
        """loc."""
        return self.loc

    @property
    def mode(self):
        """loc."""
        return self.loc

    @property
    def variance(self):
        """The diagonal of the covariance."""
        return self._unbroadcasted_scale_tril.pow(2).sum(-1).expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape=rl.Size()):
        """Samples with gradients."""
        normal = _standard_normal(self._extended_shape(sample_shape), self.loc.dtype, self.loc.device)
        return self.loc + _batch_mv(self._unbroadcasted_scale_tril, normal)

    def log_prob(self, value):
        """The logarithm of the density."""
        self._check(value)
        distance = _batch_mahalanobis(self._unbroadcasted_scale_tril, value - self.loc)
        size = self._event_shape[0]
        return -0.5 * (size * math.log(2 * math.pi) + distance) - _half_log_det(self._unbroadcasted_scale_tril)

    def entropy(self):
        """The expectation of -log_prob."""
        constant = 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi))
        return (constant + _half_log_det(self._unbroadcasted_scale_tril)).expand(self._batch_shape)
