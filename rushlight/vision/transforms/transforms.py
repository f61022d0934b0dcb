"""Transforms as objects that are made once and called for every image. The work is done in functional.py."""
from ... import api as rl
from ...nn.modules.module import Module
from . import functional as F

__all__ = ["Compose", "ConvertImageDtype", "Lambda", "Normalize", "PILToTensor", "ToPILImage", "ToTensor"]


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
                    img = F.to_normalized_tensor(img, transform.mean, transform.std)
                    waiting = None
                    continue
                img = waiting(img)
                waiting = None
            if type(transform) is ToTensor:
                waiting = transform
            else:
                img = transform(img)
        return img if waiting is None else waiting(img)

    def __repr__(self):
        lines = [f"    {transform}" for transform in self.transforms]
        return "\n".join([f"{type(self).__name__}(", *lines, ")"])


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
