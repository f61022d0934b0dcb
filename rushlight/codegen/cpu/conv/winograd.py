"""Plans of Winograd convolutions: forward and gradient of the input (conv_winograd_weight.py: of the weight).

In: an image with any strides (copied to zero-padded NHWC, pack.py), weights with any strides; out: planes of the
result. conv.py chooses between this and the other kernels with the costs given here; winograd.py holds the kernels.
"""

import dataclasses

from ...ir import builder, target
from ...ir.kernel import Launch, Memory, Scratch
from ...ir.statics import ceil_div
from ...ir.vectors import BYTES, compute_dtype, compute_kind
from ..gemm.tiles import Tile, fitting, tile_cost
from .pack import plan_image
from .winograd_transforms import (
    INPUTS,
    POSITIONS,
    PRODUCTS,
    RESULTS,
    ROWS,
    SKEW,
    STACK,
    WEIGHT,
    Winograd,
    block_source,
    layout,
    weight_source,
)

TILES = {
    32: [(6, 4), (12, 2), (14, 2), (10, 2), (8, 2)],
    16: [(6, 2), (5, 2), (4, 2), (4, 3)],
}
FAR = 4  # bytes a cycle that one core gets from beyond its L2


@dataclasses.dataclass(frozen=True)
class Cut:
    """How the tiles are divided: register tile; `high` x `wide` tiles an image; tasks of `block` rows of `segment`
    tiles, and `share` panels of filters; `whole`: in one launch."""

    tile: Tile
    high: int
    wide: int
    block: int
    segment: int
    share: int
    whole: bool


def applies(kind, windows, channels, filters):
    """Whether this is a 3 x 3 convolution of floats in steps of one, with channels and filters for a vector, on
    threads with room for its blocks."""
    if not builder.is_float(kind) or min(channels, filters) < target.current.lanes(kind):
        return False
    if target.current.stack < STACK:
        return False
    plain = all((w.taps, w.tap, w.step, w.y_step) == (3, 1, 1, 1) for w in windows[1:])
    return plain and (windows[0].taps, windows[0].count) == (1, 1)


def choose_winograd(kind, windows, batch, channels, filters):
    """(cost in cycles, Cut) of the cheapest tile, or None where this kernel does not apply."""
    if not applies(kind, windows, channels, filters):
        return None
    lanes = target.current.lanes(kind)
    shapes = [Tile(rows, vectors, lanes) for rows, vectors in fitting(TILES, target.current)]
    high, wide = (ceil_div(w.count, 2) for w in windows[1:])
    found = [_cut(tile, high, wide, batch * high, channels, filters, whole) for tile in shapes for whole in (0, 1)]
    best = min((cut for cut in found if cut is not None), key=lambda cut: cut[0], default=None)
    if best is None:
        return None
    copies = batch * channels * windows[1].count * windows[2].count * 1.2 + filters * channels * 20
    return best[0] + copies, best[1]


def from_far(nbytes, times):
    """Cycles in which operands that do not stay in L2 are fetched."""
    return nbytes * times / FAR if nbytes > target.current.l2 // 2 else 0


