"""Messages between the main process and a worker: objects go in on one side and come out on the other.

Tensors travel in shared blocks (blocks.py), everything else as a pickle over a pair of sockets. The main process
never blocks on a socket, so that it can wait for all workers at once and two sides that both want to send cannot wait
for each other; a worker blocks. Read next: worker.py (the worker's side), ../multiprocess.py (the other).
"""

import array
import io
import os
import pickle
import socket
import struct
import weakref

from ....base.lazy import numpy as np

from .... import api as rl
from ....core.layout import layout
from ....core.tensor import view
from ....tensor.methods import over_array
from . import blocks

HEADER = struct.Struct("<QI")  # bytes of the pickle, number of descriptors
INLINE = 16 << 10  # tensors up to this many bytes are part of the pickle
MAX_HANDLES = 200  # descriptors in one packet; the system's limit is 253
READ_SIZE = 1 << 18
ANCILLARY_SIZE = socket.CMSG_SPACE(MAX_HANDLES * 4)
CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)

_open_channels = weakref.WeakSet()


class Disconnected(Exception):
    """The other side has closed its socket, or is dead."""


# --- tensors ---------------------------------------------------------------------------------------------------------


def tensor_bytes(tensor):
    """(array of the bytes of a CPU tensor, its strides): of the memory itself if that is dense, else of a contiguous
    copy.
    """
    if not _is_dense(tensor.size(), tensor.stride()):
        tensor = tensor.contiguous()
    storage, size = tensor.untyped_storage()._storage, tensor.numel() * tensor.dtype.itemsize
    if size == 0:
        return np.empty(0, dtype=np.uint8), tuple(tensor.stride())
    flat = view(storage, layout((size,), (1,), rl.uint8), tensor.storage_offset() * tensor.dtype.itemsize)
    return flat.numpy(), tuple(tensor.stride())


def _is_dense(size, stride):
    """Whether the elements fill their memory without gaps, in whatever order of dimensions."""
    expected = 1
    for step, n in sorted((step, n) for step, n in zip(stride, size) if n != 1):
        if step != expected:
            return False
        expected *= n
    return True


def build_tensor(data, dtype, size, stride, requires_grad):
    """A tensor over an array of bytes, or over bytes, which are copied."""
    if not isinstance(data, np.ndarray):
        data = np.frombuffer(bytearray(data), dtype=np.uint8)
    if data.size == 0:
        tensor = rl.empty_strided(size, stride, dtype=dtype)
    else:
        tensor = view(over_array(data, alone=True)._storage, layout(size, stride, dtype), 0)
    return tensor.requires_grad_() if requires_grad else tensor


class _Block:
    """A place in a shared block; its persistent id stands for it in the pickle."""

    __slots__ = ("number", "size")

    def __init__(self, number, size):
        self.number, self.size = number, size


class _Pickler(pickle.Pickler):
    """Pickles objects for the main process; large tensors go to shared blocks of `pool`."""

    def __init__(self, file, pool):
        super().__init__(file, protocol=5)
        self.pool = pool
        self.handles = []
        self.new_blocks = []
        self.taken = []

    def persistent_id(self, thing):
        return (thing.number, thing.size) if type(thing) is _Block else None

    def reducer_override(self, thing):
        if not isinstance(thing, rl.Tensor) or thing.device.type != "cpu":
            return NotImplemented
        if type(thing).__reduce_ex__ is not rl.Tensor.__reduce_ex__ or getattr(thing, "__dict__", None):
            return NotImplemented  # a class of its own, or attributes of its own: it knows better
        if thing.requires_grad and not thing.is_leaf:
            raise RuntimeError(
                "Cowardly refusing to serialize non-leaf tensor which requires_grad, since autograd does not support "
                "crossing process boundaries.  If you just want to transfer the data, call detach() on the tensor "
                "before serializing (e.g., putting it on the queue)."
            )
        content, stride = tensor_bytes(thing.detach())
        place = content.tobytes() if content.size <= INLINE else self._share(content)
        return build_tensor, (place, thing.dtype, tuple(thing.size()), stride, thing.requires_grad)

    def _share(self, content):
        number, block, handle = self.pool.take(content.size)
        self.taken.append(number)
        if handle is not None:
            self.handles.append(handle)
            self.new_blocks.append(number)
        block[:content.size] = content
        return _Block(number, content.size)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file, views):
        super().__init__(file)
        self.views = views

    def persistent_load(self, saved):
        return self.views.lease(*saved)


# --- the worker's side -----------------------------------------------------------------------------------------------


