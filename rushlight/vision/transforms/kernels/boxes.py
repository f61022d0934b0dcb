"""Bounding boxes: from one format to another, and back inside the picture."""
import math

from ... import tv_tensors
from .... import api as rl
from ...tv_tensors import BoundingBoxFormat, is_rotated_bounding_format
from ...tv_tensors._shapes import plain
from .dispatch import is_pure_tensor

XYXY, XYWH, CXCYWH = BoundingBoxFormat.XYXY, BoundingBoxFormat.XYWH, BoundingBoxFormat.CXCYWH
XYWHR, CXCYWHR, XYXYXYXY = BoundingBoxFormat.XYWHR, BoundingBoxFormat.CXCYWHR, BoundingBoxFormat.XYXYXYXY


# -- formats ---------------------------------------------------------------------------------------------------------


def _half(sizes):
    """Half the sizes; integers are rounded down."""
    return sizes.div(2, rounding_mode=None if sizes.is_floating_point() else "floor")


def _join(*parts):
    return rl.cat(parts, -1)


def _xywh_to_xyxy(boxes):
    low, size = boxes[..., :2], boxes[..., 2:]
    return _join(low, low + size)


def _xyxy_to_xywh(boxes):
    low, high = boxes[..., :2], boxes[..., 2:]
    return _join(low, high - low)


def _xywh_to_cxcywh(boxes):
    low, size = boxes[..., :2], boxes[..., 2:]
    return _join(low + _half(size), size)


def _cxcywh_to_xyxy(boxes):
    whole = boxes if boxes.is_floating_point() else boxes.float()
    middle, size = whole[..., :2], whole[..., 2:]
    low = middle - size / 2
    return _join(low, low + size).to(boxes.dtype)


def _cxcywh_to_xywh(boxes):
    if boxes.is_floating_point():
        middle, size = boxes[..., :2], boxes[..., 2:]
        return _join(middle - size / 2, size)
    return _xyxy_to_xywh(_cxcywh_to_xyxy(boxes))


def _xyxy_to_cxcywh(boxes):
    low, size = boxes[..., :2], boxes[..., 2:] - boxes[..., :2]
    return _join(_half(low * 2 + size), size)


def _sides(boxes):
    """The vectors (x, y) along the two sides of rotated boxes (..., 5)."""
    turn = boxes[..., 4] * math.pi / 180.0
    cos, sin = turn.cos(), turn.sin()
    width, height = boxes[..., 2], boxes[..., 3]
    return (width * cos, -width * sin), (height * sin, height * cos)


def _shifted(boxes, direction):
    """Rotated boxes with their reference point moved by half a diagonal, from corner to centre or back."""
    sizes = boxes[..., 2:4]
    halved = _join(boxes[..., :2], sizes.div(-2, rounding_mode=None if sizes.is_floating_point() else "floor").abs(),
                   boxes[..., 4:])
    (wx, wy), (hx, hy) = _sides(halved)
    moved = rl.stack([boxes[..., 0] + direction * (wx + hx), boxes[..., 1] + direction * (wy + hy)], -1)
    return _join(moved, boxes[..., 2:])


def _xywhr_to_cxcywhr(boxes):
    return _shifted(boxes, 1)


def _cxcywhr_to_xywhr(boxes):
    return _shifted(boxes, -1)


def _xywhr_to_corners(boxes):
    x, y = boxes[..., 0], boxes[..., 1]
    (wx, wy), (hx, hy) = _sides(boxes)
    return rl.stack([x, y, x + wx, y + wy, x + (wx + hx), y + (wy + hy), x + hx, y + hy], -1)


def _corners_to_xywhr(boxes):
    whole = boxes if boxes.dtype in (rl.float32, rl.float64) else boxes.float()
    x1, y1, x2, y2, x3, y3 = [whole[..., i] for i in range(6)]
    turn = rl.atan2(y1 - y2, x2 - x1) / math.pi * 180.0
    width = ((x2 - x1) ** 2 + (y2 - y1) ** 2).sqrt()
    height = ((x3 - x2) ** 2 + (y3 - y2) ** 2).sqrt()
    return rl.stack([x1, y1, width, height, turn], -1).to(boxes.dtype)


