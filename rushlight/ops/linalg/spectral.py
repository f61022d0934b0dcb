"""Eigenvalues of symmetric matrices, singular values, and what they define: norms, rank, condition, pseudo-inverse.

The gradients of eigenvectors and singular vectors divide by the differences of eigenvalues (of squared singular
values): they are finite only where these differ, as PyTorch's are. Gradients of the values alone have no such limit.
Read next: `linalg_least` (least squares and the matrix exponential).
"""

import math

from ...base.lazy import numpy as np
from ...core import dtype as dt
from ...core import infer as rules
from ...core.declare import public
from ...core.grads import GradRule
from ...core.graph import MODE, without_grad
from ...core.return_types import named_result
from ...core.tensor import Tensor
from ..basic.arithmetic import where
from ..basic.binary import maximum
from ..basic.complex import conj, real, resolve_conj
from ..basic.creation import eye
from ..basic.pointwise import isfinite
from ..basic.shape import diag_embed
from ..reduce.statistics import vector_norm
from .linalg import COLUMNS, as_tensor, check_matrix, converged, finite_svd, host, inv_ex, solve_batch


def _gaps(values):
    """values[j] - values[i], 1 on the diagonal."""
    gaps = values.unsqueeze(-2) - values.unsqueeze(-1)
    return gaps + eye(values.shape[-1], dtype=values.dtype, device=values.device)


# -- symmetric eigenvalues -------------------------------------------------------------------------------------------


def _eigh_body(outs, ins, numbers, uplo):
    outs[0][...], outs[1][...] = np.linalg.eigh(ins[0], uplo)


def _eigh_grad(gs, out0, out1):
    gL, gV = gs
    inner = None if gV is None else (out1.mH @ gV) / _gaps(out0)
    if inner is None:
        return (out1 * gL.unsqueeze(-2)) @ out1.mH
    if gL is not None:
        inner = inner + diag_embed(gL)
    # the diagonal of V^T gV is the freedom of the length of V, which has no gradient
    diagonal = diag_embed((out1.mH @ gV).diagonal(0, -2, -1))
    return out1 @ (inner - diagonal) @ out1.mH


EIGH = host("linalg_eigh", _eigh_body, ("A",), {"A": _eigh_grad}, "LinalgEighBackward0", True)
EIGH_RESULT = named_result("linalg_eigh", "eigenvalues", "eigenvectors")


def _check_uplo(UPLO):
    if str(UPLO).upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return UPLO.upper()


@public("linalg.eigh", cast="float32")
def eigh(A, UPLO="L"):
    """Eigenvalues (ascending) and eigenvectors of symmetric matrices, of which one triangle is read."""
    check_matrix("linalg.eigh", A, True)
    uplo = _check_uplo(UPLO)
    shapes = ((A.shape[:-1], A.dtype.to_real()), (A.shape, A.dtype, COLUMNS))
    return EIGH_RESULT(*converged("linalg.eigh", EIGH, (A,), (A,), *shapes, uplo=uplo))


def _eigvalsh_grad(g, A, vectors, uplo):
    if MODE.grad:
        vectors = eigh(A, uplo)[1]
    return (vectors * g.unsqueeze(-2)) @ vectors.mH


EIGVALSH = GradRule("linalg_eigvalsh", ["A", "vectors", "uplo"], {"A": _eigvalsh_grad}, "LinalgEighBackward0",
                    True)


@public("linalg.eigvalsh", cast="float32")
def eigvalsh(A, UPLO="L"):
    """Eigenvalues of symmetric matrices, ascending."""
    values, vectors = without_grad(eigh, A, UPLO)
    if MODE.grad:
        EIGVALSH.attach((A, vectors, UPLO), [values])
    return values


# -- eigenvalues of any square matrix --------------------------------------------------------------------------------


def _eig_body(outs, ins, numbers):
    outs[0][...], outs[1][...] = np.linalg.eig(ins[0])


def _eig_grad(gs, out0, out1):
    """V^-H (diag(gL) + (V^H gV - V^H V diag(Re V^H gV)) / conj(differences)) V^H: eigenvectors have length 1."""
    gL, gV = gs
    inner = None
    if gV is not None:
        turn = out1.mH @ gV
        lengths = real(turn.diagonal(0, -2, -1)).unsqueeze(-2)
        inner = (turn - out1.mH @ (out1 * lengths)) / conj(_gaps(out0))
        inner = inner - diag_embed(inner.diagonal(0, -2, -1))
    if gL is not None:
        inner = diag_embed(gL) if inner is None else inner + diag_embed(gL)
    return solve_batch(resolve_conj(out1.mH), inner @ out1.mH)[0]


