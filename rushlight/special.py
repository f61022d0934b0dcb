"""`torch.special`: special functions by their names in the registry of operators (see `ops/basic/special.py`)."""

from .core.namespace import fill as _fill

_fill(globals(), "special")
