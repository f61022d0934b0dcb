"""Regions of interest: means of interpolated samples, maxima and means over the bins of boxes, and their gradients.

In: features (N, P, H, W, C) and boxes (R, 5) of (image, left, top, right, bottom). Out: (R, h, w, C). All are
contiguous, so that neighbouring channels are the lanes of vectors. `sensitive` features have P = h * w planes, one for
each bin; others have one.

A task of the forward kernels takes some channels of a box. A task of the backward kernels takes some channels of an
image and adds the gradients of all its boxes in their order, so that results do not depend on threads.

Static block: channels a task, tasks of one box or image, boxes, images, C, H, W, h, w, samples along a bin (0: as many
as it has pixels), the bits of a double (scale of the boxes); then slot and offset of each operand.
"""

import struct

from ....core import dtype as dt
from ...bodies.handler import stored_type
from ...ir.builder import BITS, element, lanes, suffix, vector
from ...ir.kernel import KernelSource, Launch
from ...ir.statics import StaticReader, kernel
from ...lower import memory

TASK_NANOSECONDS = 20000
LEAST_CHANNELS = 64  # of a task, so that it reads whole lines of the cache
LANES = 8
FARTHEST = 1e9  # coordinates beyond this count as this


class Regions(StaticReader):
    """Writes one kernel. `kind`: "align", "max" or "mean"; `aligned`: pixels' centres lie at half coordinates; `code`:
    of the failure that is reported for a box of no image."""

    def __init__(self, code, kind, back, sensitive, aligned, dtype):
        self.code, self.kind, self.back, self.sensitive, self.aligned = code, kind, back, sensitive, aligned
        self.dtype, self.type = dtype, stored_type(dtype)

    def key(self):
        return ("regions", self.code, self.kind, self.back, self.sensitive, self.aligned, self.dtype.name)

    # -- the walk ------------------------------------------------------------------------------------------------------

    def emit(self, module, name):
        self.fn = fn = kernel(module, name)
        self.chunk, self.parts, self.boxes, self.images, self.channels = self.words(5)
        self.height, self.width, self.rows, self.columns, self.samples = self.words(5)
        self.scale = fn.cast("bitcast", self.word(), "double")
        self.pointers = [self.pointer() for _ in range(4 if self.kind == "max" else 3)]
        self.plane = self.height * self.width * self.channels
        self.planes = self.rows * self.columns if self.sensitive else fn.constant(1)
        outer = fn.args[2] // self.parts
        self.first = fn.args[2] % self.parts * self.chunk
        self.last = fn.minimum(self.first + self.chunk, self.channels)
        if self.back:
            self.gather_gradients(outer)
        else:
            image = self.image_of(outer)
            bad = (image < 0) | (image >= self.images)
            with fn.if_(bad):
                fn.line(f"store i64 {self.code}, ptr {fn.args[0].name}")
            self.box(outer, fn.select(bad, fn.constant(0), image))
        fn.ret()

    def gather_gradients(self, image):
        """Zero some channels of an image, then add what its boxes give."""
        fn = self.fn
        start = image * self.planes * self.plane
        with fn.loop(0, self.planes * self.height * self.width) as pixel:
            self.each(lambda c, kind: self.put(fn.constant(0.0, kind), -1, start + pixel * self.channels + c))
        with fn.loop(0, self.boxes) as box:
            with fn.if_(self.image_of(box).eq(image)):
                self.box(box, image)

    def box(self, box, image):
        """All bins of a box."""
        fn = self.fn
        geometry = self.sampling(box) if self.kind == "align" else self.extents(box)
        with fn.loop(0, self.rows) as row, fn.loop(0, self.columns) as column:
            bin_ = row * self.columns + column
            self.feature = (image * self.planes + (bin_ if self.sensitive else 0)) * self.plane
            self.result = (box * self.rows * self.columns + bin_) * self.channels
            if self.kind == "align":
                self.align(geometry, row, column)
            else:
                top, bottom = self.span(row, *geometry[0], self.height)
                left, right = self.span(column, *geometry[1], self.width)
                (self.maximum if self.kind == "max" else self.mean)(top, bottom, left, right)

    def each(self, body, width=LANES):
        """Emit `body(channel, type)` for the task's channels: for vectors of them, then for the rest one by one."""
        fn = self.fn
        whole = self.first
        if width > 1:
            whole = self.last - (self.last - self.first) % width
            with fn.loop(self.first, whole, width) as channel:
                body(channel, vector(self.type, width))
        with fn.loop(whole, self.last) as channel:
            body(channel, self.type)

    def get(self, operand, index, kind):
        """The value at an index of an operand, or several from there on."""
        fn, pointer = self.fn, self.pointers[operand]
        return fn.load(fn.gep(pointer, index, element(kind)), kind, align=BITS[element(kind)] // 8)

    def put(self, value, operand, index):
        fn, pointer, kind = self.fn, self.pointers[operand], element(value.type)
        fn.store(value, fn.gep(pointer, index, kind), align=BITS[kind] // 8)

    def add(self, value, operand, index):
        self.put(self.get(operand, index, value.type) + value, operand, index)

    def pixel(self, y, x):
        """The index of a pixel's first channel."""
        return self.feature + (y * self.width + x) * self.channels

    # -- boxes ---------------------------------------------------------------------------------------------------------

    def coordinate(self, box, number):
        boxes = self.pointers[-2]
        return self.fn.load_at(boxes, box * 5 + number, self.type)

    def image_of(self, box):
        """The number of the image; -1 for a number that is too large or not one."""
        fn, value = self.fn, self.coordinate(box, 0)
        valid = (value > -1.0) & (value < FARTHEST)
        return fn.cast("fptosi", fn.select(valid, value, fn.constant(-1.0, self.type)), "i64")

    def scaled(self, box, number):
        scale = self.scale if self.type == "double" else self.fn.cast("fptrunc", self.scale, self.type)
        return self.coordinate(box, number) * scale

    def whole(self, value, name):
        """A value rounded by floor or ceil, as an integer."""
        fn = self.fn
        value = fn.intrinsic(f"llvm.{name}.{suffix(value.type)}", value.type, value)
        value = fn.select(value > -FARTHEST, value, fn.constant(-FARTHEST, value.type))  # also what is not a number
        value = fn.select(value < FARTHEST, value, fn.constant(FARTHEST, value.type))
        return fn.cast("fptosi", value, "i64")

    def nearest(self, value):
        """A value rounded to the nearest integer, halves away from zero."""
        fn = self.fn
        wide = value if self.type == "double" else fn.cast("fpext", value, "double")
        size = self.whole(fn.select(wide < 0.0, -wide, wide) + 0.5, "floor")
        return fn.select(wide < 0.0, -size, size)

    def real(self, integer):
        return self.fn.cast("sitofp", integer, self.type)

    # -- interpolated samples ------------------------------------------------------------------------------------------

    def sampling(self, box):
        """For rows and columns: (start of the box, size of a bin, samples along it)."""
        found = []
        for low, high, bins in ((2, 4, self.rows), (1, 3, self.columns)):
            fn, shift = self.fn, 0.5 if self.aligned else 0.0
            start, end = self.scaled(box, low) - shift, self.scaled(box, high) - shift
            size = end - start
            if not self.aligned:
                size = fn.select(size > 1.0, size, fn.constant(1.0, self.type))
            step = size / self.real(bins)
            count = fn.maximum(self.whole(step, "ceil"), 0)
            found.append((start, step, fn.select(self.samples > 0, self.samples, count)))
        return found

    def sample(self, geometry, number, sample):
        """The coordinate of a sample of a bin."""
        start, step, count = geometry
        return start + self.real(number) * step + (self.real(sample) + 0.5) * step / self.real(count)

    def taps(self, value, size):
        """(lower index, its weight, higher index, its weight) of a coordinate within the image."""
        fn = self.fn
        value = fn.select(value > 0.0, value, fn.constant(0.0, self.type))
        low = fn.cast("fptosi", value, "i64")
        end = low >= size - 1
        low = fn.select(end, size - 1, low)
        high = fn.select(end, low, low + 1)
        upper = fn.select(end, fn.constant(0.0, self.type), value - self.real(low))
        return low, 1.0 - upper, high, upper

    def align(self, geometry, row, column):
        """The mean of the samples of a bin, or its gradient."""
        fn, down, across = self.fn, *geometry
        count = self.real(fn.maximum(down[2] * across[2], 1))
        if not self.back:
            self.each(lambda c, kind: self.put(fn.constant(0.0, kind), -1, self.result + c))
        with fn.loop(0, down[2]) as i:
            y = self.sample(down, row, i)
            with fn.if_((y >= -1.0) & (y <= self.real(self.height))), fn.loop(0, across[2]) as j:
                x = self.sample(across, column, j)
                with fn.if_((x >= -1.0) & (x <= self.real(self.width))):
                    self.tap(self.taps(y, self.height), self.taps(x, self.width), count)
        if not self.back:
            self.each(lambda c, kind: self.put(self.get(-1, self.result + c, kind) / count, -1, self.result + c))

    def tap(self, rows, columns, count):
        """Add one sample, or what its gradient gives to its four pixels."""
        points = [(self.pixel(y, x), by_row * by_column)
                  for y, by_row in (rows[:2], rows[2:]) for x, by_column in (columns[:2], columns[2:])]

        def body(c, kind):
            if self.back:
                g = self.get(0, self.result + c, kind) / count
                for place, weight in points:
                    self.add(g * weight, -1, place + c)
            else:
                values = [self.get(0, place + c, kind) * weight for place, weight in points]
                self.add(values[0] + values[1] + values[2] + values[3], -1, self.result + c)

        self.each(body)

    # -- whole pixels --------------------------------------------------------------------------------------------------

    def extents(self, box):
        """For rows and columns: (first pixel of the box, size of a bin)."""
        found = []
        for low, high, bins in ((2, 4, self.rows), (1, 3, self.columns)):
            start, end = self.nearest(self.scaled(box, low)), self.nearest(self.scaled(box, high))
            size = end - start if self.sensitive else end - start + 1
            found.append((start, self.real(self.fn.maximum(size, 1)) / self.real(bins)))
        return found

    def span(self, number, start, step, size):
        """The pixels of a bin within the image: (first, behind the last)."""
        fn = self.fn
        ends = self.whole(self.real(number) * step, "floor"), self.whole(self.real(number + 1) * step, "ceil")
        return [fn.minimum(fn.maximum(start + end, 0), size) for end in ends]

    def maximum(self, top, bottom, left, right):
        """The first of the largest pixels and its position in the plane, -1 without; or its gradient."""
        fn = self.fn
        if self.back:
            self.each(self.back_to_maximum, 1)
            return
        empty = (bottom <= top) | (right <= left)
        lowest = fn.constant(-3.4028234663852886e38 if self.type == "float" else -1.7976931348623157e308, self.type)
        start = fn.select(empty, fn.constant(0.0, self.type), lowest)

        def body(c, kind):
            width = lanes(kind)
            best, where = fn.variable(kind, fn.splat(start, width)), fn.variable(vector("i64", width), -1)
            with fn.loop(top, bottom) as y, fn.loop(left, right) as x:
                value = self.get(0, self.pixel(y, x) + c, kind)
                larger = value > best.get()
                where.set(fn.select(larger, fn.splat(y * self.width + x, width), where.get()))
                best.set(fn.select(larger, value, best.get()))
            self.put(best.get(), -1, self.result + c)
            self.put(where.get(), 1, self.result + c)

        self.each(body)

    def back_to_maximum(self, c, kind):
        place = self.get(1, self.result + c, "i64")
        with self.fn.if_(place >= 0):
            self.add(self.get(0, self.result + c, kind), -1, self.feature + place * self.channels + c)

    def mean(self, top, bottom, left, right):
        """The mean of the pixels, 0 without; or its gradient."""
        fn = self.fn
        empty = (bottom <= top) | (right <= left)
        count = self.real(fn.select(empty, fn.constant(1), (bottom - top) * (right - left)))

        def body(c, kind):
            if self.back:
                g = self.get(0, self.result + c, kind) / count
                with fn.loop(top, bottom) as y, fn.loop(left, right) as x:
                    self.add(g, -1, self.pixel(y, x) + c)
                return
            total = fn.variable(kind, 0.0)
            with fn.loop(top, bottom) as y, fn.loop(left, right) as x:
                total.set(total.get() + self.get(0, self.pixel(y, x) + c, kind))
            self.put(total.get() / count, -1, self.result + c)

        self.each(body)


def lower_regions(instruction):
    """ins: features, boxes; outs: result and, for maxima, positions. Backward: ins: gradient, (positions), boxes; outs:
    gradient of the features."""
    options = dict(instruction.attrs)
    kind, back = options["kind"], options["back"]
    if back:
        gradient, *rest, boxes = instruction.ins
        features, = instruction.outs
        refs, outer = [gradient, *rest, boxes, features], features[1].shape[0]
    else:
        features, boxes = instruction.ins
        gradient, *rest = instruction.outs
        refs, outer = [features, *rest, boxes, gradient], boxes[1].shape[0]
    images, _, height, width, channels = features[1].shape
    count, rows, columns, _ = gradient[1].shape
    if not outer or not channels:
        return []
    unit = 1.0 + rows * columns * 3.0 * (max(1.0, count / max(1, images)) if back else 1.0)
    chunk = min(channels, max(LEAST_CHANNELS, round(TASK_NANOSECONDS / unit)))
    parts = -(-channels // chunk)
    scale, = struct.unpack("<q", struct.pack("<d", options["scale"]))
    static = [chunk, parts, count, images, channels, height, width, rows, columns, max(0, options["samples"]), scale]
    static += [memory(ref) for ref in refs]
    code = instruction.op.code("index")
    kernel = Regions(code, kind, back, options["sensitive"], options["aligned"], features[1].dtype)
    return [Launch(KernelSource(kernel.key(), kernel.emit), static, outer * parts, outer * channels * unit)]


# -- suppression of boxes ----------------------------------------------------------------------------------------------


class Suppression(StaticReader):
    """Marks boxes that overlap a better box which is not marked. In: (5, n): left, top, right, bottom and area of the
    boxes, best first, n a multiple of LANES; threshold. Out: n bytes.

    Static block: boxes, n, the bits of the threshold; then slot and offset of both operands.
    """

    def __init__(self, dtype):
        self.dtype, self.type = dtype, stored_type(dtype)

    def key(self):
        return ("suppression", self.dtype.name)

    def emit(self, module, name):
        self.fn = fn = kernel(module, name)
        count, width = self.words(2)
        threshold = fn.cast("bitcast", self.word(), "double")
        boxes, marks = self.pointer(), self.pointer()
        fn.zero(marks, width)
        lines = [fn.gep(boxes, width * number, self.type) for number in range(5)]
        with fn.loop(0, count) as i, fn.if_(fn.load_at(marks, i, "i8").eq(0)):
            own = [fn.splat(fn.load_at(line, i, self.type), LANES) for line in lines]
            with fn.loop(i // LANES * LANES, width, LANES) as j:
                others = [fn.load_vector(line, j, self.type, LANES) for line in lines]
                overlaps = self.overlap(own, others) > fn.splat(threshold, LANES)
                behind = fn.splat(j, LANES) + fn.iota(f"<{LANES} x i64>") > fn.splat(i, LANES)
                old = fn.load_vector(marks, j, "i8", LANES)
                new = old | fn.cast("zext", overlaps & behind, f"<{LANES} x i8>")
                fn.store_vector(new, marks, j)
        fn.ret()

    def overlap(self, own, others):
        """Intersection over union, as doubles."""
        fn = self.fn
        left, top = fn.maximum(own[0], others[0]), fn.maximum(own[1], others[1])
        right, bottom = fn.minimum(own[2], others[2]), fn.minimum(own[3], others[3])
        width, height = fn.maximum(right - left, 0.0), fn.maximum(bottom - top, 0.0)
        shared = width * height
        value = shared / (own[4] + others[4] - shared)
        return value if self.type == "double" else fn.cast("fpext", value, f"<{LANES} x double>")


def lower_suppression(instruction):
    """ins: boxes (5, n); outs: marks (n)."""
    boxes, = instruction.ins
    marks, = instruction.outs
    options, width = dict(instruction.attrs), boxes[1].shape[1]
    assert boxes[1].dtype in (dt.float32, dt.float64) and width % LANES == 0
    threshold, = struct.unpack("<q", struct.pack("<d", options["threshold"]))
    static = [options["count"], width, threshold, memory(boxes), memory(marks)]
    kernel = Suppression(boxes[1].dtype)
    return [Launch(KernelSource(kernel.key(), kernel.emit), static, 1, options["count"] * width)]
