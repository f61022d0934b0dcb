"""What kind of picture it is: sizes, channels, frames; and from one kind to another."""
import warnings

import numpy as np

from ... import tv_tensors
from .... import api as rl
from ...pictures import is_picture
from .. import _pil, conversion
from .dispatch import PICTURE, dispatched, for_videos, kernel

IMAGES = (rl.Tensor, tv_tensors.Image)
pil_to_tensor, to_pil_image = conversion.pil_to_tensor, conversion.to_pil_image


def _check_dims(image):
    if image.ndim < 2:
        raise TypeError(f"Input tensor should have at least two dimensions, but got {image.ndim}")


@dispatched
def get_dimensions(inpt):
    """[channels, height, width] of an image, Pillow image or video."""


@kernel(get_dimensions, *IMAGES)
def get_dimensions_image(image):
    _check_dims(image)
    return [1, *image.shape] if image.ndim == 2 else list(image.shape[-3:])


_get_dimensions_image_pil = kernel(get_dimensions, PICTURE)(_pil.get_dimensions)
get_dimensions_video = for_videos(get_dimensions, get_dimensions_image)


@dispatched
def get_num_channels(inpt):
    """The number of channels of an image, Pillow image or video."""


@kernel(get_num_channels, *IMAGES)
def get_num_channels_image(image):
    return get_dimensions_image(image)[0]


@kernel(get_num_channels, PICTURE)
def _get_num_channels_image_pil(image):
    return _pil.get_dimensions(image)[0]


get_num_channels_video = for_videos(get_num_channels, get_num_channels_image)
get_image_num_channels = get_num_channels


@dispatched
def get_size(inpt):
    """[height, width] of a picture of any kind; of boxes and points that of the picture they are in."""


@kernel(get_size, *IMAGES)
def get_size_image(image):
    _check_dims(image)
    return list(image.shape[-2:])


@kernel(get_size, PICTURE)
def _get_size_image_pil(image):
    return [image.height, image.width]


get_size_video = for_videos(get_size, get_size_image)


@kernel(get_size, tv_tensors.Mask)
def get_size_mask(mask):
    return get_size_image(mask)


@kernel(get_size, tv_tensors.BoundingBoxes)
def _get_size_boxes(boxes, canvas_size):
    return list(canvas_size)


@kernel(get_size, tv_tensors.KeyPoints)
def _get_size_points(points, canvas_size):
    return list(canvas_size)


def get_size_bounding_boxes(bounding_box):
    """[height, width] of the picture that boxes are in."""
    return list(bounding_box.canvas_size)


def get_size_keypoints(keypoints):
    """[height, width] of the picture that points are in."""
    return list(keypoints.canvas_size)


@dispatched
def get_num_frames(inpt):
    """The number of frames of a video."""


@kernel(get_num_frames, rl.Tensor, tv_tensors.Video)
def get_num_frames_video(video):
    return video.shape[-4]


def get_image_size(inpt):
    """Deprecated: [width, height]. Use `get_size`, which gives [height, width]."""
    warnings.warn("The function `get_image_size(...)` is deprecated and will be removed in a future release. Instead, "
                  "please use `get_size(...)` which returns `[h, w]` instead of `[w, h]`.", stacklevel=2)
    return _pil.get_dimensions(inpt)[:0:-1] if is_picture(inpt) else get_dimensions_image(inpt)[:0:-1]


# -- from one kind to another ----------------------------------------------------------------------------------------


def to_image(inpt):
    """A tensor, an array (H, W) or (H, W, C) or a Pillow image as tv_tensors.Image, values unchanged."""
    if isinstance(inpt, np.ndarray):
        return tv_tensors.Image(rl.from_numpy(np.atleast_3d(inpt)).permute(2, 0, 1).contiguous())
    if is_picture(inpt) or isinstance(inpt, rl.Tensor):
        return tv_tensors.Image(inpt)
    raise TypeError(f"Input can either be a pure Tensor, a numpy array, or a PIL image, but got {type(inpt)} instead.")


def to_tensor(inpt):
    """Deprecated: use `to_image` and `to_dtype(..., rl.float32, scale=True)`."""
    warnings.warn("The function `to_tensor(...)` is deprecated and will be removed in a future release. Instead, "
                  "please use `to_image(...)` followed by `to_dtype(..., dtype=torch.float32, scale=True)`.",
                  stacklevel=2)
    return conversion.to_tensor(inpt)
