"""Complex numbers: values against NumPy, gradients against finite differences, conjugates as views, the edges to Python
and NumPy."""
import pickle

import numpy as np
import pytest

import rushlight as torch

RANDOM = np.random.default_rng(0)


def numbers(*shape):
    return RANDOM.standard_normal(shape) + 1j * RANDOM.standard_normal(shape)


Z, W = numbers(3, 4), numbers(3, 4)
UNARY = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10,
    "log1p": np.log1p, "sqrt": np.sqrt, "rsqrt": lambda z: 1 / np.sqrt(z), "square": np.square,
    "reciprocal": np.reciprocal, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh,
    "atanh": np.arctanh, "sinc": np.sinc, "sigmoid": lambda z: 1 / (1 + np.exp(-z)), "neg": np.negative,
    "abs": np.abs, "angle": np.angle, "sgn": lambda z: z / np.abs(z), "conj": np.conj, "real": np.real,
    "imag": np.imag, "conj_physical": np.conj,
}


@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_number(name):
    function = getattr(torch, name)
    found = function(torch.tensor(Z)).resolve_conj()
    np.testing.assert_allclose(found.numpy(), UNARY[name](Z), rtol=1e-12, atol=1e-14)
    single = function(torch.tensor(Z.astype(np.complex64)).t()).resolve_conj()
    assert single.dtype in (torch.complex64, torch.float32)
    np.testing.assert_allclose(single.numpy(), UNARY[name](Z).T, rtol=3e-6, atol=1e-6)
    assert torch.autograd.gradcheck(function, torch.tensor(Z[:1, :2], requires_grad=True))


@pytest.mark.parametrize("name", ["exp", "sqrt", "log", "tanh", "sin", "asin", "acosh", "atanh"])
def test_special_values(name):
    """Zeros, infinities, cuts: as NumPy (C99) has them, apart from signs of zeros beside infinities."""
    values = np.array([0, -1, 1j, -1j, 2, -2, 30, -30, 1e-30, complex(-1, -0.0), complex(2, -0.0), complex(-2, 0.0)])
    with np.errstate(all="ignore"):
        wanted = UNARY[name](values)
    np.testing.assert_allclose(getattr(torch, name)(torch.tensor(values)).numpy(), wanted, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("function", [
    lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a / b, lambda a, b: a ** b,
    lambda a, b: torch.where(a.real > 0, a, b), lambda a, b: torch.lerp(a, b, 0.3),
    lambda a, b: torch.addcmul(a, a, b, value=2j), lambda a, b: torch.complex(a.real, b.imag),
    lambda a, b: torch.polar(a.abs(), b.real), lambda a, b: torch.dist(a, b), lambda a, b: torch.vdot(a[0], b[0]),
    lambda a, b: a @ b.mH, lambda a, b: torch.cat([a, b.conj()]), lambda a, b: torch.outer(a[0], b[1]),
], ids=str)
def test_gradients_of_two(function):
    pair = [torch.tensor(x[:2, :3], requires_grad=True) for x in (Z, W)]
    assert torch.autograd.gradcheck(function, pair)


@pytest.mark.parametrize("function", [
    lambda z: z.sum(), lambda z: z.mean(0), lambda z: z.prod(1), lambda z: z.var(1), lambda z: z.std(),
    lambda z: z.norm(), lambda z: torch.linalg.vector_norm(z, 3), lambda z: torch.linalg.vector_norm(z, 1),
    lambda z: z.cumsum(1), lambda z: z.cumprod(1), lambda z: torch.logsumexp(z, 0), lambda z: z[[0, 1, 1], 1:],
    lambda z: z[:, ::2].conj().imag, lambda z: torch.view_as_real(z) ** 2,
    lambda z: z.index_select(1, torch.tensor([2, 0])),
    lambda z: z.flip(0), lambda z: z ** 2.5, lambda z: 2 ** z, lambda z: z * z.conj(),
], ids=str)
def test_gradients_of_one(function):
    z = torch.tensor(Z[:2, :3], requires_grad=True)
    assert torch.autograd.gradcheck(function, z)


def test_second_gradients():
    z = torch.tensor(Z[:2, :2], requires_grad=True)
    for function in (lambda x: x * x.conj(), lambda x: x.abs(), lambda x: x.exp(), lambda x: x @ x):
        assert torch.autograd.gradgradcheck(function, z)


def test_reductions():
    big = numbers(70, 130)
    for dim in (None, 0, 1, (0, 1)):
        found, wanted = torch.tensor(big).sum(dim), big.sum(dim)
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12)
    np.testing.assert_allclose(torch.tensor(big).t().sum(0).numpy(), big.sum(1), rtol=1e-12)
    np.testing.assert_allclose(torch.tensor(Z).prod(0).numpy(), Z.prod(0), rtol=1e-12)
    np.testing.assert_allclose(torch.tensor(Z).var(0, correction=1).numpy(), Z.var(0, ddof=1), rtol=1e-12)
    long = numbers(300_000)
    np.testing.assert_allclose(torch.tensor(long).sum().numpy(), long.sum(), rtol=1e-9)


