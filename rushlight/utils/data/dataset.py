"""Data sets: things with `data[i]` and `len(data)`, things to iterate over, and ways to put them together.

In: tensors, or data sets of the program. Out: samples, and for the data sets made here whole batches: `_fetch_batch`
gives what `default_collate` would make of the samples, without making the samples. Read next: sampler.py,
_utils/fetch.py.
"""

import bisect
import itertools
import math
import warnings
from collections.abc import Iterable
from typing import Generic, TypeVar

from ... import api as rl

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Samples by key. Subclasses define `__getitem__`, usually `__len__`, and may define `__getitems__`.

    `__getitems__(indices)`, if there is one, gets the list of all keys of a batch and returns the list of their
    samples.
    """

    def __getitem__(self, index) -> T_co:
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other):
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co], Iterable[T_co]):
    """A stream of samples. Subclasses define `__iter__`; `get_worker_info` tells each worker which part is its own."""

    def __add__(self, other):
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple]):
    """The rows of tensors: sample i is the tuple of `tensor[i]`.

    Args:
        *tensors: tensors with the same size in their first dimension (AssertionError otherwise).
    """

    def __init__(self, *tensors):
        if any(tensors[0].size(0) != tensor.size(0) for tensor in tensors):
            raise AssertionError("Size mismatch between tensors")
        self.tensors = tensors

    def __getitem__(self, index):
        return tuple(tensor[index] for tensor in self.tensors)

    def __getitems__(self, indices):
        """The samples of a list of indices, cut out of one indexing operation per tensor."""
        columns = self._columns(indices)
        if columns is None or not columns:
            return [self[index] for index in indices]
        return list(zip(*(column.unbind(0) for column in columns)))

    def __len__(self):
        return self.tensors[0].size(0)

    def _fetch_batch(self, indices):
        columns = self._columns(indices)
        return NotImplemented if columns is None else columns

    def _columns(self, indices):
        """`tensor[indices]` for each tensor; None where single samples have to be asked for."""
        if type(self).__getitem__ is not TensorDataset.__getitem__:
            return None
        if isinstance(indices, slice):
            # A copy: programs change batches in place.
            return [tensor[indices].clone(memory_format=rl.contiguous_format) for tensor in self.tensors]
        if not isinstance(indices, rl.Tensor):
            if not _are_plain(indices, len(self)):
                return None
            indices = rl.tensor(indices)
        columns, device = [], indices.device
        for tensor in self.tensors:
            near = tensor.device is device or tensor.device == device
            columns.append(rl.index_select(tensor, 0, indices if near else indices.to(tensor.device)))
        return columns


def _are_plain(indices, length):
    """Whether these are Python integers that count from the front: all that `index_select` takes."""
    if not isinstance(indices, (list, tuple)) or not indices or set(map(type, indices)) != {int}:
        return False
    return min(indices) >= 0 and max(indices) < length


class StackDataset(Dataset):
    """Data sets of equal length side by side: a sample is the tuple, or the dictionary, of the samples of all of them.

    Args:
        *args: data sets, for tuples.
        **kwargs: data sets by name, for dictionaries. ValueError if both or none are given, or their lengths differ.
    """

    def __init__(self, *args, **kwargs):
        if args and kwargs:
            raise ValueError(
                "Supported either ``tuple``- (via ``args``) or ``dict``- (via ``kwargs``) like input/output, but "
                "both types are given."
            )
        if not args and not kwargs:
            raise ValueError("At least one dataset should be passed")
        self.datasets = args or kwargs
        members = list(self.datasets.values()) if isinstance(self.datasets, dict) else self.datasets
        self._length = len(members[0])
        if any(self._length != len(dataset) for dataset in members):
            raise ValueError("Size mismatch between datasets")

    def __getitem__(self, index):
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __getitems__(self, indices):
        """The samples of a list of indices, by `__getitems__` of the members that have one."""
        if isinstance(self.datasets, dict):
            columns = [_samples(dataset, indices) for dataset in self.datasets.values()]
            return [dict(zip(self.datasets, sample)) for sample in zip(*columns)]
        return list(zip(*(_samples(dataset, indices) for dataset in self.datasets)))

    def __len__(self):
        return self._length

    def _fetch_batch(self, indices):
        if type(self).__getitem__ is not StackDataset.__getitem__:
            return NotImplemented
        members = self.datasets.values() if isinstance(self.datasets, dict) else self.datasets
        columns = [fetch_batch(dataset, indices) for dataset in members]
        if any(column is NotImplemented for column in columns):
            return NotImplemented
        return dict(zip(self.datasets, columns)) if isinstance(self.datasets, dict) else columns


def _samples(dataset, indices):
    if not callable(getattr(dataset, "__getitems__", None)):
        return [dataset[index] for index in indices]
    items = dataset.__getitems__(indices)
    if len(items) != len(indices):
        raise ValueError(f"Nested dataset's output size mismatch. Expected {len(indices)}, got {len(items)}")
    return items


def fetch_batch(dataset, indices):
    """What `default_collate` would make of the samples, if the data set can tell without making them; else
    NotImplemented.
    """
    fetch = getattr(dataset, "_fetch_batch", None)
    return NotImplemented if fetch is None else fetch(indices)


class ConcatDataset(Dataset[T_co]):
    """Data sets one behind the other.

    Args:
        datasets: data sets with a length, at least one (AssertionError otherwise).
    """

    @staticmethod
    def cumsum(sequence):
        """The lengths of the members, summed up."""
        return list(itertools.accumulate(len(member) for member in sequence))

    def __init__(self, datasets):
        super().__init__()
        self.datasets = list(datasets)
        if len(self.datasets) == 0:
            raise AssertionError("datasets should not be an empty iterable")
        for dataset in self.datasets:
            if isinstance(dataset, IterableDataset):
                raise AssertionError("ConcatDataset does not support IterableDataset")
        self.cumulative_sizes = self.cumsum(self.datasets)

    def __len__(self):
        return self.cumulative_sizes[-1]

    def __getitem__(self, idx):
        member, index = self._place(idx)
        return self.datasets[member][index]

    def __getitems__(self, indices):
        """The samples of a list of indices; each member is asked once, for all of its own."""
        if type(self).__getitem__ is not ConcatDataset.__getitem__:
            return [self[index] for index in indices]
        places, groups = self._group(indices)
        samples = {member: iter(_samples(self.datasets[member], own)) for member, own in groups.items()}
        return [next(samples[member]) for member, _ in places]

    def _place(self, idx):
        """(the member, the index in it)"""
        if idx < 0:
            if -idx > len(self):
                raise ValueError("absolute value of index should not exceed dataset length")
            idx = len(self) + idx
        member = bisect.bisect_right(self.cumulative_sizes, idx)
        return member, idx if member == 0 else idx - self.cumulative_sizes[member - 1]

    def _group(self, indices):
        places = [self._place(index) for index in indices]
        groups = {}
        for member, index in places:
            if member >= len(self.datasets):
                wrong = indices[places.index((member, index))]
                raise IndexError(f"ConcatDataset: index {wrong} is out of range for {len(self)} samples")
            groups.setdefault(member, []).append(index)
        return places, groups

    def _fetch_batch(self, indices):
        if type(self).__getitem__ is not ConcatDataset.__getitem__ or not _are_plain(indices, len(self)):
            return NotImplemented
        places, groups = self._group(indices)
        batches = [fetch_batch(self.datasets[member], own) for member, own in groups.items()]
        if len(batches) == 1:
            return batches[0]
        if not all(_fit_together(batches[0], batch) for batch in batches):
            return NotImplemented
        # The parts come member by member; put their rows into the order that was asked for.
        starts = dict(zip(groups, itertools.accumulate((len(own) for own in groups.values()), initial=0)))
        order = []
        for member, _ in places:
            order.append(starts[member])
            starts[member] += 1
        order = rl.tensor(order)
        return [rl.index_select(rl.cat(columns), 0, order.to(columns[0].device)) for columns in zip(*batches)]

    @property
    def cummulative_sizes(self):
        """The old spelling of `cumulative_sizes`."""
        warnings.warn("`cummulative_sizes` attribute is renamed to `cumulative_sizes`", FutureWarning, stacklevel=2)
        return self.cumulative_sizes


def _fit_together(first, second):
    """Whether two batches are lists of tensors whose rows can be mixed, as `stack` demands of samples."""
    if not (isinstance(first, list) and isinstance(second, list) and len(first) == len(second)):
        return False
    return all(
        isinstance(a, rl.Tensor) and isinstance(b, rl.Tensor) and a.dtype == b.dtype and a.shape[1:] == b.shape[1:]
        and a.device == b.device
        for a, b in zip(first, second)
    )


class ChainDataset(IterableDataset):
    """Streams one after the other.

    Args:
        datasets: IterableDatasets (AssertionError while iterating otherwise).
    """

    def __init__(self, datasets):
        super().__init__()
        self.datasets = datasets

    def __iter__(self):
        for dataset in self.datasets:
            _expect_stream(dataset)
            yield from dataset

    def __len__(self):
        total = 0
        for dataset in self.datasets:
            _expect_stream(dataset)
            total += len(dataset)
        return total


def _expect_stream(dataset):
    if not isinstance(dataset, IterableDataset):
        raise AssertionError("ChainDataset only supports IterableDataset")


class Subset(Dataset[T_co]):
    """Some of the samples of a data set.

    A subclass with a `__getitem__` of its own needs a `__getitems__` as well, or NotImplementedError tells so.

    Args:
        dataset: the whole data set.
        indices: sequence of the chosen indices, in order.
    """

    def __init__(self, dataset, indices):
        self.dataset = dataset
        self.indices = indices
        kind = type(self)
        if kind.__getitem__ is not Subset.__getitem__ and kind.__getitems__ is Subset.__getitems__:
            raise NotImplementedError(
                f"{kind.__name__} overrides __getitem__ but not __getitems__. When subclassing Subset and overriding "
                "__getitem__, you must also override __getitems__ to ensure DataLoader works correctly with your "
                "custom logic. A simple implementation:\n\ndef __getitems__(self, indices):\n    return "
                "[self.__getitem__(idx) for idx in indices]"
            )

    def __getitem__(self, idx):
        if isinstance(idx, list):
            return self.dataset[[self.indices[i] for i in idx]]
        return self.dataset[self.indices[idx]]

    def __getitems__(self, indices):
        """The samples of a list of indices, by `__getitems__` of the whole data set if it has one."""
        if callable(getattr(self.dataset, "__getitems__", None)):
            return self.dataset.__getitems__([self.indices[idx] for idx in indices])
        return [self.dataset[self.indices[idx]] for idx in indices]

    def __len__(self):
        return len(self.indices)

    def _fetch_batch(self, indices):
        if type(self).__getitems__ is not Subset.__getitems__:
            return NotImplemented
        return fetch_batch(self.dataset, [self.indices[idx] for idx in indices])


def random_split(dataset, lengths, generator=rl.default_generator):
    """Splits a data set at random into parts of given lengths, as a list of Subsets.

    Args:
        dataset: what to split.
        lengths: numbers of samples, or fractions that sum up to 1: these are rounded down, and what is left over is
            given out one sample each from the front.
        generator: where the permutation comes from.

    ValueError when the lengths do not sum up to the length of the data set, or a fraction is not between 0 and 1.
    """
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        lengths = _lengths_of_fractions(lengths, len(dataset))
    if sum(lengths) != len(dataset):
        raise ValueError("Sum of input lengths does not equal the length of the input dataset!")
    indices = rl.randperm(sum(lengths), generator=generator).tolist()
    ends = itertools.accumulate(lengths)
    return [Subset(dataset, indices[end - length:end]) for end, length in zip(ends, lengths)]


def _lengths_of_fractions(fractions, total):
    lengths = []
    for i, fraction in enumerate(fractions):
        if fraction < 0 or fraction > 1:
            raise ValueError(f"Fraction at index {i} is not between 0 and 1")
        lengths.append(math.floor(total * fraction))
    for i in range(total - sum(lengths)):
        lengths[i % len(lengths)] += 1
    for i, length in enumerate(lengths):
        if length == 0:
            warnings.warn(f"Length of split at index {i} is 0. This might result in an empty dataset.", stacklevel=3)
    return lengths
