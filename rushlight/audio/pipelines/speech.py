"""Published pipelines from text to speech: characters or phones, Tacotron 2, and a vocoder."""

import os
import re

from ... import api as rl
from ... import nn
from ...base.lazy import Lazy
from ...hub import download_url_to_file, get_dir, load_state_dict_from_url
from ..functional import mu_law_decoding
from ..models import Tacotron2, WaveRNN
from ..transforms import GriffinLim, InverseMelScale
from ..utils.download import SERVER

deep_phonemizer = Lazy("dp.phonemizer")
PUNCTUATION = ("_", "-", "!", "'", "(", ")", ",", ".", ":", ";", "?", " ")
VOWELS = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW".split()
CONSONANTS = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH".split()
PHONES = sorted([*CONSONANTS, *[vowel + stress for vowel in VOWELS for stress in ("", "0", "1", "2")]])
PHONEMIZER = "https://public-asai-dl-models.s3.eu-central-1.amazonaws.com/DeepPhonemizer/en_us_cmudict_forward.pt"
SAMPLE_RATE = 22050
LEAST_DB = -100


class _TextProcessor:
    """Texts → numbers of symbols (N, longest) and lengths (N,)."""

    def __init__(self, tokens):
        self._tokens = tokens
        self._mapping = {token: number for number, token in enumerate(tokens)}

    @property
    def tokens(self):
        """The symbols, by their numbers."""
        return self._tokens

    def _symbols(self, texts):
        raise NotImplementedError

    def __call__(self, texts):
        texts = [texts] if isinstance(texts, str) else texts
        numbers = [rl.tensor([self._mapping[symbol] for symbol in symbols]) for symbols in self._symbols(texts)]
        lengths = rl.tensor([len(line) for line in numbers], dtype=rl.int32)
        return nn.utils.rnn.pad_sequence(numbers, batch_first=True), lengths


class _Characters(_TextProcessor):
    def __init__(self):
        super().__init__((*PUNCTUATION, *"abcdefghijklmnopqrstuvwxyz"))

    def _symbols(self, texts):
        return [[character for character in text.lower() if character in self._mapping] for text in texts]


class _Phones(_TextProcessor):
    pattern = r"(\[[A-Z]+?\]|[_!'(),.:;? -])"

    def __init__(self, dl_kwargs=None):
        super().__init__((*PUNCTUATION, *PHONES))
        try:
            phonemizer = deep_phonemizer.Phonemizer
        except ImportError as error:
            raise RuntimeError("DeepPhonemizer is not installed. Please install it.") from error
        path = os.path.join(get_dir(), "checkpoints", os.path.basename(PHONEMIZER))
        if not os.path.exists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            download_url_to_file(PHONEMIZER, path, **(dl_kwargs or {}))
        self._phonemizer = phonemizer.from_checkpoint(path)

    def _symbols(self, texts):
        return [[re.sub(r"[\[\]]", "", found) for found in re.findall(self.pattern, phones)]
                for phones in self._phonemizer(texts, lang="en_us")]


class _Vocoder(nn.Module):
    """Spectrograms (N, bands, frames) and lengths → sounds (N, time) and their lengths (or None)."""

    @property
    def sample_rate(self):
        """The sample rate of the sounds, in Hz."""
        return SAMPLE_RATE


class _WaveRNNVocoder(_Vocoder):
    def __init__(self, model, min_level_db=LEAST_DB):
        super().__init__()
        self._model, self._min_level_db = model, min_level_db

    def forward(self, mel_spec, lengths=None):
        level = 20 * mel_spec.exp().clamp(min=1e-5).log10()
        if self._min_level_db is not None:
            level = ((self._min_level_db - level) / self._min_level_db).clamp(0, 1)
        sound, lengths = self._model.infer(level, lengths)
        top = 2 ** self._model.n_bits - 1
        codes = ((sound.clamp(-1, 1) + 1.0) * top / 2).clamp(0, top).int()
        return mu_law_decoding(codes, self._model.n_classes).squeeze(1), lengths


class _GriffinLimVocoder(_Vocoder):
    def __init__(self):
        super().__init__()
        self._inv_mel = InverseMelScale(513, 80, SAMPLE_RATE, 0.0, 8000.0, "slaney", "slaney")
        self._griffin_lim = GriffinLim(1024, win_length=1024, hop_length=256, power=1)

    def forward(self, mel_spec, lengths=None):
        return self._griffin_lim(self._inv_mel(mel_spec.detach().exp())), lengths


class Tacotron2TTSBundle:
    """A published pipeline from text to speech."""

    TextProcessor = _TextProcessor
    Vocoder = _Vocoder

    def get_text_processor(self, *, dl_kwargs=None):
        """What makes numbers of symbols from texts."""
        raise NotImplementedError("Tacotron2TTSBundle.get_text_processor")

    def get_vocoder(self, *, dl_kwargs=None):
        """What makes sounds from spectrograms."""
        raise NotImplementedError("Tacotron2TTSBundle.get_vocoder")

    def get_tacotron2(self, *, dl_kwargs=None):
        """The published Tacotron 2, in evaluation mode."""
        raise NotImplementedError("Tacotron2TTSBundle.get_tacotron2")


class _Published(Tacotron2TTSBundle):
    def __init__(self, path, phones, wavernn=None):
        self._tacotron2_path, self._phones, self._wavernn_path = path, phones, wavernn

    def get_text_processor(self, *, dl_kwargs=None):
        return _Phones(dl_kwargs) if self._phones else _Characters()

    @staticmethod
    def _ready(model, path, options):
        model.load_state_dict(load_state_dict_from_url(f"{SERVER}models/{path}", **(options or {})))
        return model.eval()

    def get_tacotron2(self, *, dl_kwargs=None):
        model = Tacotron2(n_symbol=len(PUNCTUATION) + (len(PHONES) if self._phones else 26))
        return self._ready(model, self._tacotron2_path, dl_kwargs)

    def get_vocoder(self, *, dl_kwargs=None):
        if self._wavernn_path is None:
            return _GriffinLimVocoder()
        return _WaveRNNVocoder(self._ready(WaveRNN([5, 5, 11], 256, 275, n_freq=80), self._wavernn_path, dl_kwargs))


WAVERNN = "wavernn_10k_epochs_8bits_ljspeech.pth"
TACOTRON2_GRIFFINLIM_CHAR_LJSPEECH = _Published("tacotron2_english_characters_1500_epochs_ljspeech.pth", False)
TACOTRON2_GRIFFINLIM_PHONE_LJSPEECH = _Published("tacotron2_english_phonemes_1500_epochs_ljspeech.pth", True)
TACOTRON2_WAVERNN_CHAR_LJSPEECH = _Published(
    "tacotron2_english_characters_1500_epochs_wavernn_ljspeech.pth", False, WAVERNN)
TACOTRON2_WAVERNN_PHONE_LJSPEECH = _Published(
    "tacotron2_english_phonemes_1500_epochs_wavernn_ljspeech.pth", True, WAVERNN)
