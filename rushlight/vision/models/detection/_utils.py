"""What detectors share: coding of boxes, matching of boxes with those to find, sampling, checks."""

import collections
import math

from .... import api as rl
from ....nn import functional as F
from ...ops import complete_box_iou_loss, distance_box_iou_loss, generalized_box_iou_loss
from ...ops.misc import FrozenBatchNorm2d


class BalancedPositiveNegativeSampler:
    """Draw candidates at random, with a fixed share of positive ones.

    Args:
        batch_size_per_image (int): candidates of an image.
        positive_fraction (float): share of positive ones, if there are so many.
    """

    def __init__(self, batch_size_per_image, positive_fraction):
        self.batch_size_per_image, self.positive_fraction = batch_size_per_image, positive_fraction

    def __call__(self, matched_idxs):
        """Take for each image numbers (≥ 1 positive, 0 negative, < 0 neither); return two lists of masks, uint8."""
        positives, negatives = [], []
        for numbers in matched_idxs:
            positive, negative = rl.where(numbers >= 1)[0], rl.where(numbers == 0)[0]
            wanted = min(positive.numel(), int(self.batch_size_per_image * self.positive_fraction))
            others = min(negative.numel(), self.batch_size_per_image - wanted)
            for found, places, count in ((positives, positive, wanted), (negatives, negative, others)):
                mask = rl.zeros_like(numbers, dtype=rl.uint8)
                mask[places[rl.randperm(places.numel(), device=places.device)[:count]]] = 1
                found.append(mask)
        return positives, negatives


def _centres(boxes):
    """(centres x, centres y, widths, heights), each (N,)."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return boxes[:, 0] + 0.5 * width, boxes[:, 1] + 0.5 * height, width, height


def encode_boxes(reference_boxes, proposals, weights):
    """Return (N, 4): how to move and scale `proposals` to get `reference_boxes`, times the four weights."""
    x, y, width, height = _centres(proposals)
    wanted_x, wanted_y, wanted_width, wanted_height = _centres(reference_boxes)
    return rl.stack((
        weights[0] * (wanted_x - x) / width,
        weights[1] * (wanted_y - y) / height,
        weights[2] * rl.log(wanted_width / width),
        weights[3] * rl.log(wanted_height / height),
    ), dim=1)


class BoxCoder:
    """Boxes in terms of others: movements of the centre relative to the size, and logarithms of scales.

    Args:
        weights (tuple of 4 float): factors of the four numbers.
        bbox_xform_clip (float): the largest logarithm that is decoded.
    """

    def __init__(self, weights, bbox_xform_clip=math.log(1000.0 / 16)):
        self.weights, self.bbox_xform_clip = weights, bbox_xform_clip

    def encode(self, reference_boxes, proposals):
        """Encode lists of boxes (N, 4), one an image."""
        targets = self.encode_single(rl.cat(reference_boxes, dim=0), rl.cat(proposals, dim=0))
        return targets.split([len(boxes) for boxes in reference_boxes], 0)

    def encode_single(self, reference_boxes, proposals):
        """Encode boxes (N, 4) in terms of `proposals` (N, 4)."""
        return encode_boxes(reference_boxes, proposals, self.weights)

    def decode(self, rel_codes, boxes):
        """Decode (N, 4 C) for a list of boxes, one an image, N in all: (N, C, 4)."""
        if not isinstance(boxes, (list, tuple)):
            raise AssertionError("This function expects boxes of type list or tuple.")
        if not isinstance(rel_codes, rl.Tensor):
            raise AssertionError("This function expects rel_codes of type torch.Tensor.")
        count = sum([len(item) for item in boxes])
        if not count:
            return self.decode_single(rel_codes, rl.cat(boxes, dim=0))
        return self.decode_single(rel_codes.reshape(count, -1), rl.cat(boxes, dim=0)).reshape(count, -1, 4)

    def decode_single(self, rel_codes, boxes):
        """Decode (N, 4 C) in terms of `boxes` (N, 4)."""
        x, y, width, height = [part[:, None] for part in _centres(boxes.to(rel_codes.dtype))]
        dx, dy, dw, dh = [rel_codes[:, i::4] / weight for i, weight in enumerate(self.weights)]
        x, y = dx * width + x, dy * height + y
        half_width = 0.5 * (rl.exp(rl.clamp(dw, max=self.bbox_xform_clip)) * width)
        half_height = 0.5 * (rl.exp(rl.clamp(dh, max=self.bbox_xform_clip)) * height)
        return rl.stack((x - half_width, y - half_height, x + half_width, y + half_height), dim=2).flatten(1)


class BoxLinearCoder:
    """Boxes as distances of their sides from the centres of others, relative to the size if `normalize_by_size`."""

    def __init__(self, normalize_by_size=True):
        self.normalize_by_size = normalize_by_size

    @staticmethod
    def _centre_and_size(boxes):
        x, y = 0.5 * (boxes[..., 0] + boxes[..., 2]), 0.5 * (boxes[..., 1] + boxes[..., 3])
        width, height = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
        return x, y, rl.stack((width, height, width, height), dim=-1)

    def encode(self, reference_boxes, proposals):
        """Return distances (..., 4): from the centres of `reference_boxes` to the sides of `proposals`."""
        x, y, size = self._centre_and_size(reference_boxes)
        left, top, right, bottom = proposals.unbind(-1)
        targets = rl.stack((x - left, y - top, right - x, bottom - y), dim=-1)
        return targets / size if self.normalize_by_size else targets

    def decode(self, rel_codes, boxes):
        """Return the boxes (..., 4) at these distances from the centres of `boxes`."""
        x, y, size = self._centre_and_size(boxes.to(dtype=rel_codes.dtype))
        left, top, right, bottom = (rel_codes * size if self.normalize_by_size else rel_codes).unbind(-1)
        return rl.stack((x - left, y - top, x + right, y + bottom), dim=-1)


class Matcher:
    """Match each prediction with the ground truth that it overlaps most.

    Args:
        high_threshold (float): overlap from which on they match.
        low_threshold (float): overlap below which a prediction is background; between both it is ignored.
        allow_low_quality_matches (bool): match the best predictions of a ground truth at any overlap.
    """

    BELOW_LOW_THRESHOLD = -1
    BETWEEN_THRESHOLDS = -2

    def __init__(self, high_threshold, low_threshold, allow_low_quality_matches=False):
        if low_threshold > high_threshold:
            raise AssertionError("low_threshold should be <= high_threshold")
        self.high_threshold, self.low_threshold = high_threshold, low_threshold
        self.allow_low_quality_matches = allow_low_quality_matches

    def __call__(self, match_quality_matrix):
        """Take overlaps (ground truths, predictions); return for each prediction the number of its ground truth, -1 for
        background, -2 to ignore it. ValueError if one of them is missing."""
        if match_quality_matrix.numel() == 0:
            what = "ground-truth" if match_quality_matrix.shape[0] == 0 else "proposal"
            raise ValueError(f"No {what} boxes available for one of the images during training")
        values, best = match_quality_matrix.max(dim=0)
        matches = rl.where(values < self.low_threshold, self.BELOW_LOW_THRESHOLD, best)
        between = (values >= self.low_threshold) & (values < self.high_threshold)
        matches = rl.where(between, self.BETWEEN_THRESHOLDS, matches)
        if self.allow_low_quality_matches:
            highest = match_quality_matrix.max(dim=1, keepdim=True)[0]
            matches = rl.where((match_quality_matrix == highest).any(0), best, matches)
        return matches


class SSDMatcher(Matcher):
    """Match at a threshold, and each ground truth with its best prediction."""

    def __init__(self, threshold):
        super().__init__(threshold, threshold, allow_low_quality_matches=False)

    def __call__(self, match_quality_matrix):
        matches = super().__call__(match_quality_matrix)
        best = match_quality_matrix.max(dim=1)[1]
        matches[best] = rl.arange(best.size(0), dtype=rl.int64, device=best.device)
        return matches


def overwrite_eps(model, eps):
    """Set eps of all frozen batch normalisations: published weights of old detectors were trained with 0."""
    for module in model.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.eps = eps


def retrieve_out_channels(model, size):
    """Return the channels of a backbone's results for an image of `size` (width, height)."""
    training = model.training
    model.eval()
    with rl.no_grad():
        device = next(model.parameters()).device
        features = as_features(model(rl.zeros((1, 3, size[1], size[0]), device=device)))
    if training:
        model.train()
    return [level.size(1) for level in features.values()]


