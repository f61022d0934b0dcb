"""Transforms of whole vectors and matrices, and of parts of tensors."""
import math

from .. import api as rl
from ..nn import functional as F
from . import constraints
from ._transform_base import Transform, _clipped_sigmoid, _Simple
from .utils import _sum_rightmost, lazy_property, tril_matrix_to_vec, vec_to_tril_matrix


def _need(shape, dims):
    """ValueError for a shape of fewer dimensions."""
    if len(shape) < dims:
        raise ValueError("Too few dimensions on input")


class ReshapeTransform(Transform):
    """The last dimensions, of shape `in_shape`, reshaped to `out_shape`."""

    bijective = True

    def __init__(self, in_shape, out_shape, cache_size=0):
        self.in_shape, self.out_shape = rl.Size(in_shape), rl.Size(out_shape)
        if self.in_shape.numel() != self.out_shape.numel():
            raise ValueError("in_shape, out_shape have different numbers of elements")
        super().__init__(cache_size)

    def _arguments(self):
        return self.in_shape, self.out_shape

    @constraints.dependent_property
    def domain(self):
        """All real numbers."""
        return constraints.independent(constraints.real, len(self.in_shape))

    @constraints.dependent_property
    def codomain(self):
        """All real numbers."""
        return constraints.independent(constraints.real, len(self.out_shape))

    def _call(self, x):
        return x.reshape(x.shape[:x.dim() - len(self.in_shape)] + self.out_shape)

    def _inverse(self, y):
        return y.reshape(y.shape[:y.dim() - len(self.out_shape)] + self.in_shape)

    def log_abs_det_jacobian(self, x, y):
        """0."""
        return x.new_zeros(x.shape[:x.dim() - len(self.in_shape)])

    def forward_shape(self, shape):
        """With `in_shape` at the end replaced by `out_shape`."""
        return _replaced(shape, self.in_shape, self.out_shape)

    def inverse_shape(self, shape):
        """With `out_shape` at the end replaced by `in_shape`."""
        return _replaced(shape, self.out_shape, self.in_shape)


def _replaced(shape, old, new):
    _need(shape, len(old))
    cut = len(shape) - len(old)
    if shape[cut:] != old:
        raise ValueError(f"Shape mismatch: expected {shape[cut:]} but got {old}")
    return shape[:cut] + new


