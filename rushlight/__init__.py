"""Rushlight: PyTorch's programming model in Python, compiled through LLVM.

`import rushlight as torch` works; `python -m rushlight script.py` runs a PyTorch script unchanged.
"""

import importlib as _importlib

from . import (  # noqa: F401
    _C, amp, api, autograd, backends, compiler, cpu, cuda, engine, fft, functional, hub, linalg, nn, optim, overrides,
    random, return_types, serialization, signal, special, testing, utils, version,
)
from .amp import autocast  # noqa: F401
from .api import *  # noqa: F401,F403
from .api import _assert  # noqa: F401
from .compiler import compile  # noqa: F401
from .serialization import load, save  # noqa: F401

__version__ = "2.13.0+rushlight"


def __getattr__(name):
    """The packages that are imported when they are first asked for."""
    if name == "fx":
        return _importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
