"""`load`: the objects of a file.

In: paths and file objects with any of PyTorch's formats. Out: what was saved, with tensors that share storages where
the saved ones did. By default nothing but plain data and tensors is accepted (unpickler.py); `weights_only=False`
runs what the file says. Next to read: reader.py (archives), legacy.py (files of PyTorch before 1.6), unpickler.py.
"""

import io
import json
import math
import os
import pickle
import re
import sys
import warnings
from pickle import UnpicklingError

from .. import api as rl
from ..core.layout import contiguous_strides
from . import adapter, legacy, location, names, options
from .allowed import table as allowed_table
from .reader import ArchiveReader, CorruptFile, FileSource, PathSource
from .storages import StorageType, TypedStorage
from .unpickler import NameLister, Unpickler

TRUE_WORDS = ("1", "y", "yes", "true")
MODULES_MOVED = {"torch.tensor": "torch._tensor"}
PREFETCH = 4 << 20
UNSAFE = (
    "In PyTorch 2.6, we changed the default value of the `weights_only` argument in `torch.load` from `False` to "
    "`True`. Re-running `torch.load` with `weights_only` set to `False` will likely succeed, but it can result in "
    "arbitrary code execution. Do it only if you got the file from a trusted source."
)
SAFETENSORS_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64", "BOOL": "bool",
}  # fmt: skip


def load(f, map_location=None, pickle_module=None, *, weights_only=None, mmap=None, **pickle_load_args):
    """Loads an object that `save`, or PyTorch's, wrote.

    Args:
        f: path, or binary file object that can be positioned.
        map_location: where storages go: a device or its name, a dictionary from the tags in the file to those wanted,
            or a function of (storage, tag) that returns a storage, or None for what the tag says.
        pickle_module: for `weights_only=False`, a module with another `Unpickler`.
        weights_only: accept only tensors, plain data and what `add_safe_globals` has allowed (the default). `False`
            runs code that the file brings along: for files from a trusted source only.
        mmap: map the file instead of reading it; needs a path. Tensors are then read from disk when they are used.
        pickle_load_args: for `weights_only=False`, arguments of `Unpickler`, such as `encoding`.

    Raises `pickle.UnpicklingError` for what is not allowed or damaged, `RuntimeError` for damaged archives, storages
    that are too small for their tensors and devices that do not exist, `FileNotFoundError`.
    """
    weights_only = _is_weights_only(weights_only, pickle_module)
    if weights_only and pickle_module is not None:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    if weights_only and pickle_load_args:
        warnings.warn("pickle_load_args only works if `weights_only=False`.", stacklevel=2)
    pickle_load_args = {"encoding": "utf-8", **pickle_load_args}
    if isinstance(f, (str, os.PathLike)):
        source, owned = PathSource(f), True
        if os.fspath(f).endswith(".safetensors"):
            return _load_safetensors(source, map_location)
    else:
        _check_seekable(f)
        source, owned = FileSource(f), False
    try:
        request = _Request(source, f, map_location, bool(mmap), weights_only, pickle_module or pickle, pickle_load_args)
        return request.load()
    except UnpicklingError as error:
        if not weights_only or isinstance(error, CorruptFile):
            raise
        raise UnpicklingError(_explain(str(error))) from None
    finally:
        if owned:
            source.close()


def get_unsafe_globals_in_checkpoint(f):
    """The names in a file that `load(weights_only=True)` does not accept by itself, as a list of texts.

    Args:
        f: path or file object of an archive (not of PyTorch's format before 1.6: ValueError).
    """
    source = PathSource(f) if isinstance(f, (str, os.PathLike)) else FileSource(f)
    if not _is_archive(source, 0):
        raise ValueError("Expected input to be a checkpoint returned by torch.save")
    archive = ArchiveReader(source)
    if archive.has("constants.pkl"):
        raise ValueError("Expected input to be a checkpoint returned by torch.save but got a torchscript checkpoint")
    lister = NameLister(archive.read("data.pkl"))
    lister.load()
    return sorted(lister.names - set(allowed_table()))


