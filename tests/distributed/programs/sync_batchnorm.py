"""SyncBatchNorm on parts of a batch gives what BatchNorm gives on the whole batch: values, gradients, averages."""
import os

import torch
import torch.distributed as dist
from torch import nn

dist.init_process_group(os.environ.get("TEST_BACKEND"))
rank, world = dist.get_rank(), dist.get_world_size()
bounds = [0, *[1 + 2 * r for r in range(1, world)], 12]  # parts of different sizes
own = slice(bounds[rank], bounds[rank + 1])

for shape, kind in (((12, 3), nn.BatchNorm1d), ((12, 3, 4, 5), nn.BatchNorm2d)):
    for options in ({}, {"momentum": None}, {"affine": False}, {"track_running_stats": False}):
        torch.manual_seed(5)
        x, weights = torch.randn(shape) * 3 + 100, torch.randn(shape)
        whole = kind(3, **options)
        part = nn.SyncBatchNorm.convert_sync_batchnorm(kind(3, **options))
        assert isinstance(part, nn.SyncBatchNorm)
        for _ in range(2):
            full, mine = x.clone().requires_grad_(), x[own].clone().requires_grad_()
            whole.zero_grad()
            part.zero_grad()
            want, got = whole(full), part(mine)
            (want * weights).sum().backward()
            (got * weights[own]).sum().backward()
            torch.testing.assert_close(got, want[own], rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(mine.grad, full.grad[own], rtol=1e-4, atol=1e-4)
            for ours, theirs in zip(part.parameters(), whole.parameters()):
                total = ours.grad.clone()
                dist.all_reduce(total)
                torch.testing.assert_close(total, theirs.grad, rtol=1e-4, atol=1e-3)
        for ours, theirs in zip(part.buffers(), whole.buffers()):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
        if part.track_running_stats:
            torch.testing.assert_close(part.eval()(x[own]), whole.eval()(x)[own], rtol=1e-4, atol=1e-3)
dist.destroy_process_group()
print(f"rank {rank} done", flush=True)
