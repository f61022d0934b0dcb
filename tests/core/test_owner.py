"""Memory that others see: the owner decides, however it came here (Note [The owner decides])."""
import array
import ctypes
import gc
import mmap

import numpy as np
import pytest

import rushlight as rl
from rushlight.core.storage import is_exposed


def over_row(owner):
    return rl.from_numpy(owner[0])


def over_transposed(owner):
    return rl.as_tensor(owner.T)


def over_capsule(owner):
    return rl.from_dlpack(owner[1:])


def over_view_of_memory(owner):
    return rl.from_numpy(np.asarray(memoryview(owner))[0])


def over_strided(owner):
    return rl.asarray(np.lib.stride_tricks.sliding_window_view(owner.reshape(-1), 2, writeable=True))


def over_other_dtype(owner):
    return rl.from_numpy(owner.view("i4").reshape(-1)[2:]).view(rl.float32)


PARTS = [over_row, over_transposed, over_capsule, over_view_of_memory, over_strided, over_other_dtype]


@pytest.mark.parametrize("part", PARTS)
def test_results_do_not_see_later_writes(part):
    owner = np.ones((3, 4), "f4")
    doubled = part(owner) * 2
    owner[...] = 50
    assert set(doubled.reshape(-1).tolist()) == {2.0}


@pytest.mark.parametrize("part", PARTS)
def test_writes_reach_the_owner(part):
    owner = np.ones((3, 4), "f4")
    tensor = part(owner)
    if part is over_strided:
        tensor = tensor[::2]
    tensor.add_(1)
    assert 2.0 in owner


def test_a_part_is_its_own_when_the_owner_has_gone():
    owner = np.ones((3, 4), "f4")
    tensor, other = rl.from_numpy(owner[0]), owner[2]
    del owner
    assert is_exposed(tensor._storage)  # `other` refers to the owner
    del other
    assert not is_exposed(tensor._storage) and tensor.tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("make", [lambda: bytearray(8), lambda: array.array("B", bytes(8))])
def test_buffers(make):
    owner = make()
    tensor = rl.frombuffer(owner, dtype=rl.uint8)
    later = tensor + 1
    owner[0] = 9
    tensor[1] = 7
    assert later.tolist() == [1] * 8 and owner[1] == 7
    seen = memoryview(owner)[2:]
    del owner
    assert is_exposed(tensor._storage)
    seen.release()
    assert not is_exposed(tensor._storage)
    exported = tensor.numpy()
    assert is_exposed(tensor._storage)
    del exported
    assert not is_exposed(tensor._storage) and tensor[0] == 9


def test_a_buffer_keeps_its_size_while_a_tensor_uses_it():
    owner = bytearray(8)
    tensor = rl.frombuffer(owner, dtype=rl.uint8)
    with pytest.raises(BufferError):
        owner.extend(bytes(1000))
    assert tensor.numel() == 8


def test_bytes_never_change():
    with pytest.warns(UserWarning, match="not writable"):
        tensor = rl.frombuffer(b"ab", dtype=rl.uint8)
    assert not is_exposed(tensor._storage) and tensor.tolist() == [97, 98]


def test_memory_without_an_owner_that_counts():
    block = (ctypes.c_float * 3)(1, 2, 3)
    tensor = rl.frombuffer(block, dtype=rl.float32)
    later = tensor * 2
    block[0] = 100
    tensor[1] = 7
    assert later.tolist() == [2, 4, 6] and block[1] == 7
    mapped = mmap.mmap(-1, 8)
    tensor = rl.frombuffer(mapped, dtype=rl.uint8) + 1
    mapped[0] = 5
    assert tensor.tolist() == [1] * 8


def test_an_address_is_seen_for_ever():
    tensor = rl.ones(2)
    seen = (ctypes.c_float * 2).from_address(tensor.data_ptr())
    tensor.mul_(4)
    assert list(seen) == [4, 4]
    later = tensor + 1
    seen[0] = 9
    assert later.tolist() == [5, 5]
    storage = rl.zeros(2)
    seen = (ctypes.c_float * 2).from_address(storage.untyped_storage().data_ptr())
    storage.add_(1)
    assert list(seen) == [1, 1]
    back = rl.from_numpy(storage.numpy())
    del storage
    gc.collect()
    back.add_(1)
    assert back.tolist() == [2, 2]


def test_a_tensor_over_a_tensors_array():
    first = rl.zeros(4)
    second = rl.from_numpy(first.numpy()[1:3])
    second.fill_(5)
    later = first + 1
    second.fill_(6)
    assert first.tolist() == [0, 6, 6, 0] and later.tolist() == [1, 6, 6, 1]
    del first
    assert not is_exposed(second._storage) and second.tolist() == [6, 6]


def test_capsules_out():
    tensor = rl.zeros(3)
    other = np.from_dlpack(tensor)
    tensor.add_(2)
    assert other.tolist() == [2, 2, 2] and is_exposed(tensor._storage)
    del other
    assert not is_exposed(tensor._storage)
    alias = rl.from_dlpack(rl.to_dlpack(tensor)) if hasattr(rl, "to_dlpack") else rl.utils.dlpack.from_dlpack(
        rl.utils.dlpack.to_dlpack(tensor))
    alias.mul_(3)
    assert tensor.tolist() == [6, 6, 6]


def test_memory_of_others_does_not_grow():
    tensor = rl.from_numpy(np.ones(4)[:2])
    with pytest.raises(RuntimeError, match="not resizable"):
        tensor.resize_(100)
    own = rl.ones(2)
    array_of_own = own.numpy()
    own.resize_(4)  # only the tensor moves
    assert own[:2].tolist() == [1, 1] and array_of_own.tolist() == [1, 1]


def test_shared_memory_is_seen_by_other_processes():
    tensor = rl.zeros(2).share_memory_()
    assert is_exposed(tensor._storage) and tensor.is_shared()