# All conversions go through the middle format of their family, but for these.
_DIRECT = {(XYWH, CXCYWH): _xywh_to_cxcywh, (CXCYWH, XYWH): _cxcywh_to_xywh}
_TO_MIDDLE = {XYWH: _xywh_to_xyxy, CXCYWH: _cxcywh_to_xyxy, CXCYWHR: _cxcywhr_to_xywhr, XYXYXYXY: _corners_to_xywhr}
_FROM_MIDDLE = {XYWH: _xyxy_to_xywh, CXCYWH: _xyxy_to_cxcywh, CXCYWHR: _xywhr_to_cxcywhr, XYXYXYXY: _xywhr_to_corners}


def converted(boxes, old, new):
    """Plain boxes in another format."""
    if old == new:
        return boxes
    if is_rotated_bounding_format(old) != is_rotated_bounding_format(new):
        raise ValueError("Cannot convert between rotated and unrotated bounding boxes.")
    if (old, new) in _DIRECT:
        return _DIRECT[old, new](boxes)
    for step in (_TO_MIDDLE.get(old), _FROM_MIDDLE.get(new)):
        if step is not None:
            boxes = step(boxes)
    return boxes


def _member(format):
    return BoundingBoxFormat[format.upper()] if isinstance(format, str) else format


def convert_bounding_box_format(inpt, old_format=None, new_format=None, inplace=False):
    """Boxes in another format.

    Args:
        inpt: BoundingBoxes, or a tensor together with its `old_format`.
        new_format (BoundingBoxFormat or str): the format wanted; rotated ones from rotated ones only.
        inplace (bool): write the result into the input.
    """
    if new_format is None:
        raise TypeError("convert_bounding_box_format() missing 1 required argument: 'new_format'")
    old_format, new_format = _member(old_format), _member(new_format)
    if is_pure_tensor(inpt):
        if old_format is None:
            raise ValueError("For pure tensor inputs, `old_format` has to be passed.")
    elif not isinstance(inpt, tv_tensors.BoundingBoxes):
        raise TypeError("Input can either be a plain tensor or a bounding box tv_tensor, but got "
                        f"{type(inpt)} instead.")
    elif old_format is not None:
        raise ValueError("For bounding box tv_tensor inputs, `old_format` must not be passed.")
    else:
        old_format = inpt.format
    boxes = plain(inpt)
    result = converted(boxes, old_format, new_format)
    if inplace and result is not boxes and result.shape == boxes.shape:
        result = boxes.copy_(result)
    return result if is_pure_tensor(inpt) else tv_tensors.wrap(result, like=inpt, format=new_format)


# -- parallelograms --------------------------------------------------------------------------------------------------


def parallelogram_to_box(corners):
    """The smallest box around each parallelogram (..., 8) that shares its longer side's direction, as corners."""
    whole = corners if corners.dtype in (rl.float32, rl.float64) else corners.float()
    x1, y1, x2, y2, x3, y3, x4, y4 = whole.unbind(-1)
    middle_x, middle_y = (x1 + x3) / 2, (y1 + y3) / 2
    first = ((x2 - x1) ** 2 + (y2 - y1) ** 2).sqrt()
    second = ((x4 - x1) ** 2 + (y4 - y1) ** 2).sqrt()
    turn_first, turn_second = rl.atan2(y1 - y2, x2 - x1), rl.atan2(y1 - y4, x4 - x1)
    between = turn_first - turn_second
    sign = rl.where(between > math.pi / 2, -1, 1)
    cos, sin = between.cos(), between.sin()
    width = rl.where(first < second, first * sin, first + second * cos * sign)
    height = rl.where(first > second, second * sin, second + first * cos * sign)
    turn = rl.where(second > first, turn_second + math.pi / 2, turn_first)
    cos, sin = turn.cos(), turn.sin()
    half_width, half_height = width / 2, height / 2
    result = []
    for right, down in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        result.append(middle_x + right * half_width * cos + down * half_height * sin)
        result.append(middle_y + down * half_height * cos - right * half_width * sin)
    return rl.stack(result, -1).reshape(corners.shape).to(corners.dtype)


# -- clamping --------------------------------------------------------------------------------------------------------


