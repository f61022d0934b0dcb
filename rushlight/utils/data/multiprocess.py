"""Iterating over a DataLoader with worker processes: indices go out to them, batches come back in order.

Every worker has a connection of its own, and the main process waits for all of them and for the death of any of them
at once: no queue is shared, so a worker that dies can leave no lock behind. Read first: _utils/transport.py,
_utils/worker.py.
"""

import contextlib
import itertools
import multiprocessing
import os
import select
import signal
import time
import warnings
from pickle import PicklingError

from ._utils import pin_memory, transport, worker
from ._utils.errors import ExceptionWrapper
from .single import _BaseDataLoaderIter

PATIENCE = 5.0  # seconds that workers get to end by themselves
IMPATIENCE = 0.5  # the same after one of them has failed


class _Worker:
    """A worker process and the connection to it."""

    def __init__(self, context, setup):
        self.channel, theirs = transport.connect()
        self.status = True  # whether it gets more indices
        self.tasks = 0
        self.process = context.Process(target=worker.run, args=(setup, theirs), daemon=True)
        try:
            self.process.start()
        except (TypeError, AttributeError, PicklingError):
            self.channel.close()
            warnings.warn(
                "Got pickle error when attempting to start a worker Process. This might be because the worker "
                "Process arguments are not picklable. Python 3.14+ changed the multiprocessing start method in "
                "non-Mac POSIX platforms to 'forkserver', which requires the worker Process arguments to be "
                "picklable. You can also try multiprocessing.set_start_method('fork').", stacklevel=6)
            raise
        finally:
            theirs.close()

    def death(self):
        """What to say when the process has ended without being told to."""
        self.process.join(PATIENCE)
        text = f"DataLoader worker (pid(s) {self.process.pid}) exited unexpectedly"
        code = self.process.exitcode
        if code is None:
            return f"{text}: it has closed its connection"
        if code >= 0:
            return f"{text}: exit status {code}"
        name = signal.Signals(-code).name if -code in signal.Signals._value2member_map_ else f"signal {-code}"
        hint = {
            "SIGKILL": " It may have been killed because memory was short.",
            "SIGBUS": " It may have run out of shared memory.",
        }.get(name, "")
        return f"{text}: killed by {name}.{hint}"


