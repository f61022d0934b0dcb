"""Boxes and points: what the functions of geometry.py and warp.py do with positions in a picture.

Functions that move a picture as a whole change coordinates directly. The others move points; a box is four points,
and afterwards the box around them.
"""
import math

from ... import tv_tensors
from .... import api as rl
from ...tv_tensors import BoundingBoxFormat, is_rotated_bounding_format
from ...tv_tensors._shapes import plain
from . import geometry, warp
from .boxes import CXCYWH, CXCYWHR, XYWH, XYWHR, XYXY, XYXYXYXY, clamped, converted, parallelogram_to_box
from .dispatch import is_pure_tensor, kernel

_CORNERS = [[0, 1], [2, 1], [2, 3], [0, 3]]


def _boxes(functional):
    return kernel(functional, tv_tensors.BoundingBoxes)


def _points(functional):
    return kernel(functional, tv_tensors.KeyPoints)


# -- flips -----------------------------------------------------------------------------------------------------------


def _columns(boxes):
    return list(boxes.unbind(-1))


def _flip_boxes(boxes, format, extent, axis):
    """Mirror boxes at the middle of a picture of `extent` pixels along an axis: 0 for x, 1 for y."""
    parts = _columns(boxes)
    if format == XYXY:
        parts[axis], parts[axis + 2] = extent - parts[axis + 2], extent - parts[axis]
    elif format == XYWH:
        parts[axis] = extent - (parts[axis] + parts[axis + 2])
    elif format == XYXYXYXY:
        parts[axis::2] = [extent - part for part in parts[axis::2]]
        parts = [parts[i] for i in (2, 3, 0, 1, 6, 7, 4, 5)]
    elif format == CXCYWH:
        parts[axis] = extent - parts[axis]
    else:
        if format == XYWHR:
            # The corner that is the reference afterwards was at the other end of the first side.
            turn = parts[4] * math.pi / 180
            parts[0] = parts[0] + parts[2] * turn.cos()
            parts[1] = parts[1] - parts[2] * turn.sin()
        parts[axis] = extent - parts[axis]
        parts[4] = -parts[4] + 180 * axis
    return rl.stack(parts, -1)


@_boxes(geometry.horizontal_flip)
def horizontal_flip_bounding_boxes(bounding_boxes, format, canvas_size):
    return _flip_boxes(bounding_boxes, format, canvas_size[1], 0)


@_boxes(geometry.vertical_flip)
def vertical_flip_bounding_boxes(bounding_boxes, format, canvas_size):
    return _flip_boxes(bounding_boxes, format, canvas_size[0], 1)


@_points(geometry.horizontal_flip)
def horizontal_flip_keypoints(keypoints, canvas_size):
    x, y = _columns(keypoints)
    return rl.stack([canvas_size[1] - 1 - x, y], -1)


@_points(geometry.vertical_flip)
def vertical_flip_keypoints(keypoints, canvas_size):
    x, y = _columns(keypoints)
    return rl.stack([x, canvas_size[0] - 1 - y], -1)


# -- resizing --------------------------------------------------------------------------------------------------------


def _ratios(canvas_size, new_size, like, repeats):
    height, width = canvas_size
    return rl.tensor([new_size[1] / width, new_size[0] / height] * repeats, device=like.device)


@_boxes(geometry.resize)
def resize_bounding_boxes(bounding_boxes, canvas_size, size, max_size=None, format=BoundingBoxFormat.XYXY,
                          clamping_mode="soft"):
    new_size = tuple(geometry.resized_size(canvas_size, size, max_size))
    if new_size == tuple(canvas_size):
        return bounding_boxes, canvas_size
    if not is_rotated_bounding_format(format):
        return (bounding_boxes * _ratios(canvas_size, new_size, bounding_boxes, 2)).to(bounding_boxes.dtype), new_size
    corners = converted(bounding_boxes, format, XYXYXYXY).reshape(-1, 8)
    corners = parallelogram_to_box(corners * _ratios(canvas_size, new_size, bounding_boxes, 4))
    corners = clamped(corners, XYXYXYXY, new_size, clamping_mode)
    return converted(corners, XYXYXYXY, format).to(bounding_boxes.dtype).reshape(bounding_boxes.shape), new_size


