"""Functions that fetch each pixel from another place: affine maps, rotations, perspective and elastic transforms.

Each computes a grid of places in [-1, 1] (the picture's borders) and samples the image there.
"""
import math
import numbers

import numpy as np

from ... import tv_tensors
from .... import api as rl
from ....nn import functional as nnf
from .. import _pil, conversion
from ..interpolation import PILLOW_MODES, InterpolationMode, mode_of
from .dispatch import PICTURE, dispatched, for_masks, for_videos, kernel

BILINEAR, NEAREST = InterpolationMode.BILINEAR, InterpolationMode.NEAREST
IMAGES = (rl.Tensor, tv_tensors.Image)


# -- matrices --------------------------------------------------------------------------------------------------------


def affine_matrix(center, angle, translate, scale, shear, inverted=True):
    """The six numbers of T C R S Sh C^-1: turn by degrees, scale and shear about `center`, then translate. `inverted`
    gives the map from the result's pixels to the input's."""
    turn, shear_x, shear_y = math.radians(angle), math.radians(shear[0]), math.radians(shear[1])
    center_x, center_y = center
    moved_x, moved_y = center_x + translate[0], center_y + translate[1]
    a = math.cos(turn - shear_y) / math.cos(shear_y)
    b = -(a * math.tan(shear_x) + math.sin(turn))
    c = math.sin(turn - shear_y) / math.cos(shear_y)
    d = math.cos(turn) - c * math.tan(shear_x)
    if inverted:
        a, b, c, d = d / scale, -b / scale, -c / scale, a / scale
        return [a, b, center_x - a * moved_x - b * moved_y, c, d, center_y - c * moved_x - d * moved_y]
    a, b, c, d = [number * scale for number in (a, b, c, d)]
    return [a, b, moved_x - a * center_x - b * center_y, c, d, moved_y - c * center_x - d * center_y]


def parse_affine(angle, translate, scale, shear, center=None):
    """The checked arguments of an affine map: (angle, translate, shear, center)."""
    if not isinstance(angle, (int, float)):
        raise TypeError("Argument angle should be int or float")
    if not isinstance(translate, (list, tuple)):
        raise TypeError("Argument translate should be a sequence")
    if len(translate) != 2:
        raise ValueError("Argument translate should be a sequence of length 2")
    if scale <= 0.0:
        raise ValueError("Argument scale should be positive")
    if not isinstance(shear, (numbers.Number, list, tuple)):
        raise TypeError("Shear should be either a single value or a sequence of two values")
    shear = [shear, 0.0] if isinstance(shear, numbers.Number) else list(shear) * (2 if len(shear) == 1 else 1)
    if len(shear) != 2:
        raise ValueError(f"Shear should be a sequence containing two values. Got {shear}")
    if center is not None:
        if not isinstance(center, (list, tuple)):
            raise TypeError("Argument center should be a sequence")
        center = [float(value) for value in center]
    return float(angle), list(translate), shear, center


def expanded_size(matrix, width, height):
    """The width and height that hold all of a picture moved by the inverse of a matrix about its centre.

    In single precision, with a tolerance that forgives its rounding: published sizes depend on both.
    """
    half = np.array([0.5 * width, 0.5 * height], np.float32)
    corners = np.array([[x, y, 1.0] for x in (-1, 1) for y in (-1, 1)], np.float32)
    corners[:, :2] *= half
    places = corners @ np.array(matrix, np.float32).reshape(2, 3).T
    tolerance = np.float32(1e-4)
    scaled = [np.trunc((extreme + half) * np.float32(1 / 1e-4)) * tolerance
              for extreme in (places.min(0), places.max(0))]
    size = np.ceil(scaled[1]) - np.floor(scaled[0])
    return int(size[0]), int(size[1])


