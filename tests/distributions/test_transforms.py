"""Transforms: inverses, Jacobians, shapes, caches, and the registry of constraints."""
import math

import pytest

import rushlight as torch
from rushlight.distributions import biject_to, constraints, transform_to
from rushlight.distributions import transforms as tf
from rushlight.distributions.utils import tril_matrix_to_vec

NUMBERS = [
    tf.ExpTransform(), tf.PowerTransform(2.0), tf.PowerTransform(-2.0), tf.SigmoidTransform(), tf.SoftplusTransform(),
    tf.TanhTransform(), tf.AffineTransform(1.0, -2.0),
    tf.AffineTransform(torch.ones(2).double(), torch.ones(2).double() * 3),
    tf.ComposeTransform([tf.AffineTransform(-1.0, 2.0), tf.ExpTransform()]), tf.ExpTransform().inv,
    tf.CumulativeDistributionTransform(torch.distributions.Normal(0.0, 1.0)),
]
VECTORS = [
    tf.StickBreakingTransform(), tf.CorrCholeskyTransform(), tf.ReshapeTransform((6,), (2, 3)),
    tf.IndependentTransform(tf.ExpTransform(), 1), tf.CatTransform([tf.ExpTransform(), tf.TanhTransform()], -1, [2, 4]),
    tf.StackTransform([tf.ExpTransform(), tf.TanhTransform()] * 3, -1),
]


@pytest.mark.parametrize("transform", NUMBERS, ids=str)
def test_numbers(transform):
    x = torch.tensor([0.3, 0.8], dtype=torch.float64, requires_grad=True)
    y = transform(x)
    assert torch.allclose(transform.inv(y), x)
    slope, = torch.autograd.grad(y.sum(), x)
    jacobian = transform.log_abs_det_jacobian(x, y)
    assert torch.allclose(jacobian, slope.abs().log())
    assert torch.allclose(transform.inv.log_abs_det_jacobian(y, x), -jacobian)
    assert torch.equal(torch.as_tensor(transform.sign).expand(2).double(), slope.sign())
    assert transform.inv.inv is transform and transform.bijective


@pytest.mark.parametrize("transform", VECTORS, ids=lambda t: type(t).__name__)
def test_vectors(transform):
    torch.manual_seed(0)
    x = torch.randn(3, 6, dtype=torch.float64)
    y = transform(x)
    assert y.shape == transform.forward_shape(x.shape) and transform.inverse_shape(y.shape) == x.shape
    assert transform.codomain.check(y).all() and torch.allclose(transform.inv(y), x)
    for row, found in zip(x, transform.log_abs_det_jacobian(x, y)):
        square = torch.autograd.functional.jacobian(lambda v: flat(transform, transform(v)), row)
        assert torch.allclose(torch.linalg.slogdet(square).logabsdet, found.sum())


def flat(transform, y):
    """The free numbers of a result."""
    if isinstance(transform, tf.CorrCholeskyTransform):
        return tril_matrix_to_vec(y, diag=-1)
    return y[..., :-1] if isinstance(transform, tf.StickBreakingTransform) else y.reshape(-1)


def test_caches_give_the_argument_back():
    x = torch.randn(3)
    for transform in (tf.ExpTransform(cache_size=1), tf.AffineTransform(0.0, 2.0, cache_size=1)):
        assert transform.inv(transform(x)) is x
    assert tf.ExpTransform().with_cache(1).inv(x) is not None
    with pytest.raises(ValueError, match="cache_size"):
        tf.ExpTransform(cache_size=2)


def test_equality_and_text():
    assert tf.ExpTransform() == tf.ExpTransform() != tf.TanhTransform()
    assert tf.AffineTransform(0, 1) == tf.AffineTransform(0, 1) != tf.AffineTransform(0, torch.tensor([1.0, 2.0]))
    assert tf.PowerTransform(2) == tf.PowerTransform(2.0) and tf.ExpTransform().inv == tf.ExpTransform().inv
    assert repr(tf.ComposeTransform([tf.ExpTransform(), tf.ExpTransform().inv])) == (
        "ComposeTransform(\n    ExpTransform(),\n    _InverseTransform(ExpTransform())\n)")


CONSTRAINTS = [
    constraints.real, constraints.positive, constraints.nonnegative, constraints.greater_than(3.0),
    constraints.less_than(-1.0), constraints.unit_interval, constraints.interval(2.0, 5.0),
    constraints.half_open_interval(-1.0, 1.0), constraints.simplex, constraints.corr_cholesky,
    constraints.independent(constraints.positive, 1), constraints.stack([constraints.positive] * 3, -1),
    constraints.cat([constraints.positive, constraints.real], -1, [1, 2]),
]


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=str)
@pytest.mark.parametrize("table", [biject_to, transform_to], ids=["biject_to", "transform_to"])
def test_registry(constraint, table):
    x = torch.randn(5, 3, dtype=torch.float64)
    transform = table(constraint)
    y = transform(x)
    assert constraint.check(y).all()
    if table is biject_to:
        assert transform.bijective and torch.allclose(transform.inv(y), x)
    assert torch.allclose(transform(transform.inv(y)), y)


def test_registry_of_matrices_and_errors():
    x = torch.randn(4, 3, 3, dtype=torch.float64)
    for constraint in (constraints.lower_cholesky, constraints.positive_definite):
        assert constraint.check(transform_to(constraint)(x)).all()
    with pytest.raises(NotImplementedError, match="Cannot transform _Boolean constraints"):
        biject_to(constraints.boolean)
    with pytest.raises(TypeError, match="Expected constraint"):
        biject_to.register(int, lambda constraint: constraint)


@pytest.mark.parametrize("constraint, good, bad", [
    (constraints.boolean, [0.0, 1.0], [0.5]), (constraints.integer_interval(1, 3), [1.0, 3.0], [0.0, 1.5]),
    (constraints.nonnegative_integer, [0.0, 7.0], [-1.0, 0.5]),
    (constraints.unit_interval, [0.0, 1.0], [1.1, math.nan]),
    (constraints.half_open_interval(0.0, 1.0), [0.0], [1.0]), (constraints.real, [1.0, math.inf], [math.nan]),
    (constraints.simplex, [[0.5, 0.5]], [[0.5, 0.6]]), (constraints.one_hot, [[0.0, 1.0]], [[1.0, 1.0]]),
    (constraints.multinomial(3), [[1.0, 2.0]], [[2.0, 2.0]]), (constraints.square, [[[1.0]]], []),
    (constraints.lower_triangular, [[[1.0, 0], [1, 1]]], [[[1.0, 1], [0, 1]]]),
    (constraints.positive_semidefinite, [[[1.0, 1], [1, 1]]], [[[1.0, 2], [2, 1]]]),
    (constraints.symmetric, [[[1.0, 2], [2, 1]]], [[[1.0, 0], [1, 1]]]),
])
def test_checks(constraint, good, bad):
    assert constraint.check(torch.tensor(good)).all()
    assert not bad or not constraint.check(torch.tensor(bad)).any()


def test_dependent_constraints():
    assert constraints.is_dependent(constraints.dependent)
    with pytest.raises(ValueError, match="dependent"):
        constraints.dependent.check(torch.zeros(1))
    with pytest.raises(NotImplementedError, match="is_discrete"):
        constraints.dependent.is_discrete
    assert constraints.dependent(is_discrete=True, event_dim=1).event_dim == 1
    assert repr(constraints.independent(constraints.positive, 2)) == (
        "IndependentConstraint(GreaterThan(lower_bound=0.0), 2)")
