"""Checks of constructor arguments of the second generation."""
import numbers
import warnings
from collections.abc import Mapping, Sequence

from ... import tv_tensors
from ..kernels.dispatch import is_pure_tensor


def number_or_two(value, name):
    """One number or two as two floats."""
    if not isinstance(value, (int, float, Sequence)):
        raise TypeError(f"{name} should be a number or a sequence of numbers. Got {type(value)}")
    if isinstance(value, (int, float)):
        return [float(value), float(value)]
    if len(value) not in (1, 2):
        raise ValueError(f"If {name} is a sequence its length should be 1 or 2. Got {len(value)}")
    for element in value:
        if not isinstance(element, (int, float)):
            raise ValueError(f"{name} should be a sequence of numbers. Got {type(element)}")
    return [float(value[0]), float(value[-1])]


def fills(fill):
    """A fill value, or a dictionary {class: fill value}, as a dictionary."""
    if isinstance(fill, dict):
        for kind, value in fill.items():
            fill[kind] = fills(value)["others"]
        return fill
    if fill is not None and not isinstance(fill, (numbers.Number, tuple, list)):
        raise TypeError("Got inappropriate fill arg, only Numbers, tuples, lists and dicts are allowed.")
    return {"others": fill if fill is None or isinstance(fill, (int, float)) else [float(value) for value in fill]}


def fill_for(fills, inpt):
    """The fill value for an item; None where the dictionary has none for its class."""
    return fills.get(type(inpt), fills.get("others"))


def check_padding(padding):
    """ValueError unless a padding is an int or one, two or four."""
    numbers_given = [padding] if isinstance(padding, int) else padding
    fits = isinstance(numbers_given, (tuple, list)) and len(numbers_given) in (1, 2, 4)
    if not fits or not all([isinstance(value, int) for value in numbers_given]):
        raise ValueError(f"Padding must be an int or a 1, 2, or 4 element of tuple or list, got {padding}.")


def check_padding_mode(padding_mode):
    """ValueError for an unknown mode."""
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")


def default_labels(inputs):
    """The labels of a sample: a tensor in second place, or the entry of a dictionary named like "labels"."""
    if isinstance(inputs, (tuple, list)):
        inputs = inputs[1]
    if is_pure_tensor(inputs):
        return inputs
    if not isinstance(inputs, Mapping):
        raise ValueError("When using the default labels_getter, the input passed to forward must be a dictionary or a "
                         f"two-tuple whose second item is a dictionary or a tensor, but got {inputs} instead.")
    named = [key for key in inputs if key.lower() == "labels"] or [key for key in inputs if "label" in key.lower()]
    if not named:
        raise ValueError("Could not infer where the labels are in the sample. Try passing a callable as the "
                         "labels_getter parameter?If there are no labels in the sample by design, pass "
                         "labels_getter=None.")
    return inputs[named[0]]


def labels_getter_of(getter):
    """A function that finds the labels of a sample. ValueError for anything but "default", a function or None."""
    if getter is None:
        return lambda inputs: None
    if callable(getter):
        return getter
    if getter == "default":
        return default_labels
    raise ValueError(f"labels_getter should either be 'default', a callable, or None, but got {getter}.")


def warn_unchanged(transform, inpt):
    """A warning where boxes, points and masks pass a transform unchanged."""
    if isinstance(inpt, (tv_tensors.BoundingBoxes, tv_tensors.KeyPoints, tv_tensors.Mask)):
        warnings.warn(f"{type(transform).__name__}() is currently passing through inputs of type "
                      f"tv_tensors.{type(inpt).__name__}. This will likely change in the future.", stacklevel=4)
