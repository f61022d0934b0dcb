"""Saving and loading: objects with tensors in files of PyTorch's formats.

Public: `save`, `load`, the settings of `options`, the allow-list of `load(weights_only=True)`, and `reduce_tensor`
with the `_rebuild_*` functions for `pickle`. Read saving.py and loading.py first.
"""

from .allowed import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals
from .loading import get_unsafe_globals_in_checkpoint, load
from .location import default_restore_location, location_tag, register_package, validate_cuda_device
from .options import (
    LoadEndianness,
    get_crc32_options,
    get_default_load_endianness,
    get_default_mmap_options,
    set_crc32_options,
    set_default_load_endianness,
    set_default_mmap_options,
)
from .rebuild import _get_layout, reduce_tensor
from .saving import save
from .storages import StorageType

__all__ = [
    "LoadEndianness",
    "StorageType",
    "add_safe_globals",
    "clear_safe_globals",
    "default_restore_location",
    "get_crc32_options",
    "get_default_load_endianness",
    "get_default_mmap_options",
    "get_safe_globals",
    "get_unsafe_globals_in_checkpoint",
    "load",
    "location_tag",
    "register_package",
    "safe_globals",
    "save",
    "set_crc32_options",
    "set_default_load_endianness",
    "set_default_mmap_options",
    "validate_cuda_device",
]
