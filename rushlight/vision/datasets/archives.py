"""Data sets with a layout of their own: ImageNet, LFW, LSUN, Omniglot, PhotoTour, Places365."""
import io
import os
import shutil
import tempfile

import numpy as np

from ... import api as rl
from ...base.optional import optional
from ...serialization import load, save
from ..pictures import pillow, to_array
from .arrays import loadmat
from .folder import ImageFolder, default_loader
from .utils import (
    check_integrity, download_and_extract_archive, download_url, extract_archive, list_dir, list_files, verify_str_arg,
)
from .vision import PreparedDataset, VisionDataset

__all__ = ["ImageNet", "LFWPairs", "LFWPeople", "LSUN", "LSUNClass", "Omniglot", "PhotoTour", "Places365"]

# -- ImageNet --------------------------------------------------------------------------------------------------------

ARCHIVE_META = {
    "train": ("ILSVRC2012_img_train.tar", "1d675b47d978889d74fa0da5fadfb00e"),
    "val": ("ILSVRC2012_img_val.tar", "29b22e2961454d5413ddabcf34fc5622"),
    "devkit": ("ILSVRC2012_devkit_t12.tar.gz", "fa75699e90414af021442c21a62c3abf"),
}
META_FILE = "meta.bin"


class ImageNet(ImageFolder):
    """The 1,000 classes of ILSVRC 2012, from archives that are put into `root` by hand and unpacked once.

    `classes` are tuples of names, `wnids` their numbers in WordNet.
    """

    def __init__(self, root, split="train", **kwargs):
        root = self.root = os.path.expanduser(root)
        self.split = verify_str_arg(split, "split", ("train", "val"))
        self.parse_archives()
        names = load_meta_file(root)[0]
        super().__init__(self.split_folder, **kwargs)
        self.root = root
        self.wnids, self.wnid_to_idx = self.classes, self.class_to_idx
        self.classes = [names[wnid] for wnid in self.wnids]
        self.class_to_idx = {name: number for number, group in enumerate(self.classes) for name in group}

    def parse_archives(self):
        """Unpack what is not unpacked yet."""
        if not check_integrity(os.path.join(self.root, META_FILE)):
            parse_devkit_archive(self.root)
        if not os.path.isdir(self.split_folder):
            (parse_train_archive if self.split == "train" else parse_val_archive)(self.root)

    @property
    def split_folder(self):
        """The folder of the split."""
        return os.path.join(self.root, self.split)

    def extra_repr(self):
        return f"Split: {self.split}"


def load_meta_file(root, file=None):
    """The names of the classes, and the classes of the images of the split "val"."""
    path = os.path.join(root, file or META_FILE)
    if not check_integrity(path):
        raise RuntimeError(f"The meta file {file or META_FILE} is not present in the root directory or is corrupted. "
                           "This file is automatically created by the ImageNet dataset.")
    return load(path, weights_only=True)


def _archive(root, kind, file):
    name, md5 = ARCHIVE_META[kind]
    name = file or name
    if not check_integrity(os.path.join(root, name), md5):
        raise RuntimeError(f"The archive {name} is not present in the root directory or is corrupted. You need to "
                           f"download it externally and place it in {root}.")
    return os.path.join(root, name)


def parse_devkit_archive(root, file=None):
    """Write the names of classes and the classes of the split "val" from the development kit to a file."""
    path = _archive(root, "devkit", file)
    with tempfile.TemporaryDirectory() as folder:
        extract_archive(path, folder)
        data = os.path.join(folder, "ILSVRC2012_devkit_t12", "data")
        rows = loadmat(os.path.join(data, "meta.mat"), "datasets.ImageNet", squeeze_me=True)["synsets"]
        rows = [row for row in rows if row[4] == 0]  # those without classes below them
        wnids = {int(row[0]): str(row[1]) for row in rows}
        names = {str(row[1]): tuple(str(row[2]).split(", ")) for row in rows}
        with open(os.path.join(data, "ILSVRC2012_validation_ground_truth.txt")) as lines:
            targets = [wnids[int(line)] for line in lines]
        save((names, targets), os.path.join(root, META_FILE))


