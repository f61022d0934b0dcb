"""Modules on several devices: a module comes in, one that spreads its batches goes out."""
from .data_parallel import DataParallel, data_parallel

__all__ = ["DataParallel", "data_parallel"]
