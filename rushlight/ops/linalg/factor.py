"""Factorisations: triangular systems, Cholesky, QR and its reflectors, LU, LDL.

Triangular systems are solved by halves in NumPy over whole batches; LU and LDL, which NumPy lacks, by SciPy's LAPACK,
matrix by matrix. The gradients of Cholesky, QR and LU solve triangular systems: see I. Murray, Differentiation of the
Cholesky decomposition (2016), and S. Walter and L. Lehmann, Algorithmic differentiation of linear algebra functions
(2010).
"""

from ...base.lazy import numpy as np
from ...base.optional import optional
from ...core import dtype as dt
from ...core import grads
from ...core.declare import public
from ...core.graph import MODE, under_grad
from ...core.return_types import named_result
from ..basic.complex import imag
from ..basic.creation import eye
from ..basic.pointwise import need_tensor
from ..basic.shape import cat, diag_embed
from .linalg import COLUMNS, broadcast_batches, call, check_matrix, check_same_dtype, host, raise_info

ROWS = 16  # triangular systems up to this size are solved row by row


def lapack(name, dtype, purpose):
    """SciPy's LAPACK routine of this name for the dtype."""
    letter = {"f": "s", "d": "d", "F": "c", "D": "z"}[dtype.char]
    return optional("scipy.linalg.lapack", "linalg", purpose).__dict__[letter + name]


# -- triangular systems ----------------------------------------------------------------------------------------------


def substitute(a, x, unit):
    """Solve a x = b for lower triangular a, in place of b: by halves, small ones row by row. Zero pivots give
    infinities."""
    n = a.shape[-1]
    if n <= ROWS:
        for i in range(n):
            if i:
                x[..., i, :] -= (a[..., i:i + 1, :i] @ x[..., :i, :])[..., 0, :]
            if not unit:
                x[..., i, :] /= a[..., i, i, None]
        return
    half = n // 2
    top, bottom = x[..., :half, :], x[..., half:, :]
    substitute(a[..., :half, :half], top, unit)
    bottom -= a[..., half:, :half] @ top
    substitute(a[..., half:, half:], bottom, unit)


def _triangular_body(outs, ins, numbers, upper, unit):
    a, x = ins[0], outs[0]
    x[...] = ins[1]
    if upper:  # turned by half a circle an upper triangle is a lower one
        a, x = a[..., ::-1, ::-1], x[..., ::-1, :]
    substitute(a, x, unit)


def _triangular_grad(g, A, out, upper, unit):
    gB = triangular(A.mT, g, not upper, unit)
    gA = -(gB @ out.mT)
    return (gA.triu(int(unit)) if upper else gA.tril(-int(unit))), gB


TRIANGULAR = host("linalg_solve_triangular", _triangular_body, ("A", "B", "upper", "unit"),
                  {("A", "B"): _triangular_grad},
                  "LinalgSolveTriangularBackward0")


def triangular(A, B, upper, unit=False, columns=COLUMNS):
    """A^-1 B, reading one triangle of A, for matrices of equal batch shape."""
    return call(TRIANGULAR, (A, B, upper, unit), (A, B), (B.shape, B.dtype, columns), upper=upper, unit=unit)[0]


@public("linalg.solve_triangular")
def solve_triangular(A, B, *, upper, left=True, unitriangular=False):
    """X with A X = B (or X A = B) for triangular A; the other triangle is not read, with `unitriangular` not the
    diagonal either."""
    check_matrix("linalg.solve_triangular", A, True)
    check_matrix("linalg.solve_triangular", B, letter="B")
    check_same_dtype("linalg.solve_triangular", A, B)
    if A.shape[-2] != B.shape[-2 if left else -1]:
        raise RuntimeError("linalg.solve_triangular: Incompatible shapes of A and B for the equation "
                           f"{'AX = B' if left else 'XA = B'} ({A.shape[-2]}x{A.shape[-1]} and "
                           f"{B.shape[-2]}x{B.shape[-1]})")
    A, B = broadcast_batches(A, B)
    if left:
        return triangular(A, B, bool(upper), bool(unitriangular))
    return triangular(A.mT, B.mT, not upper, bool(unitriangular), False).mT


TRIANGULAR_SOLVE = named_result("triangular_solve", "solution", "cloned_coefficient")


