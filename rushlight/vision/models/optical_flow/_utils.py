"""Grids of pixel coordinates, and flow at the resolution of the images."""

from .... import api as rl
from ....nn import functional as F


def grid_sample(img, absolute_grid, mode="bilinear", align_corners=None):
    """`nn.functional.grid_sample` with coordinates (x, y) in pixels."""
    height, width = img.shape[-2:]
    x, y = absolute_grid.split([1, 1], dim=-1)
    x = 2 * x / (width - 1) - 1
    if height > 1:  # rows of stereo images are one pixel high
        y = 2 * y / (height - 1) - 1
    return F.grid_sample(img, rl.cat([x, y], dim=-1), mode=mode, align_corners=align_corners)


def make_coords_grid(batch_size, h, w, device="cpu"):
    """Return the coordinates (x, y) of all pixels, (batch_size, 2, h, w)."""
    rows, columns = rl.meshgrid(rl.arange(h, device=device), rl.arange(w, device=device), indexing="ij")
    return rl.stack([columns, rows], dim=0).float()[None].repeat(batch_size, 1, 1, 1)


def upsample_flow(flow, up_mask=None, factor=8):
    """Return a flow (N, C, H, W) at `factor` times its resolution.

    A new pixel is a convex combination of the 3 x 3 old ones around it with weights `up_mask` (N, 9 factor², H, W),
    before a softmax; without `up_mask` it is interpolated.
    """
    count, channels, height, width = flow.shape
    sizes = (height * factor, width * factor)
    if up_mask is None:
        return factor * F.interpolate(flow, size=sizes, mode="bilinear", align_corners=True)
    weights = rl.softmax(up_mask.view(count, 1, 9, factor, factor, height, width), dim=2)
    around = F.unfold(factor * flow, kernel_size=3, padding=1).view(count, channels, 9, 1, 1, height, width)
    found = rl.sum(weights * around, dim=2)
    return found.permute(0, 1, 4, 2, 5, 3).reshape(count, channels, *sizes)
