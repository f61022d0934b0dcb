"""A published transducer for speech: features, beam search, and symbols as text."""

import dataclasses
import functools
import json
import math
from typing import Any, Callable

from ... import api as rl
from ... import nn
from ...base.lazy import Lazy
from ...nn import functional as nnf
from ..models import RNNTBeamSearch, emformer_rnnt_base
from ..transforms import MelSpectrogram
from ..utils import _download_asset
from .quality import ready

sentencepiece = Lazy("sentencepiece")
GAIN = 10 ** (0.05 * 2 * 20 * math.log10(32767))


class _FeatureExtractor(nn.Module):
    """A sound (time,) → normalised logarithms of mel bands (frames, bands), and the number of frames (1,)."""

    def __init__(self, mel, statistics, padding):
        super().__init__()
        self.mel, self.padding = mel, padding
        with open(statistics) as file:
            found = json.load(file)
        self.register_buffer("mean", rl.tensor(found["mean"]))
        self.register_buffer("invstddev", rl.tensor(found["invstddev"]))

    def forward(self, input):
        power = self.mel(input).transpose(1, 0) * GAIN
        bands = rl.where(power > math.e, power.clamp(min=1e-30).log(), power / math.e)
        features = nnf.pad((bands - self.mean) * self.invstddev, (0, 0, 0, self.padding))
        return features, rl.tensor([features.shape[0]])


class _TokenProcessor:
    """Numbers of symbols → text, by a model of SentencePiece."""

    def __init__(self, path):
        try:
            self.sp_model = sentencepiece.SentencePieceProcessor(model_file=path)
        except ImportError as error:
            raise RuntimeError("SentencePiece is not available. Please install it: pip install sentencepiece"
                               ) from error
        self.removed = {self.sp_model.unk_id(), self.sp_model.eos_id(), self.sp_model.pad_id()}

    def __call__(self, tokens, lstrip=True):
        kept = [token for token in tokens[1:] if token not in self.removed]
        text = "".join(self.sp_model.id_to_piece(kept)).replace("\u2581", " ")
        return text.lstrip() if lstrip else text


@dataclasses.dataclass
class RNNTBundle:
    """A published transducer with all that it needs."""

    FeatureExtractor = _FeatureExtractor
    TokenProcessor = _TokenProcessor

    _rnnt_path: str
    _rnnt_factory_func: Callable[[], Any]
    _global_stats_path: str
    _sp_model_path: str
    _right_padding: int
    _blank: int
    _sample_rate: int
    _n_fft: int
    _n_mels: int
    _hop_length: int
    _segment_length: int
    _right_context_length: int

    @property
    def sample_rate(self):
        """The sample rate of the sounds, in Hz."""
        return self._sample_rate

    @property
    def n_fft(self):
        """Samples of a frame."""
        return self._n_fft

    @property
    def n_mels(self):
        """Mel bands."""
        return self._n_mels

    @property
    def hop_length(self):
        """Samples from frame to frame."""
        return self._hop_length

    @property
    def segment_length(self):
        """Frames of a segment of a stream."""
        return self._segment_length

    @property
    def right_context_length(self):
        """Frames after a segment that it sees."""
        return self._right_context_length

    def get_decoder(self):
        """The beam search with the published weights."""
        return RNNTBeamSearch(ready(self._rnnt_factory_func(), self._rnnt_path), self._blank)

    def _extractor(self, padding):
        mel = MelSpectrogram(self.sample_rate, self.n_fft, hop_length=self.hop_length, n_mels=self.n_mels)
        return _FeatureExtractor(mel, _download_asset(self._global_stats_path), padding)

    def get_feature_extractor(self):
        """What makes features of whole sounds."""
        return self._extractor(self._right_padding)

    def get_streaming_feature_extractor(self):
        """What makes features of parts of streams."""
        return self._extractor(0)

    def get_token_processor(self):
        """What makes text of symbols. RuntimeError without the package sentencepiece."""
        return _TokenProcessor(_download_asset(self._sp_model_path))


EMFORMER_RNNT_BASE_LIBRISPEECH = RNNTBundle(
    "models/emformer_rnnt_base_librispeech.pt", functools.partial(emformer_rnnt_base, num_symbols=4097),
    "pipeline-assets/global_stats_rnnt_librispeech.json", "pipeline-assets/spm_bpe_4096_librispeech.model", 4, 4096,
    16000, 400, 80, 160, 16, 4)
