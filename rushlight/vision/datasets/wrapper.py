"""Data sets whose samples transforms of the second generation understand: boxes and masks as tv_tensors."""
import collections
import copy

import numpy as np

from ... import api as rl
from ...base.optional import optional
from .. import tv_tensors
from ..pictures import pillow
from ..tv_tensors import BoundingBoxFormat
from ..transforms.v2 import functional as F
from .annotated import Caltech101, Caltech256, CelebA, Cityscapes, Kitti, WIDERFace
from .archives import ImageNet
from .arrays import CIFAR10, CIFAR100
from .captions import CocoCaptions, CocoDetection
from .classification import GTSRB, Imagenette, OxfordIIITPet
from .folder import DatasetFolder
from .mnist import MNIST
from .video import HMDB51, UCF101, Kinetics
from .vision import VisionDataset
from .voc import SBDataset, VOCDetection, VOCSegmentation

__all__ = ["wrap_dataset_for_transforms_v2"]

_WRAPPERS = {}  # class of data sets -> function (dataset, target_keys) -> function (index, sample) -> sample


def _wraps(*classes):
    def add(make):
        _WRAPPERS.update(dict.fromkeys(classes, make))
        return make
    return add


def wrap_dataset_for_transforms_v2(dataset, target_keys=None):
    """Make the targets of a data set tensors that transforms of the second generation change with the images.

    Args:
        dataset (VisionDataset): one of the package, or of a subclass of such a class.
        target_keys (None, "all" or collection of texts): which entries the targets of CocoDetection, VOCDetection,
            Kitti and WIDERFace have; None is those that training needs.

    Returns:
        A data set of the same class; the given one gives its transforms away.

    Raises:
        TypeError: there is no wrapper for this class.
        ValueError: unknown keys.
    """
    texts = isinstance(target_keys, collections.abc.Collection) and all([isinstance(key, str) for key in target_keys])
    if not (target_keys is None or target_keys == "all" or texts):
        raise ValueError("`target_keys` can be None, 'all', or a collection of strings denoting the keys to be "
                         f"returned, but got {target_keys}")
    cls = type(f"Wrapped{type(dataset).__name__}", (_Wrapped, type(dataset)), {})
    return cls(dataset, target_keys)


class _Wrapped:
    """The mixin of wrapped data sets: samples of the data set within, wrapped, then transformed."""

    def __init__(self, dataset, target_keys):
        name = type(dataset).__name__
        if not isinstance(dataset, VisionDataset):
            raise TypeError("This wrapper is meant for subclasses of `torchvision.datasets.VisionDataset`, but got a "
                            f"'{name}' instead.")
        known = [cls for cls in type(dataset).__mro__ if cls in _WRAPPERS]
        if not known:
            raise TypeError(f"No wrapper exists for dataset class {name}. Please wrap the output yourself.")
        if target_keys is not None and known[0] not in (CocoDetection, VOCDetection, Kitti, WIDERFace):
            raise ValueError("`target_keys` is currently only supported for `CocoDetection`, `VOCDetection`, `Kitti`, "
                             f"and `WIDERFace`, but got {known[0].__name__}.")
        self._dataset, self._target_keys = dataset, target_keys
        self._wrapper = _WRAPPERS[known[0]](dataset, target_keys)
        for attribute in ("transform", "target_transform", "transforms"):
            setattr(self, attribute, getattr(dataset, attribute))
            setattr(dataset, attribute, None)

    def __getattr__(self, name):
        if name == "_dataset":
            raise AttributeError(name)
        return getattr(self._dataset, name)

    def __getitem__(self, index):
        sample = self._wrapper(index, self._dataset[index])
        return sample if self.transforms is None else self.transforms(*sample)

    def __getitems__(self, indices):
        return [self[index] for index in indices]

    def __len__(self):
        return len(self._dataset)

    def __reduce__(self):
        dataset = copy.copy(self._dataset)
        for attribute in ("transform", "target_transform", "transforms"):
            setattr(dataset, attribute, getattr(self, attribute))
        return wrap_dataset_for_transforms_v2, (dataset, self._target_keys)


def _unsupported(what):
    raise RuntimeError(f"{what} is currently not supported by this wrapper.")


