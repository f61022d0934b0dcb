"""`torch.special`: special functions by their names in the registry of operators (see `ops/basic/special.py`)."""

from .namespace import fill as _fill

_fill(globals(), "special")
