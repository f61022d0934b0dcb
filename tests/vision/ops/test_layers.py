"""Layers that models share: shapes, forms, statistics of random ones, and levels of feature pyramids."""
import collections

import pytest

import rushlight as rl
from rushlight import nn
from rushlight.vision import ops
from rushlight.vision.ops._utils import split_normalization_params
from rushlight.vision.ops.feature_pyramid_network import LastLevelMaxPool, LastLevelP6P7
from rushlight.vision.ops.misc import ConvNormActivation
from rushlight.vision.ops.poolers import LevelMapper


def test_convolutions_with_normalisation():
    layer = ops.Conv2dNormActivation(3, 4, (3, 5), dilation=2)
    assert layer[0].padding == (2, 4) and layer[0].bias is None and layer.out_channels == 4
    assert layer(rl.rand(1, 3, 9, 9)).shape == (1, 4, 9, 9)
    layer = ops.Conv3dNormActivation(3, 4, norm_layer=None, activation_layer=nn.Hardswish, inplace=None)
    assert [type(part).__name__ for part in layer] == ["Conv3d", "Hardswish"] and layer[0].bias is not None
    with pytest.warns(UserWarning, match="Don't use ConvNormActivation directly"):
        ConvNormActivation(3, 4)


def test_frozen_batch_norm():
    plain, frozen = nn.BatchNorm2d(3).eval(), ops.FrozenBatchNorm2d(3)
    for values in (plain.weight, plain.bias, plain.running_mean, plain.running_var):
        values.data.uniform_(0.5, 2)
    frozen.load_state_dict(plain.state_dict())
    x = rl.randn(2, 3, 4, 4)
    assert frozen(x).allclose(plain(x), atol=1e-5) and not list(frozen.parameters())
    assert repr(frozen) == "FrozenBatchNorm2d(3, eps=1e-05)"


def test_squeeze_excitation_mlp_permute():
    layer = ops.SqueezeExcitation(8, 2)
    x = rl.rand(2, 8, 3, 3)
    scale = layer.fc2(layer.fc1(x.mean((2, 3), keepdim=True)).relu()).sigmoid()
    assert layer(x).allclose(x * scale, atol=1e-6)
    mlp = ops.MLP(4, [6, 3], norm_layer=nn.LayerNorm, dropout=0.5)
    assert [type(part).__name__ for part in mlp] == ["Linear", "LayerNorm", "ReLU", "Dropout", "Linear", "Dropout"]
    assert ops.Permute([0, 2, 1])(rl.rand(2, 3, 4)).shape == (2, 4, 3)


def test_stochastic_depth():
    rl.manual_seed(0)
    x = rl.ones(4000, 3)
    rows = ops.stochastic_depth(x, 0.25, "row")
    assert rows.unique().tolist() == [0.0, pytest.approx(1 / 0.75)]
    assert (rows == rows[:, :1]).all() and abs(rows.mean().item() - 1) < 0.05
    assert ops.stochastic_depth(x, 0.5, "batch").unique().numel() == 1
    assert ops.stochastic_depth(x, 0.5, "row", training=False) is x
    assert ops.stochastic_depth(x, 1.0, "row").sum() == 0
    layer = ops.StochasticDepth(0.5, "row")
    assert repr(layer) == "StochasticDepth(p=0.5, mode=row)" and layer.eval()(x) is x
    with pytest.raises(ValueError, match="between 0 and 1"):
        ops.stochastic_depth(x, 1.5, "row")
    with pytest.raises(ValueError, match="mode has to be"):
        ops.stochastic_depth(x, 0.5, "column")


