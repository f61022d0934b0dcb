"""The Wishart distribution: a random covariance matrix."""
import math
import warnings

from .. import api as rl
from . import constraints
from .chi2 import Chi2
from .distribution import Distribution
from .exp_family import ExponentialFamily
from .multivariate_normal import _half_log_det, _precision_to_scale_tril
from .utils import Number, lazy_property

__all__ = ["Wishart"]

LOG_2 = math.log(2)


def _mvdigamma(x, p):
    """The derivative of `mvlgamma`."""
    assert x.gt((p - 1) / 2).all(), "Wrong domain for multivariate digamma function."
    steps = rl.arange(p, dtype=x.dtype, device=x.device).div(2)
    return rl.digamma(x.unsqueeze(-1) - steps.expand(x.shape + (-1,))).sum(-1)


class Wishart(ExponentialFamily):
    """The sum of `df` outer products of normal vectors with a covariance; also for numbers that are not whole.

    Args:
        df: degrees of freedom, larger than D - 1.
        covariance_matrix: the covariance (..., D, D), or precision_matrix: its inverse, or scale_tril: its Cholesky
        factor.
    """

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0
    _parameters = ("df", "covariance_matrix", "precision_matrix", "scale_tril", "_unbroadcasted_scale_tril",
                   "_dist_chi2")

    def __init__(self, df, covariance_matrix=None, precision_matrix=None, scale_tril=None, validate_args=None):
        given = {name: matrix for name, matrix in (("scale_tril", scale_tril), ("covariance_matrix", covariance_matrix),
                                                   ("precision_matrix", precision_matrix)) if matrix is not None}
        if len(given) != 1:
            raise AssertionError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        (name, matrix), = given.items()
        if matrix.dim() < 2:
            raise ValueError("scale_tril must be at least two-dimensional, with optional leading batch dimensions")
        if isinstance(df, Number):
            batch_shape = rl.Size(matrix.shape[:-2])
            self.df = rl.tensor(df, dtype=matrix.dtype, device=matrix.device)
        else:
            batch_shape = rl.Size(rl.broadcast_shapes(matrix.shape[:-2], df.shape))
            self.df = df.expand(batch_shape)
        size = matrix.shape[-1]
        if self.df.le(size - 1).any():
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {size - 1}.")
        setattr(self, name, matrix.expand(batch_shape + (-1, -1)))
        if self.df.lt(size).any():
            warnings.warn("Low df values detected. Singular samples are highly likely to occur for ndim - 1 < df < "
                          "ndim.", stacklevel=2)
        Distribution.__init__(self, batch_shape, matrix.shape[-2:], validate_args=validate_args)
        factor = dict(scale_tril=lambda m: m, covariance_matrix=rl.linalg.cholesky,
                      precision_matrix=_precision_to_scale_tril)[name]
        self._unbroadcasted_scale_tril = factor(matrix).expand(batch_shape + (-1, -1))
        steps = rl.arange(size, dtype=matrix.dtype, device=matrix.device).expand(batch_shape + (-1,))
        self._dist_chi2 = Chi2(df=self.df.unsqueeze(-1) - steps)

    def _expanded(self, value, batch_shape):
        """df may be a single number for the whole batch."""
        if value is self.df:
            return value.expand(batch_shape)
        return super()._expanded(value, batch_shape)

    @property
    def arg_constraints(self):
        """Of the matrices, and of df by the size of the matrices."""
        return {"covariance_matrix": constraints.positive_definite, "precision_matrix": constraints.positive_definite,
                "scale_tril": constraints.lower_cholesky, "df": constraints.greater_than(self.event_shape[-1] - 1)}

    @lazy_property
    def scale_tril(self):
        """The Cholesky factor of the covariance."""
        return self._unbroadcasted_scale_tril

    @lazy_property
    def covariance_matrix(self):
        """The covariance."""
        return self._unbroadcasted_scale_tril @ self._unbroadcasted_scale_tril.mT

    @lazy_property
    def precision_matrix(self):
        """The inverse of the covariance."""
        factor = self._unbroadcasted_scale_tril
        identity = rl.eye(self._event_shape[-1], dtype=factor.dtype, device=factor.device)
        return rl.cholesky_solve(identity, factor).expand(self._batch_shape + self._event_shape)

    def _matrix_df(self):
        return self.df.expand(self._batch_shape).reshape(self._batch_shape + (1, 1))

    @property
    def mean(self):
        """df * covariance_matrix."""
        return self._matrix_df() * self.covariance_matrix

    @property
    def mode(self):
        """(df - D - 1) * covariance_matrix, not a number where the factor is not positive."""
        factor = self._matrix_df() - self._event_shape[-1] - 1
        return rl.where(factor <= 0, rl.nan, factor) * self.covariance_matrix

    @property
    def variance(self):
        """The variance of each element."""
        covariance = self.covariance_matrix
        diagonal = covariance.diagonal(dim1=-2, dim2=-1)
        return self._matrix_df() * (covariance.pow(2) + diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2))

    def _bartlett_sampling(self, sample_shape=rl.Size()):
        """Samples from a triangle of independent numbers: roots of chi-squared ones on the diagonal, normal below."""
        size = self._event_shape[-1]
        roots = self._dist_chi2.rsample(sample_shape).sqrt()
        noise = roots.clamp(min=rl.finfo(roots.dtype).eps).diag_embed(dim1=-2, dim2=-1)
        i, j = rl.tril_indices(size, size, offset=-1)
        shape = rl.Size(sample_shape) + self._batch_shape + (size * (size - 1) // 2,)
        noise[..., i, j] = rl.randn(shape, dtype=noise.dtype, device=noise.device)
        factor = self._unbroadcasted_scale_tril @ noise
        return factor @ factor.mT

    def rsample(self, sample_shape=rl.Size(), max_try_correction=None):
        """Samples with gradients. Those that rounding has made singular are drawn again, `max_try_correction` times (10
        by default); then they stay."""
        sample_shape = rl.Size(sample_shape)
        shape, count = self._extended_shape(sample_shape), rl.Size((sample_shape.numel(),))
        with rl.no_grad():
            self._bartlett_sampling(sample_shape)  # PyTorch keeps the second draw, which decides the numbers of a seed
        sample = self._bartlett_sampling(count).reshape(shape)
        for _ in range(10 if max_try_correction is None else max_try_correction):
            singular = ~self.support.check(sample)
            if not singular.any():
                break
            warnings.warn("Singular sample detected.", stacklevel=2)
            sample = rl.where(singular[..., None, None], self._bartlett_sampling(sample_shape), sample)
        return sample

    def log_prob(self, value):
        """The logarithm of the density."""
        self._check(value)
        nu, p, factor = self.df, self._event_shape[-1], self._unbroadcasted_scale_tril
        trace = rl.cholesky_solve(value, factor).diagonal(dim1=-2, dim2=-1).sum(dim=-1)
        return (-nu * (p * LOG_2 / 2 + _half_log_det(factor)) - rl.mvlgamma(nu / 2, p=p)
                + (nu - p - 1) / 2 * rl.linalg.slogdet(value).logabsdet - trace / 2)

    def entropy(self):
        """The expectation of -log_prob."""
        nu, p = self.df, self._event_shape[-1]
        return ((p + 1) * (p * LOG_2 / 2 + _half_log_det(self._unbroadcasted_scale_tril)) + rl.mvlgamma(nu / 2, p=p)
                - (nu - p - 1) / 2 * _mvdigamma(nu / 2, p=p) + nu * p / 2)

    @property
    def _natural_params(self):
        return -self.precision_matrix / 2, (self.df - self._event_shape[-1] - 1) / 2

    def _log_normalizer(self, x, y):
        p = self._event_shape[-1]
        half = y + (p + 1) / 2
        return half * (-rl.linalg.slogdet(-2 * x).logabsdet + LOG_2 * p) + rl.mvlgamma(half, p=p)
