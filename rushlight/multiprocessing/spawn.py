"""Starts the same function in several processes, and fails when one of them does: the others are ended."""
import multiprocessing
import pickle
import signal
import sys
import time
import traceback
from multiprocessing import connection

ENV_VAR_PARALLEL_START = "TORCH_MP_PARALLEL_START"
GRACE = 3.0  # seconds between SIGTERM and SIGKILL


class ProcessException(Exception):
    """A process has failed."""

    def __init__(self, msg, error_index, pid):
        super().__init__(msg)
        self.msg, self.error_index, self.pid = msg, error_index, pid

    def __reduce__(self):
        return type(self), (self.msg, self.error_index, self.pid)


class ProcessRaisedException(ProcessException):
    """A process has raised an exception; the message holds its traceback."""

    def __init__(self, msg, error_index, error_pid):
        super().__init__(msg, error_index, error_pid)


class ProcessExitedException(ProcessException):
    """A process has ended by a signal or with an exit status."""

    def __init__(self, msg, error_index, error_pid, exit_code, signal_name=None):
        super().__init__(msg, error_index, error_pid)
        self.exit_code, self.signal_name = exit_code, signal_name

    def __reduce__(self):
        return type(self), (self.msg, self.error_index, self.pid, self.exit_code, self.signal_name)


def _wrap(function, index, args, errors):
    try:
        function(index, *args)
    except KeyboardInterrupt:
        pass  # the parent has been told as well
    except Exception:
        errors.send_bytes(pickle.dumps(traceback.format_exc()))
        sys.exit(1)


class ProcessContext:
    """The processes of one `start_processes`."""

    def __init__(self, processes, errors):
        self.processes, self._errors = processes, errors
        self._left = {process.sentinel: index for index, process in enumerate(processes)}

    def pids(self):
        """The processes' numbers in the system."""
        return [process.pid for process in self.processes]

    def join(self, timeout=None, grace_period=None):
        """Wait until one process ends; True when all have ended well.

        Raises: ProcessRaisedException or ProcessExitedException if one has failed, after the others are ended.
        """
        failed = None
        for sentinel in connection.wait(list(self._left), timeout) if self._left else ():
            index = self._left.pop(sentinel)
            self.processes[index].join()
            if self.processes[index].exitcode != 0 and failed is None:
                failed = index
        if failed is None:
            return not self._left
        self._stop(GRACE if grace_period is None else grace_period)
        raise self._failure(failed)

    def _stop(self, grace):
        for process in self.processes:
            if process.is_alive():
                process.terminate()
        end = time.monotonic() + grace
        for process in self.processes:
            process.join(max(0.0, end - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()

    def _failure(self, index):
        process, errors = self.processes[index], self._errors[index]
        if errors.poll():
            try:
                text = pickle.loads(errors.recv_bytes())
            except EOFError:
                text = None
            if text is not None:
                head = f"\n\n-- Process {index} terminated with the following error:\n"
                return ProcessRaisedException(head + text, index, process.pid)
        if process.exitcode < 0:
            name = signal.Signals(-process.exitcode).name
            return ProcessExitedException(f"process {index} terminated with signal {name}", index, process.pid,
                                          process.exitcode, name)
        return ProcessExitedException(f"process {index} terminated with exit code {process.exitcode}", index,
                                      process.pid, process.exitcode)


SpawnContext = ProcessContext


def start_processes(fn, args=(), nprocs=1, join=True, daemon=False, start_method="spawn"):
    """Call fn(index, *args) in `nprocs` processes.

    Returns None when all have ended well (join=True), or a ProcessContext at once. Raises ProcessRaisedException or
    ProcessExitedException if one fails.
    """
    context = multiprocessing.get_context(start_method)
    processes, errors = [], []
    for index in range(nprocs):
        receiving, sending = context.Pipe(duplex=False)
        process = context.Process(target=_wrap, args=(fn, index, args, sending), daemon=daemon)
        process.start()
        sending.close()
        processes.append(process)
        errors.append(receiving)
    found = ProcessContext(processes, errors)
    if not join:
        return found
    while not found.join():
        pass
    return None


def spawn(fn, args=(), nprocs=1, join=True, daemon=False, start_method="spawn"):
    """`start_processes` with the start method "spawn"."""
    return start_processes(fn, args, nprocs, join, daemon, start_method="spawn")
