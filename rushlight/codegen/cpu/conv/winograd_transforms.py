"""Kernels of Winograd convolution F(2x2, 3x3): 3 x 3 taps in steps of one in 16 products for four results, not 36.

In: a zero-padded NHWC image (pack.py) and weights with any strides; out: planes of the result. S. Winograd,
"Arithmetic complexity of computations" (1980); A. Lavin, S. Gray, "Fast algorithms for convolutional neural networks",
arXiv:1509.09308, from which the three matrices are. winograd.py plans them.

Along one dimension two results y of three taps g over four inputs d are y = OUT [(TAPS g) * (IN d)], in two dimensions
the same by rows, then by columns. Summed over channels, the products of each of the 16 positions of a transformed
tile are one matrix product: tiles x channels times channels x filters.

Note [Two results a tile] Larger tiles save more products, but their matrices hold factors other than 0, 1/2 and 1:
errors grow tenfold, and a NaN reaches results that do not read it. With two results y0 reads d0..d2 and y1 reads
d1..d3, in the transforms as in the formula, and errors are those of the plain sum.

Note [A block] A task takes a few rows of tiles (of neighbouring images too) and transforms all their channels into
its part of L2, on the stack; then for every panel of filters it multiplies position by position, transforms back, and
writes each filter's pixels in order. But where the weights of many channels would come from far for every block, the
three steps are launches of their own with all tiles in between, so that the weights are read once ("inputs",
"products", "results").
"""

import dataclasses

from ...ir import builder
from ...ir.kernel import KernelSource
from ...ir.statics import StaticLayout, kernel, split
from ...ir.vectors import DTYPES, columns_of, gather, load, mask_below, memory_kind, quad, store
from ..gemm.microkernel import Micro, emit_micro
from ..gemm.tiles import Tile

IN = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
OUT = ((1, 1, 1, 0), (0, 1, -1, -1))
TAPS = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
POSITIONS = 16
SKEW = 16  # elements between the positions of a block: their lines must not share a set of the caches
INPUTS, PRODUCTS, RESULTS = 786432, 393216, 114688  # bytes of a task's transformed tiles, their products, results
STACK = 4 << 20  # bytes that a thread must have for them and all else
AHEAD = 4  # channels of weights asked for in advance
ROWS = 128  # rows of tiles of a task
OPERANDS = {"whole": "@x @u @y", "inputs": "@x @v vp", "products": "@u @v @m vp mp", "results": "@m @y mp"}
GRID = "lines high segment segments block height width image row yn yc yh channels filters panels share shares".split()
WEIGHT = StaticLayout("@source", "@u", "filters", "channels", "o_", "c_", "h_", "w_", "strip", "strips")


def block_of(fn, nbytes):
    """Room on the stack for a block of so many bytes of tiles."""
    return fn.alloca(f"[{nbytes + POSITIONS * SKEW * 8} x i8]", 64)


def transformed(fn, matrix, grid):
    """matrix @ grid @ matrix^T for a square list of lists of values."""
    turned = [_combined(fn, matrix, column) for column in zip(*grid)]  # [column][row of the result]
    return [_combined(fn, matrix, row) for row in zip(*turned)]


def _combined(fn, matrix, values):
    found = []
    for factors in matrix:
        total = None
        for factor, value in zip(factors, values):
            if factor:
                term = value if abs(factor) == 1 else value * abs(factor)
                if total is None:
                    total = term if factor > 0 else -term
                else:
                    total = total + term if factor > 0 else total - term
        found.append(total)
    return found


# -- weights -----------------------------------------------------------------------------------------------------------


