"""Several processes that train one model: groups, collectives, launcher, checkpoints. Next to read: world.py.

The backend `gloo` is ours: shared memory of one machine, with the semantics of PyTorch's.
"""
from ..base import lazy
from .bucket import GradBucket
from .collectives import (  # noqa: F401
    P2POp, ReduceOp, _all_gather_base, _broadcast_coalesced, _coalescing_manager, _CoalescingManager,
    _make_nccl_premul_sum, _reduce_scatter_base, all_gather, all_gather_coalesced, all_gather_into_tensor,
    all_gather_single, all_reduce, all_reduce_coalesced, all_to_all, all_to_all_single, barrier, batch_isend_irecv,
    broadcast, gather, irecv, isend, monitored_barrier, recv, reduce, reduce_scatter, reduce_scatter_single,
    reduce_scatter_tensor, scatter, send,
)
from .device_mesh import DeviceMesh, init_device_mesh
from .group import Work
from .information import (
    BackendConfig, DebugLevel, GroupName, QueueEmptyError, default_pg_timeout, get_backend_config, get_debug_level,
    get_default_backend_for_device, is_backend_available, is_xccl_available, new_subgroups_by_enumeration,
    set_debug_level, set_debug_level_from_env, split_group, supports_complex,
)
from .objects import (
    all_gather_object, broadcast_object_list, gather_object, recv_object_list, scatter_object_list, send_object_list,
)
from .store import (
    DistBackendError, DistError, DistNetworkError, DistStoreError, FileStore, HashStore, PrefixStore, Store, TCPStore,
)
from .world import (
    Backend, GroupMember, ProcessGroup, destroy_process_group, get_backend, get_global_rank, get_group_rank,
    get_node_local_rank, get_pg_count, get_process_group_ranks, get_rank, get_world_size, group, init_process_group,
    is_available, is_gloo_available, is_initialized, is_mpi_available, is_nccl_available, is_torchelastic_launched,
    is_ucc_available, new_group, new_subgroups,
)

_PARTS = {"algorithms": "", "checkpoint": "", "fsdp": "", "optim": "", "run": "", "tensor": ""}
__getattr__, __dir__ = lazy.exports(globals(), _PARTS)
__all__ = [
    "Backend", "BackendConfig", "DebugLevel", "DeviceMesh", "DistBackendError", "DistError", "DistNetworkError",
    "DistStoreError", "FileStore", "GradBucket", "GroupMember", "GroupName", "HashStore", "P2POp", "PrefixStore",
    "ProcessGroup", "QueueEmptyError", "ReduceOp", "Store", "TCPStore", "Work", "all_gather",
    "all_gather_coalesced", "all_gather_into_tensor", "all_gather_object", "all_gather_single", "all_reduce",
    "all_reduce_coalesced", "all_to_all", "all_to_all_single", "barrier", "batch_isend_irecv", "broadcast",
    "broadcast_object_list", "default_pg_timeout", "destroy_process_group", "gather", "gather_object",
    "get_backend", "get_backend_config", "get_debug_level", "get_default_backend_for_device", "get_global_rank",
    "get_group_rank", "get_node_local_rank", "get_pg_count", "get_process_group_ranks", "get_rank",
    "get_world_size", "group", "init_device_mesh", "init_process_group", "irecv", "is_available",
    "is_backend_available", "is_gloo_available", "is_initialized", "is_mpi_available", "is_nccl_available",
    "is_torchelastic_launched", "is_ucc_available", "is_xccl_available", "isend", "monitored_barrier", "new_group",
    "new_subgroups", "new_subgroups_by_enumeration", "recv", "recv_object_list", "reduce", "reduce_scatter",
    "reduce_scatter_single", "reduce_scatter_tensor", "scatter", "scatter_object_list", "send", "send_object_list",
    "set_debug_level", "set_debug_level_from_env", "split_group", "supports_complex",
]
