"""Data sets of image files with classes that lists or folders tell: from CLEVR to SUN397."""
import csv
import json
import os
import pathlib

from ..pictures import pillow
from .arrays import loadmat
from .folder import ImageFolder, default_loader, find_classes, make_dataset
from .utils import check_integrity, download_and_extract_archive, download_url, verify_str_arg
from .vision import FileDataset, PreparedDataset

__all__ = [
    "CLEVRClassification", "Country211", "DTD", "EuroSAT", "FGVCAircraft", "Flowers102", "Food101", "GTSRB",
    "Imagenette", "OxfordIIITPet", "RenderedSST2", "SUN397", "StanfordCars",
]


def _numbered(names):
    return {name: number for number, name in enumerate(names)}


class CLEVRClassification(FileDataset):
    """Rendered scenes of simple objects; the target is their number, None for the split "test"."""

    archives = (("https://dl.fbaipublicfiles.com/clevr/CLEVR_v1.0.zip", "b11922020e72d0cd9154779b2d3d07d2"),)

    def __init__(self, root, split="train", transform=None, target_transform=None, download=False,
                 loader=default_loader):
        self._split = verify_str_arg(split, "split", ("train", "val", "test"))
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.loader = loader
        self._data_folder = pathlib.Path(self._home) / "CLEVR_v1.0"
        self._prepare(download)
        self._image_files = sorted((self._data_folder / "images" / split).glob("*"))
        self._labels = [None] * len(self._image_files)
        if split != "test":
            with open(self._data_folder / "scenes" / f"CLEVR_{split}_scenes.json") as file:
                counts = {scene["image_filename"]: len(scene["objects"]) for scene in json.load(file)["scenes"]}
            self._labels = [counts[path.name] for path in self._image_files]

    @property
    def _home(self):
        return os.path.join(self.root, "clevr")

    def _check_exists(self):
        return self._data_folder.is_dir()

    def extra_repr(self):
        return f"split={self._split}"


class _FolderOnServer(PreparedDataset, ImageFolder):
    """An ImageFolder that is downloaded; `_folder` is where its classes are."""

    missing = "Dataset not found. You can use download=True to download it"

    def _open(self, root, transform, target_transform, download, loader):
        self.root = os.path.expanduser(os.fspath(root))
        self._prepare(download)
        home = self.root
        ImageFolder.__init__(self, str(self._folder), transform, target_transform, loader)
        self.root = home

    def _check_exists(self):
        return os.path.isdir(self._folder)


class Country211(_FolderOnServer):
    """Photographs from 211 countries."""

    archives = (("https://openaipublic.azureedge.net/clip/data/country211.tgz", "84988d7644798601126c29e9877aab6a"),)

    def __init__(self, root, split="train", transform=None, target_transform=None, download=False,
                 loader=default_loader):
        self._split = verify_str_arg(split, "split", ("train", "valid", "test"))
        self._open(root, transform, target_transform, download, loader)

    @property
    def _folder(self):
        return os.path.join(self.root, "country211", self._split)


class EuroSAT(_FolderOnServer):
    """27,000 images from satellites in ten classes of land use."""

    archives = (("https://huggingface.co/datasets/torchgeo/eurosat/resolve/"
                 "c877bcd43f099cd0196738f714544e355477f3fd/EuroSAT.zip", "c8fa014336c82ac7804f0398fcb19387"),)

    def __init__(self, root, transform=None, target_transform=None, download=False, loader=default_loader):
        self._open(root, transform, target_transform, download, loader)

    @property
    def _home(self):
        return os.path.join(self.root, "eurosat")

    @property
    def _folder(self):
        return os.path.join(self._home, "2750")


