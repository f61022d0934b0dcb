"""Transforms of the second generation that cut, mirror, resize and move pictures and what is in them."""
from collections.abc import Sequence

from .... import api as rl
from ... import tv_tensors
from ...ops.boxes import box_iou
from ...pictures import is_picture
from ...tv_tensors._shapes import plain
from .. import _draws
from .. import geometry as v1
from ..pending import moves
from .._arguments import angles, check_affine, check_length, check_ranges, pair
from . import functional as F
from ._arguments import (
    check_padding, check_padding_mode, fill_for, fills, number_or_two, warn_unchanged,
)
from ._query import get_bounding_boxes, has_all, has_any, query_size
from ._transform import RandomApplyTransform, Transform
from ..kernels.boxes import converted
from ..kernels.dispatch import is_pure_tensor
from ..kernels.geometry import parse_padding
from ..kernels.warp import perspective_coefficients


@moves
class RandomHorizontalFlip(RandomApplyTransform):
    """Mirror left and right with probability `p`."""

    _v1_transform_cls = v1.RandomHorizontalFlip

    def transform(self, inpt, params):
        return self._call_kernel(F.horizontal_flip, inpt)


@moves
class RandomVerticalFlip(RandomApplyTransform):
    """Mirror top and bottom with probability `p`."""

    _v1_transform_cls = v1.RandomVerticalFlip

    def transform(self, inpt, params):
        return self._call_kernel(F.vertical_flip, inpt)


@moves
class Resize(Transform):
    """Resize to `size`: the length of the shorter edge, (height, width), or None. See `functional.resize`."""

    _v1_transform_cls = v1.Resize

    def __init__(self, size, interpolation="bilinear", max_size=None, antialias=True):
        super().__init__()
        if isinstance(size, int):
            size = [size]
        elif isinstance(size, Sequence) and len(size) in (1, 2):
            size = list(size)
        elif size is not None:
            raise ValueError(f"size can be an integer, a sequence of one or two integers, or None, but got {size} "
                             "instead.")
        elif not isinstance(max_size, int):
            raise ValueError(f"max_size must be an integer when size is None, but got {max_size} instead.")
        self.size = size
        self.interpolation = interpolation
        self.max_size = max_size
        self.antialias = antialias

    def transform(self, inpt, params):
        return self._call_kernel(F.resize, inpt, self.size, interpolation=self.interpolation, max_size=self.max_size,
                                 antialias=self.antialias)


@moves
class CenterCrop(Transform):
    """Cut out the middle. See `functional.center_crop`."""

    _v1_transform_cls = v1.CenterCrop

    def __init__(self, size):
        super().__init__()
        self.size = pair(size)

    def transform(self, inpt, params):
        return self._call_kernel(F.center_crop, inpt, output_size=self.size)


@moves
class RandomResizedCrop(Transform):
    """Cut out a part with a random share of the area (`scale`) and ratio of sides (`ratio`), and resize it."""

    _v1_transform_cls = v1.RandomResizedCrop

    def __init__(self, size, scale=(0.08, 1.0), ratio=(3.0 / 4.0, 4.0 / 3.0),
                 interpolation="bilinear", antialias=True):
        super().__init__()
        self.size = pair(size)
        for name, value in (("Scale", scale), ("Ratio", ratio)):
            if not isinstance(value, Sequence) or len(value) != 2:
                raise TypeError(f"{name} should be a sequence of two floats.")
        check_ranges(scale, ratio)
        self.scale = scale
        self.ratio = ratio
        self.interpolation = interpolation
        self.antialias = antialias

    def make_params(self, flat_inputs):
        place = _draws.part(*query_size(flat_inputs), self.scale, self.ratio)
        return dict(zip(("top", "left", "height", "width"), place))

    def transform(self, inpt, params):
        return self._call_kernel(F.resized_crop, inpt, **params, size=self.size, interpolation=self.interpolation,
                                 antialias=self.antialias)


class _Crops(Transform):
    """Several crops of a picture; there is no such thing for boxes and masks."""

    def __init__(self, size):
        super().__init__()
        self.size = pair(size)

    def _call_kernel(self, functional, inpt, *args, **kwargs):
        warn_unchanged(self, inpt)
        return super()._call_kernel(functional, inpt, *args, **kwargs)

    def check_inputs(self, flat_inputs):
        if has_any(flat_inputs, tv_tensors.BoundingBoxes, tv_tensors.Mask):
            raise TypeError(f"BoundingBoxes'es and Mask's are not supported by {type(self).__name__}()")


