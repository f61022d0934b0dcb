"""`torch.cpu`: waiting for pending work, and the memory of the CPU runtime in the words of `torch.cuda`."""

from ..core.stream import STREAM
from ..runtime.cpu.memory import (empty_cache, max_memory_allocated, max_memory_reserved, memory_allocated,
                                 memory_reserved, memory_stats,
                                 reset_peak_memory_stats)

from . import amp  # noqa: F401


def synchronize(device=None):
    """Run everything that is pending."""
    STREAM.flush()


def is_available():
    """True."""
    return True


def device_count():
    """1."""
    return 1


def current_device():
    """The name of the device."""
    return "cpu"


__all__ = ["amp", "current_device", "device_count", "empty_cache", "is_available", "max_memory_allocated",
           "max_memory_reserved",
           "memory_allocated", "memory_reserved", "memory_stats", "reset_peak_memory_stats", "synchronize"]