@public("triangular_solve", cast="float32")
def triangular_solve(b, A, upper=True, transpose=False, unitriangular=False):
    """(X with A X = b or, with `transpose`, A^T X = b; a copy of A): the older form of `linalg.solve_triangular`."""
    for name, value in (("b", b), ("A", A)):
        if value.dim() < 2:
            raise RuntimeError(f"torch.triangular_solve: Expected {name} to have at least 2 dimensions, but it has "
                               f"{value.dim()} dimensions instead")
    A, b = broadcast_batches(A, b)
    found = solve_triangular(A.mT if transpose else A, b, upper=upper != transpose, unitriangular=unitriangular)
    return TRIANGULAR_SOLVE(found, A.clone())


# -- Cholesky --------------------------------------------------------------------------------------------------------


def minor(matrix):
    """The order of the first leading minor that is not positive."""
    for n in range(1, len(matrix) + 1):
        try:
            np.linalg.cholesky(matrix[:n, :n])
        except np.linalg.LinAlgError:
            return n
    return 0


def _cholesky_body(outs, ins, numbers):
    (out, info), a = outs, ins[0]
    info[...] = 0
    try:
        out[...] = np.linalg.cholesky(a)
        return
    except np.linalg.LinAlgError:
        pass
    for i in np.ndindex(info.shape):
        info[i] = minor(a[i])
        out[i] = np.nan if info[i] else np.linalg.cholesky(a[i])


def _cholesky_grad(gs, out0):
    """L^-T (the lower half of L^T g, made symmetric) L^-1."""
    inner = (out0.mH @ gs[0]).tril()
    inner = (inner + inner.tril(-1).mH) * 0.5
    if inner._layout.dtype.is_complex:  # the diagonal of L is real
        inner = (inner + inner.mH) * 0.5
    left = triangular(out0.mH, inner, True)
    return triangular(out0.mH, left.mH, True).mH


CHOLESKY = host("linalg_cholesky", _cholesky_body, ("A",), {"A": _cholesky_grad}, "LinalgCholeskyExBackward0", True)
CHOLESKY_EX = named_result("linalg_cholesky_ex", "L", "info")
NOT_POSITIVE = ("The factorization could not be completed because the input is not positive-definite (the leading "
                "minor of order {} is not positive-definite).")


@public("linalg.cholesky_ex", cast="float32")
def cholesky_ex(A, *, upper=False, check_errors=False):
    """L with A = L L^T for positive-definite matrices (`upper`: its transpose), and 0 or the order of the minor that
    is not."""
    check_matrix("linalg.cholesky", A, True)
    lower, info = call(CHOLESKY, (A,), (A.mH if upper else A,), (A.shape, A.dtype, not upper),
                       (A.shape[:-2], dt.int32))
    if check_errors:
        raise_info("linalg.cholesky", info, NOT_POSITIVE)
    return CHOLESKY_EX(lower.mH if upper else lower, info)


@public("linalg.cholesky", cast="float32")
def linalg_cholesky(A, *, upper=False):
    """L with A = L L^T for positive-definite matrices (`upper`: its transpose). LinAlgError for others."""
    return cholesky_ex(A, upper=upper, check_errors=True)[0]


@public("cholesky", cast="float32")
def cholesky(input, upper=False):
    """`linalg.cholesky`."""
    return linalg_cholesky(input, upper=upper)


@public("cholesky_solve", cast="float32")
def cholesky_solve(B, L, upper=False):
    """Solve A X = B with the Cholesky factor of A.

    Args:
        B (Tensor): (..., n, k).
        L (Tensor): (..., n, n), a triangular factor of A.
        upper (bool): whether A = L^H L, and not L L^H.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: (..., n, k).

    Raises:
        RuntimeError: the shapes do not fit.

    Example:
        >>> torch.cholesky_solve(torch.tensor([[4.0], [1.0]]), torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
        tensor([[1.],
                [1.]])
    """
    for name, value in (("b", B), ("u", L)):
        if value.dim() < 2:
            raise RuntimeError(f"{name} should have at least 2 dimensions, but has {value.dim()} dimensions instead")
    if L.shape[-1] != L.shape[-2] or L.shape[-1] != B.shape[-2]:
        raise RuntimeError(f"cholesky_solve: Incompatible matrix sizes: A is {list(L.shape)}, B is {list(B.shape)}")
    L, B = broadcast_batches(L, B)
    L = L.mH if upper else L
    return triangular(L.mH, triangular(L, B, False), True)


