"""The launch of a sum in PyTorch's order (Note [The order of a sum] in sum.py, which writes the kernel).

In: an instruction. Out: its Launch. Needs no code generator as long as the kernel is on disk.
"""

from ....base.lazy import Lazy
from ....core.layout import coalesce, stride_order
from ...ir.kernel import KernelSource, Launch
from ...lower import memory

VECTOR_BYTES, TURNS = 32, 4
ELEMENT_NANOSECONDS = 1.0
ordered = Lazy(f"{__package__}.sum")


def iteration(source, result, dims):
    """(size, stride of the input, stride of the result) (in bytes) of each merged loop dimension, innermost first."""
    size, shape = source.dtype.itemsize, source.shape
    if source.contiguous and len(dims) == len(shape):
        return [(source.numel, size, 0)]
    strides = iter(result.strides if len(result.shape) < len(shape) else
                   [s for d, s in enumerate(result.strides) if d not in dims])
    spread = [0 if d in dims else next(strides) for d in range(len(shape))]
    order = reversed(stride_order(shape, [spread, source.strides], reduces=True))
    merged = coalesce([(shape[d], (source.strides[d] * size, spread[d] * size)) for d in order])
    return [(n, *strides) for n, strides in reversed(merged)]


def ordered_sum(instruction):
    """ins: input; outs: sums; attrs dims, keepdim, dtype, and mean: whether sums are divided by their terms."""
    options = dict(instruction.attrs)
    source, result = instruction.ins[0][1], instruction.outs[0][1]
    if not result.numel:
        return []
    none = (1, 0, 0)
    inner, columns, *outer = [*iteration(source, result, options["dims"]), none, none][:max(2, source.ndim)]
    if inner[2] and not columns[2]:
        inner, columns = columns, inner
    elif inner[2]:
        inner, columns, outer = none, inner, [columns, *outer]
    outer = [d for d in outer if d != none]
    size, lanes = source.dtype.itemsize, VECTOR_BYTES // source.dtype.itemsize
    row, side_by_side = "strided", 0
    if inner[1] == size and inner[0] >= lanes:
        row = "vector"
    elif columns[1] == size and columns[0] >= lanes:
        side_by_side = columns[0] - columns[0] % (TURNS * lanes)
    elif inner[1] >= columns[1]:
        side_by_side = columns[0] - columns[0] % TURNS
    outer = outer[::-1]
    count = source.numel // result.numel if options["mean"] else 0
    kernel = ("ordered_sum", source.dtype.name, row, len(outer), options["mean"])
    static = [*inner[:2], *columns, side_by_side, *[x for d in outer for x in d],
              *[d[0] if d[2] else 1 for d in (columns, *outer)], count,
              memory(instruction.outs[0]), memory(instruction.ins[0])]

    def emit(module, name):
        ordered.OrderedSum(*kernel[1:]).emit(module, name)
    return [Launch(KernelSource(kernel, emit), static, 1, ELEMENT_NANOSECONDS * source.numel)]
