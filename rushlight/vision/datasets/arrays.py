"""Data sets that are read into memory as a whole: CIFAR, SVHN, STL10, USPS, SEMEION, FER2013, MovingMNIST, PCAM."""
import bz2
import csv
import os
import pathlib
import pickle

import numpy as np

from ... import api as rl
from ...base.optional import optional
from ..pictures import from_array
from .utils import (
    check_integrity, download_and_extract_archive, download_file_from_google_drive, download_url, extract_archive,
    verify_str_arg,
)
from . import batches
from .vision import PreparedDataset

__all__ = ["CIFAR10", "CIFAR100", "FER2013", "MovingMNIST", "PCAM", "SEMEION", "STL10", "SVHN", "USPS"]


def loadmat(path, purpose, **options):
    """What a file of MATLAB holds. ImportError without SciPy."""
    return optional("scipy.io", "linalg", purpose).loadmat(path, **options)


class _PlainPickle(pickle.Unpickler):
    """Reads the pickles of CIFAR: arrays, texts, lists; any other class is refused."""

    ALLOWED = {("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype"),
               ("numpy._core.multiarray", "_reconstruct"), ("_codecs", "encode")}

    def find_class(self, module, name):
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"a data set's file asks for {module}.{name}")
        return super().find_class(module, name)


def _unpickled(path):
    with open(path, "rb") as file:
        return _PlainPickle(file, encoding="latin1").load()


class ArrayDataset(PreparedDataset):
    """A data set of images in memory: an array `data` of uint8 with `targets`.

    `_picture(samples)` makes a Pillow image of an entry. `__getitems__` answers for a whole batch.
    """

    _channels_first = False

    def __len__(self):
        return len(self.data)

    def _target(self, index):
        return int(self.targets[index])

    def _picture(self, samples):
        return from_array(samples)

    def __getitem__(self, index):
        """The pair (image, target) after the transforms."""
        return self._transformed(self._picture(self.data[index]), self._target(index))

    def __getitems__(self, indices):
        """The pairs of a batch, as a list."""
        return batches.samples_of(self._fetch_batch(indices), self, indices)

    def _fetch_batch(self, indices):
        if type(self).__getitem__ is not ArrayDataset.__getitem__:
            return NotImplemented
        samples = np.asarray(self.data)
        return batches.fetch(self, np.moveaxis(samples, 1, -1) if self._channels_first else samples, self._target,
                             indices)


