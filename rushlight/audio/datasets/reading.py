"""Read sentences: LibriSpeech and its relatives, LJ Speech, CMU ARCTIC, Common Voice, yes and no."""

import csv
import os
import pathlib

from ..files import load
from .utils import Described, Listed, one_of, prepare, stems

SAMPLE_RATE = 16000
PARTS = ("dev-clean", "dev-other", "test-clean", "test-other", "train-clean-100", "train-clean-360", "train-other-500")
SPEAKERS = "aew ahw aup awb axb bdl clb eey fem gka jmk ksp ljm lnh rms rxr slp slt".split()
LIMITED = {"10min": ["1h/0"], "1h": ["1h/*"], "10h": ["1h/*", "9h"]}
LIMITED_URL = "https://dl.fbaipublicfiles.com/librilight/data/librispeech_finetuning.tgz"


def _utterance(root, folder, name):
    """(file in `root`, rate, transcript, speaker, chapter, utterance) of a sound of LibriSpeech."""
    speaker, chapter, number = name.split("-")
    place = os.path.join(folder, speaker, chapter)
    with open(os.path.join(root, place, f"{speaker}-{chapter}.trans.txt")) as file:
        for line in file:
            found, transcript = line.strip().split(" ", 1)
            if found == name:
                return (os.path.join(place, f"{name}.flac"), SAMPLE_RATE, transcript, int(speaker), int(chapter),
                        int(number))
    raise FileNotFoundError(f"Translation not found for {name}")


class LIBRISPEECH(Described):
    """LibriSpeech (Panayotov et al. 2015): (sound, rate, transcript, speaker, chapter, utterance).

    Args:
        root (path): folder of the data sets.
        url (str): part, such as "train-clean-100"; folder_in_archive (str): top folder of the archive.
        download (bool): download the part if it is not there.
    """

    def __init__(self, root, url="train-clean-100", folder_in_archive="LibriSpeech", download=False):
        one_of("url", url, PARTS)
        root = os.fspath(root)
        self._part, self._folder = url, os.path.join(root, folder_in_archive)
        folder = os.path.join(self._folder, url)
        prepare(folder, download, f"http://www.openslr.org/resources/12/{url}.tar.gz",
                os.path.join(root, f"{url}.tar.gz"))
        self._walker = stems(folder, "*/*/*.flac")

    def get_metadata(self, n):
        """(file, rate, transcript, speaker, chapter, utterance)"""
        return _utterance(self._folder, self._part, self._walker[n])


class LibriSpeechBiasing(LIBRISPEECH):
    """LibriSpeech; items end with the words of the list `blist` that the transcript has."""

    def __init__(self, root, url="train-clean-100", folder_in_archive="LibriSpeech", download=False, blist=None):
        super().__init__(root, url, folder_in_archive, download)
        self.blist = blist

    def get_metadata(self, n):
        """(file, rate, transcript, speaker, chapter, utterance, words)"""
        found, wanted = super().get_metadata(n), set(self.blist or ())
        return *found, [word for word in dict.fromkeys(found[2].split()) if word in wanted]


class LibriLightLimited(Listed):
    """The parts of Libri-Light for fine-tuning: "10min", "1h" or "10h"; items are those of `LIBRISPEECH`."""

    def __init__(self, root, subset="10min", download=False):
        one_of("subset", subset, LIMITED)
        root = os.fspath(root)
        self._path = os.path.join(root, "librispeech_finetuning")
        prepare(self._path, download, LIMITED_URL, self._path + ".tgz")
        paths = [path.relative_to(self._path) for folder in LIMITED[subset]
                 for path in pathlib.Path(self._path).glob(f"{folder}/*/*/*/*.flac")]
        self._walker = sorted(((str(path.parents[2]), path.stem) for path in paths), key="".join)

    def __getitem__(self, n):
        name, *rest = _utterance(self._path, *self._walker[n])
        return load(os.path.join(self._path, name))[0], *rest


