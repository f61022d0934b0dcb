"""Published models of the family of wav2vec 2.0, for features, recognition and alignment.

A row of BUNDLES says which file holds the weights, the size of the model, and what it was trained for.
"""

import dataclasses
from typing import Any, Dict, Tuple

from ... import api as rl
from ... import nn
from ...hub import load_state_dict_from_url
from ...nn import functional as nnf
from ..functional import forced_align, merge_tokens
from ..models import wav2vec2_model, wavlm_model
from ..models.wav2vec2.model import RATES, SIZES, model_sizes
from ..utils.download import SERVER

FACTORIES = {"Wav2Vec2": wav2vec2_model, "WavLM": wavlm_model}


class _Wrapped(nn.Module):
    """A model whose input is normalised, and whose scores become log-probabilities with another class "star"."""

    def __init__(self, model, normalize_waveform, apply_log_softmax=False, append_star=False):
        super().__init__()
        self.model, self.normalize_waveform = model, normalize_waveform
        self.apply_log_softmax, self.append_star = apply_log_softmax, append_star

    def _input(self, waveforms):
        return nnf.layer_norm(waveforms, waveforms.shape) if self.normalize_waveform else waveforms

    def forward(self, waveforms, lengths=None):
        output, lengths = self.model(self._input(waveforms), lengths)
        if self.apply_log_softmax:
            output = output.log_softmax(-1)
        if self.append_star:
            output = rl.cat((output, rl.zeros_like(output[..., :1])), -1)
        return output, lengths

    def extract_features(self, waveforms, lengths=None, num_layers=None):
        """As `Wav2Vec2Model.extract_features`."""
        return self.model.extract_features(self._input(waveforms), lengths, num_layers)


def _weights(path, options, removed=()):
    """The published weights, without the scores of some classes that stand for nothing."""
    url = path if path.startswith("https") else f"{SERVER}models/{path}"
    state = load_state_dict_from_url(url, **(options or {}))
    for key in ("aux.weight", "aux.bias") if removed else ():
        state[key] = rl.stack([row for number, row in enumerate(state[key]) if number not in removed])
    return state


@dataclasses.dataclass
class Wav2Vec2Bundle:
    """A published model that makes features.

    Example:
        >>> torchaudio.pipelines.HUBERT_BASE.sample_rate
        16000
    """

    _path: str
    _params: Dict[str, Any]
    _sample_rate: float
    _normalize_waveform: bool
    _model_type: str

    @property
    def sample_rate(self):
        """The sample rate of the sounds that the model takes, in Hz."""
        return self._sample_rate

    def _loaded(self, options):
        model = FACTORIES[self._model_type](**self._params)
        model.load_state_dict(_weights(self._path, options, getattr(self, "_remove_aux_axis", ())))
        return model

    def get_model(self, *, dl_kwargs=None):
        """Build the model, load its weights (downloaded once; `dl_kwargs` are arguments of
        `hub.load_state_dict_from_url`) and put it into evaluation mode."""
        model = self._loaded(dl_kwargs)
        return (_Wrapped(model, True) if self._normalize_waveform else model).eval()


@dataclasses.dataclass
class Wav2Vec2ASRBundle(Wav2Vec2Bundle):
    """A published model that recognises characters."""

    _labels: Tuple[str, ...]
    _remove_aux_axis: Tuple[int, ...] = (1, 2, 3)

    def get_labels(self, *, blank="-"):
        """The characters of the classes, the blank first."""
        return (blank, *self._labels)


class Tokenizer:
    """Words → numbers of their characters."""

    def __init__(self, dictionary):
        self.dictionary = dictionary

    def __call__(self, transcript):
        return [[self.dictionary[character] for character in word] for word in transcript]


class Aligner:
    """Log-probabilities (T, classes) and numbers of characters by word → spans of the characters by word."""

    def __init__(self, blank):
        self.blank = blank

    def __call__(self, emission, tokens):
        if emission.ndim != 2:
            raise ValueError(f"The input emission must be 2D. Found: {emission.shape}")
        targets = rl.tensor([[token for word in tokens for token in word]], dtype=rl.int32, device=emission.device)
        path, scores = forced_align(emission.unsqueeze(0), targets, blank=self.blank)
        spans = iter(merge_tokens(path[0], scores[0].exp()))
        return [[next(spans) for _ in word] for word in tokens]


@dataclasses.dataclass
class Wav2Vec2FABundle(Wav2Vec2ASRBundle):
    """A published model that aligns transcripts: log-probabilities of characters and of "star", which is anything."""

    Tokenizer = Tokenizer
    Aligner = Aligner

    def get_labels(self, star="*", blank="-"):
        """The characters of the classes, the blank first and the star (if not None) last."""
        labels = super().get_labels(blank=blank)
        return labels if star is None else (*labels, star)

    def get_model(self, with_star=True, *, dl_kwargs=None):
        """As `Wav2Vec2Bundle.get_model`; `with_star` adds the class "star"."""
        return _Wrapped(self._loaded(dl_kwargs), self._normalize_waveform, True, with_star).eval()

    def get_dict(self, star="*", blank="-"):
        """{character: number of its class}"""
        return {label: number for number, label in enumerate(self.get_labels(star=star, blank=blank))}

    def get_tokenizer(self):
        """Words → numbers of their characters."""
        return Tokenizer(self.get_dict())

    def get_aligner(self):
        """Log-probabilities and numbers → spans (lists of `functional.TokenSpan` by word)."""
        return Aligner(blank=0)


