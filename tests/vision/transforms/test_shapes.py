"""Boxes and points: moved as the pixels under them, in all formats."""
import math

import numpy as np
import pytest

import rushlight as rl
from rushlight.vision import tv_tensors
from rushlight.vision.transforms.v2 import functional as VF

Format = tv_tensors.BoundingBoxFormat
SIZE = (30, 40)
CORNERS = [[4.0, 6.0, 20.0, 15.0], [10.0, 2.0, 38.0, 28.0]]
PLAIN = [Format.XYXY, Format.XYWH, Format.CXCYWH]
ROTATED = [Format.XYWHR, Format.CXCYWHR, Format.XYXYXYXY]


def boxes(format=Format.XYXY, mode="soft"):
    found = tv_tensors.BoundingBoxes(CORNERS, format=Format.XYXY, canvas_size=SIZE, clamping_mode=mode)
    return VF.convert_bounding_box_format(found, new_format=format)


def turned(format=Format.CXCYWHR):
    values = [[16.0, 14.0, 10.0, 6.0, 25.0], [22.0, 15.0, 8.0, 9.0, -40.0]]
    found = tv_tensors.BoundingBoxes(values, format=Format.CXCYWHR, canvas_size=SIZE)
    return VF.convert_bounding_box_format(found, new_format=format)


def points():
    return tv_tensors.KeyPoints([[3.0, 5.0], [39.0, 0.0], [20.0, 29.0]], canvas_size=SIZE)


def corners(found):
    return VF.convert_bounding_box_format(found, new_format=Format.XYXY).as_subclass(rl.Tensor)


def quad(found):
    return VF.convert_bounding_box_format(found, new_format=Format.XYXYXYXY).as_subclass(rl.Tensor)


def same_quads(left, right):
    """The same rectangles, whichever corner comes first."""
    for a, b in zip(left.reshape(-1, 4, 2).numpy(), right.reshape(-1, 4, 2).numpy()):
        a, b = [q[np.lexsort(np.round(q.T, 2))] for q in (a, b)]
        if not np.allclose(a, b, atol=1e-3):
            return False
    return True


@pytest.mark.parametrize("old", PLAIN)
@pytest.mark.parametrize("new", PLAIN)
def test_formats(old, new):
    result = VF.convert_bounding_box_format(boxes(old), new_format=new)
    assert result.format is new and rl.allclose(corners(result), rl.tensor(CORNERS))
    assert np.allclose(boxes(Format.CXCYWH)[0], [12.0, 10.5, 16.0, 9.0])


@pytest.mark.parametrize("old", ROTATED)
@pytest.mark.parametrize("new", ROTATED)
def test_rotated_formats(old, new):
    assert rl.allclose(quad(VF.convert_bounding_box_format(turned(old), new_format=new)), quad(turned()), atol=1e-4)


def test_a_rotated_box_by_hand():
    found = tv_tensors.BoundingBoxes([[10.0, 10.0, 4.0, 2.0, 90.0]], format="XYWHR", canvas_size=SIZE)
    # The first side points upwards, the second to the right.
    assert np.allclose(quad(found).numpy(), [[10, 10, 10, 6, 12, 6, 12, 10]], atol=1e-5)


def test_errors_of_conversion():
    with pytest.raises(ValueError, match="between rotated and unrotated"):
        VF.convert_bounding_box_format(boxes(), new_format=Format.XYWHR)
    with pytest.raises(ValueError, match="old_format` has to be passed"):
        VF.convert_bounding_box_format(rl.zeros(1, 4), new_format="XYWH")
    with pytest.raises(ValueError, match="must not be passed"):
        VF.convert_bounding_box_format(boxes(), old_format="XYXY", new_format="XYWH")
    with pytest.raises(TypeError):
        VF.convert_bounding_box_format([1, 2], new_format="XYWH")


def test_conversion_in_place():
    values = rl.tensor(CORNERS)
    result = VF.convert_bounding_box_format(values, "XYXY", "XYWH", inplace=True)
    assert result is values and values[0].tolist() == [4.0, 6.0, 16.0, 9.0]


@pytest.mark.parametrize("format", PLAIN + ROTATED)
@pytest.mark.parametrize("flip", [VF.horizontal_flip, VF.vertical_flip])
def test_flips_are_their_own_inverse(format, flip):
    found = boxes(format) if format in PLAIN else turned(format)
    shape = corners if format in PLAIN else quad
    once = flip(found)
    assert once.format is format and not rl.allclose(shape(once), shape(found))
    twice = flip(once)
    assert same_quads(shape(twice), shape(found)) if format in ROTATED else rl.allclose(shape(twice), shape(found))


def test_flip_of_boxes_and_points():
    assert corners(VF.horizontal_flip(boxes())).tolist()[0] == [20.0, 6.0, 36.0, 15.0]
    assert VF.horizontal_flip(points()).tolist() == [[36.0, 5.0], [0.0, 0.0], [19.0, 29.0]]
    assert VF.vertical_flip(points()).tolist()[0] == [3.0, 24.0]


@pytest.mark.parametrize("format", PLAIN)
def test_resize_pad_and_crop(format):
    small = VF.resize(boxes(format), [15, 20])
    assert small.canvas_size == (15, 20) and rl.allclose(corners(small), rl.tensor(CORNERS) / 2)
    padded = VF.pad(boxes(format), [1, 2, 3, 4])
    assert padded.canvas_size == (36, 44) and corners(padded)[0].tolist() == [5.0, 8.0, 21.0, 17.0]
    part = VF.crop(boxes(format), 5, 8, 12, 20)
    assert part.canvas_size == (12, 20) and corners(part).tolist() == [[0.0, 1.0, 12.0, 10.0], [2.0, 0.0, 20.0, 12.0]]
    both = VF.resized_crop(boxes(format), 5, 8, 12, 20, [24, 40])
    assert corners(both)[0].tolist() == [0.0, 2.0, 24.0, 20.0]
    assert corners(VF.center_crop(boxes(format), [10, 20]))[0].tolist() == [0.0, 0.0, 10.0, 5.0]


