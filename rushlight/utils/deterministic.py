"""`torch.utils.deterministic`: whether deterministic programs see memory without values filled."""

import sys
import types

from ..ops.basic.creation import Determinism


class _Module(types.ModuleType):
    @property
    def fill_uninitialized_memory(self):
        """Whether `use_deterministic_algorithms` fills memory that a program asks for without values."""
        return Determinism.filled

    @fill_uninitialized_memory.setter
    def fill_uninitialized_memory(self, mode):
        Determinism.filled = bool(mode)


sys.modules[__name__].__class__ = _Module
