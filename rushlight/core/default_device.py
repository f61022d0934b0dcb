"""The device of new tensors: `with torch.device("meta"):` and `torch.set_default_device`.

Both are function modes (`core/dispatch.py`) that give `device=` to the functions that make tensors where a call does
not say it. No such function knows about it.
"""

import threading

from . import dispatch

CONSTRUCTORS = """
    arange as_tensor asarray bartlett_window blackman_window empty empty_permuted empty_strided eye fft.fftfreq
    fft.rfftfreq full hamming_window hann_window kaiser_window linspace logspace nested.nested_tensor ones rand randint
    randn randperm range scalar_tensor sparse_bsc_tensor sparse_bsr_tensor sparse_compressed_tensor sparse_coo_tensor
    sparse_csc_tensor sparse_csr_tensor tensor tril_indices triu_indices zeros
""".split()  # fmt: skip
_FUNCTIONS = set()


class _Default(threading.local):
    mode = None  # of set_default_device


DEFAULT = _Default()


def constructors():
    """The public functions that make tensors from sizes and numbers alone."""
    if not _FUNCTIONS:
        _FUNCTIONS.update(dispatch.ENTRIES[path].function for path in CONSTRUCTORS if path in dispatch.ENTRIES)
    return _FUNCTIONS


class DeviceMode:
    """The function mode of a device."""

    def __init__(self, device):
        self.device = device

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if kwargs.get("device") is None and func in constructors():
            kwargs = {**kwargs, "device": self.device}
        return func(*args, **kwargs)

    def __enter__(self):
        dispatch.push(self)
        return self

    def __exit__(self, *error):
        dispatch.pop()


def set_default(device):
    """Set the device (None: the CPU) of new tensors in this thread, as a mode below all others."""
    local = dispatch.LOCAL
    if DEFAULT.mode is not None:
        local.modes = tuple([m for m in local.modes if m is not DEFAULT.mode])
        dispatch.DOORS.unwatch()
        DEFAULT.mode = None
    if device is not None and device.type != "cpu":  # where nothing is said, tensors are on the CPU already
        DEFAULT.mode = DeviceMode(device)
        local.modes = (DEFAULT.mode, *local.modes)
        dispatch.DOORS.watch()


def current():
    """The device that the innermost device mode gives, None if there is none."""
    for mode in reversed(dispatch.LOCAL.modes):
        if isinstance(mode, DeviceMode):
            return mode.device
    return None
