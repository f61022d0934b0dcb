"""Transforms of the second generation of values, kinds and formats, and those that remove broken boxes and points."""
import warnings

import numpy as np

from .... import api as rl
from ....utils._pytree import tree_flatten, tree_unflatten
from ... import tv_tensors
from ...pictures import is_picture
from ...tv_tensors._shapes import plain
from .. import _draws, conversion
from .. import color as v1_color
from .. import transforms as v1
from .._arguments import check_linear, linear, pair
from . import functional as F
from ._arguments import labels_getter_of, number_or_two
from ._query import get_bounding_boxes, get_keypoints, has_any
from ._transform import Transform
from ..kernels.boxes import valid_boxes
from ..kernels.dispatch import is_pure_tensor
from ..kernels.shapes import valid_keypoints


class Identity(Transform):
    """Change nothing."""

    def transform(self, inpt, params):
        return inpt


class Lambda(Transform):
    """Apply a function of your own to all items, or to those of the classes `types`."""

    _transformed_types = (object,)

    def __init__(self, lambd, *types):
        super().__init__()
        self.lambd = lambd
        self.types = types or self._transformed_types

    def transform(self, inpt, params):
        return self.lambd(inpt) if isinstance(inpt, self.types) else inpt

    def extra_repr(self):
        name = getattr(self.lambd, "__name__", None)
        return ", ".join([*([name] if name else []), f"types={[kind.__name__ for kind in self.types]}"])


def _refuse_pictures(transform, sample):
    if has_any(sample, is_picture):
        raise TypeError(f"{type(transform).__name__}() does not support PIL images.")


class LinearTransformation(Transform):
    """`(flattened image - mean_vector) @ transformation_matrix`; whitening, for example."""

    _v1_transform_cls = v1.LinearTransformation
    _transformed_types = (is_pure_tensor, tv_tensors.Image, tv_tensors.Video)

    def __init__(self, transformation_matrix, mean_vector):
        super().__init__()
        check_linear(transformation_matrix, mean_vector)
        self.transformation_matrix = transformation_matrix
        self.mean_vector = mean_vector

    def check_inputs(self, sample):
        _refuse_pictures(self, sample)

    def transform(self, inpt, params):
        result = linear(plain(inpt), self.transformation_matrix, self.mean_vector)
        return result if is_pure_tensor(inpt) else tv_tensors.wrap(result, like=inpt)


class Normalize(Transform):
    """`(image - mean) / std`, channel by channel, for float images."""

    _v1_transform_cls = v1.Normalize

    def __init__(self, mean, std, inplace=False):
        super().__init__()
        self.mean = list(mean)
        self.std = list(std)
        self.inplace = inplace

    def check_inputs(self, sample):
        _refuse_pictures(self, sample)

    def transform(self, inpt, params):
        return self._call_kernel(F.normalize, inpt, mean=self.mean, std=self.std, inplace=self.inplace)


class GaussianBlur(Transform):
    """Smooth with a Gaussian window, its standard deviation from the range `sigma`. See `functional.gaussian_blur`."""

    _v1_transform_cls = v1_color.GaussianBlur

    def __init__(self, kernel_size, sigma=(0.1, 2.0)):
        super().__init__()
        self.kernel_size = pair(kernel_size, "Kernel size should be a tuple/list of two integers")
        if any([size <= 0 or size % 2 == 0 for size in self.kernel_size]):
            raise ValueError("Kernel size value should be an odd and positive number.")
        self.sigma = number_or_two(sigma, "sigma")
        if not 0.0 < self.sigma[0] <= self.sigma[1]:
            raise ValueError(f"sigma values should be positive and of the form (min, max). Got {self.sigma}")

    def make_params(self, flat_inputs):
        return {"sigma": [_draws.uniform(*self.sigma)] * 2}

    def transform(self, inpt, params):
        return self._call_kernel(F.gaussian_blur, inpt, self.kernel_size, **params)


class GaussianNoise(Transform):
    """Add normal noise. See `functional.gaussian_noise`."""

    def __init__(self, mean=0.0, sigma=0.1, clip=True):
        super().__init__()
        self.mean = mean
        self.sigma = sigma
        self.clip = clip

    def transform(self, inpt, params):
        return self._call_kernel(F.gaussian_noise, inpt, mean=self.mean, sigma=self.sigma, clip=self.clip)


# -- kinds and dtypes ------------------------------------------------------------------------------------------------


