"""DistributedDataParallel: gradients and losses are those of one process on the whole batch."""
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group()
rank, world = dist.get_rank(), dist.get_world_size()
torch.manual_seed(3)
x, y = torch.randn(8, 6), torch.randn(8, 2)


def network(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 2))


for options in ({}, {"gradient_as_bucket_view": True}, {"bucket_cap_mb": 1e-4}, {"find_unused_parameters": True}):
    single = network(0)
    model = DistributedDataParallel(network(0 if rank == 0 else 9), **options)
    optimizers = [torch.optim.Adam(m.parameters(), lr=0.01) for m in (single, model)]
    own = slice(rank * 8 // world, (rank + 1) * 8 // world)
    for step in range(3):
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x[own]), y[own])
        loss.backward()
        want = nn.functional.mse_loss(single(x), y)
        want.backward()
        for ours, theirs in zip(model.parameters(), single.parameters()):
            assert torch.allclose(ours.grad, theirs.grad, atol=1e-6), options
        total = loss.detach().clone()
        dist.all_reduce(total, dist.ReduceOp.AVG)
        assert torch.allclose(total, want.detach(), atol=1e-6)
        for optimizer in optimizers:
            optimizer.step()

model, single = DistributedDataParallel(network(0)), network(0)
with model.no_sync():
    model(x[own]).sum().backward()
local = [p.grad.clone() for p in model.parameters()]
single(x[own]).sum().backward()
assert all(torch.allclose(a, p.grad, atol=1e-5) for a, p in zip(local, single.parameters()))
model(x[own]).sum().backward()
single.zero_grad()
(2 * single(x).sum() / world).backward()
assert all(torch.allclose(p.grad, q.grad, atol=1e-5) for p, q in zip(model.parameters(), single.parameters()))


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.both, self.one, self.none = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x):
        return self.one(self.both(x)) if rank == 0 else self.both(x)


model = DistributedDataParallel(Branches(), find_unused_parameters=True)
for _ in range(2):
    model(torch.ones(1, 2)).sum().backward()
assert model.module.one.weight.grad is not None and model.module.none.weight.grad is None
dist.destroy_process_group()
print(f"rank {rank} done", flush=True)
