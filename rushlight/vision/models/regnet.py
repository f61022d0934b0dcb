"""RegNet (Radosavovic et al. 2020, arXiv:2003.13678): widths of blocks on a quantized line."""

import collections
import functools
import math

from ... import nn
from ...nn import init
from ..ops.misc import Conv2dNormActivation, SqueezeExcitation
from ._api import weights_enum
from ._utils import _make_divisible, builder, drawn, init_modules, unit_norm

__all__ = [
    "RegNet", "RegNet_Y_400MF_Weights", "RegNet_Y_800MF_Weights", "RegNet_Y_1_6GF_Weights", "RegNet_Y_3_2GF_Weights",
    "RegNet_Y_8GF_Weights", "RegNet_Y_16GF_Weights", "RegNet_Y_32GF_Weights", "RegNet_Y_128GF_Weights",
    "RegNet_X_400MF_Weights", "RegNet_X_800MF_Weights", "RegNet_X_1_6GF_Weights", "RegNet_X_3_2GF_Weights",
    "RegNet_X_8GF_Weights", "RegNet_X_16GF_Weights", "RegNet_X_32GF_Weights", "regnet_y_400mf", "regnet_y_800mf",
    "regnet_y_1_6gf", "regnet_y_3_2gf", "regnet_y_8gf", "regnet_y_16gf", "regnet_y_32gf", "regnet_y_128gf",
    "regnet_x_400mf", "regnet_x_800mf", "regnet_x_1_6gf", "regnet_x_3_2gf", "regnet_x_8gf", "regnet_x_16gf",
    "regnet_x_32gf",
]


class SimpleStemIN(Conv2dNormActivation):
    """The first convolution: 3 x 3, stride 2."""

    def __init__(self, width_in, width_out, norm_layer, activation_layer):
        super().__init__(width_in, width_out, 3, stride=2, norm_layer=norm_layer, activation_layer=activation_layer)


