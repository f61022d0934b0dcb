"""Least squares, the matrix exponential, and factorisations of low rank from random projections.

Least squares: the gradient of the solution is that of the pseudo-inverse times B. The exponential's is a block of the
exponential of a larger matrix (C. Van Loan, Computing integrals involving the matrix exponential, 1978). Low rank:
N. Halko, P. Martinsson and J. Tropp, Finding structure with randomness (2011), algorithms 4.4 and 5.1.
"""

from ...base.lazy import numpy as np
from ...base.optional import optional
from ...core import dtype as dt
from ...core import infer as rules
from ...core.declare import REGISTRY, public
from ...core.return_types import named_result
from ..basic.complex import abs_square
from ..basic.pointwise import need_tensor
from ..random.random import randn
from .factor import linalg_qr
from .linalg import COLUMNS, check_matrix, check_same_dtype, converged, host, is_vector
from .spectral import linalg_svd, pinv

# -- least squares ---------------------------------------------------------------------------------------------------


def _least_norm(A, B, rcond):
    """(solution, rank, singular values) of one system. LAPACK never ends where a number is not finite: a matrix with
    one has NaN for a solution and rank 0, and so has a column of B."""
    if not np.isfinite(A).all():
        return np.nan, 0, np.nan
    finite = np.isfinite(B).all(0)
    X, _, rank, S = np.linalg.lstsq(A, np.where(finite, B, 0), rcond)
    return np.where(finite, X, np.nan), rank, S


def _lstsq_body(outs, ins, numbers, rcond):
    (X, rank, S), (A, B) = outs, ins
    for i in np.ndindex(rank.shape):
        X[i], rank[i], S[i] = _least_norm(A[i], B[i], rcond)


def _lstsq_grad(gs, A, B, out0):
    g = gs[0]
    P = pinv(A)
    gB = P.mH @ g
    # X = P B: the terms of the derivative of P, with the residual and the solution in their places
    away = B - A @ out0
    gA = away @ (P @ gB).mH - gB @ out0.mH
    if A.shape[-1] > A.shape[-2]:
        inner = P.mH @ out0
        gA = gA + inner @ (g - P @ (A @ g)).mH
    return gA, gB


LSTSQ = host("linalg_lstsq", _lstsq_body, ("A", "B"), {("A", "B"): _lstsq_grad}, "LinalgLstsqBackward0", True)
LSTSQ_RESULT = named_result("linalg_lstsq", "solution", "residuals", "rank", "singular_values")
DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


def _check_lstsq(A, B, driver):
    check_matrix("torch.linalg.lstsq", A)
    need_tensor("linalg_lstsq", "B", 2, B)
    if B.dim() < 1:
        raise RuntimeError("torch.linalg.lstsq: other must have at least 1 dimension")
    if A.dim() - B.dim() not in (0, 1):
        raise RuntimeError("torch.linalg.lstsq: input.dim() must be greater or equal to other.dim() and (input.dim() - "
                           f"other.dim()) <= 1, but got {A.dim()} and {B.dim()}")
    check_same_dtype("torch.linalg.lstsq", A, B)
    if driver not in (None, *DRIVERS):
        raise RuntimeError("torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)")


