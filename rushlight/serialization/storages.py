"""What stands for a storage inside a pickle: `StorageType` for PyTorch's classes of storages, `TypedStorage` for one
of them.

In: the names that files use (`FloatStorage`). Out: data types, and the pairs of a storage and a data type that
tensors are rebuilt from. Next to read: rebuild.py.
"""

from .. import api as rl
from . import adapter

# PyTorch's files name the data type of a tensor by the class of its storage.
STORAGE_NAMES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
}


class StorageType:
    """Stands for one of PyTorch's classes of storages; `dtype` is the data type of their elements."""

    def __init__(self, name):
        if name not in STORAGE_NAMES:
            raise KeyError(f'pickle storage type "{name}" is not recognized')
        self.name = name
        self._dtype = getattr(rl, STORAGE_NAMES[name])

    @property
    def dtype(self):
        return self._dtype

    def __str__(self):
        return f"StorageType(dtype={self.dtype})"

    def __reduce__(self):
        return StorageType, (self.name,)


class UntypedStorageType(StorageType):
    """Stands for `torch.storage.UntypedStorage`: bytes, whose numbers have a data type that the tensor itself gives."""

    def __init__(self):
        self.name = "UntypedStorage"
        self._dtype = rl.uint8

    def __reduce__(self):
        return UntypedStorageType, ()


TYPES = {name: StorageType(name) for name in STORAGE_NAMES}
UNTYPED = UntypedStorageType()
TYPE_OF_DTYPE = {kind.dtype: kind for kind in TYPES.values()}


class TypedStorage:
    """A storage with the data type of its elements; what tensors are pickled with and rebuilt from.

    `kind` is the StorageType a file names it by: `UNTYPED` for data types that have no class of storages (uint16 and
    so on).
    """

    __slots__ = ("_untyped_storage", "kind")

    def __init__(self, storage, kind):
        self._untyped_storage = storage
        self.kind = kind

    @property
    def dtype(self):
        return self.kind.dtype

    @property
    def device(self):
        return self._untyped_storage.device

    def untyped(self):
        """The storage itself."""
        return self._untyped_storage

    def nbytes(self):
        """The size in bytes."""
        return self._untyped_storage.nbytes()

    def size(self):
        """The number of elements."""
        return self._untyped_storage.nbytes() // self.dtype.itemsize

    __len__ = size

    def data_ptr(self):
        """The address of the memory."""
        return self._untyped_storage.data_ptr()

    def tolist(self):
        """The elements as a list of Python numbers."""
        return adapter.view_storage(self._untyped_storage, self.dtype, 0, (self.size(),), (1,)).tolist()

    def __reduce__(self):
        contents = adapter.storage_bytes(adapter.move_storage(self._untyped_storage, "cpu"))
        return _rebuild_storage, (self.kind, str(self.device), bytes(contents))


def _rebuild_storage(kind, device, contents):
    storage = adapter.new_storage(len(contents))
    adapter.storage_bytes(storage)[:] = contents
    return TypedStorage(adapter.move_storage(storage, device), kind)