def parse_train_archive(root, file=None, folder="train"):
    """Unpack the archive of the split "train", and the archive of each class in it."""
    target = os.path.join(root, folder)
    extract_archive(_archive(root, "train", file), target)
    for name in os.listdir(target):
        path = os.path.join(target, name)
        extract_archive(path, os.path.splitext(path)[0], remove_finished=True)


def parse_val_archive(root, file=None, wnids=None, folder="val"):
    """Unpack the archive of the split "val", and move its images into folders of their classes."""
    wnids = load_meta_file(root)[1] if wnids is None else wnids
    target = os.path.join(root, folder)
    extract_archive(_archive(root, "val", file), target)
    images = sorted(os.listdir(target))
    for wnid in set(wnids):
        os.mkdir(os.path.join(target, wnid))
    for wnid, name in zip(wnids, images):
        shutil.move(os.path.join(target, name), os.path.join(target, wnid, name))


# -- LFW -------------------------------------------------------------------------------------------------------------


class _LFW(PreparedDataset):
    """Labeled Faces in the Wild; the files are put into `root` by hand."""

    base_folder = "lfw-py"
    file_dict = {
        "original": ("lfw", "lfw.tgz", "a17d05bd522c52d84eca14327a23d494"),
        "funneled": ("lfw_funneled", "lfw-funneled.tgz", "1b42dfed7d15c9b2dd63d5e5840c86ad"),
        "deepfunneled": ("lfw-deepfunneled", "lfw-deepfunneled.tgz", "68331da3eb755a505a502b5aacb3c201"),
    }
    checksums = {
        "pairs.txt": "9f1ba174e4e1c508ff7cdf10ac338a7d", "pairsDevTest.txt": "5132f7440eb68cf58910c8a45a2ac10b",
        "pairsDevTrain.txt": "4f27cbf15b2da4a85c1907eb4181ad21", "people.txt": "450f0863dd89e85e73936a6d71a3474b",
        "peopleDevTest.txt": "e4bf5be0a43b5dcd9dc5ccfcb8fb19c5",
        "peopleDevTrain.txt": "54eaac34beb6d042ed3a7d883e247a21", "lfw-names.txt": "a6d0a479bd074669f656265a6e693f6d",
    }
    annot_file = {"10fold": "", "train": "DevTrain", "test": "DevTest"}
    names = "lfw-names.txt"

    def __init__(self, root, split, image_set, view, transform=None, target_transform=None, download=False,
                 loader=default_loader):
        super().__init__(os.path.join(root, self.base_folder), transform=transform, target_transform=target_transform)
        self.image_set = verify_str_arg(image_set.lower(), "image_set", tuple(self.file_dict))
        folder, self.filename, self.md5 = self.file_dict[self.image_set]
        self.view = verify_str_arg(view.lower(), "view", ["people", "pairs"])
        self.split = verify_str_arg(split.lower(), "split", list(self.annot_file))
        self.labels_file = f"{self.view}{self.annot_file[self.split]}.txt"
        if download:
            raise ValueError("LFW dataset is no longer available for automatic download.Please download the dataset "
                             "manually and place it in the specified directory.A commonly used mirror is available at: "
                             "https://www.kaggle.com/datasets/jessicali9530/lfw-dataset")
        self._prepare()
        self.images_dir = os.path.join(self.root, folder)
        self._loader = loader
        with open(os.path.join(self.root, self.labels_file)) as file:
            self._lines = [line.strip().split("\t") for line in file]

    def _check_exists(self):
        files = [(self.filename, self.md5), (self.labels_file, self.checksums[self.labels_file])]
        if self.view == "people":
            files.append((self.names, self.checksums[self.names]))
        return all([check_integrity(os.path.join(self.root, name), md5) for name, md5 in files])

    def _get_path(self, identity, number):
        return os.path.join(self.images_dir, identity, f"{identity}_{int(number):04d}.jpg")

    def extra_repr(self):
        return f"Alignment: {self.image_set}\nSplit: {self.split}"

    def __len__(self):
        return len(self.data)


