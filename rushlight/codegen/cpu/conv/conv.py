"""Plans of convolutions in 1, 2 and 3 dimensions: forward, gradient of the input, gradient of the weight.

In: a `ConvSpec`, the geometry of the forward convolution with its three tensors; each plan reads two of them and
writes the third. Out: a list of `Launch`es. A transposed convolution is `plan_conv_input_grad` of the convolution it
transposes (its result is `input`, its operand `out`); output padding is expressed by the size of `input`.

Note [Windows] Along one dimension the input gradient is, for every residue of the position modulo the stride, a
stride-1 convolution of the output gradient with every step-th tap, read backwards. So forward and input gradient both
are lists of `Window`s: position j of a grid reads taps t = 0.. at x0 + j * step + t * tap, multiplies weight tap w0 +
t * w_step, and writes at y0 + j * y_step.
"""

import dataclasses
import itertools
import math

from ...ir import target
from ...ir.kernel import Launch, Memory
from ...ir.statics import ceil_div
from ...ir.vectors import BYTES, compute_dtype, compute_kind
from ..gemm.tiles import Tile, fitting, tile_cost
from . import direct_weight_grad as conv_direct_weight
from . import pointwise as conv_pointwise
from .direct import choose_direct, plan_direct
from .direct_weight_grad import plan_direct_weight
from .kernel import MAX_BLOCK, MAX_PIECES, PARTIAL, ConvMicro, conv_source, layout
from .pack import plan_image, plan_weight
from .weight_grad import plan_weight_grad, weight_grad_cost
from .winograd import choose_winograd, from_far, plan_winograd
from .winograd_weight_grad import choose_winograd_weight, plan_winograd_weight

PIXELS = 96  # of a task
TILES = {
    32: [(12, 2), (6, 4), (11, 2), (10, 2), (8, 2), (8, 3), (12, 1), (8, 1)],
    16: [(6, 2), (4, 2), (4, 3), (3, 4), (8, 1)],
}


@dataclasses.dataclass(frozen=True)
class ConvOperand:
    """An operand: images (n, c, *size) or weights (o, c / groups, *kernel), strides in elements."""

    memory: Memory
    dtype: str
    strides: tuple


@dataclasses.dataclass(frozen=True)
class ConvSpec:
    """Geometry of a convolution; every tuple has one entry a spatial dimension (1 to 3). `bias`: a contiguous vector
    over the channels of the written image (forward: filters; input gradient, for transposed convolution: channels) or
    None."""

    batch: int
    channels: int
    filters: int
    size: tuple
    kernel: tuple
    out_size: tuple
    stride: tuple
    padding: tuple
    dilation: tuple
    groups: int
    input: ConvOperand
    weight: ConvOperand
    out: ConvOperand
    bias: ConvOperand = None

    def in_three(self):
        """The same with three spatial dimensions; new ones have size 1."""
        missing = 3 - len(self.size)
        if not missing:
            return self
        ones, zeros = (1,) * missing, (0,) * missing
        changed = {name: ones + getattr(self, name) for name in ("size", "kernel", "out_size", "stride", "dilation")}
        for name in ("input", "weight", "out"):
            tensor = getattr(self, name)
            changed[name] = dataclasses.replace(tensor, strides=tensor.strides[:2] + zeros + tensor.strides[2:])
        return dataclasses.replace(self, padding=zeros + self.padding, **changed)


@dataclasses.dataclass(frozen=True)
class Window:
    """One dimension of a grid of positions (see Note [Windows])."""

    count: int
    x0: int
    step: int
    taps: int
    tap: int
    w0: int
    w_step: int
    y0: int
    y_step: int


def forward_window(size, kernel, out_size, stride, padding, dilation):
    """([Window], zeros before, padded size) of a forward convolution."""
    padded = (out_size - 1) * stride + (kernel - 1) * dilation + 1
    return [Window(out_size, 0, stride, kernel, dilation, 0, 1, 0, 1)], padding, padded


