"""Data sets of sounds: `torchaudio.datasets`. Most download themselves, with their hashes checked."""

from .commands import QUESST14, SPEECHCOMMANDS, CMUDict, FluentSpeechCommands, Snips
from .music import GTZAN, MUSDB_HQ, LibriMix
from .reading import (
    CMUARCTIC, COMMONVOICE, LIBRISPEECH, LIBRITTS, LJSPEECH, YESNO, LibriLightLimited, LibriSpeechBiasing,
)
from .speakers import DR_VCTK, IEMOCAP, TEDLIUM, VCTK_092, VoxCeleb1Identification, VoxCeleb1Verification

__all__ = [
    "CMUARCTIC", "CMUDict", "COMMONVOICE", "DR_VCTK", "FluentSpeechCommands", "GTZAN", "IEMOCAP", "LIBRISPEECH",
    "LIBRITTS", "LJSPEECH", "LibriLightLimited", "LibriMix", "LibriSpeechBiasing", "MUSDB_HQ", "QUESST14",
    "SPEECHCOMMANDS", "Snips", "TEDLIUM", "VCTK_092", "VoxCeleb1Identification", "VoxCeleb1Verification", "YESNO",
]
