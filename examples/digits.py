"""Train a small convolutional network on 1,797 handwritten digits: plain PyTorch code, from the data to the pictures.

    python -m rushlight examples/digits.py        # or `make demo`; `python examples/digits.py` where torch is installed

Prints a progress bar with the running loss and the accuracy of every epoch, saves a checkpoint, loads it into a new
network, and writes curves.png and predictions.png into the folder of --out. The digits are those that ship with
Rushlight.
"""
import argparse
import gzip
import pathlib
import time

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split
from tqdm import tqdm

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402  (the backend comes first)

DIGITS = pathlib.Path(__file__).resolve().parents[1] / "rushlight" / "data" / "digits.csv.gz"


class Network(nn.Module):
    """Two convolutions and two linear layers: (B, 1, 8, 8) to the scores (B, 10) of the ten digits."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.dropout = nn.Dropout(0.25)
        self.fc1 = nn.Linear(64 * 4 * 4, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = self.dropout(torch.flatten(x, 1))
        return self.fc2(self.dropout(F.relu(self.fc1(x))))


def load_digits(path=DIGITS):
    """All images as a float tensor (1797, 1, 8, 8) in [0, 1] with their digits (1797,)."""
    with gzip.open(path) as file:
        table = np.loadtxt(file, delimiter=",")
    images = torch.tensor(table[:, :64] / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    return TensorDataset(images, torch.tensor(table[:, 64], dtype=torch.int64))


def train_epoch(model, loader, optimizer, scheduler, title):
    """One pass over the training images; returns the loss of every step."""
    model.train()
    losses = []
    running = None
    bar = tqdm(loader, desc=title, unit="batch", ncols=90)
    for images, digits in bar:
        loss = F.cross_entropy(model(images), digits)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
        running = losses[-1] if running is None else 0.9 * running + 0.1 * losses[-1]
        bar.set_postfix(loss=f"{running:.4f}", refresh=False)
    return losses


@torch.no_grad()
def accuracy(model, loader):
    """The share of images whose digit the network finds."""
    model.eval()
    correct = sum((model(images).argmax(1) == digits).sum().item() for images, digits in loader)
    return correct / len(loader.dataset)


def draw_curves(losses, accuracies, path):
    """The loss of every step and the test accuracy of every epoch, in one file."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    left.plot(losses, linewidth=0.8)
    left.set(xlabel="step", ylabel="training loss", yscale="log")
    right.plot(range(1, len(accuracies) + 1), accuracies, marker="o")
    right.set(xlabel="epoch", ylabel="test accuracy")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


@torch.no_grad()
def draw_predictions(model, dataset, path, rows=4, columns=8):
    """Test images with the digit the network sees in them; wrong ones in red."""
    model.eval()
    images, digits = next(iter(DataLoader(dataset, batch_size=rows * columns)))
    found = model(images).argmax(1)
    figure, grid = plt.subplots(rows, columns, figsize=(columns, 1.25 * rows))
    for axes, image, digit, guess in zip(grid.flat, images, digits.tolist(), found.tolist()):
        axes.imshow(image[0].numpy(), cmap="gray_r")
        axes.set_title(str(guess), color="black" if guess == digit else "red", fontsize=10)
        axes.axis("off")
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def main():
    """Train, test, save, reload, draw."""
    parser = argparse.ArgumentParser(description="Train a small convolutional network on handwritten digits.")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=4e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(args.seed)
    training, test = random_split(load_digits(), [1437, 360])
    train_loader = DataLoader(training, batch_size=args.batch_size, shuffle=True)
    test_loader = DataLoader(test, batch_size=256)
    model = Network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, args.lr, total_steps=args.epochs * len(train_loader))

    losses, accuracies = [], []
    start = time.perf_counter()
    for epoch in range(1, args.epochs + 1):
        losses += train_epoch(model, train_loader, optimizer, scheduler, f"epoch {epoch:2d}/{args.epochs}")
        accuracies.append(accuracy(model, test_loader))
    seconds = time.perf_counter() - start
    print(f"trained {args.epochs} epochs in {seconds:.1f} s, test accuracy {accuracies[-1]:.2%}")

    checkpoint = args.out / "checkpoint.pt"
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": args.epochs}, checkpoint)
    restored = Network()
    restored.load_state_dict(torch.load(checkpoint)["model"])
    print(f"saved and reloaded {checkpoint}: test accuracy {accuracy(restored, test_loader):.2%}")

    draw_curves(losses, accuracies, args.out / "curves.png")
    draw_predictions(restored, test, args.out / "predictions.png")
    print(f"wrote {args.out / 'curves.png'} and {args.out / 'predictions.png'}")


if __name__ == "__main__":
    main()
