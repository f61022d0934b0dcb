"""Optional dependencies: import a package by name, or raise an ImportError that says how to get it.

The packages of the extras in pyproject.toml are imported through this, at the moment they are needed, and nowhere else.
"""
import importlib


def optional(module, extra, purpose):
    """The module, imported now. ImportError names what asked for it (`purpose`) and the extra that installs it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        text = f"{purpose} needs {package}, which is not installed: pip install 'rushlight[{extra}]'"
        raise ImportError(text, name=package) from error
