"""Rushlight: PyTorch's programming model in Python, compiled through LLVM.

`import rushlight as torch` works; `python -m rushlight script.py` runs a PyTorch script unchanged.
"""

from . import api
from .api import *  # noqa: F401,F403

__version__ = "2.13.0+rushlight"
bool = api.bool  # shadows the builtin, as in torch
