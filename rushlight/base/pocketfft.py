"""Fourier transforms of arrays, into memory that is given.

SciPy's pocketfft is used where it is installed: it writes where it is told to and shares batches between threads.
NumPy's does the same work otherwise, one dimension after the other. The caller says how many threads there are through
`threads`.
"""

import functools
import importlib

from .lazy import numpy as np

WORTH_THREADS = 1 << 15  # elements from which on a second thread pays


def threads():
    """How many threads a large transform may use; replaced by the runtime."""
    return 1


@functools.cache
def library():
    """SciPy's pocketfft, or None. (SciPy's public functions take no memory for the result.)"""
    try:
        return importlib.import_module("scipy.fft._pocketfft.pypocketfft")
    except ImportError:
        return None


def workers(values):
    return threads() if values.size >= WORTH_THREADS else 1


def written(result, out):
    if result is not out:
        out[...] = result


def direct(out):
    """Memory of the result that pocketfft can write to as it is."""
    return out if out.flags.aligned and out.flags.writeable else None


def c2c(values, out, dims, forward, scale):
    """Complex to complex over `dims`. `scale`: 0 for 1, 1 for 1/sqrt(n), 2 for 1/n."""
    if not values.size:
        return
    found = library()
    if found is not None:
        written(found.c2c(values, dims, forward, scale, direct(out), workers(values)), out)
        return
    function = np.fft.fft if forward else np.fft.ifft
    for d in dims:
        values = function(values, axis=d, norm=norm(scale, forward), out=out)


def r2c(values, out, dims, forward, scale):
    """Real to complex over `dims`, the last of which keeps n // 2 + 1 frequencies."""
    if not out.size:
        return
    found = library()
    if found is not None:
        written(found.r2c(values, dims, forward, scale, direct(out), workers(values)), out)
        return
    written(np.fft.rfft(values, axis=dims[-1], norm=norm(scale, True), out=out), out)
    if not forward:
        np.conj(out, out=out)
    c2c_rest(out, dims, forward, scale)


def c2c_rest(out, dims, forward, scale):
    if dims[:-1]:
        c2c(out.copy(), out, dims[:-1], forward, scale)


def c2r(values, out, dims, forward, scale):
    """Complex to real over `dims`; along the last one `values` holds half of the frequencies."""
    if not out.size:
        return
    found = library()
    size = out.shape[dims[-1]]
    if found is not None:
        written(found.c2r(values, dims, size, forward, scale, direct(out), workers(out)), out)
        return
    if dims[:-1]:
        rest = np.empty_like(values)
        c2c(values, rest, dims[:-1], forward, scale)
        values = rest
    values = np.conj(values) if forward else values
    np.fft.irfft(values, size, axis=dims[-1], norm=norm(scale, False), out=out)


def norm(scale, forward):
    """NumPy's word for a scale."""
    return ("backward" if forward else "forward", "ortho", "forward" if forward else "backward")[scale]
