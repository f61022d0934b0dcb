"""Augmentation, second generation: erasing, mixing the pictures of a batch, artefacts of JPEG."""
import math

from .... import api as rl
from ....utils._pytree import tree_flatten, tree_unflatten
from ....nn.functional import one_hot
from ... import tv_tensors
from ...pictures import is_picture
from ...tv_tensors._shapes import plain
from .. import _draws
from .. import geometry as v1
from .._arguments import check_erasing, check_length
from . import functional as F
from ._arguments import labels_getter_of, warn_unchanged
from ._query import has_any, query_chw, query_size
from ._transform import RandomApplyTransform, Transform
from ..kernels.dispatch import is_pure_tensor


class RandomErasing(RandomApplyTransform):
    """Fill a rectangle with `value`: a number, one for each channel, or "random".

    Args:
        p (float): probability.
        scale, ratio (two floats): ranges of the rectangle's share of the area, and of its sides' ratio.
        inplace (bool): change the tensor itself.
    """

    _v1_transform_cls = v1.RandomErasing

    def __init__(self, p=0.5, scale=(0.02, 0.33), ratio=(0.3, 3.3), value=0.0, inplace=False):
        super().__init__(p)
        check_erasing(scale, ratio, value)
        self.scale = scale
        self.ratio = ratio
        if isinstance(value, str):
            self.value = None
        else:
            self.value = [float(v) for v in ([value] if isinstance(value, (int, float)) else value)]
        self.inplace = inplace

    def _call_kernel(self, functional, inpt, *args, **kwargs):
        warn_unchanged(self, inpt)
        return super()._call_kernel(functional, inpt, *args, **kwargs)

    def make_params(self, flat_inputs):
        channels, height, width = query_chw(flat_inputs)
        if self.value is not None and len(self.value) not in (1, channels):
            raise ValueError("If value is a sequence, it should have either a single value or "
                             f"{channels} (number of inpt channels)")
        found = _draws.erased(channels, height, width, self.scale, self.ratio, self.value)
        return {} if found is None else dict(zip("ijhwv", found))

    def transform(self, inpt, params):
        return self._call_kernel(F.erase, inpt, **params, inplace=self.inplace) if params else inpt


class _Mixed(Transform):
    """A transform of a batch and its labels, which become probabilities (B, num_classes).

    Args:
        alpha (float): both parameters of the beta distribution that the share is drawn from.
        num_classes (int, optional): needed where labels are numbers of classes.
        labels_getter: "default", or a function that finds the labels of a sample.
    """

    def __init__(self, *, alpha=1.0, num_classes=None, labels_getter="default"):
        super().__init__()
        self.alpha = float(alpha)
        if not self.alpha > 0.0:
            raise ValueError(f"alpha must be positive, got {alpha}")
        self.num_classes = num_classes
        self._labels_getter = labels_getter_of(labels_getter)

    def _share(self):
        """A number between 0 and 1 from the beta distribution."""
        return float(rl._sample_dirichlet(rl.tensor([[self.alpha, self.alpha]]))[0, 0])

    def _checked_labels(self, inputs):
        labels = self._labels_getter(inputs)
        if not isinstance(labels, rl.Tensor):
            raise ValueError(f"The labels must be a tensor, but got {type(labels)} instead.")
        if labels.ndim not in (1, 2):
            raise ValueError("labels should be index based with shape (batch_size,) or probability based with shape "
                             f"(batch_size, num_classes), but got a tensor of shape {labels.shape} instead.")
        if labels.ndim == 2 and self.num_classes not in (None, labels.shape[-1]):
            raise ValueError("When passing 2D labels, the number of elements in last dimension must match "
                             f"num_classes: {labels.shape[-1]} != {self.num_classes}. You can Leave num_classes to "
                             "None.")
        if labels.ndim == 1 and self.num_classes is None:
            raise ValueError("num_classes must be passed if the labels are index-based (1D)")
        return labels

    def forward(self, *inputs):
        inputs = inputs if len(inputs) > 1 else inputs[0]
        flat, spec = tree_flatten(inputs)
        if has_any(flat, is_picture, tv_tensors.BoundingBoxes, tv_tensors.Mask, tv_tensors.KeyPoints):
            raise ValueError(
                f"{type(self).__name__}() does not support PIL images, bounding boxes, keypoints and masks.")
        labels = self._checked_labels(inputs)
        needed = self._needs_transform_list(flat)
        params = self.make_params([item for item, wanted in zip(flat, needed) if wanted])
        params.update(labels=labels, batch_size=labels.shape[0])
        changed = [self.transform(item, params) if wanted or item is labels else item
                   for item, wanted in zip(flat, needed)]
        return tree_unflatten(changed, spec)

    def transform(self, inpt, params):
        if inpt is params["labels"]:
            return self._mixed_labels(inpt, params["share"])
        if not (isinstance(inpt, (tv_tensors.Image, tv_tensors.Video)) or is_pure_tensor(inpt)):
            return inpt
        dims = 5 if isinstance(inpt, tv_tensors.Video) else 4
        if inpt.ndim != dims:
            raise ValueError(f"Expected a batched input with {dims} dims, but got {inpt.ndim} dimensions instead.")
        if inpt.shape[0] != params["batch_size"]:
            raise ValueError("The batch size of the image or video does not match the batch size of the labels: "
                             f"{inpt.shape[0]} != {params['batch_size']}.")
        mixed = self._mixed(plain(inpt), params)
        return mixed if is_pure_tensor(inpt) else tv_tensors.wrap(mixed, like=inpt)

    def _mixed(self, batch, params):
        raise NotImplementedError

    def _mixed_labels(self, labels, share):
        if labels.ndim == 1:
            labels = one_hot(labels, num_classes=self.num_classes)
        return _blend(labels if labels.dtype.is_floating_point else labels.float(), share)


