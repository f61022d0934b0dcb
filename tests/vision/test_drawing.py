"""Boxes, masks and points drawn into images; flow as colours."""
import math

import pytest

import rushlight as rl
from rushlight.vision import utils

pytest.importorskip("PIL.Image")
BLACK = rl.zeros(3, 20, 24, dtype=rl.uint8)


def test_boxes():
    boxes = rl.tensor([[2, 3, 10, 12], [5.0, 5, 20, 15]])
    result = utils.draw_bounding_boxes(BLACK, boxes, colors=["red", (0, 0, 255)])
    assert result[:, 3, 2].tolist() == [255, 0, 0] and result[:, 15, 12].tolist() == [0, 0, 255]
    assert result[:, 8, 12].tolist() == [0, 0, 0] and not BLACK.any()
    filled = utils.draw_bounding_boxes(BLACK, boxes[:1], colors="red", fill=True)
    assert 50 < filled[0, 8, 6] < 150
    floats = utils.draw_bounding_boxes(BLACK.float(), boxes[:1], colors="red", labels=["x"], width=2)
    assert floats.dtype == rl.float32 and floats[0, 3, 2] == 1.0
    assert utils.draw_bounding_boxes(BLACK[:1], boxes).shape == (3, 20, 24)
    corners = rl.tensor([[2, 2, 20, 2, 20, 15, 2, 15]])
    dashed = utils.draw_bounding_boxes(BLACK, corners, colors="white")[0]
    assert dashed[15, 3:19].min() == 255 and set(dashed[2, 3:19].tolist()) == {0, 255}


def test_masks():
    masks = rl.zeros(2, 20, 24, dtype=rl.bool)
    masks[0, :5], masks[1, 3:8] = True, True
    result = utils.draw_segmentation_masks(BLACK + 100, masks, alpha=0.5, colors=["red", "blue"])
    assert result[:, 0, 0].tolist() == [177, 50, 50] and result[:, 6, 0].tolist() == [50, 50, 177]
    assert result[:, 4, 0].tolist() == [50, 50, 50] and result[:, 10, 0].tolist() == [100, 100, 100]


def test_points():
    points = rl.tensor([[[5, 5], [15.0, 5]], [[5, 15], [15, 15]]])
    result = utils.draw_keypoints(BLACK, points, connectivity=[(0, 1)], colors="red", radius=1, width=1)
    assert result[:, 4, 5].tolist() == [255, 0, 0] and result[:, 5, 10].tolist() == [255, 255, 255]
    hidden = utils.draw_keypoints(BLACK, points, colors="red", visibility=rl.tensor([[True, False], [False, False]]))
    assert hidden[0, 5, 5] == 255 and not hidden[0, 15].any()


def test_flow():
    flow = rl.zeros(2, 3, 3)
    assert utils.flow_to_image(flow).unique().tolist() == [255]
    flow[0, 1, 1] = 5.0
    image = utils.flow_to_image(flow)
    assert image.dtype == rl.uint8 and image[0, 1, 1] == 255 and image[1:, 1, 1].max() < 60
    assert utils.flow_to_image(rl.stack([flow, flow])).shape == (2, 3, 3, 3)
    turn = [utils.flow_to_image(rl.tensor([math.cos(a), math.sin(a)]).reshape(2, 1, 1)).flatten().tolist()
            for a in (0, 2, 4)]
    assert len({tuple(colour) for colour in turn}) == 3


@pytest.mark.parametrize("call, error", [
    (lambda: utils.draw_bounding_boxes([1], rl.zeros(1, 4)), TypeError),
    (lambda: utils.draw_bounding_boxes(BLACK[None], rl.zeros(1, 4)), ValueError),
    (lambda: utils.draw_bounding_boxes(BLACK, rl.tensor([[5, 5, 1, 1]])), ValueError),
    (lambda: utils.draw_bounding_boxes(BLACK, rl.zeros(1, 4), labels=["a", "b"]), ValueError),
    (lambda: utils.draw_bounding_boxes(BLACK, rl.zeros(2, 4), colors=["red"]), ValueError),
    (lambda: utils.draw_segmentation_masks(BLACK, rl.zeros(20, 24)), ValueError),
    (lambda: utils.draw_segmentation_masks(BLACK, rl.zeros(2, 2, dtype=rl.bool)), ValueError),
    (lambda: utils.draw_keypoints(BLACK, rl.zeros(2, 2)), ValueError),
    (lambda: utils.flow_to_image(rl.zeros(2, 3, 3, dtype=rl.float64)), ValueError),
    (lambda: utils.flow_to_image(rl.zeros(3, 3, 3)), ValueError),
])
def test_errors(call, error):
    with pytest.raises(error):
        call()


def test_nothing_to_draw():
    with pytest.warns(UserWarning, match="No box was drawn"):
        assert utils.draw_bounding_boxes(BLACK, rl.zeros(0, 4)) is BLACK
