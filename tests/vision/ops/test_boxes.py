"""Areas, overlaps, conversions and losses of boxes, against formulas and known geometry."""
import math

import numpy as np
import pytest

import rushlight as rl
from rushlight.autograd import gradcheck
from rushlight.vision import ops

FIRST = [[0.0, 0, 4, 4], [2, 2, 6, 5], [10, 10, 12, 13]]
SECOND = [[1.0, 1, 3, 3], [0, 0, 4, 4]]


def test_overlaps():
    iou = ops.box_iou(rl.tensor(FIRST), rl.tensor(SECOND)).numpy()
    assert np.allclose(iou, [[4 / 16, 1], [1 / 15, 4 / 24], [0, 0]])
    generalized = ops.generalized_box_iou(rl.tensor(FIRST), rl.tensor(SECOND)).numpy()
    assert np.allclose(generalized[1], [1 / 15 - (20 - 15) / 20, 4 / 24 - (30 - 24) / 30])
    distance = ops.distance_box_iou(rl.tensor(FIRST), rl.tensor(SECOND)).numpy()
    assert np.allclose(distance[1, 0], 1 / 15 - (2**2 + 1.5**2) / (5**2 + 4**2))
    v = 4 / math.pi**2 * (math.atan(4 / 3) - math.atan(1)) ** 2
    complete = ops.complete_box_iou(rl.tensor(FIRST), rl.tensor(SECOND)).numpy()
    assert np.allclose(complete[1, 0], distance[1, 0] - v * v / (1 - 1 / 15 + v))


def test_overlaps_of_other_formats_and_batches():
    first, second = rl.tensor(FIRST), rl.tensor(SECOND)
    wanted = ops.box_iou(first, second)
    for fmt in ("xywh", "cxcywh"):
        pair = [ops.box_convert(boxes, "xyxy", fmt) for boxes in (first, second)]
        assert ops.box_iou(*pair, fmt=fmt).allclose(wanted)
        assert ops.box_area(pair[0], fmt=fmt).tolist() == [16, 12, 6]
    assert ops.box_iou(first.expand(5, 3, 4), second.expand(5, 2, 4)).allclose(wanted.expand(5, 3, 2))
    assert ops.box_iou(first.int(), second.int()).allclose(wanted)
    with pytest.raises(ValueError, match="Unsupported format 'xyx'"):
        ops.box_iou(first, second, fmt="xyx")
    assert ops.box_area(rl.tensor([[0, 0, 200, 200]], dtype=rl.uint8)).tolist() == [40000]


def test_rotated_overlaps():
    square = [[5.0, 5, 4, 4, 0], [5, 5, 4, 4, 45], [7, 5, 4, 4, 0], [50, 5, 4, 4, 10], [5, 5, 4, 2, 90]]
    found = ops.box_iou(rl.tensor(square[:1]), rl.tensor(square), fmt="cxcywhr")[0].tolist()
    octagon = 16 * (2 * math.sqrt(2) - 2)  # what a square shares with itself turned by 45 degrees
    assert np.allclose(found, [1, octagon / (32 - octagon), 8 / 24, 0, 8 / 16], atol=1e-6)
    upright = np.array(FIRST)
    turned = [[(a + c) / 2, (b + d) / 2, c - a, d - b, angle] for (a, b, c, d), angle in zip(upright, (0, 180, -360))]
    turned = rl.tensor(turned, dtype=rl.float32)
    found = ops.box_iou(turned, turned, fmt="cxcywhr")
    assert found.allclose(ops.box_iou(rl.tensor(FIRST), rl.tensor(FIRST)), atol=1e-6)
    corners = ops.box_convert(rl.tensor(square), "cxcywhr", "xyxyxyxy")
    again = ops.box_iou(corners, corners, fmt="xyxyxyxy")
    assert again.allclose(again.t(), atol=1e-6)
    assert again.diagonal().allclose(rl.ones(5), atol=1e-6)


UPRIGHT, ROTATED = ("xyxy", "xywh", "cxcywh"), ("xywhr", "cxcywhr", "xyxyxyxy")


@pytest.mark.parametrize("kinds", [UPRIGHT, ROTATED])
def test_conversions_are_their_own_inverses(kinds):
    start = [[3.0, 4, 10, 12]] if kinds is UPRIGHT else [[3.0, 4, 10, 12, 30.0]]
    boxes = rl.tensor(start)
    for middle in kinds:
        for last in kinds:
            there = ops.box_convert(ops.box_convert(boxes, kinds[0], middle), middle, last)
            assert ops.box_convert(there, last, kinds[0]).allclose(boxes, atol=1e-5), (middle, last)


