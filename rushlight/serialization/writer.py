"""Writes the zip archives that `save` makes, from named records of bytes.

Records are stored, not compressed, each beginning at a multiple of 64 bytes, so that a reader can map them. Sizes and
checksums stand behind each record (zip's "data descriptor") and once more in the directory at the end, so a record is
written in one pass. https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT describes the format. Next to read:
reader.py, its counterpart.
"""

import contextlib
import os
import re
import secrets
import stat
import struct
import time
import zlib
from concurrent.futures import Future, ThreadPoolExecutor

try:
    import fcntl
except ImportError:
    fcntl = None

from . import options
from .checksum import crc32

ALIGNMENT = 64
LIMIT = 0xFFFFFFFF  # sizes and offsets from here on need 8 bytes
FLAGS, EMPTY_FLAGS = 0x0808, 0x0800  # names are UTF-8; a data descriptor follows unless the record is empty
CHUNK = 8 << 20
SMALL = 256 << 10

LOCAL_HEADER = struct.Struct("<4sHHHHHIIIHH")
DIRECTORY_ENTRY = struct.Struct("<4sHHHHHHIIIHHHHHII")
END64 = struct.Struct("<4sQHHIIQQQQ")
LOCATOR64 = struct.Struct("<4sIQI")
END = struct.Struct("<4sHHHHIIH")


class ArchiveWriter:
    """Writes one archive to `out`, which needs `write` alone. Call `finish` after the last record.

    Args:
        out: a binary file or anything with its `write`.
        folder: what the names of all records begin with.
        total: about how many bytes will be written.
    """

    def __init__(self, out, folder, total=0):
        self._out, self._folder, self._total = out, folder, total
        self._checksums = options.get_crc32_options()
        self._position = 0
        self._small = bytearray()
        self._directory = []
        self._crc_of_names = 0
        self._crc_of_records = 0
        self._helper = ThreadPoolExecutor(1, thread_name_prefix="rushlight-crc32")

    def add(self, name, contents):
        """Writes a record; `contents` is bytes or a memoryview of bytes, and is not copied."""
        path = f"{self._folder}/{name}".encode()
        size, start = len(contents), self._position
        padding = -(start + LOCAL_HEADER.size + len(path) + 4) % ALIGNMENT
        flags = FLAGS if size else EMPTY_FLAGS
        self._put(LOCAL_HEADER.pack(b"PK\3\4", 0, flags, 0, 0, 0, 0, 0, 0, len(path), 4 + padding) + path)
        self._put(b"FB" + padding.to_bytes(2, "little") + b"Z" * padding)
        checksum = self._put_contents(contents)
        if size:
            wide = "<4sIQQ" if size >= LIMIT or start >= LIMIT else "<4sIII"
            self._put(struct.pack(wide, b"PK\7\x08", checksum, size, size))
        self._directory.append((path, start, size, checksum))
        self._crc_of_names = zlib.crc32(name.encode(), self._crc_of_names)
        self._crc_of_records = zlib.crc32(checksum.to_bytes(4, "little"), self._crc_of_records)

    def _put_contents(self, contents):
        size = len(contents)
        if size <= SMALL:
            self._put(contents)
            return zlib.crc32(contents) if self._checksums else 0
        self._flush()
        # The checksum is computed by another thread while this one writes; neither needs the interpreter.
        checksum = submit(self._helper, crc32, contents, 0, self._total) if self._checksums else None
        view = memoryview(contents)
        for start in range(0, size, CHUNK):
            write_all(self._out, view[start:start + CHUNK])
        self._position += size
        return checksum.result() if checksum is not None else 0

    def _put(self, data):
        self._small += data
        self._position += len(data)
        if len(self._small) >= CHUNK:
            self._flush()

    def _flush(self):
        if self._small:
            write_all(self._out, self._small)
            self._small = bytearray()

    def finish(self):
        """Writes the directory. Nothing can be added afterwards."""
        # PyTorch's reader logs this record: two numbers of 20 digits that tell files with other contents apart.
        self.add(".data/serialization_id", f"{self._crc_of_names:020d}{self._crc_of_records:020d}".encode())
        start = self._position
        for path, offset, size, checksum in self._directory:
            wide = b"".join(n.to_bytes(8, "little") for n in (size, size, offset) if n >= LIMIT)
            extra = struct.pack("<HH", 1, len(wide)) + wide if wide else b""
            size32, offset32 = min(size, LIMIT), min(offset, LIMIT)
            flags = FLAGS if size else EMPTY_FLAGS
            lengths = (len(path), len(extra), 0, 0, 0, 0)
            entry = (b"PK\1\2", 0, 0, flags, 0, 0, 0, checksum, size32, size32, *lengths, offset32)
            self._put(DIRECTORY_ENTRY.pack(*entry) + path + extra)
        end, count = self._position, len(self._directory)
        self._put(END64.pack(b"PK\6\6", 44, 0x031E, 45, 0, 0, count, count, end - start, start))
        self._put(LOCATOR64.pack(b"PK\6\7", 0, end, 1))
        count16 = min(count, 0xFFFF)
        self._put(END.pack(b"PK\5\6", 0, 0, count16, count16, min(end - start, LIMIT), min(start, LIMIT), 0))
        self._flush()

    def close(self):
        """Ends the helper thread."""
        self._helper.shutdown()


