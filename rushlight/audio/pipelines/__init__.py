"""Published models with what they need, as bundles: `torchaudio.pipelines`. Weights are downloaded when asked for."""

from . import wav2vec2
from .quality import (
    CONVTASNET_BASE_LIBRI2MIX, HDEMUCS_HIGH_MUSDB, HDEMUCS_HIGH_MUSDB_PLUS, SQUIM_OBJECTIVE, SQUIM_SUBJECTIVE,
    SourceSeparationBundle, SquimObjectiveBundle, SquimSubjectiveBundle,
)
from .rnnt import EMFORMER_RNNT_BASE_LIBRISPEECH, RNNTBundle
from .speech import (
    TACOTRON2_GRIFFINLIM_CHAR_LJSPEECH, TACOTRON2_GRIFFINLIM_PHONE_LJSPEECH, TACOTRON2_WAVERNN_CHAR_LJSPEECH,
    TACOTRON2_WAVERNN_PHONE_LJSPEECH, Tacotron2TTSBundle,
)
from .wav2vec2 import *  # noqa: F403

__all__ = [
    "CONVTASNET_BASE_LIBRI2MIX", "EMFORMER_RNNT_BASE_LIBRISPEECH", "HDEMUCS_HIGH_MUSDB", "HDEMUCS_HIGH_MUSDB_PLUS",
    "RNNTBundle", "SQUIM_OBJECTIVE", "SQUIM_SUBJECTIVE", "SourceSeparationBundle", "SquimObjectiveBundle",
    "SquimSubjectiveBundle", "TACOTRON2_GRIFFINLIM_CHAR_LJSPEECH", "TACOTRON2_GRIFFINLIM_PHONE_LJSPEECH",
    "TACOTRON2_WAVERNN_CHAR_LJSPEECH", "TACOTRON2_WAVERNN_PHONE_LJSPEECH", "Tacotron2TTSBundle", *wav2vec2.__all__,
]
