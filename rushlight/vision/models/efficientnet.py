"""EfficientNet (Tan and Le 2019, arXiv:1905.11946) and EfficientNet V2 (2021, arXiv:2104.00298)."""

import collections.abc
import copy
import dataclasses
import functools
import math
import typing

from ... import api as rl
from ... import nn
from ...nn import init
from ..ops.misc import Conv2dNormActivation, SqueezeExcitation
from ..ops.stochastic_depth import StochasticDepth
from ._api import weights_enum
from ._utils import _make_divisible, builder, drawn, init_modules, unit_norm

__all__ = [
    "EfficientNet", "EfficientNet_B0_Weights", "EfficientNet_B1_Weights", "EfficientNet_B2_Weights",
    "EfficientNet_B3_Weights", "EfficientNet_B4_Weights", "EfficientNet_B5_Weights", "EfficientNet_B6_Weights",
    "EfficientNet_B7_Weights", "EfficientNet_V2_S_Weights", "EfficientNet_V2_M_Weights", "EfficientNet_V2_L_Weights",
    "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3", "efficientnet_b4", "efficientnet_b5",
    "efficientnet_b6", "efficientnet_b7", "efficientnet_v2_s", "efficientnet_v2_m", "efficientnet_v2_l",
]


@dataclasses.dataclass
class _MBConvConfig:
    expand_ratio: float
    kernel: int
    stride: int
    input_channels: int
    out_channels: int
    num_layers: int
    block: typing.Callable

    @staticmethod
    def adjust_channels(channels, width_mult, min_value=None):
        """Return channels at another width."""
        return _make_divisible(channels * width_mult, 8, min_value)


class MBConvConfig(_MBConvConfig):
    """What a stage of `MBConv` blocks is like, in terms of a network that is scaled in width and depth."""

    def __init__(self, expand_ratio, kernel, stride, input_channels, out_channels, num_layers, width_mult=1.0,
                 depth_mult=1.0, block=None):
        super().__init__(
            expand_ratio, kernel, stride, self.adjust_channels(input_channels, width_mult),
            self.adjust_channels(out_channels, width_mult), self.adjust_depth(num_layers, depth_mult), block or MBConv)

    @staticmethod
    def adjust_depth(num_layers, depth_mult):
        """Return blocks at another depth."""
        return int(math.ceil(num_layers * depth_mult))


class FusedMBConvConfig(_MBConvConfig):
    """What a stage of `FusedMBConv` blocks is like."""

    def __init__(self, expand_ratio, kernel, stride, input_channels, out_channels, num_layers, block=None):
        super().__init__(
            expand_ratio, kernel, stride, input_channels, out_channels, num_layers, block or FusedMBConv)


class _Residual(nn.Module):
    """The layers `block`, beside a shortcut where sizes allow it."""

    def __init__(self, cnf, layers, stochastic_depth_prob):
        super().__init__()
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        self.block = nn.Sequential(*layers)
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")
        self.out_channels = cnf.out_channels

    def forward(self, input):
        result = self.block(input)
        return self.stochastic_depth(result) + input if self.use_res_connect else result


def _expanded(cnf):
    if not 1 <= cnf.stride <= 2:
        raise ValueError("illegal stride value")
    return cnf.adjust_channels(cnf.input_channels, cnf.expand_ratio)


