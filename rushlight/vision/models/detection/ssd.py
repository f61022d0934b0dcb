"""SSD (Liu et al. 2015, arXiv:1512.02325)."""

import collections
import warnings

from .... import api as rl
from .... import nn
from ....nn import functional as F
from ....nn import init
from ...ops import boxes as box_ops
from .._api import weights_enum
from ..vgg import VGG16_Weights, vgg16
from . import _utils as det_utils
from ._builders import builder
from .anchor_utils import DefaultBoxGenerator
from .backbone_utils import freeze
from .dense import IMAGE_MEAN, IMAGE_STD, DenseDetector
from .transform import GeneralizedRCNNTransform

__all__ = ["SSD300_VGG16_Weights", "ssd300_vgg16"]


def _xavier_init(conv):
    for layer in conv.modules():
        if isinstance(layer, nn.Conv2d):
            init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                init.zeros_(layer.bias)


class SSDScoringHead(nn.Module):
    """A module for each level, whose results are (N, places, num_columns)."""

    def __init__(self, module_list, num_columns):
        super().__init__()
        self.module_list, self.num_columns = module_list, num_columns

    def forward(self, x):
        found = [det_utils.flattened(module(level), self.num_columns) for module, level in zip(self.module_list, x)]
        return rl.cat(found, dim=1)


def _convolutions(in_channels, num_anchors, columns):
    found = nn.ModuleList([nn.Conv2d(channels, columns * anchors, kernel_size=3, padding=1)
                           for channels, anchors in zip(in_channels, num_anchors)])
    _xavier_init(found)
    return found


class SSDClassificationHead(SSDScoringHead):
    """Scores of classes (N, places, num_classes)."""

    def __init__(self, in_channels, num_anchors, num_classes):
        super().__init__(_convolutions(in_channels, num_anchors, num_classes), num_classes)


class SSDRegressionHead(SSDScoringHead):
    """Movements (N, places, 4)."""

    def __init__(self, in_channels, num_anchors):
        super().__init__(_convolutions(in_channels, num_anchors, 4), 4)


class SSDHead(nn.Module):
    """Scores of classes and movements for all default boxes."""

    def __init__(self, in_channels, num_anchors, num_classes):
        super().__init__()
        self.classification_head = SSDClassificationHead(in_channels, num_anchors, num_classes)
        self.regression_head = SSDRegressionHead(in_channels, num_anchors)

    def forward(self, x):
        return {"bbox_regression": self.regression_head(x), "cls_logits": self.classification_head(x)}


class SSD(DenseDetector):
    """SSD: inputs and results as of `GeneralizedRCNN`.

    Args:
        backbone (Module): returns a dictionary of levels.
        anchor_generator (DefaultBoxGenerator): makes the default boxes.
        size (tuple): (width, height) that images are resized to.
        num_classes (int): number of classes, with the background.
        image_mean, image_std (list of float, optional): for the normalisation; ImageNet's by default.
        head (Module, optional): makes scores and movements.
        score_thresh, nms_thresh (float), detections_per_img, topk_candidates (int): which results are kept; the last is
            a number for each class.
        iou_thresh (float): overlap from which on a default box matches an object.
        positive_fraction (float): share of matching boxes among those that the loss of classes counts.
    """

    def __init__(self, backbone, anchor_generator, size, num_classes, image_mean=None, image_std=None, head=None,
                 score_thresh=0.01, nms_thresh=0.45, detections_per_img=200, iou_thresh=0.5, topk_candidates=400,
                 positive_fraction=0.25, **kwargs):
        super().__init__()
        self.backbone = backbone
        self.anchor_generator = anchor_generator
        self.box_coder = det_utils.BoxCoder(weights=(10.0, 10.0, 5.0, 5.0))
        if head is None:
            channels = getattr(backbone, "out_channels", None) or det_utils.retrieve_out_channels(backbone, size)
            check_levels(channels, anchor_generator)
            head = SSDHead(channels, anchor_generator.num_anchors_per_location(), num_classes)
        self.head = head
        self.proposal_matcher = det_utils.SSDMatcher(iou_thresh)
        self.transform = GeneralizedRCNNTransform(
            min(size), max(size), image_mean or IMAGE_MEAN, image_std or IMAGE_STD, size_divisible=1, fixed_size=size,
            **kwargs)
        self.score_thresh, self.nms_thresh = score_thresh, nms_thresh
        self.detections_per_img, self.topk_candidates = detections_per_img, topk_candidates
        self.neg_to_pos_ratio = (1.0 - positive_fraction) / positive_fraction

    def losses(self, targets, outputs, anchors, places):
        """Return the losses of movements, and of classes over matches and the hardest backgrounds."""
        return self.compute_loss(targets, outputs, anchors, self.match(targets, anchors))

    def compute_loss(self, targets, head_outputs, anchors, matched_idxs):
        """Return the losses, given which object each default box matches, or -1."""
        logits, count, moved, classes = head_outputs["cls_logits"], 0, [], []
        for target, moves, own, matches in zip(targets, head_outputs["bbox_regression"], anchors, matched_idxs):
            positive = rl.where(matches >= 0)[0]
            objects = matches[positive]
            count += objects.numel()
            wanted = self.box_coder.encode_single(target["boxes"][objects], own[positive])
            moved.append(F.smooth_l1_loss(moves[positive], wanted, reduction="sum"))
            found = rl.zeros((logits.size(1),), dtype=target["labels"].dtype, device=target["labels"].device)
            found[positive] = target["labels"][objects]
            classes.append(found)
        classes = rl.stack(classes)
        loss = F.cross_entropy(logits.reshape(-1, logits.size(-1)), classes.view(-1), reduction="none")
        loss = loss.view(classes.size())
        objects = classes > 0
        # the hardest backgrounds of each image, in proportion to its objects
        hardness = rl.where(objects, -float("inf"), loss.detach())
        rank = hardness.argsort(1, descending=True).argsort(1)
        counted = objects | (rank < self.neg_to_pos_ratio * objects.sum(1, keepdim=True))
        return {
            "bbox_regression": rl.stack(moved).sum() / max(1, count),
            "classification": rl.where(counted, loss, 0.0).sum() / max(1, count),
        }

    def detect(self, outputs, anchors, image_shapes, places):
        """Return the results of each image."""
        found = []
        scores = F.softmax(outputs["cls_logits"], dim=-1)
        for moves, own_scores, own, shape in zip(outputs["bbox_regression"], scores, anchors, image_shapes):
            boxes = box_ops.clip_boxes_to_image(self.box_coder.decode_single(moves, own), shape)
            by_class = own_scores.t()[1:]  # class 0 is the background
            best, at = by_class.topk(min(self.topk_candidates, by_class.shape[1]), dim=1)
            labels, rank = rl.where(best > self.score_thresh)
            found.append(self.best([boxes[at[labels, rank]]], [best[labels, rank]], [labels + 1]))
        return found


