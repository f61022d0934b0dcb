"""Fine-tune a ResNet on a folder of pictures: plain PyTorch and torchvision code, from the files to the predictions.

    python -m rushlight examples/finetune.py        # `python examples/finetune.py` where torch and torchvision are

Draws JPEG files of letters and of shapes, one folder a class, and trains in two phases. First a network learns to tell
six letters apart: that stands for the published weights, which would have to be downloaded. Then its last layer is
replaced, and the whole is fine-tuned on four shapes. Prints loss and accuracy of each epoch, and writes finetune.png,
pictures of the test set with what the network takes them for, into the folder of --out.
"""
import argparse
import pathlib
import tempfile
import time

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.models import resnet18
from torchvision.utils import make_grid, save_image

SIZE = 48
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
COLOURS = ((40, 80, 220), (40, 200, 210), (40, 180, 60), (230, 60, 200), (220, 40, 40), (230, 210, 40))
LETTERS = tuple("ACHORX")
SHAPES = ("circle", "cross", "square", "triangle")


def draw(canvas, name, center, radius, colour):
    """A letter or a shape on a canvas of Pillow."""
    x, y = center
    box = (x - radius, y - radius, x + radius, y + radius)
    if name in LETTERS:
        canvas.text((x, y), name, fill=colour, font=ImageFont.load_default(2 * radius + 8), anchor="mm")
    elif name == "circle":
        canvas.ellipse(box, fill=colour)
    elif name == "square":
        canvas.rectangle(box, fill=colour)
    elif name == "triangle":
        canvas.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], fill=colour)
    else:
        canvas.line(box, fill=colour, width=radius // 2)
        canvas.line((x - radius, y + radius, x + radius, y - radius), fill=colour, width=radius // 2)


def draw_picture(generator, name):
    """A letter or a shape at a random place, on a background of noise."""
    low = generator.integers(30, 70)
    picture = Image.fromarray(generator.integers(low - 30, low + 30, (SIZE + 16, SIZE + 16, 3), dtype=np.uint8))
    radius = int(generator.integers(14, 22))
    center = generator.integers(radius + 4, SIZE + 12 - radius, 2).tolist()
    draw(ImageDraw.Draw(picture), name, center, radius, COLOURS[generator.integers(len(COLOURS))])
    return picture


def make_folders(root, count, seed):
    """Files root/letters/CLASS/N.jpg and root/shapes/CLASS/N.jpg, `count` in each class."""
    generator = np.random.default_rng(seed)
    for kind, names in (("letters", LETTERS), ("shapes", SHAPES)):
        for name in names:
            folder = root / kind / name
            folder.mkdir(parents=True)
            for number in range(count):
                draw_picture(generator, name).save(folder / f"{number}.jpg", quality=90)


def loaders(train_folder, test_folder, batch=32):
    """Loaders of the pictures of two folders: random crops and flips for training, the middle for tests."""
    end = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    training = transforms.Compose([transforms.RandomResizedCrop(SIZE, scale=(0.7, 1.0)),
                                   transforms.RandomHorizontalFlip(), *end])
    testing = transforms.Compose([transforms.Resize(SIZE), transforms.CenterCrop(SIZE), *end])
    return (DataLoader(ImageFolder(train_folder, training), batch, shuffle=True, drop_last=True),
            DataLoader(ImageFolder(test_folder, testing), batch))


def train_epoch(model, loader, optimizer):
    """One pass over the training pictures; returns the mean loss."""
    model.train()
    losses = []
    for images, targets in loader:
        loss = nn.functional.cross_entropy(model(images), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


@torch.no_grad()
def predictions(model, loader):
    """Pictures, classes and predicted classes of all of a loader."""
    model.eval()
    parts = [(images, targets, model(images).argmax(1)) for images, targets in loader]
    return [torch.cat(items) for items in zip(*parts)]


def train(model, train_loader, test_loader, epochs, rates):
    """Train with AdamW at learning rates `rates` (last layer, rest); returns the accuracy on the test pictures."""
    last = list(model.fc.parameters())
    rest = [parameter for name, parameter in model.named_parameters() if not name.startswith("fc.")]
    optimizer = torch.optim.AdamW([{"params": last, "lr": rates[0]}, {"params": rest, "lr": rates[1]}])
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for epoch in range(epochs):
        loss = train_epoch(model, train_loader, optimizer)
        scheduler.step()
        _, targets, found = predictions(model, test_loader)
        accuracy = (found == targets).float().mean().item()
        print(f"  epoch {epoch + 1}: loss {loss:.3f}, accuracy {accuracy:6.1%}", flush=True)
    return accuracy


def draw_results(model, loader, path, count=24):
    """A sheet of test pictures; a green frame for those that were recognised, a red one for others."""
    images, targets, found = predictions(model, loader)
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:count]
    cells = []
    for image, target, guess in zip(images[chosen], targets[chosen], found[chosen]):
        pixels = image * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)
        picture = transforms.functional.to_pil_image(pixels.clamp(0, 1)).resize((2 * SIZE, 2 * SIZE))
        canvas = ImageDraw.Draw(picture)
        colour = "lime" if target == guess else "red"
        canvas.rectangle((0, 0, 2 * SIZE - 1, 2 * SIZE - 1), outline=colour, width=3)
        canvas.rectangle((4, 4, 70, 18), fill="black")
        canvas.text((8, 5), loader.dataset.classes[guess], fill=colour)
        cells.append(transforms.functional.to_tensor(picture))
    save_image(make_grid(cells, nrow=6, padding=4, pad_value=1.0), path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out"))
    parser.add_argument("--count", type=int, default=80, help="training pictures of a class")
    arguments = parser.parse_args()
    start = time.perf_counter()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        make_folders(root / "train", arguments.count, seed=1)
        make_folders(root / "test", arguments.count // 2, seed=2)
        print(f"training a ResNet-18 on {len(LETTERS)} letters")
        model = resnet18(num_classes=len(LETTERS))
        train(model, *loaders(root / "train/letters", root / "test/letters"), epochs=4, rates=(1e-3, 1e-3))
        print(f"fine-tuning it on {len(SHAPES)} shapes")
        model.fc = nn.Linear(model.fc.in_features, len(SHAPES))
        shapes = loaders(root / "train/shapes", root / "test/shapes")
        accuracy = train(model, *shapes, epochs=3, rates=(2e-3, 5e-4))
        arguments.out.mkdir(parents=True, exist_ok=True)
        draw_results(model, shapes[1], arguments.out / "finetune.png")
    print(f"accuracy {accuracy:.1%}, {time.perf_counter() - start:.1f} s, {arguments.out / 'finetune.png'}")


if __name__ == "__main__":
    main()
