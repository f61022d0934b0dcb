"""Functions that cut, mirror, enlarge and resize images: on tensors (..., C, H, W) and Pillow images."""
import numbers
import warnings

from .... import api as rl
from ....nn import functional as nnf
from ... import resampling, tv_tensors
from .. import _pil
from ..interpolation import PILLOW_MODES, InterpolationMode, mode_of
from .dispatch import PICTURE, dispatched, for_masks, for_videos, kernel

BILINEAR, NEAREST = InterpolationMode.BILINEAR, InterpolationMode.NEAREST
IMAGES = (rl.Tensor, tv_tensors.Image)
INTEGERS = (rl.uint8, rl.int8, rl.int16, rl.int32, rl.int64)


# -- flips -----------------------------------------------------------------------------------------------------------


@dispatched
def horizontal_flip(inpt):
    """Mirror left and right."""


@kernel(horizontal_flip, *IMAGES)
def horizontal_flip_image(image):
    return image.flip(-1)


@dispatched
def vertical_flip(inpt):
    """Mirror top and bottom."""


@kernel(vertical_flip, *IMAGES)
def vertical_flip_image(image):
    return image.flip(-2)


_horizontal_flip_image_pil = kernel(horizontal_flip, PICTURE)(_pil.hflip)
_vertical_flip_image_pil = kernel(vertical_flip, PICTURE)(_pil.vflip)
horizontal_flip_video = for_videos(horizontal_flip, horizontal_flip_image)
horizontal_flip_mask = for_masks(horizontal_flip, horizontal_flip_image)
vertical_flip_video = for_videos(vertical_flip, vertical_flip_image)
vertical_flip_mask = for_masks(vertical_flip, vertical_flip_image)
hflip, vflip = horizontal_flip, vertical_flip


# -- resizing --------------------------------------------------------------------------------------------------------


def resized_size(canvas_size, size, max_size=None):
    """The size [height, width] that a picture gets.

    `size` is an int or one number, the length of the shorter edge; two numbers, the size; or None, where the longer
    edge becomes `max_size`, which also limits the longer edge in the first case.
    """
    height, width = canvas_size
    if isinstance(size, int):
        size = [size]
    if size is not None and len(size) == 2:
        if max_size is not None:
            raise ValueError("max_size should only be passed if size is None or specifies the length of the smaller "
                             "edge, i.e. size should be an int or a sequence of length 1 in torchscript mode.")
        return [size[0], size[1]]
    short, long = min(height, width), max(height, width)
    if size is None:
        if not isinstance(max_size, int):
            raise ValueError(f"max_size must be an integer when size is None, but got {max_size} instead.")
        new_short, new_long = int(max_size * short / long), max_size
    else:
        new_short, new_long = size[0], int(size[0] * long / short)
        if max_size is not None and max_size <= size[0]:
            raise ValueError(f"max_size = {max_size} must be strictly greater than the requested size for the smaller "
                             f"edge size = {size}")
        if max_size is not None and new_long > max_size:
            new_short, new_long = int(max_size * new_short / new_long), max_size
    return [new_long, new_short] if width <= height else [new_short, new_long]


@dispatched
def resize(inpt, size, interpolation=BILINEAR, max_size=None, antialias=True):
    """Resize to `size`: the length of the shorter edge, or (height, width).

    Args:
        inpt: an image (..., C, H, W), Pillow image, video, mask, boxes or points.
        size (int, sequence of one or two ints, or None): see above; None takes the longer edge from `max_size`.
        interpolation (InterpolationMode): masks always take the nearest pixel.
        max_size (int, optional): limit of the longer edge.
        antialias (bool): filter tensors before they shrink; Pillow always does.

    Returns:
        The same kind of input, resized.
    """


@kernel(resize, *IMAGES)
def resize_image(image, size, interpolation=BILINEAR, max_size=None, antialias=True):
    interpolation = mode_of(interpolation)
    smooth = interpolation in (BILINEAR, InterpolationMode.BICUBIC, InterpolationMode.LANCZOS)
    if interpolation is InterpolationMode.LANCZOS and not antialias:
        raise ValueError("InterpolationMode.LANCZOS requires antialias=True")
    shape = image.shape
    height, width = resized_size(shape[-2:], size, max_size)
    if (height, width) == tuple(shape[-2:]):
        return image
    if antialias and resampling.serves(image, interpolation.value):
        sources = [resampling.source_of(part) for part in image.reshape(-1, *shape[-3:])]
        image = resampling.resample(sources, resampling.whole(height), resampling.whole(width), interpolation.value,
                                    resampling.FITTING_BITS)
    elif image.numel() > 0:
        dtype = image.dtype
        cast = not (dtype in (rl.float32, rl.float64) or dtype == rl.uint8)
        planes = image.reshape(-1, *shape[-3:])
        planes = nnf.interpolate(
            planes.to(rl.float32) if cast else planes, size=[height, width], mode=interpolation.value,
            align_corners=False if smooth else None, antialias=bool(antialias) and smooth)
        image = (planes.round() if dtype in INTEGERS else planes).to(dtype) if cast else planes
    return image.reshape(*shape[:-2], height, width)


