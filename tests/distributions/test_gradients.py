"""Gradients of samples: implicit reparameterisation against finite differences of cumulative functions."""
import numpy as np
import pytest

import rushlight as torch
from rushlight import distributions as D
from rushlight.ops.random.gamma_sampling import dirichlet_grad, standard_gamma_grad

special = pytest.importorskip("scipy.special")


def quantile_slope(inverse, a, p, step=1e-6):
    """d(quantile)/da at fixed probability, which is what the gradient of a sample is."""
    return (inverse(a * (1 + step), p) - inverse(a * (1 - step), p)) / (2 * a * step)


def test_gamma():
    a = np.array([0.05, 0.4, 1.0, 2.5, 30.0, 400.0, 3e4])[:, None]
    p = np.array([1e-3, 0.1, 0.5, 0.9, 0.999])[None]
    x = special.gammaincinv(a, p)
    found = standard_gamma_grad(torch.from_numpy(a + 0 * p), torch.from_numpy(x)).numpy()
    expected = quantile_slope(special.gammaincinv, a, p)
    use = x > 1e-200
    assert np.allclose(found[use], expected[use], rtol=2e-4, atol=1e-12)


def test_beta():
    a, b, p = np.meshgrid([0.1, 0.7, 1.0, 3.0, 50.0, 900.0], [0.2, 1.0, 4.0, 300.0], [0.01, 0.3, 0.6, 0.99])
    x = special.betaincinv(a, b, p)
    found = dirichlet_grad(*map(torch.from_numpy, (x, a, a + b))).numpy() * (1 - x)
    expected = quantile_slope(lambda a, p: special.betaincinv(a, b, p), a, p)
    use = (x > 1e-100) & (x < 1 - 1e-9)
    assert np.allclose(found[use], expected[use], rtol=1e-3, atol=1e-12)


def test_dirichlet_gradients_keep_the_sum():
    concentration = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64, requires_grad=True)
    torch.manual_seed(0)
    sample = D.Dirichlet(concentration).rsample()
    gradient, = torch.autograd.grad(sample.sum(), concentration)
    assert gradient.abs().max() < 1e-12
    assert torch.autograd.grad(D.Dirichlet(concentration).rsample()[0], concentration)[0][0] > 0


@pytest.mark.parametrize("make, value", [
    (lambda a: D.Gamma(a, torch.ones_like(a)), 1.7), (lambda a: D.Beta(a, torch.full_like(a, 1.5)), 1.7),
    (lambda a: D.Chi2(a), 3.0), (lambda a: D.StudentT(a), 6.0),
])
def test_means_have_the_gradient_of_their_formula(make, value):
    """The mean gradient of squared samples is the gradient of the second moment."""
    a = torch.full((40000,), value, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(0)
    slopes, = torch.autograd.grad(make(a).rsample().pow(2).sum(), a)
    one = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    d = make(one)
    expected, = torch.autograd.grad(d.variance + d.mean**2, one)
    error = (slopes.mean() - expected) / (slopes.std() / 200)
    assert abs(error.item()) < 5


def test_a_distribution_can_be_differentiated_again():
    loc = torch.tensor(2.0, requires_grad=True)
    d = D.Normal(loc, torch.ones(3))
    for _ in range(2):
        d.log_prob(torch.zeros(3)).sum().backward()
    assert loc.grad.item() == -12
