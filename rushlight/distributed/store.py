"""Key-value stores through which the processes of a job find each other: small values only, no tensors.

`TCPStore` serves one job from a socket, `FileStore` from a file, `HashStore` within one process; `PrefixStore` gives
a part of a program names of its own. Next to read: arena.py, which takes over once everybody is known.
"""
import fcntl
import os
import socket
import struct
import threading
import time
from datetime import timedelta

LENGTH = struct.Struct("<I")
DEFAULT_TIMEOUT = timedelta(minutes=30)


class DistError(RuntimeError):
    """An error of the communication between processes."""


class DistBackendError(DistError):
    """A backend cannot go on: a rank has ended, or does something else than the others."""


class DistNetworkError(DistError):
    """A connection could not be made, or broke."""


class DistStoreError(DistError):
    """A store did not answer in time."""


def seconds(timeout):
    """A timeout (timedelta or number, None for the default) in seconds."""
    timeout = DEFAULT_TIMEOUT if timeout is None else timeout
    return timeout.total_seconds() if isinstance(timeout, timedelta) else float(timeout)


def _bytes(value):
    return value.encode() if isinstance(value, str) else bytes(value)


class Store:
    """What every store can do. Subclasses give `_apply(command, arguments)`, which is atomic over all processes."""

    def __init__(self):
        self._timeout = DEFAULT_TIMEOUT

    @property
    def timeout(self):
        """How long `get` and `wait` wait (timedelta)."""
        return self._timeout

    def set_timeout(self, timeout):
        """Set how long `get` and `wait` wait."""
        self._timeout = timeout

    def set(self, key, value):
        """Store a value (str or bytes) under a key."""
        self._apply("set", (key, _bytes(value)))

    def get(self, key):
        """The bytes under a key; waits until there are any. DistStoreError at the timeout."""
        self.wait([key])
        return self._apply("get", (key,))

    def add(self, key, amount):
        """Add to the number under a key (0 where there is none); returns the sum."""
        return int(self._apply("add", (key, str(amount))))

    def append(self, key, value):
        """Append to the bytes under a key."""
        self._apply("append", (key, _bytes(value)))

    def compare_set(self, key, expected, desired):
        """Store `desired` if the key holds `expected` (or nothing, and `expected` is empty); returns what it holds."""
        return self._apply("compare_set", (key, _bytes(expected), _bytes(desired)))

    def check(self, keys):
        """Whether all keys are there."""
        return self._apply("check", tuple(keys)) == b"1"

    def delete_key(self, key):
        """Remove a key; returns whether it was there."""
        return self._apply("delete", (key,)) == b"1"

    def num_keys(self):
        """The number of keys."""
        return int(self._apply("count", ()))

    def multi_get(self, keys):
        """The values of several keys."""
        return [self.get(key) for key in keys]

    def multi_set(self, keys, values):
        """Store several values."""
        for key, value in zip(keys, values, strict=True):
            self.set(key, value)

    def wait(self, keys, timeout=None):
        """Wait until all keys are there. DistStoreError, which names the missing ones, at the timeout."""
        limit = seconds(self._timeout if timeout is None else timeout)
        end, pause = time.monotonic() + limit, 0.0005
        while not self.check(keys):
            if time.monotonic() > end:
                missing = [key for key in keys if not self.check([key])]
                raise DistStoreError(f"wait timeout after {int(limit * 1000)}ms, keys: {', '.join(missing)}")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.02)

    def _apply(self, command, arguments):
        raise NotImplementedError(f"{type(self).__name__} has no {command}")


def apply(table, command, arguments):
    """Do a command on a dictionary; returns bytes."""
    key = arguments[0] if arguments else None
    if command == "set":
        table[key] = arguments[1]
    elif command == "get":
        return table[key]
    elif command == "add":
        table[key] = str(int(table.get(key, b"0")) + int(arguments[1])).encode()
        return table[key]
    elif command == "append":
        table[key] = table.get(key, b"") + arguments[1]
    elif command == "compare_set":
        if table.get(key, b"") == arguments[1]:
            table[key] = arguments[2]
        return table.get(key, b"")
    elif command == "check":
        return b"1" if all(key in table for key in arguments) else b"0"
    elif command == "delete":
        return b"1" if table.pop(key, None) is not None else b"0"
    elif command == "count":
        return str(len(table)).encode()
    return b""


class HashStore(Store):
    """A store for the threads of one process."""

    def __init__(self):
        super().__init__()
        self._table, self._lock = {}, threading.Lock()

    def _apply(self, command, arguments):
        with self._lock:
            return apply(self._table, command, arguments)


class PrefixStore(Store):
    """A store whose keys are those of another store that start with `prefix`/."""

    def __init__(self, prefix, store):
        super().__init__()
        self._prefix, self.underlying_store = prefix, store
        self._timeout = store.timeout

    def _apply(self, command, arguments):
        if command == "check":
            arguments = tuple(f"{self._prefix}/{key}" for key in arguments)
        elif arguments:
            arguments = (f"{self._prefix}/{arguments[0]}", *arguments[1:])
        return self.underlying_store._apply(command, arguments)


