"""Pascal VOC, and SBD, which adds outlines to its images."""
import os
import shutil
import xml.etree.ElementTree

import numpy as np

from ..pictures import from_array, pillow
from .arrays import loadmat
from .folder import default_loader
from .utils import download_and_extract_archive, download_url, verify_str_arg
from .vision import VisionDataset

__all__ = ["SBDataset", "VOCDetection", "VOCSegmentation"]

_URL = "https://thor.robots.ox.ac.uk/pascal/VOC/"
# year: (address, name of the file, MD5, folder)
_YEARS = {
    "2012": ("voc2012/VOCtrainval_11-May-2012.tar", "6cd6e144f989b92b3379bac3b3de84fd", "VOCdevkit/VOC2012"),
    "2011": ("voc2011/VOCtrainval_25-May-2011.tar", "6c3384ef61512963050cb5d687e5bf1e", "TrainVal/VOCdevkit/VOC2011"),
    "2010": ("voc2010/VOCtrainval_03-May-2010.tar", "da459979d0c395079b5c75ee67908abb", "VOCdevkit/VOC2010"),
    "2009": ("voc2009/VOCtrainval_11-May-2009.tar", "a3e00b113cfcfebf17e343f59da3caa1", "VOCdevkit/VOC2009"),
    "2008": ("voc2008/VOCtrainval_14-Jul-2008.tar", "2629fa636546599198acfcfbfcf1904a", "VOCdevkit/VOC2008"),
    "2007": ("voc2007/VOCtrainval_06-Nov-2007.tar", "c52e279531787c972589f7e41ab4ae64", "VOCdevkit/VOC2007"),
    "2007-test": ("voc2007/VOCtest_06-Nov-2007.tar", "b6e924de25625d8de591ea690078ad9f", "VOCdevkit/VOC2007"),
}


class _VOC(VisionDataset):
    """Images of a list, each with a file of the same name in another folder."""

    _SPLITS_DIR, _TARGET_DIR, _TARGET_FILE_EXT = "", "", ""

    def __init__(self, root, year="2012", image_set="train", download=False, transform=None, target_transform=None,
                 transforms=None):
        super().__init__(root, transforms, transform, target_transform)
        self.year = verify_str_arg(year, "year", [str(number) for number in range(2007, 2013)])
        sets = ["train", "trainval", "val"] + (["test"] if year == "2007" else [])
        self.image_set = verify_str_arg(image_set, "image_set", sets)
        path, self.md5, folder = _YEARS["2007-test" if image_set == "test" else year]
        self.url, self.filename = _URL + path, os.path.basename(path)
        base = os.path.join(self.root, *folder.split("/"))
        if download:
            download_and_extract_archive(self.url, self.root, filename=self.filename, md5=self.md5)
        if not os.path.isdir(base):
            raise RuntimeError("Dataset not found or corrupted. You can use download=True to download it")
        with open(os.path.join(base, "ImageSets", self._SPLITS_DIR, f"{image_set}.txt")) as file:
            names = [line.strip() for line in file]
        self.images = [os.path.join(base, "JPEGImages", f"{name}.jpg") for name in names]
        self.targets = [os.path.join(base, self._TARGET_DIR, name + self._TARGET_FILE_EXT) for name in names]

    def _load_target(self, path):
        raise NotImplementedError

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        """The pair (image, target) after the transforms."""
        image, target = default_loader(self.images[index]), self._load_target(self.targets[index])
        return (image, target) if self.transforms is None else self.transforms(image, target)


class VOCSegmentation(_VOC):
    """Photographs with a Pillow image of classes, 255 at borders."""

    _SPLITS_DIR, _TARGET_DIR, _TARGET_FILE_EXT = "Segmentation", "SegmentationClass", ".png"

    @property
    def masks(self):
        """The paths of the targets."""
        return self.targets

    def _load_target(self, path):
        return pillow("datasets.VOCSegmentation").open(path)


class VOCDetection(_VOC):
    """Photographs with their annotations, the XML file as dictionaries."""

    _SPLITS_DIR, _TARGET_DIR, _TARGET_FILE_EXT = "Main", "Annotations", ".xml"

    @property
    def annotations(self):
        """The paths of the targets."""
        return self.targets

    def _load_target(self, path):
        return self.parse_voc_xml(xml.etree.ElementTree.parse(path).getroot())

    @staticmethod
    def parse_voc_xml(node):
        """An element as {tag: text or dictionary}; elements of one tag become a list, objects always."""
        children = list(node)
        if not children:
            return {node.tag: node.text.strip()} if node.text else {}
        grouped = {}
        for child in children:
            for tag, value in VOCDetection.parse_voc_xml(child).items():
                grouped.setdefault(tag, []).append(value)
        if node.tag == "annotation":
            grouped["object"] = [grouped.get("object", [])]
        return {node.tag: {tag: values[0] if len(values) == 1 else values for tag, values in grouped.items()}}


class SBDataset(VisionDataset):
    """Images of VOC with masks ("segmentation") or outlines (20, H, W) of the classes ("boundaries")."""

    url = ("https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz")
    md5 = "82b4d87ceb2ed10f6038a1cba92111cb"
    filename = "benchmark.tgz"
    voc_train_url = "https://www.cs.cornell.edu/~bharathh/train_noval.txt"
    voc_split_filename = "train_noval.txt"
    voc_split_md5 = "79bff800c5f0b1ec6b21080a3c066722"

    def __init__(self, root, image_set="train", mode="boundaries", download=False, transforms=None):
        super().__init__(root, transforms)
        self.image_set = verify_str_arg(image_set, "image_set", ("train", "val", "train_noval"))
        self.mode = verify_str_arg(mode, "mode", ("segmentation", "boundaries"))
        self.num_classes = 20
        if download:
            self.download()
        if not os.path.isdir(self.root):
            raise RuntimeError("Dataset not found or corrupted. You can use download=True to download it")
        with open(os.path.join(self.root, f"{image_set}.txt")) as file:
            names = [line.strip() for line in file]
        self.images = [os.path.join(self.root, "img", f"{name}.jpg") for name in names]
        self.masks = [os.path.join(self.root, "cls", f"{name}.mat") for name in names]

    def download(self):
        """Download the archive and put its parts into `root`."""
        download_and_extract_archive(self.url, self.root, filename=self.filename, md5=self.md5)
        for name in ("cls", "img", "inst", "train.txt", "val.txt"):
            shutil.move(os.path.join(self.root, "benchmark_RELEASE", "dataset", name), self.root)
        if self.image_set == "train_noval":
            download_url(self.voc_train_url, self.root, self.voc_split_filename, self.voc_split_md5)

    def _target(self, path):
        content = loadmat(path, "datasets.SBDataset")["GTcls"][0]
        if self.mode == "segmentation":
            return from_array(content["Segmentation"][0])
        outlines = content["Boundaries"][0]
        return np.stack([outlines[number][0].toarray() for number in range(self.num_classes)])

    def __getitem__(self, index):
        """The pair (image, target) after the transforms."""
        image, target = default_loader(self.images[index]), self._target(self.masks[index])
        return (image, target) if self.transforms is None else self.transforms(image, target)

    def __len__(self):
        return len(self.images)

    def extra_repr(self):
        return f"Image set: {self.image_set}\nMode: {self.mode}"