class DTD(FileDataset):
    """Describable textures in 47 classes, in ten partitions into train, val and test."""

    archives = (("https://www.robots.ox.ac.uk/~vgg/data/dtd/download/dtd-r1.0.1.tar.gz",
                 "fff73e5086ae6bdbea199a49dfb8a4c1"),)
    missing = _FolderOnServer.missing

    def __init__(self, root, split="train", partition=1, transform=None, target_transform=None, download=False,
                 loader=default_loader):
        self._split = verify_str_arg(split, "split", ("train", "val", "test"))
        if not isinstance(partition, int) or not 1 <= partition <= 10:
            raise ValueError("Parameter 'partition' should be an integer with `1 <= partition <= 10`, but got "
                             f"{partition} instead")
        self._partition = partition
        super().__init__(root, transform=transform, target_transform=target_transform)
        self._data_folder = pathlib.Path(self._home) / "dtd"
        self._prepare(download)
        with open(self._data_folder / "labels" / f"{split}{partition}.txt") as file:
            pairs = [line.strip().split("/") for line in file]
        self._image_files = [self._data_folder / "images" / name / file for name, file in pairs]
        self.classes = sorted({name for name, _ in pairs})
        self.class_to_idx = _numbered(self.classes)
        self._labels = [self.class_to_idx[name] for name, _ in pairs]
        self.loader = loader

    @property
    def _home(self):
        return os.path.join(self.root, "dtd")

    def _check_exists(self):
        return self._data_folder.is_dir()

    def extra_repr(self):
        return f"split={self._split}, partition={self._partition}"


class FGVCAircraft(FileDataset):
    """10,000 aircraft, by variant, family or manufacturer."""

    archives = (("https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz", None),)
    missing = _FolderOnServer.missing
    _LISTS = {"variant": "variants.txt", "family": "families.txt", "manufacturer": "manufacturers.txt"}

    def __init__(self, root, split="trainval", annotation_level="variant", transform=None, target_transform=None,
                 download=False, loader=default_loader):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self._split = verify_str_arg(split, "split", ("train", "val", "trainval", "test"))
        self._annotation_level = verify_str_arg(annotation_level, "annotation_level", tuple(self._LISTS))
        self._data_path = os.path.join(self.root, "fgvc-aircraft-2013b")
        self._prepare(download)
        data = os.path.join(self._data_path, "data")
        with open(os.path.join(data, self._LISTS[annotation_level])) as file:
            self.classes = [line.strip() for line in file]
        self.class_to_idx = _numbered(self.classes)
        with open(os.path.join(data, f"images_{annotation_level}_{split}.txt")) as file:
            pairs = [line.strip().split(" ", 1) for line in file]
        self._image_files = [os.path.join(data, "images", f"{name}.jpg") for name, _ in pairs]
        self._labels = [self.class_to_idx[label] for _, label in pairs]
        self.loader = loader

    def _check_exists(self):
        return os.path.isdir(self._data_path)


class Flowers102(FileDataset):
    """Flowers of 102 kinds."""

    _download_url_prefix = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
    _file_dict = {
        "image": ("102flowers.tgz", "52808999861908f626f3c1f4e79d11fa"),
        "label": ("imagelabels.mat", "e0620be6f572b9609742df49c70aed4d"),
        "setid": ("setid.mat", "a5357ecc9cb78c4bef273ce3793fc85c"),
    }
    _splits_map = {"train": "trnid", "val": "valid", "test": "tstid"}

    def __init__(self, root, split="train", transform=None, target_transform=None, download=False,
                 loader=default_loader):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self._split = verify_str_arg(split, "split", tuple(self._splits_map))
        self._base_folder = pathlib.Path(self.root) / "flowers-102"
        self._prepare(download)
        tables = [loadmat(self._base_folder / self._file_dict[name][0], "datasets.Flowers102", squeeze_me=True)
                  for name in ("setid", "label")]
        numbers = tables[0][self._splits_map[split]].tolist()
        labels = (tables[1]["labels"] - 1).tolist()
        self._labels = [labels[number - 1] for number in numbers]
        self._image_files = [self._base_folder / "jpg" / f"image_{number:05d}.jpg" for number in numbers]
        self.loader = loader

    def _check_exists(self):
        lists = [check_integrity(self._base_folder / name, md5)
                 for name, md5 in (self._file_dict["label"], self._file_dict["setid"])]
        return (self._base_folder / "jpg").is_dir() and all(lists)

    def download(self):
        """Download images and lists."""
        for name, md5 in self._file_dict.values():
            fetch = download_and_extract_archive if name.endswith(".tgz") else download_url
            fetch(self._download_url_prefix + name, str(self._base_folder), md5=md5)

    def extra_repr(self):
        return f"split={self._split}"

    classes = [
        "pink primrose", "hard-leaved pocket orchid", "canterbury bells", "sweet pea", "english marigold",
        "tiger lily", "moon orchid", "bird of paradise", "monkshood", "globe thistle", "snapdragon", "colt's foot",
        "king protea", "spear thistle", "yellow iris", "globe-flower", "purple coneflower", "peruvian lily",
        "balloon flower", "giant white arum lily", "fire lily", "pincushion flower", "fritillary", "red ginger",
        "grape hyacinth", "corn poppy", "prince of wales feathers", "stemless gentian", "artichoke", "sweet william",
        "carnation", "garden phlox", "love in the mist", "mexican aster", "alpine sea holly", "ruby-lipped cattleya",
        "cape flower", "great masterwort", "siam tulip", "lenten rose", "barbeton daisy", "daffodil", "sword lily",
        "poinsettia", "bolero deep blue", "wallflower", "marigold", "buttercup", "oxeye daisy", "common dandelion",
        "petunia", "wild pansy", "primula", "sunflower", "pelargonium", "bishop of llandaff", "gaura", "geranium",
        "orange dahlia", "pink-yellow dahlia?", "cautleya spicata", "japanese anemone", "black-eyed susan",
        "silverbush", "californian poppy", "osteospermum", "spring crocus", "bearded iris", "windflower",
        "tree poppy", "gazania", "azalea", "water lily", "rose", "thorn apple", "morning glory", "passion flower",
        "lotus", "toad lily", "anthurium", "frangipani", "clematis", "hibiscus", "columbine", "desert-rose",
        "tree mallow", "magnolia", "cyclamen", "watercress", "canna lily", "hippeastrum", "bee balm", "ball moss",
        "foxglove", "bougainvillea", "camellia", "mallow", "mexican petunia", "bromelia", "blanket flower",
        "trumpet creeper", "blackberry lily",
    ]


