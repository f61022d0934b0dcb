"""On which device a storage belongs, by `map_location` and the tags in files.

Next to read: loading.py. A tag is the text of a device, such as `cpu` or `cuda:0`. `register_package` adds to the
registry below.
"""

import importlib
import re

from .. import api as rl
from . import adapter

_registry = []


def register_package(priority, tagger, deserializer):
    """Registers how the storages of a kind of device are tagged in files and restored from them.

    Args:
        priority: smaller ones are asked first.
        tagger: from a storage to its tag, or None for storages of other devices.
        deserializer: from a storage on the CPU and a tag to the storage in its place, or None for other tags.
    """
    _registry.append((priority, tagger, deserializer))
    _registry.sort(key=lambda entry: entry[0])


def location_tag(storage):
    """The tag that a file has for a storage: `cpu`, `cuda:0` and so on. RuntimeError when no registered package knows
    it.
    """
    for _, tagger, _ in _registry:
        location = tagger(storage)
        if location:
            return location
    raise RuntimeError(f"don't know how to determine data location of {type(storage).__name__}")


def default_restore_location(storage, location):
    """The storage, put where its tag says. RuntimeError when no registered package knows the tag, or its device is
    missing.
    """
    for _, _, deserializer in _registry:
        result = deserializer(storage, location)
        if result is not None:
            return result
    raise RuntimeError(
        f"don't know how to restore data location of {type(storage).__name__} (tagged with {str(location):.80})"
    )


def restorer(map_location):
    """The function (storage, tag) -> storage that an argument `map_location` means."""
    if map_location is None:
        return default_restore_location
    if isinstance(map_location, dict):
        return lambda storage, location: default_restore_location(storage, map_location.get(location, location))
    if isinstance(map_location, bytes):
        map_location = map_location.decode("ascii")
    if isinstance(map_location, (str, rl.device)):
        place = str(map_location)
        return lambda storage, location: default_restore_location(storage, place)

    def restore(storage, location):
        result = map_location(storage, location)
        return default_restore_location(storage, location) if result is None else result

    return restore


def validate_cuda_device(location):
    """The index of the CUDA device that a tag names. RuntimeError when there is no such device."""
    index = rl.device(location).index or 0
    cuda = importlib.import_module(f"{__name__.split('.')[0]}.cuda")  # it stands beside this folder
    if not cuda.is_available():
        raise RuntimeError(
            "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False. If you are "
            "running on a CPU-only machine, please use torch.load with map_location=torch.device('cpu') to map your "
            "storages to the CPU."
        )
    count = cuda.device_count()
    if index >= count:
        raise RuntimeError(
            f"Attempting to deserialize object on CUDA device {index} but torch.cuda.device_count() is {count}. "
            "Please use torch.load with map_location to map your storages to an existing device."
        )
    return index


def _cpu_tag(storage):
    return "cpu" if storage.device.type == "cpu" else None


def _cpu_restore(storage, location):
    return adapter.move_storage(storage, "cpu") if location == "cpu" else None


def _cuda_tag(storage):
    return str(storage.device) if storage.device.type == "cuda" else None


def _cuda_restore(storage, location):
    if location != "cuda" and not re.fullmatch(r"cuda:[0-9]+", location):
        return None
    return adapter.move_storage(storage, f"cuda:{validate_cuda_device(location)}")


def _other_restore(storage, location):
    """Devices that Rushlight knows by name alone: says so, as PyTorch does, instead of 'don't know how'."""
    name = location.partition(":")[0]
    if name not in ("mps", "xpu", "hpu", "mtia"):
        return None
    raise RuntimeError(
        f"Attempting to deserialize object on a {name.upper()} device, which is not available. Please use torch.load "
        "with map_location=torch.device('cpu') to map your storages to the CPU."
    )


register_package(10, _cpu_tag, _cpu_restore)
register_package(20, _cuda_tag, _cuda_restore)
register_package(30, lambda storage: None, _other_restore)
