"""`torch.signal`: signal processing; its window functions are in `windows`."""

from . import windows  # noqa: F401
