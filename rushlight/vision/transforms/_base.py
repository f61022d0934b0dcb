"""The base of the first generation's transforms: modules that print the arguments they were made with."""
from ... import api as rl
from ...nn.modules.module import Module
from . import functional as F
from ._draws import chance
from .interpolation import InterpolationMode


class Shown(Module):
    """A module that prints the attributes named in `shown`."""

    shown = ()

    def _text(self, name):
        value = getattr(self, name)
        return value.value if isinstance(value, InterpolationMode) else value

    def __repr__(self):
        return f"{type(self).__name__}({', '.join([f'{name}={self._text(name)}' for name in self.shown])})"


class Chance(Shown):
    """Apply `change` with probability `p`."""

    shown = ("p",)

    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def change(self, img):
        """What is done to the image."""
        raise NotImplementedError

    def forward(self, img):
        return self.change(img) if chance(self.p) else img


def fill_of(fill, img):
    """A fill value as the functions want it: for tensors a float for each channel."""
    if not isinstance(img, rl.Tensor) or fill is None:
        return fill
    return [float(fill)] * F.get_image_num_channels(img) if isinstance(fill, (int, float)) else [float(f) for f in fill]
