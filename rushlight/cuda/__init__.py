"""`torch.cuda` where there is no CUDA runtime: nothing is available, seeds are accepted, statistics are empty,
everything else raises what a build of PyTorch without CUDA raises."""

import collections
import contextlib

from ..core.device import Device
from ..streams import Event as _Event
from ..streams import OutOfMemoryError  # noqa: F401
from ..streams import Stream as _Stream
from . import amp  # noqa: F401


def is_available():
    """False: there is no CUDA runtime."""
    return False


def device_count():
    """0."""
    return 0


def is_initialized():
    return False


def is_bf16_supported(including_emulation=True):
    return False


def manual_seed(seed):
    """Accepted: there is no generator to seed."""


def manual_seed_all(seed):
    """Accepted: there is no generator to seed."""


def init(*args, **kwargs):
    """Nothing to do."""


seed_all = seed = empty_cache = init


def memory_allocated(device=None):
    """0 bytes."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_cached = max_memory_cached = memory_allocated
default_generators = ()


def memory_stats(device=None):
    """No statistics."""
    return collections.OrderedDict()


def host_memory_stats():
    """No statistics."""
    return collections.OrderedDict()


def memory_stats_as_nested_dict(device=None):
    """No statistics."""
    return {}


def host_memory_stats_as_nested_dict():
    """No statistics."""
    return {}


def get_arch_list():
    """[]: nothing is compiled for an architecture."""
    return []


def get_gencode_flags():
    """The empty string."""
    return ""


def get_rng_state_all():
    """[]: the states of no generators."""
    return []


def set_rng_state_all(new_states):
    """Set the states of all generators, of which there are none."""
    for _ in new_states:
        _refuse("set_rng_state")()


def is_tf32_supported():
    return False


def list_gpu_processes(device=None):
    """A text that says why there is no list."""
    return "pynvml module not found, please install nvidia-ml-py"


def caching_allocator_enable(value=True):
    """Nothing to do."""


@contextlib.contextmanager
def caching_allocator_disabled():
    """A context in which nothing changes."""
    yield


def _refuse(name):
    """A function that raises what a build without CUDA raises."""
    def call(*args, **kwargs):
        raise AssertionError(f"Torch not compiled with CUDA enabled (torch.cuda.{name}: rushlight has no CUDA runtime "
                             "here)")
    call.__name__ = call.__qualname__ = name
    return call


_REFUSED = """
    caching_allocator_alloc caching_allocator_delete can_device_access_peer change_current_allocator check_error cudart
    current_blas_handle current_device current_solver_handle current_stream default_stream get_allocator_backend
    get_device_capability get_device_name get_device_properties get_per_process_memory_fraction get_rng_state
    get_stream_from_external get_sync_debug_mode graph_pool_handle initial_seed ipc_collect is_current_stream_capturing
    make_graphed_callables mem_get_info memory_snapshot memory_summary reset_accumulated_host_memory_stats
    reset_accumulated_memory_stats reset_max_memory_allocated reset_max_memory_cached reset_peak_host_memory_stats
    reset_peak_memory_stats set_device set_per_process_memory_fraction set_rng_state set_stream set_sync_debug_mode
    synchronize use_mem_pool
""".split()
globals().update({name: _refuse(name) for name in _REFUSED})


def _unmeasured(name):
    """A function that asks NVIDIA's management library, which is not there."""
    def call(device=None):
        raise ModuleNotFoundError("nvidia-ml-py does not seem to be installed or it can't be imported.")
    call.__name__ = call.__qualname__ = name
    return call


_UNMEASURED = "clock_rate device_memory_used memory_usage power_draw temperature utilization".split()
globals().update({name: _unmeasured(name) for name in _UNMEASURED})


class CudaError(RuntimeError):
    """An error of the CUDA runtime."""


class DeferredCudaCallError(Exception):
    """An error of a call that waited for the start of CUDA."""


class cudaStatus:
    """Codes of the CUDA runtime."""

    SUCCESS, ERROR_NOT_READY = 0, 34


class _Absent:
    """A class of the CUDA runtime, for type checks: it cannot be instantiated here."""

    def __new__(cls, *args, **kwargs):
        raise RuntimeError(f"Tried to instantiate dummy base class {cls.__name__}")


_ABSENT = "CUDAGraph CUDAPluggableAllocator GreenContext MemPool graph".split()
globals().update({name: type(name, (_Absent,), {"__module__": __name__}) for name in _ABSENT})


class Event(_Absent, _Event):
    """An event of a CUDA device: it cannot be instantiated here."""


class Stream(_Absent, _Stream):
    """A stream of a CUDA device: it cannot be instantiated here."""


class ExternalStream(Stream):
    """A stream that other code has made: it cannot be instantiated here."""


class StreamContext:
    """The context of a stream. There are no streams here, so that `stream` is None and nothing changes."""

    def __init__(self, stream):
        self.stream = stream

    def __enter__(self):
        return None

    def __exit__(self, *error):
        return None


def stream(stream):
    """`StreamContext`."""
    return StreamContext(stream)


class device:
    """Context manager that selects a device: only `None` and -1 can be selected here."""

    def __init__(self, device):
        self.device = device

    def __enter__(self):
        if self.device is not None and self.device != -1 and Device(self.device).index is not None:
            _refuse("device")()

    def __exit__(self, *error):
        return False


class device_of(device):
    """Context manager that selects the device of a tensor, if that is on a CUDA device."""

    def __init__(self, obj):
        super().__init__(obj.get_device() if obj.is_cuda else -1)
