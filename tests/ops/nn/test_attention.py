"""Scaled dot-product attention against NumPy, in one block and in many."""
import numpy as np
import pytest

import rushlight as rl
import rushlight.nn.functional as F
from rushlight.base import switches
from rushlight.ops.nn import attention
from rushlight.runtime.cpu import jit

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


# -- the kernels -------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def planned():
    """Plans know their kernels by key: what runs directly may have its kernels from disk, by name."""
    with switches.env(TIER=1):
        yield


def kernels():
    """How many attention kernels are compiled."""
    return sum(key[0] == "attention" for key in jit._addresses)


def with_gradients(arrays, mask, options):
    tensors = [rl.tensor(x, requires_grad=True) for x in arrays]
    found = F.scaled_dot_product_attention(*tensors, None if mask is None else rl.tensor(mask), **options)
    weights = rl.arange(float(found.numel())).view(found.shape).sin()
    (found * weights).sum().backward()
    return [found.detach().numpy(), *[t.grad.numpy() for t in tensors]]


@pytest.mark.parametrize("queries, keys, features, width", [(8, 8, 16, 16), (30, 70, 20, 33), (70, 1040, 64, 64),
                                                            (600, 520, 5, 8)])
@pytest.mark.parametrize("kind", [None, "causal", "bool", "float32", "row", "groups"])
def test_kernels_give_what_blocks_give(queries, keys, features, width, kind):
    """Against the operators, in double precision; rows without a key, chunks of keys, edges of tiles."""
    heads = (2, 4) if kind == "groups" else (2, 2)
    shapes = (*heads, queries, features), (2, 2, keys, features), (2, 2, keys, width)
    arrays = [random(*shape).astype(np.float32) for shape in shapes]
    options = {"causal": {"is_causal": True}, "groups": {"enable_gqa": True, "is_causal": True}}.get(kind, {})
    mask = {"bool": RNG.random((queries, keys)) > 0.5, "row": RNG.random((2, 1, 1, keys)) > 0.5,
            "float32": random(1, 2, queries, keys).astype(np.float32)}.get(kind)
    if kind == "bool":
        mask[1] = False
    found = with_gradients(arrays, mask, options)
    before = kernels()
    expected = with_gradients([x.astype(float) for x in arrays], mask, options)
    assert before and kernels() == before
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5 * max(1, np.abs(b).max()))


def test_kernels_read_any_memory_order():
    """Heads between rows and features, as models have them; features apart; a gradient that is one number."""
    x = rl.randn(3, 40, 2, 16, requires_grad=True)
    y = rl.randn(3, 2, 16, 40, requires_grad=True)
    out = F.scaled_dot_product_attention(x.transpose(1, 2), y.transpose(2, 3), y.transpose(2, 3))
    out.sum().backward()
    assert out.stride() == x.transpose(1, 2).stride() and kernels()
    a, b = (t.detach().double().requires_grad_() for t in (x, y))
    exact = F.scaled_dot_product_attention(a.transpose(1, 2), b.transpose(2, 3), b.transpose(2, 3))
    exact.sum().backward()
    assert out.double().allclose(exact, atol=1e-5) and y.grad.double().allclose(b.grad, atol=1e-4)
    assert x.grad.double().allclose(a.grad, atol=1e-4)


def test_a_nan_stays_in_its_row():
    q, k = rl.randn(1, 1, 20, 16), rl.randn(1, 1, 90, 16)
    q[0, 0, 3, 2] = float("nan")
    assert F.scaled_dot_product_attention(q, k, k).isnan().any(-1).nonzero().tolist() == [[0, 0, 3]]