def _cut(tile, high, wide, lines, channels, filters, whole):
    """(cost, Cut) with a register tile, or None where no block fits."""
    size = target.current.vector_bytes // tile.lanes
    depth, panels = ceil_div(channels, tile.lanes) * tile.lanes, ceil_div(filters, tile.columns)
    room = min(int(0.6 * target.current.l2) // ((depth if whole else 0) + tile.columns), PRODUCTS // tile.columns)
    room = (min(room, INPUTS // depth) if whole else room) // (POSITIONS * size)
    segment = ceil_div(wide, ceil_div(wide, max(1, room)))
    pitch = ceil_div(segment * 2 * size, 16) * 16 // size
    block = min(lines, ROWS, room // segment, (RESULTS // (tile.columns * size) - SKEW) // (2 * pitch))
    if block < 1 or not whole and segment < wide:
        return None
    if whole:
        block = min(range(ceil_div(block, 2), block + 1), key=lambda n: ceil_div(n * segment, tile.rows) / n)
    tiles, blocks = lines * wide, ceil_div(lines, block) * ceil_div(wide, segment)
    groups = blocks * ceil_div(block * segment, tile.rows) if whole else ceil_div(tiles, tile.rows)
    cost = POSITIONS * groups * panels * (channels * tile_cost(tile.rows, tile.vectors) + 2 * tile.rows * tile.vectors)
    cost += tiles * (ceil_div(channels, tile.lanes) * 40 + panels * tile.vectors * 60)
    cost += from_far(POSITIONS * channels * filters * size, blocks if whole else 1)
    if not whole:
        cost += from_far(POSITIONS * tiles * (channels + filters) * size, 3)
    share = ceil_div(panels, max(1, min(panels, 8 // blocks)))
    return cost, Cut(tile, high, wide, block, segment, share, bool(whole))


def plan_winograd(spec, image, size, low, channels, result, filters, windows, forward, cut):
    """Launches for one combination of windows; the arguments are those of conv.py's `_plan_one`."""
    tile, dtype = cut.tile, compute_dtype(result.dtype)
    kind, nbytes = compute_kind(dtype), BYTES[dtype]
    segments, lines = ceil_div(cut.wide, cut.segment), spec.batch * cut.high
    padded = [1, cut.high * 2 + 2, segments * cut.segment * 2 + 2]
    x, copy = plan_image(image, spec.batch, channels, size, low, padded, tile.lanes)
    o_, c_, *k_ = spec.weight.strides
    o_, c_ = (o_, c_) if forward else (c_, o_)
    offset = sum(w.w0 * k for w, k in zip(windows, k_))
    strides = (o_, c_, *(w.w_step * k for w, k in zip(windows[1:], k_[1:])))
    u, transform = _plan_weight(spec.weight, offset, filters, channels, strides, tile, kind)
    panels, blocks = ceil_div(filters, tile.columns), ceil_div(lines, cut.block) * segments
    n_, yc, _, yh, _ = result.strides
    grid = dict(
        lines=lines,
        high=cut.high,
        segment=cut.segment,
        segments=segments,
        block=cut.block,
        height=windows[1].count,
        width=windows[2].count,
        image=padded[1] * padded[2] * channels,
        row=padded[2] * channels,
        yn=n_,
        yc=yc,
        yh=yh,
        channels=channels,
        filters=filters,
        panels=panels,
        share=cut.share,
        shares=ceil_div(panels, cut.share),
    )
    bias = {"bias": spec.bias.memory} if spec.bias else {}
    outer = (result.dtype, spec.bias.dtype if spec.bias else None)

    def launch(step, tasks, cost, reads, writes, *dtypes, **values):
        structure = Winograd(step, tile, kind, *dtypes)
        static = layout(structure).values(**{**grid, **reads, **writes, **values})
        return Launch(block_source(structure), static, tasks, cost, (*reads.values(),), (*writes.values(),))

    products = POSITIONS * lines * cut.wide * channels * filters / 40
    if cut.whole:
        reads = {"x": x, "u": u, **bias}
        whole = launch("whole", blocks * grid["shares"], products, reads, {"y": result.memory}, *outer)
        return [copy, transform, whole]
    tiles, depth = lines * cut.wide, ceil_div(channels, tile.lanes) * tile.lanes
    vp, mp = tiles * depth + SKEW, tiles * panels * tile.columns + SKEW
    v, m = (Memory(Scratch((POSITIONS * pitch + tile.columns) * nbytes)) for pitch in (vp, mp))
    near = max(1, min(tiles, target.current.l2 // (3 * depth * nbytes)) // tile.rows) * tile.rows
    return [
        copy,
        transform,
        launch("inputs", blocks, tiles * channels, {"x": x}, {"v": v}, "", vp=vp),
        launch("products", POSITIONS * ceil_div(tiles, near) * grid["shares"], products, {"u": u, "v": v}, {"m": m},
               "", vp=vp, mp=mp, block=near, segments=ceil_div(tiles, near)),
        launch("results", blocks * grid["shares"], tiles * filters, {"m": m, **bias}, {"y": result.memory}, *outer,
               mp=mp),
    ]


def _plan_weight(tensor, offset, filters, channels, strides, tile, kind):
    panels = ceil_div(filters, tile.columns)
    size = BYTES[compute_dtype(tensor.dtype)]
    memory = Memory(Scratch(panels * POSITIONS * (channels * tile.columns + SKEW) * size))
    strip = min(channels, 32)
    strips = ceil_div(channels, strip)
    source = Memory(tensor.memory.slot, tensor.memory.offset + offset * BYTES[tensor.dtype])
    values = dict(zip(("o_", "c_", "h_", "w_"), strides))
    static = WEIGHT.values(
        source=source, u=memory, filters=filters, channels=channels, strip=strip, strips=strips, **values
    )
    cost = 5.0 * filters * channels + 50
    launch = Launch(weight_source(tensor.dtype, kind, tile), static, panels * strips, cost, (tensor.memory,), (memory,))
    return memory, launch


