"""Music and mixtures: GTZAN, MUSDB18-HQ, LibriMix."""

import os
import pathlib

from ... import api as rl
from ..files import load
from .utils import FILES, Listed, one_of, prepare, read_sound

MUSDB = "https://zenodo.org/record/3338373/files/musdb18hq.zip"
MUSDB_RATE = 44100
GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
MIXTURES = {"sep_clean": "mix_clean", "enh_single": "mix_single", "enh_both": "mix_both", "sep_noisy": "mix_both"}


class GTZAN(Listed):
    """GTZAN (Tzanetakis and Cook 2002): (sound, rate, genre).

    `subset`: "training", "validation" or "testing" of the split without faults (Sturm 2013); all sounds if None.
    """

    def __init__(self, root, url="http://opihi.cs.uvic.ca/sound/genres.tar.gz", folder_in_archive="genres",
                 download=False, subset=None):
        one_of("subset", subset, (None, "training", "validation", "testing"))
        self.root, self.url, self.folder_in_archive = os.fspath(root), url, folder_in_archive
        self.download, self.subset = download, subset
        self._path = os.path.join(self.root, folder_in_archive)
        prepare(self._path, download, url, os.path.join(self.root, os.path.basename(url)))
        if subset is not None:
            split = FILES["gtzan"][subset]
            self._walker = [f"{genre}.{number:05d}" for genre in split for number in split[genre]]
            return
        names = [path.stem for genre in GENRES for path in sorted(pathlib.Path(self._path, genre).glob("*.*"))
                 if path.suffix.lower() == ".wav"]
        parts = [name.split(".") for name in names]
        self._walker = [".".join(part) for part in parts
                        if len(part) == 2 and part[0] in GENRES and len(part[1]) == 5 and part[1].isdigit()]

    def __getitem__(self, n):
        name = self._walker[n]
        genre = name.split(".")[0]
        return *load(os.path.join(self._path, genre, f"{name}.wav")), genre


class MUSDB_HQ(Listed):
    """MUSDB18-HQ (Rafii et al. 2019): (sounds (sources, channels, time), rate, samples, name of the track).

    Args:
        root (path): folder of the data sets.
        subset (str): "train" or "test"; sources (list of str, optional): bass, drums, other and vocals by default.
        split (str, optional): "train" or "validation", of the subset "train".
        download (bool): download if it is not there.
    """

    def __init__(self, root, subset, sources=None, split=None, download=False):
        one_of("subset", subset, ("test", "train"))
        one_of("split", split, (None, "train", "validation"))
        self.sources, self.split = sources or ["bass", "drums", "other", "vocals"], split
        name = os.path.basename(MUSDB)
        base = os.path.join(root, name.rsplit(".", 2)[0])
        self._path, archive = os.path.join(base, subset), os.path.join(root, name)
        prepare(self._path, download or os.path.isfile(archive), MUSDB, archive, base)
        validation = FILES["musdb_validation"]
        if split == "validation":
            self._walker = list(validation)
            return
        folders = [pathlib.Path(top) for top, inner, _ in os.walk(self._path, followlinks=True) if not inner]
        names = [str(folder.relative_to(self._path)) for folder in folders if not folder.name.startswith(".")]
        self._walker = sorted(name for name in names if name != "." and not (split and name in validation))

    def __getitem__(self, n):
        name = self._walker[n]
        sounds = [read_sound(os.path.join(self._path, name), f"{source}.wav", MUSDB_RATE) for source in self.sources]
        if len({sound.shape[-1] for sound in sounds}) != 1:
            raise ValueError("num_frames do not match across sources")
        return rl.stack(sounds), MUSDB_RATE, sounds[0].shape[-1], name


class LibriMix(Listed):
    """LibriMix (Cosentino et al. 2020), made by hand: (rate, mixture, list of sources).

    Args:
        root (path): folder that holds `Libri2Mix` or `Libri3Mix`.
        subset (str): such as "train-360"; num_speakers (int): 2 or 3; sample_rate (int): 8000 or 16000.
        task (str): "sep_clean", "enh_single", "enh_both" or "sep_noisy"; mode (str): "min" or "max".
    """

    def __init__(self, root, subset="train-360", num_speakers=2, sample_rate=8000, task="sep_clean", mode="min"):
        self.root = pathlib.Path(root) / f"Libri{num_speakers}Mix"
        if not self.root.exists():
            raise RuntimeError(f"The path {self.root} doesn't exist. Please check `root` and `num_speakers`, or make "
                               "the data set by hand.")
        one_of("mode", mode, ("max", "min"))
        one_of("sample_rate", sample_rate, (8000, 16000))
        one_of("task", task, MIXTURES)
        folder = self.root / f"wav{sample_rate // 1000}k" / mode / subset
        self.sample_rate, self.task, self.mix_dir = sample_rate, task, folder / MIXTURES[task]
        names = ["mix_clean"] if task == "enh_both" else [f"s{number + 1}" for number in range(num_speakers)]
        self.src_dirs = [folder / name for name in names]
        self._walker = sorted(path.name for path in self.mix_dir.glob("*.wav"))

    def get_metadata(self, key):
        """(rate, path of the mixture, paths of the sources)"""
        mixture, *sources = [os.path.relpath(folder / self._walker[key], self.root)
                             for folder in (self.mix_dir, *self.src_dirs)]
        return self.sample_rate, mixture, sources

    def __getitem__(self, key):
        rate, mixture, sources = self.get_metadata(key)
        mixture, *sources = [read_sound(self.root, name, rate) for name in (mixture, *sources)]
        for number, source in enumerate(sources):
            if source.shape != mixture.shape:
                raise ValueError(f"Different waveform shapes. mixed: {mixture.shape}, src[{number}]: {source.shape}")
        return rate, mixture, sources
