"""Pictures whose crops, resizing and flips wait until their pixels are needed: then all is one pass of `resampling`.

`Compose` hands such a picture to the transforms that only move pixels (those marked by `moves`). To them it looks like
a Pillow image. What it stands for is either a Pillow image or a tensor of uint8, and the result is that of the
separate steps, with the same numbers. Every other transform gets the finished picture.
"""
import dataclasses
import functools

import numpy as np

from ... import api as rl
from .. import resampling, tv_tensors
from ..pictures import PendingPicture, from_array, is_picture, memory_of, to_array
from .interpolation import PILLOW_MODES, InterpolationMode, mode_of

CHANNELS = {"L": 1, "RGB": 3}
MOVES = set()
_FILTERS = {PILLOW_MODES[InterpolationMode(name)]: name for name in resampling.FILTERS}


def moves(cls):
    """Mark a class of transforms that does nothing to a picture but `crop`, `resize` and `transpose` it."""
    MOVES.add(cls)
    return cls


def pending(img):
    """A picture that can wait: made of a Pillow image of mode L or RGB, or of a tensor (C, H, W) of uint8. Others, and
    what waits already, are returned as they are."""
    kind = type(img)
    if kind is rl.Tensor or kind is tv_tensors.Image:
        if img.ndim == 3 and resampling.serves(img, "bilinear"):
            plain = img.as_subclass(rl.Tensor) if kind is tv_tensors.Image else img
            return Pending(kind, resampling.source_of(plain), img)
    elif kind is not Pending and is_picture(img) and img.mode in CHANNELS and img.width and img.height:
        return Pending(None, None, img)
    return img


def finished(img):
    """The picture or tensor that a waiting picture stands for; anything else as it is."""
    return img.finish() if type(img) is Pending else img


def absorbs(transform, img):
    """Whether a waiting picture can pass a transform."""
    if type(transform) not in MOVES or transform._has_hooks:
        return False
    if hasattr(transform, "interpolation"):
        return (mode_of(transform.interpolation).value in resampling.FILTERS
                and (transform.antialias is not False or img.kind is None))
    if hasattr(transform, "size"):  # a crop, which must not add a border
        return (not getattr(transform, "padding", None) and transform.size[0] <= img.height
                and transform.size[1] <= img.width)
    return True


@dataclasses.dataclass(frozen=True, slots=True)
class Way:
    """What was done to a picture: the rectangle of it that is used, the filter that resized this to `full` (height,
    width) (None: not resized), and which rows and columns of that are left."""

    box: tuple
    mode: str
    down: resampling.Window
    across: resampling.Window


