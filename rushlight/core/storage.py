"""Storages: device memory that tensors view, not necessarily allocated yet.

Note [Liveness by reference counts]
A storage is referred to by the tensors that view it, by gradient nodes that saved it, and while it takes part in
pending instructions by the stream's list of slots. When the stream is flushed, a storage that only the list refers to
can have no reader any more, so its contents need not reach memory. `references` measures what "only the list" means on
this interpreter instead of assuming it.

Note [Exposed storages]
Memory that others can see (`from_numpy`, `.numpy()`, DLPack, `data_ptr()`) has a `guard`: the object that the other
side holds on to, which `owner.py` finds. While anyone but the storage refers to the guard, instructions on the storage
run as soon as they are recorded, so that both sides see PyTorch's order.
"""

import sys
from threading import get_ident

# Note [Inference tensors]
# A storage made in inference mode has a version below zero: it is not tracked. Its tensors, views included, are not
# written outside that mode and not saved for backward. `INFERRING` has the threads that are in it, so that programs
# without the mode pay for one look at an empty set.
INFERRING = set()
UNTRACKED = -(1 << 62)


def first_version():
    """The version of a new storage while some thread is in inference mode."""
    return UNTRACKED if get_ident() in INFERRING else 0


class Storage:
    """A span of device memory. `pending` is the last block that it took part in (see block.py), and `index` its slot
    there."""

    __slots__ = ("index", "pending", "address", "block", "nbytes", "device", "version", "guard", "__weakref__")


def new_storage(nbytes, device, index=-1, pending=None):
    """A Storage without memory yet. (Not its __init__, which would cost as much as all the rest.)"""
    storage = Storage()
    storage.index, storage.pending, storage.nbytes, storage.device = index, pending, nbytes, device
    storage.address, storage.version = 0, first_version() if INFERRING else 0
    storage.block = storage.guard = None  # block keeps the memory alive
    return storage


def _calibrate():
    slots = [new_storage(0, None)]
    return [sys.getrefcount(s) for s in slots][0]


# The result of sys.getrefcount inside `[... for s in slots]` for a storage that only `slots` refers to.
UNREFERENCED = _calibrate()


def references(slots):
    """One byte per slot: 1 if anything but the list refers to the storage."""
    count, base = sys.getrefcount, UNREFERENCED
    return bytes([count(s) > base for s in slots])


class Export:
    """The guard of a storage that shares its memory with arrays: alive while one of them is."""

    __slots__ = ("holder", "__weakref__")


EVERYBODY = Export()  # the guard of memory that is seen for ever: this variable refers to it


class Buffer(Export):
    """The guard of a storage over an object that must be viewed to stay as it is: the view refers to it as well."""

    __slots__ = ("owner", "view")

    def __init__(self, owner):
        self.owner, self.view = owner, memoryview(owner)

    def is_seen(self):
        """Whether anyone else refers to the owner."""
        return sys.getrefcount(self.owner) > BUFFER_ALONE


def _calibrate_guards():
    storage = new_storage(0, None)
    storage.guard = Buffer(bytearray(1))
    return sys.getrefcount(storage.guard), sys.getrefcount(storage.guard.owner)


GUARD_ALONE, BUFFER_ALONE = _calibrate_guards()


def is_exposed(storage):
    """Whether anyone else can see the memory now."""
    if storage.guard is None or storage.guard is ELSEWHERE:
        return False
    return sys.getrefcount(storage.guard) > GUARD_ALONE or (storage.guard.__class__ is Buffer
                                                            and storage.guard.is_seen())


class Lost:
    """The guard of a failed storage: the failure, and the guard and the memory that the storage had."""

    __slots__ = ("failure", "guard", "address")

    def __init__(self, failure, guard, address):
        self.failure, self.guard, self.address = failure, guard, address


class FailedStorage(Storage):
    """A storage without a value (Note [Failures] in block.py). Its guard is a `Lost`, which makes recording take the
    slow path."""

    __slots__ = ()


class MetaStorage(Storage):
    """A storage of a device without values ("meta"): it has a size and never memory."""

    __slots__ = ()


ELSEWHERE = object()  # the guard of storages of other devices than the CPU, Note [Devices] in device.py


def storage_elsewhere(nbytes, device, index=-1, pending=None):
    """A storage of another device than the CPU, without memory yet."""
    storage = new_storage(nbytes, device, index, pending)
    storage.guard = ELSEWHERE
    if device.parts.allocator is None:
        storage.__class__ = MetaStorage
    return storage


def storage_on(nbytes, device):
    """A storage on any device, without memory yet."""
    return new_storage(nbytes, device) if device.type == "cpu" else storage_elsewhere(nbytes, device)


def fail(storage, failure):
    """Mark a storage as failed."""
    if storage.__class__ is Storage:
        storage.guard = Lost(failure, storage.guard, storage.address)
        storage.address = 0
        storage.__class__ = FailedStorage
    elif storage.__class__ is FailedStorage:
        storage.guard = Lost(failure, storage.guard.guard, storage.guard.address)


def heal(storage):
    """Make a failed storage usable again: an operator of the block that runs now overwrites it as a whole."""
    lost = storage.guard
    storage.__class__ = Storage
    storage.guard, storage.address = lost.guard, lost.address


def check_tracked(storage):
    """Refuse to write memory of an inference tensor outside inference mode."""
    if storage.version < 0 and get_ident() not in INFERRING:
        raise RuntimeError("Inplace update to inference tensor outside InferenceMode is not allowed.You can make a "
                           "clone to get a normal tensor before doing inplace update.See "
                           "https://github.com/pytorch/rfcs/pull/17 for more details.")


def check(storage):
    """Raise the error of a storage that has no values."""
    if storage.__class__ is FailedStorage:
        raise storage.guard.failure.fresh()
    if storage.__class__ is MetaStorage:
        raise NotImplementedError("Cannot copy out of meta tensor; no data!")
