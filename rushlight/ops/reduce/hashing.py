"""`hash_tensor`: the exclusive or of the bits of elements, widened to 64 bits."""

from ...base.lazy import numpy as np
from ...core import dtype as dt
from ...core.declare import public
from ...core.infer import reduced_shape, wrap_dims
from ...core.kinds import Host
from ...core.record import record
from ..basic.pointwise import need_tensor


def _xor_body(outs, ins, numbers, dims):
    words = ins[0].view(np.uint64)
    outs[0][...] = np.bitwise_xor.reduce(words, dims).reshape(outs[0].shape)


XOR = Host("hash_tensor", _xor_body)


@public("hash_tensor")
def hash_tensor(input, dim=(), *, keepdim=False, mode=0):
    """The exclusive or of all elements (or along `dim`, an int or several), floats as the bits of float64, integers as
    those of int64. An uint64 tensor; the order of elements does not matter. `mode`: 0 alone is known."""
    need_tensor("hash_tensor", "input", 1, input)
    if mode != 0:
        raise RuntimeError(f"Unknown hash_tensor mode: {mode}")
    if input.dtype.is_complex:
        raise NotImplementedError(f"\"xor_sum_cpu\" not implemented for '{dt.scalar_type(input.dtype)}'")
    dims, shape = wrap_dims(dim, input.dim()), input._layout.shape
    if not input.numel():
        if dim in ((), None):
            raise RuntimeError("hash_tensor: Expected reduction dim to be specified for input.numel() == 0. Specify "
                               "the reduction dim with the 'dim' argument.")
        for d in dims:
            if not shape[d]:
                raise IndexError(f"hash_tensor: Expected reduction dim {d} to have non-zero size.")
    wide = input.detach().to(dt.float64 if input.dtype.is_floating_point else dt.int64).contiguous()
    attrs = (("dims", dims), ("out", ((reduced_shape(shape, dims, keepdim), dt.uint64),)))
    return record(XOR, "t", attrs, (wide,))[0]
