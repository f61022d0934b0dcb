"""Reductions: extremes, products, variance, norms, order statistics, distances, counts; values, gradients, errors."""
import math

import numpy as np
import pytest

import rushlight as rl
from numeric import check_gradients, tensor

X = np.sin(np.arange(24.0) * 1.9).reshape(2, 3, 4) * 3


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_max_and_min_along(dim):
    for name, reference, place in (("max", np.max, np.argmax), ("min", np.min, np.argmin)):
        values, indices = getattr(rl, name)(tensor(X), dim)
        np.testing.assert_array_equal(values.numpy(), reference(X, dim))
        np.testing.assert_array_equal(indices.numpy(), place(X, dim))
        np.testing.assert_array_equal(getattr(rl, "arg" + name)(tensor(X).transpose(0, 2), dim).numpy(),
                                      place(X.swapaxes(0, 2), dim))
        check_gradients(lambda x, n=name: getattr(rl, n)(x, dim).values, X[:, :2, :2])


def test_named_results():
    found = rl.max(tensor(X), dim=1, keepdim=True)
    assert found.values.shape == (2, 1, 4) and found.indices.dtype is rl.int64
    assert type(found).__name__ == "max" and found[0] is found.values
    values, indices = rl.empty(0, dtype=rl.float64), rl.empty(0, dtype=rl.int64)
    rl.min(tensor(X), 0, out=(values, indices))
    np.testing.assert_array_equal(values.numpy(), X.min(0))


def test_whole_extremes():
    x = rl.tensor([3.0, 1.0, 3.0], requires_grad=True)
    top = x.max()
    assert top.grad_fn.name() == "MaxBackward1"
    top.backward()
    assert x.grad.tolist() == [0.5, 0.0, 0.5]
    assert rl.tensor([1.0, math.nan, 2.0]).max().isnan() and rl.tensor([1.0, math.nan]).argmax().item() == 1
    np.testing.assert_array_equal(rl.amax(tensor(X), (0, 2)).numpy(), X.max((0, 2)))
    low, high = rl.aminmax(tensor(X), dim=1)
    np.testing.assert_array_equal(low.numpy(), X.min(1))
    np.testing.assert_array_equal(high.numpy(), X.max(1))
    assert rl.max(tensor(X), tensor(-X)).shape == X.shape
    assert rl.tensor(3.0).max(0).indices.item() == 0


def test_extreme_errors():
    with pytest.raises(RuntimeError, match="Expected reduction dim"):
        rl.max(rl.zeros(0))
    with pytest.raises(IndexError, match="non-zero size"):
        rl.zeros(0, 2).max(0)
    with pytest.raises(IndexError, match="out of range"):
        rl.zeros(2).max(1)
    with pytest.raises(RuntimeError, match="bool"):
        rl.tensor([True]).argmax()


def test_products_and_truth():
    np.testing.assert_allclose(rl.prod(tensor(X), 1).numpy(), X.prod(1))
    check_gradients(lambda x: rl.prod(x, 1), X[0])
    with_zeros = X[0].copy()
    with_zeros[0, 0] = with_zeros[1, 1] = with_zeros[1, 2] = 0
    check_gradients(lambda x: rl.prod(x, 1), with_zeros)
    assert rl.tensor([2, 3], dtype=rl.int32).prod().dtype is rl.int64
    flags = rl.tensor([[1, 0], [0, 0]])
    assert flags.any(1).tolist() == [True, False] and flags.any().item() and not flags.all().item()
    assert rl.zeros(0).all().item() and not rl.zeros(0).any().item()
    assert rl.tensor([1], dtype=rl.uint8).any().dtype is rl.uint8
    assert rl.count_nonzero(flags, 0).tolist() == [1, 0]
    nan = rl.tensor([1.0, math.nan, 3.0])
    assert nan.nansum().item() == 4.0 and nan.nanmean().item() == 2.0


