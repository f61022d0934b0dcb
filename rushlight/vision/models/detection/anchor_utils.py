"""Boxes at all places of feature maps, in terms of which detectors predict boxes."""

import math

from .... import api as rl
from .... import nn
from .image_list import ImageList

__all__ = ["AnchorGenerator", "DefaultBoxGenerator", "ImageList"]


def _places(columns, rows):
    """(H W, 4): (x, y, x, y) of each place, from lines of coordinates."""
    y, x = rl.meshgrid(rows, columns, indexing="ij")
    x, y = x.reshape(-1), y.reshape(-1)
    return rl.stack((x, y, x, y), dim=1)


class AnchorGenerator(nn.Module):
    """Boxes of several sizes and aspect ratios (height to width) around each place.

    Args:
        sizes, aspect_ratios (tuple of tuple): of each level.

    Returns (of forward): for each image (places of all levels, 4).
    """

    def __init__(self, sizes=((128, 256, 512),), aspect_ratios=((0.5, 1.0, 2.0),)):
        super().__init__()
        if not isinstance(sizes[0], (list, tuple)):
            sizes = tuple([(s,) for s in sizes])
        if not isinstance(aspect_ratios[0], (list, tuple)):
            aspect_ratios = (aspect_ratios,) * len(sizes)
        self.sizes, self.aspect_ratios = sizes, aspect_ratios
        self.cell_anchors = [self.generate_anchors(s, a) for s, a in zip(sizes, aspect_ratios)]

    def generate_anchors(self, scales, aspect_ratios, dtype=rl.float32, device="cpu"):
        """Return the boxes (ratios * scales, 4) around the origin, rounded."""
        scales = rl.as_tensor(scales, dtype=dtype, device=device)
        ratios = rl.sqrt(rl.as_tensor(aspect_ratios, dtype=dtype, device=device))
        widths, heights = [(r[:, None] * scales[None, :]).view(-1) for r in (1 / ratios, ratios)]
        return (rl.stack([-widths, -heights, widths, heights], dim=1) / 2).round()

    def set_cell_anchors(self, dtype, device):
        """Convert the boxes."""
        self.cell_anchors = [anchors.to(dtype=dtype, device=device) for anchors in self.cell_anchors]

    def num_anchors_per_location(self):
        """Return the number of boxes around a place of each level."""
        return [len(s) * len(a) for s, a in zip(self.sizes, self.aspect_ratios)]

    def grid_anchors(self, grid_sizes, strides):
        """Return for each level the boxes at all places.

        Args:
            grid_sizes, strides (list): (height, width) of the levels, and of the steps between their places.
        """
        if not len(grid_sizes) == len(strides) == len(self.cell_anchors):
            raise AssertionError(
                "Anchors should be Tuple[Tuple[int]] because each feature map could potentially have different sizes "
                "and aspect ratios. There needs to be a match between the number of feature maps passed and the number "
                "of sizes / aspect ratios specified.")
        found = []
        for (height, width), (down, across), cell in zip(grid_sizes, strides, self.cell_anchors):
            columns, rows = [rl.arange(0, n, dtype=rl.int32, device=cell.device) * step
                             for n, step in ((width, across), (height, down))]
            found.append((_places(columns, rows).view(-1, 1, 4) + cell.view(1, -1, 4)).reshape(-1, 4))
        return found

    def forward(self, image_list, feature_maps):
        sizes = [tuple(level.shape[-2:]) for level in feature_maps]
        height, width = image_list.tensors.shape[-2:]
        self.set_cell_anchors(feature_maps[0].dtype, feature_maps[0].device)
        anchors = rl.cat(self.grid_anchors(sizes, [(height // h, width // w) for h, w in sizes]))
        return [anchors for _ in image_list.image_sizes]


class DefaultBoxGenerator(nn.Module):
    """The default boxes of SSD: of a size that grows from level to level, and several aspect ratios.

    Args:
        aspect_ratios (list of list): of each level, besides 1; each also the other way round.
        min_ratio, max_ratio (float): sizes of the first and the last level relative to the image.
        scales (list of float, optional): sizes of the levels, and one more.
        steps (list of int, optional): pixels between the places of each level.
        clip (bool): keep sizes within the image.

    Returns (of forward): for each image (places of all levels, 4).
    """

    def __init__(self, aspect_ratios, min_ratio=0.15, max_ratio=0.9, scales=None, steps=None, clip=True):
        super().__init__()
        if steps is not None and len(aspect_ratios) != len(steps):
            raise ValueError("aspect_ratios and steps should have the same length")
        self.aspect_ratios, self.steps, self.clip = aspect_ratios, steps, clip
        count = len(aspect_ratios)
        if scales is not None:
            self.scales = scales
        elif count > 1:
            self.scales = [min_ratio + (max_ratio - min_ratio) * k / (count - 1.0) for k in range(count)] + [1.0]
        else:
            self.scales = [min_ratio, max_ratio]
        self._wh_pairs = self._generate_wh_pairs(count)

    def _generate_wh_pairs(self, num_outputs, dtype=rl.float32, device="cpu"):
        """For each level the sizes (boxes, 2) around a place."""
        found = []
        for k in range(num_outputs):
            scale, between = self.scales[k], math.sqrt(self.scales[k] * self.scales[k + 1])
            pairs = [[scale, scale], [between, between]]
            for ratio in self.aspect_ratios[k]:
                wide, narrow = scale * math.sqrt(ratio), scale / math.sqrt(ratio)
                pairs += [[wide, narrow], [narrow, wide]]
            found.append(rl.as_tensor(pairs, dtype=dtype, device=device))
        return found

    def num_anchors_per_location(self):
        """Return the number of boxes around a place of each level: two squares, and two for each ratio."""
        return [2 + 2 * len(ratios) for ratios in self.aspect_ratios]

    def _grid_default_boxes(self, grid_sizes, image_size, dtype=rl.float32):
        """(places of all levels, 4): centres and sizes relative to the image."""
        found = []
        for k, (height, width) in enumerate(grid_sizes):
            down, across = (height, width) if self.steps is None else [n / self.steps[k] for n in image_size]
            columns, rows = [((rl.arange(0, n) + 0.5) / whole).to(dtype=dtype)
                             for n, whole in ((width, across), (height, down))]
            pairs = self._wh_pairs[k].clamp(min=0, max=1) if self.clip else self._wh_pairs[k]
            centres = _places(columns, rows)[:, None, :2].expand(-1, len(pairs), -1)
            sizes = pairs[None].to(dtype).expand(height * width, -1, -1)
            found.append(rl.cat((centres, sizes), dim=2).reshape(-1, 4))
        return rl.cat(found, dim=0)

    def __repr__(self):
        return (f"{type(self).__name__}(aspect_ratios={self.aspect_ratios}, clip={self.clip}, scales={self.scales}, "
                f"steps={self.steps})")

    def forward(self, image_list, feature_maps):
        sizes = [tuple(level.shape[-2:]) for level in feature_maps]
        height, width = image_list.tensors.shape[-2:]
        boxes = self._grid_default_boxes(sizes, (height, width), dtype=feature_maps[0].dtype)
        boxes = boxes.to(feature_maps[0].device)
        scale = rl.tensor([width, height], device=boxes.device)
        centres, halves = boxes[:, :2], 0.5 * boxes[:, 2:]
        boxes = rl.cat([(centres - halves) * scale, (centres + halves) * scale], -1)
        return [boxes for _ in image_list.image_sizes]
