"""`torch.cuda` where there is no CUDA runtime: nothing is available, seeds are accepted, everything else raises."""

from ..core.device import Device
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


seed_all = seed = empty_cache = ipc_collect = reset_peak_memory_stats = init


def memory_allocated(device=None):
    """0 bytes."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_allocated


def _refuse(name):
    def call(*args, **kwargs):
        raise AssertionError(f"torch.cuda.{name}: Torch not compiled with CUDA enabled (rushlight has no CUDA runtime "
                             f"here)")
    call.__name__ = name
    return call


current_device, get_device_name, get_device_properties, get_device_capability = (
    _refuse(n) for n in ("current_device", "get_device_name", "get_device_properties", "get_device_capability"))
synchronize, set_device, Stream, Event, stream, get_rng_state, set_rng_state, current_stream = (
    _refuse(n) for n in ("synchronize", "set_device", "Stream", "Event", "stream", "get_rng_state", "set_rng_state",
                         "current_stream"))


class device:
    """Context manager that selects a device: only `None` and -1 can be selected here."""

    def __init__(self, device):
        self.device = device

    def __enter__(self):
        if self.device is not None and Device(self.device).index not in (None, -1):
            _refuse("device")()

    def __exit__(self, *error):
        return False
