"""The few ways in which files touch tensor memory: bytes of storages, and storages of bytes.

Everything else in this folder works with what this module hands out, so that details of the core may change behind it.
Next to read: storages.py (what stands for a storage inside a pickle).
"""

from ..base.lazy import numpy as np

from .. import api as rl
from ..core.layout import layout
from ..core.tensor import view
from ..tensor.methods import over_array


def storage_bytes(storage):
    """The memory of a CPU storage as a writable memoryview of bytes; it shares the memory."""
    count = storage.nbytes()
    if count == 0:
        return memoryview(bytearray())
    return memoryview(_flat(storage).numpy())


def storage_from_buffer(buffer, offset, count):
    """A CPU storage over `count` bytes of a writable buffer, which it keeps alive. Nobody else may use these bytes."""
    if count == 0:
        return rl.UntypedStorage(0)
    found = np.frombuffer(buffer, dtype=np.uint8, count=count, offset=offset)
    return over_array(found, alone=True).untyped_storage()


def part_of_storage(storage, offset, count):
    """A storage of its own over a part of another's memory. Both see what is written to it."""
    if count == 0:
        return rl.UntypedStorage(0)
    return over_array(np.frombuffer(storage_bytes(storage), np.uint8, count, offset)).untyped_storage()


def new_storage(count):
    """A CPU storage of `count` uninitialised bytes."""
    return rl.UntypedStorage(count)


def move_storage(storage, device):
    """The storage on another device (itself if it is there already)."""
    device = rl.device(device)
    if storage.device == device or storage.device.type == device.type == "cpu":
        return storage
    return _flat(storage).to(device).untyped_storage()


def _flat(storage):
    """The bytes of a storage as a tensor."""
    return view(storage._storage, layout((storage.nbytes(),), (1,), rl.uint8), 0)


def storage_identity(storage):
    """A key that handles of the same storage share. The caller keeps the storage alive as long as it uses the key."""
    return id(storage._storage)


def view_storage(storage, dtype, offset, size, stride):
    """A tensor over a storage. Raises RuntimeError when the view would reach outside of it: files are not to be
    trusted.
    """
    check_view(storage.nbytes(), dtype.itemsize, offset, size, stride)
    return view(storage._storage, layout(size, stride, dtype), offset)


def check_view(nbytes, itemsize, offset, size, stride):
    """Raises RuntimeError unless the elements of the view all lie within a storage of so many bytes."""
    if not (isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride)):
        raise RuntimeError(f"tensor: expected a size and a stride of the same length, got {size!r:.80} and "
        f"{stride!r:.80}")
    if len(size) > 64:
        raise RuntimeError(f"tensor: expected at most 64 dimensions, got {len(size)}")
    if not all(type(n) is int and 0 <= n < 1 << 62 for n in (offset, *size, *stride)):
        raise RuntimeError("tensor: expected offset, size and stride to be whole numbers from 0 on, got "
        f"{offset!r:.80}, {size!r:.80} and {stride!r:.80}")
    if 0 in size:
        return
    last = offset + sum((n - 1) * step for n, step in zip(size, stride))
    elements = 1
    for n in size:
        elements *= n
    if elements >= 1 << 62:
        raise RuntimeError(f"tensor: size {size!r:.80} has too many elements")
    if (last + 1) * itemsize > nbytes:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and itemsize {itemsize} "
            f"requiring a storage size of {(last + 1) * itemsize} are out of bounds for storage of size {nbytes}"
        )


def resolved(tensor, conjugate, negative):
    """The tensor that a lazily conjugated or negated one stands for: its storage holds the numbers from before that."""
    values = tensor.numpy()
    values = np.conjugate(values) if conjugate else values
    return over_array(np.negative(values) if negative else values)


def swap_bytes(storage, dtype):
    """Reverses the byte order of every element of a CPU storage, in place."""
    width = dtype.itemsize // 2 if dtype.is_complex else dtype.itemsize
    if width > 1:
        elements = np.frombuffer(storage_bytes(storage), dtype=np.dtype(f"u{width}"))
        elements.byteswap(inplace=True)
