"""`python -m rushlight.distributed.run`, or `rushlight-torchrun`: starts the processes of a job and looks after them.

The launcher serves the store, gives each process its environment, and watches: a process that fails ends the others;
then all start anew, up to --max-restarts times. Signals that would end the launcher end the processes first.
"""
import argparse
import os
import signal
import subprocess
import sys
import time
import uuid

from .store import PrefixStore, TCPStore
from .world import attempt as keys_of
from .world import ended

GRACE = 3.0  # seconds between the signal that ends the launcher and SIGKILL
NOTICE = 7.0  # seconds in which the others can see the end of a process themselves and say who it was
LAST = 1.5  # seconds between SIGTERM and SIGKILL after that
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def parser():
    """The command line, with torchrun's names."""
    found = argparse.ArgumentParser(prog="python -m rushlight.distributed.run", description=__doc__,
                                    formatter_class=argparse.RawDescriptionHelpFormatter)
    option = found.add_argument
    option("--nnodes", default="1")
    option("--nproc-per-node", "--nproc_per_node", default="1", help="a number, or cpu/auto: one for each core")
    option("--node-rank", "--node_rank", type=int, default=0)
    option("--master-addr", "--master_addr", default="127.0.0.1")
    option("--master-port", "--master_port", type=int, default=29500)
    option("--rdzv-backend", "--rdzv_backend", default="static")
    option("--rdzv-endpoint", "--rdzv_endpoint", default="")
    option("--rdzv-id", "--rdzv_id", default="none")
    option("--standalone", action="store_true", help="one machine, a port that is free")
    option("--max-restarts", "--max_restarts", type=int, default=0)
    option("--monitor-interval", "--monitor_interval", type=float, default=0.05)
    option("--log-dir", "--log_dir", default=None)
    option("-r", "--redirects", default="0", help="0: none, 1: stdout, 2: stderr, 3: both go to files of --log-dir")
    option("-m", "--module", action="store_true", help="the script is a module")
    option("--no-python", "--no_python", action="store_true", help="the script is a program")
    option("training_script")
    option("training_script_args", nargs=argparse.REMAINDER)
    return found


class Launcher:
    """The processes of one machine, and what is to become of them."""

    def __init__(self, args):
        self.args = args
        self.count = os.cpu_count() if args.nproc_per_node in ("cpu", "auto", "gpu") else int(args.nproc_per_node)
        self.nodes = int(str(args.nnodes).rpartition(":")[2])
        self.host, self.port = args.master_addr, args.master_port
        if args.rdzv_endpoint:
            host, _, port = args.rdzv_endpoint.partition(":")
            self.host, self.port = host, int(port or 29500)
        if self.nodes == 1:
            self.host, self.port = "127.0.0.1", 0  # the children are told, so that jobs do not meet on one port
        self.run_id = args.rdzv_id if args.rdzv_id != "none" else uuid.uuid4().hex[:8]
        self.children, self.signal, self.store = [], None, None

    def run(self):
        """Start the processes and watch them, as often as is allowed; returns the exit status."""
        previous = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        self.store = TCPStore(self.host, self.port, is_master=self.args.node_rank == 0)
        self.port = self.store.port
        try:
            for attempt in range(self.args.max_restarts + 1):
                status = self._attempt(attempt)
                if status == 0 or self.signal is not None:
                    break
            return status
        finally:
            self._stop()
            for number, handler in previous.items():
                signal.signal(number, handler)
            self.store.close()

    def _on_signal(self, number, frame):
        self.signal = number

    def _attempt(self, attempt):
        self.children = []
        for local_rank in range(self.count):
            if self.signal is None:
                self.children.append(self._start(local_rank, attempt))
        while self.signal is None:
            codes = [child.poll() for child in self.children]
            if any(codes):
                first = min((rank for rank, code in enumerate(codes) if code), key=lambda rank: codes[rank] > 0)
                self._tell(codes, attempt)
                self._wait(NOTICE)
                ended = self._stop(grace=LAST)
                self._report(first, codes[first], attempt, ended)
                return 1
            if all(code == 0 for code in codes):
                return 0
            time.sleep(self.args.monitor_interval)
        self._stop(self.signal)
        return 128 + self.signal

    def _tell(self, codes, attempt):
        """Note in the store who has ended, for ranks that wait there for others to come."""
        store = PrefixStore(keys_of(attempt), self.store)
        for local_rank, code in enumerate(codes):
            if code:
                store.set(ended(self.args.node_rank * self.count + local_rank), str(code))

    def _environment(self, local_rank, attempt):
        rank = self.args.node_rank * self.count + local_rank
        world = str(self.nodes * self.count)
        values = {
            "RANK": rank, "LOCAL_RANK": local_rank, "GROUP_RANK": self.args.node_rank, "WORLD_SIZE": world,
            "LOCAL_WORLD_SIZE": self.count, "GROUP_WORLD_SIZE": self.nodes, "ROLE_RANK": rank,
            "ROLE_WORLD_SIZE": world, "ROLE_NAME": "default", "MASTER_ADDR": self.host, "MASTER_PORT": self.port,
            "TORCHELASTIC_USE_AGENT_STORE": True, "TORCHELASTIC_RESTART_COUNT": attempt,
            "TORCHELASTIC_MAX_RESTARTS": self.args.max_restarts, "TORCHELASTIC_RUN_ID": self.run_id,
        }
        found = {**os.environ, **{name: str(value) for name, value in values.items()}}
        if self.count > 1:
            found.setdefault("OMP_NUM_THREADS", "1")
        return found

    def _start(self, local_rank, attempt):
        args = self.args
        command = [args.training_script, *args.training_script_args]
        if not args.no_python:
            command = [sys.executable, "-m", "rushlight", *(["-m"] if args.module else []), *command]
        streams = {}
        if args.log_dir is not None and args.redirects != "0":
            folder = os.path.join(args.log_dir, self.run_id, f"attempt_{attempt}", str(local_rank))
            os.makedirs(folder, exist_ok=True)
            for name, bit in (("stdout", 1), ("stderr", 2)):
                if int(args.redirects) & bit:
                    streams[name] = open(os.path.join(folder, f"{name}.log"), "wb")
        try:
            return subprocess.Popen(command, env=self._environment(local_rank, attempt), **streams)
        finally:
            for stream in streams.values():
                stream.close()

    def _stop(self, number=signal.SIGTERM, grace=GRACE):
        """End the processes that still run: with a signal, then with SIGKILL. Returns their local ranks."""
        running = [rank for rank, child in enumerate(self.children) if child.poll() is None]
        for rank in running:
            self.children[rank].send_signal(number)
        self._wait(grace)
        for rank in running:
            if self.children[rank].poll() is None:
                self.children[rank].kill()
                self.children[rank].wait()
        return running

    def _wait(self, limit):
        """Wait until all processes have ended, at most `limit` seconds."""
        end = time.monotonic() + limit
        while time.monotonic() < end and any(child.poll() is None for child in self.children):
            time.sleep(0.02)

    def _report(self, rank, code, attempt, stopped):
        what = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        left = self.args.max_restarts - attempt
        text = f"torchrun: local rank {rank} of {self.args.training_script} ended with {what}; {left} restarts left"
        if stopped:
            text += f"\ntorchrun: local ranks {stopped} did not end by themselves and were stopped because of it"
        print(text, file=sys.stderr, flush=True)


def main(args=None):
    """Do what the command line says; returns the exit status."""
    return Launcher(parser().parse_args(args)).run()


if __name__ == "__main__":
    sys.exit(main())
