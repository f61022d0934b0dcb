"""Training steps of whole networks: `python benchmarks/train.py`. README: the table of training steps."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import side_by_side


def steps(torch, model, optimizer, x, y):
    """A step of training with cross entropy."""
    def step():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()
    return step


def mlp(torch):
    """784-512-512-10, batches of 64, SGD with momentum."""
    nn = torch.nn
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    return steps(torch, model, optimizer, torch.randn(64, 1, 28, 28), torch.randint(0, 10, (64,)))


def cnn(torch):
    """PyTorch's MNIST example, batches of 64, Adadelta."""
    nn = torch.nn
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(9216, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )
    optimizer = torch.optim.Adadelta(model.parameters())
    return steps(torch, model, optimizer, torch.randn(64, 1, 28, 28), torch.randint(0, 10, (64,)))


def lstm(torch):
    """One layer of 128 over 50 steps, Adam."""
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.head = nn.LSTM(32, 128, batch_first=True), nn.Linear(128, 10)

        def forward(self, x):
            return self.head(self.lstm(x)[0][:, -1])
    model = Net()
    return steps(
        torch, model, torch.optim.Adam(model.parameters()), torch.randn(32, 50, 32), torch.randint(0, 10, (32,))
    )


WORKLOADS = {"mlp": mlp, "mnist cnn": cnn, "lstm": lstm}

if __name__ == "__main__":
    side_by_side.compare(WORKLOADS, __file__)
