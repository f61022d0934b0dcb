"""Models of sounds: `torchaudio.models`, with its names of parameters and initial values."""

from .conformer import Conformer
from .conv_tasnet import ConvTasNet, conv_tasnet_base
from .deepspeech import DeepSpeech
from .wav2letter import Wav2Letter
from .wav2vec2 import *  # noqa: F403
