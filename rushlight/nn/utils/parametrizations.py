"""The parametrizations that come with the package: constrained weights."""
from enum import Enum, auto

from ... import api as rl
from .. import functional as F
from ..modules.conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ..modules.module import Module
from . import parametrize
from .weight_norm import norm_except_dim, weight_from

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def _is_orthogonal(Q, eps=None):
    """Whether Q^H Q is the identity, up to 10 n eps."""
    size = Q.size(-1)
    identity = rl.eye(size, dtype=Q.dtype, device=Q.device)
    if eps is None:
        eps = 10.0 * size * rl.finfo(Q.dtype).eps
    return bool(rl.allclose(Q.mH @ Q, identity, atol=eps))


def _make_orthogonal(A):
    """The Q of the QR decomposition, with the signs for which R has a positive diagonal."""
    reflectors, tau = rl.geqrf(A)
    return rl.linalg.householder_product(reflectors, tau) * reflectors.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


class _OrthMaps(Enum):
    """Maps from skew-symmetric (or triangular) matrices onto orthogonal ones."""

    matrix_exp = auto()
    cayley = auto()
    householder = auto()


class _Orthogonal(Module):
    """A matrix with orthonormal columns (or rows, if it is wide) from an unconstrained one.

    `use_trivialization`: the map is taken around the present matrix, the buffer `base`, which makes every matrix
    reachable and assignment possible. Source: Lezcano Casado, arXiv 1909.09501.
    """

    def __init__(self, weight, orthogonal_map, *, use_trivialization=True):
        super().__init__()
        if weight.is_complex() and orthogonal_map == _OrthMaps.householder:
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X):
        rows, columns = X.size(-2), X.size(-1)
        wide = rows < columns
        if wide:
            X = X.mT
            rows, columns = columns, rows
        if self.orthogonal_map == _OrthMaps.householder:
            A = X.tril(diagonal=-1)
            tau = 2.0 / (1.0 + (A * A).sum(dim=-2))
            Q = rl.linalg.householder_product(A, tau)
            Q = Q * X.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)  # the diagonal holds the signs
        else:
            Q = self._from_skew(X, rows, columns)
        base = getattr(self, "base", None)
        if base is not None:
            Q = base @ Q
        return Q.mT if wide else Q

    def _from_skew(self, X, rows, columns):
        """The orthogonal matrix that the lower triangle of X stands for."""
        lower = X.tril()
        if rows != columns:
            empty = X.new_zeros(rows, rows - columns).expand(*X.shape[:-2], -1, -1)
            lower = rl.cat([lower, empty], dim=-1)
        skew = lower - lower.mH
        if self.orthogonal_map == _OrthMaps.matrix_exp:
            Q = rl.matrix_exp(skew)
        else:
            identity = rl.eye(rows, dtype=skew.dtype, device=skew.device)
            Q = rl.linalg.solve(rl.add(identity, skew, alpha=-0.5), rl.add(identity, skew, alpha=0.5))
        return Q if rows == columns else Q[..., :columns]

    def right_inverse(self, Q):
        """The matrix that is mapped to Q; raises ValueError for another shape, NotImplementedError where there is
        none.
        """
        if Q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {Q.shape}."
            )
        original = Q
        rows, columns = Q.size(-2), Q.size(-1)
        wide = rows < columns
        if wide:
            Q = Q.mT
            rows, columns = columns, rows
        if not hasattr(self, "base"):
            if self.orthogonal_map in (_OrthMaps.cayley, _OrthMaps.matrix_exp):
                raise NotImplementedError(
                    "It is not possible to assign to the matrix exponential or the Cayley parametrizations when "
                    "use_trivialization=False."
                )
            # Householder reflections hold Q in their lower triangle, and its signs on the diagonal.
            A, tau = rl.geqrf(Q)
            A = A.clone()
            signs = rl.where(tau == 0, -1.0, 1.0).to(A.dtype) * A.diagonal(dim1=-2, dim2=-1).sign()
            A.diagonal(dim1=-2, dim2=-1).copy_(signs)
            return A.mT if wide else A
        # Complete Q to a square orthogonal matrix and take the map around that; the free matrix becomes minus identity.
        if rows == columns:
            self.base = Q.clone() if _is_orthogonal(Q) else _make_orthogonal(Q)
        else:
            more = rl.randn(*Q.size()[:-2], rows, rows - columns, dtype=Q.dtype, device=Q.device)
            self.base = _make_orthogonal(rl.cat([Q, more], dim=-1))
        negative = rl.zeros_like(original)
        negative.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        return negative


