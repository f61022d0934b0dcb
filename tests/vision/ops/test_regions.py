"""Pooling of regions, suppression of boxes and deformable convolution against plain loops in NumPy; their gradients."""
import math

import numpy as np
import pytest

import rushlight as rl
from rushlight.autograd import gradcheck
from rushlight.vision import ops

BOXES = np.array([[0, 1.0, 2, 8, 9], [1, 0, 0, 11, 9], [1, 3, 3, 4, 4.5], [0, -3, -4, 15, 20], [0, 6, 6, 5, 5]])


def features(channels=3, seed=0, dtype=np.float64):
    return np.random.RandomState(seed).randn(2, channels, 10, 12).astype(dtype)


def bilinear(plane, y, x):
    """A value between pixels; coordinates beyond the border by at most one pixel count as the border."""
    height, width = plane.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    i, j = int(y), int(x)
    k, m = min(i + 1, height - 1), min(j + 1, width - 1)
    top = plane[i, j] * (1 - (x - j)) + plane[i, m] * (x - j)
    bottom = plane[k, j] * (1 - (x - j)) + plane[k, m] * (x - j)
    return top * (1 - (y - i)) + bottom * (y - i)


def align(x, boxes, size, scale, samples, aligned, sensitive=False):
    """RoIAlign by its definition."""
    h, w = size
    channels = x.shape[1] // (h * w) if sensitive else x.shape[1]
    out = np.zeros((len(boxes), channels, h, w))
    shift = 0.5 if aligned else 0.0
    for r, (image, *corners) in enumerate(boxes):
        left, top, right, bottom = [corner * scale - shift for corner in corners]
        width, height = right - left, bottom - top
        if not aligned:
            width, height = max(width, 1.0), max(height, 1.0)
        down = samples if samples > 0 else max(0, math.ceil(height / h))
        across = samples if samples > 0 else max(0, math.ceil(width / w))
        for c, i, j in np.ndindex(channels, h, w):
            plane = x[int(image), (c * h + i) * w + j if sensitive else c]
            total = 0.0
            for a, b in np.ndindex(down, across):
                y = top + (i + (a + 0.5) / down) * height / h
                total += bilinear(plane, y, left + (j + (b + 0.5) / across) * width / w)
            out[r, c, i, j] = total / max(1, down * across)
    return out


def whole_bins(x, boxes, size, scale, reduce, sensitive):
    """RoI pooling by its definition; `reduce`: of the pixels of a bin."""
    h, w = size
    channels = x.shape[1] // (h * w) if sensitive else x.shape[1]
    out = np.zeros((len(boxes), channels, h, w))

    def nearest(value):
        return int(math.copysign(math.floor(abs(value) + 0.5), value))

    for r, (image, *corners) in enumerate(boxes):
        left, top, right, bottom = [nearest(corner * scale) for corner in corners]
        more = 0 if sensitive else 1
        width, height = max(right - left + more, 1), max(bottom - top + more, 1)
        for c, i, j in np.ndindex(channels, h, w):
            plane = x[int(image), (c * h + i) * w + j if sensitive else c]
            rows = [min(max(top + n, 0), 10) for n in (math.floor(i * height / h), math.ceil((i + 1) * height / h))]
            columns = [min(max(left + n, 0), 12) for n in (math.floor(j * width / w), math.ceil((j + 1) * width / w))]
            part = plane[rows[0]:rows[1], columns[0]:columns[1]]
            out[r, c, i, j] = reduce(part) if part.size else 0.0
    return out


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("samples", [-1, 2])
@pytest.mark.parametrize("channels", [3, 19])
def test_roi_align(aligned, samples, channels):
    x = features(channels)
    found = ops.roi_align(rl.tensor(x), rl.tensor(BOXES), (3, 2), 0.5, samples, aligned)
    assert np.allclose(found.numpy(), align(x, BOXES, (3, 2), 0.5, samples, aligned))


def test_other_forms_of_boxes_and_dtypes():
    x = features(dtype=np.float32)
    rois = rl.tensor(BOXES[:3], dtype=rl.float32)
    wanted = align(x, BOXES[:3], (3, 3), 1.0, 2, False)
    listed = [rois[:1, 1:], rois[1:, 1:]]
    assert np.allclose(ops.roi_align(rl.tensor(x), listed, 3, sampling_ratio=2).numpy(), wanted, atol=1e-5)
    last = rl.tensor(x).contiguous(memory_format=rl.channels_last)
    assert np.allclose(ops.roi_align(last, rois, 3, sampling_ratio=2).numpy(), wanted, atol=1e-5)
    half = ops.roi_align(rl.tensor(x).half(), rois.half(), 3, sampling_ratio=2)
    assert half.dtype is rl.float16 and np.allclose(half.float().numpy(), wanted, atol=2e-2)
    assert ops.roi_align(rl.tensor(x), rois[:0], 3).shape == (0, 3, 3, 3)
    assert ops.roi_align(rl.tensor(x), rois, 3).is_contiguous()


