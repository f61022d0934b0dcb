"""Position-sensitive RoI pooling (Dai et al. 2016, arXiv:1605.06409): each bin reads a channel of its own."""

from ... import nn
from ...ops.media.regions import pool_regions
from ._utils import as_rois, pair
from .ps_roi_align import check_channels


def ps_roi_pool(input, boxes, output_size, spatial_scale=1.0):
    """Pool the boxes of features (N, C h w, H, W), with a channel for each bin, by means over whole pixels.

    Returns (K, C, h, w). Arguments and errors as of `roi_align`."""
    rois, size = as_rois("ps_roi_pool", input, boxes), pair(output_size)
    check_channels("ps_roi_pool", input, size)
    return pool_regions("mean", input, rois, size, spatial_scale, sensitive=True)


class PSRoIPool(nn.Module):
    """`ps_roi_pool` as a module."""

    def __init__(self, output_size, spatial_scale):
        super().__init__()
        self.output_size, self.spatial_scale = output_size, spatial_scale

    def forward(self, input, rois):
        return ps_roi_pool(input, rois, self.output_size, self.spatial_scale)

    def __repr__(self):
        return f"{type(self).__name__}(output_size={self.output_size}, spatial_scale={self.spatial_scale})"
