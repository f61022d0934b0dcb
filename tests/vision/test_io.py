"""Images in files and memory: channels, orientation, 16 bits, animations; broken, cut and lying files."""
import io
import os
import random
import struct
import zlib

import numpy as np
import pytest

import rushlight as rl
from rushlight.vision import io as vio

Image = pytest.importorskip("PIL.Image")
FULL = bool(os.environ.get("RUSHLIGHT_TEST_FULL"))  # all 5,000 files
PIXELS = np.random.RandomState(0).randint(0, 256, (9, 11, 3), dtype=np.uint8)


def content(picture, **options):
    file = io.BytesIO()
    picture.save(file, **options)
    return rl.frombuffer(bytearray(file.getvalue()), dtype=rl.uint8)


def test_png_there_and_back():
    image = rl.from_numpy(PIXELS.transpose(2, 0, 1).copy())
    for level in (0, 9):
        assert vio.decode_png(vio.encode_png(image, level)).equal(image)
    assert vio.decode_image(vio.encode_png(image[:1])).equal(image[:1])


def test_jpeg():
    image = rl.full((3, 16, 16), 120, dtype=rl.uint8)
    assert (vio.decode_jpeg(vio.encode_jpeg(image, 95)).int() - 120).abs().max() <= 2
    several = vio.encode_jpeg([image, image])
    assert [part.shape for part in vio.decode_jpeg(several)] == [(3, 16, 16)] * 2


@pytest.mark.parametrize("mode, count", [("UNCHANGED", 4), ("GRAY", 1), ("GRAY_ALPHA", 2), ("RGB", 3), ("RGBA", 4)])
def test_channels(mode, count):
    data = content(Image.fromarray(PIXELS).convert("RGBA"), format="PNG")
    assert vio.decode_png(data, mode).shape == (count, 9, 11)
    assert vio.decode_image(data, vio.ImageReadMode[mode]).shape == (count, 9, 11)


def test_palettes_become_colours():
    data = content(Image.fromarray(PIXELS).convert("P"), format="PNG")
    assert vio.decode_png(data).shape == (3, 9, 11)


def test_files(tmp_path):
    image = rl.from_numpy(PIXELS.transpose(2, 0, 1).copy())
    vio.write_png(image, tmp_path / "a.png")
    vio.write_jpeg(image, str(tmp_path / "a.jpg"))
    assert vio.read_image(tmp_path / "a.png").equal(image) and vio.decode_image(str(tmp_path / "a.png")).equal(image)
    assert vio.read_file(tmp_path / "a.jpg")[:2].tolist() == [0xFF, 0xD8]
    with pytest.raises(RuntimeError, match="No such file"):
        vio.read_file(tmp_path / "none.png")


def test_orientation():
    picture = Image.fromarray(PIXELS)
    exif = Image.Exif()
    exif[0x0112] = 6
    data = content(picture, format="JPEG", exif=exif)
    assert vio.decode_jpeg(data).shape == (3, 9, 11)
    assert vio.decode_jpeg(data, apply_exif_orientation=True).shape == (3, 11, 9)
    assert vio.read_image.__name__ == "read_image"


def test_animation():
    frames = [Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS)]
    file = io.BytesIO()
    frames[0].save(file, format="GIF", save_all=True, append_images=frames[1:])
    data = rl.frombuffer(bytearray(file.getvalue()), dtype=rl.uint8)
    assert vio.decode_gif(data).shape == vio.decode_image(data).shape == (2, 3, 9, 11)
    assert vio.decode_gif(content(frames[0], format="GIF")).shape == (3, 9, 11)


