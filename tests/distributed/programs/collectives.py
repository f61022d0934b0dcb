"""The forms of the collectives: asynchronous, coalesced, of objects, of groups. `every_dtype.py` has the values."""
import os
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist

dist.init_process_group(os.environ.get("TEST_BACKEND"))
rank, world = dist.get_rank(), dist.get_world_size()


def equal(tensor, array):
    assert np.array_equal(tensor.double().numpy(), np.asarray(array, np.float64)), (tensor, array)


empty = torch.empty(0)
dist.all_reduce(empty)
equal(empty, [])
tensor = torch.tensor([1.0, 2.0]) * (rank + 1)
dist.all_reduce(tensor, dist.ReduceOp.AVG)
equal(tensor, [(world + 1) / 2, world + 1])
for bad in (dist.ReduceOp.BAND, dist.ReduceOp.BXOR):
    try:
        dist.all_reduce(tensor, bad)
    except RuntimeError as error:
        assert "non-integral" in str(error)
    else:
        raise AssertionError("bits of floats")

tensor = torch.arange(12.0).reshape(3, 4).t() * (rank + 1)  # not contiguous: goes out and back as a copy
dist.broadcast(tensor, src=world - 1)
equal(tensor, np.arange(12.0).reshape(3, 4).T * world)
tensor = torch.tensor([rank + 1.0])
dist.reduce(tensor, dst=1)
equal(tensor, [world * (world + 1) / 2 if rank == 1 else rank + 1])

own = torch.full((300_000,), float(rank))
found = [torch.empty(300_000) for _ in range(world)]
dist.all_gather(found, own)
for r in range(world):
    equal(found[r], np.full(300_000, r))
whole = torch.empty(world, 2)
dist.all_gather_into_tensor(whole, torch.tensor([rank, rank + 0.5]))
equal(whole, [[r, r + 0.5] for r in range(world)])
found = [torch.empty(2) for _ in range(world)] if rank == 0 else None
dist.gather(torch.tensor([rank, 3.0]), found, dst=0)
if rank == 0:
    equal(torch.stack(found), [[r, 3] for r in range(world)])
tensor = torch.empty(2)
dist.scatter(tensor, [torch.tensor([r, -1.0]) for r in range(world)] if rank == 1 else None, src=1)
equal(tensor, [rank, -1])
tensor = torch.empty(3)
dist.reduce_scatter(tensor, [torch.full((3,), float(r + rank)) for r in range(world)])
equal(tensor, np.full(3, sum(rank + r for r in range(world))))
tensor = torch.empty(400_000)
dist.reduce_scatter_tensor(tensor, torch.arange(400_000.0 * world))
equal(tensor, np.arange(400_000 * world).reshape(world, -1)[rank] * world)
rows = torch.arange(3 * world) + 100 * rank
single = torch.empty_like(rows)
dist.all_to_all_single(single, rows)
equal(single, np.concatenate([np.arange(3 * rank, 3 * rank + 3) + 100 * r for r in range(world)]))
parts = [torch.empty(rank + 1) for _ in range(world)]
dist.all_to_all(parts, [torch.full((r + 1,), float(rank)) for r in range(world)])
for r in range(world):
    equal(parts[r], np.full(rank + 1, r))

right, left = (rank + 1) % world, (rank - 1) % world
tensor = torch.empty(600_000)
works = dist.batch_isend_irecv([dist.P2POp(dist.isend, torch.full((600_000,), float(rank)), right),
                                dist.P2POp(dist.irecv, tensor, left)])
for work in works:
    work.wait()
equal(tensor, np.full(600_000, left))
if rank == 0:
    dist.send(torch.tensor([1]), 1, tag=5)
    dist.send(torch.tensor([2]), 1, tag=6)
elif rank == 1:
    tensor = torch.zeros(1, dtype=torch.int64)
    works = [dist.irecv(tensor, 0, tag=6)]
    works[0].wait()
    equal(tensor, [2])
    assert dist.recv(tensor, tag=5) == 0
    equal(tensor, [1])

