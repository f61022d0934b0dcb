"""What `torchaudio` means under Rushlight: sounds in files, functions and transforms of them, models, data sets.

A sound is a tensor (channels, time) of numbers from -1 to 1. Reading and writing files needs the package `soundfile`.
Next to read: files.py, functional/__init__.py, transforms/__init__.py.
"""
from . import compliance, functional, models, transforms

__version__ = "2.11.0+rushlight"
