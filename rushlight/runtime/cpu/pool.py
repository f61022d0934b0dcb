"""How many threads run kernels.

Workers are made by the first parallel launch, and again by the first one after a fork or after `set_num_threads`.
"""

import ctypes
import os
import time

from ...base import pocketfft, switches
from . import cpuinfo, executor, llvm, native, platform

_threads = None


def get_num_threads():
    """How many threads, the calling one included, run a launch."""
    return _default() if _threads is None else _threads


def set_num_threads(count):
    """Use `count` threads from now on. RuntimeError if it is not positive; at most 256 are used."""
    global _threads
    if not isinstance(count, int) or isinstance(count, bool):
        raise TypeError(f"set_num_threads expects an int, but got {type(count).__name__}")
    if count <= 0:
        raise RuntimeError("Expected positive number of threads")
    _threads = count if platform.rows() is not None else 1
    if executor.ready():
        _apply()


llvm.count_threads = pocketfft.threads = get_num_threads


def _default():
    if platform.rows() is None:
        return 1
    return cpuinfo.available_cpus() if switches.THREADS is None else switches.THREADS


def _apply():
    """End the running workers and tell the native side how many to make at the next parallel launch."""
    wanted = min(get_num_threads() - 1, native.MAX_WORKERS)
    code = executor.code()
    acquire = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p)(code["acquire"])
    stop = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int)(code["stop_workers"])
    while not acquire(executor.state()):
        time.sleep(0.0001)  # another Python thread is inside a parallel launch
    stop(executor.state(), wanted)


def workers():
    """How many native workers exist now."""
    return executor.field("workers").value if executor.ready() else 0


def _after_fork():
    """The child has no workers: forget them, free the pool, keep the number wanted."""
    if not executor.ready():
        return
    for name in ("waiting", "sleepers", "busy", "stop", "workers", "arrived", "done"):
        executor.field(name).value = 0
    executor.field("job", ctypes.c_int64).value = 0
    executor.field("wanted").value = min(get_num_threads() - 1, native.MAX_WORKERS)


executor.on_start(_apply)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
