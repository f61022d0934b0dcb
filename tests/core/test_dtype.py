"""Promotion rules and limits of dtypes, with the tables of PyTorch's documentation."""
import pytest

import rushlight as rl
from rushlight.core import dtype as dt


@pytest.mark.parametrize("a, b, expected", [
    ("uint8", "int8", "int16"), ("uint8", "int16", "int16"), ("int32", "int64", "int64"), ("int64", "float16",
                                                                                           "float16"),
    ("float16", "bfloat16", "float32"), ("float32", "float64", "float64"), ("bool", "uint8", "uint8"), ("float64",
                                                                                                        "complex64",
                                                                                                        "complex128"),
])
def test_promote(a, b, expected):
    first, second = dt.by_name(a), dt.by_name(b)
    assert dt.promote(first, second) is dt.promote(second, first) is dt.by_name(expected)


def test_unsigned_wide_types_do_not_promote():
    with pytest.raises(RuntimeError, match="Promotion for uint16"):
        dt.promote(dt.uint16, dt.int32)


def test_priority_of_dimensions_and_numbers():
    ints, floats = rl.tensor([1, 2]), rl.tensor([1.0], dtype=rl.float16)
    assert (ints + 1.5).dtype is rl.float32
    assert (floats + 1.5).dtype is rl.float16
    assert (floats + rl.tensor(1.0, dtype=rl.float64)).dtype is rl.float16
    assert (ints + rl.tensor(1.0, dtype=rl.float64)).dtype is rl.float64
    assert (rl.tensor([True]) + 1).dtype is rl.int64


def test_limits():
    assert rl.finfo(rl.bfloat16).eps == 2.0**-7
    assert rl.finfo(rl.float32).max == pytest.approx(3.4028234663852886e38)
    assert (rl.iinfo(rl.int8).min, rl.iinfo(rl.uint8).max) == (-128, 255)
    with pytest.raises(TypeError):
        rl.iinfo(rl.float32)


def test_default_dtype():
    before = rl.get_default_dtype()
    try:
        rl.set_default_dtype(rl.float64)
        assert rl.tensor(1.5).dtype is rl.zeros(2).dtype is rl.float64
    finally:
        rl.set_default_dtype(before)
    with pytest.raises(TypeError):
        rl.set_default_dtype(rl.int64)
