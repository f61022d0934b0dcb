"""Pictures of bytes: functions that are called directly, outside of the stream.

`filter_line` fills the table of one dimension of a resize: for each result the first source pixel, and the weights of
the pixels from there on. `resample` applies the tables of both dimensions, columns first. It stores bytes, or the
floats that a table has for them. `resample_rows` applies the table of rows alone. Weights are integers, and the result
of each dimension is rounded to a byte: these are the numbers of Pillow (22 bits) and of PyTorch (as many bits as fit
into 16). `scale_samples` normalises a picture that stays as it is.

A crop is another address, a part of the result another range of the table, a mirrored picture the table in reverse
order, so none of them costs anything.

The resampling functions take the address of a block of 64-bit words, named by `LINE_WORDS`, `RESAMPLE_WORDS` and
`ROWS_WORDS`.
"""

from ...ir.builder import Module

LANES = 16
FILTERS = {"bilinear": 1, "bicubic": 2}  # reach of the filters
SYMBOLS = ("rushlight_filter_line", "rushlight_resample", "rushlight_resample_rows")
SCALE = "rushlight_scale_samples"

LINE_WORDS = ("cubic", "size", "scale", "first", "step", "count", "taps", "bits", "starts", "weights", "exact")
RESAMPLE_WORDS = (
    "source", "line_stride", "row_stride", "lines", "line_bytes", "pixel_step", "channel_step", "channels", "height",
    "out_width", "out_height", "across_taps", "across_starts", "across_weights", "across_bits", "down_taps",
    "down_starts", "down_weights", "down_bits", "rows", "middle", "out", "table",
)
ROWS_WORDS = (
    "source", "line_stride", "row_stride", "lines", "line_bytes", "height", "out_height", "taps", "starts", "weights",
    "bits", "out",
)


def text():
    """The IR of the functions."""
    module = Module()
    for function in (_Line, _Resample, _Rows):
        function(module).emit()
    return module.text()


def scale_text():
    """The IR of `void(bytes, result, pixels, channels, statistics)`: (byte / 255 - mean) / std, channel by channel.
    `statistics` holds mean and std of each."""
    module = Module()
    fn = module.function(SCALE, [("ptr", "samples"), ("ptr", "out"), ("i64", "pixels"), ("i64", "channels"),
                                 ("ptr", "statistics")])
    samples, out, pixels, channels, statistics = fn.args

    def scaled(value, kind, mean, std):
        """One vector or sample: bytes to floats."""
        return (fn.cast("uitofp", value, kind) / fn.constant(255.0, kind) - fn.convert(mean, kind)) / fn.convert(
            std, kind)
    wide = f"<{LANES} x float>"
    with fn.loop(0, channels) as channel:
        mean = fn.load_at(statistics, channel * 2, "float")
        std = fn.load_at(statistics, channel * 2 + 1, "float")
        source, target = fn.gep(samples, channel), fn.gep(out, channel * pixels, "float")
        whole = pixels & -LANES

        def neighbours():
            with fn.loop(0, whole, LANES) as i:
                fn.store_vector(scaled(fn.load_vector(source, i, "i8", LANES), wide, mean, std), target, i)

        def strided():
            with fn.loop(0, whole, LANES) as i:
                value = fn.poison(f"<{LANES} x i8>")
                for lane in range(LANES):
                    value = fn.insert(value, fn.load(fn.gep(source, (i + lane) * channels), "i8"), lane)
                fn.store_vector(scaled(value, wide, mean, std), target, i)
        fn.if_else(channels.eq(1), neighbours, strided)
        with fn.loop(whole, pixels) as i:
            fn.store_at(scaled(fn.load(fn.gep(source, i * channels), "i8"), "float", mean, std), target, i)
    fn.ret()
    return module.text()


class _Native:
    """A function of one block of words, which become attributes."""

    def __init__(self, module, name, words):
        self.fn = fn = module.function(name, [("ptr", "words")], returns="i64")
        for number, word in enumerate(words):
            setattr(self, word, fn.load_at(fn.args[0], number, "i64"))

    def pointer(self, word):
        """A word that is an address."""
        return self.fn.cast("inttoptr", word, "ptr")

    def index(self, pointer, number):
        """An index from a table of 32-bit integers."""
        return self.fn.cast("sext", self.fn.load_at(pointer, number, "i32"), "i64")

    def vector(self, value):
        """The lanes of a vector of 32-bit integers."""
        return self.fn.splat(self.fn.cast("trunc", value, "i32"), LANES)

    def samples(self, pointer, place):
        """LANES bytes as integers."""
        return self.fn.cast("zext", self.fn.load_vector(pointer, place, "i8", LANES), f"<{LANES} x i32>")

    def half(self, bits):
        """What weighted sums start with, to be rounded."""
        return self.vector(self.fn.constant(1) << (bits - 1))

    def rounded(self, total, bits):
        """Weighted sums as bytes."""
        fn = self.fn
        value = total >> self.vector(bits)
        value = fn.minimum(fn.maximum(value, fn.constant(0, value.type)), fn.constant(255, value.type))
        return fn.cast("trunc", value, f"<{LANES} x i8>")