def weight_source(dtype, kind, tile):
    """KernelSource that transforms weights into [panel][position][channel][columns]; filters beyond the last repeat
    it. A task takes a panel and a strip of channels."""

    def emit(module, name):
        fn = kernel(module, name)
        s = WEIGHT.open(fn)
        panel, strip = split(fn, fn.args[2], s.strips)
        first, c0 = panel * tile.columns, strip * s.strip
        plane = s.channels * tile.columns + SKEW
        to = fn.gep(s.u, panel * plane * POSITIONS, kind)
        words, memory = builder.vector("i64", tile.lanes), memory_kind(dtype)
        last = fn.minimum(c0 + s.strip, s.channels)
        with fn.loop(0, tile.columns, tile.lanes) as j:
            filters = fn.minimum(fn.splat(first + j, tile.lanes) + fn.iota(words), s.filters - 1) * s.o_
            with fn.loop(c0, last) as c:
                line = fn.gep(to, c * tile.columns + j, kind)
                for position in range(POSITIONS):
                    fn.prefetch(fn.gep(line, plane * position + AHEAD * tile.columns, kind), write=True)
                with fn.loop(0, tile.lanes) as lane:
                    place = fn.minimum(first + j + lane, s.filters - 1) * s.o_ + (c + AHEAD) * s.c_
                    fn.prefetch(fn.gep(s.source, place, memory))
                start = fn.gep(s.source, c * s.c_, memory)
                grid = [
                    [gather(fn, fn.gep(start, s.h_ * h + s.w_ * w, memory), filters, dtype) for w in range(3)]
                    for h in range(3)
                ]
                values = [value for row in transformed(fn, TAPS, grid) for value in row]
                for position, value in enumerate(values):
                    fn.store_vector(value, line, plane * position)
        fn.ret()

    return KernelSource(("conv_winograd_weight", dtype, kind, tile), emit)


# -- blocks of tiles ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Winograd:
    """Structure of a kernel: the step (Note [A block]), tile, compute type `kind`, dtypes of the result and of the
    bias (None: absent)."""

    step: str
    tile: Tile
    kind: str
    out: str
    bias: str = None


def layout(structure):
    return StaticLayout(*OPERANDS[structure.step].split(), *GRID, *(["@bias"] if structure.bias else []))


def block_source(structure):
    """KernelSource of a launch over blocks of tiles."""
    step, kind, lanes = structure.step, structure.kind, structure.tile.lanes
    compute = DTYPES[kind]

    def emit(module, name):
        if step in ("whole", "inputs"):
            emit_inputs(module, name + "_inputs", kind, lanes)
        if step in ("whole", "products"):
            emit_micro(module, name + "_tile", Micro(structure.tile, kind, compute, compute, compute, a_mode="along"))
        if step in ("whole", "results"):
            _emit_results(module, name + "_results", structure)
            _emit_copy(module, name + "_copy", structure)
        STEPS[step](module, name, structure)

    return KernelSource(("conv_winograd", structure), emit)


def emit_inputs(module, name, kind, lanes):
    """Add a function: for `count` tiles, two pixels apart in a row, v[position][tile][depth] from the image."""
    _emit_forth(module, name, kind, lanes, IN)


def emit_gradients(module, name, kind, lanes):
    """Add a function: the same from the 2 x 2 gradients of every tile's results."""
    _emit_forth(module, name, kind, lanes, tuple(zip(*OUT)))


def _emit_forth(module, name, kind, lanes, matrix):
    names = [("ptr", "x"), ("i64", "row"), ("i64", "pixel"), ("i64", "count"), ("i64", "depth")]
    names += [("ptr", "v"), ("i64", "vp"), ("i64", "vt")]
    fn = module.function(name, names, linkage="internal", attributes="nounwind noinline")
    x, row, pixel, count, depth, v, vp, vt = fn.args
    side = range(len(matrix[0]))
    with fn.loop(0, count) as tile:
        corner = fn.gep(x, tile * pixel * 2, kind)
        to = fn.gep(v, tile * vt, kind)
        with fn.loop(0, depth, lanes) as c:
            grid = [[fn.load_vector(corner, row * i + pixel * j + c, kind, lanes) for j in side] for i in side]
            for position, value in enumerate(value for line in transformed(fn, matrix, grid) for value in line):
                fn.store_vector(value, to, vp * position + c)
    fn.ret()


def _emit_results(module, name, structure):
    """Add a function: results[column][2 rows][pitch] of one row of tiles from their products."""
    tile, kind = structure.tile, structure.kind
    names = [("ptr", "m"), ("i64", "mp"), ("i64", "count"), ("ptr", "results"), ("i64", "plane"), ("i64", "pitch")]
    fn = module.function(name, names, linkage="internal", attributes="nounwind noinline")
    m, mp, count, results, plane, pitch = fn.args
    together = quad(kind) // 2  # tiles whose pixels in a row fill 16 bytes; the last may be none: it is never read
    with fn.loop(0, count, together) as first, fn.loop(0, tile.columns, tile.lanes) as j:
        rows = [[], []]
        for t in range(together):
            at = fn.gep(m, (first + t) * tile.columns + j, kind)
            grid = [[fn.load_vector(at, mp * (4 * h + w), kind, tile.lanes) for w in range(4)] for h in range(4)]
            for row, pixels in zip(rows, transformed(fn, OUT, grid)):
                row += pixels
        for i, row in enumerate(rows):
            to = fn.gep(results, j * plane + pitch * i + first * 2, kind)
            for column, pixels in enumerate(columns_of(fn, row)):
                fn.store_vector(pixels, to, plane * column)
    fn.ret()


