"""A worker process: makes a batch of each list of indices, until the main process ends or needs no more.

A worker is told to end by the end of its connection, so it also ends when the main process is killed. Read next:
transport.py, and ../multiprocess.py for the other side.
"""

import contextlib
import multiprocessing
import os
import random
from dataclasses import dataclass

from ....base.lazy import numpy as np
from multiprocessing.connection import wait

from .... import api as rl
from ..datapipes.datapipe import IterDataPipe, MapDataPipe
from ..datapipes.graph import apply_random_seed, apply_sharding
from . import fetch, transport
from .errors import ExceptionWrapper

MP_STATUS_CHECK_INTERVAL = 5.0  # seconds between looks at whether the other side is alive
MAP, ITERABLE = 0, 1


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What `get_worker_info` tells about the worker process it is called in.

    Attributes:
        id: number of the worker, from 0.
        num_workers: how many there are.
        seed: what its random numbers start from: that of the pass plus `id`.
        dataset: the copy of the data set in this process.
    """

    id: int
    num_workers: int
    seed: int
    dataset: object
    rng: object = None
    worker_method: str = "multiprocessing"


_worker_info = None


def get_worker_info():
    """The WorkerInfo of this process if it is a worker of a DataLoader, else None."""
    return _worker_info


@dataclass(frozen=True)
class Setup:
    """Everything a worker needs to know; has to be picklable where processes are spawned."""

    dataset_kind: int
    dataset: object
    auto_collation: bool
    collate_fn: object
    drop_last: bool
    base_seed: int
    init_fn: object
    worker_id: int
    num_workers: int
    shared_seed: int | None = None  # of a chain of data pipes


@dataclass(frozen=True)
class Resume:
    """Sent to a worker: a new pass begins."""

    shared_seed: int | None


@dataclass(frozen=True)
class StreamEnded:
    """Sent by a worker: its stream has no more samples."""


def create_fetcher(kind, dataset, auto_collation, collate_fn, drop_last):
    """The fetcher for a kind of data set."""
    chosen = fetch._MapDatasetFetcher if kind == MAP else fetch._IterableDatasetFetcher
    return chosen(dataset, auto_collation, collate_fn, drop_last)


def worker_seeds(base_seed, worker_id):
    """(seed of Python's and our generator, seed of NumPy's). The latter as PyTorch has it: by NumPy's SeedSequence."""
    entropy = [worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    return base_seed + worker_id, np.random.SeedSequence(entropy).generate_state(4)


def run(setup, connection):
    """The main function of a worker process."""
    with contextlib.suppress(KeyboardInterrupt):  # the main process gets one as well, and reports it
        end = transport.WorkerEnd(connection)
        _seed(setup)
        with contextlib.suppress(transport.Disconnected):
            _serve(setup, end)


def _seed(setup):
    global _worker_info
    rl.set_num_threads(1)
    seed, numpy_seed = worker_seeds(setup.base_seed, setup.worker_id)
    random.seed(seed)
    rl.manual_seed(seed)
    np.random.seed(numpy_seed)
    _worker_info = WorkerInfo(setup.worker_id, setup.num_workers, seed, setup.dataset)


def _serve(setup, end):
    where = f"in DataLoader worker process {setup.worker_id}"
    maker = _FetcherMaker(setup, where)
    fetcher, failure = maker.first()
    ended = False
    while _wait_for_message(end):
        message = end.receive()
        if isinstance(message, Resume):
            fetcher, failure = maker.make(message.shared_seed)
            ended = False
            continue
        number, index = message
        if ended:
            continue
        data, failure = (failure, None) if failure is not None else (_fetch(fetcher, index, setup, where), None)
        ended = isinstance(data, StreamEnded)
        _send(end, number, data, where)
        del data, message, index  # a batch should not live until the next one is made


class _FetcherMaker:
    """Makes fetchers; an exception on the way is what the next request is answered with."""

    def __init__(self, setup, where):
        self._setup, self._where = setup, where

    def first(self):
        """(fetcher, None) or (None, ExceptionWrapper), after the program's own `worker_init_fn`."""
        return self._guarded(self._setup.init_fn, self._setup.shared_seed)

    def make(self, shared_seed):
        """The same for the passes after the first."""
        return self._guarded(None, shared_seed)

    def _guarded(self, init_fn, shared_seed):
        setup = self._setup
        try:
            if isinstance(setup.dataset, (IterDataPipe, MapDataPipe)):
                apply_sharding(setup.dataset, setup.num_workers, setup.worker_id)
            if shared_seed is not None:
                apply_random_seed(setup.dataset, rl.Generator().manual_seed(shared_seed))
            if init_fn is not None:
                init_fn(setup.worker_id)
            arguments = (setup.dataset, setup.auto_collation, setup.collate_fn, setup.drop_last)
            return create_fetcher(setup.dataset_kind, *arguments), None
        except Exception:
            return None, ExceptionWrapper(where=self._where)


def _wait_for_message(end):
    """True when there is a message; False when the main process is dead."""
    parent = multiprocessing.parent_process()
    pid = os.getppid()
    waiting = [end] if parent is None else [end, parent.sentinel]
    while True:
        ready = wait(waiting, MP_STATUS_CHECK_INTERVAL)
        if end in ready:
            return True
        if ready or os.getppid() != pid:
            return False


def _fetch(fetcher, index, setup, where):
    try:
        return fetcher.fetch(index)
    except Exception as error:
        if isinstance(error, StopIteration) and setup.dataset_kind == ITERABLE:
            return StreamEnded()
        return ExceptionWrapper(where=where)


def _send(end, number, data, where):
    try:
        end.send((number, data))
    except transport.Disconnected:
        raise
    except Exception:
        # The batch cannot be pickled. If it was an exception, its class may be known to this process alone: its text
        # is not.
        failure = data if isinstance(data, ExceptionWrapper) else ExceptionWrapper(where=where)
        if failure is data:
            failure.exc_msg = f"{failure.exc_type.__name__} (a class that cannot be pickled)\n{failure.exc_msg}"
            failure.exc_type = RuntimeError
        end.send((number, failure))
