"""The MNIST family: Pillow images of 28x28 and their classes, from IDX files in `root/NAME/raw`.

All data sets of the family differ in their files' names, addresses and checksums only. IDX is a header of big-endian
integers (type, number of dimensions, sizes) before the samples; http://yann.lecun.com/exdb/mnist describes it.
"""
import gzip
import lzma
import os
import shutil
import string
import warnings

import numpy as np

from ... import api as rl
from ...serialization.loading import load
from ..pictures import from_array, pillow
from . import batches
from .utils import check_integrity, download_and_extract_archive, extract_archive, verify_str_arg
from .vision import VisionDataset

__all__ = ["EMNIST", "KMNIST", "MNIST", "QMNIST", "FashionMNIST"]

_DIGITS = [
    "0 - zero", "1 - one", "2 - two", "3 - three", "4 - four",
    "5 - five", "6 - six", "7 - seven", "8 - eight", "9 - nine",
]
_QMNIST_URL = "https://raw.githubusercontent.com/facebookresearch/qmnist/master/"


class MNIST(VisionDataset):
    """Handwritten digits: 60,000 images for training, 10,000 for tests, in `root/MNIST/raw`.

    `data` is a uint8 tensor (N, 28, 28), `targets` an int64 tensor (N,). With `download=True` missing files are
    fetched and checked. RuntimeError if files are missing or no mirror has them.
    """

    mirrors = ["https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ]
    training_file = "training.pt"
    test_file = "test.pt"
    classes = _DIGITS

    def __init__(self, root, train=True, transform=None, target_transform=None, download=False):
        super().__init__(root, transform=transform, target_transform=target_transform)
        pillow(type(self).__name__)
        self.train = train
        if self._check_legacy_exist():
            self.data, self.targets = self._load_legacy_data()
            return
        if download:
            self.download()
        if not self._check_exists():
            raise RuntimeError("Dataset not found. You can use download=True to download it")
        self.data, self.targets = self._load_data()

    def __getitem__(self, index):
        """The pair (image, class) after the transforms."""
        images, targets = self._arrays()
        return self._transformed(from_array(images[index]), int(targets[index]))

    def __getitems__(self, indices):
        """The pairs of a batch, as a list."""
        return batches.samples_of(self._fetch_batch(indices), self, indices)

    def _fetch_batch(self, indices):
        if type(self).__getitem__ is not MNIST.__getitem__:
            return NotImplemented
        images, targets = self._arrays()
        return batches.fetch(self, images, lambda index: int(targets[index]), indices)

    def __len__(self):
        return len(self.data)

    def _arrays(self):
        """`data` and `targets` as arrays, made once: indexing a tensor for every image would cost more than the image.

        Programs replace the two tensors (`dataset.data = dataset.data[:100]`), so the arrays remember whose they are.
        """
        kept = self.__dict__.get("_kept")
        if kept is None or kept[0] is not self.data or kept[1] is not self.targets:
            self._kept = kept = (self.data, self.targets, _array(self.data), _array(self.targets))
        return kept[2:]

    def __getstate__(self):
        return {name: value for name, value in self.__dict__.items() if name != "_kept"}

    def _check_legacy_exist(self):
        files = (self.training_file, self.test_file)
        return all(check_integrity(os.path.join(self.processed_folder, file)) for file in files)

    def _load_legacy_data(self):
        """Files that old versions of torchvision wrote."""
        return load(os.path.join(self.processed_folder, self.training_file if self.train else self.test_file))

    def _load_data(self):
        split = "train" if self.train else "t10k"
        images = read_image_file(os.path.join(self.raw_folder, f"{split}-images-idx3-ubyte"))
        return images, read_label_file(os.path.join(self.raw_folder, f"{split}-labels-idx1-ubyte"))

    @property
    def raw_folder(self):
        """Where the IDX files lie."""
        return os.path.join(self.root, type(self).__name__, "raw")

    @property
    def processed_folder(self):
        """Where old versions of torchvision kept files of their own."""
        return os.path.join(self.root, type(self).__name__, "processed")

    @property
    def class_to_idx(self):
        """A dictionary from a class's name to its number."""
        return {name: index for index, name in enumerate(self.classes)}

    @property
    def train_labels(self):
        """The old name of `targets`."""
        warnings.warn("train_labels has been renamed targets", stacklevel=2)
        return self.targets

    @property
    def test_labels(self):
        """The old name of `targets`."""
        warnings.warn("test_labels has been renamed targets", stacklevel=2)
        return self.targets

    @property
    def train_data(self):
        """The old name of `data`."""
        warnings.warn("train_data has been renamed data", stacklevel=2)
        return self.data

    @property
    def test_data(self):
        """The old name of `data`."""
        warnings.warn("test_data has been renamed data", stacklevel=2)
        return self.data

    def _check_exists(self):
        return all(_exists(os.path.join(self.raw_folder, _unpacked_name(name))) for name, _ in self.resources)

    def download(self):
        """Fetch and unpack the files that are missing. RuntimeError tells what every mirror answered."""
        if self._check_exists():
            return
        os.makedirs(self.raw_folder, exist_ok=True)
        for filename, md5 in self.resources:
            answers = []
            for mirror in self.mirrors:
                try:
                    download_and_extract_archive(mirror + filename, self.raw_folder, filename=filename, md5=md5)
                except (RuntimeError, OSError) as error:
                    answers.append(f"Tried {mirror}, got:\n{error}\n")
                else:
                    break
            else:
                raise RuntimeError(f"Error downloading {filename}:\n" + "".join(answers))

    def extra_repr(self):
        return f"Split: {'Train' if self.train is True else 'Test'}"


class FashionMNIST(MNIST):
    """Pictures of clothes in ten classes, as many and as large as MNIST's, in `root/FashionMNIST/raw`."""

    mirrors = ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ]
    classes = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]


