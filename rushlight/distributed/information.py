"""What programs ask about backends, groups and debugging: names that answer without a collective."""
import enum
import os
from typing import NewType

from .collectives import ReduceOp
from .store import DEFAULT_TIMEOUT, DistStoreError
from .world import Backend, get_rank, is_gloo_available, is_mpi_available, member, new_group, world_group

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


def is_backend_available(backend):
    """Whether a backend can be used."""
    checks = {Backend.GLOO: is_gloo_available, Backend.MPI: is_mpi_available}
    return backend.lower() in checks and checks[backend.lower()]()


def get_default_backend_for_device(device):
    """The backend for tensors on a device. ValueError for one without."""
    kind = str(getattr(device, "type", device)).partition(":")[0]
    if kind != "cpu":
        raise ValueError(f"Default backend not registered for device : {device}")
    return Backend.GLOO


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
    group = member(group)
    return "" if group is None else repr(BackendConfig(group.name()))


def new_subgroups_by_enumeration(ranks_per_subgroup_list, timeout=None, backend=None, pg_options=None,
                                 group_desc=None):
    """(the group of this process, all groups) of lists of ranks. ValueError where a rank is in two."""
    if not ranks_per_subgroup_list:
        raise ValueError("The arg 'ranks_per_subgroup_list' cannot be empty")
    seen = [rank for ranks in ranks_per_subgroup_list for rank in ranks]
    if len(set(seen)) != len(seen):
        raise ValueError("A rank is in several subgroups of 'ranks_per_subgroup_list'")
    groups = [new_group(ranks, timeout, backend) for ranks in ranks_per_subgroup_list]
    mine = [group for group, ranks in zip(groups, ranks_per_subgroup_list) if get_rank() in ranks]
    return mine[0] if mine else None, groups


def split_group(parent_pg=None, split_ranks=None, timeout=None, pg_options=None, group_desc=None, backend=None):
    """This process's group when a group is cut into lists of its ranks; None if it is in none of them."""
    parent = member(parent_pg)
    if not split_ranks:
        raise ValueError("split_ranks cannot be None or empty")
    if parent.size() != world_group().size():
        raise NotImplementedError("split_group: of a group that is not the group of all")
    return new_subgroups_by_enumeration([[parent.ranks[rank] for rank in row] for row in split_ranks], timeout,
                                        backend)[0]


def supports_complex(reduceOp):
    """Whether a reduction is defined for complex numbers."""
    return reduceOp not in (ReduceOp.MAX, ReduceOp.MIN, ReduceOp.PRODUCT, ReduceOp.BAND, ReduceOp.BOR, ReduceOp.BXOR)