class _Line(_Native):
    """The table of one dimension.

    Words: whether the filter is cubic; source pixels; source pixels a result (the bits of a double); the first result,
    the step to the next one, their number (the last one fills up the block); taps; bits of a weight, 0 for as many as
    fit into 16 bits; addresses of the starts (i32), of the weights (i32), and of room for the weights as doubles.
    Returns the bits of a weight.
    """

    def __init__(self, module):
        super().__init__(module, SYMBOLS[0], LINE_WORDS)

    def emit(self):
        fn = self.fn
        scale = fn.cast("bitcast", self.scale, "double")
        stretch = fn.select(scale > 1.0, scale, fn.constant(1.0, "double"))
        cubic = self.cubic.ne(0)
        support = fn.select(cubic, stretch * 2.0, stretch)
        starts, weights, exact = (self.pointer(word) for word in (self.starts, self.weights, self.exact))
        highest = fn.variable("double", 0.0)
        padded = (self.count + LANES - 1) & -LANES
        with fn.loop(0, padded) as i:
            result = self.first + fn.minimum(i, self.count - 1) * self.step
            center = (fn.cast("sitofp", result, "double") + 0.5) * scale
            start = fn.maximum(fn.cast("fptosi", center - support + 0.5, "i64"), 0)
            end = fn.minimum(fn.cast("fptosi", center + support + 0.5, "i64"), self.size)
            fn.store_at(fn.cast("trunc", start, "i32"), starts, i)
            total = fn.variable("double", 0.0)
            row = i * self.taps
            with fn.loop(0, self.taps) as tap:
                position = start + tap
                distance = (fn.cast("sitofp", position, "double") - center + 0.5) * (1.0 / stretch)
                weight = self.filter(fn.intrinsic("llvm.fabs.f64", "double", distance), cubic)
                weight = fn.select(position < end, weight, fn.constant(0.0, "double"))
                fn.store_at(weight, exact, row + tap)
                total.set(total.get() + weight)
            with fn.loop(0, self.taps) as tap:
                weight = fn.load_at(exact, row + tap, "double") / total.get()
                fn.store_at(weight, exact, row + tap)
                highest.set(fn.select(weight > highest.get(), weight, highest.get()))
        bits = self.precision(highest.get())
        factor = fn.cast("sitofp", fn.constant(1) << bits, "double")
        with fn.loop(0, padded) as i, fn.loop(0, self.taps) as tap:
            weight = fn.load_at(exact, i * self.taps + tap, "double") * factor
            half = fn.select(weight < 0.0, fn.constant(-0.5, "double"), fn.constant(0.5, "double"))
            fn.store_at(fn.cast("fptosi", weight + half, "i32"), weights, i * self.taps + tap)
        fn.ret(bits)

    def filter(self, x, cubic):
        """The weight at a distance: a triangle, or the cubic convolution of Keys with a = -0.5."""
        fn = self.fn
        zero = fn.constant(0.0, "double")
        triangle = fn.select(x < 1.0, 1.0 - x, zero)
        inner, outer = (x * 1.5 - 2.5) * x * x + 1.0, (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
        return fn.select(cubic, fn.select(x < 1.0, inner, fn.select(x < 2.0, outer, zero)), triangle)

    def precision(self, highest):
        """The bits of a weight: those asked for, or the most with which the highest weight fits into 16 bits."""
        fn = self.fn
        bits = fn.variable("i64", 0)

        def fits():
            doubled = highest * fn.cast("sitofp", fn.constant(2) << bits.get(), "double")
            return (fn.cast("fptosi", doubled + 0.5, "i64") < 1 << 15) & (bits.get() < 22)
        with fn.while_(fits):
            bits.set(bits.get() + 1)
        return fn.select(self.bits.eq(0), bits.get(), self.bits)


class _Resample(_Native):
    """The picture, LANES rows of the source at a time: these are the lanes of the sums over columns.

    Words: address of the source, strides of its lines and rows; lines of a row (1 if the channels of a pixel are
    neighbours, else one for each channel), their bytes; distance of pixels and of channels in a row that is read;
    channels; rows of the source; size of the result; for columns and rows the taps, starts, weights and bits of their
    tables; room for LANES rows of the source, and for the result of the first dimension; address of the result
    (channels, rows, columns); address of a table of 256 floats for each channel, 0 for bytes. Rows that no result
    needs are not read.
    """

    def __init__(self, module):
        super().__init__(module, SYMBOLS[1], RESAMPLE_WORDS)

    def emit(self):
        fn = self.fn
        self.padded = (self.out_width + LANES - 1) & -LANES
        self.rows, self.middle = self.pointer(self.rows), self.pointer(self.middle)
        top, bottom = self.needed_rows()
        with fn.loop(top, bottom, LANES) as y:
            with fn.loop(0, self.lines) as line:
                self.fetch(line, y)
            fn.if_else(self.channels.eq(3), lambda: self.columns(y - top, fn.constant(0), 3),
                       lambda: self.each_channel(y - top))
        with fn.loop(0, self.channels) as channel, fn.loop(0, self.out_height) as y:
            self.down(channel, y, top)
        fn.ret(fn.constant(0))

    def needed_rows(self):
        """The first row of the source that is needed, and the one behind the last."""
        fn, starts = self.fn, self.pointer(self.down_starts)
        top, bottom = fn.variable("i64", self.height), fn.variable("i64", 0)
        with fn.loop(0, self.out_height) as y:
            start = self.index(starts, y)
            top.set(fn.minimum(top.get(), start))
            bottom.set(fn.maximum(bottom.get(), start + self.down_taps))
        return top.get(), fn.minimum(bottom.get(), self.height)

    # -- rows of the source --------------------------------------------------------------------------------------------

    def fetch(self, line, y):
        """Copy a line of LANES rows so that the bytes of one column are neighbours. The last row stands for those
        behind it."""
        fn = self.fn
        source = self.pointer(self.source + line * self.line_stride)
        rows = [fn.gep(source, fn.minimum(y + lane, self.height - 1) * self.row_stride) for lane in range(LANES)]
        target = fn.gep(self.rows, line * self.line_bytes * LANES)

        def blocks():
            with fn.loop(0, self.line_bytes, LANES) as x:
                x = fn.minimum(x, self.line_bytes - LANES)  # the last block overlaps the one before
                columns = self.transposed([fn.load_vector(row, x, "i8", LANES) for row in rows])
                for number, column in enumerate(columns):
                    fn.store_vector(column, target, (x + number) * LANES)

        def bytes_():
            with fn.loop(0, self.line_bytes) as x:
                for lane, row in enumerate(rows):
                    fn.store_at(fn.load_at(row, x, "i8"), target, x * LANES + lane)
        fn.if_else(self.line_bytes >= LANES, blocks, bytes_)

    def transposed(self, vectors):
        """The columns of LANES vectors of LANES bytes: as many times interleaved as LANES has bits."""
        half = LANES // 2
        orders = [[lane // 2 + start + lane % 2 * LANES for lane in range(LANES)] for start in (0, half)]
        for _ in range(LANES.bit_length() - 1):
            pairs = [(vectors[i], vectors[i + half]) for i in range(half)]
            vectors = [self.fn.shuffle(a, b, order) for a, b in pairs for order in orders]
        return vectors

    # -- weighted sums -------------------------------------------------------------------------------------------------

    def each_channel(self, row):
        with self.fn.loop(0, self.channels) as channel:
            self.columns(row, channel, 1)

    def columns(self, row, channel, count):
        """All columns of LANES rows, of `count` channels."""
        fn = self.fn
        starts, weights = self.pointer(self.across_starts), self.pointer(self.across_weights)
        blocks = [fn.alloca(f"[{LANES * LANES} x i8]", 16) for _ in range(count)]
        with fn.loop(0, self.padded, LANES) as x:
            with fn.loop(0, LANES) as number:
                start = self.index(starts, x + number)
                first = start * self.pixel_step + channel * self.channel_step
                own = fn.gep(weights, (x + number) * self.across_taps, "i32")
                totals = [fn.variable(f"<{LANES} x i32>", self.half(self.across_bits)) for _ in range(count)]
                with fn.loop(0, self.across_taps) as tap:
                    weight = fn.splat(fn.load_at(own, tap, "i32"), LANES)
                    place = first + tap * self.pixel_step
                    for i, total in enumerate(totals):
                        samples = self.samples(self.rows, (place + self.channel_step * i) * LANES)
                        total.set(total.get() + samples * weight)
                for block, total in zip(blocks, totals):
                    fn.store_vector(self.rounded(total.get(), self.across_bits), block, number * LANES)
            for i, block in enumerate(blocks):
                lines = self.transposed([fn.load_vector(block, lane * LANES, "i8", LANES) for lane in range(LANES)])
                for lane, line in enumerate(lines):
                    fn.store_vector(line, self.middle, self.middle_row(row + lane, channel + i) + x)

    def middle_row(self, row, channel):
        return (row * self.channels + channel) * self.padded

    def down(self, channel, y, top):
        """One row of the result."""
        fn = self.fn
        start = self.index(self.pointer(self.down_starts), y) - top
        weights = fn.gep(self.pointer(self.down_weights), y * self.down_taps, "i32")
        first = fn.gep(self.middle, self.middle_row(start, channel))
        line = self.padded * self.channels
        place = (channel * self.out_height + y) * self.out_width
        with fn.loop(0, self.padded, LANES) as x:
            total = fn.variable(f"<{LANES} x i32>", self.half(self.down_bits))
            with fn.loop(0, self.down_taps) as tap:
                weight = fn.splat(fn.load_at(weights, tap, "i32"), LANES)
                total.set(total.get() + self.samples(first, tap * line + x) * weight)
            self.put(self.rounded(total.get(), self.down_bits), channel, place, x)

    def put(self, samples, channel, place, x):
        """Store what of a block lies within the row."""
        fn, out = self.fn, self.pointer(self.out)
        left = fn.cast("trunc", self.out_width - x, "i32")
        mask = fn.iota(f"<{LANES} x i32>").compare("lt", fn.splat(left, LANES))

        def store(value, kind, size):
            target = fn.gep(out, place + x, kind)
            fn.intrinsic(f"llvm.masked.store.v{LANES}{'f32' if size > 1 else 'i8'}.p0", "void", value, target,
                         fn.constant(size, "i32"), mask)

        def floats():
            table = fn.gep(self.pointer(self.table), channel * 256, "float")
            places = fn.cast("zext", samples, f"<{LANES} x i64>")
            where = fn.emit(f"<{LANES} x ptr>", f"getelementptr float, ptr {table.name}, {places.type} {places.name}")
            kind = f"<{LANES} x float>"
            store(fn.intrinsic(f"llvm.masked.gather.v{LANES}f32.v{LANES}p0", kind, where, fn.constant(4, "i32"),
                               fn.constant(1, f"<{LANES} x i1>"), fn.poison(kind)), "float", 4)
        fn.if_else(self.table.eq(0), lambda: store(samples, "i8", 1), floats)


class _Rows(_Native):
    """The rows of a picture whose columns stay as they are, channels as they lie.

    Words: address of the source, strides of its lines and rows, lines of a row, their bytes; rows of the source and of
    the result; taps, starts, weights and bits of their table; address of the result (rows, lines, bytes).
    """

    def __init__(self, module):
        super().__init__(module, SYMBOLS[2], ROWS_WORDS)

    def emit(self):
        fn = self.fn
        with fn.loop(0, self.out_height) as y, fn.loop(0, self.lines) as line:
            source = self.pointer(self.source + line * self.line_stride)
            target = fn.gep(self.pointer(self.out), (y * self.lines + line) * self.line_bytes)
            whole = self.line_bytes & -LANES
            with fn.loop(0, whole, LANES) as x:
                fn.store_vector(self.sum(source, y, lambda row: self.samples(row, x)), target, x)
            with fn.loop(whole, self.line_bytes) as x:
                value = self.sum(source, y, lambda row: self.one(row, x))
                fn.store_at(fn.extract(value, 0), target, x)
        fn.ret(fn.constant(0))

    def one(self, row, x):
        """One byte in all lanes."""
        fn = self.fn
        return fn.splat(fn.cast("zext", fn.load_at(row, x, "i8"), "i32"), LANES)

    def sum(self, source, y, samples):
        """The bytes of a row of the result, of `samples(row of the source)`."""
        fn = self.fn
        total = fn.variable(f"<{LANES} x i32>", self.half(self.bits))
        start = self.index(self.pointer(self.starts), y)
        weights = fn.gep(self.pointer(self.weights), y * self.taps, "i32")
        with fn.loop(0, self.taps) as tap:
            row = fn.gep(source, fn.minimum(start + tap, self.height - 1) * self.row_stride)
            total.set(total.get() + samples(row) * fn.splat(fn.load_at(weights, tap, "i32"), LANES))
        return self.rounded(total.get(), self.bits)