@_points(geometry.resize)
def resize_keypoints(keypoints, size, canvas_size, max_size=None):
    new_size = tuple(geometry.resized_size(canvas_size, size, max_size))
    if new_size == tuple(canvas_size):
        return keypoints, canvas_size
    return (keypoints * _ratios(canvas_size, new_size, keypoints, 1)).to(keypoints.dtype), new_size


# -- padding and crops -----------------------------------------------------------------------------------------------


def _moved(boxes, format, x, y):
    """Boxes moved by x pixels to the right and y down."""
    by = {XYXY: [x, y, x, y], XYXYXYXY: [x, y] * 4, XYWHR: [x, y, 0, 0, 0], CXCYWHR: [x, y, 0, 0, 0]}
    return boxes + rl.tensor(by.get(format, [x, y, 0, 0]), dtype=boxes.dtype, device=boxes.device)


@_boxes(geometry.pad)
def pad_bounding_boxes(bounding_boxes, format, canvas_size, padding, padding_mode="constant", clamping_mode="soft"):
    if padding_mode != "constant":
        raise ValueError(f"Padding mode '{padding_mode}' is not supported with bounding boxes")
    left, right, top, bottom = geometry.parse_padding(padding)
    new_size = (canvas_size[0] + top + bottom, canvas_size[1] + left + right)
    return clamped(_moved(bounding_boxes, format, left, top), format, new_size, clamping_mode), new_size


@_points(geometry.pad)
def pad_keypoints(keypoints, canvas_size, padding, padding_mode="constant"):
    if padding_mode != "constant":
        raise ValueError(
            f"Padding mode '{padding_mode}' is not supported with KeyPoints (supported modes are constant)")
    left, right, top, bottom = geometry.parse_padding(padding)
    new_size = (canvas_size[0] + top + bottom, canvas_size[1] + left + right)
    return keypoints + rl.tensor([left, top], dtype=keypoints.dtype, device=keypoints.device), new_size


@_boxes(geometry.crop)
def crop_bounding_boxes(bounding_boxes, format, top, left, height, width, clamping_mode="soft"):
    boxes = _moved(bounding_boxes, format, -left, -top)
    if format == XYXYXYXY:
        boxes = parallelogram_to_box(boxes)
    return clamped(boxes, format, (height, width), clamping_mode), (height, width)


@_points(geometry.crop)
def crop_keypoints(keypoints, top, left, height, width):
    return keypoints - rl.tensor([left, top], dtype=keypoints.dtype, device=keypoints.device), (height, width)


@_boxes(geometry.center_crop)
def center_crop_bounding_boxes(bounding_boxes, format, canvas_size, output_size, clamping_mode="soft"):
    size = geometry.pair(output_size)
    return crop_bounding_boxes(bounding_boxes, format, *geometry.centre(*size, *canvas_size), *size, clamping_mode)


@_points(geometry.center_crop)
def center_crop_keypoints(inpt, canvas_size, output_size):
    size = geometry.pair(output_size)
    return crop_keypoints(inpt, *geometry.centre(*size, *canvas_size), *size)


@_boxes(geometry.resized_crop)
def resized_crop_bounding_boxes(bounding_boxes, format, top, left, height, width, size, clamping_mode="soft"):
    boxes, canvas_size = crop_bounding_boxes(bounding_boxes, format, top, left, height, width, clamping_mode)
    return resize_bounding_boxes(boxes, canvas_size, size, format=format, clamping_mode=clamping_mode)


@_points(geometry.resized_crop)
def resized_crop_keypoints(keypoints, top, left, height, width, size):
    points, canvas_size = crop_keypoints(keypoints, top, left, height, width)
    return resize_keypoints(points, size, canvas_size)


# -- moved points ----------------------------------------------------------------------------------------------------


def _through_points(boxes, format, canvas_size, clamping_mode, move):
    """Boxes whose corners (N, 2) are moved by a function; `canvas_size` is that of the result."""
    whole = boxes if boxes.is_floating_point() else boxes.float()
    rotated = is_rotated_bounding_format(format)
    middle = XYXYXYXY if rotated else XYXY
    corners = converted(whole, format, middle).reshape(-1, 8 if rotated else 4)
    points = move((corners if rotated else corners[:, _CORNERS]).reshape(-1, 2))
    if rotated:
        corners = parallelogram_to_box(points.reshape(-1, 8))
    else:
        points = points.reshape(-1, 4, 2)
        corners = rl.cat([points.amin(1), points.amax(1)], 1)
    corners = clamped(corners, middle, canvas_size, clamping_mode)
    return converted(corners, middle, format).reshape(boxes.shape).to(boxes.dtype)


