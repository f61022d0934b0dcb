"""Data sets with several kinds of targets: Caltech, CelebA, Cityscapes, iNaturalist, KITTI, WIDER FACE."""
import collections
import csv
import json
import os
import shutil

from ... import api as rl
from ..pictures import pillow
from .arrays import loadmat
from .folder import default_loader
from .utils import (
    check_integrity, download_and_extract_archive, download_file_from_google_drive, extract_archive, verify_str_arg,
)
from .vision import PreparedDataset, VisionDataset

__all__ = ["Caltech101", "Caltech256", "CelebA", "Cityscapes", "INaturalist", "Kitti", "WIDERFace"]


def _open(path, purpose):
    return pillow(purpose).open(path)


def _one_or_all(targets):
    """The only target, or a tuple of all; None where there is none."""
    return (tuple(targets) if len(targets) > 1 else targets[0]) if targets else None


# -- Caltech ---------------------------------------------------------------------------------------------------------


class _Caltech(PreparedDataset):
    """Images root/FOLDER/CATEGORY/..., with numbers as names: `index` the numbers, `y` the classes."""

    folder, home = "", ""

    def __init__(self, root, transform=None, target_transform=None, download=False):
        super().__init__(os.path.join(root, self.home), transform=transform, target_transform=target_transform)
        os.makedirs(self.root, exist_ok=True)
        self._prepare(download)
        self.categories = sorted([name for name in os.listdir(self._path()) if name != "BACKGROUND_Google"])
        self.index, self.y = [], []
        for number, name in enumerate(self.categories):
            count = len([file for file in os.listdir(self._path(name)) if file.endswith(".jpg")])
            self.index.extend(range(1, count + 1))
            self.y.extend([number] * count)

    def _path(self, *names):
        return os.path.join(self.root, self.folder, *names)

    def __len__(self):
        return len(self.index)

    def _check_exists(self):
        return os.path.exists(self._path())


class Caltech101(_Caltech):
    """Pictures of objects in 101 classes.

    Args:
        target_type (text or list): of "category" and "annotation", the outline of the object.
    """

    folder, home = "101_ObjectCategories", "caltech101"
    _OUTLINES = {"Faces": "Faces_2", "Faces_easy": "Faces_3", "Motorbikes": "Motorbikes_16",
                 "airplanes": "Airplanes_Side_2"}

    def __init__(self, root, target_type="category", transform=None, target_transform=None, download=False):
        kinds = [target_type] if isinstance(target_type, str) else target_type
        self.target_type = [verify_str_arg(kind, "target_type", ("category", "annotation")) for kind in kinds]
        super().__init__(root, transform, target_transform, download)
        self.annotation_categories = [self._OUTLINES.get(name, name) for name in self.categories]

    def download(self):
        """Download and unpack the archive and those in it."""
        download_and_extract_archive("https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip", self.root,
                                     filename="caltech-101.zip", md5="3138e1922a9193bfa496528edbbc45d0")
        inner = os.path.join(self.root, "caltech-101")
        for name in os.listdir(inner):
            if name.endswith(".gz"):
                extract_archive(os.path.join(inner, name), self.root)
        shutil.rmtree(inner)
        os.remove(os.path.join(self.root, "caltech-101.zip"))

    def _outline(self, index):
        path = os.path.join(self.root, "Annotations", self.annotation_categories[self.y[index]],
                            f"annotation_{self.index[index]:04d}.mat")
        return loadmat(path, "datasets.Caltech101")["obj_contour"]

    def __getitem__(self, index):
        """The pair (image, target or tuple of targets) after the transforms."""
        name = f"image_{self.index[index]:04d}.jpg"
        image = _open(self._path(self.categories[self.y[index]], name), "datasets.Caltech101")
        targets = [self.y[index] if kind == "category" else self._outline(index) for kind in self.target_type]
        return self._transformed(image, _one_or_all(targets))

    def extra_repr(self):
        return f"Target type: {self.target_type}"


