"""The operators, a family a file. Each declaration says everything about its operator: see core/declare.py and
docs/add-an-operator.md."""

import importlib
import pkgutil

for _module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")