def _move_points(keypoints, move):
    whole = keypoints if keypoints.is_floating_point() else keypoints.float()
    return move(whole.reshape(-1, 2)).to(keypoints.dtype).reshape(keypoints.shape)


def _affine_move(canvas_size, angle, translate, scale, shear, center, expand=False):
    """A function that moves points (N, 2) as `affine` moves pixels, and the size of the picture afterwards."""
    angle, translate, shear, center = warp.parse_affine(angle, translate, scale, shear, center)
    height, width = canvas_size
    center = [width * 0.5, height * 0.5] if center is None else center
    a, b, c, d, e, f = warp.affine_matrix(center, angle, translate, scale, shear, inverted=False)
    low_x = low_y = 0.0
    if expand:
        border = [(x, y) for x in (0.0, float(width)) for y in (0.0, float(height))]
        low_x = min([a * x + b * y + c for x, y in border])
        low_y = min([d * x + e * y + f for x, y in border])
        matrix = warp.affine_matrix(center, angle, translate, scale, shear)
        width, height = warp.expanded_size(matrix, width, height)

    def move(points):
        x, y = _columns(points)
        return rl.stack([x * a + y * b + c - low_x, x * d + y * e + f - low_y], -1)
    return move, (height, width)


@_boxes(warp.affine)
def affine_bounding_boxes(bounding_boxes, format, canvas_size, angle, translate, scale, shear, center=None,
                          clamping_mode="soft"):
    if bounding_boxes.numel() == 0:
        return bounding_boxes
    move, canvas_size = _affine_move(canvas_size, angle, translate, scale, shear, center)
    return _through_points(bounding_boxes, format, canvas_size, clamping_mode, move)


@_points(warp.affine)
def affine_keypoints(keypoints, canvas_size, angle, translate, scale, shear, center=None):
    move, canvas_size = _affine_move(canvas_size, angle, translate, scale, shear, center)
    return (_move_points(keypoints, move) if keypoints.numel() else keypoints), canvas_size


@_boxes(warp.rotate)
def rotate_bounding_boxes(bounding_boxes, format, canvas_size, angle, expand=False, center=None, clamping_mode="soft"):
    if bounding_boxes.numel() == 0:
        return bounding_boxes, canvas_size
    move, canvas_size = _affine_move(canvas_size, -angle, [0.0, 0.0], 1.0, [0.0, 0.0], center, expand)
    return _through_points(bounding_boxes, format, canvas_size, clamping_mode, move), canvas_size


@_points(warp.rotate)
def rotate_keypoints(keypoints, canvas_size, angle, expand=False, center=None):
    if keypoints.numel() == 0:
        return keypoints, canvas_size
    move, canvas_size = _affine_move(canvas_size, -angle, [0.0, 0.0], 1.0, [0.0, 0.0], center, expand)
    return _move_points(keypoints, move), canvas_size


def _perspective_move(startpoints, endpoints, coefficients, what):
    """A function that moves points (N, 2) by the inverse of the map that pixels are fetched with."""
    a, b, c, d, e, f, g, h = warp.chosen_coefficients(startpoints, endpoints, coefficients)
    scale = a * e - b * d
    if scale == 0:
        raise RuntimeError(f"Provided perspective_coeffs {[a, b, c, d, e, f, g, h]} can not be inverted to transform "
                           f"{what}. Denominator is zero, denom={scale}")
    rows = [(e - f * h, -b + c * h, b * f - c * e), (-d + f * g, a - c * g, -a * f + c * d),
            (-e * g + d * h, -a * h + b * g, scale)]
    rows = [[number / scale for number in row] for row in rows]

    def move(points):
        x, y = _columns(points)
        right, down, by = [x * p + y * q + r for p, q, r in rows]
        return rl.stack([right / by, down / by], -1)
    return move


@_boxes(warp.perspective)
def perspective_bounding_boxes(bounding_boxes, format, canvas_size, startpoints, endpoints, coefficients=None,
                               clamping_mode="soft"):
    if bounding_boxes.numel() == 0:
        return bounding_boxes
    move = _perspective_move(startpoints, endpoints, coefficients, "bounding boxes")
    return _through_points(bounding_boxes, format, canvas_size, clamping_mode, move)


