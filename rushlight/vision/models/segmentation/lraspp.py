"""Lite R-ASPP for segmentation (Howard et al. 2019, arXiv:1905.02244)."""

import collections

from .... import nn
from ....nn import functional as F
from .._api import weights_enum
from .._utils import IntermediateLayerGetter
from ..mobilenetv3 import MobileNet_V3_Large_Weights, mobilenet_v3_large
from ._utils import builder, stage_positions

__all__ = ["LRASPP", "LRASPP_MobileNet_V3_Large_Weights", "lraspp_mobilenet_v3_large"]


class LRASPP(nn.Module):
    """Lite R-ASPP: images (N, 3, H, W) → {"out": scores (N, num_classes, H, W)}.

    Args:
        backbone (Module): returns features "low" and "high".
        low_channels, high_channels (int): their channels.
        num_classes (int): number of classes.
        inter_channels (int): channels inside the head.
    """

    def __init__(self, backbone, low_channels, high_channels, num_classes, inter_channels=128):
        super().__init__()
        self.backbone = backbone
        self.classifier = LRASPPHead(low_channels, high_channels, num_classes, inter_channels)

    def forward(self, input):
        out = self.classifier(self.backbone(input))
        out = F.interpolate(out, size=input.shape[-2:], mode="bilinear", align_corners=False)
        return collections.OrderedDict(out=out)


class LRASPPHead(nn.Module):
    """High features, scaled by numbers computed from their mean, joined with low ones."""

    def __init__(self, low_channels, high_channels, num_classes, inter_channels):
        super().__init__()
        self.cbr = nn.Sequential(
            nn.Conv2d(high_channels, inter_channels, 1, bias=False), nn.BatchNorm2d(inter_channels),
            nn.ReLU(inplace=True))
        self.scale = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(high_channels, inter_channels, 1, bias=False), nn.Sigmoid())
        self.low_classifier = nn.Conv2d(low_channels, num_classes, 1)
        self.high_classifier = nn.Conv2d(inter_channels, num_classes, 1)

    def forward(self, input):
        low, high = input["low"], input["high"]
        x = F.interpolate(self.cbr(high) * self.scale(high), size=low.shape[-2:], mode="bilinear", align_corners=False)
        return self.low_classifier(low) + self.high_classifier(x)


def _construct(backbone, num_classes, aux):
    features = backbone.features
    stages = stage_positions(features)
    low, high = stages[-4], stages[-1]
    backbone = IntermediateLayerGetter(features, return_layers={str(low): "low", str(high): "high"})
    return LRASPP(backbone, features[low].out_channels, features[high].out_channels, num_classes)


LRASPP_MobileNet_V3_Large_Weights = weights_enum("LRASPP_MobileNet_V3_Large_Weights", __name__)
lraspp_mobilenet_v3_large = builder(
    "lraspp_mobilenet_v3_large", LRASPP_MobileNet_V3_Large_Weights, mobilenet_v3_large, MobileNet_V3_Large_Weights,
    _construct, "Build Lite R-ASPP on the large MobileNet V3.", auxiliary=False, dilated=True)
