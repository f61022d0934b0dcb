"""Tensors that show pictures: `Image`, `Video` and `Mask`."""
from ... import api as rl
from ..pictures import is_picture, to_array
from ._tensor import TVTensor


def _samples(data):
    """A Pillow image as a tensor (C, H, W); anything else as it is."""
    return rl.from_numpy(to_array(data).copy()).permute(2, 0, 1) if is_picture(data) else data


class Image(TVTensor):
    """An image (..., C, H, W), made of a tensor, an array, numbers or a Pillow image.

    Raises:
        ValueError: below two dimensions.
    """

    def __new__(cls, data, *, dtype=None, device=None, requires_grad=None):
        tensor = cls._to_tensor(_samples(data), dtype=dtype, device=device, requires_grad=requires_grad)
        if tensor.ndim < 2:
            raise ValueError(f"Tensor must be 2D or higher, got {tensor.ndim}D tensor.")
        return (tensor.unsqueeze(0) if tensor.ndim == 2 else tensor).as_subclass(cls)

    def __repr__(self, *, tensor_contents=None):
        return self._make_repr()


class Video(TVTensor):
    """A video (..., T, C, H, W).

    Raises:
        ValueError: below four dimensions.
    """

    def __new__(cls, data, *, dtype=None, device=None, requires_grad=None):
        tensor = cls._to_tensor(data, dtype=dtype, device=device, requires_grad=requires_grad)
        if tensor.ndim < 4:
            raise ValueError(f"a video has 4 dimensions or more, got {tensor.ndim}")
        return tensor.as_subclass(cls)

    def __repr__(self, *, tensor_contents=None):
        return self._make_repr()


class Mask(TVTensor):
    """A segmentation mask (..., H, W), or masks of objects (N, H, W)."""

    def __new__(cls, data, *, dtype=None, device=None, requires_grad=None):
        tensor = cls._to_tensor(_samples(data), dtype=dtype, device=device, requires_grad=requires_grad)
        return tensor.as_subclass(cls)
