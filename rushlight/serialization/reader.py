"""Reads records of bytes from the zip archives that `save` or PyTorch made.

No size in the file is believed before it has been compared with the size of the file: records may not reach outside
of it nor lie on top of each other, so that reading all of them takes no more memory than the file is long. Packed
records, which `save` never makes, may unpack to a multiple of that; the sum is checked before anything is read. Next to
read: loading.py, which knows what the records mean.
"""

import mmap
import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pickle import UnpicklingError

from . import options
from .checksum import crc32
from .writer import CHUNK, DIRECTORY_ENTRY, END, END64, LIMIT, LOCAL_HEADER, LOCATOR64, submit

STORED, DEFLATED = 0, 8
MAX_RATIO = 1100  # deflate cannot shrink anything further than to 1/1032
SURE, MOST_TIMES = 64 << 20, 32  # bytes that an archive may always unpack to; times its own length above that
CHECK_CHUNK = 1 << 20


class CorruptFile(UnpicklingError, RuntimeError):
    """A file that is not an archive, or is damaged. PyTorch raises a RuntimeError here, its unpickler an
    UnpicklingError.
    """


def _damaged(name, what):
    """A CorruptFile to raise, in PyTorch's words; `name` of a record, or nothing for the archive."""
    place = f"file {name[:200]}" if name else "zip archive"
    return CorruptFile(f"PytorchStreamReader failed reading {place}: {what}")


class Record:
    """Where the contents of one record lie."""

    __slots__ = ("name", "header", "offset", "packed", "size", "method", "checksum")

    def __init__(self, name, header, packed, size, method, checksum):
        self.name, self.header, self.packed, self.size = name, header, packed, size
        self.method, self.checksum = method, checksum
        self.offset = None


class PathSource:
    """Bytes of a file on disk, which several threads may read at once."""

    def __init__(self, path):
        self._file = open(path, "rb", buffering=0)
        self.size = os.fstat(self._file.fileno()).st_size

    def read_into(self, offset, view):
        """Fills the view from the file; CorruptFile if the file ends before."""
        while view:
            count = os.preadv(self._file.fileno(), [view[:CHUNK]], offset)
            if count == 0:
                raise CorruptFile("PytorchStreamReader failed reading: the file ends too early")
            view, offset = view[count:], offset + count

    def map(self):
        """The whole file as writable memory. By default what is written there does not reach the file."""
        flags = options.get_default_mmap_options()
        if flags == mmap.MAP_SHARED:
            with open(self._file.name, "r+b") as writable:
                return mmap.mmap(writable.fileno(), 0, flags=flags)
        return mmap.mmap(self._file.fileno(), 0, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)

    threads = max(1, min(4, os.cpu_count() or 1))

    def close(self):
        self._file.close()


class FileSource:
    """Bytes of a file object that can be read and positioned."""

    threads = 1

    def __init__(self, file):
        self._file = file
        here = file.tell()
        self.size = file.seek(0, os.SEEK_END)
        self.size = file.tell() if self.size is None else self.size
        file.seek(here)

    def read_into(self, offset, view):
        """Fills the view from the file; CorruptFile if the file ends before."""
        self._file.seek(offset)
        fill = getattr(self._file, "readinto", None)
        while view:
            if fill is not None:
                count = fill(view)
            else:
                data = self._file.read(min(len(view), CHUNK))
                count = len(data)
                view[:count] = data
            if not count:
                raise CorruptFile("PytorchStreamReader failed reading: the file ends too early")
            view = view[count:]

    def close(self):
        """The file belongs to the caller and stays open."""


