"""Programs of tiny tensors, where the time is Python's: `python benchmarks/small.py`.

README: "tiny networks train several times faster".
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import side_by_side


def adds(torch):
    """100 additions of 8 numbers."""
    a, b = torch.randn(8), torch.randn(8)

    def step():
        x = a
        for _ in range(100):
            x = x + b
        return x
    return step


def backward(torch):
    """Five operators forward and backward."""
    w, x = torch.randn(4, 4, requires_grad=True), torch.randn(2, 4)

    def step():
        w.grad = None
        ((x @ w).relu() * 2).pow(2).mean().backward()
        return w.grad
    return step


def net(torch):
    """A training step of a network of 65 parameters with Adam."""
    nn = torch.nn
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer, x, y = torch.optim.Adam(model.parameters()), torch.randn(8, 2), torch.randn(8, 1)

    def step():
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()
    return step


def items(torch):
    """Twenty results read back one by one."""
    a = torch.randn(8)

    def step():
        return [(a * 2).sum().item() for _ in range(20)]
    return step


WORKLOADS = {"100 additions": adds, "forward and backward": backward, "training step of 2-16-1": net, "20 items": items}

if __name__ == "__main__":
    side_by_side.compare(WORKLOADS, __file__)