EIG = host("linalg_eig", _eig_body, ("A",), {"A": _eig_grad}, "LinalgEigBackward0", True)
EIG_RESULT = named_result("linalg_eig", "eigenvalues", "eigenvectors")


def _check_finite(name, A):
    if A.numel() and not bool(isfinite(A.detach()).all()):
        raise RuntimeError(f"{name}: input tensor should not contain infs or NaNs.")


@public("linalg.eig")
def eig(A):
    """Eigenvalues and eigenvectors (columns of length 1) of square matrices, both complex. The order is LAPACK's."""
    check_matrix("linalg.eig", A, True)
    _check_finite("torch.linalg.eig", A)
    dtype = A.dtype.to_complex()
    return EIG_RESULT(*converged("linalg.eig", EIG, (A,), (A,), (A.shape[:-1], dtype), (A.shape, dtype, COLUMNS)))


def _eigvals_grad(g, A, vectors):
    if MODE.grad:
        vectors = eig(A)[1]
    return solve_batch(resolve_conj(vectors.mH), g.unsqueeze(-1) * vectors.mH)[0]


EIGVALS = GradRule("linalg_eigvals", ["A", "vectors"], {"A": _eigvals_grad}, "LinalgEigBackward0", True)


@public("linalg.eigvals")
def eigvals(A):
    """The eigenvalues of square matrices, complex, in LAPACK's order."""
    values, vectors = without_grad(eig, A)
    if MODE.grad:
        EIGVALS.attach((A, vectors), [values])
    return values


# -- singular values -------------------------------------------------------------------------------------------------


def _svd_body(outs, ins, numbers, full):
    outs[0][...], outs[1][...], outs[2][...] = finite_svd(ins[0], full)


def _skew(X):
    return X - X.mH


def _svd_grad(gs, out0, out1, out2):
    gU, gS, gVh = gs
    U, S, Vh = out0, out1, out2
    m, n, k = U.shape[-2], Vh.shape[-1], S.shape[-1]
    U, Vh = U.narrow(-1, 0, k), Vh.narrow(-2, 0, k)
    gU = None if gU is None else gU.narrow(-1, 0, k)
    gVh = None if gVh is None else gVh.narrow(-2, 0, k)
    if gU is None and gVh is None:
        return (U * gS.unsqueeze(-2)) @ Vh
    gaps, inner = _gaps(S * S), 0
    if gU is not None:
        turn = _skew(U.mH @ gU)
        inner = inner + turn / gaps * S.unsqueeze(-2)
        if U._layout.dtype.is_complex:  # the phase that U and V share
            inner = inner + diag_embed(turn.diagonal(0, -2, -1) / (S * 2))
    if gVh is not None:
        inner = inner + S.unsqueeze(-1) * (_skew(Vh @ gVh.mH) / gaps)
    if gS is not None:
        inner = inner + diag_embed(gS)
    found = U @ inner @ Vh
    if gU is not None and m > k:
        found = found + ((gU - U @ (U.mH @ gU)) / S.unsqueeze(-2)) @ Vh
    if gVh is not None and n > k:
        found = found + U @ ((gVh - (gVh @ Vh.mH) @ Vh) / S.unsqueeze(-1))
    return found


SVD = host("linalg_svd", _svd_body, ("A",), {"A": _svd_grad}, "LinalgSvdBackward0", True)
SVD_RESULT = {"linalg_svd": named_result("linalg_svd", "U", "S", "Vh"), "svd": named_result("svd", "U", "S", "V")}


def _check_driver(name, driver):
    if driver is not None:
        raise RuntimeError(f"{name}: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER "
                           "backend.")


def _svd(A, full):
    check_matrix("linalg.svd", A)
    *lead, m, n = A.shape
    k = min(m, n)
    rows, columns = (m, n) if full else (k, k)
    shapes = (((*lead, m, rows), A.dtype, COLUMNS), ((*lead, k), A.dtype.to_real()),
              ((*lead, columns, n), A.dtype, COLUMNS))
    return converged("linalg.svd", SVD, (A,), (A,), *shapes, full=bool(full))