class CorrCholeskyTransform(Transform):
    """A vector of D * (D - 1) / 2 real numbers to the Cholesky factor of a D x D correlation matrix: tanh, then rows of
    norm 1 by breaking sticks."""

    domain, codomain = constraints.real_vector, constraints.corr_cholesky
    bijective = True

    def _call(self, x):
        eps = rl.finfo(x.dtype).eps
        below = vec_to_tril_matrix(rl.tanh(x).clamp(min=-1 + eps, max=1 - eps), diag=-1)
        left = (1 - below**2).sqrt().cumprod(-1)
        factor = below + rl.eye(below.shape[-1], dtype=below.dtype, device=below.device)
        return factor * F.pad(left[..., :-1], [1, 0], value=1)

    def _inverse(self, y):
        left = F.pad((1 - rl.cumsum(y * y, dim=-1))[..., :-1], [1, 0], value=1)
        t = tril_matrix_to_vec(y, diag=-1) / tril_matrix_to_vec(left, diag=-1).sqrt()
        return (t.log1p() - t.neg().log1p()) / 2

    def log_abs_det_jacobian(self, x, y, intermediates=None):
        """Of x and the numbers below the diagonal of y."""
        left = tril_matrix_to_vec(1 - (y * y).cumsum(dim=-1), diag=-2)
        tanh = -2 * (x + F.softplus(-2 * x) - math.log(2.0)).sum(dim=-1)
        return 0.5 * left.log().sum(-1) + tanh

    def forward_shape(self, shape):
        """(..., N) to (..., D, D)."""
        _need(shape, 1)
        count = shape[-1]
        size = round((0.25 + 2 * count) ** 0.5 + 0.5)
        if size * (size - 1) // 2 != count:
            raise ValueError("Input is not a flattened lower-diagonal number")
        return shape[:-1] + (size, size)

    def inverse_shape(self, shape):
        """(..., D, D) to (..., N)."""
        _need(shape, 2)
        if shape[-2] != shape[-1]:
            raise ValueError("Input is not square")
        return shape[:-2] + (shape[-1] * (shape[-1] - 1) // 2,)


class SoftmaxTransform(_Simple):
    """y = softmax(x); not a bijection, its inverse is log."""

    domain, codomain = constraints.real_vector, constraints.simplex
    bijective = False

    def _call(self, x):
        weights = (x - x.max(-1, True)[0]).exp()
        return weights / weights.sum(-1, True)

    def _inverse(self, y):
        return y.log()

    def forward_shape(self, shape):
        """The same. ValueError for a number."""
        _need(shape, 1)
        return shape

    inverse_shape = forward_shape


class StickBreakingTransform(_Simple):
    """A vector of D numbers to a point of the simplex of D + 1: each number is the share broken off the rest."""

    domain, codomain = constraints.real_vector, constraints.simplex

    def _offset(self, x):
        return x.shape[-1] + 1 - x.new_ones(x.shape[-1]).cumsum(-1)

    def _call(self, x):
        shares = _clipped_sigmoid(x - self._offset(x).log())
        left = (1 - shares).cumprod(-1)
        return F.pad(shares, [0, 1], value=1) * F.pad(left, [1, 0], value=1)

    def _inverse(self, y):
        cropped = y[..., :-1]
        left = (1 - cropped.cumsum(-1)).clamp(min=rl.finfo(y.dtype).tiny)
        return cropped.log() - left.log() + self._offset(cropped).log()

    def log_abs_det_jacobian(self, x, y):
        """Of x and y without its last number."""
        x = x - self._offset(x).log()
        return (-x + F.logsigmoid(x) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape):
        """One number more."""
        _need(shape, 1)
        return shape[:-1] + (shape[-1] + 1,)

    def inverse_shape(self, shape):
        """One number less."""
        _need(shape, 1)
        return shape[:-1] + (shape[-1] - 1,)


class LowerCholeskyTransform(_Simple):
    """A square matrix to a lower triangular one whose diagonal is the exponential of the matrix's."""

    domain, codomain = constraints.independent(constraints.real, 2), constraints.lower_cholesky
    bijective = False

    def _call(self, x):
        return x.tril(-1) + x.diagonal(dim1=-2, dim2=-1).exp().diag_embed()

    def _inverse(self, y):
        return y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().diag_embed()


class PositiveDefiniteTransform(_Simple):
    """A square matrix to a positive definite one, by way of its Cholesky factor."""

    domain, codomain = constraints.independent(constraints.real, 2), constraints.positive_definite
    bijective = False

    def _call(self, x):
        factor = LowerCholeskyTransform()(x)
        return factor @ factor.mT

    def _inverse(self, y):
        return LowerCholeskyTransform().inv(rl.linalg.cholesky(y))


class _Parts(Transform):
    """Transforms of parts of a tensor along a dimension. Subclasses split and join."""

    def _set(self, tseq, dim, cache_size):
        if not all(isinstance(t, Transform) for t in tseq):
            raise AssertionError("All elements of tseq must be Transform instances")
        Transform.__init__(self, cache_size)
        self.transforms = [t.with_cache(cache_size) for t in tseq] if cache_size else list(tseq)
        self.dim = dim

    def _split(self, x, size):
        if not -x.dim() <= self.dim < x.dim():
            raise AssertionError(f"dim {self.dim} out of range for tensor with {x.dim()} dimensions")
        if x.size(self.dim) != size:
            raise AssertionError(f"x.size({self.dim}) = {x.size(self.dim)} must equal {size}")

    @property
    def bijective(self):
        """Whether all parts are."""
        return all(t.bijective for t in self.transforms)


class CatTransform(_Parts):
    """Transforms of parts of the given lengths, one behind the other along `dim`."""

    def __init__(self, tseq, dim=0, lengths=None, cache_size=0):
        self._set(tseq, dim, cache_size)
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)
        if len(self.lengths) != len(self.transforms):
            raise AssertionError(f"lengths ({len(self.lengths)}) must match transforms ({len(self.transforms)})")

    def _arguments(self):
        return self.transforms, self.dim, self.lengths

    @lazy_property
    def event_dim(self):
        """The most of the parts."""
        return max(t.event_dim for t in self.transforms)

    @lazy_property
    def length(self):
        """The sum of the lengths."""
        return sum(self.lengths)

    def _split(self, x):
        super()._split(x, self.length)
        return x.split(self.lengths, self.dim)

    def _call(self, x):
        return rl.cat([t(part) for t, part in zip(self.transforms, self._split(x))], self.dim)

    def _inverse(self, y):
        return rl.cat([t.inv(part) for t, part in zip(self.transforms, self._split(y))], self.dim)

    def log_abs_det_jacobian(self, x, y):
        """Those of the parts side by side, or their sum where the dimension belongs to the event."""
        terms = [_sum_rightmost(t.log_abs_det_jacobian(a, b), self.event_dim - t.event_dim)
                 for t, a, b in zip(self.transforms, self._split(x), self._split(y))]
        dim = (self.dim - x.dim() if self.dim >= 0 else self.dim) + self.event_dim
        return rl.cat(terms, dim=dim) if dim < 0 else sum(terms)

    @constraints.dependent_property
    def domain(self):
        """Those of the parts."""
        return constraints.cat([t.domain for t in self.transforms], self.dim, self.lengths)

    @constraints.dependent_property
    def codomain(self):
        """Those of the parts."""
        return constraints.cat([t.codomain for t in self.transforms], self.dim, self.lengths)


class StackTransform(_Parts):
    """A transform for each position of `dim`."""

    def __init__(self, tseq, dim=0, cache_size=0):
        self._set(tseq, dim, cache_size)

    def _arguments(self):
        return self.transforms, self.dim

    def _split(self, x):
        super()._split(x, len(self.transforms))
        return x.unbind(self.dim)

    def _call(self, x):
        return rl.stack([t(part) for t, part in zip(self.transforms, self._split(x))], self.dim)

    def _inverse(self, y):
        return rl.stack([t.inv(part) for t, part in zip(self.transforms, self._split(y))], self.dim)

    def log_abs_det_jacobian(self, x, y):
        """Those of the parts, stacked."""
        parts = zip(self.transforms, self._split(x), self._split(y))
        return rl.stack([t.log_abs_det_jacobian(a, b) for t, a, b in parts], self.dim)

    @constraints.dependent_property
    def domain(self):
        """Those of the parts."""
        return constraints.stack([t.domain for t in self.transforms], self.dim)

    @constraints.dependent_property
    def codomain(self):
        """Those of the parts."""
        return constraints.stack([t.codomain for t in self.transforms], self.dim)
