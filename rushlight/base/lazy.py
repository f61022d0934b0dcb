"""Modules that are imported when they are first used, because importing them costs more than small programs take.

    from ..base.lazy import numpy as np

`Lazy` stands in for a module. `exports` makes the names of a package appear at their first use. A value can only be a
NumPy array or number if something has imported NumPy: `is_array` and `is_scalar` ask without importing it.
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


def exports(namespace, table):
    """The `__getattr__` and `__dir__` of a package that imports its parts when they are first used (PEP 562).

    Args: `namespace`, the package's `globals()`; `table`, a dictionary from submodules to the names that the package
    takes from them, in one string. The submodule itself is a name as well, unless it defines one of that name.
    """
    package = namespace["__name__"]
    homes = {name: module for module, names in table.items() for name in names.split()}
    modules = frozenset(table)

    def __getattr__(name):
        home = homes.get(name, name)
        if home not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = importlib.import_module(f"{package}.{home}")
        if name in homes:
            value = getattr(value, name)
        namespace[name] = value
        return value

    def __dir__():
        return sorted({*namespace, *homes, *[module for module in modules if "." not in module]})

    return __getattr__, __dir__


def is_array(value):
    """Whether a value is a NumPy array."""
    return "numpy" in sys.modules and isinstance(value, numpy.ndarray)


def is_scalar(value):
    """Whether a value is one of NumPy's numbers or booleans."""
    return "numpy" in sys.modules and isinstance(value, numpy.generic)