class Caltech256(_Caltech):
    """Pictures of objects in 257 classes."""

    folder, home = "256_ObjectCategories", "caltech256"

    def download(self):
        """Download and unpack the archive."""
        download_and_extract_archive("https://data.caltech.edu/records/nyy15-4j048/files/256_ObjectCategories.tar",
                                     self.root, filename="256_ObjectCategories.tar",
                                     md5="67b4f42ca05d46448c6bb8ecd2220f6d")

    def __getitem__(self, index):
        """The pair (image, class) after the transforms."""
        target = self.y[index]
        name = f"{target + 1:03d}_{self.index[index]:04d}.jpg"
        return self._transformed(_open(self._path(self.categories[target], name), "datasets.Caltech256"), target)


# -- CelebA ----------------------------------------------------------------------------------------------------------

CSV = collections.namedtuple("CSV", ["header", "index", "data"])


class CelebA(PreparedDataset):
    """202,599 faces of 10,177 people.

    Args:
        split: "train", "valid", "test" or "all".
        target_type (text or list): of "attr" (40 attributes, 0 or 1), "identity", "bbox" (left, top, width, height) and
            "landmarks" (five points).
    """

    base_folder = "celeba"
    file_list = [
        ("0B7EVK8r0v71pZjFTYXZWM3FlRnM", "00d2c5bc6d35e252742224ab0c1e8fcb", "img_align_celeba.zip"),
        ("0B7EVK8r0v71pblRyaVFSWGxPY0U", "75e246fa4810816ffd6ee81facbd244c", "list_attr_celeba.txt"),
        ("1_ee_0u7vcNLOfNLegJRHmolfH5ICW-XS", "32bd1bd63d3c78cd57e08160ec5ed1e2", "identity_CelebA.txt"),
        ("0B7EVK8r0v71pbThiMVRxWXZ4dU0", "00566efa6fedff7a56946cd1c10f1c16", "list_bbox_celeba.txt"),
        ("0B7EVK8r0v71pd0FJY3Blby1HUTQ", "cc24ecafdb5b50baae59b03474781f8c", "list_landmarks_align_celeba.txt"),
        ("0B7EVK8r0v71pY0NSMzRuSXJEVkk", "d32c9cbf5e040fd4025c592c306e6668", "list_eval_partition.txt"),
    ]
    _SPLITS = {"train": 0, "valid": 1, "test": 2, "all": None}

    def __init__(self, root, split="train", target_type="attr", transform=None, target_transform=None, download=False):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = split
        self.target_type = target_type if isinstance(target_type, list) else [target_type]
        if not self.target_type and self.target_transform is not None:
            raise RuntimeError("target_transform is specified but target_type is empty")
        self._prepare(download)
        part = self._SPLITS[verify_str_arg(split.lower() if isinstance(split, str) else split, "split",
                                           tuple(self._SPLITS))]
        splits = self._load_csv("list_eval_partition.txt")
        chosen = [i for i, number in enumerate(splits.data[:, 0].tolist()) if part in (None, number)]
        rows = rl.tensor(chosen, dtype=rl.int64)
        attributes = self._load_csv("list_attr_celeba.txt", header=1)
        self.filename = [splits.index[i] for i in chosen]
        self.identity = self._load_csv("identity_CelebA.txt").data[rows]
        self.bbox = self._load_csv("list_bbox_celeba.txt", header=1).data[rows]
        self.landmarks_align = self._load_csv("list_landmarks_align_celeba.txt", header=1).data[rows]
        self.attr = (attributes.data[rows] + 1).div(2, rounding_mode="floor")  # -1 and 1 to 0 and 1
        self.attr_names = attributes.header

    def _path(self, *names):
        return os.path.join(self.root, self.base_folder, *names)

    def _load_csv(self, filename, header=None):
        with open(self._path(filename)) as file:
            rows = list(csv.reader(file, delimiter=" ", skipinitialspace=True))
        head = [] if header is None else rows[header]
        rows = rows if header is None else rows[header + 1:]
        numbers = rl.tensor([[int(word) for word in row[1:] if word] for row in rows])
        return CSV(head, [row[0] for row in rows], numbers)

    def _check_exists(self):
        lists = [check_integrity(self._path(name), md5) for _, md5, name in self.file_list if name.endswith(".txt")]
        return all(lists) and os.path.isdir(self._path("img_align_celeba"))

    def download(self):
        """Download lists and images."""
        for file_id, md5, name in self.file_list:
            download_file_from_google_drive(file_id, self._path(), name, md5)
        extract_archive(self._path("img_align_celeba.zip"))

    def __getitem__(self, index):
        """The pair (image, target or tuple of targets) after the transforms."""
        found = {"attr": lambda: self.attr[index], "identity": lambda: self.identity[index, 0],
                 "bbox": lambda: self.bbox[index], "landmarks": lambda: self.landmarks_align[index]}
        for kind in self.target_type:
            if kind not in found:
                raise ValueError(f'Target type "{kind}" is not recognized.')
        image = _open(self._path("img_align_celeba", self.filename[index]), "datasets.CelebA")
        targets = [found[kind]() for kind in self.target_type]
        if targets:
            return self._transformed(image, _one_or_all(targets))
        return (image if self.transform is None else self.transform(image)), None

    def __len__(self):
        return len(self.attr)

    def extra_repr(self):
        return f"Target type: {self.target_type}\nSplit: {self.split}"