class KMNIST(MNIST):
    """Ten Japanese syllables in old cursive script, as many and as large as MNIST's, in `root/KMNIST/raw`."""

    mirrors = ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
        ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
        ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
        ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134"),
    ]
    classes = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]


class EMNIST(MNIST):
    """Handwritten letters and digits in six splits: byclass, bymerge, balanced, letters, digits, mnist."""

    url = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
    md5 = "58c8d27c78d21e728a6bc7b3cc06412e"
    splits = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    # In the merged splits an upper-case letter also stands for a lower-case one of the same form.
    _merged_classes = set("cijklmopsuvwxyz")
    _all_classes = set(string.digits + string.ascii_letters)
    classes_split_dict = {
        "byclass": sorted(_all_classes),
        "bymerge": sorted(_all_classes - _merged_classes),
        "balanced": sorted(_all_classes - _merged_classes),
        "letters": ["N/A", *string.ascii_lowercase],
        "digits": list(string.digits),
        "mnist": list(string.digits),
    }

    def __init__(self, root, split, **kwargs):
        self.split = verify_str_arg(split, "split", self.splits)
        self.training_file = f"training_{split}.pt"
        self.test_file = f"test_{split}.pt"
        super().__init__(root, **kwargs)
        self.classes = self.classes_split_dict[self.split]

    @property
    def images_file(self):
        """The path of the images' IDX file."""
        return self._file("images-idx3-ubyte")

    @property
    def labels_file(self):
        """The path of the classes' IDX file."""
        return self._file("labels-idx1-ubyte")

    def _file(self, kind):
        return os.path.join(self.raw_folder, f"emnist-{self.split}-{'train' if self.train else 'test'}-{kind}")

    def _load_data(self):
        return read_image_file(self.images_file), read_label_file(self.labels_file)

    def _check_exists(self):
        return _exists(self.images_file) and _exists(self.labels_file)

    def download(self):
        """Fetch and unpack the archive that holds all splits, if files of this split are missing."""
        if self._check_exists():
            return
        os.makedirs(self.raw_folder, exist_ok=True)
        download_and_extract_archive(self.url, self.raw_folder, md5=self.md5)
        inner = os.path.join(self.raw_folder, "gzip")
        for name in os.listdir(inner):
            if name.endswith(".gz"):
                extract_archive(os.path.join(inner, name), self.raw_folder)
        shutil.rmtree(inner)