class MBConv(_Residual):
    """A depthwise convolution and squeeze-and-excitation between 1 x 1 convolutions that raise and lower channels."""

    def __init__(self, cnf, stochastic_depth_prob, norm_layer, se_layer=SqueezeExcitation):
        wide, layers = _expanded(cnf), []
        options = {"norm_layer": norm_layer, "activation_layer": nn.SiLU}
        if wide != cnf.input_channels:
            layers.append(Conv2dNormActivation(cnf.input_channels, wide, 1, **options))
        layers.append(Conv2dNormActivation(wide, wide, cnf.kernel, stride=cnf.stride, groups=wide, **options))
        squeezed = max(1, cnf.input_channels // 4)
        layers.append(se_layer(wide, squeezed, activation=functools.partial(nn.SiLU, inplace=True)))
        layers.append(Conv2dNormActivation(wide, cnf.out_channels, 1, norm_layer=norm_layer, activation_layer=None))
        super().__init__(cnf, layers, stochastic_depth_prob)


class FusedMBConv(_Residual):
    """As `MBConv`, with one ordinary convolution for the raising and the depthwise convolution."""

    def __init__(self, cnf, stochastic_depth_prob, norm_layer):
        wide = _expanded(cnf)
        options = {"norm_layer": norm_layer, "activation_layer": nn.SiLU}
        if wide != cnf.input_channels:
            layers = [
                Conv2dNormActivation(cnf.input_channels, wide, cnf.kernel, stride=cnf.stride, **options),
                Conv2dNormActivation(wide, cnf.out_channels, 1, norm_layer=norm_layer, activation_layer=None),
            ]
        else:
            layers = [Conv2dNormActivation(cnf.input_channels, cnf.out_channels, cnf.kernel, cnf.stride, **options)]
        super().__init__(cnf, layers, stochastic_depth_prob)


class EfficientNet(nn.Module):
    """EfficientNet: images (N, 3, H, W) → scores (N, num_classes).

    Args:
        inverted_residual_setting (list of MBConvConfig or FusedMBConvConfig): the stages.
        dropout (float): probability before the last layer.
        stochastic_depth_prob (float): probability that grows from 0 with each block.
        num_classes (int): number of classes.
        norm_layer (callable, optional): `BatchNorm2d` by default.
        last_channel (int, optional): channels of the last convolution; four times those before by default.
    """

    def __init__(self, inverted_residual_setting, dropout, stochastic_depth_prob=0.2, num_classes=1000,
                 norm_layer=None, last_channel=None):
        super().__init__()
        stages = inverted_residual_setting
        if not stages:
            raise ValueError("The inverted_residual_setting should not be empty")
        if not (isinstance(stages, collections.abc.Sequence) and all(isinstance(s, _MBConvConfig) for s in stages)):
            raise TypeError("The inverted_residual_setting should be List[MBConvConfig]")
        norm_layer = norm_layer or nn.BatchNorm2d
        options = {"norm_layer": norm_layer, "activation_layer": nn.SiLU}
        layers = [Conv2dNormActivation(3, stages[0].input_channels, 3, stride=2, **options)]
        total, done = sum([stage.num_layers for stage in stages]), 0
        for stage in stages:
            config, blocks = copy.copy(stage), []
            for _ in range(stage.num_layers):
                blocks.append(config.block(config, stochastic_depth_prob * float(done) / total, norm_layer))
                config.input_channels, config.stride = config.out_channels, 1
                done += 1
            layers.append(nn.Sequential(*blocks))
        narrow = stages[-1].out_channels
        wide = 4 * narrow if last_channel is None else last_channel
        layers.append(Conv2dNormActivation(narrow, wide, 1, **options))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(p=dropout, inplace=True), nn.Linear(wide, num_classes))
        init_modules(
            self,
            (nn.Conv2d, drawn(init.kaiming_normal_, mode="fan_out")),
            ((nn.BatchNorm2d, nn.GroupNorm), unit_norm),
            (nn.Linear, _draw_linear),
        )

    def forward(self, x):
        return self.classifier(rl.flatten(self.avgpool(self.features(x)), 1))


def _draw_linear(module):
    bound = 1.0 / math.sqrt(module.out_features)
    init.uniform_(module.weight, -bound, bound)
    init.zeros_(module.bias)


# expansion, kernel, stride, input channels, output channels, blocks
STAGES = [
    (1, 3, 1, 32, 16, 1), (6, 3, 2, 16, 24, 2), (6, 5, 2, 24, 40, 2), (6, 3, 2, 40, 80, 3), (6, 5, 1, 80, 112, 3),
    (6, 5, 2, 112, 192, 4), (6, 3, 1, 192, 320, 1),
]
# The first three stages of version 2 are fused.
STAGES_2 = {
    "s": [(1, 3, 1, 24, 24, 2), (4, 3, 2, 24, 48, 4), (4, 3, 2, 48, 64, 4), (4, 3, 2, 64, 128, 6),
          (6, 3, 1, 128, 160, 9), (6, 3, 2, 160, 256, 15)],
    "m": [(1, 3, 1, 24, 24, 3), (4, 3, 2, 24, 48, 5), (4, 3, 2, 48, 80, 5), (4, 3, 2, 80, 160, 7),
          (6, 3, 1, 160, 176, 14), (6, 3, 2, 176, 304, 18), (6, 3, 1, 304, 512, 5)],
    "l": [(1, 3, 1, 32, 32, 4), (4, 3, 2, 32, 64, 7), (4, 3, 2, 64, 96, 7), (4, 3, 2, 96, 192, 10),
          (6, 3, 1, 192, 224, 19), (6, 3, 2, 224, 384, 25), (6, 3, 1, 384, 640, 7)],
}


