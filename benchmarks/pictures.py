"""Pictures from files to batches, in images a second: `python benchmarks/pictures.py [--first MODULE]`.

JPEG files that it makes are decoded, cut, mirrored, normalised and batched, as for training on ImageNet: by transforms
of Pillow images and by transforms of tensors, with no worker and with two. Rushlight and torchvision take turns, each
in a process of its own, and the ratio of their best epochs is printed. `--first`: a module to import before
torchvision, for environments where torchvision does not import by itself.
"""

import argparse
import importlib
import pathlib
import subprocess
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


WAYS = {(make.__name__, workers): (make, workers) for make in (of_pictures, of_tensors) for workers in (0, 2)}


def work(engine, folder, first):
    """A worker: prints the seconds of an epoch for each name of a way on standard input."""
    if engine == "torch" and first:
        importlib.import_module(first)
    torch = importlib.import_module(engine)
    vision = importlib.import_module("rushlight.vision" if engine == "rushlight" else "torchvision")
    loader_class = importlib.import_module(torch.__name__ + ".utils.data").DataLoader
    loaders = {}
    for line in sys.stdin:
        name, workers = line.split()
        make, workers = WAYS[name, int(workers)]
        if (name, workers) not in loaders:
            data = vision.datasets.ImageFolder(folder, make(torch, vision))
            loaders[name, workers] = loader_class(data, 32, shuffle=True, num_workers=workers,
                                                  persistent_workers=workers > 0)
        start = time.perf_counter()
        for images, _ in loaders[name, workers]:
            float(images[0, 0, 0, 0])  # as a model would: the batch must be there
        print(time.perf_counter() - start, flush=True)


def main():
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", help="a module to import before torchvision")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(*arguments.work, arguments.first)
        return
    with tempfile.TemporaryDirectory() as folder:
        write(folder)
        extra = ["--first", arguments.first] if arguments.first else []
        workers = {engine: subprocess.Popen([sys.executable, __file__, *extra, "--work", engine, folder],
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                   for engine in ("torch", "rushlight")}
        for way in WAYS:
            best = {engine: float("inf") for engine in workers}
            for _ in range(arguments.rounds + 1):
                for engine, process in workers.items():
                    process.stdin.write("%s %d\n" % way)
                    process.stdin.flush()
                    best[engine] = min(best[engine], float(process.stdout.readline()))
            rates = {engine: COUNT / seconds for engine, seconds in best.items()}
            print("%-12s %d workers" % way + f"   torchvision {rates['torch']:7.1f}   rushlight "
                  f"{rates['rushlight']:7.1f} images/s   {rates['rushlight'] / rates['torch']:5.2f}x", flush=True)
        for process in workers.values():
            process.stdin.close()
            process.wait()


if __name__ == "__main__":
    main()
