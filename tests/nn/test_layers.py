"""Layers: reprs, states, first values under a seed (numbers from PyTorch 2.13), constructor errors, small results."""
import math
import warnings

import pytest

import rushlight as rl
from rushlight import nn

warnings.filterwarnings("ignore", message="enable_nested_tensor")

# (what is built, its repr, the names of its state)
LAYERS = [
    ("Linear(3, 2, bias=False)", "Linear(in_features=3, out_features=2, bias=False)", "weight"),
    ("Identity(5, a=1)", "Identity()", ""),
    ("Bilinear(1, 2, 3)", "Bilinear(in1_features=1, in2_features=2, out_features=3, bias=True)", "weight bias"),
    ("Conv1d(3, 4, 3, padding='same')", "Conv1d(3, 4, kernel_size=(3,), stride=(1,), padding=same)", "weight bias"),
    (
        "Conv2d(3, 4, 3, padding=1, dilation=2, bias=False, padding_mode='reflect')",
        "Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), dilation=(2, 2), bias=False, "
        "padding_mode=reflect)",
        "weight",
    ),
    (
        "ConvTranspose2d(4, 6, 3, stride=2, output_padding=1, groups=2)",
        "ConvTranspose2d(4, 6, kernel_size=(3, 3), stride=(2, 2), output_padding=(1, 1), groups=2)",
        "weight bias",
    ),
    ("LazyConv2d(4, 3)", "LazyConv2d(0, 4, kernel_size=(3, 3), stride=(1, 1))", "weight bias"),
    ("MaxPool2d(3, 2, 1)", "MaxPool2d(kernel_size=3, stride=2, padding=1, dilation=1, ceil_mode=False)", ""),
    ("AvgPool1d(2)", "AvgPool1d(kernel_size=(2,), stride=(2,), padding=(0,))", ""),
    ("AdaptiveAvgPool2d((None, 3))", "AdaptiveAvgPool2d(output_size=(None, 3))", ""),
    ("MaxUnpool2d(2)", "MaxUnpool2d(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))", ""),
    ("LPPool2d(2, 3)", "LPPool2d(norm_type=2, kernel_size=3, stride=None, ceil_mode=False)", ""),
    ("FractionalMaxPool2d(3, output_size=4)", "FractionalMaxPool2d()", ""),
    (
        "BatchNorm2d(3, momentum=None)",
        "BatchNorm2d(3, eps=1e-05, momentum=None, affine=True, bias=True, track_running_stats=True)",
        "weight bias running_mean running_var num_batches_tracked",
    ),
    (
        "InstanceNorm1d(3)",
        "InstanceNorm1d(3, eps=1e-05, momentum=0.1, affine=False, bias=False, track_running_stats=False)",
        "",
    ),
    ("LayerNorm([2, 3], bias=False)", "LayerNorm((2, 3), eps=1e-05, elementwise_affine=True, bias=False)", "weight"),
    ("GroupNorm(2, 4)", "GroupNorm(2, 4, eps=1e-05, affine=True, bias=True)", "weight bias"),
    ("RMSNorm(3)", "RMSNorm((3,), eps=None, elementwise_affine=True)", "weight"),
    ("LocalResponseNorm(2)", "LocalResponseNorm(2, alpha=0.0001, beta=0.75, k=1.0)", ""),
    ("Embedding(3, 4, padding_idx=-1, sparse=True)", "Embedding(3, 4, padding_idx=2, sparse=True)", "weight"),
    ("EmbeddingBag(3, 4, mode='sum')", "EmbeddingBag(3, 4, mode='sum')", "weight"),
    ("Dropout2d(0.2, True)", "Dropout2d(p=0.2, inplace=True)", ""),
    ("ConstantPad1d(2, 3.5)", "ConstantPad1d(padding=(2, 2), value=3.5)", ""),
    ("ZeroPad2d(1)", "ZeroPad2d((1, 1, 1, 1))", ""),
    ("Upsample(scale_factor=2, mode='bilinear')", "Upsample(scale_factor=2.0, mode='bilinear')", ""),
    ("Flatten()", "Flatten(start_dim=1, end_dim=-1)", ""),
    ("Unflatten(1, (2, 3))", "Unflatten(dim=1, unflattened_size=(2, 3))", ""),
    ("PixelShuffle(2)", "PixelShuffle(upscale_factor=2)", ""),
    ("Unfold(2)", "Unfold(kernel_size=2, dilation=1, padding=0, stride=1)", ""),
    ("RReLU()", "RReLU(lower=0.125, upper=0.3333333333333333)", ""),
    ("Hardtanh(-2, 2, True)", "Hardtanh(min_val=-2, max_val=2, inplace=True)", ""),
    ("ReLU6(True)", "ReLU6(inplace=True)", ""),
    ("GELU('tanh')", "GELU(approximate='tanh')", ""),
    ("Softshrink()", "Softshrink(0.5)", ""),
    ("PReLU(3)", "PReLU(num_parameters=3)", "weight"),
    ("Softmax(1)", "Softmax(dim=1)", ""),
    ("CrossEntropyLoss(weight=rl.ones(3))", "CrossEntropyLoss()", "weight"),
    (
        "TripletMarginWithDistanceLoss()",
        "TripletMarginWithDistanceLoss(\n  (distance_function): PairwiseDistance()\n)",
        "",
    ),
    (
        "LSTM(2, 3, 2, proj_size=2, dropout=0.5, bias=False)",
        "LSTM(2, 3, proj_size=2, num_layers=2, bias=False, dropout=0.5)",
        "weight_ih_l0 weight_hh_l0 weight_hr_l0 weight_ih_l1 weight_hh_l1 weight_hr_l1",
    ),
    (
        "GRU(2, 3, bidirectional=True)",
        "GRU(2, 3, bidirectional=True)",
        "weight_ih_l0 weight_hh_l0 bias_ih_l0 bias_hh_l0 "
        "weight_ih_l0_reverse weight_hh_l0_reverse bias_ih_l0_reverse bias_hh_l0_reverse",
    ),
    ("RNN(2, 3, 1, 'relu')", "RNN(2, 3)", "weight_ih_l0 weight_hh_l0 bias_ih_l0 bias_hh_l0"),
    ("RNNCell(2, 3, False, 'relu')", "RNNCell(2, 3, bias=False, nonlinearity=relu)", "weight_ih weight_hh"),
    (
        "MultiheadAttention(4, 2, kdim=3, vdim=5, add_bias_kv=True)",
        "MultiheadAttention(\n  (out_proj): NonDynamicallyQuantizableLinear("
        "in_features=4, out_features=4, bias=True)\n)",
        "q_proj_weight k_proj_weight v_proj_weight in_proj_bias bias_k bias_v out_proj.weight out_proj.bias",
    ),
]