def test_variance():
    for dim in (None, 0, (0, 2)):
        for correction in (0, 1):
            np.testing.assert_allclose(rl.var(tensor(X), dim, correction=correction).numpy(),
                                       X.var(dim, ddof=correction), rtol=1e-12)
    np.testing.assert_allclose(tensor(X).std(unbiased=False).item(), X.std())
    np.testing.assert_allclose(tensor(X).std(1, False).numpy(), X.std(1))
    spread, mean = rl.std_mean(tensor(X), 1)
    np.testing.assert_allclose(spread.numpy(), X.std(1, ddof=1))
    np.testing.assert_allclose(mean.numpy(), X.mean(1))
    check_gradients(lambda x: rl.var(x, 1), X[0])
    check_gradients(lambda x: rl.std(x), X[0])
    check_gradients(lambda x: sum(rl.var_mean(x, 1)), X[0])
    shifted = tensor((X + 1e4).astype(np.float32))
    np.testing.assert_allclose(
        shifted.var().item(), (X + 1e4).astype(np.float32).astype(np.float64).var(ddof=1), rtol=1e-4
    )
    with pytest.raises(RuntimeError, match="floating point"):
        rl.tensor([1, 2]).var()


@pytest.mark.parametrize("p", [0, 1, 2, 3, 1.5, math.inf, -math.inf])
def test_norms(p):
    expected = np.linalg.norm(X[0], p, axis=1)
    np.testing.assert_allclose(rl.norm(tensor(X[0]), p, 1).numpy(), expected, rtol=1e-10)
    np.testing.assert_allclose(rl.linalg.vector_norm(tensor(X[0]), p, 1).numpy(), expected, rtol=1e-10)
    if p:
        check_gradients(lambda x: rl.norm(x, p, 1), X[0])
    np.testing.assert_allclose(rl.dist(tensor(X[0]), tensor(X[1]), p).item(), np.linalg.norm((X[0] - X[1]).ravel(), p))


def test_norm_at_zero():
    x = rl.zeros(3, requires_grad=True)
    x.norm().backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


def test_covariance():
    np.testing.assert_allclose(rl.cov(tensor(X[0])).numpy(), np.cov(X[0]), rtol=1e-10)
    np.testing.assert_allclose(rl.corrcoef(tensor(X[0])).numpy(), np.corrcoef(X[0]), rtol=1e-10)
    counts = np.array([1, 2, 1, 3])
    np.testing.assert_allclose(rl.cov(tensor(X[0]), fweights=tensor(counts)).numpy(), np.cov(X[0], fweights=counts))


def test_order_statistics():
    rows = X.reshape(2, 12)
    values, indices = rl.median(tensor(rows), 1)
    np.testing.assert_array_equal(values.numpy(), np.sort(rows, 1)[:, 5])
    np.testing.assert_array_equal(np.take_along_axis(rows, indices.numpy()[:, None], 1)[:, 0], values.numpy())
    assert (
        rl.tensor([3.0, math.nan, 1.0]).median().isnan() and rl.tensor([3.0, math.nan, 1.0]).nanmedian().item() == 1.0
    )
    assert rl.kthvalue(tensor(rows), 3).values.tolist() == np.sort(rows, 1)[:, 2].tolist()
    assert rl.mode(rl.tensor([2, 1, 2, 1, 3])).values.item() == 1
    check_gradients(lambda x: rl.median(x, 1).values, rows[:, :5])
    for q in (0.0, 0.3, 1.0):
        np.testing.assert_allclose(rl.quantile(tensor(rows), q, 1).numpy(), np.quantile(rows, q, axis=1))
    points = np.array([0.25, 0.5])
    np.testing.assert_allclose(
        rl.quantile(tensor(rows), tensor(points), dim=0).numpy(), np.quantile(rows, points, axis=0)
    )
    check_gradients(lambda x: rl.quantile(x, 0.4, 1), rows[:, :5])
    with pytest.raises(RuntimeError, match="range"):
        rl.quantile(tensor(rows), 1.5)
    with pytest.raises(RuntimeError, match="out of range"):
        rl.kthvalue(tensor(rows), 13)