@public("cholesky_inverse", cast="float32")
def cholesky_inverse(L, upper=False):
    """Return the inverse of A from its Cholesky factor.

    Args:
        L (Tensor): (..., n, n), a triangular factor of A.
        upper (bool): whether A = L^H L, and not L L^H.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `L`.

    Raises:
        RuntimeError: the matrices are not square.

    Example:
        >>> torch.cholesky_inverse(torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
        tensor([[0.2500, 0.0000],
                [0.0000, 1.0000]])
    """
    check_matrix("cholesky_inverse", L, True)
    L = L.mH if upper else L
    root = triangular(L, eye(L.shape[-1], dtype=L.dtype, device=L.device).expand(L.shape), False)
    return root.mH @ root


# -- QR --------------------------------------------------------------------------------------------------------------


def _qr_body(outs, ins, numbers, mode):
    if mode == "r":
        outs[1][...] = np.linalg.qr(ins[0], "r")
    else:
        outs[0][...], outs[1][...] = np.linalg.qr(ins[0], mode)


def _qr_grad(gs, out0, out1, mode):
    if mode == "r":
        raise RuntimeError("The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please use "
                           "linalg.qr(A, mode='reduced') if you are going to require gradients")
    gQ, gR = gs
    m, n, k = out0.shape[-2], out1.shape[-1], out0.shape[-1]
    if mode == "complete" and m > n:
        raise RuntimeError("The QR decomposition is not differentiable when mode='complete' and nrows > ncols")
    if k == n:
        return _tall_qr_grad(gQ, gR, out0, out1)
    # A = [X | Y] = Q [U | V]: X = Q U is square, and V = Q^T Y
    U, V = out1.narrow(-1, 0, m), out1.narrow(-1, m, n - m)
    if gR is None:
        return cat([_tall_qr_grad(gQ, None, out0, U), V.new_zeros(V.shape)], -1)
    gU, gV = gR.narrow(-1, 0, m), gR.narrow(-1, m, n - m)
    through = out0 @ V @ gV.mH
    gX = _tall_qr_grad(through if gQ is None else gQ + through, gU, out0, U)
    return cat([gX, out0 @ gV], -1)


def _tall_qr_grad(gQ, gR, Q, R):
    """(gQ + Q M) R^-T, M the lower triangle of R gR^T - gQ^T Q made symmetric."""
    M = 0 if gR is None else R @ gR.mH
    M = M if gQ is None else M - gQ.mH @ Q
    low = M.tril()
    if low._layout.dtype.is_complex:  # the diagonal of R is real
        low = low - diag_embed(imag(M.diagonal(0, -2, -1)) * 1j)
    inner = Q @ (low + M.tril(-1).mH)
    inner = inner if gQ is None else inner + gQ
    return triangular(R, inner.mH, True).mH


QR = host("linalg_qr", _qr_body, ("A", "mode"), {"A": _qr_grad}, "LinalgQrBackward0", True)
QR_RESULT = {name: named_result(name, "Q", "R") for name in ("linalg_qr", "qr")}


def _qr(A, mode):
    check_matrix("linalg.qr", A)
    *lead, m, n = A.shape
    k = m if mode == "complete" else min(m, n)
    q = (0,) if mode == "r" else (*lead, m, k)
    return call(QR, (A, mode), (A,), (q, A.dtype, COLUMNS), ((*lead, k, n), A.dtype, COLUMNS),
                mode=mode)


@public("linalg.qr", cast="float32")
def linalg_qr(A, mode="reduced"):
    """Q and R with A = Q R, in mode "reduced" or "complete"; "r": R alone, without gradient."""
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or "
                           "'complete'")
    return QR_RESULT["linalg_qr"](*_qr(A, mode))


@public("qr", cast="float32")
def qr(input, some=True):
    """Q and R with A = Q R, Q square unless `some`."""
    return QR_RESULT["qr"](*_qr(input, "reduced" if some else "complete"))


# -- Householder reflectors ------------------------------------------------------------------------------------------


def _geqrf_body(outs, ins, numbers):
    h, tau = np.linalg.qr(ins[0], "raw")
    outs[0][...], outs[1][...] = np.swapaxes(h, -1, -2), tau


