"""Divergences between normal distributions of vectors, entered into the table of kl.py."""
from .. import api as rl
from .kl import register_kl
from .lowrank_multivariate_normal import (
    LowRankMultivariateNormal, _batch_lowrank_logdet, _batch_lowrank_mahalanobis,
)
from .multivariate_normal import MultivariateNormal, _batch_mahalanobis, _half_log_det


def _log_det(d):
    """The logarithm of the covariance's determinant."""
    if isinstance(d, MultivariateNormal):
        return 2 * _half_log_det(d._unbroadcasted_scale_tril)
    return _batch_lowrank_logdet(*d._parts(), d._capacitance_tril)


def _distance(d, x):
    """The squared Mahalanobis distance of x from 0."""
    if isinstance(d, MultivariateNormal):
        return _batch_mahalanobis(d._unbroadcasted_scale_tril, x)
    return _batch_lowrank_mahalanobis(*d._parts(), x, d._capacitance_tril)


def _factors(d):
    """Matrices whose products with their transposes sum up to the covariance."""
    if isinstance(d, MultivariateNormal):
        return (d._unbroadcasted_scale_tril,)
    return d._unbroadcasted_cov_factor, rl.diag_embed(d._unbroadcasted_cov_diag.sqrt())


def _squares(matrix):
    return matrix.pow(2).sum((-2, -1))


def _trace(q, factor):
    """The trace of the inverse covariance of q times factor @ factor.T."""
    if isinstance(q, MultivariateNormal):
        return _squares(rl.linalg.solve_triangular(q._unbroadcasted_scale_tril, factor, upper=False))
    W, D = q._parts()
    A = rl.linalg.solve_triangular(q._capacitance_tril, W.mT / D.unsqueeze(-2), upper=False)
    return _squares(factor * D.rsqrt().unsqueeze(-1)) - _squares(A @ factor)


@register_kl(MultivariateNormal, MultivariateNormal)
@register_kl(MultivariateNormal, LowRankMultivariateNormal)
@register_kl(LowRankMultivariateNormal, MultivariateNormal)
@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _normal_vectors(p, q):
    if p.event_shape != q.event_shape:
        raise ValueError("KL-divergence between two (Low Rank) Multivariate Normals with different event shapes cannot "
                         "be computed")
    trace = sum(_trace(q, factor) for factor in _factors(p))
    return 0.5 * (_log_det(q) - _log_det(p) + trace + _distance(q, q.loc - p.loc) - p.event_shape[0])