def test_differences_and_integrals():
    np.testing.assert_allclose(rl.diff(tensor(X), 2, 1).numpy(), np.diff(X, 2, 1))
    np.testing.assert_allclose(rl.trapezoid(tensor(X), dx=0.5).numpy(), 0.5 * (X[..., 1:] + X[..., :-1]).sum(-1) / 2)
    for got, expected in zip(rl.gradient(tensor(X[0]), spacing=2.0), np.gradient(X[0], 2.0)):
        np.testing.assert_allclose(got.numpy(), expected)


def test_distances_between_rows():
    away = X[0][:, None] - X[1][None]
    np.testing.assert_allclose(rl.cdist(tensor(X[0]), tensor(X[1])).numpy(), np.sqrt((away**2).sum(-1)))
    np.testing.assert_allclose(rl.cdist(tensor(X[0]), tensor(X[1]), 1).numpy(), np.abs(away).sum(-1))
    check_gradients(rl.cdist, X[0][:2], X[1][:2])
    own = np.sqrt(((X[0][:, None] - X[0][None]) ** 2).sum(-1))
    np.testing.assert_allclose(rl.pdist(tensor(X[0])).numpy(), own[np.triu_indices(3, 1)])
    check_gradients(rl.pdist, X[0])
    limited = rl.renorm(tensor(X[0]), 2, 0, 1.0)
    assert (limited.norm(dim=1) <= 1 + 1e-6).all()


def test_counts():
    values = X.ravel()
    expected = np.histogram(values, 5, (-3, 3))[0]
    np.testing.assert_array_equal(rl.histc(tensor(values), 5, -3, 3).numpy(), expected)
    counts, edges = rl.histogram(tensor(values), 4)
    np.testing.assert_array_equal(counts.numpy(), np.histogram(values, 4)[0])
    np.testing.assert_allclose(edges.numpy(), np.histogram(values, 4)[1])
    assert rl.bincount(rl.tensor([1, 1, 3]), minlength=6).tolist() == [0, 2, 0, 1, 0, 0]
    assert rl.bincount(rl.tensor([0, 2]), rl.tensor([0.5, 1.5])).tolist() == [0.5, 0.0, 1.5]
    with pytest.raises(RuntimeError, match="non-negative"):
        rl.bincount(rl.tensor([-1]))


def test_long_and_empty_rows():
    long = np.cos(np.arange(200_000.0)).astype(np.float32)
    assert tensor(long).max().item() == long.max() and tensor(long).argmin().item() == long.argmin()
    np.testing.assert_allclose(tensor(long).var().item(), long.astype(np.float64).var(ddof=1), rtol=1e-5)
    assert rl.zeros(0, 3).sum(0).tolist() == [0.0] * 3 and rl.zeros(2, 0).prod(1).tolist() == [1.0, 1.0]


def test_amax_gradient_without_an_extreme_is_nan():
    """Nothing equals a result that was changed behind autograd's back: PyTorch divides by a count of zero."""
    x = tensor(X).requires_grad_()
    top = x.amax(1)
    top.data.add_(1)
    top.sum().backward()
    assert x.grad.isnan().all()


@pytest.mark.parametrize("values", [[2.0, 0.0, 4.0], [0.0, 0.0, 4.0], [1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
def test_second_derivatives_of_products_with_zeros(values):
    """d2 prod / dx_i dx_j is the product of all others, whichever of them are zero."""
    x = rl.tensor(values, dtype=rl.float64)
    found = rl.autograd.functional.hessian(lambda v: v.prod(), x)
    a, b, c = values
    assert found.tolist() == [[0, c, b], [c, 0, a], [b, a, 0]]
    rows = rl.autograd.functional.hessian(lambda v: v.prod(1).sum(), x.reshape(1, 3))
    assert rows.reshape(3, 3).tolist() == found.tolist()
    running = rl.autograd.functional.hessian(lambda v: v.cumprod(0).sum(), x)
    assert running.tolist() == [[0, 1 + c, b], [1 + c, 0, a], [b, a, 0]]