class Food101(FileDataset):
    """101,000 dishes in 101 classes."""

    archives = (("http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz", "85eeb15f3717b99a5da872d97d918f87"),)
    missing = _FolderOnServer.missing

    def __init__(self, root, split="train", transform=None, target_transform=None, download=False,
                 loader=default_loader):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self._split = verify_str_arg(split, "split", ("train", "test"))
        self._base_folder = pathlib.Path(self.root) / "food-101"
        self._prepare(download)
        with open(self._base_folder / "meta" / f"{split}.json") as file:
            listed = json.load(file)
        self.classes = sorted(listed)
        self.class_to_idx = _numbered(self.classes)
        self._labels = [self.class_to_idx[name] for name, files in listed.items() for _ in files]
        self._image_files = [self._base_folder.joinpath("images", *f"{file}.jpg".split("/"))
                             for files in listed.values() for file in files]
        self.loader = loader

    def _check_exists(self):
        return all([(self._base_folder / name).is_dir() for name in ("meta", "images")])

    def extra_repr(self):
        return f"split={self._split}"


class GTSRB(FileDataset):
    """German traffic signs in 43 classes."""

    missing = _FolderOnServer.missing
    _BASE_URL = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/"
    _ARCHIVES = {
        "train": (("GTSRB-Training_fixed.zip", "513f3c79a4c5141765e10e952eaa2478"),),
        "test": (("GTSRB_Final_Test_Images.zip", "c7e4e6327067d32654124b0fe9e82185"),
                 ("GTSRB_Final_Test_GT.zip", "fe31e9c9270bbcd7b84b7f21a9d9d9e5")),
    }

    def __init__(self, root, split="train", transform=None, target_transform=None, download=False):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self._split = verify_str_arg(split, "split", ("train", "test"))
        self._base_folder = pathlib.Path(self.root) / "gtsrb"
        self._target_folder = self._base_folder / "GTSRB" / ("Training" if split == "train" else "Final_Test/Images")
        self._prepare(download)
        if split == "train":
            self._samples = make_dataset(str(self._target_folder), extensions=(".ppm",))
        else:
            with open(self._base_folder / "GT-final_test.csv") as file:
                rows = csv.DictReader(file, delimiter=";", skipinitialspace=True)
                self._samples = [(str(self._target_folder / row["Filename"]), int(row["ClassId"])) for row in rows]
        self._image_files, self._labels = map(list, zip(*self._samples))
        self.loader = default_loader

    def _check_exists(self):
        return self._target_folder.is_dir()

    def download(self):
        """Download and unpack the archives of the split."""
        for name, md5 in self._ARCHIVES[self._split]:
            download_and_extract_archive(self._BASE_URL + name, str(self._base_folder), md5=md5)