def reflect(V, tau, C, transpose):
    """H1 ... Hk C (or its transpose times C) for reflectors Hi = 1 - tau[i] v v^T, v the columns of V: for arrays and
    tensors."""
    k = tau.shape[-1]
    for i in range(k) if transpose else reversed(range(k)):
        v, factor = V[..., i:i + 1], tau[..., i, None, None]
        C = C - ((factor.conj() if transpose else factor) * v) @ (v.conj().swapaxes(-1, -2) @ C)
    return C


def _columns_of(A, k):
    """The reflectors of an array: ones on the diagonal, zeros above."""
    return np.tril(A[..., :k], -1) + np.eye(A.shape[-2], k, dtype=A.dtype)


def _ormqr_body(outs, ins, numbers, transpose):
    A, tau, C = ins
    outs[0][...] = reflect(_columns_of(A, tau.shape[-1]), tau, C, transpose)


def _ormqr_grad(g, A, tau, C, transpose):
    """Through the reflectors one by one."""
    given = [t.alias() for t in (A, tau, C)]
    given = given if MODE.grad else [t.detach().requires_grad_() for t in given]

    def differentiated():
        A, tau, C = given
        k = tau.shape[-1]
        V = A.narrow(-1, 0, k).tril(-1) + eye(A.shape[-2], k, dtype=A.dtype, device=A.device)
        out = reflect(V, tau, C, transpose)
        return grads.differentiate([out], [t for t in given if t.requires_grad], [g])
    found = iter(under_grad(True, differentiated))
    return tuple([next(found) if t.requires_grad else None for t in given])


def _reflectors(name, node):
    return host(name, _ormqr_body, ("A", "tau", "C", "transpose"), {("A", "tau", "C"): _ormqr_grad}, node, True)


GEQRF = host("geqrf", _geqrf_body)
GEQRF_RESULT = named_result("geqrf", "a", "tau")
HOUSEHOLDER = _reflectors("linalg_householder_product", "LinalgHouseholderProductBackward0")
ORMQR = _reflectors("ormqr", "OrmqrBackward0")


@public("geqrf", cast="float32")
def geqrf(input):
    """(reflectors below the diagonal and R above it, their factors tau) of the QR factorisation; no gradient."""
    check_matrix("torch.geqrf", input)
    if MODE.grad and input.requires_grad:
        raise NotImplementedError("geqrf: the derivative is not implemented, as in PyTorch; linalg.qr has one")
    *lead, m, n = input.shape
    return GEQRF_RESULT(*call(GEQRF, (), (input,), (input.shape, input.dtype, COLUMNS),
                              ((*lead, min(m, n)), input.dtype)))


def _check_reflectors(name, A, tau):
    check_matrix(name, A)
    if A.dtype is not tau.dtype:
        raise RuntimeError(f"{name}: tau dtype {tau.dtype} does not match input dtype {A.dtype}")
    if tau.dim() != A.dim() - 1 or tuple(tau.shape[:-1]) != tuple(A.shape[:-2]):
        raise RuntimeError(f"{name}: Expected batch dimensions of tau to be equal to input.shape[:-2], but got "
                           f"{list(tau.shape[:-1])}")
    if tau.shape[-1] > A.shape[-1]:
        raise RuntimeError(f"{name}: input.shape[-1] must be greater than or equal to tau.shape[-1]")


@public("linalg.householder_product orgqr", cast="float32")
def householder_product(A, tau):
    """The first columns of the product of the reflectors that `geqrf` gives."""
    _check_reflectors("torch.linalg.householder_product", A, tau)
    m, n = A.shape[-2:]
    if m < n:
        raise RuntimeError("torch.linalg.householder_product: input.shape[-2] must be greater than or equal to "
                           "input.shape[-1]")
    C = eye(m, n, dtype=A.dtype, device=A.device).expand(A.shape)
    return call(HOUSEHOLDER, (A, tau, C, False), (A, tau, C), (A.shape, A.dtype, COLUMNS),
                transpose=False)[0]


@public("ormqr", cast="float32")
def ormqr(input, tau, other, left=True, transpose=False):
    """Q other (or other Q), Q the square orthogonal matrix of the reflectors that `geqrf` gives, or its transpose."""
    _check_reflectors("torch.ormqr", input, tau)
    need_tensor("ormqr", "other", 3, other)
    if other.dim() != input.dim() or other.shape[-2 if left else -1] != input.shape[-2]:
        raise RuntimeError(f"torch.ormqr: other.shape[{-2 if left else -1}] must be equal to input.shape[-2], got "
                           f"{list(other.shape)} and {list(input.shape)}")
    C = other if left else other.mH
    flag = bool(transpose) == bool(left)
    found = call(ORMQR, (input, tau, C, flag), (input, tau, C), (C.shape, C.dtype, left), transpose=flag)[0]
    return found if left else found.mH


