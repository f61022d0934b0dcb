"""The sampler for several processes that train together: each gets a part of its own. Read sampler.py first."""

import importlib
import math

from ... import api as rl
from .sampler import Sampler


def _process_group(method):
    """`rushlight.distributed`, which stands beside this folder and is only needed when the program does not say who
    it is.
    """
    try:
        distributed = importlib.import_module(f"{__name__.split('.')[0]}.distributed")
    except ModuleNotFoundError:
        distributed = None
    if distributed is None or not distributed.is_available():
        raise RuntimeError("Requires distributed package to be available")
    return getattr(distributed, method)()


class DistributedSampler(Sampler):
    """Every process gets every `num_replicas`-th index of a common order, as many as all others.

    Args:
        dataset: something with a length.
        num_replicas: number of processes (default: of the process group).
        rank: number of this process (default: in the process group); ValueError if out of range.
        shuffle: whether the common order is random.
        seed: what, together with the epoch, the order depends on; the same in all processes.
        drop_last: drop indices so that all get equally many; otherwise some are given out again.
    """

    def __init__(self, dataset, num_replicas=None, rank=None, shuffle=True, seed=0, drop_last=False):
        if num_replicas is None:
            num_replicas = _process_group("get_world_size")
        if rank is None:
            rank = _process_group("get_rank")
        if rank >= num_replicas or rank < 0:
            raise ValueError(f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]")
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        if self.drop_last and len(self.dataset) % self.num_replicas != 0:
            self.num_samples = math.ceil((len(self.dataset) - self.num_replicas) / self.num_replicas)
        else:
            self.num_samples = math.ceil(len(self.dataset) / self.num_replicas)
        self.total_size = self.num_samples * self.num_replicas
        self.shuffle = shuffle
        self.seed = seed

    def __iter__(self):
        count = len(self.dataset)
        if self.shuffle:
            generator = rl.Generator().manual_seed(self.seed + self.epoch)
            indices = rl.randperm(count, generator=generator).tolist()
        else:
            indices = list(range(count))
        if self.drop_last:
            indices = indices[:self.total_size]
        else:
            missing = self.total_size - count
            indices += (indices * math.ceil(missing / max(count, 1)))[:missing]
        if len(indices) != self.total_size:
            raise AssertionError(f"Number of indices ({len(indices)}) does not match total_size ({self.total_size})")
        return iter(indices[self.rank:self.total_size:self.num_replicas])

    def __len__(self):
        return self.num_samples

    def set_epoch(self, epoch):
        """Makes the next pass use another order: call it before each epoch, with the same number in all processes."""
        self.epoch = epoch
