"""Losses of pairs of boxes: 1 minus generalised, distance and complete intersection over union."""

import math

from ... import api as rl
from ._utils import _upcast_non_float, reduced


def _columns(boxes):
    return _upcast_non_float(boxes).unbind(dim=-1)


def _loss_inter_union(first, second):
    """(intersections, unions) of boxes in columns."""
    x1, y1, x2, y2 = first
    x1g, y1g, x2g, y2g = second
    width = rl.min(x2, x2g) - rl.max(x1, x1g)
    height = rl.min(y2, y2g) - rl.max(y1, y1g)
    overlap = (width > 0) & (height > 0)
    shared = rl.where(overlap, rl.where(overlap, width, 0.0) * rl.where(overlap, height, 0.0), 0.0)
    return shared, (x2 - x1) * (y2 - y1) + (x2g - x1g) * (y2g - y1g) - shared


def _hull(first, second):
    """(width, height) of the smallest boxes around each pair."""
    width = rl.max(first[2], second[2]) - rl.min(first[0], second[0])
    height = rl.max(first[3], second[3]) - rl.min(first[1], second[1])
    return width, height


def generalized_box_iou_loss(boxes1, boxes2, reduction="none", eps=1e-7):
    """Return 1 minus the generalised intersection over union (arXiv:1902.09630) of each two boxes.

    Args:
        boxes1, boxes2 (Tensor): (N, 4) or (4,), left, top, right, bottom.
        reduction (str): "none", "mean" or "sum".
        eps (float): added to denominators.

    Raises:
        ValueError: unknown reduction.
    """
    first, second = _columns(boxes1), _columns(boxes2)
    shared, union = _loss_inter_union(first, second)
    width, height = _hull(first, second)
    hull = width * height
    loss = 1 - (shared / (union + eps) - (hull - union) / (hull + eps))
    return reduced(loss, reduction, empty_mean=True)


def _diou_iou_loss(first, second, eps=1e-7):
    """(1 - distance intersection over union, intersection over union)."""
    shared, union = _loss_inter_union(first, second)
    iou = shared / (union + eps)
    width, height = _hull(first, second)
    across = ((first[2] + first[0]) / 2 - (second[0] + second[2]) / 2) ** 2
    down = ((first[3] + first[1]) / 2 - (second[1] + second[3]) / 2) ** 2
    return 1 - iou + (across + down) / (width**2 + height**2 + eps), iou


def distance_box_iou_loss(boxes1, boxes2, reduction="none", eps=1e-7):
    """Return 1 minus the distance intersection over union (arXiv:1911.08287) of each two boxes; arguments as of
    `generalized_box_iou_loss`."""
    loss, _ = _diou_iou_loss(_columns(boxes1), _columns(boxes2), eps)
    return reduced(loss, reduction, empty_mean=True)


def complete_box_iou_loss(boxes1, boxes2, reduction="none", eps=1e-7):
    """Return 1 minus the complete intersection over union (arXiv:1911.08287) of each two boxes; arguments as of
    `generalized_box_iou_loss`."""
    first, second = _columns(boxes1), _columns(boxes2)
    loss, iou = _diou_iou_loss(first, second)
    aspect1, aspect2 = [rl.atan((b[2] - b[0]) / (b[3] - b[1])) for b in (first, second)]
    v = 4 / math.pi**2 * (aspect2 - aspect1) ** 2
    with rl.no_grad():
        alpha = v / (1 - iou + v + eps)
    return reduced(loss + alpha * v, reduction, empty_mean=True)