def _keys(target_keys, available, default):
    if target_keys is None:
        return set(default)
    if target_keys == "all":
        return set(available)
    extra = set(target_keys).difference(available)
    if extra:
        raise ValueError(f"Target keys {sorted(extra)} are not available")
    return set(target_keys)


def _boxes(values, image, format=BoundingBoxFormat.XYWH):
    """Boxes of a picture as corners."""
    boxes = tv_tensors.BoundingBoxes(values, format=format, canvas_size=tuple(F.get_size(image)))
    return F.convert_bounding_box_format(boxes, new_format=BoundingBoxFormat.XYXY)


def _lists(dictionaries):
    """A list of dictionaries as a dictionary of lists."""
    found = collections.defaultdict(list)
    for dictionary in dictionaries:
        for key, value in dictionary.items():
            found[key].append(value)
    return dict(found)


def _by_type(target, kinds, wrappers):
    """One target or several, each through the wrapper of its kind."""
    targets = target if isinstance(target, (tuple, list)) else [target]
    found = tuple([wrappers.get(kind, lambda item: item)(item) for kind, item in zip(kinds, targets)])
    return found[0] if len(found) == 1 else found


# -- classes and masks -----------------------------------------------------------------------------------------------


@_wraps(Caltech256, CIFAR10, CIFAR100, ImageNet, MNIST, GTSRB, DatasetFolder, Imagenette, CocoCaptions)
def _unchanged(dataset, target_keys):
    return lambda index, sample: sample


@_wraps(Caltech101)
def _caltech(dataset, target_keys):
    if "annotation" in dataset.target_type:
        _unsupported("Caltech101 dataset with `target_type=['annotation', ...]`")
    return _unchanged(dataset, target_keys)


@_wraps(VOCSegmentation)
def _segmentation(dataset, target_keys):
    return lambda index, sample: (sample[0], tv_tensors.Mask(sample[1]))


@_wraps(SBDataset)
def _outlines(dataset, target_keys):
    if dataset.mode == "boundaries":
        _unsupported("SBDataset with mode='boundaries'")
    return _segmentation(dataset, target_keys)


@_wraps(HMDB51, Kinetics, UCF101)
def _videos(dataset, target_keys):
    if dataset.video_clips.output_format == "THWC":
        raise RuntimeError(f"{type(dataset).__name__} with `output_format='THWC'` is not supported by this wrapper, "
                           "since it is not compatible with the transformations. Please use `output_format='TCHW'` "
                           "instead.")
    return lambda index, sample: (tv_tensors.Video(sample[0]), *sample[1:])


@_wraps(OxfordIIITPet)
def _pets(dataset, target_keys):
    def wrap(index, sample):
        image, target = sample
        if target is not None:
            target = _by_type(target, dataset._target_types, {"segmentation": tv_tensors.Mask})
        return image, target
    return wrap


@_wraps(Cityscapes)
def _streets(dataset, target_keys):
    if "polygon" in dataset.target_type or "color" in dataset.target_type:
        _unsupported("`Cityscapes` dataset with `target_type=['polygon', 'color', ...]`")

    def instances(picture):
        pixels = tv_tensors.Mask(picture).as_subclass(rl.Tensor)
        numbers = pixels.unique()
        labels = rl.where(numbers >= 1000, numbers.div(1000, rounding_mode="floor"), numbers)
        masks = rl.stack([pixels == number for number in numbers])
        return {"masks": tv_tensors.Mask(masks), "labels": labels}
    wrappers = {"instance": instances, "semantic": tv_tensors.Mask}
    return lambda index, sample: (sample[0], _by_type(sample[1], dataset.target_type, wrappers))


# -- objects ---------------------------------------------------------------------------------------------------------


def _polygon_mask(segmentation, size):
    """A mask (H, W) of uint8 of an object of COCO: polygons, or runs of equal pixels down the columns."""
    height, width = size
    if isinstance(segmentation, dict):
        counts = segmentation["counts"]
        runs = _runs(counts) if isinstance(counts, (str, bytes)) else counts
        values = np.arange(len(runs)) % 2
        return rl.from_numpy(np.repeat(values, runs).astype(np.uint8).reshape(width, height).T.copy())
    if not isinstance(segmentation, list):
        raise ValueError(f"COCO segmentation expected to be a dict or a list, got {type(segmentation)}")
    picture = pillow("masks of COCO").new("1", (width, height))
    canvas = optional("PIL.ImageDraw", "vision", "masks of COCO").Draw(picture)
    for polygon in segmentation:
        canvas.polygon([float(value) for value in polygon], fill=1, outline=1)
    return rl.from_numpy(np.asarray(picture).astype(np.uint8))


