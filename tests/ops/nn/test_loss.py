"""Losses: values against NumPy, gradients by differences, reductions, weights, ignored classes, errors."""
import math

import numpy as np
import pytest

import rushlight as rl
import rushlight.nn.functional as F
from numeric import check_gradients, tensor

X = np.sin(np.arange(20.0) * 1.3).reshape(4, 5) * 2
Y = np.cos(np.arange(20.0)).reshape(4, 5)
P = 1 / (1 + np.exp(-X))
Q = 1 / (1 + np.exp(-Y))
LABELS = np.array([1, 4, 0, 2])
WEIGHT = np.linspace(0.5, 1.5, 5)


def log_softmax(x, axis=1):
    x = x - x.max(axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis, keepdims=True))


def fold(values, reduction):
    return values.mean() if reduction == "mean" else values.sum() if reduction == "sum" else values


PAIRS = {
    "mse_loss": (X, Y, (X - Y) ** 2), "l1_loss": (X, Y, np.abs(X - Y)),
    "smooth_l1_loss": (X, Y, np.where(np.abs(X - Y) < 1, 0.5 * (X - Y) ** 2, np.abs(X - Y) - 0.5)),
    "huber_loss": (X, Y, np.where(np.abs(X - Y) <= 1, 0.5 * (X - Y) ** 2, np.abs(X - Y) - 0.5)),
    "binary_cross_entropy": (P, Q, -(Q * np.log(P) + (1 - Q) * np.log(1 - P))),
    "binary_cross_entropy_with_logits": (X, Q, -(Q * np.log(P) + (1 - Q) * np.log(1 - P))),
    "soft_margin_loss": (X, np.sign(Y), np.log1p(np.exp(-np.sign(Y) * X))),
    "poisson_nll_loss": (X, Q, np.exp(X) - Q * X), "kl_div": (X, Q, Q * (np.log(Q) - X)),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", PAIRS)
def test_losses_of_pairs(name):
    x, y, values = PAIRS[name]
    function = getattr(F, name)
    for reduction in ("none", "mean", "sum"):
        got = function(tensor(x), tensor(y), reduction=reduction)
        np.testing.assert_allclose(got.numpy(), fold(values, reduction), rtol=1e-10)
    check_gradients(lambda a: function(a, tensor(y[:2])), x[:2])


def test_class_losses_and_names():
    rows = np.arange(4)
    values = -log_softmax(X)[rows, LABELS]
    for reduction in ("none", "mean", "sum"):
        got = F.cross_entropy(tensor(X), tensor(LABELS), reduction=reduction)
        np.testing.assert_allclose(got.numpy(), fold(values, reduction), rtol=1e-10)
        got = F.nll_loss(tensor(X), tensor(LABELS), reduction=reduction)
        np.testing.assert_allclose(got.numpy(), fold(-X[rows, LABELS], reduction), rtol=1e-10)
    loss = F.cross_entropy(tensor(X, True), tensor(LABELS))
    assert loss.grad_fn.name() == "NllLossBackward0"
    assert F.mse_loss(tensor(X, True), tensor(Y)).grad_fn.name() == "MseLossBackward0"
    assert F.cross_entropy(tensor(X[0]), rl.tensor(2)).item() == pytest.approx(-log_softmax(X)[0, 2])


def test_weights_and_ignored_classes():
    used = np.array([True, False, True, True])
    factors = WEIGHT[LABELS] * used
    values = -log_softmax(X)[np.arange(4), LABELS] * factors
    got = F.cross_entropy(tensor(X), tensor(LABELS), tensor(WEIGHT), ignore_index=4)
    np.testing.assert_allclose(got.item(), values.sum() / factors.sum(), rtol=1e-10)
    got = F.cross_entropy(tensor(X), tensor(LABELS), tensor(WEIGHT), ignore_index=4, reduction="none")
    np.testing.assert_allclose(got.numpy(), values, rtol=1e-10)
    for kwargs in ({}, {"weight": tensor(WEIGHT)}, {"ignore_index": 0}, {"label_smoothing": 0.2}):
        check_gradients(lambda x, k=kwargs: F.cross_entropy(x, tensor(LABELS), **k), X)
        check_gradients(lambda x, k=kwargs: F.cross_entropy(x, tensor(LABELS), reduction="none", **k), X)
    assert math.isnan(F.cross_entropy(tensor(X), tensor(LABELS * 0), ignore_index=0).item())


def test_probabilities_and_smoothing():
    targets = np.exp(log_softmax(Y))
    expected = -(targets * log_softmax(X)).sum(1).mean()
    np.testing.assert_allclose(F.cross_entropy(tensor(X), tensor(targets)).item(), expected, rtol=1e-10)
    smooth = np.full((4, 5), 0.1 / 5)
    smooth[np.arange(4), LABELS] += 0.9
    expected = -(smooth * log_softmax(X)).sum(1).mean()
    got = F.cross_entropy(tensor(X), tensor(LABELS), label_smoothing=0.1)
    np.testing.assert_allclose(got.item(), expected, rtol=1e-10)
    check_gradients(lambda x, t: F.cross_entropy(x, t), X[:2], targets[:2])


def test_more_dimensions_and_second_gradient():
    scores = np.sin(np.arange(24.0)).reshape(2, 3, 2, 2)
    labels = np.arange(8).reshape(2, 2, 2) % 3
    expected = -np.take_along_axis(log_softmax(scores), labels[:, None], 1).mean()
    np.testing.assert_allclose(F.cross_entropy(tensor(scores), tensor(labels)).item(), expected, rtol=1e-10)
    check_gradients(lambda x: F.cross_entropy(x, tensor(labels)), scores)

    def slope(x):
        leaf = x if x.requires_grad else x.requires_grad_()
        return rl.autograd.grad(F.cross_entropy(leaf, tensor(LABELS[:2])), leaf, create_graph=True)[0]
    check_gradients(slope, X[:2])


def test_target_errors():
    with pytest.raises(IndexError, match="Target 7 is out of bounds"):
        F.cross_entropy(rl.zeros(2, 3), rl.tensor([1, 7])).item()
    with pytest.raises(ValueError, match="batch_size"):
        F.cross_entropy(rl.zeros(2, 3), rl.tensor([1]))
    with pytest.raises(RuntimeError, match="scalar type Long"):
        F.nll_loss(rl.zeros(2, 3), rl.tensor([1.0, 2.0]))
    with pytest.raises(ValueError, match="reduction"):
        F.mse_loss(rl.zeros(2), rl.zeros(2), reduction="other")
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        F.binary_cross_entropy(rl.tensor([1.5]), rl.tensor([1.0])).item()
    for dtype in (rl.float64, rl.float16, rl.int64):
        with pytest.raises(RuntimeError, match="expected scalar type Float but found"):
            F.nll_loss(rl.zeros(3, 5), rl.tensor([1, 2, 3]), rl.ones(5, dtype=dtype))


def test_margins():
    target = np.array([1.0, -1.0, 1.0, -1.0])
    a, b = X[:, 0], Y[:, 0]
    got = F.margin_ranking_loss(tensor(a), tensor(b), tensor(target), margin=0.5)
    np.testing.assert_allclose(got.item(), np.maximum(0, -target * (a - b) + 0.5).mean())
    got = F.hinge_embedding_loss(tensor(a), tensor(target))
    np.testing.assert_allclose(got.item(), np.where(target > 0, a, np.maximum(0, 1 - a)).mean())
    own = X[np.arange(4), LABELS][:, None]
    over = np.maximum(0, 1 - own + X)
    over[np.arange(4), LABELS] = 0
    np.testing.assert_allclose(F.multi_margin_loss(tensor(X), tensor(LABELS)).item(), over.sum(1).mean() / 5)
    check_gradients(lambda x: F.multi_margin_loss(x, tensor(LABELS), p=2), X)
    labels = np.array([[3, 0, -1, 1, 2]])
    values = [1 - X[0, i] + X[0, j] for i in (3, 0) for j in (1, 2, 4)]
    got = F.multilabel_margin_loss(tensor(X[:1]), tensor(labels))
    np.testing.assert_allclose(got.item(), np.maximum(0, values).sum() / 5)
    check_gradients(lambda x: F.multilabel_margin_loss(x, tensor(labels)), X[:1])


def test_distances():
    length = np.sqrt(((X - Y + 1e-6) ** 2).sum(1))
    np.testing.assert_allclose(F.pairwise_distance(tensor(X), tensor(Y)).numpy(), length, rtol=1e-10)
    cosine = (X * Y).sum(1) / np.linalg.norm(X, axis=1) / np.linalg.norm(Y, axis=1)
    np.testing.assert_allclose(F.cosine_similarity(tensor(X), tensor(Y)).numpy(), cosine, rtol=1e-10)
    far = np.sqrt(((X - P + 1e-6) ** 2).sum(1))
    got = F.triplet_margin_loss(tensor(X), tensor(Y), tensor(P))
    np.testing.assert_allclose(got.item(), np.maximum(0, length - far + 1).mean())
    got = F.cosine_embedding_loss(tensor(X), tensor(Y), rl.tensor([1, -1, 1, -1]))
    np.testing.assert_allclose(got.item(), np.where([1, 0, 1, 0], 1 - cosine, np.maximum(0, cosine)).mean(), rtol=1e-9)
    check_gradients(F.cosine_similarity, X[:2], Y[:2])


def brute_force_ctc(scores, labels):
    """The likelihood summed over all alignments."""
    steps, classes = scores.shape
    total = 0.0
    for path in np.ndindex(*[classes] * steps):
        merged = [c for i, c in enumerate(path) if c and (i == 0 or path[i - 1] != c)]
        if merged == list(labels):
            total += math.exp(sum(scores[t, c] for t, c in enumerate(path)))
    return -math.log(total)


def test_ctc():
    scores = log_softmax(np.sin(np.arange(5 * 2 * 3) * 1.7).reshape(5, 2, 3), 2)
    targets = np.array([[1, 1, 2], [2, 0, 0]])
    got = F.ctc_loss(tensor(scores), tensor(targets), (5, 4), (3, 1), reduction="none")
    expected = [brute_force_ctc(scores[:, 0], (1, 1, 2)), brute_force_ctc(scores[:4, 1], (2,))]
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-10)
    check_gradients(lambda x: F.ctc_loss(rl.log_softmax(x, 2), tensor(targets), (5, 4), (3, 1)), scores)
    flat = F.ctc_loss(tensor(scores), tensor(np.array([1, 1, 2, 2])), (5, 4), (3, 1))
    np.testing.assert_allclose(flat.item(), np.mean(np.array(expected) / [3, 1]), rtol=1e-10)
    short = F.ctc_loss(tensor(scores), tensor(targets), (2, 4), (3, 1), reduction="none")
    assert short[0].item() == math.inf
    assert F.ctc_loss(tensor(scores), tensor(targets), (2, 4), (3, 1), zero_infinity=True).isfinite()


def test_gaussian():
    var = np.abs(Y) + 0.1
    expected = 0.5 * (np.log(var) + (X - Y) ** 2 / var)
    np.testing.assert_allclose(F.gaussian_nll_loss(tensor(X), tensor(Y), tensor(var)).item(), expected.mean())
    with pytest.raises(ValueError, match="negative"):
        F.gaussian_nll_loss(tensor(X), tensor(Y), tensor(-var)).item()
