"""The engine: flushed blocks of the stream come in, memory holds their results after.

`flush` plans a program the first time, compiles its kernels, fills the table and runs it. `statistics()` counts what happened.
"""

from .flush import reset_statistics, run, statistics
from ..core.stream import STREAM, flush

STREAM.run = run

__all__ = ["flush", "reset_statistics", "statistics"]
