"""Iterating over a DataLoader in the main process, and what all iterators have in common.

In: a DataLoader. Out: its batches. Random numbers are drawn when and in the order in which PyTorch draws them. Read
next: _utils/fetch.py; multiprocess.py for the iterator with workers.
"""

import warnings

from ... import api as rl
from ._utils import pin_memory
from ._utils.collate import default_collate, is_unchanged
from ._utils.worker import ITERABLE, MAP, create_fetcher
from .datapipes.datapipe import IterDataPipe
from .datapipes.graph import apply_random_seed
from .dataset import TensorDataset
from .sampler import BatchSampler, draw_seed


class _BaseDataLoaderIter:
    """What iterators with and without workers share."""

    def __init__(self, loader):
        self._dataset = loader.dataset
        self._shared_seed = self._seed_pipes(loader.generator)
        self._dataset_kind = loader._dataset_kind
        self._IterableDataset_len_called = loader._IterableDataset_len_called
        self._auto_collation = loader._auto_collation
        self._drop_last = loader.drop_last
        self._index_sampler = loader._index_sampler
        self._num_workers = loader.num_workers
        self._pin_memory, self._pin_memory_device = _pinning(loader)
        self._timeout = loader.timeout
        self._collate_fn = loader.collate_fn
        self._sampler_iter = iter(self._index_sampler)
        # Drawn even when there are no workers to seed: what follows depends on it.
        self._base_seed = draw_seed(loader.generator)
        self._persistent_workers = loader.persistent_workers
        self._num_yielded = 0

    def __iter__(self):
        return self

    def _seed_pipes(self, generator):
        """Seeds a chain of data pipes for one pass; the number that its workers do the same with, or None."""
        if not isinstance(self._dataset, IterDataPipe):
            return None
        seed = draw_seed(generator)
        apply_random_seed(self._dataset, rl.Generator().manual_seed(seed))
        return seed

    def _reset(self, loader, first_iter=False):
        self._sampler_iter = iter(self._index_sampler)
        self._shared_seed = self._seed_pipes(loader.generator)
        self._num_yielded = 0
        self._IterableDataset_len_called = loader._IterableDataset_len_called

    def _next_index(self):
        return next(self._sampler_iter)

    def _next_data(self):
        raise NotImplementedError

    def __next__(self):
        data = self._next_data()
        self._num_yielded += 1
        if self._dataset_kind == ITERABLE:
            self._check_length()
        return data

    def _check_length(self):
        expected = self._IterableDataset_len_called
        if expected is None or self._num_yielded <= expected:
            return
        text = (
            f"Length of IterableDataset {self._dataset} was reported to be {expected}(when accessing "
            f"len(dataloader)), but {self._num_yielded} samples have been fetched. "
        )
        if self._num_workers > 0:
            text += (
                "For multiprocessing data-loading, this could be caused by not properly configuring the "
                "IterableDataset replica at each worker. Please see "
                "https://pytorch.org/docs/stable/data.html#torch.utils.data.IterableDataset for examples."
            )
        warnings.warn(text, stacklevel=3)

    def __len__(self):
        return len(self._index_sampler)

    def __getstate__(self):
        raise NotImplementedError("{} cannot be pickled", self.__class__.__name__)


def _pinning(loader):
    """(whether to pin memory, the device to pin it for)"""
    if not loader.pin_memory:
        return False, None
    if loader.pin_memory_device:
        warnings.warn(
            "pin_memory_device is deprecated, the current accelerator will be used as the device,ignore "
            f"pin_memory_device='{loader.pin_memory_device}'.", stacklevel=5)
    if not pin_memory.accelerator_is_available():
        warnings.warn(
            "'pin_memory' argument is set as true but no accelerator is found, then device pinned memory won't be "
            "used.",
            stacklevel=5)
        return False, None
    return True, loader.pin_memory_device or None


class _SingleProcessDataLoaderIter(_BaseDataLoaderIter):
    """One pass over a data set in this process."""

    def __init__(self, loader):
        super().__init__(loader)
        if self._timeout != 0:
            raise AssertionError("_SingleProcessDataLoaderIter requires timeout == 0")
        if self._num_workers != 0:
            raise AssertionError("_SingleProcessDataLoaderIter requires num_workers == 0")
        self._dataset_fetcher = create_fetcher(
            self._dataset_kind, self._dataset, self._auto_collation, self._collate_fn, self._drop_last
        )
        self._fetch = self._dataset_fetcher.fetch
        batches = self._index_batches()
        if batches is not None:
            self._sampler_iter, self._fetch = batches, self._dataset._columns

    def _index_batches(self):
        """Batches as tensors or slices, where data set and sampler agree on that: no index passes through Python."""
        plain = type(self._dataset) is TensorDataset and self._collate_fn is default_collate and is_unchanged()
        if not plain or type(self._index_sampler) is not BatchSampler or self._dataset_kind != MAP:
            return None
        return self._index_sampler.index_batches()

    def _next_data(self):
        data = self._fetch(next(self._sampler_iter))
        return pin_memory.pin_memory(data, self._pin_memory_device) if self._pin_memory else data