def _scaled(name, weights, width, depth, dropout, norm_layer=None):
    def construct(dropout=dropout, norm_layer=norm_layer, **kwargs):
        stages = [MBConvConfig(*row, width_mult=width, depth_mult=depth) for row in STAGES]
        return EfficientNet(stages, dropout, norm_layer=norm_layer, **kwargs)

    return builder(name, weights, construct, f"Build EfficientNet {name[13:].upper()}.")


def _second(name, weights, dropout):
    def construct(dropout=dropout, norm_layer=functools.partial(nn.BatchNorm2d, eps=1e-3), **kwargs):
        rows = STAGES_2[name[-1]]
        stages = [FusedMBConvConfig(*row) for row in rows[:3]] + [MBConvConfig(*row) for row in rows[3:]]
        return EfficientNet(stages, dropout, last_channel=1280, norm_layer=norm_layer, **kwargs)

    return builder(name, weights, construct, f"Build EfficientNet V2, size {name[-1].upper()}.")


EfficientNet_B0_Weights = weights_enum("EfficientNet_B0_Weights", __name__)
EfficientNet_B1_Weights = weights_enum("EfficientNet_B1_Weights", __name__)
EfficientNet_B2_Weights = weights_enum("EfficientNet_B2_Weights", __name__)
EfficientNet_B3_Weights = weights_enum("EfficientNet_B3_Weights", __name__)
EfficientNet_B4_Weights = weights_enum("EfficientNet_B4_Weights", __name__)
EfficientNet_B5_Weights = weights_enum("EfficientNet_B5_Weights", __name__)
EfficientNet_B6_Weights = weights_enum("EfficientNet_B6_Weights", __name__)
EfficientNet_B7_Weights = weights_enum("EfficientNet_B7_Weights", __name__)
EfficientNet_V2_S_Weights = weights_enum("EfficientNet_V2_S_Weights", __name__)
EfficientNet_V2_M_Weights = weights_enum("EfficientNet_V2_M_Weights", __name__)
EfficientNet_V2_L_Weights = weights_enum("EfficientNet_V2_L_Weights", __name__)

_ported_norm = functools.partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)  # TensorFlow's, for weights from there

efficientnet_b0 = _scaled("efficientnet_b0", EfficientNet_B0_Weights, 1.0, 1.0, 0.2)
efficientnet_b1 = _scaled("efficientnet_b1", EfficientNet_B1_Weights, 1.0, 1.1, 0.2)
efficientnet_b2 = _scaled("efficientnet_b2", EfficientNet_B2_Weights, 1.1, 1.2, 0.3)
efficientnet_b3 = _scaled("efficientnet_b3", EfficientNet_B3_Weights, 1.2, 1.4, 0.3)
efficientnet_b4 = _scaled("efficientnet_b4", EfficientNet_B4_Weights, 1.4, 1.8, 0.4)
efficientnet_b5 = _scaled("efficientnet_b5", EfficientNet_B5_Weights, 1.6, 2.2, 0.4, _ported_norm)
efficientnet_b6 = _scaled("efficientnet_b6", EfficientNet_B6_Weights, 1.8, 2.6, 0.5, _ported_norm)
efficientnet_b7 = _scaled("efficientnet_b7", EfficientNet_B7_Weights, 2.0, 3.1, 0.5, _ported_norm)
efficientnet_v2_s = _second("efficientnet_v2_s", EfficientNet_V2_S_Weights, 0.2)
efficientnet_v2_m = _second("efficientnet_v2_m", EfficientNet_V2_M_Weights, 0.3)
efficientnet_v2_l = _second("efficientnet_v2_l", EfficientNet_V2_L_Weights, 0.4)