class BottleneckTransform(nn.Sequential):
    """A grouped 3 x 3 convolution, with squeeze-and-excitation if `se_ratio`, between 1 x 1 convolutions."""

    def __init__(self, width_in, width_out, stride, norm_layer, activation_layer, group_width, bottleneck_multiplier,
                 se_ratio):
        middle = int(round(width_out * bottleneck_multiplier))
        options = {"norm_layer": norm_layer, "activation_layer": activation_layer}
        layers = collections.OrderedDict()
        layers["a"] = Conv2dNormActivation(width_in, middle, 1, **options)
        layers["b"] = Conv2dNormActivation(middle, middle, 3, stride=stride, groups=middle // group_width, **options)
        if se_ratio:
            # in proportion to the input of the block, not to its own width
            layers["se"] = SqueezeExcitation(middle, int(round(se_ratio * width_in)), activation=activation_layer)
        layers["c"] = Conv2dNormActivation(middle, width_out, 1, norm_layer=norm_layer, activation_layer=None)
        super().__init__(layers)


class ResBottleneckBlock(nn.Module):
    """`BottleneckTransform` beside a shortcut."""

    def __init__(self, width_in, width_out, stride, norm_layer, activation_layer, group_width=1,
                 bottleneck_multiplier=1.0, se_ratio=None):
        super().__init__()
        self.proj = None
        if width_in != width_out or stride != 1:
            self.proj = Conv2dNormActivation(
                width_in, width_out, 1, stride=stride, norm_layer=norm_layer, activation_layer=None)
        self.f = BottleneckTransform(
            width_in, width_out, stride, norm_layer, activation_layer, group_width, bottleneck_multiplier, se_ratio)
        self.activation = activation_layer(inplace=True)

    def forward(self, x):
        shortcut = x if self.proj is None else self.proj(x)
        return self.activation(shortcut + self.f(x))


class AnyStage(nn.Sequential):
    """Blocks of one width; the first has the stride."""

    def __init__(self, width_in, width_out, stride, depth, block_constructor, norm_layer, activation_layer,
                 group_width, bottleneck_multiplier, se_ratio=None, stage_index=0):
        super().__init__()
        options = (norm_layer, activation_layer, group_width, bottleneck_multiplier, se_ratio)
        for i in range(depth):
            shape = (width_in, width_out, stride) if i == 0 else (width_out, width_out, 1)
            self.add_module(f"block{stage_index}-{i}", block_constructor(*shape, *options))


class BlockParams:
    """Blocks, widths, widths of groups, bottleneck multipliers and strides of the stages."""

    def __init__(self, depths, widths, group_widths, bottleneck_multipliers, strides, se_ratio=None):
        self.depths, self.widths, self.group_widths = depths, widths, group_widths
        self.bottleneck_multipliers, self.strides, self.se_ratio = bottleneck_multipliers, strides, se_ratio

    @classmethod
    def from_init_params(cls, depth, w_0, w_a, w_m, group_width, bottleneck_multiplier=1.0, se_ratio=None, **kwargs):
        """Make the stages of a line of widths w_0 + w_a i, rounded to w_0 times a power of w_m and then to eights
        (equations 2 to 4 of the paper). ValueError for numbers that make no such line."""
        if w_a < 0 or w_0 <= 0 or w_m <= 1 or w_0 % 8 != 0:
            raise ValueError("Invalid RegNet settings")
        widths = []
        for i in range(depth):
            power = round(math.log((w_0 + w_a * i) / w_0) / math.log(w_m))
            widths.append(int(round(w_0 * w_m**power / 8)) * 8)
        stages = collections.Counter(widths)
        count = len(stages)
        shapes = [cls._compatible(width, bottleneck_multiplier, group_width) for width in stages]
        return cls(list(stages.values()), [width for width, _ in shapes], [group for _, group in shapes],
                   [bottleneck_multiplier] * count, [2] * count, se_ratio)

    @staticmethod
    def _compatible(width, multiplier, group_width):
        """(width, width of a group) such that groups divide the bottleneck."""
        middle = int(width * multiplier)
        group_width = min(group_width, middle)
        return int(_make_divisible(middle, group_width) / multiplier), group_width

    def _get_expanded_params(self):
        return zip(self.widths, self.strides, self.depths, self.group_widths, self.bottleneck_multipliers)


class RegNet(nn.Module):
    """RegNet: images (N, 3, H, W) → scores (N, num_classes).

    Args:
        block_params (BlockParams): the stages.
        num_classes (int): number of classes.
        stem_width (int): channels of the first convolution.
        stem_type, block_type, norm_layer, activation (callable, optional): `SimpleStemIN`, `ResBottleneckBlock`,
            `BatchNorm2d` and `ReLU` by default.
    """

    def __init__(self, block_params, num_classes=1000, stem_width=32, stem_type=None, block_type=None,
                 norm_layer=None, activation=None):
        super().__init__()
        norm_layer, activation = norm_layer or nn.BatchNorm2d, activation or nn.ReLU
        block_type = block_type or ResBottleneckBlock
        self.stem = (stem_type or SimpleStemIN)(3, stem_width, norm_layer, activation)
        stages, before = collections.OrderedDict(), stem_width
        for i, (width, stride, depth, group, multiplier) in enumerate(block_params._get_expanded_params(), 1):
            stages[f"block{i}"] = AnyStage(before, width, stride, depth, block_type, norm_layer, activation, group,
                                           multiplier, block_params.se_ratio, stage_index=i)
            before = width
        self.trunk_output = nn.Sequential(stages)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(before, num_classes)
        init_modules(
            self,
            (nn.Conv2d, _draw_conv),
            (nn.BatchNorm2d, unit_norm),
            (nn.Linear, drawn(init.normal_, mean=0.0, std=0.01)),
        )

    def forward(self, x):
        return self.fc(self.avgpool(self.trunk_output(self.stem(x))).flatten(start_dim=1))


def _draw_conv(module):
    fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
    init.normal_(module.weight, mean=0.0, std=math.sqrt(2.0 / fan_out))


def _variant(name, weights, depth, w_0, w_a, w_m, group_width, se_ratio=None, **options):
    def construct(norm_layer=functools.partial(nn.BatchNorm2d, eps=1e-5, momentum=0.1), **kwargs):
        stages = BlockParams.from_init_params(depth, w_0, w_a, w_m, group_width, se_ratio=se_ratio)
        return RegNet(stages, norm_layer=norm_layer, **kwargs)

    return builder(name, weights, construct, f"Build RegNet {name[7:].replace('_', ' ').upper()}.", **options)


RegNet_Y_400MF_Weights = weights_enum("RegNet_Y_400MF_Weights", __name__)
RegNet_Y_800MF_Weights = weights_enum("RegNet_Y_800MF_Weights", __name__)
RegNet_Y_1_6GF_Weights = weights_enum("RegNet_Y_1_6GF_Weights", __name__)
RegNet_Y_3_2GF_Weights = weights_enum("RegNet_Y_3_2GF_Weights", __name__)
RegNet_Y_8GF_Weights = weights_enum("RegNet_Y_8GF_Weights", __name__)
RegNet_Y_16GF_Weights = weights_enum("RegNet_Y_16GF_Weights", __name__)
RegNet_Y_32GF_Weights = weights_enum("RegNet_Y_32GF_Weights", __name__)
RegNet_Y_128GF_Weights = weights_enum("RegNet_Y_128GF_Weights", __name__)
RegNet_X_400MF_Weights = weights_enum("RegNet_X_400MF_Weights", __name__)
RegNet_X_800MF_Weights = weights_enum("RegNet_X_800MF_Weights", __name__)
RegNet_X_1_6GF_Weights = weights_enum("RegNet_X_1_6GF_Weights", __name__)
RegNet_X_3_2GF_Weights = weights_enum("RegNet_X_3_2GF_Weights", __name__)
RegNet_X_8GF_Weights = weights_enum("RegNet_X_8GF_Weights", __name__)
RegNet_X_16GF_Weights = weights_enum("RegNet_X_16GF_Weights", __name__)
RegNet_X_32GF_Weights = weights_enum("RegNet_X_32GF_Weights", __name__)

regnet_y_400mf = _variant("regnet_y_400mf", RegNet_Y_400MF_Weights, 16, 48, 27.89, 2.09, 8, 0.25)
regnet_y_800mf = _variant("regnet_y_800mf", RegNet_Y_800MF_Weights, 14, 56, 38.84, 2.4, 16, 0.25)
regnet_y_1_6gf = _variant("regnet_y_1_6gf", RegNet_Y_1_6GF_Weights, 27, 48, 20.71, 2.65, 24, 0.25)
regnet_y_3_2gf = _variant("regnet_y_3_2gf", RegNet_Y_3_2GF_Weights, 21, 80, 42.63, 2.66, 24, 0.25)
regnet_y_8gf = _variant("regnet_y_8gf", RegNet_Y_8GF_Weights, 17, 192, 76.82, 2.19, 56, 0.25)
regnet_y_16gf = _variant("regnet_y_16gf", RegNet_Y_16GF_Weights, 18, 200, 106.23, 2.48, 112, 0.25)
regnet_y_32gf = _variant("regnet_y_32gf", RegNet_Y_32GF_Weights, 20, 232, 115.89, 2.53, 232, 0.25)
regnet_y_128gf = _variant("regnet_y_128gf", RegNet_Y_128GF_Weights, 27, 456, 160.83, 2.52, 264, 0.25, pretrained=None)
regnet_x_400mf = _variant("regnet_x_400mf", RegNet_X_400MF_Weights, 22, 24, 24.48, 2.54, 16)
regnet_x_800mf = _variant("regnet_x_800mf", RegNet_X_800MF_Weights, 16, 56, 35.73, 2.28, 16)
regnet_x_1_6gf = _variant("regnet_x_1_6gf", RegNet_X_1_6GF_Weights, 18, 80, 34.01, 2.25, 24)
regnet_x_3_2gf = _variant("regnet_x_3_2gf", RegNet_X_3_2GF_Weights, 25, 88, 26.31, 2.25, 48)
regnet_x_8gf = _variant("regnet_x_8gf", RegNet_X_8GF_Weights, 23, 80, 49.56, 2.88, 120)
regnet_x_16gf = _variant("regnet_x_16gf", RegNet_X_16GF_Weights, 22, 216, 55.59, 2.1, 128)
regnet_x_32gf = _variant("regnet_x_32gf", RegNet_X_32GF_Weights, 23, 320, 69.86, 2.0, 168)