class FiveCrop(_Crops):
    """Cut out the corners and the middle. See `functional.five_crop`."""

    _v1_transform_cls = v1.FiveCrop

    def transform(self, inpt, params):
        return self._call_kernel(F.five_crop, inpt, self.size)


class TenCrop(_Crops):
    """Cut out the corners and the middle, of the mirrored picture too. See `functional.ten_crop`."""

    _v1_transform_cls = v1.TenCrop

    def __init__(self, size, vertical_flip=False):
        super().__init__(size)
        self.vertical_flip = vertical_flip

    def transform(self, inpt, params):
        return self._call_kernel(F.ten_crop, inpt, self.size, vertical_flip=self.vertical_flip)


class Pad(Transform):
    """Add pixels at the borders. See `functional.pad`; `fill` may be a dictionary {class: value}."""

    _v1_transform_cls = v1.Pad

    def __init__(self, padding, fill=0, padding_mode="constant"):
        super().__init__()
        check_padding(padding)
        check_padding_mode(padding_mode)
        self.padding = padding if isinstance(padding, int) else list(padding)
        self.fill = fill
        self._fill = fills(fill)
        self.padding_mode = padding_mode

    def transform(self, inpt, params):
        return self._call_kernel(F.pad, inpt, padding=self.padding, fill=fill_for(self._fill, inpt),
                                 padding_mode=self.padding_mode)


class RandomZoomOut(RandomApplyTransform):
    """Put the picture at a random place into one that is larger by a factor from `side_range`, filled with `fill`."""

    def __init__(self, fill=0, side_range=(1.0, 4.0), p=0.5):
        super().__init__(p)
        self.fill = fill
        self._fill = fills(fill)
        check_length(side_range, "side_range", (2,))
        if side_range[0] < 1.0 or side_range[0] > side_range[1]:
            raise ValueError(f"Invalid side range provided {side_range}.")
        self.side_range = side_range

    def make_params(self, flat_inputs):
        height, width = query_size(flat_inputs)
        factor = self.side_range[0] + rl.rand(1) * (self.side_range[1] - self.side_range[0])
        more_width, more_height = int(width * factor) - width, int(height * factor) - height
        shares = rl.rand(2)
        left, top = int(more_width * shares[0]), int(more_height * shares[1])
        return {"padding": [left, top, more_width - left, more_height - top]}

    def transform(self, inpt, params):
        return self._call_kernel(F.pad, inpt, **params, fill=fill_for(self._fill, inpt))


class RandomRotation(Transform):
    """Turn by an angle from the range `degrees`. See `functional.rotate`."""

    _v1_transform_cls = v1.RandomRotation

    def __init__(self, degrees, interpolation="nearest", expand=False, center=None, fill=0):
        super().__init__()
        self.degrees = angles(degrees, "degrees")
        self.interpolation = interpolation
        self.expand = expand
        self.fill = fill
        self._fill = fills(fill)
        if center is not None:
            check_length(center, "center", (2,))
        self.center = center

    def make_params(self, flat_inputs):
        return {"angle": _draws.uniform(*self.degrees)}

    def transform(self, inpt, params):
        return self._call_kernel(F.rotate, inpt, **params, interpolation=self.interpolation, expand=self.expand,
                                 center=self.center, fill=fill_for(self._fill, inpt))


class RandomAffine(Transform):
    """Turn, translate, scale and shear by numbers from ranges. See `functional.affine`."""

    _v1_transform_cls = v1.RandomAffine

    def __init__(self, degrees, translate=None, scale=None, shear=None, interpolation="nearest",
                 fill=0, center=None):
        super().__init__()
        self.degrees = angles(degrees, "degrees")
        check_affine(translate, scale, center)
        self.translate = translate
        self.scale = scale
        self.shear = None if shear is None else angles(shear, "shear", (2, 4))
        self.interpolation = interpolation
        self.fill = fill
        self._fill = fills(fill)
        self.center = center

    def make_params(self, flat_inputs):
        height, width = query_size(flat_inputs)
        values = _draws.affine(self.degrees, self.translate, self.scale, self.shear, width, height)
        return dict(zip(("angle", "translate", "scale", "shear"), values))

    def transform(self, inpt, params):
        return self._call_kernel(F.affine, inpt, **params, interpolation=self.interpolation,
                                 fill=fill_for(self._fill, inpt), center=self.center)