def test_position_sensitive_align():
    x = features(12)
    found = ops.ps_roi_align(rl.tensor(x), rl.tensor(BOXES), (3, 2), 0.5, 2)
    assert np.allclose(found.numpy(), align(x, BOXES, (3, 2), 0.5, 2, True, sensitive=True))
    assert ops.PSRoIAlign(2, 0.5, 2)(rl.tensor(x), rl.tensor(BOXES)).shape == (5, 3, 2, 2)


@pytest.mark.parametrize("channels", [3, 17])
def test_roi_pool(channels):
    x = features(channels)
    found = ops.roi_pool(rl.tensor(x), rl.tensor(BOXES), (3, 2), 0.5)
    assert np.allclose(found.numpy(), whole_bins(x, BOXES, (3, 2), 0.5, np.max, False))
    found = ops.ps_roi_pool(rl.tensor(features(12)), rl.tensor(BOXES), (3, 2), 0.5)
    assert np.allclose(found.numpy(), whole_bins(features(12), BOXES, (3, 2), 0.5, np.mean, True))


@pytest.mark.parametrize("name, arguments", [
    ("roi_align", ((2, 2), 0.5, 2, True)), ("roi_align", ((2, 2), 0.5)), ("roi_pool", ((2, 2), 0.5)),
    ("ps_roi_align", ((2, 2), 0.5, 2)), ("ps_roi_pool", ((2, 2), 0.5)),
])
def test_gradients_of_regions(name, arguments):
    boxes = rl.tensor(BOXES[:3])
    x = rl.tensor(features(4)[:, :, :5, :4], requires_grad=True)
    operator = getattr(ops, name)
    assert gradcheck(lambda x: operator(x, boxes, *arguments), (x,))
    # linear in x but for the choice of maxima: the gradient of the gradient's sum is the operator again
    y = operator(x, boxes, *arguments)
    weights = rl.rand_like(y).requires_grad_()
    g, = rl.autograd.grad(y, x, weights, create_graph=True)
    again, = rl.autograd.grad(g, weights, x.detach())
    assert again.allclose(y)


def test_errors_of_regions():
    x, boxes = rl.tensor(features()), rl.tensor(BOXES)
    with pytest.raises(AssertionError, match="not correct as Tensor"):
        ops.roi_align(x, boxes[:, 1:], 2)
    with pytest.raises(AssertionError, match="List"):
        ops.roi_align(x, [boxes], 2)
    with pytest.raises(RuntimeError, match="same dtype"):
        ops.roi_pool(x, boxes.float(), 2)
    with pytest.raises(RuntimeError, match="multiple of pooling"):
        ops.ps_roi_pool(x, boxes, 2)
    for image in (2, -1, float("nan")):
        bad = boxes.clone()
        bad[0, 0] = image
        with pytest.raises(IndexError, match="regions"):
            ops.roi_align(x, bad, 2).sum().item()


# -- suppression -------------------------------------------------------------------------------------------------------


def suppressed(boxes, scores, threshold):
    """The boxes that are kept, best first, by the definition."""
    kept = []
    for i in np.argsort(-scores, kind="stable"):
        for j in kept:
            low, high = np.maximum(boxes[i, :2], boxes[j, :2]), np.minimum(boxes[i, 2:], boxes[j, 2:])
            shared = np.prod(np.maximum(high - low, 0))
            union = np.prod(boxes[i, 2:] - boxes[i, :2]) + np.prod(boxes[j, 2:] - boxes[j, :2]) - shared
            if shared / union > threshold:
                break
        else:
            kept.append(i)
    return kept


def some_boxes(count, seed=0):
    source = np.random.RandomState(seed)
    corners = source.rand(count, 2) * 80
    return np.concatenate([corners, corners + 5 + source.rand(count, 2) * 40], 1), source.rand(count)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 130])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7])
def test_nms(count, threshold):
    boxes, scores = some_boxes(count, count)
    for dtype in (rl.float32, rl.float64):
        found = ops.nms(rl.tensor(boxes, dtype=dtype), rl.tensor(scores, dtype=dtype), threshold)
        assert found.dtype is rl.int64 and found.tolist() == suppressed(boxes, scores, threshold)


def test_nms_of_equal_and_empty_boxes():
    boxes = rl.tensor([[0.0, 0, 4, 4]] * 3 + [[5.0, 5, 5, 5]] * 2)
    assert ops.nms(boxes, rl.tensor([0.5, 0.5, 0.9, 0.1, 0.2]), 0.5).tolist() == [2, 4, 3]
    assert ops.nms(boxes[:0], rl.zeros(0), 0.5).tolist() == []
    thirds = rl.tensor([[0.0, 0, 2, 2], [1.0, 0, 3, 2]])  # overlap: exactly 1/3
    assert ops.nms(thirds, rl.tensor([0.9, 0.8]), 0.33).tolist() == [0]
    assert ops.nms(thirds, rl.tensor([0.9, 0.8]), 0.34).tolist() == [0, 1]