class LFWPeople(_LFW):
    """Faces with the numbers of their people."""

    def __init__(self, root, split="10fold", image_set="funneled", transform=None, target_transform=None,
                 download=False, loader=default_loader):
        super().__init__(root, split, image_set, "people", transform, target_transform, download, loader)
        with open(os.path.join(self.root, self.names)) as file:
            self.class_to_idx = {line.split()[0]: number for number, line in enumerate(file)}
        rows = [row for row in self._lines if len(row) == 2]
        self.data = [self._get_path(name, number) for name, count in rows for number in range(1, int(count) + 1)]
        self.targets = [self.class_to_idx[name] for name, count in rows for _ in range(int(count))]

    def __getitem__(self, index):
        """The pair (image, person) after the transforms."""
        return self._transformed(self._loader(self.data[index]), self.targets[index])

    def extra_repr(self):
        return f"{super().extra_repr()}\nClasses (identities): {len(self.class_to_idx)}"


class LFWPairs(_LFW):
    """Pairs of faces; the target is 1 if they are of one person, else 0."""

    def __init__(self, root, split="10fold", image_set="funneled", transform=None, target_transform=None,
                 download=False, loader=default_loader):
        super().__init__(root, split, image_set, "pairs", transform, target_transform, download, loader)
        rows = [row for row in self._lines[1:] if len(row) in (3, 4)]
        rows = [row if len(row) == 4 else [row[0], row[1], row[0], row[2]] for row in rows]
        self.pair_names = [(row[0], row[2]) for row in rows]
        self.data = [(self._get_path(*row[:2]), self._get_path(*row[2:])) for row in rows]
        self.targets = [int(first == second) for first, second in self.pair_names]

    def __getitem__(self, index):
        """Two images and whether they are of one person, after the transforms."""
        first, second = [self._loader(path) for path in self.data[index]]
        if self.transform is not None:
            first, second = self.transform(first), self.transform(second)
        target = self.targets[index]
        return first, second, target if self.target_transform is None else self.target_transform(target)


# -- LSUN ------------------------------------------------------------------------------------------------------------


class LSUNClass(VisionDataset):
    """The images of one class of LSUN, a database of the package `lmdb`; targets are None."""

    def __init__(self, root, transform=None, target_transform=None):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.env = optional("lmdb", "vision", "datasets.LSUN").open(
            root, max_readers=1, readonly=True, lock=False, readahead=False, meminit=False)
        with self.env.begin(write=False) as transaction:
            self.keys = list(transaction.cursor().iternext(keys=True, values=False))
        self.length = len(self.keys)

    def __getitem__(self, index):
        """The pair (image, None) after the transforms."""
        with self.env.begin(write=False) as transaction:
            content = transaction.get(self.keys[index])
        return self._transformed(pillow("datasets.LSUN").open(io.BytesIO(content)).convert("RGB"), None)

    def __len__(self):
        return self.length


class LSUN(VisionDataset):
    """Scenes and objects; `classes` is "train", "val", "test" or a list like ["bedroom_train", "church_val"]."""

    _CATEGORIES = ["bedroom", "bridge", "church_outdoor", "classroom", "conference_room", "dining_room", "kitchen",
                   "living_room", "restaurant", "tower"]

    def __init__(self, root, classes="train", transform=None, target_transform=None):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.classes = self._verify_classes(classes)
        self.dbs = [LSUNClass(os.path.join(root, f"{name}_lmdb"), transform) for name in self.classes]
        self.indices = np.cumsum([len(db) for db in self.dbs]).tolist()
        self.length = self.indices[-1]

    def _verify_classes(self, classes):
        parts = ["train", "val", "test"]
        if isinstance(classes, str):
            verify_str_arg(classes, "classes", parts)
            return [classes] if classes == "test" else [f"{name}_{classes}" for name in self._CATEGORIES]
        try:
            classes = list(classes)
        except TypeError:
            raise ValueError("Expected type str or Iterable for argument classes, but got type "
                             f"{type(classes)}.") from None
        for name in classes:
            verify_str_arg(name)
            category, _, part = name.rpartition("_")
            for value, what, valid in ((category, "LSUN class", self._CATEGORIES), (part, "postfix", parts)):
                listed = ", ".join([f"'{item}'" for item in valid])
                verify_str_arg(value, valid_values=valid,
                               custom_msg=f"Unknown value '{value}' for {what}. Valid values are {{{listed}}}.")
        return classes

    def __getitem__(self, index):
        """The pair (image, number of the class) after the transforms."""
        target = int(np.searchsorted(self.indices, index, side="right"))
        image, _ = self.dbs[target][index - (self.indices[target - 1] if target else 0)]
        return image, target if self.target_transform is None else self.target_transform(target)

    def __len__(self):
        return self.length

    def extra_repr(self):
        return f"Classes: {self.classes}"


