"""ShuffleNet V2 (Ma et al. 2018, arXiv:1807.11164)."""

import functools

from ... import api as rl
from ... import nn
from ._api import weights_enum
from ._utils import builder

__all__ = [
    "ShuffleNetV2", "ShuffleNet_V2_X0_5_Weights", "ShuffleNet_V2_X1_0_Weights", "ShuffleNet_V2_X1_5_Weights",
    "ShuffleNet_V2_X2_0_Weights", "shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "shufflenet_v2_x1_5",
    "shufflenet_v2_x2_0",
]


def channel_shuffle(x, groups):
    """Return the channels of (N, C, H, W) with those of the groups taking turns."""
    count, channels, height, width = x.size()
    x = x.view(count, groups, channels // groups, height, width)
    return rl.transpose(x, 1, 2).contiguous().view(count, channels, height, width)


def _pointwise(inp, oup):
    return [nn.Conv2d(inp, oup, kernel_size=1, bias=False), nn.BatchNorm2d(oup), nn.ReLU(inplace=True)]


class InvertedResidual(nn.Module):
    """A unit of two branches whose channels are shuffled; at stride 1 one branch passes half of the channels on."""

    def __init__(self, inp, oup, stride):
        super().__init__()
        if not 1 <= stride <= 3:
            raise ValueError("illegal stride value")
        half = oup // 2
        if stride == 1 and inp != half << 1:
            raise ValueError(f"Invalid combination of stride {stride}, inp {inp} and oup {oup} values. If stride == 1 "
                             "then inp should be equal to oup // 2 << 1.")
        self.stride = stride
        self.branch1 = nn.Sequential()
        if stride > 1:
            self.branch1 = nn.Sequential(
                self.depthwise_conv(inp, inp, 3, stride, 1), nn.BatchNorm2d(inp), *_pointwise(inp, half))
        self.branch2 = nn.Sequential(
            *_pointwise(inp if stride > 1 else half, half),
            self.depthwise_conv(half, half, 3, stride, 1), nn.BatchNorm2d(half), *_pointwise(half, half))

    @staticmethod
    def depthwise_conv(i, o, kernel_size, stride=1, padding=0, bias=False):
        """Return a depthwise convolution."""
        return nn.Conv2d(i, o, kernel_size, stride, padding, bias=bias, groups=i)

    def forward(self, x):
        if self.stride == 1:
            kept, x = x.chunk(2, dim=1)
        else:
            kept = self.branch1(x)
        return channel_shuffle(rl.cat((kept, self.branch2(x)), dim=1), 2)


class ShuffleNetV2(nn.Module):
    """ShuffleNet V2: images (N, 3, H, W) → scores (N, num_classes).

    Args:
        stages_repeats (list of 3 int): units of the stages.
        stages_out_channels (list of 5 int): channels of the first convolution, the stages and the last convolution.
        num_classes (int): number of classes.
        inverted_residual (callable): makes a unit.
    """

    def __init__(self, stages_repeats, stages_out_channels, num_classes=1000, inverted_residual=InvertedResidual):
        super().__init__()
        if len(stages_repeats) != 3:
            raise ValueError("expected stages_repeats as list of 3 positive ints")
        if len(stages_out_channels) != 5:
            raise ValueError("expected stages_out_channels as list of 5 positive ints")
        self._stage_out_channels = stages_out_channels
        first, *stages, last = stages_out_channels
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, first, 3, 2, 1, bias=False), nn.BatchNorm2d(first), nn.ReLU(inplace=True))
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        channels = first
        for number, repeats, wide in zip((2, 3, 4), stages_repeats, stages):
            units = [inverted_residual(channels, wide, 2)]
            units += [inverted_residual(wide, wide, 1) for _ in range(repeats - 1)]
            setattr(self, f"stage{number}", nn.Sequential(*units))
            channels = wide
        self.conv5 = nn.Sequential(*_pointwise(channels, last))
        self.fc = nn.Linear(last, num_classes)

    def forward(self, x):
        x = self.stage4(self.stage3(self.stage2(self.maxpool(self.conv1(x)))))
        return self.fc(self.conv5(x).mean([2, 3]))


def _variant(name, weights, *channels):
    construct = functools.partial(ShuffleNetV2, [4, 8, 4], list(channels))
    width = name.rpartition("x")[2].replace("_", ".")
    return builder(name, weights, construct, f"Build a ShuffleNet V2 of width {width}.")


ShuffleNet_V2_X0_5_Weights = weights_enum("ShuffleNet_V2_X0_5_Weights", __name__)
ShuffleNet_V2_X1_0_Weights = weights_enum("ShuffleNet_V2_X1_0_Weights", __name__)
ShuffleNet_V2_X1_5_Weights = weights_enum("ShuffleNet_V2_X1_5_Weights", __name__)
ShuffleNet_V2_X2_0_Weights = weights_enum("ShuffleNet_V2_X2_0_Weights", __name__)

shufflenet_v2_x0_5 = _variant("shufflenet_v2_x0_5", ShuffleNet_V2_X0_5_Weights, 24, 48, 96, 192, 1024)
shufflenet_v2_x1_0 = _variant("shufflenet_v2_x1_0", ShuffleNet_V2_X1_0_Weights, 24, 116, 232, 464, 1024)
shufflenet_v2_x1_5 = _variant("shufflenet_v2_x1_5", ShuffleNet_V2_X1_5_Weights, 24, 176, 352, 704, 1024)
shufflenet_v2_x2_0 = _variant("shufflenet_v2_x2_0", ShuffleNet_V2_X2_0_Weights, 24, 244, 488, 976, 2048)