def _runs(text):
    """The lengths of runs from their text: numbers of 6 bits a character, from the third on differences."""
    codes = text.encode() if isinstance(text, str) else text
    found, at = [], 0
    while at < len(codes):
        value, shift, more = 0, 0, True
        while more:
            part = codes[at] - 48
            value |= (part & 31) << shift
            more, shift, at = bool(part & 32), shift + 5, at + 1
        if part & 16:
            value -= 1 << shift
        found.append(value + (found[-2] if len(found) > 2 else 0))
    return found


@_wraps(CocoDetection)
def _coco(dataset, target_keys):
    keys = _keys(target_keys, ("segmentation", "area", "iscrowd", "image_id", "bbox", "category_id", "boxes", "masks",
                               "labels"), ("image_id", "boxes", "labels"))

    def wrap(index, sample):
        image, objects = sample
        number = dataset.ids[index]
        if not objects:
            return image, {"image_id": number}
        lists, size = _lists(objects), tuple(F.get_size(image))
        special = {
            "image_id": lambda: number, "boxes": lambda: _boxes(lists["bbox"], image),
            "masks": lambda: tv_tensors.Mask(rl.stack([_polygon_mask(item, size) for item in lists["segmentation"]])),
            "labels": lambda: rl.tensor(lists["category_id"]),
        }
        ordered = [key for key in special if key in keys] + sorted(keys.difference(special))
        return image, {key: special[key]() if key in special else lists[key] for key in ordered}
    return wrap


VOC_DETECTION_CATEGORIES = [
    "__background__", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
]


@_wraps(VOCDetection)
def _voc(dataset, target_keys):
    keys = _keys(target_keys, ("annotation", "boxes", "labels"), ("boxes", "labels"))

    def wrap(index, sample):
        image, target = sample
        objects = target["annotation"]["object"]
        if "annotation" not in keys:
            target = {}
        if "boxes" in keys:
            corners = [[int(entry["bndbox"][part]) for part in ("xmin", "ymin", "xmax", "ymax")] for entry in objects]
            target["boxes"] = _boxes(corners, image, BoundingBoxFormat.XYXY)
        if "labels" in keys:
            target["labels"] = rl.tensor([VOC_DETECTION_CATEGORIES.index(entry["name"]) for entry in objects])
        return image, target
    return wrap


@_wraps(CelebA)
def _faces(dataset, target_keys):
    if "attr" in dataset.target_type or "landmarks" in dataset.target_type:
        _unsupported("`CelebA` dataset with `target_type=['attr', 'landmarks', ...]`")

    def wrap(index, sample):
        image, target = sample
        return image, _by_type(target, dataset.target_type, {"bbox": lambda item: _boxes(item, image)})
    return wrap


KITTI_CATEGORIES = ["Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc", "DontCare"]


@_wraps(Kitti)
def _kitti(dataset, target_keys):
    keys = _keys(target_keys, ("type", "truncated", "occluded", "alpha", "bbox", "dimensions", "location",
                               "rotation_y", "boxes", "labels"), ("boxes", "labels"))

    def wrap(index, sample):
        image, objects = sample
        if objects is None:
            return image, None
        lists, target = _lists(objects), {}
        if "boxes" in keys:
            target["boxes"] = _boxes(lists["bbox"], image, BoundingBoxFormat.XYXY)
        if "labels" in keys:
            target["labels"] = rl.tensor([KITTI_CATEGORIES.index(name) for name in lists["type"]])
        target.update({key: lists[key] for key in sorted(keys.difference(("boxes", "labels")))})
        return image, target
    return wrap


@_wraps(WIDERFace)
def _wider(dataset, target_keys):
    keys = _keys("all" if target_keys is None else target_keys,
                 ("bbox", "blur", "expression", "illumination", "occlusion", "pose", "invalid"), ())

    def wrap(index, sample):
        image, faces = sample
        if faces is None:
            return image, None
        target = {key: faces[key] for key in faces if key in keys}
        if "bbox" in keys:
            target["bbox"] = _boxes(target["bbox"], image)
        return image, target
    return wrap