@pytest.mark.parametrize("count", [60, 1100])
def test_batched_nms(count):
    boxes, scores = some_boxes(count)
    labels = np.arange(count) * 7 % 5
    found = ops.batched_nms(rl.tensor(boxes), rl.tensor(scores), rl.tensor(labels), 0.4)
    wanted = []
    for label in range(5):
        places = np.flatnonzero(labels == label)
        wanted += list(places[suppressed(boxes[places], scores[places], 0.4)])
    assert found.tolist() == sorted(wanted, key=lambda i: -scores[i])
    assert ops.batched_nms(rl.zeros(0, 4), rl.zeros(0), rl.zeros(0), 0.5).tolist() == []


def test_errors_of_nms():
    with pytest.raises(RuntimeError, match="4 elements in dimension 1, got 5"):
        ops.nms(rl.rand(3, 5), rl.rand(3), 0.5)
    with pytest.raises(RuntimeError, match="same number of elements"):
        ops.nms(rl.rand(3, 4), rl.rand(4), 0.5)
    with pytest.raises(RuntimeError, match="1d tensor, got 2D"):
        ops.nms(rl.rand(3, 4), rl.rand(3, 1), 0.5)


# -- deformable convolution --------------------------------------------------------------------------------------------


def deformed(x, offset, weight, stride, padding, dilation, mask):
    """A deformable convolution by its definition."""
    (n, channels, height, width), (out, per_group, kh, kw) = x.shape, weight.shape
    groups, parts = offset.shape[1] // (2 * kh * kw), channels // per_group
    result = np.zeros((n, out, *offset.shape[2:]))

    def at(plane, y, x):
        i, j = math.floor(y), math.floor(x)
        total = 0.0
        for a, wy in ((i, 1 - (y - i)), (i + 1, y - i)):
            for b, wx in ((j, 1 - (x - j)), (j + 1, x - j)):
                if 0 <= a < height and 0 <= b < width:
                    total += plane[a, b] * wy * wx
        return total

    for b, o, i, j in np.ndindex(*result.shape):
        for c, u, v in np.ndindex(per_group, kh, kw):
            channel = o // (out // parts) * per_group + c
            group, tap = channel // (channels // groups), u * kw + v
            dy, dx = offset[b, (group * kh * kw + tap) * 2:(group * kh * kw + tap) * 2 + 2, i, j]
            row, column = i * stride - padding + u * dilation, j * stride - padding + v * dilation
            value = at(x[b, channel], row + dy, column + dx)
            result[b, o, i, j] += weight[o, c, u, v] * value * mask[b, group * kh * kw + tap, i, j]
    return result


def deformable(groups=2, parts=2, seed=0):
    """(input, offset, weight, mask)."""
    source = np.random.RandomState(seed)
    return (source.randn(1, 4, 5, 6), source.randn(1, groups * 8, 3, 4) * 1.5, source.randn(4, 4 // parts, 2, 2),
            source.rand(1, groups * 4, 3, 4))


@pytest.mark.parametrize("groups, parts", [(1, 1), (2, 2), (4, 1)])
def test_deform_conv2d(groups, parts):
    x, offset, weight, mask = deformable(groups, parts)
    wanted = deformed(x, offset, weight, 2, 1, 1, mask)
    found = ops.deform_conv2d(*map(rl.tensor, (x, offset, weight)), stride=2, padding=1, mask=rl.tensor(mask))
    assert np.allclose(found.numpy(), wanted)
    plain = ops.deform_conv2d(*map(rl.tensor, (x, offset * 0, weight)), stride=2, padding=1)
    assert plain.allclose(rl.nn.functional.conv2d(rl.tensor(x), rl.tensor(weight), stride=2, padding=1, groups=parts))


def test_gradients_of_deform_conv2d():
    source = np.random.RandomState(0)
    shapes = [(1, 2, 3, 3), (1, 16, 2, 2), (2, 1, 2, 2), (1, 8, 2, 2)]  # two groups of one channel
    tensors = [rl.tensor(source.randn(*shape), requires_grad=True) for shape in shapes]
    bias = rl.rand(2, dtype=rl.float64, requires_grad=True)
    assert gradcheck(lambda x, offset, weight, mask, bias: ops.deform_conv2d(
        x, offset, weight, bias, stride=2, padding=1, mask=mask), (*tensors, bias))


def test_deform_conv2d_module_and_errors():
    module = ops.DeformConv2d(4, 6, 3, stride=2, padding=1, groups=2, bias=False)
    assert repr(module) == ("DeformConv2d(4, 6, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), groups=2, "
                            "bias=False)")
    assert module(rl.rand(2, 4, 8, 8), rl.zeros(2, 18, 4, 4)).shape == (2, 6, 4, 4)
    with pytest.raises(RuntimeError, match="multiple of 2 \\* weight.size"):
        ops.deform_conv2d(rl.rand(1, 4, 5, 5), rl.rand(1, 2, 3, 3), rl.rand(4, 4, 3, 3))
    with pytest.raises(RuntimeError, match="expected offset.shape"):
        ops.deform_conv2d(rl.rand(1, 4, 5, 5), rl.rand(1, 18, 2, 3), rl.rand(4, 4, 3, 3))
    with pytest.raises(ValueError, match="out_channels must be divisible"):
        ops.DeformConv2d(4, 5, 3, groups=2)
