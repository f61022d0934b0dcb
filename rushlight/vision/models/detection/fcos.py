"""FCOS (Tian et al. 2019, arXiv:1904.01355): boxes as distances of their sides from each place."""

import functools

from .... import api as rl
from .... import nn
from ....nn import functional as F
from ....nn import init
from ...ops import generalized_box_iou_loss, sigmoid_focal_loss
from .._api import weights_enum
from ..resnet import ResNet50_Weights
from . import _utils as det_utils
from ._builders import builder
from .anchor_utils import AnchorGenerator
from .dense import IMAGE_MEAN, IMAGE_STD, DenseDetector, background, check_parts
from .retinanet import pyramid, rare
from .rpn import draw_convolutions
from .transform import GeneralizedRCNNTransform

__all__ = ["FCOS", "FCOS_ResNet50_FPN_Weights", "fcos_resnet50_fpn"]


class FCOSHead(nn.Module):
    """Scores of classes, distances of sides and how central each place is in its box."""

    def __init__(self, in_channels, num_anchors, num_classes, num_convs=4):
        super().__init__()
        self.box_coder = det_utils.BoxLinearCoder(normalize_by_size=True)
        self.classification_head = FCOSClassificationHead(in_channels, num_anchors, num_classes, num_convs)
        self.regression_head = FCOSRegressionHead(in_channels, num_anchors, num_convs)

    def compute_loss(self, targets, head_outputs, anchors, matched_idxs):
        """Return the losses of classes, boxes and centreness."""
        logits, moves = head_outputs["cls_logits"], head_outputs["bbox_regression"]
        classes, boxes = [], []
        for target, matches in zip(targets, matched_idxs):
            if len(target["labels"]):
                classes.append(rl.where(matches < 0, -1, target["labels"][matches.clamp(min=0)]))
                boxes.append(target["boxes"][matches.clamp(min=0)])
            else:
                classes.append(rl.full_like(matches, -1))
                boxes.append(target["boxes"].new_zeros((len(matches), 4)))
        classes, boxes, anchors = rl.stack(classes), rl.stack(boxes), rl.stack(anchors)
        found = rl.where(classes >= 0)
        count = max(1, found[0].numel())
        wanted = rl.zeros_like(logits)
        wanted[(*found, classes[found])] = 1.0
        decoded = self.box_coder.decode(moves, anchors)
        central = self._centreness(self.box_coder.encode(anchors, boxes))
        own = head_outputs["bbox_ctrness"].squeeze(dim=2)
        losses = {
            "classification": sigmoid_focal_loss(logits, wanted, reduction="sum"),
            "bbox_regression": generalized_box_iou_loss(decoded[found], boxes[found], reduction="sum"),
            "bbox_ctrness": F.binary_cross_entropy_with_logits(own[found], central[found], reduction="sum"),
        }
        return {name: loss / count for name, loss in losses.items()}

    @staticmethod
    def _centreness(distances):
        """1 in the centre of a box, 0 at its sides."""
        left, top, right, bottom = distances.unbind(-1)
        return rl.sqrt((rl.min(left, right) / rl.max(left, right)) * (rl.min(top, bottom) / rl.max(top, bottom)))

    def forward(self, x):
        moves, central = self.regression_head(x)
        return {"cls_logits": self.classification_head(x), "bbox_regression": moves, "bbox_ctrness": central}


def _tower(channels, count, norm_layer):
    norm_layer = norm_layer or functools.partial(nn.GroupNorm, 32)
    layers = []
    for _ in range(count):
        layers += [nn.Conv2d(channels, channels, kernel_size=3, padding=1), norm_layer(channels), nn.ReLU()]
    return nn.Sequential(*layers)


class FCOSClassificationHead(nn.Module):
    """Scores of classes (N, places, num_classes)."""

    def __init__(self, in_channels, num_anchors, num_classes, num_convs=4, prior_probability=0.01, norm_layer=None):
        super().__init__()
        self.num_classes, self.num_anchors = num_classes, num_anchors
        self.conv = _tower(in_channels, num_convs, norm_layer)
        draw_convolutions(self.conv)
        self.cls_logits = nn.Conv2d(in_channels, num_anchors * num_classes, kernel_size=3, padding=1)
        init.normal_(self.cls_logits.weight, std=0.01)
        init.constant_(self.cls_logits.bias, rare(prior_probability))

    def forward(self, x):
        found = [det_utils.flattened(self.cls_logits(self.conv(level)), self.num_classes) for level in x]
        return rl.cat(found, dim=1)


