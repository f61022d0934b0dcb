"""all_reduce beside PyTorch's gloo: `python benchmarks/collectives.py [PROCESSES]`. Needs PyTorch.

Both libraries run their own processes at the same time and take turns: while one measures, the other's ranks wait for a
line on standard input. A figure above 1 means that Rushlight is faster.
"""
import os
import pathlib
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import side_by_side  # noqa: E402

SIZES = (1, 1_000, 10_000, 100_000, 1_000_000, 10_000_000)  # float32 values
SECONDS = 0.1


def work(library):
    """A rank: does as many all_reduces of a size as standard input says, and rank 0 tells the seconds of each."""
    if library == "rushlight":
        from rushlight import alias

        alias.install()
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    for line in sys.stdin:
        size, count = map(int, line.split())
        tensor = torch.zeros(size)
        dist.barrier()
        began = time.perf_counter()
        for _ in range(count):
            dist.all_reduce(tensor)
        took = time.perf_counter() - began
        if dist.get_rank() == 0:
            print(took / count, flush=True)
    dist.destroy_process_group()


class Job:
    """The ranks of one library."""

    def __init__(self, library, count):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        self.ranks = [subprocess.Popen(
            [sys.executable, __file__, library], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "RANK": str(rank), "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1",
                 "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}) for rank in range(count)]

    def seconds(self, size, count):
        """Seconds of one all_reduce, the mean of `count`."""
        for rank in self.ranks:
            rank.stdin.write(f"{size} {count}\n")
            rank.stdin.flush()
        return float(self.ranks[0].stdout.readline())

    def close(self):
        """End all ranks."""
        for rank in self.ranks:
            rank.stdin.close()
        for rank in self.ranks:
            try:
                rank.wait(10)
            except subprocess.TimeoutExpired:
                rank.kill()
                rank.wait()


def main(processes):
    """Print a line for each size: medians of turns, and the bandwidth."""
    jobs = {library: Job(library, processes) for library in ("torch", "rushlight")}
    try:
        print(f"{f'{processes} processes, float32 values':34s} {'torch':>15s} {'rushlight':>15s}")
        for size in SIZES:
            counts = {library: max(1, round(SECONDS / job.seconds(size, 3)))
                      for library, job in jobs.items()}
            found = side_by_side.medians(lambda library: jobs[library].seconds(size, min(1000, counts[library])))
            side_by_side.show(f"{size}  ({size * 4 / found['rushlight'] / 1e9:.2f} GB/s)", found)
    finally:
        for job in jobs.values():
            job.close()


if __name__ == "__main__":
    if sys.argv[1:2] in (["torch"], ["rushlight"]):
        work(sys.argv[1])
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 2)
