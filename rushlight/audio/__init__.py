"""What `torchaudio` means under Rushlight: sounds in files, functions and transforms of them, models, data sets.

A sound is a tensor (channels, time) of numbers from -1 to 1. Reading and writing files needs the package `soundfile`.
Next to read: files.py, functional/__init__.py, transforms/__init__.py.
"""
from . import compliance, datasets, functional, models, pipelines, transforms, utils
from .files import AudioMetaData, info, load, load_with_torchcodec, save, save_with_torchcodec

__version__ = "2.11.0+rushlight"

__all__ = [
    "AudioMetaData", "compliance", "datasets", "functional", "info", "load", "load_with_torchcodec", "models",
    "pipelines", "save", "save_with_torchcodec", "transforms", "utils",
]
