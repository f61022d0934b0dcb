"""Detection on the CPU, Rushlight beside torchvision: `python benchmarks/detection.py [--first MODULE]`.

Faster R-CNN (ResNet-50) and SSDlite look at one picture of 320x320, without weights that were trained: the time for a
picture. The two libraries take turns, each in a process of its own; the ratio is that of their medians. `--first`: a
module to import before torchvision, for example one that supplies its compiled operators.
"""

import argparse
import importlib
import statistics
import subprocess
import sys
import time

MODELS = {
    "fasterrcnn_resnet50_fpn": {"min_size": 320, "max_size": 320},
    "fasterrcnn_mobilenet_v3_large_320_fpn": {},
    "ssdlite320_mobilenet_v3_large": {},
}


def work(engine, name, first):
    """A worker: prints the seconds for one picture, once for each line of standard input."""
    if engine == "torch" and first:
        importlib.import_module(first)
    torch = importlib.import_module(engine)
    vision = importlib.import_module("rushlight.vision" if engine == "rushlight" else "torchvision")
    torch.manual_seed(0)
    model = getattr(vision.models.detection, name)(weights=None, weights_backbone=None, **MODELS[name]).eval()
    picture = torch.rand(3, 320, 320)
    with torch.no_grad():
        for _ in sys.stdin:
            start = time.perf_counter()
            found, = model([picture])
            float(found["boxes"].sum())
            print(time.perf_counter() - start, flush=True)


def main():
    """Print a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", help="a module to import before torchvision")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(*arguments.work, arguments.first)
        return
    extra = ["--first", arguments.first] if arguments.first else []
    for name in MODELS:
        workers = {engine: subprocess.Popen([sys.executable, __file__, *extra, "--work", engine, name],
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                   for engine in ("torch", "rushlight")}
        times = {engine: [] for engine in workers}
        for number in range(arguments.rounds + 3):
            for engine, process in workers.items():
                process.stdin.write("\n")
                process.stdin.flush()
                seconds = float(process.stdout.readline())
                if number >= 3:
                    times[engine].append(seconds)
        for process in workers.values():
            process.stdin.close()
            process.wait()
        middle = {engine: statistics.median(found) for engine, found in times.items()}
        print(f"{name:40} torchvision {middle['torch'] * 1e3:7.1f} ms   rushlight {middle['rushlight'] * 1e3:7.1f} ms "
              f"  {middle['torch'] / middle['rushlight']:5.2f}x", flush=True)


if __name__ == "__main__":
    main()