@pytest.mark.parametrize("text, expected, state", LAYERS, ids=[row[0] for row in LAYERS])
def test_repr_and_state(text, expected, state):
    layer = eval(f"nn.{text}", {"nn": nn, "rl": rl})
    assert repr(layer) == expected
    assert " ".join(layer.state_dict()) == state


# (what is built after manual_seed(0), the sum of all parameters in PyTorch)
SEEDED = [
    ("Linear(4, 3)", -1.363356),
    ("Bilinear(2, 3, 4)", -0.812579),
    ("Conv2d(2, 3, 3)", -0.562373),
    ("ConvTranspose1d(2, 3, 3)", -0.814832),
    ("Embedding(5, 4, padding_idx=1)", 6.385311),
    ("LSTM(2, 3, 2)", -5.88479),
    ("GRUCell(3, 2)", -2.513567),
    ("MultiheadAttention(4, 2)", -1.532331),
    ("Transformer(4, 2, 1, 1, 8)", 28.771727),
    ("AdaptiveLogSoftmaxWithLoss(8, 10, [3, 5], 2.0)", -0.819423),
    ("PReLU(3)", 0.75),
]


@pytest.mark.parametrize("text, expected", SEEDED, ids=[row[0] for row in SEEDED])
def test_first_values(text, expected):
    rl.manual_seed(0)
    layer = eval(f"nn.{text}", {"nn": nn})
    total = sum(p.detach().double().sum().item() for p in layer.parameters())
    assert math.isclose(total, expected, abs_tol=2e-6)


