"""Keypoint R-CNN (He et al. 2017, arXiv:1703.06870)."""

import functools

from .... import nn
from ....nn import functional as F
from ....nn import init
from .._api import weights_enum
from ..resnet import ResNet50_Weights
from ._builders import builder
from .faster_rcnn import FasterRCNN, check_parts, default_pool, draw_head, first_version

__all__ = ["KeypointRCNN", "KeypointRCNN_ResNet50_FPN_Weights", "keypointrcnn_resnet50_fpn"]


class KeypointRCNN(FasterRCNN):
    """Keypoint R-CNN: Faster R-CNN with key points. Targets have "keypoints" (N, K, 3): x, y and whether the point is
    visible. Results have "keypoints" (N, K, 3) and "keypoints_scores" (N, K).

    Args:
        backbone, num_classes, ...: as of `FasterRCNN`.
        keypoint_roi_pool, keypoint_head, keypoint_predictor (Module, optional): make maps (N, K, M, M).
        num_keypoints (int, optional): number of key points, 17 by default; None if there is a `keypoint_predictor`.
    """

    def __init__(self, backbone, num_classes=None, min_size=None, *args, keypoint_roi_pool=None, keypoint_head=None,
                 keypoint_predictor=None, num_keypoints=None, **kwargs):
        check_parts(backbone, None, keypoint_roi_pool=keypoint_roi_pool)
        if num_keypoints is not None and keypoint_predictor is not None:
            raise ValueError("num_keypoints should be None when keypoint_predictor is specified")
        if min_size is None:
            min_size = (640, 672, 704, 736, 768, 800)
        # parts are drawn in this order, the key points' before those of Faster R-CNN
        head = keypoint_head or KeypointRCNNHeads(backbone.out_channels, (512,) * 8)
        predictor = keypoint_predictor or KeypointRCNNPredictor(512, num_keypoints or 17)
        super().__init__(backbone, num_classes, min_size, *args, **kwargs)
        self.roi_heads.keypoint_roi_pool = keypoint_roi_pool or default_pool(14)
        self.roi_heads.keypoint_head = head
        self.roi_heads.keypoint_predictor = predictor


class KeypointRCNNHeads(nn.Sequential):
    """3 x 3 convolutions of so many channels each."""

    def __init__(self, in_channels, layers):
        blocks = []
        for channels in layers:
            blocks += [nn.Conv2d(in_channels, channels, 3, padding=1), nn.ReLU(inplace=True)]
            in_channels = channels
        super().__init__(*blocks)
        draw_head(self)


class KeypointRCNNPredictor(nn.Module):
    """A transposed convolution that doubles the size of the maps, which are then doubled by interpolation."""

    def __init__(self, in_channels, num_keypoints):
        super().__init__()
        self.kps_score_lowres = nn.ConvTranspose2d(in_channels, num_keypoints, 4, stride=2, padding=1)
        init.kaiming_normal_(self.kps_score_lowres.weight, mode="fan_out", nonlinearity="relu")
        init.zeros_(self.kps_score_lowres.bias)
        self.up_scale = 2
        self.out_channels = num_keypoints

    def forward(self, x):
        return F.interpolate(self.kps_score_lowres(x), scale_factor=float(self.up_scale), mode="bilinear",
                             align_corners=False, recompute_scale_factor=False)


def _published(kwargs):
    members = KeypointRCNN_ResNet50_FPN_Weights
    return members.COCO_LEGACY if kwargs["pretrained"] == "legacy" else members.COCO_V1


KeypointRCNN_ResNet50_FPN_Weights = weights_enum("KeypointRCNN_ResNet50_FPN_Weights", __name__)
keypointrcnn_resnet50_fpn = builder(
    "keypointrcnn_resnet50_fpn", KeypointRCNN_ResNet50_FPN_Weights, ResNet50_Weights,
    functools.partial(first_version, KeypointRCNN), "Build Keypoint R-CNN on a ResNet of 50 layers.", classes=2,
    eps_of="COCO_V1", pretrained=_published, keypoints=True)
