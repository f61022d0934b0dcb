"""Runtimes, one folder a device: memory, code loading, threads and launches. `load("cpu")` gives the folder's package.

A device folder offers the modules `memory`, `jit` and `program`; nothing above this layer asks how they work.
Read next: cpu/__init__.py.
"""

import importlib
import importlib.util

_loaded = {}


def load(name):
    """The package of a device's runtime, imported at its first use. NotImplementedError for a device without one."""
    found = _loaded.get(name)
    if found is None:
        if importlib.util.find_spec(f"{__name__}.{name}") is None:
            raise NotImplementedError(f"no runtime for device type {name!r}")
        found = _loaded[name] = importlib.import_module(f"{__name__}.{name}")
    return found