def test_points_of_moved_pictures():
    assert VF.resize(points(), [60, 80]).tolist()[0] == [6.0, 10.0]
    assert VF.pad(points(), 3).tolist()[0] == [6.0, 8.0] and VF.pad(points(), 3).canvas_size == (36, 46)
    assert VF.crop(points(), 2, 1, 9, 9).tolist()[0] == [2.0, 3.0]
    with pytest.raises(ValueError, match="not supported with KeyPoints"):
        VF.pad(points(), 1, padding_mode="edge")


def test_affine_by_hand():
    moved = VF.affine(points(), 90.0, [1, 0], 2.0, [0.0, 0.0], center=[0.0, 0.0])
    # Clockwise by a quarter: right becomes down, down becomes left.
    assert np.allclose(moved.tolist()[0], [1 - 10.0, 6.0], atol=1e-4)
    box = VF.affine(boxes(), 90.0, [30, 0], 1.0, [0.0, 0.0], center=[0.0, 0.0])
    assert np.allclose(corners(box)[0].tolist(), [15.0, 4.0, 24.0, 20.0], atol=1e-4)


def test_rotation_with_room():
    moved = VF.rotate(points(), 90.0, expand=True)
    assert moved.canvas_size == (40, 30) and np.allclose(moved.tolist()[0], [5.0, 37.0], atol=1e-4)
    assert VF.rotate(boxes(), 30.0, expand=True).canvas_size[0] > 30


@pytest.mark.parametrize("format", ROTATED)
def test_rotated_boxes_follow_a_rotation(format):
    moved = VF.rotate(turned(format), 10.0)
    angle = math.radians(10)
    x, y = quad(turned()).reshape(-1, 2).numpy().T - np.array([[20.0], [15.0]])
    cos, sin = math.cos(angle), math.sin(angle)
    wanted = np.stack([x * cos + y * sin + 20, y * cos - x * sin + 15], 1)
    assert same_quads(quad(moved), rl.tensor(wanted.reshape(-1, 8), dtype=rl.float32))


def test_perspective_takes_corners_to_corners():
    start = [[0, 0], [39, 0], [39, 29], [0, 29]]
    end = [[2, 1], [35, 3], [38, 27], [1, 25]]
    found = tv_tensors.KeyPoints(np.array(start, np.float32), canvas_size=SIZE)
    assert np.allclose(VF.perspective(found, start, end).numpy(), end, atol=1e-2)


def test_elastic_moves_against_the_pixels():
    displacement = rl.zeros(1, 30, 40, 2)
    displacement[..., 0] = 2 * 3 / 40
    assert np.allclose(VF.elastic(points(), displacement).tolist()[0], [0.0, 5.0], atol=1e-4)


# -- clamping and cleaning -------------------------------------------------------------------------------------------


def test_clamping():
    wide = tv_tensors.BoundingBoxes([[-3.0, 5.0, 50.0, 29.0]], format="XYXY", canvas_size=SIZE)
    assert VF.clamp_bounding_boxes(wide).tolist() == [[0.0, 5.0, 40.0, 29.0]]
    assert VF.clamp_bounding_boxes(wide, clamping_mode=None).tolist() == wide.tolist()
    assert VF.clamp_keypoints(rl.tensor([[-1.0, 50.0]]), SIZE).tolist() == [[0.0, 29.0]]
    with pytest.raises(ValueError, match="clamping_mode must be"):
        VF.clamp_bounding_boxes(wide, clamping_mode="harder")
    with pytest.raises(ValueError, match="have to be passed"):
        VF.clamp_bounding_boxes(rl.zeros(1, 4))


@pytest.mark.parametrize("mode", ["soft", "hard"])
def test_rotated_boxes_inside_stay(mode):
    assert rl.allclose(quad(VF.clamp_bounding_boxes(turned(), clamping_mode=mode)), quad(turned()), atol=1e-4) or \
        same_quads(quad(VF.clamp_bounding_boxes(turned(), clamping_mode=mode)), quad(turned()))


def test_hard_clamping_leaves_nothing_outside():
    found = tv_tensors.BoundingBoxes([[2.0, 12.0, 14.0, 6.0, 30.0]], format="CXCYWHR", canvas_size=SIZE)
    assert quad(found)[:, 0::2].min() < 0
    assert quad(VF.clamp_bounding_boxes(found, clamping_mode="hard"))[:, 0::2].min() > -1e-3


def test_cleaning():
    values = [[0.0, 0.0, 5.0, 5.0], [3.0, 3.0, 3.5, 9.0], [-1.0, 0.0, 9.0, 9.0], [30.0, 20.0, 41.0, 25.0]]
    found = tv_tensors.BoundingBoxes(values, format="XYXY", canvas_size=SIZE)
    kept, valid = VF.sanitize_bounding_boxes(found)
    assert valid.tolist() == [True, False, False, False] and kept.tolist() == values[:1]
    assert VF.sanitize_bounding_boxes(found, min_area=26.0)[1].tolist() == [False] * 4
    kept, valid = VF.sanitize_keypoints(rl.tensor([[0.0, 0.0], [40.0, 3.0], [5.0, 30.0]]), SIZE)
    assert valid.tolist() == [True, False, False]
    with pytest.raises(ValueError, match="cannot be None"):
        VF.sanitize_bounding_boxes(rl.zeros(1, 4))
