"""The operators, a family a file. Each declaration says everything about its operator: see core/declare.py and
docs/add-an-operator.md."""

import importlib
import pkgutil

for _module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")

CUSTOM = {}  # namespaces of the operators that programs define (library.py): `torch.ops.namespace`


def __getattr__(name):
    """A namespace of a program's own operators."""
    if name in CUSTOM:
        return CUSTOM[name]
    raise AttributeError(f"'_Ops' object has no attribute '{name}'")
