"""Algorithms above the collectives: `join` for uneven inputs, and communication hooks for DistributedDataParallel."""
from ...base import lazy

__getattr__, __dir__ = lazy.exports(globals(), {"join": "Join JoinHook Joinable", "ddp_comm_hooks": ""})
__all__ = ["Join", "JoinHook", "Joinable", "ddp_comm_hooks", "join"]
