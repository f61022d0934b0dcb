"""`torch.types`: names of types for annotations."""

import os
from typing import IO, Any, Union

from . import api as _rl

Tensor, Size = _rl.Tensor, _rl.Size
Number = int | float | bool
Device = Union[_rl.device, str, int, None]
Storage = Union[_rl.UntypedStorage, _rl.TypedStorage]
FileLike = Union[str, os.PathLike, IO[bytes]]
_dtype, _device, _size, _layout = _rl.dtype, _rl.device, Union[Size, list, tuple], _rl.layout
_int, _float, _bool, _complex = int, float, bool, complex
_TensorOrTensors = Union[Tensor, tuple]

__all__ = ["Any", "Device", "FileLike", "Number", "Size", "Storage", "Tensor"]
