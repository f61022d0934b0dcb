"""DataLoader without workers: arguments that exclude each other, lengths, streams, warnings, speed."""

import time
import warnings

import pytest
import rushlight as rl
from rushlight.utils.data import DataLoader, IterableDataset, RandomSampler, TensorDataset, get_worker_info

DATA = TensorDataset(rl.arange(10), rl.arange(10) * 10)


class Stream(IterableDataset):
    def __init__(self, count, claimed=None):
        self.count, self.claimed = count, claimed

    def __iter__(self):
        return iter(range(self.count))

    def __len__(self):
        return self.count if self.claimed is None else self.claimed


@pytest.mark.parametrize(
    "arguments, text",
    [
        ({"num_workers": -1}, "num_workers option should be non-negative"),
        ({"timeout": -1}, "timeout option should be non-negative"),
        ({"prefetch_factor": 2}, "prefetch_factor option could only be specified in multiprocessing"),
        ({"num_workers": 1, "prefetch_factor": -2}, "prefetch_factor option should be non-negative"),
        ({"persistent_workers": True}, "persistent_workers option needs num_workers > 0"),
        ({"sampler": [1], "shuffle": True}, "sampler option is mutually exclusive with shuffle"),
        ({"batch_sampler": [[1]], "batch_size": 2}, "batch_sampler option is mutually exclusive"),
        ({"batch_sampler": [[1]], "drop_last": True}, "batch_sampler option is mutually exclusive"),
        ({"batch_size": None, "drop_last": True}, "batch_size=None option disables auto-batching"),
        ({"batch_size": 0}, "batch_size should be a positive integer value"),
        ({"multiprocessing_context": "fork"}, "multiprocessing_context can only be used with"),
        ({"multiprocessing_context": "x", "num_workers": 1}, "should specify a valid start method"),
    ],
)
def test_arguments_that_exclude_each_other(arguments, text):
    with pytest.raises(ValueError, match=text):
        DataLoader(DATA, **arguments)


@pytest.mark.parametrize("argument", [{"shuffle": True}, {"sampler": [1]}, {"batch_sampler": [[1]]}])
def test_streams_have_no_order(argument):
    with pytest.raises(ValueError, match="DataLoader with IterableDataset: expected unspecified"):
        DataLoader(Stream(3), **argument)


def test_attributes():
    loader = DataLoader(DATA, batch_size=4)
    assert (loader.batch_size, loader.drop_last, loader.num_workers, loader.timeout) == (4, False, 0, 0)
    for name in ("batch_size", "sampler", "dataset", "drop_last", "batch_sampler", "persistent_workers"):
        with pytest.raises(ValueError, match=f"{name} attribute should not be set after DataLoader is initialized"):
            setattr(loader, name, 1)
    loader.collate_fn = len
    assert list(loader) == [4, 4, 2]
    with pytest.raises(NotImplementedError):
        iter(loader).__getstate__()


def test_lengths():
    assert len(DataLoader(DATA, batch_size=4)) == 3
    assert len(DataLoader(DATA, batch_size=4, drop_last=True)) == 2
    assert len(DataLoader(DATA, batch_size=None)) == 10
    assert len(DataLoader(Stream(10), batch_size=4)) == 3
    assert len(DataLoader(DATA, sampler=RandomSampler(DATA, num_samples=25, replacement=True), batch_size=5)) == 5


def test_batches_and_samples():
    whole = DataLoader(DATA, batch_size=4, drop_last=True)
    assert [b[1].tolist() for b in whole] == [[0, 10, 20, 30], [40, 50, 60, 70]]
    samples = list(DataLoader(DATA, batch_size=None))
    assert len(samples) == 10 and samples[3][1].item() == 30 and type(samples[3]) is list
    assert [b.tolist() for b in DataLoader(Stream(7), batch_size=3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [b.tolist() for b in DataLoader(Stream(7), batch_size=3, drop_last=True)] == [[0, 1, 2], [3, 4, 5]]
    assert list(DataLoader(Stream(3), batch_size=None)) == [0, 1, 2]
    assert [b.tolist() for b in DataLoader(range(5), batch_size=2, sampler=[3, 1, 4])] == [[3, 1], [4]]
    assert get_worker_info() is None


def test_collate_fn_gets_samples():
    def first(batch):
        assert isinstance(batch, list) and isinstance(batch[0], tuple) and batch[0][0].dim() == 0
        return batch[0][0].item()

    assert list(DataLoader(DATA, batch_size=3, collate_fn=first)) == [0, 3, 6, 9]


def test_a_stream_longer_than_it_said():
    loader = DataLoader(Stream(4, claimed=2), batch_size=None)
    len(loader)
    with pytest.warns(UserWarning, match="was reported to be 2"):
        list(loader)


def test_warnings():
    with pytest.warns(UserWarning, match="This DataLoader will create 1000 worker processes"):
        DataLoader(DATA, num_workers=1000)
    if not rl.cuda.is_available():
        with pytest.warns(UserWarning, match="no accelerator is found"):
            next(iter(DataLoader(DATA, pin_memory=True)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(DataLoader(DATA, batch_size=4, shuffle=True))


def test_every_pass_draws_a_seed_for_workers():
    """Programs see it: random numbers after `iter(loader)` are others than before, as in PyTorch."""
    rl.manual_seed(0)
    iter(DataLoader(DATA))
    after = rl.rand(1).item()
    rl.manual_seed(0)
    rl.empty((), dtype=rl.int64).random_()
    assert rl.rand(1).item() == after


def test_an_epoch_of_tensors_costs_little_per_batch():
    dataset = TensorDataset(rl.zeros(4096, 4), rl.zeros(4096))
    loader = DataLoader(dataset, batch_size=16, shuffle=True)
    times = []
    for _ in range(4):
        start = time.thread_time()  # of this thread alone: the machine may be busy
        for _ in loader:
            pass
        times.append(time.thread_time() - start)
        rl.synchronize()
    # Measured: 45 us for each of the 256 batches, mostly for recording two operations; PyTorch takes about 180 us.
    assert min(times) < 256 * 120e-6
