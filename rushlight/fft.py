"""`torch.fft`: Fourier transforms by their names in the registry (see `ops/signal/fft.py`)."""

from .core.namespace import fill as _fill

_fill(globals(), "fft")