class FileStore(Store):
    """A store in a file that all processes can reach; each command is a line of it, under a lock of the file.

    Args: file_name (str); world_size (int): how many processes use it, the last of which removes it; -1: nobody does.
    """

    def __init__(self, file_name, world_size=-1):
        super().__init__()
        self.path, self._world_size = str(file_name), world_size
        self._apply("add", ("\0users", "1"))

    def _apply(self, command, arguments):
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            fields = unpack(file.read())
            table = {key.decode(): value for key, value in zip(fields[::2], fields[1::2])}
            before = dict(table)
            answer = str(len(table) - 1).encode() if command == "count" else apply(table, command, arguments)
            if table != before:
                file.seek(0)
                file.write(pack([field for row in table.items() for field in row]))
                file.truncate()
        return answer

    def close(self):
        """Say that this process needs the file no more; the last of `world_size` removes it."""
        if self._world_size > 0 and self.add("\0closed", 1) >= self._world_size:
            os.unlink(self.path)


def pack(fields):
    """A list of strings and bytes as bytes."""
    fields = [_bytes(field) for field in fields]
    return b"".join(LENGTH.pack(len(field)) + field for field in fields)


def unpack(data):
    """What `pack` has packed, as a list of bytes."""
    fields, at = [], 0
    while at < len(data):
        size, = LENGTH.unpack_from(data, at)
        fields.append(data[at + 4:at + 4 + size])
        at += 4 + size
    return fields


def _receive(connection):
    """One message: a list of bytes; None if the other side has closed."""
    head = _exactly(connection, LENGTH.size)
    return None if head is None else unpack(_exactly(connection, LENGTH.unpack(head)[0]) or b"")


def _exactly(connection, size):
    data = bytearray()
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            return None
        data += part
    return bytes(data)


def _send(connection, fields):
    data = pack(fields)
    connection.sendall(LENGTH.pack(len(data)) + data)


class _Server:
    """Answers the commands of all processes; a thread for each of them."""

    def __init__(self, host, port):
        self._table, self._lock = {}, threading.Lock()
        try:
            self._socket = socket.create_server((host, port), backlog=1024)
        except OSError as error:
            raise DistNetworkError(f"The server socket has failed to listen on {host or '*'}:{port}: {error}") from None
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True, name="rushlight store").start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            try:
                while (fields := _receive(connection)) is not None:
                    command, count, keys = fields[0].decode(), int(fields[1]), fields[2:]
                    names = [field.decode() for field in keys[:count]]
                    with self._lock:
                        answer = apply(self._table, command, (*names, *keys[count:]))
                    _send(connection, [answer])
            except (OSError, KeyError):
                return

    def close(self):
        """Stop answering new processes."""
        self._socket.close()


class TCPStore(Store):
    """A store that one process serves from a socket.

    Args:
        host_name (str), port (int): where; port 0 takes a free one, which `port` tells.
        world_size (int): how many processes use it; the master waits for them if `wait_for_workers`.
        is_master (bool): whether this process serves it.
        timeout (timedelta): how long to wait for a connection, and in `get` and `wait`.
    """

    def __init__(self, host_name, port=29500, world_size=None, is_master=False, timeout=timedelta(seconds=300),
                 wait_for_workers=True, multi_tenant=False, **_):
        super().__init__()
        self._timeout, self.host, self.server = timeout, host_name, "the master"
        self._server = _Server("", port) if is_master else None
        self.port = self._server.port if is_master else port
        self._lock = threading.Lock()
        self._connection = self._connect()
        if world_size and wait_for_workers:
            self._meet(world_size)

    def _connect(self):
        end = time.monotonic() + seconds(self._timeout)
        while True:
            try:
                connection = socket.create_connection((self.host, self.port), timeout=5)
                break
            except OSError as error:
                if time.monotonic() > end:
                    raise DistNetworkError(f"The client socket has timed out after {int(seconds(self._timeout))}s "
                                           f"while trying to connect to ({self.host}, {self.port}): {error}") from None
                time.sleep(0.05)
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _meet(self, world_size):
        count = self.add("\0workers", 1)
        end = time.monotonic() + seconds(self._timeout)
        while self._server is not None and count < world_size:
            if time.monotonic() > end:
                raise DistStoreError(f"Timed out after {int(seconds(self._timeout))} seconds waiting for clients. "
                                     f"{count}/{world_size} clients joined.")
            time.sleep(0.005)
            count = self.add("\0workers", 0)

    def _apply(self, command, arguments):
        count = len(arguments) if command == "check" else min(1, len(arguments))
        with self._lock:
            try:
                _send(self._connection, [command, str(count), *arguments])
                answer = _receive(self._connection)
            except OSError as error:
                raise DistNetworkError(f"the store at {self.host}:{self.port}, which {self.server} serves, is gone: "
                                       f"{error}") from None
        if answer is None:
            raise DistNetworkError(f"the store at {self.host}:{self.port} is gone; {self.server}, which serves it, has "
                                   f"ended")
        return answer[0] if answer else b""

    def close(self):
        """Close the connection, and the server if this process runs it."""
        self._connection.close()
        if self._server is not None:
            self._server.close()