def _emit_copy(module, name, structure):
    """Add a function: write one filter's rows of pixels; table: (place in `results`, place in y) a row."""
    kind, lanes, out = structure.kind, structure.tile.lanes, structure.out
    names = [("ptr", "results"), ("ptr", "y"), ("ptr", "table"), ("i64", "count"), ("i64", "width"), (kind, "bias")]
    fn = module.function(name, names, linkage="internal", attributes="nounwind noinline")
    results, y, table, count, width, bias = fn.args
    whole = width & -lanes
    mask = mask_below(fn, width - whole, lanes)
    with fn.loop(0, count) as row:
        source = fn.gep(results, fn.load_at(table, row * 2, "i64"), kind)
        to = fn.gep(y, fn.load_at(table, row * 2 + 1, "i64"), memory_kind(out))

        def part(x, mask=None):
            value = fn.load_vector(source, x, kind, lanes)
            store(fn, value + fn.splat(bias, lanes) if structure.bias else value, to, x, out, mask)

        with fn.loop(0, whole, lanes) as x:
            part(x)
        with fn.if_(whole < width):
            part(whole, mask)
    fn.ret()


class _Task:
    """One emission of a kernel: its task's rows of tiles, and the steps over them."""

    def __init__(self, module, name, structure):
        self.fn, self.name, self.structure = kernel(module, name), name, structure
        self.s = layout(structure).open(self.fn)
        self.depth = (self.s.channels + (structure.tile.lanes - 1)) & -structure.tile.lanes

    def take(self, block, segment):
        """The task's rows of tiles: `segment` of each row of `block`."""
        s, fn = self.s, self.fn
        self.first, self.x0 = block * s.block, segment * s.segment * 2
        self.lines = fn.minimum(s.lines - self.first, s.block)

    def call(self, suffix, *args):
        self.fn.call("void", self.name + suffix, *args)

    def transform(self, v, vp):
        """v[position][tile][depth] from the image."""
        s, fn, kind = self.s, self.fn, self.structure.kind
        with fn.loop(0, self.lines) as line:
            n, h = split(fn, self.first + line, s.high)
            corner = fn.gep(s.x, n * s.image + h * 2 * s.row + self.x0 * s.channels, kind)
            to = fn.gep(v, line * s.segment * self.depth, kind)
            self.call("_inputs", corner, s.row, s.channels, s.segment, s.channels, to, vp, self.depth)

    def multiply(self, v, m, count, panel, position):
        """m[tile][columns] of a position and a panel from v[tile][depth]."""
        s, fn, tile, kind = self.s, self.fn, self.structure.tile, self.structure.kind
        u = fn.gep(s.u, (panel * POSITIONS + position) * (s.channels * tile.columns + SKEW), kind)
        zero, one, columns = fn.constant(0), fn.constant(1), fn.constant(tile.columns)
        with fn.loop(0, count, tile.rows) as t:
            a, c = fn.gep(v, t * self.depth, kind), fn.gep(m, t * tile.columns, kind)
            high = fn.minimum(count - t, tile.rows)
            self.call("_tile", s.channels, a, self.depth, one, high, columns, u, zero, c, columns, one, one)

    def places(self):
        """What `finish` needs: a buffer, and where the rows of pixels lie in it and in the result."""
        s, fn, kind = self.s, self.fn, self.structure.kind
        self.results = fn.alloca(f"[{RESULTS} x i8]", 64)
        self.table = fn.alloca(f"[{4 * ROWS} x i64]", 64)
        self.rows = fn.variable("i64", 0)
        self.pitch = (s.segment * 2 + (quad(kind) - 1)) & -quad(kind)
        self.plane = self.lines * 2 * self.pitch + SKEW
        with fn.loop(0, self.lines) as line:
            n, h = split(fn, self.first + line, s.high)
            for i in range(2):
                with fn.if_(h * 2 + i < s.height):
                    at = self.rows.get()
                    fn.store_at((line * 2 + i) * self.pitch, self.table, at * 2)
                    fn.store_at(n * s.yn + (h * 2 + i) * s.yh + self.x0, self.table, at * 2 + 1)
                    self.rows.set(at + 1)

    def finish(self, m, mp, panel):
        """The pixels of a panel of filters from m[position][tile][columns]."""
        s, fn, structure, kind = self.s, self.fn, self.structure, self.structure.kind
        with fn.loop(0, self.lines) as line:
            source = fn.gep(m, line * s.segment * structure.tile.columns, kind)
            to = fn.gep(self.results, line * 2 * self.pitch, kind)
            self.call("_results", source, mp, s.segment, to, self.plane, self.pitch)
        width = fn.minimum(s.width - self.x0, s.segment * 2)
        o0 = panel * structure.tile.columns
        with fn.loop(0, fn.minimum(s.filters - o0, structure.tile.columns)) as o:
            bias = load(fn, s.bias, o0 + o, structure.bias) if structure.bias else fn.constant(0, kind)
            y = fn.gep(s.y, (o0 + o) * s.yc, memory_kind(structure.out))
            source = fn.gep(self.results, o * self.plane, kind)
            self.call("_copy", source, y, self.table, self.rows.get(), width, bias)

    def panels(self, share):
        """A loop over the panels of filters of a share."""
        s = self.s
        return self.fn.loop(share * s.share, self.fn.minimum((share + 1) * s.share, s.panels))


