"""Settings of `save` and `load` that hold for the whole program: byte order, checksums, how files are mapped.

In: the setters below. Out: `get_*`, which reader.py, writer.py and loading.py ask. Next to read: saving.py.
"""

from enum import Enum
from mmap import MAP_PRIVATE, MAP_SHARED


class LoadEndianness(Enum):
    """The byte order of files that do not say it."""

    NATIVE = 1
    LITTLE = 2
    BIG = 3


class _Settings:
    endianness = None
    checksums = True
    mmap_flags = MAP_PRIVATE


def get_default_load_endianness():
    """The byte order assumed for files that do not say it; None means little endian."""
    return _Settings.endianness


def set_default_load_endianness(endianness):
    """Sets the byte order assumed for files that do not say it. TypeError unless a LoadEndianness or None."""
    if endianness is not None and not isinstance(endianness, LoadEndianness):
        raise TypeError("Invalid argument type in function set_default_load_endianness")
    _Settings.endianness = endianness


def get_crc32_options():
    """Whether `save` computes checksums."""
    return _Settings.checksums


def set_crc32_options(compute_crc32):
    """Sets whether `save` computes checksums. Without them `unzip` complains about the file; `load` does not."""
    _Settings.checksums = bool(compute_crc32)


def get_default_mmap_options():
    """The flags that `load(..., mmap=True)` maps files with: `mmap.MAP_PRIVATE` or `mmap.MAP_SHARED`."""
    return _Settings.mmap_flags


class set_default_mmap_options:
    """Sets the flags that `load(..., mmap=True)` maps files with; as a context manager, for the length of a block.

    With MAP_SHARED, writing to a loaded tensor writes to the file. ValueError for other flags.
    """

    def __init__(self, flags):
        if flags not in (MAP_PRIVATE, MAP_SHARED):
            raise ValueError(
                "Invalid argument in function set_default_mmap_options, expected mmap.MAP_PRIVATE or mmap.MAP_SHARED, "
                f"got {flags}"
            )
        self.previous = _Settings.mmap_flags
        _Settings.mmap_flags = flags

    def __enter__(self):
        return None

    def __exit__(self, kind, value, traceback):
        _Settings.mmap_flags = self.previous
