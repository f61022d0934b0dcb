"""Tensors that know what they show: images, videos, masks, boxes, points. `transforms.v2` treats each accordingly."""
from ._pictures import Image, Mask, Video
from ._shapes import BoundingBoxes, BoundingBoxFormat, KeyPoints, is_rotated_bounding_format
from ._tensor import TVTensor, set_return_type, wrap

__all__ = [
    "BoundingBoxFormat", "BoundingBoxes", "Image", "KeyPoints", "Mask", "TVTensor", "Video",
    "is_rotated_bounding_format", "set_return_type", "wrap",
]
