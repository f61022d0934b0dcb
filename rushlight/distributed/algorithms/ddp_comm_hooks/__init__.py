"""Hooks that replace the all_reduce of DistributedDataParallel's buckets: `default_hooks`."""
from . import default_hooks

__all__ = ["default_hooks"]
