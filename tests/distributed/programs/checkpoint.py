"""distributed.checkpoint: rows of every rank, values written once, other numbers of ranks, saves that fail."""
import os
import pathlib
import shutil
import tempfile

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.distributed.fsdp import fully_shard
from torch.distributed.fsdp import FullyShardedDataParallel as FSDP
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group(os.environ.get("TEST_BACKEND"))
rank, world = dist.get_rank(), dist.get_world_size()
box = [tempfile.mkdtemp() if rank == 0 else None]
dist.broadcast_object_list(box, src=0)
folder = pathlib.Path(box[0])
x = torch.arange(12.0).reshape(2, 6) / 10


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 7), nn.BatchNorm1d(7), nn.Linear(7, 5))


def built(way, seed):
    """A model of some kind and its optimizer."""
    model = network(seed)
    if way == "shard":
        fully_shard(model[0])
        fully_shard(model)
    elif way in ("fsdp", "ddp"):
        model = (FSDP if way == "fsdp" else DistributedDataParallel)(model)
    return model, torch.optim.AdamW(model.parameters(), lr=0.1)


def step(model, optimizer):
    model(x).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return model(x).detach()


class Counter:
    def __init__(self, count):
        self.count = count

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


for way in ("plain", "ddp", "shard", "fsdp"):
    model, optimizer = built(way, 0)
    step(model, optimizer)
    states = get_state_dict(model, optimizer)
    assert sorted(states[0]) == sorted(network().state_dict())
    dcp.save({"model": states[0], "optimizer": states[1], "counter": Counter(7), "epoch": 3},
             checkpoint_id=folder / way)
    total = [None] * world
    dist.all_gather_object(total, step(model, optimizer).tolist())
    assert len(list((folder / way).glob("__*.distcp"))) <= world and not (folder / way / ".metadata.tmp").exists()

# What one kind of model has saved, another goes on with.
for source, way in (("plain", "shard"), ("shard", "fsdp"), ("fsdp", "ddp"), ("shard", "plain"), ("ddp", "shard")):
    model, optimizer = built(way, 5)
    states = get_state_dict(model, optimizer)
    counter = Counter(0)
    everything = {"model": states[0], "optimizer": states[1], "counter": counter, "epoch": 0}
    dcp.load(everything, checkpoint_id=folder / source)
    set_state_dict(model, optimizer, model_state_dict=everything["model"], optim_state_dict=everything["optimizer"])
    assert counter.count == 7 and everything["epoch"] == 3
    torch.testing.assert_close(step(model, optimizer), torch.tensor(total[rank]), rtol=1e-4, atol=1e-4)

# One process alone reads all rows.
whole = {"model": network(1).state_dict()}
dcp.load(whole, checkpoint_id=folder / "shard", no_dist=True)
again = {"model": {name: value.clone() for name, value in whole["model"].items()}}
dcp.load(again, checkpoint_id=folder / "ddp")
for name, value in whole["model"].items():
    torch.testing.assert_close(value, again["model"][name], rtol=1e-4, atol=1e-4)

# A full state from rank 0 alone.
model, optimizer = built("shard", 0)
full = get_state_dict(model, optimizer, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
assert bool(full[0]) == (rank == 0)
other, fresh = built("shard", 9)
set_state_dict(other, fresh, model_state_dict=full[0], optim_state_dict=full[1],
               options=StateDictOptions(full_state_dict=True, broadcast_from_rank0=True))
for ours, theirs in zip(other.parameters(), model.parameters()):
    assert torch.equal(ours, theirs)


# A save that fails on one rank is an error on all, and leaves the checkpoint that was there.
class Bad:
    def __reduce__(self):
        raise OSError("no space")


def names(path):
    return sorted(os.listdir(path))


dist.barrier()
before = names(folder / "plain")
for action in (lambda: dcp.save({"a": torch.ones(3), f"b{rank}": Bad() if rank == 1 else 1},
                                checkpoint_id=folder / "plain"),
               lambda: dcp.load({"absent": torch.ones(1)}, checkpoint_id=folder / "plain"),
               lambda: dcp.load({"epoch": 0}, checkpoint_id=folder / "nothing")):
    try:
        action()
    except dcp.CheckpointException as error:
        assert error.failures
    else:
        raise AssertionError("no error")
found = {"epoch": 0}
dcp.load(found, checkpoint_id=folder / "plain")
assert found == {"epoch": 3} and set(before) <= set(names(folder / "plain"))

# Later saves replace earlier ones; a background save is of the values at its call.
value = torch.full((4,), float(rank))
value = {"own": {str(rank): value}, "same": torch.arange(10)}
dcp.save(value, checkpoint_id=folder / "plain")
future = dcp.async_save(value, checkpoint_id=folder / "plain")
value["own"][str(rank)].fill_(-1)
dist.all_reduce(torch.ones(10))
future.result(timeout=60)
dist.barrier()
files = names(folder / "plain")
assert len(files) <= world + 1
dcp.load(value, checkpoint_id=folder / "plain")
assert value["own"][str(rank)].tolist() == [float(rank)] * 4

# Damage is seen.
dist.barrier()
if rank == 0:
    for file in (folder / "plain").glob("__*.distcp"):
        data = bytearray(file.read_bytes())
        data[0] ^= 1
        file.write_bytes(data)
dist.barrier()
try:
    dcp.load(value, checkpoint_id=folder / "plain")
except dcp.CheckpointException as error:
    assert "damaged" in str(error)
else:
    raise AssertionError("a damaged file was read")
dist.barrier()
if rank == 0:
    shutil.rmtree(folder)
dist.destroy_process_group()
print(f"rank {rank} done", flush=True)
