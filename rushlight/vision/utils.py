"""Pictures of tensors: grids of a batch (B, C, H, W), as tensor or file; what drawing.py draws into images."""
import math

from .. import api as rl
from .drawing import draw_bounding_boxes, draw_keypoints, draw_segmentation_masks, flow_to_image
from .pictures import from_array, pillow

__all__ = [
    "draw_bounding_boxes", "draw_keypoints", "draw_segmentation_masks", "flow_to_image", "make_grid", "save_image",
]


@rl.no_grad()
def make_grid(tensor, nrow=8, padding=2, normalize=False, value_range=None, scale_each=False, pad_value=0.0):
    """Images side by side, `nrow` in a row, with `padding` pixels of `pad_value` around each: a tensor (C, H, W).

    `tensor` is a batch (B, C, H, W), one image (C, H, W) or (H, W), or a list of images of one size. Grey images
    become three channels. `normalize` shifts values to [0, 1] from `value_range` = (low, high), by default the
    smallest and largest of all images, or of each where `scale_each`. TypeError for other input.
    """
    batch = _as_batch(tensor)
    if normalize is True:
        batch = _normalized(batch.clone(), value_range, scale_each)
    if batch.size(0) == 1:
        return batch.squeeze(0)
    columns = min(nrow, batch.size(0))
    rows = math.ceil(batch.size(0) / columns)
    height, width = batch.size(2) + padding, batch.size(3) + padding
    grid = batch.new_full((batch.size(1), height * rows + padding, width * columns + padding), pad_value)
    for index in range(batch.size(0)):
        row, column = divmod(index, columns)
        place = grid.narrow(1, row * height + padding, height - padding)
        place.narrow(2, column * width + padding, width - padding).copy_(batch[index])
    return grid


def _as_batch(tensor):
    """Any accepted input as (B, C, H, W), with grey images of a batch or alone as three channels."""
    if isinstance(tensor, list):
        for item in tensor:
            if not isinstance(item, rl.Tensor):
                raise TypeError(f"tensor or list of tensors expected, got a list containing {type(item)}")
        tensor = rl.stack(tensor, dim=0)
    elif not isinstance(tensor, rl.Tensor):
        raise TypeError(f"tensor or list of tensors expected, got {type(tensor)}")
    if tensor.dim() == 2:
        tensor = tensor.unsqueeze(0)
    if tensor.dim() == 3:
        tensor = tensor.unsqueeze(0)
    if tensor.dim() == 4 and tensor.size(1) == 1:
        tensor = rl.cat((tensor, tensor, tensor), 1)
    return tensor


def _normalized(batch, value_range, scale_each):
    if value_range is not None and not isinstance(value_range, tuple):
        raise TypeError("value_range has to be a tuple (min, max) if specified. min and max are numbers")
    for images in batch if scale_each is True else (batch,):
        low, high = value_range if value_range is not None else (float(images.min()), float(images.max()))
        images.clamp_(min=low, max=high)
        images.sub_(low).div_(max(high - low, 1e-5))
    return batch


@rl.no_grad()
def save_image(tensor, fp, format=None, **kwargs):
    """Write a tensor with values in [0, 1] as an image file; several images become a grid (`kwargs` go to `make_grid`).

    `fp` is a path or an open file, for which `format` must be given.
    """
    pillow("save_image")
    grid = make_grid(tensor, **kwargs)
    samples = grid.mul(255).add_(0.5).clamp_(0, 255).permute(1, 2, 0).to("cpu", rl.uint8)
    from_array(samples.numpy()).save(fp, format=format)
