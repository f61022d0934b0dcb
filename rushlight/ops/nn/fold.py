"""Sliding blocks of images: unfold (blocks as columns) and fold (the sum of overlapping blocks), each the gradient of
the other.
"""

import itertools
import math

from ...core.declare import public
from ...core.kinds import Gather
from ...core.record import record
from .pooling import check_tensor
from .windows import both, covering_blocks

DIRECT = 9  # positions of a block that one kernel of `fold` visits


def _blocks_body(k, x, stride, padding, dilation):
    """(N, C, KH, KW, OH, OW) from (N, C, H, W)."""
    at, mask = [k.index(0), k.index(1)], None
    for d in range(2):
        i = k.index(4 + d) * stride[d] + k.index(2 + d) * dilation[d] - padding[d]
        at.append(i)
        mask = both(k, mask, k.logical_and(i >= 0, i < x.shape[2 + d]))
    return x.load(at, mask, 0)


def _sum_body(k, g, kernel, stride, padding, dilation):
    """(N, C, H, W) from (N, C, KH, KW, OH, OW)."""
    total = None
    parts = [
        covering_blocks(k, k.index(2 + d), g.shape[4 + d], kernel[d], stride[d], padding[d], dilation[d])
        for d in range(2)
    ]
    for (y, oy, my), (x, ox, mx) in itertools.product(*parts):
        value = g.load([k.index(0), k.index(1), y, x, oy, ox], both(k, my, mx), 0)
        total = value if total is None else total + value
    return total


def _row_body(k, g, kernel, stride, padding, dilation):
    """(N, C, KH, OH, W) from (N, C, KH, KW, OH, OW): the sum over the last dimension only."""
    total = None
    for x, o, mask in covering_blocks(k, k.index(4), g.shape[5], kernel, stride, padding, dilation):
        value = g.load([k.index(0), k.index(1), k.index(2), x, k.index(3), o], mask, 0)
        total = value if total is None else total + value
    return total


def _column_body(k, g, kernel, stride, padding, dilation):
    """(N, C, H, W) from (N, C, KH, OH, W)."""
    total = None
    for y, o, mask in covering_blocks(k, k.index(2), g.shape[3], kernel, stride, padding, dilation):
        value = g.load([k.index(0), k.index(1), y, o, k.index(3)], mask, 0)
        total = value if total is None else total + value
    return total


def _op(name, body):
    return Gather(name, body)


BLOCKS, SUM = _op("im2col", _blocks_body), _op("col2im", _sum_body)
ROWS, COLUMNS = _op("col2im_rows", _row_body), _op("col2im_columns", _column_body)