# -- LU --------------------------------------------------------------------------------------------------------------


def _lu_body(outs, ins, numbers):
    outs[0][...] = ins[0]
    outs[1][...], outs[2][...] = np.arange(1, outs[1].shape[-1] + 1), 0
    if not ins[0].size:
        return
    getrf = lapack("getrf", ins[0].dtype, "linalg.lu_factor")
    for lu, pivots, info in each_lu(*outs):
        lu[...], swaps, info[...] = getrf(lu)
        pivots[...] = swaps + 1


def each_lu(lu, pivots, info):
    """(matrix, pivots, info) one by one, as arrays to write to."""
    for i in np.ndindex(info.shape):
        yield lu[i], pivots[i], info[i + (...,)]


def _permutation_body(outs, ins, numbers):
    """P with P (the matrix with its rows exchanged as the pivots say) = the matrix."""
    P, pivots = outs[0], ins[0]
    m = P.shape[-1]
    P[...] = 0
    for at in np.ndindex(P.shape[:-2]):
        rows = np.arange(m)
        for i, other in enumerate(pivots[at]):
            rows[[i, other - 1]] = rows[[other - 1, i]]
        P[at][rows, np.arange(m)] = 1


def _triangles(LU):
    """(L, U) of the packed factors."""
    m, n = LU.shape[-2:]
    k = min(m, n)
    L = LU.narrow(-1, 0, k).tril(-1) + eye(m, k, dtype=LU.dtype, device=LU.device)
    return L, LU.narrow(-2, 0, k).triu()


def _lu_grad(gL, gU, P, L, U):
    """The gradient of A = P L U from those of L and U (None: not used)."""
    m, n = L.shape[-2], U.shape[-1]
    k = min(m, n)
    square, corner = L.narrow(-2, 0, k), U.narrow(-1, 0, k)
    low = high = 0
    if gL is not None:
        low = square.mT @ gL.narrow(-2, 0, k)
    if gU is not None:
        high = gU.narrow(-1, 0, k) @ corner.mT
    if m > n and gL is not None:
        below, g_below = L.narrow(-2, k, m - k), gL.narrow(-2, k, m - k)
        high = high - below.mT @ g_below
        rest = triangular(corner, g_below.mT, True).mT
    elif m > n:
        rest = U.new_zeros((*U.shape[:-2], m - k, k))
    if n > m and gU is not None:
        right, g_right = U.narrow(-1, k, n - k), gU.narrow(-1, k, n - k)
        low = low - g_right @ right.mT
        rest = triangular(square.mT, g_right, True, True)
    elif n > m:
        rest = U.new_zeros((*U.shape[:-2], k, n - k))
    inner = (0 if low.__class__ is int else low.tril(-1)) + (0 if high.__class__ is int else high.triu())
    inner = triangular(square.mT, inner, True, True)
    found = triangular(corner, inner.mT, True).mT
    if m != n:
        found = cat([found, rest], -2 if m > n else -1)
    return P @ found


def _packed_lu_grad(gs, out0, out1):
    L, U = _triangles(out0)
    gL, gU = _triangles(gs[0])
    return _lu_grad(gL, gU, permutation(out1, out0.shape[-2], out0.dtype), L, U)


LU_FACTOR = host("linalg_lu_factor", _lu_body, ("A",), {"A": _packed_lu_grad}, "LinalgLuFactorExBackward0")
PERMUTATION = host("lu_permutation", _permutation_body)
LU_FACTOR_RESULT = named_result("linalg_lu_factor", "LU", "pivots")
LU_FACTOR_EX = named_result("linalg_lu_factor_ex", "LU", "pivots", "info")
LU_RESULT = named_result("linalg_lu", "P", "L", "U")
LU_UNPACK = named_result("lu_unpack", "P", "L", "U")
LU_WITH_INFO = named_result("_lu_with_info", "LU", "pivots", "info")
NO_PIVOTS = "linalg.{}: LU without pivoting is not implemented on the CPU"


