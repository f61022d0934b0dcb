"""RetinaNet (Lin et al. 2017, arXiv:1708.02002) and its version 2 (arXiv:1912.02424)."""

import functools
import math

from .... import api as rl
from .... import nn
from ....nn import init
from ...ops import misc as misc_nn_ops
from ...ops import sigmoid_focal_loss
from ...ops.feature_pyramid_network import LastLevelP6P7
from ...ops.misc import rename_keys
from .._api import weights_enum
from ..resnet import ResNet50_Weights
from . import _utils as det_utils
from ._builders import builder, resnet_backbone
from .anchor_utils import AnchorGenerator
from .dense import IMAGE_MEAN, IMAGE_STD, DenseDetector, check_parts
from .rpn import draw_convolutions
from .transform import GeneralizedRCNNTransform

__all__ = [
    "RetinaNet", "RetinaNet_ResNet50_FPN_Weights", "RetinaNet_ResNet50_FPN_V2_Weights", "retinanet_resnet50_fpn",
    "retinanet_resnet50_fpn_v2",
]


def _default_anchorgen():
    sizes = tuple([(x, int(x * 2 ** (1.0 / 3)), int(x * 2 ** (2.0 / 3))) for x in (32, 64, 128, 256, 512)])
    return AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes))


def rare(probability):
    """Return the bias at which a sigmoid gives `probability`."""
    return -math.log((1 - probability) / probability)


class _Tower(nn.Module):
    """Four convolutions `conv`; older versions had them without normalisation."""

    _version = 2

    def __init__(self, in_channels, norm_layer):
        super().__init__()
        self.conv = nn.Sequential(
            *[misc_nn_ops.Conv2dNormActivation(in_channels, in_channels, norm_layer=norm_layer) for _ in range(4)])

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
        if local_metadata.get("version", None) in (None, 1):
            rename_keys(state_dict, [(f"{prefix}conv.{2 * i}.{kind}", f"{prefix}conv.{i}.0.{kind}")
                                     for i in range(4) for kind in ("weight", "bias")])
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


class RetinaNetHead(nn.Module):
    """Scores of classes and movements for all anchors."""

    def __init__(self, in_channels, num_anchors, num_classes, norm_layer=None):
        super().__init__()
        self.classification_head = RetinaNetClassificationHead(
            in_channels, num_anchors, num_classes, norm_layer=norm_layer)
        self.regression_head = RetinaNetRegressionHead(in_channels, num_anchors, norm_layer=norm_layer)

    def compute_loss(self, targets, head_outputs, anchors, matched_idxs):
        """Return the losses of both heads."""
        return {
            "classification": self.classification_head.compute_loss(targets, head_outputs, matched_idxs),
            "bbox_regression": self.regression_head.compute_loss(targets, head_outputs, anchors, matched_idxs),
        }

    def forward(self, x):
        return {"cls_logits": self.classification_head(x), "bbox_regression": self.regression_head(x)}


class RetinaNetClassificationHead(_Tower):
    """Scores of classes (N, anchors, num_classes)."""

    def __init__(self, in_channels, num_anchors, num_classes, prior_probability=0.01, norm_layer=None):
        super().__init__(in_channels, norm_layer)
        draw_convolutions(self.conv)
        self.cls_logits = nn.Conv2d(in_channels, num_anchors * num_classes, kernel_size=3, padding=1)
        init.normal_(self.cls_logits.weight, std=0.01)
        init.constant_(self.cls_logits.bias, rare(prior_probability))
        self.num_classes, self.num_anchors = num_classes, num_anchors
        self.BETWEEN_THRESHOLDS = det_utils.Matcher.BETWEEN_THRESHOLDS

    def compute_loss(self, targets, head_outputs, matched_idxs):
        """Return the focal loss of all anchors that are not ignored."""
        losses = []
        for target, logits, matches in zip(targets, head_outputs["cls_logits"], matched_idxs):
            positive = rl.where(matches >= 0)[0]
            wanted = rl.zeros_like(logits)
            wanted[positive, target["labels"][matches[positive]]] = 1.0
            valid = rl.where(matches != self.BETWEEN_THRESHOLDS)[0]
            loss = sigmoid_focal_loss(logits[valid], wanted[valid], reduction="sum")
            losses.append(loss / max(1, positive.numel()))
        return sum(losses[1:], losses[0]) / len(targets)

    def forward(self, x):
        found = [det_utils.flattened(self.cls_logits(self.conv(level)), self.num_classes) for level in x]
        return rl.cat(found, dim=1)


