"""Tensors that know what they show: making, operations, return types, texts, copies."""
import copy
import pickle

import numpy as np
import pytest

import rushlight as rl
from rushlight.vision import tv_tensors


def boxes(**changes):
    return tv_tensors.BoundingBoxes([[1.0, 2, 3, 4]], **{"format": "xyxy", "canvas_size": (5, 6), **changes})


def test_making():
    assert tv_tensors.Image(np.zeros((4, 5))).shape == (1, 4, 5)
    assert tv_tensors.Mask([[True]]).dtype == rl.bool
    assert tv_tensors.BoundingBoxes([1.0, 2, 3, 4], format="XYWH", canvas_size=(5, 6)).shape == (1, 4)
    assert boxes(dtype=rl.float64).dtype == rl.float64
    assert tv_tensors.Image(rl.ones(1, 2, 2, requires_grad=True)).requires_grad
    assert boxes().format is tv_tensors.BoundingBoxFormat.XYXY


@pytest.mark.parametrize("make", [
    lambda: tv_tensors.Image([1.0]), lambda: tv_tensors.Video(rl.zeros(3, 2, 2)),
    lambda: tv_tensors.KeyPoints([[1, 2, 3]], canvas_size=(4, 4)), lambda: boxes(clamping_mode="harder"),
    lambda: tv_tensors.BoundingBoxes([[1, 2, 3, 4, 5]], format="XYWHR", canvas_size=(4, 4)),
    lambda: tv_tensors.BoundingBoxes(rl.zeros(1, 1, 4), format="XYXY", canvas_size=(4, 4)),
    lambda: tv_tensors.is_rotated_bounding_format(3), lambda: tv_tensors.set_return_type("array"),
])
def test_errors(make):
    with pytest.raises(ValueError):
        make()


def test_operations_give_plain_tensors():
    found = boxes()
    assert type(found * 2) is rl.Tensor and type(found[0]) is rl.Tensor and type(found.sum()) is rl.Tensor
    assert type(found.clone()) is tv_tensors.BoundingBoxes and found.clone().canvas_size == (5, 6)
    assert type(found.to(rl.float64)) is tv_tensors.BoundingBoxes and type(found.detach()) is tv_tensors.BoundingBoxes
    changed = found.add_(1)
    assert type(changed) is rl.Tensor and found.tolist() == [[2.0, 3.0, 4.0, 5.0]]
    assert type(rl.cat([found, found])) is rl.Tensor


def test_return_types():
    with tv_tensors.set_return_type("TVTensor"):
        assert type(boxes() + 1) is tv_tensors.BoundingBoxes and (boxes() + 1).canvas_size == (5, 6)
        assert [type(part) for part in tv_tensors.Image(rl.zeros(2, 3, 3)).unbind()] == [tv_tensors.Image] * 2
    assert type(boxes() + 1) is rl.Tensor
    tv_tensors.set_return_type("tvtensor")
    try:
        assert type(boxes() + 1) is tv_tensors.BoundingBoxes
    finally:
        tv_tensors.set_return_type("tensor")


def test_wrap():
    wrapped = tv_tensors.wrap(rl.zeros(2, 4), like=boxes(), canvas_size=(7, 8))
    assert wrapped.canvas_size == (7, 8) and wrapped.format is tv_tensors.BoundingBoxFormat.XYXY
    assert type(tv_tensors.wrap(rl.zeros(1, 2, 2), like=tv_tensors.Mask(rl.zeros(1, 2, 2)))) is tv_tensors.Mask


def test_texts_and_copies():
    assert repr(boxes()) == ("BoundingBoxes([[1., 2., 3., 4.]], format=BoundingBoxFormat.XYXY, canvas_size=(5, 6), "
                             "clamping_mode=soft)")
    assert repr(tv_tensors.Mask([1])) == "Mask([1])"
    twin = copy.deepcopy(boxes())
    assert type(twin) is tv_tensors.BoundingBoxes and twin.canvas_size == (5, 6)
    assert type(pickle.loads(pickle.dumps(tv_tensors.Image(rl.zeros(1, 2, 2))))) is tv_tensors.Image


def test_gradients_reach_the_source():
    source = rl.ones(1, 2, 2, requires_grad=True)
    (tv_tensors.Image(source) * 3).sum().backward()
    assert source.grad.tolist() == [[[3.0, 3.0], [3.0, 3.0]]]
