"""Boxes: areas, overlaps, conversions, suppression of those that overlap better ones."""

import math

from ... import api as rl
from ...ops.media.regions import suppress
from ._box_convert import ROTATED, UPRIGHT, converted
from ._utils import _upcast
from .rotated import rotated_iou

VANILLA = 4000  # numbers of boxes from which on suppression runs class by class


def nms(boxes, scores, iou_threshold):
    """Suppress boxes that overlap a box with a higher score.

    Args:
        boxes (Tensor): (N, 4), left, top, right, bottom.
        scores (Tensor): (N,).
        iou_threshold (float): boxes overlap if their intersection over union is larger.

    Returns:
        Tensor: int64, the positions of the boxes that are kept, the highest score first.

    Raises:
        RuntimeError: shapes or dtypes do not fit.

    Example:
        >>> boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]])
        >>> torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5)
        tensor([0, 2])
    """
    if boxes.dim() != 2:
        raise RuntimeError(f"boxes should be a 2d tensor, got {boxes.dim()}D")
    if boxes.size(1) != 4:
        raise RuntimeError(f"boxes should have 4 elements in dimension 1, got {boxes.size(1)}")
    if scores.dim() != 1:
        raise RuntimeError(f"scores should be a 1d tensor, got {scores.dim()}D")
    if boxes.size(0) != scores.size(0):
        raise RuntimeError("boxes and scores should have same number of elements in dimension 0, got "
                           f"{boxes.size(0)} and {scores.size(0)}")
    if boxes.dtype is not scores.dtype:
        raise RuntimeError(f"dets should have the same type as scores, got {boxes.dtype} and {scores.dtype}")
    return suppress(boxes, scores, iou_threshold)


def batched_nms(boxes, scores, idxs, iou_threshold):
    """`nms` among boxes of equal numbers `idxs` (N,), such as classes; other arguments and result as of `nms`."""
    if boxes.numel() > VANILLA:
        return _batched_nms_vanilla(boxes, scores, idxs, iou_threshold)
    return _batched_nms_coordinate_trick(boxes, scores, idxs, iou_threshold)


def _batched_nms_coordinate_trick(boxes, scores, idxs, iou_threshold):
    """Move the boxes of each class apart from those of all others."""
    if boxes.numel() == 0:
        return rl.empty((0,), dtype=rl.int64, device=boxes.device)
    offsets = idxs.to(boxes) * (boxes.max() + 1)
    return nms(boxes + offsets[:, None], scores, iou_threshold)


def _batched_nms_vanilla(boxes, scores, idxs, iou_threshold):
    """Run `nms` class by class: cheaper for many boxes, whose number counts in square."""
    keep = rl.zeros_like(scores, dtype=rl.bool)
    for label in rl.unique(idxs):
        places = rl.where(idxs == label)[0]
        keep[places[nms(boxes[places], scores[places], iou_threshold)]] = True
    kept = rl.where(keep)[0]
    return kept[scores[kept].sort(descending=True)[1]]


def remove_small_boxes(boxes, min_size):
    """Return the positions of boxes (N, 4) whose sides are not smaller than `min_size`."""
    width, height = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    return rl.where((width >= min_size) & (height >= min_size))[0]


def clip_boxes_to_image(boxes, size):
    """Return boxes (..., 4) clipped to an image of `size` (height, width)."""
    height, width = size
    x = boxes[..., 0::2].clamp(min=0, max=width)
    y = boxes[..., 1::2].clamp(min=0, max=height)
    return rl.stack((x, y), dim=boxes.dim()).reshape(boxes.shape)


