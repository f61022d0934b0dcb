"""Resampling of pictures of bytes, against a direct sum in NumPy and against Pillow."""
import numpy as np
import pytest

import rushlight as rl
from rushlight.vision import resampling
from rushlight.vision.resampling import FITTING_BITS, PILLOW_BITS, Window, whole
from rushlight.vision.transforms.v2.functional import resize

SIZES = [((37, 53), (20, 20)), ((37, 53), (90, 101)), ((5, 7), (1, 1)), ((60, 33), (60, 20)), ((90, 40), (11, 40)),
         ((1, 1), (4, 9)), ((64, 3), (16, 19)), ((300, 17), (5, 33))]


def filtered(x, mode):
    x = np.abs(x)
    if mode == "bilinear":
        return np.maximum(0, 1 - x)
    return np.where(x < 1, (1.5 * x - 2.5) * x * x + 1, np.where(x < 2, -0.5 * (((x - 5) * x + 8) * x - 4), 0))


def weights_of(size, out, mode, bits):
    """The matrix (out, size) of integer weights, and their bits."""
    scale = size / out
    stretch = max(scale, 1.0)
    reach = stretch * resampling.FILTERS[mode]
    center = (np.arange(out) + 0.5) * scale
    start, end = np.maximum((center - reach + 0.5).astype(int), 0), np.minimum((center + reach + 0.5).astype(int), size)
    at = np.arange(size)
    inside = (at >= start[:, None]) & (at < end[:, None])
    matrix = np.where(inside, filtered((at - center[:, None] + 0.5) / stretch, mode), 0)
    matrix /= matrix.sum(1, keepdims=True)
    if not bits:
        while bits < 22 and int(0.5 + matrix.max() * (1 << bits + 1)) < 1 << 15:
            bits += 1
    scaled = matrix * (1 << bits)
    return np.trunc(scaled + np.where(scaled < 0, -0.5, 0.5)).astype(np.int64), bits


def along(samples, axis, out, mode, bits):
    matrix, bits = weights_of(samples.shape[axis], out, mode, bits)
    total = np.moveaxis(np.tensordot(matrix, samples.astype(np.int64), (1, axis)), 0, axis)
    return np.clip((total + (1 << bits - 1)) >> bits, 0, 255).astype(np.uint8)


def expected(samples, size, mode, bits, rows_first=False):
    """(channels, rows, columns) resized, one dimension after the other."""
    for axis in (1, 2) if rows_first else (2, 1):
        samples = along(samples, axis, size[axis - 1], mode, bits)
    return samples


def sources(channels, size):
    """The same picture with its channels apart, and side by side with 0 or 1 bytes between pixels."""
    samples = np.random.RandomState(0).randint(0, 256, (channels, *size), dtype=np.uint8)
    together = np.ascontiguousarray(samples.transpose(1, 2, 0))
    spaced = np.zeros((*size, channels + 1), np.uint8)
    spaced[..., :channels] = together
    for array in (samples, together.transpose(2, 0, 1), spaced[..., :channels].transpose(2, 0, 1)):
        yield samples, resampling.source_of(rl.from_numpy(array))


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("bits", [PILLOW_BITS, FITTING_BITS])
@pytest.mark.parametrize("size, new", SIZES)
def test_values(size, new, bits, mode):
    for channels in (1, 3, 4):
        for rows_first in (False, True):
            for samples, source in sources(channels, size):
                found = resampling.resample([source], *map(whole, new), mode, bits, rows_first=rows_first)
                assert np.array_equal(found.numpy()[0], expected(samples, new, mode, bits, rows_first))


@pytest.mark.parametrize("rows_first", [False, True])
def test_windows_are_parts_of_the_whole(rows_first):
    for samples, source in sources(3, (40, 50)):
        full = resampling.resample([source], whole(30), whole(20), "bicubic", 22, rows_first=rows_first).numpy()[0]
        part = resampling.resample([source], Window(30, 4, 1, 17), Window(20, 18, -1, 9), "bicubic", 22,
                                   rows_first=rows_first).numpy()[0]
        assert np.array_equal(part, full[:, 4:21, 18:9:-1])
        part = source.part(3, 5, 30, 40)
        cut = resampling.resample([part], whole(30), whole(40), "bilinear", 22, rows_first=rows_first).numpy()[0]
        assert np.array_equal(cut, samples[:, 3:33, 5:45])


def test_table_stands_for_bytes():
    table = np.random.RandomState(1).randn(3, 256).astype(np.float32)
    for samples, source in sources(3, (20, 21)):
        found = resampling.resample([source], whole(20), whole(21), "bilinear", 0, table)
        assert found.dtype is rl.float32
        assert np.array_equal(found.numpy()[0], np.stack([table[c][samples[c]] for c in range(3)]))


def test_several_pictures():
    images = rl.randint(0, 256, (3, 2, 15, 16), dtype=rl.uint8)
    found = resampling.resample([resampling.source_of(image) for image in images], whole(7), whole(9), "bilinear", 0)
    for image, result in zip(images.numpy(), found.numpy()):
        assert np.array_equal(result, expected(image, (7, 9), "bilinear", 0))


def test_strided_tensor_is_copied():
    image = rl.randint(0, 256, (3, 20, 40), dtype=rl.uint8)[:, :, ::2]
    found = resampling.resample([resampling.source_of(image)], whole(20), whole(20), "bilinear", 0)
    assert rl.equal(found[0], image)


def test_handlers_see_operators():
    images = rl.randint(0, 256, (2, 3, 8, 8), dtype=rl.uint8)
    assert resampling.serves(images, "bilinear") and not resampling.serves(images, "nearest")
    assert not resampling.serves(images.to(rl.int16), "bilinear")
    with pytest.warns(UserWarning, match="batching rule"):
        found = rl.func.vmap(lambda image: resize(image, [4, 4]))(images)
    assert (found.int() - resize(images, [4, 4]).int()).abs().max() <= 1
