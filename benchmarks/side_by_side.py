"""Two libraries, one workload, turn by turn: the ratio of the medians.

    from side_by_side import compare
    compare({"name": build, ...})      # build(torch) -> step

Each library runs in a process of its own; the processes take turns, so that a change in the machine's speed meets
both. A step's result is kept and the stream flushed after every step, so that work nobody reads is not left out.
Figures above 1 mean that Rushlight is faster. PyTorch is needed for the comparison: pip install torch.
"""

import runpy
import statistics
import subprocess
import sys
import time

ROUNDS, SECONDS = 7, 0.2


def work(library, script, name):
    """The worker: builds a step, then times it as often as it is asked to on standard input."""
    if library == "rushlight":
        from rushlight import alias

        alias.install()
    import torch

    torch.manual_seed(0)
    step = runpy.run_path(script)["WORKLOADS"][name](torch)
    for line in sys.stdin:
        began = time.perf_counter()
        for _ in range(int(line)):
            result = step()
            torch.cpu.synchronize()
        print((time.perf_counter() - began) / int(line), flush=True)
        del result


class Worker:
    """One library at one workload."""

    def __init__(self, library, script, name):
        command = [sys.executable, __file__, library, script, name]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def seconds(self, count):
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        self.process.kill()
        self.process.wait()


def medians(times):
    """{library: median} of a function time(library), called in turns."""
    found = {"torch": [], "rushlight": []}
    for _ in range(ROUNDS):
        for library, samples in found.items():
            samples.append(times(library))
    return {library: statistics.median(samples) for library, samples in found.items()}


def show(name, found):
    torch, rushlight = found["torch"], found["rushlight"]
    print(f"{name:34s} {torch * 1e6:12.1f} us {rushlight * 1e6:12.1f} us {torch / rushlight:8.2f}x", flush=True)


def compare(names, script):
    """Print a line for each of the script's WORKLOADS."""
    print(f"{'':34s} {'torch':>15s} {'rushlight':>15s}")
    for name in names:
        workers = {library: Worker(library, script, name) for library in ("torch", "rushlight")}
        try:
            counts = {}
            for library, worker in workers.items():
                worker.seconds(3)
                counts[library] = max(1, round(SECONDS / worker.seconds(3)))
            show(name, medians(lambda library: workers[library].seconds(counts[library])))
        finally:
            for worker in workers.values():
                worker.close()


if __name__ == "__main__":
    work(*sys.argv[1:])
