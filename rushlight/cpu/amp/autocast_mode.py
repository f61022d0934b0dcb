"""The old name of `torch.autocast` for the CPU."""

import warnings

from ...amp import autocast_mode
from ...core import dtype as dt

__all__ = ["autocast"]


class autocast(autocast_mode.autocast):
    """Deprecated: `torch.amp.autocast("cpu", ...)`."""

    def __init__(self, enabled=True, dtype=dt.bfloat16, cache_enabled=True):
        warnings.warn("`torch.cpu.amp.autocast(args...)` is deprecated. Please use "
                      "`torch.amp.autocast('cpu', args...)` instead.", FutureWarning, stacklevel=2)
        super().__init__("cpu", dtype, enabled, cache_enabled)
