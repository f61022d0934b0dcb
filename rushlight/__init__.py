"""Rushlight: PyTorch's programming model in Python, compiled through LLVM.

`import rushlight as torch` works; `python -m rushlight script.py` runs a PyTorch script unchanged. The libraries that
are built on tensors (layers, optimizers, saving, ...) are imported when a program first names them.
"""

from . import (  # noqa: F401
    api, autograd, engine, fft, functional, linalg, random, return_types, signal, special, version,
)
from .api import *  # noqa: F401,F403
from .api import _assert  # noqa: F401
from .base import lazy as _lazy

__version__ = "2.13.0+rushlight"

_LIBRARIES = {
    "_C": "", "__config__": "", "__future__": "", "_foreach": "", "accelerator": "", "amp": "GradScaler autocast",
    "backends": "", "compiler": "compile", "cpu": "", "cuda": "", "distributed": "", "distributions": "", "export": "",
    "func": "vmap", "futures": "", "fx": "", "hub": "", "jit": "", "library": "", "masked": "", "mps": "", "mtia": "",
    "multiprocessing": "", "nested": "", "nn": "", "optim": "", "overrides": "", "profiler": "", "quasirandom": "",
    "serialization": "load save",
    "sparse": "sparse_bsc sparse_bsc_tensor sparse_bsr sparse_bsr_tensor sparse_compressed_tensor sparse_coo "
              "sparse_coo_tensor sparse_csc sparse_csc_tensor sparse_csr sparse_csr_tensor",
    "storage": "", "testing": "", "types": "", "utils": "", "xpu": "",
}
_find, __dir__ = _lazy.exports(globals(), _LIBRARIES)


def __getattr__(name):
    """A library, or a function over lists of tensors (_foreach.py), at its first use."""
    return getattr(_find("_foreach"), name) if name.startswith("_foreach_") else _find(name)


# `from torch import *` imports them all.
__all__ = [
    *api.__all__, *[name for name in _LIBRARIES if name[0] != "_"], *" ".join(_LIBRARIES.values()).split(),
    "functional", "random", "return_types", "version",
]
