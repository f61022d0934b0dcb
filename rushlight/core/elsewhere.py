"""The streams of devices other than the CPU: where `record_form` sends operators whose operands are there.

`PendingStream` collects blocks, as the CPU's stream does, and lets the device's launcher make and run their programs.
`DescribingStream` needs no launcher: its device has layouts without memory. Read Note [Devices] in `device` first.
"""

from ..base import switches
from . import dtype as dt
from .record import OtherDevice, append, check_overlap, infer, set_version
from .storage import check, storage_elsewhere
from .stream import ELSEWHERE, STREAM, Stream
from .tensor import view


class PendingStream(Stream):
    """The pending block of one device, with a tree of its own. It shares the lock of the CPU's stream."""

    __slots__ = ("device",)

    def __init__(self, device):
        super().__init__(STREAM.lock)
        self.device, self.make = device, device.parts.launcher(device).make
        ELSEWHERE.append(self)
        switches.WATCHERS.append(self.restart)
        dt.WATCHERS.append(self.restart)

    def append(self, form, tensors, numbers, outs):
        """Record an operator; its results, or None as `append` of record.py says."""
        now, ready = append(self, form, tensors, numbers, outs, self.device)
        if now and ready is not None:
            self.flush()
            for t in ready:
                check(t._storage)
        return ready

    def flush(self):
        """Run what is pending."""
        if STREAM.dirty:  # an interrupted operator may have left traces here
            with self.lock:
                STREAM.repair()
        super().flush()


class DescribingStream:
    """What takes the operators of a device without values: results are layouts, and nothing is recorded."""

    def __init__(self, device):
        self.device = device

    def append(self, form, tensors, numbers, outs):
        """The results of an operator."""
        if any([t._storage.device is not self.device for t in (*tensors, *(outs or ()))]):
            raise OtherDevice
        if outs is not None:
            check_overlap(form.op, tensors, outs)
        known = infer(form, tensors, numbers, outs, form.op.results)
        if outs is not None:
            for t in outs:
                set_version(t, t._version + 1)
            return outs
        return [view(storage_elsewhere(found.nbytes, self.device), found, 0) for found in known.layouts]

    def flush(self):
        """Nothing is pending."""