def backward_windows(size, kernel, out_size, stride, padding, dilation):
    """The windows over the output gradient, one a residue of the input position modulo the stride."""
    common = math.gcd(stride, dilation)
    step, tap = stride // common, dilation // common
    found = []
    for residue in range(min(stride, size)):
        count = ceil_div(size - residue, stride)
        first = next((k for k in range(kernel) if (residue + padding - k * dilation) % stride == 0), None)
        if first is None:
            found.append(Window(count, 0, 1, 0, tap, 0, 0, residue, stride))
            continue
        taps = ceil_div(kernel - first, step)
        lowest = (residue + padding - first * dilation) // stride - (taps - 1) * tap
        found.append(Window(count, lowest, 1, taps, tap, first + (taps - 1) * step, -step, residue, stride))
    used = [w for w in found if w.taps]
    low = -min((w.x0 for w in used), default=0)
    high = max((w.x0 + w.count - 1 + (w.taps - 1) * w.tap for w in used), default=0)
    return [dataclasses.replace(w, x0=w.x0 + low if w.taps else 0) for w in found], low, max(high + low + 1, 1)


def plan_conv(spec):
    """out = conv(input, weight) + bias."""
    spec = spec.in_three()
    if conv_pointwise.fits(spec):
        return conv_pointwise.plan_pointwise(spec, "forward")
    dims = [forward_window(*dim) for dim in _dimensions(spec)]
    return _plan_windows(spec, spec.input, spec.size, spec.channels, spec.out, spec.filters, dims, forward=True)


def plan_conv_input_grad(spec):
    """input = gradient of the convolution's input for the gradient `out` of its result, + bias over the channels."""
    spec = spec.in_three()
    if conv_pointwise.fits(spec):
        return conv_pointwise.plan_pointwise(spec, "input")
    dims = [backward_windows(*dim) for dim in _dimensions(spec)]
    return _plan_windows(spec, spec.out, spec.out_size, spec.filters, spec.input, spec.channels, dims, forward=False)


def plan_conv_weight_grad(spec):
    """weight = gradient of the convolution's weight for the gradient `out` of its result."""
    spec = spec.in_three()
    launches = conv_pointwise.plan_pointwise(spec, "weight") if conv_pointwise.fits(spec) and spec.batch else None
    if launches is not None:
        return launches
    dims = [forward_window(*dim) for dim in _dimensions(spec)]
    windows = [d[0][0] for d in dims]
    direct, winograd = _direct_weight(spec, windows), _winograd_weight(spec, windows)
    cheapest = _cheapest(weight_grad_cost(spec), direct, winograd)
    if cheapest is None:
        return plan_weight_grad(spec)
    if cheapest is winograd:
        return plan_winograd_weight(spec, winograd[1])
    return plan_direct_weight(spec, windows, [d[1] for d in dims], direct)


def _cheapest(cost, *found):
    """Of what was found, (cost, ...) or None each, the first with the least cost; None where `cost` is as low."""
    best = min((choice for choice in found if choice is not None), key=lambda choice: choice[0], default=None)
    return best if best is not None and best[0] < cost else None


def _dimensions(spec):
    return list(zip(spec.size, spec.kernel, spec.out_size, spec.stride, spec.padding, spec.dilation))


def _plan_windows(spec, image, size, channels, result, filters, dims, forward):
    """One padded copy of `image`, then weights and convolution for every combination of windows."""
    if spec.batch == 0 or filters == 0 or 0 in (spec.out_size if forward else spec.size):
        return []
    kind = compute_kind(image.dtype)
    lanes = target.current.lanes(kind)
    if channels == 0 or 0 in size:
        dims = [([dataclasses.replace(w, taps=0, x0=0) for w in windows], 0, 1) for windows, _, _ in dims]
    low, padded = [d[1] for d in dims], [d[2] for d in dims]
    launches, memory = [], None
    for windows in itertools.product(*(d[0] for d in dims)):
        direct = _direct(spec, kind, windows, channels, filters, result)
        winograd = _winograd(spec, kind, windows, channels, filters, result)
        cheapest = _cheapest(_product_cost(spec, kind, windows, channels, filters), direct, winograd)
        if cheapest is not None and cheapest is winograd:
            launches += plan_winograd(spec, image, size, low, channels, result, filters, windows, forward, winograd[1])
            continue
        if cheapest is not None:
            launches += plan_direct(spec, image, size, low, result, filters, windows, forward, direct)
            continue
        if memory is None:
            memory, launch = plan_image(image, spec.batch, channels, size, low, padded, lanes)
            launches.append(launch)
        launches += _plan_one(spec, kind, memory, padded, channels, result, filters, windows, forward)
    return [launch for launch in launches if launch.tasks]


