"""Many speakers: VCTK, device-recorded VCTK, VoxCeleb, IEMOCAP, TED-LIUM."""

import os
import pathlib

from ..files import load
from .utils import CHECKSUMS, Described, Listed, expect_folder, fetch, one_of, prepare, read_sound, unpack

SAMPLE_RATE = 16000
VCTK = "https://datashare.is.ed.ac.uk/bitstream/handle/10283/3443/VCTK-Corpus-0.92.zip"
DEVICES = "https://datashare.ed.ac.uk/bitstream/handle/10283/3038/DR-VCTK.zip"
VOXCELEB = "https://thor.robots.ox.ac.uk/~vgg/data/voxceleb/vox1a/"
VOXCELEB_LISTS = "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/meta/"
EMOTIONS = ("neu", "hap", "ang", "sad", "exc", "fru")
TEDLIUM_RELEASES = {  # release: (folder, address, dictionary)
    "release1": ("TEDLIUM_release1", "http://www.openslr.org/resources/7/TEDLIUM_release1.tar.gz", "TEDLIUM.150K.dic"),
    "release2": ("TEDLIUM_release2", "http://www.openslr.org/resources/19/TEDLIUM_release2.tar.gz",
                 "TEDLIUM.152k.dic"),
    "release3": ("TEDLIUM_release-3", "http://www.openslr.org/resources/51/TEDLIUM_release-3.tgz",
                 "TEDLIUM.152k.dic"),
}


class VCTK_092(Listed):
    """VCTK 0.92 (Yamagishi, Veaux and MacDonald 2019): (sound, rate, transcript, speaker, utterance), of microphone
    "mic1" or "mic2"."""

    def __init__(self, root, mic_id="mic2", download=False, url=VCTK, audio_ext=".flac"):
        one_of("mic_id", mic_id, ("mic1", "mic2"), RuntimeError)
        archive = os.path.join(root, "VCTK-Corpus-0.92.zip")
        path = os.path.join(root, "VCTK-Corpus-0.92")
        prepare(path, download, url, archive, path)
        self._texts, self._sounds = os.path.join(path, "txt"), os.path.join(path, "wav48_silence_trimmed")
        self._ending = f"_{mic_id}{audio_ext}"
        self._walker = []
        for speaker in sorted(os.listdir(self._texts)):
            if speaker == "p280" and mic_id == "mic2":  # was not recorded
                continue
            for name in sorted(os.listdir(os.path.join(self._texts, speaker))):
                name, ending = os.path.splitext(name)
                if ending != ".txt" or (speaker == "p362" and not os.path.isfile(self._sound(speaker, name))):
                    continue
                self._walker.append(name.split("_"))

    def _sound(self, speaker, name):
        return os.path.join(self._sounds, speaker, name + self._ending)

    def __getitem__(self, n):
        speaker, utterance = self._walker[n]
        name = f"{speaker}_{utterance}"
        with open(os.path.join(self._texts, speaker, f"{name}.txt")) as file:
            transcript = file.readline()
        return *load(self._sound(speaker, name)), transcript, speaker, utterance


class DR_VCTK(Listed):
    """Device-recorded VCTK (Sarfjoo and Yamagishi 2018): (clean sound, its rate, recorded sound, its rate, speaker,
    utterance, source, channel)."""

    def __init__(self, root, subset="train", *, download=False, url=DEVICES):
        one_of("subset", subset, ("train", "test"), RuntimeError)
        root = pathlib.Path(root).expanduser()
        path = root / "DR-VCTK" / "DR-VCTK"
        prepare(path, download or (root / "DR-VCTK.zip").is_file(), url, root / "DR-VCTK.zip", root)
        self._folders = [path / f"{kind}_{subset}set_wav_16k" for kind in ("clean", "device-recorded")]
        with open(path / "configurations" / f"{subset}_ch_log.txt") as file:
            rows = [line.strip().split("\t") for line in list(file)[2 if subset == "train" else 1:] if line.strip()]
        self._config = {name: (source, int(channel)) for name, source, channel in rows}
        self._walker = sorted(self._config)

    def __getitem__(self, n):
        name = self._walker[n]
        speaker, utterance = name.split(".")[0].split("_")
        clean, recorded = [load(folder / name) for folder in self._folders]
        return *clean, *recorded, speaker, utterance, *self._config[name]


class _VoxCeleb1(Described):
    """VoxCeleb1 (Nagrani, Chung and Zisserman 2017)."""

    def __init__(self, root, meta_url, download):
        root = os.fspath(root)
        self._folder = os.path.join(root, "wav")
        if not os.path.isdir(self._folder):
            if not download:
                raise RuntimeError(f"Dataset not found at {self._folder}. Please set `download=True` to download it.")
            self._download(root)
        listed = os.path.join(root, os.path.basename(meta_url))
        fetch(meta_url, listed)
        with open(listed) as file:
            self._rows = [line.split() for line in file]

    @staticmethod
    def _download(root):
        whole = os.path.join(root, "vox1_dev_wav.zip")
        parts = [url for url in CHECKSUMS if url.startswith(VOXCELEB + "vox1_dev_wav_part")]
        if not os.path.isfile(whole):
            with open(whole + ".partial", "wb") as file:
                for url in parts:
                    path = os.path.join(root, os.path.basename(url))
                    fetch(url, path)
                    with open(path, "rb") as part:
                        while chunk := part.read(1 << 20):
                            file.write(chunk)
            os.replace(whole + ".partial", whole)
        test = os.path.join(root, "vox1_test_wav.zip")
        fetch(VOXCELEB + "vox1_test_wav.zip", test)
        unpack(whole)
        unpack(test)

    @staticmethod
    def _id(path):
        return "-".join(path.split("/")[-3:]).replace(".wav", "")


