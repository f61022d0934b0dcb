"""Images and targets made ready for a detector, and its results brought back to the original images."""

import math

from .... import api as rl
from .... import nn
from ....nn import functional as F
from .image_list import ImageList
from .roi_heads import paste_masks_in_image


def _resize_image_and_masks(image, self_min_size, self_max_size, target=None, fixed_size=None):
    """Resize an image, and the masks of its target: to `fixed_size` (width, height), or to a shorter side of
    `self_min_size` if the longer one does not exceed `self_max_size` then."""
    if fixed_size is not None:
        how = {"size": [fixed_size[1], fixed_size[0]]}
    else:
        sides = image.shape[-2:]
        scale = min(self_min_size / min(sides), self_max_size / max(sides))
        how = {"scale_factor": scale, "recompute_scale_factor": True}
    image = F.interpolate(image[None], mode="bilinear", align_corners=False, **how)[0]
    if target is not None and "masks" in target:
        target["masks"] = F.interpolate(target["masks"][:, None].float(), **how)[:, 0].byte()
    return image, target


class GeneralizedRCNNTransform(nn.Module):
    """Normalise and resize images, and pad them to one size.

    Args:
        min_size (int or tuple), max_size (int): see `_resize_image_and_masks`; in training one of several sizes is
            drawn for each image.
        image_mean, image_std (list of float): for the normalisation.
        size_divisible (int): the padded sides are multiples of this.
        fixed_size (tuple, optional): (width, height) of all images.

    Returns (of forward): (ImageList, targets).
    """

    def __init__(self, min_size, max_size, image_mean, image_std, size_divisible=32, fixed_size=None, **kwargs):
        super().__init__()
        self.min_size = tuple(min_size) if isinstance(min_size, (list, tuple)) else (min_size,)
        self.max_size, self.size_divisible, self.fixed_size = max_size, size_divisible, fixed_size
        self.image_mean, self.image_std = image_mean, image_std
        self._skip_resize = kwargs.pop("_skip_resize", False)

    def forward(self, images, targets=None):
        images = list(images)
        targets = None if targets is None else [dict(target) for target in targets]
        for i, image in enumerate(images):
            if image.dim() != 3:
                raise ValueError(f"images is expected to be a list of 3d tensors of shape [C, H, W], got {image.shape}")
            target = None if targets is None else targets[i]
            images[i], target = self.resize(self.normalize(image), target)
            if targets is not None:
                targets[i] = target
        sizes = [tuple(image.shape[-2:]) for image in images]
        return ImageList(self.batch_images(images, self.size_divisible), sizes), targets

    def normalize(self, image):
        """Normalise an image. TypeError unless it is floating."""
        if not image.is_floating_point():
            raise TypeError("Expected input images to be of floating type (in range [0, 1]), but found type "
                            f"{image.dtype} instead")
        mean, std = [rl.as_tensor(values, dtype=image.dtype, device=image.device)[:, None, None]
                     for values in (self.image_mean, self.image_std)]
        return (image - mean) / std

    def torch_choice(self, k):
        """Return a random item of a list."""
        return k[int(rl.empty(1).uniform_(0.0, float(len(k))).item())]

    def resize(self, image, target=None):
        """Resize an image and its target."""
        before = tuple(image.shape[-2:])
        if self.training and self._skip_resize:
            return image, target
        size = self.torch_choice(self.min_size) if self.training else self.min_size[-1]
        image, target = _resize_image_and_masks(image, size, self.max_size, target, self.fixed_size)
        if target is None:
            return image, target
        after = tuple(image.shape[-2:])
        target["boxes"] = resize_boxes(target["boxes"], before, after)
        if "keypoints" in target:
            target["keypoints"] = resize_keypoints(target["keypoints"], before, after)
        return image, target

    def batch_images(self, images, size_divisible=32):
        """Return images (C, H, W) as one tensor, padded with zeros at the right and bottom."""
        channels, height, width = [max(sizes) for sizes in zip(*[image.shape for image in images])]
        height, width = [int(math.ceil(n / size_divisible) * size_divisible) for n in (height, width)]
        batch = images[0].new_full((len(images), channels, height, width), 0)
        for i, image in enumerate(images):
            batch[i, :image.shape[0], :image.shape[1], :image.shape[2]].copy_(image)
        return batch

    def postprocess(self, result, image_shapes, original_image_sizes):
        """Bring boxes, masks and key points back to the original images; in training there are none."""
        if self.training:
            return result
        for found, size, original in zip(result, image_shapes, original_image_sizes):
            found["boxes"] = boxes = resize_boxes(found["boxes"], size, original)
            if "masks" in found:
                found["masks"] = paste_masks_in_image(found["masks"], boxes, original)
            if "keypoints" in found:
                found["keypoints"] = resize_keypoints(found["keypoints"], size, original)
        return result

    def __repr__(self):
        return (f"{type(self).__name__}(\n    Normalize(mean={self.image_mean}, std={self.image_std})\n    "
                f"Resize(min_size={self.min_size}, max_size={self.max_size}, mode='bilinear')\n)")


def _ratios(original_size, new_size):
    """(of heights, of widths), rounded as floats are."""
    return [rl.tensor(new, dtype=rl.float32) / rl.tensor(old, dtype=rl.float32)
            for new, old in zip(new_size, original_size)]


def resize_keypoints(keypoints, original_size, new_size):
    """Return key points (..., K, 3) for an image of another size."""
    down, across = _ratios(original_size, new_size)
    x, y, *rest = keypoints.unbind(-1)
    return rl.stack((x * across, y * down, *rest), dim=-1)


def resize_boxes(boxes, original_size, new_size):
    """Return boxes (N, 4) for an image of another size."""
    down, across = _ratios(original_size, new_size)
    left, top, right, bottom = boxes.unbind(1)
    return rl.stack((left * across, top * down, right * across, bottom * down), dim=1)
