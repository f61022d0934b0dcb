"""Samplers: the order in which samples are asked for, as indices or lists of them.

Random draws are made in PyTorch's order, so that the same seed gives the same order. Read next: dataloader.py.
"""

import itertools
from typing import Generic, TypeVar

from ... import api as rl

T_co = TypeVar("T_co", covariant=True)
SPLIT = 512  # batches of indices that are made at once


def draw_seed(generator=None):
    """A 63-bit random number from a generator (None: the default one), as PyTorch draws seeds for samplers and
    workers.
    """
    return int(rl.empty((), dtype=rl.int64).random_(generator=generator).item())


class Sampler(Generic[T_co]):
    """Base class of samplers. Subclasses define `__iter__`, and `__len__` if the length is known."""

    def __iter__(self):
        raise NotImplementedError


class SequentialSampler(Sampler[int]):
    """0, 1, 2, ... in order.

    Args:
        data_source: something with a length.
    """

    def __init__(self, data_source):
        self.data_source = data_source

    def __iter__(self):
        return iter(range(len(self.data_source)))

    def index_batches(self, batch_size, drop_last):
        """The batches of one pass as slices."""
        n = len(self.data_source)
        for start in range(0, n - n % batch_size if drop_last else n, batch_size):
            yield slice(start, min(start + batch_size, n))

    def __len__(self):
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """Indices in random order.

    Args:
        data_source: something with a length.
        replacement: whether an index may be drawn again.
        num_samples: how many to draw (default: the length); without replacement, permutations follow each other.
        generator: where random numbers come from (default: a new one, seeded by the default generator).
    """

    def __init__(self, data_source, replacement=False, num_samples=None, generator=None):
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        if not isinstance(self.replacement, bool):
            raise TypeError(f"replacement should be a boolean value, but got replacement={self.replacement}")
        if not isinstance(self.num_samples, int) or self.num_samples <= 0:
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={self.num_samples}")

    @property
    def num_samples(self):
        # The length may change while the sampler lives.
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self):
        n, generator = len(self.data_source), self._generator()
        if self.replacement:
            for _ in range(self.num_samples // 32):
                yield from self._draw(n, 32, generator)
            yield from self._draw(n, self.num_samples % 32, generator)
            return
        for _ in range(self.num_samples // n):
            yield from rl.randperm(n, generator=generator).tolist()
        rest = self.num_samples % n
        if rest or self.generator is not None:
            # PyTorch draws this permutation even if nothing of it is used, which others who share the generator notice.
            yield from rl.randperm(n, generator=generator).tolist()[:rest]

    def index_batches(self, batch_size, drop_last):
        """The batches of one pass as parts of a tensor; None when the order is not a single permutation."""
        if self.replacement or self._num_samples is not None:
            return None
        return self._parts(batch_size, drop_last)

    def _parts(self, batch_size, drop_last):
        n, generator = len(self.data_source), self._generator()
        order = rl.randperm(n, generator=generator)
        full = n - n % batch_size
        if full:
            for several in order[:full].split(batch_size * SPLIT):  # to split is cheaper than to cut out one by one
                yield from several.split(batch_size)
        # As in __iter__, the draw that nobody uses: PyTorch makes it when it finds the permutation exhausted, and a
        # last batch that is short is only found to be the last one then.
        if self.generator is not None:
            rl.randperm(n, generator=generator)
        if full < n and not drop_last:
            yield order[full:]

    def _generator(self):
        return rl.Generator().manual_seed(draw_seed()) if self.generator is None else self.generator

    @staticmethod
    def _draw(n, count, generator):
        return rl.randint(high=n, size=(count,), dtype=rl.int64, generator=generator).tolist()

    def __len__(self):
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """Given indices in random order, without replacement.

    Args:
        indices: sequence of indices.
        generator: where random numbers come from (default: the default generator).
    """

    def __init__(self, indices, generator=None):
        self.indices = indices
        self.generator = generator

    def __iter__(self):
        for i in rl.randperm(len(self.indices), generator=self.generator).tolist():
            yield self.indices[i]

    def __len__(self):
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Indices with given probabilities.

    Args:
        weights: one non-negative number per index; they need not sum up to one.
        num_samples: how many to draw.
        replacement: whether an index may be drawn again.
        generator: where random numbers come from (default: the default generator).
    """

    def __init__(self, weights, num_samples, replacement=True, generator=None):
        if not isinstance(num_samples, int) or isinstance(num_samples, bool) or num_samples <= 0:
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={num_samples}")
        if not isinstance(replacement, bool):
            raise ValueError(f"replacement should be a boolean value, but got replacement={replacement}")
        weights = rl.as_tensor(weights, dtype=rl.float64)
        if len(weights.shape) != 1:
            raise ValueError(f"weights should be a 1d sequence but given weights have shape {tuple(weights.shape)}")
        self.weights = weights
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self):
        drawn = rl.multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator)
        yield from drawn.tolist()

    def __len__(self):
        return self.num_samples


class BatchSampler(Sampler[list]):
    """Lists of consecutive indices of another sampler.

    Args:
        sampler: what gives the indices; anything to iterate over.
        batch_size: the length of the lists.
        drop_last: whether to leave out a last list that is shorter.
    """

    def __init__(self, sampler, batch_size, drop_last):
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ValueError(f"batch_size should be a positive integer value, but got batch_size={batch_size}")
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self):
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) < self.batch_size and self.drop_last:
                return
            yield batch

    def __len__(self):
        count = len(self.sampler)
        return count // self.batch_size if self.drop_last else (count + self.batch_size - 1) // self.batch_size

    def index_batches(self):
        """The same batches as tensors of indices or slices, where the sampler can give them so; else None."""
        if type(self) is not BatchSampler or type(self.sampler) not in (SequentialSampler, RandomSampler):
            return None
        return self.sampler.index_batches(self.batch_size, self.drop_last)
