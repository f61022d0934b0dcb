"""Mask R-CNN (He et al. 2017, arXiv:1703.06870)."""

import collections
import functools

from .... import nn
from ....nn import init
from ...ops import misc as misc_nn_ops
from ...ops.misc import rename_keys
from .._api import weights_enum
from ..resnet import ResNet50_Weights
from ._builders import builder
from .faster_rcnn import FasterRCNN, check_parts, default_pool, draw_head, first_version, second_version_parts

__all__ = [
    "MaskRCNN", "MaskRCNN_ResNet50_FPN_Weights", "MaskRCNN_ResNet50_FPN_V2_Weights", "maskrcnn_resnet50_fpn",
    "maskrcnn_resnet50_fpn_v2",
]


class MaskRCNN(FasterRCNN):
    """Mask R-CNN: Faster R-CNN with masks. Targets have "masks" (N, H, W), and results "masks" (N, 1, H, W) in [0, 1].

    Args:
        backbone, num_classes, ...: as of `FasterRCNN`.
        mask_roi_pool, mask_head, mask_predictor (Module, optional): make scores (N, classes, M, M).
    """

    def __init__(self, backbone, num_classes=None, *args, mask_roi_pool=None, mask_head=None, mask_predictor=None,
                 **kwargs):
        check_parts(backbone, None, mask_roi_pool=mask_roi_pool)
        if num_classes is not None and mask_predictor is not None:
            raise ValueError("num_classes should be None when mask_predictor is specified")
        # parts are drawn in this order, the masks' before those of Faster R-CNN
        head = mask_head or MaskRCNNHeads(backbone.out_channels, (256, 256, 256, 256), 1)
        predictor = mask_predictor or MaskRCNNPredictor(256, 256, num_classes)
        super().__init__(backbone, num_classes, *args, **kwargs)
        self.roi_heads.mask_roi_pool = mask_roi_pool or default_pool(14)
        self.roi_heads.mask_head = head
        self.roi_heads.mask_predictor = predictor


class MaskRCNNHeads(nn.Sequential):
    """3 x 3 convolutions of so many channels each."""

    _version = 2

    def __init__(self, in_channels, layers, dilation, norm_layer=None):
        blocks = []
        for channels in layers:
            blocks.append(misc_nn_ops.Conv2dNormActivation(
                in_channels, channels, 3, padding=dilation, dilation=dilation, norm_layer=norm_layer))
            in_channels = channels
        super().__init__(*blocks)
        draw_head(self)

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
        if local_metadata.get("version", None) in (None, 1):
            rename_keys(state_dict, [(f"{prefix}mask_fcn{i + 1}.{kind}", f"{prefix}{i}.0.{kind}")
                                     for i in range(len(self)) for kind in ("weight", "bias")])
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


class MaskRCNNPredictor(nn.Sequential):
    """A transposed convolution that doubles the size, and a 1 x 1 convolution to the classes."""

    def __init__(self, in_channels, dim_reduced, num_classes):
        super().__init__(collections.OrderedDict([
            ("conv5_mask", nn.ConvTranspose2d(in_channels, dim_reduced, 2, 2, 0)),
            ("relu", nn.ReLU(inplace=True)),
            ("mask_fcn_logits", nn.Conv2d(dim_reduced, num_classes, 1, 1, 0)),
        ]))
        for name, parameter in self.named_parameters():
            if "weight" in name:
                init.kaiming_normal_(parameter, mode="fan_out", nonlinearity="relu")


def _second_version(start, **kwargs):
    backbone, parts = second_version_parts(start)
    head = MaskRCNNHeads(backbone.out_channels, [256] * 4, 1, norm_layer=nn.BatchNorm2d)
    return MaskRCNN(backbone, num_classes=start.num_classes, mask_head=head, **parts, **kwargs)


MaskRCNN_ResNet50_FPN_Weights = weights_enum("MaskRCNN_ResNet50_FPN_Weights", __name__)
MaskRCNN_ResNet50_FPN_V2_Weights = weights_enum("MaskRCNN_ResNet50_FPN_V2_Weights", __name__)

maskrcnn_resnet50_fpn = builder(
    "maskrcnn_resnet50_fpn", MaskRCNN_ResNet50_FPN_Weights, ResNet50_Weights,
    functools.partial(first_version, MaskRCNN), "Build Mask R-CNN on a ResNet of 50 layers.", eps_of="COCO_V1")
maskrcnn_resnet50_fpn_v2 = builder(
    "maskrcnn_resnet50_fpn_v2", MaskRCNN_ResNet50_FPN_V2_Weights, ResNet50_Weights, _second_version,
    "Build the second version of Mask R-CNN on a ResNet of 50 layers.", backbone_default=False)