def perspective_coefficients(startpoints, endpoints):
    """The eight numbers of the map that takes `endpoints` to `startpoints`, four corners each."""
    if len(startpoints) != 4 or len(endpoints) != 4:
        raise ValueError(f"Please provide exactly four corners, got {len(startpoints)} startpoints and "
                         f"{len(endpoints)} endpoints.")
    rows = []
    for (x, y), (to_x, to_y) in zip(endpoints, startpoints):
        rows.append([x, y, 1, 0, 0, 0, -to_x * x, -to_x * y])
        rows.append([0, 0, 0, x, y, 1, -to_y * x, -to_y * y])
    solution = np.linalg.lstsq(np.array(rows, np.float64), np.array(startpoints, np.float64).reshape(8), rcond=None)[0]
    return [float(number) for number in solution.astype(np.float32)]


def chosen_coefficients(startpoints, endpoints, coefficients):
    """The coefficients given, or those of the corners given. ValueError for both and for neither."""
    if coefficients is None:
        if startpoints is None or endpoints is None:
            raise ValueError("Either the startpoints/endpoints or the coefficients must have non `None` values.")
        return perspective_coefficients(startpoints, endpoints)
    if startpoints is not None and endpoints is not None:
        raise ValueError("The startpoints/endpoints and the coefficients shouldn't be defined concurrently.")
    if len(coefficients) != 8:
        raise ValueError("Argument coefficients should have 8 float values")
    return coefficients


# -- grids -----------------------------------------------------------------------------------------------------------


def _grid_dtype(image):
    return image.dtype if image.is_floating_point() else rl.float32


def _affine_grid(matrix, image, width, height):
    """Where the pixels of a result of a size come from; both pictures are centred at 0."""
    options = {"dtype": _grid_dtype(image), "device": image.device}
    in_height, in_width = image.shape[-2:]
    x = rl.linspace((1.0 - width) * 0.5, (width - 1.0) * 0.5, width, **options)
    y = rl.linspace((1.0 - height) * 0.5, (height - 1.0) * 0.5, height, **options).unsqueeze(-1)
    single = np.float64 if options["dtype"] == rl.float64 else np.float32
    theta = np.array(matrix, single).reshape(2, 3) / np.array([[0.5 * in_width], [0.5 * in_height]], single)
    # Where a place lies just between two pixels, rounding decides. PyTorch multiplies matrices here, whose second
    # product and sum are fused: rounded once.
    places = [(y.double() * float(b) + x * float(a)).to(x.dtype) + float(c) for a, b, c in theta]
    return rl.stack(places, -1).unsqueeze(0)


def _perspective_grid(coefficients, image):
    options = {"dtype": _grid_dtype(image), "device": image.device}
    height, width = image.shape[-2:]
    x = rl.linspace(0.5, width - 0.5, width, **options)
    y = rl.linspace(0.5, height - 0.5, height, **options).unsqueeze(-1)
    a, b, c, d, e, f, g, h = [float(number) for number in coefficients]
    scale = x * g + y * h + 1.0
    places = [(x * (k / half) + y * (m / half) + n / half) / scale - 1.0
              for k, m, n, half in ((a, b, c, 0.5 * width), (d, e, f, 0.5 * height))]
    return rl.stack(places, -1).unsqueeze(0)


def identity_grid(size, device, dtype):
    """The places (1, H, W, 2) of the pixels of a picture themselves."""
    height, width = size
    x = rl.linspace((1 - width) / width, (width - 1) / width, width, device=device, dtype=dtype)
    y = rl.linspace((1 - height) / height, (height - 1) / height, height, device=device, dtype=dtype)
    return rl.stack([x.expand(height, width), y.unsqueeze(-1).expand(height, width)], -1).unsqueeze(0)


