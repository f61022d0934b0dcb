"""SSDlite (Sandler et al. 2018, arXiv:1801.04381; Howard et al. 2019, arXiv:1905.02244)."""

import collections
import functools

from .... import nn
from ....nn import init
from ...ops.misc import Conv2dNormActivation
from .._api import weights_enum
from ..mobilenetv3 import MobileNet_V3_Large_Weights, mobilenet_v3_large
from ..segmentation._utils import stage_positions
from . import _utils as det_utils
from ._builders import builder
from .anchor_utils import DefaultBoxGenerator
from .backbone_utils import freeze
from .ssd import SSD, SSDScoringHead, check_levels, warn_of_size

__all__ = ["SSDLite320_MobileNet_V3_Large_Weights", "ssdlite320_mobilenet_v3_large"]


def _prediction_block(in_channels, out_channels, kernel_size, norm_layer):
    return nn.Sequential(
        Conv2dNormActivation(in_channels, in_channels, kernel_size, groups=in_channels, norm_layer=norm_layer,
                             activation_layer=nn.ReLU6),
        nn.Conv2d(in_channels, out_channels, 1))


def _extra_block(in_channels, out_channels, norm_layer):
    conv = functools.partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=nn.ReLU6)
    middle = out_channels // 2
    return nn.Sequential(conv(in_channels, middle, 1), conv(middle, middle, 3, stride=2, groups=middle),
                         conv(middle, out_channels, 1))


def _normal_init(conv):
    for layer in conv.modules():
        if isinstance(layer, nn.Conv2d):
            init.normal_(layer.weight, mean=0.0, std=0.03)
            if layer.bias is not None:
                init.zeros_(layer.bias)


def _blocks(in_channels, num_anchors, columns, norm_layer):
    found = nn.ModuleList([_prediction_block(channels, columns * anchors, 3, norm_layer)
                           for channels, anchors in zip(in_channels, num_anchors)])
    _normal_init(found)
    return found


class SSDLiteClassificationHead(SSDScoringHead):
    """Scores of classes (N, places, num_classes)."""

    def __init__(self, in_channels, num_anchors, num_classes, norm_layer):
        super().__init__(_blocks(in_channels, num_anchors, num_classes, norm_layer), num_classes)


class SSDLiteRegressionHead(SSDScoringHead):
    """Movements (N, places, 4)."""

    def __init__(self, in_channels, num_anchors, norm_layer):
        super().__init__(_blocks(in_channels, num_anchors, 4, norm_layer), 4)


class SSDLiteHead(nn.Module):
    """Scores of classes and movements for all default boxes."""

    def __init__(self, in_channels, num_anchors, num_classes, norm_layer):
        super().__init__()
        self.classification_head = SSDLiteClassificationHead(in_channels, num_anchors, num_classes, norm_layer)
        self.regression_head = SSDLiteRegressionHead(in_channels, num_anchors, norm_layer)

    def forward(self, x):
        return {"bbox_regression": self.regression_head(x), "cls_logits": self.classification_head(x)}


class SSDLiteFeatureExtractorMobileNet(nn.Module):
    """The layers of a MobileNet up to the expansion at `c4_pos`, the rest of them, and more levels."""

    def __init__(self, backbone, c4_pos, norm_layer, width_mult=1.0, min_depth=16):
        super().__init__()
        if backbone[c4_pos].use_res_connect:
            raise ValueError("backbone[c4_pos].use_res_connect should be False")
        middle = backbone[c4_pos].block
        self.features = nn.Sequential(
            nn.Sequential(*backbone[:c4_pos], middle[0]), nn.Sequential(middle[1:], *backbone[c4_pos + 1:]))
        channels = [backbone[-1].out_channels, *[max(min_depth, int(d * width_mult)) for d in (512, 256, 256, 128)]]
        extra = nn.ModuleList([_extra_block(*pair, norm_layer) for pair in zip(channels, channels[1:])])
        _normal_init(extra)
        self.extra = extra

    def forward(self, x):
        levels = collections.OrderedDict()
        for block in (*self.features, *self.extra):
            x = block(x)
            levels[str(len(levels))] = x
        return levels


def _mobilenet_extractor(backbone, trainable_layers, norm_layer):
    features = backbone.features
    stages = stage_positions(features)
    freeze(features, stages, trainable_layers)
    return SSDLiteFeatureExtractorMobileNet(features, stages[-2], norm_layer)


def _construct(start, norm_layer=None, **kwargs):
    warn_of_size(kwargs)
    norm_layer = norm_layer or functools.partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
    backbone = mobilenet_v3_large(
        weights=start.weights, progress=start.progress, norm_layer=norm_layer, reduced_tail=start.weights is None,
        **kwargs)
    if start.weights is None:
        _normal_init(backbone)
    backbone = _mobilenet_extractor(backbone, start.layers, norm_layer)
    size = (320, 320)
    anchors = DefaultBoxGenerator([[2, 3] for _ in range(6)], min_ratio=0.2, max_ratio=0.95)
    channels = det_utils.retrieve_out_channels(backbone, size)
    check_levels(channels, anchors)
    head = SSDLiteHead(channels, anchors.num_anchors_per_location(), start.num_classes, norm_layer)
    defaults = {
        "score_thresh": 0.001, "nms_thresh": 0.55, "detections_per_img": 300, "topk_candidates": 300,
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
    }
    return SSD(backbone, anchors, size, start.num_classes, head=head, **{**defaults, **kwargs})


SSDLite320_MobileNet_V3_Large_Weights = weights_enum("SSDLite320_MobileNet_V3_Large_Weights", __name__)
ssdlite320_mobilenet_v3_large = builder(
    "ssdlite320_mobilenet_v3_large", SSDLite320_MobileNet_V3_Large_Weights, MobileNet_V3_Large_Weights, _construct,
    "Build SSDlite for 320 x 320 pixels on the large MobileNet V3.", stages=(6, 6), extra=("norm_layer",))