class ToDtype(Transform):
    """Convert images and videos to a dtype, with `scale` from range to range; see `functional.to_dtype`.

    Args:
        dtype (torch.dtype, or dictionary {class: dtype or None}): "others" is the key for all other classes.
        scale (bool): map the range of the old dtype to that of the new one.
    """

    _transformed_types = (rl.Tensor,)

    def __init__(self, dtype, scale=False):
        super().__init__()
        if not isinstance(dtype, (dict, rl.dtype)):
            raise ValueError(f"dtype must be a dict or a torch.dtype, got {type(dtype)} instead")
        if isinstance(dtype, dict) and rl.Tensor in dtype and (tv_tensors.Image in dtype or tv_tensors.Video in dtype):
            warnings.warn("Got `dtype` values for `torch.Tensor` and either `tv_tensors.Image` or `tv_tensors.Video`. "
                          "Note that a plain `torch.Tensor` will *not* be transformed by this (or any other "
                          "transformation) in case a `tv_tensors.Image` or `tv_tensors.Video` is present in the "
                          "input.", stacklevel=2)
        self.dtype = dtype
        self.scale = scale

    def transform(self, inpt, params):
        picture = is_pure_tensor(inpt) or isinstance(inpt, (tv_tensors.Image, tv_tensors.Video))
        if isinstance(self.dtype, rl.dtype):
            return self._call_kernel(F.to_dtype, inpt, dtype=self.dtype, scale=self.scale) if picture else inpt
        if type(inpt) not in self.dtype and "others" not in self.dtype:
            raise ValueError(
                f"No dtype was specified for type {type(inpt)}. If you only need to convert the dtype of images or "
                "videos, you can just pass e.g. dtype=torch.float32. If you're passing a dict as dtype, you can use "
                '"others" as a catch-all key e.g. dtype={tv_tensors.Mask: torch.int64, "others": None} to pass-through '
                "the rest of the inputs.")
        dtype = self.dtype.get(type(inpt), self.dtype.get("others"))
        if dtype is not None:
            return self._call_kernel(F.to_dtype, inpt, dtype=dtype, scale=self.scale)
        if self.scale and picture:
            warnings.warn("scale was set to True but no dtype was specified for images or videos: no scaling will be "
                          "done.", stacklevel=2)
        return inpt


class ConvertImageDtype(Transform):
    """Deprecated: `ToDtype` with `scale`."""

    _v1_transform_cls = v1.ConvertImageDtype

    def __init__(self, dtype=rl.float32):
        super().__init__()
        self.dtype = dtype

    def transform(self, inpt, params):
        return self._call_kernel(F.to_dtype, inpt, dtype=self.dtype, scale=True)


class ToTensor(Transform):
    """Deprecated: `ToImage`, then `ToDtype(rl.float32, scale=True)`."""

    _transformed_types = (is_picture, np.ndarray)

    def __init__(self):
        warnings.warn("The transform `ToTensor()` is deprecated and will be removed in a future release. Instead, "
                      "please use `v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])`.Output is "
                      "equivalent up to float precision.", stacklevel=2)
        super().__init__()

    def transform(self, inpt, params):
        return conversion.to_tensor(inpt)


class PILToTensor(Transform):
    """A Pillow image as a tensor (C, H, W) of the image's own type, unscaled."""

    _transformed_types = (is_picture,)

    def transform(self, inpt, params):
        return F.pil_to_tensor(inpt)


class ToImage(Transform):
    """A tensor, an array (H, W, C) or a Pillow image as tv_tensors.Image, values unchanged."""

    _transformed_types = (is_pure_tensor, is_picture, np.ndarray)

    def transform(self, inpt, params):
        return F.to_image(inpt)


class ToPILImage(Transform):
    """A tensor (C, H, W) or an array (H, W, C) as a Pillow image of the given or of the fitting mode."""

    _transformed_types = (is_pure_tensor, tv_tensors.Image, np.ndarray)

    def __init__(self, mode=None):
        super().__init__()
        self.mode = mode

    def transform(self, inpt, params):
        return F.to_pil_image(inpt, mode=self.mode)


class ToPureTensor(Transform):
    """Tensors that know what they show as plain ones."""

    _transformed_types = (tv_tensors.TVTensor,)

    def transform(self, inpt, params):
        return plain(inpt)


class UniformTemporalSubsample(Transform):
    """`num_samples` frames of a video, equally spaced."""

    _transformed_types = (rl.Tensor,)

    def __init__(self, num_samples):
        super().__init__()
        self.num_samples = num_samples

    def transform(self, inpt, params):
        return self._call_kernel(F.uniform_temporal_subsample, inpt, self.num_samples)


# -- boxes and points ------------------------------------------------------------------------------------------------


class ConvertBoundingBoxFormat(Transform):
    """Boxes in another format. See `functional.convert_bounding_box_format`."""

    _transformed_types = (tv_tensors.BoundingBoxes,)

    def __init__(self, format):
        super().__init__()
        self.format = format

    def transform(self, inpt, params):
        return F.convert_bounding_box_format(inpt, new_format=self.format)


