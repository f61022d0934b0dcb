"""What the data sets share: checked downloads, archives, and sounds of an expected sample rate.

FILES (files.json) holds the SHA-256 of published files by their addresses, and lists that belong to single data sets.
"""

import json
import os
import pathlib

from ...hub import download_url_to_file
from ...utils import _archives
from ...utils.data import Dataset
from ..files import load

FILES = json.loads((pathlib.Path(__file__).parent / "files.json").read_text())
CHECKSUMS = FILES["checksums"]


def unpack(archive, folder=None):
    """Unpack what is not there yet of an archive (zip or tar) into a folder, by default the archive's own."""
    archive = os.fspath(archive)
    _archives.unpack(archive, os.path.dirname(archive) if folder is None else os.fspath(folder), overwrite=False)


def fetch(url, path):
    """Download a file to a path if it is not there; its hash is checked if it is known."""
    if not os.path.isfile(path):
        download_url_to_file(url, path, CHECKSUMS.get(url))


def prepare(folder, download, url, archive, target=None):
    """Make sure that the folder of a data set exists: `download` and unpack it, else RuntimeError."""
    if os.path.isdir(folder):
        return
    if not download:
        raise RuntimeError(f"Dataset not found at {folder}. Please set `download=True` to download it.")
    fetch(url, archive)
    unpack(archive, target)


def expect_folder(folder):
    """RuntimeError unless the folder of a data set that cannot be downloaded exists."""
    if not os.path.isdir(folder):
        raise RuntimeError(f"Dataset not found at {folder}: it has to be downloaded by hand.")


def one_of(name, value, allowed, error=ValueError):
    """Raise an error unless a value is allowed."""
    if value not in allowed:
        raise error(f"`{name}` must be one of {list(allowed)}. Found: {value}")


def stems(folder, pattern):
    """Names, without endings, of the files that match a pattern, in order."""
    return sorted(path.stem for path in pathlib.Path(folder).glob(pattern))


def read_sound(folder, name, sample_rate):
    """The sound of a file; ValueError if it has another sample rate."""
    waveform, found = load(os.path.join(folder, name))
    if found != sample_rate:
        raise ValueError(f"sample rate should be {sample_rate}, but got {found}")
    return waveform


class Listed(Dataset):
    """A data set whose items are listed in `_walker`."""

    def __len__(self):
        return len(self._walker)


class Described(Listed):
    """A data set whose items begin with a sound, and whose metadata begin with its file (in `_folder`) and rate."""

    def get_metadata(self, n):
        """What `__getitem__` gives, with the path of the sound in place of the sound."""
        raise NotImplementedError

    def __getitem__(self, n):
        name, rate, *rest = self.get_metadata(n)
        return read_sound(self._folder, name, rate), rate, *rest