def test_conversions():
    box = rl.tensor([[2.0, 3, 8, 7]])
    assert ops.box_convert(box, "xyxy", "xywh").tolist() == [[2, 3, 6, 4]]
    assert ops.box_convert(box, "xyxy", "cxcywh").tolist() == [[5, 5, 6, 4]]
    turned = ops.box_convert(rl.tensor([[5.0, 5, 6, 4, 90]]), "cxcywhr", "xyxyxyxy")
    assert np.allclose(turned.tolist(), [[3, 8, 3, 2, 7, 2, 7, 8]], atol=1e-5)
    whole = ops.box_convert(rl.tensor([[5, 5, 6, 4, 90]]), "cxcywhr", "xywhr")
    assert whole.dtype is rl.int64 and whole.tolist() == [[3, 8, 6, 4, 90]]
    copy = ops.box_convert(box, "xyxy", "xyxy")
    assert copy.equal(box) and copy.data_ptr() != box.data_ptr()
    with pytest.raises(ValueError, match="in_fmt xyz"):
        ops.box_convert(box, "xyz", "xyxy")
    with pytest.raises(NotImplementedError):
        ops.box_convert(box, "xyxy", "xywhr")


def test_clipping_and_small_boxes():
    boxes = rl.tensor([[-2.0, -3, 20, 5], [1, 1, 3, 30], [4, 4, 4.5, 9]])
    assert ops.clip_boxes_to_image(boxes, (10, 15)).tolist() == [[0, 0, 15, 5], [1, 1, 3, 10], [4, 4, 4.5, 9]]
    assert ops.remove_small_boxes(boxes, 1.0).tolist() == [0, 1]


def test_masks_to_boxes():
    masks = rl.zeros(4, 6, 8)
    masks[0, 2:4, 3:7] = 1
    masks[1, 5, 7] = 0.5
    masks[3] = -1
    assert ops.masks_to_boxes(masks).tolist() == [[3, 2, 6, 3], [7, 5, 7, 5], [0, 0, 0, 0], [0, 0, 7, 5]]
    assert ops.masks_to_boxes(rl.zeros(0, 3, 3)).shape == (0, 4)


LOSSES = ("generalized_box_iou", "distance_box_iou", "complete_box_iou")


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_one_minus_overlaps(name):
    first, second = rl.tensor(FIRST), rl.tensor(FIRST[1:] + FIRST[:1]) + 0.25
    wanted = 1 - getattr(ops, name)(first, second).diagonal()
    loss = getattr(ops, f"{name}_loss")
    assert loss(first, second).allclose(wanted, atol=1e-5)
    assert loss(first, second, reduction="mean").allclose(wanted.mean(), atol=1e-5)
    assert loss(first, second, reduction="sum").allclose(wanted.sum(), atol=1e-5)
    assert loss(first[:0], second[:0], reduction="mean").item() == 0
    with pytest.raises(ValueError, match="Invalid Value for arg 'reduction'"):
        loss(first, second, reduction="max")
    x = first.double().requires_grad_()
    if name != "complete_box_iou":  # whose weight is taken as constant
        assert gradcheck(lambda x: loss(x, second.double()), (x,))
    far = rl.tensor([[100.0, 100, 101, 101]], requires_grad=True)
    loss(far, first[:1], reduction="sum").backward()
    assert far.grad.isfinite().all() and far.grad.abs().sum() > 0


def test_focal_loss():
    scores = np.linspace(-3, 3, 8)
    targets = np.arange(8) % 2.0
    p = 1 / (1 + np.exp(-scores))
    p_t = np.where(targets == 1, p, 1 - p)
    alpha = np.where(targets == 1, 0.25, 0.75)
    wanted = -alpha * (1 - p_t) ** 2 * np.log(p_t)
    found = ops.sigmoid_focal_loss(rl.tensor(scores), rl.tensor(targets))
    assert np.allclose(found.numpy(), wanted)
    plain = ops.sigmoid_focal_loss(rl.tensor(scores), rl.tensor(targets), alpha=-1, gamma=0, reduction="mean")
    assert plain.item() == pytest.approx(-np.log(p_t).mean())
    with pytest.raises(ValueError, match="Invalid alpha value"):
        ops.sigmoid_focal_loss(rl.tensor(scores), rl.tensor(targets), alpha=2)
    x = rl.tensor(scores, requires_grad=True)
    assert gradcheck(lambda x: ops.sigmoid_focal_loss(x, rl.tensor(targets)), (x,))
