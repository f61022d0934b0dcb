"""Crop, resize, mirror and normalise a picture of bytes in one pass of generated code.

A picture is memory with strides: a tensor of uint8, or what Pillow holds. Functions here run at once, outside of the
stream: a picture that was just decoded is used once, and its size is new each time, so that a program for it would
never be used again. The numbers are those of the separate steps. Read codegen.cpu.rows.pixels next.
"""
import ctypes
import dataclasses
import functools
import math
import struct

from .. import api as rl
from ..codegen.cpu.rows import pixels
from ..core.device import CPU
from ..core.dispatch import LOCAL
from ..core.layout import contiguous_layout
from ..core.storage import new_storage
from ..core.tensor import view
from ..runtime.cpu import jit, memory

FILTERS, LANES = pixels.FILTERS, pixels.LANES
PILLOW_BITS = 22  # of Pillow's weights
FITTING_BITS = 0  # PyTorch's: as many as fit into 16


@dataclasses.dataclass(slots=True)
class Source:
    """A picture in memory: address, strides of channels, rows and pixels in bytes, sizes. `owner` keeps the memory.
    Either the channels of a pixel are neighbours or the pixels of a row."""

    address: int
    strides: tuple
    channels: int
    height: int
    width: int
    owner: object

    def part(self, top, left, height, width):
        """A rectangle of it, which lies within."""
        _, row, pixel = self.strides
        return Source(self.address + top * row + left * pixel, self.strides, self.channels, height, width, self.owner)


def source_of(image):
    """The source of a tensor (C, H, W) of uint8 in the CPU's memory."""
    channels, height, width = image.shape
    if image.stride(2) != 1 and (image.stride(0) != 1 or image.stride(2) < channels):
        image = image.contiguous()
    return Source(image.data_ptr(), image.stride(), channels, height, width, image)


def serves(image, mode):
    """Whether `resample` can resize a tensor (..., C, H, W) by this filter. A handler sees operators instead."""
    observed = LOCAL.modes or LOCAL.beneath
    return (not observed and image.dtype is rl.uint8 and image.device.type == "cpu" and image.ndim >= 3
            and mode in FILTERS and image.numel() > 0)


@dataclasses.dataclass(slots=True)
class Window:
    """Which of a dimension's results are made: `count` from `first` on; `step` -1 takes them in reverse order. `full`:
    their number if all were made."""

    full: int
    first: int
    step: int
    count: int


def whole(size):
    """All results of a dimension, in order."""
    return Window(size, 0, 1, size)


def resample(sources, down, across, mode, bits, table=None, rows_first=False):
    """The tensor (pictures, channels, rows, columns) of a resized part of each picture.

    Args:
        sources (list of Source): pictures of one size and form.
        down, across (Window): rows and columns of the result.
        mode (str): one of FILTERS.
        bits (int): PILLOW_BITS or FITTING_BITS.
        table (array): floats (channels, 256) that stand for the bytes; without it the result is of uint8.
        rows_first (bool): resize rows before columns. The result of the first is rounded to bytes, so this matters.
    """
    channels, dtype = sources[0].channels, rl.uint8 if table is None else rl.float32
    layout = contiguous_layout((len(sources), channels, down.count, across.count), dtype)
    storage = new_storage(layout.nbytes, CPU)
    storage.block = memory.allocate(layout.nbytes)
    storage.address = storage.block.address
    if rows_first:
        rows = _Line(sources[0].height, down, mode, bits)
        sources = [_resized_rows(source, rows) for source in sources]
        down = whole(down.count)
    rows, columns = _Line(sources[0].height, down, mode, bits), _Line(sources[0].width, across, mode, bits)
    job = _Columns(sources[0], rows, columns)
    for number, source in enumerate(sources):
        job.run(source, storage.address + number * layout.nbytes // len(sources),
                0 if table is None else table.ctypes.data)
    return view(storage, layout, 0)


def _words(numbers):
    return (ctypes.c_int64 * len(numbers))(*numbers)


def _rounded_up(number, unit):
    return -(-number // unit) * unit


class _Room:
    """Memory for several arrays of these sizes in bytes."""

    def __init__(self, *sizes):
        starts = [0]
        for size in sizes:
            starts.append(starts[-1] + _rounded_up(size, 64))
        self.block = memory.allocate(starts[-1])
        self.addresses = [self.block.address + start for start in starts[:-1]]


class _Line:
    """The table of one dimension: `taps`, addresses of `starts` and `weights`, `bits` of a weight."""

    def __init__(self, size, window, mode, bits):
        scale = size / window.full
        self.size, self.window = size, window
        self.taps = math.ceil(2 * FILTERS[mode] * max(scale, 1.0))
        count = _rounded_up(window.count, LANES)
        self.room = _Room(4 * count, 4 * count * self.taps, 8 * count * self.taps)
        self.starts, self.weights, exact = self.room.addresses
        scale, = struct.unpack("<q", struct.pack("<d", scale))
        self.bits = _native()[0](_words((int(mode == "bicubic"), size, scale, window.first, window.step, window.count,
                                         self.taps, bits, self.starts, self.weights, exact)))


def _lines(source):
    """(lines of a row, bytes of a line): a line holds one channel, or pixels with all their channels."""
    channel_stride, _, pixel_stride = source.strides
    if channel_stride == 1 and pixel_stride >= source.channels:
        return 1, (source.width - 1) * pixel_stride + source.channels
    return source.channels, source.width


def _resized_rows(source, rows):
    """A picture with other rows, in memory of its own."""
    lines, line_bytes = _lines(source)
    count, (channel_stride, row_stride, pixel_stride) = rows.window.count, source.strides
    room = _Room(count * lines * line_bytes)
    out, = room.addresses
    _native()[2](_words((source.address, channel_stride, row_stride, lines, line_bytes, source.height, count, rows.taps,
                         rows.starts, rows.weights, rows.bits, out)))
    strides = (1 if lines == 1 else line_bytes, lines * line_bytes, pixel_stride)
    return Source(out, strides, source.channels, count, source.width, room)


class _Columns:
    """A call of the kernel for pictures like `source`."""

    def __init__(self, source, rows, columns):
        lines, line_bytes = _lines(source)
        channel_stride, row_stride, pixel_stride = source.strides
        step = pixel_stride if lines == 1 else 1
        # Weights of zero may read what lies behind the last row or column.
        made = source.channels * _rounded_up(columns.window.count, LANES)
        self.room = _Room(LANES * (lines * line_bytes + columns.taps * step),
                          (_rounded_up(source.height, LANES) + rows.taps) * made)
        self.tables = rows, columns
        self.words = (
            channel_stride, row_stride, lines, line_bytes, step, 1 if lines == 1 else line_bytes, source.channels,
            source.height, columns.window.count, rows.window.count, columns.taps, columns.starts, columns.weights,
            columns.bits, rows.taps, rows.starts, rows.weights, rows.bits, *self.room.addresses)

    def run(self, source, out, table):
        _native()[1](_words((source.address, *self.words, out, table)))


@functools.cache
def _native():
    """The compiled functions."""
    found = jit.compile_text(pixels.text(), list(pixels.SYMBOLS))
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)
    return [kind(found[symbol]) for symbol in pixels.SYMBOLS]
