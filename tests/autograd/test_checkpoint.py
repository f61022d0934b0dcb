"""torch.utils.checkpoint."""
import pytest

import rushlight as rl
from rushlight.utils import checkpoint as cp

WAYS = pytest.mark.parametrize("reentrant", [True, False])


@WAYS
def test_runs_again_in_backward(reentrant):
    x, w, calls = rl.arange(3.0).requires_grad_(), rl.ones(3, requires_grad=True), []

    def part(a, b):
        calls.append(rl.is_grad_enabled())
        return (a * b).exp() * b

    y = cp.checkpoint(part, x, w, use_reentrant=reentrant)
    assert calls == [not reentrant]
    y.sum().backward()
    assert len(calls) == 2 and x.grad.allclose(x.exp()) and w.grad.allclose(x.exp() * (1 + x.detach()))


@WAYS
def test_random_numbers_are_drawn_again(reentrant):
    rl.manual_seed(0)
    x = rl.ones(64, requires_grad=True)
    y = cp.checkpoint(lambda a: a * rl.rand(64) * a, x, use_reentrant=reentrant)
    later = rl.rand(2)
    y.sum().backward()
    assert x.grad.allclose(2 * y)
    rl.manual_seed(0)
    rl.rand(64)
    assert rl.rand(2).tolist() == later.tolist()


@WAYS
def test_nested_and_sequential(reentrant):
    x = rl.arange(3.0).requires_grad_()

    def inner(a):
        return a.exp()

    def outer(a):
        return cp.checkpoint(inner, cp.checkpoint(inner, a, use_reentrant=reentrant), use_reentrant=reentrant).sin()

    cp.checkpoint(outer, x, use_reentrant=reentrant).sum().backward()
    e = x.detach().exp()
    assert x.grad.allclose(e.exp().cos() * e.exp() * e, rtol=1e-3)
    net = rl.nn.Sequential(rl.nn.Linear(3, 3), rl.nn.Tanh(), rl.nn.Linear(3, 2))
    assert cp.checkpoint_sequential(net, 2, x, use_reentrant=reentrant).allclose(net(x))


def test_what_differs_is_an_error():
    x, runs = rl.ones(3, requires_grad=True), []

    def fewer(a):
        runs.append(1)
        return a.exp().sin() if len(runs) == 1 else a.exp()

    def smaller(a):
        runs.append(1)
        return a.exp().sin() if len(runs) == 1 else a[:2].exp().sin()

    for part, text in ((fewer, "different number of tensors"), (smaller, "different metadata")):
        runs.clear()
        with pytest.raises(cp.CheckpointError, match=text):
            cp.checkpoint(part, x, use_reentrant=False).sum().backward()


def test_limits():
    x = rl.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="incompatible with .grad"):
        rl.autograd.grad(cp.checkpoint(rl.exp, x, use_reentrant=True).sum(), x)
    assert rl.autograd.grad(cp.checkpoint(rl.exp, x, use_reentrant=False).sum(), x)[0].allclose(x.exp())
    with pytest.raises(ValueError, match="Unexpected keyword"):
        cp.checkpoint(rl.exp, x, use_reentrant=True, foo=1)
    with pytest.warns(UserWarning, match="use_reentrant parameter should be passed"):
        cp.checkpoint(rl.exp, x)
