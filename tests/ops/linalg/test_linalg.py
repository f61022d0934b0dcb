"""Linear algebra: values against NumPy, gradients by differences, errors with the number of the pivot."""
import math
import warnings

import numpy as np
import pytest

import rushlight as rl
from numeric import check_gradients, tensor
from rushlight.base import switches
from rushlight.core.stream import STREAM

RANDOM = np.random.default_rng(0)
A = RANDOM.standard_normal((2, 4, 4)) + np.eye(4) * 2
B = RANDOM.standard_normal((2, 4, 3))
POSITIVE = A @ A.swapaxes(-1, -2) + np.eye(4)
SYMMETRIC = A + A.swapaxes(-1, -2)
TALL, WIDE = RANDOM.standard_normal((5, 3)), RANDOM.standard_normal((3, 5))


def close(got, expected, tolerance=1e-9):
    np.testing.assert_allclose(got.detach().numpy(), expected, rtol=tolerance, atol=tolerance)


def test_inverse_and_solve():
    close(rl.linalg.inv(tensor(A)), np.linalg.inv(A))
    close(rl.linalg.solve(tensor(A), tensor(B)), np.linalg.solve(A, B))
    close(rl.linalg.solve(tensor(A), tensor(B.swapaxes(-1, -2)), left=False),
          np.linalg.solve(A.swapaxes(-1, -2), B).swapaxes(-1, -2))
    close(rl.linalg.solve(tensor(A), tensor(B[..., 0])), np.linalg.solve(A, B[..., :1])[..., 0])
    check_gradients(rl.linalg.inv, A)
    check_gradients(rl.linalg.solve, A, B)
    close(rl.linalg.tensorsolve(tensor(A[0].reshape(2, 2, 4)), tensor(B[0, :, 0].reshape(2, 2))),
          np.linalg.solve(A[0], B[0, :, 0]))
    close(rl.linalg.tensorinv(tensor(A[0].reshape(4, 2, 2)), 1), np.linalg.inv(A[0]).reshape(2, 2, 4))


def test_info_of_singular_matrices():
    matrices = np.stack([np.eye(3), np.diag([1.0, 0, 2])])
    found, info = rl.linalg.inv_ex(tensor(matrices))
    assert info.tolist() == [0, 2] and info.dtype is rl.int32
    close(found[0], np.eye(3))
    with pytest.raises(rl.linalg.LinAlgError, match=r"linalg.inv: \(Batch element 1\): The diagonal element 2 is zero"):
        rl.linalg.inv(tensor(matrices))
    with pytest.raises(RuntimeError, match="input matrix is singular"):
        rl.linalg.solve(tensor(matrices[1]), rl.ones(3, dtype=rl.float64))
    assert rl.linalg.solve_ex(tensor(matrices), rl.ones(2, 3, 1, dtype=rl.float64)).info.tolist() == [0, 2]
    found, info = rl.linalg.cholesky_ex(tensor(np.stack([np.eye(3), np.diag([1.0, 2, -1])])))
    assert info.tolist() == [0, 3]
    with pytest.raises(rl.linalg.LinAlgError, match="leading minor of order 2 is not positive-definite"):
        rl.linalg.cholesky(tensor(np.diag([1.0, -1])))
    with pytest.raises(RuntimeError, match="must be batches of square matrices"):
        rl.linalg.inv(rl.ones(2, 3))
    with pytest.raises(RuntimeError, match="Got Long"):
        rl.linalg.det(rl.ones(3, 3, dtype=rl.int64))