@kernel(resize, PICTURE)
def _resize_image_pil(image, size, interpolation=BILINEAR, max_size=None, antialias=True):
    if antialias is False:
        warnings.warn("Anti-alias option is always applied for PIL Image input. Argument antialias is ignored.",
                      stacklevel=4)
    new = resized_size((image.height, image.width), size, max_size)
    if new == [image.height, image.width]:
        return image
    return _pil.resize(image, new, PILLOW_MODES[mode_of(interpolation)])


resize_video = for_videos(resize, resize_image)


@kernel(resize, tv_tensors.Mask)
def resize_mask(mask, size, interpolation=BILINEAR, max_size=None):
    interpolation = mode_of(interpolation)
    if interpolation is not InterpolationMode.NEAREST_EXACT:
        interpolation = NEAREST
    result = resize_image(mask.unsqueeze(0) if mask.ndim < 3 else mask, size, interpolation, max_size)
    return result.squeeze(0) if mask.ndim < 3 else result


# -- padding ---------------------------------------------------------------------------------------------------------


@dispatched
def pad(inpt, padding, fill=None, padding_mode="constant"):
    """Add pixels at the borders.

    Args:
        inpt: as for `resize`.
        padding (int or sequence): one number for all sides, (horizontal, vertical) or (left, top, right, bottom).
        fill (number or sequence of one for each channel): their value.
        padding_mode: "constant", or "edge", "reflect", "symmetric", which copy pixels.
    """


def parse_padding(padding):
    """Padding as [left, right, top, bottom]."""
    if not isinstance(padding, (int, tuple, list)):
        raise TypeError(f"`padding` should be an integer or tuple or list of integers, but got {padding}")
    if not isinstance(padding, int) and len(padding) not in (1, 2, 4):
        raise ValueError(f"Padding must be an int or a 1, 2, or 4 element tuple or list. Found {len(padding)}")
    left, top, right, bottom = _pil.sides(padding)
    return [left, right, top, bottom]


@kernel(pad, *IMAGES)
def pad_image(image, padding, fill=None, padding_mode="constant"):
    widths = parse_padding(padding)
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError("`padding_mode` should be either `'constant'`, `'edge'`, `'reflect'` or `'symmetric'`, but "
                         f"got `'{padding_mode}'`.")
    if fill is None:
        fill = 0
    if not isinstance(fill, (int, float)):
        if len(fill) > 1:
            return _pad_with_colour(image, widths, fill, padding_mode)
        fill = fill[0]
    if padding_mode == "symmetric":
        return _pad_symmetric(image, widths)
    planes = image.reshape(-1, *image.shape[-3:])
    if padding_mode == "constant":
        planes = nnf.pad(planes, widths, value=float(fill))
    else:
        mode = "replicate" if padding_mode == "edge" else padding_mode
        whole = planes if planes.is_floating_point() else planes.to(rl.float32)
        planes = nnf.pad(whole, widths, mode=mode).to(image.dtype)
    return planes.reshape(*image.shape[:-2], *planes.shape[-2:])


def _pad_with_colour(image, widths, fill, padding_mode):
    if padding_mode != "constant":
        raise ValueError(f"Padding mode '{padding_mode}' is not supported if fill is not scalar")
    left, right, top, bottom = widths
    height, width = image.shape[-2:]
    colour = rl.tensor(fill, device=image.device).to(image.dtype).reshape(-1, 1, 1)
    result = colour.expand(*image.shape[:-2], height + top + bottom, width + left + right).clone()
    result[..., top:top + height, left:left + width] = image
    return result


def _pad_symmetric(image, widths):
    """Mirror at the border, the pixels at the border included."""
    left, right, top, bottom = widths
    for dim, before, after in ((-1, left, right), (-2, top, bottom)):
        size = image.shape[dim]
        start, stop = -min(before, 0), size + min(after, 0)
        order = [*range(max(before, 0) - 1, -1, -1), *range(start, stop),
                 *[size - 1 - i for i in range(max(after, 0))]]
        image = image.index_select(dim, rl.tensor(order, device=image.device))
    return image


_pad_image_pil = kernel(pad, PICTURE)(_pil.pad)
pad_video = for_videos(pad, pad_image)
_pad_planes = for_masks(pad, pad_image)


@kernel(pad, tv_tensors.Mask)
def pad_mask(mask, padding, fill=None, padding_mode="constant"):
    if isinstance(fill, (tuple, list)):
        raise ValueError("Non-scalar fill value is not supported")
    return _pad_planes(mask, padding, fill, padding_mode)


# -- crops -----------------------------------------------------------------------------------------------------------


@dispatched
def crop(inpt, top, left, height, width):
    """The part of `height` x `width` whose upper left corner is at (`top`, `left`); black past the border."""