class _Request:
    """One call of `load`: what was asked for, and the storages read so far."""

    def __init__(self, source, f, map_location, mapped, weights_only, pickle_module, pickle_arguments):
        self.source, self.f, self.mapped = source, f, mapped
        self.weights_only, self.pickle_module, self.pickle_arguments = weights_only, pickle_module, pickle_arguments
        self.map_location = map_location
        self.restore = location.restorer(map_location)

    def load(self):
        start = 0 if isinstance(self.source, PathSource) else self.f.tell()
        if self.source.size == start:
            raise EOFError("Ran out of input")
        if _is_archive(self.source, start):
            return self._load_archive()
        if self.mapped:
            raise RuntimeError(
                "mmap can only be used with files saved with `torch.save(_use_new_zipfile_serialization=True), "
                "please torch.save your checkpoint with this option in order to use mmap."
            )
        if isinstance(self.source, PathSource):
            data = self.source.map()
        else:
            self.f.seek(start)
            data = self.f.read()
        result, end = legacy.load(data, self.restore, self.unpickle)
        if not isinstance(self.source, PathSource):
            self.f.seek(start + end)
        return result

    def _load_archive(self):
        if self.mapped and not isinstance(self.source, PathSource):
            raise ValueError("f must be a file path in order to use the mmap argument")
        archive = ArchiveReader(self.source)
        if archive.has("constants.pkl"):
            if self.weights_only:
                raise RuntimeError("Cannot use ``weights_only=True`` with TorchScript archives passed to "
                f"``torch.load``. {UNSAFE}")
            raise NotImplementedError("torch.load: TorchScript archives (torch.jit.save) cannot be read")
        storages = _ArchiveStorages(archive, self)
        result, _ = self.unpickle(archive.read("data.pkl"), 0, storages.persistent_load)
        return result

    def unpickle(self, data, position, persistent_load):
        """(the object pickled at a position of data, the position behind it)"""
        if self.weights_only:
            unpickler = Unpickler(data, position, persistent_load, self.pickle_arguments["encoding"])
            return unpickler.load(), unpickler.position

        class FileUnpickler(self.pickle_module.Unpickler):
            def find_class(self, module, name):
                module = MODULES_MOVED.get(module, module)
                if module.partition(".")[0] in names.FOREIGN_ROOTS:
                    return names.find(module, name)
                return super().find_class(module, name)

        # A memory map is a file to the unpickler, and needs no copy.
        file = io.BytesIO(data) if isinstance(data, bytes) else data
        file.seek(position)
        unpickler = FileUnpickler(file, **self.pickle_arguments)
        if persistent_load is not None:
            unpickler.persistent_load = persistent_load
        return unpickler.load(), file.tell()


class _ArchiveStorages:
    """The storages of an archive by key, each read once and put where `map_location` wants it."""

    def __init__(self, archive, request):
        self._archive, self._request = archive, request
        self._found = {}
        self._contents = None
        self._map = request.source.map() if request.mapped else None
        self._swap = _byte_order(archive) != sys.byteorder
        self._meta = request.map_location is not None and str(request.map_location) == "meta"

    def persistent_load(self, saved):
        """The TypedStorage that a tuple of the pickle stands for. UnpicklingError if it does not look as it should."""
        kind, key, tag, count = check_saved(saved, 5)
        if key not in self._found:
            record = self._archive.find(f"data/{key}")
            if count * kind.dtype.itemsize > record.size:
                raise CorruptFile(
                    f"PytorchStreamReader failed reading file data/{key}: expected {count * kind.dtype.itemsize} "
                    f"bytes, got {record.size}"
                )
            self._found[key] = self._load(record, kind, tag)
        return TypedStorage(self._found[key], kind)

    def _load(self, record, kind, tag):
        if self._meta:
            return rl.empty(record.size, dtype=rl.uint8, device="meta").untyped_storage()
        storage = self._read(record, kind.dtype.itemsize)
        if self._swap:
            adapter.swap_bytes(storage, kind.dtype)
        return self._request.restore(storage, tag)

    def _read(self, record, itemsize):
        # What is not aligned cannot be mapped: kernels expect whole elements at whole multiples of their size.
        if self._map is not None and record.packed == record.size and record.offset % itemsize == 0:
            return adapter.storage_from_buffer(self._map, record.offset, record.size)
        if self._contents is None:
            self._read_ahead()
        if record.name in self._contents:
            return self._contents.pop(record.name)
        storage = adapter.new_storage(record.size)
        self._archive.read_into(record, adapter.storage_bytes(storage))
        return storage

    def _read_ahead(self):
        """Large files are read at once, by several threads, before tensors are made of them."""
        self._contents = {}
        records = [record for name, record in self._archive.records.items() if name.startswith("data/")]
        total = sum(record.size for record in records)
        if self._map is not None or self._request.source.threads == 1 or total < PREFETCH:
            return
        pairs = []
        for record in records:
            self._contents[record.name] = storage = adapter.new_storage(record.size)
            pairs.append((record, adapter.storage_bytes(storage)))
        self._archive.read_many(pairs)


def check_saved(saved, length):
    """(StorageType, key, tag, number of elements, ...) of the tuple that stands for a storage. UnpicklingError if it
    is none.
    """
    if type(saved) is not tuple or len(saved) != length:
        raise UnpicklingError(f"the pickle is damaged: expected {length} parts for a storage")
    _, kind, key, tag, count = saved[:5]
    key, tag = (part.decode("ascii", "replace") if isinstance(part, bytes) else part for part in (key, tag))
    described = isinstance(kind, StorageType) and type(key) is str and type(tag) is str and type(count) is int
    if not described or count < 0:
        raise UnpicklingError("the pickle is damaged: a storage is not described by type, key, place and size")
    return kind, key, tag, count, *saved[5:]


