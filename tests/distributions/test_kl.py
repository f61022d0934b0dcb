"""Divergences: every registered pair against an average over samples, and the table itself."""
import math
import warnings

import pytest

import rushlight as torch
from rushlight import distributions as D
from rushlight.distributions.kl import _KL_REGISTRY

T = torch.tensor
# Two of each class: the second one has the wider support.
MAKE = {
    D.Bernoulli: [lambda: D.Bernoulli(T([0.3])), lambda: D.Bernoulli(T([0.6]))],
    D.Beta: [lambda: D.Beta(T([1.5]), T([2.0])), lambda: D.Beta(T([2.5]), T([0.8]))],
    D.Binomial: [lambda: D.Binomial(4, T([0.3])), lambda: D.Binomial(4, T([0.6]))],
    D.Categorical: [lambda: D.Categorical(T([[0.2, 0.8]])), lambda: D.Categorical(T([[0.5, 0.5]]))],
    D.Cauchy: [lambda: D.Cauchy(T([0.0]), T([1.0])), lambda: D.Cauchy(T([1.0]), T([2.0]))],
    D.ContinuousBernoulli: [lambda: D.ContinuousBernoulli(T([0.3])), lambda: D.ContinuousBernoulli(T([0.7]))],
    D.Dirichlet: [lambda: D.Dirichlet(T([[1.5, 2.0]])), lambda: D.Dirichlet(T([[2.5, 0.8]]))],
    D.Exponential: [lambda: D.Exponential(T([2.0])), lambda: D.Exponential(T([1.5]))],
    D.Gamma: [lambda: D.Gamma(T([2.0]), T([3.0])), lambda: D.Gamma(T([1.5]), T([2.0]))],
    D.Geometric: [lambda: D.Geometric(T([0.5])), lambda: D.Geometric(T([0.3]))],
    D.Gumbel: [lambda: D.Gumbel(T([0.3]), T([0.5])), lambda: D.Gumbel(T([0.0]), T([1.0]))],
    D.HalfNormal: [lambda: D.HalfNormal(T([1.0])), lambda: D.HalfNormal(T([2.0]))],
    D.Laplace: [lambda: D.Laplace(T([0.3]), T([0.5])), lambda: D.Laplace(T([0.0]), T([1.0]))],
    D.MultivariateNormal: [
        lambda: D.MultivariateNormal(T([[0.0, 1.0]]), T([[1.0, 0.3], [0.3, 0.5]])),
        lambda: D.MultivariateNormal(T([[0.5, 0.5]]), T([[2.0, -0.3], [-0.3, 1.0]]))],
    D.LowRankMultivariateNormal: [
        lambda: D.LowRankMultivariateNormal(T([[0.0, 1.0]]), T([[1.0], [0.5]]), T([0.5, 0.5])),
        lambda: D.LowRankMultivariateNormal(T([[0.5, 0.5]]), T([[0.5], [1.0]]), T([1.0, 1.0]))],
    D.Normal: [lambda: D.Normal(T([0.3]), T([0.5])), lambda: D.Normal(T([0.0]), T([1.0]))],
    D.OneHotCategorical: [lambda: D.OneHotCategorical(T([[0.2, 0.8]])), lambda: D.OneHotCategorical(T([[0.5, 0.5]]))],
    D.Pareto: [lambda: D.Pareto(T([2.0]), T([8.0])), lambda: D.Pareto(T([1.5]), T([6.0]))],
    D.Poisson: [lambda: D.Poisson(T([2.0])), lambda: D.Poisson(T([1.5]))],
    D.Uniform: [lambda: D.Uniform(T([0.2]), T([0.9])), lambda: D.Uniform(T([-0.5]), T([1.5]))],
}
PAIRS = [(p, q) for p, q in _KL_REGISTRY if p in MAKE and q in MAKE]


@pytest.mark.parametrize("p, q", PAIRS, ids=[f"{p.__name__}-{q.__name__}" for p, q in PAIRS])
def test_pair(p, q):
    p, q = MAKE[p][0](), MAKE[q][1]()
    if isinstance(p, D.Uniform) and isinstance(q, D.Pareto):
        p, q = D.Uniform(T([2.0]), T([3.0])), D.Pareto(T([1.5]), T([2.0]))
    found = D.kl_divergence(p, q)
    assert found.shape == p.batch_shape
    torch.manual_seed(0)
    x = p.sample((20000,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            inside = q.support.check(x).all().item()
        except (ValueError, NotImplementedError):
            inside = True
    if not inside or found.isinf().all():
        assert found.isinf().all()
        return
    terms = p.log_prob(x) - q.log_prob(x)
    error = (terms.mean(0) - found) / (terms.std(0) / math.sqrt(20000) + 1e-6)
    assert error.abs().max() < 5, (found, terms.mean(0))


def test_bregman_divergences_agree():
    for kind in (D.Beta, D.Dirichlet, D.Exponential, D.Gamma, D.Normal, D.Bernoulli):
        p, q = MAKE[kind][0](), MAKE[kind][1]()
        bregman = _KL_REGISTRY[D.ExponentialFamily, D.ExponentialFamily](p, q)
        assert torch.allclose(bregman, D.kl_divergence(p, q), atol=1e-5)
        if kind not in (D.Beta, D.Dirichlet):  # these do not say their carrier measure
            assert torch.allclose(D.ExponentialFamily.entropy(p), p.entropy(), atol=1e-5)


def test_composed_distributions():
    base = [D.Normal(T([0.0, 1.0]), T([1.0, 2.0])), D.Normal(T([1.0, 1.0]), T([2.0, 2.0]))]
    kl = D.kl_divergence(*base)
    assert torch.allclose(D.kl_divergence(*[D.Independent(d, 1) for d in base]), kl.sum())
    logs = [D.LogNormal(d.loc, d.scale) for d in base]
    assert torch.allclose(D.kl_divergence(*logs), kl)
    with pytest.raises(NotImplementedError):
        D.kl_divergence(D.Independent(base[0], 1), D.Independent(base[1], 0))


def test_table():
    with pytest.raises(NotImplementedError, match="is implemented for p type Cauchy and q type Poisson"):
        D.kl_divergence(D.Cauchy(0.0, 1.0), D.Poisson(1.0))
    with pytest.raises(TypeError, match="Expected type_p"):
        D.register_kl(int, D.Normal)

    class Own(D.Normal):
        pass

    D.register_kl(Own, D.Normal)(lambda p, q: "own")
    try:
        assert D.kl_divergence(Own(0.0, 1.0), D.Normal(0.0, 1.0)) == "own"
        assert D.kl_divergence(D.Normal(0.0, 1.0), Own(0.0, 1.0)).item() == 0
    finally:
        del _KL_REGISTRY[Own, D.Normal]
        D.register_kl(D.Normal, D.Normal)(_KL_REGISTRY[D.Normal, D.Normal])
