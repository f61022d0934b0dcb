"""The fast CRC-32 against zlib's, over all remainders of lengths and several starting values."""

import os
import zlib

import pytest
from rushlight.serialization import checksum

LARGE = 1 << 40  # as if a large file were checked, which is worth loading the compiler


@pytest.mark.parametrize("length", [checksum.LARGE + extra for extra in (0, 1, 15, 16, 63, 64, 65, 100_007)])
def test_same_as_zlib(length):
    data = os.urandom(length)
    for value in (0, 1, 0xFFFFFFFF, 123456789):
        assert checksum.crc32(data, value, LARGE) == zlib.crc32(data, value)
    assert checksum.crc32(memoryview(data)[1:], 5, LARGE) == zlib.crc32(data[1:], 5)


def test_parts_add_up():
    data = os.urandom(3 << 20)
    value = 0
    for start in range(0, len(data), 1 << 20):
        value = checksum.crc32(data[start:start + (1 << 20)], value, LARGE)
    assert value == zlib.crc32(data)


def test_short_data_and_processors_without_the_instruction(monkeypatch):
    assert checksum.crc32(b"abc") == zlib.crc32(b"abc") and checksum.crc32(b"") == 0
    monkeypatch.setattr(checksum, "_native", lambda: None)
    data = os.urandom(checksum.LARGE)
    assert checksum.crc32(data, 7, LARGE) == zlib.crc32(data, 7)