# -- Omniglot and PhotoTour ------------------------------------------------------------------------------------------


class Omniglot(PreparedDataset):
    """Handwritten characters of 50 alphabets: 30 for learning to learn (`background`), 20 for tests."""

    folder = "omniglot-py"
    download_url_prefix = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python"
    zips_md5 = {"images_background": "68d2efa1b9178cc56df9314c21c6e718",
                "images_evaluation": "6b91aef0f799c5bb55b94e3f2daec811"}

    def __init__(self, root, background=True, transform=None, target_transform=None, download=False, loader=None):
        super().__init__(os.path.join(root, self.folder), transform=transform, target_transform=target_transform)
        self.background = background
        self._name = "images_background" if background else "images_evaluation"
        self._prepare(download)
        self.target_folder = os.path.join(self.root, self._name)
        self._alphabets = sorted(list_dir(self.target_folder))
        self._characters = [os.path.join(alphabet, character) for alphabet in self._alphabets
                            for character in sorted(list_dir(os.path.join(self.target_folder, alphabet)))]
        self._flat_character_images = [
            (name, number) for number, character in enumerate(self._characters)
            for name in sorted(list_files(os.path.join(self.target_folder, character), ".png"))]
        self.loader = loader

    def __len__(self):
        return len(self._flat_character_images)

    def __getitem__(self, index):
        """The pair (image, character) after the transforms."""
        name, number = self._flat_character_images[index]
        path = os.path.join(self.target_folder, self._characters[number], name)
        if self.loader is not None:
            image = self.loader(path)
        else:
            image = pillow("datasets.Omniglot").open(path).convert("L")
        return self._transformed(image, number)

    def _check_exists(self):
        return check_integrity(os.path.join(self.root, f"{self._name}.zip"), self.zips_md5[self._name])

    def download(self):
        """Download and unpack the archive of the part."""
        download_and_extract_archive(f"{self.download_url_prefix}/{self._name}.zip", self.root,
                                     md5=self.zips_md5[self._name])


_BROWN, _BALNTAS = "http://matthewalunbrown.com/patchdata/", "http://icvl.ee.ic.ac.uk/vbalnt/"


