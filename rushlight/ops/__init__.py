"""The operators, a family a file. Each declaration says everything about its operator: see core/declare.py and
docs/add-an-operator.md. The rooms stand in import order: a file imports from its own room and from those before it."""

import importlib
import os

ROOMS = ("basic", "index", "reduce", "random", "linalg", "signal", "nn", "media")

for _room in ROOMS:
    for _file in sorted(os.listdir(os.path.join(__path__[0], _room))):
        if _file.endswith(".py") and _file != "__init__.py":
            importlib.import_module(f"{__name__}.{_room}.{_file[:-3]}")

CUSTOM = {}  # namespaces of the operators that programs define (library.py): `torch.ops.namespace`


def __getattr__(name):
    """A namespace of a program's own operators."""
    if name in CUSTOM:
        return CUSTOM[name]
    raise AttributeError(f"'_Ops' object has no attribute '{name}'")
