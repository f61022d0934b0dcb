"""Runtimes, one folder a device: memory, kernels, launches. `load("cpu")` gives the folder's package.

What a device offers is a row of the table `Parts` of core/device.py: the `PARTS` of its folder. Nothing above this
layer asks how it works. Read next: reference/__init__.py, the shortest one; cpu/__init__.py.
"""

import importlib
import importlib.util

from ..core import device
from ..core.stream import STREAM

_loaded = {}


def exists(name):
    """Whether there is a folder for this device."""
    return name in _loaded or name.isidentifier() and importlib.util.find_spec(f"{__name__}.{name}") is not None


def load(name):
    """The package of a device's runtime, imported at its first use. NotImplementedError for a device without one."""
    found = _loaded.get(name)
    if found is None:
        if not exists(name):
            raise NotImplementedError(f"no runtime for device type {name!r}")
        found = _loaded[name] = importlib.import_module(f"{__name__}.{name}")
    return found


device.exists, device.load = exists, load
device.CPU.parts, device.CPU.stream = load("cpu").PARTS, STREAM
