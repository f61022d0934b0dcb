"""Requirements on given outputs: PyTorch's errors for tensors of `out=` that do not fit operands or results.
`into_out` (declare.py) copies the results; `infer.check_out` knows which results may be cast.

Note [Dtypes of given outputs]
The functions in OWN compute in the dtype of their output, whatever it is. A `dtype=` beside an output must be the
output's. Truth values are written as bool, or as uint8 for old programs.
"""

from . import dtype as dt
from .record import REPEATED, partly_overlaps
from .tensor import Tensor

TRUTHS = frozenset(("all", "any"))
OWN = frozenset("sum nansum prod mean cumsum cumprod".split())
ANY = frozenset("sum nansum prod cumsum cumprod bernoulli".split())
JOINED = frozenset(("cat", "concat", "concatenate"))
ITERATED = frozenset("""cumsum cumprod logcumsumexp cummax cummin where sort clamp clip clamp_min clamp_max lerp addmm
    baddbmm addmv addcmul addcdiv pow power float_power div divide true_divide floor_divide fmod remainder add sub
    subtract mul multiply max min""".split())  # composites here that refuse to write what they still read


def settles(name, result, out, asked):
    """Whether a function may write its result into `out` by rules of its own; RuntimeError where these forbid it.
    `asked`: its `dtype=`."""
    have, want = out.dtype.plain, result.dtype.plain
    if name in TRUTHS and have is not dt.bool_ and have is not dt.uint8:
        raise RuntimeError(f"{name}: a given output must be of dtype bool or uint8, not {dt.scalar_type(have)}")
    if isinstance(asked, dt.DType) and name in OWN and asked is not have:
        raise RuntimeError(f"{name}: Expected out tensor to have dtype {dt.scalar_type(asked)}, but got "
                           f"{dt.scalar_type(have)} instead")
    if name in JOINED and not dt.can_cast(want, have):
        raise TypeError(f"{name}: input types can't be cast to the desired output type {dt.scalar_type(have)}")
    return name in ANY


def dtype_of(name, outs, kwargs):
    """The keyword arguments with the dtype to compute in: the output's, for functions that ask it."""
    if name in OWN and kwargs.get("dtype") is None and len(outs) == 1:
        found = outs[0]._layout.dtype.plain
        if name != "mean" or found.category >= dt.FLOATING:
            return {**kwargs, "dtype": found}
    return kwargs


def check_apart(name, operands, outs):
    """RuntimeError for a given output that holds an element twice, or shares part of an operand's memory."""
    for out in outs:
        if out._layout.overlaps_itself:
            raise RuntimeError(f"{REPEATED} ({name})")
        for operand in operands:
            if isinstance(operand, Tensor) and operand._storage is out._storage and partly_overlaps(operand, out):
                raise RuntimeError("unsupported operation: some elements of the input tensor and the written-to tensor "
                                   "refer to a single memory location. Please clone() the tensor before performing the "
                                   f"operation. ({name})")