class ClampBoundingBoxes(Transform):
    """Cut boxes at the border of the picture. See `functional.clamp_bounding_boxes`."""

    _transformed_types = (tv_tensors.BoundingBoxes,)

    def __init__(self, clamping_mode="auto"):
        super().__init__()
        self.clamping_mode = clamping_mode

    def transform(self, inpt, params):
        return F.clamp_bounding_boxes(inpt, clamping_mode=self.clamping_mode)


class ClampKeyPoints(Transform):
    """Move points from outside to the border of the picture."""

    _transformed_types = (tv_tensors.KeyPoints,)

    def transform(self, inpt, params):
        return F.clamp_keypoints(inpt)


class SetClampingMode(Transform):
    """Set how the transforms after this one cut boxes: "soft", "hard" or None."""

    _transformed_types = (tv_tensors.BoundingBoxes,)

    def __init__(self, clamping_mode):
        super().__init__()
        if clamping_mode not in (None, "soft", "hard"):
            raise ValueError(f"clamping_mode must be soft, hard or None, got {clamping_mode}")
        self.clamping_mode = clamping_mode

    def transform(self, inpt, params):
        return tv_tensors.wrap(plain(inpt).clone(), like=inpt, clamping_mode=self.clamping_mode)


class _Sanitize(Transform):
    """Remove broken entries, and those of the labels with them."""

    def _labels(self, inputs, count, what):
        """The tensors of labels of a sample; ValueError unless there are as many entries as `what`."""
        labels = self._labels_getter(inputs)
        if labels is None:
            return ()
        labels = (labels,) if isinstance(labels, rl.Tensor) else labels
        if not isinstance(labels, (tuple, list)):
            raise ValueError("The labels in the input to forward() must be a tensor or None, got "
                             f"{type(labels)} instead.")
        for label in labels:
            if not isinstance(label, rl.Tensor):
                raise ValueError("The labels in the input to forward() must be a tensor or None, got "
                                 f"{type(label)} instead.")
            if label.shape[0] != count:
                raise ValueError(f"Number of {what} ({count}) must match the number of labels. Found labels with "
                                 f"shape={label.shape}.")
        return labels

    def forward(self, *inputs):
        inputs = inputs if len(inputs) > 1 else inputs[0]
        flat, spec = tree_flatten(inputs)
        valid, what = self._valid(flat)
        labels = self._labels(inputs, valid.shape[0], what)
        params = {"valid": valid, "labels": labels}
        return tree_unflatten([self.transform(item, params) for item in flat], spec)

    def transform(self, inpt, params):
        if any([inpt is label for label in params["labels"]]):
            return plain(inpt)[params["valid"]] if is_pure_tensor(inpt) else inpt[params["valid"]]
        if not isinstance(inpt, self._kinds):
            return inpt
        if isinstance(inpt, tv_tensors.Mask) and inpt.shape[0] != params["valid"].shape[0]:
            return inpt  # a mask of the whole picture, not one for each box
        return tv_tensors.wrap(plain(inpt)[params["valid"]], like=inpt)


class SanitizeBoundingBoxes(_Sanitize):
    """Remove boxes that are too small or reach out of the picture, and their labels and masks.

    Args:
        min_size, min_area (float): the least sides and area of a box.
        labels_getter: "default", a function that gives a tensor of labels or several, or None where there are none.
    """

    _kinds = (tv_tensors.BoundingBoxes, tv_tensors.Mask)

    def __init__(self, min_size=1.0, min_area=1.0, labels_getter="default"):
        super().__init__()
        if min_size < 1:
            raise ValueError(f"min_size must be >= 1, got {min_size}.")
        self.min_size = min_size
        if min_area < 1:
            raise ValueError(f"min_area must be >= 1, got {min_area}.")
        self.min_area = min_area
        self.labels_getter = labels_getter
        self._labels_getter = labels_getter_of(labels_getter)

    def _valid(self, flat):
        boxes = get_bounding_boxes(flat)
        valid = valid_boxes(plain(boxes), boxes.format, boxes.canvas_size, self.min_size, self.min_area)
        return valid, "boxes"


class SanitizeKeyPoints(_Sanitize):
    """Remove entries with points outside the picture, and their labels."""

    _kinds = (tv_tensors.KeyPoints,)

    def __init__(self, labels_getter=None):
        super().__init__()
        self.labels_getter = labels_getter
        self._labels_getter = labels_getter_of(labels_getter)

    def _valid(self, flat):
        points = get_keypoints(flat)
        return valid_keypoints(plain(points), points.canvas_size), "keypoints"
