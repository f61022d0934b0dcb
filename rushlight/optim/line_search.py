"""A line search for L-BFGS: how far to go along a direction.

In: a function from a step length to (loss, gradient), and the loss, gradient and slope at the start. Out: a step length
that meets the strong Wolfe conditions, with the loss and gradient there. Read next: `lbfgs.py`.

The procedure is that of Nocedal and Wright, Numerical Optimization (2006), algorithms 3.5 and 3.6, with cubic
interpolation and the safeguards of Schmidt's minFunc, as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

ARMIJO, CURVATURE = 1e-4, 0.9
MAX_EVALUATIONS = 25


class Point(NamedTuple):
    """A step length that was tried."""

    length: float
    loss: float
    grad: Any
    slope: float


class Search:
    """The line and what is asked of a point on it."""

    def __init__(self, at: Callable[[Any], tuple[float, Any]], direction: Any, start: Point) -> None:
        self.at, self.direction, self.start = at, direction, start
        self.evaluations = 0

    def try_length(self, length: float) -> Point:
        loss, grad = self.at(length)
        self.evaluations += 1
        return Point(length, loss, grad, float(grad.dot(self.direction)))

    def too_high(self, point: Point) -> bool:
        """The loss has not fallen enough (Armijo's condition)."""
        return point.loss > self.start.loss + ARMIJO * point.length * self.start.slope

    def flat(self, point: Point) -> bool:
        """The slope is small enough (the curvature condition)."""
        return abs(point.slope) <= -CURVATURE * self.start.slope


def strong_wolfe(
    at: Callable[[Any], tuple[float, Any]],
    length: float,
    direction: Any,
    loss: float,
    grad: Any,
    slope: float,
    tolerance_change: float = 1e-9,
) -> tuple[float, Any, float, int]:
    """A step length that meets the strong Wolfe conditions, if one is found in 25 evaluations, else the best one.

    Args:
        at: (loss, gradient) at a step length.
        length: the step length to begin with.
        direction: 1-D tensor.
        loss, grad, slope: at the start; `slope` is grad times direction, negative.
        tolerance_change: the parameters' change below which the search ends.

    Returns:
        (loss, gradient, step length, number of evaluations).
    """
    search = Search(at, direction, Point(0, loss, grad, slope))
    bracket, done, tries = enclose(search, length)
    best = bracket[0] if done else zoom(search, bracket, tries, tolerance_change)
    return best.loss, best.grad, best.length, search.evaluations


def enclose(search: Search, length: float) -> tuple[list[Point], bool, int]:
    """Goes out until two lengths enclose a good one: (the two, False, tries), or (the good one, True, tries)."""
    previous, point = search.start, search.try_length(length)
    for tries in range(MAX_EVALUATIONS):
        if search.too_high(point) or (tries > 1 and point.loss >= previous.loss):
            return [previous, point], False, tries
        if search.flat(point):
            return [point], True, tries
        if point.slope >= 0:
            return [previous, point], False, tries
        nearest = point.length + 0.01 * (point.length - previous.length)
        further = cubic_minimum(previous, point, (nearest, point.length * 10))
        previous, point = point, search.try_length(further)
    return [search.start, point], False, MAX_EVALUATIONS


def zoom(search: Search, bracket: list[Point], tries: int, tolerance_change: float) -> Point:
    """Narrows the bracket down until its better end is good, or no parameter changes any more; that end."""
    largest = float(search.direction.abs().max())
    low, high = (0, 1) if bracket[0].loss <= bracket[1].loss else (1, 0)
    stalled = False
    for _ in range(tries, MAX_EVALUATIONS):
        left, right = sorted(point.length for point in bracket)
        if (right - left) * largest < tolerance_change:
            break
        length, stalled = away_from_ends(cubic_minimum(*bracket), left, right, stalled)
        point = search.try_length(length)
        if search.too_high(point) or point.loss >= bracket[low].loss:
            bracket[high] = point
            low, high = (0, 1) if bracket[0].loss <= bracket[1].loss else (1, 0)
            continue
        good = search.flat(point)
        if not good and point.slope * (bracket[high].length - bracket[low].length) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = point
        if good:
            break
    return bracket[low]


def away_from_ends(length: float, left: float, right: float, stalled: bool) -> tuple[float, bool]:
    """A length close to an end of the bracket is moved inward, the second time in a row or when it is at the end."""
    margin = 0.1 * (right - left)
    if min(right - length, length - left) >= margin:
        return length, False
    if not (stalled or length >= right or length <= left):
        return length, True
    return (right - margin if abs(length - right) < abs(length - left) else left + margin), False


def cubic_minimum(first: Point, second: Point, bounds: tuple[float, float] | None = None) -> float:
    """Where the cubic through two points, with their slopes, has its minimum; kept within bounds, or their interval."""
    if first.length > second.length:
        first, second = second, first
    lower, upper = bounds or (first.length, second.length)
    span = second.length - first.length
    if span == 0:
        return (lower + upper) / 2
    d1 = first.slope + second.slope - 3 * (second.loss - first.loss) / span
    square = d1 * d1 - first.slope * second.slope
    if not square >= 0:
        return (lower + upper) / 2
    d2 = square**0.5
    curvature = second.slope - first.slope + 2 * d2
    if curvature == 0:
        return (lower + upper) / 2
    return min(max(second.length - span * ((second.slope + d2 - d1) / curvature), lower), upper)
