"""ZeroRedundancyOptimizer: parameters and states are those of an ordinary optimizer; each rank keeps a part."""
import os

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms.join import Join
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group(os.environ.get("TEST_BACKEND"))
rank, world = dist.get_rank(), dist.get_world_size()
torch.manual_seed(3)
x, y = torch.randn(8, 6), torch.randn(8, 2)
own = slice(rank * 8 // world, (rank + 1) * 8 // world)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 2))


def step(model, single, optimizers, schedulers=()):
    nn.functional.mse_loss(model(x[own]), y[own]).backward()
    nn.functional.mse_loss(single(x), y).backward()
    for each in (*optimizers, *schedulers):
        each.step()
    for optimizer in optimizers:
        optimizer.zero_grad()


def same(model, single):
    for ours, theirs in zip(model.parameters(), single.parameters()):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


for as_view in (False, True):
    model, single = DistributedDataParallel(network()), network()
    zero = ZeroRedundancyOptimizer(model.parameters(), torch.optim.Adam, parameters_as_bucket_view=as_view, lr=0.05)
    optimizers = [zero, torch.optim.Adam(single.parameters(), lr=0.05)]
    schedulers = [torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5) for optimizer in optimizers]
    for _ in range(4):
        step(model, single, optimizers, schedulers)
    same(model, single)
    states = [None] * world
    dist.all_gather_object(states, len(zero.optim.state))
    assert sum(states) == 4 and max(states) < 4

try:
    zero.state_dict()
except RuntimeError as error:
    assert "consolidate_state_dict" in str(error)
else:
    raise AssertionError("a state that this rank has not")
zero.consolidate_state_dict(to=1)
box = [zero.state_dict()] if rank == 1 else [None]
wanted = optimizers[1].state_dict()
if rank == 1:
    assert box[0]["param_groups"][0]["lr"] == wanted["param_groups"][0]["lr"]
    for number, state in wanted["state"].items():
        torch.testing.assert_close(box[0]["state"][number]["exp_avg"], state["exp_avg"], rtol=1e-4, atol=1e-6)
dist.broadcast_object_list(box, src=1)
again = ZeroRedundancyOptimizer(model.parameters(), torch.optim.Adam, lr=1.0)
again.load_state_dict(box[0])
step(model, single, [again, optimizers[1]])
same(model, single)

again.add_param_group({"params": [nn.Parameter(torch.zeros(3))], "lr": 0.1})
assert len(again.param_groups) == 2 and len(again.optim.param_groups) == 2
step(model, single, [again, optimizers[1]])
same(model, single)

# Ranks with different numbers of batches end with the same parameters.
model = DistributedDataParallel(network())
zero = ZeroRedundancyOptimizer(model.parameters(), torch.optim.SGD, lr=0.01)
with Join([model, zero]):
    for _ in range(rank + 1):
        model(x[own]).sum().backward()
        zero.step()
        zero.zero_grad()
weights = [None] * world
dist.all_gather_object(weights, [p.tolist() for p in model.parameters()])
assert all(row == weights[0] for row in weights)
dist.destroy_process_group()
print(f"rank {rank} done", flush=True)
