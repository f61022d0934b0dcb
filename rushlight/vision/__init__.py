"""What `torchvision` means under Rushlight: models, operators, transforms, data sets, codecs, helpers for pictures.

Images come in as Pillow images, NumPy arrays or tensors (C, H, W); tensors go out. Pillow is needed only where a
Pillow image is made or read. Next to read: transforms/kernels/, transforms/v2/, datasets/vision.py, io/image.py.
"""
from . import datasets, io, models, ops, transforms, tv_tensors, utils
from .backend import get_image_backend, set_image_backend

__version__ = "0.28.0+rushlight"

__all__ = [
    "datasets", "get_image_backend", "io", "models", "ops", "set_image_backend", "transforms", "tv_tensors", "utils",
]
