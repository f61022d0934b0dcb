"""Rushlight: PyTorch's programming model in Python, compiled through LLVM.

`import rushlight as torch` works; `python -m rushlight script.py` runs a PyTorch script unchanged.
"""

from . import (  # noqa: F401
    _C, api, autograd, backends, compiler, cpu, cuda, engine, linalg, nn, optim, overrides, random, return_types,
    serialization, signal, special, testing, utils, version,
)
from .api import *  # noqa: F401,F403
from .compiler import compile  # noqa: F401
from .serialization import load, save  # noqa: F401

__version__ = "2.13.0+rushlight"
