"""Overlap of rotated boxes: the polygon that two quadrilaterals share, for all pairs at once."""

from ... import api as rl

TOLERANCE = 1e-6


def _edges(corners):
    """The vectors from each corner to the next."""
    return rl.roll(corners, -1, dims=-2) - corners


def _cross(a, b):
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _area(corners):
    return _cross(corners, rl.roll(corners, -1, dims=-2)).sum(-1).abs() / 2


def _inside(points, corners):
    """Whether points (..., P, 2) lie in convex quadrilaterals (..., 4, 2): on one side of all edges."""
    sides = _cross(_edges(corners)[..., None, :, :], points[..., :, None, :] - corners[..., None, :, :])
    scale = TOLERANCE * (1 + sides.abs().amax(-1, keepdim=True))
    return ((sides >= -scale).all(-1)) | ((sides <= scale).all(-1))


def _crossings(first, second):
    """(points (..., 16, 2) where edges cross, whether they do)."""
    start, along = first[..., :, None, :], _edges(first)[..., :, None, :]
    other, across = second[..., None, :, :], _edges(second)[..., None, :, :]
    turn = _cross(along, across)
    parallel = turn.abs() <= 1e-14
    turn = rl.where(parallel, 1.0, turn)
    t = _cross(other - start, across) / turn
    u = _cross(other - start, along) / turn
    valid = ~parallel & (t >= 0) & (t <= 1) & (u >= 0) & (u <= 1)
    points = start + t[..., None] * along
    return points.flatten(-3, -2), valid.flatten(-2)


def rotated_iou(boxes1, boxes2):
    """Intersections over unions (..., N, M) of quadrilaterals (..., N, 8) and (..., M, 8), given by their corners.

    The corners of the shared polygon are the corners of one inside the other and the crossings of edges; sorted by
    their angle around their mean they give its area.
    """
    dtype = boxes1.dtype if boxes1.is_floating_point() else rl.float32
    first = boxes1.double().unflatten(-1, (4, 2))[..., :, None, :, :]
    second = boxes2.double().unflatten(-1, (4, 2))[..., None, :, :, :]
    shape = (*first.shape[:-4], first.shape[-4], second.shape[-3], 4, 2)
    first, second = first.expand(shape), second.expand(shape)
    if not first.numel():
        return rl.zeros(shape[:-2], dtype=dtype)
    crossings, crossed = _crossings(first, second)
    points = rl.cat([crossings, first, second], dim=-2)
    valid = rl.cat([crossed, _inside(first, second), _inside(second, first)], dim=-1)
    count = valid.sum(-1)
    centre = rl.where(valid[..., None], points, 0.0).sum(-2) / count.clamp(min=1)[..., None]
    spokes = points - centre[..., None, :]
    angles = rl.where(valid, rl.atan2(spokes[..., 1], spokes[..., 0]), float("inf"))
    order = angles.argsort(-1, stable=True)
    spokes = spokes.gather(-2, order[..., None].expand(spokes.shape))
    ranked = rl.arange(spokes.shape[-2]) < count[..., None]
    spokes = rl.where(ranked[..., None], spokes, spokes[..., :1, :])  # what is no corner repeats the first one
    shared = rl.where(count > 2, _area(spokes), 0.0)
    union = _area(first) + _area(second) - shared
    return rl.where(union > 0, shared / rl.where(union > 0, union, 1.0), 0.0).to(dtype)
