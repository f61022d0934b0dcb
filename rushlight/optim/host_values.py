"""What one-element tensors hold, known to Python without reading the tensors.

In: state tensors such as `step` (a float32 tensor in every checkpoint). Out: their values as Python numbers.
Reading a tensor back makes the framework run everything recorded so far, once a parameter and step that would cost more
than the update. So the optimizers calculate the value on both sides: in the tensor, by a recorded operation, and here.
Read next: `per_parameter.py`.
"""

from __future__ import annotations

import struct
from typing import Any

from .. import api as rl


class HostValues:
    """A Python number for each one-element tensor it was asked about.

    An entry is good as long as the tensor is the same object at the same version. Anything else, such as a loaded or
    replaced state or a write by the user, makes the next `read` look into the tensor, once.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, int, Any]] = {}

    def __reduce__(self) -> Any:
        # The tensors themselves are pickled and copied elsewhere: a copy starts with nothing known.
        return HostValues, ()

    def read(self, tensor: Any) -> Any:
        """The value of a one-element tensor."""
        entry = self._known.get(id(tensor))
        if entry is not None and entry[0] is tensor and entry[1] == tensor._version:
            return entry[2]
        value = tensor.item()
        self._known[id(tensor)] = (tensor, tensor._version, value)
        return value

    def know(self, tensor: Any, value: Any) -> None:
        """Notes that `tensor`, as it is now, holds `value`."""
        self._known[id(tensor)] = (tensor, tensor._version, value)

    def advance(self, step: Any) -> Any:
        """Adds one to a step counter, in the tensor and here; the new count."""
        count = self.read(step) + 1
        step += 1
        self._known[id(step)] = (step, step._version, count)
        return count

    def write(self, tensor: Any, value: float) -> None:
        """Fills `tensor` with `value`; later reads give the value as rounded to the tensor's dtype."""
        tensor.fill_(value)
        self.know(tensor, rounded(value, tensor.dtype))


def rounded(value: float, dtype: Any) -> float:
    """`value` as a tensor of `dtype` (float32 or float64) stores it."""
    if dtype is rl.float64:
        return value
    return struct.unpack("f", struct.pack("f", value))[0]


def scalar_dtype(fused: bool = False) -> Any:
    """The dtype PyTorch gives to counters in the state: float32, or float64 where that is the default dtype."""
    if not fused and rl.get_default_dtype() is rl.float64:
        return rl.float64
    return rl.float32
