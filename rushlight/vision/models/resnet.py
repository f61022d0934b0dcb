"""Residual networks (He et al. 2015, arXiv:1512.03385), with groups (ResNeXt, arXiv:1611.05431) and wide ones
(arXiv:1605.07146)."""

import functools

from ... import api as rl
from ... import nn
from ...nn import init
from ._api import weights_enum
from ._utils import builder, init_modules, unit_norm

__all__ = [
    "ResNet", "ResNet18_Weights", "ResNet34_Weights", "ResNet50_Weights", "ResNet101_Weights", "ResNet152_Weights",
    "ResNeXt50_32X4D_Weights", "ResNeXt101_32X8D_Weights", "ResNeXt101_64X4D_Weights", "Wide_ResNet50_2_Weights",
    "Wide_ResNet101_2_Weights", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d",
    "resnext101_32x8d", "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2",
]


def conv3x3(in_planes, out_planes, stride=1, groups=1, dilation=1):
    """A 3 x 3 convolution without bias that keeps the size at stride 1."""
    return nn.Conv2d(in_planes, out_planes, 3, stride, padding=dilation, dilation=dilation, groups=groups, bias=False)


def conv1x1(in_planes, out_planes, stride=1):
    """A 1 x 1 convolution without bias."""
    return nn.Conv2d(in_planes, out_planes, 1, stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, inplanes, planes, stride=1, downsample=None, groups=1, base_width=64, dilation=1,
                 norm_layer=None):
        super().__init__()
        norm_layer = norm_layer or nn.BatchNorm2d
        if groups != 1 or base_width != 64:
            raise ValueError("BasicBlock only supports groups=1 and base_width=64")
        if dilation > 1:
            raise NotImplementedError("Dilation > 1 not supported in BasicBlock")
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = norm_layer(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = norm_layer(planes)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """A 3 x 3 convolution between two 1 x 1 convolutions that lower and raise the channels, beside a shortcut.

    The stride is that of the 3 x 3 convolution, unlike in the paper ("ResNet V1.5").
    """

    expansion = 4

    def __init__(self, inplanes, planes, stride=1, downsample=None, groups=1, base_width=64, dilation=1,
                 norm_layer=None):
        super().__init__()
        norm_layer = norm_layer or nn.BatchNorm2d
        width = int(planes * (base_width / 64.0)) * groups
        self.conv1 = conv1x1(inplanes, width)
        self.bn1 = norm_layer(width)
        self.conv2 = conv3x3(width, width, stride, groups, dilation)
        self.bn2 = norm_layer(width)
        self.conv3 = conv1x1(width, planes * self.expansion)
        self.bn3 = norm_layer(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """A residual network: images (N, 3, H, W) → scores (N, num_classes).

    Args:
        block: `BasicBlock` or `Bottleneck`.
        layers (list of 4 int): blocks a stage.
        num_classes (int): number of classes.
        zero_init_residual (bool): start with blocks that are identities.
        groups, width_per_group (int): groups of the 3 x 3 convolutions, and channels of a group at 64 planes.
        replace_stride_with_dilation (list of 3 bool, optional): stages 2 to 4 that dilate instead of striding.
        norm_layer (callable, optional): normalisation of a number of channels; `BatchNorm2d` by default.
    """

    def __init__(self, block, layers, num_classes=1000, zero_init_residual=False, groups=1, width_per_group=64,
                 replace_stride_with_dilation=None, norm_layer=None):
        super().__init__()
        dilate = [False, False, False] if replace_stride_with_dilation is None else replace_stride_with_dilation
        if len(dilate) != 3:
            raise ValueError(f"replace_stride_with_dilation should be None or a 3-element tuple, got {dilate}")
        self._norm_layer = norm_layer = norm_layer or nn.BatchNorm2d
        self.inplanes, self.dilation = 64, 1
        self.groups, self.base_width = groups, width_per_group
        self.conv1 = nn.Conv2d(3, self.inplanes, 7, stride=2, padding=3, bias=False)
        self.bn1 = norm_layer(self.inplanes)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, 64, layers[0])
        self.layer2 = self._make_layer(block, 128, layers[1], 2, dilate[0])
        self.layer3 = self._make_layer(block, 256, layers[2], 2, dilate[1])
        self.layer4 = self._make_layer(block, 512, layers[3], 2, dilate[2])
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        self._init_weights(zero_init_residual)

    def _init_weights(self, zero_init_residual):
        init_modules(
            self,
            (nn.Conv2d, lambda m: init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")),
            ((nn.BatchNorm2d, nn.GroupNorm), unit_norm),
        )
        for module in self.modules() if zero_init_residual else ():
            last = {Bottleneck: "bn3", BasicBlock: "bn2"}.get(type(module))
            if last is not None and getattr(module, last).weight is not None:
                init.zeros_(getattr(module, last).weight)

    def _make_layer(self, block, planes, blocks, stride=1, dilate=False):
        norm_layer, first_dilation = self._norm_layer, self.dilation
        if dilate:
            self.dilation *= stride
            stride = 1
        wide, downsample = planes * block.expansion, None
        if stride != 1 or self.inplanes != wide:
            downsample = nn.Sequential(conv1x1(self.inplanes, wide, stride), norm_layer(wide))
        shape = (self.groups, self.base_width)
        layers = [block(self.inplanes, planes, stride, downsample, *shape, first_dilation, norm_layer)]
        self.inplanes = wide
        layers += [block(wide, planes, 1, None, *shape, self.dilation, norm_layer) for _ in range(1, blocks)]
        return nn.Sequential(*layers)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(rl.flatten(self.avgpool(x), 1))


ResNet18_Weights = weights_enum("ResNet18_Weights", __name__)
ResNet34_Weights = weights_enum("ResNet34_Weights", __name__)
ResNet50_Weights = weights_enum("ResNet50_Weights", __name__)
ResNet101_Weights = weights_enum("ResNet101_Weights", __name__)
ResNet152_Weights = weights_enum("ResNet152_Weights", __name__)
ResNeXt50_32X4D_Weights = weights_enum("ResNeXt50_32X4D_Weights", __name__)
ResNeXt101_32X8D_Weights = weights_enum("ResNeXt101_32X8D_Weights", __name__)
ResNeXt101_64X4D_Weights = weights_enum("ResNeXt101_64X4D_Weights", __name__)
Wide_ResNet50_2_Weights = weights_enum("Wide_ResNet50_2_Weights", __name__)
Wide_ResNet101_2_Weights = weights_enum("Wide_ResNet101_2_Weights", __name__)

_of_18 = functools.partial(ResNet, BasicBlock, [2, 2, 2, 2])
_of_34 = functools.partial(ResNet, BasicBlock, [3, 4, 6, 3])
_of_50 = functools.partial(ResNet, Bottleneck, [3, 4, 6, 3])
_of_101 = functools.partial(ResNet, Bottleneck, [3, 4, 23, 3])
_of_152 = functools.partial(ResNet, Bottleneck, [3, 8, 36, 3])


def _grouped(groups, width):
    return {"groups": groups, "width_per_group": width}


resnet18 = builder("resnet18", ResNet18_Weights, _of_18, "Build a ResNet of 18 layers.")
resnet34 = builder("resnet34", ResNet34_Weights, _of_34, "Build a ResNet of 34 layers.")
resnet50 = builder("resnet50", ResNet50_Weights, _of_50, "Build a ResNet of 50 layers.")
resnet101 = builder("resnet101", ResNet101_Weights, _of_101, "Build a ResNet of 101 layers.")
resnet152 = builder("resnet152", ResNet152_Weights, _of_152, "Build a ResNet of 152 layers.")
resnext50_32x4d = builder(
    "resnext50_32x4d", ResNeXt50_32X4D_Weights, _of_50, "Build a ResNeXt of 50 layers with 32 groups of 4 channels.",
    fixed=_grouped(32, 4))
resnext101_32x8d = builder(
    "resnext101_32x8d", ResNeXt101_32X8D_Weights, _of_101,
    "Build a ResNeXt of 101 layers with 32 groups of 8 channels.", fixed=_grouped(32, 8))
resnext101_64x4d = builder(
    "resnext101_64x4d", ResNeXt101_64X4D_Weights, _of_101,
    "Build a ResNeXt of 101 layers with 64 groups of 4 channels.", fixed=_grouped(64, 4))
wide_resnet50_2 = builder(
    "wide_resnet50_2", Wide_ResNet50_2_Weights, _of_50,
    "Build a ResNet of 50 layers whose 3 x 3 convolutions are twice as wide.", fixed={"width_per_group": 128})
wide_resnet101_2 = builder(
    "wide_resnet101_2", Wide_ResNet101_2_Weights, _of_101,
    "Build a ResNet of 101 layers whose 3 x 3 convolutions are twice as wide.", fixed={"width_per_group": 128})