@moves
class RandomCrop(Transform):
    """Cut out a part of `size` = (height, width) at a random place, after padding where it is asked for.

    Raises:
        ValueError: the picture is too small.
    """

    _v1_transform_cls = v1.RandomCrop

    def __init__(self, size, padding=None, pad_if_needed=False, fill=0, padding_mode="constant"):
        super().__init__()
        self.size = pair(size)
        if padding is not None:
            check_padding(padding)
        if pad_if_needed or padding is not None:
            check_padding_mode(padding_mode)
        self.padding = parse_padding(padding) if padding else None
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self._fill = fills(fill)
        self.padding_mode = padding_mode

    def make_params(self, flat_inputs):
        height, width = query_size(flat_inputs)
        left, right, top, bottom = self.padding or (0, 0, 0, 0)
        crop_height, crop_width = self.size
        if self.pad_if_needed:
            missing = max(crop_height - height - top - bottom, 0)
            top, bottom = top + missing, bottom + missing
            missing = max(crop_width - width - left - right, 0)
            left, right = left + missing, right + missing
        down, across = height + top + bottom - crop_height, width + left + right - crop_width
        if down < 0 or across < 0:
            padded = "padded " if self.padding is not None else ""
            raise ValueError(f"Required crop size {(crop_height, crop_width)} is larger than {padded}input image size "
                             f"{(down + crop_height, across + crop_width)}.")
        place = [_draws.below(0, room + 1) if room else 0 for room in (down, across)]
        return {"padding": [left, top, right, bottom], "needs_crop": down > 0 or across > 0, "place": place}

    def transform(self, inpt, params):
        if any(params["padding"]):
            inpt = self._call_kernel(F.pad, inpt, padding=params["padding"], fill=fill_for(self._fill, inpt),
                                     padding_mode=self.padding_mode)
        if params["needs_crop"]:
            (top, left), (height, width) = params["place"], self.size
            inpt = self._call_kernel(F.crop, inpt, top=top, left=left, height=height, width=width)
        return inpt


class RandomPerspective(RandomApplyTransform):
    """Move the corners inwards at random, by up to half the picture times `distortion_scale`."""

    _v1_transform_cls = v1.RandomPerspective

    def __init__(self, distortion_scale=0.5, p=0.5, interpolation="bilinear", fill=0):
        super().__init__(p)
        if not 0 <= distortion_scale <= 1:
            raise ValueError("Argument distortion_scale value should be between 0 and 1")
        self.distortion_scale = distortion_scale
        self.interpolation = interpolation
        self.fill = fill
        self._fill = fills(fill)

    def make_params(self, flat_inputs):
        height, width = query_size(flat_inputs)
        return {"coefficients": perspective_coefficients(*_draws.corners(width, height, self.distortion_scale))}

    def transform(self, inpt, params):
        return self._call_kernel(F.perspective, inpt, startpoints=None, endpoints=None, **params,
                                 fill=fill_for(self._fill, inpt), interpolation=self.interpolation)


class ElasticTransform(Transform):
    """Move pixels by a random field, smoothed by `sigma`, of strength `alpha`."""

    _v1_transform_cls = v1.ElasticTransform

    def __init__(self, alpha=50.0, sigma=5.0, interpolation="bilinear", fill=0):
        super().__init__()
        self.alpha = number_or_two(alpha, "alpha")
        self.sigma = number_or_two(sigma, "sigma")
        self.interpolation = interpolation
        self.fill = fill
        self._fill = fills(fill)

    def make_params(self, flat_inputs):
        size = query_size(flat_inputs)
        return {"displacement": _draws.displacement(self.alpha, self.sigma, size, F.gaussian_blur_image)}

    def transform(self, inpt, params):
        return self._call_kernel(F.elastic, inpt, **params, fill=fill_for(self._fill, inpt),
                                 interpolation=self.interpolation)


