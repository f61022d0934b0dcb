"""Watch the engine in a training loop: from the fourth step on nothing is planned and nothing is compiled.

    python -m rushlight examples/steady_loop.py

A network with dropout is trained by Adam under a learning-rate schedule, with a batch that changes its size now and
then. What is new runs operator by operator, what comes back is planned and fused. Each row of the table is one step:
what the counters of `rushlight.engine.statistics()` grew by.
"""
import torch
import torch.nn.functional as F
from torch import nn

from rushlight import engine

COLUMNS = (
    "instructions", "flushes", "programs_planned", "kernels_compiled", "kernels_loaded", "launches", "bytes_allocated",
)
BATCHES = (64, 64, 64, 64, 64, 48, 48, 64, 48, 56)


def main():
    """Train ten steps and print the table."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(64, 256), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(256, 256), nn.GELU(), nn.Dropout(0.2),
        nn.Linear(256, 10),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(BATCHES))
    images, labels = torch.randn(512, 64), torch.randint(0, 10, (512,))
    print(f"{'step':>4} {'batch':>5} {'loss':>7}", *(f"{name:>17}" for name in COLUMNS))
    for step, size in enumerate(BATCHES, 1):
        before = engine.statistics()
        chosen = torch.randperm(512)[:size]
        loss = F.cross_entropy(model(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        value = loss.item()
        after = engine.statistics()
        grown = (after[name] - before[name] for name in COLUMNS)
        print(f"{step:4d} {size:5d} {value:7.4f}", *(f"{count:17d}" for count in grown))


if __name__ == "__main__":
    main()