@pytest.mark.skipif(switches.EAGER, reason="the eager mode runs every operator at once")
def test_what_cannot_fail_does_not_wait():
    x, right = tensor(POSITIVE, True), tensor(B)
    before = STREAM.block
    total = rl.linalg.inv_ex(x)[0].det().sum() + rl.linalg.lu(x)[1].logdet().sum()
    total = total + rl.linalg.solve_triangular(rl.linalg.cholesky_ex(x)[0], right, upper=False).sum()
    assert STREAM.block is before
    total.backward()
    assert x.grad.isfinite().all()
    with pytest.raises(rl.linalg.LinAlgError, match="linalg.svd: The algorithm failed to converge"):
        rl.linalg.svd(rl.full((2, 2), float("nan")))
    y = rl.full((2, 2), float("nan"), requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy's warnings stay inside
        y.det().backward()
    assert y.grad.isnan().all()


def test_determinants():
    close(rl.det(tensor(A)), np.linalg.det(A))
    sign, logarithm = rl.slogdet(tensor(-A))
    close(sign * logarithm.exp(), np.linalg.det(-A))
    check_gradients(rl.det, A)
    check_gradients(rl.logdet, POSITIVE)
    x = tensor(np.ones((2, 2)), True)  # singular: the gradient is still the matrix of cofactors
    rl.det(x).backward()
    close(x.grad, [[1, -1], [-1, 1]])


def test_powers_and_products():
    close(rl.matrix_power(tensor(A), 5), np.linalg.matrix_power(A, 5))
    close(rl.matrix_power(tensor(A), -2), np.linalg.matrix_power(A, -2))
    x = tensor(A, True)
    rl.matrix_power(x, 0).sum().backward()
    close(x.grad, np.zeros_like(A))
    a, b = B[0].T, B[1].T.copy()
    close(rl.linalg.cross(tensor(B[0]), tensor(B[1])), np.cross(B[0], B[1]))
    close(rl.cross(tensor(a), tensor(b)), np.cross(a, b, axis=0))
    check_gradients(rl.linalg.cross, B[0], B[1])
    close(rl.linalg.vecdot(tensor(a), tensor(b)), (a * b).sum(-1))
    close(rl.trace(tensor(TALL)), np.trace(TALL))
    check_gradients(rl.trace, TALL)


@pytest.mark.parametrize("n", [1, 16, 17, 50])
@pytest.mark.parametrize("upper", [False, True])
def test_triangular_systems(n, upper):
    matrix = RANDOM.standard_normal((2, n, n)) + np.eye(n) * n
    triangle, right = (np.triu if upper else np.tril)(matrix), RANDOM.standard_normal((2, n, 2))
    got = rl.linalg.solve_triangular(tensor(matrix), tensor(right), upper=upper)
    close(got, np.linalg.solve(triangle, right))
    got = rl.linalg.solve_triangular(tensor(matrix), tensor(right.swapaxes(-1, -2)), upper=upper, left=False)
    close(got, np.linalg.solve(triangle.swapaxes(-1, -2), right).swapaxes(-1, -2))


def test_triangular_gradients():
    for unit in (False, True):
        check_gradients(lambda a, b: rl.linalg.solve_triangular(a, b, upper=True, unitriangular=unit), A, B)
    found = rl.linalg.solve_triangular(rl.zeros(2, 2), rl.ones(2, 1), upper=False)
    assert found[0].item() == float("inf")  # no error for a zero pivot
    close(rl.triangular_solve(tensor(B[0]), tensor(A[0]), transpose=True)[0], np.linalg.solve(np.triu(A[0]).T, B[0]))


def test_cholesky():
    close(rl.linalg.cholesky(tensor(POSITIVE)), np.linalg.cholesky(POSITIVE))
    close(rl.linalg.cholesky(tensor(POSITIVE), upper=True), np.linalg.cholesky(POSITIVE).swapaxes(-1, -2))
    check_gradients(lambda a: rl.linalg.cholesky(a @ a.mT + rl.eye(4, dtype=rl.float64)), A)
    factor = np.linalg.cholesky(POSITIVE)
    close(rl.cholesky_solve(tensor(B), tensor(factor)), np.linalg.solve(POSITIVE, B))
    close(rl.cholesky_inverse(tensor(factor)), np.linalg.inv(POSITIVE))


@pytest.mark.parametrize("matrix", [TALL, WIDE, A], ids=["tall", "wide", "batch"])
def test_qr(matrix):
    Q, R = rl.linalg.qr(tensor(matrix))
    close(Q @ R, matrix)
    close(Q.mT @ Q, np.broadcast_to(np.eye(Q.shape[-1]), (*matrix.shape[:-2], Q.shape[-1], Q.shape[-1])))
    check_gradients(lambda a: rl.linalg.qr(a)[0] * 2, matrix)
    check_gradients(lambda a: rl.linalg.qr(a)[1], matrix)
    assert rl.linalg.qr(tensor(matrix), "r")[0].numel() == 0
    h, tau = rl.geqrf(tensor(matrix))
    close(h.triu()[..., :R.shape[-2], :], R.numpy())
    if matrix.shape[-2] >= matrix.shape[-1]:
        close(rl.linalg.householder_product(h, tau), Q.numpy())
        check_gradients(rl.linalg.householder_product, h.numpy() * 0.5, tau.numpy())


def test_ormqr():
    h, tau = rl.geqrf(tensor(TALL))
    square = rl.linalg.qr(tensor(TALL), "complete")[0].numpy()
    right = RANDOM.standard_normal((5, 2))
    close(rl.ormqr(h, tau, tensor(right)), square @ right)
    close(rl.ormqr(h, tau, tensor(right), transpose=True), square.T @ right)
    close(rl.ormqr(h, tau, tensor(right.T), left=False), right.T @ square)
    check_gradients(rl.ormqr, h.numpy() * 0.5, tau.numpy(), right)


@pytest.mark.parametrize("matrix", [TALL, WIDE, A], ids=["tall", "wide", "batch"])
def test_lu(matrix):
    P, L, U = rl.linalg.lu(tensor(matrix))
    close(P @ L @ U, matrix)
    check_gradients(lambda a: rl.linalg.lu(a)[1], matrix)
    check_gradients(lambda a: rl.linalg.lu(a)[2], matrix)
    LU, pivots = rl.linalg.lu_factor(tensor(matrix))
    check_gradients(lambda a: rl.linalg.lu_factor(a)[0], matrix)
    for got, expected in zip(rl.lu_unpack(LU, pivots), (P, L, U)):
        close(got, expected.numpy())


def test_lu_solve():
    LU, pivots = rl.linalg.lu_factor(tensor(A))
    close(rl.linalg.lu_solve(LU, pivots, tensor(B)), np.linalg.solve(A, B))
    close(rl.linalg.lu_solve(LU, pivots, tensor(B), adjoint=True), np.linalg.solve(A.swapaxes(-1, -2), B))
    close(rl.linalg.lu_solve(LU, pivots, tensor(B).mT, left=False).mT, np.linalg.solve(A.swapaxes(-1, -2), B))
    with pytest.raises(rl.linalg.LinAlgError, match=r"U\[2,2\] is zero"):
        rl.linalg.lu_factor(rl.ones(2, 2))


def test_ldl():
    LD, pivots = rl.linalg.ldl_factor(tensor(SYMMETRIC))
    close(rl.linalg.ldl_solve(LD, pivots, tensor(B)), np.linalg.solve(SYMMETRIC, B))


def test_symmetric_eigenvalues():
    values, vectors = rl.linalg.eigh(tensor(SYMMETRIC))
    close(values, np.linalg.eigvalsh(SYMMETRIC))
    close((vectors * values.unsqueeze(-2)) @ vectors.mT, SYMMETRIC)
    check_gradients(lambda a: rl.linalg.eigvalsh(a + a.mT), A)
    check_gradients(lambda a: rl.linalg.eigh(a + a.mT)[1] ** 2, A)
    x = rl.eye(3, requires_grad=True)  # equal eigenvalues: their own gradient is finite
    rl.linalg.eigvalsh(x).sum().backward()
    close(x.grad, np.eye(3))
    x.grad = None
    rl.linalg.eigh(x)[0].sum().backward()
    close(x.grad, np.eye(3))


@pytest.mark.parametrize("matrix", [TALL, WIDE, A], ids=["tall", "wide", "batch"])
def test_singular_values(matrix):
    U, S, Vh = rl.linalg.svd(tensor(matrix), full_matrices=False)
    close((U * S.unsqueeze(-2)) @ Vh, matrix)
    close(rl.linalg.svdvals(tensor(matrix)), np.linalg.svd(matrix, compute_uv=False))
    check_gradients(rl.linalg.svdvals, matrix)
    check_gradients(lambda a: rl.linalg.svd(a, full_matrices=False)[0] ** 2, matrix)
    check_gradients(lambda a: rl.linalg.svd(a, full_matrices=False)[2] ** 2, matrix)
    assert rl.autograd.gradgradcheck(rl.linalg.svdvals, (tensor(matrix, True),))
    close(rl.linalg.pinv(tensor(matrix)), np.linalg.pinv(matrix))
    check_gradients(rl.linalg.pinv, matrix)


def test_rank_and_condition():
    low = TALL[:, :1] * TALL[:, 1][None]
    assert rl.linalg.matrix_rank(tensor(low)).item() == 1
    assert rl.linalg.matrix_rank(tensor(SYMMETRIC), hermitian=True).tolist() == [4, 4]
    close(rl.linalg.pinv(tensor(low)), np.linalg.pinv(low))
    for p in (None, "fro", 1, np.inf):
        close(rl.linalg.cond(tensor(A), p), np.linalg.cond(A, p))
    assert rl.linalg.cond(rl.ones(2, 2), 1).item() == float("inf")


@pytest.mark.parametrize("ord", ["fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
def test_matrix_norms(ord):
    close(rl.linalg.matrix_norm(tensor(TALL), ord), np.linalg.norm(TALL, ord))
    close(rl.linalg.norm(tensor(A), ord, (-2, -1), keepdim=True),
          np.linalg.norm(A, ord, (-2, -1), keepdims=True))
    check_gradients(lambda a: rl.linalg.norm(a, ord), TALL)
    if ord in ("fro", "nuc", 1, 2, np.inf):
        assert rl.linalg.matrix_norm(rl.zeros(0, 0), ord).item() == 0


def test_norm_chooses():
    close(rl.linalg.norm(tensor(A)), np.linalg.norm(A))
    close(rl.linalg.norm(tensor(TALL[0]), 3), np.linalg.norm(TALL[0], 3))
    close(rl.linalg.norm(tensor(A), 1, 2), np.linalg.norm(A, 1, 2))
    with pytest.raises(RuntimeError, match="the input must be 1D or 2D. Got 3D"):
        rl.linalg.norm(tensor(A), 2)
    x = rl.zeros(3, dtype=rl.float64, requires_grad=True)
    first, = rl.autograd.grad(rl.linalg.norm(x, 3.5), x, create_graph=True)
    assert rl.autograd.grad(first.sum(), x)[0].tolist() == [0, 0, 0]


def test_least_squares():
    right = RANDOM.standard_normal((5, 2))
    X, residuals, rank, S = rl.linalg.lstsq(tensor(TALL), tensor(right), driver="gelsd")
    expected = np.linalg.lstsq(TALL, right)
    close(X, expected[0])
    close(residuals, expected[1])
    assert rank.item() == 3
    close(S, expected[3])
    check_gradients(lambda a, b: rl.linalg.lstsq(a, b)[0], TALL, right)
    check_gradients(lambda a, b: rl.linalg.lstsq(a, b)[0], WIDE, right[:3])
    close(rl.linalg.lstsq(tensor(TALL), tensor(right[:, 0]))[0], expected[0][:, 0])


def test_matrix_exponential():
    scipy = pytest.importorskip("scipy.linalg")
    close(rl.matrix_exp(tensor(A)), scipy.expm(A))
    check_gradients(rl.linalg.matrix_exp, A)
    half = rl.matrix_exp(rl.eye(2, dtype=rl.bfloat16))
    assert half.dtype is rl.bfloat16 and abs(half[0, 0].item() - np.e) < 0.01


def test_low_rank():
    low = TALL[:, :2] @ WIDE[:2]
    U, S, V = rl.svd_lowrank(tensor(low), q=2)
    close((U * S) @ V.mT, low)
    centred = low - low.mean(0)
    U, S, V = rl.pca_lowrank(tensor(low), q=2)
    close((U * S) @ V.mT, centred)


def test_other_names_of_norms():
    close(rl.norm_except_dim(tensor(TALL), 2, 0), np.linalg.norm(TALL, axis=1, keepdims=True))
    close(rl.norm_except_dim(tensor(TALL), 2, -1), np.linalg.norm(TALL))
    close(rl.frobenius_norm(tensor(TALL), (0, 1)), np.linalg.norm(TALL))
    close(rl.nuclear_norm(tensor(TALL)), np.linalg.norm(TALL, "nuc"))


def test_results_into_empty_tensors():
    """Targets that are still pending when they grow get the memory of their new size."""
    for matrix in (A[0], TALL, WIDE):
        targets = tuple([rl.zeros(0, dtype=rl.float64) for _ in range(3)])
        assert rl.linalg.lu(tensor(matrix), out=targets)[0] is targets[0]
        P, L, U = targets
        close(P @ L @ U, matrix)


# -- numbers that are not finite: LAPACK never returns from some of them -----------------------------------------------

SINGULAR_VALUES = {
    "svdvals": lambda A: rl.linalg.svdvals(A),
    "svd": lambda A: rl.linalg.svd(A).S,
    "reduced": lambda A: rl.linalg.svd(A, full_matrices=False).S,
    "cond": lambda A: rl.linalg.cond(A),
    "norm": lambda A: rl.linalg.matrix_norm(A, 2),
    "nuclear": lambda A: rl.linalg.matrix_norm(A, "nuc"),
    "pinv": lambda A: rl.linalg.pinv(A),
    "lstsq": lambda A: rl.linalg.lstsq(A, rl.ones(A.shape[-2], 1)).solution,
}


@pytest.mark.parametrize("name", SINGULAR_VALUES)
@pytest.mark.parametrize("value", [math.inf, -math.inf])
@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (3, 4), (4, 2)])
def test_infinity_gives_nan(name, value, shape):
    A = rl.ones(shape)
    A[0, -1] = value
    assert SINGULAR_VALUES[name](A).isnan().all()


def test_rank_of_a_matrix_with_an_infinity():
    A = rl.eye(3)
    A[0, 0] = math.inf
    assert rl.linalg.matrix_rank(A).item() == 0


def test_infinity_in_a_batch_leaves_the_others():
    A = rl.stack([rl.eye(2) * 3, rl.eye(2), rl.eye(2) * 2])
    A[1, 0, 0] = math.inf
    S = rl.linalg.svdvals(A)
    assert S[0].tolist() == [3, 3] and S[1].isnan().all() and S[2].tolist() == [2, 2]
    X = rl.linalg.lstsq(A, rl.ones(3, 2, 1)).solution
    assert rl.allclose(X[2], rl.full((2, 1), 0.5)) and X[1].isnan().all()


def test_infinity_on_the_right_of_least_squares():
    B = rl.ones(2, 2)
    B[0, 1] = math.inf
    X = rl.linalg.lstsq(rl.eye(2) * 2, B).solution
    assert rl.allclose(X[:, 0], rl.full((2,), 0.5)) and X[:, 1].isnan().all()


@pytest.mark.parametrize("name", sorted(set(SINGULAR_VALUES) - {"lstsq"}))
def test_nan_is_refused_where_singular_values_are_wanted(name):
    A = rl.eye(3)
    A[1, 0] = math.nan
    with pytest.raises(rl.linalg.LinAlgError, match="linalg.svd: The algorithm failed to converge because the input "
                                                    "matrix contained non-finite values."):
        SINGULAR_VALUES[name](A)
