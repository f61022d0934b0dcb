"""`torch.__config__`: what Rushlight is made of, as text."""

from .runtime.cpu import cpuinfo as _cpuinfo
from .runtime.cpu import pool as _pool
from .version import __version__ as _version


def show():
    """The version, the compiler of kernels, and the features of the processor."""
    return f"Rushlight {_version}:\n  - kernels are compiled by LLVM (llvmlite)\n  - CPU capability usage: " \
           f"{_capability()}\n"


def _capability():
    """The vector instructions in use, by PyTorch's names."""
    return {64: "AVX512", 32: "AVX2"}.get(_cpuinfo.vector_bytes(), "DEFAULT")


def parallel_info():
    """How many threads work on kernels."""
    return (f"Rushlight's thread pool:\n\tget_num_threads() : {_pool.get_num_threads()}\n"
            "\tget_num_interop_threads() : 1\n")
