"""Every collective in every dtype and size from 1 to the argument, in powers of ten, compared with NumPy.

A second argument names the dtypes, separated by commas.
"""
import os
import sys

import numpy as np
import torch
import torch.distributed as dist

dist.init_process_group(os.environ.get("TEST_BACKEND"))
rank, world = dist.get_rank(), dist.get_world_size()
NUMBERS = ("uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "complex64", "complex128")
FOLDS = {"SUM": np.add, "PRODUCT": np.multiply, "MIN": np.minimum, "MAX": np.maximum, "BAND": np.bitwise_and,
         "BOR": np.bitwise_or, "BXOR": np.bitwise_xor}
DTYPES = sys.argv[2].split(",") if sys.argv[2:] else (*NUMBERS, "bool", "bfloat16")
SIZES = [10 ** n for n in range(8) if 10 ** n <= int(sys.argv[1])]


def values(name, rank, size):
    """What a rank holds: small numbers, of which every sum and product is exact."""
    found = np.resize(np.random.default_rng([rank, 7]).integers(0, 4, 1009), size)
    return (found + 1j * found[::-1] if name[0] == "c" else found).astype("float32" if name == "bfloat16" else name)


def tensor_of(name, array):
    return torch.from_numpy(array).to(getattr(torch, name)) if name == "bfloat16" else torch.from_numpy(array)


def equal(tensor, array):
    found = tensor.float() if tensor.dtype is torch.bfloat16 else tensor
    assert np.array_equal(found.numpy(), array), (tensor.dtype, tensor.shape, found, array)


def operators(name):
    """The reductions that a dtype has."""
    if name == "bool":
        return ("BAND", "BOR", "BXOR")
    if name[0] == "c":
        return ("SUM", "PRODUCT")
    return tuple(FOLDS) if "int" in name else ("SUM", "PRODUCT", "MIN", "MAX")


def reductions(name, size, parts):
    for op in operators(name):
        with np.errstate(all="ignore"):
            want = FOLDS[op].reduce(parts)
        tensor = tensor_of(name, parts[rank].copy())
        dist.all_reduce(tensor, getattr(dist.ReduceOp, op))
        equal(tensor, want)
    tensor = tensor_of(name, parts[rank].copy())
    dist.reduce(tensor, 1, getattr(dist.ReduceOp, op))
    equal(tensor, want if rank == 1 else parts[rank])
    rows = [tensor_of(name, np.roll(parts[rank], r)) for r in range(world)]
    dist.reduce_scatter(tensor, rows, getattr(dist.ReduceOp, op))
    equal(tensor, np.roll(want, rank))


def movements(name, size, parts):
    own, blank = tensor_of(name, parts[rank]), np.zeros_like(parts[0])
    tensor = tensor_of(name, parts[rank].copy())
    dist.broadcast(tensor, world - 1)
    equal(tensor, parts[-1])
    found = [tensor_of(name, blank.copy()) for _ in range(world)]
    dist.all_gather(found, own)
    for r in range(world):
        equal(found[r], parts[r])
    dist.all_to_all(found, [tensor_of(name, np.roll(parts[rank], r)) for r in range(world)])
    for r in range(world):
        equal(found[r], np.roll(parts[r], rank))
    dist.gather(own, found if rank == 0 else None, 0)
    if rank == 0:
        for r in range(world):
            equal(found[r], parts[r])
    dist.scatter(tensor, [tensor_of(name, part) for part in parts] if rank == 1 else None, 1)
    equal(tensor, parts[rank])
    if rank == 0:
        dist.send(own, world - 1)
    elif rank == world - 1:
        dist.recv(tensor, 0)
        equal(tensor, parts[0])


for size in SIZES:
    for name in DTYPES:
        parts = [values(name, r, size) for r in range(world)]
        reductions(name, size, parts)
        movements(name, size, parts)
dist.destroy_process_group()
print(f"rank {rank} done", flush=True)
