"""What `torchvision` means under Rushlight: models, operators, transforms, data sets, codecs, helpers for pictures.

Images come in as Pillow images, NumPy arrays or tensors (C, H, W); tensors go out. Pillow is needed only where a
Pillow image is made or read. Next to read: transforms/kernels/, transforms/v2/, datasets/vision.py, io/image.py.
"""
from . import datasets, io, models, ops, transforms, tv_tensors, utils
from .backend import (
    disable_beta_transforms_warning, get_image_backend, get_video_backend, set_image_backend, set_video_backend,
)

__version__ = "0.28.0+rushlight"

__all__ = [
    "datasets", "disable_beta_transforms_warning", "get_image_backend", "get_video_backend", "io", "models", "ops",
    "set_image_backend", "set_video_backend", "transforms", "tv_tensors", "utils",
]