def permutation(pivots, rows, dtype):
    """The permutation matrix of LAPACK's row exchanges."""
    return call(PERMUTATION, (), (pivots,), ((*pivots.shape[:-1], rows, rows), dtype))[0]


@public("linalg.lu_factor_ex")
def lu_factor_ex(A, *, pivot=True, check_errors=False):
    """(L below and U above the diagonal of one matrix, row exchanges from 1, 0 or the number of a zero pivot)."""
    check_matrix("torch.linalg.lu_factor", A)
    if not pivot:
        raise RuntimeError(NO_PIVOTS.format("lu_factor"))
    *lead, m, n = A.shape
    optional("scipy.linalg", "linalg", "linalg.lu_factor")
    LU, pivots, info = call(LU_FACTOR, (A,), (A,), (A.shape, A.dtype, COLUMNS),
                            ((*lead, min(m, n)), dt.int32),
                            (lead, dt.int32))
    if check_errors:
        raise_info("torch.linalg.lu_factor_ex", info,
                   "U[{0},{0}] is zero and using it on lu_solve would result in a division by zero.")
    return LU_FACTOR_EX(LU, pivots, info)


@public("linalg.lu_factor")
def lu_factor(A, *, pivot=True):
    """(L below and U above the diagonal of one matrix, row exchanges from 1). LinAlgError for a zero pivot."""
    LU, pivots, _ = lu_factor_ex(A, pivot=pivot, check_errors=True)
    return LU_FACTOR_RESULT(LU, pivots)


@public("lu", cast="float32")
def lu(A, pivot=True, get_infos=False):
    """`linalg.lu_factor_ex`, the last result only with `get_infos`."""
    LU, pivots, info = lu_factor_ex(A, pivot=pivot)
    return LU_WITH_INFO(LU, pivots, info) if get_infos else (LU, pivots)


@public("linalg.lu")
def linalg_lu(A, *, pivot=True):
    """P, L, U with A = P L U."""
    if not pivot:
        raise RuntimeError(NO_PIVOTS.format("lu"))
    return LU_RESULT(*lu_node(A))


@public("", node="LinalgLuBackward0", out=False,
        grad={"A": lambda gs, out0, out1, out2: _lu_grad(gs[1], gs[2], out0, out1, out2)})
def lu_node(A):
    """(P, L, U) as one node."""
    LU, pivots, _ = lu_factor_ex(A)
    return [permutation(pivots, A.shape[-2], A.dtype), *_triangles(LU)]


@public("lu_unpack")
def lu_unpack(LU_data, LU_pivots, unpack_data=True, unpack_pivots=True):
    """P, L, U from what `linalg.lu_factor` gives; parts that are not wanted are empty."""
    check_matrix("torch.lu_unpack", LU_data)
    if unpack_pivots and LU_pivots.dtype is not dt.int32:
        raise RuntimeError("torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype.\n"
                           "Note: this function is intended to be used with the output produced by "
                           "torch.linalg.lu_factor")
    empty = LU_data.new_empty(0)
    P = permutation(LU_pivots, LU_data.shape[-2], LU_data.dtype) if unpack_pivots else empty
    L, U = _triangles(LU_data) if unpack_data else (empty, empty)
    return LU_UNPACK(P, L, U)


@public("linalg.lu_solve", cast="float32")
def linalg_lu_solve(LU, pivots, B, *, left=True, adjoint=False):
    """X with A X = B (or X A = B; with `adjoint` A^T instead of A) from what `linalg.lu_factor(A)` gives."""
    check_matrix("torch.linalg.lu_solve", LU, True, "LU")
    check_matrix("torch.linalg.lu_solve", B, letter="B")
    check_same_dtype("linalg.lu_solve", LU, B)
    if pivots.dtype is not dt.int32:
        raise RuntimeError("linalg.lu_solve: pivots should be a Tensor of scalar type torch.int32")
    if LU.shape[-1] != B.shape[-2 if left else -1]:
        raise RuntimeError("linalg.lu_solve: Incompatible shapes of A and B for the equation "
                           f"{'AX = B' if left else 'XA = B'}")
    if tuple(pivots.shape) != tuple(LU.shape[:-1]):
        raise RuntimeError("linalg.lu_solve: Number of pivots per batch should be same as the dimension of the matrix")
    if not left:
        return linalg_lu_solve(LU, pivots, B.mH, adjoint=not adjoint).mH
    P, LU, B = broadcast_batches(permutation(pivots, LU.shape[-1], LU.dtype), LU, B)
    if adjoint:
        return P @ triangular(LU.mH, triangular(LU.mH, B, False), True, True)
    return triangular(LU, triangular(LU, P.mT @ B, False, True), True)


