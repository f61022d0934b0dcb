"""Position-sensitive RoIAlign (Li et al. 2017, arXiv:1711.07264): each bin reads a channel of its own."""

from ... import nn
from ...ops.media.regions import pool_regions
from ._utils import as_rois, pair


def check_channels(name, input, size):
    """RuntimeError unless the channels are a multiple of the number of bins."""
    if input.shape[1] % (size[0] * size[1]) != 0:
        raise RuntimeError(f"{name}: input channels must be a multiple of pooling height * pooling width, got "
                           f"{input.shape[1]} and {size[0]} * {size[1]}")


def ps_roi_align(input, boxes, output_size, spatial_scale=1.0, sampling_ratio=-1):
    """`roi_align`, with `aligned=True`, of features (N, C h w, H, W) that have a channel for each bin: (K, C, h, w)."""
    rois, size = as_rois("ps_roi_align", input, boxes), pair(output_size)
    check_channels("ps_roi_align", input, size)
    return pool_regions("align", input, rois, size, spatial_scale, max(0, sampling_ratio), True, True)


class PSRoIAlign(nn.Module):
    """`ps_roi_align` as a module."""

    def __init__(self, output_size, spatial_scale, sampling_ratio):
        super().__init__()
        self.output_size, self.spatial_scale, self.sampling_ratio = output_size, spatial_scale, sampling_ratio

    def forward(self, input, rois):
        return ps_roi_align(input, rois, self.output_size, self.spatial_scale, self.sampling_ratio)

    def __repr__(self):
        return (f"{type(self).__name__}(output_size={self.output_size}, spatial_scale={self.spatial_scale}, "
                f"sampling_ratio={self.sampling_ratio})")