def as_features(features):
    """The levels of a backbone that may return one tensor."""
    return collections.OrderedDict([("0", features)]) if isinstance(features, rl.Tensor) else features


def flattened(predictions, columns):
    """(N, A columns, H, W) → (N, H W A, columns)."""
    count, _, height, width = predictions.shape
    return predictions.reshape(count, -1, columns, height, width).permute(0, 3, 4, 1, 2).reshape(count, -1, columns)


def _box_loss(type, box_coder, anchors_per_image, matched_gt_boxes_per_image, bbox_regression_per_image, cnf=None):
    """The loss of boxes of an image, summed: "l1" or "smooth_l1" of codes, "ciou", "diou" or "giou" of boxes."""
    losses = {"ciou": complete_box_iou_loss, "diou": distance_box_iou_loss, "giou": generalized_box_iou_loss}
    if type not in ("l1", "smooth_l1", *losses):
        raise AssertionError(f"Unsupported loss: {type}")
    options = cnf or {}
    if type in losses:
        boxes = box_coder.decode_single(bbox_regression_per_image, anchors_per_image)
        return losses[type](boxes, matched_gt_boxes_per_image, reduction="sum", eps=options.get("eps", 1e-7))
    wanted = box_coder.encode_single(matched_gt_boxes_per_image, anchors_per_image)
    if type == "l1":
        return F.l1_loss(bbox_regression_per_image, wanted, reduction="sum")
    return F.smooth_l1_loss(bbox_regression_per_image, wanted, reduction="sum", beta=options.get("beta", 1.0))


# -- checks ------------------------------------------------------------------------------------------------------------


def check_targets(targets):
    """AssertionError for targets of training without boxes (N, 4)."""
    if targets is None:
        raise AssertionError("targets should not be none when in training mode")
    for target in targets:
        boxes = target["boxes"]
        if not isinstance(boxes, rl.Tensor):
            raise AssertionError(f"Expected target boxes to be of type Tensor, got {type(boxes)}.")
        if boxes.dim() != 2 or boxes.shape[-1] != 4:
            raise AssertionError(f"Expected target boxes to be a tensor of shape [N, 4], got {boxes.shape}.")


def check_degenerate(targets):
    """AssertionError for boxes of targets without width or height."""
    for i, target in enumerate(targets or ()):
        boxes = target["boxes"]
        bad = (boxes[:, 2:] <= boxes[:, :2]).any(dim=1)
        if bad.any():
            first = boxes[rl.where(bad)[0][0]].tolist()
            raise AssertionError(f"All bounding boxes should have positive height and width. Found invalid box {first} "
                                 f"for target at index {i}.")


def sizes_of(images):
    """(height, width) of each image. AssertionError for images of less than two dimensions."""
    for image in images:
        if image.dim() < 2:
            raise AssertionError("expecting the last two dimensions of the Tensor to be H and W instead got "
                                 f"{image.shape[-2:]}")
    return [tuple(image.shape[-2:]) for image in images]
