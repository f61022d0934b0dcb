"""DropBlock (Ghiasi et al. 2018, arXiv:1810.12890): dropout of whole blocks of features."""

import math

from ... import api as rl
from ... import nn
from ...nn import functional as F


def _drop_block(input, p, block_size, inplace, eps, training, rank, pool):
    """`drop_block2d` over `rank` dimensions."""
    if p < 0.0 or p > 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}.")
    if input.ndim != rank + 2:
        raise ValueError(f"input should be {rank + 2} dimensional. Got {input.ndim} dimensions.")
    if not training or p == 0.0:
        return input
    sizes = input.shape[2:]
    block_size = min(block_size, *sizes)
    if block_size % 2 == 0:
        raise ValueError(f"block size should be odd. Got {block_size} which is even.")
    free = [n - block_size + 1 for n in sizes]
    gamma = p * math.prod(sizes) / (block_size**rank * math.prod(free))
    centres = rl.empty((*input.shape[:2], *free), dtype=input.dtype, device=input.device).bernoulli_(gamma)
    half = block_size // 2
    dropped = pool(F.pad(centres, [half] * (2 * rank), value=0), block_size, stride=1, padding=half)
    kept = 1 - dropped
    scale = kept.numel() / (eps + kept.sum())
    if inplace:
        return input.mul_(kept).mul_(scale)
    return input * kept * scale


def drop_block2d(input, p, block_size, inplace=False, eps=1e-6, training=True):
    """Set blocks of features to zero and scale the others, so that their mean size stays.

    Args:
        input (Tensor): (N, C, H, W).
        p (float): probability that a feature is dropped.
        block_size (int): side of the blocks, odd.
        inplace (bool): change `input` itself.
        eps (float): added to a denominator.
        training (bool): return `input` itself if False.

    Raises:
        ValueError: `p`, `block_size` or the number of dimensions is not one of these.
    """
    return _drop_block(input, p, block_size, inplace, eps, training, 2, F.max_pool2d)


def drop_block3d(input, p, block_size, inplace=False, eps=1e-6, training=True):
    """`drop_block2d` for volumes (N, C, D, H, W)."""
    return _drop_block(input, p, block_size, inplace, eps, training, 3, F.max_pool3d)


class DropBlock2d(nn.Module):
    """`drop_block2d` as a module, which does nothing in evaluation mode."""

    _function = staticmethod(drop_block2d)

    def __init__(self, p, block_size, inplace=False, eps=1e-6):
        super().__init__()
        self.p, self.block_size, self.inplace, self.eps = p, block_size, inplace, eps

    def forward(self, input):
        return self._function(input, self.p, self.block_size, self.inplace, self.eps, self.training)

    def __repr__(self):
        return f"{type(self).__name__}(p={self.p}, block_size={self.block_size}, inplace={self.inplace})"


class DropBlock3d(DropBlock2d):
    """`drop_block3d` as a module, which does nothing in evaluation mode."""

    _function = staticmethod(drop_block3d)