class RetinaNetRegressionHead(_Tower):
    """Movements of anchors (N, anchors, 4)."""

    def __init__(self, in_channels, num_anchors, norm_layer=None):
        super().__init__(in_channels, norm_layer)
        self.bbox_reg = nn.Conv2d(in_channels, num_anchors * 4, kernel_size=3, padding=1)
        init.normal_(self.bbox_reg.weight, std=0.01)
        init.zeros_(self.bbox_reg.bias)
        draw_convolutions(self.conv)
        self.box_coder = det_utils.BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))
        self._loss_type = "l1"

    def compute_loss(self, targets, head_outputs, anchors, matched_idxs):
        """Return the loss of the anchors that are matched with an object."""
        losses = []
        for target, moves, own, matches in zip(targets, head_outputs["bbox_regression"], anchors, matched_idxs):
            positive = rl.where(matches >= 0)[0]
            loss = det_utils._box_loss(self._loss_type, self.box_coder, own[positive],
                                       target["boxes"][matches[positive]], moves[positive])
            losses.append(loss / max(1, positive.numel()))
        return sum(losses[1:], losses[0]) / max(1, len(targets))

    def forward(self, x):
        return rl.cat([det_utils.flattened(self.bbox_reg(self.conv(level)), 4) for level in x], dim=1)


class RetinaNet(DenseDetector):
    """RetinaNet: inputs and results as of `GeneralizedRCNN`; class 0 is a class like any other.

    Args:
        backbone (Module): returns a dictionary of levels; has `out_channels`.
        num_classes (int): number of classes.
        min_size (int or tuple), max_size (int), image_mean, image_std: see `GeneralizedRCNNTransform`.
        anchor_generator, head (Module), proposal_matcher (Matcher): parts, optional.
        score_thresh, nms_thresh (float), detections_per_img, topk_candidates (int): which results are kept; the last is
            a number for each level.
        fg_iou_thresh, bg_iou_thresh (float): overlaps above and below which an anchor is an object or background.
    """

    def __init__(self, backbone, num_classes, min_size=800, max_size=1333, image_mean=None, image_std=None,
                 anchor_generator=None, head=None, proposal_matcher=None, score_thresh=0.05, nms_thresh=0.5,
                 detections_per_img=300, fg_iou_thresh=0.5, bg_iou_thresh=0.4, topk_candidates=1000, **kwargs):
        super().__init__()
        check_parts(backbone, anchor_generator)
        self.backbone = backbone
        self.anchor_generator = anchor_generator or _default_anchorgen()
        self.head = head or RetinaNetHead(
            backbone.out_channels, self.anchor_generator.num_anchors_per_location()[0], num_classes)
        self.proposal_matcher = proposal_matcher or det_utils.Matcher(
            fg_iou_thresh, bg_iou_thresh, allow_low_quality_matches=True)
        self.box_coder = det_utils.BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))
        self.transform = GeneralizedRCNNTransform(
            min_size, max_size, image_mean or IMAGE_MEAN, image_std or IMAGE_STD, **kwargs)
        self.score_thresh, self.nms_thresh = score_thresh, nms_thresh
        self.detections_per_img, self.topk_candidates = detections_per_img, topk_candidates

    def losses(self, targets, outputs, anchors, places):
        """Return the losses of the head."""
        return self.head.compute_loss(targets, outputs, anchors, self.match(targets, anchors))

    def detect(self, outputs, anchors, image_shapes, places):
        """Return the results of each image."""
        return self.detect_by_level(outputs, anchors, image_shapes, places,
                                    lambda level: rl.sigmoid(level["cls_logits"]), self.box_coder.decode_single)


def pyramid(start, channels, frozen=True):
    """Return a ResNet of 50 layers with a pyramid from its second stage on, and two more levels."""
    return resnet_backbone(start.weights, start.progress, start.trained, start.layers, frozen, stages=[2, 3, 4],
                           extra=functools.partial(LastLevelP6P7, channels, 256))


def _first_version(start, **kwargs):
    return RetinaNet(pyramid(start, 256), start.num_classes, **kwargs)


def _second_version(start, **kwargs):
    backbone, anchors = pyramid(start, 2048, frozen=False), _default_anchorgen()
    head = RetinaNetHead(backbone.out_channels, anchors.num_anchors_per_location()[0], start.num_classes,
                         norm_layer=functools.partial(nn.GroupNorm, 32))
    head.regression_head._loss_type = "giou"
    return RetinaNet(backbone, start.num_classes, anchor_generator=anchors, head=head, **kwargs)


RetinaNet_ResNet50_FPN_Weights = weights_enum("RetinaNet_ResNet50_FPN_Weights", __name__)
RetinaNet_ResNet50_FPN_V2_Weights = weights_enum("RetinaNet_ResNet50_FPN_V2_Weights", __name__)

retinanet_resnet50_fpn = builder(
    "retinanet_resnet50_fpn", RetinaNet_ResNet50_FPN_Weights, ResNet50_Weights, _first_version,
    "Build RetinaNet on a ResNet of 50 layers.", eps_of="COCO_V1")
retinanet_resnet50_fpn_v2 = builder(
    "retinanet_resnet50_fpn_v2", RetinaNet_ResNet50_FPN_V2_Weights, ResNet50_Weights, _second_version,
    "Build the second version of RetinaNet on a ResNet of 50 layers.", backbone_default=False)
