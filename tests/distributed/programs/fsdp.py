"""fully_shard and FullyShardedDataParallel: losses, gradients and parameters are those of one process."""
import dataclasses
import os

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import (
    FullStateDictConfig, MixedPrecisionPolicy, ShardingStrategy, StateDictType, fully_shard,
)
from torch.distributed.fsdp import FullyShardedDataParallel as FSDP
from torch.distributed.fsdp.wrap import ModuleWrapPolicy

dist.init_process_group(os.environ.get("TEST_BACKEND"))
rank, world = dist.get_rank(), dist.get_world_size()
torch.manual_seed(3)
x, y = torch.randn(8, 6), torch.randn(8, 3)
own = slice(rank * 8 // world, (rank + 1) * 8 // world)


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner, self.scale = nn.Linear(width, width), nn.Parameter(torch.tensor(0.5))

    def forward(self, x):
        return x + self.scale * self.inner(x).tanh()


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 7), Block(7), Block(7), nn.Linear(7, 3))


def sharded(mesh=None, **options):
    model = network()
    for block in (model[1], model[2]):
        fully_shard(block, mesh=mesh, **options)
    return fully_shard(model, mesh=mesh, **options)


def train(model, single, steps=3, lr=0.05):
    optimizers = [torch.optim.Adam(m.parameters(), lr=lr) for m in (model, single)]
    for step in range(steps):
        nn.functional.mse_loss(model(x[own]), y[own]).backward()
        nn.functional.mse_loss(single(x), y).backward()
        norms = [nn.utils.clip_grad_norm_(m.parameters(), 0.1) for m in (model, single)]
        torch.testing.assert_close(norms[0], norms[1], rtol=1e-4, atol=1e-6)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    return optimizers


def same(model, single, **tolerance):
    for (name, ours), theirs in zip(model.named_parameters(), single.parameters()):
        torch.testing.assert_close(ours.full_tensor(), theirs.detach(), **tolerance or {"rtol": 1e-4, "atol": 1e-5})


for options in ({}, {"reshard_after_forward": False}, {"reshard_after_forward": True}):
    model, single = sharded(**options), network()
    assert sum(p.numel() for p in model.parameters()) <= sum(p.numel() for p in single.parameters()) / world + 40
    train(model, single)
    same(model, single)
    assert all(e.whole.untyped_storage().nbytes() == 0 for m in model.modules() if isinstance(m, dist.fsdp.FSDPModule)
               for e in m._fsdp_unit.entries)

# Gradients add up without communication, then are reduced together.
model, single = sharded(), network()
model.set_requires_gradient_sync(False)
model(x[own]).sum().backward()
model.set_requires_gradient_sync(True)
model(x[own]).sum().backward()
(2 * single(x).sum() / world).backward()
for ours, theirs in zip(model.parameters(), single.parameters()):
    torch.testing.assert_close(ours._shard.gather(ours.grad), theirs.grad, rtol=1e-4, atol=1e-5)

if world == 4:  # two replicas of two shards
    mesh = dist.init_device_mesh("cpu", (2, 2), mesh_dim_names=("replicas", "shards"))
    model, single = sharded(mesh), network()
    for step in range(2):
        model(x[own]).sum().backward()
        (single(x).sum() / world).backward()
    for ours, theirs in zip(model.parameters(), single.parameters()):
        torch.testing.assert_close(ours._shard.gather(ours.grad), theirs.grad, rtol=1e-4, atol=1e-5)

half = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
model, single = network(), network()
fully_shard(model[1], mp_policy=half)
fully_shard(model, mp_policy=dataclasses.replace(half, output_dtype=torch.float32))
out = model(x[own])
assert out.dtype is torch.float32
out.sum().backward()
(single(x).sum() / world).backward()
for ours, theirs in zip(model.parameters(), single.parameters()):
    assert ours.dtype is ours.grad.dtype is torch.float32
    torch.testing.assert_close(ours._shard.gather(ours.grad), theirs.grad, rtol=5e-2, atol=5e-2)

# A state of shards, and a whole state, can be loaded.
model, other = sharded(), sharded()
train(model, network(), 1)
state = model.state_dict()
assert all(isinstance(value, dist.tensor.DTensor) for value in state.values())
other.load_state_dict(state)
whole = network()
whole.load_state_dict({name: value.full_tensor() for name, value in state.items()})
same(other, whole)
third = sharded()
third.load_state_dict(whole.state_dict())
same(third, whole)
# FullyShardedDataParallel: units by policy, states whole and of rows, of the optimizer too.
def wrapped(**options):
    return FSDP(network(), auto_wrap_policy=ModuleWrapPolicy([Block]), **options)


for strategy in (ShardingStrategy.FULL_SHARD, ShardingStrategy.SHARD_GRAD_OP):
    model, single = wrapped(sharding_strategy=strategy, sync_module_states=True), network()
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in single.named_parameters()]
    optimizers = train(model, single)
    same(model, single)
assert len(FSDP.fsdp_modules(model)) == 3 and FSDP.fsdp_modules(model, root_only=True) == [model]
state = model.state_dict()
for (name, value), theirs in zip(state.items(), single.state_dict().items()):
    assert name == theirs[0]
    torch.testing.assert_close(value, theirs[1], rtol=1e-4, atol=1e-5)
other = wrapped()
other.load_state_dict(state)
same(other, single)
with FSDP.state_dict_type(model, StateDictType.SHARDED_STATE_DICT):
    state = model.state_dict()
    assert isinstance(state["1.inner.weight"], dist.tensor.DTensor)
    other.load_state_dict(state)
whole = FSDP.optim_state_dict(model, optimizers[0])
wanted = optimizers[1].state_dict()["state"][1]["exp_avg"]
torch.testing.assert_close(whole["state"]["0.bias"]["exp_avg"], wanted, rtol=1e-4, atol=1e-5)
again = torch.optim.Adam(other.parameters(), lr=0.05)
again.load_state_dict(FSDP.optim_state_dict_to_load(other, again, whole))
before = optimizers[0].state_dict()["state"]
for number, row in again.state_dict()["state"].items():
    assert torch.equal(row["exp_avg_sq"], before[number]["exp_avg_sq"])
with FSDP.summon_full_params(model):
    assert model[0].weight.shape == (7, 6)
    with torch.no_grad():
        model[0].weight.fill_(2)
assert torch.equal(model[0].weight.full_tensor(), torch.full((7, 6), 2.0))
with FSDP.state_dict_type(model, StateDictType.FULL_STATE_DICT, FullStateDictConfig(rank0_only=True)):
    assert bool(model.state_dict()) == (rank == 0)
model, single = wrapped(), network()
with model.no_sync():
    model(x[own]).sum().backward()
model(x[own]).sum().backward()
(2 * single(x).sum() / world).backward()
for ours, theirs in zip(model.parameters(), single.parameters()):
    torch.testing.assert_close(ours._shard.gather(ours.grad), theirs.grad, rtol=1e-4, atol=1e-5)
dist.barrier()
dist.destroy_process_group()
print(f"rank {rank} done", flush=True)