ERRORS = [
    ("Conv2d(3, 4, 3, padding='foo')", ValueError, "Invalid padding string 'foo'"),
    ("Conv2d(3, 4, 3, padding='same', stride=2)", ValueError, "padding='same' is not supported for strided"),
    ("Conv2d(3, 4, 3, groups=2)", ValueError, "in_channels must be divisible by groups"),
    ("ConvTranspose2d(3, 4, 3, padding_mode='reflect')", ValueError, 'Only "zeros" padding mode is supported'),
    ("Dropout(2)", ValueError, "dropout probability has to be between 0 and 1, but got 2"),
    ("FractionalMaxPool2d(3)", ValueError, "requires specifying either an output size, or a pooling ratio"),
    ("GroupNorm(3, 4)", ValueError, "must be divisible by num_groups"),
    ("Embedding(3, 4, padding_idx=5)", AssertionError, "Padding_idx must be within num_embeddings"),
    ("Unflatten(1, 2)", TypeError, "must be a tuple of ints, but found type int"),
    ("Hardtanh(1, 0)", AssertionError, "must be greater than min_val"),
    ("MultiheadAttention(4, 3)", AssertionError, "embed_dim must be divisible by num_heads"),
    ("MultiMarginLoss(p=3)", ValueError, "only p == 1 and p == 2 supported"),
    ("TripletMarginLoss(margin=-1)", ValueError, "expected margin to be greater than 0, got -1"),
    ("HuberLoss(delta=1j)", TypeError, "delta must be a float or int"),
    ("AdaptiveLogSoftmaxWithLoss(4, 10, [3, 3])", ValueError, "unique, positive integers"),
    ("LSTM(2, 3, proj_size=3)", ValueError, "proj_size has to be smaller than hidden_size"),
    ("LSTM(2, 3, dropout=2)", ValueError, "dropout should be a number in range"),
    ("GRU(2, 3, proj_size=1)", ValueError, "only supported for LSTM"),
    ("RNN(2, 3, nonlinearity='foo')", ValueError, "Unknown nonlinearity 'foo'"),
    ("LSTM(2, 3.5)", TypeError, "hidden_size should be of type int, got: float"),
    ("TransformerEncoderLayer(8, 2, activation='foo')", RuntimeError, "activation should be relu/gelu, not foo"),
]


@pytest.mark.parametrize("text, error, message", ERRORS, ids=[row[0] for row in ERRORS])
def test_constructor_errors(text, error, message):
    with pytest.raises(error, match=message):
        eval(f"nn.{text}", {"nn": nn})


def test_linear():
    layer = nn.Linear(3, 2)
    x = rl.randn(5, 3, requires_grad=True)
    y = layer(x)
    assert rl.allclose(y, x @ layer.weight.T + layer.bias, atol=1e-6)
    y.sum().backward()
    assert rl.allclose(layer.weight.grad, x.detach().sum(0).expand(2, 3), atol=1e-5)


def test_batch_norm():
    norm = nn.BatchNorm1d(3)
    x = rl.randn(16, 3) * 2 + 1
    y = norm(x)
    assert rl.allclose(y.mean(0), rl.zeros(3), atol=1e-5) and norm.num_batches_tracked.item() == 1
    assert rl.allclose(norm.running_mean, 0.1 * x.mean(0), atol=1e-5)
    assert rl.allclose(norm.running_var, 0.9 + 0.1 * x.var(0), atol=1e-5)
    expected = (x - norm.running_mean) / (norm.running_var + 1e-5).sqrt()
    assert rl.allclose(norm.eval()(x), expected, atol=1e-4)
    average = nn.BatchNorm1d(3, momentum=None)
    average(x)
    average(x + 2)
    assert rl.allclose(average.running_mean, x.mean(0) + 1, atol=1e-4)
    with pytest.raises(ValueError, match="expected 2D or 3D input .got 1D input."):
        norm(rl.zeros(3))


def test_sync_batch_norm():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    norm = model[1]
    model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert type(model[1]) is nn.SyncBatchNorm and model[1].weight is norm.weight
    assert model(rl.randn(4, 2)).shape == (4, 3)


def test_embedding():
    table = nn.Embedding(5, 3, padding_idx=1)
    assert table.weight[1].abs().sum().item() == 0
    index = rl.tensor([[0, 1], [4, 1]])
    table(index).sum().backward()
    assert table.weight.grad.sum(1).tolist() == [3.0, 0.0, 0.0, 0.0, 3.0]
    fixed = nn.Embedding.from_pretrained(rl.eye(3))
    assert not fixed.weight.requires_grad and fixed(rl.tensor([2])).tolist() == [[0.0, 0.0, 1.0]]


def test_conv_transpose_output_size():
    layer = nn.ConvTranspose2d(3, 4, 3, stride=2)
    x = rl.zeros(1, 3, 5, 5)
    assert layer(x, output_size=[11, 12]).shape == (1, 4, 11, 12)
    with pytest.raises(ValueError, match="valid sizes range from .11, 11. to .12, 12."):
        layer(x, output_size=[3, 3])
    with pytest.raises(ValueError, match="output_size must have 2 or 4 elements .got 1."):
        layer(x, output_size=[3])
