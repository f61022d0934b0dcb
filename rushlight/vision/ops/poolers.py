"""Pooling of boxes from several levels of a feature pyramid."""

import math

from ... import api as rl
from ... import nn
from ._utils import convert_boxes_to_roi_format
from .boxes import box_area
from .roi_align import roi_align


def initLevelMapper(k_min, k_max, canonical_scale=224, canonical_level=4, eps=1e-6):
    """Return a `LevelMapper`."""
    return LevelMapper(k_min, k_max, canonical_scale, canonical_level, eps)


class LevelMapper:
    """Which level of a pyramid a box is pooled from, by its size (equation 1 of arXiv:1612.03144).

    Args:
        k_min, k_max (int): the first and the last level.
        canonical_scale (int), canonical_level (int): a box of this side belongs to this level.
        eps (float): added before rounding down.
    """

    def __init__(self, k_min, k_max, canonical_scale=224, canonical_level=4, eps=1e-6):
        self.k_min, self.k_max, self.eps = k_min, k_max, eps
        self.s0, self.lvl0 = canonical_scale, canonical_level

    def __call__(self, boxlists):
        sides = rl.sqrt(rl.cat([box_area(boxes) for boxes in boxlists]))
        levels = rl.floor(self.lvl0 + rl.log2(sides / self.s0) + self.eps)
        return (rl.clamp(levels, min=self.k_min, max=self.k_max).to(rl.int64) - self.k_min).to(rl.int64)


def _infer_scale(feature, original_size):
    """The power of two by which a level is smaller than the images."""
    return 2.0 ** round(math.log2(feature.shape[-2] / original_size[0]))


class MultiScaleRoIAlign(nn.Module):
    """`roi_align` from the level of a feature pyramid that fits the size of each box.

    Args:
        featmap_names (list of str): the levels to use.
        output_size (int or tuple): bins.
        sampling_ratio (int): see `roi_align`.
        canonical_scale, canonical_level (int): see `LevelMapper`.

    Example:
        >>> pool = torchvision.ops.MultiScaleRoIAlign(["a", "b"], 3, 2)
        >>> features = {"a": torch.rand(1, 4, 16, 16), "b": torch.rand(1, 4, 8, 8)}
        >>> pool(features, [torch.tensor([[0.0, 0, 20, 20]])], [(64, 64)]).shape
        torch.Size([1, 4, 3, 3])
    """

    def __init__(self, featmap_names, output_size, sampling_ratio, *, canonical_scale=224, canonical_level=4):
        super().__init__()
        self.featmap_names, self.sampling_ratio = featmap_names, sampling_ratio
        self.output_size = (output_size,) * 2 if isinstance(output_size, int) else tuple(output_size)
        self.scales, self.map_levels = None, None
        self.canonical_scale, self.canonical_level = canonical_scale, canonical_level

    def _setup(self, levels, image_shapes):
        """Work out the scales of the levels from the first images that are seen."""
        if not image_shapes:
            raise ValueError("images list should not be empty")
        size = tuple([max(sides) for sides in zip(*image_shapes)])
        self.scales = [_infer_scale(level, size) for level in levels]
        first, last = [int(-math.log2(scale)) for scale in (self.scales[0], self.scales[-1])]
        self.map_levels = LevelMapper(first, last, self.canonical_scale, self.canonical_level)

    def forward(self, x, boxes, image_shapes):
        """Pool boxes.

        Args:
            x (dict): names of levels → features (N, C, H, W).
            boxes (list of Tensor): (L, 4) for each image.
            image_shapes (list of tuple): (height, width) of the images.

        Returns:
            Tensor: (all boxes, C, h, w).
        """
        levels = [features for name, features in x.items() if name in self.featmap_names]
        if self.scales is None or self.map_levels is None:
            self._setup(levels, image_shapes)
        rois = convert_boxes_to_roi_format(boxes)
        if len(levels) == 1:
            return roi_align(levels[0], rois, self.output_size, self.scales[0], self.sampling_ratio)
        chosen = self.map_levels(boxes)
        parts, places = [], []
        for number, (features, scale) in enumerate(zip(levels, self.scales)):
            at = rl.where(chosen == number)[0]
            if len(at):
                places.append(at)
                parts.append(roi_align(features, rois[at], self.output_size, scale, self.sampling_ratio))
        if not parts:
            return roi_align(levels[0], rois, self.output_size, self.scales[0], self.sampling_ratio)
        order = rl.cat(places)
        return rl.cat(parts)[order.argsort()] if len(parts) > 1 else parts[0]

    def __repr__(self):
        return (f"{type(self).__name__}(featmap_names={self.featmap_names}, output_size={self.output_size}, "
                f"sampling_ratio={self.sampling_ratio})")
