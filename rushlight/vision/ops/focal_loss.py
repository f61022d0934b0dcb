"""The focal loss of RetinaNet (Lin et al. 2017, arXiv:1708.02002)."""

from ... import api as rl
from ...nn import functional as F
from ._utils import reduced


def sigmoid_focal_loss(inputs, targets, alpha=0.25, gamma=2, reduction="none"):
    """Return alpha_t (1 - p_t)^gamma times the binary cross-entropy of scores.

    Args:
        inputs (Tensor): scores, of any shape, before the sigmoid.
        targets (Tensor): 0 or 1, of the same shape.
        alpha (float): weight of targets 1, in [0, 1], against 1 - alpha of targets 0; -1 for no weights.
        gamma (float): how much easy targets count less.
        reduction (str): "none", "mean" or "sum".

    Raises:
        ValueError: `alpha` or `reduction` is not one of these.
    """
    if not (0 <= alpha <= 1) and alpha != -1:
        raise ValueError(f"Invalid alpha value: {alpha}. alpha must be in the range [0,1] or -1 for ignore.")
    p = rl.sigmoid(inputs)
    missed = 1 - (p * targets + (1 - p) * (1 - targets))
    loss = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none") * missed**gamma
    if alpha >= 0:
        loss = (alpha * targets + (1 - alpha) * (1 - targets)) * loss
    return reduced(loss, reduction)
