"""Transforms of images: those of the first generation here, those of the second in v2, functions in functional.py."""
from . import autoaugment, functional, transforms
from .autoaugment import AugMix, AutoAugment, AutoAugmentPolicy, RandAugment, TrivialAugmentWide
from .transforms import *  # noqa: F403
from .transforms import __all__ as _transforms
from . import v2

__all__ = [
    *_transforms, "AugMix", "AutoAugment", "AutoAugmentPolicy", "RandAugment", "TrivialAugmentWide", "autoaugment",
    "functional", "transforms", "v2",
]
