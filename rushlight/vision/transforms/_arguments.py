"""Checks of constructor arguments that both generations of transforms share."""
import numbers
import warnings
from collections.abc import Sequence

from .interpolation import mode_of_number

TWO = "Please provide only two dimensions (h, w) for size."


def pair(size, message=TWO):
    """A size as two numbers, (height, width). ValueError with `message` for other lengths."""
    if isinstance(size, numbers.Number):
        return (int(size), int(size))
    if isinstance(size, Sequence) and len(size) == 1:
        return (size[0], size[0])
    if len(size) != 2:
        raise ValueError(message)
    return size


def check_length(value, name, lengths):
    """TypeError or ValueError unless a value is a sequence of one of the lengths."""
    text = f"{name} should be a sequence of length {' or '.join([str(length) for length in lengths])}."
    if not isinstance(value, Sequence):
        raise TypeError(text)
    if len(value) not in lengths:
        raise ValueError(text)


def angles(value, name, lengths=(2,)):
    """Angles as floats: one number is a range around 0."""
    if isinstance(value, numbers.Number):
        if value < 0:
            raise ValueError(f"If {name} is a single number, it must be positive.")
        value = [-value, value]
    check_length(value, name, lengths)
    return [float(angle) for angle in value]


def mode(interpolation):
    """An interpolation mode; Pillow's numbers become modes."""
    return mode_of_number(interpolation) if isinstance(interpolation, int) else interpolation


def check_affine(translate, scale, center):
    """ValueError or TypeError unless the ranges of an affine map fit."""
    if translate is not None:
        check_length(translate, "translate", (2,))
        if not all([0.0 <= share <= 1.0 for share in translate]):
            raise ValueError("translation values should be between 0 and 1")
    if scale is not None:
        check_length(scale, "scale", (2,))
        if not all([factor > 0 for factor in scale]):
            raise ValueError("scale values should be positive")
    if center is not None:
        check_length(center, "center", (2,))


def check_ranges(scale, ratio):
    """TypeError unless both are sequences; a warning where they are not (low, high)."""
    if not isinstance(scale, Sequence):
        raise TypeError("Scale should be a sequence")
    if not isinstance(ratio, Sequence):
        raise TypeError("Ratio should be a sequence")
    if scale[0] > scale[1] or ratio[0] > ratio[1]:
        warnings.warn("Scale and ratio should be of kind (min, max)", stacklevel=3)


def check_erasing(scale, ratio, value):
    """The checks of RandomErasing's arguments."""
    if not isinstance(value, (numbers.Number, str, tuple, list)):
        raise TypeError("Argument value should be either a number or str or a sequence")
    if isinstance(value, str) and value != "random":
        raise ValueError("If value is str, it should be 'random'")
    check_ranges(scale, ratio)
    if scale[0] < 0 or scale[1] > 1:
        raise ValueError("Scale should be between 0 and 1")


def check_linear(matrix, mean):
    """ValueError unless a square matrix and a vector fit each other."""
    size = tuple(matrix.size())
    if size[0] != size[1]:
        raise ValueError(f"transformation_matrix should be square. Got {size} rectangular matrix.")
    if mean.size(0) != size[0]:
        raise ValueError(f"mean_vector should have the same length {mean.size(0)} as any one of the dimensions of the "
                         f"transformation_matrix [{size}]")
    if matrix.device != mean.device:
        raise ValueError(f"Input tensors should be on the same device. Got {matrix.device} and {mean.device}")
    if matrix.dtype != mean.dtype:
        raise ValueError(f"Input tensors should have the same dtype. Got {matrix.dtype} and {mean.dtype}")


def linear(tensor, matrix, mean):
    """`(flattened images - mean) @ matrix`, in the images' shape."""
    shape = tensor.shape
    count = shape[-3] * shape[-2] * shape[-1]
    if count != matrix.shape[0]:
        raise ValueError("Input tensor and transformation matrix have incompatible shape."
                         f"[{shape[-3]} x {shape[-2]} x {shape[-1]}] != {matrix.shape[0]}")
    if tensor.device.type != mean.device.type:
        raise ValueError("Input tensor should be on the same device as transformation matrix and mean vector. Got "
                         f"{tensor.device} vs {mean.device}")
    flat = tensor.reshape(-1, count) - mean
    return (flat @ matrix.to(flat.dtype)).reshape(shape)
