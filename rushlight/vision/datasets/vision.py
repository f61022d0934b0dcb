"""The base class of all image data sets: where they lie, which transforms they apply, and how they print."""
import os

from ...utils.data.dataset import Dataset
from .utils import download_and_extract_archive

__all__ = ["FileDataset", "PreparedDataset", "StandardTransform", "VisionDataset"]


class VisionDataset(Dataset):
    """A data set with a folder and transforms; a subclass gives `__getitem__` and `__len__`.

    `transforms` takes and returns the pair (image, target); `transform` and `target_transform` take one of the two
    each. Only one of the two ways may be used (ValueError).
    """

    _repr_indent = 4

    def __init__(self, root=None, transforms=None, transform=None, target_transform=None):
        self.root = os.path.expanduser(root) if isinstance(root, str) else root
        separate = transform is not None or target_transform is not None
        if transforms is not None and separate:
            raise ValueError("Only transforms or transform/target_transform can be passed as argument")
        self.transform = transform
        self.target_transform = target_transform
        self.transforms = StandardTransform(transform, target_transform) if separate else transforms

    def __getitem__(self, index):
        raise NotImplementedError

    def __len__(self):
        raise NotImplementedError

    def __repr__(self):
        body = [f"Number of datapoints: {len(self)}"]
        if self.root is not None:
            body.append(f"Root location: {self.root}")
        body += self.extra_repr().splitlines()
        if getattr(self, "transforms", None) is not None:
            body.append(repr(self.transforms))
        return "\n".join([f"Dataset {type(self).__name__}", *(" " * self._repr_indent + line for line in body)])

    def extra_repr(self):
        """Lines of a subclass's own for `repr`."""
        return ""

    def _transformed(self, image, target):
        """The pair as the user gets it: `transform` on the image, `target_transform` on the target."""
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target


class PreparedDataset(VisionDataset):
    """A data set whose files are downloaded or found before they are read.

    A subclass has `_check_exists` and `download`; both may be inherited where `archives` has all there is to know.
    """

    archives = ()  # (address, MD5) of each archive
    missing = "Dataset not found or corrupted. You can use download=True to download it"

    @property
    def _home(self):
        """The folder that archives are unpacked in."""
        return self.root

    def _prepare(self, download=False):
        """Download what is missing if asked to. RuntimeError if something is still missing."""
        if download and not self._check_exists():
            self.download()
        if not self._check_exists():
            raise RuntimeError(self.missing)

    def _check_exists(self):
        raise NotImplementedError

    def download(self):
        """Download and unpack the archives."""
        for url, md5 in self.archives:
            download_and_extract_archive(url, self._home, md5=md5)


class FileDataset(PreparedDataset):
    """A data set of image files `_image_files` with targets `_labels`, which are loaded one by one."""

    def __len__(self):
        return len(self._image_files)

    def __getitem__(self, index):
        """The pair (image, target) after the transforms."""
        return self._transformed(self.loader(self._image_files[index]), self._labels[index])


class StandardTransform:
    """A transform of the image and one of the target as a single transform of the pair; each may be None."""

    def __init__(self, transform=None, target_transform=None):
        self.transform = transform
        self.target_transform = target_transform

    def __call__(self, input, target):
        if self.transform is not None:
            input = self.transform(input)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return input, target

    def __repr__(self):
        lines = [type(self).__name__]
        for head, transform in (("Transform: ", self.transform), ("Target transform: ", self.target_transform)):
            if transform is not None:
                first, *rest = repr(transform).splitlines()
                lines += [head + first, *(" " * len(head) + line for line in rest)]
        return "\n".join(lines)
