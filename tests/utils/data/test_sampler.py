"""Samplers: the orders that PyTorch 2.13 gives for the same seeds, and what is drawn from the generators meanwhile."""

import pytest
import rushlight as rl
from rushlight.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

DATA = TensorDataset(rl.arange(10))


def batches(loader):
    return [batch[0].tolist() for batch in loader]


def test_shuffled_batches():
    rl.manual_seed(0)
    assert batches(DataLoader(DATA, batch_size=4, shuffle=True)) == [[6, 7, 1, 4], [2, 0, 9, 8], [3, 5]]
    assert rl.rand(1).item() == pytest.approx(0.30742281675338745, abs=1e-7)


def test_own_generator():
    loader = DataLoader(DATA, batch_size=4, shuffle=True, generator=rl.Generator().manual_seed(3))
    assert batches(loader) == [[7, 4, 2, 9], [1, 5, 0, 8], [6, 3]]
    assert batches(loader) == [[1, 2, 0, 5], [9, 4, 8, 3], [6, 7]]
    assert rl.rand(1, generator=loader.generator).item() == pytest.approx(0.5824220776557922, abs=1e-7)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("size", [1, 3, 5, 10, 11])
def test_both_ways_to_batches_agree(size, drop_last):
    """Batches are index tensors for a TensorDataset, lists for others: same order, same draws at the same time."""
    results = []
    for dataset in (DATA, [(i,) for i in range(10)]):
        generator = rl.Generator().manual_seed(1)
        loader = DataLoader(dataset, batch_size=size, shuffle=True, drop_last=drop_last, generator=generator)
        seen = [(batch[0].tolist(), rl.rand(1, generator=generator).item()) for batch in loader]
        results.append((seen, rl.rand(1, generator=generator).item()))
    assert results[0] == results[1]


def test_all_samplers_in_one_stream_of_random_numbers():
    rl.manual_seed(0)
    assert list(RandomSampler(range(10))) == [6, 9, 0, 7, 3, 5, 4, 2, 1, 8]
    with_replacement = list(RandomSampler(range(6), replacement=True, num_samples=40))
    assert with_replacement[:12] == [0, 3, 3, 2, 3, 3, 3, 1, 2, 4, 3, 4]
    assert with_replacement[30:] == [2, 1, 5, 0, 0, 3, 1, 1, 1, 2]
    assert list(RandomSampler(range(5), num_samples=7)) == [3, 2, 4, 1, 0, 2, 3]
    assert list(SubsetRandomSampler([3, 5, 9])) == [5, 9, 3]
    assert list(WeightedRandomSampler([0.1, 0.9, 0.4], 6)) == [1, 2, 1, 1, 1, 1]
    assert list(WeightedRandomSampler([0.1, 0.9, 0.4], 3, replacement=False)) == [1, 2, 0]
    assert rl.rand(1).item() == pytest.approx(0.9527381062507629, abs=1e-7)


def test_distributed():
    sampler = DistributedSampler(range(11), 3, 1)
    assert list(sampler) == [0, 5, 1, 6] and len(sampler) == 4
    sampler.set_epoch(4)
    assert list(sampler) == [5, 1, 4, 9]
    assert list(DistributedSampler(range(11), 3, 2, shuffle=False, drop_last=True)) == [2, 5, 8]
    assert list(DistributedSampler(range(2), 5, 4, shuffle=False)) == [0]
    with pytest.raises(ValueError, match="Invalid rank 3"):
        DistributedSampler(range(11), 3, 3)


def test_batches_of_indices():
    assert list(BatchSampler(SequentialSampler(range(7)), 3, False)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(BatchSampler(range(7), 3, True)) == [[0, 1, 2], [3, 4, 5]]
    assert [len(BatchSampler(range(7), 3, drop)) for drop in (False, True)] == [3, 2]


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomSampler([], num_samples=0),
        lambda: RandomSampler([]),
        lambda: WeightedRandomSampler([1.0], 0),
        lambda: WeightedRandomSampler([1.0], True),
        lambda: WeightedRandomSampler([1.0], 1, replacement=1),
        lambda: WeightedRandomSampler([[1.0]], 1),
        lambda: BatchSampler(range(3), 0, False),
        lambda: BatchSampler(range(3), True, False),
        lambda: BatchSampler(range(3), 1, 1),
    ],
)
def test_wrong_arguments(make):
    with pytest.raises(ValueError):
        make()


def test_replacement_has_to_be_a_boolean():
    with pytest.raises(TypeError, match="replacement should be a boolean value"):
        RandomSampler([1], replacement=1)
