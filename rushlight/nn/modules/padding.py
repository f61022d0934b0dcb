"""Padding: layers that put a border around images.

`padding` is one number for all sides, or (left, right), (left, right, top, bottom) or (left, right, top, bottom, front,
back).
"""
from .. import functional as F
from .module import Module
from .utils import _ntuple, _pair, _quadruple

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]

_sextuple = _ntuple(6, "_sextuple")


class _CircularPadNd(Module):
    """A border with the values of the opposite side."""

    def _check_input_dim(self, input):
        raise NotImplementedError

    def forward(self, input):
        self._check_input_dim(input)
        return F.pad(input, self.padding, "circular")

    def extra_repr(self):
        return f"{self.padding}"


def _check_dims(input, unbatched):
    if input.dim() not in (unbatched, unbatched + 1):
        raise ValueError(f"expected {unbatched}D or {unbatched + 1}D input (got {input.dim()}D input)")


class CircularPad1d(_CircularPadNd):
    """A border with the values of the opposite side. Shape: (N, C, W) or (C, W)."""

    def __init__(self, padding):
        super().__init__()
        self.padding = _pair(padding)

    def _check_input_dim(self, input):
        _check_dims(input, 2)


class CircularPad2d(_CircularPadNd):
    """A border with the values of the opposite side. Shape: (N, C, H, W) or (C, H, W)."""

    def __init__(self, padding):
        super().__init__()
        self.padding = _quadruple(padding)

    def _check_input_dim(self, input):
        _check_dims(input, 3)


class CircularPad3d(_CircularPadNd):
    """A border with the values of the opposite side. Shape: (N, C, D, H, W) or (C, D, H, W)."""

    def __init__(self, padding):
        super().__init__()
        self.padding = _sextuple(padding)

    def _check_input_dim(self, input):
        _check_dims(input, 4)


class _ConstantPadNd(Module):
    """A border of one value."""

    def __init__(self, value: float):
        super().__init__()
        self.value = value

    def forward(self, input):
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self):
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadNd):
    """A border of one value. Shape: (N, C, W) or (C, W)."""

    def __init__(self, padding, value: float):
        super().__init__(value)
        self.padding = _pair(padding)


class ConstantPad2d(_ConstantPadNd):
    """A border of one value. Shape: (N, C, H, W) or (C, H, W)."""

    def __init__(self, padding, value: float):
        super().__init__(value)
        self.padding = _quadruple(padding)


class ConstantPad3d(_ConstantPadNd):
    """A border of one value. Shape: (N, C, D, H, W) or (C, D, H, W)."""

    def __init__(self, padding, value: float):
        super().__init__(value)
        self.padding = _sextuple(padding)


class ZeroPad1d(ConstantPad1d):
    """A border of zeros. Shape: (N, C, W) or (C, W)."""

    def __init__(self, padding):
        super().__init__(padding, 0.0)

    def extra_repr(self):
        return f"{self.padding}"


class ZeroPad2d(ConstantPad2d):
    """A border of zeros. Shape: (N, C, H, W) or (C, H, W)."""

    def __init__(self, padding):
        super().__init__(padding, 0.0)

    def extra_repr(self):
        return f"{self.padding}"


class ZeroPad3d(ConstantPad3d):
    """A border of zeros. Shape: (N, C, D, H, W) or (C, D, H, W)."""

    def __init__(self, padding):
        super().__init__(padding, 0.0)

    def extra_repr(self):
        return f"{self.padding}"


class _ReflectionPadNd(Module):
    """A border that mirrors the values next to it, without the outermost ones."""

    def forward(self, input):
        return F.pad(input, self.padding, "reflect")

    def extra_repr(self):
        return f"{self.padding}"


class ReflectionPad1d(_ReflectionPadNd):
    """A border that mirrors the values next to it. Shape: (N, C, W) or (C, W)."""

    def __init__(self, padding):
        super().__init__()
        self.padding = _pair(padding)


class ReflectionPad2d(_ReflectionPadNd):
    """A border that mirrors the values next to it. Shape: (N, C, H, W) or (C, H, W)."""

    def __init__(self, padding):
        super().__init__()
        self.padding = _quadruple(padding)


class ReflectionPad3d(_ReflectionPadNd):
    """A border that mirrors the values next to it. Shape: (N, C, D, H, W) or (C, D, H, W)."""

    def __init__(self, padding):
        super().__init__()
        self.padding = _sextuple(padding)


class _ReplicationPadNd(Module):
    """A border that repeats the outermost values."""

    def forward(self, input):
        return F.pad(input, self.padding, "replicate")

    def extra_repr(self):
        return f"{self.padding}"


class ReplicationPad1d(_ReplicationPadNd):
    """A border that repeats the outermost values. Shape: (N, C, W) or (C, W)."""

    def __init__(self, padding):
        super().__init__()
        self.padding = _pair(padding)


class ReplicationPad2d(_ReplicationPadNd):
    """A border that repeats the outermost values. Shape: (N, C, H, W) or (C, H, W)."""

    def __init__(self, padding):
        super().__init__()
        self.padding = _quadruple(padding)


class ReplicationPad3d(_ReplicationPadNd):
    """A border that repeats the outermost values. Shape: (N, C, D, H, W) or (C, D, H, W)."""

    def __init__(self, padding):
        super().__init__()
        self.padding = _sextuple(padding)
