"""Devices: `device("cpu")`, `device("cuda", 1)`. The runtimes register the types that exist on this machine."""

import functools

from . import dispatch
from .default_device import DeviceMode

TYPES = ("cpu", "cuda", "meta", "mps", "xpu")


class Device:
    """A device type and index; equal devices are equal objects for `==` and hashing."""

    __slots__ = ("type", "index")

    def __init__(self, type, index=None):
        if isinstance(type, Device):
            type, index = type.type, type.index if index is None else index
        if isinstance(type, int) and not isinstance(type, bool):
            type, index = "cuda", type
        if not isinstance(type, str):
            raise TypeError(f"device(): argument 'type' must be str, not {type.__class__.__name__}")
        if ":" in type:
            type, text = type.split(":", 1)
            if not text.isdecimal() or text[0] == "0" != text:
                raise RuntimeError(f"Invalid device string: '{type}:{text}'")
            index = int(text)
        if type not in TYPES:
            raise RuntimeError(f"Expected one of {', '.join(TYPES)} device type at start of device string: {type}")
        if index is not None and index < 0:
            raise RuntimeError("Device index must not be negative")
        self.type, self.index = type, index

    def __repr__(self):
        return f"device(type='{self.type}'" + (f", index={self.index})" if self.index is not None else ")")

    def __str__(self):
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other):
        return isinstance(other, Device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self):
        return hash((self.type, self.index))

    def __enter__(self):
        """The device of new tensors is this one until the block ends."""
        DeviceMode(self).__enter__()
        return self

    def __exit__(self, *error):
        dispatch.pop()

    def __call__(self, function):
        """Decorate a function to run in this device's context."""
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            with DeviceMode(self):
                return function(*args, **kwargs)
        return wrapper

    def __reduce__(self):
        return (Device, (self.type, self.index))


CPU, META = Device("cpu"), Device("meta")


def resolve(device):
    """The Device an argument `device=` means (None: the CPU). NotImplementedError for one that has no runtime."""
    if device is None or device is CPU:
        return CPU
    device = device if isinstance(device, Device) else Device(device)
    if device.type == "cpu":
        return CPU
    if device.type == "meta":
        return META
    raise AssertionError(f"Torch not compiled with {device.type.upper()} enabled (rushlight has no {device.type} "
                         f"runtime here)")
