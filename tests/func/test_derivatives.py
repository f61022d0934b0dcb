"""Derivatives of functions, alone and nested, against formulas."""
import numpy as np
import pytest

import rushlight as rl
from rushlight.func import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp, vmap

A = rl.tensor(np.random.default_rng(1).standard_normal((3, 4)))
X = rl.tensor(np.random.default_rng(2).standard_normal(4))


def close(got, expected):
    np.testing.assert_allclose(got.detach().numpy(), np.asarray(expected), rtol=1e-9, atol=1e-9)


def fourth(x):
    return x ** 4


def test_grad_of_powers_nests():
    found = fourth
    for expected in (32.0, 48.0, 48.0, 24.0):
        found = grad(found)
        assert found(rl.tensor(2.0)).item() == expected


def test_grad_of_nests_and_argument_numbers():
    found = grad(lambda p, c: (p["a"] * p["b"][0]).sum() * c)({"a": X, "b": [2 * X]}, 3.0)
    close(found["a"], 6 * X.numpy())
    close(found["b"][0], 3 * X.numpy())
    first, second = grad(lambda a, b: (a * a * b).sum(), argnums=(0, 1))(X, X)
    close(first, 2 * X.numpy() ** 2)
    close(second, X.numpy() ** 2)
    close(grad(lambda a, b: (a * b).sum(), argnums=-1)(X, 2 * X), X.numpy())


def test_value_and_aux():
    g, (value, aux) = grad_and_value(lambda x: ((x * x).sum(), x + 1), has_aux=True)(X)
    close(g, 2 * X.numpy())
    close(value, (X.numpy() ** 2).sum())
    close(aux, X.numpy() + 1)
    assert not value.requires_grad and not g.requires_grad and not aux.requires_grad


def test_errors():
    with pytest.raises(RuntimeError, match="scalar"):
        grad(lambda x: x)(X)
    with pytest.raises(RuntimeError, match="positional inputs"):
        grad(lambda x: x.sum(), argnums=1)(X)
    with pytest.raises(RuntimeError, match="floating point"):
        grad(lambda x: x.sum())(rl.ones(2, dtype=rl.int64))
    with pytest.raises(RuntimeError, match="tuple"):
        jvp(rl.sin, X, X)
    with pytest.raises(RuntimeError, match="structure"):
        jvp(rl.sin, (X,), (X, X))
    with pytest.raises(RuntimeError, match="structure"):
        vjp(rl.sin, X)[1]((X, X))


def test_the_graph_outside_goes_on():
    w = rl.tensor([1.0, 2.0], requires_grad=True)
    found = grad(lambda x: ((x * w) ** 2).sum())(rl.ones(2))  # 2 x w^2
    assert found.requires_grad
    found.sum().backward()
    assert w.grad.tolist() == [4.0, 8.0]
    x = rl.tensor(3.0, requires_grad=True)
    grad(lambda t: t ** 3)(x).backward()
    assert x.grad.item() == 18.0
    with rl.no_grad():
        assert not grad(lambda t: t ** 3)(x).requires_grad


def test_outputs_that_depend_on_nothing():
    assert grad(lambda x: rl.tensor(1.0))(X).tolist() == [0.0] * 4
    assert jvp(lambda x: rl.ones(2), (X,), (X,))[1].tolist() == [0.0, 0.0]
    with pytest.raises(RuntimeError, match="independent"):
        jvp(lambda x: rl.ones(2), (X,), (X,), strict=True)


def test_vjp_and_jvp_are_products_with_the_jacobian():
    v = rl.tensor([1.0, -2.0, 0.5], dtype=rl.float64)
    y, pull = vjp(lambda x: (A @ x).tanh(), X)
    jacobian = (1 - np.tanh(A.numpy() @ X.numpy()) ** 2)[:, None] * A.numpy()
    close(y, np.tanh(A.numpy() @ X.numpy()))
    close(pull(v)[0], v.numpy() @ jacobian)
    close(pull(2 * v)[0], 2 * v.numpy() @ jacobian)
    y, tangent = jvp(lambda x: (A @ x).tanh(), (X,), (2 * X,))
    close(tangent, jacobian @ (2 * X.numpy()))
    y, push = linearize(lambda x: (A @ x).tanh(), X)
    close(push(X), jacobian @ X.numpy())
    close(push(3 * X), jacobian @ (3 * X.numpy()))


def test_products_under_vmap():
    jacobian = (1 - np.tanh(A.numpy() @ X.numpy()) ** 2)[:, None] * A.numpy()
    _, pull = vjp(lambda x: (A @ x).tanh(), X)
    close(vmap(pull)(rl.eye(3, dtype=rl.float64))[0], jacobian)
    _, push = linearize(lambda x: (A @ x).tanh(), X)
    close(vmap(push, out_dims=1)(rl.eye(4, dtype=rl.float64)), jacobian)


@pytest.mark.parametrize("transform", [jacrev, jacfwd])
@pytest.mark.parametrize("rows", [3, 12])
def test_jacobians(transform, rows):
    a = rl.tensor(np.random.default_rng(3).standard_normal((rows, 4)))
    expected = np.cos(a.numpy() @ X.numpy())[:, None] * a.numpy()
    close(transform(lambda x: (a @ x).sin())(X), expected)
    found = transform(lambda x: {"s": (a @ x).sin(), "sum": x.sum()})(X)
    close(found["s"], expected)
    close(found["sum"], np.ones(4))
    first, second = transform(lambda x, y: (a @ (x * y)).sin(), argnums=(0, 1))(X, rl.ones(4, dtype=rl.float64))
    close(first, expected)
    close(second, expected * X.numpy())
    both = transform(lambda x: ((a @ x).sin(), x * 2), has_aux=True)(X)
    close(both[0], expected)
    close(both[1], 2 * X.numpy())


def test_jacobians_in_chunks():
    a = rl.tensor(np.random.default_rng(3).standard_normal((12, 4)))
    close(jacrev(lambda x: a @ x, chunk_size=5)(X), a.numpy())


def test_hessians():
    x = X.numpy()
    close(hessian(lambda v: (v ** 3).sum() * v[0])(X),
          np.diag(6 * x * x[0]) + np.outer(3 * x ** 2, np.eye(4)[0]) + np.outer(np.eye(4)[0], 3 * x ** 2))
    close(jacrev(jacrev(lambda v: (v ** 3).sum()))(X), np.diag(6 * x))
    close(jacrev(jacfwd(lambda v: (v ** 3).sum()))(X), np.diag(6 * x))
    close(jacfwd(jacfwd(lambda v: (v ** 3).sum()))(X), np.diag(6 * x))


def test_forward_over_forward_does_not_confuse_tangents():
    def inner(y):
        return jvp(lambda x: x * y, (rl.tensor(2.0),), (rl.tensor(1.0),))[1]  # d(xy)/dx = y
    assert jvp(inner, (rl.tensor(5.0),), (rl.tensor(1.0),))[1].item() == 1.0


def test_random_numbers_are_those_of_one_evaluation():
    found = jacrev(lambda x: rl.nn.functional.dropout(x, 0.5))(rl.ones(12))
    assert set(found.diagonal().tolist()) <= {0.0, 2.0} and found.sum().item() == found.diagonal().sum().item()
