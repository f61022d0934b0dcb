"""RoI pooling (Girshick 2015, arXiv:1504.08083): maxima in the bins of boxes."""

from ... import nn
from ...ops.media.regions import pool_regions
from ._utils import as_rois, pair


def roi_pool(input, boxes, output_size, spatial_scale=1.0):
    """Pool the boxes of feature maps by maxima over whole pixels; arguments and errors as of `roi_align`."""
    rois = as_rois("roi_pool", input, boxes)
    return pool_regions("max", input, rois, pair(output_size), spatial_scale)


class RoIPool(nn.Module):
    """`roi_pool` as a module."""

    def __init__(self, output_size, spatial_scale):
        super().__init__()
        self.output_size, self.spatial_scale = output_size, spatial_scale

    def forward(self, input, rois):
        return roi_pool(input, rois, self.output_size, self.spatial_scale)

    def __repr__(self):
        return f"{type(self).__name__}(output_size={self.output_size}, spatial_scale={self.spatial_scale})"
