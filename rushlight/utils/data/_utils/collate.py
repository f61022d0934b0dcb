"""From samples to batches: tensors with one more dimension, in the structure of the samples.

`default_collate_fn_map` says what becomes of which type; programs may add to it. Read next: fetch.py.
"""

import collections.abc
import copy
import re

import numpy as np

from .... import api as rl

default_collate_err_msg_format = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)
np_str_obj_array_pattern = re.compile(r"[SaUO]")


def default_convert(data):
    """Turns NumPy arrays into tensors, at any depth of lists, tuples (which become lists) and dictionaries."""
    if isinstance(data, rl.Tensor):
        return data
    kind = type(data)
    if kind.__module__ == "numpy" and kind.__name__ not in ("str_", "string_"):
        if isinstance(data, np.ndarray) and np_str_obj_array_pattern.search(data.dtype.str) is not None:
            return data
        return rl.as_tensor(data)
    if isinstance(data, collections.abc.Mapping):
        return _like_mapping(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple):
        converted = [default_convert(item) for item in data]
        return kind(*converted) if hasattr(data, "_fields") else converted
    if isinstance(data, collections.abc.Sequence) and not isinstance(data, (str, bytes)):
        return _like_sequence(data, [default_convert(item) for item in data])
    return data


def _like_mapping(original, values):
    """The values in a mapping of the original's type, which may carry more than its items; a dict if that is
    impossible.
    """
    if type(original) is dict:
        return values
    try:
        if isinstance(original, collections.abc.MutableMapping):
            clone = copy.copy(original)
            clone.update(values)
            return clone
        return type(original)(values)
    except TypeError:
        return values


def _like_sequence(original, values):
    """The values in a sequence of the original's type; a list if that is impossible."""
    if type(original) is list:
        return values
    try:
        if isinstance(original, collections.abc.MutableSequence):
            clone = copy.copy(original)
            for i, value in enumerate(values):
                clone[i] = value
            return clone
        return type(original)(values)
    except TypeError:
        return values


def collate(batch, *, collate_fn_map=None):
    """Puts samples together, as `default_collate` does, by a table of one's own.

    Args:
        batch: list of samples of the same structure.
        collate_fn_map: from types to functions `(batch, *, collate_fn_map)`; asked for the type itself first, then in
            order for its base classes.

    TypeError for types that are neither in the table nor collections; RuntimeError for sequences of different lengths.
    """
    sample = batch[0]
    kind = type(sample)
    if collate_fn_map is not None:
        if kind in collate_fn_map:
            return collate_fn_map[kind](batch, collate_fn_map=collate_fn_map)
        for candidate in collate_fn_map:
            if isinstance(sample, candidate):
                return collate_fn_map[candidate](batch, collate_fn_map=collate_fn_map)
    if isinstance(sample, collections.abc.Mapping):
        columns = {key: collate([other[key] for other in batch], collate_fn_map=collate_fn_map) for key in sample}
        return _like_mapping(sample, columns)
    if isinstance(sample, tuple) and hasattr(sample, "_fields"):
        return kind(*(collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch)))
    if isinstance(sample, collections.abc.Sequence):
        size = len(sample)
        if not all(len(other) == size for other in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = [collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch)]
        return columns if isinstance(sample, tuple) else _like_sequence(sample, columns)
    raise TypeError(default_collate_err_msg_format.format(kind))


def collate_tensor_fn(batch, *, collate_fn_map=None):
    """Tensors of one shape: stacked along a new first dimension."""
    return rl.stack(batch, 0)


def collate_numpy_array_fn(batch, *, collate_fn_map=None):
    """NumPy arrays of one shape and a numeric type: stacked to a tensor."""
    sample = batch[0]
    if np_str_obj_array_pattern.search(sample.dtype.str) is not None:
        raise TypeError(default_collate_err_msg_format.format(sample.dtype))
    return collate([rl.as_tensor(other) for other in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch, *, collate_fn_map=None):
    """NumPy numbers: a tensor of their type."""
    return rl.as_tensor(batch)


def collate_float_fn(batch, *, collate_fn_map=None):
    """Python floats: a tensor of float64."""
    return rl.tensor(batch, dtype=rl.float64)


def collate_int_fn(batch, *, collate_fn_map=None):
    """Python integers or booleans: a tensor of int64 or bool."""
    return rl.tensor(batch)


def collate_str_fn(batch, *, collate_fn_map=None):
    """Texts stay a list."""
    return batch


default_collate_fn_map = {
    rl.Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def default_collate(batch):
    """Puts a list of samples together to a batch: tensors, arrays and numbers along a new first dimension.

    Dictionaries become dictionaries of batches, tuples and lists become lists of batches, named tuples stay such, and
    texts become a list of texts. TypeError for anything else, RuntimeError for sequences of different lengths.
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def is_unchanged():
    """Whether tensors are still stacked by `collate_tensor_fn`: programs may have put another function into the
    table.
    """
    return default_collate_fn_map.get(rl.Tensor) is collate_tensor_fn
