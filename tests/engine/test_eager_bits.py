"""What is equal bit by bit with and without RUSHLIGHT_EAGER, as docs/switches.md says, and what up to rounding."""
import pytest

import rushlight as rl
from rushlight.base import switches

F = rl.nn.functional
SHAPES = [(4, 5), (7, 33), (40, 90)]
EXACT = {
    "chain": lambda x, y: ((x * y + x).tanh() * y - x.exp()) / (y.abs() + 1),
    "gelu": lambda x, y: F.gelu(x) * y + x,
    "product": lambda x, y: F.relu((x * 2 + y) @ y.t()),
    "running sum": lambda x, y: (x * y).cumsum(0),
    "sort": lambda x, y: (x * y).sort(1).values,
    "index": lambda x, y: (x + y)[:, rl.tensor([2, 0])] * 2,
    "largest": lambda x, y: (x * y).amax(1) + 1,
    "half": lambda x, y: (x.half() * y.half()).float() + x.bfloat16(),
    "write": lambda x, y: x.clone().mul_(y).transpose(0, 1).add_(1),
}
SUMS = {
    "sum": lambda x, y: (x.tanh() + y).sum(),
    "mean": lambda x, y: (x.tanh() + y).mean(1),
    "std": lambda x, y: (x.tanh() + y).std(1),
    "prod": lambda x, y: (x.tanh() + y).prod(1),
    "layer_norm": lambda x, y: F.layer_norm(x.tanh() + y, y.shape[1:]),
    "loss": lambda x, y: F.mse_loss(x.tanh() + y, y * 2),
    "softmax": lambda x, y: (x.tanh() + y).softmax(1),
}


def both(function, shape):
    rl.manual_seed(0)
    x, y = rl.randn(*shape), rl.randn(*shape)
    deferred = function(x, y)
    deferred.tolist()
    with switches.env(EAGER=1):
        return deferred, function(x, y)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", EXACT)
def test_equal_bits(name, shape):
    deferred, eager = both(EXACT[name], shape)
    assert rl.equal(deferred.contiguous().view(rl.int32), eager.contiguous().view(rl.int32))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", SUMS)
def test_equal_sums_up_to_rounding(name, shape):
    deferred, eager = both(SUMS[name], shape)
    assert rl.allclose(deferred, eager, 1e-5, 1e-6)
    assert rl.equal(deferred, both(SUMS[name], shape)[0])  # the same bits each time
