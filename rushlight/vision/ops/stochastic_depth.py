"""Stochastic depth (Huang et al. 2016, arXiv:1603.09382): drop whole residual branches during training."""

from ... import api as rl
from ... import nn


def stochastic_depth(input, p, mode, training=True):
    """Set branches to zero with probability `p` and scale the others by 1 / (1 - p).

    Args:
        input (Tensor): (N, ...).
        p (float): probability in [0, 1].
        mode (str): "row" decides for each sample, "batch" for all together.
        training (bool): return `input` itself if False.

    Raises:
        ValueError: `p` or `mode` is not one of these.
    """
    if p < 0.0 or p > 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}")
    if mode not in ("batch", "row"):
        raise ValueError(f"mode has to be either 'batch' or 'row', but got {mode}")
    if not training or p == 0.0:
        return input
    keep = 1.0 - p
    size = [1] * input.ndim
    if mode == "row":
        size[0] = input.shape[0]
    noise = rl.empty(size, dtype=input.dtype, device=input.device).bernoulli_(keep)
    return input * (noise.div_(keep) if keep > 0.0 else noise)


class StochasticDepth(nn.Module):
    """`stochastic_depth` as a module, which does nothing in evaluation mode."""

    def __init__(self, p, mode):
        super().__init__()
        self.p, self.mode = p, mode

    def forward(self, input):
        return stochastic_depth(input, self.p, self.mode, self.training)

    def __repr__(self):
        return f"{type(self).__name__}(p={self.p}, mode={self.mode})"
