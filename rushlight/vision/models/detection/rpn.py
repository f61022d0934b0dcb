"""The region proposal network (Ren et al. 2015, arXiv:1506.01497)."""

from .... import api as rl
from .... import nn
from ....nn import functional as F
from ....nn import init
from ...ops import boxes as box_ops
from ...ops.misc import Conv2dNormActivation, rename_keys
from . import _utils as det_utils
from .anchor_utils import AnchorGenerator  # noqa: F401  programs import it from here

SMALLEST = 1e-3  # side of a proposal


class RPNHead(nn.Module):
    """For each anchor the score that an object is there, and how to move the anchor.

    Args:
        in_channels, num_anchors (int): channels of the features, anchors of a place.
        conv_depth (int): number of 3 x 3 convolutions before.
    """

    _version = 2

    def __init__(self, in_channels, num_anchors, conv_depth=1):
        super().__init__()
        self.conv = nn.Sequential(
            *[Conv2dNormActivation(in_channels, in_channels, 3, norm_layer=None) for _ in range(conv_depth)])
        self.cls_logits = nn.Conv2d(in_channels, num_anchors, kernel_size=1)
        self.bbox_pred = nn.Conv2d(in_channels, num_anchors * 4, kernel_size=1)
        draw_convolutions(self)

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
        if local_metadata.get("version", None) in (None, 1):
            rename_keys(state_dict, [
                (f"{prefix}conv.{kind}", f"{prefix}conv.0.0.{kind}") for kind in ("weight", "bias")])
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)

    def forward(self, x):
        features = [self.conv(level) for level in x]
        return [self.cls_logits(level) for level in features], [self.bbox_pred(level) for level in features]