class Pending(PendingPicture):
    """A picture that waits. `kind`: None for a Pillow image, else the class of tensors; `original`: what came in, a
    Pillow image also for the tensor that it was converted to; `source`: its memory, where that is known already;
    `scaled`: the result is of floats from 0 to 1."""

    __slots__ = ("kind", "source", "original", "steps", "way", "scaled")

    def __init__(self, kind, source, original, steps=(), way=None, scaled=False):
        self.scaled = scaled
        self.kind, self.source, self.original, self.steps = kind, source, original, steps
        if way is None:
            height, width = (original.height, original.width) if is_picture(original) else original.shape[-2:]
            way = Way((0, 0, height, width), None, resampling.whole(height), resampling.whole(width))
        self.way = way

    # -- what a Pillow image has ---------------------------------------------------------------------------------------

    @property
    def width(self):
        """Columns."""
        return self.way.across.count

    @property
    def height(self):
        """Rows."""
        return self.way.down.count

    @property
    def size(self):
        """(width, height)."""
        return self.width, self.height

    @property
    def mode(self):
        """Pillow's name for the kind of pixels."""
        return self.original.mode

    def getbands(self):
        """A name for each channel."""
        return self.original.getbands() if is_picture(self.original) else "x" * self.original.shape[0]

    def crop(self, box):
        """The part (left, top, right, bottom)."""
        left, top, right, bottom = box
        if min(left, top) < 0 or right > self.width or bottom > self.height or right <= left or bottom <= top:
            return self._at_once("crop", box)
        way = self.way
        if self._is_plain():
            y, x, _, _ = way.box
            size = bottom - top, right - left
            way = Way((y + top, x + left, *size), None, *[resampling.whole(n) for n in size])
        else:
            way = dataclasses.replace(way, down=_part(way.down, top, bottom), across=_part(way.across, left, right))
        return self._after("crop", (box,), way)

    def resize(self, size, resample):
        """Another size (width, height) by Pillow's number of a filter."""
        way, (width, height) = self.way, size
        known = resample in _FILTERS and (self.kind is not None or pillow_order() is not None)
        if not known or not self._is_plain() or min(size) <= 0:
            return self._at_once("resize", size, resample)
        way = Way(way.box, _FILTERS[resample], resampling.whole(height), resampling.whole(width))
        return self._after("resize", (size, resample), way)

    def transpose(self, method):
        """Mirrored left and right (0) or top and bottom (1)."""
        name = ("across", "down")[method]
        window = getattr(self.way, name)
        last = window.first + window.step * (window.count - 1)
        turned = resampling.Window(window.full, last, -window.step, window.count)
        return self._after("transpose", (method,), dataclasses.replace(self.way, **{name: turned}))

    def _is_plain(self):
        """Whether there were only crops."""
        way = self.way
        return way.mode is None and (way.down, way.across) == tuple([resampling.whole(n) for n in way.box[2:]])

    def _after(self, name, args, way):
        return Pending(self.kind, self.source, self.original, (*self.steps, (name, args)), way)

    def _at_once(self, name, *args):
        """A step that cannot wait with those before it: they are done first."""
        if self.kind is None:
            return getattr(self.finish(), name)(*args)
        return getattr(pending(self.finish()), name)(*args)

    # -- results -------------------------------------------------------------------------------------------------------

    def finish(self):
        """The picture after all steps."""
        if self.scaled:
            return self.to_floats(table_of(len(self.getbands()), None, None, False))
        if not self.steps:
            if self.kind is None or not is_picture(self.original):
                return self.original
            return self._wrapped(rl.from_numpy(to_array(self.original).copy()).permute(2, 0, 1))
        if self.kind is None:
            picture = self.original
            for name, args in self.steps:
                picture = getattr(picture, name)(*args)
            return picture
        return self._wrapped(self._resample(None))

    def to_tensor(self, kind):
        """The waiting tensor of class `kind` with the pixels of this Pillow image."""
        if not self.steps:
            return Pending(kind, self._memory(), self.original)
        tensor = self._resample(None)
        return pending(tensor if kind is rl.Tensor else tv_tensors.Image(tensor))

    def to_scaled(self):
        """The same, with its bytes mapped to floats from 0 to 1."""
        return Pending(self.kind, self.source, self.original, self.steps, self.way, True)

    def to_floats(self, table):
        """The tensor of floats that stand for the bytes; `table` (channels, 256)."""
        return self._wrapped(self._resample(table))

    def _memory(self):
        """The pixels of the Pillow image."""
        address, step, owner = memory_of(self.original)
        width, height = self.original.size
        return resampling.Source(address, (1, step * width, step), CHANNELS[self.mode], height, width,
                                 (owner, self.original))

    def _resample(self, table):
        source = self.source or self._memory()
        bits = resampling.PILLOW_BITS if self.kind is None else resampling.FITTING_BITS
        way, part = self.way, source.part(*self.way.box)
        rows_first = self.kind is None and way.mode is not None and pillow_order()(
            part.height, part.width, way.down.full, way.across.full)
        mode = way.mode or "bilinear"
        return resampling.resample([part], way.down, way.across, mode, bits, table, rows_first)[0]

    def _wrapped(self, tensor):
        return tensor if self.kind in (None, rl.Tensor) else tensor.as_subclass(self.kind)


# Note [Pillow's order] Pillow rounds to bytes between the two dimensions of a resize, so the order matters. Older
# versions take columns first. Version 13 takes rows first where that removes clearly more of them. A picture tells.
_ORDERS = (
    lambda height, width, rows, columns: False,
    lambda height, width, rows, columns: rows < height and 2 * (width - columns) < height - rows,
)
_PROBES = ((40, 20, 5, 17), (40, 60, 30, 20), (20, 30, 33, 40))


@functools.cache
def pillow_order():
    """The function (height, width, new rows, new columns) -> whether the installed Pillow resizes rows first; None if
    its results are not those of any order known here."""
    for order in _ORDERS:
        if all([_agrees(*probe, order) for probe in _PROBES]):
            return order
    return None


def _agrees(height, width, rows, columns, order):
    """Whether Pillow's result for one picture is the one expected."""
    samples = (np.arange(height * width, dtype=np.uint32) ** 2 * 7919 >> 3).astype(np.uint8).reshape(height, width)
    source = resampling.Source(samples.ctypes.data, (height * width, width, 1), 1, height, width, samples)
    windows = resampling.whole(rows), resampling.whole(columns)
    for number, mode in _FILTERS.items():
        ours = resampling.resample([source], *windows, mode, resampling.PILLOW_BITS,
                                   rows_first=order(height, width, rows, columns))
        if not np.array_equal(ours.numpy()[0, 0], from_array(samples, "L").resize((columns, rows), number)):
            return False
    return True


def _part(window, start, stop):
    return resampling.Window(window.full, window.first + window.step * start, window.step, stop - start)


@functools.lru_cache(maxsize=64)
def table_of(channels, mean, std, exact):
    """The floats (channels, 256) that stand for bytes: bytes / 255 (`exact`; else bytes * (1 / 255)), with `mean` (a
    tuple) and `std` normalised, each step rounded. None where their numbers do not fit, or a std is zero."""
    samples = np.arange(256, dtype=np.float32)
    samples = samples / np.float32(255) if exact else samples * np.float32(1 / 255)
    table = np.repeat(samples[None], channels, 0)
    if mean is None:
        return table
    if len(mean) not in (1, channels) or len(std) not in (1, channels):
        return None
    means, stds = [np.array(values, np.float32).reshape(-1, 1) for values in (mean, std)]
    return (table - means) / stds if stds.all() else None
