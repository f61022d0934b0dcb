"""The engine: runs flushed blocks of the stream, and leaves their results in memory.

`direct` runs what is new by launch records (`records`, made by `single`), `flush` plans what comes back, compiles its
kernels, fills the table and runs it. `statistics()` counts what happened. The runtime is loaded when the first operator
is recorded, the planner and the code generators when they are needed: programs pay for what they use.
"""

import importlib

from ..core import bounds
from ..core.stream import STREAM, flush


def _engine():
    """The module of planned blocks and statistics, loaded on first use."""
    return importlib.import_module(".flush", __name__)


def _load():
    """Load what runs blocks, and make the native code: what is recorded will run."""
    module = importlib.import_module(".direct", __name__)
    STREAM.load, STREAM.make, STREAM.recover = None, module.make, module.recover
    module.executor.code()


def _first_make(block, mask):
    _load()
    return STREAM.make(block, mask)


def statistics():
    """What the engine has done so far: instructions run, flushes, programs planned, kernels compiled (and loaded from
    disk), launches, bytes of results allocated, seconds spent planning."""
    return _engine().statistics()


def reset_statistics():
    """Set all counters to zero."""
    _engine().reset_statistics()


def _outside():
    """The native check of bounds, made with the engine."""
    _engine()
    bounds.outside = importlib.import_module("..runtime.cpu.executor", __name__).outside
    return bounds.outside()


STREAM.load, STREAM.make = _load, _first_make
bounds.outside = _outside

__all__ = ["flush", "reset_statistics", "statistics"]
