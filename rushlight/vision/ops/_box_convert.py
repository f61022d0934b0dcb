"""Formats of boxes. Each is converted to and from a centre: corners and sizes for upright boxes ("xyxy"), sizes and
angle for rotated ones ("cxcywhr")."""

import math

from ... import api as rl

UPRIGHT = ("xyxy", "xywh", "cxcywh")
ROTATED = ("xywhr", "cxcywhr", "xyxyxyxy")


def _stack(*columns):
    return rl.stack(columns, dim=-1)


def _box_cxcywh_to_xyxy(boxes):
    cx, cy, w, h = boxes.unbind(-1)
    return _stack(cx - 0.5 * w, cy - 0.5 * h, cx + 0.5 * w, cy + 0.5 * h)


def _box_xyxy_to_cxcywh(boxes):
    x1, y1, x2, y2 = boxes.unbind(-1)
    return _stack((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)


def _box_xywh_to_xyxy(boxes):
    x, y, w, h = boxes.unbind(-1)
    return _stack(x, y, x + w, y + h)


def _box_xyxy_to_xywh(boxes):
    x1, y1, x2, y2 = boxes.unbind(-1)
    return _stack(x1, y1, x2 - x1, y2 - y1)


def _turned(convert):
    """A conversion of rotated boxes: integers are computed as floats and rounded back."""
    def call(boxes):
        found = convert(boxes)
        return found if boxes.is_floating_point() else found.round().to(boxes.dtype)
    return call


def _axes(r):
    """(cos, sin) of angles in degrees, counter-clockwise where y points down."""
    radians = r * math.pi / 180.0
    return rl.cos(radians), rl.sin(radians)


@_turned
def _box_cxcywhr_to_xywhr(boxes):
    cx, cy, w, h, r = boxes.unbind(-1)
    cos, sin = _axes(r)
    return _stack(cx - w / 2 * cos - h / 2 * sin, cy - h / 2 * cos + w / 2 * sin, w, h, r)


@_turned
def _box_xywhr_to_cxcywhr(boxes):
    x1, y1, w, h, r = boxes.unbind(-1)
    cos, sin = _axes(r)
    return _stack(x1 + w / 2 * cos + h / 2 * sin, y1 - w / 2 * sin + h / 2 * cos, w, h, r)


@_turned
def _box_xywhr_to_xyxyxyxy(boxes):
    x1, y1, w, h, r = boxes.unbind(-1)
    cos, sin = _axes(r)
    x2, y2 = x1 + w * cos, y1 - w * sin
    return _stack(x1, y1, x2, y2, x2 + h * sin, y2 + h * cos, x1 + h * sin, y1 + h * cos)


@_turned
def _box_xyxyxyxy_to_xywhr(boxes):
    x1, y1, x2, y2, x3, y3, _, _ = boxes.unbind(-1)
    r = rl.atan2(y1 - y2, x2 - x1) * 180 / math.pi
    w = ((x2 - x1) ** 2 + (y1 - y2) ** 2).sqrt()
    h = ((x3 - x2) ** 2 + (y3 - y2) ** 2).sqrt()
    return _stack(x1, y1, w, h, r)


# format → functions to and from the format that others go through
THROUGH = {
    "xywh": ("xyxy", _box_xywh_to_xyxy, _box_xyxy_to_xywh),
    "cxcywh": ("xyxy", _box_cxcywh_to_xyxy, _box_xyxy_to_cxcywh),
    "cxcywhr": ("xywhr", _box_cxcywhr_to_xywhr, _box_xywhr_to_cxcywhr),
    "xyxyxyxy": ("xywhr", _box_xyxyxyxy_to_xywhr, _box_xywhr_to_xyxyxyxy),
}


def converted(boxes, in_fmt, out_fmt):
    """Boxes in another format of the same kind, upright or rotated."""
    if in_fmt in THROUGH:
        _, forth, _ = THROUGH[in_fmt]
        boxes = forth(boxes).to(boxes.dtype) if in_fmt in ROTATED else forth(boxes)
    if out_fmt in THROUGH:
        _, _, back = THROUGH[out_fmt]
        boxes = back(boxes)
    return boxes
