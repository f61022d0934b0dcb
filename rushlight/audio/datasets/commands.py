"""Commands and words: Speech Commands, Fluent Speech Commands, Snips, QUESST 2014, CMU's dictionary."""

import csv
import os
import pathlib
import re

from .utils import FILES, Described, Listed, expect_folder, fetch, one_of, prepare

SUBSETS = ("training", "validation", "testing")
SAMPLE_RATE = 16000
SNIPS_SPEAKERS = ("Aditi Amy Brian Emma Geraint Ivy Joanna Joey Justin Kendra Kimberly Matthew Nicole Raveena Russell "
                  "Salli").split()
LANGUAGES = ("albanian", "basque", "czech", "nnenglish", "romanian", "slovak")
QUESST = "https://speech.fit.vutbr.cz/files/quesst14Database.tgz"
CMUDICT = "http://svn.code.sf.net/p/cmusphinx/code/trunk/cmudict/cmudict-0.7b"


class SPEECHCOMMANDS(Described):
    """Speech Commands (Warden 2018): (sound, rate, word, speaker, number of the utterance).

    Args:
        root (path): folder of the data sets.
        url (str): "speech_commands_v0.01", "speech_commands_v0.02" or an address; folder_in_archive (str): folder.
        download (bool): download if it is not there.
        subset (str, optional): "training", "validation" or "testing".
    """

    def __init__(self, root, url="speech_commands_v0.02", folder_in_archive="SpeechCommands", download=False,
                 subset=None):
        one_of("subset", subset, (None, *SUBSETS))
        if "/" not in url:
            url = f"http://download.tensorflow.org/data/{url}.tar.gz"
        root, name = os.fspath(root), os.path.basename(url)
        self._folder = os.path.join(root, folder_in_archive)
        self._path = os.path.join(self._folder, name.rsplit(".", 2)[0])
        prepare(self._path, download, url, os.path.join(root, name), self._path)
        if subset in ("validation", "testing"):
            self._walker = self._listed(subset)
            return
        left_out = set(self._listed("validation") + self._listed("testing")) if subset else ()
        paths = sorted(str(path) for path in pathlib.Path(self._path).glob("*/*.wav"))
        self._walker = [path for path in paths if "_nohash_" in path and "_background_noise_" not in path
                        and os.path.normpath(path) not in left_out]

    def _listed(self, subset):
        with open(os.path.join(self._path, f"{subset}_list.txt")) as file:
            return [os.path.normpath(os.path.join(self._path, line.strip())) for line in file]

    def get_metadata(self, n):
        """(file, rate, word, speaker, number of the utterance)"""
        path = os.path.relpath(self._walker[n], self._folder)
        folder, name = os.path.split(path)
        speaker, number = name.split(".")[0].split("_nohash_")
        return path, SAMPLE_RATE, os.path.basename(folder), speaker, int(number)


class FluentSpeechCommands(Described):
    """Fluent Speech Commands (Lugosch et al. 2019), downloaded by hand: (sound, rate, file, speaker, transcript,
    action, object, location)."""

    def __init__(self, root, subset="train"):
        one_of("subset", subset, ("train", "valid", "test"))
        self._folder = os.path.join(os.fspath(root), "fluent_speech_commands_dataset")
        expect_folder(self._folder)
        with open(os.path.join(self._folder, "data", f"{subset}_data.csv")) as file:
            self.header, *self._walker = csv.reader(file)

    def get_metadata(self, n):
        """(path, rate, file, speaker, transcript, action, object, location)"""
        row = self._walker[n]
        name = os.path.basename(row[self.header.index("path")]).split(".")[0]
        return os.path.join("wavs", "speakers", row[2], f"{name}.wav"), SAMPLE_RATE, name, *row[2:]


class Snips(Described):
    """Snips (Coucke et al. 2018), downloaded by hand: (sound, rate, file, transcript, tags, intent)."""

    def __init__(self, root, subset, speakers=None, audio_format="mp3"):
        one_of("subset", subset, ("train", "valid", "test"))
        one_of("audio_format", audio_format, ("mp3", "wav"))
        self._folder = pathlib.Path(root) / "SNIPS"
        expect_folder(self._folder)
        speakers = SNIPS_SPEAKERS if speakers is None else speakers
        self._walker = [path for path in sorted((self._folder / subset).glob(f"*.{audio_format}"))
                        if path.name.split("-")[0] in speakers]
        self.labels = {}
        with open(self._folder / "all.iob.snips.txt") as file:
            for line in file:
                name, _, rest = line.strip().partition(" ")
                text, tags = rest.split("\t")
                if subset in name:
                    *tags, intent = tags.split(" ")
                    self.labels[name] = " ".join(text.split(" ")[1:-1]), " ".join(tags[1:]), intent

    def get_metadata(self, n):
        """(path, rate, file, transcript, tags, intent)"""
        path = self._walker[n]
        return os.path.relpath(path, self._folder), SAMPLE_RATE, path.stem, *self.labels[path.stem]


class QUESST14(Described):
    """QUESST 2014 (Anguera et al. 2014): (sound, rate, file) of "docs", "dev" or "eval", of a language or all."""

    def __init__(self, root, subset, language="nnenglish", download=False):
        one_of("subset", subset, ("docs", "dev", "eval"))
        one_of("language", language, (None, *LANGUAGES))
        root, name = os.fspath(root), os.path.basename(QUESST)
        self._folder = os.path.join(root, name.rsplit(".", 2)[0])
        prepare(self._folder, download, QUESST, os.path.join(root, name), root)
        kind = "utterances" if subset == "docs" else subset
        with open(os.path.join(self._folder, "scoring", f"language_key_{kind}.lst")) as file:
            rows = [line.split() for line in file]
        self._walker = [path.partition("/")[2] for path, spoken in rows if language in (None, spoken)]

    def get_metadata(self, n):
        """(path, rate, file)"""
        path = self._walker[n]
        return path, 8000, pathlib.PurePath(path).stem


class CMUDict(Listed):
    """CMU's pronouncing dictionary: (word, list of phonemes).

    Args:
        root (path): an existing folder; exclude_punctuations (bool): leave out the names of signs.
        download (bool): download both files if they are not there; url, url_symbols (str): their addresses.
    """

    def __init__(self, root, exclude_punctuations=True, *, download=False, url=CMUDICT,
                 url_symbols=CMUDICT + ".symbols"):
        root = pathlib.Path(root)
        if not root.is_dir():
            raise RuntimeError(f"The root directory does not exist; {root}")
        self.exclude_punctuations = exclude_punctuations
        paths = [root / os.path.basename(address) for address in (url, url_symbols)]
        for address, path in zip((url, url_symbols), paths):
            if not path.exists() and not download:
                raise RuntimeError(f"{path} is not found. Set `download=True` to download it.")
            fetch(address, path)
        self._symbols = [line.strip() for line in paths[1].read_text().splitlines()]
        self._walker = list(self._words(paths[0].read_text(encoding="latin-1")))

    def _words(self, text):
        signs = set(FILES["punctuation"])
        for line in text.splitlines():
            if not line or line.startswith(";;;"):
                continue
            word, phonemes = line.strip().split("  ")
            if word in signs:
                if self.exclude_punctuations:
                    continue
                word = next((sign for sign in ("...", "--") if word.startswith(sign)), word[0])
            yield re.sub(r"\([0-9]+\)", "", word), phonemes.split(" ")

    def __getitem__(self, n):
        return self._walker[n]

    @property
    def symbols(self):
        """All phonemes."""
        return self._symbols.copy()
