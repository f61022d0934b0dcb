"""Devices: `device("cpu")`, `device("cuda", 1)`, and what a device must offer.

Note [Devices]
A device is a folder of `rushlight/runtime/`, found by its name when a tensor first asks for it. The folder's `PARTS` is
a row of the table `Parts`. The device at home is the CPU: its storages have no guard unless something is special about
them, and the short paths of recording take those alone. Storages of other devices have the guard `ELSEWHERE` (see
storage.py), so that each operator on them goes to `append` in record.py, and from there to the stream of its device.
Each stream has a tree of known paths of its own; that is how the keys of steps and programs carry the device.
"""

import dataclasses
import functools

from . import dispatch
from .default_device import DeviceMode

TYPES = ("cpu", "cuda", "meta", "mps", "xpu")


@dataclasses.dataclass(frozen=True)
class Parts:
    """What a device offers: the row of the table that its folder of `runtime/` defines as `PARTS`.

    stream: called with the Device once, gives what takes operators: `append(form, tensors, numbers, outs)` returns
        the results, `flush()` runs what is pending. `PendingStream` of core/elsewhere.py collects blocks.
    allocator: `allocate(nbytes)` gives a block with an `address` that is not 0; `content(storage)` the bytes of a
        storage as an object with the buffer protocol, `fill(storage, content)` sets them. None for a device without
        values.
    generator: `kernel(instruction)` gives what the launcher runs for one instruction, None where there is nothing.
    launcher: called with the Device once; `make(block, mask)` gives the program of a block, whose `run(block)` returns
        None when it has computed every slot that `mask` marks. None for the CPU, whose launcher is the engine: it fuses
        blocks and compiles LLVM IR.
    """

    name: str
    stream: object
    allocator: object = None
    generator: object = None
    launcher: object = None


class Device:
    """A device type and index; equal devices are equal objects for `==` and hashing."""

    # parts, stream: of devices that `resolve` gives, which are those of storages
    __slots__ = ("type", "index", "parts", "stream")

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
        if type not in TYPES and not exists(type):
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


def nowhere(name):
    """Whether there is a runtime of this name, as long as runtime/ has not told."""
    return False


exists = nowhere  # set by runtime/: whether a device has a folder
load = None  # set by runtime/: name of a device -> its package

CPU = Device("cpu")
FOUND = {"cpu": CPU}  # the devices in use, by type


def resolve(device):
    """The Device an argument `device=` means (None: the CPU). AssertionError for one that has no runtime."""
    if device is None or device is CPU:
        return CPU
    device = device if isinstance(device, Device) else Device(device)
    found = FOUND.get(device.type)
    if found is None:
        if not exists(device.type):
            raise AssertionError(f"Torch not compiled with {device.type.upper()} enabled (rushlight has no "
                                 f"{device.type} runtime here)")
        found = Device(device.type)
        found.parts = load(device.type).PARTS
        found.stream = found.parts.stream(found)
        FOUND[device.type] = found
    return found