def _emit_whole(module, name, structure):
    """A task: some rows of tiles (a segment of each), some panels of filters."""
    task = _Task(module, name, structure)
    fn, s, kind, columns = task.fn, task.s, structure.kind, structure.tile.columns
    rest, share = split(fn, fn.args[2], s.shares)
    task.take(*split(fn, rest, s.segments))
    inputs, products = block_of(fn, INPUTS), block_of(fn, PRODUCTS)
    count = task.lines * s.segment
    vp, mp = count * task.depth + SKEW, count * columns + SKEW
    task.transform(inputs, vp)
    task.places()
    with task.panels(share) as panel:
        with fn.loop(0, POSITIONS) as position:
            v, m = fn.gep(inputs, position * vp, kind), fn.gep(products, position * mp, kind)
            task.multiply(v, m, count, panel, position)
        task.finish(products, mp, panel)
    fn.ret()


def _emit_inputs(module, name, structure):
    """A task: some rows of tiles."""
    task = _Task(module, name, structure)
    fn, s = task.fn, task.s
    task.take(fn.args[2], fn.constant(0))
    task.transform(fn.gep(s.v, task.first * s.segment * task.depth, structure.kind), s.vp)
    fn.ret()


def _emit_products(module, name, structure):
    """A task: a position, some tiles, some panels of filters."""
    task = _Task(module, name, structure)
    fn, s, kind, columns = task.fn, task.s, structure.kind, structure.tile.columns
    rest, share = split(fn, fn.args[2], s.shares)
    position, block = split(fn, rest, s.segments)
    tiles, first = s.lines * s.segment, block * s.block
    v = fn.gep(s.v, position * s.vp + first * task.depth, kind)
    with task.panels(share) as panel:
        m = fn.gep(s.m, position * s.mp + (panel * tiles + first) * columns, kind)
        task.multiply(v, m, fn.minimum(tiles - first, s.block), panel, position)
    fn.ret()


def _emit_pixels(module, name, structure):
    """A task: some rows of tiles, some panels of filters."""
    task = _Task(module, name, structure)
    fn, s, columns = task.fn, task.s, structure.tile.columns
    block, share = split(fn, fn.args[2], s.shares)
    task.take(block, fn.constant(0))
    task.places()
    with task.panels(share) as panel:
        place = (panel * s.lines + task.first) * s.segment * columns
        task.finish(fn.gep(s.m, place, structure.kind), s.mp, panel)
    fn.ret()


STEPS = {"whole": _emit_whole, "inputs": _emit_inputs, "products": _emit_products, "results": _emit_pixels}
