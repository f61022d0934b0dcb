"""Linear feedback, the recursive half of filters: y[t] = x[t] + sum over j of w[t, j] y[t - d[t] - j].

`rushlight.audio.functional` checks arguments and calls `feedback`, which has no public name of its own. The gradient
by x is the transposed recursion, whose own gradient is the recursion again.
"""

from ...core import dtype as dt
from ...core.declare import public
from ...core.kinds import Kernel
from ...core.record import record
from ..basic.creation import ones
from ..basic.shape import stack

FEEDBACK = Kernel("feedback", lower="rows.feedback:lower_feedback", reads=("contiguous",) * 3)


def _run(input, weights, delays, plain, back):
    if not input._layout.numel or not weights._layout.numel:
        return input.clone()
    attrs = (("back", back), ("plain", plain), ("out", ((tuple(input.shape), input._layout.dtype),)))
    return record(FEEDBACK, "ttt", attrs, (input.contiguous(), weights.contiguous(), delays.contiguous()))[0]


def _by_weights(late, early, weights, plain):
    """For each tap j the sum over times of late[t] early[t - 1 - j], by channel."""
    if not plain:
        raise NotImplementedError("feedback: the derivative with respect to weights that change over time")
    channels, _, taps = weights._layout.shape
    late, early = late.unflatten(0, (-1, channels)), early.unflatten(0, (-1, channels))
    found = []
    for j in range(taps):
        length = max(late.shape[-1] - 1 - j, 0)
        found.append((late[..., 1 + j:] * early[..., :length]).sum((0, 2)))
    return stack(found, 1).unsqueeze(1)


def _back_by_g(g, weights, delays, plain):
    return feedback(g, weights, delays, plain)


def _back_by_weights(g, out, weights, delays, plain):
    return _by_weights(out, feedback(g, weights, delays, plain), weights, plain)


@public("", node="FeedbackBackwardBackward0", out=False, grad={"g": _back_by_g, "weights": _back_by_weights})
def feedback_back(g, weights, delays, plain):
    """The transpose of `feedback`, applied to g (R, T)."""
    return _run(g, weights, delays, plain, True)


def _by_input(g, weights, delays, plain):
    return feedback_back(g, weights, delays, plain)


def _by_taps(g, out, weights, delays, plain):
    return _by_weights(feedback_back(g, weights, delays, plain), out, weights, plain)


@public("", node="FeedbackBackward0", out=False, grad={"input": _by_input, "weights": _by_taps})
def feedback(input, weights, delays, plain):
    """Feed results back.

    Args:
        input (Tensor): (R, T), float32 or float64.
        weights (Tensor): (C, 1, J) or (C, T, J), of the dtype of `input`; row r uses those of channel r modulo C.
        delays (Tensor): (C, 1) or (C, T), int64, at least 1.
        plain (bool): the delays are 1, at all times.

    Returns:
        (R, T). Differentiable by `input`, and by `weights` if `plain`.
    """
    return _run(input, weights, delays, plain, False)


def recur(input, weights):
    """`feedback` with constant weights (C, J) of the results 1 ... J times before."""
    delays = ones((weights._layout.shape[0], 1), dtype=dt.int64, device=weights.device)
    return feedback(input, weights.unsqueeze(1), delays, True)
