"""MobileNet V3 (Howard et al. 2019, arXiv:1905.02244), large and small."""

import collections.abc
import functools

from ... import api as rl
from ... import nn
from ..ops.misc import Conv2dNormActivation, SqueezeExcitation
from ._api import weights_enum
from ._utils import _make_divisible, builder
from .mobilenetv2 import init_mobile

__all__ = [
    "MobileNetV3", "MobileNet_V3_Large_Weights", "MobileNet_V3_Small_Weights", "mobilenet_v3_large",
    "mobilenet_v3_small",
]


class InvertedResidualConfig:
    """What a block is like: channels, kernel, squeeze-and-excitation, activation "RE" or "HS", stride, dilation."""

    def __init__(self, input_channels, kernel, expanded_channels, out_channels, use_se, activation, stride, dilation,
                 width_mult):
        self.input_channels = self.adjust_channels(input_channels, width_mult)
        self.kernel = kernel
        self.expanded_channels = self.adjust_channels(expanded_channels, width_mult)
        self.out_channels = self.adjust_channels(out_channels, width_mult)
        self.use_se = use_se
        self.use_hs = activation == "HS"
        self.stride = stride
        self.dilation = dilation

    @staticmethod
    def adjust_channels(channels, width_mult):
        """Return channels at another width."""
        return _make_divisible(channels * width_mult, 8)


