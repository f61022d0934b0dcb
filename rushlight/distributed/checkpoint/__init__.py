"""Checkpoints that all ranks write and read together: `save`, `load`, `async_save`. Next to read: saving.py.

The files are ours, not PyTorch's: see Note [Format] in files.py.
"""
from . import state_dict
from .files import CheckpointException, Metadata
from .saving import FileSystemReader, FileSystemWriter, Stateful, async_save, load, save

__all__ = ["CheckpointException", "FileSystemReader", "FileSystemWriter", "Metadata", "Stateful", "async_save", "load",
           "save", "state_dict"]