def orthogonal(module, name="weight", orthogonal_map=None, *, use_trivialization=True):
    """Make a weight a matrix with orthonormal columns (or rows, if it is wide); returns the module.

    Args: `name`; `orthogonal_map`, "matrix_exp", "cayley" or "householder" (for wide and tall matrices, as it is
    cheaper there; else "matrix_exp"); `use_trivialization`, whether assignment to the weight is possible. Raises
    ValueError.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, rl.Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.ndim < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions.")
    if orthogonal_map is None:
        square = weight.size(-2) == weight.size(-1)
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    chosen = getattr(_OrthMaps, orthogonal_map, None)
    if chosen is None:
        raise ValueError(
            f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}'
        )
    constraint = _Orthogonal(weight, chosen, use_trivialization=use_trivialization)
    parametrize.register_parametrization(module, name, constraint, unsafe=True)
    return module


class _WeightNorm(Module):
    """g v / |v| from g (original0) and v (original1)."""

    def __init__(self, dim=0):
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g, weight_v):
        return weight_from(weight_v, weight_g, self.dim)

    def right_inverse(self, weight):
        """Length and direction of a weight."""
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module, name="weight", dim=0):
    """Make length and direction of a weight the parameters; returns the module.

    `dim` is the dimension that keeps lengths of its own, None for a single length. States of the older
    `nn.utils.weight_norm` can be loaded. Source: Salimans and Kingma, arXiv 1602.07868.
    """
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def rename(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs):
        old = f"{prefix}{name}_g", f"{prefix}{name}_v"
        if all(key in state_dict for key in old):
            for place, key in enumerate(old):
                state_dict[f"{prefix}parametrizations.{name}.original{place}"] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(rename)
    return module


class _SpectralNorm(Module):
    """A weight divided by its largest singular value, which is estimated by power iteration in training mode."""

    def __init__(self, weight, n_power_iterations=1, dim=0, eps=1e-12):
        super().__init__()
        if dim >= weight.ndim or dim < -weight.ndim:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [-{weight.ndim}, {weight.ndim - 1}] but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.dim = dim if dim >= 0 else dim + weight.ndim
        self.eps = eps
        if weight.ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = self._reshape_weight_to_matrix(weight)
            height, width = matrix.size()
            u = matrix.new_empty(height).normal_(0, 1)
            v = matrix.new_empty(width).normal_(0, 1)
            self.register_buffer("_u", F.normalize(u, dim=0, eps=eps))
            self.register_buffer("_v", F.normalize(v, dim=0, eps=eps))
            self._power_method(matrix, 15)  # a good start, so that evaluation mode makes sense at once

    def _reshape_weight_to_matrix(self, weight):
        if self.dim != 0:
            weight = weight.permute(self.dim, *(d for d in range(weight.dim()) if d != self.dim))
        return weight.flatten(1)

    def _power_method(self, weight_mat, n_power_iterations):
        """Make u and v better, in place: modules replicated over devices share them."""
        with rl.no_grad():
            for _ in range(n_power_iterations):
                self._u.copy_(F.normalize(rl.mv(weight_mat, self._v), dim=0, eps=self.eps))
                self._v.copy_(F.normalize(rl.mv(weight_mat.H, self._u), dim=0, eps=self.eps))

    def forward(self, weight):
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._reshape_weight_to_matrix(weight)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        # Copies, because backward needs these values and the next call changes u and v.
        u = self._u.clone()
        v = self._v.clone()
        return weight / rl.vdot(u, rl.mv(matrix, v))

    def right_inverse(self, value):
        """The value itself, which is taken to be normalized."""
        return value


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None):
    """Divide a weight by its largest singular value; returns the module.

    Args: `n_power_iterations` for the estimate, at every use in training mode; `eps`, added to norms; `dim` of the
    outputs, 0, but 1 for transposed convolutions. Source: Miyato and others, arXiv 1802.05957. Raises ValueError.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, rl.Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if dim is None:
        dim = 1 if isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)) else 0
    parametrize.register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
    return module
