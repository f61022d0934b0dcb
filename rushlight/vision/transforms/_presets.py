"""The preprocessing that published weights expect: `weights.transforms()` makes one of these modules."""
from ... import api as rl
from ...core.tensor import Tensor
from ...nn.modules.module import Module
from . import functional as F
from .interpolation import InterpolationMode

__all__ = ["ImageClassification", "ObjectDetection", "OpticalFlow", "SemanticSegmentation", "VideoClassification"]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
INPUTS = ("Accepts ``PIL.Image``, batched ``(B, C, H, W)`` and single ``(C, H, W)`` image ``torch.Tensor`` objects.")


def _as_tensor(image):
    return image if isinstance(image, Tensor) else F.pil_to_tensor(image)


class _Preset(Module):
    """A preset shows the values of `shown`, one a line."""

    shown = ()

    def __repr__(self):
        lines = "".join(f"\n    {name}={getattr(self, name)}" for name in self.shown)
        return f"{type(self).__name__}({lines}\n)" if lines else f"{type(self).__name__}()"


class ObjectDetection(_Preset):
    """Convert an image to a float tensor in [0, 1]; detection models do the rest themselves."""

    def forward(self, img):
        return F.convert_image_dtype(_as_tensor(img), rl.float)

    def describe(self):
        """Say in words what happens."""
        return f"{INPUTS} The images are rescaled to ``[0.0, 1.0]``."


class ImageClassification(_Preset):
    """Resize an image, crop its centre, scale it to [0, 1] and normalise it."""

    shown = ("crop_size", "resize_size", "mean", "std", "interpolation")

    def __init__(self, *, crop_size, resize_size=256, mean=MEAN, std=STD, interpolation=InterpolationMode.BILINEAR,
                 antialias=True):
        super().__init__()
        self.crop_size, self.resize_size = [crop_size], [resize_size]
        self.mean, self.std = list(mean), list(std)
        self.interpolation, self.antialias = interpolation, antialias

    def forward(self, img):
        img = F.resize(img, self.resize_size, interpolation=self.interpolation, antialias=self.antialias)
        img = _as_tensor(F.center_crop(img, self.crop_size))
        return F.normalize(F.convert_image_dtype(img, rl.float), mean=self.mean, std=self.std)

    def describe(self):
        """Say in words what happens."""
        return (f"{INPUTS} The images are resized to ``resize_size={self.resize_size}`` using "
                f"``interpolation={self.interpolation}``, followed by a central crop of "
                f"``crop_size={self.crop_size}``. Finally the values are first rescaled to ``[0.0, 1.0]`` and then "
                f"normalized using ``mean={self.mean}`` and ``std={self.std}``.")


class VideoClassification(_Preset):
    """The same for the frames of videos (T, C, H, W) or (B, T, C, H, W); dimensions of results are (C, T, H, W)."""

    shown = ImageClassification.shown

    def __init__(self, *, crop_size, resize_size, mean=(0.43216, 0.394666, 0.37645), std=(0.22803, 0.22145, 0.216989),
                 interpolation=InterpolationMode.BILINEAR):
        super().__init__()
        self.crop_size, self.resize_size = list(crop_size), list(resize_size)
        self.mean, self.std = list(mean), list(std)
        self.interpolation = interpolation

    def forward(self, vid):
        lead = vid.shape[:-3]
        frames = vid.reshape(-1, *vid.shape[-3:])
        frames = F.resize(frames, self.resize_size, interpolation=self.interpolation, antialias=False)
        frames = F.convert_image_dtype(F.center_crop(frames, self.crop_size), rl.float)
        frames = F.normalize(frames, mean=self.mean, std=self.std)
        return frames.reshape(*lead, *frames.shape[1:]).transpose(-4, -3)

    def describe(self):
        """Say in words what happens."""
        return ("Accepts batched ``(B, T, C, H, W)`` and single ``(T, C, H, W)`` video frame ``torch.Tensor`` "
                f"objects. The frames are resized to ``resize_size={self.resize_size}`` using "
                f"``interpolation={self.interpolation}``, followed by a central crop of "
                f"``crop_size={self.crop_size}``. Finally the values are first rescaled to ``[0.0, 1.0]`` and then "
                f"normalized using ``mean={self.mean}`` and ``std={self.std}``. Finally the output dimensions are "
                "permuted to ``(..., C, T, H, W)`` tensors.")


class SemanticSegmentation(_Preset):
    """Resize an image, scale it to [0, 1] and normalise it."""

    shown = ("resize_size", "mean", "std", "interpolation")

    def __init__(self, *, resize_size, mean=MEAN, std=STD, interpolation=InterpolationMode.BILINEAR, antialias=True):
        super().__init__()
        self.resize_size = None if resize_size is None else [resize_size]
        self.mean, self.std = list(mean), list(std)
        self.interpolation, self.antialias = interpolation, antialias

    def forward(self, img):
        if self.resize_size is not None:
            img = F.resize(img, self.resize_size, interpolation=self.interpolation, antialias=self.antialias)
        return F.normalize(F.convert_image_dtype(_as_tensor(img), rl.float), mean=self.mean, std=self.std)

    def describe(self):
        """Say in words what happens."""
        return (f"{INPUTS} The images are resized to ``resize_size={self.resize_size}`` using "
                f"``interpolation={self.interpolation}``. Finally the values are first rescaled to ``[0.0, 1.0]`` and "
                f"then normalized using ``mean={self.mean}`` and ``std={self.std}``.")


class OpticalFlow(_Preset):
    """Scale two images to [-1, 1]."""

    def forward(self, img1, img2):
        return tuple([(F.convert_image_dtype(_as_tensor(img), rl.float) - 0.5).div(0.5).contiguous()
                      for img in (img1, img2)])

    def describe(self):
        """Say in words what happens."""
        return f"{INPUTS} The images are rescaled to ``[-1.0, 1.0]``."
