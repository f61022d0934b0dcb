"""Moving tensors between devices.

A move runs what is pending on both sides and copies bytes by way of the host; it is one step of the graph of gradients.
"""

from ...core import record as recording
from ...core.declare import public
from ...core.device import CPU
from ...core.layout import dense_strides_like
from ...core.record import mixed_devices
from ...core.storage import check
from ...core.tensor import empty
from .copy import to_strides


def contents(storage):
    """The bytes of a storage, for a reader that has finished when the next operator is recorded. The error of a storage
    without values."""
    storage.device.stream.flush()
    check(storage)
    return storage.device.parts.allocator.content(storage)



@public("Tensor._moved", out=False, grad={"input": lambda g, device, origin: moved(g, origin, device)},
        node="ToCopyBackward0")
def moved(input, device, origin):
    """The values on another device, which `origin` is not, in dense memory of the same order of dimensions."""
    found = input._layout
    result = empty(tuple(found.shape), found.dtype, device, dense_strides_like(found.shape, found.strides))
    if device.parts.allocator is None:
        check(input._storage)
        return result
    whole = found.dense and found.dtype.plain is found.dtype and found.nbytes == input._storage.nbytes
    source = input if whole else to_strides(input, result._layout.strides)
    content = contents(source._storage)
    device.stream.flush()
    device.parts.allocator.fill(result._storage, content)
    return result


def to_device(tensor, device):
    """The tensor itself if it is on this device, else its values there."""
    origin = tensor._storage.device
    return tensor if origin is device else moved(tensor, device, origin)


def on_one_device(form, tensors, outs):
    """The operands of an operator, those of the CPU without dimensions on the device of the others. RuntimeError for
    any other mixture."""
    devices = {t._storage.device for t in (*tensors, *(outs or ()))}
    others = devices - {CPU}
    small = all([t._storage.device is not CPU or not t._layout.ndim for t in tensors])
    written = all([t._storage.device is not CPU for t in outs or ()])
    if len(others) != 1 or not small or not written or not form.op.is_loop and form.op.kind != "macro":
        raise mixed_devices(form.op.name, devices)
    device, = others
    return tuple([t if t._storage.device is device else moved.plain(t, device, CPU) for t in tensors])


recording.on_one_device = on_one_device