# -- Cityscapes ------------------------------------------------------------------------------------------------------


class Cityscapes(VisionDataset):
    """Street scenes of 50 cities; the files are put into `root` by hand.

    Args:
        split: "train", "val", "test", for `mode="coarse"` "train", "train_extra", "val".
        mode: "fine" or "coarse" annotations.
        target_type (text or list): of "instance", "semantic", "color" (Pillow images) and "polygon" (a dictionary).
    """

    CityscapesClass = collections.namedtuple(
        "CityscapesClass",
        ["name", "id", "train_id", "category", "category_id", "has_instances", "ignore_in_eval", "color"])
    classes = [
        CityscapesClass("unlabeled", 0, 255, "void", 0, False, True, (0, 0, 0)),
        CityscapesClass("ego vehicle", 1, 255, "void", 0, False, True, (0, 0, 0)),
        CityscapesClass("rectification border", 2, 255, "void", 0, False, True, (0, 0, 0)),
        CityscapesClass("out of roi", 3, 255, "void", 0, False, True, (0, 0, 0)),
        CityscapesClass("static", 4, 255, "void", 0, False, True, (0, 0, 0)),
        CityscapesClass("dynamic", 5, 255, "void", 0, False, True, (111, 74, 0)),
        CityscapesClass("ground", 6, 255, "void", 0, False, True, (81, 0, 81)),
        CityscapesClass("road", 7, 0, "flat", 1, False, False, (128, 64, 128)),
        CityscapesClass("sidewalk", 8, 1, "flat", 1, False, False, (244, 35, 232)),
        CityscapesClass("parking", 9, 255, "flat", 1, False, True, (250, 170, 160)),
        CityscapesClass("rail track", 10, 255, "flat", 1, False, True, (230, 150, 140)),
        CityscapesClass("building", 11, 2, "construction", 2, False, False, (70, 70, 70)),
        CityscapesClass("wall", 12, 3, "construction", 2, False, False, (102, 102, 156)),
        CityscapesClass("fence", 13, 4, "construction", 2, False, False, (190, 153, 153)),
        CityscapesClass("guard rail", 14, 255, "construction", 2, False, True, (180, 165, 180)),
        CityscapesClass("bridge", 15, 255, "construction", 2, False, True, (150, 100, 100)),
        CityscapesClass("tunnel", 16, 255, "construction", 2, False, True, (150, 120, 90)),
        CityscapesClass("pole", 17, 5, "object", 3, False, False, (153, 153, 153)),
        CityscapesClass("polegroup", 18, 255, "object", 3, False, True, (153, 153, 153)),
        CityscapesClass("traffic light", 19, 6, "object", 3, False, False, (250, 170, 30)),
        CityscapesClass("traffic sign", 20, 7, "object", 3, False, False, (220, 220, 0)),
        CityscapesClass("vegetation", 21, 8, "nature", 4, False, False, (107, 142, 35)),
        CityscapesClass("terrain", 22, 9, "nature", 4, False, False, (152, 251, 152)),
        CityscapesClass("sky", 23, 10, "sky", 5, False, False, (70, 130, 180)),
        CityscapesClass("person", 24, 11, "human", 6, True, False, (220, 20, 60)),
        CityscapesClass("rider", 25, 12, "human", 6, True, False, (255, 0, 0)),
        CityscapesClass("car", 26, 13, "vehicle", 7, True, False, (0, 0, 142)),
        CityscapesClass("truck", 27, 14, "vehicle", 7, True, False, (0, 0, 70)),
        CityscapesClass("bus", 28, 15, "vehicle", 7, True, False, (0, 60, 100)),
        CityscapesClass("caravan", 29, 255, "vehicle", 7, True, True, (0, 0, 90)),
        CityscapesClass("trailer", 30, 255, "vehicle", 7, True, True, (0, 0, 110)),
        CityscapesClass("train", 31, 16, "vehicle", 7, True, False, (0, 80, 100)),
        CityscapesClass("motorcycle", 32, 17, "vehicle", 7, True, False, (0, 0, 230)),
        CityscapesClass("bicycle", 33, 18, "vehicle", 7, True, False, (119, 11, 32)),
        CityscapesClass("license plate", -1, -1, "vehicle", 7, False, True, (0, 0, 142)),
    ]
    _SUFFIXES = {"instance": "instanceIds.png", "semantic": "labelIds.png", "color": "color.png",
                 "polygon": "polygons.json"}

    def __init__(self, root, split="train", mode="fine", target_type="instance", transform=None, target_transform=None,
                 transforms=None):
        super().__init__(root, transforms, transform, target_transform)
        verify_str_arg(mode, "mode", ("fine", "coarse"))
        self.mode = "gtFine" if mode == "fine" else "gtCoarse"
        splits = ("train", "test", "val") if mode == "fine" else ("train", "train_extra", "val")
        allowed = ", ".join([f"'{name}'" for name in splits])
        verify_str_arg(split, "split", splits, f"Unknown value '{split}' for argument split if mode is '{mode}'. "
                       f"Valid values are {{{allowed}}}.")
        self.split = split
        self.target_type = target_type if isinstance(target_type, list) else [target_type]
        for kind in self.target_type:
            verify_str_arg(kind, "target_type", ("instance", "semantic", "polygon", "color"))
        self.images_dir = os.path.join(self.root, "leftImg8bit", split)
        self.targets_dir = os.path.join(self.root, self.mode, split)
        if not (os.path.isdir(self.images_dir) and os.path.isdir(self.targets_dir)):
            self._unpack()
        self.images, self.targets = [], []
        for city in sorted(os.listdir(self.images_dir)):
            for name in sorted(os.listdir(os.path.join(self.images_dir, city))):
                stem = name.split("_leftImg8bit")[0]
                self.images.append(os.path.join(self.images_dir, city, name))
                self.targets.append([os.path.join(self.targets_dir, city, f"{stem}_{self.mode}_{self._SUFFIXES[kind]}")
                                     for kind in self.target_type])

    def _unpack(self):
        images = "trainextra" if self.split == "train_extra" else "trainvaltest"
        targets = "gtFine_trainvaltest.zip" if self.mode == "gtFine" else "gtCoarse.zip"
        archives = [os.path.join(self.root, name) for name in (f"leftImg8bit_{images}.zip", targets)]
        if not all([os.path.isfile(path) for path in archives]):
            raise RuntimeError("Dataset not found or incomplete. Please make sure all required folders for the "
                               'specified "split" and "mode" are inside the "root" directory')
        for path in archives:
            extract_archive(path, self.root)

    @staticmethod
    def _load(path):
        if not path.endswith(".json"):
            return _open(path, "datasets.Cityscapes")
        with open(path) as file:
            return json.load(file)

    def __getitem__(self, index):
        """The pair (image, target or tuple of targets) after the transforms."""
        image = default_loader(self.images[index])
        target = _one_or_all([self._load(path) for path in self.targets[index]])
        return (image, target) if self.transforms is None else self.transforms(image, target)

    def __len__(self):
        return len(self.images)

    def extra_repr(self):
        return f"Split: {self.split}\nMode: {self.mode}\nType: {self.target_type}"


