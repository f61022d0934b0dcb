"""Loop kernels that turn tiles: some operands are contiguous along the columns, others along the rows.

The input is a LoopSpec of kind "tile": element-wise, the last K dimension is the rows of the tiles, the last R
dimension their columns; accesses of mode "t" are contiguous along the rows. A tile has as many rows and columns as a
register has lanes of the widest element. Operands of mode "t" are read column by column, turned in registers, and kept
in a buffer of one tile, from which the body reads rows; results of mode "t" go the other way. So every cache line is
read and written once and whole. What does not fill a tile is done element by element. Read `loops` first.
"""

from ...core import dtype as dt
from ..bodies.handler import stored_type
from ..ir.builder import vector
from .emitter import EMITTERS, LoopEmitter
from .nodes import Load


class TileEmitter(LoopEmitter):
    """Writes one kernel of kind "tile"."""

    def body(self, start, chunk):
        """Tasks share strips of rows, one tile high."""
        fn, spec = self.fn, self.spec
        self.inside = False  # whether accesses of mode "t" mean the buffer
        turned = [i for i, (_, mode) in enumerate(spec.accesses) if mode == "t"]
        self.buffers = {i: fn.alloca(f"[{self.width} x {self.row_type(i)}]", 64) for i in turned}
        self.written = [a for a, _, _ in spec.stores if a in self.buffers]
        self.read = [n.access for n in spec.nodes if n.__class__ is Load and n.access in self.buffers]
        outer, rows = self.sizes_k[:-1], self.sizes_k[-1]
        strips = (rows + (self.width - 1)) // self.width
        with fn.loop(start, fn.minimum(start + chunk, self.product([*outer, strips]))) as index:
            self.index_k = self.decompose(index // strips, outer)
            self.first = (index % strips) * self.width
            self.strip = []
            for base, strides in zip(self.bases, self.strides_k):
                for i, s in zip([*self.index_k, self.first], strides):
                    base = fn.gep(base, i * s)
                self.strip.append(base)
            self.row_width, self.row_mask = 1, None
            self.row_handler = self.handler(1, None)
            self.row_pointers, self.row_values = self.strip, {}
            self.row_stage(0)
            height = fn.minimum(rows - self.first, fn.constant(self.width))
            columns = self.sizes_r[-1]
            whole = fn.select(height >= self.width, columns & -self.width, fn.constant(0))
            with fn.loop(0, whole, self.width) as j:
                self.tile(j)
            with fn.loop(0, height) as r:
                pointers = self.row_of(r)
                with fn.loop(whole, columns) as j:
                    self.elements(pointers, j, 1)

    def elements(self, pointers, j, width):
        self.step(0, [], [(a, n) for a, n, _ in self.spec.stores], pointers, [], j, width, None)

    def row_of(self, r):
        """The pointers of row r of the strip, in memory."""
        return [self.fn.gep(base, r * strides[-1]) for base, strides in zip(self.strip, self.strides_k)]

    def row_type(self, access):
        return vector(stored_type(dt.by_name(self.spec.accesses[access][0])), self.width)

    def size(self, access):
        return dt.by_name(self.spec.accesses[access][0]).itemsize

    def tile(self, j):
        """One whole tile at column j."""
        fn = self.fn
        for access in dict.fromkeys(self.read):
            self.move(access, j, into=True)
        self.inside = True
        with fn.loop(0, self.width) as r:
            pointers = self.row_of(r)
            for access, buffer in self.buffers.items():
                pointers[access] = fn.gep(buffer, r * (self.width * self.size(access)))
            self.elements(pointers, j, self.width)
        self.inside = False
        for access in dict.fromkeys(self.written):
            self.move(access, j, into=False)

    def move(self, access, j, into):
        """Copy a tile of mode "t" into its buffer, turned, or back."""
        fn, kind, size = self.fn, self.row_type(access), self.size(access)
        stride = self.strides_r[access][-1]
        columns = [fn.gep(self.strip[access], (j + c) * stride) for c in range(self.width)]
        rows = [fn.gep(self.buffers[access], fn.constant(r * self.width * size)) for r in range(self.width)]
        source, target_ = (columns, rows) if into else (rows, columns)
        values = self.turned([fn.load(p, kind, size) for p in source])
        for pointer, value in zip(target_, values):
            fn.store(value, pointer, size)

    def turned(self, rows):
        """The columns of a square of registers: halves of lanes change places, then quarters, and so on."""
        count = self.width
        half = count // 2
        while half:
            for i in range(count):
                if i & half:
                    continue
                a, b = rows[i], rows[i + half]
                low = [lane if not lane & half else lane - half + count for lane in range(count)]
                high = [lane + half if not lane & half else lane + count for lane in range(count)]
                rows[i], rows[i + half] = self.fn.shuffle(a, b, low), self.fn.shuffle(a, b, high)
            half //= 2
        return rows

    def at(self, pointer, access, j):
        if self.spec.accesses[access][1] != "t":
            return super().at(pointer, access, j)
        return pointer if self.inside else self.fn.gep(pointer, j * self.strides_r[access][-1])

    def load(self, dtype, pointer, mode, strides, handler):
        return super().load(dtype, pointer, 1 if mode == "t" else mode, strides, handler)

    def store_mode(self, access):
        mode = super().store_mode(access)
        return 1 if mode == "t" else mode


EMITTERS["tile"] = TileEmitter