def _direct_weight(spec, windows):
    """What conv_direct_weight.choose finds."""
    depth, width = spec.channels // spec.groups, spec.filters // spec.groups
    if 0 in (spec.batch, *spec.size, *spec.out_size, depth, width):
        return None
    return conv_direct_weight.choose(compute_kind(spec.input.dtype), windows, spec.batch, spec.groups, depth, width)


def _winograd_weight(spec, windows):
    """What `choose_winograd_weight` finds."""
    if spec.groups > 1 or 0 in (spec.batch, *spec.size, *spec.out_size):
        return None
    kind = compute_kind(spec.input.dtype)
    return choose_winograd_weight(kind, windows, spec.batch, spec.channels, spec.filters)


def _winograd(spec, kind, windows, channels, filters, result):
    """What `choose_winograd` finds; rows of the result must be contiguous."""
    if spec.groups > 1 or windows[2].count > 1 and result.strides[4] != 1:
        return None
    return choose_winograd(kind, windows, spec.batch, channels, filters)


def _direct(spec, kind, windows, channels, filters, result):
    """What `choose_direct` finds, for few channels or filters."""
    depth, width = channels // spec.groups, filters // spec.groups
    if depth * math.prod(w.taps for w in windows) == 0 or width > 64 and depth > 4:
        return None
    return choose_direct(kind, windows, spec.batch, spec.groups, depth, width, windows[2].y_step * result.strides[4])


def _product_cost(spec, kind, windows, channels, filters):
    """Estimated cycles of the implicit matrix product with its copies on one thread."""
    depth, width = channels // spec.groups, filters // spec.groups
    taps, pixels = math.prod(w.taps for w in windows), spec.batch * math.prod(w.count for w in windows)
    tile = _tile(kind, pixels, width, depth * taps)
    run = depth * (windows[2].taps if spec.groups == 1 and windows[2].tap == 1 else 1)
    step = tile_cost(tile.rows, tile.vectors)
    tiles = ceil_div(pixels, tile.rows) * ceil_div(width, tile.columns) * spec.groups
    cost = tiles * (step * taps * depth + taps * depth / max(run, 1) * 12 + tile.columns * 5 + 60)
    weights = depth * taps * filters
    nbytes = weights * target.current.vector_bytes // tile.lanes
    blocks = ceil_div(pixels, _blocks(tile, pixels, width, nbytes)[0])
    return cost + pixels * channels * 1.2 + weights * 2.5 + from_far(nbytes, blocks)