def _sample(image, grid, interpolation, fill):
    """The image at the places of a grid, with `fill` outside."""
    mode = interpolation.value
    height, width = grid.shape[1:3]
    shape = (*image.shape[:-2], height, width)
    if image.numel() == 0:
        return image.reshape(shape)
    planes = image.reshape(-1, *image.shape[-3:])
    batch = planes.shape[0]
    whole = planes.to(grid.dtype)
    grid = grid.expand(batch, -1, -1, -1)
    if fill is not None:
        whole = rl.cat([whole, whole.new_ones((batch, 1, *whole.shape[-2:]))], 1)
    result = nnf.grid_sample(whole, grid, mode=mode, padding_mode="zeros", align_corners=False)
    if fill is not None:
        result, mask = result[:, :-1], result[:, -1:]
        colour = rl.tensor([float(value) for value in fill] if isinstance(fill, (tuple, list)) else [float(fill)],
                           dtype=whole.dtype, device=whole.device).view(1, -1, 1, 1)
        result = rl.where(mask < 0.5, colour, result) if mode == "nearest" else (result - colour) * mask + colour
    return (result if planes.dtype == grid.dtype else result.round().to(planes.dtype)).reshape(shape)


def _check(image, interpolation, fill):
    if isinstance(fill, (tuple, list)):
        if len(fill) not in (1, image.shape[-3]):
            raise ValueError("The number of elements in 'fill' cannot broadcast to match the number of channels of the "
                             f"image ({len(fill)} != {image.shape[-3]})")
    elif fill is not None and not isinstance(fill, (int, float)):
        raise ValueError("Argument fill should be either int, float, tuple or list")
    if interpolation not in (NEAREST, BILINEAR):
        raise ValueError(f"Interpolation mode '{interpolation.value}' is unsupported with Tensor input")


def _about_middle(center, image):
    """A centre in pixels from the upper left corner as one from the middle of the picture."""
    if center is None:
        return [0.0, 0.0]
    return [c - s * 0.5 for c, s in zip(center, (image.shape[-1], image.shape[-2]))]


# -- affine maps -----------------------------------------------------------------------------------------------------


@dispatched
def affine(inpt, angle, translate, scale, shear, interpolation=NEAREST, fill=None, center=None):
    """Turn, scale and shear about a centre, then translate.

    Args:
        inpt: an image (..., C, H, W), Pillow image, video, mask, boxes or points.
        angle (number): degrees, clockwise.
        translate (two numbers): pixels to the right and down.
        scale (float): factor, above 0.
        shear (number or two): degrees along x and y.
        interpolation (InterpolationMode): nearest or bilinear for tensors.
        fill (number or sequence of one for each channel): value of pixels from outside.
        center (two numbers): (x, y) from the upper left corner, by default the middle.
    """


@kernel(affine, *IMAGES)
def affine_image(image, angle, translate, scale, shear, interpolation=NEAREST, fill=None, center=None):
    interpolation = mode_of(interpolation)
    angle, translate, shear, center = parse_affine(angle, translate, scale, shear, center)
    matrix = affine_matrix(_about_middle(center, image), angle, translate, scale, shear)
    _check(image, interpolation, fill)
    return _sample(image, _affine_grid(matrix, image, image.shape[-1], image.shape[-2]), interpolation, fill)


@kernel(affine, PICTURE)
def _affine_image_pil(image, angle, translate, scale, shear, interpolation=NEAREST, fill=None, center=None):
    angle, translate, shear, center = parse_affine(angle, translate, scale, shear, center)
    center = [image.width * 0.5, image.height * 0.5] if center is None else center
    matrix = affine_matrix(center, angle, translate, scale, shear)
    return _pil.affine(image, matrix, PILLOW_MODES[mode_of(interpolation)], fill)


affine_video = for_videos(affine, affine_image)
affine_mask = for_masks(affine, affine_image)


@dispatched
def rotate(inpt, angle, interpolation=NEAREST, expand=False, center=None, fill=None):
    """Turn against the clock by degrees; `expand` makes the picture large enough for all of it. See `affine`."""