class ArchiveReader:
    """The records of an archive by name, without the folder that they all lie in."""

    def __init__(self, source):
        self._source = source
        self.folder = ""
        self.records = {}
        self._read_directory()
        self._find_contents()

    def has(self, name):
        """Whether there is such a record."""
        return name in self.records

    def read(self, name, limit=1 << 31):
        """The contents of a record as bytes, at most `limit` of them. CorruptFile if there is no such record."""
        record = self.find(name)
        if record.size > limit:
            raise _damaged(name, f"it has {record.size} bytes")
        buffer = bytearray(record.size)
        self.read_into(record, memoryview(buffer))
        return bytes(buffer)

    def find(self, name):
        """The Record of a name. CorruptFile if there is none."""
        if name not in self.records:
            raise CorruptFile(f"PytorchStreamReader failed locating file {name}: file not found")
        return self.records[name]

    def read_into(self, record, view):
        """Fills a memoryview of exactly the record's size, and compares the checksum."""
        if record.method == DEFLATED:
            checksum = self._inflate_into(record, view)
        else:
            checksum = self._copy_into(record, view)
        # A checksum of zero means that none was computed (`set_crc32_options(False)`).
        if record.checksum and checksum != record.checksum:
            raise _damaged(record.name, "the contents do not match the checksum")

    def _copy_into(self, record, view):
        checksum = 0
        for start in range(0, record.size, CHECK_CHUNK):
            chunk = view[start:start + CHECK_CHUNK]
            self._source.read_into(record.offset + start, chunk)
            if record.checksum:
                checksum = crc32(chunk, checksum, self._source.size)
        return checksum

    def _inflate_into(self, record, view):
        packed = bytearray(record.packed)
        self._source.read_into(record.offset, memoryview(packed))
        try:
            contents = zlib.decompressobj(-15).decompress(packed, record.size + 1)
        except zlib.error as error:
            raise _damaged(record.name, f"{error}") from None
        if len(contents) != record.size:
            raise _damaged(record.name, "it unpacks to another size than it says")
        view[:] = contents
        return zlib.crc32(contents)

    def read_many(self, wanted):
        """Fills many (record, view) pairs, by several threads when the file allows."""
        large = sum(record.size for record, _ in wanted)
        if self._source.threads == 1 or large < 4 << 20 or len(wanted) == 1:
            for record, view in wanted:
                self.read_into(record, view)
            return
        with ThreadPoolExecutor(self._source.threads, thread_name_prefix="rushlight-load") as pool:
            for running in [submit(pool, self.read_into, *pair) for pair in wanted]:
                running.result()

    def _bytes(self, offset, count):
        if offset < 0 or count < 0 or offset + count > self._source.size:
            raise _damaged("", "a part lies outside of the file")
        buffer = bytearray(count)
        self._source.read_into(offset, memoryview(buffer))
        return bytes(buffer)

    def _find_end(self):
        """(position of the directory, its size, the number of its entries, what has been put before the archive)"""
        size = self._source.size
        tail_start = max(0, size - 65557)
        tail = self._bytes(tail_start, size - tail_start)
        place = tail.rfind(b"PK\5\6")
        if place < 0 or place + END.size > len(tail):
            raise _damaged("", "failed finding central directory")
        _, _, _, _, count, length, start, _ = END.unpack_from(tail, place)
        end = tail_start + place
        if place >= LOCATOR64.size and tail[place - LOCATOR64.size:place].startswith(b"PK\6\7"):
            _, _, at, _ = LOCATOR64.unpack_from(tail, place - LOCATOR64.size)
            # What was put before the archive moves everything; the record itself stands right before its locator.
            for candidate in (at, end - LOCATOR64.size - END64.size):
                if 0 <= candidate <= size - END64.size and self._bytes(candidate, 4) == b"PK\6\6":
                    _, _, _, _, _, _, _, count, length, start = END64.unpack(self._bytes(candidate, END64.size))
                    end = candidate
                    break
        shift = end - length - start
        if shift < 0 or length > size or count * DIRECTORY_ENTRY.size > length:
            raise _damaged("", "the central directory is damaged")
        return start + shift, length, count, shift

    def _read_directory(self):
        start, length, count, shift = self._find_end()
        directory = self._bytes(start, length)
        position, records = 0, []
        for _ in range(count):
            if position + DIRECTORY_ENTRY.size > length or directory[position:position + 4] != b"PK\1\2":
                raise _damaged("", "the central directory is damaged")
            entry = DIRECTORY_ENTRY.unpack_from(directory, position)
            flags, method, checksum, packed, size = *entry[3:5], *entry[7:10]
            name_length, extra_length, comment_length, header = *entry[10:13], entry[16]
            position += DIRECTORY_ENTRY.size
            name = directory[position:position + name_length].decode("utf-8", "replace")
            extra = directory[position + name_length:position + name_length + extra_length]
            position += name_length + extra_length + comment_length
            if flags & 1 or method not in (STORED, DEFLATED):
                raise _damaged(name, "it is encrypted or packed by an unknown method")
            size, packed, header = _wide_numbers(extra, size, packed, header)
            records.append(Record(name, header + shift, packed, size, method, checksum))
        if not records:
            raise _damaged("", "the archive is empty")
        self.folder = records[0].name.partition("/")[0]
        self._index(records)

    def _index(self, records):
        prefix = f"{self.folder}/"
        for record in records:
            name = record.name.removeprefix(prefix)
            if name in self.records:
                raise _damaged("", f"there are two records {name}")
            if record.method == STORED and record.size != record.packed:
                raise _damaged(name, "the archive gives it two sizes")
            if record.size > record.packed * MAX_RATIO + 64:
                raise _damaged(name, f"no {record.packed} bytes unpack to {record.size}")
            self.records[name] = record
        total = sum(record.size for record in records if record.method == DEFLATED)
        if total > max(SURE, MOST_TIMES * self._source.size):
            raise _damaged("", f"its packed records unpack to {total} bytes, more than {MOST_TIMES} times the file")

    def _find_contents(self):
        """Reads the local headers, behind which the contents begin, and checks that no two records share bytes."""
        free_from = 0
        for record in sorted(self.records.values(), key=lambda record: record.header):
            header = LOCAL_HEADER.unpack(self._bytes(record.header, LOCAL_HEADER.size))
            if header[0] != b"PK\3\4":
                raise _damaged(record.name, "its header is damaged")
            record.offset = record.header + LOCAL_HEADER.size + header[9] + header[10]
            if record.header < free_from or record.offset + record.packed > self._source.size:
                raise _damaged(record.name, "it lies outside of the file or on another record")
            free_from = record.offset + record.packed


def _wide_numbers(extra, size, packed, header):
    """The numbers that did not fit into 4 bytes, from the extra field number 1."""
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        if kind == 1:
            field = extra[position + 4:position + 4 + length]
            wide = [int.from_bytes(field[i:i + 8], "little") for i in range(0, len(field) - 7, 8)]
            numbers = [wide.pop(0) if n == LIMIT and wide else n for n in (size, packed, header)]
            return tuple(numbers)
        position += 4 + length
    return size, packed, header
