"""Questions about samples: what is in them, and how large their pictures are."""
from ... import tv_tensors
from ...pictures import is_picture
from .functional import get_dimensions, get_size
from ..kernels.dispatch import is_pure_tensor

_IMAGES = (is_pure_tensor, tv_tensors.Image, is_picture, tv_tensors.Video)


def check_type(obj, types_or_checks):
    """Whether a value is of one of the classes, or passes one of the checks (functions)."""
    return any([isinstance(obj, check) if isinstance(check, type) else check(obj) for check in types_or_checks])


def has_any(flat_inputs, *types_or_checks):
    """Whether one of the items is of one of the classes, or passes one of the checks."""
    return any([check_type(item, types_or_checks) for item in flat_inputs])


def has_all(flat_inputs, *types_or_checks):
    """Whether for each class or check there is an item."""
    return all([has_any(flat_inputs, check) for check in types_or_checks])


def _first(flat_inputs, kind, what):
    for item in flat_inputs:
        if isinstance(item, kind):
            return item
    raise ValueError(f"No {what} were found in the sample")


def get_bounding_boxes(flat_inputs):
    """The first BoundingBoxes of a sample. ValueError if there are none."""
    return _first(flat_inputs, tv_tensors.BoundingBoxes, "bounding boxes")


def get_keypoints(flat_inputs):
    """The first KeyPoints of a sample. ValueError if there are none."""
    return _first(flat_inputs, tv_tensors.KeyPoints, "keypoints")


def _only(sizes, missing, name):
    if not sizes:
        raise TypeError(f"No {missing} was found in the sample")
    if len(sizes) > 1:
        raise ValueError(f"Found multiple {name} dimensions in the sample: "
                         f"{', '.join([repr(size) for size in sorted(sizes)])}")
    return sizes.pop()


def query_chw(flat_inputs):
    """(channels, height, width) of the images and videos of a sample.

    Raises:
        TypeError: there is none.
        ValueError: they differ.
    """
    found = {tuple(get_dimensions(item)) for item in flat_inputs if check_type(item, _IMAGES)}
    return _only(found, "image or video", "CxHxW")


def query_size(flat_inputs):
    """(height, width) of the pictures of a sample, those that boxes and points are in too. Errors: `query_chw`."""
    kinds = (*_IMAGES, tv_tensors.Mask, tv_tensors.BoundingBoxes, tv_tensors.KeyPoints)
    found = {tuple(get_size(item)) for item in flat_inputs if check_type(item, kinds)}
    return _only(found, "image, video, mask, bounding box of keypoint", "HxW")
