"""Parameters that are distributed over the ranks: `fully_shard`, and `FullyShardedDataParallel` around a module.

Next to read: unit.py.
"""
from . import api, wrap
from .api import *  # noqa: F401,F403
from .fully_shard import (
    CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy, OffloadPolicy, UnshardHandle, fully_shard,
    register_fsdp_forward_method,
)
from .fully_sharded_data_parallel import FullyShardedDataParallel

__all__ = [*api.__all__, "CPUOffloadPolicy", "FSDPModule", "FullyShardedDataParallel", "MixedPrecisionPolicy",
           "OffloadPolicy", "UnshardHandle", "fully_shard", "register_fsdp_forward_method", "wrap"]