def check_levels(channels, anchor_generator):
    """ValueError unless there are as many levels as the default boxes are for."""
    wanted = len(anchor_generator.aspect_ratios)
    if len(channels) != wanted:
        raise ValueError(f"The length of the output channels from the backbone ({len(channels)}) do not match the "
                         f"length of the anchor generator aspect ratios ({wanted})")


def _extra(in_channels, middle, out_channels, kernel=3, **options):
    return nn.Sequential(
        nn.Conv2d(in_channels, middle, kernel_size=1), nn.ReLU(inplace=True),
        nn.Conv2d(middle, out_channels, kernel_size=kernel, **options), nn.ReLU(inplace=True))


class SSDFeatureExtractorVGG(nn.Module):
    """The convolutions of a VGG network and more levels; `highres` adds one for images of 512 x 512."""

    def __init__(self, backbone, highres):
        super().__init__()
        _, _, third, fourth, _ = [i for i, layer in enumerate(backbone) if isinstance(layer, nn.MaxPool2d)]
        backbone[third].ceil_mode = True  # 38 x 38 pixels there, as in the paper
        self.scale_weight = nn.Parameter(rl.ones(512) * 20)
        self.features = nn.Sequential(*backbone[:fourth])
        extra = nn.ModuleList([
            _extra(1024, 256, 512, padding=1, stride=2), _extra(512, 128, 256, padding=1, stride=2),
            _extra(256, 128, 256), _extra(256, 128, 256)])
        if highres:
            extra.append(_extra(256, 128, 256, kernel=4))
        _xavier_init(extra)
        last = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1, ceil_mode=False),
            nn.Conv2d(512, 1024, kernel_size=3, padding=6, dilation=6), nn.ReLU(inplace=True),
            nn.Conv2d(1024, 1024, kernel_size=1), nn.ReLU(inplace=True))
        _xavier_init(last)
        extra.insert(0, nn.Sequential(*backbone[fourth:-1], last))
        self.extra = extra

    def forward(self, x):
        x = self.features(x)
        levels = [self.scale_weight.view(1, -1, 1, 1) * F.normalize(x)]
        for block in self.extra:
            x = block(x)
            levels.append(x)
        return collections.OrderedDict((str(i), level) for i, level in enumerate(levels))


def _vgg_extractor(backbone, highres, trainable_layers):
    features = backbone.features
    stages = [0, *[i for i, layer in enumerate(features) if isinstance(layer, nn.MaxPool2d)][:-1]]
    freeze(features, stages, trainable_layers)
    return SSDFeatureExtractorVGG(features, highres)


def warn_of_size(kwargs):
    """Warn of a size, which these models have already."""
    if "size" in kwargs:
        warnings.warn("The size of the model is already fixed; ignoring the parameter.", stacklevel=4)


def _construct(start, **kwargs):
    warn_of_size(kwargs)
    backbone = _vgg_extractor(vgg16(weights=start.weights, progress=start.progress), False, start.layers)
    anchors = DefaultBoxGenerator(
        [[2], [2, 3], [2, 3], [2, 3], [2], [2]], scales=[0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05],
        steps=[8, 16, 32, 64, 100, 300])
    # the published backbone was trained on values up to 255
    defaults = {"image_mean": [0.48235, 0.45882, 0.40784], "image_std": [1.0 / 255.0] * 3}
    return SSD(backbone, anchors, (300, 300), start.num_classes, **{**defaults, **kwargs})


SSD300_VGG16_Weights = weights_enum("SSD300_VGG16_Weights", __name__)
ssd300_vgg16 = builder(
    "ssd300_vgg16", SSD300_VGG16_Weights, VGG16_Weights, _construct, "Build SSD for 300 x 300 pixels on VGG.",
    stages=(5, 4), backbone_member="IMAGENET1K_FEATURES")
