"""Data sets of photographs with sentences or objects: COCO, Flickr, SBU."""
import collections
import glob
import html.parser
import json
import os

from .folder import default_loader
from .utils import check_integrity, download_and_extract_archive, download_url
from .vision import PreparedDataset, VisionDataset

__all__ = ["CocoCaptions", "CocoDetection", "Flickr30k", "Flickr8k", "SBU"]


class CocoIndex:
    """An annotation file in the format of COCO: images and annotations by their numbers.

    The part of the API of `pycocotools` that data sets use, on plain JSON.
    """

    def __init__(self, path):
        with open(path) as file:
            self.dataset = json.load(file)
        if not isinstance(self.dataset, dict):
            raise ValueError(f"{path}: not an annotation file of COCO, its top is a {type(self.dataset).__name__}")
        self.imgs = {image["id"]: image for image in self.dataset.get("images", ())}
        self.anns = {annotation["id"]: annotation for annotation in self.dataset.get("annotations", ())}
        self.cats = {category["id"]: category for category in self.dataset.get("categories", ())}
        self.imgToAnns = collections.defaultdict(list)
        for annotation in self.dataset.get("annotations", ()):
            self.imgToAnns[annotation["image_id"]].append(annotation)

    @staticmethod
    def _listed(ids):
        return list(ids) if isinstance(ids, (list, tuple)) else [ids]

    def getAnnIds(self, imgIds=()):
        """The numbers of the annotations of images (all by default)."""
        if not isinstance(imgIds, int) and not imgIds:
            return list(self.anns)
        return [annotation["id"] for image in self._listed(imgIds) for annotation in self.imgToAnns[image]]

    def loadAnns(self, ids=()):
        """Annotations by their numbers."""
        return [self.anns[number] for number in self._listed(ids)]

    def loadImgs(self, ids=()):
        """Images by their numbers."""
        return [self.imgs[number] for number in self._listed(ids)]

    def loadCats(self, ids=()):
        """Categories by their numbers."""
        return [self.cats[number] for number in self._listed(ids)]


class CocoDetection(VisionDataset):
    """Photographs with their objects: a list of dictionaries with `bbox`, `category_id`, `segmentation` and so on.

    Args:
        root: the folder of the images.
        annFile: the annotation file (JSON).
    """

    def __init__(self, root, annFile, transform=None, target_transform=None, transforms=None):
        super().__init__(root, transforms, transform, target_transform)
        self.coco = CocoIndex(annFile)
        self.ids = sorted(self.coco.imgs)

    def _load_image(self, id):
        return default_loader(os.path.join(self.root, self.coco.loadImgs(id)[0]["file_name"]))

    def _load_target(self, id):
        return self.coco.loadAnns(self.coco.getAnnIds(id))

    def __getitem__(self, index):
        """The pair (image, objects) after the transforms."""
        if not isinstance(index, int):
            raise ValueError(f"Index must be of type integer, got {type(index)} instead.")
        image, target = self._load_image(self.ids[index]), self._load_target(self.ids[index])
        return (image, target) if self.transforms is None else self.transforms(image, target)

    def __len__(self):
        return len(self.ids)


class CocoCaptions(CocoDetection):
    """Photographs with sentences about them."""

    def _load_target(self, id):
        return [annotation["caption"] for annotation in super()._load_target(id)]


class _Captioned(VisionDataset):
    """Photographs `ids` with sentences `annotations[id]`."""

    def __init__(self, root, ann_file, transform=None, target_transform=None, loader=default_loader):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.ann_file = os.path.expanduser(ann_file)
        self.annotations = self._read()
        self.ids = sorted(self.annotations)
        self.loader = loader

    def __getitem__(self, index):
        """The pair (image, sentences) after the transforms."""
        name = self.ids[index]
        return self._transformed(self.loader(os.path.join(self.root, name)), self.annotations[name])

    def __len__(self):
        return len(self.ids)


class _Flickr8kParser(html.parser.HTMLParser):
    """Reads the page that lists the sentences of Flickr8k: a table of links, each followed by a list."""

    def __init__(self, root):
        super().__init__()
        self.root = root
        self.annotations = {}
        self.inside, self.tag, self.image = False, None, None

    def handle_starttag(self, tag, attrs):
        self.tag = tag
        self.inside = self.inside or tag == "table"

    def handle_endtag(self, tag):
        self.tag = None
        self.inside = self.inside and tag != "table"

    def handle_data(self, data):
        if not self.inside:
            return
        if data == "Image Not Found":
            self.image = None
        elif self.tag == "a":
            self.image = glob.glob(os.path.join(self.root, data.split("/")[-2] + "_*.jpg"))[0]
            self.annotations[self.image] = []
        elif self.tag == "li" and self.image:
            self.annotations[self.image].append(data.strip())


class Flickr8k(_Captioned):
    """8,000 photographs with five sentences each; `ann_file` is the page that lists them."""

    def _read(self):
        parser = _Flickr8kParser(self.root)
        with open(self.ann_file) as file:
            parser.feed(file.read())
        return parser.annotations


class Flickr30k(_Captioned):
    """30,000 photographs with five sentences each; a line of `ann_file` is NAME#NUMBER, a tab and a sentence."""

    def _read(self):
        found = collections.defaultdict(list)
        with open(self.ann_file) as file:
            for line in file:
                name, caption = line.strip().split("\t")
                found[name[:-2]].append(caption)
        return found


class SBU(PreparedDataset):
    """A million photographs of Flickr with a sentence each, those that can still be downloaded."""

    url = "https://www.cs.rice.edu/~vo9/sbucaptions/SBUCaptionedPhotoDataset.tar.gz"
    filename = "SBUCaptionedPhotoDataset.tar.gz"
    md5_checksum = "9aec147b3488753cf758b4d493422285"

    def __init__(self, root, transform=None, target_transform=None, download=True, loader=default_loader):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.loader = loader
        self._prepare(download)
        with open(self._path("SBU_captioned_photo_dataset_captions.txt")) as file:
            pairs = [(os.path.basename(url), caption.rstrip()) for url, caption in zip(self._urls(), file)]
        pairs = [pair for pair in pairs if os.path.exists(self._path(pair[0]))]
        self.photos, self.captions = [photo for photo, _ in pairs], [caption for _, caption in pairs]

    def _path(self, name):
        return os.path.join(self.root, "dataset", name)

    def _urls(self):
        with open(self._path("SBU_captioned_photo_dataset_urls.txt")) as file:
            return [line.rstrip() for line in file]

    def __getitem__(self, index):
        """The pair (image, sentence) after the transforms."""
        return self._transformed(self.loader(self._path(self.photos[index])), self.captions[index])

    def __len__(self):
        return len(self.photos)

    def _check_exists(self):
        return check_integrity(os.path.join(self.root, self.filename), self.md5_checksum)

    def download(self):
        """Download the lists, then all photographs that are still there."""
        download_and_extract_archive(self.url, self.root, self.root, self.filename, self.md5_checksum)
        for url in self._urls():
            try:
                download_url(url, self._path(""))
            except OSError:
                continue  # the photograph is gone; the data set is what is left
