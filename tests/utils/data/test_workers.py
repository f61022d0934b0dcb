"""DataLoader with worker processes: order, seeds, shared memory, and every way in which a worker can fail."""

import gc
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import rushlight as rl
from rushlight.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info
from rushlight.utils.data._utils import blocks, transport

LARGE = (64, 64)


class Images(Dataset):
    """Sample i: an image full of i, and i."""

    def __init__(self, count=12):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return rl.full(LARGE, float(index)), index


class Failing(Images):
    """Sample 5 does what `how` says."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def __getitem__(self, index):
        if index == 5:
            self.how()
        return index


class Stream(IterableDataset):
    def __iter__(self):
        info = get_worker_info()
        return iter(range(info.id, 7 + 3 * info.id, info.num_workers))


class RandomNumbers(Images):
    def __getitem__(self, index):
        return rl.rand(1).item(), random.random(), np.random.rand()


def raise_key_error():
    raise KeyError("no such key")


def raise_local_class():
    class Local(Exception):
        pass

    raise Local("told so")


def raise_two_arguments():
    raise UnicodeDecodeError("ascii", b"x", 0, 1, "odd")


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def leave():
    os._exit(3)


def sleep():
    time.sleep(60)


def remember_worker(worker_id):
    get_worker_info().dataset.count = worker_id + 100


def tell_count(batch):
    return get_worker_info().dataset.count, get_worker_info().id, get_worker_info().num_workers


def as_is(batch):
    return batch


def check(loader, passes=1):
    for _ in range(passes):
        seen = []
        for images, numbers in loader:
            assert images.shape[1:] == LARGE
            assert images[:, 0, 0].tolist() == images[:, -1, -1].tolist() == numbers.tolist()
            seen += numbers.tolist()
        assert sorted(seen) == list(range(12))


def open_files():
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("arguments", [{}, {"prefetch_factor": 1}, {"in_order": False}, {"persistent_workers": True}])
def test_batches_arrive_once(arguments):
    check(DataLoader(Images(), batch_size=5, num_workers=2, shuffle=True, **arguments), passes=2)


def test_the_order_is_that_without_workers():
    orders = []
    for workers in (0, 2):
        rl.manual_seed(0)
        loader = DataLoader(TensorDataset(rl.arange(10)), batch_size=3, shuffle=True, num_workers=workers)
        orders.append([[batch[0].tolist() for batch in loader] for _ in range(2)])
    assert orders[0] == orders[1]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_other_ways_to_start_processes(method):
    check(DataLoader(Images(), batch_size=4, num_workers=1, multiprocessing_context=method))


def test_persistent_workers_are_kept_and_leftovers_dropped():
    loader = DataLoader(Images(), batch_size=2, num_workers=2, persistent_workers=True)
    next(iter(loader))
    processes = [member.process.pid for member in loader._iterator._workers]
    check(loader, passes=2)
    assert [member.process.pid for member in loader._iterator._workers] == processes


def test_random_numbers_of_workers_are_pytorchs():
    rl.manual_seed(7)
    rows = list(DataLoader(RandomNumbers(4), batch_size=None, num_workers=2))
    assert rows[0] == pytest.approx([0.11662513017654419, 0.9290632898373887, 0.03541536592796235], abs=1e-7)
    assert rows[3] == pytest.approx([0.28084486722946167, 0.46183154346070987, 0.9137194064224758], abs=1e-7)


def test_streams():
    loader = DataLoader(Stream(), batch_size=2, num_workers=2)
    assert [batch.tolist() for batch in loader] == [[0, 2], [1, 3], [4, 6], [5, 7], [9]]
    assert [batch.tolist() for batch in loader] == [[0, 2], [1, 3], [4, 6], [5, 7], [9]]


def test_worker_init_fn_and_info():
    loader = DataLoader(Images(), batch_size=6, num_workers=2, worker_init_fn=remember_worker, collate_fn=tell_count)
    assert list(loader) == [(100, 0, 2), (101, 1, 2)]


def test_an_exception_keeps_its_type_and_traceback():
    loader = DataLoader(Failing(raise_key_error), batch_size=2, num_workers=1)
    with pytest.raises(KeyError) as caught:
        list(loader)
    text = str(caught.value)
    assert text.startswith("Caught KeyError in DataLoader worker process 0.\nOriginal Traceback (most recent call")
    assert "in raise_key_error" in text and "no such key" in text


@pytest.mark.parametrize("how, text", [(raise_local_class, "told so"), (raise_two_arguments, "odd")])
def test_exceptions_that_cannot_travel(how, text):
    with pytest.raises(RuntimeError, match=text):
        list(DataLoader(Failing(how), batch_size=2, num_workers=1))


def test_failing_init_fn():
    def fail(worker_id):
        raise ValueError(f"worker {worker_id} will not start")

    with pytest.raises(ValueError, match="worker 0 will not start"):
        list(DataLoader(Images(), num_workers=1, worker_init_fn=fail))


def test_a_batch_that_cannot_be_pickled():
    def unpicklable(batch):
        return lambda: batch

    with pytest.raises((AttributeError, TypeError), match="in DataLoader worker process 0"):
        list(DataLoader(Images(), num_workers=1, collate_fn=unpicklable))


@pytest.mark.parametrize("how, text", [(die, "killed by SIGKILL"), (leave, "exit status 3")])
def test_death_of_a_worker(how, text):
    start = time.monotonic()
    with pytest.raises(RuntimeError, match=rf"DataLoader worker \(pid\(s\) \d+\) exited unexpectedly: {text}"):
        list(DataLoader(Failing(how), batch_size=2, num_workers=2))
    gc.collect()
    assert time.monotonic() - start < 60  # it ends; how fast is the machine's affair


def test_timeout():
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="DataLoader timed out after 0.3 seconds"):
        list(DataLoader(Failing(sleep), batch_size=2, num_workers=1, timeout=0.3, prefetch_factor=4))
    assert time.monotonic() - start < 60


def test_indices_and_results_larger_than_any_pipe():
    """Both sides want to send more than the system buffers; a main process that blocked would wait for ever."""
    loader = DataLoader(range(200_000), batch_size=50_000, num_workers=1, prefetch_factor=4, collate_fn=as_is)
    assert [len(batch) for batch in loader] == [50_000] * 4


def test_gradients_do_not_cross():
    class Graph(Images):
        def __getitem__(self, index):
            return rl.ones(2, requires_grad=True) * 2

    with pytest.raises(RuntimeError, match="Cowardly refusing to serialize non-leaf tensor"):
        list(DataLoader(Graph(), num_workers=1, batch_size=None))


def test_layout_and_dtype_survive():
    class Odd(Dataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            image = rl.arange(3 * 64 * 64.0).reshape(1, 64, 64, 3).permute(0, 3, 1, 2)
            return {
                "nhwc": image,
                "part": image[:, :, ::2],
                "half": rl.ones(3, dtype=rl.bfloat16),
                "none": rl.zeros(0, 3),
                "flag": rl.tensor(True),
                "leaf": rl.ones(2, requires_grad=True),
            }

    here, there = Odd()[0], next(iter(DataLoader(Odd(), batch_size=None, num_workers=1)))
    for name, tensor in here.items():
        other = there[name]
        assert rl.equal(tensor, other) and tensor.dtype == other.dtype and tensor.shape == other.shape, name
        assert tensor.requires_grad == other.requires_grad
    assert there["nhwc"].stride() == here["nhwc"].stride()


def test_batches_that_are_kept_stay_as_they_are():
    loader = DataLoader(Images(), batch_size=1, num_workers=2, persistent_workers=True)
    kept = [batch for _ in range(3) for batch in loader]
    assert [images[0, 3, 3].item() for images, _ in kept] == [float(i) for i in range(12)] * 3


def test_memory_is_used_again_and_given_back():
    class Large(Images):
        def __getitem__(self, index):
            return rl.full((1 << 18,), float(index))

    loader = DataLoader(Large(), batch_size=1, num_workers=1, persistent_workers=True)
    before = open_files()
    for _ in range(3):
        for batch in loader:
            batch.add_(1)
            rl.synchronize()
    views = loader._iterator._workers[0].channel._views
    # Two batches ahead, one in use, and one on its way back.
    assert len(views._blocks) <= 4
    del loader, views, batch
    gc.collect()
    assert open_files() <= before + 1


def test_many_tensors_need_no_descriptors():
    class Many(Dataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return [rl.full((8192,), float(i)) for i in range(450)]

    tensors = next(iter(DataLoader(Many(), batch_size=None, num_workers=1)))
    assert [tensor[-1].item() for tensor in tensors] == list(range(450))
    assert open_files() < 300


def test_lack_of_memory_is_told(monkeypatch):
    def full(handle, start, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(RuntimeError, match="could not get 49152 bytes of shared memory for a batch: No space left"):
        list(DataLoader(Images(), batch_size=3, num_workers=1))


def test_free_blocks_are_limited(monkeypatch):
    monkeypatch.setattr(blocks, "SPARE_BYTES", 1 << 20)
    pool, taken = blocks.BlockPool(), []
    for _ in range(6):
        number, block, handle = pool.take(1 << 19)
        os.close(handle)
        taken.append(number)
    assert len(block) == 1 << 19
    pool.release(taken)
    assert pool.forget_dropped() == taken[:4] and pool.forget_dropped() == []
    assert pool.take(1 << 18)[0] in taken[4:]
    assert pool.take(1 << 10)[2] is not None  # a small tensor does not take a large block


def test_dense_memory_is_recognised():
    assert transport._is_dense((2, 3), (3, 1)) and transport._is_dense((2, 3), (1, 2)) and transport._is_dense((), ())
    assert transport._is_dense((1, 3), (77, 1)) and not transport._is_dense((2, 3), (6, 2))
    assert not transport._is_dense((2, 3), (0, 1))


ORPHANS = """
import os, signal, sys, time
from rushlight.utils.data import DataLoader

def slow(batch):
    time.sleep(0.05)
    return batch

if __name__ == "__main__":
    loader = DataLoader(range(1000), num_workers=2, collate_fn=slow, multiprocessing_context="fork")
    iterator = iter(loader)
    print(*(member.process.pid for member in iterator._workers), flush=True)
    next(iterator)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_workers_do_not_outlive_a_main_process_that_is_killed(tmp_path):
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS)
    output = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60).stdout
    workers = [int(word) for word in output.split()]
    assert len(workers) == 2
    deadline = time.monotonic() + 10
    while any(is_alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_alive(pid) for pid in workers)
