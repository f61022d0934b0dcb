"""Every distribution gives PyTorch's numbers for a seed, its densities, entropies and texts."""
import warnings

import numpy as np
import pytest
from distributions.recorded import ROWS

import rushlight as torch
from rushlight import distributions as D

NAMES = dict(torch=torch, D=D, T=torch.tensor)


def make(expression):
    return eval(expression, NAMES)


def close(found, expected, tolerance=2e-5):
    return np.allclose(np.asarray(found.double().reshape(-1).tolist()), expected, tolerance, tolerance, equal_nan=True)


@pytest.mark.parametrize("name, expression, samples, after, log_prob, entropy, text", ROWS, ids=[r[0] for r in ROWS])
def test_numbers(name, expression, samples, after, log_prob, entropy, text):
    d = make(expression)
    torch.manual_seed(1)
    found = d.sample((2,))
    assert close(torch.rand(1), [after]), "as many draws as PyTorch's"
    assert close(found, samples)
    assert close(d.log_prob(found), log_prob, 2e-4)
    if entropy is None:
        with pytest.raises(NotImplementedError):
            d.entropy()
    else:
        assert close(d.entropy(), entropy)
    assert repr(d).replace("rushlight", "torch") == text


@pytest.mark.parametrize("expression", [r[1] for r in ROWS], ids=[r[0] for r in ROWS])
def test_expand(expression):
    d = make(expression)
    wide = d.expand((3, *d.batch_shape))
    assert type(wide) is type(d) and wide.batch_shape == (3, *d.batch_shape) and wide.event_shape == d.event_shape
    value = d.sample()
    assert close(wide.log_prob(value)[1], d.log_prob(value).reshape(-1).tolist())
    assert wide.sample((2,)).shape == (2, 3, *d.batch_shape, *d.event_shape)
    for moment in ("mean", "variance"):
        try:
            expected = getattr(d, moment)
        except NotImplementedError:
            continue
        assert close(getattr(wide, moment)[2], expected.reshape(-1).tolist())


@pytest.mark.parametrize("expression", [r[1] for r in ROWS], ids=[r[0] for r in ROWS])
def test_samples_are_in_the_support_and_have_the_moments(expression):
    d = make(expression)
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        samples = d.sample((4000,))
    assert d.support.check(samples).all()
    try:
        mean, variance = d.mean, d.variance
    except NotImplementedError:
        return
    if expression.startswith(("D.VonMises", "D.Pareto", "D.FisherSnedecor", "D.StudentT", "D.InverseGamma")):
        return  # circular, or without a fourth moment
    finite = torch.isfinite(mean) & torch.isfinite(variance)
    error = (samples.to(mean).mean(0) - mean) / (variance / 4000).sqrt()
    assert (error[finite & (variance > 0)].abs() < 5).all()


CONTINUOUS = [r[1] for r in ROWS if r[0] in (
    "Cauchy", "ContinuousBernoulli", "Exponential", "GeneralizedPareto", "Gumbel", "HalfCauchy", "HalfNormal",
    "Kumaraswamy", "Laplace", "LogNormal", "Normal", "Pareto", "TransformedDistribution", "Uniform", "Weibull")]


@pytest.mark.parametrize("expression", CONTINUOUS)
def test_cumulative_functions(expression):
    """icdf inverts cdf, and the derivative of cdf is the density."""
    d = make(expression)
    p = torch.tensor([[0.1], [0.45], [0.9]])
    x = d.icdf(p).detach().requires_grad_()
    assert close(d.cdf(x), p.expand(x.shape).reshape(-1).tolist(), 1e-4)
    slope, = torch.autograd.grad(d.cdf(x).sum(), x)
    assert close(slope.log(), d.log_prob(x).reshape(-1).tolist(), 2e-3)
