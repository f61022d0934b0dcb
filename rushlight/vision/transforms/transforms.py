"""Transforms of the first generation that do not change a picture: containers, conversions, normalisation.

The others are in geometry.py, color.py and autoaugment.py; the work is done in functional.py.
"""
import random
from collections.abc import Sequence

from ... import api as rl
from ...nn.modules.module import Module
from ..pictures import is_picture
from . import conversion
from . import functional as F
from ._arguments import check_linear, linear
from ._base import Shown
from .color import (
    ColorJitter, GaussianBlur, Grayscale, RandomAdjustSharpness, RandomAutocontrast, RandomEqualize, RandomGrayscale,
    RandomInvert, RandomPosterize, RandomSolarize,
)
from .geometry import (
    CenterCrop, ElasticTransform, FiveCrop, Pad, RandomAffine, RandomCrop, RandomErasing, RandomHorizontalFlip,
    RandomPerspective, RandomResizedCrop, RandomRotation, RandomVerticalFlip, Resize, TenCrop,
)
from .interpolation import InterpolationMode
from .pending import MOVES, Pending, absorbs, finished, pending

__all__ = [
    "CenterCrop", "ColorJitter", "Compose", "ConvertImageDtype", "ElasticTransform", "FiveCrop", "GaussianBlur",
    "Grayscale", "InterpolationMode", "Lambda", "LinearTransformation", "Normalize", "PILToTensor", "Pad",
    "RandomAdjustSharpness", "RandomAffine", "RandomApply", "RandomAutocontrast", "RandomChoice", "RandomCrop",
    "RandomEqualize", "RandomErasing", "RandomGrayscale", "RandomHorizontalFlip", "RandomInvert", "RandomOrder",
    "RandomPerspective", "RandomPosterize", "RandomResizedCrop", "RandomRotation", "RandomSolarize",
    "RandomVerticalFlip", "Resize", "TenCrop", "ToPILImage", "ToTensor",
]


def _listed(name, lines):
    return "\n".join([f"{name}(", *[f"    {line}" for line in lines], ")"])


class Compose:
    """Applies the transforms of a list one after the other: `Compose([ToTensor(), Normalize((0.5,),
    (0.5,))])(image)`.
    """

    def __init__(self, transforms):
        self.transforms = transforms

    def __call__(self, img):
        waiting = None
        for transform in self.transforms:
            # ToTensor waits for its successor: together with Normalize it makes one tensor instead of two.
            if waiting is not None:
                if type(transform) is Normalize and not transform.inplace and not transform._has_hooks:
                    img = conversion.to_normalized_tensor(img, transform.mean, transform.std)
                    waiting = None
                    continue
                img = waiting(img)
                waiting = None
            if type(transform) is ToTensor:
                waiting = transform
            elif type(transform) in MOVES and is_picture(img):
                img = pending(img)
                img = transform(img if type(img) is Pending and absorbs(transform, img) else finished(img))
            else:
                img = transform(finished(img))
        return finished(img) if waiting is None else waiting(img)

    def __repr__(self):
        return _listed(type(self).__name__, self.transforms)


class ToTensor:
    """A Pillow image or an array (H, W) or (H, W, C) as a tensor (C, H, W); samples of uint8 are scaled to [0, 1].

    Samples of 8 bits become the default dtype; others keep their type and range.
    """

    def __call__(self, pic):
        return F.to_tensor(pic)

    def __repr__(self):
        return f"{type(self).__name__}()"


class PILToTensor:
    """A Pillow image as a tensor (C, H, W) of the image's own type, unscaled."""

    def __call__(self, pic):
        return F.pil_to_tensor(pic)

    def __repr__(self):
        return f"{type(self).__name__}()"


class ConvertImageDtype(Module):
    """A tensor of another dtype with its values scaled to that dtype's range, see `functional.convert_image_dtype`."""

    def __init__(self, dtype):
        super().__init__()
        if not isinstance(dtype, rl.dtype):
            raise TypeError(f"ConvertImageDtype: dtype must be a torch.dtype, got {type(dtype).__name__}")
        self.dtype = dtype

    def forward(self, image):
        return F.convert_image_dtype(image, self.dtype)


class ToPILImage:
    """A tensor (C, H, W) or an array (H, W, C) as a Pillow image of the given or of the fitting mode."""

    def __init__(self, mode=None):
        self.mode = mode

    def __call__(self, pic):
        return F.to_pil_image(pic, self.mode)

    def __repr__(self):
        inside = "" if self.mode is None else f"mode={self.mode}"
        return f"{type(self).__name__}({inside})"


class Normalize(Module):
    """`(tensor - mean) / std`, channel by channel, for float tensors (..., C, H, W)."""

    def __init__(self, mean, std, inplace=False):
        super().__init__()
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def forward(self, tensor):
        return F.normalize(tensor, self.mean, self.std, self.inplace)

    def __repr__(self):
        return f"{type(self).__name__}(mean={self.mean}, std={self.std})"


class Lambda:
    """Applies a function of the user's. TypeError if it is not callable."""

    def __init__(self, lambd):
        if not callable(lambd):
            raise TypeError(f"Argument lambd should be callable, got {type(lambd).__name__!r}")
        self.lambd = lambd

    def __call__(self, img):
        return self.lambd(img)

    def __repr__(self):
        return f"{type(self).__name__}()"


class LinearTransformation(Shown):
    """`(flattened image - mean_vector) @ transformation_matrix`, for tensors (..., C, H, W); whitening, for example."""

    def __init__(self, transformation_matrix, mean_vector):
        super().__init__()
        check_linear(transformation_matrix, mean_vector)
        self.transformation_matrix = transformation_matrix
        self.mean_vector = mean_vector

    def forward(self, tensor):
        return linear(tensor, self.transformation_matrix, self.mean_vector)

    def __repr__(self):
        return (f"{type(self).__name__}(transformation_matrix={self.transformation_matrix.tolist()}, "
                f"mean_vector={self.mean_vector.tolist()})")


class RandomApply(Module):
    """Apply the transforms of a list one after the other, all of them with probability `p` or none."""

    def __init__(self, transforms, p=0.5):
        super().__init__()
        self.transforms = transforms
        self.p = p

    def forward(self, img):
        if self.p < rl.rand(1):
            return img
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self):
        return _listed(type(self).__name__, [f"p={self.p}", *self.transforms])


class RandomTransforms:
    """The base of `RandomOrder` and `RandomChoice`."""

    def __init__(self, transforms):
        if not isinstance(transforms, Sequence):
            raise TypeError("Argument transforms should be a sequence")
        self.transforms = transforms

    def __call__(self, *args, **kwargs):
        raise NotImplementedError

    def __repr__(self):
        return _listed(type(self).__name__, self.transforms)


class RandomOrder(RandomTransforms):
    """Apply the transforms of a list in random order, drawn from Python's generator."""

    def __call__(self, img):
        order = list(range(len(self.transforms)))
        random.shuffle(order)
        for index in order:
            img = self.transforms[index](img)
        return img


class RandomChoice(RandomTransforms):
    """Apply one transform of a list, drawn from Python's generator with the weights `p`."""

    def __init__(self, transforms, p=None):
        super().__init__(transforms)
        if p is not None and not isinstance(p, Sequence):
            raise TypeError("Argument p should be a sequence")
        self.p = p

    def __call__(self, *args):
        return random.choices(self.transforms, weights=self.p)[0](*args)

    def __repr__(self):
        return f"{super().__repr__()}(p={self.p})"