class WorkerEnd:
    """The worker's side of a connection."""

    def __init__(self, connection):
        close_inherited()
        self._socket = connection
        self._socket.setblocking(True)
        self._pool = blocks.BlockPool()

    def fileno(self):
        return self._socket.fileno()

    def receive(self):
        """The next message. Disconnected when there will be none."""
        try:
            size, _ = HEADER.unpack(self._read(HEADER.size))
            released, message = pickle.loads(self._read(size))
        except OSError:
            raise Disconnected from None
        self._pool.release(released)
        return message

    def _read(self, size):
        data = bytearray(size)
        view = memoryview(data)
        while view:
            count = self._socket.recv_into(view)
            if count == 0:
                raise Disconnected
            view = view[count:]
        return data

    def send(self, message):
        """Sends a message; whatever `pickle` raises when it cannot be pickled. Disconnected when the other side
        has gone.
        """
        buffer = io.BytesIO()
        pickler = _Pickler(buffer, self._pool)
        try:
            pickler.dump(message)
        except BaseException:
            # Nothing is sent, so what was taken is free again; the main process has never heard of the new ones.
            self._pool.release([number for number in pickler.taken if number not in pickler.new_blocks])
            self._pool.discard(pickler.new_blocks)
            for handle in pickler.handles:
                os.close(handle)
            raise
        head = pickle.dumps((pickler.new_blocks, self._pool.forget_dropped()), protocol=5)
        try:
            self._send(head, buffer.getbuffer(), pickler.handles)
        except OSError:
            raise Disconnected from None
        finally:
            for handle in pickler.handles:
                os.close(handle)

    def _send(self, head, body, handles):
        # Descriptors travel with a byte of their own each time, ahead of the message that needs them.
        self._socket.sendall(HEADER.pack(len(head) + len(body), len(handles)))
        for start in range(0, len(handles), MAX_HANDLES):
            packet = array.array("i", handles[start:start + MAX_HANDLES])
            self._socket.sendmsg([b"F"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, packet)])
        self._socket.sendall(head)
        self._socket.sendall(body)


# --- the main process's side -----------------------------------------------------------------------------------------


class MainEnd:
    """The main process's side of a connection; never blocks."""

    def __init__(self, connection):
        self._socket = connection
        self._socket.setblocking(False)
        self._outgoing = bytearray()
        self._incoming = bytearray()
        self._handles = []
        self._views = blocks.BlockViews()
        self.closed = False
        _open_channels.add(self)

    def fileno(self):
        return self._socket.fileno()

    @property
    def wants_to_send(self):
        """Whether something waits until the worker reads."""
        return bool(self._outgoing)

    def send(self, message):
        """Sends a message, or keeps what the socket does not take for `flush`."""
        data = pickle.dumps((self._views.take_released(), message), protocol=5)
        self._outgoing += HEADER.pack(len(data), 0) + data
        self.flush()

    def flush(self):
        """Sends what the socket takes now. A worker that is dead shows when something is received."""
        try:
            while self._outgoing:
                del self._outgoing[:self._socket.send(self._outgoing)]
        except BlockingIOError:
            return
        except OSError:
            self._outgoing.clear()

    def receive(self):
        """The list of messages that have arrived completely. Sets `closed` when the worker has gone."""
        while not self.closed:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(READ_SIZE, ANCILLARY_SIZE, CLOSE_ON_EXEC)
            except BlockingIOError:
                break
            except OSError:
                data, ancillary = b"", ()
            for level, kind, content in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    self._handles.extend(array.array("i", content[:len(content) - len(content) % 4]))
            self.closed = not data
            self._incoming += data
        messages = []
        while (message := self._next_message()) is not None:
            messages.append(message[0])
        return messages

    def _next_message(self):
        if len(self._incoming) < HEADER.size:
            return None
        size, handle_count = HEADER.unpack_from(self._incoming)
        packets = -(-handle_count // MAX_HANDLES)
        start = HEADER.size + packets
        if len(self._incoming) < start + size:
            return None
        body = io.BytesIO(self._incoming[start:start + size])
        del self._incoming[:start + size]
        new_blocks, dropped = pickle.load(body)
        for number in new_blocks:
            self._views.add(number, self._handles.pop(0))
        message = _Unpickler(body, self._views).load()
        self._views.forget(dropped)
        return (message,)

    def close(self):
        """Closes the socket; the worker ends when it notices."""
        self.closed = True
        _open_channels.discard(self)
        self._socket.close()
        for handle in self._handles:
            os.close(handle)
        self._handles.clear()


def connect():
    """(MainEnd, the socket for a WorkerEnd in a new process)"""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return MainEnd(ours), theirs


def close_inherited():
    """Closes the main process's ends that a fork has copied into a worker: they would keep connections of the dead
    alive.
    """
    for channel in list(_open_channels):
        channel._socket.close()
    _open_channels.clear()