def write_all(out, data):
    """Writes all of it: raw files may take less at a time. Objects whose `write` says nothing are trusted."""
    view = memoryview(data)
    while view:
        written = out.write(view)
        if written is None or written >= len(view):
            return
        view = view[written:]


def submit(pool, function, *arguments):
    """`pool.submit`; where the system gives no threads, the future of a call that this thread has made."""
    try:
        return pool.submit(function, *arguments)
    except RuntimeError:
        done = Future()
        done.set_result(function(*arguments))
        return done


# Note [Atomic writing]
# A checkpoint is written to a new file beside the old one, brought to the disk, and only then given the old one's
# name. A crash, a full disk or a killed process leaves the old checkpoint as it was, and no reader ever sees half a
# file. What a killed process leaves is the new file, under a name that says whose it was. The writer holds a lock on
# it, which ends with the process: the next save in that folder removes every such file that nobody holds. Where the
# system has no such locks, the process number in the name and the age of the file decide.

TEMPORARY = re.compile(r"\..{1,100}\.([0-9]+)-[0-9a-f]{16}\.tmp", re.DOTALL)
OLD = 24 * 3600.0  # seconds after which a file without a lock belongs to nobody, whoever has its process number now
YOUNG = 60.0  # seconds in which a file may be new and not locked yet


@contextlib.contextmanager
def replacing(path):
    """Opens a raw file for writing that becomes `path` when the block ends well, and vanishes when it does not."""
    target = os.path.realpath(path)
    mode = _mode_of(target)
    if mode is not None and not stat.S_ISREG(mode):
        with open(target, "wb", buffering=0) as out:  # a pipe or a device cannot be replaced
            yield out
        return
    folder, name = os.path.split(target)
    remove_leftovers(folder)
    temporary = os.path.join(folder, f".{name[:100]}.{os.getpid()}-{secrets.token_hex(8)}.tmp")
    handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with open(handle, "wb", buffering=0) as out:
            _lock(handle)
            if hasattr(os, "fchmod"):
                os.fchmod(handle, stat.S_IMODE(mode) if mode is not None else 0o666 & ~_umask())
            yield out
            os.fsync(handle)
            if fcntl is not None:
                os.replace(temporary, target)  # while it is locked: nobody takes it for a leftover
        if fcntl is None:
            os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def remove_leftovers(folder):
    """Remove the temporary files of dead processes from a folder. Nothing that goes wrong here is an error."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = TEMPORARY.fullmatch(entry.name)
            if found:
                with contextlib.suppress(OSError):
                    if _is_left_over(entry.path, int(found[1])):
                        os.unlink(entry.path)


def _is_left_over(path, process):
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        return False
    age = time.time() - status.st_mtime
    if fcntl is None:
        return age > OLD
    handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        locked = _lock(handle)
    finally:
        os.close(handle)
    if locked is None:
        return age > OLD and not _is_alive(process)
    return locked and (age > YOUNG or not _is_alive(process))


def _lock(handle):
    """Take the lock of a file, which ends with the process. Returns True, False if another process has it, None without
    locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_alive(process):
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _mode_of(path):
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return None


def _umask():
    current = os.umask(0o077)
    os.umask(current)
    return current


def _sync_folder(path):
    """Brings the new name to the disk as well; file systems that cannot do that for a folder say so, which changes
    nothing.
    """
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