@public("linalg.svd", cast="float32")
def linalg_svd(A, full_matrices=True, *, driver=None):
    """U, S, Vh with A = U diag(S) Vh, singular values largest first."""
    _check_driver("torch.linalg.svd", driver)
    return SVD_RESULT["linalg_svd"](*_svd(A, full_matrices))


@public("svd", cast="float32")
def svd(input, some=True, compute_uv=True):
    """U, S, V with A = U diag(S) V^T; U and V square unless `some`, and zeros without `compute_uv`."""
    if not compute_uv:
        *lead, m, n = input.shape
        return SVD_RESULT["svd"](input.new_zeros((*lead, m, m)), svdvals(input), input.new_zeros((*lead, n, n)))
    U, S, Vh = _svd(input, not some)
    return SVD_RESULT["svd"](U, S, Vh.mH)


def _svdvals_grad(g, A, U, Vh):
    if MODE.grad:
        U, _, Vh = _svd(A, False)
    return (U * g.unsqueeze(-2)) @ Vh


SVDVALS = GradRule("linalg_svdvals", ["A", "U", "Vh"], {"A": _svdvals_grad}, "LinalgSvdBackward0", True)


@public("linalg.svdvals", cast="float32")
def svdvals(A, *, driver=None):
    """The singular values, largest first."""
    _check_driver("torch.linalg.svdvals", driver)
    U, S, Vh = without_grad(_svd, A, False)
    if MODE.grad:
        SVDVALS.attach((A, U, Vh), [S])
    return S


# -- rank and pseudo-inverse -----------------------------------------------------------------------------------------


def _cutoff(A, largest, atol, rtol):
    """max(atol, rtol * the largest singular value); without either, rtol is eps times the larger side."""
    if rtol is None:
        given = atol is not None and (isinstance(atol, Tensor) or atol > 0)
        rtol = as_tensor(dt.finfo(A.dtype).eps * max(A.shape[-2:]), largest)
        if isinstance(atol, Tensor):
            rtol = where(atol > 0, 0, rtol)
        elif given:
            rtol = as_tensor(0, largest)
    atol = as_tensor(0 if atol is None else atol, largest)
    return maximum(atol, as_tensor(rtol, largest) * largest)


def _largest(S):
    return S.amax(-1) if S.shape[-1] else S.new_zeros(S.shape[:-1])


@public("linalg.matrix_rank", cast="float32")
def matrix_rank(A, tol=None, hermitian=False, *, atol=None, rtol=None):
    """The number of singular values above the tolerance max(atol, rtol * the largest)."""
    check_matrix("torch.linalg.matrix_rank", A, hermitian)
    S = without_grad(lambda: eigvalsh(A).abs() if hermitian else svdvals(A))
    cutoff = _cutoff(A, _largest(S), tol if atol is None else atol, 0.0 if tol is not None else rtol)
    return (S > cutoff.unsqueeze(-1)).sum(-1)


def _pinv_grad(g, A, out):
    """The derivative of the Moore-Penrose inverse at constant rank (G. Golub and V. Pereyra, 1973)."""
    P, gt, Pt = out, g.mH, out.mH
    one, other = gt @ P @ Pt, Pt @ P @ gt
    return one - A @ (P @ one) + other - (other @ P) @ A - Pt @ g @ Pt


@public("", node="LinalgPinvBackward0", grad={"A": _pinv_grad}, out=False, conjugates=True)
def pinv_node(A, atol, rtol, hermitian):
    """The pseudo-inverse as one node."""
    if hermitian:
        S, U = eigh(A)
        size, Vh = S.abs(), U.mH
    else:
        U, S, Vh = _svd(A, False)
        size = S
    kept = size > _cutoff(A, _largest(size), atol, rtol).unsqueeze(-1)
    inverse = where(kept, 1 / S, 0)
    return (Vh.mH * inverse.unsqueeze(-2)) @ U.mH


@public("linalg.pinv", cast="result")
def pinv(A, rcond=None, hermitian=False, *, atol=None, rtol=None):
    """The Moore-Penrose inverse; singular values up to max(atol, rtol * the largest) count as zero."""
    check_matrix("linalg.pinv", A, hermitian)
    if not A.numel():
        return A.new_empty((*A.shape[:-2], A.shape[-1], A.shape[-2])) * A.sum()
    return pinv_node(A, atol, rcond if rtol is None else rtol, bool(hermitian))


@public("pinverse", out=False, cast="float32")
def pinverse(input, rcond=1e-15):
    """`linalg.pinv`."""
    return pinv(input, rcond)