class Imagenette(FileDataset):
    """Ten classes of ImageNet that are easy to tell apart, in three sizes."""

    missing = "Dataset not found. You can use download=True to download it."
    _ARCHIVES = {
        "full": ("https://s3.amazonaws.com/fast-ai-imageclas/imagenette2.tgz", "fe2fc210e6bb7c5664d602c3cd71e612"),
        "320px": ("https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-320.tgz",
                  "3df6f0d01a2c9592104656642f5e78a3"),
        "160px": ("https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz",
                  "e793b78cc4c9e9a4ccc0c1155377a412"),
    }
    _WNID_TO_CLASS = {
        "n01440764": ("tench", "Tinca tinca"), "n02102040": ("English springer", "English springer spaniel"),
        "n02979186": ("cassette player",), "n03000684": ("chain saw", "chainsaw"),
        "n03028079": ("church", "church building"), "n03394916": ("French horn", "horn"),
        "n03417042": ("garbage truck", "dustcart"),
        "n03425413": ("gas pump", "gasoline pump", "petrol pump", "island dispenser"), "n03445777": ("golf ball",),
        "n03888257": ("parachute", "chute"),
    }

    def __init__(self, root, split="train", size="full", download=False, transform=None, target_transform=None,
                 loader=default_loader):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self._split = verify_str_arg(split, "split", ["train", "val"])
        self._size = verify_str_arg(size, "size", list(self._ARCHIVES))
        self.archives = (self._ARCHIVES[size],)
        self._size_root = pathlib.Path(self.root) / pathlib.Path(self._ARCHIVES[size][0]).stem
        self._image_root = str(self._size_root / split)
        self._prepare(download)
        self.wnids, self.wnid_to_idx = find_classes(self._image_root)
        self.classes = [self._WNID_TO_CLASS[wnid] for wnid in self.wnids]
        self.class_to_idx = {name: number for number, names in enumerate(self.classes) for name in names}
        self._samples = make_dataset(self._image_root, self.wnid_to_idx, extensions=".jpeg")
        self._image_files, self._labels = map(list, zip(*self._samples))
        self.loader = loader

    def _check_exists(self):
        return self._size_root.exists()


class OxfordIIITPet(PreparedDataset):
    """Cats and dogs of 37 breeds.

    Args:
        target_types (text or list): of "category", "binary-category" (cat or dog) and "segmentation".
    """

    archives = (
        ("https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz", "5c4f3ee8e5d25df40f4fd59a7f44e54c"),
        ("https://www.robots.ox.ac.uk/~vgg/data/pets/data/annotations.tar.gz", "95a8c909bbe2e81eed6a22bccdf3f68f"),
    )
    missing = _FolderOnServer.missing
    _VALID_TARGET_TYPES = ("category", "binary-category", "segmentation")

    def __init__(self, root, split="trainval", target_types="category", transforms=None, transform=None,
                 target_transform=None, download=False):
        self._split = verify_str_arg(split, "split", ("trainval", "test"))
        kinds = [target_types] if isinstance(target_types, str) else target_types
        self._target_types = [verify_str_arg(kind, "target_types", self._VALID_TARGET_TYPES) for kind in kinds]
        super().__init__(root, transforms=transforms, transform=transform, target_transform=target_transform)
        self._base_folder = pathlib.Path(self._home)
        self._prepare(download)
        with open(self._base_folder / "annotations" / f"{split}.txt") as file:
            rows = [line.split() for line in file if line.strip()]
        self._labels = [int(row[1]) - 1 for row in rows]
        self._bin_labels = [int(row[2]) - 1 for row in rows]
        self.bin_classes = ["Cat", "Dog"]
        names = {label: row[0].rsplit("_", 1)[0] for label, row in zip(self._labels, rows)}
        self.classes = [" ".join([part.title() for part in names[label].split("_")]) for label in sorted(names)]
        self.bin_class_to_idx = _numbered(self.bin_classes)
        self.class_to_idx = _numbered(self.classes)
        self._images = [self._base_folder / "images" / f"{row[0]}.jpg" for row in rows]
        self._segs = [self._base_folder / "annotations" / "trimaps" / f"{row[0]}.png" for row in rows]

    @property
    def _home(self):
        return os.path.join(self.root, "oxford-iiit-pet")

    def __len__(self):
        return len(self._images)

    def __getitem__(self, index):
        """The pair (image, target or tuple of targets) after the transforms."""
        found = {"category": lambda: self._labels[index], "binary-category": lambda: self._bin_labels[index],
                 "segmentation": lambda: pillow("datasets.OxfordIIITPet").open(self._segs[index])}
        targets = tuple([found[kind]() for kind in self._target_types])
        target = (targets[0] if len(targets) == 1 else targets) if targets else None
        image = default_loader(self._images[index])
        return (image, target) if self.transforms is None else self.transforms(image, target)

    def _check_exists(self):
        return all([(self._base_folder / name).is_dir() for name in ("images", "annotations")])


