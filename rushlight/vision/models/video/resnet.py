"""Residual networks for videos (Tran et al. 2017, arXiv:1711.11248): R3D, MC3 and R(2+1)D."""

import functools

from .... import nn
from ....nn import init
from .._api import weights_enum
from .._utils import builder, drawn, init_modules, unit_norm

__all__ = [
    "VideoResNet", "R3D_18_Weights", "MC3_18_Weights", "R2Plus1D_18_Weights", "r3d_18", "mc3_18", "r2plus1d_18",
]


class Conv3DSimple(nn.Conv3d):
    """A 3 x 3 x 3 convolution."""

    def __init__(self, in_planes, out_planes, midplanes=None, stride=1, padding=1):
        super().__init__(in_planes, out_planes, (3, 3, 3), stride=stride, padding=padding, bias=False)

    @staticmethod
    def get_downsample_stride(stride):
        """Return the stride of a shortcut."""
        return stride, stride, stride


class Conv2Plus1D(nn.Sequential):
    """A convolution over space, then one over time."""

    def __init__(self, in_planes, out_planes, midplanes, stride=1, padding=1):
        super().__init__(
            nn.Conv3d(in_planes, midplanes, (1, 3, 3), stride=(1, stride, stride), padding=(0, padding, padding),
                      bias=False),
            nn.BatchNorm3d(midplanes),
            nn.ReLU(inplace=True),
            nn.Conv3d(midplanes, out_planes, (3, 1, 1), stride=(stride, 1, 1), padding=(padding, 0, 0), bias=False))

    @staticmethod
    def get_downsample_stride(stride):
        """Return the stride of a shortcut."""
        return stride, stride, stride


class Conv3DNoTemporal(nn.Conv3d):
    """A convolution over space alone."""

    def __init__(self, in_planes, out_planes, midplanes=None, stride=1, padding=1):
        super().__init__(in_planes, out_planes, (1, 3, 3), stride=(1, stride, stride), padding=(0, padding, padding),
                         bias=False)

    @staticmethod
    def get_downsample_stride(stride):
        """Return the stride of a shortcut."""
        return 1, stride, stride


def _middle(inplanes, planes):
    """Channels between the parts of R(2+1)D that give as many parameters as one convolution."""
    return (inplanes * planes * 3 * 3 * 3) // (inplanes * 3 * 3 + 3 * planes)


