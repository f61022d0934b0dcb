"""PNG files of 16 bits a sample, which Pillow reads with one channel only.

Optical flow and depth are published in such files. The format: chunks (length, name, content, checksum); the contents
of the IDAT chunks are one zlib stream of rows, each a filter's number and the bytes as differences from the bytes to
the left and above.
"""
import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # by colour type


def header(content):
    """(width, height, bits, colour type, interlaced) of a PNG file; None for other contents."""
    if len(content) < 33 or content[:8] != SIGNATURE or content[12:16] != b"IHDR":
        return None
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", content[16:29])
    return width, height, bits, colour, interlaced


def is_wide(content):
    """Whether a file has several channels of 16 bits."""
    found = header(content)
    return found is not None and found[2] == 16 and found[3] in _CHANNELS and found[3] != 0


def decode(content):
    """The samples (H, W, C) of uint16. ValueError for a broken file, NotImplementedError for an interlaced one."""
    width, height, _, colour, interlaced = header(content)
    if interlaced:
        raise NotImplementedError("interlaced PNG files of 16 bits are not read")
    step = 2 * _CHANNELS[colour]
    row = width * step
    packed = zlib.decompressobj()
    plain = packed.decompress(_data(content), height * (row + 1))
    if len(plain) != height * (row + 1):
        raise ValueError(f"expected {height * (row + 1)} bytes of samples, got {len(plain)}")
    lines = np.frombuffer(plain, np.uint8).reshape(height, row + 1)
    samples = np.empty((height, row), np.uint8)
    above = np.zeros(row, np.uint8)
    for y in range(height):
        above = samples[y] = _unfiltered(int(lines[y, 0]), lines[y, 1:], above, step)
    return samples.view(">u2").reshape(height, width, step // 2).astype(np.uint16)


def _data(content):
    """The contents of all IDAT chunks, checked."""
    found, at = [], 8
    while at + 12 <= len(content):
        length, name = struct.unpack(">I4s", content[at:at + 8])
        end = at + 8 + length
        if end + 4 > len(content):
            raise ValueError("a chunk ends after the file")
        if zlib.crc32(content[at + 4:end]) != struct.unpack(">I", content[end:end + 4])[0]:
            raise ValueError("a chunk has a wrong checksum")
        if name == b"IDAT":
            found.append(content[at + 8:end])
        at = end + 4
    return b"".join(found)


def _unfiltered(kind, line, above, step):
    """The bytes of a row from their differences; `step` bytes are a pixel."""
    if kind == 0:
        return line
    if kind == 1:
        return line.reshape(-1, step).cumsum(0, dtype=np.uint8).reshape(-1)
    if kind == 2:
        return line + above
    if kind not in (3, 4):
        raise ValueError(f"unknown filter {kind}")
    result, upper = bytearray(line.tobytes()), above.tobytes()
    predict = _mean if kind == 3 else _paeth
    for i in range(len(result)):
        left, corner = (result[i - step], upper[i - step]) if i >= step else (0, 0)
        result[i] = (result[i] + predict(left, upper[i], corner)) & 255
    return np.frombuffer(bytes(result), np.uint8)


def _mean(left, up, corner):
    return (left + up) // 2


def _paeth(left, up, corner):
    """Which of the three neighbours is next to left + up - corner."""
    guess = left + up - corner
    to_left, to_up, to_corner = abs(guess - left), abs(guess - up), abs(guess - corner)
    if to_left <= to_up and to_left <= to_corner:
        return left
    return up if to_up <= to_corner else corner
