"""Reductions over rows, columns and everything; softmax and its kin; scans."""
import numpy as np
import pytest

import rushlight as rl

RNG = np.random.RandomState(0)
SHAPES = [((7,), 0), ((3, 5), 0), ((3, 5), 1), ((2, 3, 70), 2), ((2, 3, 70), 1), ((4, 1000), 1), ((300, 33), 0)]


@pytest.mark.parametrize("shape, dim", SHAPES)
def test_values(shape, dim):
    x = RNG.randn(*shape).astype("f")
    t = rl.tensor(x)
    for name in ("sum", "mean", "prod", "std", "var"):
        options = {"ddof": 1} if name in ("std", "var") else {}
        assert np.allclose(getattr(t, name)(dim).numpy(), getattr(x, name)(axis=dim, **options), rtol=1e-3,
                           atol=1e-5), name
    values, where = t.max(dim)
    assert np.array_equal(values.numpy(), x.max(dim)) and np.array_equal(where.numpy(), x.argmax(dim))
    assert np.array_equal(t.argmin(dim).numpy(), x.argmin(dim))
    e = np.exp(x - x.max(dim, keepdims=True))
    assert np.allclose(t.softmax(dim).numpy(), e / e.sum(dim, keepdims=True), atol=1e-6)
    assert np.allclose(t.cumsum(dim).numpy(), x.cumsum(dim), atol=1e-4)
    assert np.array_equal(t.cummax(dim).values.numpy(), np.maximum.accumulate(x, dim))


def test_strided_empty_and_integer():
    x = RNG.randint(-5, 5, (6, 8))
    t = rl.tensor(x)[::2, 1::3]
    assert np.array_equal(t.sum(0).numpy(), x[::2, 1::3].sum(0)) and t.sum().dtype is rl.int64
    assert rl.zeros(0, 3).sum(0).tolist() == [0, 0, 0] and rl.zeros(0).sum().item() == 0
    assert rl.tensor([True, False]).any().item() and not rl.tensor([True, False]).all().item()


def test_long_sums_keep_their_accuracy():
    x = RNG.rand(1 << 20).astype("f")
    assert abs(rl.tensor(x).sum().item() - x.astype("d").sum()) < 0.05
    assert abs(rl.full((1 << 20,), 0.1).mean().item() - 0.1) < 1e-7


def test_nan_wins():
    t = rl.tensor([1.0, float("nan"), 3.0])
    assert np.isnan(t.max().item()) and t.argmax().item() == 1 and np.isnan(t.amin().item())


@pytest.mark.parametrize("function", [lambda x: x.softmax(1), lambda x: x.log_softmax(0), lambda x: x.logsumexp(1),
                                      lambda x: x.var(1),
                                      lambda x: x.cumsum(1), lambda x: x.prod(1), lambda x: x.norm(),
                                      lambda x: x.amax(1)])
def test_gradients(function):
    x = rl.tensor(RNG.randn(3, 4), requires_grad=True)
    assert rl.autograd.gradcheck(function, (x,)) and rl.autograd.gradgradcheck(function, (x,))


def test_errors():
    with pytest.raises(IndexError, match="Dimension out of range"):
        rl.zeros(2).sum(1)
    with pytest.raises(RuntimeError, match="could not infer output dtype"):
        rl.tensor([1, 2]).mean()


@pytest.mark.parametrize("shape, dim", [((4099, 70), 0), ((3, 1000, 100), 1), ((300, 5, 257), 0), ((70000, 5), 0),
                                        ((700, 30, 40), (0, 1))])
def test_tall_reductions_in_blocks(shape, dim):
    a = RNG.standard_normal(shape).astype(np.float32)
    x, wide = rl.tensor(a), a.astype(np.float64)
    assert np.allclose((x * 2).sum(dim).numpy(), 2 * wide.sum(dim), rtol=1e-5, atol=1e-4)
    assert np.array_equal((x + 1).amax(dim).numpy(), (a + 1).max(dim))
    assert np.array_equal((x > 3).any(dim).numpy() if isinstance(dim, int) else (x > 3).sum(dim).bool().numpy(),
                          (a > 3).any(dim))
    both = x.sum(dim) * 3 + x.square().sum(dim)  # two sums in one pass, and what follows them
    assert np.allclose(both.numpy(), wide.sum(dim) * 3 + (wide**2).sum(dim), rtol=1e-5, atol=1e-3)
    assert np.allclose(x.var(dim).numpy(), wide.var(dim, ddof=1), rtol=1e-4)


def test_tall_sums_keep_their_accuracy():
    x = rl.full((100_003, 24), 0.1)
    assert np.allclose((x * 1.0).sum(0).numpy(), 100_003 * float(np.float32(0.1)), rtol=1e-6)


def test_softmax_of_rows_with_nan_is_nan():
    x = rl.ones(3, 40)
    x[1, 7] = float("nan")
    found = x.softmax(1)
    assert found[1].isnan().all() and not found[::2].isnan().any()
    assert x.log_softmax(1)[1].isnan().all() and x.logsumexp(1).isnan().tolist() == [False, True, False]
