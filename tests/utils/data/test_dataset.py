"""Data sets and their combinations: samples, whole batches, and that both agree."""

import pytest
import rushlight as rl
from rushlight.utils.data import (
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    default_collate,
    random_split,
)

X = rl.arange(30.0).reshape(10, 3)
Y = rl.arange(10)


def plain(value):
    """Tensors as lists, at any depth."""
    if isinstance(value, rl.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


class Numbers(IterableDataset):
    def __init__(self, count):
        self.count = count

    def __iter__(self):
        return iter(range(self.count))

    def __len__(self):
        return self.count


def combinations():
    base, more = TensorDataset(X, Y), TensorDataset(X + 100, Y + 100)
    both = ConcatDataset([base, more])
    return {
        "tensors": base,
        "concat": both,
        "nested": ConcatDataset([both, Subset(base, [4, 2])]),
        "stack": StackDataset(base, more),
        "named": StackDataset(a=base, b=more),
        "subset": Subset(both, [19, 0, 3, 12, 7, 1]),
        "uneven": ConcatDataset([base, TensorDataset(X.double(), Y)]),
        "lists": StackDataset([1, 2, 3, 4], ["a", "b", "c", "d"]),
    }


@pytest.mark.parametrize("name", list(combinations()))
def test_batches_are_collated_samples(name):
    dataset = combinations()[name]
    for indices in ([0, 3, 1], [2], [1, 1, 0], [len(dataset) - 1, 0]):
        expected = plain(default_collate([dataset[i] for i in indices]))
        assert plain(next(iter(DataLoader(dataset, batch_sampler=[indices])))) == expected
        if hasattr(dataset, "__getitems__"):
            assert plain(dataset.__getitems__(indices)) == plain([dataset[i] for i in indices])


def test_a_batch_is_a_copy():
    dataset = TensorDataset(X.clone())
    for loader in (DataLoader(dataset, batch_size=10), DataLoader(dataset, batch_size=4, shuffle=True)):
        (batch,) = next(iter(loader))
        batch.zero_()
        assert dataset.tensors[0].tolist() == X.tolist()


def test_negative_and_wrong_indices():
    dataset = TensorDataset(Y)
    assert plain(list(DataLoader(dataset, sampler=[-1, 2], batch_size=2))) == [[[9, 2]]]
    with pytest.raises(IndexError):
        list(DataLoader(dataset, sampler=[3, 10], batch_size=2))
    with pytest.raises(ValueError, match="absolute value of index should not exceed dataset length"):
        ConcatDataset([dataset])[-11]
    with pytest.raises(IndexError):
        list(DataLoader(ConcatDataset([dataset, dataset]), sampler=[3, 20], batch_size=2))
    assert ConcatDataset([dataset, dataset])[-1][0].item() == 9


def test_own_getitem_is_respected():
    class Doubled(TensorDataset):
        def __getitem__(self, index):
            return self.tensors[0][index] * 2

    assert plain(list(DataLoader(Doubled(Y), batch_size=5))) == [[0, 2, 4, 6, 8], [10, 12, 14, 16, 18]]
    assert plain(list(DataLoader(Subset(Doubled(Y), [1, 3]), batch_size=2))) == [[2, 6]]
    assert plain(list(DataLoader(ConcatDataset([Doubled(Y)]), batch_size=10)))[0][:3] == [0, 2, 4]

    class Half(Subset):
        def __getitem__(self, index):
            return 1

    with pytest.raises(NotImplementedError, match="must also override __getitems__"):
        Half(Doubled(Y), [1])


def test_shapes_that_do_not_fit():
    with pytest.raises(AssertionError, match="Size mismatch between tensors"):
        TensorDataset(X, Y[:3])
    with pytest.raises(ValueError, match="Size mismatch between datasets"):
        StackDataset(TensorDataset(X), [1])
    with pytest.raises(ValueError, match="At least one dataset"):
        StackDataset()
    with pytest.raises(ValueError, match="both types are given"):
        StackDataset(Y, a=Y)
    with pytest.raises(AssertionError, match="empty iterable"):
        ConcatDataset([])
    with pytest.raises(AssertionError, match="does not support IterableDataset"):
        ConcatDataset([Numbers(1)])
    with pytest.raises(NotImplementedError, match="should implement __getitem__"):
        Dataset()[0]


def test_addition_and_chains():
    assert len(TensorDataset(Y) + TensorDataset(Y)) == 20
    chain = Numbers(2) + Numbers(3)
    assert isinstance(chain, ChainDataset) and list(chain) == [0, 1, 0, 1, 2] and len(chain) == 5
    with pytest.raises(AssertionError, match="only supports IterableDataset"):
        list(ChainDataset([[1]]))
    with pytest.warns(FutureWarning):
        assert ConcatDataset([TensorDataset(Y)]).cummulative_sizes == [10]


def test_random_split_like_pytorch():
    parts = random_split(range(10), [0.7, 0.3], generator=rl.Generator().manual_seed(42))
    assert [part.indices for part in parts] == [[2, 6, 1, 8, 4, 5, 0], [9, 3, 7]]
    parts = random_split(range(10), [7, 3], generator=rl.Generator().manual_seed(42))
    assert [part.indices for part in parts] == [[2, 6, 1, 8, 4, 5, 0], [9, 3, 7]]
    assert [len(part) for part in random_split(range(11), [0.5, 0.5])] == [6, 5]
    with pytest.raises(ValueError, match="does not equal the length"):
        random_split(range(10), [5, 4])
    with pytest.raises(ValueError, match="Fraction at index 1"):
        random_split(range(10), [0.7, -0.1, 0.4])
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        random_split(range(2), [0.99, 0.01])
