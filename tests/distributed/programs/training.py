"""DistributedDataParallel: gradients and losses are those of one process on the whole batch."""
import os

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group(os.environ.get("TEST_BACKEND"))
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


# Communication hooks: the averages are those without a hook, to the precision in which they are sent.
plain = DistributedDataParallel(network(0), bucket_cap_mb=1e-4)
plain(x[own]).sum().backward()
seen = []


def noting(state, bucket):
    assert [g.shape for g in bucket.gradients()] == [p.shape for p in bucket.parameters()]
    seen.append((state, bucket.index(), bucket.is_last()))
    return default_hooks.allreduce_hook(None, bucket)


for hook, tolerance in ((noting, 1e-6), (default_hooks.fp16_compress_hook, 1e-2),
                        (default_hooks.bf16_compress_wrapper(default_hooks.allreduce_hook), 1e-1)):
    hooked = DistributedDataParallel(network(0), bucket_cap_mb=1e-4)
    hooked.register_comm_hook("state" if hook is noting else None, hook)
    hooked(x[own]).sum().backward()
    for ours, theirs in zip(hooked.parameters(), plain.parameters()):
        assert torch.allclose(ours.grad, theirs.grad, atol=tolerance, rtol=tolerance), hook
assert [index for _, index, _ in seen] == list(range(len(seen))) and seen[-1][2] and seen[0][0] == "state"

# Rank r has r + 1 batches: the gradients of those who have one are summed, and divided as join says.
for divide_by_all in (True, False):
    model = DistributedDataParallel(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), bucket_cap_mb=1e-4)
    with model.join(divide_by_initial_world_size=divide_by_all):
        for step in range(rank + 1):
            model.zero_grad()
            model(torch.tensor([[1.0, 2.0], [step, rank]])).pow(3).sum().backward()
    bias = model.module[1].bias.grad
    if rank == world - 1:
        last = model.module[1].bias.grad * (world if divide_by_all else 1)
        single = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        single.load_state_dict(model.module.state_dict())
        single(torch.tensor([[1.0, 2.0], [step, rank]])).pow(3).sum().backward()
        assert torch.allclose(last, single[1].bias.grad, atol=1e-5), (last, single[1].bias.grad)
    weights = [None] * world
    dist.all_gather_object(weights, [v.tolist() for v in model.module.state_dict().values()])
    assert all(row == weights[-1] for row in weights)
model = DistributedDataParallel(nn.Linear(2, 2))
try:
    with model.join(throw_on_early_termination=True):
        for step in range(rank + 1):
            model(torch.ones(1, 2)).sum().backward()
except RuntimeError as error:
    assert "exhausted" in str(error)
else:
    raise AssertionError("ranks with different numbers of batches")
dist.destroy_process_group()
print(f"rank {rank} done", flush=True)
