"""`torch.cuda.memory`: the functions of torch.cuda about memory."""

from . import (  # noqa: F401
    caching_allocator_alloc, caching_allocator_delete, caching_allocator_enable, empty_cache, host_memory_stats,
    list_gpu_processes, max_memory_allocated, max_memory_cached, max_memory_reserved, mem_get_info, memory_allocated,
    memory_cached, memory_reserved, memory_snapshot, memory_stats, memory_stats_as_nested_dict, memory_summary,
    reset_accumulated_memory_stats, reset_max_memory_allocated, reset_max_memory_cached, reset_peak_memory_stats,
    set_per_process_memory_fraction,
)