def clamp_bounding_boxes(inpt, format=None, canvas_size=None, clamping_mode="auto"):
    """Cut boxes at the border of the picture.

    Args:
        inpt: BoundingBoxes, or a tensor together with all other arguments.
        clamping_mode: "soft" or "hard", which differ for rotated boxes ("hard" leaves nothing outside); None, which
            changes nothing; "auto", what the boxes say.
    """
    if clamping_mode not in (None, "soft", "hard", "auto"):
        raise ValueError(f"clamping_mode must be soft, hard, auto or None, got {clamping_mode}")
    if is_pure_tensor(inpt):
        if format is None or canvas_size is None or clamping_mode == "auto":
            raise ValueError(
                "For pure tensor inputs, `format`, `canvas_size` and `clamping_mode` have to be passed.")
        return clamped(inpt, _member(format), canvas_size, clamping_mode)
    if not isinstance(inpt, tv_tensors.BoundingBoxes):
        raise TypeError(f"Input can either be a plain tensor or a bounding box tv_tensor, but got {type(inpt)} "
                        "instead.")
    if format is not None or canvas_size is not None:
        raise ValueError("For bounding box tv_tensor inputs, `format` and `canvas_size` must not be passed.")
    mode = inpt.clamping_mode if clamping_mode == "auto" else clamping_mode
    return tv_tensors.wrap(clamped(plain(inpt), inpt.format, inpt.canvas_size, mode), like=inpt)


def clamped(boxes, format, canvas_size, mode):
    """Plain boxes cut at the border."""
    if mode is None:
        return boxes.clone()
    if is_rotated_bounding_format(format):
        corners = converted(boxes, format, XYXYXYXY).reshape(-1, 8)
        return converted(_clamp_rotated(corners, canvas_size, mode), XYXYXYXY, format).reshape(boxes.shape)
    whole = boxes if boxes.is_floating_point() else boxes.float()
    corners = converted(whole, format, XYXY)
    height, width = canvas_size
    x, y = corners[..., 0::2].clamp(0, width), corners[..., 1::2].clamp(0, height)
    corners = rl.stack([x, y], -1).reshape(corners.shape)
    return converted(corners, XYXY, format).to(boxes.dtype)


# Note [Clamping rotated boxes]
# The border on the left is dealt with, then the picture is turned by a quarter, four times. For one border the corners
# are numbered from the leftmost on (1), along the box. The sides lie on lines y = a x + b. A box that crosses the
# border moves its two left sides inwards along the border: their intercepts b, which are where the lines meet the
# border, get closer to each other, and corners follow as intersections of lines. "hard" first makes both meet the
# border in one point, so that no corner is left outside.


def _clamp_rotated(corners, canvas_size, mode):
    original = corners
    height, width = canvas_size
    for _ in range(4):
        order = _order_from_left(corners)
        original = original.gather(1, order)
        corners = _clamp_left(corners.gather(1, order), original, (height, width), mode)
        # Numbering on by the same step once more is what published results hold.
        corners, original = corners.gather(1, order), original.gather(1, order)
        corners, original = _quarter_turn(corners, width), _quarter_turn(original, width)
        height, width = width, height
    return corners


def _order_from_left(corners):
    """Where the coordinates of each box go so that its leftmost corner (of several, the topmost) is the first."""
    x, y = corners[:, 0::2], corners[:, 1::2]
    weight = y / y.abs().amax(1, keepdim=True) + x / x.abs().amax(1, keepdim=True) * 100
    start = weight.argmin(1, keepdim=True) * 2
    return (rl.arange(8, device=corners.device) + start) % 8


def _quarter_turn(corners, width):
    return rl.stack([corners[:, 1::2], width - corners[:, 0::2]], -1).reshape(-1, 8)


def _lines(corners):
    """Slope and intercept of the lines from each corner to the next."""
    x, y = corners[:, 0::2], corners[:, 1::2]
    slope = (y.roll(-1, 1) - y) / (x.roll(-1, 1) - x)
    return slope, y - slope * x


def _clamp_left(corners, original, canvas_size, mode):
    slope, _ = _lines(corners)
    intercept = _intercepts(corners, original, canvas_size, mode)
    x = -(intercept - intercept.roll(1, 1)) / (slope - slope.roll(1, 1))
    crossing = rl.stack([x, slope * x + intercept], -1).reshape(-1, 8)
    upright = corners.clone()
    upright[:, 0::6] = corners[:, 0::6].clamp(min=0)
    x1, y1, x2, y2, x3, y3, x4, y4 = corners.unbind(1)
    crosses = (x1 < 0) & ~crossing.isnan().any(-1)
    level = y1.isclose(y2) | y3.isclose(y4)
    gone = (x1 <= 0) & (x2 <= 0) & (x3 <= 0) & (x4 <= 0)
    gone = gone | y1.isclose(y4) | y2.isclose(y3) | (level & x1.isclose(x2))
    for condition, case in ((crosses, crossing), (level, upright), (gone, rl.zeros_like(corners))):
        corners = rl.where(condition.unsqueeze(1), case, corners)
    return corners