def block_counts(size, options):
    kernel, dilation, padding, stride = options
    return tuple(
        [(n + 2 * p - d * (m - 1) - 1) // s + 1 for n, m, d, p, s in zip(size, kernel, dilation, padding, stride)]
    )


def _unfold(input, options):
    kernel, dilation, padding, stride = options
    whole = input if input._layout.ndim == 4 else input.unsqueeze(0)
    n, c, *size = whole._layout.shape
    out = block_counts(size, options)
    shape = (n, c, *kernel, *out)
    attrs = (("stride", stride), ("padding", padding), ("dilation", dilation), ("out", ((shape, input._layout.dtype),)))
    blocks = record(BLOCKS, "t", attrs, (whole,))[0]
    lead = (n,) if whole is input else ()
    return blocks.reshape(*lead, c * math.prod(kernel), math.prod(out))


def _fold(input, size, options):
    kernel, dilation, padding, stride = options
    lead = input._layout.shape[:-2]
    out = block_counts(size, options)
    n, c = math.prod(lead), input._layout.shape[-2] // math.prod(kernel)
    blocks, dtype = input.reshape(n, c, *kernel, *out), input._layout.dtype

    def attrs(shape, kernel, stride, padding, dilation):
        return (
            ("kernel", kernel),
            ("stride", stride),
            ("padding", padding),
            ("dilation", dilation),
            ("out", ((shape, dtype),)),
        )

    whole = (n, c, *size)
    if math.prod(kernel) <= DIRECT:
        result = record(SUM, "t", attrs(whole, kernel, stride, padding, dilation), (blocks,))[0]
    else:
        rows = attrs((n, c, kernel[0], out[0], size[1]), kernel[1], stride[1], padding[1], dilation[1])
        result = record(ROWS, "t", rows, (blocks,))[0]
        result = record(COLUMNS, "t", attrs(whole, kernel[0], stride[0], padding[0], dilation[0]), (result,))[0]
    return result.reshape(*lead, c, *size)


NODES = {}
NODES["unfold"] = public(
    "",
    node="Im2ColBackward0",
    out=False,
    grad={"input": lambda g, options, input_layout: NODES["fold"](g, input_layout.shape[-2:], options)},
)(_unfold)
NODES["fold"] = public(
    "", node="Col2ImBackward0", out=False, grad={"input": lambda g, options: NODES["unfold"](g, options)}
)(_fold)


def pairs(**values):
    """Two ints of each argument, checked; RuntimeError as PyTorch's."""
    found = []
    for name, value in values.items():
        value = (value, value) if not isinstance(value, (tuple, list)) else tuple(value)
        if len(value) != 2:
            raise RuntimeError(f"It is expected {name} equals to 2, but got size {len(value)}")
        found.append(tuple([int(v) for v in value]))
    return found


def check_options(kernel, dilation, padding, stride):
    for text, word, value, least in (
        ("kernel size", "kernel", kernel, 1),
        ("dilation", "dilation", dilation, 1),
        ("padding", "pad", padding, 0),
        ("stride", "stride", stride, 1),
    ):
        if min(value) < least:
            raise RuntimeError(
                f"{text} should be {'greater than zero' if least else 'non-negative'}, but got {word}_height: "
                f"{value[0]} {word}_width: {value[1]}"
            )


@public("nn.functional.unfold", out=False)
def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """Blocks of an image (N, C, H, W) as columns: (N, C * KH * KW, blocks). A batch dimension is optional."""
    check_tensor("unfold", input)
    shape = input._layout.shape
    if len(shape) < 3:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-len(shape)}, {len(shape) - 1}], but got 2)"
        )
    options = pairs(kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride)
    check_options(*options)
    if len(shape) > 4 or 0 in shape[1:] or (len(shape) == 3 and not shape[0]):
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for "
            f"input, but got: {list(shape)}"
        )
    kernel, dilation, padding, stride = options
    counts = block_counts(shape[-2:], options)
    if min(counts) < 1:
        raise RuntimeError(
            f"Given input with spatial size {tuple(shape[-2:])}, kernel_size={kernel}, dilation={dilation}, "
            f"padding={padding}, "
            f"calculated shape of the array of sliding blocks as {counts}, but its components must be at least one."
        )
    return NODES["unfold"](input, tuple(options))


@public("nn.functional.fold", out=False)
def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """The sum of overlapping blocks (N, C * KH * KW, blocks) as an image (N, C, *output_size). A batch dimension is
    optional.
    """
    check_tensor("fold", input)
    shape = input._layout.shape
    size, *options = pairs(
        output_size=output_size, kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride
    )
    check_options(*options)
    kernel, dilation, padding, stride = options
    if len(shape) not in (2, 3) or 0 in shape[-2:]:
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for "
            f"input, but got: {list(shape)}"
        )
    if shape[-2] % math.prod(kernel):
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
            f"input.size(1)={shape[-2]} and kernel_size={kernel}."
        )
    counts = block_counts(size, options)
    if shape[-1] != math.prod(counts) or min(counts) < 1:
        raise RuntimeError(
            f"Given output_size={size}, kernel_size={kernel}, dilation={dilation}, padding={padding}, stride={stride}, "
            f"expected size of input's dimension 2 to match the calculated number of sliding blocks {counts[0]} * "
            f"{counts[1]} = {math.prod(counts)}, but got input.size(2)={shape[-1]}."
        )
    if min(size) < 1:
        raise RuntimeError(f"Expected output spatial size to be positive, but got: output_size={size}.")
    return NODES["fold"](input, size, tuple(options))