# -- iNaturalist -----------------------------------------------------------------------------------------------------

CATEGORIES_2021 = ["kingdom", "phylum", "class", "order", "family", "genus"]
_INAT = "https://ml-inat-competition-datasets.s3.amazonaws.com/"
# version: (file, MD5)
_VERSIONS = {
    "2017": ("2017/train_val_images.tar.gz", "7c784ea5e424efaec655bd392f87301f"),
    "2018": ("2018/train_val2018.tar.gz", "b1c6952ce38f31868cc50ea72d066cc3"),
    "2019": ("2019/train_val2019.tar.gz", "c60a6e2962c9b8ccbd458d12c8582644"),
    "2021_train": ("2021/train.tar.gz", "e0526d53c7f7b2e3167b2b43bb2690ed"),
    "2021_train_mini": ("2021/train_mini.tar.gz", "db6ed8330e634445efc8fec83ae81442"),
    "2021_valid": ("2021/val.tar.gz", "f6f6e0e242e3d4c9569ba56400938afc"),
}


class INaturalist(PreparedDataset):
    """Plants and animals.

    Args:
        version: "2017", "2018", "2019", "2021_train", "2021_train_mini" or "2021_valid".
        target_type (text or list): "full", the species; for 2021 also a rank ("kingdom" ... "genus"), else "super".
    """

    def __init__(self, root, version="2021_train", target_type="full", transform=None, target_transform=None,
                 download=False, loader=None):
        self.version = verify_str_arg(version, "version", tuple(_VERSIONS))
        super().__init__(os.path.join(root, version), transform=transform, target_transform=target_transform)
        os.makedirs(root, exist_ok=True)
        self._prepare(download)
        ranks = CATEGORIES_2021 if version.startswith("2021") else ["super"]
        kinds = target_type if isinstance(target_type, list) else [target_type]
        self.target_type = [verify_str_arg(kind, "target_type", ("full", *ranks)) for kind in kinds]
        self.all_categories = []
        self.categories_index = {rank: {} for rank in ranks}
        self.categories_map = []
        if version.startswith("2021"):
            self._init_2021()
        else:
            self._init_before()
        self.index = [(number, name) for number, folder in enumerate(self.all_categories)
                      for name in sorted(os.listdir(os.path.join(self.root, folder)))]
        self.loader = loader

    def _init_2021(self):
        self.all_categories = sorted(os.listdir(self.root))
        for number, folder in enumerate(self.all_categories):
            words = folder.split("_")
            if len(words) != 8:
                raise RuntimeError(f"Unexpected category name {folder}, wrong number of pieces")
            if words[0] != f"{number:05d}":
                raise RuntimeError(f"Unexpected category id {words[0]}, expecting {number:05d}")
            known = self.categories_index
            self.categories_map.append({rank: known[rank].setdefault(name, len(known[rank]))
                                        for rank, name in zip(CATEGORIES_2021, words[1:7])})

    def _init_before(self):
        found = {}
        for number, above in enumerate(sorted(os.listdir(self.root))):
            self.categories_index["super"][above] = number
            for name in sorted(os.listdir(os.path.join(self.root, above))):
                if self.version != "2017" and not name.isdigit():
                    raise RuntimeError(f"Unexpected non-numeric dir name: {name}")
                species = len(found) if self.version == "2017" else int(name)
                if species in found:
                    raise RuntimeError(f"Duplicate category {name}")
                found[species] = (number, os.path.join(above, name))
        for species in range(len(found)):
            if species not in found:
                raise RuntimeError(f"Missing category {species}")
            number, folder = found[species]
            self.categories_map.append({"super": number})
            self.all_categories.append(folder)

    def __getitem__(self, index):
        """The pair (image, target or tuple of targets) after the transforms."""
        species, name = self.index[index]
        path = os.path.join(self.root, self.all_categories[species], name)
        image = _open(path, "datasets.INaturalist") if self.loader is None else self.loader(path)
        targets = [species if kind == "full" else self.categories_map[species][kind] for kind in self.target_type]
        return self._transformed(image, _one_or_all(targets))

    def __len__(self):
        return len(self.index)

    def category_name(self, category_type, category_id):
        """The name of a species or of a group of a rank by its number. ValueError for unknown ones."""
        if category_type == "full":
            return self.all_categories[category_id]
        if category_type not in self.categories_index:
            raise ValueError(f"Invalid category type '{category_type}'")
        for name, number in self.categories_index[category_type].items():
            if number == category_id:
                return name
        raise ValueError(f"Invalid category id {category_id} for {category_type}")

    def _check_exists(self):
        return os.path.exists(self.root) and len(os.listdir(self.root)) > 0

    def download(self):
        """Download and unpack the archive, and name its folder after the version."""
        path, md5 = _VERSIONS[self.version]
        home = os.path.dirname(self.root)
        download_and_extract_archive(_INAT + path, home, filename=f"{self.version}.tgz", md5=md5)
        unpacked = os.path.join(home, os.path.basename(path).removesuffix(".tar.gz"))
        if not os.path.exists(unpacked):
            raise RuntimeError(f"Unable to find downloaded files at {unpacked}")
        os.rename(unpacked, self.root)


