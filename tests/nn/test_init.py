"""Initial values: the same draws as PyTorch (sums from PyTorch 2.13), structures, gains and errors."""
import math
import warnings

import pytest

import rushlight as rl
from rushlight.nn import init

# (function, arguments, the sum over a tensor (17, 31) after manual_seed(0), the next number drawn)
DRAWS = [
    ("uniform_", (), 261.81506, 0.36545795),
    ("normal_", (1.0, 2.0), 589.56343, 0.25771832),
    ("trunc_normal_", (), 24.99102, 0.83116084),
    ("trunc_normal_", (0.5, 0.3, -0.4, 0.7), 200.13489, 0.00087076),
    ("trunc_normal_", (0.0, 1.0, 2.5, 3.0), 1418.59703, 0.27042091),
    ("xavier_uniform_", (2.0,), -2.38287, 0.36545795),
    ("xavier_normal_", (), 6.38535, 0.25771832),
    ("kaiming_uniform_", (0.1, "fan_out"), -1.99207, 0.36545795),
    ("kaiming_normal_", (), 7.94556, 0.25771832),
    ("orthogonal_", (2,), 11.16277, 0.25771832),
    ("sparse_", (0.4,), 0.32227, 0.80687743),
]


@pytest.mark.parametrize("name, args, total, after", DRAWS, ids=[f"{row[0]}{row[1]}" for row in DRAWS])
def test_draws(name, args, total, after):
    rl.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tensor = getattr(init, name)(rl.empty(17, 31), *args)
    assert math.isclose(tensor.double().sum().item(), total, rel_tol=1e-4, abs_tol=1e-3)
    assert math.isclose(rl.rand(1).item(), after, abs_tol=1e-6)


def test_generator():
    def draw(seed):
        return init.normal_(rl.empty(20), generator=rl.Generator().manual_seed(seed)).tolist()

    assert draw(1) == draw(1) != draw(2)


def test_no_gradients():
    parameter = rl.nn.Parameter(rl.zeros(3, 3))
    for function in (init.eye_, init.xavier_uniform_, init.orthogonal_, init.ones_, init.zeros_):
        assert function(parameter) is parameter and parameter.grad_fn is None and parameter.requires_grad


def test_structures():
    assert init.eye_(rl.ones(2, 3)).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    assert init.constant_(rl.zeros(2), 3.0).tolist() == [3.0, 3.0]
    delta = init.dirac_(rl.ones(4, 2, 3), groups=2)
    assert delta.sum().item() == 4 and delta[3, 1, 1].item() == 1 and delta[2, 0, 1].item() == 1
    q = init.orthogonal_(rl.empty(5, 3))
    assert rl.allclose(q.T @ q, rl.eye(3), atol=1e-5)
    assert (init.sparse_(rl.ones(10, 4), 0.3) == 0).sum(0).tolist() == [3, 3, 3, 3]
    drawn = init.trunc_normal_(rl.empty(1000), std=3.0)
    assert drawn.min().item() >= -2 and drawn.max().item() <= 2


def test_gains():
    assert init.calculate_gain("relu") == math.sqrt(2) and init.calculate_gain("tanh") == 5 / 3
    assert init.calculate_gain("conv_transpose2d") == 1 and init.calculate_gain("selu") == 0.75
    assert init.calculate_gain("leaky_relu", 0.3) == pytest.approx(1.3545709)
    for args in (("foo",), ("leaky_relu", True)):
        with pytest.raises(ValueError):
            init.calculate_gain(*args)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: init.xavier_uniform_(rl.zeros(3)), "Fan in and fan out can not be computed"),
        (lambda: init.kaiming_normal_(rl.zeros(3, 3), mode="foo"), "Mode foo not supported"),
        (lambda: init.eye_(rl.zeros(3)), "Only tensors with 2 dimensions are supported"),
        (lambda: init.dirac_(rl.zeros(3)), "Only tensors with 3, 4, or 5 dimensions are supported"),
        (lambda: init.dirac_(rl.zeros(3, 3, 3), 2), "dim 0 must be divisible by groups"),
        (lambda: init.orthogonal_(rl.zeros(3)), "Only tensors with 2 or more dimensions are supported"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_warnings():
    with pytest.warns(UserWarning, match="Initializing zero-element tensors is a no-op"):
        init.kaiming_uniform_(rl.zeros(0, 3))
    with pytest.warns(FutureWarning, match="`nn.init.uniform` is now deprecated in favor of `nn.init.uniform_`"):
        init.uniform(rl.zeros(3))
    with pytest.warns(UserWarning, match="mean is more than 2 std from"):
        init.trunc_normal_(rl.zeros(3), 10.0)
