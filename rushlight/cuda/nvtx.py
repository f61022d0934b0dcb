"""`torch.cuda.nvtx`: marks for NVIDIA's profilers, which are not there: RuntimeError as in a build without CUDA."""

import contextlib


def _refuse(*args, **kwargs):
    """RuntimeError: NVTX is not there."""
    raise RuntimeError("NVTX functions not installed. Are you sure you have a CUDA build?")


range_push = range_pop = range_start = range_end = mark = _refuse


@contextlib.contextmanager
def range(msg, *args, **kwargs):
    """A named range: RuntimeError."""
    _refuse()
    yield