LABELS = {
    "en": "|ETAONIHSRDLUMWCFGYPBVK'XJQZ", "mms": "aienoutsrmkldghybpwcvjzf'qx",
    "vp_en": "|etoiansrhldcumpfgwybvkxjqz", "de": "|enirstadhulgcmobwfkzpvüäöjßyxq",
    "es": "|eaosnrildctupmbqygvhófíájzñéxúkwü", "fr": "|esnitraouldcpmévqfgbhxàjèyêzôkçœûùîâwïëüæ",
    "it": "|eiaontrlscdupmgvhzfbqàèùéòìkyxwjóíï",
}
BASE, LARGE, LARGE_LV60K = (0.1, 0.1, 0.0, 0.1, 0.05), (0.1, 0.1, 0.0, 0.0, 0.2), (0.1, 0.1, 0.0, 0.0, 0.0)
TUNED, NONE = (0.0, 0.0, 0.1, 0.0, 0.1), (0.0, 0.0, 0.0, 0.0, 0.0)
HUNDREDTH = (0.1, 0.0, 0.0, 0.0, 0.0)

# name: (file, size, dropouts (projection, attention, feed-forward, output, layers))
BUNDLES = {
    "WAV2VEC2_BASE": ("wav2vec2_fairseq_base_ls960.pth", "wav2vec2_base", BASE),
    "WAV2VEC2_LARGE": ("wav2vec2_fairseq_large_ls960.pth", "wav2vec2_large", LARGE),
    "WAV2VEC2_LARGE_LV60K": ("wav2vec2_fairseq_large_lv60k.pth", "wav2vec2_large_lv60k", LARGE_LV60K),
    "WAV2VEC2_XLSR53": ("wav2vec2_fairseq_large_xlsr53.pth", "wav2vec2_xlsr_300m", NONE),
    "WAV2VEC2_XLSR_300M": ("wav2vec2_xlsr_300m.pth", "wav2vec2_xlsr_300m", NONE),
    "WAV2VEC2_XLSR_1B": ("wav2vec2_xlsr_1b.pth", "wav2vec2_xlsr_1b", HUNDREDTH),
    "WAV2VEC2_XLSR_2B": ("wav2vec2_xlsr_2b.pth", "wav2vec2_xlsr_2b", HUNDREDTH),
    "HUBERT_BASE": ("hubert_fairseq_base_ls960.pth", "hubert_base", BASE),
    "HUBERT_LARGE": ("hubert_fairseq_large_ll60k.pth", "hubert_large", NONE),
    "HUBERT_XLARGE": ("hubert_fairseq_xlarge_ll60k.pth", "hubert_xlarge", NONE),
    "WAVLM_BASE": ("wavlm_base.pth", "wavlm_base", BASE),
    "WAVLM_BASE_PLUS": ("wavlm_base_plus.pth", "wavlm_base", BASE),
    "WAVLM_LARGE": ("wavlm_large.pth", "wavlm_large", BASE),
}
# name: (file, size, dropouts, labels, classes of the file that stand for nothing)
NOTHING = (1, 2, 3)
RECOGNISERS = {
    **{f"WAV2VEC2_ASR_{size}_{data}": (f"wav2vec2_fairseq_{file}_asr_{part}.pth", f"wav2vec2_{size.lower()}", rates,
                                       "en", NOTHING)
       for size, file, rates in (("BASE", "base_ls960", BASE), ("LARGE", "large_ls960", LARGE),
                                 ("LARGE_LV60K", "large_lv60k", LARGE_LV60K))
       for data, part in (("10M", "ll10m"), ("100H", "ls100"), ("960H", "ls960"))},
    **{f"HUBERT_ASR_{size.upper()}": (f"hubert_fairseq_{size}_ll60k_asr_ls960.pth", f"hubert_{size}", TUNED, "en",
                                      NOTHING) for size in ("large", "xlarge")},
    **{f"VOXPOPULI_ASR_BASE_10K_{language.upper()}": (f"wav2vec2_voxpopuli_base_10k_asr_{language}.pt",
                                                      "wav2vec2_base", TUNED, labels, removed)
       for language, labels, removed in (("en", "vp_en", (*NOTHING, 31)), ("es", "es", (*NOTHING, 35)),
                                         ("de", "de", (*NOTHING, 35)), ("fr", "fr", NOTHING), ("it", "it", NOTHING))},
}
MMS = "https://dl.fbaipublicfiles.com/mms/torchaudio/ctc_alignment_mling_uroman/model.pt"


def _bundle(kind, file, size, rates, labels=None, removed=()):
    params = {**model_sizes(size), **dict(zip(RATES, rates)), "aux_num_out": None}
    rest = ()
    if labels is not None:
        params["aux_num_out"] = len(LABELS[labels]) + 1
        rest = (tuple(LABELS[labels]), removed)
    return kind(file, params, 16000, SIZES[size][1][0] == "layer_norm",
                "WavLM" if size.startswith("wavlm") else "Wav2Vec2", *rest)


globals().update({name: _bundle(Wav2Vec2Bundle, *row) for name, row in BUNDLES.items()})
globals().update({name: _bundle(Wav2Vec2ASRBundle, *row) for name, row in RECOGNISERS.items()})
MMS_FA = _bundle(Wav2Vec2FABundle, MMS, "wav2vec2_large_lv60k", TUNED, "mms", NOTHING)
__all__ = ["MMS_FA", "Wav2Vec2ASRBundle", "Wav2Vec2Bundle", "Wav2Vec2FABundle", *BUNDLES, *RECOGNISERS]
