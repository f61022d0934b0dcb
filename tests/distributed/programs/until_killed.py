"""Trains until a rank is killed: every other rank ends with the error that names it."""
import faulthandler
import signal

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

faulthandler.register(signal.SIGTERM, chain=True)  # says where a rank was that had to be stopped
print("started", flush=True)
dist.init_process_group()
model = DistributedDataParallel(nn.Sequential(nn.Linear(30, 200), nn.ReLU(), nn.Linear(200, 3)), bucket_cap_mb=0.01)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
group = dist.new_group()
step = 0
while True:
    model(torch.randn(8, 30)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    step += 1
    if step % 5 == 0:
        found = [None] * dist.get_world_size()
        dist.all_gather_object(found, step)
        assert found == [step] * len(found)
        dist.all_reduce(torch.ones(500_000), group=group)
        right, left = (dist.get_rank() + 1) % len(found), (dist.get_rank() - 1) % len(found)
        works = [dist.isend(torch.ones(100), right), dist.irecv(torch.empty(100), left)]
        for work in works:
            work.wait()
