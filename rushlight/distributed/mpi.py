"""The collectives over MPI: `MPIGroup`, with the methods of `group.SharedGroup`. All arguments are arrays of uint8.

Operations are started without blocking and then tested, so that a timeout is an error. MPI does not tell who is missing
at a timeout: every rank notes in the store from time to time how many collectives it has entered, and who has entered
fewer is named. When a process ends, `mpiexec` ends the others and says who it was.
"""
import threading
import time

from ..base.lazy import numpy as np
from ..base.optional import optional
from .group import Worker, divide, elements, fold
from .store import DistBackendError, PrefixStore, TCPStore, seconds

LIMIT = 1 << 30  # bytes of one call: MPI counts in 32 bits
SPINS = 200  # tests before the first sleep
BEAT = 0.5  # seconds between notes


def library():
    """The module mpi4py.MPI, which starts MPI. ImportError that says what to install."""
    return optional("mpi4py.MPI", "mpi", "init_process_group: backend 'mpi'")


def open_store(timeout):
    """(store, rank, number of ranks): a store that rank 0 serves and whose address the others get through MPI."""
    MPI = library()
    if MPI.Query_thread() != MPI.THREAD_MULTIPLE:
        raise RuntimeError("init_process_group: backend 'mpi' needs an MPI with MPI_THREAD_MULTIPLE")
    world = MPI.COMM_WORLD
    here = world.Split_type(MPI.COMM_TYPE_SHARED)
    host = "127.0.0.1" if here.size == world.size else MPI.Get_processor_name()
    here.Free()
    store = TCPStore(host, 0, is_master=True, timeout=timeout) if world.rank == 0 else None
    host, port = world.bcast((host, store.port) if store else None)
    store = store or TCPStore(host, port, timeout=timeout)
    store.server = "rank 0"
    return store, world.rank, world.size


class _Beat:
    """Notes in the store how many collectives this rank has entered, when that has changed."""

    def __init__(self, store, rank):
        self.count, self._store, self._rank, self._stop = 0, store, rank, threading.Event()
        self._thread = None

    def start(self):
        """Begin, if it has not begun."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True, name="rushlight mpi")
            self._thread.start()

    def _run(self):
        noted = 0
        while not self._stop.wait(BEAT):
            if self.count != noted:
                noted = self.count
                self._store.set(f"entered/{self._rank}", str(noted))

    def behind(self, size):
        """The ranks that have entered fewer collectives than this one."""
        time.sleep(2 * BEAT)  # what they have entered lately is noted then
        found = []
        for rank in range(size):
            key = f"entered/{rank}"
            if rank != self._rank and (not self._store.check([key]) or int(self._store.get(key)) < self.count):
                found.append(rank)
        return found

    def stop(self):
        """Make no more notes."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()


