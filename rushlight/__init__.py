"""Rushlight: PyTorch's programming model in Python, compiled through LLVM.

`import rushlight as torch` works; `python -m rushlight script.py` runs a PyTorch script unchanged.
"""

from . import (  # noqa: F401
    _C, amp, api, autograd, backends, compiler, cpu, cuda, distributions, engine, fft, hub, linalg, nn, optim, overrides,
    random, return_types, serialization, signal, special, testing, utils, version,
)
from .amp import autocast  # noqa: F401
from .amp.state import (  # noqa: F401
    autocast_decrement_nesting, autocast_increment_nesting, clear_autocast_cache, get_autocast_cpu_dtype,
    get_autocast_dtype, get_autocast_gpu_dtype, is_autocast_cache_enabled, is_autocast_cpu_enabled, is_autocast_enabled,
    set_autocast_cache_enabled, set_autocast_cpu_dtype, set_autocast_cpu_enabled, set_autocast_dtype,
    set_autocast_enabled, set_autocast_gpu_dtype,
)
from .api import *  # noqa: F401,F403
from .compiler import compile  # noqa: F401
from .serialization import load, save  # noqa: F401

__version__ = "2.13.0+rushlight"