# -- norms -----------------------------------------------------------------------------------------------------------


def _matrix_dims(name, A, dim):
    dims = tuple(dim)
    if len(dims) != 2:
        raise RuntimeError(f"{name}: dim must be a 2-tuple. Got {list(dims)}")
    row, column = (rules.wrap_dim(d, A.dim()) for d in dims)
    if row == column:
        raise RuntimeError(f"{name}: dims must be different. Got ({dims[0]}, {dims[1]})")
    return row, column


@public("linalg.matrix_norm")
def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None):
    """Norms of matrices in the dimensions `dim`: "fro", "nuc", inf, -inf, 1, -1, 2, -2."""
    name = "linalg.matrix_norm"
    if A.dim() < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    if A.dtype.category < dt.FLOATING and dtype is None:
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got "
                           f"{dt.scalar_type(A.dtype)}")
    row, column = _matrix_dims(name, A, dim)
    if ord == "fro":
        return vector_norm(A, 2, (row, column), keepdim, dtype=dtype)
    if isinstance(ord, str) and ord != "nuc" or not isinstance(ord, str) and abs(ord) not in (1, 2, math.inf):
        raise RuntimeError(f"{name}: Order {ord} not supported.")
    if dtype is not None:
        if dtype.category < dt.FLOATING:
            raise RuntimeError(f"{name}: dtype should be floating point or complex. Got {dt.scalar_type(dtype)}")
        A = A.to(dtype)
    if ord == "nuc" or abs(ord) == 2:
        values = svdvals(A.movedim((row, column), (-2, -1)))
        result = values.sum(-1) if ord == "nuc" else _largest(values) if ord == 2 else values.amin(-1)
        first, second = sorted((row, column))
        return result.unsqueeze(first).unsqueeze(second) if keepdim else result
    over, kept = (row, column) if abs(ord) == 1 else (column, row)
    sums = vector_norm(A, 1, over, True)
    if ord > 0 and not sums.shape[kept]:
        return sums.sum((row, column), keepdim)
    result = sums.amax(kept, keepdim=True) if ord > 0 else sums.amin(kept, keepdim=True)
    return result if keepdim else result.squeeze((row, column))


@public("linalg.norm")
def linalg_norm(A, ord=None, dim=None, keepdim=False, *, dtype=None):
    """A vector norm for one dimension or none, a matrix norm for two; without `ord` the root of the sum of squares."""
    dims = (dim,) if isinstance(dim, int) else dim
    if ord is None:
        return vector_norm(A, 2, dims, keepdim, dtype=dtype)
    if dims is not None and len(dims) not in (1, 2):
        raise RuntimeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dims)}")
    if dims is None and A.dim() not in (1, 2):
        raise RuntimeError("linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. "
                           f"Got {A.dim()}D.")
    if len(dims or range(A.dim())) == 2:
        return matrix_norm(A, ord, (0, 1) if dims is None else dims, keepdim, dtype=dtype)
    if isinstance(ord, str):
        raise RuntimeError(f"linalg.norm: If ord is {ord}, the input must be a matrix, or dim must have two "
                           "dimensions.")
    return vector_norm(A, ord, dims, keepdim, dtype=dtype)


@public("linalg.cond", cast="float32")
def cond(A, p=None):
    """The condition number in the norm `p`: the norm of the matrix times that of its inverse (inf for singular ones).
    """
    check_matrix("linalg.cond", A)
    if p is None or p in (2, -2):
        if not A.shape[-1] * A.shape[-2]:
            raise RuntimeError("linalg.cond: The input tensor A must not be empty")
        S = svdvals(A)
        first, last = S.select(-1, 0), S.select(-1, -1)
        return last / first if p == -2 else first / last
    if p not in ("fro", "nuc", 1, -1, math.inf, -math.inf):
        raise RuntimeError(f"linalg.cond got an invalid norm type: {p}")
    if A.shape[-1] != A.shape[-2]:
        raise RuntimeError(f"linalg.cond with {p} norm type: A must be batches of square matrices")
    if not A.numel():
        return A.new_zeros(A.shape[:-2])
    if p == "nuc":
        S = svdvals(A)
        return S.sum(-1) * S.reciprocal().sum(-1)
    inverse, info = inv_ex(A)
    found = matrix_norm(A, p) * matrix_norm(inverse, p)
    return where((info == 0) & ~found.isnan(), found, math.inf)
