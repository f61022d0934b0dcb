"""Attention and transformers against the formula, masks, and what PyTorch does with padding in inference."""
import math
import warnings

import pytest

import rushlight as rl
from rushlight import nn

warnings.filterwarnings("ignore", message="enable_nested_tensor")


def attend(layer, query, key, value, mask=None):
    """Multi-head attention of (N, L, E) from the formula; returns the result and the weights of every head."""
    size, heads = layer.embed_dim, layer.num_heads
    bias = layer.in_proj_bias.chunk(3)
    weights = layer.in_proj_weight.chunk(3)
    q, k, v = (x @ w.T + b for x, w, b in zip((query, key, value), weights, bias))
    q, k, v = (x.reshape(x.shape[0], x.shape[1], heads, size // heads).transpose(1, 2) for x in (q, k, v))
    scores = q @ k.transpose(-1, -2) / math.sqrt(size // heads)
    if mask is not None:
        scores = scores + mask
    scores = scores.softmax(-1)
    joined = (scores @ v).transpose(1, 2).reshape(query.shape)
    return joined @ layer.out_proj.weight.T + layer.out_proj.bias, scores


@pytest.mark.parametrize("need_weights", [True, False])
def test_against_formula(need_weights):
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    query, key = rl.randn(3, 4, 8), rl.randn(3, 5, 8)
    for q, k, v in ((query, query, query), (query, key, key), (query, key, key + 1)):
        expected, scores = attend(layer, q, k, v)
        result, weights = layer(q, k, v, need_weights=need_weights)
        assert rl.allclose(result, expected, atol=1e-5)
        if need_weights:
            assert rl.allclose(weights, scores.mean(1), atol=1e-5)
        else:
            assert weights is None


def test_layouts():
    layer = nn.MultiheadAttention(8, 2)
    x = rl.randn(4, 3, 8)
    result, weights = layer(x, x, x, average_attn_weights=False)
    assert result.shape == (4, 3, 8) and weights.shape == (3, 2, 4, 4)
    alone, weights = layer(x[:, 0], x[:, 0], x[:, 0])
    assert alone.shape == (4, 8) and weights.shape == (4, 4) and rl.allclose(alone, result[:, 0], atol=1e-5)


def test_masks():
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    x = rl.randn(2, 4, 8)
    causal = nn.Transformer.generate_square_subsequent_mask(4)
    assert causal[0].tolist() == [0.0, -math.inf, -math.inf, -math.inf]
    expected, _ = attend(layer, x, x, x, causal)
    for mask in (causal, causal.isinf()):
        for need_weights in (True, False):
            for hint in (True, False):
                result = layer(x, x, x, attn_mask=mask, need_weights=need_weights, is_causal=hint)[0]
                assert rl.allclose(result, expected, atol=1e-5)
    padding = rl.tensor([[False, False, True, True], [False, False, False, True]])
    result, weights = layer(x, x, x, key_padding_mask=padding)
    assert weights[0, :, 2:].abs().sum().item() == 0 and rl.allclose(weights.sum(-1), rl.ones(2, 4), atol=1e-5)
    with pytest.raises(RuntimeError, match="The shape of the 2D attn_mask is .*, but should be .4, 4."):
        layer(x, x, x, attn_mask=rl.zeros(2, 2))
    with pytest.raises(RuntimeError, match="Need attn_mask if specifying the is_causal hint"):
        layer(x, x, x, is_causal=True)
    with pytest.raises(AssertionError, match="only bool and floating types of attn_mask are supported"):
        layer(x, x, x, attn_mask=rl.zeros(4, 4, dtype=rl.int32))


def test_other_features_and_extra_keys():
    layer = nn.MultiheadAttention(4, 2, kdim=3, vdim=5, add_bias_kv=True, add_zero_attn=True)
    result, weights = layer(rl.randn(5, 3, 4), rl.randn(6, 3, 3), rl.randn(6, 3, 5))
    assert result.shape == (5, 3, 4) and weights.shape == (3, 5, 8)
    result.sum().backward()
    assert layer.bias_k.grad is not None and layer.q_proj_weight.grad is not None


@pytest.mark.parametrize("norm_first", [True, False])
def test_encoder_layer(norm_first):
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, norm_first=norm_first)
    x = rl.randn(2, 4, 8)
    if norm_first:
        y = x + attend(layer.self_attn, *[layer.norm1(x)] * 3)[0]
        expected = y + layer.linear2(layer.linear1(layer.norm2(y)).relu())
    else:
        y = layer.norm1(x + attend(layer.self_attn, x, x, x)[0])
        expected = layer.norm2(y + layer.linear2(layer.linear1(y).relu()))
    assert rl.allclose(layer(x), expected, atol=1e-4)


def test_padding_in_inference():
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2).eval()
    x = rl.randn(2, 3, 8)
    padding = rl.tensor([[False, False, True], [False, False, False]])
    with rl.no_grad():
        result = encoder(x, src_key_padding_mask=padding)
    assert result[0, 2].abs().sum().item() == 0 and result[1, 2].abs().sum().item() > 0
    trained = encoder(x, src_key_padding_mask=padding)
    assert trained[0, 2].abs().sum().item() > 0 and rl.allclose(trained[1], result[1], atol=1e-5)


def test_transformer():
    model = nn.Transformer(8, 2, 1, 1, 16, dropout=0.0, batch_first=True)
    src, tgt = rl.randn(2, 4, 8), rl.randn(2, 3, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(3)
    full = model(src, tgt, tgt_mask=mask)
    assert full.shape == (2, 3, 8)
    assert rl.allclose(model(src, tgt[:, :2], tgt_mask=mask[:2, :2]), full[:, :2], atol=1e-4)
    full.sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    with pytest.raises(RuntimeError, match="the batch number of src and tgt must be equal"):
        model(src, tgt[:1])
    with pytest.raises(RuntimeError, match="must be equal to d_model"):
        model(src[..., :4], tgt)


def test_layers_of_a_stack_are_copies():
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8), 2)
    first, second = decoder.layers
    assert rl.equal(first.linear1.weight, second.linear1.weight)
    assert first.linear1.weight is not second.linear1.weight
    assert decoder(rl.randn(3, 2, 4), rl.randn(5, 2, 4)).shape == (3, 2, 4)