class RenderedSST2(FileDataset):
    """Sentences of reviews as pictures, negative or positive."""

    archives = (("https://openaipublic.azureedge.net/clip/data/rendered-sst2.tgz",
                 "2384d08e9dcfa4bd55b324e610496ee5"),)
    missing = _FolderOnServer.missing
    _split_to_folder = {"train": "train", "val": "valid", "test": "test"}

    def __init__(self, root, split="train", transform=None, target_transform=None, download=False,
                 loader=default_loader):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self._split = verify_str_arg(split, "split", tuple(self._split_to_folder))
        self._folder = pathlib.Path(self.root) / "rendered-sst2" / self._split_to_folder[split]
        self.classes = ["negative", "positive"]
        self.class_to_idx = _numbered(self.classes)
        self._prepare(download)
        self._samples = make_dataset(str(self._folder), extensions=("png",))
        self._image_files, self._labels = map(list, zip(*self._samples))
        self.loader = loader

    def _check_exists(self):
        return all([(self._folder / name).is_dir() for name in self.classes])

    def extra_repr(self):
        return f"split={self._split}"


class StanfordCars(FileDataset):
    """16,185 cars of 196 models. There is no download any more: the server is gone."""

    missing = "Dataset not found."

    def __init__(self, root, split="train", transform=None, target_transform=None, download=False,
                 loader=default_loader):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self._split = verify_str_arg(split, "split", ("train", "test"))
        base = pathlib.Path(self.root) / "stanford_cars"
        self._devkit = base / "devkit"
        train = split == "train"
        self._annotations_mat_path = (self._devkit / "cars_train_annos.mat" if train
                                      else base / "cars_test_annos_withlabels.mat")
        self._images_base_path = base / ("cars_train" if train else "cars_test")
        self._prepare(download)
        rows = loadmat(self._annotations_mat_path, "datasets.StanfordCars", squeeze_me=True)["annotations"]
        self._samples = [(str(self._images_base_path / row["fname"]), int(row["class"]) - 1) for row in rows]
        self._image_files, self._labels = map(list, zip(*self._samples))
        names = loadmat(self._devkit / "cars_meta.mat", "datasets.StanfordCars", squeeze_me=True)["class_names"]
        self.classes = names.tolist()
        self.class_to_idx = _numbered(self.classes)
        self.loader = loader

    def _check_exists(self):
        return (self._devkit.is_dir() and self._annotations_mat_path.exists() and self._images_base_path.is_dir())

    def download(self):
        """Raise ValueError: the files are no longer available."""
        raise ValueError("The original URL is broken so the StanfordCars dataset cannot be downloaded anymore.")


class SUN397(FileDataset):
    """108,754 scenes in 397 classes."""

    archives = (("http://vision.princeton.edu/projects/2010/SUN/SUN397.tar.gz", "8ca2778205c41d23104230ba66911c7a"),)
    missing = _FolderOnServer.missing

    def __init__(self, root, transform=None, target_transform=None, download=False, loader=default_loader):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self._data_dir = pathlib.Path(self.root) / "SUN397"
        self._prepare(download)
        with open(self._data_dir / "ClassName.txt") as file:
            self.classes = [line[3:].strip() for line in file]
        self.class_to_idx = _numbered(self.classes)
        self._image_files = sorted(self._data_dir.rglob("sun_*.jpg"))
        self._labels = [self.class_to_idx["/".join(path.relative_to(self._data_dir).parts[1:-1])]
                        for path in self._image_files]
        self.loader = loader

    def _check_exists(self):
        return self._data_dir.is_dir()
