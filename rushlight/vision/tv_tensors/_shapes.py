"""Tensors of positions in a picture: `BoundingBoxes` and `KeyPoints`."""
import enum

from ... import api as rl
from ._tensor import TVTensor


class BoundingBoxFormat(enum.Enum):
    """How a box is written: corners, corner and size, centre and size; R is an angle in degrees."""

    XYXY = "XYXY"
    XYWH = "XYWH"
    CXCYWH = "CXCYWH"
    XYWHR = "XYWHR"
    CXCYWHR = "CXCYWHR"
    XYXYXYXY = "XYXYXYXY"


_ROTATED = (BoundingBoxFormat.XYWHR, BoundingBoxFormat.CXCYWHR, BoundingBoxFormat.XYXYXYXY)


def is_rotated_bounding_format(format):
    """Whether boxes of a format (a member or its name) can be rotated. ValueError for anything else."""
    if isinstance(format, BoundingBoxFormat):
        return format in _ROTATED
    if isinstance(format, str):
        return format in [member.value for member in _ROTATED]
    raise ValueError(f"format should be str or BoundingBoxFormat, got {type(format)}")


class _Shapes(TVTensor):
    """A tensor with facts about its positions, which follow it through operations."""

    facts = ()

    @classmethod
    def wrap(cls, tensor, like, **kwargs):
        return cls._wrap(tensor, **{name: kwargs.get(name, getattr(like, name)) for name in cls.facts})

    @classmethod
    def _like(cls, tensor, source):
        return cls._wrap(tensor, check_dims=False, **{name: getattr(source, name) for name in cls.facts})

    def __repr__(self, *, tensor_contents=None):
        return self._make_repr(**{name: getattr(self, name) for name in self.facts})


class BoundingBoxes(_Shapes):
    """Boxes (N, 4), (N, 5) or (N, 8) in a picture of `canvas_size` = (height, width).

    Args:
        data: a tensor, an array or numbers.
        format (BoundingBoxFormat or str): how they are written.
        canvas_size (tuple of two ints): height and width of the picture.
        clamping_mode ("soft", "hard" or None): how transforms cut boxes at the border of the picture.

    Raises:
        ValueError: rotated boxes of integers, more than two dimensions, or an unknown mode.
    """

    facts = ("format", "canvas_size", "clamping_mode")

    def __new__(cls, data, *, format, canvas_size, clamping_mode="soft", dtype=None, device=None, requires_grad=None):
        tensor = cls._to_tensor(data, dtype=dtype, device=device, requires_grad=requires_grad)
        if not tensor.is_floating_point() and is_rotated_bounding_format(format):
            raise ValueError(f"Rotated bounding boxes should be floating point tensors, got {tensor.dtype}.")
        return cls._wrap(tensor, format=format, canvas_size=canvas_size, clamping_mode=clamping_mode)

    @classmethod
    def _wrap(cls, tensor, *, format, canvas_size, clamping_mode="soft", check_dims=True):
        if check_dims:
            if tensor.ndim == 1:
                tensor = tensor.unsqueeze(0)
            elif tensor.ndim != 2:
                raise ValueError(f"Expected a 1D or 2D tensor, got {tensor.ndim}D")
        if clamping_mode not in (None, "hard", "soft"):
            raise ValueError(f"clamping_mode must be None, hard or soft, got {clamping_mode}.")
        boxes = tensor.as_subclass(cls)
        boxes.format = BoundingBoxFormat[format.upper()] if isinstance(format, str) else format
        boxes.canvas_size = canvas_size
        boxes.clamping_mode = clamping_mode
        return boxes


class KeyPoints(_Shapes):
    """Points (..., 2), written (x, y), in a picture of `canvas_size` = (height, width).

    Raises:
        ValueError: if the last dimension is not 2.
    """

    facts = ("canvas_size",)

    def __new__(cls, data, *, canvas_size, dtype=None, device=None, requires_grad=None):
        tensor = cls._to_tensor(data, dtype=dtype, device=device, requires_grad=requires_grad)
        return cls._wrap(tensor, canvas_size=canvas_size)

    @classmethod
    def _wrap(cls, tensor, *, canvas_size, check_dims=True):
        if check_dims:
            if tensor.ndim == 1:
                tensor = tensor.unsqueeze(0)
            elif tensor.shape[-1] != 2:
                raise ValueError(f"Expected a tensor of shape (..., 2), not {tensor.shape}")
        points = tensor.as_subclass(cls)
        points.canvas_size = canvas_size
        return points


def plain(tensor):
    """A tensor of any class as a plain one."""
    return tensor if type(tensor) is rl.Tensor else tensor.as_subclass(rl.Tensor)