# -- KITTI and WIDER FACE --------------------------------------------------------------------------------------------


class Kitti(PreparedDataset):
    """Street scenes with objects: a list of dictionaries with `type`, `bbox` and so on; None for tests."""

    data_url = "https://s3.eu-central-1.amazonaws.com/avg-kitti/"
    resources = ["data_object_image_2.zip", "data_object_label_2.zip"]
    image_dir_name = "image_2"
    labels_dir_name = "label_2"
    missing = "Dataset not found. You may use download=True to download it."

    def __init__(self, root, train=True, transform=None, target_transform=None, transforms=None, download=False):
        super().__init__(root, transform=transform, target_transform=target_transform, transforms=transforms)
        self.train = train
        self._location = "training" if train else "testing"
        self._prepare(download)
        names = sorted(os.listdir(self._path(self.image_dir_name)))
        self.images = [os.path.join(self._path(self.image_dir_name), name) for name in names]
        self.targets = [os.path.join(self._path(self.labels_dir_name), f"{name.split('.')[0]}.txt")
                        for name in names] if train else []

    @property
    def _raw_folder(self):
        return os.path.join(self.root, type(self).__name__, "raw")

    def _path(self, name):
        return os.path.join(self._raw_folder, self._location, name)

    def __getitem__(self, index):
        """The pair (image, objects) after the transforms."""
        image = _open(self.images[index], "datasets.Kitti")
        target = self._parse_target(index) if self.train else None
        return (image, target) if self.transforms is None else self.transforms(image, target)

    def _parse_target(self, index):
        found = []
        with open(self.targets[index]) as file:
            for line in csv.reader(file, delimiter=" "):
                numbers = [float(word) for word in line[1:15]]
                found.append({"type": line[0], "truncated": numbers[0], "occluded": int(line[2]), "alpha": numbers[2],
                              "bbox": numbers[3:7], "dimensions": numbers[7:10], "location": numbers[10:13],
                              "rotation_y": numbers[13]})
        return found

    def __len__(self):
        return len(self.images)

    def _check_exists(self):
        folders = [self.image_dir_name] + ([self.labels_dir_name] if self.train else [])
        return all([os.path.isdir(self._path(name)) for name in folders])

    def download(self):
        """Download and unpack images and labels."""
        for name in self.resources:
            download_and_extract_archive(self.data_url + name, self._raw_folder, filename=name)