class _MultiProcessingDataLoaderIter(_BaseDataLoaderIter):
    """One pass, or with `persistent_workers` all passes one after the other, over a data set with workers."""

    def __init__(self, loader):
        super().__init__(loader)
        self._prefetch_factor = loader.prefetch_factor
        self._in_order = loader.in_order
        if self._num_workers <= 0:
            raise AssertionError("num_workers must be greater than 0 for MultiProcessingDataLoaderIter")
        if self._prefetch_factor <= 0:
            raise AssertionError("prefetch_factor must be greater than 0 for MultiProcessingDataLoaderIter")
        self._shutdown = False
        self._process_id = os.getpid()
        self._patience = PATIENCE
        self._poll = select.poll()
        self._workers = []
        self._arrived = []  # (number of a batch, data), in the order of arrival
        self._first_of_pass = 0
        context = loader.multiprocessing_context or multiprocessing
        try:
            for number in range(self._num_workers):
                self._workers.append(_Worker(context, self._setup(loader, number)))
        except BaseException:
            self._shutdown_workers()
            raise
        self._by_handle = {w.channel.fileno(): n for n, w in enumerate(self._workers)}
        self._by_handle |= {w.process.sentinel: n for n, w in enumerate(self._workers)}
        for handle in self._by_handle:
            self._poll.register(handle, select.POLLIN)
        self._send_idx = 0
        self._reset(loader, first_iter=True)

    def _setup(self, loader, number):
        return worker.Setup(
            self._dataset_kind, self._dataset, self._auto_collation, self._collate_fn, self._drop_last, self._base_seed,
            loader.worker_init_fn, number, self._num_workers, self._shared_seed,
        )  # fmt: skip

    def _reset(self, loader, first_iter=False):
        super()._reset(loader, first_iter)
        # Batches keep counting from pass to pass, so that those of a pass that was left early are told apart and
        # dropped.
        self._first_of_pass = self._rcvd_idx = self._send_idx
        self._task_info = {}  # number of a batch -> (worker,) or, when it has arrived out of order, (worker, data)
        self._tasks_outstanding = 0
        self._next_worker = itertools.cycle(range(self._num_workers))
        for member in self._workers:
            member.status, member.tasks = True, 0
            if not first_iter:
                member.channel.send(worker.Resume(self._shared_seed))
        for _ in range(self._prefetch_factor * self._num_workers):
            self._try_put_index()

    # -- sending indices ---------------------------------------------------------------------------------------------

    def _try_put_index(self):
        """Gives the next indices to the next worker that takes some; nothing happens at the end."""
        try:
            index = self._next_index()
        except StopIteration:
            return
        number = self._choose_worker()
        if number is None:
            return
        member = self._workers[number]
        member.channel.send((self._send_idx, index))
        self._task_info[self._send_idx] = (number,)
        member.tasks += 1
        self._tasks_outstanding += 1
        self._send_idx += 1

    def _choose_worker(self):
        most = self._prefetch_factor * self._num_workers
        active = sum(member.status for member in self._workers)
        for _ in range(self._num_workers):
            number = next(self._next_worker)
            member = self._workers[number]
            if member.status and (self._in_order or member.tasks < most // active):
                return number
        return None

    # -- receiving batches -------------------------------------------------------------------------------------------

    def _next_data(self):
        while True:
            number = self._next_expected()
            if number is None:
                if not self._persistent_workers:
                    self._shutdown_workers()
                raise StopIteration
            if len(self._task_info[number]) == 2:
                member, data = self._task_info.pop(number)
                self._rcvd_idx += 1
                return self._process_data(data, member)
            arrived, data = self._get_data()
            self._tasks_outstanding -= 1
            member = self._task_info[arrived][0]
            if isinstance(data, worker.StreamEnded):
                self._workers[member].status = False
                self._try_put_index()
                continue
            if arrived != number and self._in_order:
                self._task_info[arrived] += (data,)
                continue
            del self._task_info[arrived]
            if arrived == number:
                self._rcvd_idx += 1
            return self._process_data(data, member)

    def _next_expected(self):
        """The number of the next batch that will come, None at the end. Workers whose stream has ended owe nothing
        more.
        """
        while self._rcvd_idx < self._send_idx:
            info = self._task_info.get(self._rcvd_idx)
            if info is not None:
                if len(info) == 2 or self._workers[info[0]].status:
                    return self._rcvd_idx
                del self._task_info[self._rcvd_idx]
            self._rcvd_idx += 1
        return None

    def _process_data(self, data, member):
        self._workers[member].tasks -= 1
        self._try_put_index()
        if isinstance(data, ExceptionWrapper):
            data.reraise()
        return pin_memory.pin_memory(data, self._pin_memory_device) if self._pin_memory else data

    def _get_data(self):
        """(number, data) of the next batch of this pass to arrive. RuntimeError on death of a worker, or after
        `timeout`.
        """
        deadline = time.monotonic() + self._timeout if self._timeout > 0 else None
        while True:
            while self._arrived:
                number, data = self._arrived.pop(0)
                if number >= self._first_of_pass and number in self._task_info:
                    return number, data
            remaining = PATIENCE if deadline is None else deadline - time.monotonic()
            if remaining <= 0:
                self._patience = IMPATIENCE  # workers that are stuck will not end by themselves
                raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds")
            self._receive(remaining)

    def _receive(self, seconds):
        """Waits at most so long for something to happen, and takes in what has arrived from whichever worker."""
        for member in self._workers:
            wanted = select.POLLIN | (select.POLLOUT if member.channel.wants_to_send else 0)
            self._poll.modify(member.channel.fileno(), wanted)
        dead = []
        for handle, events in self._poll.poll(seconds * 1000):
            member = self._workers[self._by_handle[handle]]
            if events & select.POLLOUT:
                member.channel.flush()
            if events & ~select.POLLOUT:
                self._arrived.extend(member.channel.receive())
                if member.channel.closed or handle == member.process.sentinel:
                    dead.append(member)
        if dead and not self._arrived:
            self._patience = IMPATIENCE
            raise RuntimeError(dead[0].death())

    # -- the end -----------------------------------------------------------------------------------------------------

    def _shutdown_workers(self):
        """Ends the workers: they notice that their connections are closed. Those that do not are killed."""
        if self._shutdown or self._process_id != os.getpid():  # a fork has a copy of the iterator, but no workers
            return
        self._shutdown = True
        for member in self._workers:
            member.channel.close()
        deadline = time.monotonic() + self._patience
        for member in self._workers:
            member.process.join(max(0.0, deadline - time.monotonic()))
        for stop in ("terminate", "kill"):
            for member in self._workers:
                if member.process.is_alive():
                    getattr(member.process, stop)()
                    member.process.join(1.0)
        self._arrived.clear()

    def __del__(self):
        # At the end of the program modules may be gone already; the system closes connections then, which ends the
        # workers.
        with contextlib.suppress(AttributeError, TypeError, ImportError):
            self._shutdown_workers()