def box_convert(boxes, in_fmt, out_fmt):
    """Convert boxes to another format.

    Args:
        boxes (Tensor): (..., K).
        in_fmt, out_fmt (str): "xyxy" (left, top, right, bottom), "xywh" (left, top, sizes), "cxcywh" (centre, sizes);
            or, rotated by r degrees counter-clockwise, "xywhr" (first corner), "cxcywhr" (centre), "xyxyxyxy"
            (corners).

    Returns:
        Tensor: (..., K'), boxes in the format `out_fmt`; a copy if the formats are equal.

    Raises:
        ValueError: a format is not one of these.
        NotImplementedError: only one of the formats is for rotated boxes.

    Example:
        >>> torchvision.ops.box_convert(torch.tensor([[0.0, 0, 10, 20]]), "xyxy", "cxcywh")
        tensor([[ 5., 10., 10., 20.]])
    """
    known = UPRIGHT + ROTATED
    if in_fmt not in known or out_fmt not in known:
        raise ValueError(f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and out_fmt {out_fmt}")
    if in_fmt == out_fmt:
        return boxes.clone()
    if (in_fmt in UPRIGHT) != (out_fmt in UPRIGHT):
        raise NotImplementedError(
            f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and out_fmt {out_fmt}")
    return converted(boxes, in_fmt, out_fmt)


def box_area(boxes, fmt="xyxy"):
    """Return the areas (...) of upright boxes (..., 4) in the format `fmt`. ValueError for other formats."""
    if fmt not in UPRIGHT:
        raise ValueError(f"Unsupported Bounding Box area for given format {fmt}")
    boxes = _upcast(boxes)
    if fmt == "xyxy":
        return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    return boxes[..., 2] * boxes[..., 3]


def _corners(boxes, fmt):
    """(first corners, second corners), each (..., 2)."""
    if fmt == "xyxy":
        return boxes[..., :2], boxes[..., 2:]
    if fmt == "xywh":
        return boxes[..., :2], boxes[..., :2] + boxes[..., 2:]
    return boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2


def _spanned(boxes1, boxes2, fmt, first, second):
    """(widths, heights) (..., N, M) between `first` of the first and `second` of the second corners; 0 at least."""
    (lows1, highs1), (lows2, highs2) = _corners(boxes1, fmt), _corners(boxes2, fmt)
    low = first(lows1[..., None, :], lows2[..., None, :, :])
    high = second(highs1[..., None, :], highs2[..., None, :, :])
    return _upcast(high - low).clamp(min=0).unbind(-1)


def _box_inter_union(boxes1, boxes2, fmt="xyxy"):
    """(intersections, unions), each (..., N, M)."""
    area1, area2 = box_area(boxes1, fmt=fmt), box_area(boxes2, fmt=fmt)
    width, height = _spanned(boxes1, boxes2, fmt, rl.max, rl.min)
    shared = width * height
    return shared, area1[..., None] + area2[..., None, :] - shared


def box_iou(boxes1, boxes2, fmt="xyxy"):
    """Return intersections over unions (..., N, M) of boxes (..., N, K) and (..., M, K) in the format `fmt` (see
    `box_convert`), also of rotated boxes. ValueError for unknown formats.

    Example:
        >>> torchvision.ops.box_iou(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[1.0, 0, 3, 2]]))
        tensor([[0.3333]])
    """
    if fmt in UPRIGHT:
        shared, union = _box_inter_union(boxes1, boxes2, fmt=fmt)
        return shared / union
    if fmt not in ROTATED:
        raise ValueError(f"Unsupported format '{fmt}'. Supported axis-aligned formats: {UPRIGHT}. Supported rotated "
                         "formats: ('cxcywhr', 'xywhr', 'xyxyxyxy').")
    if fmt != "xyxyxyxy":
        boxes1, boxes2 = [box_convert(boxes, fmt, "xyxyxyxy") for boxes in (boxes1, boxes2)]
    return rotated_iou(boxes1, boxes2)


def _hull(boxes1, boxes2):
    """(widths, heights) of the smallest boxes around each pair."""
    return _spanned(boxes1, boxes2, "xyxy", rl.min, rl.max)


def generalized_box_iou(boxes1, boxes2):
    """Return generalised intersections over unions (Rezatofighi et al. 2019, arXiv:1902.09630): minus the part of the
    smallest box around both that neither covers. Boxes (..., N, 4) and (..., M, 4) → (..., N, M)."""
    shared, union = _box_inter_union(boxes1, boxes2)
    width, height = _hull(boxes1, boxes2)
    hull = width * height
    return shared / union - (hull - union) / hull


def _box_diou_iou(boxes1, boxes2, eps=1e-7):
    iou = box_iou(boxes1, boxes2)
    width, height = _hull(boxes1, boxes2)
    diagonal = width**2 + height**2 + eps
    distance = 0
    for d in range(2):
        centre1, centre2 = [(boxes[..., d] + boxes[..., d + 2]) / 2 for boxes in (boxes1, boxes2)]
        distance = distance + _upcast(centre1[..., None] - centre2[..., None, :]) ** 2
    return iou - distance / diagonal, iou


def distance_box_iou(boxes1, boxes2, eps=1e-7):
    """Return intersections over unions minus the squared distance of the centres, relative to the diagonal of the
    smallest box around both (Zheng et al. 2019, arXiv:1911.08287). Shapes as of `generalized_box_iou`."""
    return _box_diou_iou(_upcast(boxes1), _upcast(boxes2), eps)[0]


def complete_box_iou(boxes1, boxes2, eps=1e-7):
    """Return `distance_box_iou` minus a measure of how much aspect ratios differ (same paper). Shapes as of
    `generalized_box_iou`."""
    boxes1, boxes2 = _upcast(boxes1), _upcast(boxes2)
    diou, iou = _box_diou_iou(boxes1, boxes2, eps)
    aspect1, aspect2 = [rl.atan((b[..., 2] - b[..., 0]) / (b[..., 3] - b[..., 1])) for b in (boxes1, boxes2)]
    v = 4 / math.pi**2 * (aspect1[..., None] - aspect2[..., None, :]) ** 2
    with rl.no_grad():
        alpha = v / (1 - iou + v + eps)
    return diou - alpha * v


def masks_to_boxes(masks):
    """Return the boxes (N, 4) around the non-zero pixels of masks (N, H, W), in float32; zeros for empty masks.

    Example:
        >>> mask = torch.zeros(1, 5, 5)
        >>> mask[0, 1:3, 2:5] = 1
        >>> torchvision.ops.masks_to_boxes(mask)
        tensor([[2., 1., 4., 2.]])
    """
    if masks.numel() == 0:
        return rl.zeros((0, 4), device=masks.device, dtype=rl.float)
    masks = masks != 0
    ends = []
    for line in (masks.any(dim=1), masks.any(dim=2)):  # columns, rows
        places = rl.arange(line.shape[1], device=masks.device)
        low = rl.where(line, places, line.shape[1]).amin(1)
        high = rl.where(line, places, -1).amax(1)
        ends.append((low, high))
    (left, right), (top, bottom) = ends
    boxes = rl.stack([left, top, right, bottom], dim=1).float()
    return rl.where((right < 0)[:, None], 0.0, boxes)