@public("linalg.lstsq", cast="float32")
def lstsq(A, B, rcond=None, *, driver=None):
    """(X that minimises |A X - B|, squared residuals of overdetermined systems of full rank, rank, singular values).

    The solution of least norm by singular values, whatever the `driver` ("gelsy" by default), which only decides what
    else is given: the rank not by "gels", singular values by "gelsd" and "gelss", residuals not by "gelsy"."""
    _check_lstsq(A, B, driver)
    driver = driver or "gelsy"
    vector = is_vector(A, B)
    right = B.unsqueeze(-1) if vector else B
    (*lead, m, n), (*other, rows, columns) = A.shape, right.shape
    if m != rows:
        raise RuntimeError(f"torch.linalg.lstsq: input.size(-2) should match other.size({-1 if vector else -2})")
    lead = rules.broadcast_shapes(tuple(lead), tuple(other))
    left, right = A.expand(*lead, m, n), right.expand(*lead, m, columns)
    limit = dt.finfo(A.dtype).eps * max(m, n) if rcond is None else float(rcond)
    X, rank, S = converged(
        "torch.linalg.lstsq", LSTSQ, (left, right), (left, right), ((*lead, n, columns), A.dtype, COLUMNS),
        (lead, dt.int64), ((*lead, min(m, n)), A.dtype.to_real()), rcond=limit)
    residuals = S.new_empty(0)
    full = driver == "gels" or (driver != "gelsy" and m > n and bool((rank == n).all()))
    if m > n and full:
        residuals = abs_square(left @ X - right).sum(-2)
    rank = rank.new_empty(0) if driver == "gels" else rank
    S = S.detach() if driver in ("gelsd", "gelss") else S.new_empty(0)
    return LSTSQ_RESULT(X.squeeze(-1) if vector else X, residuals, rank, S)


# -- the exponential -------------------------------------------------------------------------------------------------


def _expm_body(outs, ins, numbers):
    if ins[0].size:
        outs[0][...] = optional("scipy.linalg", "linalg", "linalg.matrix_exp").expm(ins[0])


def _expm_grad(g, A):
    """The corner of exp([[A^T, g], [0, A^T]])."""
    cat, n = REGISTRY["cat"], A.shape[-1]
    top, bottom = cat([A.mT, g], -1), cat([A.new_zeros(A.shape), A.mT], -1)
    return matrix_exp(cat([top, bottom], -2)).narrow(-2, 0, n).narrow(-1, n, n)


EXPM = host("linalg_matrix_exp", _expm_body, ("A",), {"A": _expm_grad}, "LinalgMatrixExpBackward0")


@public("linalg.matrix_exp matrix_exp", out=False)
def matrix_exp(A):
    """The exponential 1 + A + A A / 2 + ... of square matrices."""
    if A.dtype in (dt.float16, dt.bfloat16):
        return matrix_exp(A.float()).to(A.dtype)
    check_matrix("linalg.matrix_exp", A, True)
    return converged("linalg.matrix_exp", EXPM, (A,), (A,), (A.shape, A.dtype))[0]


# -- low rank --------------------------------------------------------------------------------------------------------


def _range(A, q, niter, M):
    """Orthonormal columns that span most of the range of A - M."""
    def forth(X):
        return A @ X if M is None else A @ X - M @ X

    def back(X):
        return A.mH @ X if M is None else A.mH @ X - M.mH @ X
    Q = linalg_qr(forth(randn(A.shape[-1], q, dtype=A.dtype, device=A.device)))[0]
    for _ in range(niter):
        Q = linalg_qr(back(Q))[0]
        Q = linalg_qr(forth(Q))[0]
    return Q


@public("svd_lowrank", out=False)
def svd_lowrank(A, q=6, niter=2, M=None):
    """U, S, V of about the `q` largest singular values of A (of A - M)."""
    if M is not None:
        M = M.expand(A.shape)
    if A.shape[-2] < A.shape[-1]:
        U, S, V = svd_lowrank(A.mH, q, niter, None if M is None else M.mH)
        return V, S, U
    Q = _range(A, q, niter, M)
    B = Q.mH @ (A if M is None else A - M)
    U, S, Vh = linalg_svd(B, full_matrices=False)
    return Q @ U, S, Vh.mH


@public("pca_lowrank", out=False)
def pca_lowrank(A, q=None, center=True, niter=2):
    """U, S, V of the `q` (by default up to 6) largest principal components of the rows of A."""
    m, n = A.shape[-2:]
    q = min(6, m, n) if q is None else q
    if not 0 <= q <= min(m, n):
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}")
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)
