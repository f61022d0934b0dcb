"""Linear algebra through LAPACK (numpy.linalg): inverses, determinants, solutions, factorisations.

These are sync points in PyTorch's sense only where a matrix can be singular: the library call raises then, naming the operator. Gradients
are the classical formulas over matrix products (M. Giles, Collected matrix derivative results, 2008).
"""

from ..base.lazy import numpy as np

from ..core import dtype as dt
from ..core import infer as rules
from ..core.declare import REGISTRY, apply, operator, public
from ..core.graph import MODE
from ..core.return_types import named_result


def check_matrix(name, input, square=False):
    """RuntimeError unless the last two dimensions are a (square) floating point matrix."""
    shape = input.shape
    if len(shape) < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    if square and shape[-1] != shape[-2]:
        raise RuntimeError(f"{name}: A must be batches of square matrices, but they are {shape[-2]} by {shape[-1]} matrices")
    if input.dtype not in (dt.float32, dt.float64):
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {dt.scalar_type(input.dtype)}")


def _inverse_body(outs, ins, numbers):
    outs[0][...] = np.linalg.inv(ins[0])


def _solve_body(outs, ins, numbers):
    outs[0][...] = np.linalg.solve(ins[0], ins[1])


def _slogdet_body(outs, ins, numbers):
    outs[0][...], outs[1][...] = np.linalg.slogdet(ins[0])


def _qr_body(outs, ins, numbers, mode):
    outs[0][...], outs[1][...] = np.linalg.qr(ins[0], mode)


def _svd_body(outs, ins, numbers, full):
    outs[0][...], outs[1][...], outs[2][...] = np.linalg.svd(ins[0], full)


def _eigh_body(outs, ins, numbers, uplo):
    outs[0][...], outs[1][...] = np.linalg.eigh(ins[0], uplo)


def _cholesky_body(outs, ins, numbers):
    outs[0][...] = np.linalg.cholesky(ins[0])


def _host(name, body, params=(), grad=None, node=None):
    return operator(name, "host", rules.explicit, body, params=params, grad=grad, node=node)


def _inverse_grad(g, out):
    back = out.mT
    return -(back @ g @ back)


def _solve_matrix_grad(g, A, out):
    return -(solve_matrix(A.mT, g) @ out.mT)


INVERSE = _host("linalg_inv", _inverse_body, ("A",), {"A": _inverse_grad}, "LinalgInvExBackward0")
SOLVE = _host("linalg_solve", _solve_body, ("A", "B"),
              {"A": _solve_matrix_grad, "B": lambda g, A: solve_matrix(A.mT, g)}, "LinalgSolveExBackward0")
SLOGDET = _host("linalg_slogdet", _slogdet_body, ("A",),
                {"A": lambda g, A: g[1][..., None, None] * inverse(A).mT}, "LinalgSlogdetBackward0")
QR = _host("linalg_qr", _qr_body)
SVD = _host("linalg_svd", _svd_body)
EIGH = _host("linalg_eigh", _eigh_body)
CHOLESKY = _host("linalg_cholesky", _cholesky_body)

QR_RESULT = named_result("linalg_qr", "Q", "R")
SVD_RESULT = named_result("linalg_svd", "U", "S", "Vh")
EIGH_RESULT = named_result("linalg_eigh", "eigenvalues", "eigenvectors")
SLOGDET_RESULT = named_result("linalg_slogdet", "sign", "logabsdet")


def _refuse_grad(name, input):
    if MODE.grad and input.requires_grad:
        raise NotImplementedError(f"{name}: the gradient is not implemented in rushlight")


def _record(op, values, tensors, outs, *attrs):
    """Record and run: LAPACK's errors belong to the user's line."""
    results = apply(op, values, tensors, (), (*attrs, ("out", outs)))
    results[0].data_ptr()
    return results


def library(name, op, values, tensors, outs, *attrs):
    """`_record` with LAPACK's failure as PyTorch's LinAlgError (a RuntimeError)."""
    try:
        return _record(op, values, tensors, outs, *attrs)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(f"{name}: {error}: the computation could not be completed because the input matrix is singular or "
                          "ill-conditioned") from None


class LinAlgError(RuntimeError):
    """A matrix that LAPACK cannot handle."""


REGISTRY["linalg.LinAlgError"] = LinAlgError


@public("linalg.inv inverse")
def inverse(A):
    """The inverse of (batches of) square matrices. LinAlgError if one is singular."""
    check_matrix("linalg.inv", A, True)
    return library("linalg.inv", INVERSE, (A,), (A,), ((tuple(A.shape), A.dtype),))[0]


def solve_matrix(A, B):
    """A^-1 B for matrices of equal batch shape."""
    return library("linalg.solve", SOLVE, (A, B), (A, B), ((tuple(B.shape), B.dtype),))[0]


@public("linalg.solve")
def solve(A, B, *, left=True):
    """X with A X = B (or X A = B). B may be a vector. LinAlgError if A is singular."""
    check_matrix("linalg.solve", A, True)
    if not left:
        return solve(A.mT, B.mT).mT
    if B.dim() == 1 or (B.dim() == A.dim() - 1 and B.shape == A.shape[:-1]):
        return solve(A, B.unsqueeze(-1)).squeeze(-1)
    lead = rules.broadcast_shapes(tuple(A.shape[:-2]), tuple(B.shape[:-2]))
    return solve_matrix(A.expand(*lead, *A.shape[-2:]), B.expand(*lead, *B.shape[-2:]))


