"""The old names of `torch.amp` for CUDA devices: `autocast`, `custom_fwd`, `custom_bwd`."""

import functools
import warnings

from ...amp import autocast_mode
from ...core import dtype as dt

__all__ = ["autocast", "custom_bwd", "custom_fwd"]


def _deprecated(name, instead):
    warnings.warn(f"`torch.cuda.amp.{name}(args...)` is deprecated. Please use `torch.amp.{instead}` instead.",
                  FutureWarning, stacklevel=3)


class autocast(autocast_mode.autocast):
    """Deprecated: `torch.amp.autocast("cuda", ...)`."""

    def __init__(self, enabled=True, dtype=dt.float16, cache_enabled=True):
        _deprecated("autocast", "autocast('cuda', args...)")
        super().__init__("cuda", dtype, enabled, cache_enabled)


def custom_fwd(fwd=None, *, cast_inputs=None):
    """Deprecated: `torch.amp.custom_fwd(..., device_type="cuda")`."""
    _deprecated("custom_fwd", "custom_fwd(args..., device_type='cuda')")
    return functools.partial(autocast_mode.custom_fwd, device_type="cuda", cast_inputs=cast_inputs)(fwd)


def custom_bwd(bwd=None):
    """Deprecated: `torch.amp.custom_bwd(..., device_type="cuda")`."""
    _deprecated("custom_bwd", "custom_bwd(args..., device_type='cuda')")
    return functools.partial(autocast_mode.custom_bwd, device_type="cuda")(bwd)