def test_products_and_convolutions():
    a, b = numbers(2, 3, 4), numbers(2, 4, 5)
    np.testing.assert_allclose((torch.tensor(a) @ torch.tensor(b)).numpy(), a @ b, atol=1e-12)
    np.testing.assert_allclose(torch.einsum("bij,bjk->ik", torch.tensor(a), torch.tensor(b)).numpy(),
                               np.einsum("bij,bjk->ik", a, b), atol=1e-12)
    x, w, bias = numbers(2, 4, 9), numbers(6, 2, 3), numbers(6)
    wanted = np.stack([[[(x[n, o // 3 * 2:o // 3 * 2 + 2, t:t + 3] * w[o]).sum() + bias[o] for t in range(7)]
                        for o in range(6)] for n in range(2)])
    tensors = [torch.tensor(v, requires_grad=True) for v in (x, w, bias)]
    found = torch.nn.functional.conv1d(*tensors, groups=2)
    np.testing.assert_allclose(found.detach().numpy(), wanted, atol=1e-12)
    small = [torch.tensor(v, requires_grad=True) for v in (x[:1, :2, :5], w[:2, :1], bias[:2])]
    assert torch.autograd.gradcheck(lambda *v: torch.nn.functional.conv1d(*v, groups=2, stride=2), small)
    assert torch.autograd.gradcheck(lambda u, v: torch.nn.functional.conv_transpose1d(u, v, stride=2), small[:2])


def test_factorisations():
    a = numbers(4, 4)
    x = torch.tensor(a, requires_grad=True)
    np.testing.assert_allclose(torch.linalg.inv(x).detach().numpy(), np.linalg.inv(a), atol=1e-12)
    np.testing.assert_allclose(torch.linalg.det(x).item(), np.linalg.det(a))
    for function in (torch.linalg.inv, torch.linalg.det, torch.linalg.svdvals, torch.linalg.slogdet,
                     lambda v: torch.linalg.eigvalsh(v + v.mH), lambda v: torch.linalg.eigvals(v).abs().sum(),
                     lambda v: torch.linalg.cholesky(v @ v.mH + torch.eye(4)), torch.linalg.qr):
        assert torch.autograd.gradcheck(function, x)


def test_conjugates_are_views():
    z = torch.tensor([1 + 2j, 3 - 4j])
    y = z.conj()
    assert y.is_conj() and y.data_ptr() == z.data_ptr() and not y.resolve_conj().is_conj()
    assert y.imag.is_neg() and y.imag.tolist() == [-2, 4] and not y.imag.resolve_neg().is_neg()
    assert y.conj().is_conj() is False and (y * 1).is_conj() is False
    z[0] = 5 + 6j
    assert y.tolist() == [5 - 6j, 3 + 4j]
    y[1] = 1j
    y.imag.mul_(2)
    assert z.tolist() == [5 + 12j, -2j]
    y.scatter_(0, torch.tensor([0]), torch.tensor([7j]))
    assert z[0].item() == -7j
    assert y.dtype is torch.complex64 and repr(y.dtype) == "torch.complex64"
    with pytest.raises(RuntimeError, match="conjugate bit"):
        y.numpy()
    with pytest.raises(RuntimeError, match="view_as_real"):
        torch.view_as_real(y)
    assert np.asarray(y).tolist() == pickle.loads(pickle.dumps(y)).tolist() == y.tolist()


def test_writes_to_parts_have_gradients():
    z = torch.tensor(Z[0], requires_grad=True)

    def written(x):
        y = x * 1
        y.imag.mul_(3)
        y.conj()[0] = 2
        y.real[1:].exp_()
        return y

    assert torch.autograd.gradcheck(written, z)


def test_numbers_and_promotion():
    one = torch.ones(2)
    assert (one * 1j).dtype is torch.complex64 and (one.double() * 1j).dtype is torch.complex128
    assert (torch.arange(2) + 1j).tolist() == [1j, 1 + 1j]
    assert torch.result_type(one, 1j) is torch.complex64
    assert (one - torch.tensor(1j, dtype=torch.complex128)).dtype is torch.complex64
    assert torch.full((2,), 1j).tolist() == [1j, 1j] and torch.zeros(1, dtype=torch.complex64).tolist() == [0]
    assert torch.tensor(1 + 2j).item() == 1 + 2j and complex(torch.tensor(2j)) == 2j
    assert float(torch.tensor(2 + 0j)) == 2
    with pytest.raises(RuntimeError, match="without overflow"):
        float(torch.tensor(2j))
    z = torch.tensor([1 + 1j])
    z += 1
    z[0] *= 1j
    assert z.tolist() == [-1 + 2j]
    with pytest.raises(RuntimeError, match="can't be cast"):
        one.add_(1j)


@pytest.mark.parametrize("call", [
    lambda z: z < z, lambda z: z.max(), lambda z: z.argmax(), lambda z: z.floor(), lambda z: torch.maximum(z, z),
    lambda z: z.clamp(0, 1), lambda z: z % 2,
])
def test_what_has_no_order_is_refused(call):
    with pytest.raises((RuntimeError, NotImplementedError)):
        call(torch.tensor([1 + 1j]))


def test_numpy_and_printing():
    array = Z.astype(np.complex64)
    shared = torch.from_numpy(array)
    shared.real.zero_()
    assert not array.real.any() and shared.numpy().dtype == np.complex64
    assert repr(torch.tensor([1 + 2j, 3.5 - 4j])) == "tensor([1.0000+2.j, 3.5000-4.j])"
    assert repr(torch.tensor(1j)) == "tensor(0.+1.j)"
    assert repr(torch.tensor([1j], dtype=torch.complex128)) == "tensor([0.+1.j], dtype=torch.complex128)"


def test_random_numbers_have_unit_variance():
    torch.manual_seed(0)
    z = torch.randn(10_000, dtype=torch.complex64)
    assert abs(z.var().item() - 1) < 0.05 and abs(z.real.var().item() - 0.5) < 0.05
    assert torch.rand(3, dtype=torch.complex128).dtype is torch.complex128


def test_an_optimizer_takes_steps_in_both_parts():
    p = torch.tensor([1 + 2j, 3 - 1j], requires_grad=True)
    optimizer = torch.optim.Adam([p], lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        ((p - (2 + 1j)).abs() ** 2).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(p.detach().numpy(), [2 + 1j] * 2, atol=1e-2)