@kernel(crop, *IMAGES)
def crop_image(image, top, left, height, width):
    full_height, full_width = image.shape[-2:]
    right, bottom = left + width, top + height
    part = image[..., max(top, 0):max(bottom, 0), max(left, 0):max(right, 0)]
    if left >= 0 and top >= 0 and right <= full_width and bottom <= full_height:
        return part
    widths = [max(min(right, 0) - left, 0), max(right - max(full_width, left), 0),
              max(min(bottom, 0) - top, 0), max(bottom - max(full_height, top), 0)]
    return nnf.pad(part, widths)


_crop_image_pil = kernel(crop, PICTURE)(_pil.crop)
crop_video = for_videos(crop, crop_image)
crop_mask = for_masks(crop, crop_image)


def pair(size):
    """A size as [height, width]; one number is both."""
    if isinstance(size, numbers.Number):
        return [int(size), int(size)]
    return [size[0], size[0]] if len(size) == 1 else list(size)


def centre(crop_height, crop_width, height, width):
    """The upper left corner of a crop in the middle of a picture."""
    return int(round((height - crop_height) / 2.0)), int(round((width - crop_width) / 2.0))


@dispatched
def center_crop(inpt, output_size):
    """The middle part of `output_size` = (height, width); a smaller picture gets a black border first."""


def _center_crop(image, height, width, output_size, padded, cropped):
    crop_height, crop_width = pair(output_size)
    missing = [max(crop_width - width, 0), max(crop_height - height, 0)]
    if any(missing):
        across, down = missing
        image = padded(image, [across // 2, down // 2, (across + 1) // 2, (down + 1) // 2], 0)
        height, width = height + down, width + across
        if (crop_height, crop_width) == (height, width):
            return image
    return cropped(image, *centre(crop_height, crop_width, height, width), crop_height, crop_width)


@kernel(center_crop, *IMAGES)
def center_crop_image(image, output_size):
    if image.numel() == 0:
        return image.reshape(*image.shape[:-2], *pair(output_size))
    return _center_crop(image, *image.shape[-2:], output_size, pad_image, crop_image)


@kernel(center_crop, PICTURE)
def _center_crop_image_pil(image, output_size):
    return _center_crop(image, image.height, image.width, output_size, _pil.pad, _pil.crop)


center_crop_video = for_videos(center_crop, center_crop_image)
center_crop_mask = for_masks(center_crop, center_crop_image)


@dispatched
def resized_crop(inpt, top, left, height, width, size, interpolation=BILINEAR, antialias=True):
    """`crop`, then `resize` to `size`."""


@kernel(resized_crop, *IMAGES)
def resized_crop_image(image, top, left, height, width, size, interpolation=BILINEAR, antialias=True):
    part = crop_image(image, top, left, height, width)
    return resize_image(part, size, interpolation=interpolation, antialias=antialias)


@kernel(resized_crop, PICTURE)
def _resized_crop_image_pil(image, top, left, height, width, size, interpolation=BILINEAR, antialias=True):
    part = _pil.crop(image, top, left, height, width)
    return _resize_image_pil(part, size, interpolation=interpolation, antialias=antialias)


resized_crop_video = for_videos(resized_crop, resized_crop_image)
resized_crop_mask = for_masks(resized_crop, resized_crop_image)


@dispatched
def five_crop(inpt, size):
    """Five crops of `size` = (height, width): upper left, upper right, lower left, lower right, centre."""


def _five_crop(image, height, width, size, cropped):
    if not isinstance(size, numbers.Number) and len(size) > 2:
        raise ValueError("Please provide only two dimensions (h, w) for size.")
    crop_height, crop_width = pair(size)
    if crop_width > width or crop_height > height:
        raise ValueError(f"Requested crop size {size} is bigger than input size {(height, width)}")
    corners = [(top, left) for top in (0, height - crop_height) for left in (0, width - crop_width)]
    corners.append(centre(crop_height, crop_width, height, width))
    return tuple([cropped(image, top, left, crop_height, crop_width) for top, left in corners])


@kernel(five_crop, *IMAGES)
def five_crop_image(image, size):
    return _five_crop(image, *image.shape[-2:], size, crop_image)


@kernel(five_crop, PICTURE)
def _five_crop_image_pil(image, size):
    return _five_crop(image, image.height, image.width, size, _pil.crop)


five_crop_video = for_videos(five_crop, five_crop_image)


@dispatched
def ten_crop(inpt, size, vertical_flip=False):
    """The crops of `five_crop` and those of the picture mirrored left and right, or with `vertical_flip` top and
    bottom."""


@kernel(ten_crop, *IMAGES)
def ten_crop_image(image, size, vertical_flip=False):
    return five_crop_image(image, size) + five_crop_image(image.flip(-2 if vertical_flip else -1), size)


@kernel(ten_crop, PICTURE)
def _ten_crop_image_pil(image, size, vertical_flip=False):
    flipped = _pil.vflip(image) if vertical_flip else _pil.hflip(image)
    return _five_crop_image_pil(image, size) + _five_crop_image_pil(flipped, size)


ten_crop_video = for_videos(ten_crop, ten_crop_image)
