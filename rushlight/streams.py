"""`torch.Stream` and `torch.Event` of the CPU: its work runs in program order, so that streams wait for nothing.

Times of events are those at which all work recorded before was done.
"""

import time

from .core.device import CPU, Device, resolve
from .core.stream import STREAM


class OutOfMemoryError(RuntimeError):
    """An accelerator has too little memory. (The CPU's allocator raises a plain RuntimeError.)"""


class AcceleratorError(RuntimeError):
    """An error of an accelerator's runtime."""


class Event:
    """A point in the program. `enable_timing`: it knows when it was reached."""

    __slots__ = ("device", "enable_timing", "event_id", "_time")

    def __init__(self, device=None, enable_timing=False, blocking=False, interprocess=False):
        self.device = CPU if device is None else Device(device)
        resolve(self.device)
        self.enable_timing, self.event_id, self._time = enable_timing, 0, None

    def record(self, stream=None):
        """Mark this point."""
        STREAM.flush()
        self._time = time.perf_counter()

    def wait(self, stream=None):
        """Nothing to wait for: what was recorded before is done before."""

    def ipc_handle(self):
        """RuntimeError: events of the CPU belong to their process."""
        raise RuntimeError("Event: events of the CPU cannot be shared with other processes")

    @classmethod
    def from_ipc_handle(cls, device, ipc_handle):
        """RuntimeError: events of the CPU belong to their process."""
        raise RuntimeError("Event: events of the CPU cannot be shared with other processes")

    def query(self):
        """True: the work before the event is done."""
        return True

    def synchronize(self):
        """Run what is pending."""
        STREAM.flush()

    def elapsed_time(self, end_event):
        """Milliseconds from this event to another. ValueError unless both were recorded with `enable_timing`."""
        if not (self.enable_timing and end_event.enable_timing):
            raise ValueError("Both events must be created with argument 'enable_timing=True'.")
        if self._time is None or end_event._time is None:
            raise ValueError("Both events must be recorded before calculating elapsed time.")
        return (end_event._time - self._time) * 1000

    def __repr__(self):
        return f"torch.Event device_type={self.device.type}, device_index=-1, event_flag=0, event_id={self.event_id}"


class Stream:
    """A sequence of work; on the CPU there is one, the program."""

    __slots__ = ("device", "device_type", "device_index", "stream_id")

    def __init__(self, device=None, *, priority=0):
        self.device = CPU if device is None else Device(device)
        resolve(self.device)
        self.device_type, self.device_index, self.stream_id = 0, -1, 0

    def query(self):
        """True: work waits for nobody."""
        return True

    def synchronize(self):
        """Run what is pending."""
        STREAM.flush()

    def is_capturing(self):
        """False: there are no graphs of launches on the CPU."""
        return False

    def record_event(self, event=None):
        """An event at this point."""
        event = Event(self.device) if event is None else event
        event.record(self)
        return event

    def wait_event(self, event):
        """Nothing to wait for."""

    def wait_stream(self, stream):
        """Nothing to wait for."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def __eq__(self, other):
        return isinstance(other, Stream) and other.device == self.device

    def __hash__(self):
        return hash((self.device, self.stream_id))

    def __repr__(self):
        return f"torch.Stream device_type={self.device.type}, device_index=-1, stream_id={self.stream_id}"