class RandomIoUCrop(Transform):
    """Cut out a random part that overlaps some box by a random least share of their union, as SSD is trained.

    Boxes whose centre is outside become empty; `SanitizeBoundingBoxes` removes them.

    Args:
        min_scale, max_scale (float): range of the part's sides as shares of the picture's.
        min_aspect_ratio, max_aspect_ratio (float): range of its width divided by its height.
        sampler_options (list of floats, optional): the least overlaps to draw from; 1 or more leaves the picture whole.
        trials (int): attempts for one of them.
    """

    def __init__(self, min_scale=0.3, max_scale=1.0, min_aspect_ratio=0.5, max_aspect_ratio=2.0, sampler_options=None,
                 trials=40):
        super().__init__()
        self.min_scale = min_scale
        self.max_scale = max_scale
        self.min_aspect_ratio = min_aspect_ratio
        self.max_aspect_ratio = max_aspect_ratio
        self.options = [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0] if sampler_options is None else sampler_options
        self.trials = trials

    def check_inputs(self, flat_inputs):
        images = has_any(flat_inputs, is_picture, tv_tensors.Image, is_pure_tensor)
        if not (images and has_all(flat_inputs, tv_tensors.BoundingBoxes)):
            raise TypeError(f"{type(self).__name__}() requires input sample to contain tensor or PIL images and "
                            "bounding boxes. Sample can also contain masks.")

    def _attempt(self, height, width, boxes, overlap):
        """A part that fits, None if the one drawn does not."""
        shares = (self.min_scale + (self.max_scale - self.min_scale) * rl.rand(2)).tolist()
        new_width, new_height = int(width * shares[0]), int(height * shares[1])
        if not self.min_aspect_ratio <= new_width / new_height <= self.max_aspect_ratio:
            return None
        shares = rl.rand(2)
        left, top = int((width - new_width) * shares[0]), int((height - new_height) * shares[1])
        right, bottom = left + new_width, top + new_height
        if left == right or top == bottom:
            return None
        x, y = 0.5 * (boxes[..., 0] + boxes[..., 2]), 0.5 * (boxes[..., 1] + boxes[..., 3])
        inside = (left < x) & (x < right) & (top < y) & (y < bottom)
        if not inside.any():
            return None
        part = rl.tensor([[left, top, right, bottom]], dtype=boxes.dtype, device=boxes.device)
        if box_iou(boxes[inside], part).max() < overlap:
            return None
        return {"top": top, "left": left, "height": new_height, "width": new_width, "inside": inside}

    def make_params(self, flat_inputs):
        height, width = query_size(flat_inputs)
        found = get_bounding_boxes(flat_inputs)
        boxes = converted(plain(found), found.format, tv_tensors.BoundingBoxFormat.XYXY)
        while True:
            overlap = self.options[_draws.below(0, len(self.options))]
            if overlap >= 1.0:
                return {}
            for _ in range(self.trials):
                part = self._attempt(height, width, boxes, overlap)
                if part is not None:
                    return part

    def transform(self, inpt, params):
        if not params:
            return inpt
        place = {name: value for name, value in params.items() if name != "inside"}
        output = self._call_kernel(F.crop, inpt, **place)
        if isinstance(output, tv_tensors.BoundingBoxes):
            kept = rl.where(params["inside"].unsqueeze(-1), plain(output), 0)
            output = tv_tensors.wrap(kept.to(output.dtype), like=output)
        return output


class _RandomlyResized(Transform):
    """A resize to a size that `make_params` draws."""

    def transform(self, inpt, params):
        return self._call_kernel(F.resize, inpt, size=params["size"], interpolation=self.interpolation,
                                 antialias=self.antialias)


class ScaleJitter(_RandomlyResized):
    """Resize so that the picture fits `target_size` times a factor from `scale_range`."""

    def __init__(self, target_size, scale_range=(0.1, 2.0), interpolation="bilinear",
                 antialias=True):
        super().__init__()
        self.target_size = target_size
        self.scale_range = scale_range
        self.interpolation = interpolation
        self.antialias = antialias

    def make_params(self, flat_inputs):
        height, width = query_size(flat_inputs)
        scale = self.scale_range[0] + rl.rand(1) * (self.scale_range[1] - self.scale_range[0])
        ratio = min(self.target_size[1] / height, self.target_size[0] / width) * scale
        return {"size": (int(height * ratio), int(width * ratio))}


class RandomShortestSize(_RandomlyResized):
    """Resize the shorter edge to a length drawn from `min_size`, the longer one to `max_size` at most."""

    def __init__(self, min_size, max_size=None, interpolation="bilinear", antialias=True):
        super().__init__()
        self.min_size = [min_size] if isinstance(min_size, int) else list(min_size)
        self.max_size = max_size
        self.interpolation = interpolation
        self.antialias = antialias

    def make_params(self, flat_inputs):
        height, width = query_size(flat_inputs)
        ratio = self.min_size[_draws.below(0, len(self.min_size))] / min(height, width)
        if self.max_size is not None:
            ratio = min(ratio, self.max_size / max(height, width))
        return {"size": (int(height * ratio), int(width * ratio))}


class RandomResize(_RandomlyResized):
    """Resize the shorter edge to a length from `min_size` to `max_size` - 1."""

    def __init__(self, min_size, max_size, interpolation="bilinear", antialias=True):
        super().__init__()
        self.min_size = min_size
        self.max_size = max_size
        self.interpolation = interpolation
        self.antialias = antialias

    def make_params(self, flat_inputs):
        return {"size": [_draws.below(self.min_size, self.max_size)]}