class InvertedResidual(nn.Module):
    """A depthwise convolution between 1 x 1 convolutions that raise and lower the channels."""

    def __init__(self, cnf, norm_layer,
                 se_layer=functools.partial(SqueezeExcitation, scale_activation=nn.Hardsigmoid)):
        super().__init__()
        if not 1 <= cnf.stride <= 2:
            raise ValueError("illegal stride value")
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        options = {"norm_layer": norm_layer, "activation_layer": nn.Hardswish if cnf.use_hs else nn.ReLU}
        wide, layers = cnf.expanded_channels, []
        if wide != cnf.input_channels:
            layers.append(Conv2dNormActivation(cnf.input_channels, wide, 1, **options))
        stride = 1 if cnf.dilation > 1 else cnf.stride
        layers.append(Conv2dNormActivation(
            wide, wide, cnf.kernel, stride=stride, dilation=cnf.dilation, groups=wide, **options))
        if cnf.use_se:
            layers.append(se_layer(wide, _make_divisible(wide // 4, 8)))
        layers.append(
            Conv2dNormActivation(wide, cnf.out_channels, 1, norm_layer=norm_layer, activation_layer=None))
        self.block = nn.Sequential(*layers)
        self.out_channels = cnf.out_channels
        self._is_cn = cnf.stride > 1

    def forward(self, input):
        return self.block(input) + input if self.use_res_connect else self.block(input)


class MobileNetV3(nn.Module):
    """MobileNet V3: images (N, 3, H, W) → scores (N, num_classes).

    Args:
        inverted_residual_setting (list of InvertedResidualConfig): the blocks.
        last_channel (int): features before the last layer.
        num_classes (int): number of classes.
        block, norm_layer (callable, optional): `InvertedResidual` and `BatchNorm2d` by default.
        dropout (float): probability before the last layer.
    """

    def __init__(self, inverted_residual_setting, last_channel, num_classes=1000, block=None, norm_layer=None,
                 dropout=0.2, **kwargs):
        super().__init__()
        blocks = inverted_residual_setting
        if not blocks:
            raise ValueError("The inverted_residual_setting should not be empty")
        if not (isinstance(blocks, collections.abc.Sequence)
                and all(isinstance(b, InvertedResidualConfig) for b in blocks)):
            raise TypeError("The inverted_residual_setting should be List[InvertedResidualConfig]")
        block = block or InvertedResidual
        norm_layer = norm_layer or functools.partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
        options = {"norm_layer": norm_layer, "activation_layer": nn.Hardswish}
        layers = [Conv2dNormActivation(3, blocks[0].input_channels, 3, stride=2, **options)]
        layers += [block(config, norm_layer) for config in blocks]
        narrow = blocks[-1].out_channels
        layers.append(Conv2dNormActivation(narrow, 6 * narrow, 1, **options))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(6 * narrow, last_channel), nn.Hardswish(inplace=True), nn.Dropout(p=dropout, inplace=True),
            nn.Linear(last_channel, num_classes))
        init_mobile(self)

    def forward(self, x):
        return self.classifier(rl.flatten(self.avgpool(self.features(x)), 1))


# input channels, kernel, expanded channels, output channels, squeeze-and-excitation, activation, stride; the blocks
# from `tail` on, and the outputs of the one before, are those that `reduced_tail` halves and `dilated` dilates
LARGE = [
    (16, 3, 16, 16, False, "RE", 1), (16, 3, 64, 24, False, "RE", 2), (24, 3, 72, 24, False, "RE", 1),
    (24, 5, 72, 40, True, "RE", 2), (40, 5, 120, 40, True, "RE", 1), (40, 5, 120, 40, True, "RE", 1),
    (40, 3, 240, 80, False, "HS", 2), (80, 3, 200, 80, False, "HS", 1), (80, 3, 184, 80, False, "HS", 1),
    (80, 3, 184, 80, False, "HS", 1), (80, 3, 480, 112, True, "HS", 1), (112, 3, 672, 112, True, "HS", 1),
    (112, 5, 672, 160, True, "HS", 2), (160, 5, 960, 160, True, "HS", 1), (160, 5, 960, 160, True, "HS", 1),
]
SMALL = [
    (16, 3, 16, 16, True, "RE", 2), (16, 3, 72, 24, False, "RE", 2), (24, 3, 88, 24, False, "RE", 1),
    (24, 5, 96, 40, True, "HS", 2), (40, 5, 240, 40, True, "HS", 1), (40, 5, 240, 40, True, "HS", 1),
    (40, 5, 120, 48, True, "HS", 1), (48, 5, 144, 48, True, "HS", 1), (48, 5, 288, 96, True, "HS", 2),
    (96, 5, 576, 96, True, "HS", 1), (96, 5, 576, 96, True, "HS", 1),
]
ARCHITECTURES = {"mobilenet_v3_large": (LARGE, 1280), "mobilenet_v3_small": (SMALL, 1024)}


def _mobilenet_v3_conf(arch, width_mult=1.0, reduced_tail=False, dilated=False, **kwargs):
    """Return (configurations of the blocks, features before the last layer)."""
    if arch not in ARCHITECTURES:
        raise ValueError(f"Unsupported model type {arch}")
    rows, last = ARCHITECTURES[arch]
    divider, dilation, tail = 2 if reduced_tail else 1, 2 if dilated else 1, len(rows) - 3
    blocks = []
    for i, (narrow, kernel, wide, out, use_se, activation, stride) in enumerate(rows):
        spread = 1
        if i >= tail:
            out, spread = out // divider, dilation
        if i > tail:
            narrow, wide = narrow // divider, wide // divider
        blocks.append(
            InvertedResidualConfig(narrow, kernel, wide, out, use_se, activation, stride, spread, width_mult))
    return blocks, InvertedResidualConfig.adjust_channels(last // divider, width_mult)


def _make(arch, **kwargs):
    return MobileNetV3(*_mobilenet_v3_conf(arch, **kwargs), **kwargs)


def _variant(name, weights):
    return builder(name, weights, functools.partial(_make, name), f"Build the {name[13:]} MobileNet V3.")


MobileNet_V3_Large_Weights = weights_enum("MobileNet_V3_Large_Weights", __name__)
MobileNet_V3_Small_Weights = weights_enum("MobileNet_V3_Small_Weights", __name__)

mobilenet_v3_large = _variant("mobilenet_v3_large", MobileNet_V3_Large_Weights)
mobilenet_v3_small = _variant("mobilenet_v3_small", MobileNet_V3_Small_Weights)