def test_drop_block():
    rl.manual_seed(0)
    x = rl.ones(20, 4, 15, 15)
    found = ops.drop_block2d(x, 0.2, 3)
    assert abs(found.mean().item() - 1) < 1e-3 and 0.1 < (found == 0).float().mean().item() < 0.3
    assert ops.drop_block3d(rl.ones(2, 2, 5, 6, 7), 0.3, 3).shape == (2, 2, 5, 6, 7)
    y = x.clone()
    assert ops.DropBlock2d(0.2, 3, inplace=True)(y) is y
    volume = x[..., None]
    assert ops.DropBlock3d(0.2, 3).eval()(volume) is volume
    for arguments, text in (((x, -0.1, 3), "between 0 and 1"), ((x, 0.1, 4), "should be odd"),
                            ((x[0], 0.1, 3), "4 dimensional")):
        with pytest.raises(ValueError, match=text):
            ops.drop_block2d(*arguments)


def test_feature_pyramid():
    x = collections.OrderedDict(a=rl.rand(1, 4, 16, 12), b=rl.rand(1, 8, 8, 6), c=rl.rand(1, 8, 4, 3))
    fpn = ops.FeaturePyramidNetwork([4, 8, 8], 5, LastLevelMaxPool())
    found = fpn(x)
    assert {name: tuple(level.shape) for name, level in found.items()} == {
        "a": (1, 5, 16, 12), "b": (1, 5, 8, 6), "c": (1, 5, 4, 3), "pool": (1, 5, 2, 2)}
    coarse = fpn.inner_blocks[2](x["c"])
    middle = fpn.inner_blocks[1](x["b"]) + coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert found["b"].allclose(fpn.layer_blocks[1](middle), atol=1e-6)
    old = {key.replace(".0.weight", ".weight").replace(".0.bias", ".bias"): value
           for key, value in fpn.state_dict().items()}
    fpn.load_state_dict(old)
    assert list(ops.FeaturePyramidNetwork([4, 8, 8], 5, LastLevelP6P7(8, 5))(x)) == ["a", "b", "c", "p6", "p7"]
    with pytest.raises(TypeError, match="ExtraFPNBlock"):
        ops.FeaturePyramidNetwork([4], 5, nn.ReLU())


def test_multi_scale_roi_align():
    rl.manual_seed(0)
    x = {"0": rl.rand(2, 3, 64, 64), "1": rl.rand(2, 3, 32, 32), "2": rl.rand(2, 3, 16, 16)}
    boxes = [rl.tensor([[10.0, 10, 40, 50], [0, 0, 250, 250]]), rl.tensor([[5.0, 5, 140, 150], [30, 30, 33, 33]])]
    pool = ops.MultiScaleRoIAlign(["0", "1", "2"], 3, 2, canonical_scale=224, canonical_level=4)
    found = pool(x, boxes, [(256, 250), (200, 256)])
    assert pool.scales == [0.25, 0.125, 0.0625]
    levels = LevelMapper(2, 4)(boxes)
    assert levels.tolist() == [0, 2, 1, 0]
    rois = rl.cat([rl.tensor([[0.0], [0], [1], [1]]), rl.cat(boxes)], 1)
    for i, level in enumerate(levels.tolist()):
        wanted = ops.roi_align(x[str(level)], rois[i:i + 1], 3, pool.scales[level], 2)
        assert found[i:i + 1].allclose(wanted)
    assert pool(x, [boxes[0][:0], boxes[1][:0]], [(256, 256)] * 2).shape == (0, 3, 3, 3)
    assert repr(pool) == "MultiScaleRoIAlign(featmap_names=['0', '1', '2'], output_size=(3, 3), sampling_ratio=2)"
    one = ops.MultiScaleRoIAlign(["0"], (2, 2), 2)(x, boxes, [(256, 256)] * 2)
    assert one.allclose(ops.roi_align(x["0"], boxes, 2, 0.25, 2))
    with pytest.raises(ValueError, match="images list"):
        ops.MultiScaleRoIAlign(["0"], 2, 2)(x, boxes, [])


def test_split_normalization_params():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Sequential(nn.LayerNorm(3)))
    norms, others = split_normalization_params(model)
    assert len(norms) == 4 and len(others) == 2
    with pytest.raises(ValueError, match="not a subclass of nn.Module"):
        split_normalization_params(model, [int])
