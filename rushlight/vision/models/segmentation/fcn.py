"""Fully convolutional networks for segmentation (Long et al. 2014, arXiv:1411.4038)."""

import functools

from .... import nn
from .._api import weights_enum
from ..resnet import ResNet50_Weights, ResNet101_Weights, resnet50, resnet101
from ._utils import _SimpleSegmentationModel, builder, of_resnet

__all__ = ["FCN", "FCN_ResNet50_Weights", "FCN_ResNet101_Weights", "fcn_resnet50", "fcn_resnet101"]


class FCN(_SimpleSegmentationModel):
    """A fully convolutional network: images (N, 3, H, W) → {"out": scores (N, num_classes, H, W)}."""


class FCNHead(nn.Sequential):
    """A 3 x 3 convolution, dropout and a 1 x 1 convolution."""

    def __init__(self, in_channels, channels):
        middle = in_channels // 4
        super().__init__(
            nn.Conv2d(in_channels, middle, 3, padding=1, bias=False), nn.BatchNorm2d(middle), nn.ReLU(),
            nn.Dropout(0.1), nn.Conv2d(middle, channels, 1))


FCN_ResNet50_Weights = weights_enum("FCN_ResNet50_Weights", __name__)
FCN_ResNet101_Weights = weights_enum("FCN_ResNet101_Weights", __name__)

_construct = functools.partial(of_resnet, FCN, FCNHead, FCNHead)
_dilated = [False, True, True]

fcn_resnet50 = builder(
    "fcn_resnet50", FCN_ResNet50_Weights, resnet50, ResNet50_Weights, _construct,
    "Build a fully convolutional network on a ResNet of 50 layers.", replace_stride_with_dilation=_dilated)
fcn_resnet101 = builder(
    "fcn_resnet101", FCN_ResNet101_Weights, resnet101, ResNet101_Weights, _construct,
    "Build a fully convolutional network on a ResNet of 101 layers.", replace_stride_with_dilation=_dilated)