class MPIGroup:
    """The collectives of a group over an MPI communicator.

    Args: store of the group's own; rank, size in the group; names: the members' global ranks; timeout; number: of the
    group, the same on all its ranks.
    """

    backend = "mpi"

    def __init__(self, store, rank, size, names, timeout, number):
        self.MPI, self.rank, self.size, self.names, self.timeout = library(), rank, size, names, timeout
        world = self.MPI.COMM_WORLD
        members = world.group.Incl(list(names))
        self._comm = world.Create_group(members, number % 16384)
        self._messages = self._comm.Dup()
        self.worker, self._beat, self._operators = Worker(), _Beat(PrefixStore("beat", store), rank), {}

    def _finish(self, request, name, timeout=None, first=False):
        """Wait for an operation. DistBackendError at the timeout, which names the ranks that have not entered it."""
        limit = seconds(timeout or self.timeout)
        end, looks, pause = time.monotonic() + limit, 0, 2e-5
        while not request.Test():
            looks += 1
            if looks < SPINS:
                continue
            if time.monotonic() > end:
                late = [str(self.names[rank]) for rank in self._beat.behind(self.size)]
                late = ", ".join(late[:1] if first else late) or "unknown"
                raise DistBackendError(f"{name}: timed out after {limit:g} s waiting for rank {late}")
            time.sleep(pause)
            pause = min(pause * 1.2, 1e-3)

    def _enter(self):
        self._beat.count += 1
        self._beat.start()

    def _in_pieces(self, data, name, start):
        """Run start(piece) for every piece of the data that MPI can count."""
        self._enter()
        for at in range(0, data.size, LIMIT):
            self._finish(start(data[at:at + LIMIT]), name)

    def barrier(self, timeout=None, name="barrier", first=False):
        """Wait for all ranks. At the timeout the error names all that are missing, or only the first."""
        self._enter()
        self._finish(self._comm.Ibarrier(), name, timeout, first)

    def broadcast(self, data, root):
        """`data` of the root replaces that of the others."""
        self._in_pieces(data, "broadcast", lambda piece: self._comm.Ibcast([piece, self.MPI.BYTE], root))

    def _operator(self, dtype, op):
        """(MPI's reduction, NumPy's dtype of the elements) of one of ours."""
        MPI, kind, plain = self.MPI, elements(dtype), "sum" if op == "avg" else op
        if kind.itemsize == 2 and dtype.is_floating_point:  # MPI has no 16-bit floats
            return self._own_operator(dtype, plain), np.dtype(np.uint16)
        if kind == np.bool_:
            plain = {"sum": "max", "product": "min"}.get(plain, plain)
            kind = np.dtype(np.uint8)
        names = {"product": MPI.PROD, "sum": MPI.SUM, "min": MPI.MIN, "max": MPI.MAX, "band": MPI.BAND, "bor": MPI.BOR,
                 "bxor": MPI.BXOR}
        return names[plain], kind

    def _own_operator(self, dtype, op):
        def combine(source, target, _):
            target = np.frombuffer(target, np.uint8)
            target[:] = fold([target, np.frombuffer(source, np.uint8)], dtype, op)
        if (dtype, op) not in self._operators:
            self._operators[dtype, op] = self.MPI.Op.Create(combine, commute=True)
        return self._operators[dtype, op]

    def _scaled(self, data, dtype, scale):
        return data if scale is None else fold([data], dtype, "sum", scale)

    def reduce(self, data, dtype, op, root=None, scale=None):
        """The reduction of all ranks' data replaces that of the root, or of all."""
        MPI, (function, kind) = self.MPI, self._operator(dtype, op)
        data[:] = self._scaled(data, dtype, scale)

        def start(piece):
            values = piece.view(kind)
            if root is None:
                return self._comm.Iallreduce(MPI.IN_PLACE, values, function)
            if self.rank == root:
                return self._comm.Ireduce(MPI.IN_PLACE, values, function, root)
            return self._comm.Ireduce(values, None, function, root)
        self._in_pieces(data, "all_reduce" if root is None else "reduce", start)
        if op == "avg" and root in (None, self.rank):
            data[:] = divide(data, dtype, self.size)

    def _places(self, parts):
        """([sizes, offsets], one buffer with room for the parts)."""
        sizes = [part.size for part in parts]
        offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]]).tolist() if sizes else []
        if sum(sizes) >= 1 << 31:
            raise NotImplementedError("backend 'mpi': more than 2 GiB in one all_gather, gather, scatter or all_to_all")
        return [sizes, offsets], np.empty(sum(sizes), np.uint8)

    def _spread(self, buffer, outputs):
        at = 0
        for output in outputs:
            output[:] = buffer[at:at + output.size]
            at += output.size

    def all_gather(self, data, outputs):
        """outputs[r] becomes the data of rank r."""
        places, buffer = self._places(outputs)
        self._enter()
        self._finish(self._comm.Iallgatherv([data, self.MPI.BYTE], [buffer, *places, self.MPI.BYTE]), "all_gather")
        self._spread(buffer, outputs)

    def gather(self, data, outputs, root):
        """outputs[r] of the root becomes the data of rank r."""
        self._enter()
        if self.rank != root:
            self._finish(self._comm.Igatherv([data, self.MPI.BYTE], None, root), "gather")
            return
        places, buffer = self._places(outputs)
        self._finish(self._comm.Igatherv([data, self.MPI.BYTE], [buffer, *places, self.MPI.BYTE], root), "gather")
        self._spread(buffer, outputs)

    def scatter(self, inputs, output, root):
        """The root's inputs[r], all of the output's size, become the output of rank r."""
        self._enter()
        source = None
        if self.rank == root:
            places, _ = self._places(inputs)
            source = [np.concatenate(inputs), *places, self.MPI.BYTE]
        self._finish(self._comm.Iscatterv(source, [output, self.MPI.BYTE], root), "scatter")

    def reduce_scatter(self, inputs, output, dtype, op, scale=None):
        """The reduction of all ranks' inputs[r], all of the output's size, becomes the output of rank r."""
        function, kind = self._operator(dtype, op)
        data = self._scaled(np.concatenate(inputs), dtype, scale).view(kind)
        self._enter()
        self._finish(self._comm.Ireduce_scatter_block(data, output.view(kind), function), "reduce_scatter")
        if op == "avg":
            output[:] = divide(output, dtype, self.size)

    def all_to_all(self, inputs, outputs):
        """outputs[r] becomes what rank r has as inputs[this rank]."""
        sent, _ = self._places(inputs)
        received, buffer = self._places(outputs)
        self._enter()
        source = np.concatenate(inputs)
        self._finish(self._comm.Ialltoallv([source, *sent, self.MPI.BYTE], [buffer, *received, self.MPI.BYTE]),
                     "all_to_all")
        self._spread(buffer, outputs)

    # --- from one rank to one other ---

    def send(self, data, target, tag):
        """Send to a rank; returns when the data may change."""
        self._message(self._messages.Isend([data, self.MPI.BYTE], target, tag), "send", target)

    def receive(self, data, source, tag):
        """Receive what a rank sends with this tag."""
        self._message(self._messages.Irecv([data, self.MPI.BYTE], source, tag), "recv", source)

    def _message(self, request, name, peer):
        limit = seconds(self.timeout)
        end, pause = time.monotonic() + limit, 2e-5
        while not request.Test():
            if time.monotonic() > end:
                raise DistBackendError(f"{name}: timed out after {limit:g} s waiting for rank {self.names[peer]}")
            time.sleep(pause)
            pause = min(pause * 1.2, 1e-3)

    def sources(self):
        """The ranks from which something waits."""
        status = self.MPI.Status()
        if self._messages.Iprobe(self.MPI.ANY_SOURCE, self.MPI.ANY_TAG, status):
            return [status.Get_source()]
        return []

    def close(self):
        """Leave the group."""
        self.worker.close()
        self._beat.stop()
        self._messages.Free()
        self._comm.Free()
