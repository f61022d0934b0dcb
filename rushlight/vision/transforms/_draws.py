"""Random choices that both generations of transforms share: how many numbers are drawn, in which order, from where.

The same seed gives the same choices as torchvision's.
"""
import functools
import math
import struct

from ... import api as rl


def _unit():
    """A number of single precision from [0, 1), as `torch.rand` draws it."""
    word, = rl.default_generator.words(1)
    return (word & 0xFFFFFF) * 2.0 ** -24


def _single(number):
    """A number rounded to single precision."""
    return struct.unpack("f", struct.pack("f", number))[0]


def uniform(low, high):
    """A number from a range."""
    if rl.get_default_dtype() is not rl.float32:
        return rl.empty(1).uniform_(float(low), float(high)).item()
    low, high = _single(low), _single(high)
    found = _single(_unit() * _single(high - low) + low)
    return low if found == high else found


def below(low, high):
    """An integer from low to high - 1."""
    word, = rl.default_generator.words(1)
    return low + word % (high - low)


def chance(p):
    """True with a probability."""
    if rl.get_default_dtype() is not rl.float32:
        return bool(rl.rand(1) < p)
    return _unit() < _single(p)


def _area_and_shape(area, scale, log_ratio):
    """The sides of a rectangle with a share of an area and a ratio of sides: long, short."""
    area = area * uniform(*scale)
    ratio = _single(math.exp(uniform(*log_ratio)))
    return int(round(math.sqrt(area * ratio))), int(round(math.sqrt(area / ratio)))


@functools.lru_cache(maxsize=64)
def _log_ratios(ratio):
    return rl.log(rl.tensor(ratio, dtype=rl.float32)).tolist()


def log_ratios(ratio):
    """The logarithms of a range of ratios, in single precision."""
    return _log_ratios(tuple(ratio))


def part(height, width, scale, ratio):
    """A rectangle (top, left, height, width) in a picture with a share of its area and a ratio of sides.

    Where ten attempts do not fit, the largest one in the middle.
    """
    logs = log_ratios(ratio)
    for _ in range(10):
        w, h = _area_and_shape(height * width, scale, logs)
        if 0 < w <= width and 0 < h <= height:
            return below(0, height - h + 1), below(0, width - w + 1), h, w
    shape = width / height
    h, w = height, width
    if shape < min(ratio):
        h = int(round(width / min(ratio)))
    elif shape > max(ratio):
        w = int(round(height * max(ratio)))
    return (height - h) // 2, (width - w) // 2, h, w


def erased(channels, height, width, scale, ratio, value):
    """A rectangle and what to fill it with (top, left, height, width, values), None where ten attempts do not fit."""
    logs = log_ratios(ratio)
    for _ in range(10):
        h, w = _area_and_shape(height * width, scale, logs)
        if h < height and w < width:
            fill = rl.empty([channels, h, w]).normal_() if value is None else rl.tensor(value)[:, None, None]
            return below(0, height - h + 1), below(0, width - w + 1), h, w, fill
    return None


def affine(degrees, translate, scale, shear, width, height):
    """Angle, translation, scale and shear."""
    angle = uniform(*degrees)
    moved = (0, 0)
    if translate is not None:
        across, down = float(translate[0] * width), float(translate[1] * height)
        moved = (int(round(uniform(-across, across))), int(round(uniform(-down, down))))
    factor = 1.0 if scale is None else uniform(*scale)
    shear_x = shear_y = 0.0
    if shear is not None:
        shear_x = uniform(shear[0], shear[1])
        if len(shear) == 4:
            shear_y = uniform(shear[2], shear[3])
    return angle, moved, factor, (shear_x, shear_y)


def corners(width, height, distortion):
    """The corners of a picture, and where they go: each moves inwards."""
    across, down = int(distortion * (width // 2)) + 1, int(distortion * (height // 2)) + 1
    ends = []
    for right, low in ((False, False), (True, False), (True, True), (False, True)):
        x = below(width - across, width) if right else below(0, across)
        y = below(height - down, height) if low else below(0, down)
        ends.append([x, y])
    return [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], ends


def jitter(ranges):
    """The order of four changes of colour, and their factors (None where there is no range)."""
    order = rl.randperm(4).tolist()
    return order, [None if limits is None else uniform(*limits) for limits in ranges]


def displacement(alpha, sigma, size, blur):
    """A smooth displacement (1, H, W, 2) of pixels, for elastic transforms."""
    fields = []
    for strength, deviation, extent in zip(alpha, sigma, reversed(size)):
        field = rl.rand([1, 1, *size]) * 2 - 1
        if deviation > 0.0:
            window = int(8 * deviation + 1) | 1
            field = blur(field, [window, window], list(sigma))
        fields.append(field * strength / extent)
    return rl.cat(fields, 1).permute(0, 2, 3, 1)