def _is_weights_only(weights_only, pickle_module):
    force = os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "0").lower() in TRUE_WORDS
    unforce = os.environ.get("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "0").lower() in TRUE_WORDS
    if force and unforce:
        raise RuntimeError(
            "Only one of `TORCH_FORCE_WEIGHTS_ONLY_LOAD` or `TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD` should be set, but "
            "both were set."
        )
    if force:
        return True
    if weights_only is not None:
        return bool(weights_only)
    if unforce:
        warnings.warn(
            "Environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD detected, since the `weights_only` argument was not "
            "explicitly passed to `torch.load`, forcing weights_only=False.", UserWarning, stacklevel=3)
        return False
    return pickle_module is None


def _explain(text):
    """What to do about a file that was not accepted, in PyTorch's words where programs look for them."""
    if re.search(r"GLOBAL (\S+) was not an allowed global by default", text):
        return (
            "Weights only load failed. This file can still be loaded, to do so you have two options, do those steps "
            f"only if you trust the source of the checkpoint. \n\t(1) {UNSAFE}\n\t(2) Alternatively, to load with "
            "`weights_only=True` please check the recommended steps in the following error "
            f"message.\n\tWeightsUnpickler error: {text}"
        )
    return f"Weights only load failed. {UNSAFE}\n\tWeightsUnpickler error: {text}"


def _check_seekable(f):
    for method in ("read", "seek", "tell"):
        if not hasattr(f, method):
            raise AttributeError(
                f"'{type(f).__name__}' object has no attribute '{method}'. You can only torch.load from a file that is "
                "seekable. Please pre-load the data into a buffer like io.BytesIO and try to load from it instead."
            )
    try:
        f.seek(f.tell())
    except (io.UnsupportedOperation, AttributeError) as error:
        raise type(error)(
            f"{error}. You can only torch.load from a file that is seekable. Please pre-load the data into a buffer "
            "like io.BytesIO and try to load from it instead."
        ) from None


def _is_archive(source, start):
    if source.size - start < 4:
        return False
    head = bytearray(4)
    source.read_into(start, memoryview(head))
    return head == b"PK\3\4"


def _byte_order(archive):
    if archive.has("byteorder"):
        order = archive.read("byteorder", 16)
        if order not in (b"little", b"big"):
            raise ValueError(f"Unknown endianness type: {order.decode('ascii', 'replace')}")
        return order.decode()
    chosen = options.get_default_load_endianness() or options.LoadEndianness.LITTLE
    return sys.byteorder if chosen is options.LoadEndianness.NATIVE else chosen.name.lower()


def _load_safetensors(source, map_location):
    """The tensors of a .safetensors file by name: 8 bytes of length, that much JSON, then the bytes of all tensors."""
    try:
        head = bytearray(8)
        source.read_into(0, memoryview(head))
        length = int.from_bytes(head, "little")
        if length > source.size - 8 or length > 100 << 20:
            raise CorruptFile("safetensors: the header is longer than the file")
        text = bytearray(length)
        source.read_into(8, memoryview(text))
        entries = {name: _check_safetensor(name, entry) for name, entry in json.loads(text).items()
                   if name != "__metadata__"}
        _check_spans(entries, source.size - 8 - length)
        tensors = {name: _read_safetensor(source, 8 + length, *entry) for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptFile(f"safetensors: the header is damaged: {error!s:.200}") from None
    finally:
        source.close()
    return tensors if map_location is None else {name: tensor.to(map_location) for name, tensor in tensors.items()}


def _check_safetensor(name, entry):
    """(dtype, shape, start, end) of an entry of the header."""
    dtype, shape = getattr(rl, SAFETENSORS_DTYPES[entry["dtype"]]), tuple(entry["shape"])
    start, end = entry["data_offsets"]
    if len(shape) > 64 or not all(type(n) is int and n >= 0 for n in (start, end, *shape)):
        raise ValueError(f"tensor {name:.80} has an impossible shape or place")
    if math.prod(shape) * dtype.itemsize != end - start:
        raise CorruptFile(f"safetensors: tensor {name:.80} of shape {shape} does not fit its {end - start} bytes")
    return dtype, shape, start, end


def _check_spans(entries, size):
    """CorruptFile unless all tensors lie in the file, and none on another: together they are no larger than it."""
    free_from = 0
    for start, end, name in sorted((start, end, name) for name, (_, _, start, end) in entries.items()):
        if end > size or start < free_from and start < end:
            raise CorruptFile(f"safetensors: tensor {name:.80} does not fit into the file, or lies on another one")
        free_from = max(free_from, end)


def _read_safetensor(source, base, dtype, shape, start, end):
    storage = adapter.new_storage(end - start)
    source.read_into(base + start, adapter.storage_bytes(storage))
    return adapter.view_storage(storage, dtype, 0, shape, contiguous_strides(shape))


def _load_from_bytes(contents):
    """A storage that PyTorch's own `pickle` support has wrapped in bytes; only trusted files lead here."""
    return load(io.BytesIO(contents), weights_only=False)


names.FIXED["torch.storage", "_load_from_bytes"] = _load_from_bytes
