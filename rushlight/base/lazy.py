"""Modules that are imported when they are first used, because importing them costs more than small programs take.

    from ..base.lazy import numpy as np

In: a module's name. Out: a stand-in whose attributes are the module's. A value can only be a NumPy array or number if
NumPy has been imported by somebody: `is_array` and `is_scalar` ask without importing it.
"""

import importlib
import sys


class Lazy:
    """Stands in for a module; what has been looked up once is an attribute of its own."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        value = getattr(importlib.import_module(self._name), attribute)
        setattr(self, attribute, value)
        return value


numpy = Lazy("numpy")


def is_array(value):
    """Whether a value is a NumPy array."""
    return "numpy" in sys.modules and isinstance(value, numpy.ndarray)


def is_scalar(value):
    """Whether a value is one of NumPy's numbers or booleans."""
    return "numpy" in sys.modules and isinstance(value, numpy.generic)