def _intercepts(corners, original, canvas_size, mode):
    height, width = canvas_size
    slope, intercept = _lines(corners)
    a1, a2, a3, a4 = slope.unbind(1)
    b1, b2, b3, b4 = intercept.unbind(1)
    m1, m2, m3, m4 = _lines(original)[1].unbind(1)
    b1 = b2.clamp(b1, b3).clamp(0, height)
    b4 = b3.clamp(b2, b4).clamp(0, height)
    if mode == "hard":
        b1 = b4 = (b1 + b4) / 2
    lower = rl.stack([b1 * a2 / a1, b3 * a2 / a3, (a1 - a2) * width + b1, (a3 - a2) * width + b3], 1)
    b2 = lower.amax(1).clamp(max=b2)
    upper = rl.stack([height * (1 - a3 / a4) + b4 * a3 / a4, height * (1 - a3 / a2) + b2 * a3 / a2,
                      (a2 - a3) * width + b2, (a4 - a3) * width + b4], 1)
    b3 = upper.amin(1).clamp(min=b3)
    return rl.stack([b1.clamp(m1, m3), b2.clamp(m2, m4), b3.clamp(m1, m3), b4.clamp(m2, m4)], 1)


# -- which boxes are left --------------------------------------------------------------------------------------------


def valid_boxes(boxes, format, canvas_size, min_size=1.0, min_area=1.0):
    """A mask of the boxes that lie in the picture and are large enough."""
    height, width = canvas_size
    rotated = is_rotated_bounding_format(format)
    corners = converted(boxes, format, XYXYXYXY if rotated else XYXY)
    x, y = corners[..., 0::2], corners[..., 1::2]
    if rotated:
        # The second side is measured between these coordinates by torchvision too.
        first = ((x[..., 0] - x[..., 1]) ** 2 + (y[..., 0] - y[..., 1]) ** 2).sqrt()
        second = ((y[..., 1] - y[..., 2]) ** 2 + (x[..., 2] - x[..., 3]) ** 2).sqrt()
    else:
        first, second = x[..., 1] - x[..., 0], y[..., 1] - y[..., 0]
    large = (first >= min_size) & (second >= min_size) & (first * second >= min_area)
    return large & (corners >= 0).all(-1) & (x <= width).all(-1) & (y <= height).all(-1)


def sanitize_bounding_boxes(bounding_boxes, format=None, canvas_size=None, min_size=1.0, min_area=1.0):
    """Remove boxes that are too small or reach out of the picture.

    Returns:
        The boxes that are left, and the mask of those.
    """
    if is_pure_tensor(bounding_boxes):
        if format is None or canvas_size is None:
            raise ValueError("format and canvas_size cannot be None if bounding_boxes is a pure tensor. Got "
                             f"format={format} and canvas_size={canvas_size}.Set those to appropriate values or pass "
                             "bounding_boxes as a tv_tensors.BoundingBoxes object.")
        valid = valid_boxes(bounding_boxes, _member(format), canvas_size, min_size, min_area)
        return bounding_boxes[valid], valid
    if not isinstance(bounding_boxes, tv_tensors.BoundingBoxes):
        raise ValueError("bounding_boxes must be a tv_tensors.BoundingBoxes instance or a pure tensor.")
    if format is not None or canvas_size is not None:
        raise ValueError("format and canvas_size must be None when bounding_boxes is a tv_tensors.BoundingBoxes "
                         f"instance. Got format={format} and canvas_size={canvas_size}. Leave those to None or pass "
                         "bounding_boxes as a pure tensor.")
    boxes = plain(bounding_boxes)
    valid = valid_boxes(boxes, bounding_boxes.format, bounding_boxes.canvas_size, min_size, min_area)
    return tv_tensors.wrap(boxes[valid], like=bounding_boxes), valid
