"""Python's `multiprocessing`, whose queues, pipes and processes hand tensors over in shared memory.

A tensor that is sent is copied once, into a block without a name that the receiver maps; nothing is left when both have
let go of it. Memory that both sides change is that of `share_memory_`, under fork. Next to read: spawn.py.
"""
import multiprocessing as _python
from multiprocessing import *  # noqa: F401,F403

from . import reductions
from .spawn import (
    ENV_VAR_PARALLEL_START, ProcessContext, ProcessException, ProcessExitedException, ProcessRaisedException,
    SpawnContext, spawn, start_processes,
)

__all__ = [
    *_python.__all__, "ENV_VAR_PARALLEL_START", "ProcessContext", "ProcessException", "ProcessExitedException",
    "ProcessRaisedException", "SpawnContext", "get_all_sharing_strategies", "get_sharing_strategy", "reductions",
    "set_sharing_strategy", "spawn", "start_processes",
]
reductions.install()


def get_all_sharing_strategies():
    """The ways in which tensors are shared: descriptors of files without a name."""
    return {"file_descriptor"}


def get_sharing_strategy():
    """The way in which tensors are shared."""
    return "file_descriptor"


def set_sharing_strategy(new_strategy):
    """Accepts the one strategy that there is; NotImplementedError for "file_system", which can leave files."""
    if new_strategy not in get_all_sharing_strategies():
        raise NotImplementedError(f"set_sharing_strategy: {new_strategy!r}; use 'file_descriptor'")
