"""RoIAlign (He et al. 2017, arXiv:1703.06870): means of samples interpolated in the bins of boxes."""

from ... import nn
from ...ops.media.regions import pool_regions
from ._utils import as_rois, pair


def roi_align(input, boxes, output_size, spatial_scale=1.0, sampling_ratio=-1, aligned=False):
    """Pool the boxes of feature maps by means of interpolated samples.

    Args:
        input (Tensor): (N, C, H, W).
        boxes (Tensor or list of Tensor): (K, 5), the number of the image before left, top, right, bottom; or for each
            image (L, 4).
        output_size (int or tuple): bins (h, w).
        spatial_scale (float): factor from the coordinates of boxes to those of `input`.
        sampling_ratio (int): samples along each side of a bin; as many as it has pixels if not positive.
        aligned (bool): shift boxes by half a pixel, so that pixels are squares around their coordinates; otherwise
            boxes are at least one pixel large.

    Returns:
        Tensor: (K, C, h, w). Differentiable by `input`.

    Raises:
        AssertionError: the shape of `boxes`.
        RuntimeError: dtypes differ.
        IndexError: the number of an image is not one (when the result is computed).
    """
    rois = as_rois("roi_align", input, boxes)
    return pool_regions("align", input, rois, pair(output_size), spatial_scale, max(0, sampling_ratio), aligned)


class RoIAlign(nn.Module):
    """`roi_align` as a module."""

    def __init__(self, output_size, spatial_scale, sampling_ratio, aligned=False):
        super().__init__()
        self.output_size, self.spatial_scale = output_size, spatial_scale
        self.sampling_ratio, self.aligned = sampling_ratio, aligned

    def forward(self, input, rois):
        return roi_align(input, rois, self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned)

    def __repr__(self):
        return (f"{type(self).__name__}(output_size={self.output_size}, spatial_scale={self.spatial_scale}, "
                f"sampling_ratio={self.sampling_ratio}, aligned={self.aligned})")
