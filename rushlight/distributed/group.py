"""Groups of processes: tensors' bytes go in, and come out gathered, scattered or reduced.

`SharedGroup` does the collectives over shared memory, in the order in which they are called, those of
`async_op=True` on a thread of its own. Reductions run in the order of the ranks, so that all get the same bits.
Next to read: collectives.py, which checks tensors and calls this.
"""
import queue
import threading

from .. import api as rl
from ..base.lazy import numpy as np
from ..futures import Future, collect_all
from .arena import Arena
from .store import DistBackendError, PrefixStore

SHARED = 1 << 16  # bytes from which more than two ranks share the work of an all_reduce
KINDS = ("broadcast", "all_reduce", "reduce", "all_gather", "gather", "scatter", "reduce_scatter", "all_to_all",
         "barrier", "send")
NUMBER = {name: (number + 1, name) for number, name in enumerate(KINDS)}


class Work:
    """An operation that runs, or has run; `wait` returns when it is complete.

    finish: called once, after the operation, by the thread that first needs its results.
    """

    def __init__(self, finish=None, result=()):
        self._event, self._error, self._finish, self._result = threading.Event(), None, finish, result
        self._lock, self._future = threading.Lock(), None

    def run(self, action):
        """Do the operation, on whatever thread this is."""
        try:
            action()
        except BaseException as error:
            self._error = error
        with self._lock:
            self._event.set()
            future = self._future
        if future is not None:
            self._settle(future)

    def wait(self, timeout=None):
        """Wait for the end; raises what the operation has raised. Returns True."""
        if not self._event.wait(None if timeout is None else timeout.total_seconds()):
            raise DistBackendError(f"Work.wait: not complete after {timeout}")
        self._complete()
        return True

    def _complete(self):
        if self._error is not None:
            raise self._error
        with self._lock:
            finish, self._finish = self._finish, None
            if finish is not None:
                finish()

    def _settle(self, future):
        try:
            self._complete()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(self.result())

    def get_future(self):
        """A `Future` of the list of result tensors. What is chained to it runs on the thread of the collectives."""
        with self._lock:
            first, future = self._future is None, self._future or Future()
            self._future = future
            done = self._event.is_set()
        if first and done:
            self._settle(future)
        return future

    def is_completed(self):
        """Whether the operation has ended, well or not."""
        return self._event.is_set()

    def is_success(self):
        """Whether the operation has ended well."""
        return self._event.is_set() and self._error is None

    def exception(self):
        """What the operation has raised, or None."""
        return self._error

    def result(self):
        """The tensors of the operation."""
        return list(self._result)


class GroupedWork:
    """Several operations that are waited for as one."""

    def __init__(self, works):
        self.works = [work for work in works if work is not None]

    def wait(self, timeout=None):
        """Wait until all operations have ended; raises what one has raised. Returns True."""
        for work in self.works:
            work.wait(timeout)
        return True

    def is_completed(self):
        """Whether all operations have ended."""
        return all(work.is_completed() for work in self.works)

    def is_success(self):
        """Whether all operations have ended well."""
        return all(work.is_success() for work in self.works)

    def result(self):
        """The tensors of all operations."""
        return [tensor for work in self.works for tensor in work.result()]

    def get_future(self):
        """A `Future` of the tensors of all operations."""
        return collect_all([work.get_future() for work in self.works]).then(
            lambda done: [tensor for future in done.value() for tensor in future.value()])