def wide_png(samples, filters):
    """A PNG file of 16 bits with a filter for each row."""
    height, width, channels = samples.shape
    rows = samples.astype(">u2").tobytes()
    size, step, lines, above = width * channels * 2, channels * 2, b"", bytes(width * channels * 2)
    for y in range(height):
        row, line = rows[y * size:(y + 1) * size], bytearray()
        for i, value in enumerate(row):
            left, corner = (row[i - step], above[i - step]) if i >= step else (0, 0)
            guess = left + above[i] - corner
            nearest = min((left, above[i], corner), key=lambda v: (abs(guess - v),))
            predicted = [0, left, above[i], (left + above[i]) // 2, nearest][filters[y]]
            line.append((value - predicted) % 256)
        lines, above = lines + bytes([filters[y]]) + bytes(line), row

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    colour = {3: 2, 2: 4, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b""))


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_sixteen_bits(channels):
    samples = np.random.RandomState(1).randint(0, 65536, (6, 5, channels))
    data = rl.frombuffer(bytearray(wide_png(samples, [0, 1, 2, 3, 4, 4])), dtype=rl.uint8)
    result = vio.decode_png(data)
    assert result.dtype == rl.uint16 and np.array_equal(result.numpy(), samples.transpose(2, 0, 1))
    assert vio.decode_png(data, "RGBA").shape == (4, 6, 5)
    broken = bytearray(data.numpy().tobytes())
    broken[50] ^= 1
    with pytest.raises(RuntimeError, match="checksum"):
        vio.decode_png(rl.frombuffer(broken, dtype=rl.uint8))


# -- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [
    lambda: vio.decode_png(rl.zeros(4)), lambda: vio.decode_png(rl.zeros(2, 2, dtype=rl.uint8)),
    lambda: vio.decode_png(rl.zeros(0, dtype=rl.uint8)), lambda: vio.encode_png(rl.zeros(3, 2, 2)),
    lambda: vio.encode_png(rl.zeros(2, 2, 2, dtype=rl.uint8)), lambda: vio.encode_png(rl.zeros(2, 2, dtype=rl.uint8)),
    lambda: vio.encode_png(rl.zeros(3, 2, 2, dtype=rl.uint8), 10), lambda: vio.write_file("x", rl.zeros(2)),
    lambda: vio.decode_jpeg(vio.encode_png(rl.zeros(3, 2, 2, dtype=rl.uint8))),
])
def test_errors(call):
    with pytest.raises(RuntimeError):
        call()


def test_values_out_of_range():
    with pytest.raises(ValueError, match="between 1 and 100"):
        vio.encode_jpeg(rl.zeros(3, 2, 2, dtype=rl.uint8), 0)
    with pytest.raises(ValueError, match="at least one"):
        vio.decode_jpeg([])


def test_a_header_that_promises_too_much():
    head = struct.pack(">IIBBBBB", 1 << 17, 1 << 17, 8, 2, 0, 0, 0)
    data = (b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + head
            + struct.pack(">I", zlib.crc32(b"IHDR" + head)) + b"\0\0\0\0IDAT" + struct.pack(">I", zlib.crc32(b"IDAT")))
    with pytest.raises(RuntimeError):
        vio.decode_png(rl.frombuffer(bytearray(data), dtype=rl.uint8))


def test_fuzzed_files_end_in_an_image_or_a_clear_error():
    source = random.Random(0)
    picture = Image.fromarray(PIXELS)
    files = [content(picture, format=name).numpy().tobytes() for name in ("PNG", "JPEG", "GIF", "WEBP")]
    files.append(wide_png(np.random.RandomState(2).randint(0, 65536, (4, 4, 3)), [0, 1, 2, 4]))
    refused = 0
    for number in range(5000 if FULL else 600):
        data = bytearray(files[number % len(files)])
        if number % 3 == 0:
            del data[source.randrange(1, len(data)):]
        for _ in range(source.randrange(1, 6)):
            data[source.randrange(len(data))] = source.randrange(256)
        try:
            result = vio.decode_image(rl.frombuffer(data, dtype=rl.uint8))
        except RuntimeError:
            refused += 1
        else:
            assert result.dtype in (rl.uint8, rl.uint16) and result.ndim in (3, 4)
    assert refused > 100


def test_videos_need_av():
    with pytest.raises(ValueError, match="pts_unit"):
        vio.read_video("x.mp4", pts_unit="hours")
    with pytest.raises(ValueError, match="output_format"):
        vio.read_video("x.mp4", output_format="HW")