@_points(warp.perspective)
def perspective_keypoints(keypoints, canvas_size, startpoints, endpoints, coefficients=None):
    if keypoints.numel() == 0:
        return keypoints
    return _move_points(keypoints, _perspective_move(startpoints, endpoints, coefficients, "keypoints"))


def _elastic_move(displacement, canvas_size, like, rounding):
    """A function that moves points (N, 2) against the displacement of the pixel they are in."""
    dtype = like.dtype if like.is_floating_point() else rl.float32
    height, width = canvas_size
    grid = warp.identity_grid(canvas_size, like.device, dtype) - displacement.to(dtype=dtype, device=like.device)

    def move(points):
        x, y = _columns(rounding(points).to(rl.int64))
        moved = grid[0, y.clamp(0, height - 1), x.clamp(0, width - 1)] + 1
        return moved * rl.tensor([0.5 * width, 0.5 * height], dtype=dtype, device=like.device) - 0.5
    return move


@_boxes(warp.elastic)
def elastic_bounding_boxes(bounding_boxes, format, canvas_size, displacement, clamping_mode="soft"):
    warp.check_displacement(displacement, tuple(canvas_size))
    if bounding_boxes.numel() == 0:
        return bounding_boxes
    move = _elastic_move(displacement, canvas_size, bounding_boxes, lambda points: points.ceil())
    if not is_rotated_bounding_format(format):
        return _through_points(bounding_boxes, format, canvas_size, clamping_mode, move)
    boxes = converted(bounding_boxes, format, CXCYWHR).reshape(-1, 5)
    boxes = rl.cat([move(boxes[:, :2]), boxes[:, 2:]], 1).to(boxes.dtype)
    boxes = clamped(boxes, CXCYWHR, canvas_size, clamping_mode)
    return converted(boxes, CXCYWHR, format).reshape(bounding_boxes.shape)


@_points(warp.elastic)
def elastic_keypoints(keypoints, canvas_size, displacement):
    warp.check_displacement(displacement, tuple(canvas_size))
    if keypoints.numel() == 0:
        return keypoints
    return _move_points(keypoints, _elastic_move(displacement, canvas_size, keypoints, lambda points: points))


# -- points at the border --------------------------------------------------------------------------------------------


def clamp_keypoints(inpt, canvas_size=None):
    """Move points from outside to the border: KeyPoints, or a tensor together with the size of its picture."""
    if is_pure_tensor(inpt):
        if canvas_size is None:
            raise ValueError("For pure tensor inputs, `canvas_size` has to be passed.")
    elif not isinstance(inpt, tv_tensors.KeyPoints):
        raise TypeError(f"Input can either be a plain tensor or a keypoints tv_tensor, but got {type(inpt)} instead.")
    elif canvas_size is not None:
        raise ValueError("For keypoints tv_tensor inputs, `canvas_size` must not be passed.")
    height, width = inpt.canvas_size if canvas_size is None else canvas_size
    x, y = _columns(plain(inpt))
    result = rl.stack([x.clamp(0, width - 1), y.clamp(0, height - 1)], -1)
    return result if is_pure_tensor(inpt) else tv_tensors.wrap(result, like=inpt)


def valid_keypoints(key_points, canvas_size):
    """A mask of the entries of (N, ..., 2) all of whose points lie in the picture."""
    height, width = canvas_size
    x, y = _columns(key_points)
    valid = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return valid.flatten(1).all(1) if valid.ndim > 1 else valid


def sanitize_keypoints(key_points, canvas_size=None):
    """Remove entries with points outside the picture. Returns those that are left, and the mask of those."""
    if is_pure_tensor(key_points):
        if canvas_size is None:
            raise ValueError("canvas_size cannot be None if key_points is a pure tensor. Set it to an appropriate "
                             "value or pass key_points as a tv_tensors.KeyPoints object.")
        valid = valid_keypoints(key_points, canvas_size)
        return key_points[valid], valid
    if not isinstance(key_points, tv_tensors.KeyPoints):
        raise ValueError("key_points must be a tv_tensors.KeyPoints instance or a pure tensor.")
    if canvas_size is not None:
        raise ValueError("canvas_size must be None when key_points is a tv_tensors.KeyPoints instance. Got "
                         f"canvas_size={canvas_size}. Leave it to None or pass key_points as a pure tensor.")
    points = plain(key_points)
    valid = valid_keypoints(points, key_points.canvas_size)
    return tv_tensors.wrap(points[valid], like=key_points), valid