class CIFAR10(ArrayDataset):
    """Colour images of 32x32 in ten classes: 50,000 for training, 10,000 for tests.

    `data` is an array (N, 32, 32, 3) of uint8, `targets` a list of classes.
    """

    base_folder = "cifar-10-batches-py"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    filename = "cifar-10-python.tar.gz"
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    train_list = [
        ["data_batch_1", "c99cafc152244af753f735de768cd75f"], ["data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"],
        ["data_batch_3", "54ebc095f3ab1f0389bbae665268c751"], ["data_batch_4", "634d18415352ddfa80567beed471001a"],
        ["data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"],
    ]
    test_list = [["test_batch", "40351d587109b95175f43aff81a1287e"]]
    meta = {"filename": "batches.meta", "key": "label_names", "md5": "5ff9c542aee3614f3951f8cda6e48888"}

    def __init__(self, root, train=True, transform=None, target_transform=None, download=False):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        self._prepare(download)
        entries = [_unpickled(self._path(name)) for name, _ in (self.train_list if train else self.test_list)]
        self.data = np.vstack([entry["data"] for entry in entries]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        self.targets = [label for entry in entries for label in entry.get("labels", entry.get("fine_labels"))]
        self.classes = self._class_names()
        self.class_to_idx = {name: index for index, name in enumerate(self.classes)}

    def _path(self, name):
        return os.path.join(self.root, self.base_folder, name)

    def _class_names(self):
        path = self._path(self.meta["filename"])
        if not check_integrity(path, self.meta["md5"]):
            raise RuntimeError("Dataset metadata file not found or corrupted. You can use download=True to download it")
        return _unpickled(path)[self.meta["key"]]

    def _check_exists(self):
        return all([check_integrity(self._path(name), md5) for name, md5 in self.train_list + self.test_list])

    def download(self):
        """Download and unpack the archive, if files are missing or wrong."""
        if not self._check_exists():
            download_and_extract_archive(self.url, self.root, filename=self.filename, md5=self.tgz_md5)

    def extra_repr(self):
        return f"Split: {'Train' if self.train is True else 'Test'}"


class CIFAR100(CIFAR10):
    """The same with a hundred classes."""

    base_folder = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    filename = "cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    train_list = [["train", "16019d7e3df5f24257cddd939b257f8d"]]
    test_list = [["test", "f0ef6b0ae62326f3e7ffdfab6717acfc"]]
    meta = {"filename": "meta", "key": "fine_label_names", "md5": "7973b15100ade9c7d40fb424638fde48"}


class SVHN(ArrayDataset):
    """House numbers: digits in colour images of 32x32. `data` is an array (N, 3, 32, 32), `labels` one of int64."""

    _channels_first = True
    split_list = {
        "train": ["http://ufldl.stanford.edu/housenumbers/train_32x32.mat", "train_32x32.mat",
                  "e26dedcc434d2e4c54c9b2d4a06d8373"],
        "test": ["http://ufldl.stanford.edu/housenumbers/test_32x32.mat", "test_32x32.mat",
                 "eb5a983be6a315427106f1b164d9cef3"],
        "extra": ["http://ufldl.stanford.edu/housenumbers/extra_32x32.mat", "extra_32x32.mat",
                  "a93ce644f1a588dc4d68dda5feec44a7"],
    }

    def __init__(self, root, split="train", transform=None, target_transform=None, download=False):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = verify_str_arg(split, "split", tuple(self.split_list))
        self.url, self.filename, self.file_md5 = self.split_list[split]
        self._prepare(download)
        content = loadmat(os.path.join(self.root, self.filename), "datasets.SVHN")
        self.labels = content["y"].astype(np.int64).squeeze()
        self.labels[self.labels == 10] = 0
        self.data = content["X"].transpose(3, 2, 0, 1)

    def _target(self, index):
        return int(self.labels[index])

    def _picture(self, samples):
        return from_array(samples.transpose(1, 2, 0))

    def _check_exists(self):
        return check_integrity(os.path.join(self.root, self.filename), self.file_md5)

    def download(self):
        """Download the file of the split."""
        download_url(self.url, self.root, self.filename, self.file_md5)

    def extra_repr(self):
        return f"Split: {self.split}"


class STL10(ArrayDataset):
    """Colour images of 96x96 in ten classes, and 100,000 without. `data` is an array (N, 3, 96, 96); the class of an
    image without one is -1."""

    _channels_first = True
    base_folder = "stl10_binary"
    url = "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz"
    filename = "stl10_binary.tar.gz"
    tgz_md5 = "91f7769df0f17e558f3565bffb0c7dfb"
    class_names_file = "class_names.txt"
    folds_list_file = "fold_indices.txt"
    train_list = [
        ["train_X.bin", "918c2871b30a85fa023e0c44e0bee87f"], ["train_y.bin", "5a34089d4802c674881badbb80307741"],
        ["unlabeled_X.bin", "5242ba1fed5e4be9e1e742405eb56ca4"],
    ]
    test_list = [
        ["test_X.bin", "7f263ba9f9e0b06b93213547f721ac82"], ["test_y.bin", "36f9794fa4beb8a2c72628de14fa638e"],
    ]
    splits = ("train", "train+unlabeled", "unlabeled", "test")

    def __init__(self, root, split="train", folds=None, transform=None, target_transform=None, download=False):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = verify_str_arg(split, "split", self.splits)
        self.folds = self._verify_folds(folds)
        self._prepare(download)
        parts = [self._part(name) for name in split.split("+")]
        self.data = np.concatenate([images for images, _ in parts])
        self.labels = np.concatenate([labels for _, labels in parts])
        names = self._path(self.class_names_file)
        if os.path.isfile(names):
            with open(names) as file:
                self.classes = file.read().splitlines()

    @staticmethod
    def _verify_folds(folds):
        if folds is None or (isinstance(folds, int) and folds in range(10)):
            return folds
        if isinstance(folds, int):
            raise ValueError(f"Value for argument folds should be in the range [0, 10), but got {folds}.")
        raise ValueError(f"Expected type None or int for argument folds, but got type {type(folds)}.")

    def _path(self, name):
        return os.path.join(self.root, self.base_folder, name)

    def _part(self, name):
        images = np.fromfile(self._path(f"{name}_X.bin"), np.uint8).reshape(-1, 3, 96, 96).transpose(0, 1, 3, 2)
        if name == "unlabeled":
            return images, np.full(len(images), -1)
        labels = np.fromfile(self._path(f"{name}_y.bin"), np.uint8) - 1
        if name == "train" and self.folds is not None:
            with open(self._path(self.folds_list_file)) as file:
                chosen = [int(word) for word in file.read().splitlines()[self.folds].split()]
            images, labels = images[chosen], labels[chosen]
        return images, labels

    def _target(self, index):
        return int(self.labels[index])

    def _picture(self, samples):
        return from_array(samples.transpose(1, 2, 0))

    def _check_exists(self):
        return all([check_integrity(self._path(name), md5) for name, md5 in self.train_list + self.test_list])

    def download(self):
        """Download and unpack the archive, if files are missing or wrong."""
        if not self._check_exists():
            download_and_extract_archive(self.url, self.root, filename=self.filename, md5=self.tgz_md5)

    def extra_repr(self):
        return f"Split: {self.split}"


class USPS(ArrayDataset):
    """Handwritten digits of 16x16 from envelopes: 7,291 for training, 2,007 for tests."""

    split_list = {
        "train": ["https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/usps.bz2", "usps.bz2",
                  "ec16c51db3855ca6c91edd34d0e9b197"],
        "test": ["https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/usps.t.bz2", "usps.t.bz2",
                 "8ea070ee2aca1ac39742fdd1ef5ed118"],
    }

    def __init__(self, root, train=True, transform=None, target_transform=None, download=False):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self._url, self._filename, self._md5 = self.split_list["train" if train else "test"]
        self._prepare(download)
        with bz2.open(os.path.join(self.root, self._filename)) as file:
            rows = [line.decode().split() for line in file]
        samples = np.array([[word.split(":")[-1] for word in row[1:]] for row in rows], np.float32)
        self.data = ((samples.reshape(-1, 16, 16) + 1) / 2 * 255).astype(np.uint8)
        self.targets = [int(row[0]) - 1 for row in rows]

    def _check_exists(self):
        return os.path.exists(os.path.join(self.root, self._filename))

    def download(self):
        """Download the file of the split."""
        download_url(self._url, self.root, self._filename, self._md5)


class SEMEION(ArrayDataset):
    """1,593 handwritten digits of 16x16, black and white."""

    url = "http://archive.ics.uci.edu/ml/machine-learning-databases/semeion/semeion.data"
    filename = "semeion.data"
    md5_checksum = "cb545d371d2ce14ec121470795a77432"

    def __init__(self, root, transform=None, target_transform=None, download=True):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self._prepare(download)
        rows = np.loadtxt(os.path.join(self.root, self.filename), ndmin=2)
        self.data = (rows[:, :256] * 255).astype(np.uint8).reshape(-1, 16, 16)
        self.labels = np.nonzero(rows[:, 256:])[1]

    def _target(self, index):
        return int(self.labels[index])

    def _check_exists(self):
        return check_integrity(os.path.join(self.root, self.filename), self.md5_checksum)

    def download(self):
        """Download the file."""
        download_url(self.url, self.root, self.filename, self.md5_checksum)


class FER2013(ArrayDataset):
    """Grey faces of 48x48 in seven expressions. There is no download: the files are on kaggle.com."""

    _RESOURCES = {
        "train": ("train.csv", "3f0dfb3d3fd99c811a1299cb947e3131"),
        "test": ("test.csv", "b02c2298636a634e8c2faabbf3ea9a23"),
        "fer": ("fer2013.csv", "f8428a1edbd21e88f42c73edd2a14f95"),
        "icml": ("icml_face_data.csv", "b114b9e04e6949e5fe8b6a98b3892b1d"),
    }

    def __init__(self, root, split="train", transform=None, target_transform=None):
        self._split = verify_str_arg(split, "split", ("train", "test"))
        super().__init__(root, transform=transform, target_transform=target_transform)
        folder = pathlib.Path(self.root) / "fer2013"
        kinds = [kind for kind in ("fer", "icml") if (folder / self._RESOURCES[kind][0]).exists()]
        kind = kinds[0] if kinds else self._split
        name, md5 = self._RESOURCES[kind]
        if not check_integrity(folder / name, md5):
            raise RuntimeError(f"{name} not found in {folder} or corrupted. You can download it from "
                               "https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-"
                               "recognition-challenge")
        with open(folder / name, newline="") as file:
            rows = [{key.strip(): value for key, value in row.items()} for row in csv.DictReader(file)]
        if kinds:
            usage = ("Training",) if split == "train" else ("PublicTest", "PrivateTest")
            rows = [row for row in rows if row["Usage"] in usage]
        self.data = np.array([row["pixels"].split() for row in rows], np.uint8).reshape(-1, 48, 48)
        known = bool(kinds) or split == "train"
        self.targets = [int(row["emotion"]) if known else None for row in rows]

    def _target(self, index):
        return self.targets[index]

    def extra_repr(self):
        return f"split={self._split}"


class MovingMNIST(PreparedDataset):
    """10,000 videos (20, 1, 64, 64) of two moving digits. `split` takes the first `split_ratio` frames, or the rest."""

    _URL = "http://www.cs.toronto.edu/~nitish/unsupervised_video/mnist_test_seq.npy"
    _MD5 = "be083ec986bfe91a449d63653c411eb2"
    missing = "Dataset not found. You can use download=True to download it."

    def __init__(self, root, split=None, split_ratio=10, download=False, transform=None):
        super().__init__(root, transform=transform)
        self._base_folder = os.path.join(self.root, type(self).__name__)
        self._path = os.path.join(self._base_folder, os.path.basename(self._URL))
        self.split = None if split is None else verify_str_arg(split, "split", ("train", "test"))
        if not isinstance(split_ratio, int):
            raise TypeError(f"`split_ratio` should be an integer, but got {type(split_ratio)}")
        if not 1 <= split_ratio <= 19:
            raise ValueError(f"`split_ratio` should be `1 <= split_ratio <= 19`, but got {split_ratio} instead.")
        self.split_ratio = split_ratio
        self._prepare(download)
        frames = np.load(self._path)
        part = {None: slice(None), "train": slice(split_ratio), "test": slice(split_ratio, None)}[split]
        self.data = rl.from_numpy(np.ascontiguousarray(frames[part].swapaxes(0, 1)[:, :, None]))

    def __getitem__(self, index):
        """A video after the transform."""
        video = self.data[index]
        return video if self.transform is None else self.transform(video)

    def __len__(self):
        return len(self.data)

    def _check_exists(self):
        return os.path.exists(self._path)

    def download(self):
        """Download the file."""
        download_url(self._URL, self._base_folder, md5=self._MD5)


class PCAM(PreparedDataset):
    """Colour images of 96x96 of lymph nodes, with and without tumours. Needs the package `h5py`."""

    _FILES = {
        "train": (("camelyonpatch_level_2_split_train_x.h5", "1Ka0XfEMiwgCYPdTI-vv6eUElOBnKFKQ2",
                   "1571f514728f59376b705fc836ff4b63"),
                  ("camelyonpatch_level_2_split_train_y.h5", "1269yhu3pZDP8UYFQs-NYs3FPwuK-nGSG",
                   "35c2d7259d906cfc8143347bb8e05be7")),
        "test": (("camelyonpatch_level_2_split_test_x.h5", "1qV65ZqZvWzuIVthK8eVDhIwrbnsJdbg_",
                  "d8c2d60d490dbd479f8199bdfa0cf6ec"),
                 ("camelyonpatch_level_2_split_test_y.h5", "17BHrSrwWKjYsOgTMmoqrIjDy6Fa2o_gP",
                  "60a7035772fbdb7f34eb86d4420cf66a")),
        "val": (("camelyonpatch_level_2_split_valid_x.h5", "1hgshYGWK8V-eGRy8LToWJJgDU_rXWVJ3",
                 "d5b63470df7cfa627aeec8b9dc0c066e"),
                ("camelyonpatch_level_2_split_valid_y.h5", "1bH8ZRbhSVAhScTS0p9-ZzGnX91cHT3uO",
                 "2b85f58b927af9964a4c15b8f7e8f179")),
    }

    def __init__(self, root, split="train", transform=None, target_transform=None, download=False):
        self._h5py = optional("h5py", "vision", "datasets.PCAM")
        self._split = verify_str_arg(split, "split", tuple(self._FILES))
        super().__init__(root, transform=transform, target_transform=target_transform)
        self._base_folder = pathlib.Path(self.root) / "pcam"
        self._prepare(download)

    def _paths(self):
        return [self._base_folder / name for name, _, _ in self._FILES[self._split]]

    def __len__(self):
        with self._h5py.File(self._paths()[0]) as images:
            return images["x"].shape[0]

    def __getitem__(self, index):
        """The pair (image, 0 or 1) after the transforms."""
        images, targets = self._paths()
        with self._h5py.File(images) as file:
            picture = from_array(file["x"][index]).convert("RGB")
        with self._h5py.File(targets) as file:
            target = int(file["y"][index, 0, 0, 0])
        return self._transformed(picture, target)

    def _check_exists(self):
        return all([path.exists() for path in self._paths()])

    def download(self):
        """Download and unpack the files of the split."""
        for name, file_id, md5 in self._FILES[self._split]:
            download_file_from_google_drive(file_id, self._base_folder, f"{name}.gz", md5)
            extract_archive(str(self._base_folder / f"{name}.gz"))
