"""Recorded backward passes: the same gradients as the engine's, and no formula runs for a graph that is known."""

import numpy as np
import pytest

import rushlight as rl
from rushlight import nn
from rushlight.autograd import engine
from rushlight.nn import functional as F

deferred = pytest.mark.skipif(rl.base.switches.EAGER, reason="looks at the deferred stream")


def net():
    rl.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))


class Walks:
    """Counts the passes that the engine walks itself."""

    def __init__(self, monkeypatch):
        self.count, run = 0, engine.Task.run

        def counted(task):
            self.count += 1
            return run(task)
        monkeypatch.setattr(engine.Task, "run", counted)


@pytest.fixture
def walks(monkeypatch):
    return Walks(monkeypatch)


def gradients(model, x, replayed=True):
    """The gradients of one pass; not replayed: a hook keeps the pass with the engine."""
    model.zero_grad()
    loss = model(x).square().mean()
    if not replayed:
        loss.register_hook(lambda g: None)
    loss.backward()
    return [p.grad.numpy().copy() for p in model.parameters()]


@deferred
def test_a_known_graph_is_not_walked_again_and_gives_the_same(walks):
    model = net()
    for i in range(5):
        x = rl.randn(4, 3)
        found = gradients(model, x)
        before = walks.count
        for a, b in zip(found, gradients(model, x, replayed=False)):
            assert np.array_equal(a, b)
        assert walks.count == before + 1
    assert walks.count <= 2 + 5


@deferred
def test_a_read_between_forward_and_backward(walks):
    model, losses = net(), []
    for i in range(6):
        model.zero_grad()
        loss = F.mse_loss(model(rl.randn(4, 3)), rl.randn(4, 2))
        losses.append(loss.item())
        loss.backward()
        assert all(bool(p.grad.abs().sum() > 0) for p in model.parameters())
    assert walks.count <= 2 and len(set(losses)) == 6


def test_gradients_are_summed():
    model = net()
    xs = [rl.randn(4, 3) for _ in range(4)]
    each = [gradients(model, x, replayed=False) for x in xs]
    for _ in range(3):
        model.zero_grad(set_to_none=False)
        for x in xs:
            model(x).square().mean().backward()
        for i, p in enumerate(model.parameters()):
            assert np.allclose(p.grad.numpy(), sum(e[i] for e in each), atol=1e-6)


def test_held_gradients_are_not_overwritten():
    model, x = net(), rl.randn(4, 3)
    held = []
    for i in range(4):
        model.zero_grad()
        (model(x).sum() * float(i)).backward()
        held.append(model[0].weight.grad)
    for i, grad in enumerate(held):
        assert np.allclose(grad.numpy(), held[1].numpy() * i, atol=1e-6)


def test_what_changes_about_a_graph_is_seen():
    model = net()
    for _ in range(3):
        gradients(model, rl.randn(4, 3))
    model[0].weight.requires_grad_(False)
    model.zero_grad()
    model(rl.randn(4, 3)).square().mean().backward()
    assert model[0].weight.grad is None and model[0].bias.grad is not None
    seen = []
    model[2].bias.register_hook(seen.append)
    gradients_of_bias = []
    for _ in range(3):
        model.zero_grad()
        model(rl.randn(4, 3)).square().mean().backward()
        gradients_of_bias.append(model[2].bias.grad)
    assert len(seen) == 3 and np.array_equal(seen[2].numpy(), gradients_of_bias[2].numpy())


def test_errors_are_those_of_the_engine():
    w = rl.randn(3, requires_grad=True)
    for _ in range(3):
        y = w.exp()
        y.sum().backward()
    y = w.exp()
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        y.sum().backward()
    loss = w.exp().sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()
    loss = w.exp().sum()
    loss.backward(retain_graph=True)
    loss.backward()


def test_random_operators_of_the_forward_pass():
    model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    for _ in range(4):
        x, state = rl.randn(4, 3), rl.get_rng_state()
        found = gradients(model, x)
        rl.set_rng_state(state)
        for a, b in zip(found, gradients(model, x, replayed=False)):
            assert np.array_equal(a, b)


def test_given_gradients_and_saved_numbers():
    w = rl.randn(3, requires_grad=True)
    for i in range(5):
        w.grad = None
        seed = rl.tensor([1.0, 2.0, float(i)])
        (w * (i + 0.5)).backward(seed)
        assert np.allclose(w.grad.numpy(), seed.numpy() * (i + 0.5))
        assert np.array_equal(seed.numpy(), [1.0, 2.0, float(i)])


def test_memory_that_numpy_sees():
    array = np.ones(3, np.float32)
    w = rl.from_numpy(array).requires_grad_()
    for i in range(4):
        w.grad = None
        array[:] = i
        (w * w).sum().backward()
        assert np.array_equal(w.grad.numpy(), 2 * array)


def test_replayed_writes_into_memory_that_nobody_keeps():
    """The gradient of `pad` is a copy into `empty` memory, which has no reader once the pass is over."""
    found = []
    for _ in range(4):
        x = rl.arange(3, dtype=rl.float64).requires_grad_()
        y = F.pad(x, (1, 0))
        y.double().sum().backward(retain_graph=True)
        (y.double() ** 2).mean().backward(retain_graph=True)
        found.append(x.grad.tolist())
    assert found == [[1.0, 1.5, 2.0]] * 4


def test_a_write_between_forward_and_backward_is_an_error_each_time():
    w = rl.ones(3, requires_grad=True)
    for _ in range(3):
        x = rl.ones(3)
        loss = (w * x).sum()
        x.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


def test_graphs_of_the_same_block_that_differ_in_their_edges():
    w = rl.full((3,), 2.0, requires_grad=True)
    for _ in range(3):
        for cut, wanted in ((False, 12.0), (True, 4.0), (False, 12.0)):
            y = w * w
            z = y.detach() if cut else y
            w.grad = None
            (z * w).sum().backward()
            assert w.grad.tolist() == [wanted] * 3


def test_numbers_of_a_graph_are_part_of_it():
    w = rl.full((3,), 2.0, requires_grad=True)
    for factor in (2.0, 3.0, 2, True, 2.0, 0.0, -0.0):
        w.grad = None
        ((w * 1.0) * factor).sum().backward()
        assert w.grad.tolist() == [float(factor)] * 3
        assert str(w.grad[0].item()) == str(float(factor))


def test_part_of_a_graph_from_an_earlier_block():
    w = rl.full((3,), 2.0, requires_grad=True)
    for _ in range(3):
        w.grad = None
        y = (w * w).relu()
        assert y.tolist() == [4.0] * 3
        (y * 3).sum().backward()
        assert w.grad.tolist() == [12.0] * 3


def test_passes_with_constants_are_not_replayed():
    """A formula may make a tensor of numbers that it knows; a recording would give it memory without them."""
    x = rl.ones(5, 6, 7, requires_grad=True)
    weight = rl.arange(150.0).reshape(5, 3, 10).sin()
    expected = None
    for _ in range(5):
        noise = [rl.full((210,), float("nan")).clone() for _ in range(5)]
        [float(n.sum()) for n in noise]
        del noise
        y = rl.fft.fftn(x, s=(3, 10), dim=(1, 2))
        (y.real * weight + 0.5 * y.imag * weight).sum().backward()
        found, x.grad = x.grad.tolist(), None
        expected = expected or found
        assert found == expected
