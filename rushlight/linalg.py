"""`torch.linalg`: linear algebra by its names in the registry of operators."""

from .core.namespace import fill as _fill

_fill(globals(), "linalg")
