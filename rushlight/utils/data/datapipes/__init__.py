"""Data pipes: data sets that are put together as chains of small steps, `source.map(f).shuffle().batch(3)`.

In: data sets and functions. Out: data sets. PyTorch no longer develops them; they are here for programs that use
them. Read datapipe.py, then iter.py.
"""

from . import datapipe, decorators, graph, iter, map

_decorator = decorators

__all__ = ["datapipe", "graph", "iter", "map"]