class LIBRITTS(Listed):
    """LibriTTS (Zen et al. 2019): (sound, rate, original text, normalised text, speaker, chapter, utterance)."""

    def __init__(self, root, url="train-clean-100", folder_in_archive="LibriTTS", download=False):
        url = f"http://www.openslr.org/resources/60/{url}.tar.gz" if url in PARTS else url
        root, name = os.fspath(root), os.path.basename(url)
        self._path = os.path.join(root, folder_in_archive, name.split(".")[0])
        prepare(self._path, download, url, os.path.join(root, name))
        self._walker = stems(self._path, "*/*/*.wav")

    def __getitem__(self, n):
        name = self._walker[n]
        speaker, chapter = name.split("_")[:2]
        place = os.path.join(self._path, speaker, chapter, name)
        texts = []
        for kind in ("original", "normalized"):
            with open(f"{place}.{kind}.txt") as file:
                texts.append(file.readline())
        return *load(place + ".wav"), *texts, int(speaker), int(chapter), name


class LJSPEECH(Listed):
    """LJ Speech (Ito and Johnson 2017): (sound, rate, transcript, normalised transcript)."""

    def __init__(self, root, url="https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2",
                 folder_in_archive="wavs", download=False):
        root, name = pathlib.Path(root), os.path.basename(url)
        top = root / name.split(".tar.bz2")[0]
        self._path = top / folder_in_archive
        prepare(self._path, download, url, root / name)
        with open(top / "metadata.csv", newline="") as file:
            self._walker = list(csv.reader(file, delimiter="|", quoting=csv.QUOTE_NONE))

    def __getitem__(self, n):
        name, transcript, normalised = self._walker[n]
        return *load(self._path / f"{name}.wav"), transcript, normalised


class YESNO(Listed):
    """Sixty sounds of eight words "yes" or "no" in Hebrew: (sound, rate, list of 0 and 1)."""

    def __init__(self, root, url="http://www.openslr.org/resources/1/waves_yesno.tar.gz",
                 folder_in_archive="waves_yesno", download=False):
        root = pathlib.Path(root)
        self._path = root / folder_in_archive
        prepare(self._path, download, url, root / os.path.basename(url))
        self._walker = stems(self._path, "*.wav")

    def __getitem__(self, n):
        name = self._walker[n]
        return *load(self._path / f"{name}.wav"), [int(word) for word in name.split("_")]


class CMUARCTIC(Listed):
    """CMU ARCTIC (Kominek, Black and Ver 2003): (sound, rate, transcript, utterance); `url` is a speaker."""

    def __init__(self, root, url="aew", folder_in_archive="ARCTIC", download=False):
        if url in SPEAKERS:
            url = f"http://www.festvox.org/cmu_arctic/packed/cmu_us_{url}_arctic.tar.bz2"
        root, name = os.path.join(os.fspath(root), folder_in_archive), os.path.basename(url)
        os.makedirs(root, exist_ok=True)
        self._path = os.path.join(root, name.split(".")[0])
        prepare(self._path, download, url, os.path.join(root, name))
        with open(os.path.join(self._path, "etc", "txt.done.data")) as file:
            self._walker = file.read().splitlines()

    def __getitem__(self, n):
        _, name, transcript = self._walker[n].strip().split(" ", 2)
        sound = load(os.path.join(self._path, "wav", f"{name}.wav"))
        return *sound, transcript[1:-3], name.split("_")[1]


class COMMONVOICE(Listed):
    """Common Voice (Ardila et al. 2020), downloaded by hand: (sound, rate, dictionary of the table's columns)."""

    def __init__(self, root, tsv="train.tsv"):
        self._path = os.fspath(root)
        with open(os.path.join(self._path, tsv)) as file:
            self._header, *self._walker = csv.reader(file, delimiter="\t")

    def __getitem__(self, n):
        row = dict(zip(self._header, self._walker[n]))
        if self._header[1] != "path":
            raise ValueError(f"expect `header[1]` to be 'path', but got {self._header[1]}")
        name = row["path"] if row["path"].endswith(".mp3") else row["path"] + ".mp3"
        return *load(os.path.join(self._path, "clips", name)), row