works = [dist.all_reduce(torch.ones(5), async_op=True) for _ in range(20)]
tensor = torch.ones(3)
dist.all_reduce(tensor)
equal(tensor, np.full(3, world))
for work in works:
    assert work.wait() and work.is_completed()
    equal(work.result()[0], np.full(5, world))

future = dist.all_reduce(torch.full((4,), rank + 1.0), async_op=True).get_future().then(lambda f: f.value()[0] * 2)
equal(future.wait(), np.full(4, world * (world + 1)))
parts = [torch.full((2, 3), rank + 1.0), torch.full((5,), 2.0)]
dist.all_reduce_coalesced(parts)
equal(parts[0], np.full((2, 3), world * (world + 1) / 2))
equal(parts[1], np.full(5, 2 * world))
lists = [[torch.empty(2), torch.empty(3)] for _ in range(world)]
dist.all_gather_coalesced(lists, [torch.full((2,), float(rank)), torch.full((3,), rank + 0.5)])
for r in range(world):
    equal(torch.cat(lists[r]), [r, r, r + 0.5, r + 0.5, r + 0.5])
a, b = torch.ones(3), torch.full((2,), float(rank))
with dist._coalescing_manager():
    dist.all_reduce(a)
    dist.broadcast(b, 1)
equal(torch.cat([a, b]), [world] * 3 + [1, 1])
with dist._coalescing_manager(async_ops=True) as manager:
    dist.all_reduce(a)
manager.wait()
equal(a, np.full(3, world ** 2))

found = [None] * world
dist.all_gather_object(found, {"rank": rank, "text": "x" * (rank * 1000)})
assert [row["rank"] for row in found] == list(range(world)) and len(found[-1]["text"]) == 1000 * (world - 1)
things = [rank, "a"] if rank else ["from 0", None]
dist.broadcast_object_list(things, src=0)
assert things == ["from 0", None]
out = [None]
dist.scatter_object_list(out, [[r] * r for r in range(world)] if rank == 0 else None, src=0)
assert out == [[rank] * rank]
found = [None] * world if rank == 0 else None
dist.gather_object(rank * 2, found, dst=0)
assert rank or found == [2 * r for r in range(world)]

alone = [dist.new_group([r]) for r in range(world)]
other = alone[(rank + 1) % world]
assert other == dist.GroupMember.NON_GROUP_MEMBER and dist.get_rank(other) == -1
assert dist.get_world_size(alone[rank]) == 1 and dist.get_process_group_ranks(alone[rank]) == [rank]
tensor = torch.ones(1)
dist.all_reduce(tensor, group=alone[rank])
equal(tensor, [1])
half = world // 2
for own, groups in (dist.new_subgroups(half), dist.new_subgroups_by_enumeration([range(half), range(half, world)]),
                    (dist.split_group(split_ranks=[list(range(half)), list(range(half, world))]), [])):
    assert dist.get_process_group_ranks(own) == list(range(rank // half * half, rank // half * half + half))
    assert len(groups) in (0, 2)
assert dist.is_backend_available("gloo") and not dist.is_backend_available("nccl") and dist.get_pg_count() == 5
dist.monitored_barrier()
dist.barrier()
for options, names in (({}, "1"), ({"wait_all_ranks": True}, ", ".join(map(str, range(1, world))))):
    nobody_comes = dist.new_group()
    try:
        if rank == 0:
            dist.monitored_barrier(nobody_comes, timedelta(seconds=0.2), **options)
    except dist.DistBackendError as error:
        assert "timed out after 0.2 s" in str(error) and str(error).endswith(f" {names}"), error
    else:
        assert rank, "nobody is here"
dist.barrier()
dist.destroy_process_group()
assert not dist.is_initialized()
print(f"rank {rank} done", flush=True)
