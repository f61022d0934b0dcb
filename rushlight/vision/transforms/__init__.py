"""Transforms of images, as classes (transforms.py) and as functions (functional.py)."""
from . import functional
from .interpolation import InterpolationMode
from .transforms import Compose, ConvertImageDtype, Lambda, Normalize, PILToTensor, ToPILImage, ToTensor

__all__ = [
    "Compose", "ConvertImageDtype", "InterpolationMode", "Lambda", "Normalize", "PILToTensor", "ToPILImage", "ToTensor",
    "functional",
]