def draw_convolutions(model, std=0.01):
    """Draw the convolutions of a head."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            init.normal_(module.weight, std=std)
            if module.bias is not None:
                init.zeros_(module.bias)


def concat_box_prediction_layers(box_cls, box_regression):
    """Return the predictions of all levels as (N A, C) and (N A, 4)."""
    classes = []
    for scores, moves in zip(box_cls, box_regression):
        anchors = moves.shape[1] // 4
        classes.append(det_utils.flattened(scores, scores.shape[1] // anchors))
    boxes = [det_utils.flattened(moves, 4) for moves in box_regression]
    return rl.cat(classes, dim=1).flatten(0, -2), rl.cat(boxes, dim=1).reshape(-1, 4)


class RegionProposalNetwork(nn.Module):
    """Propose boxes in which there may be objects.

    Args:
        anchor_generator, head (Module): make anchors, and predictions for them.
        fg_iou_thresh, bg_iou_thresh (float): overlaps above and below which an anchor is an object or background.
        batch_size_per_image (int), positive_fraction (float): anchors that are sampled for the loss.
        pre_nms_top_n, post_nms_top_n (dict): boxes kept before and after suppression, in "training" and "testing".
        nms_thresh, score_thresh (float): for suppression, and the least score.

    Returns (of forward): the boxes (K, 4) of each image, and a dictionary of losses.
    """

    def __init__(self, anchor_generator, head, fg_iou_thresh, bg_iou_thresh, batch_size_per_image, positive_fraction,
                 pre_nms_top_n, post_nms_top_n, nms_thresh, score_thresh=0.0):
        super().__init__()
        self.anchor_generator = anchor_generator
        self.head = head
        self.box_coder = det_utils.BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))
        self.box_similarity = box_ops.box_iou
        self.proposal_matcher = det_utils.Matcher(fg_iou_thresh, bg_iou_thresh, allow_low_quality_matches=True)
        self.fg_bg_sampler = det_utils.BalancedPositiveNegativeSampler(batch_size_per_image, positive_fraction)
        self._pre_nms_top_n, self._post_nms_top_n = pre_nms_top_n, post_nms_top_n
        self.nms_thresh, self.score_thresh, self.min_size = nms_thresh, score_thresh, SMALLEST

    def pre_nms_top_n(self):
        """Return the number of boxes of a level that are kept before suppression."""
        return self._pre_nms_top_n["training" if self.training else "testing"]

    def post_nms_top_n(self):
        """Return the number of boxes of an image that are kept after suppression."""
        return self._post_nms_top_n["training" if self.training else "testing"]

    def assign_targets_to_anchors(self, anchors, targets):
        """Return for each image the labels of the anchors (1 object, 0 background, -1 ignored) and their boxes."""
        labels, boxes = [], []
        for own, target in zip(anchors, targets):
            wanted = target["boxes"]
            if wanted.numel() == 0:
                boxes.append(rl.zeros(own.shape, dtype=rl.float32, device=own.device))
                labels.append(rl.zeros((own.shape[0],), dtype=rl.float32, device=own.device))
                continue
            matches = self.proposal_matcher(self.box_similarity(wanted, own))
            boxes.append(wanted[matches.clamp(min=0)])
            ignored = matches == self.proposal_matcher.BETWEEN_THRESHOLDS
            labels.append(rl.where(ignored, -1.0, (matches >= 0).to(dtype=rl.float32)))
        return labels, boxes

    def _get_top_n_idx(self, objectness, num_anchors_per_level):
        found, offset = [], 0
        for scores in objectness.split(num_anchors_per_level, 1):
            count = min(self.pre_nms_top_n(), scores.shape[1])
            found.append(scores.topk(count, dim=1)[1] + offset)
            offset += scores.shape[1]
        return rl.cat(found, dim=1)

    def filter_proposals(self, proposals, objectness, image_shapes, num_anchors_per_level):
        """Return the best boxes of each image that do not overlap better ones, and their scores."""
        count, device = proposals.shape[0], proposals.device
        objectness = objectness.detach().reshape(count, -1)
        levels = rl.cat([rl.full((n,), i, dtype=rl.int64, device=device)
                         for i, n in enumerate(num_anchors_per_level)])
        best = self._get_top_n_idx(objectness, num_anchors_per_level)
        images = rl.arange(count, device=device)[:, None]
        scores, levels, proposals = rl.sigmoid(objectness[images, best]), levels[best], proposals[images, best]
        final_boxes, final_scores = [], []
        for boxes, own, level, shape in zip(proposals, scores, levels, image_shapes):
            boxes = box_ops.clip_boxes_to_image(boxes, shape)
            width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
            fits = (width >= self.min_size) & (height >= self.min_size) & (own >= self.score_thresh)
            keep = rl.where(fits)[0]
            boxes, own, level = boxes[keep], own[keep], level[keep]
            keep = box_ops.batched_nms(boxes, own, level, self.nms_thresh)[:self.post_nms_top_n()]
            final_boxes.append(boxes[keep])
            final_scores.append(own[keep])
        return final_boxes, final_scores

    def compute_loss(self, objectness, pred_bbox_deltas, labels, regression_targets):
        """Return the losses of scores and of movements, over a sample of the anchors."""
        positive, negative = [rl.where(rl.cat(masks, dim=0))[0] for masks in self.fg_bg_sampler(labels)]
        sampled = rl.cat([positive, negative], dim=0)
        labels, targets = rl.cat(labels, dim=0), rl.cat(regression_targets, dim=0)
        boxes = F.smooth_l1_loss(pred_bbox_deltas[positive], targets[positive], beta=1 / 9, reduction="sum")
        scores = F.binary_cross_entropy_with_logits(objectness.flatten()[sampled], labels[sampled])
        return scores, boxes / sampled.numel()

    def forward(self, images, features, targets=None):
        features = list(features.values())
        objectness, moves = self.head(features)
        anchors = self.anchor_generator(images, features)
        per_level = [level[0].numel() for level in objectness]
        objectness, moves = concat_box_prediction_layers(objectness, moves)
        proposals = self.box_coder.decode(moves.detach(), anchors).view(len(anchors), -1, 4)
        boxes, _ = self.filter_proposals(proposals, objectness, images.image_sizes, per_level)
        if not self.training:
            return boxes, {}
        if targets is None:
            raise ValueError("targets should not be None")
        labels, matched = self.assign_targets_to_anchors(anchors, targets)
        scores, regression = self.compute_loss(objectness, moves, labels, self.box_coder.encode(matched, anchors))
        return boxes, {"loss_objectness": scores, "loss_rpn_box_reg": regression}
