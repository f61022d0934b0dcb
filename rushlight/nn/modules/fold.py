"""Sliding blocks of images as columns (`Unfold`), and the way back (`Fold`)."""
from .. import functional as F
from .module import Module

__all__ = ["Fold", "Unfold"]


class Fold(Module):
    """Adds up columns of blocks into an image; overlapping values are summed.

    Args: `output_size`, `kernel_size`, `dilation`, `padding`, `stride`, each an int or a pair.
    Shape: (N, C * prod(kernel_size), L) to (N, C, *output_size); N may be missing.
    """

    def __init__(self, output_size, kernel_size, dilation=1, padding=0, stride=1):
        super().__init__()
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input):
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self):
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )


class Unfold(Module):
    """Takes all sliding blocks of an image as columns.

    Args: `kernel_size`, `dilation`, `padding`, `stride`, each an int or a pair.
    Shape: (N, C, *) to (N, C * prod(kernel_size), L) with L the number of blocks; N may be missing.
    """

    def __init__(self, kernel_size, dilation=1, padding=0, stride=1):
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input):
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self):
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"
        )
