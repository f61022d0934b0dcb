"""`torch.signal.windows`: window functions by their names in the registry (see `ops/signal/windows.py`)."""

from ..core.namespace import fill as _fill

_fill(globals(), "signal.windows")
