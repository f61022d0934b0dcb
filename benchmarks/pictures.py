"""Pictures from files to batches: `python benchmarks/pictures.py [rushlight|torch]`, images a second.

JPEG files that it makes are decoded, cut, mirrored, normalised and batched, as ImageNet is trained: by transforms of
Pillow images and by transforms of tensors, with no worker and with two.
"""

import importlib
import pathlib
import sys
import tempfile
import time

import numpy as np
from PIL import Image

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
COUNT, SIZE = 96, (375, 500)


def write(folder):
    """JPEG files of slopes and noise in two classes."""
    generator = np.random.RandomState(0)
    rows, columns = np.mgrid[:SIZE[0], :SIZE[1]]
    for number in range(COUNT):
        waves = np.stack([100 + 80 * np.sin((rows * c + columns) / (20 + number % 7)) for c in (1, 2, 3)], -1)
        samples = np.clip(waves + generator.randint(0, 20, waves.shape), 0, 255).astype(np.uint8)
        path = pathlib.Path(folder) / "ab"[number % 2]
        path.mkdir(exist_ok=True)
        Image.fromarray(samples).save(path / f"{number}.jpg", quality=90)


def of_pictures(torch, vision):
    """Transforms of Pillow images."""
    T = vision.transforms
    return T.Compose([T.RandomResizedCrop(224), T.RandomHorizontalFlip(), T.ToTensor(), T.Normalize(MEAN, STD)])


def of_tensors(torch, vision):
    """Transforms of tensors of uint8."""
    T = importlib.import_module(vision.__name__ + ".transforms.v2")
    return T.Compose([T.PILToTensor(), T.RandomResizedCrop(224), T.RandomHorizontalFlip(),
                      T.ToDtype(torch.float32, scale=True), T.Normalize(MEAN, STD)])


def measure(torch, vision, make, workers, folder, rounds=3):
    """The best of a few epochs, in images a second."""
    loader_class = importlib.import_module(torch.__name__ + ".utils.data").DataLoader
    data = vision.datasets.ImageFolder(folder, make(torch, vision))
    loader = loader_class(data, 32, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    best = float("inf")
    for _ in range(rounds + 1):
        start = time.perf_counter()
        total = sum([images.shape[0] + 0 * float(images[0, 0, 0, 0]) for images, _ in loader])
        best = min(best, time.perf_counter() - start)
    return total / best


def main():
    """Print a line for each way."""
    engine = sys.argv[1] if len(sys.argv) > 1 else "rushlight"
    torch = importlib.import_module(engine)
    vision = importlib.import_module("rushlight.vision" if engine == "rushlight" else "torchvision")
    with tempfile.TemporaryDirectory() as folder:
        write(folder)
        for make in (of_pictures, of_tensors):
            for workers in (0, 2):
                rate = measure(torch, vision, make, workers, folder)
                print(f"{make.__name__:12} {workers} workers {rate:8.1f} images/s", flush=True)


if __name__ == "__main__":
    main()