def _blend(batch, share):
    """A share of each entry and the rest of the entry before it."""
    return batch.roll(1, 0) * (1.0 - share) + batch * share


class MixUp(_Mixed):
    """Blend each picture of a batch with the one before it, and their labels likewise."""

    __doc__ += _Mixed.__doc__.partition(".")[2]

    def make_params(self, flat_inputs):
        return {"share": self._share()}

    def _mixed(self, batch, params):
        if not batch.is_floating_point():
            raise RuntimeError("result type Float can't be cast to the desired output type "
                               f"{str(batch.dtype).partition('.')[2]}: MixUp needs floating-point images")
        return _blend(batch, params["share"])


class CutMix(_Mixed):
    """Paste a rectangle of the picture before it into each picture of a batch, and blend labels by its area."""

    __doc__ += _Mixed.__doc__.partition(".")[2]

    def make_params(self, flat_inputs):
        share = self._share()
        height, width = query_size(flat_inputs)
        x, y = int(rl.randint(width, size=(1,))), int(rl.randint(height, size=(1,)))
        half = 0.5 * math.sqrt(1.0 - share)
        across, down = int(half * width), int(half * height)
        left, right = max(x - across, 0), min(x + across, width)
        top, bottom = max(y - down, 0), min(y + down, height)
        return {"box": (left, top, right, bottom),
                "share": 1.0 - (right - left) * (bottom - top) / (width * height)}

    def _mixed(self, batch, params):
        left, top, right, bottom = params["box"]
        mixed = batch.clone()
        mixed[..., top:bottom, left:right] = batch.roll(1, 0)[..., top:bottom, left:right]
        return mixed


class JPEG(Transform):
    """What is left of a picture after it has been a JPEG file, of a quality (1 to 100) or one from a range."""

    def __init__(self, quality):
        super().__init__()
        if isinstance(quality, bool):
            raise TypeError("quality can't be bool")
        if isinstance(quality, int):
            quality = [quality, quality]
        else:
            check_length(quality, "quality", (2,))
        if not (all([isinstance(q, int) for q in quality]) and 1 <= quality[0] <= quality[1] <= 100):
            raise ValueError(f"quality must be an integer from 1 to 100, got quality ={quality!r}")
        self.quality = quality

    def make_params(self, flat_inputs):
        return {"quality": _draws.below(self.quality[0], self.quality[1] + 1)}

    def transform(self, inpt, params):
        return self._call_kernel(F.jpeg, inpt, quality=params["quality"])
