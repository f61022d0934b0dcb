"""What programs ask about backends, groups and debugging: names that answer without a collective."""
import enum
import os
from typing import NewType

from .store import DEFAULT_TIMEOUT, DistStoreError
from .world import Backend, world_group

GroupName = NewType("GroupName", str)
default_pg_timeout = DEFAULT_TIMEOUT


class QueueEmptyError(DistStoreError):
    """A queue of a store that nobody has filled."""


class DebugLevel(enum.Enum):
    """How much is checked and told: `TORCH_DISTRIBUTED_DEBUG`. Remembered."""

    OFF = 0
    INFO = 1
    DETAIL = 2


_LEVEL = [DebugLevel.OFF]


def get_debug_level():
    """The level that was set."""
    return _LEVEL[0]


def set_debug_level(level):
    """Set the level."""
    _LEVEL[0] = DebugLevel(level)


def set_debug_level_from_env():
    """Set the level that TORCH_DISTRIBUTED_DEBUG names. RuntimeError for an unknown one."""
    name = os.environ.get("TORCH_DISTRIBUTED_DEBUG", "OFF") or "OFF"
    if name not in DebugLevel.__members__:
        raise RuntimeError("The value of TORCH_DISTRIBUTED_DEBUG must be OFF, INFO, or DETAIL.")
    _LEVEL[0] = DebugLevel[name]


def is_xccl_available():
    """False."""
    return False


class BackendConfig:
    """Which backend serves which device: "gloo", or "cpu:gloo"."""

    def __init__(self, backend):
        named = [part.partition(":") for part in str(backend).split(",")]
        self.device_backend_map = {device if sep else "cpu": Backend(name if sep else device)
                                   for device, sep, name in named}

    def get_device_backend_map(self):
        """{device: backend}."""
        return self.device_backend_map

    def __repr__(self):
        return ",".join([f"{device}:{name}" for device, name in self.device_backend_map.items()])


def get_backend_config(group=None):
    """The text of the BackendConfig of a group."""
    return repr(BackendConfig(Backend.GLOO)) if (group or world_group()) is not None else ""
