"""Who owns memory that came from outside, and who else can see it.

In: an array over memory that somebody made, or a storage whose address somebody takes. Out: a storage with a guard and
a block that `is_exposed` of `storage.py` understands. Read Note [Exposed storages] there first.

Note [The owner decides]
An array is often a passing view: `from_numpy(a[0])` gets an object that nobody else ever holds, while `a` sees the
same memory. So the object that was passed in tells us nothing. The owner at the end of its chain of bases does: every
other view, memoryview or capsule over the memory refers to it, and as long as the storage refers to nothing but the
owner, the owner's reference count is the number of the others plus one. That is exact for owners that cannot be
reached without a reference: arrays with memory of their own, bytearrays, arrays of `array`, and tensors of ours.
`bytes` never change. Everything else (maps of files, ctypes, capsules of other libraries, an address as a number) is
assumed to be visible to everyone, forever.
"""

import array

from ..base.lazy import is_array
from .storage import EVERYBODY, Buffer, Export


class Kept:
    """What keeps memory alive that is not from an allocator; such a storage cannot grow."""

    __slots__ = ("thing",)

    def __init__(self, thing):
        self.thing = thing


NOTHING_MORE = Kept(None)  # where the guard is what keeps the memory alive


def owner_of(holder):
    """The object at the end of an array's chain of bases."""
    while True:
        if is_array(holder) and holder.base is not None:
            holder = holder.base
        elif holder.__class__ is memoryview and holder.obj is not None:
            holder = holder.obj
        else:
            return holder


def adopt(storage, holder):
    """Let a storage use the memory of an array, which others may see."""
    owner = owner_of(holder)
    kind = owner.__class__
    if is_array(owner) and owner.flags.owndata:
        storage.guard, storage.block = owner, NOTHING_MORE
    elif kind is Handle:
        storage.guard, storage.block = owner.guard, owner.block
    elif kind is bytearray or kind is array.array:
        # The view keeps its owner from changing its size.
        storage.guard, storage.block = Buffer(owner), NOTHING_MORE
    elif kind is bytes:
        adopt_alone(storage, holder)
    else:
        storage.guard, storage.block = EVERYBODY, Kept(holder)


def adopt_alone(storage, holder):
    """Let a storage use the memory of an array that nobody else writes or looks at."""
    storage.guard, storage.block = Export(), Kept(holder)


def expose(storage):
    """Record that the address of a storage was taken: from now on its memory counts as visible to everyone."""
    if storage.guard is EVERYBODY:
        return
    if storage.guard.__class__ is Export:
        storage.guard.holder = storage.guard  # other storages over this memory count the same references
        return
    if storage.block is None or storage.block is NOTHING_MORE:
        storage.block = Kept(storage.guard) if storage.guard is not None else None
    storage.guard = EVERYBODY


def is_foreign(storage):
    """Whether the memory has another owner, so that it cannot be replaced by a larger block."""
    return isinstance(storage.block, Kept)


class Handle:
    """The owner of an exported array: keeps the memory and the guard alive."""

    def __init__(self, guard, block, interface):
        self.guard, self.block, self.__array_interface__ = guard, block, interface
