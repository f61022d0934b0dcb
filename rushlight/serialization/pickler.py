"""Pickles as PyTorch writes them: the bytes of an object, and the list of storages they refer to.

Note [Renaming in a pickle]
Our classes have to appear under PyTorch's names, but `pickle` insists that a name it writes leads back to the very
object. So the pickler writes such an object as a persistent id, a random text of fixed length, and the texts are
replaced by the opcode that names a global once the pickle is complete. That keeps the fast pickler, which Python code
cannot teach names. It works with protocols 2 and 3; later ones cut the pickle into frames, and are written by
Python's own slow pickler instead.

Next to read: writer.py (where the bytes go), names.py (the names).
"""

import io
import os
import pickle
import re

from .. import api as rl
from . import adapter, rebuild
from .location import location_tag
from .names import CALLABLES, DTYPE, file_name
from .storages import TYPE_OF_DTYPE, UNTYPED, StorageType, TypedStorage

TOKEN_BYTES = 32
# What files refer to by name.
NAMED = (*CALLABLES, StorageType, DTYPE)
LAYOUT = type(rl.strided)


class Storages:
    """The storages of one file: numbers them in the order in which they are met, and keeps them alive."""

    def __init__(self, legacy=False):
        self.found = {}  # key in the file -> storage
        self.itemsize = {}  # key in the file -> bytes of an element
        self._keys = {}
        self._dtypes = {}
        self.legacy = legacy

    def persistent_id(self, typed):
        """The tuple that stands for a storage in the pickle. RuntimeError when two tensors see it as different
        types.
        """
        storage, kind = typed.untyped(), typed.kind
        identity = adapter.storage_identity(storage)
        if storage.nbytes() and self._dtypes.setdefault(identity, kind.dtype) is not kind.dtype:
            raise RuntimeError("Cannot save multiple tensors or storages that view the same data as different types")
        key = self._keys.setdefault(identity, str(len(self._keys)))
        self.found.setdefault(key, storage)
        self.itemsize.setdefault(key, kind.dtype.itemsize)
        result = ("storage", kind, key, location_tag(storage), storage.nbytes() // kind.dtype.itemsize)
        return (*result, None) if self.legacy else result


class _Renamer:
    """Hands out tokens for objects with another name in files, and puts the names in their place."""

    def __init__(self):
        self._prefix = os.urandom(10).hex()
        self._names = []

    def token(self, name):
        """A text that stands for the global `name`."""
        text = f"{self._prefix}{len(self._names):012d}"
        self._names.append(name)
        return text

    def replace(self, data):
        """The pickle with every token replaced."""
        pattern = b"X" + TOKEN_BYTES.to_bytes(4, "little") + self._prefix.encode() + rb"(\d{12})(q.|r.{4}|)Q"
        first_use = {}

        def substitute(match):
            name, memo = self._names[int(match[1])], match[2]
            if name in first_use:
                return first_use[name]
            if memo:
                first_use[name] = (b"h" if memo[:1] == b"q" else b"j") + memo[1:]
            return b"c" + "\n".join(name).encode() + b"\n" + memo

        return re.sub(pattern, substitute, data, flags=re.DOTALL)


class _Handlers(dict):
    """From the type of an object to the function that answers for it, worked out once per type."""

    def __init__(self, storages, name_token):
        super().__init__()
        self._storages, self._name_token = storages, name_token

    def __missing__(self, kind):
        handler = None
        if issubclass(kind, TypedStorage):
            handler = self._storages.persistent_id
        elif issubclass(kind, rl.UntypedStorage):
            handler = self._untyped
        elif issubclass(kind, NAMED):
            handler = self._name_token
        self[kind] = handler
        return handler

    def _untyped(self, storage):
        kind = TYPE_OF_DTYPE.get(getattr(storage, "dtype", None), UNTYPED)  # the API's TypedStorage has a dtype
        return self._storages.persistent_id(TypedStorage(storage, kind))


def _reduce_override(thing):
    """How tensors, devices and sizes are taken apart, which the public classes need not agree with."""
    if isinstance(thing, rl.Tensor):
        if not thing._is_strided:
            return rebuild.reduce_sparse(thing)
        own = type(thing).__reduce_ex__
        ordinary = own is rl.Tensor.__reduce_ex__ or own is object.__reduce_ex__
        return rebuild.reduce_tensor(thing) if ordinary else NotImplemented
    if isinstance(thing, rl.device):
        return rl.device, ((thing.type,) if thing.index is None else (thing.type, thing.index))
    if type(thing) is rl.Size:
        return rl.Size, (tuple(thing),)
    if isinstance(thing, LAYOUT):
        return rebuild._get_layout, (str(thing),)
    return NotImplemented


def dump(thing, storages, pickle_module=pickle, protocol=2):
    """The pickle of `thing` as bytes; its storages are added to `storages`."""
    if protocol >= 4 or protocol < 2:
        return _dump_slowly(thing, storages, protocol)
    renamer = _Renamer()

    def name_token(value):
        name = file_name(value)
        return None if name is None else renamer.token(name)

    handlers = _Handlers(storages, name_token)

    class FilePickler(pickle_module.Pickler):
        def persistent_id(self, value):
            handler = handlers[type(value)]
            return None if handler is None else handler(value)

        def reducer_override(self, value):
            return _reduce_override(value)

    buffer = io.BytesIO()
    FilePickler(buffer, protocol=protocol).dump(thing)
    return renamer.replace(buffer.getvalue())


def _dump_slowly(thing, storages, protocol):
    buffer = io.BytesIO()
    handlers = _Handlers(storages, None)
    handlers[TypedStorage] = storages.persistent_id

    class SlowPickler(pickle._Pickler):
        def persistent_id(self, value):
            handler = handlers[type(value)]
            return None if handler is None else handler(value)

        def reducer_override(self, value):
            return _reduce_override(value)

        def save(self, value, save_persistent_id=True):
            name = file_name(value) if isinstance(value, NAMED) else None
            if name is None or self.memo.get(id(value)) is not None:
                return super().save(value, save_persistent_id)
            if self.proto >= 4:
                super().save(name[0])
                super().save(name[1])
                self.write(pickle.STACK_GLOBAL)
            else:
                self.write(pickle.GLOBAL + "\n".join(name).encode() + b"\n")
            return self.memoize(value)

    SlowPickler(buffer, protocol=protocol).dump(thing)
    return buffer.getvalue()

