"""The network of examples/digits.py: its losses on parts of every batch are those of one process on the whole."""
import os
import pathlib
import sys

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "examples"))
import digits  # noqa: E402

dist.init_process_group(os.environ.get("TEST_BACKEND"))
rank, world = dist.get_rank(), dist.get_world_size()
BATCH, STEPS = 64, 20


def network():
    torch.manual_seed(0)
    model = digits.Network()
    model.dropout.p = 0.0  # ranks would draw other masks than one process
    return model


def losses(model, loader):
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _, (images, numbers) in zip(range(STEPS), loader):
        loss = nn.functional.cross_entropy(model(images), numbers)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.detach()


data = digits.load_digits()
sampler = DistributedSampler(data, shuffle=False)
own = losses(DistributedDataParallel(network()), DataLoader(data, BATCH // world, sampler=sampler))
for step, (mine, whole) in enumerate(zip(own, losses(network(), DataLoader(data, BATCH)), strict=True)):
    dist.all_reduce(mine, dist.ReduceOp.AVG)
    torch.testing.assert_close(mine, whole, rtol=2e-4, atol=2e-4, msg=f"step {step}: {mine} != {whole}")
assert whole < 1.5  # it learns
dist.destroy_process_group()
print(f"rank {rank} done", flush=True)
