"""Linear feedback and the transducer's loss against plain loops, and their gradients against differences."""
import itertools

import numpy as np
import pytest
from numeric import check_gradients, tensor

import rushlight as rl
from rushlight.ops.media.feedback import feedback, recur
from rushlight.ops.media.transducer import transducer_loss

RANDOM = np.random.RandomState(0)


def looped(x, weights, delays):
    """y[t] = x[t] + sum of w[t, j] y[t - d[t] - j], one step after the other."""
    y = x.copy()
    channels, times, taps = weights.shape
    for row, t, j in itertools.product(range(len(x)), range(x.shape[1]), range(taps)):
        at = t if times > 1 else 0
        place = t - delays[row % channels, at] - j
        if place >= 0:
            y[row, t] += weights[row % channels, at, j] * y[row, place]
    return y


@pytest.mark.parametrize("taps", [1, 2, 16, 17, 30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_recursive_filters(taps, dtype):
    x = RANDOM.randn(4, 60).astype(dtype)
    weights = (RANDOM.randn(2, taps) / (2 * taps)).astype(dtype)
    expected = looped(x.astype(np.float64), weights.astype(np.float64)[:, None], np.ones((2, 1), int))
    found = recur(tensor(x), tensor(weights)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype is np.float32 else 1e-12, atol=1e-6)


def test_delays_that_change():
    x, weights = RANDOM.randn(6, 50), RANDOM.randn(3, 50, 2) * 0.3
    delays = RANDOM.randint(1, 70, (3, 50))
    found = feedback(tensor(x), tensor(weights), tensor(delays), False).numpy()
    np.testing.assert_allclose(found, looped(x, weights, delays), rtol=1e-12)


def test_gradients_of_feedback():
    check_gradients(recur, RANDOM.randn(4, 9), RANDOM.randn(2, 3) * 0.3)
    weights, delays = tensor(RANDOM.randn(2, 12, 2) * 0.3), tensor(RANDOM.randint(1, 5, (2, 12)))
    check_gradients(lambda x: feedback(x, weights, delays, False), RANDOM.randn(2, 12))
    check_gradients(lambda x, w: rl.autograd.grad(recur(x, w).pow(2).sum(), (x, w), create_graph=True)[1]
                    if x.requires_grad else numeric_gradient(x, w), RANDOM.randn(2, 6), RANDOM.randn(1, 2) * 0.3)


def numeric_gradient(x, w):
    """The same gradient, of tensors that do not ask for one."""
    x, w = x.clone().requires_grad_(), w.clone().requires_grad_()
    return rl.autograd.grad(recur(x, w).pow(2).sum(), w)[0]


def test_weights_that_change_have_no_gradient():
    weights = tensor(np.ones((1, 3, 1)), True)
    with pytest.raises(NotImplementedError, match="weights that change"):
        feedback(tensor(np.ones((1, 3))), weights, rl.ones(1, 3, dtype=rl.int64), False).sum().backward()


def test_empty_feedback():
    assert recur(rl.zeros(0, 5), rl.zeros(1, 2)).shape == (0, 5)
    np.testing.assert_array_equal(recur(rl.ones(1, 3), rl.zeros(1, 0)).numpy(), [[1, 1, 1]])


def path_sum(scores, target, blank):
    """Minus the log of the summed probability of all ways through a lattice, way by way."""
    frames, total = len(scores), 0.0
    for places in itertools.combinations(range(frames - 1 + len(target)), len(target)):
        t = u = 0
        log = 0.0
        for step in range(frames - 1 + len(target)):
            if step in places:
                log += scores[t, u, target[u]]
                u += 1
            else:
                log += scores[t, u, blank]
                t += 1
        total += np.exp(log + scores[t, u, blank])
    return -np.log(total)


def test_transducer_loss_sums_all_ways():
    logits = RANDOM.randn(2, 4, 3, 5)
    targets, frames, labels = [np.array(v, np.int32) for v in ([[1, 2], [3, 0]], [4, 3], [2, 1])]
    found = transducer_loss(tensor(logits), tensor(targets), tensor(frames), tensor(labels), 4, True, -1.0)
    scores = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = [path_sum(s[:f, :u + 1], t[:u], 4) for s, t, f, u in zip(scores, targets, frames, labels)]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize("fused", [True, False])
def test_gradient_of_the_transducer_loss(fused):
    targets, frames, labels = [tensor(np.array(v, np.int32)) for v in ([[1, 2], [3, 0]], [4, 3], [2, 1])]
    check_gradients(lambda x: transducer_loss(x, targets, frames, labels, 4, fused, -1.0), RANDOM.randn(2, 4, 3, 5))
