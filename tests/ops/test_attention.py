"""Scaled dot-product attention against NumPy, in one block and in many."""
import numpy as np
import pytest

import rushlight as rl
import rushlight.nn.functional as F
from rushlight.ops import attention

RNG = np.random.default_rng(0)


def random(*shape):
    return RNG.standard_normal(shape)


def reference(q, k, v, mask=None, scale=None):
    scores = q @ np.swapaxes(k, -1, -2) * (1 / np.sqrt(q.shape[-1]) if scale is None else scale)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    top = scores.max(-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isinf(top), 0, top))
    sums = weights.sum(-1, keepdims=True)
    return weights / np.where(sums == 0, 1, sums) @ v


def attend(q, k, v, mask=None, **options):
    tensors = [rl.tensor(x) for x in (q, k, v)]
    mask = None if mask is None else rl.tensor(mask)
    return F.scaled_dot_product_attention(*tensors, mask, **options).numpy()


@pytest.mark.parametrize("shapes", [((2, 3, 5, 4), (2, 3, 7, 4)), ((3, 5, 4), (3, 7, 4)), ((5, 4), (7, 4)),
                                    ((2, 3, 5, 4), (1, 3, 7, 4))])
def test_values(shapes):
    q, k, v = random(*shapes[0]), random(*shapes[1]), random(*shapes[1])
    assert np.allclose(attend(q, k, v), reference(q, k, v))
    assert np.allclose(attend(q, k, v, scale=0.3), reference(q, k, v, scale=0.3))


def test_masks():
    q, k, v = random(2, 3, 5, 4), random(2, 3, 7, 4), random(2, 3, 7, 6)
    mask = RNG.random((5, 7)) > 0.5
    mask[2] = False
    found = attend(q, k, v, mask)
    assert np.allclose(found, reference(q, k, v, mask)) and not found[:, :, 2].any()
    added = random(2, 1, 1, 7)
    assert np.allclose(attend(q, k, v, added), reference(q, k, v, added))
    assert np.allclose(attend(q, k, v, is_causal=True), reference(q, k, v, np.tri(5, 7, dtype=bool)))


@pytest.mark.parametrize("causal", [False, True])
def test_blocks_give_what_one_block_gives(monkeypatch, causal):
    q, k, v = random(2, 2, 70, 4), random(2, 2, 90, 4), random(2, 2, 90, 4)
    results = []
    for nbytes in (1 << 24, 1 << 12):
        monkeypatch.setattr(attention, "BLOCK_BYTES", nbytes)
        monkeypatch.setattr(attention, "CAUSAL_ROWS", 16 if nbytes < 1 << 20 else 128)
        tensors = [rl.tensor(x).requires_grad_() for x in (q, k, v)]
        out = F.scaled_dot_product_attention(*tensors, is_causal=causal)
        (out * out).sum().backward()
        results.append([out.detach().numpy()] + [t.grad.numpy() for t in tensors])
    for a, b in zip(*results):
        assert np.allclose(a, b)


def test_gradients():
    tensors = [rl.tensor(random(*s)).requires_grad_() for s in ((2, 3, 4), (2, 5, 4), (2, 5, 2), (3, 5))]
    assert rl.autograd.gradcheck(F.scaled_dot_product_attention, tensors)
    small = [rl.tensor(random(2, 3)).requires_grad_() for _ in range(3)]
    assert rl.autograd.gradgradcheck(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), small)


def test_groups_of_heads_share_keys():
    q, k, v = random(2, 6, 5, 4), random(2, 2, 7, 4), random(2, 2, 7, 4)
    repeated = reference(q, k.repeat(3, 1), v.repeat(3, 1))
    assert np.allclose(attend(q, k, v, enable_gqa=True), repeated)
    tensors = [rl.tensor(x).requires_grad_() for x in (q, k, v)]
    F.scaled_dot_product_attention(*tensors, enable_gqa=True).sum().backward()
    assert tensors[1].grad.shape == (2, 2, 7, 4) and tensors[2].grad.allclose(tensors[2].grad)


def test_result_has_the_memory_order_of_the_query():
    q = rl.randn(2, 5, 3, 4).transpose(1, 2)
    assert F.scaled_dot_product_attention(q, q, q).stride() == q.stride()
    q = q.detach().requires_grad_()
    assert F.scaled_dot_product_attention(q, q, q).grad_fn.name() == "ScaledDotProductFlashAttentionForCpuBackward0"


def test_empty_and_dropout():
    q = rl.randn(2, 3, 4)
    assert F.scaled_dot_product_attention(q[:, :0], q, q).shape == (2, 0, 4)
    assert F.scaled_dot_product_attention(q, q[:, :0], q[:, :0]).abs().sum() == 0
    assert F.scaled_dot_product_attention(q, q, q, dropout_p=1.0).abs().sum() == 0


@pytest.mark.parametrize("change, text", [
    (dict(attn_mask=rl.zeros(3, 3), is_causal=True), "should not be set when is_causal"),
    (dict(attn_mask=rl.zeros(3, 3, dtype=rl.int64)), "attn_mask dtype"),
    (dict(key=rl.zeros(2, 3, 4, dtype=rl.float64)), "same dtype"),
    (dict(query=rl.zeros(4)), "at least 2 dimensional"),
    (dict(dropout_p=2.0), "between 0 and 1"),
    (dict(key=rl.zeros(2, 2, 4)), "do not fit"),
])
def test_errors(change, text):
    with pytest.raises(RuntimeError, match=text):
        F.scaled_dot_product_attention(**{**dict.fromkeys(("query", "key", "value"), rl.zeros(2, 3, 4)), **change})