class QMNIST(MNIST):
    """MNIST with all 60,000 test images and what is known about each image, in `root/QMNIST/raw`.

    `what` is one of train, test, test10k, test50k, nist; by default it follows `train`. With `compat` the target is
    the class, otherwise an int64 tensor (8,): class, series, writer and more.
    """

    subsets = {"train": "train", "test": "test", "test10k": "test", "test50k": "test", "nist": "nist"}
    resources = {
        "train": [
            (_QMNIST_URL + "qmnist-train-images-idx3-ubyte.gz", "ed72d4157d28c017586c42bc6afe6370"),
            (_QMNIST_URL + "qmnist-train-labels-idx2-int.gz", "0058f8dd561b90ffdd0f734c6a30e5e4"),
        ],
        "test": [
            (_QMNIST_URL + "qmnist-test-images-idx3-ubyte.gz", "1394631089c404de565df7b7aeaf9412"),
            (_QMNIST_URL + "qmnist-test-labels-idx2-int.gz", "5b5b05890a5e13444e108efe57b788aa"),
        ],
        "nist": [
            (_QMNIST_URL + "xnist-images-idx3-ubyte.xz", "7f124b3b8ab81486c9d8c2749c17f834"),
            (_QMNIST_URL + "xnist-labels-idx2-int.xz", "5ed0e788978e45d4a8bd4b7caec3d79d"),
        ],
    }
    _ranges = {"test10k": slice(0, 10000), "test50k": slice(10000, None)}

    def __init__(self, root, what=None, compat=True, train=True, **kwargs):
        what = ("train" if train else "test") if what is None else what
        self.what = verify_str_arg(what, "what", tuple(self.subsets))
        self.compat = compat
        self.data_file = self.training_file = self.test_file = f"{what}.pt"
        super().__init__(root, train, **kwargs)

    @property
    def images_file(self):
        """The path of the images' IDX file."""
        return self._file(0)

    @property
    def labels_file(self):
        """The path of the labels' IDX file."""
        return self._file(1)

    def _file(self, position):
        url, _ = self.resources[self.subsets[self.what]][position]
        return os.path.join(self.raw_folder, _unpacked_name(url))

    def _check_exists(self):
        return _exists(self.images_file) and _exists(self.labels_file)

    def _load_data(self):
        images = read_image_file(self.images_file)
        targets = read_sn3_pascalvincent_tensor(self.labels_file).long()
        if targets.ndim != 2:
            raise ValueError(f"targets should have 2 dimensions instead of {targets.ndim}")
        part = self._ranges.get(self.what)
        return (images, targets) if part is None else (images[part].clone(), targets[part].clone())

    def download(self):
        """Fetch and unpack the files of the chosen subset that are missing."""
        if self._check_exists():
            return
        os.makedirs(self.raw_folder, exist_ok=True)
        for url, md5 in self.resources[self.subsets[self.what]]:
            download_and_extract_archive(url, self.raw_folder, md5=md5)

    def __getitem__(self, index):
        """The pair (image, target) after the transforms; `compat` decides what the target is."""
        images, targets = self._arrays()
        target = int(targets[index][0]) if self.compat else self.targets[index]
        return self._transformed(from_array(images[index]), target)

    def extra_repr(self):
        return f"Split: {self.what}"


def _array(values):
    return values.numpy() if isinstance(values, rl.Tensor) else np.asarray(values)


def _unpacked_name(url):
    return os.path.splitext(os.path.basename(url))[0]


def _exists(path):
    """True if an IDX file is there, unpacked or (as some copies of the data sets are handed on) still compressed."""
    return any(check_integrity(path + suffix) for suffix in ("", ".gz", ".xz"))


# --- IDX files -------------------------------------------------------------------------------------------------------

_IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_IDX_OPENERS = {"": open, ".gz": gzip.open, ".xz": lzma.open}


def read_sn3_pascalvincent_tensor(path, strict=True):
    """An IDX file of 1 to 3 dimensions as a tensor of its own type; `path` may lack the file's suffix .gz or .xz.

    ValueError if the header is none or the file is shorter than it says, or longer where `strict`.
    """
    path = os.fspath(path)
    suffix = next((end for end in _IDX_OPENERS if os.path.exists(path + end)), "")
    opener = _IDX_OPENERS[os.path.splitext(path)[1] if path.endswith((".gz", ".xz")) else suffix]
    with opener(path + suffix, "rb") as file:
        content = file.read()
    known = len(content) >= 4 and content[:2] == b"\0\0" and content[2] in _IDX_TYPES and 1 <= content[3] <= 3
    start = 4 + 4 * content[3] if known else 0
    if not known or len(content) < start:
        raise ValueError(f"{path}: not an IDX file of 1 to 3 dimensions (it begins with {content[:16]!r})")
    shape = [int(size) for size in np.frombuffer(content[4:start], ">u4")]
    samples = np.dtype(_IDX_TYPES[content[2]])
    expected = int(np.prod(shape, dtype=object)) * samples.itemsize
    got = len(content) - start
    if got < expected or (strict and got != expected):
        raise ValueError(f"{path}: expected {expected} bytes for samples of shape {tuple(shape)}, got {got}")
    values = np.frombuffer(content, samples, expected // samples.itemsize, start).reshape(shape)
    return rl.from_numpy(values.astype(samples.newbyteorder("=")))


def read_label_file(path):
    """Classes from an IDX file of one dimension, as int64."""
    return _checked(read_sn3_pascalvincent_tensor(path, strict=False), 1).long()


def read_image_file(path):
    """Images from an IDX file of three dimensions, as uint8."""
    return _checked(read_sn3_pascalvincent_tensor(path, strict=False), 3)


def _checked(values, ndim):
    if values.dtype != rl.uint8:
        raise TypeError(f"x should be of dtype torch.uint8 instead of {values.dtype}")
    if values.ndim != ndim:
        raise ValueError(f"x should have {ndim} dimension instead of {values.ndim}")
    return values
