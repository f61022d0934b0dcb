"""Checks of parameters and samples, shapes, subclasses, and errors of constructors."""
import pytest

import rushlight as torch
from rushlight import distributions as D

T = torch.tensor


@pytest.mark.parametrize("make, text", [
    (lambda: D.Normal(0.0, -1.0), "Expected parameter scale .* to satisfy the constraint GreaterThan"),
    (lambda: D.Normal(float("nan"), 1.0), "Expected parameter loc .*Real"),
    (lambda: D.Uniform(1.0, 0.0), "Expected parameter low .*LessThan"),
    (lambda: D.Bernoulli(0.5, 0.5), "Either `probs` or `logits`"),
    (lambda: D.Categorical(), "Either `probs` or `logits`"),
    (lambda: D.Categorical(T(1.0)), "at least one-dimensional"),
    (lambda: D.Geometric(0.0), "to be positive"),
    (lambda: D.Dirichlet(T(1.0)), "at least one-dimensional"),
    (lambda: D.Normal("a", 1.0), "instances of Number"),
    (lambda: D.Independent(D.Normal(0.0, 1.0), 1), "reinterpreted_batch_ndims"),
    (lambda: D.TransformedDistribution(D.Normal(0.0, 1.0), "exp"), "Transform or list"),
    (lambda: D.TransformedDistribution(D.Normal(0.0, 1.0), D.StickBreakingTransform()), "size at least 1"),
    (lambda: D.MultivariateNormal(torch.zeros(2)), "Exactly one"),
    (lambda: D.MixtureSameFamily(D.Normal(0.0, 1.0), D.Normal(0.0, 1.0)), "Categorical"),
    (lambda: D.MixtureSameFamily(D.Categorical(torch.ones(2)), D.Normal(torch.zeros(3), 1.0)), "does not equal"),
    (lambda: D.LKJCholesky(1), "greater than or equal to 2"),
    (lambda: D.Distribution.set_default_validate_args("yes"), "expected True or False"),
])
def test_errors_of_constructors(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_checks_of_values():
    d = D.Beta(T([1.0, 2.0]), T([2.0, 1.0]))
    for value, text in ((T([0.5, 2.0]), "within the support"), (torch.ones(3), "not broadcastable"), (0.5, "Tensor")):
        with pytest.raises(ValueError, match=text):
            d.log_prob(value)
    with pytest.raises(ValueError, match="right-most size"):
        D.Dirichlet(torch.ones(3)).log_prob(torch.ones(2) / 2)
    unchecked = D.Normal(T([0.0]), T([-1.0]), validate_args=False)
    assert unchecked.log_prob(T([1.0])).isnan().all()


def test_the_default_of_checks():
    D.Distribution.set_default_validate_args(False)
    try:
        D.Normal(0.0, -1.0)
    finally:
        D.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError):
        D.Normal(0.0, -1.0)


def test_lazy_parameters():
    d = D.Bernoulli(logits=T([0.0, 1.0]))
    assert "probs" not in d.__dict__
    assert torch.allclose(d.probs, torch.sigmoid(d.logits)) and "probs" in d.__dict__
    with torch.no_grad():
        tracked = D.Bernoulli(logits=T([0.0], requires_grad=True)).probs
    assert tracked.requires_grad


def test_enumerated_supports():
    assert D.Bernoulli(torch.ones(2) / 2).enumerate_support().tolist() == [[0, 0], [1, 1]]
    assert D.Categorical(torch.ones(2, 3)).enumerate_support(expand=False).tolist() == [[0], [1], [2]]
    assert D.OneHotCategorical(torch.ones(2)).enumerate_support().tolist() == [[1, 0], [0, 1]]
    assert D.Binomial(2, T([0.5])).enumerate_support().tolist() == [[0], [1], [2]]
    with pytest.raises(NotImplementedError, match="Inhomogeneous"):
        D.Binomial(T([1.0, 2.0]), T([0.5, 0.5])).enumerate_support()
    for d in (D.Bernoulli(0.3), D.Categorical(T([0.2, 0.8])), D.Binomial(3, T(0.3))):
        assert torch.allclose(d.log_prob(d.enumerate_support()).exp().sum(0), T(1.0))


class Own(D.Normal):
    def __init__(self, loc, scale, label):
        self.label = label
        super().__init__(loc, scale)


class OwnExpanded(Own):
    def expand(self, batch_shape, _instance=None):
        new = self._get_checked_instance(OwnExpanded, _instance)
        new.label = self.label
        return super().expand(batch_shape, _instance=new)


def test_subclasses():
    with pytest.raises(NotImplementedError, match=r"must also define a custom .expand\(\) method"):
        Own(0.0, 1.0, "a").expand((2,))
    wide = OwnExpanded(T(0.0), T(1.0), "a").expand((2,))
    assert wide.label == "a" and wide.loc.shape == (2,) and wide.sample().shape == (2,)
    for name in ("mean", "variance", "support", "arg_constraints"):
        with pytest.raises(NotImplementedError):
            getattr(D.Distribution(validate_args=False), name)


def test_masks_of_moments():
    assert D.StudentT(T([0.5, 1.5, 4.0])).variance.tolist()[1:] == [float("inf"), 2.0]
    assert D.StudentT(T([0.5, 1.5])).mean.isnan().tolist() == [True, False]
    assert D.Dirichlet(T([[0.5, 0.9], [2.0, 3.0]])).mode.tolist()[0] in ([1, 0], [0, 1])
    assert D.Bernoulli(T([0.5, 0.9])).mode.isnan().tolist() == [True, False]


def test_wishart_warns_of_few_degrees_of_freedom():
    with pytest.warns(UserWarning, match="Low df"):
        D.Wishart(T(1.5), torch.eye(2))
    with pytest.raises(ValueError, match="greater than ndim - 1"):
        D.Wishart(T(0.5), torch.eye(2))


def test_pickles_and_copies():
    import copy
    d = copy.deepcopy(D.TransformedDistribution(D.Normal(T([0.0]), T([1.0])), [D.ExpTransform(cache_size=1)]))
    assert d.sample().shape == (1,)
