"""What operators on boxes share: dtypes, lists of boxes, reductions."""

from ... import api as rl
from ... import nn


def pair(value):
    """A number for both sides, or a pair, as a tuple."""
    return tuple(value) if isinstance(value, (list, tuple)) else (value, value)


def _upcast(t):
    """Return a tensor whose products do not overflow: float32 at least, or int32 at least."""
    if t.is_floating_point():
        return t if t.dtype in (rl.float32, rl.float64) else t.float()
    return t if t.dtype in (rl.int32, rl.int64) else t.int()


def _upcast_non_float(t):
    return t if t.dtype in (rl.float32, rl.float64) else t.float()


def _cat(tensors, dim=0):
    return tensors[0] if len(tensors) == 1 else rl.cat(tensors, dim)


def convert_boxes_to_roi_format(boxes):
    """Return a list of boxes (L, 4), one tensor an image, as one tensor (K, 5) whose first column is the image."""
    numbers = _cat([rl.full_like(b[:, :1], i) for i, b in enumerate(boxes)])
    return rl.cat([numbers, _cat(list(boxes))], dim=1)


def check_roi_boxes_shape(boxes):
    """AssertionError for boxes that are neither a list of tensors (L, 4) nor a tensor (K, 5)."""
    if isinstance(boxes, (list, tuple)):
        for item in boxes:
            if item.size(1) != 4:
                raise AssertionError("The shape of the tensor in the boxes list is not correct as List[Tensor[L, 4]]")
    elif isinstance(boxes, rl.Tensor):
        if boxes.size(1) != 5:
            raise AssertionError("The boxes tensor shape is not correct as Tensor[K, 5]")
    else:
        raise AssertionError("boxes is expected to be a Tensor[L, 5] or a List[Tensor[K, 4]]")


def as_rois(name, input, boxes):
    """Boxes as a tensor (K, 5). RuntimeError for another dtype than that of the features."""
    check_roi_boxes_shape(boxes)
    if input.dim() != 4:
        raise RuntimeError(f"{name}: expected input of shape (N, C, H, W), got {tuple(input.shape)}")
    rois = boxes if isinstance(boxes, rl.Tensor) else convert_boxes_to_roi_format(boxes)
    if rois.dtype is not input.dtype:
        raise RuntimeError(f"{name}: expected input and rois to have the same dtype, got {input.dtype} and "
                           f"{rois.dtype}")
    return rois


def reduced(loss, reduction, empty_mean=None):
    """Losses reduced by "none", "mean" or "sum". `empty_mean`: the mean of none is 0 instead of NaN."""
    if reduction == "none":
        return loss
    if reduction == "mean":
        return 0.0 * loss.sum() if empty_mean and loss.numel() == 0 else loss.mean()
    if reduction == "sum":
        return loss.sum()
    raise ValueError(f"Invalid Value for arg 'reduction': '{reduction} \n Supported reduction modes: 'none', 'mean', "
                     "'sum'")


def split_normalization_params(model, norm_classes=None):
    """Return (parameters of normalisation layers, all others) of a model, of those that require gradients.

    Raises:
        ValueError: a class is not one of modules.
    """
    if not norm_classes:
        norm_classes = [nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm,
                        nn.modules.instancenorm._InstanceNorm, nn.LocalResponseNorm]
    for cls in norm_classes:
        if not issubclass(cls, nn.Module):
            raise ValueError(f"Class {cls} is not a subclass of nn.Module.")
    norms, others = [], []
    for module in model.modules():
        is_leaf = next(module.children(), None) is None
        chosen = norms if is_leaf and isinstance(module, tuple(norm_classes)) else others
        chosen.extend([p for p in module.parameters(recurse=is_leaf) if p.requires_grad])
    return norms, others
