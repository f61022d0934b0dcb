"""`torch.xpu`: devices that are not there."""


def is_available():
    """False."""
    return False


def device_count():
    """0."""
    return 0


def _refuse(*args, **kwargs):
    """RuntimeError: there is no such device."""
    raise RuntimeError("rushlight has no xpu runtime here")


synchronize = current_allocated_memory = driver_allocated_memory = recommended_max_memory = current_device = _refuse
set_device = get_rng_state = set_rng_state = _refuse


def empty_cache():
    """Nothing to do."""


def manual_seed(seed):
    """Accepted: there is no generator to seed."""


seed = empty_cache