class PhotoTour(PreparedDataset):
    """Patches of 64x64 around points of photographs of a place: one patch, or for tests two and whether they match."""

    urls = {
        "notredame_harris": [f"{_BROWN}notredame_harris.zip", "notredame_harris.zip",
                             "69f8c90f78e171349abdf0307afefe4d"],
        "yosemite_harris": [f"{_BROWN}yosemite_harris.zip", "yosemite_harris.zip", "a73253d1c6fbd3ba2613c45065c00d46"],
        "liberty_harris": [f"{_BROWN}liberty_harris.zip", "liberty_harris.zip", "c731fcfb3abb4091110d0ae8c7ba182c"],
        "notredame": [f"{_BALNTAS}notredame.zip", "notredame.zip", "509eda8535847b8c0a90bbb210c83484"],
        "yosemite": [f"{_BALNTAS}yosemite.zip", "yosemite.zip", "533b2e8eb7ede31be40abc317b2fd4f0"],
        "liberty": [f"{_BALNTAS}liberty.zip", "liberty.zip", "fdd9152f138ea5ef2091746689176414"],
    }
    means = {"notredame": 0.4854, "yosemite": 0.4844, "liberty": 0.4437, "notredame_harris": 0.4854,
             "yosemite_harris": 0.4844, "liberty_harris": 0.4437}
    stds = {"notredame": 0.1864, "yosemite": 0.1818, "liberty": 0.2019, "notredame_harris": 0.1864,
            "yosemite_harris": 0.1818, "liberty_harris": 0.2019}
    lens = {"notredame": 468159, "yosemite": 633587, "liberty": 450092, "liberty_harris": 379587,
            "yosemite_harris": 450912, "notredame_harris": 325295}
    image_ext, info_file, matches_files = "bmp", "info.txt", "m50_100000_100000_0.txt"

    def __init__(self, root, name, train=True, transform=None, download=False):
        super().__init__(root, transform=transform)
        self.name, self.train = name, train
        self.data_dir = os.path.join(self.root, name)
        self.data_file = os.path.join(self.root, f"{name}.pt")
        self.mean, self.std = self.means[name], self.stds[name]
        if download and not self._check_exists():
            self.download()
        if not self._check_exists():
            self.cache()
        self.data, self.labels, self.matches = load(self.data_file, weights_only=True)

    def _transform(self, patch):
        return patch if self.transform is None else self.transform(patch)

    def __getitem__(self, index):
        """A patch after the transform; for tests two patches and whether they match."""
        if self.train:
            return self._transform(self.data[index])
        first, second, same = self.matches[index]
        return self._transform(self.data[first]), self._transform(self.data[second]), same

    def __len__(self):
        return len(self.data if self.train else self.matches)

    def _check_exists(self):
        return os.path.exists(self.data_file)

    def download(self):
        """Download and unpack the archive of the place."""
        if not os.path.exists(self.data_dir):
            url, name, md5 = self.urls[self.name]
            download_url(url, self.root, name, md5)
            extract_archive(os.path.join(self.root, name), self.data_dir, remove_finished=True)

    def cache(self):
        """Read the patches, and write them to one file."""
        sheets = [os.path.join(self.data_dir, name) for name in sorted(os.listdir(self.data_dir))
                  if name.endswith(self.image_ext)]
        patches = [_patches(to_array(pillow("datasets.PhotoTour").open(path))[:, :, 0]) for path in sheets]
        with open(os.path.join(self.data_dir, self.info_file)) as file:
            labels = [int(line.split()[0]) for line in file]
        with open(os.path.join(self.data_dir, self.matches_files)) as file:
            rows = [line.split() for line in file]
        matches = [[int(row[0]), int(row[3]), int(row[1] == row[4])] for row in rows]
        data = rl.from_numpy(np.concatenate(patches)[:self.lens[self.name]])
        save((data, rl.tensor(labels), rl.tensor(matches)), self.data_file)

    def extra_repr(self):
        return f"Split: {'Train' if self.train is True else 'Test'}"


