"""MobileNet V2 (Sandler et al. 2018, arXiv:1801.04381)."""

from ... import api as rl
from ... import nn
from ...nn import functional as F
from ...nn import init
from ..ops.misc import Conv2dNormActivation
from ._api import weights_enum
from ._utils import _make_divisible, builder, drawn, init_modules, unit_norm

__all__ = ["MobileNetV2", "MobileNet_V2_Weights", "mobilenet_v2"]

# expansion, channels, blocks, stride of the first block
STAGES = [
    [1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1],
]


class InvertedResidual(nn.Module):
    """A depthwise convolution between 1 x 1 convolutions that raise and lower the channels."""

    def __init__(self, inp, oup, stride, expand_ratio, norm_layer=None):
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"stride should be 1 or 2 instead of {stride}")
        norm_layer = norm_layer or nn.BatchNorm2d
        options = {"norm_layer": norm_layer, "activation_layer": nn.ReLU6}
        hidden = int(round(inp * expand_ratio))
        self.stride, self.out_channels = stride, oup
        self.use_res_connect = stride == 1 and inp == oup
        self._is_cn = stride > 1
        layers = [Conv2dNormActivation(inp, hidden, 1, **options)] if expand_ratio != 1 else []
        layers += [
            Conv2dNormActivation(hidden, hidden, stride=stride, groups=hidden, **options),
            nn.Conv2d(hidden, oup, 1, bias=False),
            norm_layer(oup),
        ]
        self.conv = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    """MobileNet V2: images (N, 3, H, W) → scores (N, num_classes).

    Args:
        num_classes (int): number of classes.
        width_mult (float): factor of all channels.
        inverted_residual_setting (list, optional): [expansion, channels, blocks, stride] of each stage.
        round_nearest (int): channels are multiples of this.
        block, norm_layer (callable, optional): `InvertedResidual` and `BatchNorm2d` by default.
        dropout (float): probability before the last layer.
    """

    def __init__(self, num_classes=1000, width_mult=1.0, inverted_residual_setting=None, round_nearest=8, block=None,
                 norm_layer=None, dropout=0.2):
        super().__init__()
        block, norm_layer = block or InvertedResidual, norm_layer or nn.BatchNorm2d
        stages = STAGES if inverted_residual_setting is None else inverted_residual_setting
        if len(stages) == 0 or len(stages[0]) != 4:
            raise ValueError(f"inverted_residual_setting should be non-empty or a 4-element list, got {stages}")
        options = {"norm_layer": norm_layer, "activation_layer": nn.ReLU6}
        channels = _make_divisible(32 * width_mult, round_nearest)
        self.last_channel = _make_divisible(1280 * max(1.0, width_mult), round_nearest)
        features = [Conv2dNormActivation(3, channels, stride=2, **options)]
        for expansion, wide, count, stride in stages:
            wide = _make_divisible(wide * width_mult, round_nearest)
            for i in range(count):
                step = stride if i == 0 else 1
                features.append(block(channels, wide, step, expand_ratio=expansion, norm_layer=norm_layer))
                channels = wide
        features.append(Conv2dNormActivation(channels, self.last_channel, 1, **options))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(p=dropout), nn.Linear(self.last_channel, num_classes))
        init_mobile(self)

    def forward(self, x):
        x = F.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(rl.flatten(x, 1))


def init_mobile(model):
    """Initialise a MobileNet of any version."""
    init_modules(
        model,
        (nn.Conv2d, drawn(init.kaiming_normal_, mode="fan_out")),
        ((nn.BatchNorm2d, nn.GroupNorm), unit_norm),
        (nn.Linear, drawn(init.normal_, mean=0, std=0.01)),
    )


MobileNet_V2_Weights = weights_enum("MobileNet_V2_Weights", __name__)
mobilenet_v2 = builder("mobilenet_v2", MobileNet_V2_Weights, MobileNetV2, "Build MobileNet V2.")
