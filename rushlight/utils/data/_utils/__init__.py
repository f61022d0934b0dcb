"""What data loading is made of: collate.py (samples to batches), fetch.py (indices to batches), worker.py (the
processes that do it), transport.py and blocks.py (how batches come back from them), pin_memory.py, errors.py. Read
fetch.py first.
"""

from . import collate, fetch, pin_memory, worker
from .errors import ExceptionWrapper

MP_STATUS_CHECK_INTERVAL = worker.MP_STATUS_CHECK_INTERVAL

__all__ = ["ExceptionWrapper", "MP_STATUS_CHECK_INTERVAL", "collate", "fetch", "pin_memory", "worker"]
