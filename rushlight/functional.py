"""`torch.functional`: the functions of torch that PyTorch writes in Python."""

from . import api as _api
from .core.namespace import FUNCTIONAL as _FUNCTIONAL

__all__ = sorted(name for name in _FUNCTIONAL if hasattr(_api, name))
globals().update({name: getattr(_api, name) for name in __all__})