class BasicBlock(nn.Module):
    """Two convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, inplanes, planes, conv_builder, stride=1, downsample=None):
        super().__init__()
        middle = _middle(inplanes, planes)
        self.conv1 = nn.Sequential(
            conv_builder(inplanes, planes, middle, stride), nn.BatchNorm3d(planes), nn.ReLU(inplace=True))
        self.conv2 = nn.Sequential(conv_builder(planes, planes, middle), nn.BatchNorm3d(planes))
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x):
        out = self.conv2(self.conv1(x))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """A convolution between two of single positions that lower and raise the channels, beside a shortcut."""

    expansion = 4

    def __init__(self, inplanes, planes, conv_builder, stride=1, downsample=None):
        super().__init__()
        wide = planes * self.expansion
        self.conv1 = nn.Sequential(
            nn.Conv3d(inplanes, planes, 1, bias=False), nn.BatchNorm3d(planes), nn.ReLU(inplace=True))
        self.conv2 = nn.Sequential(
            conv_builder(planes, planes, _middle(inplanes, planes), stride), nn.BatchNorm3d(planes),
            nn.ReLU(inplace=True))
        self.conv3 = nn.Sequential(nn.Conv3d(planes, wide, 1, bias=False), nn.BatchNorm3d(wide))
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x):
        out = self.conv3(self.conv2(self.conv1(x)))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class BasicStem(nn.Sequential):
    """The first convolution, 3 x 7 x 7."""

    def __init__(self):
        super().__init__(
            nn.Conv3d(3, 64, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False), nn.BatchNorm3d(64),
            nn.ReLU(inplace=True))


class R2Plus1dStem(nn.Sequential):
    """The first convolutions, over space and then over time."""

    def __init__(self):
        super().__init__(
            nn.Conv3d(3, 45, (1, 7, 7), stride=(1, 2, 2), padding=(0, 3, 3), bias=False), nn.BatchNorm3d(45),
            nn.ReLU(inplace=True),
            nn.Conv3d(45, 64, (3, 1, 1), stride=(1, 1, 1), padding=(1, 0, 0), bias=False), nn.BatchNorm3d(64),
            nn.ReLU(inplace=True))


class VideoResNet(nn.Module):
    """A residual network for videos (N, 3, T, H, W) → scores (N, num_classes).

    Args:
        block: `BasicBlock` or `Bottleneck`.
        conv_makers (list of 4): make the convolutions of the stages.
        layers (list of 4 int): blocks of the stages.
        stem (callable): makes the first layers.
        num_classes (int): number of classes.
        zero_init_residual (bool): start with blocks that are identities.
    """

    def __init__(self, block, conv_makers, layers, stem, num_classes=400, zero_init_residual=False):
        super().__init__()
        self.inplanes = 64
        self.stem = stem()
        self.layer1 = self._make_layer(block, conv_makers[0], 64, layers[0], stride=1)
        self.layer2 = self._make_layer(block, conv_makers[1], 128, layers[1], stride=2)
        self.layer3 = self._make_layer(block, conv_makers[2], 256, layers[2], stride=2)
        self.layer4 = self._make_layer(block, conv_makers[3], 512, layers[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool3d((1, 1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        init_modules(
            self,
            (nn.Conv3d, drawn(init.kaiming_normal_, mode="fan_out", nonlinearity="relu")),
            (nn.BatchNorm3d, unit_norm),
            (nn.Linear, drawn(init.normal_, mean=0, std=0.01)),
        )
        for module in self.modules() if zero_init_residual else ():
            if isinstance(module, (BasicBlock, Bottleneck)):
                last = module.conv3 if isinstance(module, Bottleneck) else module.conv2
                init.zeros_(last[1].weight)

    def _make_layer(self, block, conv_builder, planes, blocks, stride=1):
        wide, downsample = planes * block.expansion, None
        if stride != 1 or self.inplanes != wide:
            step = conv_builder.get_downsample_stride(stride)
            downsample = nn.Sequential(
                nn.Conv3d(self.inplanes, wide, kernel_size=1, stride=step, bias=False), nn.BatchNorm3d(wide))
        layers = [block(self.inplanes, planes, conv_builder, stride, downsample)]
        self.inplanes = wide
        layers += [block(wide, planes, conv_builder) for _ in range(1, blocks)]
        return nn.Sequential(*layers)

    def forward(self, x):
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        return self.fc(self.avgpool(x).flatten(1))


def _variant(name, weights, makers, stem, doc):
    construct = functools.partial(VideoResNet, BasicBlock, makers, [2, 2, 2, 2], stem)
    return builder(name, weights, construct, doc, pretrained="KINETICS400_V1")


R3D_18_Weights = weights_enum("R3D_18_Weights", __name__)
MC3_18_Weights = weights_enum("MC3_18_Weights", __name__)
R2Plus1D_18_Weights = weights_enum("R2Plus1D_18_Weights", __name__)

r3d_18 = _variant("r3d_18", R3D_18_Weights, [Conv3DSimple] * 4, BasicStem,
                  "Build R3D of 18 layers: convolutions over space and time.")
mc3_18 = _variant("mc3_18", MC3_18_Weights, [Conv3DSimple] + [Conv3DNoTemporal] * 3, BasicStem,
                  "Build MC3 of 18 layers: convolutions over time in the first stage only.")
r2plus1d_18 = _variant("r2plus1d_18", R2Plus1D_18_Weights, [Conv2Plus1D] * 4, R2Plus1dStem,
                       "Build R(2+1)D of 18 layers: convolutions over space and time one after the other.")
