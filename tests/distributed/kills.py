"""Kills ranks at random moments and looks at what is left: `python tests/distributed/kills.py COUNT [SEED]`."""
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = pathlib.Path(__file__).parent / "programs" / "until_killed.py"
LIMIT = 10.0  # seconds in which every other rank has to end


def environment_of(pid):
    """The environment of a process as a dictionary; empty if it has ended."""
    try:
        data = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    return dict(row.split(b"=", 1) for row in data.split(b"\0") if b"=" in row)


def ranks_of(mark):
    """{rank: process} of the running processes whose environment has a mark, but for the launcher."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            values = environment_of(entry)
            if values.get(b"KILLS_MARK") == mark.encode() and b"RANK" in values:
                found[int(values[b"RANK"])] = int(entry)
    return found


def log_of(folder, rank, stream="stderr"):
    """What a rank has said."""
    return "".join(path.read_text() for path in pathlib.Path(folder).glob(f"*/attempt_0/{rank}/{stream}.log"))


def run(seed, processes, program=PROGRAM):
    """One job. Returns (seconds from the kill to the end of the launcher, rank killed, when); AssertionError if a rank
    does not name the killed one, hangs, or leaves something.
    """
    chance = random.Random(seed)
    victim, moment, mark = chance.randrange(processes), chance.uniform(0, 4), f"{os.getpid()}.{seed}"
    shared = set(os.listdir("/dev/shm"))
    with tempfile.TemporaryDirectory() as logs:
        job = subprocess.Popen(
            [sys.executable, "-m", "rushlight.distributed.run", "--standalone", "--nproc-per-node", str(processes),
             "--log-dir", logs, "-r", "3", str(program)], stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "KILLS_MARK": mark})
        try:
            end = time.monotonic() + 30
            while len(ranks := ranks_of(mark)) < processes and time.monotonic() < end:
                time.sleep(0.01)
            time.sleep(moment)
            os.kill(ranks[victim], 9)
            killed = time.monotonic()
            _, said = job.communicate(timeout=LIMIT + 5)
            took = time.monotonic() - killed
        finally:
            left = ranks_of(mark)
            for pid in left.values():
                os.kill(pid, 9)
            job.kill()
            job.wait()
        assert not left, f"seed {seed}: processes are left: {left}"
        assert set(os.listdir("/dev/shm")) <= shared, f"seed {seed}: shared memory is left"
        assert took <= LIMIT, f"seed {seed}: took {took:.1f} s"
        assert f"local rank {victim} of" in said and "SIGKILL" in said, f"seed {seed}: {said}"
        stopped = json.loads((re.findall(r"local ranks (\[.*?\]) did not end", said) or ["[]"])[0])
        for rank in set(range(processes)) - {victim}:
            log = log_of(logs, rank)
            if rank in stopped and "started" not in log_of(logs, rank, "stdout"):
                continue  # on a busy machine: its imports were not done, and the launcher has named the victim
            assert f"rank {victim} " in log and "has ended" in log, f"seed {seed}, rank {rank}: {log[-3000:]}"
    return took, victim, moment


def main(count, first=0):
    """Run jobs of two, three and four ranks; print a line each and the slowest."""
    slowest, failures = 0.0, 0
    for seed in range(first, first + count):
        processes = 2 + seed % 3
        try:
            took, victim, moment = run(seed, processes)
        except Exception as error:
            failures += 1
            print(f"FAILED {type(error).__name__}: {error}", flush=True)
            continue
        slowest = max(slowest, took)
        print(f"{processes} ranks, rank {victim} killed after {moment:.2f} s: all ended in {took:.2f} s", flush=True)
    print(f"{count} runs, {failures} failed, slowest {slowest:.2f} s")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
