"""Matrix products against numpy: shapes, strides, dtypes, batches, gradients, errors; einsum and tensordot."""
import numpy as np
import pytest

import rushlight as rl
from numeric import tensor

RNG = np.random.RandomState(0)


def pair(*shape, dtype=np.float32):
    array = RNG.randn(*shape).astype(dtype)
    return rl.tensor(array), array


@pytest.mark.parametrize("m, k, n", [(1, 1, 1), (3, 4, 5), (64, 50, 33), (130, 257, 70), (1, 300, 40), (5, 0, 3), (0, 4,
                                                                                                                   3)])
def test_mm(m, k, n):
    (a, x), (b, y) = pair(m, k), pair(k, n)
    assert np.allclose((a @ b).numpy(), x @ y, atol=1e-4)
    assert np.allclose(rl.mm(b.t(), a.t()).numpy(), (x @ y).T, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16", "int64", "int32"])
def test_dtypes(dtype):
    a, b = rl.arange(12).view(3, 4), rl.arange(8).view(4, 2)
    out = a.to(getattr(rl, dtype)) @ b.to(getattr(rl, dtype))
    assert out.dtype is getattr(rl, dtype)
    assert out.double().tolist() == (np.arange(12.0).reshape(3, 4) @ np.arange(8.0).reshape(4, 2)).tolist()


@pytest.mark.parametrize(
    "left, right",
    [
        ((4,), (4,)),
        ((3, 4), (4,)),
        ((4,), (4, 2)),
        ((5, 3, 4), (4, 2)),
        ((5, 3, 4), (4,)),
        ((4,), (5, 4, 2)),
        ((2, 1, 3, 4), (5, 4, 2)),
        ((3, 4), (5, 4, 2)),
    ],
)
def test_matmul_broadcasts(left, right):
    (a, x), (b, y) = pair(*left), pair(*right)
    out = rl.matmul(a, b)
    assert out.shape == (x @ y).shape and np.allclose(out.numpy(), x @ y, atol=1e-4)


def test_addmm_with_factors():
    (c, z), (a, x), (b, y) = pair(5), pair(3, 4), pair(4, 5)
    assert np.allclose(rl.addmm(c, a, b, beta=0.5, alpha=2.0).numpy(), 0.5 * z + 2 * (x @ y), atol=1e-5)
    nan = rl.full((3, 5), float("nan"))
    assert np.allclose(rl.addmm(nan, a, b, beta=0).numpy(), x @ y, atol=1e-5)


def test_sums_of_products_in_place():
    a, b, v = (np.arange(4.0).reshape(2, 2), np.ones((2, 2)) * 2, np.array([1.0, -1]))
    for name, arguments, expected in (
        ("addmm_", (a, b), 1 + a @ b), ("addmv_", (a, v), 1 + a @ v), ("addr_", (v, v), 1 + np.outer(v, v)),
        ("addbmm_", (a[None], b[None]), 1 + a @ b), ("baddbmm_", (a[None], b[None]), 1 + (a @ b)[None]),
    ):
        start = tensor(np.ones(expected.shape), True)
        target = start * 1
        assert getattr(target, name)(*[tensor(x) for x in arguments], beta=2) is target
        np.testing.assert_allclose(target.detach().numpy(), expected + 1)
        target.sum().backward()
        assert (start.grad == 2).all()
    with pytest.raises(RuntimeError, match="doesn't match"):
        rl.ones(2).addmm_(rl.ones(2, 2), rl.ones(2, 2))
    flags = rl.tensor([True, False])
    assert rl.zeros(2, 2, dtype=rl.bool).addr_(flags, flags, alpha=3).tolist() == [[True, False], [False, False]]


def test_tensordot_keeps_integers():
    a, b = rl.ones(1, 1, 1, dtype=rl.int32), rl.ones(2, 1, 2, dtype=rl.int32)
    found = rl.tensordot(a, b, dims=[[0, 1], [2, 0]])
    assert found.dtype is rl.int32 and found.tolist() == [[4]]


def test_linear_out():
    x, w = np.arange(6.0).reshape(2, 3), np.ones((4, 3))
    out = rl.empty(0, dtype=rl.float64)
    assert rl.nn.functional.linear(tensor(x), tensor(w), out=out) is out
    np.testing.assert_allclose(out.numpy(), x @ w.T)


def test_gradients():
    (a, x), (b, y), (c, z) = pair(6, 4, dtype=np.float64), pair(5, 4, dtype=np.float64), pair(5, dtype=np.float64)
    for t in (a, b, c):
        t.requires_grad_()
    out = rl.nn.functional.linear(a, b, c)
    assert type(out.grad_fn).__name__ == "AddmmBackward0"
    (out * out).sum().backward()
    g = 2 * (x @ y.T + z)
    assert np.allclose(a.grad.numpy(), g @ y) and np.allclose(b.grad.numpy(), g.T @ x) and np.allclose(c.grad.numpy(),
                                                                                                       g.sum(0))
    assert rl.autograd.gradcheck(rl.bmm, (rl.randn(2, 3, 4, dtype=rl.float64, requires_grad=True),
                                          rl.randn(2, 4, 2, dtype=rl.float64, requires_grad=True)))


@pytest.mark.parametrize(
    "equation, shapes",
    [
        ("ij,jk->ik", [(3, 4), (4, 5)]),
        ("bij,bjk", [(2, 3, 4), (2, 4, 5)]),
        ("ii->i", [(4, 4)]),
        ("i,j->ij", [(3,), (4,)]),
        ("...ij,...jk->...ik", [(2, 3, 4), (4, 5)]),
        ("ij->", [(3, 4)]),
        ("bhid,bhjd->bhij", [(2, 3, 4, 5), (2, 3, 6, 5)]),
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)]),
    ],
)
def test_einsum(equation, shapes):
    pairs = [pair(*s) for s in shapes]
    got = rl.einsum(equation, *[t for t, _ in pairs])
    assert np.allclose(got.numpy(), np.einsum(equation, *[a for _, a in pairs]), atol=1e-4)


def test_tensordot():
    (a, x), (b, y) = pair(3, 4, 5), pair(4, 5, 6)
    assert np.allclose(rl.tensordot(a, b).numpy(), np.tensordot(x, y), atol=1e-4)


def test_errors():
    with pytest.raises(RuntimeError, match=r"mat1 and mat2 shapes cannot be multiplied \(3x4 and 3x4\)"):
        rl.mm(rl.zeros(3, 4), rl.zeros(3, 4))
    with pytest.raises(RuntimeError, match="same dtype"):
        rl.mm(rl.zeros(3, 4), rl.zeros(4, 3, dtype=rl.float64))
    with pytest.raises(RuntimeError, match="at least 1D"):
        rl.matmul(rl.tensor(1.0), rl.zeros(3))