def _plan_one(spec, kind, memory, padded, channels, result, filters, windows, forward):
    groups, depth, width = spec.groups, channels // spec.groups, filters // spec.groups
    pixels = spec.batch * math.prod(w.count for w in windows)
    taps = [w.taps for w in windows]
    if 0 in taps:
        taps = [0, 0, 0]
    tile = _tile(kind, pixels, width, depth * math.prod(taps))
    o_, c_, *k_ = spec.weight.strides
    if not forward:
        group_stride, o_, c_ = depth * o_, c_, o_
    else:
        group_stride = width * o_
    offset = sum(w.w0 * k for w, k in zip(windows, k_)) if taps[0] else 0
    steps = [w.w_step * k for w, k in zip(windows, k_)]
    panels, launch = plan_weight(
        spec.weight, offset, groups, width, depth, taps, (o_, c_, *steps), group_stride, tile.columns
    )
    row, plane = padded[2] * channels, padded[1] * padded[2] * channels
    image = padded[0] * plane
    merged = groups == 1 and windows[2].tap == 1
    run = depth * taps[2] if merged else depth
    segments = [*taps[:2], min(taps[2], 1)] if merged else taps
    n_, yc, *y_ = result.strides
    y0 = sum(w.y0 * step for w, step in zip(windows, y_))
    x0 = windows[0].x0 * plane + windows[1].x0 * row + windows[2].x0 * channels
    counts = [w.count for w in windows]
    y_steps = [n_, *(w.y_step * step for w, step in zip(windows, y_))]
    kind_size = BYTES[compute_dtype(result.dtype)]
    block, filter_block = _blocks(tile, pixels, width, depth * math.prod(taps) * width * kind_size)
    micro = ConvMicro(tile, kind, result.dtype, spec.bias.dtype if spec.bias else None)
    y = Memory(result.memory.slot, result.memory.offset + y0 * BYTES[result.dtype])
    x = Memory(memory.slot, memory.offset + x0 * kind_size)
    elements = depth * math.prod(taps)
    values = dict(
        x=x,
        w=panels,
        y=y,
        pixels=pixels,
        g1=counts[0],
        g2=counts[1],
        g3=counts[2],
        x0=image,
        x1=windows[0].step * plane,
        x2=windows[1].step * row,
        x3=windows[2].step * channels,
        y0=y_steps[0],
        y1=y_steps[1],
        y2=y_steps[2],
        y3=y_steps[3],
        t0=taps[0],
        t1=max(taps[1], 1),
        t2=1 if merged else max(taps[2], 1),
        q0=windows[0].tap * plane,
        q1=windows[1].tap * row,
        q2=windows[2].tap * channels,
        run=run,
        groups=groups,
        xg=depth,
        wg=ceil_div(width, tile.columns) * tile.columns * elements,
        yg=width * yc,
        yc=yc,
        filters=width,
        block=block,
        filter_block=filter_block,
        filter_blocks=ceil_div(width, filter_block),
        ordered=int(_ordered(counts, y_steps)),
        **_pieces(tile, segments, run, kind_size),
    )
    reads = [memory, panels]
    if spec.bias:
        values["bias"] = spec.bias.memory
        reads.append(spec.bias.memory)
    tasks = ceil_div(pixels, block) * groups * values["filter_blocks"]
    cost = pixels * groups * width * (elements / 40 + 0.3) + 100
    return [launch, Launch(conv_source(micro), layout(micro).values(**values), tasks, cost, reads, (result.memory,))]


def _tile(kind, pixels, width, elements):
    """The register tile that covers the result in the fewest cycles, with what a tile costs beside its `elements`
    steps.
    """
    lanes, best = target.current.lanes(kind), None
    for rows, vectors in fitting(TILES, target.current):
        groups = ceil_div(elements, _room(vectors * lanes, target.current.vector_bytes // lanes))
        cost = elements * tile_cost(rows, vectors) + max(groups, 1) * (rows * vectors * 3 + 50)
        cost *= ceil_div(pixels, rows) * ceil_div(width, vectors * lanes)
        if best is None or cost < best[0]:
            best = (cost, Tile(rows, vectors, lanes))
    return best[1]


def _room(columns, size):
    """How many steps of a weight panel of `columns` are a small part of L2."""
    return max(32, target.current.l2 // 4 // (columns * size))


def _blocks(tile, pixels, width, weight_bytes):
    """(pixels, filters) of a task: more pixels where the weights come from far, filters cut where tasks are few."""
    wanted = min(PIXELS if weight_bytes < target.current.l2 // 2 else 3 * PIXELS, MAX_BLOCK, PARTIAL // tile.columns)
    block = max(1, wanted // tile.rows) * tile.rows
    pixel_blocks = ceil_div(pixels, block)
    block = ceil_div(ceil_div(pixels, pixel_blocks), tile.rows) * tile.rows
    panels = ceil_div(width, tile.columns)
    cuts = max(ceil_div(panels * tile.columns, 512), min(panels, ceil_div(8, pixel_blocks)))
    return block, ceil_div(panels, cuts) * tile.columns


def _pieces(tile, taps, run, size):
    """Static entries of kernel.py, Note [Pieces]: a group's part of a weight panel is a small part of L2."""
    room = _room(tile.columns, size)
    total = math.prod(taps) * run
    if total <= 1.5 * room:
        room = max(room, total)
    parts = max(1, ceil_div(run, room))
    piece = ceil_div(ceil_div(run, parts), 16) * 16 if parts > 1 else max(run, 1)
    parts = max(1, ceil_div(run, piece))
    group = min(MAX_PIECES, max(1, room // piece))
    return dict(piece=piece, parts=parts, group=group, pieces=math.prod(taps) * parts)


def _ordered(counts, steps):
    """Whether offsets grow from pixel to pixel (and from image to image)."""
    span = 0
    for count, step in zip([*reversed(counts), 2], reversed(steps)):
        if count > 1:
            if step <= span:
                return False
            span += (count - 1) * step
    return True