@public("linalg.slogdet slogdet")
def slogdet(A):
    """Sign and logarithm of the absolute value of the determinant."""
    check_matrix("linalg.slogdet", A, True)
    shape = tuple(A.shape[:-2])
    return SLOGDET_RESULT(*library("linalg.slogdet", SLOGDET, (A,), (A,), ((shape, A.dtype), (shape, A.dtype))))


@public("linalg.det det")
def det(A):
    """The determinant of (batches of) square matrices."""
    sign, logarithm = slogdet(A)
    return sign * logarithm.exp()


@public("logdet")
def logdet(A):
    """The logarithm of the determinant; NaN where that is negative."""
    sign, logarithm = slogdet(A)
    return REGISTRY["where"](sign < 0, float("nan"), logarithm)


@public("linalg.qr")
def qr(A, mode="reduced"):
    """Q and R with A = Q R; mode "reduced" or "complete". Its gradient is not implemented."""
    check_matrix("linalg.qr", A)
    if mode not in ("reduced", "complete"):
        if mode == "r":
            raise NotImplementedError("linalg.qr: mode 'r' is not implemented in rushlight")
        raise RuntimeError(f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'")
    _refuse_grad("linalg.qr", A)
    *lead, m, n = A.shape
    k = min(m, n) if mode == "reduced" else m
    outs = (((*lead, m, k), A.dtype), ((*lead, k, n), A.dtype))
    return QR_RESULT(*library("linalg.qr", QR, (A,), (A,), outs, ("mode", mode)))


@public("qr")
def qr_(input, some=True):
    """`linalg.qr` with a flag."""
    return qr(input, "reduced" if some else "complete")


@public("linalg.svd")
def svd(A, full_matrices=True, *, driver=None):
    """U, S, Vh with A = U diag(S) Vh. Its gradient is not implemented."""
    check_matrix("linalg.svd", A)
    _refuse_grad("linalg.svd", A)
    *lead, m, n = A.shape
    k = min(m, n)
    rows, columns = (m, n) if full_matrices else (k, k)
    outs = (((*lead, m, rows), A.dtype), ((*lead, k), A.dtype), ((*lead, columns, n), A.dtype))
    return SVD_RESULT(*library("linalg.svd", SVD, (A,), (A,), outs, ("full", bool(full_matrices))))


def _svdvals_grad(g, A):
    """U diag(g) Vh; the singular vectors are constants of this gradient, so it cannot be differentiated again."""
    if MODE.grad and A.requires_grad:
        raise NotImplementedError("linalg.svdvals: the second derivative is not implemented in rushlight")
    U, _, Vh = svd(A.detach(), False)
    return (U * g.unsqueeze(-2)) @ Vh


@public("Tensor._singular_values", grad={"A": _svdvals_grad}, node="LinalgSvdBackward0", out=False)
def singular_values(A):
    """The singular values as one node."""
    return svd(A.detach(), False)[1]


@public("linalg.svdvals")
def svdvals(A, *, driver=None):
    """The singular values, largest first."""
    return singular_values(A)


@public("linalg.eigh")
def eigh(A, UPLO="L"):
    """Eigenvalues (ascending) and eigenvectors of symmetric matrices. The gradient is not implemented."""
    check_matrix("linalg.eigh", A, True)
    _refuse_grad("linalg.eigh", A)
    outs = ((tuple(A.shape[:-1]), A.dtype), (tuple(A.shape), A.dtype))
    return EIGH_RESULT(*library("linalg.eigh", EIGH, (A,), (A,), outs, ("uplo", UPLO)))


@public("linalg.eigvalsh")
def eigvalsh(A, UPLO="L"):
    """Eigenvalues of symmetric matrices, ascending."""
    return eigh(A, UPLO)[0]


@public("linalg.cholesky")
def cholesky(A, *, upper=False):
    """L with A = L L^T for positive-definite matrices. LinAlgError for others; the gradient is not implemented."""
    check_matrix("linalg.cholesky", A, True)
    _refuse_grad("linalg.cholesky", A)
    lower = library("linalg.cholesky", CHOLESKY, (A,), (A,), ((tuple(A.shape), A.dtype),))[0]
    return lower.mT if upper else lower


@public("linalg.matrix_power matrix_power")
def matrix_power(A, n):
    """The n-th power of square matrices (of the inverse for negative n)."""
    check_matrix("linalg.matrix_power", A, True)
    if n < 0:
        A, n = inverse(A), -n
    result = None
    while n:
        if n & 1:
            result = A if result is None else result @ A
        n >>= 1
        A = A @ A if n else A
    if result is None:
        return REGISTRY["eye"](A.shape[-1], dtype=A.dtype).expand(A.shape).clone()
    return result


@public("linalg.matrix_norm")
def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None):
    """Norms of matrices in the dimensions `dim`: "fro", "nuc", inf, -inf, 1, -1, 2, -2 (the last two and "nuc" without gradient)."""
    if dtype is not None:
        A = A.to(dtype)
    row, column = (rules.wrap_dim(d, A.dim()) for d in dim)
    if ord == "fro":
        return REGISTRY["linalg.vector_norm"](A, 2, (row, column), keepdim)
    if ord in ("nuc", 2, -2):
        values = svdvals(A.movedim((row, column), (-2, -1)))
        result = values.sum(-1) if ord == "nuc" else values.amax(-1) if ord == 2 else values.amin(-1)
        return result.unsqueeze(min(row, column)).unsqueeze(max(row, column)) if keepdim else result
    if abs(ord) not in (1, float("inf")):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    over, kept = (row, column) if abs(ord) == 1 else (column, row)
    sums = A.abs().sum(over, keepdim=True)
    result = sums.amax(kept, keepdim=True) if ord > 0 else sums.amin(kept, keepdim=True)
    return result if keepdim else result.squeeze((row, column))