@kernel(rotate, *IMAGES)
def rotate_image(image, angle, interpolation=NEAREST, expand=False, center=None, fill=None):
    angle = angle % 360
    height, width = image.shape[-2:]
    if center is None and (angle in (0, 180) or (angle in (90, 270) and (expand or height == width))):
        return rl.rot90(image, int(angle) // 90, (-2, -1)) if angle else image.clone()
    interpolation = mode_of(interpolation)
    matrix = affine_matrix(_about_middle(center, image), -angle, [0.0, 0.0], 1.0, [0.0, 0.0])
    _check(image, interpolation, fill)
    width, height = expanded_size(matrix, width, height) if expand else (width, height)
    return _sample(image, _affine_grid(matrix, image, width, height), interpolation, fill)


@kernel(rotate, PICTURE)
def _rotate_image_pil(image, angle, interpolation=NEAREST, expand=False, center=None, fill=None):
    return _pil.rotate(image, angle, PILLOW_MODES[mode_of(interpolation)], expand, center, fill)


rotate_video = for_videos(rotate, rotate_image)
rotate_mask = for_masks(rotate, rotate_image)


# -- perspective -----------------------------------------------------------------------------------------------------


@dispatched
def perspective(inpt, startpoints, endpoints, interpolation=BILINEAR, fill=None, coefficients=None):
    """Move four corners `startpoints` to `endpoints`, each (x, y), and everything between them accordingly.

    Args:
        inpt: as for `affine`.
        startpoints, endpoints (four pairs of ints): upper left, upper right, lower right, lower left.
        interpolation, fill: as for `affine`.
        coefficients (eight floats): the map itself instead of the corners.
    """


@kernel(perspective, *IMAGES)
def perspective_image(image, startpoints, endpoints, interpolation=BILINEAR, fill=None, coefficients=None):
    coefficients = chosen_coefficients(startpoints, endpoints, coefficients)
    interpolation = mode_of(interpolation)
    _check(image, interpolation, fill)
    return _sample(image, _perspective_grid(coefficients, image), interpolation, fill)


@kernel(perspective, PICTURE)
def _perspective_image_pil(image, startpoints, endpoints, interpolation=BILINEAR, fill=None, coefficients=None):
    coefficients = chosen_coefficients(startpoints, endpoints, coefficients)
    return _pil.perspective(image, coefficients, PILLOW_MODES[mode_of(interpolation)], fill)


perspective_video = for_videos(perspective, perspective_image)
perspective_mask = for_masks(perspective, perspective_image)


# -- elastic transforms ----------------------------------------------------------------------------------------------


@dispatched
def elastic(inpt, displacement, interpolation=BILINEAR, fill=None):
    """Move each pixel by `displacement` (1, H, W, 2), where 2 is the width or height of the picture. See `affine`."""


def check_displacement(displacement, size):
    """TypeError or ValueError unless the displacement is one for a picture of that size."""
    if not isinstance(displacement, rl.Tensor):
        raise TypeError("Argument displacement should be a Tensor")
    expected = (1, *size, 2)
    if displacement.shape != expected:
        raise ValueError(f"Argument displacement shape should be {expected}, but given {displacement.shape}")


@kernel(elastic, *IMAGES)
def elastic_image(image, displacement, interpolation=BILINEAR, fill=None):
    size = tuple(image.shape[-2:])
    check_displacement(displacement, size)
    dtype = _grid_dtype(image)
    if dtype == rl.float16:
        return elastic_image(image.to(rl.float32), displacement, interpolation, fill).to(dtype)
    interpolation = mode_of(interpolation)
    _check(image, interpolation, fill)
    grid = identity_grid(size, image.device, dtype) + displacement.to(dtype=dtype, device=image.device)
    return _sample(image, grid, interpolation, fill)


@kernel(elastic, PICTURE)
def _elastic_image_pil(image, displacement, interpolation=BILINEAR, fill=None):
    moved = elastic_image(conversion.pil_to_tensor(image), displacement, interpolation, fill)
    return conversion.to_pil_image(moved, mode=image.mode)


elastic_video = for_videos(elastic, elastic_image)
elastic_mask = for_masks(elastic, elastic_image)
elastic_transform = elastic