class FCOSRegressionHead(nn.Module):
    """Distances of sides (N, places, 4) and centreness (N, places, 1)."""

    def __init__(self, in_channels, num_anchors, num_convs=4, norm_layer=None):
        super().__init__()
        self.conv = _tower(in_channels, num_convs, norm_layer)
        self.bbox_reg = nn.Conv2d(in_channels, num_anchors * 4, kernel_size=3, padding=1)
        self.bbox_ctrness = nn.Conv2d(in_channels, num_anchors, kernel_size=3, padding=1)
        for module in (self.bbox_reg, self.bbox_ctrness, self.conv):
            draw_convolutions(module)

    def forward(self, x):
        features = [self.conv(level) for level in x]
        moves = [det_utils.flattened(F.relu(self.bbox_reg(level)), 4) for level in features]
        central = [det_utils.flattened(self.bbox_ctrness(level), 1) for level in features]
        return rl.cat(moves, dim=1), rl.cat(central, dim=1)


class FCOS(DenseDetector):
    """FCOS: inputs and results as of `GeneralizedRCNN`; class 0 is a class like any other. Arguments as of `RetinaNet`.

    Args:
        center_sampling_radius (float): a place belongs to an object if it is so near its centre, in sizes of anchors.
    """

    def __init__(self, backbone, num_classes, min_size=800, max_size=1333, image_mean=None, image_std=None,
                 anchor_generator=None, head=None, center_sampling_radius=1.5, score_thresh=0.2, nms_thresh=0.6,
                 detections_per_img=100, topk_candidates=1000, **kwargs):
        super().__init__()
        check_parts(backbone, anchor_generator)
        self.backbone = backbone
        self.anchor_generator = anchor_generator or AnchorGenerator(((8,), (16,), (32,), (64,), (128,)), ((1.0,),) * 5)
        anchors = self.anchor_generator.num_anchors_per_location()[0]
        if anchors != 1:
            raise ValueError(f"anchor_generator.num_anchors_per_location()[0] should be 1 instead of {anchors}")
        self.head = head or FCOSHead(backbone.out_channels, anchors, num_classes)
        self.box_coder = det_utils.BoxLinearCoder(normalize_by_size=True)
        self.transform = GeneralizedRCNNTransform(
            min_size, max_size, image_mean or IMAGE_MEAN, image_std or IMAGE_STD, **kwargs)
        self.center_sampling_radius = center_sampling_radius
        self.score_thresh, self.nms_thresh = score_thresh, nms_thresh
        self.detections_per_img, self.topk_candidates = detections_per_img, topk_candidates

    def losses(self, targets, outputs, anchors, places):
        """Return the losses of the head."""
        matches = [self._match(target["boxes"], own, places) if target["boxes"].numel() else background(own)
                   for own, target in zip(anchors, targets)]
        return self.head.compute_loss(targets, outputs, anchors, matches)

    def _match(self, boxes, anchors, places):
        """For each place the smallest box that it lies in, near its centre, and whose size fits the level; or -1."""
        centres = (anchors[:, :2] + anchors[:, 2:]) / 2
        sizes = anchors[:, 2] - anchors[:, 0]
        near = (centres[:, None] - (boxes[:, :2] + boxes[:, 2:]) / 2).abs().amax(2)
        x, y = [part[:, None] for part in centres.unbind(1)]
        left, top, right, bottom = boxes.unbind(1)
        distances = rl.stack([x - left, y - top, right - x, bottom - y], dim=2)
        lower, upper = sizes * 4, sizes * 8
        lower[:places[0]] = 0
        upper[-places[-1]:] = float("inf")
        farthest = distances.amax(2)
        fits = (near < self.center_sampling_radius * sizes[:, None]) & (distances.amin(2) > 0)
        fits = fits & (farthest > lower[:, None]) & (farthest < upper[:, None])
        areas = (right - left) * (bottom - top)
        values, matches = (fits.to(rl.float32) * (1e8 - areas)).max(dim=1)
        return rl.where(values < 1e-5, -1, matches)

    def detect(self, outputs, anchors, image_shapes, places):
        """Return the results of each image."""
        def score(level):
            return rl.sqrt(rl.sigmoid(level["cls_logits"]) * rl.sigmoid(level["bbox_ctrness"]))

        return self.detect_by_level(outputs, anchors, image_shapes, places, score, self.box_coder.decode)


def _construct(start, **kwargs):
    return FCOS(pyramid(start, 256), start.num_classes, **kwargs)


FCOS_ResNet50_FPN_Weights = weights_enum("FCOS_ResNet50_FPN_Weights", __name__)
fcos_resnet50_fpn = builder(
    "fcos_resnet50_fpn", FCOS_ResNet50_FPN_Weights, ResNet50_Weights, _construct,
    "Build FCOS on a ResNet of 50 layers.")
