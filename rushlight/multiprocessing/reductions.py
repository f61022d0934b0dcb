"""How a tensor becomes a message between processes: a descriptor of shared memory, and how to look at it."""
import os
from multiprocessing import context, reduction, util

from .. import api as rl
from ..nn.parameter import Parameter
from ..utils.data._utils import blocks, transport


def install():
    """Let `multiprocessing` send tensors in shared memory."""
    for kind in (rl.Tensor, Parameter):
        reduction.ForkingPickler.register(kind, reduce_tensor)


def reduce_tensor(tensor):
    """(function, arguments) that build the tensor in another process.

    RuntimeError for a tensor that needs a gradient and is not a leaf, as the graph stays in this process."""
    if tensor.requires_grad and not tensor.is_leaf:
        raise RuntimeError("Cowardly refusing to serialize non-leaf tensor which requires_grad, since autograd does "
                           "not support crossing process boundaries. Call detach() on the tensor before it is sent.")
    content, stride = transport.tensor_bytes(tensor.detach())
    if content.size <= transport.INLINE:
        place = content.tobytes()
    else:
        handle = blocks.new_file(content.size)
        try:
            blocks.map_file(handle, content.size)[:content.size] = content
            place = reduction.DupFd(handle)
        finally:
            _close_later(handle)
    parts = (place, content.size, tensor.dtype, tuple(tensor.size()), tuple(stride), tensor.requires_grad)
    return rebuild_tensor, (type(tensor) is Parameter, *parts)


def _close_later(handle):
    """Close a descriptor that has been duplicated; one for a process that is being started stays until that is over."""
    starting = context.get_spawning_popen()
    if starting is None:
        os.close(handle)
    else:
        util.Finalize(starting, os.close, (handle,))


def rebuild_tensor(parameter, place, size, dtype, shape, stride, requires_grad):
    """A tensor over what `reduce_tensor` has sent."""
    if not isinstance(place, bytes):
        handle = place.detach()
        try:
            place = blocks.map_file(handle, size)[:size]
        finally:
            os.close(handle)
    tensor = transport.build_tensor(place, dtype, shape, stride, False)
    return Parameter(tensor, requires_grad) if parameter else tensor.requires_grad_(requires_grad)
