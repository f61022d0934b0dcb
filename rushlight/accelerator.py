"""`torch.accelerator`: the accelerator of the machine. There is none, so that programs go on with the CPU."""

from . import api as _rl


def is_available():
    """False."""
    return False


def device_count():
    """0."""
    return 0


def current_accelerator(check_available=False):
    """None."""
    return None


def _refuse(*args, **kwargs):
    """RuntimeError: there is no accelerator."""
    raise RuntimeError("Cannot access accelerator device when none is available.")


current_device_index = current_device_idx = set_device_index = set_device_idx = current_stream = set_stream = _refuse
get_device_capability = get_memory_info = memory_stats = memory_allocated = memory_reserved = _refuse
max_memory_allocated = max_memory_reserved = reset_peak_memory_stats = reset_accumulated_memory_stats = _refuse


def synchronize(device=None):
    """Run what is pending."""
    _rl.synchronize()


def empty_cache():
    """Nothing to do."""


class device_index:
    """Context manager that selects an accelerator: only None can be selected here."""

    def __init__(self, device):
        self.device = device

    def __enter__(self):
        if self.device is not None:
            _refuse()

    def __exit__(self, *error):
        return None
