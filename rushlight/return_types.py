"""`torch.return_types`: the classes of the named results of operators (see `core/return_types.py`)."""

from .core.return_types import TYPES as _TYPES

globals().update(_TYPES)
