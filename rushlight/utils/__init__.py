"""`torch.utils`: data loading, checkpointing, TensorBoard and more, each in a module of its own.

The modules are imported when they are first asked for, so that `import rushlight` stays quick. Read data/__init__.py
first.
"""

import importlib

__all__ = ["checkpoint", "data", "swap_tensors", "tensorboard"]


def __getattr__(name):
    """A module of this folder that has not been imported yet."""
    if name == "swap_tensors":
        return importlib.import_module("..nn.modules.conversions", __name__).swap_tensors
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