def _patches(sheet):
    """The patches (N, 64, 64) of a sheet, row by row."""
    height, width = sheet.shape
    return sheet.reshape(height // 64, 64, width // 64, 64).swapaxes(1, 2).reshape(-1, 64, 64)


# -- Places365 -------------------------------------------------------------------------------------------------------


class Places365(PreparedDataset):
    """Scenes in 365 classes.

    Args:
        split: "train-standard", "train-challenge", "val" or "test" (whose targets are None).
        small (bool): images of 256x256 instead of large ones.
    """

    _SPLITS = ("train-standard", "train-challenge", "val", "test")
    _BASE_URL = "http://data.csail.mit.edu/places/places365/"
    _DEVKIT_META = {"standard": ("filelist_places365-standard.tar", "35a0585fee1fa656440f3ab298f8479c"),
                    "challenge": ("filelist_places365-challenge.tar", "70a8307e459c3de41690a7c76c931734")}
    _CATEGORIES_META = ("categories_places365.txt", "06c963b85866bd0649f97cb43dd16673")
    _FILE_LIST_META = {
        "train-standard": ("places365_train_standard.txt", "30f37515461640559006b8329efbed1a"),
        "train-challenge": ("places365_train_challenge.txt", "b2931dc997b8c33c27e7329c073a6b57"),
        "val": ("places365_val.txt", "e9f2fd57bfd9d07630173f4e8708e4b1"),
        "test": ("places365_test.txt", "2fce8233fe493576d724142e45d93653"),
    }
    _IMAGES_META = {
        ("train-standard", False): ("train_large_places365standard.tar", "67e186b496a84c929568076ed01a8aa1"),
        ("train-challenge", False): ("train_large_places365challenge.tar", "605f18e68e510c82b958664ea134545f"),
        ("val", False): ("val_large.tar", "9b71c4993ad89d2d8bcbdc4aef38042f"),
        ("test", False): ("test_large.tar", "41a4b6b724b1d2cd862fb3871ed59913"),
        ("train-standard", True): ("train_256_places365standard.tar", "53ca1c756c3d1e7809517cc47c5561c5"),
        ("train-challenge", True): ("train_256_places365challenge.tar", "741915038a5e3471ec7332404dfb64ef"),
        ("val", True): ("val_256.tar", "e27b17d8d44f4af9a78502beb927f808"),
        ("test", True): ("test_256.tar", "f532f6ad7b582262a2ec8009075e186b"),
    }

    def __init__(self, root, split="train-standard", small=False, download=False, transform=None,
                 target_transform=None, loader=default_loader):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = verify_str_arg(split, "split", self._SPLITS)
        self.small = small
        self.loader = loader
        self.classes, self.class_to_idx = self.load_categories(download)
        self.imgs, self.targets = self.load_file_list(download)
        if download:
            self.download_images()

    def __getitem__(self, index):
        """The pair (image, class) after the transforms."""
        path, target = self.imgs[index]
        return self._transformed(self.loader(path), target)

    def __len__(self):
        return len(self.imgs)

    @property
    def variant(self):
        """Which development kit the split belongs to."""
        return "challenge" if "challenge" in self.split else "standard"

    @property
    def images_dir(self):
        """The folder of the images."""
        size = "256" if self.small else "large"
        name = f"data_{size}_{self.variant}" if self.split.startswith("train") else f"{self.split}_{size}"
        return os.path.join(self.root, name)

    def _rows(self, name, md5, download):
        """The words of the lines of a file of the development kit."""
        path = os.path.join(self.root, name)
        if not check_integrity(path, md5):
            if not download:
                raise RuntimeError(f"The file {path} does not exist or is corrupted. You can set download=True to "
                                   "download it.")
            self.download_devkit()
        with open(path) as file:
            return [line.split() for line in file]

    def load_categories(self, download=True):
        """The names of the classes, and a dictionary of their numbers."""
        numbers = {name: int(number) for name, number in self._rows(*self._CATEGORIES_META, download)}
        return sorted(numbers), numbers

    def load_file_list(self, download=True):
        """The pairs (path, class), and the classes."""
        pairs = [(os.path.join(self.images_dir, row[0].lstrip("/").replace("/", os.sep)),
                  int(row[1]) if len(row) > 1 else None)
                 for row in self._rows(*self._FILE_LIST_META[self.split], download)]
        return pairs, [target for _, target in pairs]

    def download_devkit(self):
        """Download and unpack the lists."""
        name, md5 = self._DEVKIT_META[self.variant]
        download_and_extract_archive(self._BASE_URL + name, self.root, md5=md5)

    def download_images(self):
        """Download and unpack the images, unless they are there."""
        if os.path.exists(self.images_dir):
            return
        name, md5 = self._IMAGES_META[self.split, self.small]
        download_and_extract_archive(self._BASE_URL + name, self.root, md5=md5)
        if self.split.startswith("train"):
            os.rename(self.images_dir.rsplit("_", 1)[0], self.images_dir)

    def extra_repr(self):
        return f"Split: {self.split}\nSmall: {self.small}"