class Worker:
    """A thread that does operations one after the other; it ends with the process."""

    def __init__(self):
        self._queue, self._thread, self._last = queue.SimpleQueue(), None, None

    def submit(self, work, action):
        """Let the thread do an operation."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, daemon=True, name="rushlight collectives")
            self._thread.start()
        self._last = work
        self._queue.put((work, action))

    def call(self, work, action):
        """Do an operation here if nothing is in front of it, else on the thread, in turn."""
        if self._last is None or self._last.is_completed():
            work.run(action)
        else:
            self.submit(work, action)

    def _loop(self):
        while (item := self._queue.get()) is not None:
            item[0].run(item[1])

    def close(self):
        """Let the thread end after what it has to do."""
        if self._thread is not None:
            self._queue.put(None)


def data_of(tensor):
    """The memory of a contiguous tensor as an array of uint8."""
    if tensor.numel() == 0:
        return np.empty(0, np.uint8)
    return tensor.detach().reshape(-1).view(rl.uint8).numpy()


def _widen(array):
    """bfloat16 bits as float32."""
    return (array.astype(np.uint32) << 16).view(np.float32)


def _narrow(array):
    """float32 as bfloat16 bits, rounded to the nearest even."""
    bits = array.view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(array), np.uint16(0x7FC0), rounded)


FOLDS = {"sum": "add", "avg": "add", "product": "multiply", "min": "minimum", "max": "maximum", "band": "bitwise_and",
         "bor": "bitwise_or", "bxor": "bitwise_xor"}


def elements(dtype):
    """NumPy's dtype of a tensor's memory; bfloat16 is uint16."""
    return np.dtype(np.uint16 if dtype is rl.bfloat16 else np.bool_ if dtype is rl.bool else dtype.name)


def fold(parts, dtype, op, scale=None):
    """The reduction of the parts (arrays of uint8) of all ranks, in their order, as an array of uint8."""
    half = dtype is rl.bfloat16
    arrays = [part.view(elements(dtype)) for part in parts]
    if half:
        arrays = [_widen(array) for array in arrays]
    if scale is not None:
        arrays = [array * array.dtype.type(scale) for array in arrays]
    function = getattr(np, FOLDS[op])
    with np.errstate(all="ignore"):  # an overflow gives infinity, as in all other operators
        total = arrays[0].copy() if len(arrays) == 1 else function(arrays[0], arrays[1])
        for array in arrays[2:]:
            function(total, array, out=total)
        if op == "avg":
            total = _divided(total, len(arrays))
    return (_narrow(total) if half else total).view(np.uint8)


def _divided(total, count):
    return (total // count if total.dtype.kind in "iu" else total / count).astype(total.dtype)


def divide(data, dtype, count):
    """Values (an array of uint8) divided by a number, as an array of uint8."""
    values = data.view(elements(dtype))
    if dtype is rl.bfloat16:
        return _narrow(_divided(_widen(values), count)).view(np.uint8)
    return _divided(values, count).view(np.uint8)


class SharedGroup:
    """The collectives of a group whose ranks run on one machine. All arguments are arrays of uint8.

    Args: store of the group's own; rank, size in the group; names: the members' global ranks; timeout; lost(name):
    the exit status of a member whose end the launcher has seen, else 0.
    """

    backend = "gloo"

    def __init__(self, store, rank, size, names, timeout, lost):
        self.rank, self.size, self.names, self.timeout, self._lost = rank, size, names, timeout, lost
        self._store, self._channels, self._stash = store, {}, {}
        self.worker = Worker()
        self._arena = Arena(PrefixStore("all", store), rank, size, names, timeout, lost)

    def _exchange(self, name, data, consume, check_size=False):
        self._arena.exchange(NUMBER[name], data, consume, self.timeout, check_size)

    def barrier(self, timeout=None, name="barrier", first=False):
        """Wait for all ranks. At the timeout the error names all that are missing, or only the first."""
        self._arena.exchange((NUMBER["barrier"][0], name), np.empty(0, np.uint8), lambda parts, start: None,
                             timeout or self.timeout, first=first)

    def broadcast(self, data, root):
        """`data` of the root replaces that of the others."""
        def consume(parts, start):
            if self.rank != root:
                self._fits("broadcast", start + parts[root].size, data.size)
                data[start:start + parts[root].size] = parts[root]
        self._exchange("broadcast", data if self.rank == root else data[:0], consume)

    def _fits(self, name, size, room):
        if size > room:
            raise DistBackendError(f"{name}: the tensor of rank {self.names[self.rank]} has {room} bytes, more arrive")

    def reduce(self, data, dtype, op, root=None, scale=None):
        """The reduction of all ranks' data replaces that of the root, or of all."""
        if root is None and self.size > 2 and data.size >= SHARED:
            self._share_reduction(data, dtype, op, scale)
            return

        def consume(parts, start):
            if parts[0].size and root in (None, self.rank):
                data[start:start + parts[0].size] = fold(parts, dtype, op, scale)
        self._exchange("all_reduce" if root is None else "reduce", data, consume, check_size=True)

    def _share_reduction(self, data, dtype, op, scale):
        """An all_reduce in which each rank reduces a part for all."""
        def consume(parts, start):
            for part in parts:
                data[start:start + part.size] = part
                start += part.size
        self._arena.exchange(NUMBER["all_reduce"], data, consume, self.timeout, True,
                             reduce=lambda parts: fold(parts, dtype, op, scale))

    def all_gather(self, data, outputs):
        """outputs[r] becomes the data of rank r."""
        self._gather("all_gather", data, outputs)

    def gather(self, data, outputs, root):
        """outputs[r] of the root becomes the data of rank r."""
        self._gather("gather", data, outputs if self.rank == root else None)

    def _gather(self, name, data, outputs):
        def consume(parts, start):
            if outputs is not None:
                for rank, part in enumerate(parts):
                    self._fits(name, start + part.size, outputs[rank].size)
                    outputs[rank][start:start + part.size] = part
        self._exchange(name, data, consume)

    def scatter(self, inputs, output, root):
        """The root's inputs[r], all of the output's size, become the output of rank r."""
        data = np.concatenate(inputs) if self.rank == root else output[:0]
        begin = self.rank * output.size
        self._exchange("scatter", data, lambda parts, start: _take(parts[root], start, begin, output))

    def reduce_scatter(self, inputs, output, dtype, op, scale=None):
        """The reduction of all ranks' inputs[r], all of the output's size, becomes the output of rank r."""
        begin, end = self.rank * output.size, (self.rank + 1) * output.size

        def consume(parts, start):
            low, high = max(begin, start), min(end, start + parts[0].size)
            if low < high:
                pieces = [part[low - start:high - start] for part in parts]
                output[low - begin:high - begin] = fold(pieces, dtype, op, scale)
        self._exchange("reduce_scatter", np.concatenate(inputs), consume, check_size=True)

    def all_to_all(self, inputs, outputs):
        """outputs[r] becomes what rank r has as inputs[this rank]."""
        table = np.array([part.size for part in inputs], np.int64).view(np.uint8)
        begins = []

        def consume(parts, start):
            if start == 0:
                for rank, part in enumerate(parts):
                    sizes = part[:table.size].view(np.int64)
                    if sizes[self.rank] != outputs[rank].size:
                        raise DistBackendError(f"all_to_all: rank {self.names[rank]} sends {sizes[self.rank]} bytes, "
                                               f"rank {self.names[self.rank]} expects {outputs[rank].size}")
                    begins.append(table.size + int(sizes[:self.rank].sum()))
            for rank, part in enumerate(parts):
                _take(part, start, begins[rank], outputs[rank])
        self._exchange("all_to_all", np.concatenate([table, *inputs]), consume)

    # --- from one rank to one other ---

    def channel(self, source, target):
        """The arena, and the worker, of what one rank sends to another."""
        if (source, target) not in self._channels:
            if self.rank == source:
                self._store.set(f"open/{source}/{target}", b"1")
            names = (self.names[source], self.names[target])
            arena = Arena(PrefixStore(f"from/{source}/{target}", self._store), int(self.rank == target), 2, names,
                          self.timeout, self._lost)
            self._channels[source, target] = arena
        return self._channels[source, target]

    def send(self, data, target, tag):
        """Send to a rank; returns when it has received."""
        head = np.array([tag, data.size], np.int64).view(np.uint8)
        self.channel(self.rank, target).exchange(NUMBER["send"], np.concatenate([head, data]),
                                                 lambda parts, start: None, self.timeout)

    def receive(self, data, source, tag):
        """Receive what a rank sends with this tag; what it sends with others before waits for its turn."""
        stash = self._stash.setdefault(source, [])
        while True:
            for i, (other, content) in enumerate(stash):
                if other == tag:
                    del stash[i]
                    self._fits("recv", content.size, data.size)
                    data[:content.size] = content
                    return source
            stash.append(self._message(source))

    def _message(self, source):
        pieces = []
        self.channel(source, self.rank).exchange(NUMBER["send"], np.empty(0, np.uint8),
                                                 lambda parts, start: pieces.append(parts[0].copy()), self.timeout)
        message = np.concatenate(pieces)
        return int(message[:8].view(np.int64)[0]), message[16:]

    def sources(self):
        """The ranks from which something waits, or that have just begun to send."""
        waiting = [rank for rank, stash in self._stash.items() if stash]
        for rank in range(self.size):
            channel = self._channels.get((rank, self.rank))
            if channel is None and rank != self.rank and self._store.check([f"open/{rank}/{self.rank}"]):
                channel = self.channel(rank, self.rank)
            if channel is not None and channel.pending(0):
                waiting.append(rank)
        return waiting

    def close(self):
        """Leave the group."""
        self.worker.close()
        for arena in (self._arena, *self._channels.values()):
            arena.close()


def _take(part, start, begin, output):
    """Copy from a part, which begins at byte `start`, what belongs to the output, which begins at byte `begin`."""
    low, high = max(begin, start), min(begin + output.size, start + part.size)
    if low < high:
        output[low - begin:high - begin] = part[low - start:high - start]