@public("lu_solve", cast="float32")
def lu_solve(b, LU_data, LU_pivots):
    """`linalg.lu_solve` with its older order of arguments."""
    return linalg_lu_solve(LU_data, LU_pivots, b)


# -- LDL -------------------------------------------------------------------------------------------------------------


def _ldl_body(outs, ins, numbers, hermitian):
    outs[0][...] = np.tril(ins[0])
    outs[1][...] = outs[2][...] = 0
    if not ins[0].size:
        return
    sytrf = lapack("hetrf" if hermitian else "sytrf", ins[0].dtype, "linalg.ldl_factor")
    for ld, pivots, info in each_lu(*outs):
        found, pivots[...], info[...] = sytrf(ld, lower=1)
        ld[...] = np.tril(found)


def _ldl_solve_body(outs, ins, numbers, hermitian):
    outs[0][...] = ins[2]
    if not outs[0].size:
        return
    sytrs = lapack("hetrs" if hermitian else "sytrs", ins[0].dtype, "linalg.ldl_solve")
    for i in np.ndindex(outs[0].shape[:-2]):
        outs[0][i] = sytrs(ins[0][i], ins[1][i], ins[2][i], lower=1)[0]


LDL = host("linalg_ldl_factor", _ldl_body)
LDL_SOLVE = host("linalg_ldl_solve", _ldl_solve_body)
LDL_RESULT = named_result("linalg_ldl_factor", "LD", "pivots")
LDL_EX = named_result("linalg_ldl_factor_ex", "LD", "pivots", "info")


@public("linalg.ldl_factor_ex")
def ldl_factor_ex(A, *, hermitian=False, check_errors=False):
    """LAPACK's L D L^T factors of symmetric matrices, which may be indefinite, its pivots, and 0 or the number of a
    zero pivot."""
    check_matrix("torch.linalg.ldl_factor_ex", A, True)
    if MODE.grad and A.requires_grad:
        raise NotImplementedError("linalg.ldl_factor_ex: the derivative is not implemented, as in PyTorch")
    optional("scipy.linalg", "linalg", "linalg.ldl_factor")
    LD, pivots, info = call(LDL, (), (A,), (A.shape, A.dtype, COLUMNS), (A.shape[:-1], dt.int32),
                            (A.shape[:-2], dt.int32), hermitian=bool(hermitian) and A._layout.dtype.is_complex)
    if check_errors:
        raise_info("torch.linalg.ldl_factor_ex", info, "The factor D is exactly singular.")
    return LDL_EX(LD, pivots, info)


@public("linalg.ldl_factor")
def ldl_factor(A, *, hermitian=False):
    """LAPACK's L D L^T factors of symmetric matrices, which may be indefinite, and its pivots."""
    LD, pivots, _ = ldl_factor_ex(A, hermitian=hermitian, check_errors=True)
    return LDL_RESULT(LD, pivots)


@public("linalg.ldl_solve")
def ldl_solve(LD, pivots, B, *, hermitian=False):
    """A^-1 B from what `linalg.ldl_factor` gives."""
    check_matrix("torch.linalg.ldl_solve", LD, True, "LD")
    check_matrix("torch.linalg.ldl_solve", B, letter="B")
    check_same_dtype("torch.linalg.ldl_solve", LD, B)
    if MODE.grad and (LD.requires_grad or B.requires_grad):
        raise NotImplementedError("linalg.ldl_solve: the derivative is not implemented, as in PyTorch")
    if LD.shape[-1] != B.shape[-2] or tuple(pivots.shape) != tuple(LD.shape[:-1]):
        raise RuntimeError("torch.linalg.ldl_solve: Incompatible shapes of LD, pivots and B")
    wide = pivots.unsqueeze(-1)
    LD, wide, B = broadcast_batches(LD, wide, B)
    return call(LDL_SOLVE, (), (LD, wide.squeeze(-1), B), (B.shape, B.dtype, COLUMNS),
                hermitian=bool(hermitian) and LD._layout.dtype.is_complex)[0]