class WIDERFace(PreparedDataset):
    """Photographs with faces: a dictionary of tensors, `bbox` (N, 4) as left, top, width, height, and attributes."""

    BASE_FOLDER = "widerface"
    FILE_LIST = [
        ("15hGDLhsx8bLgLcIRD5DhYt5iBxnjNF1M", "3fedf70df600953d25982bcd13d91ba2", "WIDER_train.zip"),
        ("1GUCogbp16PMGa39thoMMeWxp7Rp5oM8Q", "dfa7d7e790efa35df3788964cf0bbaea", "WIDER_val.zip"),
        ("1HIfDbVEWKmsYKJZm4lchTBDLW5N7dY5T", "e5d8f4248ed24c334bbd12f49c29dd40", "WIDER_test.zip"),
    ]
    ANNOTATIONS_FILE = ("http://shuoyang1213.me/WIDERFACE/support/bbx_annotation/wider_face_split.zip",
                        "0e3767bcf0e326556d407bf5bff5d27c", "wider_face_split.zip")
    missing = "Dataset not found or corrupted. You can use download=True to download and prepare it"
    _ATTRIBUTES = ("blur", "expression", "illumination", "occlusion", "pose", "invalid")

    def __init__(self, root, split="train", transform=None, target_transform=None, download=False):
        super().__init__(os.path.join(root, self.BASE_FOLDER), transform=transform, target_transform=target_transform)
        self.split = verify_str_arg(split, "split", ("train", "val", "test"))
        self._prepare(download)
        name = "wider_face_test_filelist.txt" if split == "test" else f"wider_face_{split}_bbx_gt.txt"
        with open(os.path.join(self.root, "wider_face_split", name)) as file:
            lines = [line.rstrip() for line in file]
        images = os.path.join(os.path.abspath(self.root), f"WIDER_{split}", "images")
        self.img_info = []
        if split == "test":
            self.img_info = [{"img_path": os.path.join(images, line)} for line in lines]
        at = len(lines) if split == "test" else 0
        while at < len(lines):
            # A picture without faces has a line of zeros all the same.
            count = max(int(lines[at + 1]), 1)
            rows = rl.tensor([[int(word) for word in line.split()] for line in lines[at + 2:at + 2 + count]])
            attributes = {key: rows[:, 4 + i].clone() for i, key in enumerate(self._ATTRIBUTES)}
            self.img_info.append({"img_path": os.path.join(images, lines[at]),
                                  "annotations": {"bbox": rows[:, :4].clone(), **attributes}})
            at += 2 + count

    def __getitem__(self, index):
        """The pair (image, faces) after the transforms."""
        info = self.img_info[index]
        return self._transformed(_open(info["img_path"], "datasets.WIDERFace"), info.get("annotations"))

    def __len__(self):
        return len(self.img_info)

    def _check_exists(self):
        names = [name for _, _, name in (*self.FILE_LIST, self.ANNOTATIONS_FILE)]
        return all([os.path.exists(os.path.join(self.root, os.path.splitext(name)[0])) for name in names])

    def download(self):
        """Download and unpack images and annotations."""
        for file_id, md5, name in self.FILE_LIST:
            download_file_from_google_drive(file_id, self.root, name, md5)
            extract_archive(os.path.join(self.root, name))
        url, md5, _ = self.ANNOTATIONS_FILE
        download_and_extract_archive(url, self.root, md5=md5)

    def extra_repr(self):
        return f"Split: {self.split}"
