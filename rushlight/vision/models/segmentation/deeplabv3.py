"""DeepLab V3 for segmentation (Chen et al. 2017, arXiv:1706.05587): dilated convolutions of several rates."""

import functools

from .... import api as rl
from .... import nn
from ....nn import functional as F
from .._api import weights_enum
from .._utils import IntermediateLayerGetter
from ..mobilenetv3 import MobileNet_V3_Large_Weights, mobilenet_v3_large
from ..resnet import ResNet50_Weights, ResNet101_Weights, resnet50, resnet101
from ._utils import _SimpleSegmentationModel, builder, of_resnet, stage_positions
from .fcn import FCNHead

__all__ = [
    "DeepLabV3", "DeepLabV3_ResNet50_Weights", "DeepLabV3_ResNet101_Weights", "DeepLabV3_MobileNet_V3_Large_Weights",
    "deeplabv3_mobilenet_v3_large", "deeplabv3_resnet50", "deeplabv3_resnet101",
]


class DeepLabV3(_SimpleSegmentationModel):
    """DeepLab V3: images (N, 3, H, W) → {"out": scores (N, num_classes, H, W)}."""


def _conv(in_channels, out_channels, kernel=1, **options):
    return [nn.Conv2d(in_channels, out_channels, kernel, bias=False, **options), nn.BatchNorm2d(out_channels),
            nn.ReLU()]


class ASPPConv(nn.Sequential):
    """A dilated 3 x 3 convolution."""

    def __init__(self, in_channels, out_channels, dilation):
        super().__init__(*_conv(in_channels, out_channels, 3, padding=dilation, dilation=dilation))


class ASPPPooling(nn.Sequential):
    """The mean of the image, at each of its pixels."""

    def __init__(self, in_channels, out_channels):
        super().__init__(nn.AdaptiveAvgPool2d(1), *_conv(in_channels, out_channels))

    def forward(self, x):
        return F.interpolate(super().forward(x), size=x.shape[-2:], mode="bilinear", align_corners=False)


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: convolutions of several dilations and the mean, side by side."""

    def __init__(self, in_channels, atrous_rates, out_channels=256):
        super().__init__()
        branches = [nn.Sequential(*_conv(in_channels, out_channels))]
        branches += [ASPPConv(in_channels, out_channels, rate) for rate in atrous_rates]
        branches.append(ASPPPooling(in_channels, out_channels))
        self.convs = nn.ModuleList(branches)
        self.project = nn.Sequential(*_conv(len(branches) * out_channels, out_channels), nn.Dropout(0.5))

    def forward(self, x):
        return self.project(rl.cat([conv(x) for conv in self.convs], dim=1))


class DeepLabHead(nn.Sequential):
    """`ASPP` and two convolutions."""

    def __init__(self, in_channels, num_classes, atrous_rates=(12, 24, 36)):
        super().__init__(
            ASPP(in_channels, atrous_rates), *_conv(256, 256, 3, padding=1), nn.Conv2d(256, num_classes, 1))


def _of_mobilenet(backbone, num_classes, aux):
    features = backbone.features
    stages = stage_positions(features)
    last, middle = stages[-1], stages[-4]
    layers = {str(last): "out", **({str(middle): "aux"} if aux else {})}
    backbone = IntermediateLayerGetter(features, return_layers=layers)
    aux_classifier = FCNHead(features[middle].out_channels, num_classes) if aux else None
    return DeepLabV3(backbone, DeepLabHead(features[last].out_channels, num_classes), aux_classifier)


DeepLabV3_ResNet50_Weights = weights_enum("DeepLabV3_ResNet50_Weights", __name__)
DeepLabV3_ResNet101_Weights = weights_enum("DeepLabV3_ResNet101_Weights", __name__)
DeepLabV3_MobileNet_V3_Large_Weights = weights_enum("DeepLabV3_MobileNet_V3_Large_Weights", __name__)

_of_resnet = functools.partial(of_resnet, DeepLabV3, DeepLabHead, FCNHead)
_dilated = [False, True, True]

deeplabv3_resnet50 = builder(
    "deeplabv3_resnet50", DeepLabV3_ResNet50_Weights, resnet50, ResNet50_Weights, _of_resnet,
    "Build DeepLab V3 on a ResNet of 50 layers.", replace_stride_with_dilation=_dilated)
deeplabv3_resnet101 = builder(
    "deeplabv3_resnet101", DeepLabV3_ResNet101_Weights, resnet101, ResNet101_Weights, _of_resnet,
    "Build DeepLab V3 on a ResNet of 101 layers.", replace_stride_with_dilation=_dilated)
deeplabv3_mobilenet_v3_large = builder(
    "deeplabv3_mobilenet_v3_large", DeepLabV3_MobileNet_V3_Large_Weights, mobilenet_v3_large,
    MobileNet_V3_Large_Weights, _of_mobilenet, "Build DeepLab V3 on the large MobileNet V3.", dilated=True)
