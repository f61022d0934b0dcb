"""default_collate and default_convert: what becomes of which structure and type."""

from collections import OrderedDict, namedtuple

import numpy as np
import pytest
import rushlight as rl
from rushlight.utils.data import default_collate, default_convert
from rushlight.utils.data._utils.collate import collate, default_collate_fn_map

Point = namedtuple("Point", ["x", "y"])


def test_numbers_and_texts():
    assert default_collate([1, 2]).dtype == rl.int64
    assert default_collate([True, False]).dtype == rl.bool
    assert default_collate([1.5, 2.0]).dtype == rl.float64
    assert default_collate([np.float32(1), np.float32(2)]).dtype == rl.float32
    assert default_collate([np.float64(1), np.float64(2)]).tolist() == [1.0, 2.0]
    assert default_collate(["a", "b"]) == ["a", "b"]
    assert default_collate([b"a", b"b"]) == [b"a", b"b"]


def test_tensors_and_arrays():
    stacked = default_collate([rl.zeros(2, 3), rl.ones(2, 3)])
    assert stacked.shape == (2, 2, 3) and stacked.tolist()[1] == [[1.0] * 3] * 2
    assert default_collate([np.arange(3), np.arange(3)]).tolist() == [[0, 1, 2]] * 2
    with pytest.raises(RuntimeError):
        default_collate([rl.zeros(2), rl.zeros(3)])
    with pytest.raises(TypeError, match="batch must contain tensors"):
        default_collate([np.array(["a"]), np.array(["b"])])


def test_structures():
    batch = default_collate([{"a": 1, "b": (2.0, "s")}, {"a": 3, "b": (4.0, "t")}])
    assert batch["a"].tolist() == [1, 3] and batch["b"][0].tolist() == [2.0, 4.0] and batch["b"][1] == ("s", "t")
    assert type(batch["b"]) is list
    point = default_collate([Point(1, 2), Point(3, 4)])
    assert isinstance(point, Point) and point.y.tolist() == [2, 4]
    assert type(default_collate([OrderedDict(a=1), OrderedDict(a=2)])) is OrderedDict
    assert [t.tolist() for t in default_collate([[1, 2], [3, 4]])] == [[1, 3], [2, 4]]
    with pytest.raises(RuntimeError, match="each element in list of batch should be of equal size"):
        default_collate([[1, 2], [3]])
    with pytest.raises(TypeError, match="found <class 'object'>"):
        default_collate([object()])


def test_own_types():
    class Thing:
        pass

    def put_together(batch, *, collate_fn_map):
        return len(batch)

    assert collate([(Thing(), 1)] * 3, collate_fn_map={**default_collate_fn_map, Thing: put_together})[0] == 3
    default_collate_fn_map[Thing] = put_together
    try:
        assert default_collate([Thing()] * 2) == 2
    finally:
        del default_collate_fn_map[Thing]


def test_convert():
    assert default_convert(np.arange(2)).tolist() == [0, 1]
    assert default_convert(0) == 0 and default_convert("a") == "a"
    point = default_convert(Point(np.array(1), 2))
    assert isinstance(point, Point) and isinstance(point.x, rl.Tensor) and point.y == 2
    converted = default_convert({"a": (np.ones(2), "b"), "c": [np.array(["s"])]})
    assert type(converted["a"]) is list and converted["a"][0].dtype == rl.float64
    assert isinstance(converted["c"][0], np.ndarray)