class VoxCeleb1Identification(_VoxCeleb1):
    """VoxCeleb1 for identification: (sound, rate, number of the speaker, id of the file)."""

    def __init__(self, root, subset="train", meta_url=VOXCELEB_LISTS + "iden_split.txt", download=False):
        one_of("subset", subset, ("train", "dev", "test"))
        super().__init__(root, meta_url, download)
        number = str(("train", "dev", "test").index(subset) + 1)
        self._walker = sorted(path for part, path in self._rows if part == number)

    def get_metadata(self, n):
        """(file, rate, number of the speaker, id of the file)"""
        name = self._id(self._walker[n])
        return self._walker[n], SAMPLE_RATE, int(name.split("-")[0][3:]), name


class VoxCeleb1Verification(_VoxCeleb1):
    """VoxCeleb1 for verification: (sound, other sound, rate, 1 for the same speaker, id of the file, of the other)."""

    def __init__(self, root, meta_url=VOXCELEB_LISTS + "veri_test.txt", download=False):
        super().__init__(root, meta_url, download)
        self._walker = self._rows

    def get_metadata(self, n):
        """(file, other file, rate, 1 for the same speaker, id of the file, of the other)"""
        label, *paths = self._walker[n]
        return *paths, SAMPLE_RATE, int(label), *map(self._id, paths)

    def __getitem__(self, n):
        first, second, *rest = self.get_metadata(n)
        return *[read_sound(self._folder, name, SAMPLE_RATE) for name in (first, second)], *rest


class IEMOCAP(Described):
    """IEMOCAP (Busso et al. 2008), downloaded by hand: (sound, rate, file, emotion, speaker).

    Args:
        root (path): folder of the data sets.
        sessions (tuple of int): from 1 to 5; utterance_type (str, optional): "scripted" or "improvised".
    """

    def __init__(self, root, sessions=(1, 2, 3, 4, 5), utterance_type=None):
        self._folder = pathlib.Path(root) / "IEMOCAP"
        expect_folder(self._folder)
        one_of("utterance_type", utterance_type, ("scripted", "improvised", None))
        pattern = {"scripted": "*script*.txt", "improvised": "*impro*.txt", None: "*.txt"}[utterance_type]
        self.mapping, self._walker = {}, []
        for session in sessions:
            folder = self._folder / f"Session{session}"
            sounds = {path.stem: str(path.relative_to(self._folder))
                      for path in sorted((folder / "sentences" / "wav").glob("*/*.wav"))}
            labels = {}
            for path in (folder / "dialog" / "EmoEvaluation").glob(pattern):
                rows = [line.split("\t") for line in path.read_text().splitlines() if line.startswith("[")]
                labels.update((row[1], row[2]) for row in rows if row[2] in EMOTIONS)
            for name in sounds:
                if name in labels:
                    self._walker.append(name)
                    self.mapping[name] = {"label": labels[name], "path": sounds[name]}

    def get_metadata(self, n):
        """(path, rate, file, emotion, speaker)"""
        name = self._walker[n]
        found = self.mapping[name]
        return found["path"], SAMPLE_RATE, name, found["label"], name.split("_")[0]


class TEDLIUM(Listed):
    """TED-LIUM (Rousseau, Deléglise and Estève 2012): (sound, rate, transcript, talk, speaker, identifier).

    Args:
        root (path): folder of the data sets.
        release (str): "release1", "release2" or "release3"; subset (str): "train", "test" or "dev".
        download (bool): download if it is not there; audio_ext (str): ending of the sounds.
    """

    def __init__(self, root, release="release1", subset="train", download=False, audio_ext=".sph"):
        one_of("release", release, TEDLIUM_RELEASES, RuntimeError)
        subset = subset or "train"
        one_of("subset", subset, ("train", "test", "dev"), RuntimeError)
        folder, url, words = TEDLIUM_RELEASES[release]
        root = os.fspath(root)
        parts = [subset] if release != "release3" else ["data"] if subset == "train" else ["legacy", subset]
        self._path, self._ext_audio = os.path.join(root, folder, *parts), audio_ext
        prepare(self._path, download, url, os.path.join(root, os.path.basename(url)))
        self._walker = []
        for name in sorted(os.listdir(os.path.join(self._path, "stm"))):
            if name.endswith(".stm"):
                with open(os.path.join(self._path, "stm", name)) as file:
                    self._walker += [(name[:-len(".stm")], line) for line in file]
        self._words, self._phoneme_dict = os.path.join(root, folder, words), None

    def __getitem__(self, n):
        name, line = self._walker[n]
        talk, _, speaker, start, end, identifier, transcript = line.split(" ", 6)
        start, end = int(float(start) * SAMPLE_RATE), int(float(end) * SAMPLE_RATE)
        sound = load(os.path.join(self._path, "sph", name + self._ext_audio), start, end - start)
        return *sound, transcript, talk, speaker, identifier

    @property
    def phoneme_dict(self):
        """{word: its phonemes}"""
        if self._phoneme_dict is None:
            with open(self._words, encoding="utf-8") as file:
                rows = [line.split() for line in file]
            self._phoneme_dict = {row[0]: tuple(row[1:]) for row in rows}
        return self._phoneme_dict.copy()
