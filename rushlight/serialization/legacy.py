"""PyTorch's file format before 1.6: a row of pickles, followed by the bare bytes of the storages.

In: the bytes of such a file (`load`), or an object (`dump`). Out: the object, or the parts of a file. The pickles are
a magic number, a version, facts about the machine, the object, and the keys of the storages in the order in which
they follow; each storage is its number of elements in 8 bytes and the elements. Next to read: loading.py.
"""

import pickle
import sys
from pickle import UnpicklingError

from . import adapter, pickler
from .reader import CorruptFile
from .storages import StorageType, TypedStorage

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001


def load(data, restore, unpickle):
    """(the object in a file, the position behind it)

    Args:
        data: bytes or a memory map of the file.
        restore: from a storage on the CPU and a tag to the storage where it belongs.
        unpickle: from data, a position and `persistent_load` to an object and the position behind it.
    """
    if data[257:262] == b"ustar":
        raise NotImplementedError("torch.load: files in PyTorch's .tar format (before 0.2) cannot be read")
    position = _check_head(data, unpickle)
    storages = _Storages(len(data))
    _, after = unpickle(data, position, storages.persistent_load)
    keys, after = unpickle(data, after, None)
    if type(keys) is not list or not all(isinstance(key, (str, bytes, int)) for key in keys) \
            or len(set(keys)) != len(keys):
        raise UnpicklingError("the file is damaged: the keys of its storages are not a list")
    after = storages.fill(data, after, keys)
    storages.restore(restore)
    # The first time, tensors were made over empty storages of the CPU, to learn what there is.
    result, _ = unpickle(data, position, storages.persistent_load)
    return result, after


def _check_head(data, unpickle):
    magic, position = unpickle(data, 0, None)
    if magic != MAGIC_NUMBER:
        raise RuntimeError("Invalid magic number; corrupt file?")
    version, position = unpickle(data, position, None)
    if version != PROTOCOL_VERSION:
        raise RuntimeError(f"Invalid protocol version: {version!r:.80}")
    machine, position = unpickle(data, position, None)
    if not isinstance(machine, dict) or not machine.get("little_endian", True):
        raise NotImplementedError("torch.load: files of PyTorch before 1.6 from a big endian machine cannot be read")
    return position


class _Storages:
    """The storages of one file. They are made when the pickle refers to them and filled at its end."""

    def __init__(self, budget):
        self._budget = budget  # all storages together cannot be larger than the file
        self._roots = {}  # key -> (storage, StorageType, tag)
        self._views = {}

    def persistent_load(self, saved):
        if saved and saved[0] in ("module", b"module") and len(saved) == 4:
            return saved[1]
        kind, key, tag, count, view = _check_saved(saved)
        if key not in self._roots:
            nbytes = count * kind.dtype.itemsize
            self._budget -= nbytes
            if self._budget < 0:
                raise CorruptFile("the file is damaged: its storages are larger than itself")
            self._roots[key] = (adapter.new_storage(nbytes), kind, tag)
        storage = self._roots[key][0]
        return TypedStorage(storage if view is None else self._view(storage, kind, view), kind)

    def _view(self, storage, kind, view):
        if type(view) is not tuple or len(view) != 3 or not all(type(n) is int and n >= 0 for n in view[1:]):
            raise UnpicklingError("the file is damaged: a part of a storage is not described by key, offset and size")
        key, offset, count = view
        if not isinstance(key, (str, bytes, int)):
            raise UnpicklingError("the file is damaged: a part of a storage has no proper key")
        start, nbytes = offset * kind.dtype.itemsize, count * kind.dtype.itemsize
        if start + nbytes > storage.nbytes():
            raise CorruptFile("the file is damaged: a part of a storage lies outside of it")
        if key not in self._views:
            self._views[key] = adapter.part_of_storage(storage, start, nbytes)
        return self._views[key]

    def fill(self, data, position, keys):
        """Reads the contents; the position behind them."""
        for key in keys:
            key = key.decode("ascii", "replace") if isinstance(key, bytes) else str(key)
            if key not in self._roots:
                raise UnpicklingError(f"the file is damaged: no tensor uses its storage {key:.80}")
            storage, kind, _ = self._roots[key]
            count, nbytes = int.from_bytes(data[position:position + 8], "little"), storage.nbytes()
            position += 8
            if count * kind.dtype.itemsize != nbytes or nbytes > len(data) - position:
                raise CorruptFile(f"the file is damaged: expected {nbytes} bytes for storage {key:.80}, it has "
                                  f"{count * kind.dtype.itemsize} of {len(data) - position} left")
            adapter.storage_bytes(storage)[:] = memoryview(data)[position:position + nbytes]
            position += nbytes
        if len(keys) != len(self._roots):
            raise UnpicklingError("the file is damaged: the contents of some storages are missing")
        return position

    def restore(self, restore):
        """Puts all storages in their places."""
        self._roots = {key: (restore(storage, tag), kind, tag) for key, (storage, kind, tag) in self._roots.items()}
        self._views.clear()


def _check_saved(saved):
    if type(saved) is not tuple or len(saved) != 6:
        raise UnpicklingError("the pickle is damaged: expected 6 parts for a storage")
    _, kind, key, tag, count, view = saved
    key, tag = (part.decode("ascii", "replace") if isinstance(part, bytes) else part for part in (key, tag))
    if not isinstance(kind, StorageType) or not isinstance(key, (str, int)):
        raise UnpicklingError("the pickle is damaged: a storage is not described by type and key")
    if type(tag) is not str or type(count) is not int:
        raise UnpicklingError("the pickle is damaged: a storage is not described by type, key, place and size")
    if count < 0:
        raise UnpicklingError("the pickle is damaged: a storage has a negative size")
    return kind, str(key), tag, count, view


def dump(thing, pickle_module, protocol):
    """Yields the parts of a file: bytes, and the memory of the storages."""
    storages = pickler.Storages(legacy=True)
    machine = {
        "protocol_version": PROTOCOL_VERSION,
        "little_endian": sys.byteorder == "little",
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    for part in (MAGIC_NUMBER, PROTOCOL_VERSION, machine):
        yield pickle.dumps(part, protocol=protocol)
    yield pickler.dump(thing, storages, pickle_module, protocol)
    keys = sorted(storages.found)
    yield pickle.dumps(keys, protocol=protocol)
    for key in keys:
        storage = adapter.move_storage(storages.found[key], "cpu")
        yield (storage.nbytes() // storages.itemsize[key]).to_bytes(8, "little")
        yield adapter.storage_bytes(storage)
